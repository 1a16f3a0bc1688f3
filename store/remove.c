// SPDX-License-Identifier: Apache-2.0
//
// remove.c: records that somebody deletes.
//
// Bundles and digests are written again without them: a bundle to the end of a segment of its time,
// under the name it has, which stays before its records. When that is synced, so that the machine
// cannot lose both, the bytes where it was are given back to the disk, if no backup has them. What
// is still in the rings is drained first, so that a record does not come after it was deleted. The
// holder of batch_mutex alone writes: nothing changes under the hands of this.
//
// Without room for what is written again nothing is deleted: ERR_LIMIT.
#include "base/err.h"
#include "store/drain_internal.h"
#include "store/find.h"
#include "store/keys.h"

#include <stdlib.h>

// Of one batch: a content alone may be a mebibyte.
#define REWRITE_BUNDLES 16

struct remove_call {
    struct store *store;
    struct store_id *ids; // rising
    unsigned count;
    struct buf old; // struct old_place, of bundles that are somewhere else now, or nowhere
    int err;
};

struct old_place {
    enum segment_kind kind;
    struct segment_place place;
};

// By time first.
static int by_id(const void *a, const void *b)
{
    const struct store_id *x = a, *y = b;
    if (x->time_us != y->time_us)
        return x->time_us < y->time_us ? -1 : 1;
    if (x->ring != y->ring)
        return x->ring < y->ring ? -1 : 1;
    return x->number == y->number ? 0 : x->number < y->number ? -1 : 1;
}

static bool asked_for(const struct remove_call *c, struct store_id id)
{
    return bsearch(&id, c->ids, c->count, sizeof(id), by_id) != NULL;
}

// Rows that stay move to the front.
static unsigned without(const struct remove_call *c, struct digest_row *rows, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++)
        if (!asked_for(c, digest_id(&rows[i])))
            rows[kept++] = rows[i];
    return kept;
}

// ---- The open digest -------------------------------------------------------------------------

static int remove_open(struct remove_call *c, struct drain *d)
{
    unsigned before = d->open_rows;
    d->open_rows = without(c, d->open, d->open_rows);
    if (d->open_rows == before)
        return 0;
    for (unsigned i = 0; i < d->pieces; i++) {
        struct keys_key key = keys_id(KEYS_PIECE, d->piece[i]);
        rocks_batch_delete(d->batch, keys_slice(&key));
    }
    d->pieces = 0;
    d->open_old = 0;
    return store__write_piece(d);
}

// ---- Full digests ----------------------------------------------------------------------------

// The digest is written again under the key it has, which stays before its rows.
static int rewrite(struct remove_call *c, struct drain *d, struct slice key,
                   const struct digest_view *view, struct digest_row *rows)
{
    for (unsigned i = 0; i < view->rows; i++)
        digest_get_row(view, i, &rows[i]);
    unsigned kept = without(c, rows, view->rows);
    if (kept == view->rows)
        return 0;
    if (kept == 0) {
        rocks_batch_delete(d->batch, key);
        return 0;
    }
    buf_reset(&d->value);
    digest_write(rows, kept, &d->value);
    if (d->value.err)
        return d->value.err;
    rocks_batch_put(d->batch, key, buf_slice(&d->value));
    return 0;
}

static bool may_hold(const struct remove_call *c, const struct digest_view *view)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->ids[i].time_us >= view->time_min && c->ids[i].time_us <= view->time_max)
            return true;
    return false;
}

static int remove_digests(struct remove_call *c, struct drain *d, struct digest_row *rows)
{
    uint64_t span = (uint64_t)STORE_DIGEST_SPAN_US, first = UINT64_MAX, last = 0;
    struct digest_view view;
    int err = 0;

    for (unsigned i = 0; i < c->count; i++) {
        first = c->ids[i].time_us < first ? c->ids[i].time_us : first;
        last = c->ids[i].time_us > last ? c->ids[i].time_us : last;
    }
    struct keys_key from = keys_time(KEYS_DIGEST, first > span ? first - span : 0);
    struct keys_key to = keys_time(KEYS_DIGEST, last < UINT64_MAX ? last + 1 : last);
    struct rocks_iter *it = rocks_iter_new(c->store->logs, keys_slice(&from), keys_slice(&to));
    if (!it)
        return ERR_NOMEM;
    for (rocks_iter_first(it); !err && rocks_iter_valid(it); rocks_iter_next(it))
        if (digest_read(rocks_iter_value(it), &view) == 0 && may_hold(c, &view))
            err = rewrite(c, d, rocks_iter_key(it), &view, rows);
    if (!err)
        err = rocks_iter_error(it);
    rocks_iter_free(it);
    return err;
}

// ---- Bundles ----------------------------------------------------------------------------------

struct rewriting {
    struct remove_call *call;
    enum segment_kind kind;
    struct finder finder;
    struct bundle bundle;
    struct keys_key key[REWRITE_BUNDLES]; // of this batch
    struct old_place old[REWRITE_BUNDLES];
    unsigned bundles;
    unsigned next; // of the ids
};

static bool is_rewritten(const struct rewriting *r, struct slice key)
{
    for (unsigned i = 0; i < r->bundles; i++)
        if (slice_eq(keys_slice(&r->key[i]), key))
            return true;
    return false;
}

// Of a deleted content what others may refer to stays: the request, when it is in the shared form.
static int add_shared(struct rewriting *r, struct store_id id, struct slice value)
{
    struct slice request, answer;
    unsigned flags;
    if (record_content_read(value, &request, &answer, &flags) < 0 || !(flags & RECORD_SHARED))
        return 0;
    struct slice kept = slice_take(value, value.len - answer.len);
    return bundle_add(&r->bundle, id, &kept, 1);
}

// Its other entries.
static int fill_bundle(struct rewriting *r, uint16_t ring)
{
    struct slice rest = buf_slice(&r->finder.entries);
    struct bundle_entry entry;
    int err = 0;
    bundle_reset(&r->bundle);
    while (!err && bundle_next(&rest, &entry)) {
        struct store_id id = {entry.time_us, ring, entry.number};
        if (!asked_for(r->call, id))
            err = bundle_add(&r->bundle, id, &entry.bytes, 1);
        else if (r->kind == SEGMENT_CONTENT)
            err = add_shared(r, id, entry.bytes);
    }
    return err;
}

static int rewrite_bundle_of(struct rewriting *r, struct store_id id)
{
    struct store *s = r->call->store;
    struct slice key, bytes;

    int err = finder_get(&r->finder, id, &bytes);
    if (err == ERR_NOT_FOUND || err == ERR_BAD_LENGTH)
        return 0;
    key = keys_slice(&r->finder.key);
    if (err || is_rewritten(r, key))
        return err;
    r->key[r->bundles] = r->finder.key;
    r->old[r->bundles++] = (struct old_place){r->kind, r->finder.place};
    err = fill_bundle(r, id.ring);
    if (!err && r->bundle.count == 0)
        rocks_batch_delete(s->drain->batch, key);
    else if (!err)
        err = store__outlet_bundle(s->drain, r->kind, &r->bundle, keys_to_id(key));
    return err;
}

// Is the next record's bundle for this batch? All of one batch come into one segment.
static bool joins(const struct rewriting *r, uint64_t first_us)
{
    const struct remove_call *c = r->call;
    return r->next < c->count && r->bundles < REWRITE_BUNDLES &&
           (r->bundles == 0 ||
            c->ids[r->next].time_us + BUNDLE_SPAN_US - first_us < SEGMENT_SPAN_US);
}

// ---- The call --------------------------------------------------------------------------------

static int write_batch(struct remove_call *c)
{
    struct store *s = c->store;
    int err = rocks_write(s->logs, s->drain->batch, false);
    if (err)
        return store__failed(s, s->logs, "records could not be deleted", err);
    segments_commit(s->segments);
    atomic_fetch_add(&s->written, 1);
    return 0;
}

static int remove_from_digests(struct remove_call *c, struct digest_row *rows)
{
    struct drain *d = c->store->drain;
    rocks_batch_reset(d->batch);
    int err = remove_digests(c, d, rows);
    if (!err)
        err = remove_open(c, d);
    return err ? err : write_batch(c);
}

// A batch of them.
static int rewrite_some(struct rewriting *r)
{
    struct drain *d = r->call->store->drain;
    uint64_t first_us = 0; // no bundle is earlier
    int err = 0;

    rocks_batch_reset(d->batch);
    segments_forget(r->call->store->segments);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++)
        store__outlet_begin(&d->outlet[kind]); // the other has what was drained last
    d->haste = false;
    r->bundles = 0;
    for (; !err && joins(r, first_us); r->next++) {
        uint64_t us = r->call->ids[r->next].time_us;
        err = rewrite_bundle_of(r, r->call->ids[r->next]);
        if (r->bundles == 1)
            first_us = us > BUNDLE_SPAN_US ? us - BUNDLE_SPAN_US : 0;
    }
    if (!err)
        err = store__outlet_append(d, r->kind);
    if (err == ERR_LIMIT || err == ERR_SYSTEM)
        return store__failed_segments(r->call->store, "records could not be deleted", err);
    return err ? err : write_batch(r->call);
}

static int remove_from_bundles(struct remove_call *c, enum segment_kind kind)
{
    struct rewriting r = {.call = c, .kind = kind};
    int err = finder_init(&r.finder, c->store, kind);
    bundle_init(&r.bundle);
    while (!err && r.next < c->count) {
        err = rewrite_some(&r);
        if (!err)
            buf_add(&c->old, slice_of(r.old, r.bundles * sizeof(r.old[0])));
        finder_done(&r.finder); // it sees the database as it was
        if (!err)
            err = finder_init(&r.finder, c->store, kind);
    }
    bundle_done(&r.bundle);
    finder_done(&r.finder);
    return err;
}

static int gather(struct remove_call *c, struct digest_row *rows)
{
    int err = remove_from_digests(c, rows);
    for (unsigned kind = 0; !err && kind < SEGMENT_KINDS; kind++)
        err = remove_from_bundles(c, (enum segment_kind)kind);
    return err;
}

static void locked_job(struct remove_call *c, struct digest_row *rows)
{
    struct store *s = c->store;
    c->err = store__drain_all(s);
    if (c->err)
        return;
    pthread_rwlock_rdlock(&s->db_lock);
    c->err = s->logs ? gather(c, rows) : ERR_SYSTEM;
    s->drain->stale = c->err != 0; // memory may be ahead of the database, or behind it
    pthread_rwlock_unlock(&s->db_lock);
}

// With no lock: nobody reads these places any more but who looked before, and looks again (find.c).
static void erase(struct remove_call *c)
{
    struct old_place old;
    if (c->old.len == 0 || store__sync(c->store) < 0) // which has been told
        return;
    for (size_t at = 0; at < c->old.len; at += sizeof(old)) {
        memcpy(&old, c->old.ptr + at, sizeof(old));
        segments_erase(c->store->segments, old.kind, old.place);
    }
}

static void remove_job(void *arg)
{
    struct remove_call *c = arg;
    struct buf rows;
    size_t bytes = STORE_DIGEST_ROWS * sizeof(struct digest_row);
    buf_init(&rows, bytes);
    buf_init(&c->old, (size_t)SEGMENT_KINDS * STORE_PAGE_MAX * sizeof(struct old_place));
    if (buf_room(&rows, bytes) && buf_room(&c->old, c->old.max)) {
        pthread_mutex_lock(&c->store->batch_mutex);
        locked_job(c, (struct digest_row *)(void *)rows.ptr);
        pthread_mutex_unlock(&c->store->batch_mutex);
        erase(c);
    } else {
        c->err = ERR_NOMEM;
    }
    buf_done(&c->old);
    buf_done(&rows);
}

int store_delete_records_await(struct store *s, struct fiber *self, const struct store_id *ids,
                               unsigned count)
{
    struct remove_call call = {.store = s, .count = count};
    struct buf sorted;
    if (count > STORE_PAGE_MAX)
        return ERR_LIMIT;
    if (count == 0)
        return 0;
    buf_init(&sorted, STORE_PAGE_MAX * sizeof(*ids));
    buf_add(&sorted, slice_of(ids, count * sizeof(*ids)));
    if (sorted.err)
        return sorted.err;
    call.ids = (struct store_id *)(void *)sorted.ptr;
    qsort(call.ids, count, sizeof(*ids), by_id);
    int rc = store__call_await(s, self, remove_job, &call);
    buf_done(&sorted);
    return rc ? rc : call.err;
}
