// SPDX-License-Identifier: Apache-2.0
//
// chunk.h: where a chunk of a text ends, and its key (share.h).
//
// A chunk ends behind the first eight bytes, CHUNK_BYTES_MIN from its begin or later, whose hash is
// one of 128 of 65,536; at CHUNK_BYTES_MAX at the latest. That is a matter of the text around its
// end, not of its place, so the cuts fall together again behind something that was inserted: an
// insertion into 100 kB makes 2 to 3 kB unknown. To end at the first quote would be cheaper, but
// cuts that have parted may then go on side by side to the end, most of all where there is a quote
// every few bytes: in prose 12 kB, in the schemas of tools 20 kB.
//
// The key is XXH3 with 128 bits under a secret.
//
// Two roads to the same answer, chosen when it runs: AVX2 and what every machine has. Each is
// chunk_road.h compiled with that road's instructions. A body of 115 kB takes 4.7 µs and 8 µs;
// AVX-512 took no less than AVX2.
//
// Pure; any thread.
#ifndef RINGGATE_STORE_CHUNK_H
#define RINGGATE_STORE_CHUNK_H

#include "base/slice.h"
#include <stdint.h>

// Shorter chunks find more and cost more: twice as long ones left a quarter more that was new.
#define CHUNK_BYTES_MIN 1024
// Where nothing ends a chunk before; a text made so must not become one chunk that is never known.
#define CHUNK_BYTES_MAX (16 * 1024)
// As much as XXH3 takes.
#define CHUNK_SECRET_BYTES 192

struct chunk {
    uint64_t key[2];
    uint32_t bytes; // from where the text begins
};

// The chunk that `text`, which is not empty, begins with. `secret`: CHUNK_SECRET_BYTES of noise.
typedef void (*chunk_fn)(const unsigned char *secret, struct slice text, struct chunk *ret);

// The fastest road this processor has.
chunk_fn chunk_road(void);

void chunk_any(const unsigned char *secret, struct slice text, struct chunk *ret);
#ifdef __x86_64__
void chunk_wide(const unsigned char *secret, struct slice text, struct chunk *ret);
#endif

#endif
