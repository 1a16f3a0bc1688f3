// SPDX-License-Identifier: Apache-2.0
//
// ws.h: a WebSocket (RFC 6455) on a connection of net's, as its server or as its client.
//
// clang-format off
//            ws_accept_await, ws_connect_await
//                          │
//                          ▼   our close is out            theirs came, a loss,
//                      ┌──────┐ ───────────► ┌─────────┐   or close_ms are over  ┌────────┐
//                      │ OPEN │              │ CLOSING │ ──────────────────────► │ CLOSED │
//                      └──────┘              └─────────┘                         └────────┘
//                          │  theirs came: answered with its code, a violation,   ▲  │
//                          └──────── nothing for too long, a loss ────────────────┘  └─► ws_end
// clang-format on
//
// One fiber reads. Any fiber of the core writes: frames of several stand one behind the other, each
// whole, in the order of the calls. The reader does what the protocol asks of both sides: it
// answers pings and closes, asks a silent peer whether it is there, and says 1001 when the core
// drains (a server's). So whoever only writes has somebody read.
//
// Nothing is gathered but what a reader asks for: a peer that writes faster than the reader asks is
// not received from, and a peer that does not read parks the writers, until LIMIT_SEND_MS have
// passed in which it took less than LIMIT_SEND_RATE bytes a second.
//
// A frame that was begun and could not be ended (an interruption of the fiber, a loss) tears the
// connection: nothing can follow it, and the socket is CLOSED with WS_CODE_ABNORMAL.
//
// Core's thread.
#ifndef RINGGATE_NET_WS_H
#define RINGGATE_NET_WS_H

#include "base/buf.h"
#include "net/upstream.h"
#include "net/ws_frame.h"
#include "net/ws_handshake.h"

// Silence after which the peer is pinged; a connection that nobody is at the other end of costs its
// memory for ever.
#define LIMIT_WS_PING_MS 30000
// And within which something has to come then.
#define LIMIT_WS_PONG_MS 30000
// How long the peer's close is waited for when ours is out.
#define LIMIT_WS_CLOSE_MS 5000

struct ws_options {
    struct ws_limits limits;             // each 0: those of ws_frame.h
    unsigned ping_ms, pong_ms, close_ms; // 0: those above
};

struct ws; // lies in an arena

// ---- Opening ---------------------------------------------------------------------------------

// Takes the connection over: sends the 101. `request` is what ws_request_check said of it; what it
// refuses is the caller's to answer. From then on the stream's answer is the WebSocket's; http_end
// comes last, behind ws_end. The socket lies in the stream's arena. `options` may be NULL.
// ERR_UNSUPPORTED: not over HTTP/2. ERR_NOMEM, ERR_CLIENT_GONE, an interruption.
int ws_accept_await(struct http_stream *s, struct fiber *self, const struct ws_request *request,
                    const struct ws_options *options, struct ws **ret);

struct ws_dial {
    struct origin *origin;
    struct slice target;             // path and query
    const struct http_field *fields; // more of the request; not net's own, no Sec-WebSocket-…
    unsigned count;
    const struct slice *protocols; // offered, tokens, the most wanted first
    unsigned protocol_count;
    struct arena *arena;              // of the socket and of all that it says
    const struct ws_options *options; // may be NULL
};
// ERR_WS_REFUSED: the provider answered with something else than 101; it is *ret_answer, the
// caller's to read and to end. ERR_UPSTREAM_PROTOCOL: a 101 that is not one. Else what
// upstream_call_await says.
int ws_connect_await(struct net_core *c, struct fiber *self, const struct ws_dial *dial,
                     struct ws **ret, struct upstream **ret_answer);
struct slice ws_protocol(const struct ws *w); // that was agreed on; empty: none

// ---- Reading: one fiber ----------------------------------------------------------------------

// A run of a message, as far as it is there. Valid until the socket is next read, closed or ended.
struct ws_piece {
    enum ws_opcode opcode; // WS_TEXT or WS_BINARY
    struct slice bytes;    // maybe none
    bool first, last;      // of the message
};
// ERR_WS_CLOSED: both have closed, or one has and the other had its time; ws_code says how.
// ERR_BAD_FRAME: the peer broke the protocol and was told so. ERR_CLIENT_GONE, ERR_UPSTREAM_CLOSED:
// it left without a close. ERR_CLIENT_TIMEOUT, ERR_UPSTREAM_IDLE: it is not there any more.
// ERR_NOMEM. Those are for ever. An interruption.
int ws_next_await(struct ws *w, struct fiber *self, struct ws_piece *ret);
// A whole message, behind what is in `out`; what it may come to is out's ceiling (ERR_LIMIT).
int ws_message_await(struct ws *w, struct fiber *self, struct buf *out, enum ws_opcode *ret_opcode);
// The peer's close code; WS_CODE_NONE without one, WS_CODE_ABNORMAL without a close. *ret_reason
// (may be NULL) lies in the socket.
unsigned ws_code(const struct ws *w, struct slice *ret_reason);

// ---- Writing: any fiber of the core ----------------------------------------------------------

// One message in one frame. The kernel has all of it when it returns 0; a client's spans are masked
// in a copy. ERR_WS_CLOSED, ERR_CLIENT_GONE, ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TIMEOUT (the
// provider does not read), ERR_NOMEM, an interruption.
int ws_send_await(struct ws *w, struct fiber *self, enum ws_opcode opcode,
                  const struct slice *spans, unsigned count);

// ---- Closing ---------------------------------------------------------------------------------

// By the fiber that reads: says the code, and waits for the peer's; what comes until then is
// dropped. All of it takes close_ms at most: a writer that is stuck then is torn, and so is the
// connection. When both have closed it returns 0 at once. Whatever it returns, the socket is CLOSED
// but after an interruption.
int ws_close_await(struct ws *w, struct fiber *self, unsigned code, struct slice reason);
// No fiber is in a call. Gives back what it holds; a client's connection is closed, a server's is
// with http_end. NULL is fine. Does not park.
void ws_end(struct ws *w);

#endif
