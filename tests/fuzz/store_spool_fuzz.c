// SPDX-License-Identifier: Apache-2.0
//
// store_spool_fuzz.c: any bytes as a ring.
//
// Input: eight bytes of a position, two of how far the ring is full, then what lies in it. Every
// frame that is found must lie in what is full, be as long as it says, and be found in the same
// bytes again; a walk over the ring ends at its head whatever lies there.
#include "base/assert.h"
#include "store/crc.h"
#include "store/spool.h"
#include <stdlib.h>
#include <string.h>

#define RING_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Half of all inputs get a check that is right, so that what lies behind it is reached.
static void mend(char *ring, uint64_t position)
{
    uint32_t len, crc;
    uint64_t at = position & (RING_BYTES - 1);
    if (at + SPOOL_FRAME_BYTES > RING_BYTES)
        return;
    memcpy(&len, ring + at, sizeof(len));
    if (len > RING_BYTES - SPOOL_FRAME_BYTES || at + SPOOL_FRAME_BYTES + len > RING_BYTES)
        return;
    crc = crc_add(crc_add(0, &position, sizeof(position)), &len, sizeof(len));
    crc = crc_add(crc, ring + at + SPOOL_FRAME_BYTES, len);
    memcpy(ring + at + 4, &crc, sizeof(crc));
    memcpy(ring + at + 8, &position, sizeof(position));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t position;
    uint16_t full;
    if (size < 10)
        return 0;
    memcpy(&position, data, sizeof(position));
    memcpy(&full, data + 8, sizeof(full));
    char *ring = calloc(1, RING_BYTES);
    ASSERT(ring);
    size_t len = size - 10 < RING_BYTES ? size - 10 : RING_BYTES;
    memcpy(ring, data + 10, len);
    if (full & 1)
        mend(ring, position);
    uint64_t head = position + ((uint64_t)full >> 1 << 3);
    for (uint64_t at = position; at - position < head - position && at - position < RING_BYTES;) {
        uint32_t payload = 0;
        uint64_t takes = spool_frame_at(ring, RING_BYTES, at, head, &payload);
        if (takes > 0) {
            ASSERT(takes == spool_frame_bytes(payload));
            ASSERT(takes <= head - at && head - at <= RING_BYTES && !(at & 7));
        }
        at += takes > 0 ? takes : 8;
    }
    free(ring);
    return 0;
}
