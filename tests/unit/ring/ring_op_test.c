// SPDX-License-Identifier: Apache-2.0
//
// ring_op_test.c: every operation against real sockets and files, and the endings a kernel rarely
// shows (short sends, multishot operations that stop by themselves), which are handed in by hand.
#include "tests/unit/ring/fixture.h"

#include "ring/ring_internal.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#define BIG_BYTES ((size_t)8 << 20)

static void fill(char *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(i * 31 + (i >> 13));
}

static struct ring_bufs *bufs_open(struct ring *r, unsigned count, unsigned bytes)
{
    struct ring_bufs *b = NULL;
    assert_int_equal(ring_bufs_new(r, count, bytes, &b), 0);
    return b;
}

static void tcp_round_trip(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 8, 4096);
    struct sockaddr_in address;
    int listener = listener_open(&address);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char got[64];
    struct probe accept = {0}, connect = {0}, send = {0}, recv = {.bytes = got, .max = 64};

    ring_accept(r, &accept.op, probe_on_event, listener);
    ring_connect(r, &connect.op, probe_on_event, client, (struct sockaddr *)&address,
                 sizeof(address));
    WAIT_FOR(r, connect.finals && accept.events);
    assert_int_equal(connect.last, 0);
    assert_int_equal(accept.finals, 0);
    int server = accept.last;
    assert_true(fcntl(server, F_GETFD) & FD_CLOEXEC);

    ring_recv(r, &recv.op, probe_on_event, server, b);
    ring_send(r, &send.op, probe_on_event, client, "hello", 5);
    WAIT_FOR(r, send.finals && recv.len == 5);
    assert_int_equal(send.last, 5);
    assert_memory_equal(got, "hello", 5);
    ring_send(r, &send.op, probe_on_event, client, " again", 6);
    WAIT_FOR(r, recv.len == 11);
    assert_int_equal(recv.finals, 0);
    ring_shutdown(r, client);
    WAIT_FOR(r, recv.finals);
    assert_int_equal(recv.last, 0);

    ring_cancel(r, &accept.op);
    WAIT_FOR(r, accept.finals);
    assert_int_equal(accept.last, -ECANCELED);
    ring_close(r, client);
    ring_close(r, server);
    ring_close(r, listener);
    ring_turn(r, clock_mono());
    assert_int_equal(fcntl(listener, F_GETFD), -1);
    assert_int_equal(fcntl(client, F_GETFD), -1);
    ring_bufs_free(b);
}

// The bytes, the end of the stream and an empty group each come as the one final event.
static void recv_one_is_final(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *bufs;
    char kept[64];
    struct probe p = {.bytes = kept, .max = sizeof(kept)};
    int fds[2];
    pair_open(fds);
    assert_int_equal(ring_bufs_new(r, 2, 32, &bufs), 0);

    assert_int_equal(write(fds[0], "first", 5), 5);
    ring_recv_one(r, &p.op, probe_on_event, fds[1], bufs);
    WAIT_FOR(r, p.finals == 1);
    assert_int_equal(p.events, 1);
    assert_int_equal(p.final_loans, 1);
    assert_memory_equal(kept, "first", 5);

    // What comes now waits in the socket until it is asked for.
    assert_int_equal(write(fds[0], "second", 6), 6);
    ring_turn(r, clock_mono());
    assert_int_equal(p.events, 1);
    ring_recv_one(r, &p.op, probe_on_event, fds[1], bufs);
    WAIT_FOR(r, p.finals == 2);
    assert_int_equal(p.len, 11);

    close(fds[0]);
    ring_recv_one(r, &p.op, probe_on_event, fds[1], bufs);
    WAIT_FOR(r, p.finals == 3);
    assert_int_equal(p.last, 0);
    assert_int_equal(p.final_loans, 2);
    close(fds[1]);
    ring_bufs_free(bufs);
}

static void recv_one_leaves_the_rest(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *bufs;
    static char sent[RING_RECV_ONE_MAX + 100], kept[sizeof(sent)];
    struct probe p = {.bytes = kept, .max = sizeof(kept)};
    int fds[2];
    pair_open(fds);
    memset(sent, 'x', sizeof(sent));
    assert_int_equal(ring_bufs_new(r, 2, 16384, &bufs), 0);
    assert_int_equal(write(fds[0], sent, sizeof(sent)), sizeof(sent));
    ring_recv_one(r, &p.op, probe_on_event, fds[1], bufs);
    WAIT_FOR(r, p.finals == 1);
    assert_int_equal(p.len, RING_RECV_ONE_MAX);
    assert_int_equal(recv(fds[1], kept, sizeof(kept), MSG_DONTWAIT), 100);
    close(fds[0]);
    close(fds[1]);
    ring_bufs_free(bufs);
}

// What is done at once is done in a young turn only, and a busy machine may take a while between
// two lines of a test.
#define BUSY_TRIES 1000

// Nothing there, the end and an error are all left to an operation.
static void recv_now_takes_what_is_there(void **state)
{
    struct ring *r = *state;
    char got[8];
    size_t n;
    int fds[2];
    pair_open(fds);
    ring_turn(r, clock_mono());
    assert_int_equal(ring_recv_now(r, fds[1], got, sizeof(got)), 0);
    assert_int_equal(write(fds[0], "abc", 3), 3);
    n = ring_recv_now(r, fds[1], got, sizeof(got));
    for (int i = 0; i < BUSY_TRIES && n == 0; i++) {
        ring_turn(r, clock_mono());
        n = ring_recv_now(r, fds[1], got, sizeof(got));
    }
    assert_int_equal(n, 3);
    assert_memory_equal(got, "abc", 3);
    close(fds[0]);
    assert_int_equal(ring_recv_now(r, fds[1], got, sizeof(got)), 0);
    close(fds[1]);
    assert_int_equal(ring_recv_now(r, -1, got, sizeof(got)), 0);
}

// Does the peer have some of a message of `size` before the next turn?
static bool leaves_at_once(struct ring *r, int fds[2], size_t size)
{
    static char bytes[RING_SEND_LARGE];
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    struct probe send = {0};
    ring_turn(r, clock_mono());
    ring_sendmsg(r, &send.op, probe_on_event, fds[0], &msg);
    bool here = recv(fds[1], bytes, 1, MSG_DONTWAIT) == 1;
    assert_int_equal(send.finals, 0); // its completion is a turn's in either case
    WAIT_FOR(r, send.finals == 1);
    assert_int_equal(send.last, size);
    while (recv(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    return here;
}

static void large_message_leaves_at_once(void **state)
{
    struct ring *r = *state;
    int fds[2];
    pair_open(fds);
    assert_false(leaves_at_once(r, fds, RING_SEND_LARGE - 1)); // with its turn
    bool at_once = false;
    for (int i = 0; i < BUSY_TRIES && !at_once; i++)
        at_once = leaves_at_once(r, fds, RING_SEND_LARGE);
    assert_true(at_once);
    close(fds[0]);
    close(fds[1]);
}

static void accept_goes_on(void **state)
{
    struct ring *r = *state;
    struct sockaddr_in address;
    int listener = listener_open(&address);
    struct probe accept = {0};
    ring_accept(r, &accept.op, probe_on_event, listener);
    for (unsigned i = 1; i <= 20; i++) {
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
        WAIT_FOR(r, accept.events == i);
        close(accept.last);
        close(client);
    }
    assert_int_equal(accept.finals, 0);
    ring_cancel(r, &accept.op);
    WAIT_FOR(r, accept.finals);
    close(listener);
}

// Bytes that were there before the cancellation arrive before the final event.
static void cancel_delivers_first(void **state)
{
    struct ring *r = *state;
    struct ring_bufs *b = bufs_open(r, 8, 256);
    int fds[2];
    pair_open(fds);
    struct probe recv = {0};
    ring_recv(r, &recv.op, probe_on_event, fds[0], b);
    ring_turn(r, clock_mono());
    assert_int_equal(write(fds[1], "abc", 3), 3);
    ring_cancel(r, &recv.op);
    assert_true(ring_op_busy(&recv.op));
    ring_cancel(r, &recv.op); // twice is once
    WAIT_FOR(r, recv.finals);
    assert_int_equal(recv.last, -ECANCELED);
    assert_int_equal(recv.finals, 1);
    size_t before = recv.len;
    assert_true(before == 0 || before == 3);
    // Idle now: cancelling does nothing, submitting again works and nothing is lost.
    ring_cancel(r, &recv.op);
    assert_false(ring_op_busy(&recv.op));
    assert_int_equal(write(fds[1], "defg", 4), 4);
    ring_recv(r, &recv.op, probe_on_event, fds[0], b);
    WAIT_FOR(r, recv.len == 7);
    close(fds[1]);
    WAIT_FOR(r, recv.finals == 2);
    assert_int_equal(recv.last, 0);
    close(fds[0]);
    ring_bufs_free(b);
}

// Submitting in the same turn as a cancellation that is still queued must not be hit by it.
static void cancel_hits_only_its_own(void **state)
{
    struct ring *r = *state;
    int fds[2];
    char got[8];
    pair_open(fds);
    struct probe recv = {0};
    ring_recv_into(r, &recv.op, probe_on_event, fds[0], got, sizeof(got));
    ring_turn(r, clock_mono());
    assert_int_equal(write(fds[1], "x", 1), 1);
    WAIT_FOR(r, recv.finals == 1);
    ring_recv_into(r, &recv.op, probe_on_event, fds[0], got, sizeof(got));
    ring_cancel(r, &recv.op);
    WAIT_FOR(r, recv.finals == 2);
    ring_recv_into(r, &recv.op, probe_on_event, fds[0], got, sizeof(got));
    assert_int_equal(write(fds[1], "y", 1), 1);
    WAIT_FOR(r, recv.finals == 3);
    assert_int_equal(recv.last, 1);
    close(fds[0]);
    close(fds[1]);
}

static void big_sendmsg_meets_slow_reader(void **state)
{
    struct ring *r = *state;
    int fds[2];
    char *sent = malloc(BIG_BYTES), *got = malloc(BIG_BYTES);
    assert_non_null(sent);
    assert_non_null(got);
    fill(sent, BIG_BYTES);
    pair_open(fds);
    struct iovec iov[3] = {{sent, 1}, {sent + 1, BIG_BYTES / 2}, {NULL, 0}};
    iov[2] = (struct iovec){sent + 1 + BIG_BYTES / 2, BIG_BYTES - 1 - BIG_BYTES / 2};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    struct probe send = {0};
    ring_sendmsg(r, &send.op, probe_on_event, fds[0], &msg);
    for (size_t len = 0; len < BIG_BYTES;) {
        size_t want = BIG_BYTES - len < 10000 ? BIG_BYTES - len : 10000;
        struct probe recv = {0};
        ring_recv_into(r, &recv.op, probe_on_event, fds[1], got + len, want);
        WAIT_FOR(r, recv.finals);
        assert_true(recv.last > 0);
        len += (size_t)recv.last;
    }
    WAIT_FOR(r, send.finals);
    assert_int_equal(send.events, 1);
    assert_int_equal(send.last, BIG_BYTES);
    assert_memory_equal(sent, got, BIG_BYTES);
    free(sent);
    free(got);
    close(fds[0]);
    close(fds[1]);
}

// Nobody reads: the cancelled send ends with an error although a part has left.
static void cancelled_send_is_an_error(void **state)
{
    struct ring *r = *state;
    int fds[2];
    char *sent = calloc(1, BIG_BYTES);
    assert_non_null(sent);
    pair_open(fds);
    struct probe send = {0};
    ring_send(r, &send.op, probe_on_event, fds[0], sent, BIG_BYTES);
    ring_turn(r, clock_mono());
    assert_int_equal(send.events, 0);
    ring_cancel(r, &send.op);
    WAIT_FOR(r, send.finals);
    assert_int_equal(send.last, -ECANCELED);
    free(sent);
    close(fds[0]);
    close(fds[1]);
}

static void send_to_nobody(void **state)
{
    struct ring *r = *state;
    int fds[2];
    pair_open(fds);
    close(fds[1]);
    struct probe send = {0};
    ring_send(r, &send.op, probe_on_event, fds[0], "x", 1);
    WAIT_FOR(r, send.finals); // and no SIGPIPE
    assert_int_equal(send.last, -EPIPE);
    close(fds[0]);
}

// What the kernel does after an error in the middle of a message: a completion that is short.
static void short_send_is_continued(void **state)
{
    struct ring *r = *state;
    int fds[2];
    char got[16];
    struct iovec iov[3] = {{(char *)"abcd", 4}, {(char *)"efg", 3}, {(char *)"hijkl", 5}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    for (unsigned gone = 1; gone < 12; gone++) {
        pair_open(fds);
        struct probe p = {.op = {.fn = probe_on_event,
                                 .data = &msg,
                                 .size = 12,
                                 .fd = fds[0],
                                 .kind = RING__KIND_SENDMSG,
                                 .state = RING_OP_PENDING}};
        ring__complete(r, (uintptr_t)&p.op, (int)gone, 0);
        assert_int_equal(p.events, 0);
        WAIT_FOR(r, p.finals);
        assert_int_equal(p.last, 12);
        assert_int_equal(read(fds[1], got, sizeof(got)), 12 - gone);
        assert_memory_equal(got, &"abcdefghijkl"[gone], 12 - gone);
        close(fds[0]);
        close(fds[1]);
    }
    pair_open(fds);
    struct probe p = {.op = {.fn = probe_on_event,
                             .data = "abcdef",
                             .size = 6,
                             .fd = fds[0],
                             .kind = RING__KIND_SEND,
                             .state = RING_OP_PENDING}};
    ring__complete(r, (uintptr_t)&p.op, 2, 0);
    WAIT_FOR(r, p.finals);
    assert_int_equal(p.last, 6);
    assert_int_equal(read(fds[1], got, sizeof(got)), 4);
    assert_memory_equal(got, "cdef", 4);
    close(fds[0]);
    close(fds[1]);
}

// A multishot operation that the kernel ends is armed again; a cancelled one is not.
static void multishot_is_armed_again(void **state)
{
    struct ring *r = *state;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct probe p = {.op = {.fn = probe_on_event,
                             .fd = fd,
                             .poll_mask = POLLIN,
                             .kind = RING__KIND_POLL,
                             .state = RING_OP_PENDING}};
    ring__complete(r, (uintptr_t)&p.op, POLLIN, 0);
    assert_int_equal(p.events, 1);
    assert_int_equal(p.finals, 0);
    assert_true(ring_op_busy(&p.op));
    assert_int_equal(eventfd_write(fd, 1), 0);
    WAIT_FOR(r, p.events == 2);
    ring_cancel(r, &p.op);
    WAIT_FOR(r, p.finals);

    struct probe q = {.op = {.fn = probe_on_event,
                             .fd = fd,
                             .poll_mask = POLLIN,
                             .kind = RING__KIND_POLL,
                             .state = RING_OP_CANCELLED}};
    ring__complete(r, (uintptr_t)&q.op, POLLIN, 0);
    assert_int_equal(q.events, 2);
    assert_int_equal(q.finals, 1);
    assert_int_equal(q.last, -ECANCELED);
    close(fd);
}

static void poll_reads_signals(void **state)
{
    struct ring *r = *state;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, &old), 0);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    struct probe p = {0};
    ring_poll(r, &p.op, probe_on_event, fd, POLLIN);
    for (unsigned i = 1; i <= 3; i++) {
        struct signalfd_siginfo info;
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        WAIT_FOR(r, p.events >= i);
        assert_int_equal(p.last & POLLIN, POLLIN);
        assert_int_equal(read(fd, &info, sizeof(info)), sizeof(info));
    }
    ring_cancel(r, &p.op);
    WAIT_FOR(r, p.finals);
    close(fd);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
}

static void file_at_its_position(void **state)
{
    struct ring *r = *state;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char got[16];
    struct probe p = {0};
    assert_true(fd >= 0);
    ring_write(r, &p.op, probe_on_event, fd, "one ", 4);
    WAIT_FOR(r, p.finals == 1);
    ring_write(r, &p.op, probe_on_event, fd, "two", 3);
    WAIT_FOR(r, p.finals == 2);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    ring_read(r, &p.op, probe_on_event, fd, got, sizeof(got));
    WAIT_FOR(r, p.finals == 3);
    assert_int_equal(p.last, 7);
    assert_memory_equal(got, "one two", 7);
    ring_read(r, &p.op, probe_on_event, fd, got, sizeof(got));
    WAIT_FOR(r, p.finals == 4);
    assert_int_equal(p.last, 0);
    close(fd);
}

// Sixteen times as many operations as the submission queue has entries, in one turn.
static void queue_may_be_full(void **state)
{
    struct ring *r = ring_open(*state == NULL, 8, 0);
    enum { N = 128 };
    struct probe *p = calloc(N, sizeof(*p));
    int fds[N];
    assert_non_null(p);
    for (int i = 0; i < N; i++) {
        fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
        ring_poll(r, &p[i].op, probe_on_event, fds[i], POLLIN);
    }
    for (int i = 0; i < N; i++) {
        WAIT_FOR(r, p[i].events > 0);
        ring_cancel(r, &p[i].op);
    }
    for (int i = 0; i < N; i++) {
        WAIT_FOR(r, p[i].finals);
        close(fds[i]);
    }
    free(p);
    ring_free(r);
}

// The descriptor's number must not be used for somebody else between the two.
static void shutdown_then_close(void **state)
{
    struct ring *r = *state;
    int fds[2];
    char c;
    pair_open(fds);
    struct probe send = {0};
    ring_send(r, &send.op, probe_on_event, fds[0], "z", 1);
    ring_shutdown(r, fds[0]); // after the send, which was submitted first
    ring_close(r, fds[0]);
    WAIT_FOR(r, send.finals);
    assert_int_equal(send.last, 1);
    assert_int_equal(read(fds[1], &c, 1), 1);
    assert_int_equal(read(fds[1], &c, 1), 0);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(tcp_round_trip),
        RING_TEST(recv_one_is_final),
        RING_TEST(recv_one_leaves_the_rest),
        RING_TEST(recv_now_takes_what_is_there),
        RING_TEST(large_message_leaves_at_once),
        RING_TEST(accept_goes_on),
        RING_TEST(cancel_delivers_first),
        RING_TEST(cancel_hits_only_its_own),
        RING_TEST(big_sendmsg_meets_slow_reader),
        RING_TEST(cancelled_send_is_an_error),
        RING_TEST(send_to_nobody),
        RING_TEST(short_send_is_continued),
        RING_TEST(multishot_is_armed_again),
        RING_TEST(poll_reads_signals),
        RING_TEST(file_at_its_position),
        RING_TEST(queue_may_be_full),
        RING_TEST(shutdown_then_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
