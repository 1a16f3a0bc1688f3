// SPDX-License-Identifier: Apache-2.0
//
// upstream_conn.c: one connection to a provider, driven by completions.
//
//  ┌─────────┐ open ┌─────────┐ open ┌───────────┐ TLS done ┌──────┐ all sent ┌─────────┐
//  │ RESOLVE │ ───► │ CONNECT │ ───► │ HANDSHAKE │ ───────► │ SEND │ ───────► │ WAITING │
//  └─────────┘      └─────────┘      └───────────┘          └──────┘          └─────────┘
//                                      plain: straight     ▲  │ head complete    │ head
//                                      from CONNECT ───────┤  ▼                  ▼ complete
//                                                         ┌──────┐  release   ┌──────┐
//                                                         │ IDLE │ ◄───────── │ BODY │
//                                                         └──────┘            └──────┘
//        HANDSHAKE (the proxy's) ──► PROXY ──its consent──► HANDSHAKE (the provider's), or SEND
//        SEND ──upstream_h2__begin──► H2 (upstream_h2.c)
//        every state ──upstream_conn__close──► CLOSING ──last final event──► freed
//
//   RESOLVE, CONNECT  no TLS session, no receive, no socket of its own; dial.c's fiber drives
//   HANDSHAKE         receive armed; the loop drives TLS; `caller` is woken at its end
//   PROXY             `caller` asks the proxy and is woken by whatever comes (upstream_proxy.c)
//   SEND              request bytes may be with the kernel; the head may already be read
//   WAITING           all is sent, or sending failed and the receive will tell why
//   BODY              `caller` is NULL; the exchange pulls up.body
//   IDLE              no loan, no page, no request; bytes or an end close it
//   H2                an HTTP/2 session has the socket; its calls are its own
//   CLOSING           nothing is submitted any more; memory stays until nothing is in flight
//
// One receive and one send are in flight at most. What is undelivered never exceeds
// BODY_CREDIT_BYTES and what had arrived when the receive was cancelled.
//
// A failed send ends nothing by itself: the provider may have answered before it closed, and the
// receive will bring that answer or the end. No close_notify is sent: an HTTP message says its own
// length, and a connection is closed when nothing more is wanted from it.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "net/upstream_internal.h"
#include <errno.h>

// Sealed, or copied by the kernel, at once: 256 kB are some 50 us, far below a turn's millisecond.
#define UPSTREAM_SLICE_BYTES ((size_t)256 * 1024)
#define UPSTREAM_SEAL_IOV    64

// ---- States ----------------------------------------------------------------------------------

#define FROM(state) (1u << (state))

static const unsigned legal_from[UPSTREAM_STATE_COUNT] = {
    [UPSTREAM_RESOLVE] = 0,
    [UPSTREAM_CONNECT] = FROM(UPSTREAM_RESOLVE),
    [UPSTREAM_HANDSHAKE] = FROM(UPSTREAM_CONNECT) | FROM(UPSTREAM_PROXY),
    [UPSTREAM_PROXY] = FROM(UPSTREAM_HANDSHAKE),
    [UPSTREAM_SEND] = FROM(UPSTREAM_CONNECT) | FROM(UPSTREAM_HANDSHAKE) | FROM(UPSTREAM_PROXY) |
                      FROM(UPSTREAM_IDLE),
    [UPSTREAM_WAITING] = FROM(UPSTREAM_SEND),
    [UPSTREAM_BODY] = FROM(UPSTREAM_SEND) | FROM(UPSTREAM_WAITING),
    [UPSTREAM_IDLE] = FROM(UPSTREAM_BODY),
    [UPSTREAM_H2] = FROM(UPSTREAM_SEND),
    [UPSTREAM_CLOSING] = FROM(UPSTREAM_CLOSING) - 1, // any but itself
};

void upstream_conn__set_state(struct upstream_conn *u, enum upstream_state next)
{
    ASSERT(next < UPSTREAM_STATE_COUNT);
    ASSERT(legal_from[next] & FROM(u->state));
    u->state = next;
}

struct upstream_conn *upstream_conn__new(struct origin_pool *pool)
{
    struct upstream_core *side = pool->side;
    struct upstream_conn *u = pool_get(&side->core->upstreams);
    if (!u)
        return NULL;
    u->side = side;
    u->pool = pool;
    u->fd = -1;
    u->born = ring_now(side->core->ring);
    list_push_back(&side->conns, &u->link);
    list_init(&u->idle_link);
    list_init(&u->lender_link);
    list_init(&u->bufs_waiter.link);
    u->up.body.ops = &upstream_body_ops;
    return u;
}

void upstream_conn__reset(struct upstream_conn *u)
{
    ASSERT(u->state == UPSTREAM_BODY && !u->part_out && u->inbox.bytes == 0);
    ASSERT(!ring_op_busy(&u->send_op) && !u->caller);
    upstream_inbox__drop(u);
    u->up.head = (struct http_head){0};
    u->up.body.reader = NULL;
    u->arena = NULL;
    u->head = NULL;
    u->head_len = u->head_cap = u->head_resume = 0;
    u->interim = 0;
    u->answered = u->head_done = u->paused = false;
    u->framing = (struct h1_body){0};
    if (u->tls)
        tls_idle(u->tls);
}

// The last final event has come: nothing of the kernel points here.
void upstream_conn__finish(struct upstream_conn *u)
{
    struct net_core *core = u->side->core;
    if (ring_op_busy(&u->recv_op) || ring_op_busy(&u->send_op))
        return;
    if (u->h2 && !upstream_h2__free(u))
        return;
    tls_free(u->tls);
    if (u->fd >= 0)
        ring_close(core->ring, u->fd);
    list_remove(&u->link);
    pool_put(&core->upstreams, u);
    net__trim_soon(core);
}

void upstream_conn__close(struct upstream_conn *u)
{
    struct ring *ring = u->side->core->ring;
    struct origin_pool *pool = u->pool;
    ASSERT(!u->part_out);
    if (u->state == UPSTREAM_IDLE)
        origin_pool__forget_idle(u);
    upstream_conn__set_state(u, UPSTREAM_CLOSING);
    if (u->h2)
        upstream_h2__lost(u->h2);
    ring_timer_clear(ring, &u->timer);
    ring_undefer(ring, &u->task);
    ring_bufs_unwait(&u->bufs_waiter);
    upstream_inbox__drop(u);
    u->caller = NULL;
    u->pool = NULL;
    ring_cancel(ring, &u->recv_op);
    ring_cancel(ring, &u->send_op);
    upstream_conn__finish(u);
    if (pool)
        origin_pool__slot_free(pool);
}

// ---- What an event means in each state -------------------------------------------------------

static void wake_caller(struct upstream_conn *u)
{
    if (u->caller)
        fiber_wake(u->caller);
}

static bool is_over(const struct upstream_conn *u)
{
    return u->eof || u->broken || u->err != 0;
}

static void handshake_step(struct upstream_conn *u);

static void progress(struct upstream_conn *u)
{
    switch (u->state) {
    case UPSTREAM_HANDSHAKE:
        handshake_step(u);
        break;
    case UPSTREAM_PROXY:
        upstream_conn__receive(u);
        wake_caller(u);
        break;
    case UPSTREAM_SEND:
    case UPSTREAM_WAITING:
        if (!u->head_done && u->arena)
            upstream_answer__progress(u);
        if (u->head_done || is_over(u))
            wake_caller(u);
        upstream_conn__credit(u);
        break;
    case UPSTREAM_BODY:
        upstream_conn__credit(u);
        body_wake(&u->up.body);
        break;
    case UPSTREAM_IDLE:
        if (u->inbox.bytes > 0 || is_over(u))
            upstream_conn__close(u);
        else
            upstream_conn__receive(u); // a pause that ended only now
        break;
    case UPSTREAM_H2:
        if (is_over(u))
            upstream_conn__close(u);
        else
            upstream_conn__receive(u);
        break;
    case UPSTREAM_CLOSING:
        upstream_conn__finish(u);
        break;
    default:
        ASSERT(!"no event belongs to this state");
    }
}

// ---- Receiving -------------------------------------------------------------------------------

static void on_received(struct ring *ring, struct ring_op *op, const struct ring_event *event);

static void on_bufs(struct ring *ring, struct ring_bufs_waiter *waiter)
{
    struct upstream_conn *u = container_of(waiter, struct upstream_conn, bufs_waiter);
    (void)ring;
    u->starved = false;
    upstream_conn__receive(u);
}

void upstream_conn__receive(struct upstream_conn *u)
{
    struct net_core *core = u->side->core;
    if (u->state == UPSTREAM_CLOSING || ring_op_busy(&u->recv_op))
        return;
    if (u->paused || u->starved || u->eof || u->broken)
        return;
    ring_recv(core->ring, &u->recv_op, on_received, u->fd, core->upstream_bufs);
}

void upstream_conn__credit(struct upstream_conn *u)
{
    size_t undelivered = u->inbox.bytes + u->part_bytes;
    if (!u->paused && undelivered >= BODY_CREDIT_BYTES) {
        u->paused = true;
        ring_cancel(u->side->core->ring, &u->recv_op);
    } else if (u->paused && undelivered < BODY_CREDIT_BYTES / 2) {
        u->paused = false;
    }
    upstream_conn__receive(u);
}

// A record that does not open is the end of the connection, like a reset.
static void take_sealed(struct upstream_conn *u, struct slice sealed)
{
    tls_feed(u->tls, sealed);
    if (u->state == UPSTREAM_HANDSHAKE)
        handshake_step(u);
    if (u->state == UPSTREAM_HANDSHAKE)
        return;
    int rc = upstream_inbox__add_opened(u); // tickets may lie behind the handshake
    if (rc == ERR_NOMEM)
        u->err = rc;
    else if (rc != 0)
        u->broken = true;
}

static void take_loan(struct upstream_conn *u, struct ring_loan loan)
{
    if (u->state == UPSTREAM_CLOSING || u->eof || u->broken || u->err != 0) {
        ring_loan_put(&loan);
        return;
    }
    if (u->h2) {
        upstream_h2__take(u->h2, slice_of(loan.ptr, loan.len));
        ring_loan_put(&loan);
    } else if (u->tls) {
        take_sealed(u, slice_of(loan.ptr, loan.len));
        ring_loan_put(&loan);
    } else {
        int rc = upstream_inbox__add_loan(u, loan);
        if (rc != 0)
            u->err = rc;
    }
    if (ring_bufs_low(u->side->core->upstream_bufs))
        upstream_inbox__spill_lenders(u->side);
}

// Why receiving ended. A pause of ours (-ECANCELED) is no end.
static void receive_ended(struct upstream_conn *u, int res)
{
    struct ring_bufs *bufs = u->side->core->upstream_bufs;
    if (res == 0) {
        u->eof = true;
    } else if (res == -ENOBUFS && u->state != UPSTREAM_CLOSING) {
        u->starved = true;
        u->bufs_waiter.fn = on_bufs;
        ring_bufs_wait(bufs, &u->bufs_waiter);
        upstream_inbox__spill_lenders(u->side);
    } else if (res != -ECANCELED && res != -ENOBUFS) {
        u->broken = true;
    }
}

static void on_received(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct upstream_conn *u = container_of(op, struct upstream_conn, recv_op);
    (void)ring;
    if (event->loan.bufs)
        take_loan(u, event->loan);
    if (event->final)
        receive_ended(u, event->res);
    progress(u);
}

// ---- Sending ---------------------------------------------------------------------------------

static void submit_send(struct upstream_conn *u);

// Moves the request's cursor forward.
static void request_advance(struct upstream_conn *u, size_t bytes)
{
    while (bytes > 0) {
        ASSERT(u->iov_count > 0);
        size_t n = u->iov->iov_len - u->iov_offset;
        if (n > bytes) {
            u->iov_offset += bytes;
            return;
        }
        bytes -= n;
        u->iov++;
        u->iov_count--;
        u->iov_offset = 0;
    }
    while (u->iov_count > 0 && u->iov->iov_len == u->iov_offset) { // runs of no bytes
        u->iov++;
        u->iov_count--;
        u->iov_offset = 0;
    }
}

static void request_drop(struct upstream_conn *u)
{
    u->iov = NULL;
    u->iov_count = 0;
    u->iov_offset = 0;
}

// The request's next runs, UPSTREAM_SLICE_BYTES at most. Returns how many.
static unsigned request_slice(const struct upstream_conn *u, struct iovec *slice, unsigned max,
                              size_t *ret_bytes)
{
    unsigned n = 0;
    size_t bytes = 0;
    ASSERT(u->iov_count > 0);
    for (; n < u->iov_count && n < max && bytes < UPSTREAM_SLICE_BYTES; n++) {
        size_t skip = n == 0 ? u->iov_offset : 0;
        size_t len = u->iov[n].iov_len - skip;
        if (len > UPSTREAM_SLICE_BYTES - bytes)
            len = UPSTREAM_SLICE_BYTES - bytes;
        slice[n] = (struct iovec){(char *)u->iov[n].iov_base + skip, len};
        bytes += len;
    }
    *ret_bytes = bytes;
    return n;
}

// Seals the next slice of the request behind what the output still holds.
static int request_seal(struct upstream_conn *u)
{
    struct iovec slice[UPSTREAM_SEAL_IOV];
    size_t bytes = 0;
    unsigned n = request_slice(u, slice, UPSTREAM_SEAL_IOV, &bytes);
    ASSERT(n > 0);
    int rc = tls_write(u->tls, slice, n);
    if (rc == 0)
        request_advance(u, bytes);
    return rc;
}

static void give_send_back(struct upstream_conn *u)
{
    pool_put(&u->side->sends, u->send);
    u->send = NULL;
}

static void send_ended(struct upstream_conn *u, int res)
{
    give_send_back(u);
    fiber_wait_done(&u->flushed, res);
    if (res < 0) {
        u->send_failed = true;
        request_drop(u);
    } else if (u->tls) {
        tls_output_sent(u->tls, u->out_bytes);
    } else if (u->iov) { // the request may have been dropped while its last bytes went out
        request_advance(u, u->out_bytes);
    }
    u->out_bytes = 0;
}

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct upstream_conn *u = container_of(op, struct upstream_conn, send_op);
    ASSERT(event->final);
    send_ended(u, event->res);
    if (u->state == UPSTREAM_CLOSING) {
        upstream_conn__finish(u);
        return;
    }
    if (u->h2) { // the handshake's last words
        upstream_h2__want_output(u->h2);
        return;
    }
    submit_send(u);
    if (u->state == UPSTREAM_SEND && ring_timer_is_set(&u->timer))
        upstream_conn__watch_send(u); // some of it went: the time starts again
    if (u->state == UPSTREAM_BODY && upstream_conn__sent(u))
        wake_caller(u);
    if (u->state == UPSTREAM_SEND && upstream_conn__sent(u)) {
        ring_timer_clear(ring, &u->timer);
        upstream_conn__set_state(u, UPSTREAM_WAITING);
        if (u->head_done)
            wake_caller(u);
    }
}

static void on_send_stalled(struct ring *ring, struct ring_timer *timer)
{
    struct upstream_conn *u = container_of(timer, struct upstream_conn, timer);
    (void)ring;
    ASSERT(u->state == UPSTREAM_SEND);
    u->send_stalled = true;
    wake_caller(u);
}

void upstream_conn__watch_send(struct upstream_conn *u)
{
    struct ring *ring = u->side->core->ring;
    ASSERT(u->state == UPSTREAM_SEND);
    ring_timer_set(ring, &u->timer, mono_add_ms(ring_now(ring), LIMIT_UPSTREAM_STALL_MS),
                   on_send_stalled);
}

static void send_failed(struct upstream_conn *u)
{
    u->send_failed = true;
    request_drop(u);
}

// What goes out next into u->send: for TLS the output, sealing the next slice when it is empty.
// False: nothing, or no more.
static bool fill_send(struct upstream_conn *u)
{
    struct upstream_send *s = u->send;
    unsigned n = 0;
    if (!u->tls) {
        n = u->iov_count > 0 ? request_slice(u, s->iov, UPSTREAM_OUT_IOV, &u->out_bytes) : 0;
    } else {
        n = tls_output_iov(u->tls, s->iov, UPSTREAM_OUT_IOV);
        if (u->iov_count > 0 && n < UPSTREAM_OUT_IOV) {
            if (n <= 1 && request_seal(u) != 0) {
                send_failed(u);
                return false;
            }
            n = tls_output_iov(u->tls, s->iov, UPSTREAM_OUT_IOV);
        }
        for (unsigned i = 0; i < n; i++)
            u->out_bytes += s->iov[i].iov_len;
    }
    s->msg = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = n};
    return n > 0;
}

static void submit_send(struct upstream_conn *u)
{
    if (ring_op_busy(&u->send_op) || u->send_failed)
        return;
    ASSERT(!u->send);
    u->send = pool_get(&u->side->sends);
    if (!u->send) {
        send_failed(u);
        return;
    }
    if (!fill_send(u)) {
        give_send_back(u);
        return;
    }
    fiber_wait_begin(&u->flushed);
    ring_sendmsg(u->side->core->ring, &u->send_op, on_sent, u->fd, &u->send->msg);
}

void upstream_conn__send_more(struct upstream_conn *u, const struct iovec *iov, unsigned count)
{
    ASSERT(u->state == UPSTREAM_BODY && upstream_conn__sent(u));
    u->iov = iov;
    u->iov_count = count;
    u->iov_offset = 0;
    request_advance(u, 0);
    submit_send(u);
}

bool upstream_conn__sent(const struct upstream_conn *u)
{
    if (ring_op_busy(&u->send_op))
        return false;
    return u->send_failed || u->iov_count == 0;
}

void upstream_conn__send(struct upstream_conn *u)
{
    ASSERT(u->state == UPSTREAM_SEND);
    u->iov_offset = 0;
    request_advance(u, 0);
    submit_send(u);
    if (upstream_conn__sent(u))
        upstream_conn__set_state(u, UPSTREAM_WAITING);
}

int upstream_conn__say(struct upstream_conn *u, struct slice bytes)
{
    const struct iovec run = {(char *)(uintptr_t)bytes.ptr, bytes.len};
    ASSERT(u->state == UPSTREAM_PROXY);
    int rc = tls_write(u->tls, &run, 1);
    if (rc == 0)
        submit_send(u);
    return rc;
}

void upstream_conn__stop_send_await(struct upstream_conn *u, struct fiber *self)
{
    request_drop(u);
    if (!ring_op_busy(&u->send_op))
        return;
    // What is on the wire is no whole request, or nobody knows; said first, because the send may
    // end well before the cancellation reaches it, and nothing may follow it.
    u->send_failed = true;
    ring_cancel(u->side->core->ring, &u->send_op);
    (void)fiber_wait_shielded_await(&u->flushed, self);
    ASSERT(!ring_op_busy(&u->send_op));
}

// ---- TLS -------------------------------------------------------------------------------------

static void handshake_step(struct upstream_conn *u)
{
    ASSERT(u->state == UPSTREAM_HANDSHAKE);
    int rc = tls_handshake(u->tls);
    if (rc == ERR_MORE && (u->eof || u->broken || u->send_failed))
        rc = ERR_TLS;
    if (rc == 0)
        upstream_conn__set_state(u, u->proxy_first ? UPSTREAM_PROXY : UPSTREAM_SEND);
    else if (rc != ERR_MORE)
        u->err = rc;
    // At the end the Finished waits for the request: one send carries both.
    if (rc != 0)
        submit_send(u);
    if (rc != ERR_MORE)
        wake_caller(u);
}

static void on_start(struct ring *ring, struct ring_task *task)
{
    struct upstream_conn *u = container_of(task, struct upstream_conn, task);
    (void)ring;
    upstream_conn__receive(u);
    handshake_step(u);
}

// Public-key arithmetic wants more stack than a fiber has.
void upstream_conn__start_handshake(struct upstream_conn *u)
{
    ASSERT(u->state == UPSTREAM_HANDSHAKE);
    ring_defer(u->side->core->ring, &u->task, on_start);
}
