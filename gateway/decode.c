// SPDX-License-Identifier: Apache-2.0
//
// decode.c: the decoder's body, over zlib's inflate.
//
// zlib allocates through the exchange's arena, so nothing is left behind whatever way the exchange
// ends. It finds out by itself whether gzip or zlib framing is there. A gzip file may consist of
// several members one behind the other (RFC 1952 2.2): the end of one with bytes behind it begins
// the next.
#include "gateway/decode.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "ring/fiber.h"
#include <zlib.h>

// zlib's own numbers: the largest window, and 32 for "gzip or zlib, see the header".
#define WINDOW_BITS (15 + 32)

struct decoder {
    struct body body; // what the relay pulls
    struct body *source;
    struct fiber *self;
    z_stream z;
    struct body_part held; // of the source, being read
    unsigned span;         // of it
    size_t offset;         // in that
    bool holding;
    bool ended;    // the coded stream is at the end of a member
    bool complete; // and the source at its own
    char *out;
};

static void *z_alloc(void *arena, unsigned count, unsigned size)
{
    return arena_zalloc(arena, (size_t)count * size);
}

static void z_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory; // goes with the arena
}

// Takes the next part of the source. ERR_MORE, or what the source ended with.
static int refill(struct decoder *d)
{
    struct body_part *p = &d->held;
    p->count = 0;
    p->bytes = 0;
    p->last = false;
    p->loans = 0;
    p->memory = NULL;
    int rc = d->source->ops->take(d->source, p);
    d->holding = rc == 0;
    d->span = 0;
    d->offset = 0;
    return rc;
}

// The held part is used up. Where it was the last one, the coded stream must have ended with it.
static int release(struct decoder *d)
{
    bool last = d->held.last;
    body_put(d->source, &d->held);
    d->holding = false;
    if (last && !d->ended)
        return ERR_UPSTREAM_TRUNCATED;
    d->complete = last;
    return 0;
}

// One call of inflate over the current span, into what is left of the output.
static int inflate_span(struct decoder *d, size_t *len)
{
    struct slice in = slice_skip(d->held.span[d->span], d->offset);
    if (d->ended && in.len > 0) {
        if (inflateReset(&d->z) != Z_OK)
            return ERR_UPSTREAM_PROTOCOL;
        d->ended = false;
    }
    d->z.next_in = (unsigned char *)(uintptr_t)in.ptr;
    d->z.avail_in = (unsigned)in.len;
    d->z.next_out = (unsigned char *)d->out + *len;
    d->z.avail_out = (unsigned)(DECODE_OUT_BYTES - *len);
    int rc = inflate(&d->z, Z_SYNC_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return rc == Z_MEM_ERROR ? ERR_NOMEM : ERR_UPSTREAM_PROTOCOL;
    d->ended = rc == Z_STREAM_END;
    d->offset += in.len - d->z.avail_in;
    *len = DECODE_OUT_BYTES - d->z.avail_out;
    // A full output may leave decoded bytes inside: the span is asked again, with nothing left of
    // it.
    if (d->offset == d->held.span[d->span].len && d->z.avail_out > 0) {
        d->span++;
        d->offset = 0;
    }
    return 0;
}

static int inflate_part(struct decoder *d, size_t *len)
{
    while (d->span < d->held.count && *len < DECODE_OUT_BYTES) {
        int rc = inflate_span(d, len);
        if (rc)
            return rc;
    }
    return 0;
}

static int decoder_take(struct body *b, struct body_part *ret)
{
    struct decoder *d = container_of(b, struct decoder, body);
    size_t len = 0;
    int rc = 0;
    d->source->reader = NULL;
    while (!d->complete && len < DECODE_OUT_BYTES) {
        if (!d->holding)
            rc = refill(d);
        if (!rc)
            rc = inflate_part(d, &len);
        if (!rc && d->span == d->held.count && len < DECODE_OUT_BYTES)
            rc = release(d);
        if (rc)
            break;
    }
    if (rc == ERR_MORE && len == 0)
        d->source->reader = d->self; // it wakes whom it finds here
    if (rc && (rc != ERR_MORE || len == 0))
        return rc;
    ret->span[0] = slice_of(d->out, len);
    ret->count = len > 0;
    ret->bytes = len;
    ret->last = d->complete;
    return 0;
}

static void decoder_put(struct body *b, struct body_part *part)
{
    (void)b;
    (void)part; // the output is written again by the next take
}

static const struct body_ops decoder_ops = {.take = decoder_take, .put = decoder_put};

static bool is_served(struct slice coding)
{
    return slice_ieq(coding, SLICE("gzip")) || slice_ieq(coding, SLICE("x-gzip")) ||
           slice_ieq(coding, SLICE("deflate"));
}

// The head now describes what the decoder gives.
static void strip_coding(struct http_head *head)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < head->count; i++) {
        enum http_name id = head->fields[i].id;
        if (id != HTTP_N_CONTENT_ENCODING && id != HTTP_N_CONTENT_LENGTH)
            head->fields[kept++] = head->fields[i];
    }
    head->count = kept;
    head->content_length = -1;
}

int decoder_new(struct arena *arena, struct fiber *self, struct upstream *u, struct decoder **ret)
{
    const struct http_field *f = http_head_get(&u->head, HTTP_N_CONTENT_ENCODING);
    *ret = NULL;
    if (!f || !is_served(f->value))
        return 0;
    struct decoder *d = arena_zalloc(arena, sizeof(*d));
    if (!d)
        return ERR_NOMEM;
    d->out = arena_large(arena, DECODE_OUT_BYTES);
    if (!d->out)
        return ERR_NOMEM;
    d->body.ops = &decoder_ops;
    d->source = &u->body;
    d->self = self;
    d->z.zalloc = z_alloc;
    d->z.zfree = z_free;
    d->z.opaque = arena;
    if (inflateInit2(&d->z, WINDOW_BITS) != Z_OK)
        return ERR_NOMEM;
    strip_coding(&u->head);
    *ret = d;
    return 0;
}

struct body *decoder_body(struct decoder *d)
{
    ASSERT(d);
    return &d->body;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    d->source->reader = NULL;
    if (d->holding)
        body_put(d->source, &d->held);
    d->holding = false;
    (void)inflateEnd(&d->z);
}
