// SPDX-License-Identifier: Apache-2.0
//
// stats.h: numbers a core counts by itself and a scrape adds up.
//
// A counter or gauge is a 64-bit word written by one core with relaxed stores and read by any.
// A histogram has fixed upper bounds given at birth; observing is a short search and an add.
// Nothing here allocates after init or takes a lock.
#ifndef RINGGATE_BASE_STATS_H
#define RINGGATE_BASE_STATS_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS_MAX 24

struct counter {
    _Atomic uint64_t value;
};

// The writer is one core, so a plain load-add-store loses nothing.
static inline void counter_add(struct counter *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, v + n, memory_order_relaxed);
}

static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

struct histogram {
    const double *bounds; // upper bounds, rising; borrowed, static
    unsigned n;
    struct counter bucket[HISTOGRAM_BUCKETS_MAX + 1]; // the last is +Inf
    _Atomic uint64_t sum_bits;                        // a double's bits
};

void histogram_init(struct histogram *h, const double *bounds, unsigned n);
void histogram_observe(struct histogram *h, double value);
uint64_t histogram_count(const struct histogram *h);
double histogram_sum(const struct histogram *h);

#endif
