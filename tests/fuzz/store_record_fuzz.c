// SPDX-License-Identifier: Apache-2.0
//
// store_record_fuzz.c: any bytes as a record of a ring, as a content, and as a bundle.
//
// A record that is read is put into a ring and read there again: it must be the same one.
#include "base/assert.h"
#include "store/bundle.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_again(struct record_view *first)
{
    struct record_view second;
    struct spool *spool;
    struct slice payload;
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        if (first->record.word[i].len > STORE_WORD_BYTES_MAX)
            return;
    for (unsigned i = 0; i < first->record.moves; i++)
        if (first->record.move[i].counter.len > STORE_WORD_BYTES_MAX)
            return;
    if (record_bytes(&first->record, NULL, STORE_KEPT_ALL) > SPOOL_BYTES_MIN / 2 ||
        spool_new(0, SPOOL_BYTES_MIN, &spool) < 0)
        return;
    record_put(spool, &first->record, NULL, STORE_KEPT_ALL, 0, first->id.number);
    ASSERT(spool_next(spool, &payload) == SPOOL_FRAME);
    ASSERT(record_read(payload, &second) == 0);
    ASSERT(second.id.time_us == first->id.time_us && second.id.number == first->id.number);
    ASSERT(second.record.cost == first->record.cost);
    ASSERT(second.record.moves == first->record.moves);
    ASSERT(slice_eq(second.record.row, first->record.row));
    ASSERT(slice_eq(second.record.request, first->record.request));
    ASSERT(slice_eq(second.record.answer, first->record.answer));
    spool_free(spool);
}

// A sum would keep the fuzzer out: what it finds is written as one, too.
static void read_bundle(struct slice stored)
{
    struct bundle b;
    struct buf entries, again;
    struct bundle_entry entry;
    buf_init(&entries, BUNDLE_BYTES_MAX);
    buf_init(&again, 2 * BUNDLE_BYTES_MAX);
    (void)bundle_read(stored, &entries);
    bundle_init(&b);
    struct slice rest = stored;
    while (bundle_next(&rest, &entry)) {
        ASSERT(entry.bytes.ptr + entry.bytes.len <= stored.ptr + stored.len);
        struct store_id id = {.time_us = entry.time_us, .number = entry.number};
        if (bundle_takes(&b, id, entry.bytes.len) && b.entries.len < BUNDLE_BYTES)
            (void)bundle_add(&b, id, &entry.bytes, 1);
    }
    struct packer *packer = packer_new();
    if (b.count > 0 && bundle_write(&b, packer, &again) == 0) {
        ASSERT(bundle_read(buf_slice(&again), &entries) == 0);
        ASSERT(slice_eq(buf_slice(&entries), buf_slice(&b.entries)));
    }
    packer_free(packer);
    bundle_done(&b);
    buf_done(&entries);
    buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record_view view;
    struct slice request, answer;
    unsigned flags;
    if (record_read(slice_of(data, size), &view) == 0)
        put_again(&view);
    read_bundle(slice_of(data, size));
    if (record_content_read(slice_of(data, size), &request, &answer, &flags) == 0)
        ASSERT(request.len + answer.len + RECORD_CONTENT_BYTES == size);
    return 0;
}
