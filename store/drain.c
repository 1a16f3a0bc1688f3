// SPDX-License-Identifier: Apache-2.0
//
// drain.c: from the rings to the database, in large batches.
//
// A thread looks at the heads of the rings: every 10 ms while something comes, every 200 ms when
// nothing does. Nobody wakes it: that would be a system call in the middle of a request. Whoever
// needs what is queued to be written (store_sync_await, a deletion) takes batch_mutex and drains.
//
// A batch that cannot be written leaves everything as it was: the rings still have the records, and
// what memory knows of the database is read from it again. When the engine says that the disk is
// full, the reserve is given back, rows are given up and it is tried once more.
#include "store/drain_internal.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/prng.h"
#include "store/find.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

#define BUSY_MS     10
#define IDLE_MS     200
#define DISCOVER_MS 1000
// Rounds without anything until the thread counts as idle.
#define QUIET_ROUNDS 50
// A ring that is as full, in parts of it, is drained without packing: what is not packed costs
// space, what is not drained is lost.
#define HASTE_PART 8

// ---- Life ------------------------------------------------------------------------------------

static struct drain *drain_new(struct store *s)
{
    struct drain *d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->store = s;
    d->batch = rocks_batch_new();
    d->packer = packer_new();
    d->counters = calloc(COUNTERS_KEPT, sizeof(d->counters[0]));
    d->moved = calloc(COUNTERS_KEPT, sizeof(d->moved[0]));
    buf_init(&d->value, DIGEST_BYTES_MAX);
    buf_init(&d->fresh_words, FRESH_WORDS_BYTES_MAX);
    int err = 0;
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        if (store__outlet_init(&d->outlet[kind]) < 0)
            err = ERR_NOMEM;
    if (!err && d->batch && d->packer && d->counters && d->moved)
        return d;
    store__drain_free(d);
    return NULL;
}

int store__drain_new(struct store *s, struct drain **ret)
{
    struct drain *d = drain_new(s);
    if (!d)
        return ERR_NOMEM;
    *ret = d;
    return 0;
}

void store__drain_free(struct drain *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->rings; i++)
        if (!d->ring[i].spool->owned)
            spool_free(d->ring[i].spool);
    rocks_batch_free(d->batch);
    packer_free(d->packer);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        store__outlet_done(&d->outlet[kind]);
    buf_done(&d->value);
    buf_done(&d->fresh_words);
    free(d->counters);
    free(d->moved);
    free(d);
}

// ---- What memory keeps of the database -------------------------------------------------------

static void damaged(struct store *s, const char *name, struct slice key, struct slice bytes)
{
    char file[96];
    int len = snprintf(file, sizeof(file), "%s-", name);
    for (size_t i = 0; i < key.len && i < KEYS_RECORD_BYTES; i++)
        len += snprintf(file + len, sizeof(file) - (size_t)len, "%02x", (unsigned char)key.ptr[i]);
    atomic_fetch_add(&s->numbers.damaged, 1);
    store__set_aside(s, file, bytes);
    store__notice(s, LOG_ERROR, "a %s cannot be read and is skipped: kept as damaged/%s", name,
                  file);
}

static int load_words(struct store *s)
{
    uint64_t seed[2];
    struct words *words;

    if (random_bytes(seed, sizeof(seed)) < 0)
        return ERR_SYSTEM;
    s->words = words = words_new(seed);
    if (!words)
        return ERR_NOMEM;
    struct keys_key from = keys_begin(KEYS_WORD), to = keys_end(KEYS_WORD);
    struct rocks_iter *it = rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to));
    if (!it)
        return ERR_NOMEM;
    int err = 0;
    for (rocks_iter_first(it); !err && rocks_iter_valid(it); rocks_iter_next(it)) {
        struct slice key = rocks_iter_key(it);
        unsigned dictionary = key.len == KEYS_WORD_BYTES ? (unsigned char)key.ptr[1] : 255;
        if (dictionary >= STORE_WORD_COUNT)
            continue;
        uint32_t number = keys_u32(key.ptr + 2);
        err = words_load(words, (enum store_word)dictionary, number, rocks_iter_value(it));
        if (err == ERR_LIMIT) {
            damaged(s, "word", key, rocks_iter_value(it));
            err = 0;
        }
    }
    if (!err)
        err = rocks_iter_error(it);
    rocks_iter_free(it);
    return err;
}

static int load_segments(struct store *s)
{
    struct keys_key from = keys_begin(KEYS_SEGMENT), to = keys_end(KEYS_SEGMENT);
    struct rocks_iter *it = rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to));
    int err = it ? 0 : ERR_NOMEM;
    if (!err)
        rocks_iter_first(it);
    for (; !err && rocks_iter_valid(it); rocks_iter_next(it)) {
        struct segment segment;
        if (find_read_segment(rocks_iter_key(it), rocks_iter_value(it), &segment))
            err = segments_know(s->segments, &segment);
    }
    if (!err)
        err = rocks_iter_error(it);
    rocks_iter_free(it);
    return err;
}

static void load_piece(struct drain *d, struct slice key, struct slice value)
{
    struct digest_view view;
    if (key.len != KEYS_RECORD_BYTES || digest_read(value, &view) < 0) {
        damaged(d->store, "digest", key, value);
        return;
    }
    // More than fit is what no program has written; they stay pieces.
    if (d->open_rows + view.rows > STORE_DIGEST_ROWS || d->pieces == STORE_DIGEST_ROWS)
        return;
    for (unsigned i = 0; i < view.rows; i++) {
        struct digest_row row;
        digest_get_row(&view, i, &row);
        store__open_add(d, &row);
    }
    d->piece[d->pieces++] = keys_to_id(key);
}

static int load_pieces(struct drain *d)
{
    struct keys_key from = keys_begin(KEYS_PIECE), to = keys_end(KEYS_PIECE);
    struct rocks_iter *it = rocks_iter_new(d->store->logs, keys_slice(&from), keys_slice(&to));
    if (!it)
        return ERR_NOMEM;
    d->open_rows = d->pieces = 0;
    for (rocks_iter_first(it); rocks_iter_valid(it); rocks_iter_next(it))
        load_piece(d, rocks_iter_key(it), rocks_iter_value(it));
    d->open_old = d->open_rows;
    int err = rocks_iter_error(it);
    rocks_iter_free(it);
    return err;
}

// Where the drain of a ring goes on: behind what the database has of this file.
static int load_position(struct store *s, struct drained *r)
{
    struct buf value;
    struct keys_key key = keys_position(r->spool->ring);
    uint64_t tail = spool_tail(r->spool), position = tail;

    buf_init(&value, 64);
    int err = rocks_get(s->logs, keys_slice(&key), &value);
    if (!err && value.len == 16 && keys_u64(value.ptr) == r->spool->identity)
        position = keys_u64(value.ptr + 8);
    buf_done(&value);
    if (err && err != ERR_NOT_FOUND)
        return err;
    // Behind both, and not beyond what is there.
    if (position - tail > spool_head(r->spool) - tail)
        position = tail;
    r->written = r->spool->read = position;
    spool_release(r->spool, position);
    return 0;
}

int store__drain_load(struct store *s)
{
    struct drain *d = s->drain;
    int err = load_segments(s);
    if (!err)
        atomic_fetch_add(&s->written, 1); // by a process that may have ended before it was synced
    if (!err && !s->words) {
        segments_settle(s->segments);
        err = load_words(s);
    }
    if (!err)
        err = load_pieces(d);
    for (unsigned i = 0; !err && i < d->rings; i++)
        err = load_position(s, &d->ring[i]);
    store__forget_counters(d);
    rocks_batch_reset(d->batch);
    d->records = d->frames = 0;
    d->bytes = 0;
    return err;
}

// ---- Rings -----------------------------------------------------------------------------------

static bool known(const struct drain *d, uint16_t ring)
{
    for (unsigned i = 0; i < d->rings; i++)
        if (d->ring[i].spool->ring == ring)
            return true;
    return false;
}

static int add_ring(struct drain *d, struct spool *spool)
{
    struct drained r = {.spool = spool};
    if (d->rings == SPOOL_RINGS_MAX)
        return ERR_LIMIT;
    int err = load_position(d->store, &r);
    if (!err)
        d->ring[d->rings++] = r;
    return err;
}

static void add_foreign(struct drain *d, uint16_t ring)
{
    struct store *s = d->store;
    struct spool *spool;

    int err = spool_watch(s->rings, ring, &spool);
    if (err == ERR_SYSTEM) {
        store__notice(s, LOG_ERROR, "%s/ring-%05u is no ring: set aside", s->rings, ring);
        atomic_fetch_add(&s->numbers.damaged, 1);
        spool_set_aside(s->rings, ring);
    }
    if (!err && add_ring(d, spool) < 0)
        spool_free(spool);
}

void store__drain_discover(struct store *s)
{
    struct drain *d = s->drain;
    uint16_t there[SPOOL_RINGS_MAX];

    for (unsigned i = 0; i < s->cores; i++)
        if (!known(d, s->ring[i].spool->ring))
            (void)add_ring(d, s->ring[i].spool);
    if (s->memory)
        return;
    for (unsigned i = 0; i < d->rings;) {
        struct drained *r = &d->ring[i];
        if (!r->spool->owned && r->written == spool_head(r->spool) &&
            spool_remove(r->spool, s->rings)) {
            spool_free(r->spool);
            *r = d->ring[--d->rings];
        } else {
            i++;
        }
    }
    unsigned count = spool_list(s->rings, there);
    for (unsigned i = 0; i < count; i++)
        if (!known(d, there[i]))
            add_foreign(d, there[i]);
}

// ---- A batch ---------------------------------------------------------------------------------

static void skip_frame(struct drain *d, const struct drained *r, struct slice bytes)
{
    unsigned char key[11] = {0};
    spool_lose(r->spool);
    keys_put_u64(key, r->spool->identity);
    key[8] = (unsigned char)(r->spool->ring >> 8);
    key[9] = (unsigned char)r->spool->ring;
    char name[64];
    snprintf(name, sizeof(name), "record-%llu", (unsigned long long)r->spool->read);
    damaged(d->store, name, slice_of(key, 10), bytes);
}

// 0: there is nothing more in this ring. ERR_MORE: the batch is full.
static int gather_ring(struct drain *d, struct drained *r)
{
    struct record_view view;
    struct slice payload;

    d->from = r->spool;
    d->haste = spool_head(r->spool) - r->spool->read > r->spool->bytes / HASTE_PART;
    while (d->frames < BATCH_RECORDS_MAX && d->bytes < BATCH_BYTES_MAX) {
        uint64_t at = r->spool->read;
        enum spool_next next = spool_next(r->spool, &payload);
        if (next == SPOOL_EMPTY)
            return 0;
        if (next == SPOOL_DAMAGED || record_read(payload, &view) < 0) {
            skip_frame(d, r, payload);
            continue;
        }
        view.id.ring = r->spool->ring;
        int err = store__gather(d, &view);
        if (err) {
            r->spool->read = at;
            return err;
        }
        d->frames++;
    }
    return ERR_MORE;
}

static bool put_positions(struct drain *d)
{
    bool moved = false;
    for (unsigned i = 0; i < d->rings; i++) {
        const struct drained *r = &d->ring[i];
        unsigned char value[16];
        if (r->spool->read == r->written)
            continue;
        struct keys_key key = keys_position(r->spool->ring);
        keys_put_u64(value, r->spool->identity);
        keys_put_u64(value + 8, r->spool->read);
        rocks_batch_put(d->batch, keys_slice(&key), slice_of(value, sizeof(value)));
        moved = true;
    }
    return moved;
}

static void written(struct drain *d)
{
    struct store *s = d->store;
    uint64_t foreign = 0;
    for (unsigned i = 0; i < d->rings; i++) {
        struct drained *r = &d->ring[i];
        if (r->spool->read != r->written) {
            r->written = r->spool->read;
            spool_release(r->spool, r->written);
        }
        if (!r->spool->owned)
            foreign += spool_head(r->spool) - r->written;
    }
    segments_commit(s->segments);
    buf_reset(&d->fresh_words);
    atomic_store_explicit(&s->numbers.foreign_bytes, foreign, memory_order_relaxed);
    atomic_fetch_add(&s->numbers.records, d->records);
    atomic_fetch_add(&s->numbers.content_dropped, d->content_dropped);
    atomic_fetch_add(&s->numbers.rows_dropped, d->rows_dropped);
    atomic_fetch_add(&s->written, 1);
}

static void begin(struct drain *d)
{
    rocks_batch_reset(d->batch);
    segments_forget(d->store->segments);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        store__outlet_begin(&d->outlet[kind]);
    d->records = d->frames = 0;
    d->bytes = 0;
    d->content_dropped = d->rows_dropped = 0;
    if (d->counters_used > COUNTERS_KEPT / 4)
        store__forget_counters(d);
}

// ERR_MORE: written, and there is more. db_lock is held for reading.
static int batch(struct drain *d)
{
    struct store *s = d->store;
    int rc = 0;

    if (!s->logs)
        return ERR_SYSTEM;
    begin(d);
    d->turn++; // a ring that is always full must not keep the others out
    for (unsigned i = 0; rc == 0 && i < d->rings; i++)
        rc = gather_ring(d, &d->ring[(d->turn + i) % d->rings]);
    if (rc != 0 && rc != ERR_MORE)
        return rc;
    if (!put_positions(d))
        return 0;
    int err = store__gather_end(d);
    if (!err)
        err = rocks_write(s->logs, d->batch, false);
    if (err)
        return store__failed(s, s->logs, "a batch of records could not be written", err);
    written(d);
    return rc;
}

static int locked_batch(struct store *s)
{
    pthread_rwlock_rdlock(&s->db_lock);
    int rc = batch(s->drain);
    pthread_rwlock_unlock(&s->db_lock);
    return rc;
}

// After a failure: the engine takes no more writes until it is opened again.
static int recover(struct store *s, int err)
{
    s->drain->stale = true;
    if (err == ERR_LIMIT) {
        store__give_reserve(s);
        atomic_store(&s->level, STORE_NO_ROWS);
    }
    int rc = s->memory ? 0 : store__reopen_logs(s);
    if (rc)
        return rc;
    pthread_rwlock_rdlock(&s->db_lock);
    rc = store__drain_load(s);
    pthread_rwlock_unlock(&s->db_lock);
    s->drain->stale = rc != 0;
    return rc;
}

static bool reached(const struct drain *d)
{
    for (unsigned i = 0; i < d->rings; i++) {
        const struct drained *r = &d->ring[i];
        if ((int64_t)(r->wanted - r->written) > 0)
            return false;
    }
    return true;
}

static int drain_all(struct store *s)
{
    struct drain *d = s->drain;
    bool tried = false;
    int rc = d->stale ? recover(s, 0) : 0;

    if (rc)
        return rc;
    // What comes meanwhile is not waited for: it may come for ever.
    for (unsigned i = 0; i < d->rings; i++)
        d->ring[i].wanted = spool_head(d->ring[i].spool);
    while ((rc = locked_batch(s)) != 0) {
        if (rc == ERR_MORE && reached(d))
            return 0;
        if (rc == ERR_MORE)
            continue;
        int err = recover(s, rc);
        if (err || tried)
            return rc;
        tried = true;
    }
    return 0;
}

int store__drain_all(struct store *s)
{
    int rc = drain_all(s);
    atomic_store(&s->numbers.batch_err, rc);
    return rc;
}

// ---- The thread ------------------------------------------------------------------------------

static bool something_queued(const struct drain *d)
{
    for (unsigned i = 0; i < d->rings; i++)
        if (spool_head(d->ring[i].spool) != d->ring[i].written)
            return true;
    return false;
}

static void rest(struct store *s)
{
    pthread_mutex_lock(&s->batch_mutex);
    for (unsigned i = 0; i < s->drain->rings; i++)
        spool_rest(s->drain->ring[i].spool);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        store__outlet_rest(&s->drain->outlet[kind]);
    pthread_mutex_unlock(&s->batch_mutex);
    heap_rest();
}

void *store__drain_main(void *store)
{
    struct store *s = store;
    unsigned quiet = 0;
    unsigned since_discover = 0;
    unsigned wait_ms = BUSY_MS;

    pthread_setname_np(pthread_self(), "drain");
    while (!store__wait_stop(s, wait_ms)) {
        pthread_mutex_lock(&s->batch_mutex);
        since_discover += wait_ms;
        if (since_discover >= DISCOVER_MS) {
            since_discover = 0;
            pthread_rwlock_rdlock(&s->db_lock);
            if (s->logs)
                store__drain_discover(s);
            pthread_rwlock_unlock(&s->db_lock);
        }
        bool queued = something_queued(s->drain);
        int err = queued ? store__drain_all(s) : 0;
        pthread_mutex_unlock(&s->batch_mutex);
        quiet = queued ? 0 : quiet + 1;
        if (quiet == QUIET_ROUNDS)
            rest(s);
        wait_ms = quiet < QUIET_ROUNDS ? BUSY_MS : IDLE_MS;
        if (err)
            wait_ms = DISCOVER_MS; // what failed twice is not better at once
    }
    return NULL;
}
