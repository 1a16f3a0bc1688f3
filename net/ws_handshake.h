// SPDX-License-Identifier: Apache-2.0
//
// ws_handshake.h: the HTTP request and answer a WebSocket begins with (RFC 6455 4). No I/O.
//
// Nothing is negotiated that was not asked for: no extension ever, and at most one subprotocol, the
// first of the client's that the server knows. Origin is passed up: who may connect is for whoever
// serves to say.
#ifndef RINGGATE_NET_WS_HANDSHAKE_H
#define RINGGATE_NET_WS_HANDSHAKE_H

#include "net/http.h"

#define WS_KEY_BYTES    24 // 16 random ones in base64
#define WS_ACCEPT_BYTES 28 // a SHA-1 in base64

// Does the request ask for a WebSocket (a GET with Upgrade: websocket)? Says nothing about whether
// it does so well.
bool ws_is_asked(const struct http_head *request);

struct ws_request {
    struct slice key;      // borrowed from the head
    struct slice origin;   // empty: none was sent
    struct slice protocol; // chosen, as the server writes it; empty: none
};

// `protocols`, `count`: what the server speaks, in any order (the client's order decides). 0; or
// what to answer with: ERR_WS_VERSION (426, with ws_version_field: another version, or none),
// ERR_BAD_HEADER (400: no GET, no HTTP/1.1, no Upgrade, no Connection: upgrade, a bad key, a body).
int ws_request_check(const struct http_head *request, const struct slice *protocols, unsigned count,
                     struct ws_request *ret);
// For an answer of 426: "sec-websocket-version: 13".
extern const struct http_field ws_version_field;

// RFC 6455 4.2.2: base64 of the SHA-1 of the key and a fixed text.
void ws_accept_key(struct slice key, char out[WS_ACCEPT_BYTES]);

// The whole head of the 101 in `arena`; ptr NULL: no memory.
struct slice ws_answer_write(const struct ws_request *r, struct arena *arena);

// ---- Client ----------------------------------------------------------------------------------

// A fresh key. 0 or ERR_SYSTEM.
int ws_key_make(char out[WS_KEY_BYTES]);

// The answer to a request with this key that offered these subprotocols. 0 with the one chosen
// (empty: none), or ERR_UPSTREAM_PROTOCOL: no 101, no Upgrade, no Connection, another accept key,
// an extension, a subprotocol that was not offered.
int ws_answer_check(const struct http_head *answer, struct slice key, const struct slice *protocols,
                    unsigned count, struct slice *ret_protocol);

#endif
