// SPDX-License-Identifier: Apache-2.0
//
// sim.h: a machine made of one seed: its time, what will happen on it, and chance.
//
//     sim.c      time, events, chance, the report of a failure
//     kernel.c   io_uring: the functions of liburing that ring/ calls
//     wire.c     descriptors, connections, bytes on their way
//     libc.c     the calls of the C library that meet a descriptor, a clock or an allocator
//     work_sim.c ring/work.h without threads
//     client.c   scripted clients, client_h2.c the same over HTTP/2
//     provider.c scripted providers     story.c  who asked and answered what
//     world.c    a gateway between them, and what must hold of it
//
// The seam lies below ring.h, where the kernel is: everything of ring/ but its worker threads runs
// as it is, so that a lost wake-up or a buffer given back twice inside it is found too.
//
// Everything runs in one thread. Nothing here reads a clock, an address or an uninitialised byte
// to decide anything: a seed always tells the same story, whatever is printed of it.
//
// Events are ordered by their virtual time, those of one time by the order they were made in.
#ifndef RINGGATE_TESTS_SIM_SIM_H
#define RINGGATE_TESTS_SIM_SIM_H

#include "base/clock.h"
#include "base/prng.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_event;
struct sim_kernel;
struct sim_wire;

typedef void (*sim_fn)(void *arg);

// How rough this seed's machine is. Each seed draws its own, so that some are calm enough for long
// stories and others are nothing but trouble. Chances are in 1,000.
struct sim_weather {
    unsigned inline_completion; // an operation that could complete does so while it is submitted
    int64_t delay_ns_max;       // of completions and of bytes on their way
    unsigned long_delay;        // one that takes up to 100 times as long
    unsigned partial;           // a receive or a send that moves less than it could
    unsigned short_send;        // a send that completes although bytes are left
    unsigned enobufs;           // a receive that finds the group empty
    unsigned multishot_end;     // the kernel ends a multishot operation by itself
    unsigned cancel_late;       // a cancelled operation that completes first
    unsigned cancel_slow;       // one that ends some time after it was cancelled
    unsigned stall;             // bytes on their way that stop for up to seconds
    unsigned reset;             // a connection that is reset, for each delivery (in 100,000)
    int64_t turn_ns_max;        // what a turn costs
};

// What fails on purpose (fault loops). A count of 0 is off.
struct sim_faults {
    uint64_t allocation;              // the n-th allocation of the gateway
    uint64_t operation;               // the n-th operation
    uint64_t allocations, operations; // seen
    bool hit;
    bool armed;
};

struct sim {
    uint64_t seed;
    struct prng prng;
    int64_t now_ns;
    uint64_t made; // events
    struct sim_event **heap;
    size_t events, events_cap;
    struct sim_weather weather;
    struct sim_faults faults;
    struct sim_kernel *kernel;
    struct sim_wire *wire;
    bool trace;
    bool in_gateway; // its code runs: allocations are its own
    int64_t blocks;  // allocated and not freed
};

// The one of this process: calls of the C library do not say whose they are.
extern struct sim sim;

void sim_begin(uint64_t seed, bool trace);
void sim_end(void); // every event that is left is dropped

// ---- Events ----------------------------------------------------------------------------------

struct sim_event *sim_at(int64_t ns, sim_fn fn, void *arg);
struct sim_event *sim_after(int64_t ns, sim_fn fn, void *arg);
void sim_drop(struct sim_event **event); // NULL inside is fine; cleared
int64_t sim_next(void);                  // when the first one is due; INT64_MAX: none is left
bool sim_run_one(void);                  // moves the time there and runs it; false: none is left

// ---- Chance ----------------------------------------------------------------------------------

uint64_t sim_below(uint64_t bound);
uint64_t sim_between(uint64_t low, uint64_t high); // both included
bool sim_chance(unsigned in_thousand);
int64_t sim_delay(void); // by the weather, often nothing

// ---- Saying ----------------------------------------------------------------------------------

void sim_trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
// An invariant does not hold: says so, how to see it again, and ends the process.
_Noreturn void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define SIM_HOLDS(condition, ...) ((condition) ? (void)0 : sim_fail(__VA_ARGS__))

// ---- Memory of the simulator itself: never fails, is not counted ------------------------------

void *sim_alloc(size_t bytes); // zeroed
void *sim_realloc(void *p, size_t bytes);
void sim_free(void *p);

#endif
