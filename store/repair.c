// SPDX-License-Identifier: Apache-2.0
//
// repair.c: `ringgate repair`: databases again out of what can be read of damaged ones.
//
// The engine rebuilds its manifest from the files that are there and moves what it cannot use into
// <database>/lost. Two things it cannot do: read the write-ahead log where there are families, and
// find blob files again. So a database that opens, as one does whose process was only killed, is
// opened first: that puts the log into files. (What the log and a file both have, because a backup
// had written it there, the repair would find twice and refuse.) Content that lay in them is
// looked for row by row and deleted where it cannot be read, before a compaction meets it.
#include "base/err.h"
#include "store/keys.h"
#include "store/store_internal.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH_KEYS 1000

// Deletes the content of the row at hand if it cannot be read. ERR_LIMIT and ERR_NOMEM.
static int look(struct rocks *db, struct slice row, struct rocks_batch *batch, struct buf *value)
{
    if (row.len != KEYS_RECORD_BYTES)
        return 0;
    struct keys_key key = keys_id(KEYS_CONTENT, keys_to_id(row));
    buf_reset(value);
    if (rocks_get(db, ROCKS_CONTENT, keys_slice(&key), value) == ERR_SYSTEM)
        rocks_batch_delete(db, batch, ROCKS_CONTENT, keys_slice(&key));
    if (rocks_batch_count(batch) < BATCH_KEYS)
        return 0;
    int err = rocks_write(db, batch, true);
    rocks_batch_reset(batch);
    return err;
}

static int drop_unreadable(struct rocks *db)
{
    struct buf value;
    struct keys_key from = keys_begin(KEYS_RECORD), to = keys_end(KEYS_RECORD);
    struct rocks_batch *batch = rocks_batch_new();
    struct rocks_iter *it = rocks_iter_new(db, ROCKS_ROWS, keys_slice(&from), keys_slice(&to));
    int err = it && batch ? 0 : ERR_NOMEM;

    buf_init(&value, 2 * (size_t)STORE_CONTENT_BYTES_MAX);
    if (!err)
        rocks_iter_first(it);
    for (; !err && rocks_iter_valid(it); rocks_iter_next(it))
        err = look(db, rocks_iter_key(it), batch, &value);
    if (!err)
        err = rocks_iter_error(it);
    if (!err)
        err = rocks_write(db, batch, true);
    buf_done(&value);
    rocks_iter_free(it);
    rocks_batch_free(batch);
    return err;
}

static int repair_content(const char *path, char words[ROCKS_REASON_BYTES])
{
    const struct rocks_options options = {.dir = path, .logs = true, .still = true};
    struct rocks *db = NULL;
    int err = rocks_open(&options, &db, words);
    if (err)
        return err;
    err = drop_unreadable(db);
    if (err)
        rocks_reason(db, words);
    rocks_close(db);
    return err;
}

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
            err = repair_content(path, words);
        if (err)
            store__explain(ret_reason, "%s: %s", path, words);
    }
    close(lock);
    return err;
}
