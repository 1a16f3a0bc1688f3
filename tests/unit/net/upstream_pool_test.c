// SPDX-License-Identifier: Apache-2.0
//
// upstream_pool.c over loopback: an origin's connections: idle ones, slots, who waits for one. What
// runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void script_close_after_answer(struct toy_conn *c, void *arg)
{
    (void)arg;
    if (toy_read_request(c) >= 0)
        toy_say(c, TOY_OK);
}

// The provider's FIN is seen while the connection is idle: no retry is needed.
static void an_idle_connection_that_ends_is_forgotten(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_close_after_answer, NULL, NULL);
    for (unsigned i = 0; i < 3; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        assert_false(a.reused);
        toy_ask_done(&a);
        toy_until_idle(&w.t);
    }
    assert_int_equal(w.t.core.origins.live, 0); // an unused pool is gone
    toy_world_close(&w);
}

static void script_say_more_when_idle(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_read_request(c);
    toy_say(c, TOY_OK);
    toy_await(c->provider, 0, 1);
    toy_say(c, "HTTP/1.1 408 Request Timeout\r\n\r\n");
    toy_gone(c);
}

static void an_idle_connection_that_speaks_is_closed(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_say_more_when_idle, NULL, NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    toy_reach(&w.p, 0);
    toy_until_idle(&w.t);
    toy_ask_done(&a);
    toy_world_close(&w);
}

static void an_idle_connection_closes_in_time(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.idle_ms = 5};
    toy_world_open(&w, toy_script_ok, NULL, &o);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    toy_until_idle(&w.t);
    toy_ask_done(&a);
    toy_world_close(&w);
}

static void answers_that_say_close_are_not_pooled(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_ok,
                   "HTTP/1.1 200 TOY_OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        toy_assert_body(&a, "x");
        assert_false(a.reused);
        toy_ask_done(&a);
    }
    toy_world_close(&w);
}

// ---- conns_max -------------------------------------------------------------------------------

static unsigned order_next; // of one test; reset by it

static void ordered_fiber(struct fiber *self, void *arg)
{
    struct toy_ask *a = arg;
    toy_ask_fiber(self, a);
    a->order = order_next++;
}

static void waiters_are_served_in_their_order(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.conns_max = 1};
    struct toy_ask a[12] = {0};
    toy_world_open(&w, toy_script_ok, NULL, &o);
    order_next = 0;
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        a[i] = (struct toy_ask){.t = &w.t, .origin = w.origin};
        if (i == 5)
            a[i].deadline_ms = 0;
        toy_core_spawn(&w.t, ordered_fiber, &a[i]);
    }
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        toy_assert_body(&a[i], "hello");
        assert_int_equal(a[i].order, i);
        toy_ask_done(&a[i]);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_connects), 1);
    toy_world_close(&w);
}

// Every answer closes its connection: waiters get the slot instead.
static void a_closed_connection_gives_its_slot_on(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.conns_max = 2};
    struct toy_ask a[9] = {0};
    toy_world_open(&w, toy_script_say_and_close, "HTTP/1.1 200 TOY_OK\r\n\r\nhello", &o);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        a[i] = (struct toy_ask){.t = &w.t, .origin = w.origin};
        toy_core_spawn(&w.t, toy_ask_fiber, &a[i]);
    }
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        toy_assert_body(&a[i], "hello");
        toy_ask_done(&a[i]);
    }
    assert_int_equal(counter_get(&w.t.core.stats.upstream_connects), ARRAY_LEN(a));
    toy_world_close(&w);
}

static void a_waiter_may_leave(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.conns_max = 1};
    toy_world_open(&w, toy_script_silent, NULL, &o);
    const struct counter *connects = &w.t.core.stats.upstream_connects;
    struct toy_ask first = {.t = &w.t, .origin = w.origin}, leaves = first, stays = first;
    struct fiber *first_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &first);
    struct fiber *leaves_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &leaves);
    struct fiber *stays_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &stays);
    while (counter_get(connects) < 1)
        ring_turn(w.t.ring, MONO_NEVER);
    fiber_cancel(leaves_fiber, ERR_CLIENT_GONE);
    toy_core_until(&w.t, &leaves.done);
    fiber_cancel(first_fiber, ERR_CANCELLED);
    while (counter_get(connects) < 2) // the slot is handed to the one who stayed
        ring_turn(w.t.ring, MONO_NEVER);
    fiber_cancel(stays_fiber, ERR_CANCELLED);
    toy_core_until(&w.t, &stays.done);
    assert_int_equal(leaves.rc, ERR_CLIENT_GONE);
    assert_int_equal(first.rc, ERR_CANCELLED);
    assert_int_equal(stays.rc, ERR_CANCELLED);
    toy_world_close(&w);
}

// A waiter that is cancelled in the very turn in which it is given something passes it on.
static void what_an_interrupted_waiter_was_given_goes_on(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.conns_max = 1};
    toy_world_open(&w, toy_script_silent, NULL, &o);
    const struct counter *connects = &w.t.core.stats.upstream_connects;
    struct toy_ask first = {.t = &w.t, .origin = w.origin}, given = first, next = first;
    struct fiber *first_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &first);
    struct fiber *given_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &given);
    struct fiber *next_fiber = toy_core_spawn(&w.t, toy_ask_fiber, &next);
    while (counter_get(connects) < 1)
        ring_turn(w.t.ring, MONO_NEVER);
    fiber_cancel(first_fiber, ERR_CANCELLED);
    fiber_cancel(given_fiber, ERR_CANCELLED); // runs behind the first: it has the slot by then
    while (counter_get(connects) < 2)
        ring_turn(w.t.ring, MONO_NEVER);
    fiber_cancel(next_fiber, ERR_CANCELLED);
    toy_core_until(&w.t, &next.done);
    assert_int_equal(given.rc, ERR_CANCELLED);
    toy_world_close(&w);
}

// Says which connection it is: both have a request before either answers.
static void script_index(struct toy_conn *c, void *arg)
{
    char text[] = TOY_OK_HEAD "conn0";
    (void)arg;
    text[sizeof(text) - 2] = (char)('0' + c->index);
    if (toy_read_request(c) < 0)
        return;
    toy_reach(c->provider, 0);
    toy_await(c->provider, 0, 2);
    do
        toy_say(c, text);
    while (toy_read_request(c) >= 0);
}

static void the_connection_used_last_is_used_next(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_index, NULL, NULL);
    struct toy_ask a[2] = {{.t = &w.t, .origin = w.origin}, {.t = &w.t, .origin = w.origin}};
    toy_core_spawn(&w.t, toy_ask_fiber, &a[0]);
    toy_core_spawn(&w.t, toy_ask_fiber, &a[1]);
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    char used = 0;
    for (unsigned i = 0; i < 6; i++) {
        struct toy_ask again = {.t = &w.t, .origin = w.origin};
        toy_ask(&again);
        assert_int_equal(again.body_len, 5);
        if (i > 0)
            assert_int_equal(again.body[4], used);
        used = again.body[4];
        toy_ask_done(&again);
    }
    toy_ask_done(&a[0]);
    toy_ask_done(&a[1]);
    toy_world_close(&w);
}

// ---- Age -------------------------------------------------------------------------------------

// A connection in the pool, `left_ms` before it reaches its greatest age.
static struct upstream_conn *aged_idle(struct toy_world *w, int64_t left_ms)
{
    struct toy_ask a = {.t = &w->t, .origin = w->origin};
    toy_ask(&a);
    toy_ask_done(&a);
    struct origin_pool *pool = origin_pool__find(w->t.core.upstream, w->origin);
    assert_int_equal(pool->idle_count, 1);
    struct upstream_conn *u = container_of(pool->idle.next, struct upstream_conn, idle_link);
    assert_int_equal(w->origin->age_ms, LIMIT_UPSTREAM_AGE_MS);
    u->born.ns = clock_mono().ns + (left_ms - LIMIT_UPSTREAM_AGE_MS) * NS_PER_MS;
    return u;
}

// The request under way is the last one of an old connection, also when somebody waits for it.
static void an_old_connection_is_not_handed_on(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.conns_max = 1};
    toy_world_open(&w, toy_script_ok, NULL, &o);
    (void)aged_idle(&w, 0);
    struct toy_ask last = {.t = &w.t, .origin = w.origin}, next = last;
    toy_core_spawn(&w.t, toy_ask_fiber, &last);
    toy_core_spawn(&w.t, toy_ask_fiber, &next);
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    toy_assert_body(&last, "hello");
    toy_assert_body(&next, "hello");
    assert_true(last.reused);
    assert_false(next.reused);
    toy_ask_done(&last);
    toy_ask_done(&next);
    toy_world_close(&w);
}

// Idle for less than idle_ms, it closes at its age.
static void an_idle_connection_closes_at_its_age(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.idle_ms = 3600000};
    toy_world_open(&w, toy_script_ok, NULL, &o);
    (void)aged_idle(&w, 100);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    assert_true(a.reused);
    toy_until_idle(&w.t); // not after an hour
    toy_ask_done(&a);
    toy_world_close(&w);
}

// ---- Shares ----------------------------------------------------------------------------------

struct share {
    unsigned cores, index, conns_max, want;
};

static void script_hold(struct toy_conn *c, void *arg)
{
    (void)arg;
    while (toy_read_request(c) >= 0) {
        toy_reach(c->provider, 0);
        toy_await(c->provider, 1, 1); // until it has been counted
        if (!toy_say(c, TOY_OK))
            return;
    }
}

// conns_max is the process's: a core has its share of it, and one at least.
static void conns_max_is_shared_by_the_cores(void **state)
{
    static const struct share shares[] = {
        {1, 0, 5, 5}, {2, 0, 5, 3}, {2, 1, 5, 2}, {4, 3, 2, 1}, {4, 0, 2, 1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        const struct share *s = &shares[i];
        struct toy_world w;
        struct origin_options o = {.conns_max = s->conns_max};
        struct toy_ask a[8] = {0};
        toy_world_open(&w, script_hold, NULL, &o);
        w.t.shared.cores = s->cores;
        w.t.core.index = s->index;
        for (unsigned k = 0; k < ARRAY_LEN(a); k++) {
            a[k] = (struct toy_ask){.t = &w.t, .origin = w.origin};
            toy_core_spawn(&w.t, toy_ask_fiber, &a[k]);
        }
        struct origin_pool *pool = origin_pool__find(w.t.core.upstream, w.origin);
        while (pool->waiting + pool->slots < ARRAY_LEN(a))
            ring_turn(w.t.ring, MONO_NEVER);
        assert_int_equal(pool->slots, s->want);
        toy_reach(&w.p, 1);
        while (fiber_live(w.t.fibers) > 0)
            ring_turn(w.t.ring, MONO_NEVER);
        assert_int_equal(counter_get(&w.t.core.stats.upstream_connects), s->want);
        for (unsigned k = 0; k < ARRAY_LEN(a); k++) {
            toy_assert_body(&a[k], "hello");
            toy_ask_done(&a[k]);
        }
        toy_world_close(&w);
    }
}

static void idle_connections_are_bounded(void **state)
{
    (void)state;
    struct toy_world w;
    struct origin_options o = {.idle_max = 2};
    struct toy_ask a[6] = {0};
    toy_world_open(&w, toy_script_ok, NULL, &o);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
        a[i] = (struct toy_ask){.t = &w.t, .origin = w.origin};
        toy_core_spawn(&w.t, toy_ask_fiber, &a[i]);
    }
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    struct origin_pool *pool = origin_pool__find(w.t.core.upstream, w.origin);
    assert_int_equal(pool->idle_count, 2);
    assert_int_equal(pool->slots, 2);
    for (unsigned i = 0; i < ARRAY_LEN(a); i++)
        toy_ask_done(&a[i]);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_that_ends_is_forgotten),
        cmocka_unit_test(an_idle_connection_that_speaks_is_closed),
        cmocka_unit_test(an_idle_connection_closes_in_time),
        cmocka_unit_test(answers_that_say_close_are_not_pooled),
        cmocka_unit_test(waiters_are_served_in_their_order),
        cmocka_unit_test(a_closed_connection_gives_its_slot_on),
        cmocka_unit_test(a_waiter_may_leave),
        cmocka_unit_test(what_an_interrupted_waiter_was_given_goes_on),
        cmocka_unit_test(the_connection_used_last_is_used_next),
        cmocka_unit_test(an_old_connection_is_not_handed_on),
        cmocka_unit_test(an_idle_connection_closes_at_its_age),
        cmocka_unit_test(conns_max_is_shared_by_the_cores),
        cmocka_unit_test(idle_connections_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
