// SPDX-License-Identifier: Apache-2.0
//
// coding.c: zlib, brotli and zstd behind one step.
//
// Each library's call is wrapped so that it reports the same three things: how much it took, how
// much it gave, and whether the text may end here. The loop around it is coding_step's alone.
#include "gateway/coding.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

// zlib's own numbers: the largest window; as such for zlib's frame, negative for none at all, and
// 32 more for "gzip or zlib, see the first bytes".
#define WINDOW_BITS 15
#define WINDOW_ANY  (WINDOW_BITS + 32)
#define WINDOW_BARE (-WINDOW_BITS)
#define GZIP_BYTE   0x1f
#define ZLIB_NIBBLE 8
// RFC 9659: what whoever codes content may use at most.
#define ZSTD_WINDOW_LOG_MAX 23
// How its frames begin, and those of user data that decoders skip (RFC 8878, 3.1). The library also
// reads what came before the format was settled; nobody else needs to.
#define ZSTD_BYTE      0x28
#define ZSTD_SKIP_BYTE 0x50

struct coding {
    const struct coding_row *row;
    bool whole;
    bool begun; // the first byte has been looked at
    z_stream z;
    BrotliDecoderState *brotli;
    ZSTD_DCtx *zstd;
};

struct coding_ops {
    int (*init)(struct coding *c, struct arena *arena);
    // One call of the library. Sets c->whole.
    int (*call)(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len);
    int (*again)(struct coding *c); // the next member begins; NULL: nothing is to be done
    void (*done)(struct coding *c);
};

// ---- zlib ------------------------------------------------------------------------------------

static void *z_alloc(void *arena, unsigned count, unsigned size)
{
    return arena_zalloc(arena, (size_t)count * size);
}

static void z_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory; // goes with the arena
}

static int z_init(struct coding *c, struct arena *arena)
{
    c->z.zalloc = z_alloc;
    c->z.zfree = z_free;
    c->z.opaque = arena;
    return inflateInit2(&c->z, WINDOW_ANY) == Z_OK ? 0 : ERR_NOMEM;
}

static int z_call(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len)
{
    unsigned given = in->len < UINT_MAX ? (unsigned)in->len : UINT_MAX;
    unsigned space = room < UINT_MAX ? (unsigned)room : UINT_MAX;
    c->z.next_in = (unsigned char *)(uintptr_t)in->ptr;
    c->z.avail_in = given;
    c->z.next_out = (unsigned char *)out;
    c->z.avail_out = space;
    int rc = inflate(&c->z, Z_SYNC_FLUSH);
    *in = slice_skip(*in, given - c->z.avail_in);
    *ret_len = space - c->z.avail_out;
    c->whole = rc == Z_STREAM_END;
    if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR)
        return 0;
    return rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_BAD_PACKED;
}

// "deflate" is meant to be zlib's frame, and many send the bare stream. No deflater begins that one
// like a frame: 8 in the low half would be a stored block whose padding is not zero, and gzip's
// first byte a block type that does not exist.
static int deflate_call(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len)
{
    if (!c->begun && in->len > 0) {
        unsigned char first = (unsigned char)in->ptr[0];
        bool framed = (first & 15) == ZLIB_NIBBLE || first == GZIP_BYTE;
        c->begun = true;
        if (!framed && inflateReset2(&c->z, WINDOW_BARE) != Z_OK)
            return ERR_NOMEM;
    }
    return z_call(c, in, out, room, ret_len);
}

static int z_again(struct coding *c)
{
    return inflateReset(&c->z) == Z_OK ? 0 : ERR_BAD_PACKED;
}

static void z_done(struct coding *c)
{
    (void)inflateEnd(&c->z);
}

static const struct coding_ops gzip_ops = {z_init, z_call, z_again, z_done};
static const struct coding_ops deflate_ops = {z_init, deflate_call, NULL, z_done};

// ---- brotli ----------------------------------------------------------------------------------

static int br_init(struct coding *c, struct arena *arena)
{
    (void)arena; // a worker may take the steps, and an arena is its core's
    c->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    return c->brotli ? 0 : ERR_NOMEM;
}

static bool br_lacks_memory(const struct coding *c)
{
    BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(c->brotli);
    return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
           code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

static int br_call(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len)
{
    const uint8_t *next_in = (const uint8_t *)in->ptr;
    uint8_t *next_out = (uint8_t *)out;
    size_t avail_in = in->len, avail_out = room;
    BrotliDecoderResult rc =
        BrotliDecoderDecompressStream(c->brotli, &avail_in, &next_in, &avail_out, &next_out, NULL);
    *in = slice_skip(*in, in->len - avail_in);
    *ret_len = room - avail_out;
    c->whole = rc == BROTLI_DECODER_RESULT_SUCCESS;
    if (rc != BROTLI_DECODER_RESULT_ERROR)
        return 0;
    return br_lacks_memory(c) ? ERR_NOMEM : ERR_BAD_PACKED;
}

static void br_done(struct coding *c)
{
    if (c->brotli)
        BrotliDecoderDestroyInstance(c->brotli);
}

static const struct coding_ops br_ops = {br_init, br_call, NULL, br_done};

// ---- zstd ------------------------------------------------------------------------------------

static int zstd_init(struct coding *c, struct arena *arena)
{
    (void)arena; // its public interface takes no allocator
    c->zstd = ZSTD_createDCtx();
    if (!c->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
        return ERR_NOMEM;
    return 0;
}

static int zstd_call(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len)
{
    if ((c->whole || !c->begun) && in->len > 0) {
        unsigned char first = (unsigned char)in->ptr[0];
        c->begun = true;
        if (first != ZSTD_BYTE && (first & 0xf0) != ZSTD_SKIP_BYTE)
            return ERR_BAD_PACKED;
    }
    ZSTD_inBuffer from = {.src = in->ptr, .size = in->len};
    ZSTD_outBuffer to = {.dst = out, .size = room};
    size_t rc = ZSTD_decompressStream(c->zstd, &to, &from);
    *in = slice_skip(*in, from.pos);
    *ret_len = to.pos;
    c->whole = rc == 0;
    if (!ZSTD_isError(rc))
        return 0;
    return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? ERR_NOMEM : ERR_BAD_PACKED;
}

static void zstd_done(struct coding *c)
{
    ZSTD_freeDCtx(c->zstd); // NULL is fine
}

static const struct coding_ops zstd_ops = {zstd_init, zstd_call, NULL, zstd_done};

// ---- All -------------------------------------------------------------------------------------

static const struct coding_row rows[] = {
    {.name = SLICE("gzip"), .ops = &gzip_ops, .repeats = true},
    {.name = SLICE("x-gzip"), .ops = &gzip_ops, .repeats = true},
    {.name = SLICE("deflate"), .ops = &deflate_ops},
    {.name = SLICE("br"), .ops = &br_ops, .slow = true},
    {.name = SLICE("zstd"), .ops = &zstd_ops, .repeats = true},
};

const struct coding_row *coding_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (slice_ieq(name, rows[i].name))
            return &rows[i];
    return NULL;
}

int coding_new(struct arena *arena, const struct coding_row *row, struct coding **ret_coding)
{
    struct coding *c = arena_zalloc(arena, sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->row = row;
    int rc = row->ops->init(c, arena);
    if (rc)
        row->ops->done(c);
    else
        *ret_coding = c;
    return rc;
}

int coding_step(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len)
{
    size_t len = 0;
    ASSERT(room > 0);
    // A call may stop at the end of a member, or hold back what room there was not for: on until
    // nothing moves.
    for (bool moved = true; moved && len < room;) {
        size_t before = in->len, n = 0;
        if (c->whole && in->len == 0)
            break;
        if (c->whole && !c->row->repeats)
            return ERR_BAD_PACKED;
        int rc = c->whole && c->row->ops->again ? c->row->ops->again(c) : 0;
        if (!rc)
            rc = c->row->ops->call(c, in, out + len, room - len, &n);
        if (rc)
            return rc;
        len += n;
        moved = in->len < before || n > 0;
    }
    *ret_len = len;
    return in->len == 0 || len == room ? 0 : ERR_BAD_PACKED; // stuck
}

bool coding_is_whole(const struct coding *c)
{
    return c->whole;
}

void coding_free(struct coding *c)
{
    if (c)
        c->row->ops->done(c);
}
