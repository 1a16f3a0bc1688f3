// SPDX-License-Identifier: Apache-2.0
//
// remove.c: records that somebody deletes.
//
// Rows and content go by their keys; digests are written again without their rows. What is still in
// the rings is drained first, so that a record does not come after it was deleted. The holder of
// batch_mutex alone writes digests: nothing changes under the hands of this.
#include "base/err.h"
#include "store/drain_internal.h"
#include "store/keys.h"

struct remove_call {
    struct store *store;
    const struct store_id *ids;
    unsigned count;
    int err;
};

static bool same_id(struct store_id a, struct store_id b)
{
    return a.time_us == b.time_us && a.ring == b.ring && a.number == b.number;
}

static bool asked_for(const struct remove_call *c, struct store_id id)
{
    for (unsigned i = 0; i < c->count; i++)
        if (same_id(c->ids[i], id))
            return true;
    return false;
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
        rocks_batch_delete(c->store->logs, d->batch, ROCKS_SMALL, keys_slice(&key));
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
        rocks_batch_delete(c->store->logs, d->batch, ROCKS_SMALL, key);
        return 0;
    }
    buf_reset(&d->value);
    digest_write(rows, kept, &d->value);
    if (d->value.err)
        return d->value.err;
    rocks_batch_put(c->store->logs, d->batch, ROCKS_SMALL, key, buf_slice(&d->value));
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
    struct rocks_iter *it =
        rocks_iter_new(c->store->logs, ROCKS_SMALL, keys_slice(&from), keys_slice(&to));
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

// ---- The call --------------------------------------------------------------------------------

static int gather(struct remove_call *c, struct drain *d, struct digest_row *rows)
{
    struct store *s = c->store;
    rocks_batch_reset(d->batch);
    for (unsigned i = 0; i < c->count; i++) {
        struct keys_key row = keys_id(KEYS_RECORD, c->ids[i]);
        struct keys_key content = keys_id(KEYS_CONTENT, c->ids[i]);
        rocks_batch_delete(s->logs, d->batch, ROCKS_ROWS, keys_slice(&row));
        rocks_batch_delete(s->logs, d->batch, ROCKS_CONTENT, keys_slice(&content));
    }
    int err = remove_digests(c, d, rows);
    if (!err)
        err = remove_open(c, d);
    if (!err)
        err = rocks_write(s->logs, d->batch, false);
    if (err)
        return store__failed(s, s->logs, "records could not be deleted", err);
    atomic_fetch_add(&s->written, 1);
    return 0;
}

static void locked_job(struct remove_call *c, struct digest_row *rows)
{
    struct store *s = c->store;
    c->err = store__drain_all(s);
    if (c->err)
        return;
    pthread_rwlock_rdlock(&s->db_lock);
    c->err = s->logs ? gather(c, s->drain, rows) : ERR_SYSTEM;
    // What memory keeps of the database may be ahead of it.
    if (c->err && s->logs && store__drain_load(s) < 0)
        store__notice(s, LOG_ERROR, "the digests could not be read again");
    pthread_rwlock_unlock(&s->db_lock);
}

static void remove_job(void *arg)
{
    struct remove_call *c = arg;
    struct buf rows;
    buf_init(&rows, STORE_DIGEST_ROWS * sizeof(struct digest_row));
    struct digest_row empty = {.column = {0}};
    for (unsigned i = 0; i < STORE_DIGEST_ROWS; i++)
        buf_add(&rows, slice_of(&empty, sizeof(empty)));
    c->err = rows.err;
    if (!c->err) {
        pthread_mutex_lock(&c->store->batch_mutex);
        locked_job(c, (struct digest_row *)(void *)rows.ptr);
        pthread_mutex_unlock(&c->store->batch_mutex);
    }
    buf_done(&rows);
}

int store_delete_records_await(struct store *s, struct fiber *self, const struct store_id *ids,
                               unsigned count)
{
    struct remove_call call = {.store = s, .ids = ids, .count = count};
    if (count > STORE_PAGE_MAX)
        return ERR_LIMIT;
    if (count == 0)
        return 0;
    int rc = store__call_await(s, self, remove_job, &call);
    return rc ? rc : call.err;
}
