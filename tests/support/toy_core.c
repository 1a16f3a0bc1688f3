// SPDX-License-Identifier: Apache-2.0
//
// toy_core.c: see toy_core.h. alarm(2) is the deadline of everything that waits here.
#include "tests/support/toy_core.h"

#include "base/assert.h"
#include "net/upstream_internal.h"
#include <stdlib.h>
#include <unistd.h>

#define DEADLINE_S 60

void toy_core_open(struct toy_core *t, unsigned bufs, unsigned buffer_bytes)
{
    struct ring_options ring_options = RING_OPTIONS_DEFAULT;
    struct fiber_options fiber_options = FIBER_OPTIONS_DEFAULT;
    const char *reason = "";
    *t = (struct toy_core){0};
    ring_options.only_6_1 = getenv("RINGGATE_RING_FEATURES") != NULL;
    ASSERT(ring_new(&ring_options, &t->ring, &reason) == 0);
    ASSERT(fiber_sched_new(t->ring, &fiber_options, &t->fibers) == 0);
    t->core.ring = t->ring;
    t->core.fibers = t->fibers;
    t->shared.cores = 1;
    t->core.shared = &t->shared;
    block_pool_init(&t->core.blocks, 64);
    prng_seed(&t->core.prng, 7);
    ASSERT(ring_bufs_new(t->ring, bufs, buffer_bytes, &t->core.upstream_bufs) == 0);
    ASSERT(upstream__core_init(&t->core) == 0);
    alarm(DEADLINE_S);
}

void toy_core_close(struct toy_core *t)
{
    ASSERT(fiber_live(t->fibers) == 0);
    upstream__core_drain(&t->core);
    while (!upstream__core_idle(&t->core))
        ring_turn(t->ring, MONO_NEVER);
    ring_turn(t->ring, ring_now(t->ring)); // submits the last close
    upstream__core_done(&t->core);
    ring_bufs_free(t->core.upstream_bufs);
    block_pool_done(&t->core.blocks);
    fiber_sched_free(t->fibers);
    ring_free(t->ring);
    alarm(0);
}

struct fiber *toy_core_spawn(struct toy_core *t, fiber_fn fn, void *arg)
{
    struct fiber *f = NULL;
    ASSERT(fiber_spawn(t->fibers, fn, arg, &f) == 0);
    return f;
}

void toy_core_run(struct toy_core *t, fiber_fn fn, void *arg)
{
    (void)toy_core_spawn(t, fn, arg);
    while (fiber_live(t->fibers) > 0)
        ring_turn(t->ring, MONO_NEVER);
}

void toy_core_until(struct toy_core *t, const bool *flag)
{
    while (!*flag)
        ring_turn(t->ring, MONO_NEVER);
}

void toy_core_yield_await(struct fiber *self)
{
    (void)fiber_sleep_await(self, mono_add_ms(ring_now(fiber_ring(self)), 1));
}
