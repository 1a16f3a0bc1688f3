// SPDX-License-Identifier: Apache-2.0
//
// sim.c: see sim.h. Events are a binary heap; one that is dropped stays in it, without a function.
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim sim;

struct sim_event {
    int64_t at;
    uint64_t order;
    sim_fn fn; // NULL: dropped
    void *arg;
};

// ---- Life ------------------------------------------------------------------------------------

static void draw_weather(struct sim_weather *w)
{
    static const int64_t delays[] = {1000, 20000, 200000, 2000000};
    bool calm = sim_chance(200);
    *w = (struct sim_weather){
        .inline_completion = (unsigned)sim_below(1001),
        .delay_ns_max = delays[sim_below(4)],
        .long_delay = calm ? 0 : (unsigned)sim_below(50),
        .partial = (unsigned)sim_below(calm ? 200 : 1001),
        .short_send = calm ? 0 : (unsigned)sim_below(60),
        .enobufs = calm || sim_chance(300) ? 0 : (unsigned)sim_below(200),
        .multishot_end = calm ? 0 : (unsigned)sim_below(200),
        .cancel_late = (unsigned)sim_below(1001),
        .cancel_slow = sim_chance(500) ? 0 : (unsigned)sim_below(1001),
        .stall = calm || sim_chance(500) ? 0 : (unsigned)sim_below(20),
        .reset = calm || sim_chance(500) ? 0 : (unsigned)sim_below(1000),
        .turn_ns_max = sim_chance(100) ? 5 * NS_PER_MS : 50 * NS_PER_US,
    };
}

void sim_begin(uint64_t seed, bool trace)
{
    int64_t blocks = sim.blocks;
    sim = (struct sim){.seed = seed, .trace = trace, .blocks = blocks};
    prng_seed(&sim.prng, seed);
    sim.now_ns = 1000 * NS_PER_S;
    draw_weather(&sim.weather);
}

void sim_end(void)
{
    for (size_t i = 0; i < sim.events; i++)
        sim_free(sim.heap[i]);
    sim_free(sim.heap);
    sim.heap = NULL;
    sim.events = sim.events_cap = 0;
}

// ---- Events ----------------------------------------------------------------------------------

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void swap(size_t a, size_t b)
{
    struct sim_event *t = sim.heap[a];
    sim.heap[a] = sim.heap[b];
    sim.heap[b] = t;
}

static void sift_down(void)
{
    size_t at = 0;
    for (size_t least = 0;; at = least) {
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < sim.events; child++)
            least = before(sim.heap[child], sim.heap[least]) ? child : least;
        if (least == at)
            return;
        swap(at, least);
    }
}

static void pop(void)
{
    sim_free(sim.heap[0]);
    sim.heap[0] = sim.heap[--sim.events];
    sift_down();
}

struct sim_event *sim_at(int64_t ns, sim_fn fn, void *arg)
{
    struct sim_event *e = sim_alloc(sizeof(*e));
    *e = (struct sim_event){
        .at = ns < sim.now_ns ? sim.now_ns : ns, .order = sim.made++, .fn = fn, .arg = arg};
    if (sim.events == sim.events_cap) {
        sim.events_cap = sim.events_cap ? 2 * sim.events_cap : 64;
        sim.heap = sim_realloc(sim.heap, sim.events_cap * sizeof(struct sim_event *));
    }
    size_t at = sim.events++;
    sim.heap[at] = e;
    for (; at > 0 && before(sim.heap[at], sim.heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(at, (at - 1) / 2);
    return e;
}

struct sim_event *sim_after(int64_t ns, sim_fn fn, void *arg)
{
    return sim_at(sim.now_ns + ns, fn, arg);
}

void sim_drop(struct sim_event **event)
{
    if (*event)
        (*event)->fn = NULL;
    *event = NULL;
}

int64_t sim_next(void)
{
    while (sim.events > 0 && !sim.heap[0]->fn)
        pop();
    return sim.events > 0 ? sim.heap[0]->at : INT64_MAX;
}

bool sim_run_one(void)
{
    if (sim_next() == INT64_MAX)
        return false;
    struct sim_event e = *sim.heap[0];
    pop();
    if (e.at > sim.now_ns)
        sim.now_ns = e.at;
    e.fn(e.arg);
    return true;
}

// ---- Chance ----------------------------------------------------------------------------------

uint64_t sim_below(uint64_t bound)
{
    return prng_below(&sim.prng, bound);
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + sim_below(high - low + 1);
}

bool sim_chance(unsigned in_thousand)
{
    return in_thousand > 0 && sim_below(1000) < in_thousand;
}

int64_t sim_delay(void)
{
    if (sim_chance(400))
        return 0;
    int64_t most = sim.weather.delay_ns_max;
    if (sim_chance(sim.weather.long_delay))
        most *= 100;
    return (int64_t)sim_below((uint64_t)most);
}

// ---- Saying ----------------------------------------------------------------------------------

void sim_trace(const char *format, ...)
{
    if (!sim.trace)
        return;
    va_list args;
    va_start(args, format);
    printf("%12.6f  ", (double)(sim.now_ns - 1000 * NS_PER_S) / (double)NS_PER_S);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

void sim_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "sim: seed %llu at %.6f s: ", (unsigned long long)sim.seed,
            (double)(sim.now_ns - 1000 * NS_PER_S) / (double)NS_PER_S);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
