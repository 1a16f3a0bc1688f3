// SPDX-License-Identifier: Apache-2.0
//
// buf.c: growth, and the ways to append.
//
// Every append first reserves its room; a reservation that fails sets `err` and from then on all
// appends are refused, so what is in the buffer is always a prefix of what was meant.
#include "base/buf.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/escape.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_BYTES_MIN 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->err = 0;
}

char *buf_room(struct buf *b, size_t size)
{
    ASSERT(b->len <= b->cap);
    if (b->err)
        return NULL;
    if (b->len > b->max || size > b->max - b->len) {
        b->err = ERR_LIMIT;
        return NULL;
    }
    if (b->ptr && size <= b->cap - b->len)
        return b->ptr + b->len;
    size_t need = b->len + size;
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap < BUF_BYTES_MIN)
        cap = b->max < BUF_BYTES_MIN && b->max > 0 ? b->max : BUF_BYTES_MIN;
    char *ptr = realloc(b->ptr, cap);
    if (!ptr) {
        b->err = ERR_NOMEM;
        return NULL;
    }
    b->ptr = ptr;
    b->cap = cap;
    return ptr + b->len;
}

void buf_add(struct buf *b, struct slice s)
{
    if (s.len == 0)
        return;
    char *at = buf_room(b, s.len);
    if (!at)
        return;
    memcpy(at, s.ptr, s.len);
    b->len += s.len;
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, slice_of(&c, 1));
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t len = fmt_u64(digits, value);
    buf_add(b, slice_of(digits, len));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    // vsnprintf ends with a NUL, which counts against the room but not against the length.
    size_t max = b->max;
    b->max = max < SIZE_MAX ? max + 1 : max;
    bool fits = b->len <= max && (size_t)len <= max - b->len;
    char *at = NULL;
    if (fits)
        at = buf_room(b, (size_t)len + 1);
    else if (!b->err)
        b->err = ERR_LIMIT;
    b->max = max;
    if (!at)
        return;
    va_start(args, format);
    vsnprintf(at, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
}

void buf_add_json(struct buf *b, struct slice s)
{
    buf_add_char(b, '"');
    while (s.len > 0 && !b->err) {
        size_t plain = escape_plain(s);
        buf_add(b, slice_take(s, plain));
        s = slice_skip(s, plain);
        if (s.len > 0) {
            char step[ESCAPE_STEP_MAX];
            size_t len = escape_step(&s, step);
            buf_add(b, slice_of(step, len));
        }
    }
    buf_add_char(b, '"');
}
