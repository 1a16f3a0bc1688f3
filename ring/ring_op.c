// SPDX-License-Identifier: Apache-2.0
//
// ring_op.c: how each operation is submitted, and what its completions mean.
//
// The kernel ends a multishot operation for reasons of its own (a full completion queue, a lack of
// memory) by a completion without IORING_CQE_F_MORE. Owners do not see that: the bytes or the
// descriptor are delivered as an ordinary event and the operation is armed again. What owners see
// as final is an end of stream, an error, or the end they asked for.
//
//     kind     res          F_MORE   event
//     ONCE     any          no       final
//     SEND     all of it    no       final, res = length of the message
//              a part       no       none: the rest is submitted (-ECANCELED, final if cancelled)
//              error        no       final
//     RECV     > 0          yes      loan
//              > 0          no       loan; then armed again (-ECANCELED, final if cancelled)
//              0, error     no       final
//     RECV_ONE > 0          no       final, loan
//              0, error     no       final
//     ACCEPT,  >= 0         yes      res
//     POLL     >= 0         no       res; then armed again (-ECANCELED, final if cancelled)
//              error        no       final
//
// Sends carry MSG_WAITALL, so the kernel itself goes on after a short write (5.19 and newer); a
// short completion means that an error or a cancellation came in the middle. The rest is then sent
// piece by piece, an iovec at a time, straight from the caller's message: that needs no copy
// of the iovecs, and either finishes the message or collects the error.
#include "base/assert.h"
#include "ring/ring_internal.h"

#define SEND_FLAGS (MSG_NOSIGNAL | MSG_WAITALL)

// ---- Submitting ------------------------------------------------------------------------------

struct io_uring_sqe *ring__sqe(struct ring *r)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    // Full: submit and go on. That fails only while the kernel is short of memory, or holds
    // completions back for want of room; get_events lets it move them. Submitting has no way to
    // fail by contract, and the kernel reclaims memory meanwhile, so this waits it out.
    while (!sqe) {
        int rc = io_uring_submit(&r->uring);
        if (rc < 0)
            io_uring_get_events(&r->uring);
        sqe = io_uring_get_sqe(&r->uring);
    }
    return sqe;
}

static void begin(struct ring_op *op, ring_fn fn, enum ring__kind kind, int fd)
{
    ASSERT(fn);
    ASSERT(op->state == RING_OP_IDLE);
    *op = (struct ring_op){.fn = fn, .fd = fd, .kind = (uint8_t)kind, .state = RING_OP_PENDING};
}

static struct io_uring_sqe *sqe_for(struct ring *r, struct ring_op *op)
{
    ASSERT(op->state == RING_OP_PENDING);
    ASSERT(((uintptr_t)op & RING__TAG_MASK) == 0);
    struct io_uring_sqe *sqe = ring__sqe(r);
    return sqe;
}

// Each kind that may have to be submitted more than once has its one place here.

static void arm_accept(struct ring *r, struct ring_op *op)
{
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_multishot_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data(sqe, op);
}

static void arm_recv(struct ring *r, struct ring_op *op)
{
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_recv_multishot(sqe, op->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = ring__bufs_group(op->bufs);
    io_uring_sqe_set_data(sqe, op);
}

static void arm_poll(struct ring *r, struct ring_op *op)
{
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_poll_multishot(sqe, op->fd, op->poll_mask);
    io_uring_sqe_set_data(sqe, op);
}

// The part of the message behind its first `done` bytes, as far as it lies in one iovec.
static struct slice rest_piece(const struct msghdr *msg, size_t done)
{
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *v = &msg->msg_iov[i];
        if (done < v->iov_len)
            return slice_of((const char *)v->iov_base + done, v->iov_len - done);
        done -= v->iov_len;
    }
    return SLICE_EMPTY;
}

static void arm_send(struct ring *r, struct ring_op *op)
{
    struct io_uring_sqe *sqe = sqe_for(r, op);
    if (op->kind == RING__KIND_SENDMSG && op->done == 0) {
        io_uring_prep_sendmsg(sqe, op->fd, op->data, SEND_FLAGS);
    } else {
        struct slice rest = op->kind == RING__KIND_SENDMSG
                                ? rest_piece(op->data, op->done)
                                : slice_of((const char *)op->data + op->done, op->size - op->done);
        io_uring_prep_send(sqe, op->fd, rest.ptr, rest.len, SEND_FLAGS);
    }
    io_uring_sqe_set_data(sqe, op);
}

void ring_accept(struct ring *r, struct ring_op *op, ring_fn fn, int fd)
{
    begin(op, fn, RING__KIND_ACCEPT, fd);
    arm_accept(r, op);
}

void ring_recv(struct ring *r, struct ring_op *op, ring_fn fn, int fd, struct ring_bufs *bufs)
{
    ASSERT(bufs);
    begin(op, fn, RING__KIND_RECV, fd);
    op->bufs = bufs;
    arm_recv(r, op);
}

void ring_recv_one(struct ring *r, struct ring_op *op, ring_fn fn, int fd, struct ring_bufs *bufs)
{
    ASSERT(bufs);
    begin(op, fn, RING__KIND_RECV_ONE, fd);
    op->bufs = bufs;
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_recv(sqe, fd, NULL, RING_RECV_ONE_MAX, 0);
    sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = ring__bufs_group(bufs);
    io_uring_sqe_set_data(sqe, op);
}

void ring_poll(struct ring *r, struct ring_op *op, ring_fn fn, int fd, unsigned poll_mask)
{
    ASSERT(poll_mask > 0 && poll_mask <= UINT16_MAX);
    begin(op, fn, RING__KIND_POLL, fd);
    op->poll_mask = (uint16_t)poll_mask;
    arm_poll(r, op);
}

static bool turn_is_young(struct ring *r)
{
    return mono_diff_ns(ring_now_fresh(r), r->now) < RING_LARGE_NS;
}

void ring_sendmsg(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const struct msghdr *msg)
{
    size_t size = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        size += msg->msg_iov[i].iov_len;
    ASSERT(size <= RING_SEND_MAX);
    begin(op, fn, RING__KIND_SENDMSG, fd);
    op->data = msg;
    op->size = (uint32_t)size;
    arm_send(r, op);
    // It leaves now, from the cache, not after what the turn's other fibers touch. What the kernel
    // does not take goes out with the turn.
    if (size >= RING_SEND_LARGE && turn_is_young(r))
        (void)io_uring_submit(&r->uring);
}

void ring_send(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const void *data,
               size_t size)
{
    ASSERT(size <= RING_SEND_MAX);
    begin(op, fn, RING__KIND_SEND, fd);
    op->data = data;
    op->size = (uint32_t)size;
    arm_send(r, op);
}

void ring_recv_into(struct ring *r, struct ring_op *op, ring_fn fn, int fd, void *out, size_t size)
{
    begin(op, fn, RING__KIND_ONCE, fd);
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_recv(sqe, fd, out, size, 0);
    io_uring_sqe_set_data(sqe, op);
}

size_t ring_recv_now(struct ring *r, int fd, void *out, size_t size)
{
    if (!turn_is_young(r))
        return 0;
    ssize_t n = recv(fd, out, size, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

void ring_connect(struct ring *r, struct ring_op *op, ring_fn fn, int fd,
                  const struct sockaddr *address, socklen_t address_len)
{
    begin(op, fn, RING__KIND_ONCE, fd);
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_connect(sqe, fd, address, address_len);
    io_uring_sqe_set_data(sqe, op);
}

void ring_write(struct ring *r, struct ring_op *op, ring_fn fn, int fd, const void *data,
                size_t size)
{
    ASSERT(size <= RING_SEND_MAX);
    begin(op, fn, RING__KIND_ONCE, fd);
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_write(sqe, fd, data, (unsigned)size, (uint64_t)-1); // -1: the file position
    io_uring_sqe_set_data(sqe, op);
}

void ring_read(struct ring *r, struct ring_op *op, ring_fn fn, int fd, void *out, size_t size)
{
    ASSERT(size <= RING_SEND_MAX);
    begin(op, fn, RING__KIND_ONCE, fd);
    struct io_uring_sqe *sqe = sqe_for(r, op);
    io_uring_prep_read(sqe, fd, out, (unsigned)size, (uint64_t)-1);
    io_uring_sqe_set_data(sqe, op);
}

// The queue is worked off in order, so a cancellation queued before the operation's owner used it
// again finds the old request or nothing, never the new one.
void ring_cancel(struct ring *r, struct ring_op *op)
{
    if (op->state != RING_OP_PENDING)
        return;
    op->state = RING_OP_CANCELLED;
    struct io_uring_sqe *sqe = ring__sqe(r);
    io_uring_prep_cancel(sqe, op, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, RING__TAG_IGNORE);
}

// Not IORING_OP_SHUTDOWN: that runs on a worker thread, which looks the descriptor up only when it
// gets to it, possibly after a ring_close and another connection's accept. The call itself is
// cheap; what was queued goes out first so that order is kept.
void ring_shutdown(struct ring *r, int fd)
{
    if (io_uring_sq_ready(&r->uring) > 0)
        io_uring_submit(&r->uring);
    shutdown(fd, SHUT_RDWR); // a peer that is gone already is fine
}

void ring_close(struct ring *r, int fd)
{
    ASSERT(fd >= 0);
    struct io_uring_sqe *sqe = ring__sqe(r);
    io_uring_prep_close(sqe, fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, RING__TAG_IGNORE);
}

// ---- Completing ------------------------------------------------------------------------------

// The owner may free the operation in this call: nothing touches it afterwards.
static void finish(struct ring *r, struct ring_op *op, int res)
{
    ASSERT(op->state != RING_OP_IDLE);
    op->state = RING_OP_IDLE;
    struct ring_event event = {.res = res, .final = true};
    op->fn(r, op, &event);
}

static void deliver(struct ring *r, struct ring_op *op, int res, struct ring_loan loan)
{
    ASSERT(op->state != RING_OP_IDLE);
    struct ring_event event = {.res = res, .loan = loan};
    op->fn(r, op, &event);
}

// After an event of a multishot operation that the kernel has ended by itself.
static void go_on(struct ring *r, struct ring_op *op, void (*arm)(struct ring *, struct ring_op *))
{
    if (op->state == RING_OP_CANCELLED)
        finish(r, op, -ECANCELED);
    else
        arm(r, op);
}

static void on_once(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    ASSERT(!(flags & IORING_CQE_F_MORE));
    finish(r, op, res);
}

static void on_send(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    ASSERT(!(flags & IORING_CQE_F_MORE));
    if (res > 0) {
        ASSERT((uint32_t)res <= op->size - op->done);
        op->done += (uint32_t)res;
    }
    if (op->done == op->size && res >= 0) {
        finish(r, op, (int)op->size);
        return;
    }
    if (res == 0) // a stream that takes nothing and gives no reason would be tried for ever
        res = -EPIPE;
    if (res < 0 && res != -EINTR)
        finish(r, op, res);
    else
        go_on(r, op, arm_send);
}

static void on_recv_one(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    struct ring_event event = {.res = res, .final = true};
    ASSERT(!(flags & IORING_CQE_F_MORE));
    if (flags & IORING_CQE_F_BUFFER)
        event.loan = ring__bufs_take(op->bufs, res, flags);
    if (res == -ENOBUFS)
        r->stats.enobufs++;
    op->state = RING_OP_IDLE;
    op->fn(r, op, &event);
}

static void on_recv(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    struct ring_loan loan = {0};
    bool more = flags & IORING_CQE_F_MORE;
    if (flags & IORING_CQE_F_BUFFER)
        loan = ring__bufs_take(op->bufs, res, flags);
    if (res == -ENOBUFS)
        r->stats.enobufs++;
    if (res > 0) {
        ASSERT(loan.bufs);
        deliver(r, op, res, loan);
        if (!more)
            go_on(r, op, arm_recv);
        return;
    }
    ASSERT(!more);
    finish(r, op, res);
}

static void on_multishot(struct ring *r, struct ring_op *op, int res, unsigned flags,
                         void (*arm)(struct ring *, struct ring_op *))
{
    bool more = flags & IORING_CQE_F_MORE;
    if (res < 0) {
        ASSERT(!more);
        finish(r, op, res);
        return;
    }
    deliver(r, op, res, (struct ring_loan){0});
    if (!more)
        go_on(r, op, arm);
}

static void on_accept(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    on_multishot(r, op, res, flags, arm_accept);
}

static void on_poll(struct ring *r, struct ring_op *op, int res, unsigned flags)
{
    on_multishot(r, op, res, flags, arm_poll);
}

typedef void (*complete_fn)(struct ring *, struct ring_op *, int, unsigned);

static const complete_fn complete_fns[RING__KIND_COUNT] = {
    [RING__KIND_ONCE] = on_once,         [RING__KIND_SEND] = on_send,
    [RING__KIND_SENDMSG] = on_send,      [RING__KIND_RECV] = on_recv,
    [RING__KIND_RECV_ONE] = on_recv_one, [RING__KIND_ACCEPT] = on_accept,
    [RING__KIND_POLL] = on_poll,
};

void ring__complete(struct ring *r, uint64_t user_data, int res, unsigned flags)
{
    void *object = (void *)(uintptr_t)(user_data & ~(uint64_t)RING__TAG_MASK);
    switch ((enum ring__tag)(user_data & RING__TAG_MASK)) {
    case RING__TAG_OP: {
        struct ring_op *op = object;
        ASSERT(op && op->state != RING_OP_IDLE);
        ASSERT(op->kind < RING__KIND_COUNT);
        complete_fns[op->kind](r, op, res, flags);
        return;
    }
    case RING__TAG_WAKE:
        if (res < 0)
            ring__wake_fd(object);
        return;
    case RING__TAG_MAIL:   // the turn looks at the mail anyway
    case RING__TAG_IGNORE: // only failures come here, and nobody waits for them
        return;
    case RING__TAG_MASK:
        break;
    }
    ASSERT(user_data == 0 && "an unknown completion");
}
