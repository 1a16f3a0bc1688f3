// SPDX-License-Identifier: Apache-2.0
//
// upstream_proxy_test.c: calls through a proxy that speaks TLS, which the scripted provider plays
// together with whoever is behind it.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_pair.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct world {
    struct toy_core t;
    struct toy_provider p;
    struct toy_pair tls; // without sessions
    struct proxy *proxy;
    struct origin *origin;
};

static void world_open(struct world *w, toy_script script, void *arg, const char *cert_name,
                       bool secure_provider)
{
    toy_pair_open(&w->tls, cert_name);
    toy_core_open(&w->t, 16, 16384);
    toy_provider_open(&w->p, script, arg, w->tls.server_context);
    struct proxy_options proxy = {.type = PROXY_HTTP,
                                  .tls = w->tls.client_context,
                                  .host = SLICE("127.0.0.1"),
                                  .port = w->p.port,
                                  .username = SLICE("Aladdin"),
                                  .password = SLICE("open sesame")};
    assert_int_equal(proxy_new(&proxy, &w->proxy), 0);
    struct origin_options origin = {.tls = secure_provider,
                                    .host = SLICE("provider.test"),
                                    .port = secure_provider ? 443 : 80,
                                    .tls_context = secure_provider ? w->tls.client_context : NULL,
                                    .proxy = w->proxy,
                                    .connect_ms = 5000};
    assert_int_equal(origin_new(&origin, &w->origin), 0);
}

static void world_close(struct world *w)
{
    toy_core_close(&w->t);
    origin_put(w->origin);
    proxy_put(w->proxy);
    toy_provider_close(&w->p);
    toy_pair_close(&w->tls);
}

// RFC 7617 2's example credentials.
#define CONNECT                                                                                    \
    "CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n"                            \
    "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"

// The proxy consents, and the provider's session begins inside its own.
static void script_tunnel(struct toy_conn *c, void *arg)
{
    char head[sizeof(CONNECT) - 1];
    struct tls *inner = NULL;
    ASSERT(toy_read_exactly(c, head, sizeof(head)) && memcmp(head, CONNECT, sizeof(head)) == 0);
    toy_reach(c->provider, 2);
    ASSERT(toy_say(c, "HTTP/1.1 200 OK\r\n\r\n"));
    ASSERT(tls_new_inside(c->provider->tls, SLICE_EMPTY, c->tls, &inner) == 0);
    c->tls = inner;
    toy_script_ok(c, arg);
}

static void a_tunnel_is_kept_alive_and_owns_no_page(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, script_tunnel, NULL, "127.0.0.1,provider.test", true);
    for (unsigned i = 0; i < 4; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin, .iovs = 3};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        assert_int_equal(a.reused, i > 0);
        assert_int_equal(w.t.core.upstream->pages.live, 0);
        toy_ask_done(&a);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_handshakes), 1); // with providers
    world_close(&w);
    assert_int_equal(w.p.steps[2], 1); // its threads have ended
}

static void absolute_form_needs_no_tunnel(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, toy_script_ok, NULL, "127.0.0.1", false);
    for (unsigned i = 0; i < 2; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        assert_int_equal(a.reused, i > 0);
        toy_ask_done(&a);
    }
    world_close(&w);
}

static int ask(toy_script script, void *arg, const char *cert_name, unsigned deadline_ms)
{
    struct world w;
    world_open(&w, script, arg, cert_name, true);
    struct toy_ask a = {.t = &w.t, .origin = w.origin, .deadline_ms = deadline_ms};
    toy_ask(&a);
    world_close(&w);
    return a.rc;
}

static void what_can_go_wrong_says_so(void **state)
{
    (void)state;
    const char *both = "127.0.0.1,provider.test";
    assert_int_equal(ask(script_tunnel, NULL, "elsewhere.test", 0), ERR_PROXY_VERIFY);
    assert_int_equal(ask(script_tunnel, NULL, "127.0.0.1", 0), ERR_TLS_VERIFY); // the provider's
    assert_int_equal(ask(toy_script_say_and_close, "HTTP/1.1 407 Who\r\n\r\n", both, 0),
                     ERR_PROXY_AUTH);
    assert_int_equal(ask(toy_script_say_and_close, "HTTP/1.1 403 No\r\n\r\n", both, 0),
                     ERR_PROXY_REFUSED);
    assert_int_equal(ask(toy_script_say_and_close, "HTTP/1.1 200 OK\r\n\r\nunasked", both, 0),
                     ERR_PROXY_PROTOCOL);
    assert_int_equal(ask(toy_script_say_and_close, "", both, 0), ERR_PROXY_CLOSED);
    assert_int_equal(ask(toy_script_silent, NULL, both, 50), ERR_DEADLINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_is_kept_alive_and_owns_no_page),
        cmocka_unit_test(absolute_form_needs_no_tunnel),
        cmocka_unit_test(what_can_go_wrong_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
