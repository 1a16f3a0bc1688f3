// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2_pool.c over loopback: who takes a place, who opens, who waits.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "tests/unit/net/toy_h2_provider.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define BURST 12

static void spawn(struct toy_world *w, struct toy_ask *a, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        a[i] = toy_h2_ask(w);
        toy_core_spawn(&w->t, toy_ask_fiber, &a[i]);
    }
}

static void finish(struct toy_world *w, struct toy_ask *a, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        toy_core_until(&w->t, &a[i].done);
        toy_ask_done(&a[i]);
    }
}

// Answers when BURST requests have come.
static void script_together(struct toy_conn *c, void *arg)
{
    unsigned stream[BURST];
    (void)arg;
    if (!toy_h2_start(c, 0))
        return;
    for (unsigned i = 0; i < BURST; i++)
        stream[i] = toy_h2_request(c);
    for (unsigned i = 0; i < BURST; i++)
        toy_h2_ok(c, stream[i]);
    toy_gone(c);
}

static void a_burst_shares_one_connection(void **state)
{
    (void)state;
    struct toy_world w;
    struct toy_ask a[BURST];
    toy_h2_world(&w, script_together, NULL, (struct origin_options){0});
    spawn(&w, a, BURST);
    for (unsigned i = 0; i < BURST; i++) {
        toy_core_until(&w.t, &a[i].done);
        toy_assert_body(&a[i], "hello");
    }
    assert_int_equal(toy_stat(&w, upstream_connects), 1);
    finish(&w, a, BURST);
    toy_world_close(&w);
}

static void no_connection_has_more_streams_than_the_provider_allows(void **state)
{
    (void)state;
    static const unsigned limits[] = {1, 5};
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        struct toy_world w;
        struct toy_ask a[BURST];
        toy_h2_world(&w, toy_h2_script_ok, (void *)(uintptr_t)limits[i],
                     (struct origin_options){0});
        spawn(&w, a, BURST);
        for (unsigned n = 0; n < BURST; n++) {
            toy_core_until(&w.t, &a[n].done);
            toy_assert_body(&a[n], "hello");
        }
        // nghttp2 would hold back what is too much; then fewer connections would do.
        assert_true(toy_stat(&w, upstream_connects) >= 2);
        assert_int_equal(toy_stat(&w, upstream_h2.streams), BURST);
        finish(&w, a, BURST);
        toy_world_close(&w);
    }
}

struct order {
    struct toy_ask ask;
    unsigned *next;
};

static void order_fiber(struct fiber *self, void *arg)
{
    struct order *o = arg;
    toy_ask_fiber(self, &o->ask);
    o->ask.order = (*o->next)++;
}

static void who_waits_longest_is_first_and_max_conns_holds(void **state)
{
    (void)state;
    struct toy_world w;
    struct order o[BURST];
    unsigned next = 0;
    toy_h2_world(&w, toy_h2_script_ok, (void *)(uintptr_t)1,
                 (struct origin_options){.conns_max = 1});
    for (unsigned i = 0; i < BURST; i++) {
        o[i] = (struct order){.ask = toy_h2_ask(&w), .next = &next};
        toy_core_spawn(&w.t, order_fiber, &o[i]);
    }
    while (next < BURST)
        ring_turn(w.t.ring, MONO_NEVER);
    for (unsigned i = 0; i < BURST; i++) {
        toy_assert_body(&o[i].ask, "hello");
        assert_int_equal(o[i].ask.order, i);
        toy_ask_done(&o[i].ask);
    }
    assert_int_equal(toy_stat(&w, upstream_connects), 1);
    toy_world_close(&w);
}

static void script_hold(struct toy_conn *c, void *arg)
{
    (void)arg;
    unsigned s = toy_h2_start(c, 1) ? toy_h2_request(c) : 0;
    toy_reach(c->provider, 0);
    toy_await(c->provider, 1, 1);
    toy_h2_ok(c, s);
    while ((s = toy_h2_request(c)) && toy_h2_ok(c, s))
        ;
}

static void who_gives_up_waiting_leaves_the_queue(void **state)
{
    (void)state;
    struct toy_world w;
    struct toy_ask first, impatient, patient;
    toy_h2_world(&w, script_hold, NULL, (struct origin_options){.conns_max = 1});
    first = patient = impatient = toy_h2_ask(&w);
    impatient.deadline_ms = 50;
    toy_core_spawn(&w.t, toy_ask_fiber, &first);
    toy_core_spawn(&w.t, toy_ask_fiber, &impatient);
    toy_core_spawn(&w.t, toy_ask_fiber, &patient);
    toy_core_until(&w.t, &impatient.done);
    assert_int_equal(impatient.rc, ERR_DEADLINE);
    toy_await(&w.p, 0, 1);
    toy_reach(&w.p, 1);
    toy_core_until(&w.t, &first.done);
    toy_core_until(&w.t, &patient.done);
    toy_assert_body(&first, "hello");
    toy_assert_body(&patient, "hello");
    assert_int_equal(toy_stat(&w, upstream_h2.streams), 2);
    toy_ask_done(&first);
    toy_ask_done(&patient);
    toy_world_close(&w);
}

// Accepts and says nothing: the connection's SETTINGS never come.
static void script_mute(struct toy_conn *c, void *arg)
{
    (void)arg;
    if (c->index == 0)
        toy_gone(c);
    else
        toy_h2_script_ok(c, NULL);
}

static void an_opener_that_leaves_does_not_take_the_rest_along(void **state)
{
    (void)state;
    struct toy_world w;
    struct toy_ask opener, waiter;
    toy_h2_world(&w, script_mute, NULL, (struct origin_options){0});
    opener = waiter = toy_h2_ask(&w);
    waiter.deadline_ms = 400;
    opener.deadline_ms = 100;
    toy_core_spawn(&w.t, toy_ask_fiber, &opener);
    toy_core_spawn(&w.t, toy_ask_fiber, &waiter);
    toy_core_until(&w.t, &opener.done);
    toy_core_until(&w.t, &waiter.done);
    assert_int_equal(opener.rc, ERR_DEADLINE);
    // Whether the mute connection is dead nobody knows yet: it is waited for, never longer than
    // each one's own patience.
    assert_int_equal(waiter.rc, ERR_DEADLINE);
    toy_world_close(&w);
}

static void a_connection_that_cannot_be_is_heard_of_by_all(void **state)
{
    (void)state;
    struct toy_world w;
    struct toy_ask a[BURST];
    toy_h2_world(&w, toy_h2_script_ok, NULL, (struct origin_options){0});
    struct origin *here = w.origin;
    // A port that was bound and never listened on refuses.
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    struct origin_options o = {
        .host = SLICE("127.0.0.1"), .port = ntohs(address.sin_port), .http = ORIGIN_HTTP2};
    assert_int_equal(origin_new(&o, &w.origin), 0);
    spawn(&w, a, BURST);
    for (unsigned i = 0; i < BURST; i++) {
        toy_core_until(&w.t, &a[i].done);
        assert_int_equal(a[i].rc, ERR_CONNECT);
    }
    assert_int_equal(w.t.core.origins.live, 0);
    origin_put(w.origin);
    w.origin = here;
    close(fd);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_shares_one_connection),
        cmocka_unit_test(no_connection_has_more_streams_than_the_provider_allows),
        cmocka_unit_test(who_waits_longest_is_first_and_max_conns_holds),
        cmocka_unit_test(who_gives_up_waiting_leaves_the_queue),
        cmocka_unit_test(an_opener_that_leaves_does_not_take_the_rest_along),
        cmocka_unit_test(a_connection_that_cannot_be_is_heard_of_by_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
