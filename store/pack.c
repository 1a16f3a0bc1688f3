// SPDX-License-Identifier: Apache-2.0
//
// pack.c: one block of LZ4 a record. The state is kept between records: clearing its 16 kB for each
// would cost as much as packing a short one.
#define LZ4_STATIC_LINKING_ONLY // the call that keeps it
#include "store/pack.h"

#include "base/assert.h"
#include "base/err.h"
#include "store/keys.h"
#include <limits.h>
#include <lz4.h>
#include <stdlib.h>

// Less is not worth a block.
#define PACK_BYTES_MIN 128
// A packed value is shorter by this at least, for the reader's trouble.
#define PACK_SAVING 32

struct packer {
    LZ4_stream_t state;
    unsigned char head[RECORD_PACKED_BYTES];
    char block[STORE_CONTENT_BYTES_MAX]; // pages of it are there once they have been used
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

// They lie one behind the other, as record_put has written them.
static struct slice both_of(const struct store_record *r)
{
    if (r->request.len == 0)
        return r->answer;
    ASSERT(r->answer.len == 0 || r->answer.ptr == r->request.ptr + r->request.len);
    return slice_of(r->request.ptr, r->request.len + r->answer.len);
}

// The block's length; 0: it would not be short enough.
static size_t pack(struct packer *p, struct slice plain)
{
    if (plain.len < PACK_BYTES_MIN || plain.len > sizeof(p->block))
        return 0;
    int n = LZ4_compress_fast_extState_fastReset(&p->state, plain.ptr, p->block, (int)plain.len,
                                                 (int)(plain.len - PACK_SAVING), 1);
    return n > 0 ? (size_t)n : 0;
}

void pack_content(struct packer *p, const struct record_view *view, struct slice ret_parts[2])
{
    struct slice plain = both_of(&view->record);
    size_t packed = pack(p, plain);
    p->head[0] = packed > 0 ? RECORD_PACKED : RECORD_VERSION;
    p->head[1] = (unsigned char)(view->flags & (RECORD_CUT | RECORD_FOLDED));
    keys_put_u32(p->head + 2, (uint32_t)view->record.request.len);
    keys_put_u32(p->head + 6, (uint32_t)plain.len);
    ret_parts[0] = slice_of(p->head, packed > 0 ? RECORD_PACKED_BYTES : RECORD_CONTENT_BYTES);
    ret_parts[1] = packed > 0 ? slice_of(p->block, packed) : plain;
}

int unpack_content(struct buf *value)
{
    struct slice packed = buf_slice(value);
    struct buf plain;
    int n = -1;
    if (packed.len == 0 || packed.ptr[0] != RECORD_PACKED)
        return 0;
    if (packed.len < RECORD_PACKED_BYTES || packed.len > INT_MAX)
        return ERR_BAD_LENGTH;
    size_t len = keys_u32(packed.ptr + 6);
    if (len == 0 || len > STORE_CONTENT_BYTES_MAX)
        return ERR_BAD_LENGTH;
    buf_init(&plain, value->max);
    buf_add_char(&plain, RECORD_VERSION);
    buf_add(&plain, slice_take(slice_skip(packed, 1), RECORD_CONTENT_BYTES - 1));
    char *room = buf_room(&plain, len);
    if (room)
        n = LZ4_decompress_safe(packed.ptr + RECORD_PACKED_BYTES, room,
                                (int)(packed.len - RECORD_PACKED_BYTES), (int)len);
    if (n < 0 || (size_t)n != len) {
        int err = plain.err ? plain.err : ERR_BAD_LENGTH;
        buf_done(&plain);
        return err;
    }
    plain.len += len;
    buf_done(value);
    *value = plain;
    return 0;
}
