// SPDX-License-Identifier: Apache-2.0
//
// Origins: authority, what the key tells apart, defaults, references.
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct origin *make(const char *host, unsigned port, const char *identity)
{
    struct origin_options o = {
        .host = slice_str(host), .port = port, .identity = slice_str(identity)};
    struct origin *origin = NULL;
    assert_int_equal(origin_new(&o, &origin), 0);
    return origin;
}

static void authority_leaves_out_the_default_port(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        unsigned port;
        const char *authority;
    } rows[] = {{"Example.COM", 80, "example.com"},
                {"example.com", 443, "example.com:443"},
                {"::1", 8080, "[::1]:8080"},
                {"::1", 80, "[::1]"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct origin *o = make(rows[i].host, rows[i].port, "");
        assert_true(slice_eq(origin_authority(o), slice_str(rows[i].authority)));
        origin_put(o);
    }
}

static void key_tells_apart_what_must_not_share_connections(void **state)
{
    (void)state;
    struct origin *a = make("a", 80, ""), *same = make("A", 80, ""), *port = make("a", 81, ""),
                  *identity = make("a", 80, "x");
    assert_true(slice_eq(a->key, same->key));
    assert_false(slice_eq(a->key, port->key));
    assert_false(slice_eq(a->key, identity->key));
    struct origin_options o = {.host = SLICE("a"), .port = 80, .http = ORIGIN_HTTP2};
    struct origin *h2 = NULL, *any = NULL;
    assert_int_equal(origin_new(&o, &h2), 0);
    o.http = ORIGIN_HTTP_ANY;
    assert_int_equal(origin_new(&o, &any), 0);
    assert_false(slice_eq(a->key, h2->key));
    assert_int_equal(any->http, ORIGIN_HTTP1); // in clear text there is nothing to choose by
    origin_put(h2);
    origin_put(any);
    origin_put(a);
    origin_put(same);
    origin_put(port);
    origin_put(identity);
}

static void key_tells_proxies_apart(void **state)
{
    (void)state;
    struct proxy_options po = {.host = SLICE("p"), .port = 1, .username = SLICE("u")};
    struct origin_options o = {.host = SLICE("a"), .port = 80};
    struct origin *straight = NULL, *by_u = NULL, *by_v = NULL, *by_u_again = NULL;
    assert_int_equal(origin_new(&o, &straight), 0);
    assert_int_equal(proxy_new(&po, &o.proxy), 0);
    assert_int_equal(origin_new(&o, &by_u), 0);
    assert_int_equal(origin_new(&o, &by_u_again), 0);
    proxy_put(o.proxy);
    po.username = SLICE("v");
    assert_int_equal(proxy_new(&po, &o.proxy), 0);
    assert_int_equal(origin_new(&o, &by_v), 0);
    proxy_put(o.proxy);
    assert_true(slice_eq(by_u->key, by_u_again->key));
    assert_false(slice_eq(by_u->key, straight->key));
    assert_false(slice_eq(by_u->key, by_v->key));
    origin_put(straight);
    origin_put(by_u);
    origin_put(by_u_again);
    origin_put(by_v);
}

static void zero_means_the_default(void **state)
{
    (void)state;
    struct origin *o = make("a", 80, "");
    assert_int_equal(o->connect_ms, LIMIT_CONNECT_MS);
    assert_int_equal(o->idle_max, LIMIT_UPSTREAM_IDLE);
    assert_true(o->conns_max > 1000000);
    assert_ptr_equal(origin_get(o), o);
    origin_put(o);
    origin_put(o);
    origin_put(NULL);
}

static void impossible_options_are_refused(void **state)
{
    (void)state;
    struct origin *o = NULL;
    struct origin_options options = {.host = SLICE("a"), .port = 443, .tls = true};
    assert_int_equal(origin_new(&options, &o), ERR_CONFIG); // no TLS context
    options = (struct origin_options){.host = SLICE(""), .port = 80};
    assert_int_equal(origin_new(&options, &o), ERR_CONFIG);
    options = (struct origin_options){.host = SLICE("a"), .port = 65536};
    assert_int_equal(origin_new(&options, &o), ERR_CONFIG);
    assert_null(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authority_leaves_out_the_default_port),
        cmocka_unit_test(key_tells_apart_what_must_not_share_connections),
        cmocka_unit_test(key_tells_proxies_apart),
        cmocka_unit_test(zero_means_the_default),
        cmocka_unit_test(impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
