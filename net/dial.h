// SPDX-License-Identifier: Apache-2.0
//
// dial.h: from an origin to a socket on which its TLS or its HTTP may begin.
//
//     name ──dns──► addresses ──refused ones out──► order ──race──► connected ──proxy talk──► ready
//
// With a proxy the name that is resolved and the addresses that are raced are the proxy's; the
// provider's own are not looked up here, so of them only what is written as a number, or is a known
// name of a metadata service, can be refused (docs/outbound.md).
//
// The race is RFC 8305's: families alternate, beginning with the resolver's first; an address gets
// `DIAL_DELAY_MS` before the next one starts beside it, none when it has failed; the first that
// connects wins and the others are cancelled. What failed, or was overtaken, is tried last for
// DIAL_MEMORY_MS: a family that leads nowhere costs its delay once, not once a connection.
//
// Straight-line code on the caller's fiber; returns when the kernel holds nothing of it.
#ifndef RINGGATE_NET_DIAL_H
#define RINGGATE_NET_DIAL_H

#include "base/clock.h"
#include "net/dns.h"
#include "net/ip.h"

struct fiber;
struct origin;
struct upstream_core;

// RFC 8305 5: the recommended delay.
#define DIAL_DELAY_MS  250
#define DIAL_MEMORY_MS 60000
#define DIAL_MEMORY    32

struct dial_memory {
    struct {
        struct ip ip;
        struct mono until;
    } failed[DIAL_MEMORY];
    unsigned next; // the oldest one
};

// 0 with a connected socket, through the proxy if there is one, or to it when it wants TLS first.
// ERR_RESOLVE, ERR_CONNECT, ERR_CONNECT_TIMEOUT, ERR_ADDRESS_REFUSED, ERR_ADDRESS_PRIVATE,
// ERR_PROXY_…, ERR_NOMEM, an interruption (also: the fiber's deadline).
int dial_await(struct upstream_core *side, struct fiber *self, const struct origin *o, int *ret_fd);

// An error of the way to the provider, when it is the proxy's.
int dial_of_proxy(int rc);

// ---- Pure, for tests ---------------------------------------------------------------------------

// Takes out what may not be reached. `numeric`: the operator wrote the address. 0 with at least one
// left, or why the first one was taken out.
int dial_screen(struct dns_answer *answer, bool numeric, bool refuse_private);
// Alternates families; addresses that failed lately go behind all others.
void dial_order(struct dns_answer *answer, const struct dial_memory *memory, struct mono now);
void dial_note_failed(struct dial_memory *memory, const struct dns_address *a, struct mono now);

#endif
