// SPDX-License-Identifier: Apache-2.0
//
// stats.c: histograms.
//
// Bounds are few (24 at most) and sorted, so a linear search from below is as fast as anything.
// A bucket holds what is above the bound before it and not above its own; the exposition adds them
// up to Prometheus' cumulative form. The sum is a double kept as bits in an atomic word: one
// writer, so load, add and store lose nothing.
#include "base/stats.h"
#include "base/assert.h"
#include <string.h>

void histogram_init(struct histogram *h, const double *bounds, unsigned n)
{
    ASSERT(n <= HISTOGRAM_BUCKETS_MAX);
    for (unsigned i = 1; i < n; i++)
        ASSERT(bounds[i - 1] < bounds[i]);
    memset(h, 0, sizeof(*h));
    h->bounds = bounds;
    h->n = n;
}

void histogram_observe(struct histogram *h, double value)
{
    unsigned i = 0;
    while (i < h->n && !(value <= h->bounds[i])) // not a number lands in +Inf
        i++;
    counter_add(&h->bucket[i], 1);
    double sum = histogram_sum(h) + value;
    uint64_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    atomic_store_explicit(&h->sum_bits, bits, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *h)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= h->n; i++)
        count += counter_get(&h->bucket[i]);
    return count;
}

double histogram_sum(const struct histogram *h)
{
    uint64_t bits = atomic_load_explicit(&h->sum_bits, memory_order_relaxed);
    double sum;
    memcpy(&sum, &bits, sizeof(sum));
    return sum;
}
