// SPDX-License-Identifier: Apache-2.0
//
// proxy.h: a proxy on the way to a provider, and what is said to it before it is out of the way.
//
//     HTTP     provider is https: CONNECT host:port, then TLS to the provider through it
//              provider is http: no tunnel; each request goes to the proxy in absolute form, with
//              Proxy-Authorization (proxy_form.c)
//     HTTPS    the same behind TLS to the proxy itself (upstream_proxy.c)
//     SOCKS5   RFC 1928, CONNECT; no authentication, or user name and password (RFC 1929). Names
//              are the proxy's to resolve.
//
// A `struct proxy` is immutable and counted, made with the configuration's snapshot, and a part of
// the origin's key: connections through different proxies, or with different credentials, are never
// taken for one another.
//
// A `struct proxy_talk` is the conversation that opens a tunnel, bytes in, bytes out, no I/O: it
// can be fed anything. The proxy speaks only when asked, and nobody speaks behind it before we do:
// a byte beyond its last answer is an error.
//
//   HTTP     ┌────────┐ head, 2xx                               ┌──────┐
//            │ STATUS │ ──────────────────────────────────────► │ OPEN │
//            └────────┘                                         └──────┘
//   SOCKS5   ┌────────┐ 05 02  ┌──────┐ 01 00  ┌───────┐ 05 00 …    ▲
//            │ METHOD │ ─────► │ AUTH │ ─────► │ REPLY │ ───────────┘
//            └────────┘ 05 00 ───────────────► └───────┘
#ifndef RINGGATE_NET_PROXY_H
#define RINGGATE_NET_PROXY_H

#include "base/slice.h"
#include <stdatomic.h>

struct tls_context;

enum proxy_type { PROXY_HTTP, PROXY_SOCKS5, PROXY_TYPE_COUNT };

// RFC 1929 has one byte for the length of each.
#define PROXY_USER_BYTES_MAX 255
// For HTTP; some are tokens. SOCKS5: the same bound as a name's.
#define PROXY_PASSWORD_BYTES_MAX 2048
// A proxy's answer to CONNECT that never ends: 502. Its body is not read.
#define PROXY_ANSWER_BYTES_MAX 8192

struct proxy {
    _Atomic unsigned refs;
    enum proxy_type type;
    struct tls_context *tls; // of the connection to the proxy; NULL: plain
    unsigned port;
    struct slice host; // a name or an address without brackets; these lie in `text`
    struct slice username, password;
    struct slice authorization; // "Basic …", for HTTP; empty without credentials
    struct slice identity; // tells proxies apart in an origin's key; no secret can be read in it
    size_t text_bytes;
    char text[];
};

struct proxy_options {
    enum proxy_type type;
    struct tls_context *tls;   // a reference is taken; NULL: plain. HTTP only
    struct slice tls_identity; // tells contexts apart ("" for the default one)
    struct slice host;
    unsigned port;
    struct slice username, password; // may be empty
};
// Copies. 0, ERR_NOMEM, ERR_CONFIG (no host, a port out of range, credentials too long, a password
// without a user name, a colon in a user name for HTTP, TLS to another kind).
int proxy_new(const struct proxy_options *o, struct proxy **ret);
struct proxy *proxy_get(struct proxy *p);
void proxy_put(struct proxy *p); // NULL is fine

enum proxy_talk_state {
    PROXY_TALK_STATUS,
    PROXY_TALK_METHOD,
    PROXY_TALK_AUTH,
    PROXY_TALK_REPLY,
    PROXY_TALK_OPEN,
};

struct proxy_talk {
    const struct proxy *proxy;
    struct slice host; // the provider's
    unsigned port;
    enum proxy_talk_state state;
    size_t in_len, out_len;
    char in[PROXY_ANSWER_BYTES_MAX];
    char out[4096];
};

// `host` is borrowed.
void proxy_talk_begin(struct proxy_talk *t, const struct proxy *proxy, struct slice host,
                      unsigned port);
// What must be sent before more can come; empty: nothing. Sent: proxy_talk_sent.
struct slice proxy_talk_output(const struct proxy_talk *t);
void proxy_talk_sent(struct proxy_talk *t);
// `bytes` more have been received at in + in_len. 0: the tunnel is open. ERR_MORE: send the output
// if there is any, then receive. ERR_PROXY_AUTH, ERR_PROXY_REFUSED, ERR_PROXY_UNREACHABLE,
// ERR_PROXY_PROTOCOL: the end.
int proxy_talk_take(struct proxy_talk *t, size_t bytes);
// Clears what may hold credentials.
void proxy_talk_done(struct proxy_talk *t);

#endif
