// SPDX-License-Identifier: Apache-2.0
//
// ws_internal.h: what ws.c and ws_send.c share: the socket.
#ifndef RINGGATE_NET_WS_INTERNAL_H
#define RINGGATE_NET_WS_INTERNAL_H

#include "base/list.h"
#include "net/ws.h"
#include "ring/fiber.h"

enum ws_state { WS_OPEN, WS_CLOSING, WS_CLOSED };

// Masks drawn at once: a system call for each frame would cost as much as the frame.
#define WS_KEYS 16

struct ws {
    struct net_core *core;
    struct http_stream *stream; // a server's; else NULL
    struct upstream *up;        // a client's; else NULL
    struct body *body;          // what the peer sends
    struct slice protocol;
    enum ws_state state;
    int err; // with which it ended; sticky

    // Reading.
    struct ws_parser parser;
    struct body_part part;
    bool part_out;
    unsigned span;    // of the part, the next one
    struct slice in;  // of the one before, what has not been read
    bool in_message;  // a piece was handed out that was not its message's last
    bool parse_again; // an event may lie behind the last one without a byte more
    struct mono patience;
    bool asked; // the peer was pinged and has not said a byte since

    // Writing.
    bool writing;        // a fiber has the turn
    struct list waiting; // those that want it, in order
    bool torn;           // a frame was cut: nothing may follow
    bool pong_due;       // a ping came while somebody else had the turn
    uint8_t pong_len;
    char pong[WS_CONTROL_BYTES]; // of the newest one
    uint8_t keys[WS_KEYS][4];
    unsigned keys_left;

    // The peer's close.
    unsigned code;
    uint8_t reason_len;
    char reason[WS_CONTROL_BYTES];

    unsigned ping_ms, pong_ms, close_ms;
};

// CLOSED, for this reason unless there is one already; returns the one that stands.
int ws__over(struct ws *w, int err);
// What the peer's end means when it has not closed.
int ws__lost(const struct ws *w);

// ws_send.c. Our close: OPEN → CLOSING. Another fiber's counts as well. It has close_ms, which the
// wait for the peer's is a part of; when it could not be said by then the connection is torn, and
// it returns what stands.
int ws__send_close_await(struct ws *w, struct fiber *self, unsigned code, struct slice reason);
int ws__ping_await(struct ws *w, struct fiber *self);
// Answers at once, or leaves it to whoever writes.
int ws__pong_await(struct ws *w, struct fiber *self, struct slice payload);

#endif
