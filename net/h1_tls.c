// SPDX-License-Identifier: Apache-2.0
//
// h1_tls.c: what a client's connection does more when it is TLS.
//
// Above the records nothing is different: opened bytes are offered to the states of h1_conn.c, and
// h1_answer.c seals what it sends. This file is what lies between.
//
//     accept ─► HANDSHAKE, no session ─ first byte ─► "G", "P", …? ─ yes ─► 400 in clear
//                     │                                   │ no
//                     │ silent, too slow                  ▼
//                     ▼                        session, in progress ─ done, our flight sent ─► IDLE
//                  closed                                 │ refused, too slow, too much
//                                                         ▼
//                                                  alert, LINGER, closed
//
// A session exists from the client's first byte on: a connection that says nothing costs what a
// plain one costs. Sessions that have not finished are bounded (LIMIT_HANDSHAKES), and so is what a
// client may send before its ClientHello is whole (LIMIT_HELLO_BYTES).
//
// The answer to a ClientHello is public-key arithmetic, some 90 us, so a turn makes
// HELLOS_A_TURN of them; what comes beyond is copied into `held` and waits, in order, for the next
// turns. A burst of new clients delays their own handshakes, never the streams that are running.
//
// A connection stays in HANDSHAKE until the socket has our last flight: its send operation is then
// free for the first answer. What the client sent meanwhile lies in `held`, still sealed.
//
// Opened bytes go into one buffer of the core, and from there where plain ones would go; a large
// body is opened straight into its place. What is sealed and cannot be processed yet stays in the
// ring's buffer, as with plain connections.
//
// An end without close_notify is a cut (RFC 8446 6.1). Nothing of a request may end that way: every
// body has a length or a last chunk, so the rules of plain connections hold as they are. Our own
// close_notify leaves with the last answer; where a connection ends without one it is written past
// the ring, once, into a socket that is otherwise idle, and lost if that is full.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/page.h"
#include "net/tls.h"
#include "net/tls_ticket.h"
#include "net/upstream_internal.h"
#include <sys/socket.h>

// ClientHellos answered in one turn of the loop: below a millisecond.
#define HELLOS_A_TURN 8
// A large body is opened into its place in pieces: a turn has a millisecond.
#define OPEN_BYTES_MAX ((size_t)256 * 1024)

static void on_flushed(struct ring *ring, struct ring_op *op, const struct ring_event *event);

static struct net_tls *side_of(const struct h1_conn *c)
{
    return &c->stream.core->tls;
}

// ---- Output that no fiber waits for ------------------------------------------------------------

bool h1_tls__flush(struct h1_conn *c)
{
    if (ring_op_busy(&c->send))
        return true;
    struct slice out = tls_output(c->tls);
    if (out.len > 0)
        ring_send(c->stream.core->ring, &c->send, on_flushed, c->fd, out.ptr, out.len);
    return out.len > 0;
}

// An alert, on its way to the end: what the socket does not take at once is lost.
static void send_now(struct h1_conn *c)
{
    struct slice out;
    while (!ring_op_busy(&c->send) && (out = tls_output(c->tls)).len > 0) {
        (void)send(c->fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
        tls_output_sent(c->tls, out.len);
    }
}

void h1_tls__notify(struct h1_conn *c)
{
    if (!c->tls || c->torn || ring_op_busy(&c->send) || !tls_ready(c->tls))
        return;
    tls_close_notify(c->tls);
    send_now(c);
}

// ---- The handshake -----------------------------------------------------------------------------

// A connection in HANDSHAKE has no other use for its task than to stand in the core's queue.

static bool is_waiting(const struct h1_conn *c)
{
    return c->task.link.next != NULL;
}

static void stop_waiting(struct h1_conn *c)
{
    ring_undefer(c->stream.core->ring, &c->task);
}

static void leave_handshake(struct h1_conn *c)
{
    ASSERT(side_of(c)->shaking > 0);
    side_of(c)->shaking--;
    stop_waiting(c);
}

void h1_tls__abandon(struct h1_conn *c)
{
    ASSERT(c->state == CONN_HANDSHAKE);
    if (!c->tls)
        return; // it never said anything
    leave_handshake(c);
    counter_add(&c->stream.core->stats.tls_failures[c->tls_failure], 1);
}

static void fail(struct h1_conn *c, enum tls_failure why)
{
    ASSERT(c->tls);
    c->tls_failure = (uint8_t)why;
    if (ring_op_busy(&c->send)) {
        h1_conn__close(c, false);
        return;
    }
    send_now(c); // the alert that says why
    h1_tls__abandon(c);
    h1_conn__linger(c);
}

static enum tls_failure failure_of(int err)
{
    return err == ERR_TLS_VERIFY ? TLS_FAILURE_CLIENT_CERT
           : err == ERR_NOMEM    ? TLS_FAILURE_OVERLOAD
                                 : TLS_FAILURE_PROTOCOL;
}

// The flight is out: the connection serves. `rest` came behind the handshake.
static void finish(struct h1_conn *c, struct slice rest)
{
    struct net_core *core = c->stream.core;
    leave_handshake(c);
    counter_add(&core->stats.tls_handshakes, 1);
    if (tls_resumed(c->tls))
        counter_add(&core->stats.tls_resumptions, 1);
    c->dropped = 0;
    h1_conn__next(c);
    if (rest.len > 0 && c->state == CONN_IDLE)
        h1_tls__take(c, rest);
}

static void finish_held(struct h1_conn *c)
{
    struct buf raw = h1_conn__take_held(c);
    finish(c, buf_slice(&raw));
    buf_done(&raw);
    h1_conn__aim(c);
}

static void step(struct h1_conn *c, struct slice in)
{
    bool knew = tls_said_hello(c->tls);
    tls_feed(c->tls, in);
    int rc = tls_handshake(c->tls);
    if (!knew && tls_said_hello(c->tls) && side_of(c)->hellos_left > 0)
        side_of(c)->hellos_left--;
    struct slice rest = tls_unfeed(c->tls);
    if (rc != 0 && rc != ERR_MORE) {
        fail(c, failure_of(rc));
        return;
    }
    bool flying = h1_tls__flush(c);
    if (rc == ERR_MORE)
        ASSERT(rest.len == 0);
    else if (flying)
        h1_conn__hold(c, rest);
    else
        finish(c, rest);
}

// The first bytes decide: a session, a refusal in clear, or nothing at all.
static bool begin(struct h1_conn *c, struct slice in)
{
    struct net_core *core = c->stream.core;
    if (in.ptr[0] >= 'A' && in.ptr[0] <= 'Z') { // no TLS record begins so, every HTTP method does
        counter_add(&core->stats.tls_failures[TLS_FAILURE_PLAIN], 1);
        h1_answer__refuse(c, ERR_PLAIN_HTTP);
        return false;
    }
    if (core->tls.shaking >= LIMIT_HANDSHAKES ||
        tls_new(core->tls.context, SLICE_EMPTY, &c->tls) != 0) {
        counter_add(&core->stats.tls_failures[TLS_FAILURE_OVERLOAD], 1);
        h1_conn__close(c, true);
        return false;
    }
    tls_set_pages(c->tls, &core->upstream->pages);
    tls_set_tickets(c->tls, core->tls.tickets);
    core->tls.shaking++;
    return true;
}

// Bytes of a client whose handshake is not over.
static void shake(struct h1_conn *c, struct slice in)
{
    bool hello = c->tls && tls_said_hello(c->tls);
    if (!c->tls && !begin(c, in))
        return;
    if (!hello) {
        c->dropped += (uint32_t)in.len; // a loan: far below 4 GB
        if (c->dropped > LIMIT_HELLO_BYTES) {
            fail(c, TLS_FAILURE_HELLO);
            return;
        }
    }
    if (is_waiting(c) || tls_ready(c->tls)) {
        h1_conn__hold(c, in);
    } else if (!hello && side_of(c)->hellos_left == 0) {
        h1_conn__hold(c, in);
        if (c->state == CONN_HANDSHAKE)
            list_push_back(&side_of(c)->waiting, &c->task.link);
    } else {
        step(c, in);
    }
}

static void on_waiting(struct ring *ring, struct ring_task *task)
{
    struct net_core *core = container_of(task, struct net_core, tls.task);
    (void)ring;
    while (core->tls.hellos_left > 0 && !list_empty(&core->tls.waiting)) {
        struct h1_conn *c = container_of(core->tls.waiting.next, struct h1_conn, task.link);
        stop_waiting(c);
        struct buf raw = h1_conn__take_held(c);
        step(c, buf_slice(&raw));
        buf_done(&raw);
        h1_conn__aim(c);
    }
}

static void on_turn_end(struct ring *ring, struct ring_hook *hook)
{
    struct net_core *core = container_of(hook, struct net_core, tls.hook);
    core->tls.hellos_left = HELLOS_A_TURN;
    if (!list_empty(&core->tls.waiting) && !core->tls.task.link.next)
        ring_defer(ring, &core->tls.task, on_waiting);
}

static void on_flushed(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct h1_conn *c = container_of(op, struct h1_conn, send);
    ASSERT(event->final);
    if (c->state == CONN_CLOSING) {
        h1_conn__closed_send(c);
        return;
    }
    if (event->res < 0) {
        h1_conn__close(c, true);
        return;
    }
    tls_output_sent(c->tls, (size_t)event->res);
    if (h1_tls__flush(c))
        return;
    if (c->state == CONN_REFUSE)
        h1_conn__linger(c);
    else if (c->state == CONN_HANDSHAKE && tls_ready(c->tls))
        finish_held(c);
}

// ---- Records -----------------------------------------------------------------------------------

// May what comes next be opened where the body lies? It must be the body's, and nothing before it.
static size_t room_in_body(const struct h1_conn *c)
{
    if (c->state != CONN_SERVE || !c->body || !c->body_large || c->body_err ||
        c->framing.framing != H1_LENGTH || c->framing.complete || h1_conn__held(c) > 0)
        return 0;
    return c->framing.left < OPEN_BYTES_MAX ? (size_t)c->framing.left : OPEN_BYTES_MAX;
}

// > 0 when there may be more.
static ptrdiff_t open_some(struct h1_conn *c)
{
    char *plain = side_of(c)->plain->data;
    size_t room = room_in_body(c);
    ptrdiff_t n = room > 0 ? tls_read(c->tls, c->body + c->body_len, room)
                           : tls_read(c->tls, plain, PAGE_RECORD_BYTES);
    if (n > 0 && room > 0)
        h1_request__received(c, (size_t)n);
    else if (n > 0)
        h1_conn__offer(c, slice_of(plain, (size_t)n));
    return n;
}

static void open_records(struct h1_conn *c, struct slice in)
{
    struct net_core *core = c->stream.core;
    ptrdiff_t n = 1;
    bool any = false;
    tls_feed(c->tls, in);
    while (n > 0 && c->state < CONN_REFUSE) {
        n = open_some(c);
        any |= n > 0;
    }
    (void)tls_unfeed(c->tls); // of a connection that ends
    if (c->state >= CONN_REFUSE)
        return;
    if (n == ERR_MORE) {
        // A part of a record is a part of a head: it has a head's patience.
        struct mono soon = mono_add_ms(ring_now(core->ring), core->options.head_ms);
        if (!any && c->state == CONN_IDLE && mono_before(soon, c->deadline))
            h1_conn__deadline(c, core->options.head_ms);
        return;
    }
    if (n < 0)
        send_now(c);
    h1_conn__fin(c);
}

void h1_tls__take(struct h1_conn *c, struct slice in)
{
    if (in.len == 0)
        return;
    if (c->state == CONN_HANDSHAKE)
        shake(c, in);
    else if (c->state >= CONN_REFUSE)
        h1_conn__drop(c, &in); // nobody will look at it: it need not be opened
    else
        open_records(c, in);
}

// ---- A core's half -----------------------------------------------------------------------------

int net__tls_init(struct net_core *c, const struct net_options *o)
{
    struct net_tls *side = &c->tls;
    struct tls_ticket_key own;
    list_init(&side->waiting);
    list_init(&side->hook.link);
    if (!o->tls)
        return 0;
    int rc = o->ticket_key ? 0 : tls_ticket_key_make(&own);
    if (rc)
        return rc;
    const struct tls_ticket_key *key = o->ticket_key ? o->ticket_key : &own;
    side->tickets = tls_tickets_new(o->ticket_key_before ? o->ticket_key_before : key);
    if (side->tickets)
        tls_tickets_rotate(side->tickets, key); // the same one: nothing happens
    side->plain = page_get(NULL);
    if (!side->tickets || !side->plain)
        return ERR_NOMEM;
    side->context = tls_context_get(o->tls);
    side->hellos_left = HELLOS_A_TURN;
    ring_hook_add(c->ring, &side->hook, on_turn_end);
    return 0;
}

void net__tls_done(struct net_core *c)
{
    struct net_tls *side = &c->tls;
    ASSERT(side->shaking == 0);
    if (side->context)
        list_remove(&side->hook.link);
    ring_undefer(c->ring, &side->task);
    tls_tickets_free(side->tickets);
    tls_context_put(side->context);
    page_put(NULL, side->plain);
}

void net_tls_use(struct net_core *c, struct tls_context *context)
{
    ASSERT(c->tls.context && context);
    struct tls_context *old = c->tls.context;
    c->tls.context = tls_context_get(context);
    tls_context_put(old);
}

void net_tls_rotate(struct net_core *c, const struct tls_ticket_key *key)
{
    ASSERT(c->tls.tickets);
    tls_tickets_rotate(c->tls.tickets, key);
}
