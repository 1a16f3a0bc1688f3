// SPDX-License-Identifier: Apache-2.0
//
// crc.c: two ways to the same number. Which one is asked of the processor at each call: that is a
// load and a branch.
//
// The engine's sums are the same number, and the distribution's build of it makes them without the
// processor's help: 0.4 GB/s, which was a third of what a record cost. So the linker sends its
// calls here (rocks.c, CMakeLists.txt), except those of its shared library.
#include "store/crc.h"

#include <string.h>

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
__attribute__((target("sse4.2"))) static uint32_t add_fast(uint32_t crc, const void *data,
                                                           size_t len)
{
    const unsigned char *p = data;
    uint64_t value = (uint32_t)~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        value = __builtin_ia32_crc32di(value, word);
    }
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
