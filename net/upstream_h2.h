// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2.h: calls to a provider over HTTP/2: many at once on one connection.
//
//     upstream_h2.c       the connection: input, one send a turn, deadlines, its end
//     upstream_h2_call.c  a call: its request, the head and the body of its answer, its endings
//     upstream_h2_pool.c  which connection takes a call, who opens one, who waits
//
// The socket is an upstream_conn's, whatever is spoken on it: resolving, connecting, TLS, receiving
// and closing are written once. When HTTP/2 has been agreed on, it goes from SEND to the state H2
// and owns an upstream_h2 from then on:
//
//     fiber ─► upstream_h2_call ─► h2/ ─► output, at the end of the turn ─► one sendmsg
//                   ▲                                                            │
//                   └── head, pages of the body ◄── events ◄── h2/ ◄── receive ◄─┘
//
// A call, from upstream_call_await to upstream_end (its stream may end before it, or be lost):
//
//      submitted          head complete, request taken             END_STREAM
//   ┌─────────┐ ────────────────────────────────────► ┌──────┐ ─────────────────► ┌───────┐
//   │ WAITING │                                       │ BODY │                    │ WHOLE │
//   └─────────┘                                       └──────┘                    └───────┘
//        │ reset, lost, given up                         │ reset, lost, given up
//        ▼                                               ▼
//   ERR_UPSTREAM_CLOSED, or asked again once         ERR_UPSTREAM_TRUNCATED
//
// Bytes of a body lie in pages of the call until it pulls them, copied once out of the receive
// buffer or the opened record, because frames of many calls share it: H2_CLIENT_STREAM_WINDOW at
// most, since the stream's window is given back only when a part has been put. The connection's is
// given back on receipt, so a call that does not pull stops nobody else.
//
// Everything belongs to one core; callbacks and tasks run on the loop.
#ifndef RINGGATE_NET_UPSTREAM_H2_H
#define RINGGATE_NET_UPSTREAM_H2_H

#include "h2/h2.h"
#include "net/upstream_internal.h"

struct upstream_h2 {
    struct h2_session session;
    struct upstream_conn *conn;
    struct list link;      // in pool->h2, until it takes no more calls
    struct list calls;     // struct upstream_h2_call, link
    struct list lent;      // those whose bytes the send in flight points at
    struct ring_task task; // output
    struct page *page;     // of the send in flight
    struct msghdr msg;
    struct mono idle_at, send_at, probe_at; // deadlines; MONO_NEVER
    struct mono output_at;                  // when to ask for a page again
    struct mono received_at;                // the last of them, or the start
    uint64_t received;                      // bytes
    unsigned calls_count;
    unsigned promised; // places given to waiters that have not come yet
    bool opening;      // counted in pool->h2_opening: its SETTINGS have not come
    bool used;         // has carried a call
    bool lost;         // calls have been let go
    bool goaway;       // counted
};

struct upstream_h2_call {
    struct upstream up;
    struct h2_stream stream;
    struct upstream_core *side;
    struct upstream_h2 *h2; // NULL: the connection is gone
    struct list link;       // in h2->calls
    struct list lent;       // in h2->lent
    struct fiber_wait returned;
    struct fiber *caller;    // parked in upstream_call_await, or NULL
    struct ring_timer timer; // watches a request that goes on behind the answer's head
    size_t watched;          // bytes of it that were left then
    struct page *first, *last;
    size_t bytes;      // in the pages
    size_t part_bytes; // of the part that is out
    uint64_t received_before;
    int err; // what the answer ended with; sticky
    bool taken;
    bool head_done;
    bool whole;
    bool stalled;
    bool again; // the provider has never looked at it
    bool part_out;
};

// ---- upstream_h2.c ---------------------------------------------------------------------------

// SEND → H2; what has arrived is read. NULL without memory: the connection is as before.
struct upstream_h2 *upstream_h2__begin(struct upstream_conn *u);
void upstream_h2__take(struct upstream_h2 *h, struct slice bytes); // as they came from the socket
void upstream_h2__want_output(struct upstream_h2 *h);              // before this turn ends
// The socket is closing: every call ends here.
void upstream_h2__lost(struct upstream_h2 *h);
// CLOSING, nothing in flight. False: a waiter still has a place on it.
bool upstream_h2__free(struct upstream_conn *u);
void upstream_h2__drain(struct upstream_h2 *h); // no more calls; closed after the last one
// A call or a promise has left, whole or not; `given_up`: by us.
void upstream_h2__left(struct upstream_h2 *h, bool given_up);
// May it take another call, beyond those promised?
bool upstream_h2__has_room(const struct upstream_h2 *h);

// ---- upstream_h2_call.c ----------------------------------------------------------------------

extern const struct h2_events upstream_h2__events;
// Also a call over HTTP/1.1, when ALPN has just chosen that and the origin takes either; when that
// was known, or somebody else's connection has found it out: ERR_UNSUPPORTED, nothing was sent. The
// pool may be gone.
int upstream_h2__call_await(struct origin_pool *pool, struct fiber *self,
                            const struct upstream_call *call, struct upstream **ret);
void upstream_h2__end(struct upstream *up);
// The connection is gone; `nonsense`: what came on it was not HTTP/2.
void upstream_h2__call_lost(struct upstream_h2_call *x, bool nonsense);

// ---- upstream_h2_pool.c ----------------------------------------------------------------------

// A place on a connection: `h2`, promised; or, when none has room and one more may be, the right to
// open one: `open`, with a slot and counted in h2_opening; neither: HTTP/1.1 is spoken.
struct upstream_h2_place {
    struct upstream_h2 *h2;
    bool open;
};
// Not on `avoid`, when another can be had. ERR_LIMIT, an error of opening, an interruption. The
// pool may be gone after an error.
int upstream_h2__place_await(struct origin_pool *pool, struct fiber *self,
                             const struct upstream_h2 *avoid, struct upstream_h2_place *ret);
// Gives what there is to who waits longest.
void upstream_h2__dispatch(struct origin_pool *pool);
// Opening has ended so, at the latest with the provider's SETTINGS: who waits for it hears of it.
void upstream_h2__opened(struct origin_pool *pool, int rc);
void upstream_h2__give_back(struct upstream_h2 *h); // a promised place

#endif
