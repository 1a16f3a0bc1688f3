// SPDX-License-Identifier: Apache-2.0
//
// bundle.h: rows, or contents, of records of one ring that are written together, packed.
//
// Rows are much like each other, so many of them in one block of LZ4 take a fraction of what each
// would alone; and what stands once in an index, a key, a check sum is paid for once a bundle.
//
//   offset 0   4   "rgb1"
//          4   4   bytes behind this head
//          8   4   bytes of the entries; more than those behind the head: they are packed
//         12   4   CRC-32C of what stands behind the head
//         16   …   entries, as they are or as one block of LZ4
//
//   entry  0   4   bytes behind this head
//          4   4   number of its record
//          8   8   its time, microseconds since 1970
//         16   …   a row (record_row_parts) or a content (record_content_parts)
//
// All numbers big-endian. An entry is found by its record's id: the bundle's name is the id with
// the earliest time in it, and no entry is more than BUNDLE_SPAN_US later (find.h).
//
// Pure; a bundle and a packer are one thread's.
#ifndef RINGGATE_STORE_BUNDLE_H
#define RINGGATE_STORE_BUNDLE_H

#include "base/buf.h"
#include "store/store.h"
#include <stdbool.h>
#include <stdint.h>

#define BUNDLE_HEAD_BYTES  16
#define BUNDLE_ENTRY_BYTES 16
// Of the entries; a longer one has a bundle of its own. LZ4 is at its fastest up to here.
#define BUNDLE_BYTES ((size_t)64 * 1024)
// An entry alone: a content, or a row with its words and moves.
#define BUNDLE_BYTES_MAX ((size_t)STORE_CONTENT_BYTES_MAX + 64 * 1024)
#define BUNDLE_SPAN_US   (UINT64_C(1000) * 1000)

struct bundle {
    struct buf entries;
    struct store_id name; // of the earliest entry
    uint64_t last_us;     // of the latest
    unsigned count;
};

// What LZ4 remembers between bundles, so that it need not be cleared for each.
struct packer;
struct packer *packer_new(void);    // NULL without memory
void packer_free(struct packer *p); // NULL is fine

void bundle_init(struct bundle *b);
void bundle_done(struct bundle *b);
void bundle_reset(struct bundle *b);
// May an entry of `len` bytes come into this bundle, or does it need another one?
bool bundle_takes(const struct bundle *b, struct store_id id, size_t len);
// The entry is the parts, one behind the other. 0, ERR_NOMEM or ERR_LIMIT.
int bundle_add(struct bundle *b, struct store_id id, const struct slice *parts, unsigned count);
// Adds the bundle as it is stored to `out`; packed when that is shorter and `packer` is not NULL.
// 0 or out->err.
int bundle_write(const struct bundle *b, struct packer *packer, struct buf *out);

// The entries of a stored bundle, into *ret (what was there goes). ERR_BAD_LENGTH: it is damaged;
// ERR_NOMEM. `stored` is not trusted.
int bundle_read(struct slice stored, struct buf *ret);

struct bundle_entry {
    uint64_t time_us;
    uint32_t number;
    struct slice bytes;
};
// False: there is none behind *rest, or what stands there is no entry.
bool bundle_next(struct slice *rest, struct bundle_entry *ret);

#endif
