// SPDX-License-Identifier: Apache-2.0
//
// append.c: a batch's rows and contents, on their way to their segments.
//
//   record ──► bundle of its kind ──► out, the batch's stored bundles ──► appended at its end
//                   full, of another ring, or too late           names ──► the database's batch
//
// What cannot be appended, because the disk is full or broken, is given up, counted and told; the
// batch goes on with the usage.
#include "base/err.h"
#include "store/drain_internal.h"
#include "store/find.h"

#include <stdlib.h>

// Beyond a batch's bytes: its last record, what heads take, and bundles that are written again.
#define OUT_BYTES_MAX (BATCH_BYTES_MAX + 20 * BUNDLE_BYTES_MAX)

int store__outlet_init(struct outlet *o)
{
    *o = (struct outlet){.named = calloc(BATCH_RECORDS_MAX, sizeof(o->named[0]))};
    bundle_init(&o->bundle);
    buf_init(&o->out, OUT_BYTES_MAX);
    return o->named ? 0 : ERR_NOMEM;
}

void store__outlet_done(struct outlet *o)
{
    bundle_done(&o->bundle);
    buf_done(&o->out);
    free(o->named);
}

void store__outlet_begin(struct outlet *o)
{
    bundle_reset(&o->bundle);
    buf_reset(&o->out);
    o->names = o->entries = 0;
}

void store__outlet_rest(struct outlet *o)
{
    bundle_done(&o->bundle);
    buf_done(&o->out);
    bundle_init(&o->bundle);
    buf_init(&o->out, OUT_BYTES_MAX);
}

int store__outlet_bundle(struct drain *d, enum segment_kind kind, const struct bundle *b,
                         struct store_id name)
{
    struct outlet *o = &d->outlet[kind];
    size_t at = o->out.len;

    int err = bundle_write(b, d->haste ? NULL : d->packer, &o->out);
    if (err)
        return err;
    if (o->names == 0 || b->name.time_us < o->first_us)
        o->first_us = b->name.time_us;
    if (o->names == 0 || b->last_us > o->last_us)
        o->last_us = b->last_us;
    o->named[o->names++] = (struct named_bundle){.name = name,
                                                 .last_us = b->last_us,
                                                 .offset = (uint32_t)at,
                                                 .len = (uint32_t)(o->out.len - at)};
    o->entries += b->count;
    return 0;
}

static int close_bundle(struct drain *d, enum segment_kind kind)
{
    struct bundle *b = &d->outlet[kind].bundle;
    int err = b->count > 0 ? store__outlet_bundle(d, kind, b, b->name) : 0;
    if (!err)
        bundle_reset(b);
    return err;
}

int store__outlet_add(struct drain *d, enum segment_kind kind, struct store_id id,
                      const struct slice *parts, unsigned count)
{
    struct outlet *o = &d->outlet[kind];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += parts[i].len;
    if (!bundle_takes(&o->bundle, id, len)) {
        int err = close_bundle(d, kind);
        if (err)
            return err;
    }
    return bundle_add(&o->bundle, id, parts, count);
}

static void put_names(struct drain *d, enum segment_kind kind, const struct segment *segment,
                      uint32_t offset)
{
    const struct outlet *o = &d->outlet[kind];

    for (unsigned i = 0; i < o->names; i++) {
        const struct named_bundle *b = &o->named[i];
        struct keys_key key = keys_id(find_table(kind), b->name);
        struct find_value at = find_value(
            (struct segment_place){segment->number, offset + b->offset, b->len}, b->last_us);
        rocks_batch_put(d->batch, keys_slice(&key), slice_of(at.bytes, sizeof(at.bytes)));
    }
    find_put_segment(d->batch, segment);
}

static uint64_t segment_bytes(const struct store *s)
{
    uint64_t part = atomic_load(&s->logs_bytes_max) / SEGMENTS_OF_ALL;
    if (part == 0 || part > SEGMENT_BYTES)
        return SEGMENT_BYTES;
    return part < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : part;
}

int store__outlet_append(struct drain *d, enum segment_kind kind)
{
    const struct outlet *o = &d->outlet[kind];
    struct segment segment;
    uint32_t offset;
    if (o->names == 0)
        return 0;
    int err = segments_append(d->store->segments, kind, buf_slice(&o->out), o->first_us, o->last_us,
                              segment_bytes(d->store), &segment, &offset);
    if (!err)
        put_names(d, kind, &segment, offset);
    return err;
}

static void give_up(struct drain *d, enum segment_kind kind, int err)
{
    unsigned entries = d->outlet[kind].entries;
    *(kind == SEGMENT_ROWS ? &d->rows_dropped : &d->content_dropped) += entries;
    for (unsigned i = 0; kind == SEGMENT_CONTENT && i < d->rings; i++)
        spool_lose(d->ring[i].spool);
    if (err != ERR_LIMIT) // else the level says so to people, at its next look at the disk
        store__failed_segments(d->store, "a segment could not be written", err);
}

int store__outlet_end(struct drain *d)
{
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
        int err = close_bundle(d, (enum segment_kind)kind);
        if (err)
            return err;
        err = store__outlet_append(d, (enum segment_kind)kind);
        if (err)
            give_up(d, (enum segment_kind)kind, err);
    }
    return 0;
}
