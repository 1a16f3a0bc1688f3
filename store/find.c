// SPDX-License-Identifier: Apache-2.0
//
// find.c: the walk back over the names of bundles.
#include "store/find.h"

#include "base/err.h"

// How often a bundle may move while it is read; one that moves more often has another error.
#define MOVES_MAX 8

struct find_value find_value(struct segment_place place, uint64_t last_us)
{
    struct find_value v;
    keys_put_u32(v.bytes, place.segment);
    keys_put_u32(v.bytes + 4, place.offset);
    keys_put_u32(v.bytes + 8, place.len);
    keys_put_u64(v.bytes + 12, last_us);
    return v;
}

bool find_read_value(struct slice value, struct segment_place *ret, uint64_t *ret_last_us)
{
    if (value.len != sizeof(struct find_value))
        return false;
    *ret = (struct segment_place){.segment = keys_u32(value.ptr),
                                  .offset = keys_u32(value.ptr + 4),
                                  .len = keys_u32(value.ptr + 8)};
    *ret_last_us = keys_u64(value.ptr + 12);
    return ret->len <= BUNDLE_HEAD_BYTES + BUNDLE_BYTES_MAX;
}

void find_put_segment(struct rocks_batch *batch, const struct segment *segment)
{
    struct keys_key key = keys_segment(segment->kind, segment->number);
    unsigned char value[24];
    keys_put_u64(value, segment->bytes);
    keys_put_u64(value + 8, segment->first_us);
    keys_put_u64(value + 16, segment->last_us);
    rocks_batch_put(batch, keys_slice(&key), slice_of(value, sizeof(value)));
}

bool find_read_segment(struct slice key, struct slice value, struct segment *ret)
{
    unsigned kind = key.len == KEYS_SEGMENT_BYTES ? (unsigned char)key.ptr[1] : SEGMENT_KINDS;
    if (kind >= SEGMENT_KINDS || value.len != 24)
        return false;
    *ret = (struct segment){.kind = (enum segment_kind)kind,
                            .number = keys_u32(key.ptr + 2),
                            .bytes = keys_u64(value.ptr),
                            .first_us = keys_u64(value.ptr + 8),
                            .last_us = keys_u64(value.ptr + 16)};
    return true;
}

int finder_init(struct finder *f, struct store *s, enum segment_kind kind)
{
    *f = (struct finder){.store = s,
                         .kind = kind,
                         .from = keys_begin(find_table(kind)),
                         .to = keys_end(find_table(kind))};
    buf_init(&f->stored, BUNDLE_HEAD_BYTES + BUNDLE_BYTES_MAX);
    buf_init(&f->entries, BUNDLE_BYTES_MAX);
    f->it = rocks_iter_new(s->logs, keys_slice(&f->from), keys_slice(&f->to));
    return f->it ? 0 : ERR_NOMEM;
}

void finder_done(struct finder *f)
{
    rocks_iter_free(f->it);
    buf_done(&f->stored);
    buf_done(&f->entries);
    *f = (struct finder){.it = NULL};
}

static bool find_entry(struct slice entries, struct store_id id, struct slice *ret)
{
    struct bundle_entry entry;
    while (bundle_next(&entries, &entry))
        if (entry.number == id.number && entry.time_us == id.time_us) {
            *ret = entry.bytes;
            return true;
        }
    return false;
}

static bool same_key(const struct keys_key *a, struct slice b)
{
    return slice_eq(keys_slice(a), b);
}

static void copy_key(struct keys_key *to, struct slice key)
{
    memcpy(to->bytes, key.ptr, key.len);
    to->len = (unsigned)key.len;
}

static int damaged(struct finder *f, struct segment_place place)
{
    static const char *const what[SEGMENT_KINDS] = {
        [SEGMENT_ROWS] = "rows", [SEGMENT_CONTENT] = "contents"};
    copy_key(&f->bad, rocks_iter_key(f->it));
    atomic_fetch_add(&f->store->numbers.damaged, 1);
    store__notice(f->store, LOG_ERROR, "%s of records cannot be read: %u bytes at %u of segment %u",
                  what[f->kind], place.len, place.offset, place.segment);
    return ERR_BAD_LENGTH;
}

static int read_bundle(struct finder *f, struct segment_place place)
{
    buf_reset(&f->stored);
    int err = segments_read(f->store->segments, f->kind, place, &f->stored);
    return err ? err : bundle_read(buf_slice(&f->stored), &f->entries);
}

// Where the database says now that it lies. ERR_NOT_FOUND: nowhere.
static int place_now(struct finder *f, struct segment_place *ret)
{
    struct buf value;
    uint64_t last_us;
    buf_init(&value, 64);
    int err = rocks_get(f->store->logs, rocks_iter_key(f->it), &value);
    if (!err && !find_read_value(buf_slice(&value), ret, &last_us))
        err = ERR_BAD_LENGTH;
    buf_done(&value);
    return err;
}

// The bundle whose name the iterator stands at becomes the one at hand.
static int take_bundle(struct finder *f, struct segment_place place)
{
    f->key.len = 0;
    int err = read_bundle(f, place);
    for (unsigned i = 0; (err == ERR_BAD_LENGTH || err == ERR_NOT_FOUND) && i < MOVES_MAX; i++) {
        struct segment_place now;
        int gone = place_now(f, &now);
        if (gone)
            return gone == ERR_BAD_LENGTH ? damaged(f, place) : gone;
        if (memcmp(&now, &place, sizeof(now)) == 0)
            break;
        place = now;
        err = read_bundle(f, place);
    }
    if (err == ERR_BAD_LENGTH)
        return damaged(f, place);
    if (err)
        return err;
    copy_key(&f->key, rocks_iter_key(f->it));
    f->place = place;
    return 0;
}

static int look_at(struct finder *f, struct store_id id, struct slice *ret)
{
    struct segment_place place = {.segment = 0};
    uint64_t last_us;

    if (same_key(&f->bad, rocks_iter_key(f->it)))
        return ERR_BAD_LENGTH; // told once, however many of its records are looked for
    if (!find_read_value(rocks_iter_value(f->it), &place, &last_us))
        return damaged(f, place);
    if (last_us < id.time_us)
        return ERR_NOT_FOUND;
    int err = take_bundle(f, place);
    if (err)
        return err;
    return find_entry(buf_slice(&f->entries), id, ret) ? 0 : ERR_NOT_FOUND;
}

int finder_get(struct finder *f, struct store_id id, struct slice *ret)
{
    // Of names of the same microsecond all: numbers wrap.
    struct keys_key last =
        keys_id(find_table(f->kind), (struct store_id){id.time_us, UINT16_MAX, UINT32_MAX});
    uint64_t first_us = id.time_us > BUNDLE_SPAN_US ? id.time_us - BUNDLE_SPAN_US : 0;
    bool bad = false;

    if (f->key.len > 0 && keys_to_id(keys_slice(&f->key)).ring == id.ring &&
        find_entry(buf_slice(&f->entries), id, ret))
        return 0;
    for (rocks_iter_seek_prev(f->it, keys_slice(&last)); rocks_iter_valid(f->it);
         rocks_iter_prev(f->it)) {
        struct slice at = rocks_iter_key(f->it);
        if (at.len != KEYS_RECORD_BYTES || keys_to_id(at).time_us < first_us)
            break;
        if (keys_to_id(at).ring != id.ring)
            continue;
        int err = look_at(f, id, ret);
        bad = bad || err == ERR_BAD_LENGTH; // another one may have it
        if (err != ERR_NOT_FOUND && err != ERR_BAD_LENGTH)
            return err;
    }
    int err = rocks_iter_error(f->it);
    if (!err)
        err = bad ? ERR_BAD_LENGTH : ERR_NOT_FOUND;
    return err;
}
