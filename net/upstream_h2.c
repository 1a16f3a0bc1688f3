// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2.c: an HTTP/2 connection to a provider on its socket.
//
// Input goes straight into the session. Output is collected once a turn, by a task that runs behind
// the fibers this turn has woken: requests, window updates, resets and acknowledgements of all
// calls leave in one sendmsg. While a send is in flight nothing is collected; its completion
// collects what has become ready meanwhile. (A client's connection does the same: h2_conn.c.)
//
//     page:  [ iovecs | frames, small data … ]      larger data: where the callers' spans lie
//
// With TLS what was collected is sealed at once, and callers have their spans back; in clear text
// calls whose spans the send points at stand in `lent`, and do not return before it completes.
//
//     begin ──► taking calls (in pool->h2) ──► retired ──► closed, when the last call has left
//                  │        ▲                    ▲ GOAWAY, age, drain, ids used up
//                  └─ idle ─┘ ── idle_ms ──► GOAWAY sent, closed
//     every state ── lost: FIN, reset, bad frames, a deadline ──► each call ends, closed
//
// Deadlines, all on the socket's one timer: no call for idle_ms (or until age_ms), a send that is
// not taken (LIMIT_SEND_MS), and a ping without any answer (LIMIT_UPSTREAM_PROBE_MS). The ping goes
// out when a call is given up on a connection that has been silent (LIMIT_UPSTREAM_QUIET_MS): a
// path that has died would otherwise take call after call until each one's own deadline.
#include "net/upstream_h2.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"

#define OUT_IOV       64
#define OUT_IOV_BYTES (OUT_IOV * sizeof(struct iovec))
// Of one output that is sealed: 256 kB of runs at most, some 50 us.
#define SEALED_IOV 16

static struct ring *ring_of(const struct upstream_h2 *h)
{
    return h->conn->side->core->ring;
}

static bool is_past(struct mono when, struct mono now)
{
    return !mono_before(now, when);
}

// No page for an output: the core holds as many as it may. Asked again so much later, because a
// connection that ended for it would take all its calls along.
#define STARVED_MS 10

// ---- Taking calls ----------------------------------------------------------------------------

static struct mono old_at(const struct upstream_h2 *h)
{
    return mono_add_ms(h->conn->born, h->conn->pool->origin->age_ms);
}

bool upstream_h2__has_room(const struct upstream_h2 *h)
{
    return !h->lost && h2_client_room(&h->session) > h->promised &&
           mono_before(ring_now(ring_of(h)), old_at(h));
}

static bool is_unused(const struct upstream_h2 *h)
{
    return h->calls_count == 0 && h->promised == 0;
}

static void retire(struct upstream_h2 *h)
{
    list_remove(&h->link);
}

// Has it had its time?
static bool is_over(struct upstream_h2 *h)
{
    const struct upstream_conn *u = h->conn;
    if (!h->goaway && h->session.state != H2_OVER && h2_client_is_ending(&h->session)) {
        h->goaway = true;
        counter_add(&u->side->core->stats.upstream_h2_goaways, 1);
    }
    if (u->side->draining || h2_client_is_ending(&h->session) ||
        is_past(old_at(h), ring_now(ring_of(h))))
        retire(h);
    return !list_linked(&h->link);
}

// ---- Deadlines -------------------------------------------------------------------------------

static void on_deadline(struct ring *ring, struct ring_timer *timer);

static void aim_timer(struct upstream_h2 *h)
{
    struct mono when =
        mono_min(mono_min(h->idle_at, h->send_at), mono_min(h->probe_at, h->output_at));
    if (when.ns == MONO_NEVER.ns)
        ring_timer_clear(ring_of(h), &h->conn->timer);
    else
        ring_timer_set(ring_of(h), &h->conn->timer, when, on_deadline);
}

static void say_goodbye(struct upstream_h2 *h)
{
    retire(h);
    h->idle_at = MONO_NEVER;
    h2_session_terminate(&h->session, H2_NO_ERROR);
    upstream_h2__want_output(h);
}

static void on_deadline(struct ring *ring, struct ring_timer *timer)
{
    struct upstream_conn *u = container_of(timer, struct upstream_conn, timer);
    struct upstream_h2 *h = u->h2;
    struct mono now = ring_now(ring);
    ASSERT(u->state == UPSTREAM_H2);
    if (is_past(h->send_at, now) || is_past(h->probe_at, now)) {
        u->broken = true;
        upstream_conn__close(u);
        return;
    }
    if (is_past(h->idle_at, now))
        say_goodbye(h);
    if (is_past(h->output_at, now)) {
        h->output_at = MONO_NEVER;
        upstream_h2__want_output(h);
    }
    aim_timer(h);
}

// After a call: closed when it was the last, or idle from now on.
static void settle(struct upstream_h2 *h)
{
    const struct upstream_conn *u = h->conn;
    const struct origin_pool *p = u->pool;
    if (!is_unused(h)) {
        h->idle_at = MONO_NEVER;
    } else if (is_over(h) || p->slots > origin_pool__slots_max(p)) {
        say_goodbye(h);
    } else if (h->idle_at.ns == MONO_NEVER.ns) {
        struct mono now = ring_now(ring_of(h));
        h->idle_at = mono_min(mono_add_ms(now, p->origin->idle_ms), old_at(h));
    }
    aim_timer(h);
}

void upstream_h2__left(struct upstream_h2 *h, bool given_up)
{
    struct mono now = ring_now(ring_of(h));
    struct origin_pool *p = h->conn->pool;
    if (given_up && h->probe_at.ns == MONO_NEVER.ns &&
        is_past(mono_add_ms(h->received_at, LIMIT_UPSTREAM_QUIET_MS), now)) {
        h2_client_ping(&h->session);
        h->probe_at = mono_add_ms(now, LIMIT_UPSTREAM_PROBE_MS);
    }
    if (p->h2_waiting > 0)
        upstream_h2__dispatch(p);
    settle(h);
    upstream_h2__want_output(h);
}

void upstream_h2__drain(struct upstream_h2 *h)
{
    retire(h);
    settle(h);
}

// ---- Output ----------------------------------------------------------------------------------

static void lend_back(struct upstream_h2 *h)
{
    struct list *l;
    while ((l = list_pop_front(&h->lent)) != NULL)
        fiber_wait_done(&container_of(l, struct upstream_h2_call, lent)->returned, 0);
}

static void give_page_back(struct upstream_h2 *h)
{
    page_put(&h->conn->side->pages, h->page);
    h->page = NULL;
    h->send_at = MONO_NEVER;
}

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event);

static void submit(struct upstream_h2 *h, struct iovec *iov, unsigned count)
{
    struct ring *ring = ring_of(h);
    h->msg = (struct msghdr){.msg_iov = iov, .msg_iovlen = count};
    h->send_at = mono_add_ms(ring_now(ring), LIMIT_SEND_MS);
    ring_sendmsg(ring, &h->conn->send_op, on_sent, h->conn->fd, &h->msg);
}

// The session's records. True: a send is in flight.
static bool send_sealed(struct upstream_h2 *h)
{
    struct iovec *iov = (struct iovec *)(void *)h->page->data;
    unsigned n = tls_output_iov(h->conn->tls, iov, OUT_IOV);
    if (n > 0)
        submit(h, iov, n);
    return n > 0;
}

static void on_sent(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct upstream_conn *u = container_of(op, struct upstream_conn, send_op);
    struct upstream_h2 *h = u->h2;
    (void)ring;
    ASSERT(event->final);
    if (u->tls && event->res >= 0) {
        tls_output_sent(u->tls, (size_t)event->res);
        if (u->state == UPSTREAM_H2 && send_sealed(h))
            return;
    }
    give_page_back(h);
    lend_back(h);
    if (u->state == UPSTREAM_CLOSING) {
        upstream_conn__finish(u);
        return;
    }
    if (event->res < 0)
        u->send_failed = true; // what the provider has said before is still to come
    else
        upstream_h2__want_output(h);
    aim_timer(h);
}

// What was collected, on its way; the page is h's.
static bool send_out(struct upstream_h2 *h, struct h2_output *out)
{
    struct upstream_conn *u = h->conn;
    if (!u->tls) {
        submit(h, out->iov, out->count);
        return true;
    }
    int rc = tls_write(u->tls, out->iov, out->count);
    lend_back(h);
    return rc == 0 && send_sealed(h);
}

static bool collect(struct upstream_h2 *h)
{
    struct upstream_conn *u = h->conn;
    h->page = page_get(&u->side->pages);
    if (!h->page) {
        h->output_at = mono_add_ms(ring_now(ring_of(h)), STARVED_MS);
        return true;
    }
    struct h2_output out = {.bytes = h->page->data + OUT_IOV_BYTES,
                            .bytes_max = PAGE_BYTES - OUT_IOV_BYTES,
                            .iov = (struct iovec *)(void *)h->page->data,
                            .iov_max = u->tls ? SEALED_IOV : OUT_IOV};
    (void)h2_session_output(&h->session, ring_now(ring_of(h)), &out);
    if (out.total > 0)
        return send_out(h, &out);
    give_page_back(h);
    return true;
}

static void output(struct upstream_h2 *h)
{
    struct upstream_conn *u = h->conn;
    if (u->state != UPSTREAM_H2 || ring_op_busy(&u->send_op) || u->send_failed)
        return;
    h->output_at = MONO_NEVER;
    if (h2_session_wants_output(&h->session) && !collect(h)) {
        give_page_back(h);
        u->broken = true;
    }
    bool waits = ring_op_busy(&u->send_op) || h->output_at.ns != MONO_NEVER.ns;
    if (u->broken || (h2_session_over(&h->session) && !waits)) {
        upstream_conn__close(u);
        return;
    }
    aim_timer(h);
}

static void output_task(struct ring *ring, struct ring_task *task)
{
    (void)ring;
    output(container_of(task, struct upstream_h2, task));
}

void upstream_h2__want_output(struct upstream_h2 *h)
{
    const struct upstream_conn *u = h->conn;
    if (u->state != UPSTREAM_H2 || h->task.link.next || ring_op_busy(&u->send_op))
        return;
    ring_defer(ring_of(h), &h->task, output_task);
}

// ---- Input -----------------------------------------------------------------------------------

static void feed(struct upstream_h2 *h, struct slice bytes)
{
    h->received += bytes.len;
    h->received_at = ring_now(ring_of(h));
    h->probe_at = MONO_NEVER;
    (void)h2_session_feed(&h->session, h->received_at, bytes); // it says so in its output
}

static void fed(struct upstream_h2 *h)
{
    struct origin_pool *p = h->conn->pool;
    if (h2_client_limit(&h->session) > 0)
        p->h2_limit = h2_client_limit(&h->session);
    if (h->opening && h->session.settled) {
        h->opening = false;
        upstream_h2__opened(p, 0);
    }
    (void)is_over(h);
    if (p->h2_waiting > 0)
        upstream_h2__dispatch(p);
    settle(h);
    if (h2_session_wants_output(&h->session) || h2_session_over(&h->session))
        upstream_h2__want_output(h);
}

static void feed_opened(struct upstream_h2 *h)
{
    struct upstream_conn *u = h->conn;
    struct page *page = u->side->h2_plain;
    ptrdiff_t n = 1;
    while (n > 0) {
        n = tls_read(u->tls, page->data, PAGE_BYTES);
        if (n > 0)
            feed(h, slice_of(page->data, (size_t)n));
    }
    if (n == 0)
        u->eof = u->notified = true;
    else if (n != ERR_MORE)
        u->broken = true;
}

void upstream_h2__take(struct upstream_h2 *h, struct slice bytes)
{
    struct upstream_conn *u = h->conn;
    ASSERT(u->state == UPSTREAM_H2);
    if (u->tls) {
        tls_feed(u->tls, bytes);
        feed_opened(h);
    } else {
        feed(h, bytes);
    }
    fed(h);
}

// ---- Life ------------------------------------------------------------------------------------

struct upstream_h2 *upstream_h2__begin(struct upstream_conn *u)
{
    struct net_core *core = u->side->core;
    struct h2_options options = {.head_bytes_max = LIMIT_ANSWER_HEAD_BYTES,
                                 .head_fields_max = LIMIT_HEAD_FIELDS,
                                 .counts = &core->stats.upstream_h2};
    if (!u->side->h2_plain)
        u->side->h2_plain = page_get(NULL);
    struct upstream_h2 *h = u->side->h2_plain ? pool_get(&u->side->h2_conns) : NULL;
    if (!h || h2_client_init(&h->session, &upstream_h2__events, &options)) {
        pool_put(&u->side->h2_conns, h);
        return NULL;
    }
    h->conn = u;
    u->h2 = h;
    list_init(&h->calls);
    list_init(&h->lent);
    list_push_back(&u->pool->h2, &h->link);
    h->idle_at = h->send_at = h->probe_at = h->output_at = MONO_NEVER;
    h->received_at = ring_now(core->ring);
    upstream_conn__set_state(u, UPSTREAM_H2);
    counter_add(&core->stats.upstream_h2_connections, 1);
    while (u->inbox.bytes > 0) { // it may have spoken first
        struct slice front = upstream_inbox__front(u);
        feed(h, front);
        upstream_inbox__skip(u, front.len);
    }
    upstream_inbox__drop(u);
    if (h2_client_limit(&h->session) > 0)
        u->pool->h2_limit = h2_client_limit(&h->session);
    h->opening = !h->session.settled;
    upstream_conn__receive(u);
    upstream_h2__want_output(h); // our SETTINGS
    return h;
}

// Frames that were none: it was not cut off, we did not understand it.
static bool is_nonsense(const struct upstream_h2 *h)
{
    return h2_session_over(&h->session) || (h->received > 0 && !h->session.settled);
}

void upstream_h2__lost(struct upstream_h2 *h)
{
    struct ring *ring = ring_of(h);
    ASSERT(h->conn->state == UPSTREAM_CLOSING);
    h->lost = true;
    retire(h);
    ring_undefer(ring, &h->task);
    struct list *l;
    while ((l = list_pop_front(&h->calls)) != NULL) {
        h->calls_count--;
        upstream_h2__call_lost(container_of(l, struct upstream_h2_call, link), is_nonsense(h));
    }
    ASSERT(h->calls_count == 0);
    if (h->opening) // and what it will take was not even said
        upstream_h2__opened(h->conn->pool,
                            is_nonsense(h) ? ERR_UPSTREAM_PROTOCOL : ERR_UPSTREAM_CLOSED);
    h->opening = false;
}

bool upstream_h2__free(struct upstream_conn *u)
{
    struct upstream_h2 *h = u->h2;
    ASSERT(h->lost && list_empty(&h->lent) && !h->page);
    if (h->promised > 0)
        return false;
    h2_session_done(&h->session);
    pool_put(&u->side->h2_conns, h);
    u->h2 = NULL;
    return true;
}
