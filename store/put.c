// SPDX-License-Identifier: Apache-2.0
//
// put.c: a core's half of its ring: no system call, no lock, no allocation.
//
// Who comes late in a full ring loses in the order of the essay: content needs a quarter of the
// ring to stay free, a row a sixteenth; usage has its place. So a few large bodies do not take the
// room of many rows.
#include "base/assert.h"
#include "base/err.h"
#include "store/record.h"
#include "store/store_internal.h"

struct store_ring *store_ring(struct store *s, unsigned core)
{
    ASSERT(core < s->cores);
    return &s->ring[core];
}

int store_reserve(struct store_ring *r)
{
    if (spool_reserve(r->spool, RECORD_USAGE_BYTES_MAX))
        return 0;
    uint64_t refused = atomic_load_explicit(&r->refused, memory_order_relaxed) + 1;
    atomic_store_explicit(&r->refused, refused, memory_order_relaxed);
    return ERR_LIMIT;
}

void store_unreserve(struct store_ring *r)
{
    spool_unreserve(r->spool, RECORD_USAGE_BYTES_MAX);
}

// How much of a record there is room for, its own place being free.
static enum store_kept room_for(struct spool *spool, const struct store_record *record,
                                enum store_level level)
{
    uint64_t room = spool_room(spool);
    bool content = record->request.len + record->answer.len > 0;
    if (record->row.len > STORE_ROW_BYTES_MAX || level == STORE_NO_ROWS)
        return STORE_KEPT_USAGE;
    if (content && level == STORE_ALL) {
        uint64_t all = spool_frame_bytes(record_bytes(record, STORE_KEPT_ALL));
        if (all + spool->bytes / 4 <= room)
            return STORE_KEPT_ALL;
    }
    uint64_t rows = spool_frame_bytes(record_bytes(record, STORE_KEPT_NO_CONTENT));
    if (rows + spool->bytes / 16 <= room)
        return STORE_KEPT_NO_CONTENT;
    return STORE_KEPT_USAGE;
}

enum store_kept store_put_record(struct store_ring *r, const struct store_record *record,
                                 struct store_id *ret_id)
{
    struct spool *spool = r->spool;
    struct store_record trimmed = *record;
    unsigned flags = record_trim(&trimmed);
    bool content = trimmed.request.len + trimmed.answer.len > 0;
    int level = atomic_load_explicit(&r->store->level, memory_order_relaxed);

    store_unreserve(r);
    enum store_kept kept = room_for(spool, &trimmed, (enum store_level)level);
    bool lost_row = kept == STORE_KEPT_USAGE && trimmed.row.len > 0;
    bool lost_content = kept != STORE_KEPT_ALL && content;
    flags |= (lost_row ? RECORD_LOST_ROW : 0u) | (lost_content ? RECORD_LOST_CONTENT : 0u);
    uint32_t number = spool_number(spool);
    record_put(spool, &trimmed, kept, flags, number);
    *ret_id = (struct store_id){
        .time_us = (uint64_t)(record->time.ns / NS_PER_US), .ring = spool->ring, .number = number};
    if (lost_row)
        return STORE_KEPT_USAGE;
    return lost_content ? STORE_KEPT_NO_CONTENT : STORE_KEPT_ALL;
}
