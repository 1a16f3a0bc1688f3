// SPDX-License-Identifier: Apache-2.0
//
// sum.c: sums of records over spans of time, and the counters' stored values.
//
// Percentiles come from a histogram of each bucket: exact below 32 ms, above in steps of 1/32 of
// the value. What is told is the upper end of the step, and never more than the largest value.
#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
#include "base/prng.h"
#include "store/keys.h"
#include "store/query.h"

#include <stdlib.h>

#define STEP_BITS 5
#define STEPS     (1u << STEP_BITS)
#define HISTOGRAM ((32 - STEP_BITS + 1) * STEPS)

struct bucket {
    uint64_t key[2]; // number of the bucket, and of the word
    struct store_bucket sum;
    uint32_t latency_max;
    uint32_t latency[HISTOGRAM];
};

struct sum_call {
    struct store *store;
    const struct store_query *query;
    uint64_t bucket_us; // 0: one bucket
    enum store_word by;
    struct map map;
    struct buf buckets; // of struct bucket *
    struct bucket *last;
    int err;
};

// ---- The histogram ---------------------------------------------------------------------------

static unsigned step_of(uint32_t value)
{
    if (value < STEPS)
        return value;
    unsigned octave = 31 - (unsigned)__builtin_clz(value) - STEP_BITS;
    return (octave + 1) * STEPS + (value >> octave & (STEPS - 1));
}

static uint32_t step_end(unsigned step)
{
    if (step < STEPS)
        return step;
    unsigned octave = step / STEPS - 1;
    uint64_t begin = (uint64_t)(STEPS + step % STEPS) << octave;
    return (uint32_t)(begin + (UINT64_C(1) << octave) - 1);
}

// The least value that `percent` of all values are not above.
static uint32_t percentile(const struct bucket *b, unsigned percent)
{
    uint64_t wanted = (b->sum.requests * percent + 99) / 100, seen = 0;
    for (unsigned i = 0; i < HISTOGRAM; i++) {
        seen += b->latency[i];
        if (seen >= wanted && seen > 0)
            return step_end(i) < b->latency_max ? step_end(i) : b->latency_max;
    }
    return b->latency_max;
}

// ---- Buckets ---------------------------------------------------------------------------------

static struct bucket *bucket_new(struct sum_call *c, uint64_t number, uint64_t word)
{
    if (c->buckets.len / sizeof(struct bucket *) >= STORE_BUCKETS_MAX) {
        c->err = ERR_LIMIT;
        return NULL;
    }
    struct bucket *b = calloc(1, sizeof(*b));
    if (!b) {
        c->err = ERR_NOMEM;
        return NULL;
    }
    b->key[0] = number;
    b->key[1] = word;
    buf_add(&c->buckets, slice_of(&b, sizeof(b)));
    if (!c->buckets.err && map_put(&c->map, slice_of(b->key, sizeof(b->key)), b) == 0)
        return b;
    c->err = ERR_NOMEM;
    if (c->buckets.err)
        free(b); // else it is the list's
    return NULL;
}

static struct bucket *bucket_of(struct sum_call *c, uint64_t number, uint64_t word)
{
    uint64_t key[2] = {number, word};
    if (c->last && c->last->key[0] == number && c->last->key[1] == word)
        return c->last;
    struct bucket *b = map_get(&c->map, slice_of(key, sizeof(key)));
    if (!b)
        b = bucket_new(c, number, word);
    if (b)
        c->last = b;
    return b;
}

static int add_matches(struct query_scan *scan, void *arg)
{
    struct sum_call *c = arg;
    const uint64_t *time = query_scan_column(scan, DIGEST_TIME);
    const uint64_t *status = query_scan_column(scan, DIGEST_STATUS);
    const uint64_t *latency = query_scan_column(scan, DIGEST_LATENCY);
    const uint64_t *input = query_scan_column(scan, DIGEST_INPUT);
    const uint64_t *output = query_scan_column(scan, DIGEST_OUTPUT);
    const uint64_t *cost = query_scan_column(scan, DIGEST_COST);
    const uint64_t *word = NULL;
    if (c->by != STORE_WORD_COUNT)
        word = query_scan_column(scan, (enum digest_column)(DIGEST_WORD + (unsigned)c->by));

    for (unsigned i = 0; i < scan->matches; i++) {
        unsigned row = scan->match[i];
        uint64_t number = c->bucket_us > 0 ? time[row] / c->bucket_us : 0;
        struct bucket *b = bucket_of(c, number, word ? word[row] : 0);
        if (!b)
            return c->err;
        b->sum.requests++;
        b->sum.failed += status[row] >= 400;
        b->sum.input_tokens += input[row];
        b->sum.output_tokens += output[row];
        b->sum.latency_ms_sum += latency[row];
        b->sum.cost = (int64_t)((uint64_t)b->sum.cost + cost[row]);
        uint32_t ms = (uint32_t)latency[row];
        b->latency[step_of(ms)]++;
        b->latency_max = ms > b->latency_max ? ms : b->latency_max;
    }
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct bucket *x = *(struct bucket *const *)a, *y = *(struct bucket *const *)b;
    if (x->key[0] != y->key[0])
        return x->key[0] < y->key[0] ? -1 : 1;
    return x->key[1] < y->key[1] ? -1 : x->key[1] > y->key[1];
}

static void sum_job(void *arg)
{
    struct sum_call *c = arg;
    struct store *s = c->store;
    struct query_scan *scan = NULL;

    pthread_rwlock_rdlock(&s->db_lock);
    int err = s->logs ? query_scan_make(s, c->query, &scan) : ERR_SYSTEM;
    if (!err)
        err = query_scan_run(scan, true, add_matches, c);
    query_scan_free(scan);
    if (err == ERR_SYSTEM && s->logs)
        store__failed(s, s->logs, "a sum of records", err);
    pthread_rwlock_unlock(&s->db_lock);
    c->err = err;
    if (!err && c->buckets.len > 0)
        qsort(c->buckets.ptr, c->buckets.len / sizeof(struct bucket *), sizeof(struct bucket *),
              by_key);
}

static int copy_buckets(struct sum_call *c, struct arena *arena, struct store_bucket **ret,
                        unsigned *ret_count)
{
    unsigned count = (unsigned)(c->buckets.len / sizeof(struct bucket *));
    struct store_bucket *out = arena_alloc(arena, (count + 1) * sizeof(*out));
    if (!out)
        return ERR_NOMEM;
    for (unsigned i = 0; i < count; i++) {
        const struct bucket *b = ((struct bucket **)(void *)c->buckets.ptr)[i];
        out[i] = b->sum;
        out[i].begin = c->query->from;
        if (c->bucket_us > 0)
            out[i].begin.ns = (int64_t)(b->key[0] * c->bucket_us) * NS_PER_US;
        if (c->by != STORE_WORD_COUNT)
            out[i].word = words_text(c->store->words, c->by, (uint32_t)b->key[1]);
        out[i].latency_ms_p90 = percentile(b, 90);
        out[i].latency_ms_p95 = percentile(b, 95);
        out[i].latency_ms_p99 = percentile(b, 99);
    }
    *ret = out;
    *ret_count = count;
    return 0;
}

int store_sum_await(struct store *s, struct fiber *self, const struct store_query *query,
                    unsigned bucket_s, enum store_word by, struct arena *arena,
                    struct store_bucket **ret, unsigned *ret_count)
{
    ASSERT(by < STORE_WORD_COUNTER || by == STORE_WORD_COUNT);
    uint64_t seed[2];
    struct sum_call call = {
        .store = s, .query = query, .bucket_us = (uint64_t)bucket_s * 1000000, .by = by};
    if (random_bytes(seed, sizeof(seed)) < 0)
        return ERR_SYSTEM;
    map_init(&call.map, seed);
    buf_init(&call.buckets, STORE_BUCKETS_MAX * sizeof(struct bucket *));
    int rc = store__call_await(s, self, sum_job, &call);
    rc = rc ? rc : call.err;
    if (!rc)
        rc = copy_buckets(&call, arena, ret, ret_count);
    for (size_t i = 0; i < call.buckets.len / sizeof(struct bucket *); i++)
        free(((struct bucket **)(void *)call.buckets.ptr)[i]);
    buf_done(&call.buckets);
    map_done(&call.map);
    return rc;
}

// ---- Counters --------------------------------------------------------------------------------

static int add_counter(struct store *s, struct slice key, struct slice value, uint64_t since,
                       struct arena *arena, struct buf *out)
{
    if (key.len != KEYS_COUNTER_BYTES || value.len != 8)
        return 0;
    struct store_counter counter = {.window = keys_u64(key.ptr + 5),
                                    .value = (int64_t)keys_u64(value.ptr)};
    if (counter.window < since)
        return 0;
    counter.counter =
        arena_copy(arena, words_text(s->words, STORE_WORD_COUNTER, keys_u32(key.ptr + 1)));
    if (!counter.counter.ptr)
        return ERR_NOMEM;
    buf_add(out, slice_of(&counter, sizeof(counter)));
    return out->err;
}

int store_load_counters(struct store *s, uint64_t since, struct arena *arena,
                        struct store_counter **ret, size_t *ret_count)
{
    struct buf found;
    struct keys_key from = keys_begin(KEYS_COUNTER), to = keys_end(KEYS_COUNTER);

    pthread_rwlock_rdlock(&s->db_lock);
    struct rocks_iter *it =
        s->logs ? rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to)) : NULL;
    int err = it ? 0 : ERR_SYSTEM;
    buf_init(&found, SIZE_MAX / 2);
    if (it)
        rocks_iter_first(it);
    for (; !err && rocks_iter_valid(it); rocks_iter_next(it))
        err = add_counter(s, rocks_iter_key(it), rocks_iter_value(it), since, arena, &found);
    if (!err)
        err = rocks_iter_error(it);
    rocks_iter_free(it);
    pthread_rwlock_unlock(&s->db_lock);
    if (!err) {
        struct store_counter *counters = arena_alloc(arena, found.len + 1);
        err = counters ? 0 : ERR_NOMEM;
        if (!err) {
            if (found.len > 0)
                memcpy(counters, found.ptr, found.len);
            *ret = counters;
            *ret_count = found.len / sizeof(struct store_counter);
        }
    }
    buf_done(&found);
    return err;
}
