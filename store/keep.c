// SPDX-License-Identifier: Apache-2.0
//
// keep.c: the two threads that keep the store in order. One syncs what was written and looks at the
// disk, once a second; one deletes what is too old or too much, once an hour, which may take longer
// than a second.
//
// What is deleted is a range of each table, from its first key to a time, and segments whose last
// record is older. Digests go an hour later than rows, because one spans an hour at most; until
// then `floor` hides their rows from searches. For the size, everything goes that is not younger
// than the oldest segment, and again until it fits.
#include "base/err.h"
#include "store/find.h"
#include "store/keys.h"
#include "store/store_internal.h"

#include "base/container.h"

#define TICK_MS  1000
#define CLEAN_MS (3600 * 1000)
#define DAY_US   (INT64_C(86400) * 1000000)
// A window that began so long ago moves no more: budgets last a year at most.
#define COUNTER_DAYS   400
#define COUNTER_DELETE 4096 // of one batch

// ---- Sync ------------------------------------------------------------------------------------

// First what the log of the database names.
static int sync_both(struct store *s)
{
    int err = segments_sync(s->segments);
    if (err)
        return store__failed_segments(s, "a segment could not be synced", err);
    err = rocks_sync(s->logs);
    if (err)
        err = store__failed(s, s->logs, "the log of the database could not be synced", err);
    return err;
}

int store__sync(struct store *s)
{
    int err = 0;
    uint64_t wanted = atomic_load(&s->written);

    if (atomic_load(&s->synced) >= wanted)
        return 0;
    pthread_mutex_lock(&s->sync_mutex);
    if (atomic_load(&s->synced) < wanted) {
        // Whoever waits for the mutex meanwhile finds that this was for them too.
        uint64_t reached = atomic_load(&s->written);
        pthread_rwlock_rdlock(&s->db_lock);
        err = s->logs ? sync_both(s) : ERR_SYSTEM;
        pthread_rwlock_unlock(&s->db_lock);
        if (!err) {
            atomic_store(&s->synced, reached);
            atomic_fetch_add(&s->numbers.syncs, 1);
        }
        atomic_store(&s->numbers.sync_err, err);
    }
    pthread_mutex_unlock(&s->sync_mutex);
    return err;
}

// ---- Deletion by time ------------------------------------------------------------------------

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static int delete_before(struct store *s, enum keys_table table, uint64_t time_us)
{
    struct keys_key from = keys_begin(table);
    struct keys_key to = keys_time(table, time_us);
    struct rocks_iter *it = rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to));
    struct rocks_batch *batch = rocks_batch_new();
    int err = it && batch ? 0 : ERR_NOMEM;
    bool any = false;
    if (!err) {
        rocks_iter_first(it);
        any = rocks_iter_valid(it);
        err = rocks_iter_error(it);
    }
    rocks_iter_free(it); // it would keep the files
    if (!err && any) {
        rocks_batch_delete_range(batch, keys_slice(&from), keys_slice(&to));
        err = rocks_write(s->logs, batch, true);
        if (!err)
            err = rocks_reclaim(s->logs, keys_slice(&from), keys_slice(&to));
    }
    rocks_batch_free(batch);
    return err;
}

// The names of its bundles are gone: now the database forgets it, and then the file goes. One that
// ends between is a file of nobody.
static int drop_segment(struct store *s, const struct segment *segment)
{
    struct keys_key key = keys_segment(segment->kind, segment->number);
    struct rocks_batch *batch = rocks_batch_new();
    if (!batch)
        return ERR_NOMEM;
    rocks_batch_delete(batch, keys_slice(&key));
    int err = rocks_write(s->logs, batch, true);
    rocks_batch_free(batch);
    if (!err)
        segments_drop(s->segments, segment->kind, segment->number);
    return err;
}

// A bundle that begins before that time may hold what is younger: it goes a span later. A segment
// that nothing has come to since goes too, though nothing has come behind it.
static int delete_bundles_before(struct store *s, enum segment_kind kind, uint64_t time_us)
{
    uint64_t before_us = minus(time_us, BUNDLE_SPAN_US);
    struct segment segment;
    int err = delete_before(s, find_table(kind), before_us);
    segments_seal(s->segments, before_us);
    while (!err && segments_oldest(s->segments, kind, before_us, &segment))
        err = drop_segment(s, &segment);
    return err;
}

// First the floor: what is hidden may be half deleted.
static int raise_floor(struct store *s, uint64_t time_us)
{
    unsigned char value[8];
    struct keys_key key = keys_state(KEYS_STATE_FLOOR);
    if (time_us <= atomic_load(&s->floor_us))
        return 0;
    struct rocks_batch *batch = rocks_batch_new();
    if (!batch)
        return ERR_NOMEM;
    keys_put_u64(value, time_us);
    rocks_batch_put(batch, keys_slice(&key), slice_of(value, sizeof(value)));
    int err = rocks_write(s->logs, batch, true);
    rocks_batch_free(batch);
    if (!err)
        atomic_store(&s->floor_us, time_us);
    return err;
}

static int delete_rows_before(struct store *s, uint64_t time_us)
{
    int err = raise_floor(s, time_us);
    for (unsigned kind = 0; !err && kind < SEGMENT_KINDS; kind++)
        err = delete_bundles_before(s, (enum segment_kind)kind, time_us);
    if (!err)
        err = delete_before(s, KEYS_DIGEST, minus(time_us, (uint64_t)STORE_DIGEST_SPAN_US));
    return err;
}

// ---- Deletion by size ------------------------------------------------------------------------

static uint64_t all_bytes(struct store *s)
{
    return rocks_bytes(s->logs) + segments_bytes(s->segments);
}

// Not what a clock that was wrong has dated later than now: it would take all that is older along.
static int fit(struct store *s, uint64_t now_us, uint64_t bytes_max)
{
    struct segment oldest;
    int err = 0;
    if (bytes_max > 0)
        segments_seal(s->segments, minus(now_us, SEGMENT_SPAN_US));
    while (!err && bytes_max > 0 && all_bytes(s) > bytes_max &&
           segments_oldest(s->segments, SEGMENT_KINDS, now_us, &oldest))
        err = delete_rows_before(s, oldest.last_us + BUNDLE_SPAN_US + 1);
    return err;
}

// ---- Old windows -----------------------------------------------------------------------------

// Adds keys of one batch; true: there are more.
static bool old_counters(struct rocks_iter *it, struct rocks_batch *batch, uint64_t before_s)
{
    unsigned count = 0;
    for (; rocks_iter_valid(it) && count < COUNTER_DELETE; rocks_iter_next(it)) {
        struct slice key = rocks_iter_key(it);
        if (key.len != KEYS_COUNTER_BYTES || keys_u64(key.ptr + 5) >= before_s)
            continue;
        rocks_batch_delete(batch, key);
        count++;
    }
    return count == COUNTER_DELETE;
}

static int drop_counters(struct store *s, struct wall now)
{
    struct keys_key from = keys_begin(KEYS_COUNTER), to = keys_end(KEYS_COUNTER);
    uint64_t before = minus((uint64_t)(now.ns / NS_PER_S), (uint64_t)COUNTER_DAYS * 86400);
    struct rocks_batch *batch = rocks_batch_new();
    struct rocks_iter *it = rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to));
    int err = it && batch ? 0 : ERR_NOMEM;
    bool more = true;
    if (!err)
        rocks_iter_first(it);
    while (!err && more) {
        rocks_batch_reset(batch);
        more = old_counters(it, batch, before);
        if (rocks_batch_count(batch) > 0)
            err = rocks_write(s->logs, batch, false);
    }
    rocks_iter_free(it);
    rocks_batch_free(batch);
    return err;
}

// ---- The clean-up ----------------------------------------------------------------------------

static int clean(struct store *s, struct wall now)
{
    uint64_t now_us = (uint64_t)(now.ns / NS_PER_US);
    uint64_t row_days = atomic_load(&s->row_days), content_days = atomic_load(&s->content_days);
    int err = 0;

    if (row_days > 0)
        err = delete_rows_before(s, minus(now_us, row_days * DAY_US));
    if (!err && content_days > 0)
        err = delete_bundles_before(s, SEGMENT_CONTENT, minus(now_us, content_days * DAY_US));
    if (!err)
        err = fit(s, now_us, atomic_load(&s->logs_bytes_max));
    return err ? err : drop_counters(s, now);
}

int store__clean_up(struct store *s, struct wall now)
{
    pthread_rwlock_rdlock(&s->db_lock);
    int err = s->logs ? clean(s, now) : ERR_SYSTEM;
    if (err && s->logs)
        err = store__failed(s, s->logs, "old records could not be deleted", err);
    if (s->logs)
        atomic_store(&s->numbers.logs_bytes, all_bytes(s));
    pthread_rwlock_unlock(&s->db_lock);
    return err;
}

void store_retain(struct store *s, unsigned row_days, unsigned content_days,
                  uint64_t logs_bytes_max)
{
    atomic_store(&s->row_days, row_days);
    atomic_store(&s->content_days, content_days);
    atomic_store(&s->logs_bytes_max, logs_bytes_max);
}

// ---- The thread ------------------------------------------------------------------------------

static void note_bytes(struct store *s)
{
    pthread_rwlock_rdlock(&s->db_lock);
    if (s->logs)
        atomic_store(&s->numbers.logs_bytes, all_bytes(s));
    pthread_rwlock_unlock(&s->db_lock);
}

void *store__keep_main(void *store)
{
    struct store *s = store;

    pthread_setname_np(pthread_self(), "keep");
    while (!store__wait_stop(s, TICK_MS)) {
        store__measure(s);
        (void)store__sync(s);
        note_bytes(s);
    }
    return NULL;
}

void *store__clean_main(void *store)
{
    struct store *s = store;

    pthread_setname_np(pthread_self(), "clean");
    do
        (void)store__clean_up(s, clock_wall());
    while (!store__wait_stop(s, CLEAN_MS));
    return NULL;
}
