// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2.c over loopback: the connection: how it ends, and what that means for its calls.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "tests/support/toy_pair.h"
#include "tests/unit/net/toy_h2_provider.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void script_until_goaway(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    (void)arg;
    toy_h2_ok(c, s);
    if (toy_h2_await(c, F_GOAWAY, 0))
        toy_reach(c->provider, 0);
    toy_gone(c);
}

static void an_idle_connection_is_closed_with_a_word(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_until_goaway, NULL, (struct origin_options){.idle_ms = 50});
    struct toy_ask a = toy_h2_ask(&w);
    toy_ask(&a);
    assert_int_equal(a.rc, 0);
    toy_until_idle(&w.t);
    toy_await(&w.p, 0, 1);
    assert_int_equal(w.t.core.origins.live, 0);
    assert_int_equal(toy_stat(&w, upstream_h2_goaways), 0); // it was ours
    toy_ask_done(&a);
    toy_world_close(&w);
}

static void an_old_connection_takes_no_more_calls(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_until_goaway, NULL, (struct origin_options){.age_ms = 1});
    struct toy_ask a = toy_h2_ask(&w), b = a;
    toy_ask(&a);
    toy_until_idle(&w.t);
    toy_ask(&b);
    assert_int_equal(a.rc, 0);
    assert_int_equal(b.rc, 0);
    assert_false(b.reused);
    assert_int_equal(toy_stat(&w, upstream_connects), 2);
    toy_ask_done(&a);
    toy_ask_done(&b);
    toy_world_close(&w);
}

#define CALLS 4

// Says a head to all but the first, then ends as told.
static void script_end_many(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? 1 : 0;
    for (unsigned i = 0; s && i < CALLS; i++) {
        s = toy_h2_request(c);
        if (i > 0)
            toy_h2_head(c, s);
    }
    if (arg)
        toy_h2_send(c, F_DATA, 0, 99, "x", 1); // a stream that never was
    if (arg)
        toy_gone(c);
}

static void each_call_of_a_lost_connection_has_its_ending(void **state)
{
    (void)state;
    for (unsigned nonsense = 0; nonsense < 2; nonsense++) {
        struct toy_world w;
        struct toy_ask a[CALLS];
        toy_h2_world(&w, script_end_many, nonsense ? &w : NULL, (struct origin_options){0});
        for (unsigned i = 0; i < CALLS; i++) {
            a[i] = toy_h2_ask(&w);
            toy_core_spawn(&w.t, toy_ask_fiber, &a[i]);
        }
        for (unsigned i = 0; i < CALLS; i++)
            toy_core_until(&w.t, &a[i].done);
        unsigned closed = 0, truncated = 0;
        for (unsigned i = 0; i < CALLS; i++) {
            closed += a[i].rc == (nonsense ? ERR_UPSTREAM_PROTOCOL : ERR_UPSTREAM_CLOSED);
            truncated += a[i].rc == 0 && a[i].body_rc == ERR_UPSTREAM_TRUNCATED;
            toy_ask_done(&a[i]);
        }
        assert_int_equal(closed, 1);
        assert_int_equal(truncated, CALLS - 1);
        assert_int_equal(toy_stat(&w, upstream_connects), 1);
        toy_until_idle(&w.t);
        toy_world_close(&w);
    }
}

static void script_goaway(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    const char last[8] = {0, 0, 0, (char)s};
    (void)arg;
    toy_h2_send(c, F_GOAWAY, 0, 0, last, 8);
    toy_h2_ok(c, s);
    toy_gone(c);
}

static void after_goaway_the_last_call_ends_the_connection(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_goaway, NULL, (struct origin_options){0});
    struct toy_ask a = toy_h2_ask(&w);
    toy_ask(&a);
    toy_assert_body(&a, "hello");
    toy_until_idle(&w.t);
    assert_int_equal(toy_stat(&w, upstream_h2_goaways), 1);
    toy_ask_done(&a);
    toy_world_close(&w);
}

static void a_core_that_drains_closes_idle_ones(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_until_goaway, NULL, (struct origin_options){0});
    struct toy_ask a = toy_h2_ask(&w);
    toy_ask(&a);
    assert_false(upstream__core_idle(&w.t.core));
    upstream__core_drain(&w.t.core);
    toy_until_idle(&w.t);
    toy_await(&w.p, 0, 1);
    toy_ask_done(&a);
    toy_world_close(&w);
}

// ---- TLS -------------------------------------------------------------------------------------

struct sealed {
    struct toy_world w;
    struct toy_pair tls; // without sessions
};

// The toy's listener chooses h2 where it is offered.
static void sealed_open(struct sealed *s, toy_script script, enum origin_http http)
{
    toy_pair_open(&s->tls, "127.0.0.1");
    toy_core_open(&s->w.t, 16, 16384);
    toy_provider_open(&s->w.p, script, NULL, s->tls.server_context);
    struct origin_options origin = {.tls = true,
                                    .host = SLICE("127.0.0.1"),
                                    .port = s->w.p.port,
                                    .http = http,
                                    .tls_context = s->tls.client_context};
    assert_int_equal(origin_new(&origin, &s->w.origin), 0);
}

static void sealed_close(struct sealed *s)
{
    toy_world_close(&s->w);
    toy_pair_close(&s->tls);
}

static void alpn_decides(void **state)
{
    (void)state;
    static const enum origin_http wishes[] = {ORIGIN_HTTP_ANY, ORIGIN_HTTP2};
    for (unsigned i = 0; i < ARRAY_LEN(wishes); i++) {
        struct sealed s;
        sealed_open(&s, toy_h2_script_ok, wishes[i]);
        for (unsigned n = 0; n < 3; n++) {
            struct toy_ask a = toy_h2_ask(&s.w);
            toy_ask(&a);
            toy_assert_body(&a, "hello");
            assert_int_equal(a.reused, n > 0);
            toy_ask_done(&a);
        }
        assert_int_equal(toy_stat(&s.w, upstream_h2_connections), 1);
        sealed_close(&s);
    }
}

static void what_is_not_offered_is_not_spoken(void **state)
{
    (void)state;
    struct sealed s;
    sealed_open(&s, toy_script_ok, ORIGIN_HTTP1);
    struct toy_ask a = toy_h2_ask(&s.w);
    toy_ask(&a);
    toy_assert_body(&a, "hello");
    assert_int_equal(toy_stat(&s.w, upstream_h2_connections), 0);
    toy_ask_done(&a);
    sealed_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_closed_with_a_word),
        cmocka_unit_test(an_old_connection_takes_no_more_calls),
        cmocka_unit_test(each_call_of_a_lost_connection_has_its_ending),
        cmocka_unit_test(after_goaway_the_last_call_ends_the_connection),
        cmocka_unit_test(a_core_that_drains_closes_idle_ones),
        cmocka_unit_test(alpn_decides),
        cmocka_unit_test(what_is_not_offered_is_not_spoken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
