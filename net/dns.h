// SPDX-License-Identifier: Apache-2.0
//
// dns.h: names to addresses on the loop, by c-ares.
//
// A and AAAA are asked for together, and the first that is of use serves (RFC 8305 3). One channel
// a core; its sockets are polled by the ring, its timeouts are ring timers. Answers are
// cached for their TTL (at least DNS_TTL_MIN_S, at most DNS_TTL_MAX_S), failures for DNS_FAIL_S;
// callers that ask for a name already being asked share the query. Numeric addresses and
// `localhost` and /etc/hosts need no network.
#ifndef RINGGATE_NET_DNS_H
#define RINGGATE_NET_DNS_H

#include "base/slice.h"
#include <sys/socket.h>

#define DNS_ADDRESSES_MAX 8
#define DNS_TTL_MIN_S     5
#define DNS_TTL_MAX_S     300
#define DNS_FAIL_S        1
#define DNS_CACHE_MAX     1024

struct dns;
struct fiber;
struct net_core;

struct dns_address {
    struct sockaddr_storage address;
    socklen_t len;
};

struct dns_answer {
    struct dns_address address[DNS_ADDRESSES_MAX]; // families in turn, IPv6 first; or as written
    unsigned count;
};

int dns_new(struct net_core *core, struct dns **ret); // 0, ERR_NOMEM, ERR_SYSTEM
// Nobody waits. Turns the ring until its polls have ended. NULL is fine.
void dns_free(struct dns *d);
// Asks these instead of the system's: "127.0.0.1:5353,…". ERR_CONFIG. For tests.
int dns_set_servers(struct dns *d, const char *servers);
// 0 with at least one address; ERR_RESOLVE; ERR_NOMEM; an interruption.
int dns_resolve_await(struct dns *d, struct fiber *self, struct slice host, unsigned port,
                      struct dns_answer *ret);

#endif
