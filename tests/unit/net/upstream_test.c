// SPDX-License-Identifier: Apache-2.0
//
// upstream.c over loopback: calls from start to end: reuse, the silent retry, requests that meet an
// early answer. What runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LARGE_BYTES ((size_t)16 << 20)

static void a_connection_is_reused(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_ok, NULL, NULL);
    for (unsigned i = 0; i < 5; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        assert_int_equal(a.parts, 1);
        assert_int_equal(a.reused, i > 0);
        toy_ask_done(&a);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_connects), 1);
    assert_int_equal(counter_get(&w.t.core.stats.upstream_reuses), 4);
    toy_world_close(&w);
}

// The first two connections answer once; when told to, they swallow the next request and close.
static void script_die_when_reused(struct toy_conn *c, void *arg)
{
    (void)arg;
    bool dies = c->index < 2;
    while (toy_read_request(c) >= 0 && toy_say(c, TOY_OK)) {
        if (!dies)
            continue;
        toy_reach(c->provider, 0);
        toy_await(c->provider, 0, 2);
        (void)toy_read_request(c);
        return;
    }
}

static void dead_reused_connections_cost_one_silent_retry(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_die_when_reused, NULL, NULL);
    struct toy_ask one = {.t = &w.t, .origin = w.origin}, two = one, three = one;
    toy_core_spawn(&w.t, toy_ask_fiber, &one);
    toy_core_run(&w.t, toy_ask_fiber, &two);
    toy_assert_body(&one, "hello");
    toy_assert_body(&two, "hello");
    toy_ask(&three); // both pooled ones are dead: straight to a fresh one
    toy_assert_body(&three, "hello");
    assert_false(three.reused);
    assert_int_equal(counter_get(&w.t.core.stats.upstream_retries), 1);
    assert_int_equal(counter_get(&w.t.core.stats.upstream_connects), 3);
    toy_ask_done(&one);
    toy_ask_done(&two);
    toy_ask_done(&three);
    toy_world_close(&w);
}

// ---- Requests --------------------------------------------------------------------------------

static void script_count(struct toy_conn *c, void *arg)
{
    char text[128];
    long n = 0;
    (void)arg;
    while ((n = toy_read_request(c)) >= 0) {
        int digits = snprintf(NULL, 0, "%ld", n);
        snprintf(text, sizeof(text), "HTTP/1.1 200 TOY_OK\r\nContent-Length: %d\r\n\r\n%ld", digits,
                 n);
        toy_say(c, text);
    }
}

static void a_large_request_in_many_runs_arrives(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_count, NULL, NULL);
    size_t len = 0;
    char *request = toy_large_request(1 << 20, &len);
    unsigned runs[] = {1, 3, 1024, 5000};
    for (unsigned i = 0; i < ARRAY_LEN(runs); i++) {
        struct toy_ask a = {
            .t = &w.t, .origin = w.origin, .request = request, .request_len = len, .iovs = runs[i]};
        toy_ask(&a);
        toy_assert_body(&a, "1048576");
        toy_ask_done(&a);
    }
    free(request);
    toy_world_close(&w);
}

// Refuses before it has read the body, never reads it, and does not end its answer either.
static void script_refuse_early(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_say(c, "HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbig\r\n");
    toy_await(c->provider, 0, 1);
}

static void an_early_refusal_stops_the_request(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_refuse_early, NULL, NULL);
    size_t len = 0;
    char *request = toy_large_request(LARGE_BYTES, &len);
    struct toy_ask a = {
        .t = &w.t, .origin = w.origin, .request = request, .request_len = len, .leave = true};
    toy_ask(&a);
    free(request);
    toy_assert_body(&a, "big");
    assert_int_equal(a.status, 413);
    toy_ask_done(&a);
    toy_reach(&w.p, 0);
    toy_world_close(&w);
}

// Says all of a good answer and reads nothing: the request could never be sent.
static void script_answer_unread(struct toy_conn *c, void *answer)
{
    toy_say(c, answer);
    toy_await(c->provider, 0, 1);
}

static void assert_unread_request_is_answered(char *answer, bool leave)
{
    struct toy_world w;
    toy_world_open(&w, script_answer_unread, answer, NULL);
    size_t len = 0;
    char *request = toy_large_request(LARGE_BYTES, &len);
    struct toy_ask a = {.t = &w.t,
                        .origin = w.origin,
                        .request = request,
                        .request_len = len,
                        .leave = leave,
                        .deadline_ms = 10000};
    toy_ask(&a);
    free(request);
    assert_int_equal(a.rc, 0);
    toy_assert_body(&a, "hello");
    toy_until_idle(&w.t); // half a request is out: no other may follow it
    toy_ask_done(&a);
    toy_reach(&w.p, 0);
    toy_world_close(&w);
}

static void a_whole_answer_stops_the_request(void **state)
{
    (void)state;
    assert_unread_request_is_answered(TOY_OK, false);
    assert_unread_request_is_answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
                                      false);
}

// The answer goes on, but nothing of the request does.
static void an_answer_to_an_unread_request_is_given(void **state)
{
    (void)state;
    assert_unread_request_is_answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "5\r\nhello\r\n",
                                      true);
}

// Begins to answer, then reads the request, then ends the answer.
static void script_answer_while_reading(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_say(c, "HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    long n = toy_read_request(c);
    toy_say(c, n == (1 << 20) ? "3\r\nall\r\n0\r\n\r\n" : "3\r\nnot\r\n0\r\n\r\n");
    toy_gone(c);
}

static void an_early_answer_lets_the_request_go_on(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_answer_while_reading, NULL, NULL);
    size_t len = 0;
    char *request = toy_large_request(1 << 20, &len);
    struct toy_ask a = {.t = &w.t, .origin = w.origin, .request = request, .request_len = len};
    toy_ask(&a);
    free(request);
    toy_assert_body(&a, "abcall");
    toy_ask_done(&a);
    toy_world_close(&w);
}

// Every other operation costs more than all of our own code: see them come and go.
static void a_warm_exchange_is_one_send_and_one_receive(void **state)
{
    (void)state;
    struct toy_world w;
    struct ring_stats stats;
    toy_world_open(&w, toy_script_ok, NULL, NULL);
    struct toy_ask warm = {.t = &w.t, .origin = w.origin};
    toy_ask(&warm);
    toy_ask_done(&warm);
    ring_stats_read(w.t.ring, &stats);
    uint64_t before = stats.completions;
    for (unsigned i = 0; i < 20; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin, .iovs = 7};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        toy_ask_done(&a);
    }
    ring_stats_read(w.t.ring, &stats);
    assert_int_equal(stats.completions - before, 40);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_is_reused),
        cmocka_unit_test(a_warm_exchange_is_one_send_and_one_receive),
        cmocka_unit_test(dead_reused_connections_cost_one_silent_retry),
        cmocka_unit_test(a_large_request_in_many_runs_arrives),
        cmocka_unit_test(an_early_refusal_stops_the_request),
        cmocka_unit_test(a_whole_answer_stops_the_request),
        cmocka_unit_test(an_answer_to_an_unread_request_is_given),
        cmocka_unit_test(an_early_answer_lets_the_request_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
