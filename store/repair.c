// SPDX-License-Identifier: Apache-2.0
//
// repair.c: `ringgate repair`: databases again out of what can be read of damaged ones.
//
// The engine rebuilds its manifest from the files that are there and moves what it cannot use into
// <database>/lost. A database that opens, as one does whose process was only killed, is opened
// first: that puts its log into files. (What the log and a file both have, because a backup had
// written it there, the repair would find twice and refuse.)
//
// Segments are left as they are: what of them the database still names is found. What it says of a
// segment itself may be lost, or be of an earlier moment: then the next start would remove the file
// or write over its end. So each is counted again from the names of the bundles in it.
#include "base/err.h"
#include "store/find.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

// What lies in the write-ahead log goes to files, if it can be read. What cannot is the repair's.
static void settle(const char *path, bool logs)
{
    char words[ROCKS_REASON_BYTES];
    const struct rocks_options options = {
        .dir = path, .logs = logs, .must_exist = true, .still = true};
    struct rocks *db = NULL;
    if (rocks_open(&options, &db, words) == 0)
        (void)rocks_flush(db);
    rocks_close(db);
}

// ---- Segments --------------------------------------------------------------------------------

// Of segments, in no order; the last ones are those of the names that are looked at.
struct counted {
    struct buf segments; // struct segment
    struct rocks *db;
};
// As many as a store of 64 TB has.
#define COUNTED_BYTES_MAX ((size_t)64 * 1024 * 1024)

static struct segment *counted(struct counted *c, enum segment_kind kind, uint32_t number)
{
    struct segment *all = (struct segment *)(void *)c->segments.ptr;
    for (size_t i = c->segments.len / sizeof(*all); i > 0; i--)
        if (all[i - 1].kind == kind && all[i - 1].number == number)
            return &all[i - 1];
    return NULL;
}

static int count(struct counted *c, const struct segment *part)
{
    struct segment *s = counted(c, part->kind, part->number);
    if (!s) {
        buf_add(&c->segments, slice_of(part, sizeof(*part)));
        return c->segments.err;
    }
    s->bytes = part->bytes > s->bytes ? part->bytes : s->bytes;
    s->first_us = part->first_us < s->first_us ? part->first_us : s->first_us;
    s->last_us = part->last_us > s->last_us ? part->last_us : s->last_us;
    return 0;
}

// What a bundle's name says of its segment.
static bool read_name(enum keys_table table, struct slice key, struct slice value,
                      struct segment *ret)
{
    struct segment_place place;
    uint64_t last_us;
    if (key.len != KEYS_RECORD_BYTES || !find_read_value(value, &place, &last_us))
        return false;
    *ret = (struct segment){.kind = table == KEYS_ROWS ? SEGMENT_ROWS : SEGMENT_CONTENT,
                            .number = place.segment,
                            .bytes = (uint64_t)place.offset + place.len,
                            .first_us = keys_to_id(key).time_us,
                            .last_us = last_us};
    return true;
}

static int count_table(struct counted *c, enum keys_table table)
{
    struct keys_key from = keys_begin(table), to = keys_end(table);
    struct rocks_iter *it = rocks_iter_new(c->db, keys_slice(&from), keys_slice(&to));
    int err = it ? 0 : ERR_NOMEM;
    if (!err)
        rocks_iter_first(it);
    for (; !err && rocks_iter_valid(it); rocks_iter_next(it)) {
        struct segment part;
        struct slice key = rocks_iter_key(it), value = rocks_iter_value(it);
        if (table == KEYS_SEGMENT ? find_read_segment(key, value, &part)
                                  : read_name(table, key, value, &part))
            err = count(c, &part);
    }
    if (!err)
        err = rocks_iter_error(it);
    rocks_iter_free(it);
    return err;
}

static int put_counted(struct counted *c)
{
    const struct segment *all = (const struct segment *)(const void *)c->segments.ptr;
    struct rocks_batch *batch = rocks_batch_new();
    if (!batch)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->segments.len / sizeof(*all); i++)
        find_put_segment(batch, &all[i]);
    int err = rocks_write(c->db, batch, true);
    rocks_batch_free(batch);
    return err;
}

static int count_segments(const char *path, char words[ROCKS_REASON_BYTES])
{
    static const enum keys_table tables[] = {KEYS_SEGMENT, KEYS_ROWS, KEYS_CONTENTS};
    const struct rocks_options options = {
        .dir = path, .logs = true, .must_exist = true, .still = true};
    struct counted c = {.db = NULL};
    buf_init(&c.segments, COUNTED_BYTES_MAX);
    int err = rocks_open(&options, &c.db, words);
    for (unsigned i = 0; !err && i < 3; i++)
        err = count_table(&c, tables[i]);
    if (!err)
        err = put_counted(&c);
    if (err && c.db)
        rocks_reason(c.db, words);
    rocks_close(c.db);
    buf_done(&c.segments);
    return err;
}

// ---- The command -----------------------------------------------------------------------------

int store_repair(const char *dir, char ret_reason[STORE_REASON_BYTES])
{
    static const char *const names[] = {"config", "logs"};
    char path[STORE_PATH_BYTES + 16], words[ROCKS_REASON_BYTES] = "";
    struct stat status;
    int lock, err = 0;

    if (store__lock(dir, &lock) < 0) {
        store__explain(ret_reason, "%s is not there, or another process has it open", dir);
        return ERR_SYSTEM;
    }
    for (unsigned i = 0; !err && i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (stat(path, &status) < 0)
            continue;
        settle(path, i == 1);
        err = rocks_repair(path, words);
        if (!err && i == 1)
            err = count_segments(path, words);
        if (err)
            store__explain(ret_reason, "%s: %s", path, words);
    }
    close(lock);
    return err;
}
