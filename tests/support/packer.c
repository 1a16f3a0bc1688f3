// SPDX-License-Identifier: Apache-2.0
//
// packer.c: zlib, brotli and zstd as those use them who know the whole text.
#include "tests/support/packer.h"

#include "base/assert.h"
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

const char *const packing_names[PACK_COUNT] = {
    [PACK_GZIP] = "gzip", [PACK_ZLIB] = "deflate", [PACK_BARE] = "deflate",
    [PACK_BR] = "br",     [PACK_ZSTD] = "zstd",
};

size_t pack_bound(size_t bytes)
{
    return bytes + bytes / 8 + 1024;
}

static size_t pack_z(int window_bits, struct slice text, char *out, size_t room)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text.ptr,
                  .avail_in = (unsigned)text.len,
                  .next_out = (unsigned char *)out,
                  .avail_out = (unsigned)room};
    ASSERT(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

size_t pack(enum packing packing, struct slice text, char *out, size_t room)
{
    size_t len = room;
    switch (packing) {
    case PACK_GZIP:
        return pack_z(15 + 16, text, out, room);
    case PACK_ZLIB:
        return pack_z(15, text, out, room);
    case PACK_BARE:
        return pack_z(-15, text, out, room);
    case PACK_BR:
        ASSERT(BrotliEncoderCompress(9, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT, text.len,
                                     (const uint8_t *)text.ptr, &len, (uint8_t *)out));
        return len;
    default:
        ASSERT(packing == PACK_ZSTD);
        len = ZSTD_compress(out, room, text.ptr, text.len, 9);
        ASSERT(!ZSTD_isError(len));
        return len;
    }
}
