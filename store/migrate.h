// SPDX-License-Identifier: Apache-2.0
//
// migrate.h: from the format a database has to the one this program reads.
//
// The format is a number in the database (KEYS_STATE 00 00). A migration leads from one to the
// next; it is a step that is repeated, each handling a bounded run of keys. What a step writes, and
// how far it came, is one synced batch: a migration that was interrupted, by `kill -9` too, goes on
// where it was.
#ifndef RINGGATE_STORE_MIGRATE_H
#define RINGGATE_STORE_MIGRATE_H

#include "store/rocks.h"
#include "store/store.h"

struct migration {
    uint32_t from; // the format it reads; it leaves the next one
    // Adds to `batch` what becomes of the next run of keys behind `cursor` (empty: the first ones)
    // and to `next` the cursor behind them; nothing: these were the last. 0 or an error.
    int (*step)(struct rocks *db, struct slice cursor, struct rocks_batch *batch, struct buf *next);
};

// Longer than any key.
#define MIGRATE_CURSOR_BYTES_MAX 512

// Brings `db` to `format` by the rows of `table`. An empty database gets the format as it is. 0;
// ERR_UNSUPPORTED: a newer format, or one that no row leads from; ERR_SYSTEM; a step's error. With
// a sentence. `name` is the database's, for it.
int migrate_run(struct rocks *db, const char *name, uint32_t format, const struct migration *table,
                unsigned count, char reason[STORE_REASON_BYTES]);

#endif
