// SPDX-License-Identifier: Apache-2.0
//
// upstream_internal.h: the parts of the client half and what they know of each other.
//
//   upstream.c        one call from start to end: take a connection, send, wait, retry, end
//   upstream_pool.c   an origin's connections on this core: idle ones, slots, who waits for one
//   upstream_conn.c   one connection: its states, its socket operations, its TLS session
//   upstream_open.c   from a name to a connection with TLS done
//   dial.c            the first part of that: a connected socket, through a proxy if there is one
//   upstream_proxy.c  the way through a proxy that speaks TLS itself
//   proxy_form.c      a request as an HTTP proxy wants it, where there is no tunnel
//   upstream_inbox.c  bytes that have arrived and nobody has taken
//   upstream_answer.c head and body of the answer out of the inbox
//   upstream_h2*.c    the same over HTTP/2 (upstream_h2.h)
//
// Everything here belongs to one core. Callbacks run on the loop, `_await` functions on the fiber
// of the exchange; between two awaits nothing else runs, so there are no locks.
#ifndef RINGGATE_NET_UPSTREAM_INTERNAL_H
#define RINGGATE_NET_UPSTREAM_INTERNAL_H

#include "net/core.h"
#include "net/dial.h"
#include "net/h1.h"
#include "net/net_internal.h"
#include "net/page.h"
#include "net/proxy.h"
#include "net/upstream.h"

struct origin {
    _Atomic unsigned refs;
    struct tls_context *tls; // NULL: plain
    struct proxy *proxy;     // NULL: straight to host
    bool refuse_private;     // addresses of RFC 1918 and the like are not for this one
    unsigned port;
    enum origin_http http;
    unsigned connect_ms, idle_ms, age_ms;
    unsigned conns_max, idle_max;
    struct slice host; // these three lie in text
    struct slice authority;
    struct slice key;
    char text[];
};

// What a core owns for its providers' connections.
struct upstream_core {
    struct net_core *core;
    struct page_pool pages;
    struct pool sends;    // struct upstream_send
    struct list conns;    // all, closing ones included
    struct pool h2_conns; // struct upstream_h2
    struct pool h2_calls; // struct upstream_h2_call
    struct page
        *h2_plain;       // records of their connections are opened here; NULL before the first one
    struct list lenders; // connections whose inbox holds ring buffers, longest first
    struct dial_memory dialled;
    unsigned dial_delay_ms; // DIAL_DELAY_MS; tests have no time
    bool draining;
};

// The connections of one origin on this core. Lives while it has one, or somebody waits.
struct origin_pool {
    struct upstream_core *side;
    struct origin *origin; // the newest with this key: its limits count
    struct list idle;      // newest first
    unsigned idle_count;
    unsigned slots;      // connections that count towards conns_max
    struct list waiters; // in order of arrival
    unsigned waiting;
    // HTTP/2 (upstream_h2_pool.c).
    struct list h2;         // connections that may take calls
    struct list h2_waiters; // in order of arrival
    unsigned h2_waiting;
    unsigned h2_opening; // connections on their way
    unsigned h2_limit;   // streams the provider allows on one; 0: not known
    bool http1;          // ALPN has chosen HTTP/1.1
    size_t key_len;
    char key[];
};

// Pages first, then loans: bytes in pages are older than bytes in loans.
struct inbox {
    struct page *first;
    struct page *last;
    struct ring_loan loan[BODY_LOANS_MAX];
    unsigned loans;
    size_t bytes;
};

enum upstream_state {
    UPSTREAM_RESOLVE,   // a slot is taken; there is no socket
    UPSTREAM_CONNECT,   // the socket connects
    UPSTREAM_HANDSHAKE, // TLS, to the provider or the proxy
    UPSTREAM_PROXY,     // TLS to the proxy is done, the way through it is asked for
    UPSTREAM_SEND,      // request on its way; the answer may begin
    UPSTREAM_WAITING,   // request sent, head of the answer not complete
    UPSTREAM_BODY,      // head given to the caller
    UPSTREAM_IDLE,      // in the pool: no buffer, receive armed, timer set
    UPSTREAM_H2,        // u->h2 has the socket until the end
    UPSTREAM_CLOSING,   // cancelled; freed when no operation is in flight
    UPSTREAM_STATE_COUNT,
};

// Runs of one sendmsg: a slice of UPSTREAM_SLICE_BYTES sealed, with its overhead, or a request with
// all its edits.
#define UPSTREAM_OUT_IOV 40

// What one sendmsg points at; a connection has it while a send is in flight.
struct upstream_send {
    struct msghdr msg;
    struct iovec iov[UPSTREAM_OUT_IOV];
};

struct upstream_conn {
    struct upstream up; // what the caller sees
    struct upstream_core *side;
    struct origin_pool *pool; // NULL once the slot has been given back
    struct list link;         // in side->conns
    struct list idle_link;
    struct list lender_link;
    enum upstream_state state;
    int fd;
    struct mono born;
    struct ring_timer timer;
    struct ring_task task; // begins the handshake on the loop's stack
    struct ring_op recv_op;
    struct ring_op send_op;
    struct fiber_wait flushed; // the send in flight, for who must wait for its end
    struct ring_bufs_waiter bufs_waiter;
    struct fiber *caller;   // parked in upstream_call_await, or NULL
    struct tls *tls;        // the innermost, where the proxy has one too
    bool proxy_first;       // the handshake under way is the proxy's, and more is asked of it
    struct upstream_h2 *h2; // in H2, and from there until it is freed
    struct inbox inbox;
    bool paused;   // credit is spent: receive cancelled
    bool starved;  // waits for ring buffers
    bool eof;      // FIN or close_notify
    bool notified; // close_notify: eof is the peer's word
    bool broken;   // reset, or a TLS record that does not open
    int err;       // what the answer ended with here; sticky

    // The request: what is left of it lies at iov, offset.
    const struct iovec *iov;
    unsigned iov_count;
    size_t iov_offset;
    size_t out_bytes; // in the sendmsg in flight, sealed when TLS
    bool send_failed;
    bool send_stalled;          // the answer's body has begun, and the provider reads no more
    struct upstream_send *send; // NULL: no send in flight

    // The answer.
    struct arena *arena;
    enum http_method method;
    bool upgrade; // 101 is final, and then its end is the connection's
    char *head;   // gathered, when it did not arrive in one run
    size_t head_len;
    size_t head_cap;
    size_t head_resume;
    unsigned interim; // 1xx heads skipped
    bool answered;    // a byte of the answer has arrived
    bool head_done;
    struct h1_body framing;
    bool part_out;
    size_t part_bytes;
};

// Requests go to an HTTP proxy itself, in absolute form: there is no tunnel. HTTP/2 wants one.
static inline bool origin__is_relayed(const struct origin *o)
{
    return o->proxy && o->proxy->type == PROXY_HTTP && !o->tls && o->http != ORIGIN_HTTP2;
}

// ---- proxy_form.c ----------------------------------------------------------------------------

// The call in absolute form, its pieces in the call's arena. 0, ERR_NOMEM, ERR_UNSUPPORTED (the
// request line does not lie in the first piece).
int proxy_form(const struct upstream_call *call, struct upstream_call *ret);

// ---- upstream.c ------------------------------------------------------------------------------

// Of an upgrade: a write that is in flight ends, and nothing follows it.
void upstream__tear(struct upstream *u);
// One attempt over HTTP/1.1 on a connection in SEND. After an error the connection is still the
// caller's, and the kernel holds nothing of the request.
int upstream__exchange_await(struct upstream_conn *u, struct fiber *self,
                             const struct upstream_call *call);

// ---- upstream_pool.c -------------------------------------------------------------------------

// The pool of the origin, made when there is none. NULL without memory.
struct origin_pool *origin_pool__find(struct upstream_core *side, struct origin *o);
// An idle connection, or a fresh one (RESOLVE) with a slot; waits at conns_max. ERR_LIMIT,
// ERR_NOMEM, an interruption. The pool may be gone after an error.
int origin_pool__take_await(struct origin_pool *pool, struct fiber *self,
                            struct upstream_conn **ret);
// A complete exchange is over: to who waits longest, into the pool, or closed.
void origin_pool__release(struct upstream_conn *u);
void origin_pool__forget_idle(struct upstream_conn *u); // takes it off the idle list
void origin_pool__slot_free(struct origin_pool *pool);  // frees the pool with its last slot
unsigned origin_pool__slots_max(const struct origin_pool *pool);
void origin_pool__free_unused(struct origin_pool *pool); // if it is

// ---- upstream_conn.c -------------------------------------------------------------------------

struct upstream_conn *
upstream_conn__new(struct origin_pool *pool); // RESOLVE; the caller holds a slot for it
void upstream_conn__set_state(struct upstream_conn *u, enum upstream_state next);
// Ready for another request on the same connection.
void upstream_conn__reset(struct upstream_conn *u);
// Cancels what is in flight; frees when nothing is. The kernel must not hold a caller's memory.
void upstream_conn__close(struct upstream_conn *u);
void upstream_conn__finish(struct upstream_conn *u);  // CLOSING: frees it if nothing is in flight
void upstream_conn__receive(struct upstream_conn *u); // arms the receive when it is not and may be
// Begins to send u->iov; what cannot go at once follows from the loop.
void upstream_conn__send(struct upstream_conn *u);
// BODY, of an upgrade: the same for what follows.
void upstream_conn__send_more(struct upstream_conn *u, const struct iovec *iov, unsigned count);
// True when nothing of the request is left to send, or sending failed.
bool upstream_conn__sent(const struct upstream_conn *u);
// Stops a send and waits until the kernel holds nothing of it. Parks, whatever the fiber's state.
void upstream_conn__stop_send_await(struct upstream_conn *u, struct fiber *self);
// SEND: from now on a LIMIT_UPSTREAM_STALL_MS without a byte sent sets send_stalled and wakes.
void upstream_conn__watch_send(struct upstream_conn *u);
// PROXY: sealed at once, sent from the loop. 0, ERR_NOMEM, ERR_TLS.
int upstream_conn__say(struct upstream_conn *u, struct slice bytes);
// HANDSHAKE: arms the receive and says hello, from the loop. `caller` is woken at the end.
void upstream_conn__start_handshake(struct upstream_conn *u);
void upstream_conn__credit(
    struct upstream_conn *u); // pauses or resumes receiving by what is undelivered

// ---- upstream_open.c -------------------------------------------------------------------------

// Resolves, connects, shakes hands: RESOLVE → SEND. Bounded by the origin's connect_ms.
int upstream_conn__open_await(struct upstream_conn *u, struct fiber *self, struct origin *o);

// One handshake with `name`: CONNECT or PROXY → SEND, or PROXY when u->proxy_first. `u->tls` is
// there.
int upstream_conn__shake_await(struct upstream_conn *u, struct fiber *self);

// ---- upstream_proxy.c ------------------------------------------------------------------------

// TLS to the origin's proxy, then its consent: CONNECT → SEND, or PROXY when the provider's TLS
// follows. ERR_PROXY_…, ERR_NOMEM, an interruption.
int upstream_proxy__pass_await(struct upstream_conn *u, struct fiber *self, const struct origin *o);

// ---- upstream_inbox.c ------------------------------------------------------------------------

// The reference on the loan is the inbox's from now on. 0 or ERR_NOMEM.
int upstream_inbox__add_loan(struct upstream_conn *u, struct ring_loan loan);
// Opens all records that the TLS session has been fed into pages. 0, ERR_NOMEM, or ERR_TLS.
int upstream_inbox__add_opened(struct upstream_conn *u);
// Copies loans into pages and gives the ring its buffers back. 0 or ERR_NOMEM.
int upstream_inbox__spill(struct upstream_conn *u);
// Makes the holders of ring buffers copy out, longest first, until the group is not low.
void upstream_inbox__spill_lenders(struct upstream_core *side);
struct slice
upstream_inbox__front(const struct upstream_conn *u); // the oldest run; empty when there is none
void upstream_inbox__skip(struct upstream_conn *u, size_t bytes); // of the oldest run
void upstream_inbox__drop(struct upstream_conn *u);
// Is the rest of the body here, to its last byte? Reads ahead; at most what the credit holds.
bool upstream_inbox__is_whole(const struct upstream_conn *u);
// Moves body bytes into `part` until it is full or the body complete. 0 or ERR_BAD_CHUNK.
int upstream_inbox__take(struct upstream_conn *u, struct body_part *part);

// ---- upstream_answer.c -----------------------------------------------------------------------

extern const struct body_ops upstream_body_ops;
// Reads the head from the inbox as far as it is there; sets head_done or err.
void upstream_answer__progress(struct upstream_conn *u);
// Throws away what has arrived; true when the body is complete with it.
bool upstream_answer__drain(struct upstream_conn *u);

#endif
