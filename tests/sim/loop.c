// SPDX-License-Identifier: Apache-2.0
//
// loop.c: see loop.h.
#include "tests/sim/loop.h"

#include "ring/ring_internal.h"
#include "tests/sim/kernel.h"

// A thread that waits in the kernel is woken by a completion or by its own timer, and by nothing
// else: mail without a wake lies there for ever.
static bool has_work(const struct sim_loop *l, unsigned i)
{
    const struct ring *r = l->ring[i];
    return !l->asleep[i] || kernel_ready(&r->uring) || ring__timers_next(r).ns <= sim.now_ns;
}

// Would it wait, were it to begin another turn now?
static bool would_wait(const struct ring *r)
{
    return list_empty(&r->tasks) && !atomic_load_explicit(&r->mail, memory_order_relaxed);
}

// A loop that never waits would burn a core for ever: turns that bring nothing are counted.
static void turn(struct sim_loop *l, unsigned i)
{
    struct ring *r = l->ring[i];
    uint64_t before = r->stats.completions;
    sim.in_gateway = true;
    (void)ring_turn(r, (struct mono){.ns = sim.now_ns});
    sim.in_gateway = false;
    l->asleep[i] = would_wait(r);
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
        if (has_work(l, i))
            ready[n++] = i;
    }
    if (n > 0 && !(next <= sim.now_ns && sim_chance(500))) {
        turn(l, ready[sim_below(n)]);
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
