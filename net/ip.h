// SPDX-License-Identifier: Apache-2.0
//
// ip.h: an address as a value: read, written, compared with a network, refused.
//
// One form for both families: 16 bytes, IPv4 as ::ffff:a.b.c.d. An IPv4 address that arrives mapped
// (a dual-stack socket gives them so) and one that does not are then the same, and no list of
// networks can be got round by writing an address another way.
//
// Pure; any thread.
#ifndef RINGGATE_NET_IP_H
#define RINGGATE_NET_IP_H

#include "base/slice.h"
#include <stdint.h>
#include <sys/socket.h>

#define IP_TEXT_BYTES 46 // the longest one with its NUL

struct ip {
    uint8_t byte[16];
};

// A network: its first `bits` of 128 count (IPv4's stand behind the 96 of the mapped prefix).
struct ip_net {
    struct ip ip;
    uint8_t bits;
};

// "10.0.0.1", "2001:db8::1", "[2001:db8::1]"; no port, no zone, no short or octal IPv4. False with
// nothing set.
bool ip_parse(struct slice text, struct ip *ret);
bool ip_of_sockaddr(const struct sockaddr *address, struct ip *ret); // false: another family
struct ip ip_of_v4(const uint8_t byte[4]);
bool ip_is_v4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_eq(const struct ip *a, const struct ip *b);
size_t ip_print(const struct ip *ip, char out[IP_TEXT_BYTES]); // its length; NUL-terminated

// "10.0.0.0/8", "fd00::/8", or an address alone. Bits behind the prefix are ignored.
bool ip_net_parse(struct slice text, struct ip_net *ret);
bool ip_net_has(const struct ip_net *net, const struct ip *ip);
bool ip_nets_have(const struct ip_net *nets, unsigned count, const struct ip *ip);

// Where no request may go, whoever asks.
enum ip_place {
    IP_ANYWHERE,
    IP_PRIVATE,     // RFC 1918, RFC 4193, RFC 6598
    IP_UNSPECIFIED, // 0.0.0.0/8, ::, which the kernel takes for this machine
    IP_LINK_LOCAL,  // and there most clouds' metadata
    IP_METADATA,    // of the clouds that put it elsewhere
};
// Looks through ::ffff:0:0/96, ::/96 and 64:ff9b::/96: the IPv4 address in them is where packets
// end.
enum ip_place ip_place(const struct ip *ip);
// A name by which clouds know their metadata service: refused also where a proxy resolves.
bool ip_is_metadata_name(struct slice host);

#endif
