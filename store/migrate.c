// SPDX-License-Identifier: Apache-2.0
//
// migrate.c: reads the format, runs the steps.
#include "store/migrate.h"

#include "base/err.h"
#include "store/keys.h"
#include <stdio.h>

static bool is_empty(struct rocks *db)
{
    const char from = 0, to[] = "\xff\xff";
    struct rocks_iter *it = rocks_iter_new(db, slice_of(&from, 1), slice_of(to, sizeof(to) - 1));
    if (!it)
        return false;
    rocks_iter_first(it);
    bool empty = !rocks_iter_valid(it) && rocks_iter_error(it) == 0;
    rocks_iter_free(it);
    return empty;
}

static void put_format(struct rocks_batch *batch, uint32_t format)
{
    unsigned char value[4];
    struct keys_key key = keys_state(KEYS_STATE_FORMAT);
    keys_put_u32(value, format);
    rocks_batch_put(batch, keys_slice(&key), slice_of(value, sizeof(value)));
}

// 0 and the format; ERR_NOT_FOUND: there is none.
static int get_format(struct rocks *db, uint32_t *ret)
{
    struct buf value;
    struct keys_key key = keys_state(KEYS_STATE_FORMAT);
    buf_init(&value, 16);
    int err = rocks_get(db, keys_slice(&key), &value);
    if (!err && value.len != 4)
        err = ERR_SYSTEM;
    if (!err)
        *ret = keys_u32(value.ptr);
    buf_done(&value);
    return err;
}

// One batch: what the step does, and the cursor, or the new format behind the last one.
static int run_step(struct rocks *db, const struct migration *m, struct rocks_batch *batch,
                    struct buf *cursor, struct buf *next)
{
    struct keys_key key = keys_state(KEYS_STATE_MIGRATION);

    rocks_batch_reset(batch);
    buf_reset(next);
    int err = m->step(db, buf_slice(cursor), batch, next);
    if (err || next->err)
        return err ? err : next->err;
    if (next->len > 0) {
        rocks_batch_put(batch, keys_slice(&key), buf_slice(next));
    } else {
        rocks_batch_delete(batch, keys_slice(&key));
        put_format(batch, m->from + 1);
    }
    err = rocks_write(db, batch, true);
    buf_reset(cursor);
    buf_add(cursor, buf_slice(next));
    return err ? err : cursor->err;
}

static int run(struct rocks *db, const struct migration *m, struct rocks_batch *batch)
{
    struct buf cursor, next;
    struct keys_key key = keys_state(KEYS_STATE_MIGRATION);

    buf_init(&cursor, MIGRATE_CURSOR_BYTES_MAX);
    buf_init(&next, MIGRATE_CURSOR_BYTES_MAX);
    int err = rocks_get(db, keys_slice(&key), &cursor);
    if (err == ERR_NOT_FOUND)
        err = 0;
    while (!err) {
        err = run_step(db, m, batch, &cursor, &next);
        if (!err && next.len == 0)
            break;
    }
    buf_done(&cursor);
    buf_done(&next);
    return err;
}

static const struct migration *row_from(const struct migration *table, unsigned count,
                                        uint32_t from)
{
    for (unsigned i = 0; i < count; i++)
        if (table[i].from == from)
            return &table[i];
    return NULL;
}

static int refuse(int err, const char *name, uint32_t found, uint32_t format,
                  char reason[STORE_REASON_BYTES])
{
    if (err == ERR_UNSUPPORTED)
        snprintf(reason, STORE_REASON_BYTES,
                 "the %s database has format %u, this program reads %u: use the program that "
                 "wrote it, or a newer one",
                 name, found, format);
    else
        snprintf(reason, STORE_REASON_BYTES, "the %s database cannot be brought to format %u: %s",
                 name, format, err_text(err));
    return err;
}

int migrate_run(struct rocks *db, const char *name, uint32_t format, const struct migration *table,
                unsigned count, char reason[STORE_REASON_BYTES])
{
    uint32_t found = 0;

    struct rocks_batch *batch = rocks_batch_new();
    if (!batch)
        return refuse(ERR_NOMEM, name, found, format, reason);
    int err = get_format(db, &found);
    if (err == ERR_NOT_FOUND && is_empty(db)) {
        put_format(batch, format);
        found = format;
        err = rocks_write(db, batch, true);
    } else if (err == ERR_NOT_FOUND) {
        err = ERR_SYSTEM; // something else's database, or a damaged one
    }
    while (!err && found != format) {
        const struct migration *m = found < format ? row_from(table, count, found) : NULL;
        err = m ? run(db, m, batch) : ERR_UNSUPPORTED;
        found += !err;
    }
    rocks_batch_free(batch);
    return err ? refuse(err, name, found, format, reason) : 0;
}
