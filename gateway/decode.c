// SPDX-License-Identifier: Apache-2.0
//
// decode.c: the decoder's body, over a coding's steps.
#include "gateway/decode.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/coding.h"
#include "ring/fiber.h"

struct decoder {
    struct body body; // what the relay pulls
    struct body *source;
    struct fiber *self;
    struct coding *coding;
    struct body_part held; // of the source, being read
    unsigned span;         // of it
    size_t offset;         // in that
    bool holding;
    bool complete; // the source is at its end
    bool slow;     // a worker's: the three that follow
    bool asks;     // the held part waits for one
    bool worked;   // `work_bytes` are in `out`, or `work_err`
    int work_err;
    size_t work_bytes;
    char *out;
};

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
    if (last && !coding_is_whole(d->coding))
        return ERR_UPSTREAM_TRUNCATED;
    d->complete = last;
    return 0;
}

// One step over the current span, into what is left of the output.
static int inflate_span(struct decoder *d, size_t *len)
{
    struct slice span = d->held.span[d->span];
    struct slice in = slice_skip(span, d->offset);
    size_t room = DECODE_OUT_BYTES - *len, n = 0;
    int rc = coding_step(d->coding, &in, d->out + *len, room, &n);
    if (rc)
        return rc == ERR_NOMEM ? rc : ERR_UPSTREAM_PROTOCOL;
    *len += n;
    d->offset = span.len - in.len;
    // A full output may leave decoded bytes inside: the span is asked again, with nothing left of
    // it.
    if (n < room) {
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

bool decoder_has_work(const struct decoder *d)
{
    return d && d->asks;
}

void decoder_work(void *decoder)
{
    struct decoder *d = decoder;
    ASSERT(d->asks && d->holding);
    d->work_bytes = 0;
    d->work_err = inflate_part(d, &d->work_bytes);
    d->asks = false;
    d->worked = true;
}

// What a worker made of the part; without that ERR_MORE, and it is asked for when nothing else is
// there to be given.
static int worked_part(struct decoder *d, size_t *len)
{
    if (!d->worked) {
        d->asks = *len == 0;
        return ERR_MORE;
    }
    d->worked = false;
    *len = d->work_bytes;
    return d->work_err;
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
            rc = d->slow ? worked_part(d, &len) : inflate_part(d, &len);
        if (!rc && d->span == d->held.count && len < DECODE_OUT_BYTES)
            rc = release(d);
        if (rc)
            break;
    }
    if (rc == ERR_MORE && len == 0 && !d->asks)
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

// The one coding of the answer, when it is served: a second field makes it a list.
static const struct coding_row *coding_of(const struct http_head *head)
{
    const struct coding_row *row = NULL;
    unsigned fields = 0;
    for (unsigned i = 0; i < head->count; i++) {
        if (head->fields[i].id != HTTP_N_CONTENT_ENCODING)
            continue;
        row = coding_find(head->fields[i].value);
        fields++;
    }
    return fields == 1 ? row : NULL;
}

int decoder_new(struct arena *arena, struct fiber *self, struct upstream *u, struct decoder **ret)
{
    const struct coding_row *row = coding_of(&u->head);
    *ret = NULL;
    if (!row)
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
    d->slow = row->slow;
    int rc = coding_new(arena, row, &d->coding);
    if (rc)
        return rc;
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
    coding_free(d->coding);
}
