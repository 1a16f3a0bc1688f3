// SPDX-License-Identifier: Apache-2.0
//
// row.h: the rest of a log row as bytes, and a row told as the API's LogEntry.
//
// The store keeps the facts of a record by themselves (words, time, status, tokens, cost: struct
// store_facts). A row is what a LogEntry says beyond them. A core writes it in the middle of its
// requests, so it is lengths and bytes: numbers become digits, times dates and texts literals when
// somebody asks.
//
//   record_close             the store             /api/logs
//   ┌────────┐  row_write  ┌───────────────┐  row_read  ┌──────────────┐  row_tell  ┌──────┐
//   │ struct │ ──────────► │ bytes, beside │ ─────────► │ struct, with │ ─────────► │ JSON │
//   │  row   │             │   the facts   │            │  the facts   │            │      │
//   └────────┘             └───────────────┘            └──────────────┘            └──────┘
//
// What has not ended is told by row_tell too, and never written (record_tell). Texts beyond their
// bound are cut by either.
//
// The bytes (the machine's own numbers; the first is the version):
//
//   offset 0   1   01
//          1   1   state (enum row_state), PROCESSING never
//          2   1   flags (enum row_flag)
//          3   1   headers
//          4   4   retries
//          8   4   fallback: which of the targets it was
//         12  16   lengths of the texts (enum row_text), 2 each
//         28   4   zero
//         32   8   all tokens, as the provider counts them
//         40   …   lengths of the headers: name 2, value 2; texts; headers: name, value
//
// The request `r1` that key `k` served at once, which cost nothing that anybody knows, asked with
// `x-bf-lh-a: b`:
//
//     01 00 00 01  00 00 00 00  00 00 00 00  02 00 01 00  00 00 00 00
//     00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
//     01 00 01 00  72 31  6b  61  62
//
// Pure but for the memory that is written to; any thread.
#ifndef RINGGATE_GATEWAY_ROW_H
#define RINGGATE_GATEWAY_ROW_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct buf;
struct store_facts;

#define ROW_VERSION    1
#define ROW_HEAD_BYTES 40
// Of the metadata of one row; later headers are left out: a client must not fill the disk by them.
#define ROW_HEADERS_MAX 32
// Of one name, value or message in a row; what is longer is cut.
#define ROW_TEXT_BYTES_MAX 1024

enum row_state { ROW_SUCCESS, ROW_ERROR, ROW_PROCESSING, ROW_STATE_COUNT };

enum row_flag {
    ROW_FROM_GATEWAY = 1, // the error is our own
    ROW_COST_KNOWN = 2,   // else the facts' cost is no price
    ROW_USAGE_TOLD = 4,   // the facts' tokens were told before it ended
    ROW_FLAGS = 7
};

// Empty: absent. Names as they were then: a configuration may change them.
enum row_text {
    ROW_REQUEST_ID,
    ROW_KEY_NAME,
    ROW_VIRTUAL_KEY_NAME,
    ROW_DIALECT,
    ROW_ERROR_TYPE,
    ROW_ERROR_CODE,
    ROW_ERROR_MESSAGE,
    ROW_ERROR_PARAM,
    ROW_TEXT_COUNT
};

// Of the request, for the metadata.
struct row_header {
    struct slice name, value;
};

struct row {
    enum row_state state;
    unsigned flags;
    unsigned retries;  // of this target
    unsigned fallback; // 0: the primary
    uint64_t total_tokens;
    struct slice text[ROW_TEXT_COUNT];
    unsigned headers;
    struct row_header header[ROW_HEADERS_MAX]; // so many of them are set
};

// A row that says nothing yet.
void row_init(struct row *row);
// Its bytes, in the arena. 0, or ERR_NOMEM.
int row_write(const struct row *row, struct arena *arena, struct slice *ret);
// The slices of *ret point into `bytes`, which are not believed: 0, ERR_UNSUPPORTED (a version, a
// state or a bit of the future) or ERR_BAD_LENGTH.
int row_read(struct slice bytes, struct row *ret);
// The members of the LogEntry but for `id` and the content, into the object that `out` is in the
// middle of. The facts of one that is PROCESSING have the time when it began.
void row_tell(const struct row *row, const struct store_facts *facts, struct buf *out);

#endif
