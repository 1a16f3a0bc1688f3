// SPDX-License-Identifier: Apache-2.0
//
// body.h: bytes of a message, pulled.
//
// The gateway sees only pull: it asks for what is there, forwards it, gives it back, asks again. It
// sees no queue, no pause and no water mark. Below, net keeps one credit per connection
// (BODY_CREDIT_BYTES of undelivered bytes); when it is spent the multishot receive is cancelled,
// and re-armed when the consumer has taken some. What arrives between cancel and its final event is
// the bounded overshoot.
//
//    socket ─► ring buffer ─► [loan][loan]──pull──► body_part ──► client's sendmsg ──► body_put
//                                 │ not pulled in this turn, or the group runs low
//                                 └─► copied into memory of the connection, loan returned
//
// A part's spans point into ring buffers, into a TLS plaintext buffer, or into such a copy. They
// live until body_put. At most one part of a body is out at a time.
#ifndef RINGGATE_NET_BODY_H
#define RINGGATE_NET_BODY_H

#include "base/slice.h"
#include "ring/ring.h"
#include <stdbool.h>

struct body;
struct fiber;

#define BODY_SPANS_MAX 64
#define BODY_LOANS_MAX 8
// Undelivered bytes of one body: bounds what a client that never reads makes us hold.
#define BODY_CREDIT_BYTES (128 * 1024)

struct body_part {
    struct slice span[BODY_SPANS_MAX];
    unsigned count;
    size_t bytes;                          // sum over spans
    bool last;                             // complete: nothing follows (count may be 0)
    struct ring_loan loan[BODY_LOANS_MAX]; // private to the source
    unsigned loans;
    void *memory; // private to the source
};

struct body_ops {
    // Moves what is there into *ret. 0 with bytes or `last`; ERR_MORE when nothing is there yet
    // (the source then wakes `fiber` when there is); or the error with which the body ended.
    int (*take)(struct body *b, struct body_part *ret);
    void (*put)(struct body *b, struct body_part *part);
};

struct body {
    const struct body_ops *ops;
    struct fiber *reader; // parked in body_pull_await, or NULL
};

// Everything that has arrived, or parks until something does. 0, the error the body ended with
// (see the table in http.h), or an interruption of the fiber.
int body_pull_await(struct body *b, struct fiber *self, struct body_part *ret);
// The two halves of it, for a reader that owns no part while it waits. body_take never parks:
// ERR_MORE when nothing is there; body_wait_await returns 0 when it is worth asking again.
int body_take(struct body *b, struct body_part *ret);
int body_wait_await(struct body *b, struct fiber *self);
// Gives the part back; an empty part is fine. Returns credit to the connection.
void body_put(struct body *b, struct body_part *part);
// For sources: bytes, the end or an error are there.
void body_wake(struct body *b);

#endif
