// SPDX-License-Identifier: Apache-2.0
//
// kernel_test.c: what the simulated kernel promises to ring/, over many seeds; and that misuse of
// the contract of ring.h does not pass.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "ring/ring.h"
#include "tests/sim/kernel.h"
#include "tests/sim/loop.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEEDS 200
#define SOME  (60 * NS_PER_S)

int __real_close(int fd);

// ---- A ring and a peer -----------------------------------------------------------------------

struct bench {
    struct sim_loop loop;
    struct ring *r;
    struct ring_bufs *bufs;
    struct ring_bufs_waiter waiter;
    struct wire_end *peer;
    struct ring_op accept, recv, send;
    int listener, fd;
    bool full; // a receive met -ENOBUFS
    char got[4096];
    size_t got_len;
    unsigned finals, events;
    int last;
    bool peer_ended;
};

static struct bench *bench; // of the test that runs

static void on_peer(struct wire_end *end)
{
    (void)end;
}

static void on_accepted(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    struct bench *b = container_of(op, struct bench, accept);
    (void)r;
    if (event->res >= 0)
        b->fd = event->res;
}

static void open_bench(struct bench *b, uint64_t seed)
{
    struct ring_options options = {.entries = 8};
    const char *reason = "";
    *b = (struct bench){.fd = -1};
    bench = b;
    sim_begin(seed, false);
    sim.weather.reset = 0;
    wire_begin();
    kernel_begin(sim_chance(500));
    assert_int_equal(ring_new(&options, &b->r, &reason), 0);
    b->loop.ring[b->loop.rings++] = b->r;
    assert_int_equal(ring_bufs_new(b->r, 4, 64, &b->bufs), 0);
    list_init(&b->waiter.link);
    b->listener = wire_open(WIRE_LISTENER);
    wire_of(b->listener)->port = 80;
    ring_accept(b->r, &b->accept, on_accepted, b->listener);
    b->peer = wire_dial(80, on_peer, b);
    LOOP_UNTIL(&b->loop, SOME, b->fd >= 0);
}

static void close_bench(struct bench *b)
{
    ring_cancel(b->r, &b->accept);
    LOOP_UNTIL(&b->loop, SOME, !ring_op_busy(&b->accept));
    ring_close(b->r, b->fd);
    ring_close(b->r, b->listener);
    wire_hang_up(b->peer, false);
    while (loop_step(&b->loop)) {
    }
    ring_bufs_free(b->bufs);
    while (b->loop.rings > 0)
        ring_free(b->loop.ring[--b->loop.rings]);
    wire_end_all();
    kernel_end();
    sim_end();
}

static void on_received(struct ring *r, struct ring_op *op, const struct ring_event *event);

static void again(struct ring *r, struct ring_bufs_waiter *waiter)
{
    struct bench *b = container_of(waiter, struct bench, waiter);
    ring_recv(r, &b->recv, on_received, b->fd, b->bufs);
}

static void on_received(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    struct bench *b = container_of(op, struct bench, recv);
    struct ring_loan loan = event->loan;
    (void)r;
    if (loan.bufs) {
        assert_true(b->got_len + loan.len <= sizeof(b->got));
        memcpy(b->got + b->got_len, loan.ptr, loan.len);
        b->got_len += loan.len;
        ring_loan_put(&loan);
    }
    b->events++;
    if (!event->final)
        return;
    if (event->res == -ENOBUFS) {
        b->full = true;
        b->waiter.fn = again;
        ring_bufs_wait(b->bufs, &b->waiter);
        return;
    }
    b->finals++;
    b->last = event->res;
}

// ---- What holds ------------------------------------------------------------------------------

// Whatever the weather, a stream's bytes arrive whole and in order, then its end.
static void bytes_arrive_in_order(void **state)
{
    static struct bench b;
    char sent[2000];
    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7 % 251);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        open_bench(&b, seed);
        ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
        for (size_t at = 0; at < sizeof(sent);) {
            long n = wire_send(b.peer, sent + at, sizeof(sent) - at);
            at += n > 0 ? (size_t)n : 0;
            assert_true(loop_step(&b.loop));
        }
        wire_shut(b.peer);
        LOOP_UNTIL(&b.loop, SOME, b.finals > 0);
        assert_int_equal(b.last, 0);
        assert_int_equal(b.got_len, sizeof(sent));
        assert_memory_equal(b.got, sent, sizeof(sent));
        close_bench(&b);
    }
}

// Over the seeds everything happens that is to happen: a full group, more than one event.
static void chance_brings_everything(void **state)
{
    static struct bench b;
    unsigned full = 0, whole = 0, pieces = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        open_bench(&b, seed);
        ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
        assert_true(wire_send(b.peer, "0123456789", 10) > 0);
        wire_shut(b.peer);
        LOOP_UNTIL(&b.loop, SOME, b.finals > 0);
        full += b.full;
        whole += b.events == 2; // the bytes, the end
        pieces += b.events > 2;
        close_bench(&b);
    }
    assert_true(full > 0 && whole > 0 && pieces > 0);
}

static void on_sent(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    struct bench *b = container_of(op, struct bench, send);
    (void)r;
    assert_true(event->final);
    b->finals++;
    b->last = event->res;
}

// A cancelled operation ends once; both outcomes of the race are seen.
static void cancelling_ends_once(void **state)
{
    static struct bench b;
    unsigned cancelled = 0, done = 0;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        open_bench(&b, seed);
        ring_send(b.r, &b.send, on_sent, b.fd, "hello", 5);
        if (sim_chance(500))
            (void)loop_step(&b.loop);
        ring_cancel(b.r, &b.send);
        LOOP_UNTIL(&b.loop, SOME, !ring_op_busy(&b.send));
        assert_int_equal(b.finals, 1);
        assert_true(b.last == 5 || b.last == -ECANCELED);
        cancelled += b.last != 5;
        done += b.last == 5;
        close_bench(&b);
    }
    assert_true(cancelled > 0 && done > 0);
}

struct parcel {
    struct ring_mail mail;
    unsigned number;
};

static unsigned next_parcel;

static void on_parcel(struct ring *r, struct ring_mail *mail)
{
    (void)r;
    assert_int_equal(container_of(mail, struct parcel, mail)->number, next_parcel);
    next_parcel++;
}

// Mail arrives, in order, on a ring that sleeps, from a ring and from a thread without one.
static void mail_arrives_in_order(void **state)
{
    static struct bench b;
    struct ring_options options = {.entries = 8};
    const char *reason = "";
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct parcel parcel[8];
        struct ring *other;
        open_bench(&b, seed);
        assert_int_equal(ring_new(&options, &other, &reason), 0);
        b.loop.ring[b.loop.rings++] = other;
        next_parcel = 0;
        struct ring *from = sim_chance(500) ? b.r : NULL;
        for (unsigned i = 0; i < 8; i++) {
            parcel[i] = (struct parcel){.number = i};
            ring_mail_send(from, other, &parcel[i].mail, on_parcel);
            if (sim_chance(500))
                (void)loop_step(&b.loop);
        }
        LOOP_UNTIL(&b.loop, SOME, next_parcel == 8);
        close_bench(&b);
    }
}

// A wake that comes while a ring is being freed makes it read its counter anew: that read is
// cancelled as well.
static void a_ring_is_freed_while_it_is_woken(void **state)
{
    static struct bench b;
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct ring_options options = {.entries = 8};
        struct ring *other;
        const char *reason = "";
        open_bench(&b, seed);
        assert_int_equal(ring_new(&options, &other, &reason), 0);
        (void)ring_turn(other, ring_now(other));
        ring_stop(other);
        if (sim_chance(500))
            (void)sim_run_one();
        ring_free(other);
        close_bench(&b);
    }
}

static void on_timer(struct ring *r, struct ring_timer *timer)
{
    assert_true(ring_now(r).ns >= timer->when.ns);
    next_parcel++;
}

// An hour passes at once.
static void time_is_virtual(void **state)
{
    static struct bench b;
    struct ring_timer t = {0};
    (void)state;
    open_bench(&b, 1);
    next_parcel = 0;
    struct mono when = mono_add_ms(ring_now(b.r), 3600 * 1000);
    ring_timer_set(b.r, &t, when, on_timer);
    LOOP_UNTIL(&b.loop, 3601 * NS_PER_S, next_parcel == 1);
    assert_true(sim.now_ns >= when.ns);
    close_bench(&b);
}

// The same seed tells the same story.
static void a_seed_repeats(void **state)
{
    static struct bench b;
    int64_t ended[2];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        open_bench(&b, 42);
        ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
        assert_true(wire_send(b.peer, "0123456789", 10) > 0);
        wire_shut(b.peer);
        LOOP_UNTIL(&b.loop, SOME, b.finals > 0);
        ended[i] = sim.now_ns;
        close_bench(&b);
    }
    assert_int_equal(ended[0], ended[1]);
}

// ---- What does not pass ----------------------------------------------------------------------

// Runs it in a child; true when the child did not end in order.
static bool dies(void (*misuse)(void))
{
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        __real_close(2);
        misuse();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void some_steps(struct bench *b)
{
    for (unsigned i = 0; i < 20; i++)
        (void)loop_step(&b->loop);
}

static void close_under_a_receive(void)
{
    static struct bench b;
    open_bench(&b, 3);
    ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
    some_steps(&b);
    ring_close(b.r, b.fd);
    while (loop_step(&b.loop)) {
    }
}

static void reuse_before_the_end(void)
{
    static struct bench b;
    open_bench(&b, 3);
    ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
    some_steps(&b);
    b.recv = (struct ring_op){0};
    ring_recv(b.r, &b.recv, on_received, b.fd, b.bufs);
    some_steps(&b);
}

static void leave_a_descriptor(void)
{
    static struct bench b;
    open_bench(&b, 3);
    (void)wire_open(WIRE_SOCKET);
    close_bench(&b);
}

static void nothing(void)
{
    static struct bench b;
    open_bench(&b, 3);
    close_bench(&b);
}

static void misuse_is_found(void **state)
{
    (void)state;
    assert_false(dies(nothing));
    assert_true(dies(close_under_a_receive));
    assert_true(dies(reuse_before_the_end));
    assert_true(dies(leave_a_descriptor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_in_order),
        cmocka_unit_test(chance_brings_everything),
        cmocka_unit_test(cancelling_ends_once),
        cmocka_unit_test(mail_arrives_in_order),
        cmocka_unit_test(time_is_virtual),
        cmocka_unit_test(a_ring_is_freed_while_it_is_woken),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(misuse_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
