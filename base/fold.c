// SPDX-License-Identifier: Apache-2.0
//
// fold.c: on the way of every event of a stream that is kept, so two comparisons of whole words and
// one short copy are all it does. Reading believes nothing.

#include "base/fold.h"
#include "base/assert.h"
#include "base/err.h"

#define NUMBER_BYTES_MAX 5 // of 32 bits

_Static_assert(3 * NUMBER_BYTES_MAX <= FOLD_HEAD_BYTES, "a head fits its room");

// ---- What two texts have in common -----------------------------------------------------------

static uint64_t word_at(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

// Four words at once: most of an event is like its reference.
static bool differ(const char *a, const char *b)
{
    return ((word_at(a) ^ word_at(b)) | (word_at(a + 8) ^ word_at(b + 8)) |
            (word_at(a + 16) ^ word_at(b + 16)) | (word_at(a + 24) ^ word_at(b + 24))) != 0;
}

// Bytes equal at the front, `max` at most.
static size_t common_front(const char *a, const char *b, size_t max)
{
    size_t n = 0;

    while (n + 32 <= max && !differ(a + n, b + n))
        n += 32;
    for (; n + 8 <= max; n += 8) {
        uint64_t differs = word_at(a + n) ^ word_at(b + n);
        if (differs)
            return n + (size_t)__builtin_ctzll(differs) / 8;
    }
    while (n < max && a[n] == b[n])
        n++;
    return n;
}

// The same before the ends `a` and `b`.
static size_t common_back(const char *a, const char *b, size_t max)
{
    size_t n = 0;

    while (n + 32 <= max && !differ(a - n - 32, b - n - 32))
        n += 32;
    for (; n + 8 <= max; n += 8) {
        uint64_t differs = word_at(a - n - 8) ^ word_at(b - n - 8);
        if (differs)
            return n + (size_t)__builtin_clzll(differs) / 8;
    }
    while (n < max && a[-(ptrdiff_t)n - 1] == b[-(ptrdiff_t)n - 1])
        n++;
    return n;
}

// ---- In --------------------------------------------------------------------------------------

static char *put_number(char *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *out++ = (char)(unsigned char)(value | 0x80);
    *out++ = (char)(unsigned char)value;
    return out;
}

static char *put_text(char *out, struct slice text)
{
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    return out + text.len;
}

size_t fold_add(struct fold *f, struct slice text, char *out)
{
    struct slice ref = f->reference;
    char *p = out;

    ASSERT(text.len <= UINT32_MAX / 2);
    if (ref.len > 0 && text.len <= FOLD_REFERENCE_BYTES) {
        size_t max = text.len < ref.len ? text.len : ref.len;
        size_t before = common_front(text.ptr, ref.ptr, max);
        size_t after = common_back(text.ptr + text.len, ref.ptr + ref.len, max - before);
        size_t middle = text.len - before - after;
        if (middle <= text.len / 2) {
            p = put_number(p, (uint64_t)middle << 1 | 1);
            p = put_number(p, before);
            p = put_number(p, after);
            p = put_text(p, slice_of(text.ptr + before, middle));
            return (size_t)(p - out);
        }
    }
    p = put_number(p, (uint64_t)text.len << 1);
    if (text.len <= FOLD_REFERENCE_BYTES)
        f->reference = slice_of(p, text.len);
    p = put_text(p, text);
    return (size_t)(p - out);
}

// ---- Out -------------------------------------------------------------------------------------

static int take_number(struct slice *rest, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < NUMBER_BYTES_MAX; i++) {
        if (i == rest->len)
            return ERR_MORE;
        unsigned char byte = (unsigned char)rest->ptr[i];
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if (byte < 0x80) {
            *rest = slice_skip(*rest, i + 1);
            *ret = value;
            return 0;
        }
    }
    return ERR_BAD_LENGTH;
}

static int take_text(struct slice *rest, uint64_t len, struct slice *ret)
{
    if (len > rest->len)
        return ERR_MORE;
    *ret = slice_take(*rest, (size_t)len);
    *rest = slice_skip(*rest, (size_t)len);
    return 0;
}

static int read_alike(struct slice *rest, uint64_t len, struct slice ref, struct buf *out)
{
    uint64_t before, after;
    struct slice middle;

    int rc = take_number(rest, &before);
    if (rc == 0)
        rc = take_number(rest, &after);
    if (rc == 0 && before + after > ref.len)
        rc = ERR_BAD_LENGTH;
    if (rc == 0)
        rc = take_text(rest, len, &middle);
    if (rc)
        return rc;
    buf_add(out, slice_take(ref, (size_t)before));
    buf_add(out, middle);
    buf_add(out, slice_skip(ref, ref.len - (size_t)after));
    return out->err;
}

static int read_whole(struct slice *rest, uint64_t len, struct slice *ref, struct buf *out)
{
    struct slice text;

    int rc = take_text(rest, len, &text);
    if (rc)
        return rc;
    if (text.len <= FOLD_REFERENCE_BYTES)
        *ref = text;
    buf_add(out, text);
    return out->err;
}

int fold_read(struct slice folded, struct buf *out)
{
    struct slice ref = SLICE_EMPTY;
    uint64_t head;

    while (folded.len > 0) {
        int rc = take_number(&folded, &head);
        if (rc == 0)
            rc = head & 1 ? read_alike(&folded, head >> 1, ref, out)
                          : read_whole(&folded, head >> 1, &ref, out);
        if (rc)
            return rc;
    }
    return 0;
}
