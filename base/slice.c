// SPDX-License-Identifier: Apache-2.0
//
// slice.c: comparing, searching and spelling numbers.
//
// Searching leans on libc's memchr and memmem, which are vectorised. Letter case means ASCII and
// ignores the locale: header names and tokens are ASCII by their grammars.
#include "base/slice.h"
#include "base/assert.h"
#include "base/err.h"

static inline unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool ieq_bytes(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

bool slice_ieq(struct slice a, struct slice b)
{
    return a.len == b.len && ieq_bytes(a.ptr, b.ptr, a.len);
}

bool slice_istarts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && ieq_bytes(s.ptr, prefix.ptr, prefix.len);
}

bool slice_in(struct slice s, const struct slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_eq(s, list[i]))
            return true;
    }
    return false;
}

bool slice_iin(struct slice s, const struct slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slice_ieq(s, list[i]))
            return true;
    }
    return false;
}

ptrdiff_t slice_find_char(struct slice s, char c)
{
    if (s.len == 0)
        return -1;
    const char *at = memchr(s.ptr, c, s.len);
    return at ? at - s.ptr : -1;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
    ASSERT(needle.len > 0);
    if (s.len < needle.len)
        return -1;
    const char *at = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return at ? at - s.ptr : -1;
}

ptrdiff_t slice_ifind(struct slice s, struct slice needle)
{
    ASSERT(needle.len > 0);
    if (s.len < needle.len)
        return -1;
    for (size_t i = 0; i <= s.len - needle.len; i++) {
        if (ieq_bytes(s.ptr + i, needle.ptr, needle.len))
            return (ptrdiff_t)i;
    }
    return -1;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

int slice_to_u64(struct slice s, uint64_t *ret)
{
    uint64_t value = 0;
    if (s.len == 0)
        return ERR_BAD_TYPE;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return ERR_BAD_TYPE;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return ERR_BAD_TYPE;
    }
    *ret = value;
    return 0;
}

// Digits are made last first, so both spellings fill the end of a small array and copy it out.
static size_t fmt_radix(char *out, uint64_t value, unsigned radix)
{
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = "0123456789abcdef"[value % radix];
        value /= radix;
    } while (value > 0);
    memcpy(out, digits + start, sizeof(digits) - start);
    return sizeof(digits) - start;
}

size_t fmt_u64(char *out, uint64_t value)
{
    return fmt_radix(out, value, 10);
}

size_t fmt_hex(char *out, uint64_t value)
{
    return fmt_radix(out, value, 16);
}
