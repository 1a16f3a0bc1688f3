// SPDX-License-Identifier: Apache-2.0
//
// query.h: which rows of the digests a query means.
//
// A scan goes over the digests of a span of time, and of each only over the columns that the query
// filters by: a list of rows that match so far shrinks from filter to filter. What is asked about
// the rows that are left is the caller's (search.c, sum.c).
//
// One iterator covers digests and pieces, so that pieces that become a digest meanwhile are seen
// once. On a worker, with db_lock held for reading.
#ifndef RINGGATE_STORE_QUERY_H
#define RINGGATE_STORE_QUERY_H

#include "store/digest.h"
#include "store/store_internal.h"

struct query_scan {
    struct store *store;
    const struct store_query *query;
    uint64_t from_us, to_us;               // both included
    struct buf number[STORE_WORD_COUNTER]; // uint32_t: of the words that are asked for
    bool nothing;                          // a word is asked for that no record has
    // The digest at hand.
    struct digest_view view;
    uint64_t column[DIGEST_COLUMNS][STORE_DIGEST_ROWS];
    bool loaded[DIGEST_COLUMNS];
    uint16_t match[STORE_DIGEST_ROWS];
    unsigned matches;
};

// Called for each digest with a match. Not 0: the scan ends with it.
typedef int (*query_scan_fn)(struct query_scan *scan, void *arg);

// Borrows the query. ERR_NOMEM.
int query_scan_make(struct store *s, const struct store_query *query, struct query_scan **ret);
void query_scan_free(struct query_scan *scan); // NULL is fine
// From the newest digest to the oldest, or the other way round.
int query_scan_run(struct query_scan *scan, bool oldest_first, query_scan_fn fn, void *arg);
// A column of the digest at hand.
const uint64_t *query_scan_column(struct query_scan *scan, enum digest_column column);

#endif
