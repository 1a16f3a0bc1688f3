// SPDX-License-Identifier: Apache-2.0
//
// conn.c: one connection of the mock, plain or TLS. The states are drawn in mock.h.
#include "base/assert.h"
#include "base/err.h"
#include "bench/mock/mock.h"
#include "net/h1.h"
#include "net/limits.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum conn_state { CONN_READING, CONN_WAITING, CONN_ANSWERING, CONN_CLOSING, CONN_STATE_COUNT };

// Events of an unpaced stream rendered at once; bounds one turn.
#define EVENTS_PER_SEND 64

struct conn {
    struct mock_core *core;
    struct tls *tls; // NULL when plain
    int fd;
    enum conn_state state;
    struct ring_op recv;
    struct ring_op send;
    struct ring_timer timer;
    struct ring_bufs_waiter buffers;
    struct buf in;
    struct buf out; // being sent when plain; sealed from when TLS
    size_t head_resume;
    struct mock_script script;
    unsigned next_event;
    struct mono next_at; // when a paced event is due
    bool close_after;    // what is being sent is the last
};

size_t mock_conn_bytes(void)
{
    return sizeof(struct conn);
}

static void go_on(struct conn *c);
static void receive(struct conn *c);

static void set_state(struct conn *c, enum conn_state to)
{
    static const unsigned FROM[CONN_STATE_COUNT] = {
        [CONN_READING] = 1u << CONN_ANSWERING,
        [CONN_WAITING] = 1u << CONN_READING,
        [CONN_ANSWERING] = 1u << CONN_WAITING,
        [CONN_CLOSING] = 1u << CONN_READING | 1u << CONN_WAITING | 1u << CONN_ANSWERING,
    };
    ASSERT(FROM[to] & 1u << c->state);
    c->state = to;
}

static void free_when_idle(struct conn *c)
{
    ASSERT(c->state == CONN_CLOSING);
    if (ring_op_busy(&c->recv) || ring_op_busy(&c->send))
        return;
    ring_bufs_unwait(&c->buffers);
    ring_timer_clear(c->core->ring, &c->timer);
    ring_close(c->core->ring, c->fd);
    tls_free(c->tls);
    buf_done(&c->in);
    buf_done(&c->out);
    pool_put(&c->core->conns, c);
}

static void close_conn(struct conn *c)
{
    if (c->state == CONN_CLOSING)
        return;
    set_state(c, CONN_CLOSING);
    ring_shutdown(c->core->ring, c->fd);
    ring_cancel(c->core->ring, &c->recv);
    free_when_idle(c);
}

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct conn *c = container_of(op, struct conn, send);
    if (!event->final)
        return;
    if (event->res > 0 && c->tls)
        tls_output_sent(c->tls, (size_t)event->res);
    if (c->state == CONN_CLOSING) {
        free_when_idle(c);
        return;
    }
    if (event->res < 0) {
        close_conn(c);
        return;
    }
    if (!c->tls)
        buf_reset(&c->out);
    go_on(c);
}

// Sends what is in `out` or waits in the session; true when a send is in flight.
static bool flush(struct conn *c)
{
    if (c->tls && c->out.len > 0) {
        struct iovec iov = {.iov_base = c->out.ptr, .iov_len = c->out.len};
        if (tls_write(c->tls, &iov, 1) != 0)
            return false;
        buf_reset(&c->out);
    }
    struct slice bytes = c->tls ? tls_output(c->tls) : buf_slice(&c->out);
    if (bytes.len == 0 || ring_op_busy(&c->send))
        return ring_op_busy(&c->send);
    ring_send(c->core->ring, &c->send, on_sent, c->fd, bytes.ptr, bytes.len);
    return true;
}

static void on_pace(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    struct conn *c = container_of(timer, struct conn, timer);
    go_on(c);
}

// Renders the next piece of the answer; false when the answer is complete or waits for its pace.
static bool render_events(struct conn *c)
{
    const struct mock_script *s = &c->script;
    if (!s->stream || s->status != 200 || c->next_event > s->events)
        return false;
    unsigned n = s->pace_us > 0 ? 1 : EVENTS_PER_SEND;
    unsigned to = c->next_event + n > s->events + 1 ? s->events + 1 : c->next_event + n;
    mock_events(s, c->next_event, to, &c->out);
    c->next_event = to;
    if (s->fault == MOCK_FAULT_CUT && to > s->events / 2) {
        c->out.len -= c->out.len > 40 ? 40 : 0;
        c->close_after = true;
    }
    return true;
}

static void finish_answer(struct conn *c)
{
    set_state(c, CONN_READING);
    c->next_event = 0;
    go_on(c);
}

static void start_answer(struct conn *c)
{
    set_state(c, CONN_ANSWERING);
    if (c->script.fault == MOCK_FAULT_STALL)
        return;
    if (c->script.fault == MOCK_FAULT_HANGUP) {
        close_conn(c);
        return;
    }
    mock_answer(&c->script, &c->out);
    if (c->script.fault == MOCK_FAULT_CUT && !c->script.stream) {
        c->out.len -= c->script.size / 2 < c->out.len ? c->script.size / 2 : 1;
        c->close_after = true;
    }
    c->next_at.ns = ring_now(c->core->ring).ns + c->script.pace_us * NS_PER_US;
    render_events(c);
    flush(c);
}

// A send ended or the pace timer fired.
static void continue_answer(struct conn *c)
{
    if (c->close_after) {
        close_conn(c);
        return;
    }
    bool more = c->script.stream && c->script.status == 200 && c->next_event <= c->script.events;
    if (!more) {
        finish_answer(c);
        return;
    }
    if (c->script.pace_us > 0) {
        struct ring *ring = c->core->ring;
        if (mono_before(ring_now(ring), c->next_at)) {
            ring_timer_set(ring, &c->timer, c->next_at, on_pace);
            return;
        }
        c->next_at.ns += c->script.pace_us * NS_PER_US;
    }
    render_events(c);
    flush(c);
}

static void on_latency(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    start_answer(container_of(timer, struct conn, timer));
}

// Bytes of the body by the head's Content-Length; 0 when it has none.
static size_t body_bytes(struct slice head)
{
    ptrdiff_t at = slice_ifind(head, SLICE("\r\ncontent-length:"));
    uint64_t n = 0;
    if (at < 0)
        return 0;
    struct slice line = slice_skip(head, (size_t)at + 17);
    ptrdiff_t end = slice_find_char(line, '\r');
    if (end < 0 || slice_to_u64(slice_trim(slice_take(line, (size_t)end)), &n) != 0)
        return 0;
    return n > MOCK_REQUEST_BYTES_MAX ? MOCK_REQUEST_BYTES_MAX : (size_t)n;
}

// Takes a whole request off the input when it is there.
static void read_request(struct conn *c)
{
    ptrdiff_t head = h1_head_end(buf_slice(&c->in), LIMIT_HEAD_BYTES, &c->head_resume);
    if (head == ERR_MORE)
        return;
    if (head < 0) {
        close_conn(c);
        return;
    }
    struct slice text = slice_of(c->in.ptr, (size_t)head);
    size_t body = body_bytes(text);
    if (c->in.len < (size_t)head + body)
        return;
    ptrdiff_t sp = slice_find_char(text, ' ');
    struct slice path = slice_skip(text, sp < 0 ? 0 : (size_t)sp + 1);
    ptrdiff_t end = slice_find_char(path, ' ');
    path = slice_take(path, end < 0 ? 0 : (size_t)end);
    mock_script_read(path, slice_of(c->in.ptr + head, body), &c->script);
    c->script.seed = prng_next(&c->core->prng);
    size_t used = (size_t)head + body;
    memmove(c->in.ptr, c->in.ptr + used, c->in.len - used);
    c->in.len -= used;
    c->head_resume = 0;
    set_state(c, CONN_WAITING);
    if (c->script.latency_ms == 0)
        start_answer(c);
    else
        ring_timer_set(c->core->ring, &c->timer,
                       mono_add_ms(ring_now(c->core->ring), c->script.latency_ms), on_latency);
}

static void go_on(struct conn *c)
{
    if (flush(c))
        return;
    if (c->state == CONN_ANSWERING)
        continue_answer(c);
    else if (c->state == CONN_READING && c->in.len > 0)
        read_request(c);
}

// Ciphertext to input. False: the connection is over.
static bool unseal(struct conn *c, struct slice bytes)
{
    char plain[16384];
    tls_feed(c->tls, bytes);
    if (!tls_ready(c->tls)) {
        int err = tls_handshake(c->tls);
        if (err != 0 && err != ERR_MORE)
            return false;
        if (err == ERR_MORE)
            return true;
    }
    for (;;) {
        ptrdiff_t n = tls_read(c->tls, plain, sizeof(plain));
        if (n == ERR_MORE)
            return true;
        if (n <= 0)
            return false;
        buf_add(&c->in, slice_of(plain, (size_t)n));
    }
}

static void on_buffers(struct ring *ring, struct ring_bufs_waiter *waiter)
{
    (void)ring;
    struct conn *c = container_of(waiter, struct conn, buffers);
    if (c->state != CONN_CLOSING)
        receive(c);
}

static void on_received(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct conn *c = container_of(op, struct conn, recv);
    struct ring_loan loan = event->loan;
    if (c->state == CONN_CLOSING || event->res <= 0) {
        ring_loan_put(&loan);
        if (c->state == CONN_CLOSING)
            free_when_idle(c);
        else if (event->res == -ENOBUFS)
            ring_bufs_wait(c->core->bufs, &c->buffers);
        else
            close_conn(c);
        return;
    }
    struct slice bytes = slice_of(loan.ptr, loan.len);
    bool good = true;
    if (c->tls)
        good = unseal(c, bytes);
    else
        buf_add(&c->in, bytes);
    ring_loan_put(&loan);
    if (!good || c->in.err != 0) {
        close_conn(c);
        return;
    }
    if (event->final)
        receive(c);
    if (c->state == CONN_READING)
        go_on(c);
    else if (c->tls)
        flush(c);
}

static void receive(struct conn *c)
{
    ring_recv(c->core->ring, &c->recv, on_received, c->fd, c->core->bufs);
}

void mock_conn_open(struct mock_core *core, int fd, bool tls)
{
    struct conn *c = pool_get(&core->conns);
    int on = 1;
    if (!c) {
        ring_close(core->ring, fd);
        return;
    }
    c->core = core;
    c->fd = fd;
    buf_init(&c->in, MOCK_REQUEST_BYTES_MAX);
    buf_init(&c->out, MOCK_REQUEST_BYTES_MAX);
    list_init(&c->buffers.link);
    c->buffers.fn = on_buffers;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tls && tls_new(core->tls, SLICE_EMPTY, &c->tls) != 0) {
        close_conn(c);
        return;
    }
    receive(c);
}
