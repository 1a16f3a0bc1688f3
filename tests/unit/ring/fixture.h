// SPDX-License-Identifier: Apache-2.0
//
// fixture.h: a ring for a test, once as the kernel allows and once held to Linux 6.1.
//
// RING_TEST lists a test twice. Tests never sleep: WAIT_FOR turns the ring until a condition
// holds, and a deadline far beyond anything reasonable turns a hang into a failure.
#ifndef RINGGATE_TESTS_UNIT_RING_FIXTURE_H
#define RINGGATE_TESTS_UNIT_RING_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/container.h"
#include "ring/ring.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define WAIT_SECONDS 20

#define WAIT_FOR(r, condition)                                                                     \
    do {                                                                                           \
        struct mono limit_ = mono_add_ms(clock_mono(), WAIT_SECONDS * 1000);                       \
        while (!(condition)) {                                                                     \
            if (!mono_before(clock_mono(), limit_))                                                \
                fail_msg("still waiting for: %s", #condition);                                     \
            ring_turn((r), limit_);                                                                \
        }                                                                                          \
    } while (0)

static inline struct ring *ring_open(bool only_6_1, unsigned entries, unsigned busy_poll_us)
{
    struct ring_options options = {
        .entries = entries, .busy_poll_us = busy_poll_us, .only_6_1 = only_6_1};
    struct ring *r = NULL;
    const char *reason = NULL;
    int err = ring_new(&options, &r, &reason);
    if (err)
        fail_msg("ring_new: %s", reason);
    return r;
}

static inline int ring_set_up(void **state)
{
    bool only_6_1 = *state != NULL;
    *state = ring_open(only_6_1, 64, 0);
    return 0;
}

static inline int ring_tear_down(void **state)
{
    ring_free(*state);
    return 0;
}

#define RING_TEST_AS(fn, mode, label)                                                              \
    {                                                                                              \
#fn label, fn, ring_set_up, ring_tear_down, (mode)                                         \
    }
#define RING_TEST(fn) RING_TEST_AS(fn, NULL, ""), RING_TEST_AS(fn, (void *)1, " (6.1)")

// What an operation has reported so far.
struct probe {
    struct ring_op op;
    unsigned events;
    unsigned finals;
    unsigned final_loans; // final events that carried one: only ring_recv_one's do
    int last;             // res of the last event
    char *bytes;          // what the loans held; NULL: not kept
    size_t len;
    size_t max;
    bool hold; // keep the loans
    struct ring_loan loans[64];
    unsigned held;
};

static inline void probe_on_event(struct ring *r, struct ring_op *op,
                                  const struct ring_event *event)
{
    struct probe *p = container_of(op, struct probe, op);
    (void)r;
    p->events++;
    p->last = event->res;
    if (event->final) {
        p->finals++;
        p->final_loans += event->loan.bufs != NULL;
        assert_false(ring_op_busy(op));
    }
    struct ring_loan loan = event->loan;
    if (!loan.bufs)
        return;
    assert_int_equal(event->res, loan.len);
    if (p->bytes) {
        assert_true(loan.len <= p->max - p->len);
        memcpy(p->bytes + p->len, loan.ptr, loan.len);
    }
    p->len += loan.len;
    if (p->hold) {
        assert_true(p->held < ARRAY_LEN(p->loans));
        p->loans[p->held++] = loan;
    } else {
        ring_loan_put(&loan);
    }
}

static inline void probe_put_all(struct probe *p)
{
    for (unsigned i = 0; i < p->held; i++)
        ring_loan_put(&p->loans[i]);
    p->held = 0;
}

static inline void pair_open(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline int listener_open(struct sockaddr_in *ret_address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t len = sizeof(*ret_address);
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &len), 0);
    return fd;
}

#endif
