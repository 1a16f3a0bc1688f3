// SPDX-License-Identifier: Apache-2.0
//
// toy_core.h: one core without listeners, for tests of what faces providers.
#ifndef RINGGATE_TESTS_TOY_CORE_H
#define RINGGATE_TESTS_TOY_CORE_H

#include "net/core.h"

struct toy_core {
    struct net_core core;
    struct net_shared shared;
    struct ring *ring;
    struct fiber_sched *fibers;
};

// A small group of receive buffers shows early who does not give them back.
void toy_core_open(struct toy_core *t, unsigned bufs, unsigned buffer_bytes);
// Drains, waits until every connection is closed, frees; asserts that nothing is left.
void toy_core_close(struct toy_core *t);
// Spawns and turns until the fiber has ended.
void toy_core_run(struct toy_core *t, fiber_fn fn, void *arg);
struct fiber *toy_core_spawn(struct toy_core *t, fiber_fn fn, void *arg);
// Turns until *flag.
void toy_core_until(struct toy_core *t, const bool *flag);
// Lets the loop run until the fiber's wish is true; parks a millisecond at a time.
void toy_core_yield_await(struct fiber *self);

#endif
