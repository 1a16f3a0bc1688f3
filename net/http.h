// SPDX-License-Identifier: Apache-2.0
//
// http.h: one HTTP message, whatever version carries it.
//
// Everything above `net` sees this and nothing of HTTP/1 or HTTP/2: a head with tokenised fields, a
// body that is pulled (body.h), and a stream on which to answer. All slices of a head lie in the
// arena of the exchange and live as long as it.
//
// A client's request is a `struct http_stream`. net calls the server's `on_request` when a head is
// complete and well-formed; the gateway spawns a fiber on it. The fiber reads the body, answers and
// calls http_end exactly once, last; then the stream is net's again (next request or close).
//
//            head complete          http_answer_await        last span sent
//   ┌──────┐ ────────────► ┌───────┐ ─────────────► ┌──────┐ ─────────────► ┌──────────┐ http_end
//   │ HEAD │               │ SERVE │                │ BODY │                │ ANSWERED │ ──► HEAD
//   └──────┘ ◄──┐          └───────┘                └──────┘                └──────────┘  or closed
//               │              │ client leaves          │
//               │              ▼                        ▼
//               │          ┌──────┐   the fiber is cancelled with ERR_CLIENT_GONE, sends
//               └───────── │ GONE │   fail with it, http_end closes
//                          └──────┘
//
// How messages end. "Complete" is the only ending on which an answer may be presented as whole.
//
//   side, version       | what happens                         | what the layer above sees
//   --------------------+--------------------------------------+--------------------------------
//   client, HTTP/1      | body has its Content-Length / 0-chunk| body part with `last`
//                       | FIN or reset before that             | ERR_CLIENT_GONE, fiber cancelled
//                       | FIN after the request was complete   | the client has left: the same
//                       | reset or failed send while answering | ERR_CLIENT_GONE, fiber cancelled
//                       | bad chunk framing                    | ERR_BAD_CHUNK; 400, then close
//                       | too slow                             | ERR_CLIENT_TIMEOUT; 408, close
//   client, HTTP/2      | END_STREAM, with the length announced| body part with `last`
//                       | a reset, or another length           | ERR_CLIENT_GONE, fiber cancelled
//                       | a window kept closed for send_ms     | the same; only its stream is reset
//                       | FIN, reset or bad frames             | the same, on each of its streams
//                       | GOAWAY                               | nothing: its streams go on
//                       | too slow                             | ERR_CLIENT_TIMEOUT; 408
//   provider, HTTP/1    | Content-Length reached / 0-chunk     | part with `last`; poolable
//                       | neither given: FIN                   | part with `last`; not poolable
//                       | FIN or reset, no answer byte, reused | one silent retry, fresh connection
//                       | FIN or reset, no answer byte, fresh  | ERR_UPSTREAM_CLOSED
//                       | FIN or reset inside head or body     | ERR_UPSTREAM_TRUNCATED
//                       | TLS closed without close_notify and  | ERR_UPSTREAM_TRUNCATED
//                       |   no length known                    |
//                       | bad head or chunk framing            | ERR_UPSTREAM_PROTOCOL
//   provider, HTTP/2    | END_STREAM, with the length announced| part with `last`
//                       | refused, or above GOAWAY's last id,  | one silent retry, another
//                       |   no answer byte                     |   connection
//                       | connection lost, nothing received on | one silent retry, another
//                       |   it since the request, reused       |   connection
//                       | any other reset or loss, no head     | ERR_UPSTREAM_CLOSED
//                       | reset, loss, or another length,      | ERR_UPSTREAM_TRUNCATED
//                       |   inside the body                    |
//                       | bad head; bad frames, no head        | ERR_UPSTREAM_PROTOCOL
//                       | GOAWAY                               | nothing: streams below its id go
//                       on
//   answer to client    | `last` written                       | length or 0-chunk on the wire
//                       |                                      |   (HTTP/2: END_STREAM)
//                       | http_end before `last` was written   | connection reset: never whole
//                       |                                      |   (HTTP/2: its stream)
#ifndef RINGGATE_NET_HTTP_H
#define RINGGATE_NET_HTTP_H

#include "base/arena.h"
#include "base/slice.h"
#include "net/body.h"
#include <stdbool.h>
#include <stdint.h>

struct fiber;
struct net_core;
struct http_stream;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_METHOD_COUNT, // any other: ERR_BAD_METHOD at the parser
};
struct slice http_method_name(enum http_method m);

// Fields the program asks for by name. X(token, lower-case name)
#define HTTP_NAME_MAP(X)                                                                           \
    X(OTHER, "")                                                                                   \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(API_KEY, "api-key")                                                                          \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(HOST, "host")                                                                                \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(ORIGIN, "origin")                                                                            \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(SERVER, "server")                                                                            \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(X_API_KEY, "x-api-key")                                                                      \
    X(X_BF_API_KEY, "x-bf-api-key")                                                                \
    X(X_BF_API_KEY_ID, "x-bf-api-key-id")                                                          \
    X(X_BF_COMPAT, "x-bf-compat")                                                                  \
    X(X_BF_SEND_BACK_RAW_REQUEST, "x-bf-send-back-raw-request")                                    \
    X(X_BF_SEND_BACK_RAW_RESPONSE, "x-bf-send-back-raw-response")                                  \
    X(X_BF_SESSION_ID, "x-bf-session-id")                                                          \
    X(X_BF_SESSION_TTL, "x-bf-session-ttl")                                                        \
    X(X_BF_VK, "x-bf-vk")                                                                          \
    X(X_GOOG_API_KEY, "x-goog-api-key")                                                            \
    X(X_REQUEST_ID, "x-request-id")

enum http_name {
#define X(token, name) HTTP_N_##token,
    HTTP_NAME_MAP(X)
#undef X
        HTTP_NAME_COUNT
};

// The token of a name in any letter case; HTTP_N_OTHER when it has none.
enum http_name http_name_find(struct slice name);
struct slice http_name_text(enum http_name token);

struct http_field {
    enum http_name id;
    struct slice name;  // as written
    struct slice value; // without surrounding white space
};

struct http_head {
    enum http_method method; // requests
    struct slice target;     // as written
    struct slice path;       // up to '?', not decoded
    struct slice query;      // behind '?', may be empty
    unsigned status;         // answers
    unsigned minor;          // HTTP/1.x; 1 for HTTP/2
    struct http_field *fields;
    unsigned count;
    int64_t content_length; // -1: not given
    bool chunked;
    bool close; // this message is the connection's last
    bool expect_continue;
};

// The host in "host", "host:port", "[v6]:port" (RFC 3986 3.2 without user information, as Host and
// :authority are); false when it is none of these: an empty host, a port that is no port.
bool http_authority_host(struct slice authority, struct slice *ret_host);

// The host a request names: of its target in absolute form, which wins over Host (RFC 9112 3.2.2),
// else of Host or :authority. False when it names none.
bool http_head_host(const struct http_head *request, struct slice *ret_host);

// The first field with the token, or NULL.
const struct http_field *http_head_get(const struct http_head *h, enum http_name token);
const struct http_field *http_head_find(const struct http_head *h, struct slice name);

// ---- Serving ---------------------------------------------------------------------------------

struct http_stream_ops;

// Bounds, defaults and the abuse each stops stand in net/limits.h.
struct http_stream {
    const struct http_stream_ops *ops; // of the version that carries it
    struct net_core *core;
    struct arena arena; // the exchange's; freed by http_end
    // The request's body and what is made of it for a provider; freed by http_drop_body: a stream
    // that lives for minutes owns nothing of what it was asked.
    struct arena early;
    size_t body_bytes; // private to net: of this request in net_shared.body_bytes
    struct http_head request;
    struct body body;    // the request's
    struct fiber *fiber; // set by the gateway; cancelled when the client leaves
    struct mono started; // when the head was complete
    char peer[48];       // numeric address, NUL-terminated; by the PROXY header if there is one
    bool answered;       // a head has gone out
    bool body_alone;     // private to net: the body read has a block of `early` to itself
    bool gone;
};

// What an answer starts with. Fields are written in order; net itself writes Content-Length or
// Transfer-Encoding, Connection and Date, and drops those from `fields`.
struct http_answer {
    unsigned status;
    const struct http_field *fields;
    unsigned count;
    int64_t content_length; // -1: chunked (HTTP/1.0: until close)
};

struct http_stream_ops {
    int (*read_body_await)(struct http_stream *, struct fiber *, size_t bytes_max,
                           struct slice *ret_body);
    void (*drop_body)(struct http_stream *);
    int (*answer_await)(struct http_stream *, struct fiber *, const struct http_answer *,
                        const struct slice *spans, unsigned count, bool last);
    int (*write_await)(struct http_stream *, struct fiber *, const struct slice *spans,
                       unsigned count, bool last);
    int (*upgrade_await)(struct http_stream *, struct fiber *, struct slice head);
    void (*end)(struct http_stream *);
    void (*refuse)(struct http_stream *, int err); // http_refuse, see core.h
};

// (Pulling a request's body is not offered: body_pull_await on it is ERR_UNSUPPORTED, until
// http_upgrade_await.)
//
// The whole request body, contiguous, in exchange memory; valid until http_drop_body or http_end.
// Sends 100 Continue when the client waits for it. ERR_BODY_TOO_LARGE (by the length given, before
// a byte is read, or by counting), ERR_OVERLOAD (request bytes in flight, process-wide),
// ERR_BAD_CHUNK, ERR_CLIENT_GONE, ERR_CLIENT_TIMEOUT, ERR_NOMEM, an interruption.
static inline int http_read_body_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                                       struct slice *ret_body)
{
    return s->ops->read_body_await(s, self, bytes_max, ret_body);
}

// What is made of the body in large blocks of `early` (it came compressed) counts as in flight like
// the body itself. ERR_OVERLOAD, counted all the same. Given back at the latest with the body.
int http_count_body(struct http_stream *s, size_t bytes);
void http_uncount_body(struct http_stream *s, size_t bytes);
// Gives back the memory of the body that was read; what else lies in `early` stays. The body cannot
// be read again.
void http_release_body(struct http_stream *s, struct slice body);

// Gives the body's memory back early; after the answer has committed no retry needs it.
static inline void http_drop_body(struct http_stream *s)
{
    s->ops->drop_body(s);
}

// Head and first bytes in one send. `last`: the answer is complete with them. Spans are borrowed
// until the call returns. A HEAD request gets the head only. ERR_CLIENT_GONE, an interruption.
static inline int http_answer_await(struct http_stream *s, struct fiber *self,
                                    const struct http_answer *answer, const struct slice *spans,
                                    unsigned count, bool last)
{
    return s->ops->answer_await(s, self, answer, spans, count, last);
}

// Further bytes, in one send; zero spans with `last` ends the answer.
static inline int http_write_await(struct http_stream *s, struct fiber *self,
                                   const struct slice *spans, unsigned count, bool last)
{
    return s->ops->write_await(s, self, spans, count, last);
}

// Sends this head, a 101 as it stands on the wire. From then on the connection's bytes are the
// caller's: those of the client are pulled from `body`, one part at a time, and may be written to;
// what http_write_await is given goes out as it is; `last` says that nothing follows. The client's
// FIN or reset is no cancellation: behind its last byte the body ends with ERR_CLIENT_GONE. While
// the core drains, the reader is woken. ERR_UNSUPPORTED: HTTP/2, or a request with a body.
static inline int http_upgrade_await(struct http_stream *s, struct fiber *self, struct slice head)
{
    return s->ops->upgrade_await(s, self, head);
}

// The exchange is over. Last call on the stream; a half-sent answer resets the connection.
static inline void http_end(struct http_stream *s)
{
    s->ops->end(s);
}

#endif
