// SPDX-License-Identifier: Apache-2.0
//
// estimate.c: a small memory of how long models' answers are.
//
// Counts are relaxed atomics: an answer lost between two cores that halve a row changes an estimate
// by nothing that matters.
#include "gateway/estimate.h"

#include "base/map.h"
#include "base/prng.h"
#include <stdlib.h>

struct estimates *estimates_new(void)
{
    struct estimates *e = calloc(1, sizeof *e);
    if (e != NULL && random_bytes(e->seed, sizeof e->seed) != 0) {
        free(e);
        return NULL;
    }
    return e;
}

void estimates_free(struct estimates *e)
{
    free(e);
}

static size_t row_of(const struct estimates *e, struct slice provider, struct slice model)
{
    return (map_hash(e->seed, provider) ^ map_hash(e->seed + 1, model)) % ESTIMATE_ROWS;
}

// Bucket 2n holds [2ⁿ, 1.5·2ⁿ), bucket 2n + 1 the rest up to 2ⁿ⁺¹. 0 and 1 are in the first.
static unsigned bucket_of(uint64_t tokens)
{
    unsigned octave = 0;
    while (octave < ESTIMATE_BUCKETS / 2 - 1 && tokens >> (octave + 1) > 0)
        octave++;
    return 2 * octave + (octave > 0 && tokens >> (octave - 1) & 1);
}

// The first number beyond a bucket.
static uint64_t bucket_end(unsigned bucket)
{
    uint64_t octave = UINT64_C(1) << bucket / 2;
    return bucket % 2 ? 2 * octave : octave + (octave + 1) / 2;
}

void estimate_learn(struct estimates *e, struct slice provider, struct slice model,
                    uint64_t output_tokens)
{
    size_t r = row_of(e, provider, model);
    atomic_fetch_add_explicit(&e->row[r].bucket[bucket_of(output_tokens)], 1, memory_order_relaxed);
    unsigned count = atomic_fetch_add_explicit(&e->row[r].count, 1, memory_order_relaxed) + 1u;
    if (count != ESTIMATE_ROW_MAX)
        return;
    unsigned left = 0;
    for (unsigned i = 0; i < ESTIMATE_BUCKETS; i++) {
        unsigned half = atomic_load_explicit(&e->row[r].bucket[i], memory_order_relaxed) / 2u;
        atomic_store_explicit(&e->row[r].bucket[i], (uint16_t)half, memory_order_relaxed);
        left += half;
    }
    atomic_store_explicit(&e->row[r].count, (uint16_t)left, memory_order_relaxed);
}

uint64_t estimate_output(const struct estimates *e, struct slice provider, struct slice model)
{
    size_t r = row_of(e, provider, model);
    unsigned sum = 0, seen = 0;
    for (unsigned i = 0; i < ESTIMATE_BUCKETS; i++)
        sum += atomic_load_explicit(&e->row[r].bucket[i], memory_order_relaxed);
    if (sum == 0)
        return ESTIMATE_OUTPUT_DEFAULT;
    for (unsigned i = 0; i < ESTIMATE_BUCKETS; i++) {
        seen += atomic_load_explicit(&e->row[r].bucket[i], memory_order_relaxed);
        if (seen * 100 >= sum * 95)
            return bucket_end(i) - 1;
    }
    return ESTIMATE_OUTPUT_DEFAULT; // another core was halving
}
