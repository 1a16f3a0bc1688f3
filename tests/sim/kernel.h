// SPDX-License-Identifier: Apache-2.0
//
// kernel.h: io_uring for as many rings as ask, in this process.
//
// liburing's functions that are not inline are defined in kernel.c and so never come from its
// archive; ring/ runs on them unchanged. What the kernel does with an entry and when is drawn from
// the seed:
//
//     entry ─ submit ─► [ operation ] ─ tries, now or later ─► done ─► completion, in the queue
//                         │     ▲
//                         ▼     │ kernel_poke: bytes, room, a connection
//                       nothing to do yet
//
// Each operation is checked against the contract: an entry may not name an operation that is in
// flight, nor a descriptor that is closed; a descriptor may not be closed under an operation.
#ifndef RINGGATE_TESTS_SIM_KERNEL_H
#define RINGGATE_TESTS_SIM_KERNEL_H

#include "tests/sim/wire.h"
#include <liburing.h>

#define KERNEL_RINGS_MAX 16
// Their descriptors.
#define KERNEL_RING_FD 500

void kernel_begin(bool only_6_1);
void kernel_end(void); // every ring is gone

void kernel_poke(struct wire_end *e);    // operations on it may try again
void kernel_closing(struct wire_end *e); // asserts that none is in flight
// Something waits for the ring's next turn: a completion, or an entry to be submitted.
bool kernel_ready(const struct io_uring *ring);
unsigned kernel_in_flight(void); // operations of all rings
uint64_t kernel_completions(void);

// Called for each write of a ring to standard error: the log's bytes.
void kernel_on_log(void (*fn)(unsigned ring, const char *bytes, size_t len));

#endif
