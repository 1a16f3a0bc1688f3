// SPDX-License-Identifier: Apache-2.0
//
// loop.h: several rings in one thread, taking turns as chance wants.
//
// A step is one turn of one ring that has something to do, or one event, or, when nothing else is
// left, the time moving on to the next event or timer.
#ifndef RINGGATE_TESTS_SIM_LOOP_H
#define RINGGATE_TESTS_SIM_LOOP_H

#include "ring/ring.h"
#include "tests/sim/sim.h"

#define LOOP_RINGS_MAX 8
// Turns a ring takes one after the other without a completion, an event or a wait in between.
#define LOOP_IDLE_TURNS_MAX 1000

struct sim_loop {
    struct ring *ring[LOOP_RINGS_MAX];
    unsigned rings;
    bool asleep[LOOP_RINGS_MAX]; // waits in the kernel
    unsigned idle_turns;         // in a row, of all rings
    uint64_t turns;
};

// False: nothing will ever happen again.
bool loop_step(struct sim_loop *l);
// Steps until the condition holds; fails the seed after `limit_ns` of virtual time.
#define LOOP_UNTIL(loop, limit_ns, condition)                                                      \
    do {                                                                                           \
        int64_t loop_end_ = sim.now_ns + (limit_ns);                                               \
        while (!(condition)) {                                                                     \
            SIM_HOLDS(loop_step(loop), "nothing happens any more, but not yet: %s", #condition);   \
            SIM_HOLDS(sim.now_ns < loop_end_, "it took too long: %s", #condition);                 \
        }                                                                                          \
    } while (0)

#endif
