// SPDX-License-Identifier: Apache-2.0
//
// slice.h: a borrowed run of bytes.
//
// The word the whole program is written in. A slice never owns; whoever made it says how long the
// bytes live. It is passed by value. A slice is not NUL-terminated and may hold any byte. An empty
// slice may have a NULL pointer.
#ifndef RINGGATE_BASE_SLICE_H
#define RINGGATE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

#define SLICE(literal) ((struct slice){.ptr = ("" literal ""), .len = sizeof(literal) - 1})
#define SLICE_EMPTY    ((struct slice){.ptr = NULL, .len = 0})
// For printf's "%.*s".
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){.ptr = ptr, .len = len};
}

static inline struct slice slice_str(const char *str)
{
    return (struct slice){.ptr = str, .len = str ? strlen(str) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline struct slice slice_skip(struct slice s, size_t n)
{
    if (n < s.len)
        return slice_of(s.ptr + n, s.len - n);
    return slice_of(s.len > 0 ? s.ptr + s.len : s.ptr, 0); // NULL and nothing stays that
}

static inline struct slice slice_take(struct slice s, size_t n)
{
    return slice_of(s.ptr, n < s.len ? n : s.len);
}

// ASCII letter case ignored.
bool slice_ieq(struct slice a, struct slice b);
bool slice_istarts(struct slice s, struct slice prefix);
// Is `s` one of the `count` slices of the list? The second ignores letter case.
bool slice_in(struct slice s, const struct slice *list, size_t count);
bool slice_iin(struct slice s, const struct slice *list, size_t count);
// Position of the first `c` / first occurrence of `needle`, or -1. `needle` is not empty.
ptrdiff_t slice_find_char(struct slice s, char c);
ptrdiff_t slice_find(struct slice s, struct slice needle);
ptrdiff_t slice_ifind(struct slice s, struct slice needle);
// Without leading and trailing space and tab (RFC 9110 OWS).
struct slice slice_trim(struct slice s);
// Decimal digits only, whole slice, no sign, no overflow: 0 and *ret, or ERR_BAD_TYPE.
int slice_to_u64(struct slice s, uint64_t *ret);

// Decimal digits of `value` into `out` (at least 20 bytes); returns how many. No NUL.
size_t fmt_u64(char *out, uint64_t value);
// Lower-case hexadecimal, no leading zeros; `out` at least 16 bytes; returns how many. No NUL.
size_t fmt_hex(char *out, uint64_t value);

#endif
