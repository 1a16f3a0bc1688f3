// SPDX-License-Identifier: Apache-2.0
//
// err.h: every way a function of this program can fail, in one list.
//
// A function returns 0 (or a count) or a negative `enum err`. The list carries beside each name the
// sentence a person reads, the HTTP status a client gets when the error is what the request ends
// with, and whether trying again on the same key may help. The four cannot drift apart because
// they are one row.
//
// ERR_MORE is not a failure: a parser needs bytes that have not arrived.
#ifndef RINGGATE_BASE_ERR_H
#define RINGGATE_BASE_ERR_H

#include <stdbool.h>

// X(name, text, http status, retryable)
#define ERR_MAP(X)                                                                                 \
    X(MORE, "more input is needed", 400, false)                                                    \
    X(NOMEM, "out of memory", 503, false)                                                          \
    X(LIMIT, "a limit was reached", 503, false)                                                    \
    X(SYSTEM, "a system call failed", 500, false)                                                  \
    X(UNSUPPORTED, "not supported here", 501, false)                                               \
    X(NOT_FOUND, "not found", 404, false)                                                          \
    X(CANCELLED, "cancelled", 499, false)                                                          \
    X(DEADLINE, "deadline passed", 504, false)                                                     \
    X(CLIENT_GONE, "the client closed its connection", 499, false)                                 \
    X(CLIENT_TIMEOUT, "the client sent its request too slowly", 408, false)                        \
    X(CLIENT_TRUNCATED, "the request body ended early", 400, false)                                \
    X(BAD_HEAD, "malformed request head", 400, false)                                              \
    X(BAD_HEADER, "malformed header", 400, false)                                                  \
    X(BAD_LENGTH, "conflicting or malformed body length", 400, false)                              \
    X(BAD_CHUNK, "malformed chunk framing", 400, false)                                            \
    X(BAD_HOST, "missing or repeated Host header", 400, false)                                     \
    X(FOREIGN_HOST, "this host is not served here", 421, false)                                    \
    X(BAD_METHOD, "method not allowed", 405, false)                                                \
    X(BAD_VERSION, "HTTP version not supported", 505, false)                                       \
    X(BAD_EXPECT, "expectation not supported", 417, false)                                         \
    X(BAD_CODING, "transfer coding not supported", 501, false)                                     \
    X(BAD_FRAME, "malformed WebSocket frame", 400, false)                                          \
    X(WS_VERSION, "WebSocket version not supported", 426, false)                                   \
    X(WS_CLOSED, "the WebSocket is closed", 499, false)                                            \
    X(WS_REFUSED, "the provider did not open a WebSocket", 502, false)                             \
    X(BAD_PACKED, "malformed compressed data", 400, false)                                         \
    X(PLAIN_HTTP, "plain HTTP was sent to the TLS port", 400, false)                               \
    X(HEAD_TOO_LARGE, "request head too large", 431, false)                                        \
    X(BODY_TOO_LARGE, "request body too large", 413, false)                                        \
    X(BAD_JSON, "not valid JSON", 400, false)                                                      \
    X(BAD_UTF8, "not valid UTF-8", 400, false)                                                     \
    X(BAD_DEPTH, "JSON nested too deeply", 400, false)                                             \
    X(BAD_TYPE, "wrong type of a member", 400, false)                                              \
    X(DUPLICATE, "a member occurs twice", 400, false)                                              \
    X(MISSING, "a member is missing", 400, false)                                                  \
    X(BAD_SSE, "malformed event stream", 502, false)                                               \
    X(CONFIG, "invalid configuration", 500, false)                                                 \
    X(RESOLVE, "host name could not be resolved", 502, true)                                       \
    X(CONNECT, "connection refused or unreachable", 502, true)                                     \
    X(CONNECT_TIMEOUT, "connection attempt timed out", 504, true)                                  \
    X(ADDRESS_REFUSED, "the host is a link-local or metadata address: refused", 502, false)        \
    X(ADDRESS_PRIVATE, "the host is a private address and allow_private_network is false", 502,    \
      false)                                                                                       \
    X(PROXY_RESOLVE, "the proxy's host name could not be resolved", 502, true)                     \
    X(PROXY_CONNECT, "the proxy refused the connection or is unreachable", 502, true)              \
    X(PROXY_ADDRESS, "the proxy is at a link-local or metadata address: refused", 502, false)      \
    X(PROXY_TIMEOUT, "the proxy did not answer in time", 504, true)                                \
    X(PROXY_AUTH, "the proxy did not accept the credentials", 502, false)                          \
    X(PROXY_REFUSED, "the proxy refused to connect to the provider", 502, false)                   \
    X(PROXY_UNREACHABLE, "the proxy could not reach the provider", 502, true)                      \
    X(PROXY_PROTOCOL, "the proxy's answer is malformed", 502, true)                                \
    X(PROXY_CLOSED, "the proxy closed the connection", 502, true)                                  \
    X(PROXY_TLS, "TLS handshake with the proxy failed", 502, true)                                 \
    X(PROXY_VERIFY, "verification of the proxy's certificate failed", 502, false)                  \
    X(TLS, "TLS handshake failed", 502, true)                                                      \
    X(TLS_VERIFY, "certificate verification failed", 502, false)                                   \
    X(UPSTREAM_CLOSED, "provider closed the connection before answering", 502, true)               \
    X(UPSTREAM_TRUNCATED, "provider's answer ended early", 502, true)                              \
    X(UPSTREAM_PROTOCOL, "provider's answer is malformed", 502, true)                              \
    X(UPSTREAM_VERSION, "provider does not speak HTTP/2, which enforce_http2 asks for", 502,       \
      false)                                                                                       \
    X(UPSTREAM_TIMEOUT, "request timed out", 504, true)                                            \
    X(UPSTREAM_IDLE, "provider's stream was silent for too long", 504, false)                      \
    X(UPSTREAM_FOREIGN, "provider's answer is too large to be translated", 502, false)             \
    X(UPSTREAM_TOO_LARGE, "provider's answer head is too large", 502, false)                       \
    X(CREDENTIAL, "the provider's authority refused the credentials", 502, false)                  \
    X(QUEUE_FULL, "request dropped: queue is full", 503, false)                                    \
    X(OVERLOAD, "overloaded", 503, false)

enum err {
    ERR_NONE = 0,
#define X(name, text, status, retry) ERR__INDEX_##name,
    ERR__START = 0,
    ERR_MAP(X)
#undef X
        ERR_COUNT,
#define X(name, text, status, retry) ERR_##name = -ERR__INDEX_##name,
    ERR_MAP(X)
#undef X
};

// Each takes 0 or a negative `enum err`; anything else asserts. Any thread.
const char *err_name(int err); // "UPSTREAM_CLOSED"; "NONE" for 0
const char *err_text(int err); // the sentence; "" for 0
int err_http_status(int err);  // 200 for 0
bool err_retryable(int err);   // false for 0

#endif
