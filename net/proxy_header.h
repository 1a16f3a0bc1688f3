// SPDX-License-Identifier: Apache-2.0
//
// proxy_header.h: the PROXY protocol, with which a load balancer says who its client is.
//
// Versions 1 (a line of text) and 2 (binary) of haproxy.org's proxy-protocol.txt. The header comes
// before everything else, TLS included:
//
//     PROXY TCP4 192.0.2.1 192.0.2.2 51000 443\r\n
//
//     0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a   21   11   00 0c   source, destination, their ports,
//     TLVs signature                             │    │    └ bytes that follow, big-endian
//                       version 2, command ─┘    └ family 1, stream 1
//
// LOCAL, UNKNOWN, UNSPEC and AF_UNIX carry no address: the connection's own peer stands. What lies
// behind the addresses (TLVs) is skipped. Strict: whoever can write to such a port can claim to be
// anybody, so a header is right or the connection ends.
//
// Pure.
#ifndef RINGGATE_NET_PROXY_HEADER_H
#define RINGGATE_NET_PROXY_HEADER_H

#include "net/ip.h"

// Version 1: proxy-protocol.txt 2.1, with its line end.
#define PROXY_LINE_BYTES_MAX 107
// Version 2 with its TLVs: 16 bits of length would be 64 kB a connection. Ours hold certificates'
// subjects at most.
#define PROXY_HEADER_BYTES_MAX 4096

// A listener whose connections begin with a header, and from where: others are closed.
#define PROXY_SENDERS_MAX 64 // balancers stand in a few networks; a longer list is a mistake
struct proxy_senders {
    bool wanted;
    unsigned count; // 0: from everywhere
    struct ip_net from[PROXY_SENDERS_MAX];
};

struct proxy_header {
    bool has_source;
    struct ip source;
    unsigned source_port;
};

// Bytes of the header, ERR_MORE, or ERR_BAD_HEAD as soon as it can be told.
ptrdiff_t proxy_header_parse(struct slice in, struct proxy_header *ret);

#endif
