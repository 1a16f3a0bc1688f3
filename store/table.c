// SPDX-License-Identifier: Apache-2.0
//
// table.c: the rows of `config`: what people have decided.
//
// A value is sealed when the store has a key (seal.h), bound to its own key in the database: a
// sealed row moved to another id does not open. What a worker read is copied into the fiber's arena
// by the fiber: an arena belongs to its core.
#include "base/assert.h"
#include "base/err.h"
#include "store/keys.h"
#include "store/store_internal.h"
#include <limits.h>

#define PLAIN  1
#define SEALED 2
// One answer of store_list_await.
#define LIST_BYTES_MAX ((size_t)256 * 1024 * 1024)

// ---- Values ----------------------------------------------------------------------------------

// Adds the value as it is to be kept.
static int wrap(const struct store *s, struct slice key, struct slice value, struct buf *out)
{
    buf_add_char(out, s->sealed ? SEALED : PLAIN);
    if (s->sealed)
        return out->err ? out->err : seal_value(&s->seal, key, value, out);
    buf_add(out, value);
    return out->err;
}

// Adds the value as it was given.
static int unwrap(struct store *s, struct slice key, struct slice stored, struct buf *out)
{
    int err = ERR_SYSTEM;
    if (stored.len > 0 && stored.ptr[0] == PLAIN) {
        buf_add(out, slice_skip(stored, 1));
        return out->err;
    }
    if (stored.len > 0 && stored.ptr[0] == SEALED && s->sealed)
        err = seal_open(&s->seal, key, slice_skip(stored, 1), out);
    if (err == ERR_CREDENTIAL || err == ERR_SYSTEM) {
        atomic_fetch_add(&s->numbers.errors, 1);
        store__notice(s, LOG_ERROR, "a row of the configuration cannot be read");
        return ERR_SYSTEM;
    }
    return err;
}

static bool key_fits(enum store_kind kind, struct slice id)
{
    return kind > 0 && kind < STORE_KIND_END && id.len > 0 && id.len <= KEYS_ID_BYTES_MAX;
}

// ---- Changes ---------------------------------------------------------------------------------

struct change_call {
    struct store *store;
    const struct store_change *changes;
    unsigned count;
    int err;
};

static int add_change(struct store *s, const struct store_change *c, struct rocks_batch *batch,
                      struct buf *value)
{
    struct keys_key key = keys_row(c->kind, c->id);
    if (!c->value.ptr) {
        rocks_batch_delete(batch, keys_slice(&key));
        return 0;
    }
    buf_reset(value);
    int err = wrap(s, keys_slice(&key), c->value, value);
    if (!err)
        rocks_batch_put(batch, keys_slice(&key), buf_slice(value));
    return err;
}

static void change_job(void *arg)
{
    struct change_call *c = arg;
    struct store *s = c->store;
    struct buf value;
    struct rocks_batch *batch = rocks_batch_new();

    buf_init(&value, STORE_VALUE_BYTES_MAX + SEAL_EXTRA_BYTES + 1);
    c->err = batch ? 0 : ERR_NOMEM;
    for (unsigned i = 0; !c->err && i < c->count; i++)
        c->err = add_change(s, &c->changes[i], batch, &value);
    if (!c->err) {
        c->err = rocks_write(s->config, batch, true);
        if (c->err)
            store__failed(s, s->config, "a change of the configuration could not be kept", c->err);
    }
    buf_done(&value);
    rocks_batch_free(batch);
}

int store_change_await(struct store *s, struct fiber *self, const struct store_change *changes,
                       unsigned count)
{
    struct change_call call = {.store = s, .changes = changes, .count = count};
    if (count > STORE_CHANGES_MAX)
        return ERR_LIMIT;
    for (unsigned i = 0; i < count; i++)
        if (!key_fits(changes[i].kind, changes[i].id) ||
            changes[i].value.len > STORE_VALUE_BYTES_MAX)
            return ERR_LIMIT;
    int rc = store__call_await(s, self, change_job, &call);
    return rc ? rc : call.err;
}

// ---- One row ---------------------------------------------------------------------------------

struct get_call {
    struct store *store;
    struct keys_key key;
    struct buf value;
    int err;
};

static void get_job(void *arg)
{
    struct get_call *c = arg;
    struct buf stored;

    buf_init(&stored, STORE_VALUE_BYTES_MAX + SEAL_EXTRA_BYTES + 1);
    c->err = rocks_get(c->store->config, keys_slice(&c->key), &stored);
    if (!c->err)
        c->err = unwrap(c->store, keys_slice(&c->key), buf_slice(&stored), &c->value);
    else if (c->err == ERR_SYSTEM)
        store__failed(c->store, c->store->config, "a row of the configuration", c->err);
    buf_done(&stored);
}

int store_get_await(struct store *s, struct fiber *self, enum store_kind kind, struct slice id,
                    struct arena *arena, struct slice *ret_value)
{
    struct get_call call = {.store = s};
    if (!key_fits(kind, id))
        return ERR_NOT_FOUND;
    call.key = keys_row(kind, id);
    buf_init(&call.value, STORE_VALUE_BYTES_MAX + 1);
    int rc = store__call_await(s, self, get_job, &call);
    rc = rc ? rc : call.err;
    if (!rc) {
        struct slice copy = arena_copy(arena, buf_slice(&call.value));
        if (copy.ptr)
            *ret_value = copy;
        else
            rc = ERR_NOMEM;
    }
    buf_done(&call.value);
    return rc;
}

// ---- Rows of a kind --------------------------------------------------------------------------

// What the worker found: for each row two lengths of 4 bytes, id and value.
struct list_call {
    struct store *store;
    enum store_kind kind;
    struct slice after;
    unsigned max;
    unsigned count;
    struct buf rows;
    int err;
};

static int add_row(struct list_call *c, struct slice key, struct slice stored, struct buf *value)
{
    struct slice id = slice_skip(key, 2);
    uint32_t lengths[2] = {(uint32_t)id.len, 0};

    buf_reset(value);
    int err = unwrap(c->store, key, stored, value);
    if (err)
        return err;
    lengths[1] = (uint32_t)value->len;
    buf_add(&c->rows, slice_of(lengths, sizeof(lengths)));
    buf_add(&c->rows, id);
    buf_add(&c->rows, buf_slice(value));
    c->count++;
    return c->rows.err;
}

static void list_job(void *arg)
{
    struct list_call *c = arg;
    struct buf value;
    struct keys_key from = keys_row(c->kind, c->after);
    struct keys_key to = keys_row(c->kind + 1, SLICE_EMPTY);
    struct rocks_iter *it = rocks_iter_new(c->store->config, keys_slice(&from), keys_slice(&to));

    if (!it) {
        c->err = ERR_NOMEM;
        return;
    }
    buf_init(&value, STORE_VALUE_BYTES_MAX + 1);
    rocks_iter_first(it);
    if (c->after.len > 0 && rocks_iter_valid(it) && slice_eq(rocks_iter_key(it), keys_slice(&from)))
        rocks_iter_next(it);
    for (; !c->err && c->count < c->max && rocks_iter_valid(it); rocks_iter_next(it))
        c->err = add_row(c, rocks_iter_key(it), rocks_iter_value(it), &value);
    if (!c->err && !rocks_iter_valid(it))
        c->err = rocks_iter_error(it);
    buf_done(&value);
    rocks_iter_free(it);
}

static struct slice take(struct slice *rest, size_t len)
{
    struct slice part = slice_take(*rest, len);
    *rest = slice_skip(*rest, len);
    return part;
}

static int copy_rows(const struct list_call *c, struct arena *arena, struct store_row **ret)
{
    struct slice rest = arena_copy(arena, buf_slice(&c->rows));
    struct store_row *rows = arena_alloc(arena, c->count * sizeof(*rows));
    if (!rest.ptr || !rows)
        return ERR_NOMEM;
    for (unsigned i = 0; i < c->count; i++) {
        uint32_t lengths[2];
        memcpy(lengths, take(&rest, sizeof(lengths)).ptr, sizeof(lengths));
        rows[i].id = take(&rest, lengths[0]);
        rows[i].value = take(&rest, lengths[1]);
    }
    *ret = rows;
    return 0;
}

int store_list_await(struct store *s, struct fiber *self, enum store_kind kind, struct slice after,
                     unsigned max, struct arena *arena, struct store_row **ret, unsigned *ret_count)
{
    struct list_call call = {.store = s, .kind = kind, .after = after, .max = max};
    if (kind <= 0 || kind >= STORE_KIND_END || after.len > KEYS_ID_BYTES_MAX)
        return ERR_LIMIT;
    buf_init(&call.rows, LIST_BYTES_MAX);
    int rc = store__call_await(s, self, list_job, &call);
    rc = rc ? rc : call.err;
    if (!rc)
        rc = copy_rows(&call, arena, ret);
    if (!rc)
        *ret_count = call.count;
    buf_done(&call.rows);
    return rc;
}

int store_load_rows(struct store *s, enum store_kind kind, struct arena *arena,
                    struct store_row **ret, unsigned *ret_count)
{
    struct list_call call = {.store = s, .kind = kind, .max = UINT_MAX};
    ASSERT(kind > 0 && kind < STORE_KIND_END);
    buf_init(&call.rows, LIST_BYTES_MAX);
    pthread_rwlock_rdlock(&s->db_lock);
    if (s->config)
        list_job(&call);
    else
        call.err = ERR_SYSTEM;
    pthread_rwlock_unlock(&s->db_lock);
    int rc = call.err;
    if (!rc && call.count > 0)
        rc = copy_rows(&call, arena, ret);
    if (!rc)
        *ret_count = call.count;
    buf_done(&call.rows);
    return rc;
}
