// SPDX-License-Identifier: Apache-2.0
//
// put.c: a core's half of its ring: no system call, no lock, no allocation.
//
// Who comes late in a full ring loses in the order of the essay: content needs a quarter of the
// ring to stay free, a row a sixteenth; usage has its place. So a few large bodies do not take the
// room of many rows.
#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
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

static uint64_t us_of(struct wall time)
{
    return (uint64_t)(time.ns / NS_PER_US);
}

// What of a request this ring's records have. NULL: it is short, and put as it is. The losses that
// this rests on go with it: when the drain has given up more meanwhile, it finds that (gather.c).
static const struct share_recipe *recipe_of(struct store_ring *r, struct wall time,
                                            struct slice virtual_key, struct slice request)
{
    if (request.len < SHARE_TEXT_BYTES_MIN)
        return NULL;
    uint32_t losses = spool_losses(r->spool);
    if (losses != r->losses)
        share_forget(r->share);
    r->losses = losses;
    return share_look(r->share, map_hash(r->store->tenant_seed, virtual_key), us_of(time), request);
}

static bool has_content_room(struct spool *spool, uint64_t bytes)
{
    return spool_frame_bytes(bytes) + spool->bytes / 4 <= spool_room(spool);
}

bool store_put_request(struct store_ring *r, struct wall time, struct slice virtual_key,
                       struct slice request, struct arena *arena, struct store_early *ret)
{
    struct spool *spool = r->spool;

    if (atomic_load_explicit(&r->store->level, memory_order_relaxed) != STORE_ALL)
        return false;
    const struct share_recipe *recipe = recipe_of(r, time, virtual_key, request);
    if (!recipe || !has_content_room(spool, record_early_bytes(recipe)))
        return false;
    struct store_id id = {
        .time_us = us_of(time), .ring = spool->ring, .number = spool_number(spool)};
    struct slice refers = share_refer(recipe, id, arena);
    if (!refers.ptr)
        return false;
    record_put_early(spool, id.time_us, recipe, r->losses, id.number);
    share_keep(r->share, id);
    *ret = (struct store_early){.refers = refers, .losses = r->losses};
    return true;
}

static bool has_content(const struct store_record *r)
{
    return r->request.len + r->early.refers.len + r->answer.len > 0;
}

// How much of a record there is room for, its own place being free.
static enum store_kept room_for(struct spool *spool, const struct store_record *record,
                                const struct share_recipe *recipe, enum store_level level)
{
    uint64_t room = spool_room(spool);
    bool content = has_content(record);
    if (record->row.len > STORE_ROW_BYTES_MAX || level == STORE_NO_ROWS)
        return STORE_KEPT_USAGE;
    if (content && level == STORE_ALL &&
        has_content_room(spool, record_bytes(record, recipe, STORE_KEPT_ALL)))
        return STORE_KEPT_ALL;
    uint64_t rows = spool_frame_bytes(record_bytes(record, recipe, STORE_KEPT_NO_CONTENT));
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
    bool content = has_content(&trimmed);
    int level = atomic_load_explicit(&r->store->level, memory_order_relaxed);

    store_unreserve(r);
    const struct share_recipe *recipe = NULL;
    if (level == STORE_ALL && trimmed.early.refers.len == 0) {
        recipe = recipe_of(r, trimmed.time, trimmed.word[STORE_WORD_VIRTUAL_KEY], trimmed.request);
        trimmed.early.losses = r->losses;
    }
    enum store_kept kept = room_for(spool, &trimmed, recipe, (enum store_level)level);
    bool lost_row = kept == STORE_KEPT_USAGE && trimmed.row.len > 0;
    bool lost_content = kept != STORE_KEPT_ALL && content;
    flags |= (lost_row ? RECORD_LOST_ROW : 0u) | (lost_content ? RECORD_LOST_CONTENT : 0u);
    uint32_t number = spool_number(spool);
    record_put(spool, &trimmed, recipe, kept, flags, number);
    *ret_id =
        (struct store_id){.time_us = us_of(record->time), .ring = spool->ring, .number = number};
    if (recipe && kept == STORE_KEPT_ALL)
        share_keep(r->share, *ret_id);
    if (lost_row)
        return STORE_KEPT_USAGE;
    return lost_content ? STORE_KEPT_NO_CONTENT : STORE_KEPT_ALL;
}
