// SPDX-License-Identifier: Apache-2.0
//
// h2_internal.h: a client's HTTP/2 connection and its exchanges.
//
//     h2_conn.c      the connection: input, one send a turn, deadlines, its end
//     h2_stream.c    an exchange: the neutral message's operations on one stream
//     h2_request.c   its head and body
//     h2_begin.c     when it begins
//
// The socket is an h1_conn's, whatever is spoken on it (net_internal.h): accepting, receiving, TLS
// and closing are written once. A connection that begins with the client preface goes from HEAD to
// the state H2 and owns an h2_conn from then on:
//
//     socket ─► h1_conn, state H2 ─► h2_conn__take ─► h2/ ─► events ─► h2_exchange ─► the gateway
//        ▲                                                                    │
//        └── one sendmsg ◄── output, at the end of the turn ◄── answer, write ┘
//
// An exchange is the gateway's from on_request (h2_begin.c) until http_end, like every http_stream.
// Its HTTP/2 stream may end before (the client resets it, the connection is lost): then the fiber
// is cancelled and the exchange lives on without a stream until http_end. The connection's memory
// is there until its last exchange has ended.
#ifndef RINGGATE_NET_H2_INTERNAL_H
#define RINGGATE_NET_H2_INTERNAL_H

#include "h2/h2.h"
#include "net/net_internal.h"

struct page;

struct h2_conn {
    struct h2_session server;
    struct h1_conn *conn;
    struct list link;      // in core->h2_open, until it has been told to go
    struct list all;       // exchanges that have not ended, those without a stream included
    struct list arrived;   // those that have not begun
    struct list waiting;   // in core->h2_begin.waiting
    struct list sending;   // those whose bytes the send in flight points at
    unsigned exchanges;    // how many
    struct ring_task task; // output
    struct page *page;     // of the send in flight
    struct msghdr msg;
    struct mono idle_at, head_at, send_at, drain_at; // deadlines; MONO_NEVER
    struct mono rest_at; // when it gives memory back that a silent one does without
    struct pace head_pace;
    bool lost; // streams have been let go
    bool torn; // one of them in the middle of its answer
};

struct h2_exchange {
    struct http_stream stream;
    struct h2_stream h2;
    struct h2_conn *conn;
    struct list link;          // in conn->all
    struct list arrived;       // in conn->arrived: its head is here, and nobody serves it yet
    struct list sending;       // in conn->sending
    struct fiber_wait written; // of the write in progress
    struct ring_timer timer;   // the body's window
    struct pace pace;          // of the body
    struct fiber *reader;      // in read_body_await
    char *body;
    size_t body_len, body_cap, body_max;
    size_t body_count; // its part of shared->body_bytes
    size_t unread;     // of the stream's window, not given back
    struct slice refusal;
    int64_t answer_left; // when a length was announced, else -1
    int body_err;        // sticky
    bool served;         // the gateway's: http_end will come
    bool whole;          // the request is complete
    bool reading;        // a reader has come
    bool writing;        // a write is in progress
    bool taken;          // of a write in progress: nothing is left but the send in flight
    bool bodiless;       // HEAD, 204, 304
    bool answer_last;    // the write in progress completes the answer
    bool sealed;         // END_STREAM has been handed over (with the head, where there is no body)
    bool complete;       // and the server has said that it was the last
    bool torn;           // a write was interrupted: nothing may follow it
};

// ---- h2_conn.c -------------------------------------------------------------------------------

// Says goodbye (once): no further stream is opened, those there are finish.
void h2_conn__drain(struct h2_conn *h);
void h2_conn__want_output(struct h2_conn *h);      // before this turn ends
void h2_conn__end_exchange(struct h2_exchange *x); // it has ended: its memory goes

// ---- h2_stream.c -----------------------------------------------------------------------------

extern const struct http_stream_ops h2_stream_ops;
extern const struct h2_events h2_stream_events;
// The client has gone, or its stream has: cancels the fiber.
void h2_stream__gone(struct h2_exchange *x);
void h2_stream__refuse(struct http_stream *s, int err);

// ---- h2_request.c ----------------------------------------------------------------------------

int h2_request__head(struct h2_exchange *x); // from x->h2.head into x->stream.request
void h2_request__data(struct h2_exchange *x, struct slice bytes);
void h2_request__end(struct h2_exchange *x);
void h2_request__fail(struct h2_exchange *x, int err);
void h2_request__free(struct h2_exchange *x); // what it holds
int h2_request__read_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                           struct slice *ret_body);
void h2_request__drop(struct http_stream *s);

// ---- h2_begin.c ------------------------------------------------------------------------------

// Requests begun of one connection behind one read, or in one turn when more wait; and of all
// connections of a core in one turn: a burst must not hold the loop.
#define H2_BEGUN_A_READ 16
#define H2_BEGUN_A_TURN 64

void h2_begin__add(struct h2_exchange *x); // its head is fit to be served
void h2_begin__read(struct h2_conn *h);    // a read has been looked at
void h2_begin__drop(struct h2_conn *h);    // begins nothing more

#endif
