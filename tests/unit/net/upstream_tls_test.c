// SPDX-License-Identifier: Apache-2.0
//
// Calls over TLS: the same endings, and what only TLS can do wrong.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_pair.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct toy_core t;
    struct toy_provider p;
    struct toy_pair tls; // without sessions
    struct origin *origin;
};

static void world_open(struct world *w, toy_script script, void *arg, const char *cert_name,
                       bool plain_server)
{
    toy_pair_open(&w->tls, cert_name);
    toy_core_open(&w->t, 16, 16384);
    toy_provider_open(&w->p, script, arg, plain_server ? NULL : w->tls.server_context);
    struct origin_options origin = {.tls = true,
                                    .host = SLICE("127.0.0.1"),
                                    .port = w->p.port,
                                    .tls_context = w->tls.client_context,
                                    .connect_ms = 2000};
    assert_int_equal(origin_new(&origin, &w->origin), 0);
}

static void world_close(struct world *w)
{
    toy_core_close(&w->t);
    origin_put(w->origin);
    toy_provider_close(&w->p);
    toy_pair_close(&w->tls);
}

static void a_session_is_kept_alive_and_owns_no_page(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, toy_script_ok, NULL, "127.0.0.1", false);
    for (unsigned i = 0; i < 4; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin, .iovs = 3};
        struct ring_stats before, after;
        ring_stats_read(w.t.ring, &before);
        toy_ask(&a);
        ring_stats_read(w.t.ring, &after);
        if (i > 0) // one send, one receive
            assert_int_equal(after.completions - before.completions, 2);
        toy_assert_body(&a, "hello");
        assert_int_equal(a.parts, 1);
        assert_int_equal(a.reused, i > 0);
        assert_int_equal(w.t.core.upstream->pages.live, 0);
        toy_ask_done(&a);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_handshakes), 1);
    world_close(&w);
}

static void a_second_connection_resumes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, toy_script_ok,
               "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "127.0.0.1",
               false);
    for (unsigned i = 0; i < 3; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "");
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_handshakes), 3);
    assert_int_equal(counter_get(&w.t.core.stats.upstream_resumptions), 2);
    world_close(&w);
}

static void a_wrong_name_fails_before_a_byte_is_sent(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, toy_script_ok, NULL, "elsewhere.test", false);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_TLS_VERIFY);
    world_close(&w);
}

static void script_plain(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_say(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
    toy_gone(c);
}

static void script_hang_up(struct toy_conn *c, void *arg)
{
    (void)c;
    (void)arg;
}

static void handshakes_that_cannot_succeed_end(void **state)
{
    (void)state;
    static const toy_script scripts[] = {script_plain, script_hang_up};
    for (unsigned i = 0; i < ARRAY_LEN(scripts); i++) {
        struct world w;
        world_open(&w, scripts[i], NULL, "127.0.0.1", true);
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        assert_int_equal(a.rc, ERR_TLS);
        world_close(&w);
    }
}

static void a_handshake_that_hangs_is_bounded(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, toy_script_silent, NULL, "127.0.0.1", true);
    struct origin_options o = {.tls = true,
                               .host = SLICE("127.0.0.1"),
                               .port = w.p.port,
                               .tls_context = w.tls.client_context,
                               .connect_ms = 10};
    struct origin *impatient = NULL;
    assert_int_equal(origin_new(&o, &impatient), 0);
    struct toy_ask a = {.t = &w.t, .origin = impatient};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_CONNECT_TIMEOUT);
    struct toy_ask b = {.t = &w.t, .origin = w.origin, .deadline_ms = 5};
    toy_ask(&b);
    assert_int_equal(b.rc, ERR_DEADLINE);
    toy_until_idle(&w.t);
    origin_put(impatient);
    world_close(&w);
}

// ---- Endings ---------------------------------------------------------------------------------

struct say {
    const char *text;
    bool notify;
};

static void script_say_and_close(struct toy_conn *c, void *arg)
{
    const struct say *say = arg;
    toy_read_request(c);
    toy_say(c, say->text);
    if (say->notify)
        toy_notify(c);
}

static void only_close_notify_ends_a_body_without_length(void **state)
{
    (void)state;
    static const struct {
        struct say say;
        int rc, body_rc;
    } rows[] = {
        {{"HTTP/1.1 200 OK\r\n\r\nhello", true}, 0, 0},
        {{"HTTP/1.1 200 OK\r\n\r\nhello", false}, 0, ERR_UPSTREAM_TRUNCATED},
        {{TOY_OK, false}, 0, 0},
        {{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", true}, 0, ERR_UPSTREAM_TRUNCATED},
        {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", true},
         0,
         ERR_UPSTREAM_TRUNCATED},
        {{"", true}, ERR_UPSTREAM_CLOSED, 0},
        {{"HTTP/1.1 2", false}, ERR_UPSTREAM_TRUNCATED, 0},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, script_say_and_close, (void *)&rows[i].say, "127.0.0.1", false);
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        assert_int_equal(a.rc, rows[i].rc);
        assert_int_equal(a.body_rc, rows[i].body_rc);
        if (rows[i].rc == 0)
            assert_true(slice_eq(slice_of(a.body, a.body_len), SLICE("hello")));
        toy_ask_done(&a);
        world_close(&w);
    }
}

static void script_die_when_reused(struct toy_conn *c, void *arg)
{
    (void)arg;
    while (toy_read_request(c) >= 0) {
        toy_say(c, TOY_OK);
        if (c->index > 0)
            continue;
        (void)toy_read_request(c);
        return;
    }
}

static void a_dead_session_is_replaced(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, script_die_when_reused, NULL, "127.0.0.1", false);
    for (unsigned i = 0; i < 3; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        toy_ask_done(&a);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_retries), 1);
    assert_int_equal(counter_get(&w.t.core.stats.upstream_resumptions), 1);
    world_close(&w);
}

// ---- Sizes -----------------------------------------------------------------------------------

#define BIG ((size_t)5 << 20)

// Answers a request of any size with BIG bytes.
static void script_big(struct toy_conn *c, void *arg)
{
    char *data = malloc(BIG);
    (void)arg;
    for (size_t i = 0; i < BIG; i++)
        data[i] = (char)(i * 7 >> 3);
    while (toy_read_request(c) >= 0) {
        toy_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 5242880\r\n\r\n");
        if (!toy_send(c, data, BIG))
            break;
    }
    free(data);
}

static void big_bodies_pass_both_ways(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, script_big, NULL, "127.0.0.1", false);
    size_t len = 0;
    char *request = toy_large_request((size_t)3 << 20, &len);
    static const unsigned runs[] = {1, 7, 5000};
    for (unsigned n = 0; n < ARRAY_LEN(runs); n++) {
        struct toy_ask a = {
            .t = &w.t, .origin = w.origin, .request = request, .request_len = len, .iovs = runs[n]};
        toy_ask(&a);
        assert_int_equal(a.rc, 0);
        assert_int_equal(a.body_rc, 0);
        assert_int_equal(a.body_len, BIG);
        for (size_t i = 0; i < BIG; i++)
            assert_true(a.body[i] == (char)(i * 7 >> 3));
        assert_int_equal(a.reused, n > 0);
        assert_int_equal(w.t.core.upstream->pages.live, 0);
        toy_ask_done(&a);
    }
    free(request);
    world_close(&w);
}

static void script_never_reads(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_await(c->provider, 0, 1);
}

static void a_deadline_while_sending_sealed_bytes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, script_never_reads, NULL, "127.0.0.1", false);
    size_t len = (size_t)16 << 20;
    char *request = malloc(len);
    struct toy_ask a = {
        .t = &w.t, .origin = w.origin, .request = request, .request_len = len, .deadline_ms = 50};
    memset(request, 'x', len);
    toy_ask(&a);
    free(request);
    assert_int_equal(a.rc, ERR_DEADLINE);
    toy_until_idle(&w.t);
    assert_int_equal(w.t.core.upstream->pages.live, 0);
    toy_reach(&w.p, 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_kept_alive_and_owns_no_page),
        cmocka_unit_test(a_second_connection_resumes),
        cmocka_unit_test(a_wrong_name_fails_before_a_byte_is_sent),
        cmocka_unit_test(handshakes_that_cannot_succeed_end),
        cmocka_unit_test(a_handshake_that_hangs_is_bounded),
        cmocka_unit_test(only_close_notify_ends_a_body_without_length),
        cmocka_unit_test(a_dead_session_is_replaced),
        cmocka_unit_test(big_bodies_pass_both_ways),
        cmocka_unit_test(a_deadline_while_sending_sealed_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
