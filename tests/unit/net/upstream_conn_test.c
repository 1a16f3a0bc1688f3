// SPDX-License-Identifier: Apache-2.0
//
// upstream_conn.c over loopback: interruptions: nothing stays in flight, the provider sees it at
// once. What runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define LARGE_BYTES ((size_t)16 << 20)

static void a_deadline_ends_waiting_and_closes(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_silent, NULL, NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin, .deadline_ms = 5};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_DEADLINE);
    toy_until_idle(&w.t);
    toy_await(&w.p, 1, 1); // the provider has seen it
    toy_world_close(&w);
}

static void script_never_reads(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_await(c->provider, 0, 1);
}

// The request's memory is freed at once: AddressSanitizer sees who still reads it.
static void a_deadline_while_sending_leaves_no_memory_behind(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_never_reads, NULL, NULL);
    size_t len = 0;
    char *request = toy_large_request(LARGE_BYTES, &len);
    struct toy_ask a = {
        .t = &w.t, .origin = w.origin, .request = request, .request_len = len, .deadline_ms = 20};
    toy_ask(&a);
    free(request);
    assert_int_equal(a.rc, ERR_DEADLINE);
    toy_until_idle(&w.t);
    toy_reach(&w.p, 0);
    toy_world_close(&w);
}

static void cancel_fiber(struct fiber *self, void *arg)
{
    for (unsigned i = 0; i < 3; i++)
        toy_core_yield_await(self);
    fiber_cancel(arg, ERR_CLIENT_GONE);
}

static void a_cancelled_call_ends_with_the_reason(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_silent, NULL, NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    struct fiber *f = toy_core_spawn(&w.t, toy_ask_fiber, &a);
    toy_core_run(&w.t, cancel_fiber, f);
    assert_int_equal(a.rc, ERR_CLIENT_GONE);
    toy_until_idle(&w.t);
    toy_await(&w.p, 1, 1);
    toy_world_close(&w);
}

static void script_stream(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_read_request(c);
    toy_say(c, "HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    toy_gone(c);
    toy_reach(c->provider, 1);
}

static void an_abandoned_answer_closes_at_once(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_stream, NULL, NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin, .leave = true};
    toy_ask(&a);
    assert_int_equal(a.body_len, 3);
    toy_until_idle(&w.t);
    toy_await(&w.p, 1, 1);
    toy_ask_done(&a);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_waiting_and_closes),
        cmocka_unit_test(a_deadline_while_sending_leaves_no_memory_behind),
        cmocka_unit_test(a_cancelled_call_ends_with_the_reason),
        cmocka_unit_test(an_abandoned_answer_closes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
