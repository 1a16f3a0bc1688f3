// SPDX-License-Identifier: Apache-2.0
//
// h1_conn.c: a client's HTTP/1 connection: its states, what it receives, when it ends.
//
// (The states are drawn in net_internal.h.)
//
// One receive at most is armed, and which one follows from the state alone (`wanted`). Whoever
// changes something that bears on it calls h1_conn__aim; when the armed receive is another one it
// is cancelled and its final event aims again. So there is one place that arms, and none that
// forgets.
//
// Received bytes are offered to the state while they still lie in the ring's buffer (`take`). What
// it cannot take now (a partial head, requests behind the one being served) is copied into `held`
// and the buffer goes back. One exception saves that copy for every keep-alive client that is
// quick: when the answer has left and only the fiber's last steps of this turn are missing, the
// loan itself is kept until the deferred task that starts the next request.
//
// The client's FIN or reset while it is served cancels the fiber, unless the whole answer has been
// handed to the socket: then there is nothing left to cancel for.
//
// Heads, bodies and sends that are slow are judged window by window (pace.h).
//
// There is one timer. `deadline` is what counts; the timer fires at it or earlier and aims again,
// so moving a deadline further away costs an assignment.
//
// Freeing is left to a task at the end of the turn: any function may close the connection and still
// look at it.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/tls.h"
#include <errno.h>
#include <sys/socket.h>

// Bytes that may still come after the multishot receive was cancelled: what the kernel can put into
// the whole group before we see any of it, measured as exactly that, and as much again for the
// batch under way. Memory beyond LIMIT_PIPELINE_BYTES counts against shared->body_bytes, so
// that many connections doing this at once meet the process's own bound.
#define OVERSHOOT_BYTES (2 * 1024 * 1024)

#define FROM(state) (1u << CONN_##state)

static const unsigned legal_from[CONN_STATE_COUNT] = {
    [CONN_PROXY] = 0,
    [CONN_HANDSHAKE] = FROM(PROXY),
    [CONN_IDLE] = FROM(PROXY) | FROM(HANDSHAKE) | FROM(IDLE) | FROM(SERVE) | FROM(DRAIN),
    [CONN_HEAD] = FROM(IDLE),
    [CONN_SERVE] = FROM(HEAD),
    [CONN_H2] = FROM(HEAD),
    [CONN_DRAIN] = FROM(SERVE),
    [CONN_REFUSE] = FROM(HANDSHAKE) | FROM(HEAD) | FROM(SERVE),
    [CONN_LINGER] = FROM(HANDSHAKE) | FROM(SERVE) | FROM(H2) | FROM(REFUSE),
    [CONN_CLOSING] = FROM(CLOSING) - 1, // any before it
    [CONN_CLOSED] = FROM(CLOSING),
};

void h1_conn__set_state(struct h1_conn *c, enum conn_state next)
{
    ASSERT(next < CONN_STATE_COUNT);
    ASSERT(legal_from[next] & (1u << c->state));
    c->state = (uint8_t)next;
}

static struct ring *ring_of(const struct h1_conn *c)
{
    return c->stream.core->ring;
}

// ---- Held bytes ------------------------------------------------------------------------------

struct buf h1_conn__take_held(struct h1_conn *c)
{
    struct buf all = c->held;
    if (c->held_counted > 0)
        admit_bytes_sub(c->stream.core, c->held_counted);
    c->held_counted = 0;
    buf_init(&c->held, all.max);
    c->held_at = 0;
    return all;
}

static void held_free(struct h1_conn *c)
{
    struct buf all = h1_conn__take_held(c);
    buf_done(&all);
}

// Counts memory beyond LIMIT_PIPELINE_BYTES; false when the process holds too much.
static bool held_count(struct h1_conn *c)
{
    if (c->held.cap <= LIMIT_PIPELINE_BYTES || c->held.cap == c->held_counted)
        return true;
    size_t more = c->held.cap - c->held_counted;
    admit_bytes_add(c->stream.core, more);
    c->held_counted = c->held.cap;
    return !admit_is_full(c->stream.core);
}

// ---- The end ---------------------------------------------------------------------------------

static void free_task(struct ring *ring, struct ring_task *task)
{
    struct h1_conn *c = container_of(task, struct h1_conn, task);
    struct net_core *core = c->stream.core;
    ASSERT(c->state == CONN_CLOSED && !ring_op_busy(&c->recv) && !ring_op_busy(&c->send));
    ring_close(ring, c->fd);
    h2_conn__free(c);
    tls_free(c->tls);
    list_remove(&c->link);
    admit_leave(&core->shared->addresses, &c->address);
    pool_put(&core->conns, c);
    counter_add(&core->stats.closed, 1);
    atomic_fetch_sub_explicit(&core->stats.connections, 1, memory_order_relaxed);
    net__load_add(core, -1);
    net__trim_soon(core);
}

static void close_step(struct h1_conn *c)
{
    if (c->state != CONN_CLOSING || ring_op_busy(&c->recv) || ring_op_busy(&c->send))
        return;
    if (c->h2 && !h2_conn__is_empty(c))
        return;
    h1_conn__set_state(c, CONN_CLOSED);
    h1_request__reset(c);
    arena_done(&c->stream.arena);
    arena_done(&c->stream.early);
    ring_undefer(ring_of(c), &c->task);
    ring_defer(ring_of(c), &c->task, free_task);
}

void h1_conn__closed_send(struct h1_conn *c)
{
    ASSERT(c->state == CONN_CLOSING);
    close_step(c);
}

void h1_conn__close(struct h1_conn *c, bool reset)
{
    struct ring *ring = ring_of(c);
    if (c->state >= CONN_CLOSING)
        return;
    if (!reset)
        h1_tls__notify(c);
    if (c->state == CONN_HANDSHAKE)
        h1_tls__abandon(c);
    h1_conn__set_state(c, CONN_CLOSING);
    if (reset) {
        struct linger hard = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    }
    if (c->h2)
        h2_conn__lost(c);
    ring_timer_clear(ring, &c->timer);
    ring_bufs_unwait(&c->starved);
    ring_loan_put(&c->loan);
    held_free(c);
    h1_conn__aim(c); // cancels the receive
    ring_cancel(ring, &c->send);
    close_step(c);
}

void h1_conn__linger(struct h1_conn *c)
{
    h1_conn__set_state(c, CONN_LINGER);
    h1_request__reset(c);
    ring_loan_put(&c->loan);
    held_free(c);
    h1_tls__notify(c);
    (void)shutdown(c->fd, SHUT_WR);
    if (c->fin) {
        h1_conn__close(c, false);
        return;
    }
    h1_conn__deadline(c, LIMIT_LINGER_MS);
    h1_conn__aim(c);
}

void h1_conn__gone(struct h1_conn *c)
{
    ASSERT(c->state == CONN_SERVE);
    if (c->stream.gone)
        return;
    c->stream.gone = true;
    c->keep = false;
    h1_request__fail(c, ERR_CLIENT_GONE);
    if (c->stream.fiber)
        fiber_cancel(c->stream.fiber, ERR_CLIENT_GONE);
    if (c->upgraded)
        body_wake(&c->stream.body);
}

// ---- Deadlines -------------------------------------------------------------------------------

// Input goes on fast enough, so another window of it is granted.
static bool goes_on(struct h1_conn *c, unsigned rate, unsigned ms, enum net_shed otherwise)
{
    if (!c->turned_away && pace_kept(&c->pace, rate, ms)) {
        h1_conn__deadline(c, ms);
        return true;
    }
    net__count_shed(c->stream.core, otherwise);
    return false;
}

// The same for a send that has not ended.
static bool is_read(struct h1_conn *c)
{
    const struct net_options *o = &c->stream.core->options;
    if (pace_reads(&c->pace, c->fd, o->send_rate, o->send_ms)) {
        h1_conn__deadline(c, pace_half_ms(o->send_ms));
        return true;
    }
    net__count_shed(c->stream.core, NET_SHED_SLOW_READ);
    return false;
}

// True: not yet.
static bool is_granted(struct h1_conn *c)
{
    const struct net_options *o = &c->stream.core->options;
    if (c->state == CONN_HEAD)
        return goes_on(c, o->head_rate, o->head_ms, NET_SHED_SLOW_HEAD);
    if (c->state == CONN_SERVE && ring_op_busy(&c->send))
        return is_read(c);
    if (c->state == CONN_SERVE && c->reader)
        return goes_on(c, o->body_rate, o->body_ms, NET_SHED_SLOW_BODY);
    return false;
}

static void on_deadline(struct h1_conn *c)
{
    if (c->state == CONN_H2) {
        h2_conn__on_deadline(c);
        return;
    }
    if (is_granted(c))
        return;
    counter_add(&c->stream.core->stats.timeouts, 1);
    switch ((enum conn_state)c->state) {
    case CONN_PROXY:
        h1_proxy__abandon(c, PROXY_FAILURE_TIMEOUT);
        return;
    case CONN_HANDSHAKE:
        c->tls_failure = TLS_FAILURE_TIMEOUT;
        h1_conn__close(c, false);
        return;
    case CONN_HEAD:
        h1_answer__refuse(c, ERR_CLIENT_TIMEOUT);
        return;
    case CONN_SERVE:
        if (ring_op_busy(&c->send)) {
            c->torn = true;
            h1_conn__gone(c); // it reads nothing: the same as having left
            ring_cancel(ring_of(c), &c->send);
        } else if (c->reader) {
            h1_request__fail(c, ERR_CLIENT_TIMEOUT);
        }
        return;
    default:
        h1_conn__close(c, c->state == CONN_REFUSE);
    }
}

static void on_timer(struct ring *ring, struct ring_timer *timer)
{
    struct h1_conn *c = container_of(timer, struct h1_conn, timer);
    if (c->deadline.ns == 0 || c->deadline.ns == MONO_NEVER.ns)
        return;
    if (mono_before(ring_now(ring), c->deadline)) {
        ring_timer_set(ring, &c->timer, c->deadline, on_timer);
        return;
    }
    c->deadline = MONO_NEVER;
    on_deadline(c);
}

void h1_conn__deadline(struct h1_conn *c, unsigned ms)
{
    struct ring *ring = ring_of(c);
    c->deadline = mono_add_ms(ring_now(ring), ms);
    if (!ring_timer_is_set(&c->timer) || mono_before(c->deadline, c->timer.when))
        ring_timer_set(ring, &c->timer, c->deadline, on_timer);
}

// ---- Input -----------------------------------------------------------------------------------

void h1_conn__drop(struct h1_conn *c, struct slice *in)
{
    c->dropped += (uint32_t)in->len; // a loan: far below 4 GB
    *in = slice_skip(*in, in->len);
    if (c->dropped > LIMIT_LINGER_BYTES)
        h1_conn__close(c, false);
}

// Lets the state have what it can use; the rest stays in *in.
static void take(struct h1_conn *c, struct slice *in)
{
    while (in->len > 0) {
        switch ((enum conn_state)c->state) {
        case CONN_IDLE:
        case CONN_HEAD:
            if (!h1_request__take_head(c, in))
                return;
            break;
        case CONN_SERVE:
            h1_request__take_body(c, in);
            return;
        case CONN_H2:
            h2_conn__take(c, in);
            return;
        case CONN_DRAIN:
            h1_request__discard(c, in);
            if (!c->framing.complete)
                return;
            h1_conn__set_state(c, CONN_IDLE);
            break;
        case CONN_REFUSE:
        case CONN_LINGER:
            h1_conn__drop(c, in);
            return;
        default:
            *in = slice_skip(*in, in->len);
        }
    }
    if (c->state == CONN_IDLE)
        h1_conn__deadline(c, c->stream.core->options.idle_ms);
}

void h1_conn__hold(struct h1_conn *c, struct slice in)
{
    if (in.len == 0 || c->state >= CONN_CLOSING)
        return;
    if (c->held_at > 0) {
        memmove(c->held.ptr, c->held.ptr + c->held_at, h1_conn__held(c));
        c->held.len -= c->held_at;
        c->held_at = 0;
    }
    buf_add(&c->held, in);
    if (!c->held.err && held_count(c)) {
        if (c->upgraded)
            body_wake(&c->stream.body);
        return;
    }
    if (c->state == CONN_SERVE)
        h1_conn__gone(c);
    else
        h1_conn__close(c, true);
}

void h1_conn__feed_held(struct h1_conn *c)
{
    if (c->loan.bufs) {
        struct ring_loan loan = c->loan;
        c->loan = (struct ring_loan){0};
        if (c->secure)
            h1_tls__take(c, slice_of(loan.ptr, loan.len));
        else
            h1_conn__hold(c, slice_of(loan.ptr, loan.len));
        ring_loan_put(&loan);
    }
    if (h1_conn__held(c) == 0)
        return;
    struct slice in = slice_of(c->held.ptr + c->held_at, h1_conn__held(c));
    size_t before = in.len;
    take(c, &in);
    if (c->held.len == 0)
        return; // closed meanwhile
    c->held_at += before - in.len;
    if (h1_conn__held(c) == 0)
        held_free(c);
}

// True when the loan may wait for this turn's tasks instead of being copied.
static bool may_keep_loan(const struct h1_conn *c)
{
    return c->state == CONN_SERVE && !c->upgraded && c->answer == ANSWER_COMPLETE &&
           !ring_op_busy(&c->send) && c->framing.complete && !c->loan.bufs &&
           !ring_bufs_low(c->stream.core->client_bufs);
}

void h1_conn__offer(struct h1_conn *c, struct slice in)
{
    if (h1_conn__held(c) > 0) {
        h1_conn__hold(c, in);
        h1_conn__feed_held(c);
        return;
    }
    take(c, &in);
    h1_conn__hold(c, in);
}

static void on_sealed(struct h1_conn *c, struct ring_loan loan)
{
    struct ring_loan first = c->loan;
    if (!first.bufs && h1_conn__held(c) == 0 && may_keep_loan(c)) {
        c->loan = loan;
        return;
    }
    c->loan = (struct ring_loan){0};
    if (first.bufs)
        h1_tls__take(c, slice_of(first.ptr, first.len));
    ring_loan_put(&first);
    h1_tls__take(c, slice_of(loan.ptr, loan.len));
    ring_loan_put(&loan);
}

static void on_bytes(struct h1_conn *c, struct ring_loan loan)
{
    struct slice in = slice_of(loan.ptr, loan.len);
    pace_note(&c->pace, loan.len);
    if (c->state == CONN_PROXY) {
        h1_proxy__take(c, in);
        ring_loan_put(&loan);
        return;
    }
    if (c->secure) {
        on_sealed(c, loan);
        return;
    }
    if (h1_conn__held(c) > 0 || c->loan.bufs) {
        // Behind what waits already, in order.
        struct ring_loan first = c->loan;
        c->loan = (struct ring_loan){0};
        h1_conn__hold(c, slice_of(first.ptr, first.len));
        ring_loan_put(&first);
        h1_conn__hold(c, in);
        h1_conn__feed_held(c);
    } else {
        take(c, &in);
        if (in.len > 0 && may_keep_loan(c)) {
            loan.ptr += loan.len - in.len;
            loan.len = (uint32_t)in.len;
            c->loan = loan;
            return;
        }
        h1_conn__hold(c, in);
    }
    ring_loan_put(&loan);
}

static void input_task(struct ring *ring, struct ring_task *task)
{
    (void)ring;
    struct h1_conn *c = container_of(task, struct h1_conn, task);
    struct ring_loan loan = c->loan;
    if (loan.bufs) {
        c->loan = (struct ring_loan){0};
        on_bytes(c, loan);
    } else {
        h1_conn__feed_held(c);
    }
    h1_conn__aim(c);
}

void h1_conn__fin(struct h1_conn *c)
{
    c->fin = true;
    if (c->state == CONN_REFUSE)
        return; // its send decides
    if (c->state == CONN_H2) {
        h2_conn__fin(c);
        return;
    }
    if (c->state == CONN_PROXY) {
        h1_proxy__abandon(c, PROXY_FAILURE_CLOSED);
        return;
    }
    if (c->state != CONN_SERVE) {
        h1_conn__close(c, false);
        return;
    }
    if (c->upgraded)
        body_wake(&c->stream.body);
    else if (c->answer != ANSWER_COMPLETE)
        h1_conn__gone(c);
}

// ---- Receives --------------------------------------------------------------------------------

// A multishot receive takes all that has arrived into the group before we see a byte of it. Where
// the last body was large the next is likely to be: one receive brings its head, and the rest goes
// where it belongs without a copy.
static enum conn_receive wanted(const struct h1_conn *c)
{
    enum conn_receive into_buffers = c->large && !c->secure ? RECEIVE_ONE : RECEIVE_MULTI;
    if (c->fin || c->state >= CONN_CLOSING)
        return RECEIVE_NONE;
    if (c->state == CONN_HANDSHAKE && h1_conn__held(c) >= LIMIT_HELLO_BYTES)
        return RECEIVE_NONE; // until our flight is out
    if (c->state != CONN_SERVE)
        return into_buffers;
    if (c->body_err)
        return RECEIVE_NONE; // what comes is of no use; the answer and LINGER follow
    // Without a multishot receive to cancel, the rest of a large body is always better off in
    // place.
    bool singly = c->direct || (c->large && c->armed != RECEIVE_MULTI);
    bool in_place = !c->secure && c->framing.framing == H1_LENGTH && !c->framing.complete &&
                    (singly || c->framing.left >= RECEIVE_INTO_MIN);
    if (in_place && c->reader)
        return RECEIVE_INTO;
    if (in_place && c->large && c->answer == ANSWER_NONE)
        return RECEIVE_NONE; // the reader comes in this turn
    return h1_conn__held(c) >= LIMIT_PIPELINE_BYTES ? RECEIVE_NONE : into_buffers;
}

static void on_receive_final(struct h1_conn *c, int res)
{
    c->armed = RECEIVE_NONE;
    if (c->state == CONN_CLOSING) {
        close_step(c);
        return;
    }
    if (res == -ENOBUFS)
        ring_bufs_wait(c->stream.core->client_bufs, &c->starved);
    else if (res == 0 || (res < 0 && res != -ECANCELED))
        h1_conn__fin(c);
    h1_conn__aim(c);
}

static void on_recv(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct h1_conn *c = container_of(op, struct h1_conn, recv);
    if (event->loan.bufs)
        on_bytes(c, event->loan);
    if (event->final)
        on_receive_final(c, event->loan.bufs ? -ECANCELED : event->res);
    else
        h1_conn__aim(c);
}

static void on_recv_into(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct h1_conn *c = container_of(op, struct h1_conn, recv);
    ASSERT(event->final && c->state == CONN_SERVE);
    if (event->res > 0) {
        pace_note(&c->pace, (size_t)event->res);
        h1_request__received(c, (size_t)event->res);
    }
    if (c->body_err && c->reader)
        fiber_wake(c->reader); // it waits for this event
    on_receive_final(c, event->res > 0 ? -ECANCELED : event->res);
}

static void on_bufs(struct ring *ring, struct ring_bufs_waiter *waiter)
{
    (void)ring;
    h1_conn__aim(container_of(waiter, struct h1_conn, starved));
}

// How much of the body one receive in place may bring.
static size_t into_bytes(const struct h1_conn *c)
{
    return c->framing.left < RECEIVE_INTO_MAX ? (size_t)c->framing.left : RECEIVE_INTO_MAX;
}

void h1_conn__receive_now(struct h1_conn *c)
{
    if (ring_op_busy(&c->recv) || wanted(c) != RECEIVE_INTO)
        return;
    c->direct = true;
    size_t n = ring_recv_now(ring_of(c), c->fd, c->body + c->body_len, into_bytes(c));
    if (n > 0)
        h1_request__received(c, n);
}

void h1_conn__aim(struct h1_conn *c)
{
    enum conn_receive want = wanted(c);
    struct ring *ring = ring_of(c);
    if (ring_op_busy(&c->recv)) {
        if (c->armed != want && c->recv.state == RING_OP_PENDING)
            ring_cancel(ring, &c->recv);
        return;
    }
    if (want == RECEIVE_NONE || list_linked(&c->starved.link))
        return;
    c->armed = (uint8_t)want;
    struct ring_bufs *bufs = c->stream.core->client_bufs;
    if (want == RECEIVE_MULTI) {
        ring_recv(ring, &c->recv, on_recv, c->fd, bufs);
        return;
    }
    if (want == RECEIVE_ONE) {
        ring_recv_one(ring, &c->recv, on_recv, c->fd, bufs);
        return;
    }
    c->direct = true;
    ring_recv_into(ring, &c->recv, on_recv_into, c->fd, c->body + c->body_len, into_bytes(c));
}

// ---- The stream's end ------------------------------------------------------------------------

void h1_conn__next(struct h1_conn *c)
{
    h1_conn__set_state(c, CONN_IDLE);
    h1_request__reset(c);
    if (c->loan.bufs || h1_conn__held(c) > 0) {
        ring_defer(ring_of(c), &c->task, input_task);
        return;
    }
    h1_conn__deadline(c, c->turned_away ? LIMIT_LINGER_MS : c->stream.core->options.idle_ms);
    h1_conn__aim(c);
}

static void end(struct http_stream *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ASSERT(c->state == CONN_SERVE && !c->reader && !ring_op_busy(&c->send));
    bool whole = c->answer == ANSWER_COMPLETE;
    s->fiber = NULL;
    if (!whole || c->fin) {
        h1_conn__close(c, !whole);
        return;
    }
    if (!c->keep) {
        bool more = c->upgraded || !c->framing.complete || c->loan.bufs || h1_conn__held(c) > 0;
        if (more)
            h1_conn__linger(c);
        else
            h1_conn__close(c, false);
        return;
    }
    if (c->framing.complete) {
        h1_conn__next(c);
        return;
    }
    h1_conn__set_state(c, CONN_DRAIN);
    h1_request__reset(c);
    h1_conn__deadline(c, LIMIT_LINGER_MS);
    ring_defer(ring_of(c), &c->task, input_task);
}

static void refuse(struct http_stream *s, int err)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ASSERT(c->state == CONN_SERVE && !s->fiber);
    h1_answer__refuse(c, err);
}

// ---- Life ------------------------------------------------------------------------------------

static const struct http_stream_ops h1_ops = {
    .read_body_await = h1_request__read_await,
    .drop_body = h1_request__drop,
    .answer_await = h1_answer__begin_await,
    .write_await = h1_answer__write_await,
    .upgrade_await = h1_upgrade__await,
    .end = end,
    .refuse = refuse,
};

static void note_peer(struct h1_conn *c)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    struct ip ip;
    if (getpeername(c->fd, (struct sockaddr *)&address, &len) == 0 &&
        ip_of_sockaddr((struct sockaddr *)&address, &ip))
        ip_print(&ip, c->stream.peer);
}

void h1_conn__serve(struct h1_conn *c)
{
    if (!c->secure) {
        h1_conn__next(c);
        return;
    }
    if (c->state != CONN_HANDSHAKE)
        h1_conn__set_state(c, CONN_HANDSHAKE);
    h1_conn__deadline(c, c->turned_away ? LIMIT_LINGER_MS : c->stream.core->options.handshake_ms);
    h1_conn__aim(c);
}

int h1_conn__enter(struct h1_conn *c)
{
    struct net_core *core = c->stream.core;
    unsigned max = core->options.per_address_max;
    uint32_t n = admit_enter(&core->shared->addresses, c->stream.peer, &c->address);
    if (max == 0 || n <= max)
        return 0;
    net__count_shed(core, NET_SHED_ADDRESS);
    c->turned_away = true;
    return n - max <= net__turned_away_max(max) ? 0 : ERR_LIMIT;
}

static int open_conn(struct net_core *core, int fd, bool secure, bool turned_away)
{
    struct h1_conn *c = pool_get(&core->conns);
    if (!c)
        return ERR_NOMEM;
    c->fd = fd;
    c->stream.core = core;
    c->turned_away = turned_away;
    note_peer(c);
    bool proxied = net__proxy_wanted(core, secure);
    if (!proxied && h1_conn__enter(c) != 0) {
        admit_leave(&core->shared->addresses, &c->address);
        pool_put(&core->conns, c);
        return ERR_LIMIT;
    }
    size_t held_max = core->options.head_bytes_max > LIMIT_PIPELINE_BYTES
                          ? core->options.head_bytes_max
                          : LIMIT_PIPELINE_BYTES;
    c->secure = secure;
    c->stream.ops = &h1_ops;
    arena_init(&c->stream.arena, &core->blocks, LIMIT_EXCHANGE_BYTES);
    arena_init(&c->stream.early, &core->blocks, LIMIT_EXCHANGE_BYTES);
    buf_init(&c->held, held_max + OVERSHOOT_BYTES);
    list_init(&c->starved.link);
    c->starved.fn = on_bufs;
    list_push_back(&core->connections, &c->link);
    c->state = proxied ? CONN_PROXY : secure ? CONN_HANDSHAKE : CONN_IDLE;
    counter_add(&core->stats.accepted, 1);
    atomic_fetch_add_explicit(&core->stats.connections, 1, memory_order_relaxed);
    net__load_add(core, 1);
    net__trim_soon(core);
    if (proxied)
        h1_proxy__begin(c);
    else
        h1_conn__serve(c);
    return 0;
}

int h1_conn__open(struct net_core *core, int fd, bool secure)
{
    return open_conn(core, fd, secure, false);
}

int h1_conn__turn_away(struct net_core *core, int fd, bool secure)
{
    return open_conn(core, fd, secure, true);
}

void h1_conn__drain(struct h1_conn *c)
{
    if (c->state == CONN_PROXY || c->state == CONN_HANDSHAKE ||
        (c->state == CONN_IDLE && h1_conn__held(c) == 0 && !c->loan.bufs))
        h1_conn__close(c, false);
}

void h1_conn__tell_drain(struct h1_conn *c)
{
    if (c->state == CONN_SERVE && c->upgraded)
        body_wake(&c->stream.body);
}

void h1_conn__abort(struct h1_conn *c)
{
    if (c->state == CONN_SERVE)
        h1_conn__gone(c);
    else
        h1_conn__close(c, true);
}
