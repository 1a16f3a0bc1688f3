// SPDX-License-Identifier: Apache-2.0
//
// forwarded.h: who a request is from, when it came through proxies.
//
// X-Forwarded-For, or Forwarded (RFC 7239), is a list to which each hop adds whom it was asked by.
// What a client wrote itself stands at its left end, so it is read from the right: the connection's
// peer, then the last entry, and so on, as long as the hop is one of `server.trusted_proxies`. The
// first that is not is the client.
//
//     peer 10.0.0.2 (trusted)   X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.9
//                                                forged   client     trusted
//
// Only one of the two headers is read, `server.forwarded_header`: a proxy that writes the one hands
// on the other as a stranger wrote it. From a peer that is not trusted nothing is believed.
//
// Pure but for the arena.
#ifndef RINGGATE_GATEWAY_FORWARDED_H
#define RINGGATE_GATEWAY_FORWARDED_H

#include "base/arena.h"
#include "net/http.h"
#include "net/ip.h"

// Hops that are looked at: a list of trusted addresses that never ends.
#define FORWARDED_HOPS_MAX 32

struct forwarded_rules {
    struct ip_net *trusted;
    unsigned trusted_count; // 0: nothing is read
    bool standard;          // Forwarded, in place of X-Forwarded-*
};

enum forwarded_scheme { FORWARDED_UNSAID, FORWARDED_HTTP, FORWARDED_HTTPS };

struct forwarded {
    struct slice client; // numeric address: the peer's, or what a trusted hop said
    // What the nearest hop said about the client's own request; for absolute URLs and cookies.
    enum forwarded_scheme scheme;
    struct slice host; // empty: unsaid
};

// `peer` and the head's fields are borrowed by the result. Without memory the peer stands.
struct forwarded forwarded_read(const struct forwarded_rules *rules, const struct http_head *head,
                                struct slice peer, struct arena *arena);

#endif
