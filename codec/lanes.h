// SPDX-License-Identifier: Apache-2.0
//
// lanes.h: sixteen bytes looked at together.
//
// The scanners spend their time inside long strings and long lines, waiting for one of a few bytes.
// The compiler's vector types say that once for every machine: SSE2 on amd64, NEON on arm64, plain
// words elsewhere, with an #ifdef only where amd64 can do better. A comparison gives a lane of all
// ones for each byte that matches; lanes_first turns the lanes into a position: by the one
// instruction amd64 has for that, elsewhere by counting in words, which assumes a little-endian
// machine (asserted).
//
// Header only; private to codec.
#ifndef RINGGATE_CODEC_LANES_H
#define RINGGATE_CODEC_LANES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES_BYTES 16

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "lanes_first counts from the low byte");

struct lanes {
    int8_t v __attribute__((vector_size(LANES_BYTES)));
};

// Reads LANES_BYTES bytes, aligned or not.
static inline struct lanes lanes_load(const char *p)
{
    struct lanes l;
    memcpy(&l.v, p, LANES_BYTES);
    return l;
}

// Position of the first set lane, LANES_BYTES when none is.
static inline unsigned lanes_first(struct lanes hit)
{
#ifdef __SSE2__
    char bytes __attribute__((vector_size(LANES_BYTES)));
    memcpy(&bytes, &hit.v, sizeof(bytes));
    return (unsigned)__builtin_ctz((unsigned)__builtin_ia32_pmovmskb128(bytes) | 1U << 16);
#else
    uint64_t half[2];
    memcpy(half, &hit.v, sizeof(half));
    if (half[0] != 0)
        return (unsigned)__builtin_ctzll(half[0]) / 8;
    if (half[1] != 0)
        return 8 + (unsigned)__builtin_ctzll(half[1]) / 8;
    return LANES_BYTES;
#endif
}

static inline int lanes_any(struct lanes hit)
{
    uint64_t half[2];
    memcpy(half, &hit.v, sizeof(half));
    return (half[0] | half[1]) != 0;
}

static inline struct lanes lanes_or(struct lanes a, struct lanes b)
{
    return (struct lanes){.v = a.v | b.v};
}

// Bytes that are `c`, or the one or the other.
static inline struct lanes lanes_eq2(struct lanes l, char a, char b)
{
    return (struct lanes){.v = (l.v == (int8_t)a) | (l.v == (int8_t)b)};
}

// What ends a run of plain characters in a JSON string: quote, backslash, a control character or a
// byte outside ASCII. The last two are one signed comparison.
static inline struct lanes lanes_not_plain(struct lanes l)
{
    return (struct lanes){.v = (l.v == '"') | (l.v == '\\') | (l.v < 0x20)};
}

// Past the plain characters in [p, end), as far as they fill whole groups of WIDE_BYTES; what
// follows is looked at by the caller. A prompt is one long string, and this is all that is done to
// most of it: with AVX2, where the machine has that, it runs at the second-level cache's speed.
#define WIDE_BYTES (8 * LANES_BYTES)

#ifdef __x86_64__
#define LANES_AVX2 __attribute__((target("avx2"), noinline))
typedef char lanes_wide __attribute__((vector_size(2 * LANES_BYTES)));

LANES_AVX2 static const char *lanes_skip_plain_avx2(const char *p, const char *end)
{
    // By the low four bits: the quote, the backslash, else a byte that has other low bits. Compared
    // with the byte it was chosen by it says whether that is one of the two.
    static const lanes_wide quotes = {'!', 0, '"', 0, 0, 0, 0, 0, 0, 0, 0, 0, '\\', 0, 0, 0,
                                      '!', 0, '"', 0, 0, 0, 0, 0, 0, 0, 0, 0, '\\', 0, 0, 0};
    for (; end - p >= WIDE_BYTES; p += WIDE_BYTES) {
        lanes_wide hit = {0};
        for (int i = 0; i < WIDE_BYTES; i += (int)sizeof(hit)) {
            lanes_wide v;
            memcpy(&v, p + i, sizeof(v));
            hit |= (lanes_wide)(__builtin_ia32_pshufb256(quotes, v) == v) | (lanes_wide)(v < 0x20);
        }
        if (__builtin_ia32_pmovmskb256(hit) != 0)
            break;
    }
    return p;
}
#endif

static inline const char *lanes_skip_plain_any(const char *p, const char *end)
{
    for (; end - p >= WIDE_BYTES; p += WIDE_BYTES) {
        struct lanes hit = lanes_not_plain(lanes_load(p));
        for (int i = LANES_BYTES; i < WIDE_BYTES; i += LANES_BYTES)
            hit = lanes_or(hit, lanes_not_plain(lanes_load(p + i)));
        if (lanes_any(hit))
            break;
    }
    return p;
}

static inline const char *lanes_skip_plain(const char *p, const char *end)
{
#ifdef __x86_64__
    if (end - p >= WIDE_BYTES && __builtin_cpu_supports("avx2"))
        return lanes_skip_plain_avx2(p, end);
#endif
    return lanes_skip_plain_any(p, end);
}

// The first byte in [p, end) that is `a` or `b`; `end` when there is none.
static inline const char *lanes_find2(const char *p, const char *end, char a, char b)
{
    while (end - p >= LANES_BYTES) {
        unsigned first = lanes_first(lanes_eq2(lanes_load(p), a, b));
        if (first < LANES_BYTES)
            return p + first;
        p += LANES_BYTES;
    }
    while (p < end && *p != a && *p != b)
        p++;
    return p;
}

// The first `a` in [p, end) with `b` or `c` behind it; `end` when there is none.
static inline const char *lanes_find_pair(const char *p, const char *end, char a, char b, char c)
{
    while (end - p > LANES_BYTES) {
        struct lanes here = lanes_load(p), next = lanes_eq2(lanes_load(p + 1), b, c);
        unsigned first = lanes_first((struct lanes){.v = (here.v == (int8_t)a) & next.v});
        if (first < LANES_BYTES)
            return p + first;
        p += LANES_BYTES;
    }
    for (; end - p > 1; p++)
        if (*p == a && (p[1] == b || p[1] == c))
            return p;
    return end;
}

// The first LF or CR in [p, end); `end` when there is none. *ret_pair: `a` with one of the two
// letters behind it stands before it, or (rarely) within the sixteen bytes that hold it.
static inline const char *lanes_find_line_end(const char *p, const char *end, char a,
                                              const char letter[2], bool *ret_pair)
{
    struct lanes pair = {.v = {0}};
    *ret_pair = true;
    for (; end - p > LANES_BYTES; p += LANES_BYTES) {
        struct lanes here = lanes_load(p),
                     next = lanes_eq2(lanes_load(p + 1), letter[0], letter[1]);
        unsigned first = lanes_first(lanes_eq2(here, '\n', '\r'));
        pair.v |= (here.v == (int8_t)a) & next.v;
        if (first < LANES_BYTES) {
            *ret_pair = lanes_any(pair);
            return p + first;
        }
    }
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p; // the last line of a span: not worth a second look
}

#endif
