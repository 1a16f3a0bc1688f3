// SPDX-License-Identifier: Apache-2.0
//
// limiter.h: a provider's slots and queue, shared by the cores.
//
// `concurrency` requests of a provider run at once; up to `buffer_size` more wait in arrival order,
// wherever they came in. A free slot is one compare-and-swap; a mutex guards only the queue and is
// touched only when all slots are taken. A leaver hands its slot to the first waiter: by wake on
// its own core, by mail on another.
//
// Limiters live as long as the process, found by provider name; a reload changes their numbers.
#ifndef RINGGATE_GATEWAY_LIMITER_H
#define RINGGATE_GATEWAY_LIMITER_H

#include "base/slice.h"
#include <stdbool.h>

struct fiber;
struct limiter;
struct limiters;

int limiters_new(struct limiters **ret);
void limiters_free(struct limiters *l);
// Found by name or made; its numbers are set. NULL without memory. Any thread.
struct limiter *limiters_get(struct limiters *l, struct slice name, unsigned concurrency,
                             unsigned buffer_size);

// 0: the caller holds a slot. ERR_QUEUE_FULL (drop_excess and the queue is full; without
// drop_excess the caller waits past buffer_size too), or an interruption of the fiber.
int limiter_enter_await(struct limiter *l, struct fiber *self, bool drop_excess);
void limiter_leave(struct limiter *l, struct fiber *self);
unsigned limiter_running(const struct limiter *l);
unsigned limiter_waiting(const struct limiter *l);

#endif
