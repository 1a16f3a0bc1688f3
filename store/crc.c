// SPDX-License-Identifier: Apache-2.0
//
// crc.c: ways to the same number. Which one is asked of the processor at each call: that is a load
// and a branch.
//
// The processor's instruction takes three cycles and may begin anew in each. So long data is taken
// in three lanes that do not wait for each other:
//
//     │◄─── LANE ───►│◄─── LANE ───►│◄─── LANE ───►│
//     │      a       │      b       │      c       │    a·x^(16·LANE) + b·x^(8·LANE) + c
//
// The products are carry-less ones of 32 bits by a constant; the instruction itself reduces their
// 64 bits, and multiplies by x^33 on the way, for which the constants make up.
//
// The engine's sums are the same number, and the distribution's build of it makes them without the
// processor's help: 0.4 GB/s, which was a third of what a record cost. So the linker sends its
// calls here (rocks.c, CMakeLists.txt), except those of its shared library.
#include "store/crc.h"

#include <string.h>
#ifdef __x86_64__
#include <wmmintrin.h>
#endif

// The polynomial 0x1edc6f41, reflected, applied to each nibble.
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

uint32_t crc_add_portable(uint32_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
#define LANE 256
// Modulo the polynomial, reflected.
#define X_TO_16_LANE_33 0xdd7e3b0c // x^(16·LANE - 33)
#define X_TO_8_LANE_33  0xb9e02b86 // x^(8·LANE - 33)

static uint64_t word_at(const unsigned char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t add_lanes(uint64_t a,
                                                                   const unsigned char *p)
{
    uint64_t b = 0, c = 0;
    for (unsigned i = 0; i < LANE; i += 8) {
        a = __builtin_ia32_crc32di(a, word_at(p + i));
        b = __builtin_ia32_crc32di(b, word_at(p + LANE + i));
        c = __builtin_ia32_crc32di(c, word_at(p + 2 * LANE + i));
    }
    const __m128i by = _mm_set_epi64x(X_TO_8_LANE_33, X_TO_16_LANE_33);
    __m128i first = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)a), by, 0x00);
    __m128i second = _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)b), by, 0x10);
    uint64_t both = (uint64_t)_mm_cvtsi128_si64(_mm_xor_si128(first, second));
    return __builtin_ia32_crc32di(0, both) ^ c;
}

__attribute__((target("sse4.2"))) static uint32_t add_fast(uint32_t crc, const void *data,
                                                           size_t len)
{
    const unsigned char *p = data;
    uint64_t value = (uint32_t)~crc;
    if (len >= 3 * LANE && __builtin_cpu_supports("pclmul"))
        for (; len >= 3 * LANE; len -= 3 * LANE, p += 3 * LANE)
            value = add_lanes(value, p);
    for (; len >= 8; len -= 8, p += 8)
        value = __builtin_ia32_crc32di(value, word_at(p));
    for (; len > 0; len--, p++)
        value = __builtin_ia32_crc32qi((uint32_t)value, *p);
    return ~(uint32_t)value;
}
#endif

uint32_t crc_add(uint32_t crc, const void *data, size_t len)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return add_fast(crc, data, len);
#endif
    return crc_add_portable(crc, data, len);
}
