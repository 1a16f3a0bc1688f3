// SPDX-License-Identifier: Apache-2.0
//
// admit.h: how many are let in: connections of an address, memory of a core.
//
// Addresses are counted for the whole process: the kernel spreads one client's connections over all
// cores. The table has a fixed size whatever comes: two rows of counters, an address has one in
// each, and its count is the lesser of the two. Two addresses that share a counter in one row
// hardly ever do in the other, and a seed of this process's own keeps anybody from arranging it;
// where it happens an address is counted too high, never too low. Entering and leaving are two
// atomic adds.
//
//     row 0  [ 0  3  0  1 ... ]        10.0.0.7 ─► slots (1, 4): min(3, 2) = 2 connections
//     row 1  [ 1  0  0  0  2 ... ]
//
// IPv6 clients own the whole of their /64, so that is what is counted. The address is the one in
// the connection's `peer`: whoever changes it (a load balancer's word) leaves and enters again.
//
// Memory is what a core holds for requests and answers in flight: large bodies as far as they have
// arrived (announcing one costs nothing and must not shut anybody out), blocks of arenas, pages.
// Above its bound the newest request is refused, and bodies that still come; what has begun to be
// answered goes on. Of large blocks only request bodies are in the sum: what a translation makes
// has its own bound (gateway/translate.h).
#ifndef RINGGATE_NET_ADMIT_H
#define RINGGATE_NET_ADMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADMIT_ROWS  2
#define ADMIT_SLOTS 16384 // a row's; 64 kB

struct net_core;

struct admit_table {
    uint64_t seed[ADMIT_ROWS]; // set before the first client
    _Atomic uint32_t count[ADMIT_ROWS][ADMIT_SLOTS];
};

// Where an address is counted.
struct admit_slots {
    uint16_t slot[ADMIT_ROWS];
    bool entered;
};

// `peer` is a numeric address; one that is none is counted under its text. Returns how many the
// address has now, this one included. Any thread.
uint32_t admit_enter(struct admit_table *t, const char *peer, struct admit_slots *ret_slots);
void admit_leave(struct admit_table *t, struct admit_slots *slots); // once; not entered is fine

// Bytes of bodies that arrived on this core, or went. On its own thread.
void admit_bytes_add(struct net_core *c, size_t bytes);
void admit_bytes_sub(struct net_core *c, size_t bytes);
// Are those of the process or all that this core holds above the bound?
bool admit_is_full(const struct net_core *c);
// What this core holds for exchanges.
uint64_t admit_memory(const struct net_core *c);

#endif
