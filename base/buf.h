// SPDX-License-Identifier: Apache-2.0
//
// buf.h: a growable run of bytes with a ceiling it was born with.
//
// For what is not on the data path or not bounded by an exchange: configuration text, a metrics
// page, a log line. Growth doubles and is malloc's. A failed append (ceiling, memory) sets the
// sticky `err` and changes nothing more, so a writer may append freely and check once at the end.
#ifndef RINGGATE_BASE_BUF_H
#define RINGGATE_BASE_BUF_H

#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;
    int err; // 0, ERR_LIMIT or ERR_NOMEM
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_reset(struct buf *b); // len 0, err 0, memory kept
// Where `size` bytes may be written behind those that are there: who has written them adds to len.
// NULL: see err. Until the next call.
char *buf_room(struct buf *b, size_t size);
void buf_add(struct buf *b, struct slice s);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A JSON string literal, quotes included, everything escaped that must be; bytes that are not
// UTF-8 become U+FFFD.
void buf_add_json(struct buf *b, struct slice s);

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->ptr, b->len);
}

#endif
