// SPDX-License-Identifier: Apache-2.0
//
// find.h: from a record's id to its row, or its content; and what stands in the database for
// bundles and segments (keys.h), read and written.
//
// The name of a bundle is the id of its earliest record, and bundles span BUNDLE_SPAN_US at most:
// so the bundle is one of its ring's whose names lie in that span before the id, as a rule the last
// one. The bundle found last is kept, for records that are looked for one after the other lie
// together.
//
// A bundle may be written again elsewhere, and erased where it was (remove.c), between the moment a
// finder was made and its reading: then it is read where it is.
//
// On a worker, with db_lock held for reading.
#ifndef RINGGATE_STORE_FIND_H
#define RINGGATE_STORE_FIND_H

#include "store/bundle.h"
#include "store/keys.h"
#include "store/store_internal.h"

struct finder {
    struct store *store;
    enum segment_kind kind;
    struct rocks_iter *it;
    struct keys_key from, to; // of `it`
    struct keys_key key;      // of the bundle at hand; no length: there is none
    struct segment_place place;
    struct keys_key bad; // of one that is damaged, and was told
    struct buf stored, entries;
};

// What stands in the database for a bundle.
struct find_value {
    unsigned char bytes[20];
};
struct find_value find_value(struct segment_place place, uint64_t last_us);
// False: it is none.
bool find_read_value(struct slice value, struct segment_place *ret, uint64_t *ret_last_us);
static inline enum keys_table find_table(enum segment_kind kind)
{
    return kind == SEGMENT_ROWS ? KEYS_ROWS : KEYS_CONTENTS;
}

// What stands in the database for a segment.
void find_put_segment(struct rocks_batch *batch, const struct segment *segment);
// False: there stands none.
bool find_read_segment(struct slice key, struct slice value, struct segment *ret);

// Sees the database as it is now. ERR_NOMEM.
int finder_init(struct finder *f, struct store *s, enum segment_kind kind);
void finder_done(struct finder *f);
// The entry's bytes, until the next call. ERR_NOT_FOUND; ERR_BAD_LENGTH: a bundle it may be in is
// damaged, which is counted and told; ERR_SYSTEM, ERR_NOMEM.
int finder_get(struct finder *f, struct store_id id, struct slice *ret);

#endif
