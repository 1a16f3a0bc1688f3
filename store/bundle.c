// SPDX-License-Identifier: Apache-2.0
//
// bundle.c: entries put one behind the other, and LZ4 around them.
#define LZ4_STATIC_LINKING_ONLY // the call that keeps its state
#include "store/bundle.h"

#include "base/assert.h"
#include "base/err.h"
#include "store/crc.h"
#include "store/keys.h"
#include <lz4.h>
#include <stdlib.h>

// Less is not worth a reader's trouble.
#define SAVING_MIN 32

static const char magic[4] = {'r', 'g', 'b', '1'};

struct packer {
    LZ4_stream_t state;
};

struct packer *packer_new(void)
{
    struct packer *p = calloc(1, sizeof(*p));
    if (p)
        (void)LZ4_initStream(&p->state, sizeof(p->state));
    return p;
}

void packer_free(struct packer *p)
{
    free(p);
}

// ---- Writing ---------------------------------------------------------------------------------

void bundle_init(struct bundle *b)
{
    *b = (struct bundle){.count = 0};
    buf_init(&b->entries, BUNDLE_BYTES_MAX);
}

void bundle_done(struct bundle *b)
{
    buf_done(&b->entries);
    b->count = 0;
}

void bundle_reset(struct bundle *b)
{
    buf_reset(&b->entries);
    b->count = 0;
}

bool bundle_takes(const struct bundle *b, struct store_id id, size_t len)
{
    if (b->count == 0)
        return true;
    uint64_t first = id.time_us < b->name.time_us ? id.time_us : b->name.time_us;
    uint64_t last = id.time_us > b->last_us ? id.time_us : b->last_us;
    return id.ring == b->name.ring && last - first <= BUNDLE_SPAN_US &&
           b->entries.len + BUNDLE_ENTRY_BYTES + len <= BUNDLE_BYTES;
}

int bundle_add(struct bundle *b, struct store_id id, const struct slice *parts, unsigned count)
{
    unsigned char head[BUNDLE_ENTRY_BYTES];
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += parts[i].len;
    ASSERT(bundle_takes(b, id, len));
    keys_put_u32(head, (uint32_t)len);
    keys_put_u32(head + 4, id.number);
    keys_put_u64(head + 8, id.time_us);
    char *room = buf_room(&b->entries, sizeof(head) + len);
    if (!room) {
        int err = b->entries.err;
        b->entries.err = 0;
        return err;
    }
    memcpy(room, head, sizeof(head));
    room += sizeof(head);
    for (unsigned i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(room, parts[i].ptr, parts[i].len);
        room += parts[i].len;
    }
    b->entries.len += sizeof(head) + len;
    if (b->count == 0 || id.time_us < b->name.time_us)
        b->name = id;
    if (b->count == 0 || id.time_us > b->last_us)
        b->last_us = id.time_us;
    b->count++;
    return 0;
}

// The packed length; 0: it would not be short enough.
static size_t pack(struct packer *packer, struct slice plain, char *room)
{
    if (!packer || plain.len <= 2 * SAVING_MIN)
        return 0;
    int n = LZ4_compress_fast_extState_fastReset(&packer->state, plain.ptr, room, (int)plain.len,
                                                 (int)(plain.len - SAVING_MIN), 1);
    if (n > 0)
        return (size_t)n;
    (void)LZ4_initStream(&packer->state, sizeof(packer->state)); // a failure leaves it undefined
    return 0;
}

int bundle_write(const struct bundle *b, struct packer *packer, struct buf *out)
{
    struct slice plain = buf_slice(&b->entries);
    char *head = buf_room(out, BUNDLE_HEAD_BYTES + plain.len);

    ASSERT(b->count > 0);
    if (!head)
        return out->err;
    char *body = head + BUNDLE_HEAD_BYTES;
    size_t len = pack(packer, plain, body);
    if (len == 0) {
        len = plain.len;
        memcpy(body, plain.ptr, len);
    }
    memcpy(head, magic, sizeof(magic));
    keys_put_u32((unsigned char *)head + 4, (uint32_t)len);
    keys_put_u32((unsigned char *)head + 8, (uint32_t)plain.len);
    keys_put_u32((unsigned char *)head + 12, crc_add(0, body, len));
    out->len += BUNDLE_HEAD_BYTES + len;
    return 0;
}

// ---- Reading ---------------------------------------------------------------------------------

int bundle_read(struct slice stored, struct buf *ret)
{
    buf_reset(ret);
    if (stored.len < BUNDLE_HEAD_BYTES || memcmp(stored.ptr, magic, sizeof(magic)) != 0)
        return ERR_BAD_LENGTH;
    size_t len = keys_u32(stored.ptr + 4), plain = keys_u32(stored.ptr + 8);
    struct slice body = slice_skip(stored, BUNDLE_HEAD_BYTES);
    if (len != body.len || plain < len || plain > BUNDLE_BYTES_MAX ||
        crc_add(0, body.ptr, len) != keys_u32(stored.ptr + 12))
        return ERR_BAD_LENGTH;
    char *room = buf_room(ret, plain);
    if (!room)
        return ret->err;
    if (plain == len)
        memcpy(room, body.ptr, len);
    else if (LZ4_decompress_safe(body.ptr, room, (int)len, (int)plain) != (int)plain)
        return ERR_BAD_LENGTH;
    ret->len = plain;
    return 0;
}

bool bundle_next(struct slice *rest, struct bundle_entry *ret)
{
    if (rest->len < BUNDLE_ENTRY_BYTES)
        return false;
    size_t len = keys_u32(rest->ptr);
    if (len > rest->len - BUNDLE_ENTRY_BYTES)
        return false;
    *ret = (struct bundle_entry){.number = keys_u32(rest->ptr + 4),
                                 .time_us = keys_u64(rest->ptr + 8),
                                 .bytes = slice_of(rest->ptr + BUNDLE_ENTRY_BYTES, len)};
    *rest = slice_skip(*rest, BUNDLE_ENTRY_BYTES + len);
    return true;
}
