// SPDX-License-Identifier: Apache-2.0
//
// chunk_road.h: one road of chunk.h, as wide as the instructions of the file that includes it.
//
// A cut is found by eight bytes as four words, and a hash of them. Half as many bytes would be
// cheaper and are too few: schemas say the same few words again and again, and where none of their
// fours cuts, nothing does. The factors are those of some hundred that cut prose, C, Python and
// schemas the most evenly, every 600 bytes.
//
// A lane has two bytes, so windows that begin at even places and those that begin at odd ones are
// hashed apart. Of the lanes of the latter the second byte is kept, which is at their window's
// place, so that the first byte of all is at the place of the first window that cuts:
//
//     places of windows     0   1   2   3   4   5
//     lanes from p on       └─ 0 ─┘ └─ 2 ─┘ └─ 4 ─┘
//     lanes from p + 1 on       1       3       5
//
// Private to chunk*.c. XXH3 is compiled in, in the same width.
#ifndef RINGGATE_STORE_CHUNK_ROAD_H
#define RINGGATE_STORE_CHUNK_ROAD_H

#include "store/chunk.h"

#include "base/assert.h"
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

#define WINDOW 8
// A greater hash cuts: 128 of 65,536 are.
#define CUT_ABOVE (INT16_MAX - 128)
#define FACTOR_0  0x5ee9u
#define FACTOR_1  0x400fu
#define FACTOR_2  0xd5abu
#define FACTOR_3  0xdc71u

#ifdef __AVX2__
#define LANES 32
#else
#define LANES 16
#endif

typedef uint16_t chunk_words __attribute__((vector_size(LANES)));
typedef int16_t chunk_hashes __attribute__((vector_size(LANES)));

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low byte of a lane is the first");

static inline chunk_words chunk__words(const char *p)
{
    chunk_words words;
    memcpy(&words, p, sizeof(words));
    return words;
}

// All ones for windows that cut: those that begin at `p` and at every second byte behind.
static inline chunk_words chunk__cuts(const char *p)
{
    chunk_words hashes = chunk__words(p) * FACTOR_0 + chunk__words(p + 2) * FACTOR_1 +
                         chunk__words(p + 4) * FACTOR_2 + chunk__words(p + 6) * FACTOR_3;
    return (chunk_words)((chunk_hashes)hashes > CUT_ABOVE);
}

// The number of its lowest bit is the place of the first of LANES windows that cuts; 0: none does.
static inline unsigned chunk__mask(const char *p)
{
    chunk_words places = chunk__cuts(p) | (chunk__cuts(p + 1) & 0xff00);
#if defined(__AVX2__)
    return (unsigned)_mm256_movemask_epi8((__m256i)places);
#elif defined(__SSE2__)
    return (unsigned)_mm_movemask_epi8((__m128i)places);
#else
    // One bit of each byte; the product moves the eight of a word into its highest byte.
    uint64_t half[2];
    memcpy(half, &places, sizeof(half));
    for (int i = 0; i < 2; i++)
        half[i] = (half[i] & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56;
    return (unsigned)(half[0] | half[1] << 8);
#endif
}

static inline bool chunk__is_cut(const char *p)
{
    uint16_t w[WINDOW / 2];
    memcpy(w, p, sizeof(w));
    unsigned hash = w[0] * FACTOR_0 + w[1] * FACTOR_1 + w[2] * FACTOR_2 + w[3] * FACTOR_3;
    return (int16_t)(uint16_t)hash > CUT_ABOVE;
}

// Behind the first window in [p, end) that cuts; `end` when none does.
static inline const char *chunk__find(const char *p, const char *end)
{
    for (; end - p >= LANES + WINDOW - 1; p += LANES) {
        unsigned mask = chunk__mask(p);
        if (mask != 0)
            return p + __builtin_ctz(mask) + WINDOW;
    }
    for (; end - p >= WINDOW; p++)
        if (chunk__is_cut(p))
            return p + WINDOW;
    return end;
}

static inline struct chunk chunk__take(const unsigned char *secret, struct slice text)
{
    ASSERT(text.len > 0);
    size_t bytes = text.len < CHUNK_BYTES_MAX ? text.len : CHUNK_BYTES_MAX;
    if (bytes > CHUNK_BYTES_MIN) {
        const char *first = text.ptr + CHUNK_BYTES_MIN - WINDOW;
        bytes = (size_t)(chunk__find(first, text.ptr + bytes) - text.ptr);
    }
    XXH128_hash_t hash = XXH3_128bits_withSecret(text.ptr, bytes, secret, CHUNK_SECRET_BYTES);
    return (struct chunk){.key = {hash.low64, hash.high64}, .bytes = (uint32_t)bytes};
}

#endif
