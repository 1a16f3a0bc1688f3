// SPDX-License-Identifier: Apache-2.0
//
// ws_frame.h: WebSocket frames (RFC 6455) as bytes in, pieces of messages out, and back.
//
// No I/O and no memory of its own. A frame:
//
//     byte 0            byte 1                2 or 8 more        4        `length`
//   ┌─┬───┬──────┐   ┌────┬────────────┐   ┌───────────────┐  ┌──────┐  ┌─────────┐
//   │F│RSV│opcode│   │MASK│ length, 7  │   │ 126: 2 bytes  │  │ key  │  │ payload │
//   │I│ 3 │  4   │   │ 1  │ bits       │   │ 127: 8 bytes  │  │      │  │         │
//   │N│   │      │   │    │            │   │ big endian    │  │      │  │         │
//   └─┴───┴──────┘   └────┴────────────┘   └───────────────┘  └──────┘  └─────────┘
//     "Hello" as a text by a client: 81 85 37 fa 21 3d 7f 9f 4d 51 58
//
// A message is a frame, or fragments: the first has the opcode, those behind it CONTINUATION, the
// last one FIN. Control frames (close, ping, pong) are whole, at most 125 bytes, and may stand
// between fragments: the parser gathers each in a place of its own and then goes on.
//
//             second byte        length, key           payload, all of it
//   ┌──────┐ ───────────► ┌──────┐ ──────► ┌─────────┐ ────────────────► HEAD
//   │ HEAD │              │ MORE │         │ PAYLOAD │
//   └──────┘              └──────┘         └─────────┘   a violation, from any ─► FAILED (sticky)
//
// Input may be cut anywhere. Data is unmasked where it lies and handed out at once, as far as it is
// there: nothing waits for a whole frame. A text's UTF-8 is checked byte for byte as it comes, over
// the borders of fragments, so a bad one fails at its first bad byte (RFC 6455 8.1).
//
// Strict: a length in more bytes than it needs, a reserved bit (no extension is negotiated,
// permessage-deflate included), an unknown opcode, a client's frame without a mask or a server's
// with one, a close code that may not be sent: each is ERR_BAD_FRAME, with the code to close with.
#ifndef RINGGATE_NET_WS_FRAME_H
#define RINGGATE_NET_WS_FRAME_H

#include "base/slice.h"

// One message, all its fragments, that fills memory. 1009.
#define LIMIT_WS_MESSAGE_BYTES ((size_t)16 * 1024 * 1024)
// A frame that announces more than a message may have: refused by its length, before its payload.
// 1009.
#define LIMIT_WS_FRAME_BYTES ((size_t)16 * 1024 * 1024)
// A message of fragments without a byte each, that never ends. 1009.
#define LIMIT_WS_FRAGMENTS 16384

#define WS_CONTROL_BYTES 125 // RFC 6455 5.5
#define WS_HEAD_BYTES    14  // the longest head of a frame

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

// RFC 6455 7.4.1 and the registry it made.
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_UNACCEPTABLE = 1003,
    WS_CODE_NONE = 1005,     // never on the wire: the close frame had no code
    WS_CODE_ABNORMAL = 1006, // never on the wire: there was no close frame
    WS_CODE_NOT_UTF8 = 1007,
    WS_CODE_POLICY = 1008,
    WS_CODE_TOO_BIG = 1009,
    WS_CODE_INTERNAL = 1011,
    WS_CODE_LATER = 1013,
};

// May a close frame carry it? 1000-1003, 1007-1014, 3000-4999.
bool ws_code_valid(unsigned code);

// ---- UTF-8 -----------------------------------------------------------------------------------

// Where a text stands. Zeroed: at the border of a character.
struct ws_utf8 {
    uint8_t left;      // continuation bytes that must follow
    uint8_t low, high; // bounds of the next one (RFC 3629 4)
};
// False at the first byte that cannot be; *u is then of no use.
bool ws_utf8_add(struct ws_utf8 *u, struct slice s);
static inline bool ws_utf8_whole(const struct ws_utf8 *u)
{
    return u->left == 0;
}

// ---- Reading ---------------------------------------------------------------------------------

enum ws_role { WS_SERVER, WS_CLIENT }; // ours: a server reads masked frames, a client unmasked ones

struct ws_limits {
    size_t message_bytes, frame_bytes; // 0: those above
    unsigned fragments;
};

enum ws_event_type { WS_EVENT_DATA, WS_EVENT_PING, WS_EVENT_PONG, WS_EVENT_CLOSE };

struct ws_event {
    enum ws_event_type type;
    // DATA: a run of the message, in the input (maybe empty). Controls: payload, of a close the
    // reason; in the parser, until its next call.
    struct slice bytes;
    enum ws_opcode opcode; // DATA: WS_TEXT or WS_BINARY
    bool first, last;      // DATA: of the message
    unsigned code;         // CLOSE: its code, or WS_CODE_NONE
};

struct ws_parser {
    enum ws_role role;
    struct ws_limits limits;
    unsigned state; // private, all that follow
    uint8_t head[WS_HEAD_BYTES];
    uint8_t head_len, head_need;
    uint8_t opcode; // of the frame
    bool fin;
    uint8_t message; // opcode of the message under way, or 0
    bool begun;      // a run of it has been handed out
    uint8_t phase;   // of the key, at the next byte
    uint8_t key[4];
    uint64_t left; // payload that has not come
    size_t message_bytes;
    unsigned fragments;
    struct ws_utf8 utf8;
    uint8_t control[WS_CONTROL_BYTES];
    uint8_t control_len;
    unsigned code;
};

// NULL limits, and each that is 0: the defaults.
void ws_parser_init(struct ws_parser *p, enum ws_role role, const struct ws_limits *limits);
// Takes the next piece off the front of *in, the bytes of which it may change (unmasking). 0 with
// *ret; ERR_MORE when *in is used up; ERR_BAD_FRAME, for ever: ws_parser_code says with which code
// to close. Behind a close nothing is read: the caller stops.
int ws_parser_next(struct ws_parser *p, struct slice *in, struct ws_event *ret);
static inline unsigned ws_parser_code(const struct ws_parser *p)
{
    return p->code;
}

// ---- Writing ---------------------------------------------------------------------------------

// `bytes` ^= key, which begins at its byte `phase` (0 to 3). Returns the phase behind them. In
// words of eight bytes.
unsigned ws_mask(char *bytes, size_t len, const uint8_t key[4], unsigned phase);

// The head of a frame into `out` (WS_HEAD_BYTES). `key`: of a client; NULL: not masked. Returns its
// length.
size_t ws_frame_head(char *out, enum ws_opcode opcode, bool fin, uint64_t length,
                     const uint8_t *key);

// A whole control frame into `out` (WS_HEAD_BYTES + WS_CONTROL_BYTES); the payload is at most
// WS_CONTROL_BYTES. Returns its length.
size_t ws_frame_control(char *out, enum ws_opcode opcode, struct slice payload, const uint8_t *key);

// A close frame's payload into `out` (WS_CONTROL_BYTES): nothing for WS_CODE_NONE. The reason is
// cut at a border of its UTF-8. Returns its length.
size_t ws_close_payload(char *out, unsigned code, struct slice reason);

#endif
