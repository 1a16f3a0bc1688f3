// SPDX-License-Identifier: Apache-2.0
//
// upstream.h: one request to a provider and its answer.
//
// An `origin` is scheme, host, port and TLS context: immutable, reference-counted, made with the
// configuration's snapshot. Each core keeps a pool of idle connections per origin, found by the
// origin's key, so that a reload that leaves an origin unchanged keeps its connections.
//
//              connect        TLS done / plain       request sent       head parsed
//   ┌─────────┐ ──► ┌─────────┐ ────────────► ┌──────┐ ─────► ┌─────────┐ ────► ┌──────┐
//   │ RESOLVE │     │ CONNECT │               │ SEND │        │ WAITING │       │ BODY │
//   └─────────┘     └─────────┘               └──────┘        └─────────┘       └──────┘
//                                                ▲ reused                           │ complete
//                                             ┌──────┐ ◄────────────────────────────┘
//                                             │ IDLE │  upstream_end, poolable
//                                             └──────┘ ──► closed: idle limit, age, peer's FIN
//
// A multishot receive stays armed from connect to close; an idle connection owns no buffer. A
// connection taken from the pool that ends before any answer byte is replaced once by a fresh one
// and the request sent again: the provider closed it as we wrote. That is outside max_retries and
// counted (upstream_retries).
//
// An answer may begin before the request is all sent: the send then goes on, and
// upstream_call_await returns when it has ended, so that the kernel holds nothing of the caller's.
// It is stopped when the provider refuses (status 300 and above), ends its answer, or goes on with
// it without reading us, for a second or until our credit is full; then the answer it gave is what
// the caller gets, and the connection is not reused.
//
// HTTP/2, where the origin asks for it (enum origin_http): many calls share a connection, which is
// never returned to a pool because it never leaves it (upstream_h2.h). Callers see no difference
// but in `h2`. What is stopped or abandoned is one stream, reset; a stream that the provider never
// looked at is asked again once, on another connection.
#ifndef RINGGATE_NET_UPSTREAM_H
#define RINGGATE_NET_UPSTREAM_H

#include "net/http.h"
#include "net/tls.h"

struct origin;
struct proxy;

enum origin_http {
    ORIGIN_HTTP1,    // HTTP/1.1
    ORIGIN_HTTP_ANY, // what ALPN chooses of HTTP/2 and HTTP/1.1; HTTP/1.1 in clear text
    ORIGIN_HTTP2,    // HTTP/2 or ERR_UPSTREAM_VERSION; in clear text with prior knowledge
};

struct origin_options {
    bool tls;
    struct slice host; // a name or a numeric address, without brackets
    unsigned port;
    enum origin_http http;
    struct tls_context *tls_context; // a reference is taken; NULL when plain
    struct slice identity;           // tells contexts apart in the key ("" for the default one)
    struct proxy *proxy;             // a reference is taken; NULL: none (net/proxy.h)
    bool refuse_private; // a host with an address of RFC 1918, 4193 or 6598 is not connected to
    unsigned connect_ms, idle_ms, age_ms; // 0: limits.h
    unsigned conns_max; // of the process, shared out to its cores, one each at least; 0: no limit
    unsigned idle_max;  // per core; 0: limits.h
};
// Copies. 0, ERR_NOMEM, ERR_CONFIG (no host, a port out of range, TLS without a context).
int origin_new(const struct origin_options *o, struct origin **ret);
struct origin *origin_get(struct origin *o);
void origin_put(struct origin *o);                     // NULL is fine
struct slice origin_authority(const struct origin *o); // "host" or "host:port", for Host

// One call. `iov` holds the whole request, head and body, in the order of the wire; it and what it
// points at live until upstream_call_await returns (it may be sent twice). Where the origin may
// speak HTTP/2, iov[0] is the head, whole and alone. `arena` receives the answer's head.
struct upstream_call {
    struct origin *origin;
    enum http_method method;
    const struct iovec *iov;
    unsigned iov_count;
    struct arena *arena;
    bool upgrade; // asks to: HTTP/1.1 whatever the origin prefers, and a 101 is an answer
};

struct upstream {
    struct http_head head; // of the answer (1xx skipped)
    struct body body;      // pull it
    bool reused;           // the connection came from the pool, or has carried another call
    bool h2;               // the version that carried it
};

// Sends and waits for the head of the answer. Bounded by the fiber's deadline and, until connected,
// by the origin's connect_ms. ERR_RESOLVE, ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_TLS,
// ERR_TLS_VERIFY, ERR_ADDRESS_…, ERR_PROXY_…, ERR_UPSTREAM_VERSION, ERR_UPSTREAM_CLOSED,
// ERR_UPSTREAM_TRUNCATED,
// ERR_UPSTREAM_PROTOCOL, ERR_UPSTREAM_TOO_LARGE, ERR_NOMEM, or an interruption. At conns_max it
// waits its turn; ERR_LIMIT when too many wait already. ERR_UNSUPPORTED: an upgrade where HTTP/2 is
// enforced, or in plain text through an HTTP proxy.
int upstream_call_await(struct net_core *c, struct fiber *self, const struct upstream_call *call,
                        struct upstream **ret);
// Of an answer of 101: bytes as they are, all of them taken by the kernel when it returns 0; what
// comes is pulled from `body`, until the provider's end. One caller at a time.
// ERR_UPSTREAM_CLOSED, an interruption: nothing can follow what was cut.
int upstream_write_await(struct upstream *u, struct fiber *self, const struct iovec *iov,
                         unsigned count);
// Done with it; every body part has been put. A complete answer returns the connection to the pool,
// anything else closes it at once (that is how an abandoned stream is cancelled; over HTTP/2 the
// stream is reset). NULL is fine. Does not park.
void upstream_end(struct net_core *c, struct upstream *u);

// For configuration: splits "https://host[:port][/path]". ERR_CONFIG with nothing set.
struct url {
    bool tls;
    struct slice host; // without brackets
    unsigned port;
    struct slice path; // without a trailing slash; may be empty
};
int url_parse(struct slice text, struct url *ret);

#endif
