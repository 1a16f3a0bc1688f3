// SPDX-License-Identifier: Apache-2.0
//
// rocks.h: the few things of RocksDB that the store uses. rocks.c is the only file that includes
// RocksDB's C interface; nothing here names one of its types.
//
// A batch is written together or not at all. Values are small: what is large and never changes lies
// in files of its own (segment.h).
//
// Errors: ERR_LIMIT: the disk is full; ERR_NOMEM; ERR_SYSTEM: anything else. rocks_reason has the
// engine's own words. After a failed write the engine takes no other one: close it and open it.
//
// Threads: everything is for any thread at once but a batch and an iterator, which are one
// thread's. All of it blocks.
#ifndef RINGGATE_STORE_ROCKS_H
#define RINGGATE_STORE_ROCKS_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

// A damaged database refuses with this much of its reason.
#define ROCKS_REASON_BYTES 384

struct rocks;
struct rocks_batch;
struct rocks_iter;

struct rocks_options {
    const char *dir;
    bool memory;     // no file is touched; gone when it is closed
    bool logs;       // its write-ahead log may end torn
    bool must_exist; // a missing database is an error
    bool still;      // nothing is compacted
    bool look;       // only reads: no file is made or changed, and another process may write. What
                     // it has written later is not seen, and opening may fail while files change
};

// Opens or makes. ERR_SYSTEM with the engine's words in `reason`.
int rocks_open(const struct rocks_options *options, struct rocks **ret,
               char reason[ROCKS_REASON_BYTES]);
void rocks_close(struct rocks *db); // no iterator is open. NULL is fine.
// What can be read of a damaged database becomes one again; nothing else has it open.
int rocks_repair(const char *dir, char reason[ROCKS_REASON_BYTES]);

// What the engine said last, on the calling thread's last failed call of this database; a copy.
void rocks_reason(const struct rocks *db, char reason[ROCKS_REASON_BYTES]);

// The value is added to *ret (which may then be larger than before). ERR_NOT_FOUND, or ret->err.
int rocks_get(struct rocks *db, struct slice key, struct buf *ret);

struct rocks_batch *rocks_batch_new(void);
void rocks_batch_free(struct rocks_batch *b); // NULL is fine
void rocks_batch_reset(struct rocks_batch *b);
void rocks_batch_put(struct rocks_batch *b, struct slice key, struct slice value);
void rocks_batch_delete(struct rocks_batch *b, struct slice key);
// From `from` up to but without `to`.
void rocks_batch_delete_range(struct rocks_batch *b, struct slice from, struct slice to);
unsigned rocks_batch_count(const struct rocks_batch *b);
// All or nothing; with `sync` it survives the machine when it returns.
int rocks_write(struct rocks *db, struct rocks_batch *b, bool sync);
// What has been written so far survives the machine when it returns.
int rocks_sync(struct rocks *db);
// Memory goes to files: nothing is left in the write-ahead log.
int rocks_flush(struct rocks *db);

// A consistent view of keys in [from, to), both borrowed until it is freed. NULL: no memory.
// Stands nowhere until it was sent to one end or to a key.
struct rocks_iter *rocks_iter_new(struct rocks *db, struct slice from, struct slice to);
void rocks_iter_free(struct rocks_iter *it); // NULL is fine
void rocks_iter_first(struct rocks_iter *it);
void rocks_iter_last(struct rocks_iter *it);
void rocks_iter_seek(struct rocks_iter *it, struct slice key);      // the first at or behind it
void rocks_iter_seek_prev(struct rocks_iter *it, struct slice key); // the last at or before it
void rocks_iter_next(struct rocks_iter *it);
void rocks_iter_prev(struct rocks_iter *it);
bool rocks_iter_valid(const struct rocks_iter *it);
struct slice rocks_iter_key(const struct rocks_iter *it); // until it moves
struct slice rocks_iter_value(const struct rocks_iter *it);
// Why it is not valid: 0 at the end of the range.
int rocks_iter_error(const struct rocks_iter *it);

// Gives the disk space of a deleted range back: whole files are dropped, the rest is rewritten.
int rocks_reclaim(struct rocks *db, struct slice from, struct slice to);
// A copy in `dir`, which must not exist; files are linked where they can be.
int rocks_checkpoint(struct rocks *db, const char *dir);
// Of all files that are in use and of what is in memory.
uint64_t rocks_bytes(struct rocks *db);

#endif
