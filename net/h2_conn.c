// SPDX-License-Identifier: Apache-2.0
//
// h2_conn.c: a client's HTTP/2 connection on its socket.
//
// Input goes straight into the session; it is never held. Output is collected once a turn: whoever
// has something to say (a fiber that writes, the session that must acknowledge) asks for it, and
// the task that collects it runs behind the fibers that this turn has woken, so that
// acknowledgements, window updates and the events of every stream of this turn leave in one
// sendmsg. While a send is in flight nothing is collected; its completion collects what has become
// ready meanwhile.
//
//     page:  [ 64 iovecs | frames, small data … ]      larger data: where the fibers' spans lie
//
// On a TLS connection what was collected is sealed at once: fibers get their spans back before the
// send, and the page then holds the iovecs of the records. ALPN chooses h2 where the client offers
// it; what decides is the preface all the same, inside TLS as in clear text.
//
// A page is owned from collection to completion only; an idle connection has none. Exchanges whose
// spans the send points at stand in `sending`, and their fibers do not return before it completes.
//
// Deadlines, all on the socket's one timer: a connection without exchanges (idle_ms), a head that
// is not finished (head_ms), a send that is not taken (send_ms), a graceful close whose ping is not
// answered, and the session's own (a stream whose window stays closed).
#include "base/assert.h"
#include "base/err.h"
#include "net/h2_internal.h"
#include "net/limits.h"
#include "net/page.h"
#include "net/tls.h"
#include "net/upstream_internal.h"

#define OUT_IOV       64
#define OUT_IOV_BYTES (OUT_IOV * sizeof(struct iovec))
// Of one output that is sealed: 256 kB of runs at most, some 50 us.
#define SEALED_IOV 16
// Connections told to go in one turn: tens of thousands at once would stop the streams that a drain
// is there to protect.
#define DRAIN_SLICE 128
// Silence after which a connection rests: as long as unused memory is kept elsewhere (trim.c).
#define REST_MS 2000

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event);

static struct net_core *core_of(const struct h2_conn *h)
{
    return h->conn->stream.core;
}

static struct ring *ring_of(const struct h2_conn *h)
{
    return core_of(h)->ring;
}

// ---- Deadlines -------------------------------------------------------------------------------

static struct mono next_deadline(const struct h2_conn *h)
{
    struct mono when =
        mono_min(mono_min(h->idle_at, h->head_at), mono_min(h->send_at, h->drain_at));
    return mono_min(when, h2_session_deadline(&h->server));
}

static void aim_timer(struct h2_conn *h)
{
    struct mono now = ring_now(ring_of(h));
    struct mono when = mono_min(h->rest_at, next_deadline(h));
    if (when.ns == MONO_NEVER.ns) {
        h->conn->deadline = MONO_NEVER;
        return;
    }
    int64_t ns = mono_diff_ns(when, now);
    h1_conn__deadline(h->conn, ns > 0 ? (unsigned)((ns + NS_PER_MS - 1) / NS_PER_MS) : 0);
}

static void note_idle(struct h2_conn *h)
{
    const struct net_core *core = core_of(h);
    if (h->exchanges == 0)
        h->rest_at = mono_add_ms(ring_now(core->ring), REST_MS);
    h->idle_at = h->exchanges == 0 && !h->conn->turned_away
                     ? mono_add_ms(ring_now(core->ring), core->options.idle_ms)
                     : MONO_NEVER;
}

static bool is_past(struct mono when, struct mono now)
{
    return !mono_before(now, when);
}

static void give_up(const struct h2_conn *h, enum net_shed why)
{
    counter_add(&core_of(h)->stats.timeouts, 1);
    net__count_shed(core_of(h), why);
}

static void begin_send(struct h2_conn *h)
{
    const struct net_core *core = core_of(h);
    pace_begin(&h->conn->pace);
    h->send_at = mono_add_ms(ring_now(core->ring), pace_half_ms(core->options.send_ms));
    ring_sendmsg(core->ring, &h->conn->send, on_sent, h->conn->fd, &h->msg);
}

// The send in flight makes progress: half a window more.
static bool is_read(struct h2_conn *h, struct mono now)
{
    const struct net_options *o = &core_of(h)->options;
    if (!pace_reads(&h->conn->pace, h->conn->fd, o->send_rate, o->send_ms)) {
        give_up(h, NET_SHED_SLOW_READ);
        return false;
    }
    h->send_at = mono_add_ms(now, pace_half_ms(o->send_ms));
    return true;
}

static bool head_goes_on(struct h2_conn *h, struct mono now)
{
    const struct net_options *o = &core_of(h)->options;
    if (!pace_kept(&h->head_pace, o->head_rate, o->head_ms)) {
        give_up(h, NET_SHED_SLOW_HEAD);
        return false;
    }
    h->head_at = mono_add_ms(now, o->head_ms);
    return true;
}

// A silent one gives back what it does without. False: that is not due, or another thing is too.
static bool has_rested(struct h2_conn *h, struct mono now)
{
    if (!is_past(h->rest_at, now))
        return false;
    h->rest_at = MONO_NEVER;
    if (h->exchanges == 0 && !h->page)
        h2_session_rest(&h->server);
    if (is_past(next_deadline(h), now))
        return false;
    aim_timer(h);
    return true;
}

void h2_conn__on_deadline(struct h1_conn *c)
{
    struct h2_conn *h = c->h2;
    struct mono now = ring_now(ring_of(h));
    ASSERT(c->state == CONN_H2);
    if (has_rested(h, now))
        return;
    if (is_past(h->send_at, now) && !is_read(h, now)) {
        h1_conn__close(c, true);
        return;
    }
    if (is_past(h->head_at, now) && !head_goes_on(h, now)) {
        h->head_at = MONO_NEVER;
        h2_session_terminate(&h->server, H2_ENHANCE_YOUR_CALM);
    }
    if (is_past(h->drain_at, now) || is_past(h->idle_at, now)) {
        h->idle_at = h->drain_at = MONO_NEVER;
        h2_session_shutdown(&h->server);
        h2_session_shutdown(&h->server);
    }
    h2_session_expire(&h->server, now);
    h2_conn__want_output(h);
    aim_timer(h);
}

// ---- The end ---------------------------------------------------------------------------------

// Every exchange has lost its client.
static void let_go(struct h2_conn *h)
{
    h->lost = true;
    for (struct list *l = h->all.next, *next = l->next; l != &h->all; l = next, next = l->next) {
        struct h2_exchange *x = container_of(l, struct h2_exchange, link);
        h2_stream_detach(&x->h2);
        h->torn |= !x->complete;
        if (x->served)
            h2_stream__gone(x);
        else
            h2_conn__end_exchange(x);
    }
    h2_begin__drop(h);
}

// The session is over and has said so: no reset may overtake its last words.
static void finish(struct h2_conn *h)
{
    struct h1_conn *c = h->conn;
    let_go(h);
    h1_conn__linger(c);
}

static void lend_back(struct h2_conn *h)
{
    struct list *l;
    while ((l = list_pop_front(&h->sending)) != NULL) {
        struct h2_exchange *x = container_of(l, struct h2_exchange, sending);
        if (x->taken)
            fiber_wait_done(&x->written, 0);
    }
}

void h2_conn__lost(struct h1_conn *c)
{
    struct h2_conn *h = c->h2;
    ring_undefer(ring_of(h), &h->task);
    let_go(h);
}

bool h2_conn__is_empty(const struct h1_conn *c)
{
    return c->h2->exchanges == 0;
}

void h2_conn__free(struct h1_conn *c)
{
    struct h2_conn *h = c->h2;
    if (!h)
        return;
    ASSERT(h->exchanges == 0 && list_empty(&h->sending) && !h->page);
    h2_begin__drop(h);
    ring_undefer(ring_of(h), &h->task);
    list_remove(&h->link);
    h2_session_done(&h->server);
    pool_put(&core_of(h)->h2_conns, h);
    c->h2 = NULL;
}

void h2_conn__end_exchange(struct h2_exchange *x)
{
    struct h2_conn *h = x->conn;
    struct h1_conn *c = h->conn;
    ASSERT(!x->h2.session && !list_linked(&x->sending) && h->exchanges > 0);
    h2_request__free(x);
    list_remove(&x->arrived);
    list_remove(&x->link);
    h->exchanges--;
    pool_put(&core_of(h)->h2_exchanges, x);
    if (c->state == CONN_H2) {
        note_idle(h);
        h2_conn__want_output(h); // the session may be over
    } else if (c->state == CONN_CLOSING && h->exchanges == 0) {
        h1_conn__closed_send(c);
    }
}

// ---- Output ----------------------------------------------------------------------------------

// The session's records. True: a send is in flight.
static bool send_sealed(struct h2_conn *h)
{
    struct iovec *iov = (struct iovec *)(void *)h->page->data;
    unsigned n = tls_output_iov(h->conn->tls, iov, OUT_IOV);
    if (n == 0)
        return false;
    h->msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = n};
    begin_send(h);
    return true;
}

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct h1_conn *c = container_of(op, struct h1_conn, send);
    struct h2_conn *h = c->h2;
    (void)ring;
    ASSERT(event->final);
    if (c->tls && event->res >= 0) {
        tls_output_sent(c->tls, (size_t)event->res);
        if (c->state == CONN_H2 && send_sealed(h))
            return;
    }
    page_put(&core_of(h)->upstream->pages, h->page);
    h->page = NULL;
    h->send_at = MONO_NEVER;
    lend_back(h);
    if (c->state == CONN_CLOSING) {
        h1_conn__closed_send(c);
        return;
    }
    if (event->res < 0)
        h1_conn__close(c, true);
    else if (c->fin)
        h1_conn__close(c, h->torn);
    else
        h2_conn__want_output(h);
}

// What was collected, on its way; the page is h's.
static void send_out(struct h2_conn *h, const struct h2_output *out)
{
    struct net_core *core = core_of(h);
    if (h->conn->secure) {
        int rc = tls_write(h->conn->tls, out->iov, out->count);
        lend_back(h);
        if (rc || !send_sealed(h)) {
            page_put(&core->upstream->pages, h->page);
            h->page = NULL;
            h1_conn__close(h->conn, true);
        }
        return;
    }
    h->msg = (struct msghdr){.msg_iov = out->iov, .msg_iovlen = out->count};
    begin_send(h);
}

static void output(struct h2_conn *h)
{
    struct h1_conn *c = h->conn;
    struct page_pool *pages = &core_of(h)->upstream->pages;
    if (c->state != CONN_H2 || ring_op_busy(&c->send))
        return;
    if (h2_session_wants_output(&h->server)) {
        struct page *page = page_get(pages);
        if (!page) {
            h1_conn__close(c, true);
            return;
        }
        struct h2_output out = {.bytes = page->data + OUT_IOV_BYTES,
                                .bytes_max = PAGE_BYTES - OUT_IOV_BYTES,
                                .iov = (struct iovec *)(void *)page->data,
                                .iov_max = c->secure ? SEALED_IOV : OUT_IOV};
        (void)h2_session_output(&h->server, ring_now(ring_of(h)), &out);
        if (out.total > 0) {
            h->page = page;
            send_out(h, &out);
        } else {
            page_put(pages, page);
        }
    }
    if (c->state == CONN_H2 && h2_session_over(&h->server) && !ring_op_busy(&c->send)) {
        finish(h);
        return;
    }
    aim_timer(h);
}

// Fibers that this turn's completions have woken are queued before it: they speak first.
static void output_task(struct ring *ring, struct ring_task *task)
{
    (void)ring;
    output(container_of(task, struct h2_conn, task));
}

void h2_conn__want_output(struct h2_conn *h)
{
    if (h->conn->state != CONN_H2 || h->task.link.next || ring_op_busy(&h->conn->send))
        return;
    ring_defer(ring_of(h), &h->task, output_task);
}

// ---- Input -----------------------------------------------------------------------------------

void h2_conn__take(struct h1_conn *c, struct slice *in)
{
    struct h2_conn *h = c->h2;
    const struct net_core *core = core_of(h);
    struct mono now = ring_now(core->ring);
    size_t bytes = in->len;
    (void)h2_session_feed(&h->server, now, *in); // its errors are in what it then says
    *in = slice_skip(*in, in->len);
    h2_begin__read(h);
    if (!h2_session_head_open(&h->server))
        h->head_at = MONO_NEVER;
    else if (h->head_at.ns != MONO_NEVER.ns)
        pace_note(&h->head_pace, bytes);
    else {
        pace_begin(&h->head_pace);
        h->head_at = mono_add_ms(now, core->options.head_ms);
    }
    if (h->exchanges == 0 && h->idle_at.ns == MONO_NEVER.ns)
        note_idle(h);
    else if (h->exchanges == 0 && h->rest_at.ns == MONO_NEVER.ns)
        h->rest_at = mono_add_ms(now, REST_MS);
    if (h2_session_wants_output(&h->server) || h2_session_over(&h->server))
        h2_conn__want_output(h);
    aim_timer(h);
}

// A client that sends no more has left: an answer has nowhere to go (http.h, the table of endings).
// Answers that were handed over whole are still sent.
void h2_conn__fin(struct h1_conn *c)
{
    struct h2_conn *h = c->h2;
    ASSERT(c->fin);
    let_go(h);
    if (!ring_op_busy(&c->send))
        h1_conn__close(c, h->torn);
}

void h2_conn__drain(struct h2_conn *h)
{
    list_remove(&h->link);
    if (h->conn->state != CONN_H2 || h->server.state != H2_OPEN)
        return;
    h2_session_shutdown(&h->server);
    h->drain_at = mono_add_ms(ring_now(ring_of(h)), LIMIT_LINGER_MS);
    h2_conn__want_output(h);
    aim_timer(h);
}

static void drain_slice(struct ring *ring, struct ring_timer *timer)
{
    struct net_core *c = container_of(timer, struct net_core, h2_drain_timer);
    for (unsigned i = 0; i < DRAIN_SLICE && !list_empty(&c->h2_open); i++)
        h2_conn__drain(container_of(c->h2_open.next, struct h2_conn, link));
    if (!list_empty(&c->h2_open))
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), 1), drain_slice);
}

void net__h2_drain(struct net_core *c)
{
    drain_slice(c->ring, &c->h2_drain_timer);
}

bool h2_conn__begin(struct h1_conn *c)
{
    struct net_core *core = c->stream.core;
    struct h2_options options = {.head_bytes_max = core->options.head_bytes_max,
                                 .head_fields_max = LIMIT_HEAD_FIELDS,
                                 .write_ms = core->options.send_ms,
                                 .write_rate = core->options.send_rate,
                                 .counts = &core->stats.h2};
    ASSERT(c->state == CONN_HEAD && !c->h2);
    struct h2_conn *h = pool_get(&core->h2_conns);
    if (!h || h2_server_init(&h->server, &h2_stream_events, &options)) {
        pool_put(&core->h2_conns, h);
        h1_conn__close(c, true);
        return false;
    }
    h->conn = c;
    c->h2 = h;
    list_init(&h->all);
    list_init(&h->arrived);
    list_init(&h->waiting);
    list_init(&h->sending);
    h->idle_at = h->head_at = h->send_at = h->drain_at = h->rest_at = MONO_NEVER;
    h1_conn__set_state(c, CONN_H2);
    counter_add(&core->stats.h2_connections, 1);
    list_push_back(&core->h2_open, &h->link);
    if (c->turned_away || core->draining)
        h2_conn__drain(h);
    note_idle(h);
    h2_conn__want_output(h); // our SETTINGS
    return true;
}
