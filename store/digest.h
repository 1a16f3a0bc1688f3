// SPDX-License-Identifier: Apache-2.0
//
// digest.h: what searches look at: rows of fixed size, packed by column.
//
// A row is a number in each column. A digest holds up to STORE_DIGEST_ROWS rows; each column is
// kept as its least value and what is added to it, in as many bytes as the largest of them needs:
// a column that is the same in all rows takes nothing, and a search reads only the columns that it
// asks for. Rows stand in no order.
//
// The value of KEYS_DIGEST and KEYS_PIECE; numbers are little-endian, as they are used:
//
//   offset 0   1   01
//          1   1   columns; those of a later program are passed over, those missing are 0
//          2   2   rows, 1 to STORE_DIGEST_ROWS
//          4   8   the greatest time (the least is its column's)
//         12   …   for each column: bytes of an entry (0, 1, 2, 4 or 8) 1, least value 8
//          …   …   for each column: an entry a row
//          …   4   CRC-32C of all before it
//
// Pure.
#ifndef RINGGATE_STORE_DIGEST_H
#define RINGGATE_STORE_DIGEST_H

#include "base/buf.h"
#include "base/slice.h"
#include "store/store.h"

// The order is the format's: a new one comes last.
enum digest_column {
    DIGEST_TIME, // microseconds since 1970
    DIGEST_RING,
    DIGEST_NUMBER,
    DIGEST_WORD, // and the next ones: enum store_word's, 0: absent
    DIGEST_STATUS = DIGEST_WORD + STORE_WORD_COUNTER,
    DIGEST_FLAGS,   // enum record_flag
    DIGEST_LATENCY, // milliseconds
    DIGEST_INPUT,   // tokens
    DIGEST_OUTPUT,
    DIGEST_CACHED_READ,
    DIGEST_CACHED_WRITE,
    DIGEST_COST, // 10⁻¹² dollars, an int64_t
    DIGEST_COLUMNS
};

#define DIGEST_COLUMNS_MAX 64 // of any version

struct digest_row {
    uint64_t column[DIGEST_COLUMNS];
};

// The largest value of this version.
#define DIGEST_BYTES_MAX (12 + 9 * DIGEST_COLUMNS + 8 * DIGEST_COLUMNS * STORE_DIGEST_ROWS + 4)

static inline struct store_id digest_id(const struct digest_row *row)
{
    return (struct store_id){.time_us = row->column[DIGEST_TIME],
                             .ring = (uint16_t)row->column[DIGEST_RING],
                             .number = (uint32_t)row->column[DIGEST_NUMBER]};
}

// The id of the row with the least time, which names the digest.
struct store_id digest_name(const struct digest_row *rows, unsigned count);
// Adds the value to `out`, whose ceiling may refuse it (out->err).
void digest_write(const struct digest_row *rows, unsigned count, struct buf *out);

struct digest_view {
    unsigned rows;
    uint64_t time_min, time_max;
    uint64_t least[DIGEST_COLUMNS];
    const char *entries[DIGEST_COLUMNS];
    unsigned char width[DIGEST_COLUMNS];
};
// Borrows the value. ERR_UNSUPPORTED (a version of the future), ERR_BAD_LENGTH (damaged).
int digest_read(struct slice value, struct digest_view *ret);
// One column, row by row.
void digest_get_column(const struct digest_view *view, enum digest_column column,
                       uint64_t ret[STORE_DIGEST_ROWS]);
void digest_get_row(const struct digest_view *view, unsigned row, struct digest_row *ret);

#endif
