// SPDX-License-Identifier: Apache-2.0
//
// packer.h: what clients and providers compress with: the other half of gateway/coding.h.
#ifndef RINGGATE_TESTS_SUPPORT_PACKER_H
#define RINGGATE_TESTS_SUPPORT_PACKER_H

#include "base/slice.h"

enum packing {
    PACK_GZIP,
    PACK_ZLIB, // what "deflate" is meant to be
    PACK_BARE, // what "deflate" often is
    PACK_BR,
    PACK_ZSTD,
    PACK_COUNT
};

// The content-encoding of each.
extern const char *const packing_names[PACK_COUNT];

// How much `out` must have room for.
size_t pack_bound(size_t bytes);
// Compresses hard; how many bytes it gave. Asserts that there is room.
size_t pack(enum packing packing, struct slice text, char *out, size_t room);

#endif
