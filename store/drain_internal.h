// SPDX-License-Identifier: Apache-2.0
//
// drain_internal.h: what the holder of batch_mutex works with, between drain.c, gather.c, append.c
// and remove.c.
//
// A batch is gathered record by record (gather.c): rows and contents come into bundles, which are
// appended to their segments at its end (append.c); digest rows, new words and moved counters are
// kept here and added to the engine's batch once, then too.
//
// `open` holds the rows of the digest that is not full yet: exactly those that KEYS_PIECE has in
// the database, and those of the batch being gathered.
#ifndef RINGGATE_STORE_DRAIN_INTERNAL_H
#define RINGGATE_STORE_DRAIN_INTERNAL_H

#include "store/bundle.h"
#include "store/digest.h"
#include "store/record.h"
#include "store/store_internal.h"

// Of one batch. Larger ones are no cheaper a record, and memory holds them twice.
#define BATCH_RECORDS_MAX 4096
#define BATCH_BYTES_MAX   ((uint64_t)4 * 1024 * 1024)
// Words of one batch, and of those that failed before it.
#define FRESH_WORDS_BYTES_MAX ((size_t)8 * 1024 * 1024)
// Counters whose values are kept in memory; a power of two, at most half used.
#define COUNTERS_KEPT 32768

// So many segments at least are what is kept in all, when that is bounded: the oldest goes whole.
#define SEGMENTS_OF_ALL 16

// A bundle of the batch, in `out`.
struct named_bundle {
    struct store_id name;
    uint64_t last_us;
    uint32_t offset, len;
};
// What a batch appends to one kind of segments.
struct outlet {
    struct bundle bundle; // being filled
    struct buf out;       // those that are full, as they are stored
    struct named_bundle *named;
    unsigned names, entries; // in `out`
    uint64_t first_us, last_us;
};

struct drained {
    struct spool *spool;
    uint64_t written; // up to here it is in the database
    uint64_t wanted;  // where the ring ended when store__drain_all began
};

struct counter_value {
    uint64_t window;
    int64_t value;
    uint32_t word; // 0: free
    bool moved;    // by this batch
};

struct drain {
    struct store *store;
    struct drained ring[SPOOL_RINGS_MAX];
    unsigned rings;
    struct spool *from; // the record at hand
    unsigned turn;      // whose ring is the first of the next batch
    // A write has failed: what the database and its segments have of it is not known until the
    // engine was opened anew and all this was read again. Until then nothing is appended.
    bool stale;
    struct rocks_batch *batch;
    unsigned records; // in it
    unsigned frames;  // these, and requests of records to come
    uint64_t bytes;
    unsigned content_dropped, rows_dropped;
    // Digests.
    struct digest_row open[STORE_DIGEST_ROWS];
    unsigned open_rows;
    unsigned open_old; // of these, in pieces of the database
    uint64_t open_min, open_max;
    struct store_id piece[STORE_DIGEST_ROWS];
    unsigned pieces;
    struct buf value;
    struct outlet outlet[SEGMENT_KINDS];
    struct packer *packer;
    bool haste; // the ring fills faster than this goes: nothing is packed
    // Words that memory has and the database does not: (dictionary, number), eight bytes each. A
    // batch that fails leaves them here, and the next one writes them.
    struct buf fresh_words;
    // Counters.
    struct counter_value *counters;
    unsigned counters_used;
    uint32_t *moved; // places of those that this batch moved
    unsigned moved_count;
};

// ---- append.c --------------------------------------------------------------------------------

int store__outlet_init(struct outlet *o); // ERR_NOMEM; done in any case
void store__outlet_done(struct outlet *o);
void store__outlet_begin(struct outlet *o); // a batch
void store__outlet_rest(struct outlet *o);  // memory goes back
// 0, or ERR_NOMEM: the batch is to be given up.
int store__outlet_add(struct drain *d, enum segment_kind kind, struct store_id id,
                      const struct slice *parts, unsigned count);
// A whole bundle, under that name.
int store__outlet_bundle(struct drain *d, enum segment_kind kind, const struct bundle *b,
                         struct store_id name);
// Appends those bundles and adds their names to the engine's batch. 0, or why neither was done.
int store__outlet_append(struct drain *d, enum segment_kind kind);
// The same for both kinds and the bundle that is being filled. 0 or ERR_NOMEM; what the disk does
// not take is given up.
int store__outlet_end(struct drain *d);

// ---- gather.c --------------------------------------------------------------------------------

// Adds a record. ERR_MORE: it is for the next batch. ERR_NOMEM or an error of the database: the
// batch is to be given up.
int store__gather(struct drain *d, const struct record_view *view);
// Adds what is added once a batch: the pieces, the counters.
int store__gather_end(struct drain *d);
// The pieces become one digest, in the batch.
int store__close_open(struct drain *d);
// Writes the rows of `open` that no piece has as one.
int store__write_piece(struct drain *d);
// Forgets all counters: they are read from the database again.
void store__forget_counters(struct drain *d);
void store__open_add(struct drain *d, const struct digest_row *row);

#endif
