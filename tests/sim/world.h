// SPDX-License-Identifier: Apache-2.0
//
// world.h: a gateway of one or two cores between scripted clients and providers, from its first
// connection to its last, and what must hold of it.
//
// During a seed: every answer a client gets is right or visibly not (story.h); no contract of
// ring.h is broken (kernel.h); no loop turns for nothing. At its end: the gateway has stopped
// within its own time, nothing of it is left (fibers, operations, descriptors, buffers, memory,
// request bytes, slots), and every request was settled and logged once.
#ifndef RINGGATE_TESTS_SIM_WORLD_H
#define RINGGATE_TESTS_SIM_WORLD_H

#include "tests/sim/story.h"

struct world_result {
    struct story_count count;
    unsigned requests, attempts;
    uint64_t turns;
    int64_t took_ns; // virtual
};

struct world_faults {
    uint64_t allocation, operation; // the n-th fails; 0: none
};

// Lives through one seed. *ret_hit: the fault was met.
void world_run(uint64_t seed, bool trace, const struct world_faults *faults,
               struct world_result *ret, bool *ret_hit);

#endif
