// SPDX-License-Identifier: Apache-2.0
//
// ring_bufs_test.c: loans, their return, and what happens when there is nothing left to lend.
#include "tests/unit/ring/fixture.h"

static struct ring_bufs *bufs_open(struct ring *r, unsigned count, unsigned bytes)
{
    struct ring_bufs *b = NULL;
    assert_int_equal(ring_bufs_new(r, count, bytes, &b), 0);
    return b;
}

// A held buffer is not written again before its last reference is gone, also a shared part's.
static void shared_loans_pin_their_buffer(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 1, 8);
    int fds[2];
    pair_open(fds);
    struct probe p = {.hold = true};
    ring_recv(r, &p.op, probe_on_event, fds[0], b);
    assert_int_equal(write(fds[1], "abcdefgh", 8), 8);
    WAIT_FOR(r, p.held == 1);
    struct ring_loan part = ring_loan_share(&p.loans[0], 2, 3);
    assert_int_equal(part.len, 3);
    assert_memory_equal(part.ptr, "cde", 3);
    assert_true(ring_bufs_low(b));
    ring_loan_put(&p.loans[0]);
    assert_null(p.loans[0].bufs);
    ring_loan_put(&p.loans[0]); // no loan: fine
    p.held = 0;

    assert_int_equal(write(fds[1], "ABCDEFGH", 8), 8);
    WAIT_FOR(r, p.finals == 1);
    assert_int_equal(p.last, -ENOBUFS);
    assert_memory_equal(part.ptr, "cde", 3); // still ours
    assert_true(ring_bufs_low(b));
    ring_loan_put(&part);
    assert_false(ring_bufs_low(b));
    ring_recv(r, &p.op, probe_on_event, fds[0], b);
    WAIT_FOR(r, p.held == 1);
    assert_memory_equal(p.loans[0].ptr, "ABCDEFGH", 8);
    probe_put_all(&p);
    close(fds[1]);
    WAIT_FOR(r, p.finals == 2);
    assert_int_equal(p.last, 0);
    close(fds[0]);
    ring_bufs_free(b);
}

// Memory goes back only when a period brought nothing and no loan is out; later bytes are whole.
static void idle_buffers_are_trimmed(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 4, 4096);
    int fds[2];
    pair_open(fds);
    struct probe p = {.hold = true};
    assert_false(ring_bufs_trim(b)); // untouched
    ring_recv(r, &p.op, probe_on_event, fds[0], b);
    assert_int_equal(write(fds[1], "abcd", 4), 4);
    WAIT_FOR(r, p.held == 1);
    assert_true(ring_bufs_trim(b)); // something came in this period
    assert_true(ring_bufs_trim(b)); // nothing did, but it is on loan
    assert_memory_equal(p.loans[0].ptr, "abcd", 4);
    const char *where = p.loans[0].ptr;
    probe_put_all(&p);
    assert_false(ring_bufs_trim(b));
    assert_int_equal(where[0], 0); // the page is gone
    assert_int_equal(write(fds[1], "efgh", 4), 4);
    WAIT_FOR(r, p.held == 1);
    assert_memory_equal(p.loans[0].ptr, "efgh", 4);
    assert_true(ring_bufs_trim(b));
    // A completion that nobody has seen yet: its bytes are in a buffer.
    probe_put_all(&p);
    assert_int_equal(write(fds[1], "ijkl", 4), 4);
    (void)ring_bufs_trim(b);
    (void)ring_bufs_trim(b);
    WAIT_FOR(r, p.held == 1);
    assert_memory_equal(p.loans[0].ptr, "ijkl", 4);
    probe_put_all(&p);
    close(fds[1]);
    WAIT_FOR(r, p.finals == 1);
    close(fds[0]);
    ring_bufs_free(b);
}

// With incremental buffers small messages lie one behind the other; without, one buffer each.
static void small_messages_share_or_not(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 4, 4096);
    bool incremental = ring_features(r)->incremental_buffers;
    int fds[2];
    pair_open(fds);
    struct probe p = {.hold = true};
    ring_recv(r, &p.op, probe_on_event, fds[0], b);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(write(fds[1], "0123456789", 10), 10);
        WAIT_FOR(r, p.held == i);
    }
    assert_int_equal(p.loans[0].buffer == p.loans[1].buffer, incremental);
    if (incremental) {
        assert_ptr_equal(p.loans[1].ptr, p.loans[0].ptr + 10);
        assert_ptr_equal(p.loans[2].ptr, p.loans[0].ptr + 20);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_memory_equal(p.loans[i].ptr, "0123456789", 10);
    probe_put_all(&p);
    ring_cancel(r, &p.op);
    WAIT_FOR(r, p.finals);
    close(fds[0]);
    close(fds[1]);
    ring_bufs_free(b);
}

// Bytes of every size through few small buffers, wrapping round them thousands of times.
static void long_stream_through_few_buffers(void **state)
{
    enum { BYTES = 1 << 20 };
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 4, 1000);
    int fds[2];
    char *sent = malloc(BYTES), *got = malloc(BYTES);
    assert_non_null(sent);
    assert_non_null(got);
    for (int i = 0; i < BYTES; i++)
        sent[i] = (char)(i * 7 + (i >> 11));
    pair_open(fds);
    struct probe p = {.bytes = got, .max = BYTES}, send = {0};
    ring_recv(r, &p.op, probe_on_event, fds[0], b);
    size_t at = 0;
    for (size_t size = 1; at < BYTES; size = size % 5000 + 77) {
        if (size > BYTES - at)
            size = BYTES - at;
        ring_send(r, &send.op, probe_on_event, fds[1], sent + at, size);
        WAIT_FOR(r, !ring_op_busy(&send.op));
        at += size;
        while (p.len < at) {
            if (!ring_op_busy(&p.op)) {
                assert_int_equal(p.last, -ENOBUFS);
                ring_recv(r, &p.op, probe_on_event, fds[0], b);
            }
            ring_turn(r, mono_add_ms(clock_mono(), WAIT_SECONDS * 1000));
        }
    }
    assert_memory_equal(sent, got, BYTES);
    if (ring_op_busy(&p.op)) {
        ring_cancel(r, &p.op);
        WAIT_FOR(r, !ring_op_busy(&p.op));
    }
    free(sent);
    free(got);
    close(fds[0]);
    close(fds[1]);
    ring_bufs_free(b);
}

// ---- Exhaustion ------------------------------------------------------------------------------

#define RECEIVERS 16

struct receiver {
    struct probe probe;
    struct ring_bufs_waiter waiter;
    struct ring_bufs *bufs;
    int fds[2];
    unsigned woken;
    bool decline; // woken, but does not want to receive any more
};

static void on_buffers(struct ring *r, struct ring_bufs_waiter *waiter)
{
    struct receiver *v = container_of(waiter, struct receiver, waiter);
    v->woken++;
    if (!v->decline)
        ring_recv(r, &v->probe.op, probe_on_event, v->fds[0], v->bufs);
}

static void receivers_open(struct receiver *v, unsigned n, struct ring_bufs *b)
{
    for (unsigned i = 0; i < n; i++) {
        v[i] = (struct receiver){.bufs = b, .probe.hold = true, .waiter.fn = on_buffers};
        list_init(&v[i].waiter.link);
        pair_open(v[i].fds);
    }
}

static void receivers_close(struct ring *r, struct receiver *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ring_bufs_unwait(&v[i].waiter);
        probe_put_all(&v[i].probe);
        if (ring_op_busy(&v[i].probe.op)) {
            ring_cancel(r, &v[i].probe.op);
            WAIT_FOR(r, !ring_op_busy(&v[i].probe.op));
        }
        probe_put_all(&v[i].probe);
        close(v[i].fds[0]);
        close(v[i].fds[1]);
    }
}

static void exhausted_receivers_recover(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 4, 16);
    struct receiver v[RECEIVERS];
    receivers_open(v, RECEIVERS, b);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        assert_int_equal(write(v[i].fds[1], "0123456789abcdef", 16), 16);
        ring_recv(r, &v[i].probe.op, probe_on_event, v[i].fds[0], b);
    }
    // Four get a buffer each (and then meet the end as well); twelve get none.
    for (unsigned i = 0; i < RECEIVERS; i++)
        WAIT_FOR(r, v[i].probe.held > 0 || v[i].probe.finals > 0);
    unsigned served = 0;
    for (unsigned i = 0; i < RECEIVERS; i++)
        served += v[i].probe.held;
    assert_int_equal(served, 4);
    for (unsigned i = 0; i < RECEIVERS; i++) {
        if (v[i].probe.held == 0) {
            assert_int_equal(v[i].probe.last, -ENOBUFS);
            ring_bufs_wait(b, &v[i].waiter);
        }
    }
    ring_turn(r, clock_mono());
    for (unsigned i = 0; i < RECEIVERS; i++)
        assert_int_equal(v[i].woken, 0); // nothing has come back

    // Each round gives back what is held; those who fail again wait again.
    for (unsigned total = 0, rounds = 0; total < RECEIVERS; rounds++) {
        assert_true(rounds < 100);
        for (unsigned i = 0; i < RECEIVERS; i++)
            probe_put_all(&v[i].probe);
        ring_turn(r, clock_mono());
        ring_turn(r, clock_mono());
        total = 0;
        for (unsigned i = 0; i < RECEIVERS; i++) {
            total += v[i].probe.len == 16;
            if (v[i].probe.len == 0 && !ring_op_busy(&v[i].probe.op) &&
                !list_linked(&v[i].waiter.link))
                ring_bufs_wait(b, &v[i].waiter);
        }
    }
    struct ring_stats stats;
    ring_stats_read(r, &stats);
    assert_true(stats.enobufs >= 12);
    receivers_close(r, v, RECEIVERS);
    ring_bufs_free(b);
}

// One buffer comes back for many waiters: one is woken, and when it declines, the next.
static void declined_wake_passes_on(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 8, 4);
    struct receiver v[RECEIVERS];
    struct probe hog = {.hold = true};
    int fds[2];
    receivers_open(v, RECEIVERS, b);
    pair_open(fds);
    assert_int_equal(write(fds[1], "01234567890123456789012345678901", 32), 32);
    ring_recv(r, &hog.op, probe_on_event, fds[0], b);
    WAIT_FOR(r, hog.held == 8);
    for (unsigned i = 0; i < 3; i++) {
        v[i].decline = i < 2;
        ring_bufs_wait(b, &v[i].waiter);
    }
    ring_loan_put(&hog.loans[0]);
    ring_turn(r, clock_mono());
    assert_int_equal(v[0].woken, 1); // free buffers: one; woken: one, the first
    assert_int_equal(v[1].woken, 0);
    WAIT_FOR(r, v[2].woken == 1);
    assert_int_equal(v[0].woken, 1); // once each
    assert_int_equal(v[1].woken, 1);
    probe_put_all(&hog);
    if (ring_op_busy(&hog.op))
        ring_cancel(r, &hog.op);
    WAIT_FOR(r, !ring_op_busy(&hog.op));
    receivers_close(r, v, RECEIVERS);
    close(fds[0]);
    close(fds[1]);
    ring_bufs_free(b);
}

// Buffers that came back between the error and the wait must not be missed.
static void late_waiter_is_woken(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 2, 64);
    struct receiver v[1];
    receivers_open(v, 1, b);
    ring_bufs_wait(b, &v[0].waiter);
    assert_int_equal(v[0].woken, 0); // never from within the call
    WAIT_FOR(r, v[0].woken == 1);
    ring_bufs_wait(b, &v[0].waiter);
    ring_bufs_unwait(&v[0].waiter);
    ring_bufs_unwait(&v[0].waiter);
    ring_turn(r, clock_mono());
    ring_turn(r, clock_mono());
    assert_int_equal(v[0].woken, 1);
    receivers_close(r, v, 1);
    ring_bufs_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(shared_loans_pin_their_buffer),   RING_TEST(small_messages_share_or_not),
        RING_TEST(long_stream_through_few_buffers), RING_TEST(exhausted_receivers_recover),
        RING_TEST(declined_wake_passes_on),         RING_TEST(late_waiter_is_woken),
        RING_TEST(idle_buffers_are_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
