// SPDX-License-Identifier: Apache-2.0
//
// loop.c: see loop.h.
#include "tests/sim/loop.h"

#include "ring/ring_internal.h"
#include "tests/sim/kernel.h"

static bool has_work(const struct ring *r)
{
    return kernel_ready(&r->uring) || !list_empty(&r->tasks) ||
           atomic_load_explicit(&r->mail, memory_order_relaxed) ||
           ring__timers_next(r).ns <= sim.now_ns;
}

// A loop that never waits would burn a core for ever: turns that bring nothing are counted.
static void turn(struct sim_loop *l, struct ring *r)
{
    uint64_t before = r->stats.completions;
    sim.in_gateway = true;
    (void)ring_turn(r, (struct mono){.ns = sim.now_ns});
    sim.in_gateway = false;
    l->turns++;
    l->idle_turns = r->stats.completions != before ? 0 : l->idle_turns + 1;
    SIM_HOLDS(l->idle_turns < LOOP_IDLE_TURNS_MAX, "a loop turns without anything to do");
    sim.now_ns += (int64_t)sim_below((uint64_t)sim.weather.turn_ns_max);
}

bool loop_step(struct sim_loop *l)
{
    unsigned ready[LOOP_RINGS_MAX], n = 0;
    int64_t next = sim_next();
    for (unsigned i = 0; i < l->rings; i++) {
        if (has_work(l->ring[i]))
            ready[n++] = i;
    }
    if (n > 0 && !(next <= sim.now_ns && sim_chance(500))) {
        turn(l, l->ring[ready[sim_below(n)]]);
        return true;
    }
    if (n == 0)
        l->idle_turns = 0;
    int64_t timer = INT64_MAX;
    for (unsigned i = 0; i < l->rings; i++) {
        int64_t at = ring__timers_next(l->ring[i]).ns;
        timer = at < timer ? at : timer;
    }
    if (next == INT64_MAX && timer == INT64_MAX)
        return false;
    if (next <= timer || next <= sim.now_ns)
        return sim_run_one();
    sim.now_ns = timer;
    return true;
}
