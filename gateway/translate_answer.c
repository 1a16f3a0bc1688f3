// SPDX-License-Identifier: Apache-2.0
//
// translate_answer.c: a provider's answer, or each event of its stream, in the client's dialect.
// Both relays call it where the dialects differ.
//
// What comes out of here looks like what a provider of the client's dialect would have sent: the
// relay's own edits (extra_fields, withheld usage) are made to it as to any other.

#include "base/assert.h"
#include "base/err.h"
#include "codec/canon_collect.h"
#include "gateway/error.h"
#include "gateway/splice.h"
#include "gateway/translate.h"
#include "ring/work.h"

// ---- Whole -----------------------------------------------------------------------------------

// What an error of a reader or writer says about the provider.
static int answer_error(int err)
{
    if (err == 0 || err == ERR_NOMEM)
        return err;
    return err == ERR_LIMIT ? ERR_UPSTREAM_FOREIGN : ERR_UPSTREAM_PROTOCOL;
}

static int read_events(struct translate_answer *a, struct canon_answer *answer)
{
    struct canon_collector c;

    answer->from = a->from;
    canon_collector_init(&c, answer);
    int rc = canon_collect(&c, a->text, &a->usage);
    a->failed = c.failed;
    a->error = c.error;
    return rc;
}

static int read_text(struct translate_answer *a, struct canon_answer *answer)
{
    if (a->events)
        return read_events(a, answer);
    a->from->answer_usage(a->text, &a->usage);
    return a->from->translation->read_answer(answer, a->text);
}

static int translate_text(struct translate_answer *a, struct slice *ret)
{
    struct canon_answer answer = {.arena = &a->arena};
    struct json_writer w;

    int rc = read_text(a, &answer);
    if (rc)
        return rc;
    json_writer_init(&w, &a->arena, 0);
    rc = a->to->translation->write_answer(&answer, &a->context, &w);
    return rc ? rc : json_writer_done(&w, ret);
}

static void answer_job(void *arg)
{
    struct translate_answer *a = arg;
    struct slice text = SLICE_EMPTY;

    a->err = answer_error(translate_text(a, &text));
    if (a->err)
        return;
    a->whole = text;
    if (a->member.len > 0) {
        a->err = splice_object(&a->arena, text, a->member, a->piece, &a->count, &a->bytes);
        return;
    }
    a->piece[0] = (struct iovec){.iov_base = (void *)(uintptr_t)text.ptr, .iov_len = text.len};
    a->count = 1;
    a->bytes = text.len;
}

int translate_answer_await(struct exchange *x, struct fiber *self, struct translate_answer *a)
{
    bool large = a->text.len > TRANSLATE_TURN_BYTES;
    int rc = 0;

    ASSERT(x->translated);
    a->from = x->upstream_dialect;
    a->to = x->dialect;
    a->context = x->translated->context;
    block_pool_init(&a->blocks, 0);
    arena_init(&a->arena, large ? &a->blocks : &x->core->net.blocks, TRANSLATE_BYTES_MAX);
    if (large)
        rc = work_await(x->core->gateway->work, self, answer_job, a);
    else
        answer_job(a);
    return rc ? rc : a->err;
}

void translate_answer_done(struct translate_answer *a)
{
    arena_done(&a->arena);
    block_pool_done(&a->blocks);
}

static struct slice kept(struct arena *keep, struct slice text)
{
    if (text.len == 0)
        return text;
    text = arena_copy(keep, text);
    return text.ptr ? text : SLICE_EMPTY;
}

// Its texts lie in memory of the translation.
static void error_failure(const struct canon_error *e, struct arena *keep, struct failure *ret)
{
    *ret = (struct failure){
        .status = e->status,
        .foreign = true,
        .type = kept(keep, e->type),
        .code = kept(keep, e->code),
        .message = kept(keep, e->message),
        .param = kept(keep, e->param),
        .retry_after_ms = -1,
    };
    error_complete(ret);
}

void translate_answer_failure(const struct translate_answer *a, struct arena *keep, int err,
                              struct failure *ret)
{
    if (a->failed)
        error_failure(&a->error, keep, ret);
    else
        failure_of(ret, err, SLICE_EMPTY, SLICE_EMPTY);
}

// ---- Streams ---------------------------------------------------------------------------------

// Events of one pull are written behind each other, so that they leave as a few long runs and not
// as one slice each. Two of these fill a block. A writer that grows leaves what it wrote before
// where it was, because nothing of up to half a block is given back before the arena.
#define TEXTS_BYTES (BLOCK_BYTES / 2 - 16)
// Most events are shorter; a longer one is copied once when it does not fit.
#define TEXT_BYTES_USUAL 512

static void make_room(struct translate_stream *s)
{
    const struct json_writer *w = &s->writer;
    if (!w->ptr || w->cap != TEXTS_BYTES || w->cap - w->len < TEXT_BYTES_USUAL)
        json_writer_init(&s->writer, &s->texts, TEXTS_BYTES);
}

struct translate_stream *translate_stream_new(struct exchange *x)
{
    struct translate_stream *s = arena_zalloc(&x->stream->arena, sizeof(*s));

    if (!s)
        return NULL;
    ASSERT(x->translated);
    s->from = x->upstream_dialect;
    s->repeats = x->dialect == &dialect_openai_responses;
    s->pool = &x->core->net.blocks;
    arena_init(&s->memory, s->pool, TRANSLATE_BYTES_MAX);
    arena_init(&s->texts, s->pool, TRANSLATE_BYTES_MAX);
    canon_translator_init(&s->translator, x->upstream_dialect, x->dialect, &s->memory,
                          &x->translated->context);
    sse_init(&s->out);
    return s;
}

void translate_stream_done(struct translate_stream *s)
{
    if (!s)
        return;
    arena_done(&s->texts);
    arena_done(&s->memory);
    sse_done(&s->out);
}

void translate_stream_rest(struct translate_stream *s)
{
    if (s->texts.bytes == 0)
        return;
    s->writer = (struct json_writer){0};
    arena_done(&s->texts);
    arena_init(&s->texts, s->pool, TRANSLATE_BYTES_MAX);
}

void translate_stream_move(struct translate_stream *s, struct block_pool *pool)
{
    arena_move(&s->memory, pool);
    arena_move(&s->texts, pool);
    s->pool = pool;
}

// A delta repeats nothing; where events have no names any of them may end what is repeated.
static bool is_delta(struct slice type)
{
    static const struct slice end = SLICE("delta");
    return type.len >= end.len && slice_eq(slice_skip(type, type.len - end.len), end) &&
           !slice_eq(type, SLICE("message_delta"));
}

bool translate_is_long(const struct translate_stream *s, const struct sse_event *event)
{
    return event->raw.len > TRANSLATE_TURN_BYTES ||
           (s->repeats && s->said > TRANSLATE_TURN_BYTES && !is_delta(event->type));
}

int translate_event(struct translate_stream *s, const struct sse_event *event,
                    struct slice *ret_text)
{
    struct dialect_event d;
    struct slice all = SLICE_EMPTY;

    *ret_text = SLICE_EMPTY;
    if (s->translator.ended)
        return 0; // what a provider still says is its own affair
    s->from->event(event, &d);
    if (d.usage.known)
        dialect_usage_update(&s->usage, &d.usage);
    make_room(s);
    size_t before = s->writer.len;
    int rc = canon_translate(&s->translator, event, &s->writer);
    if (rc == 0)
        rc = json_writer_done(&s->writer, &all);
    if (rc == 0)
        *ret_text = slice_skip(all, before);
    s->said += ret_text->len;
    return rc;
}

void translate_failure(const struct translate_stream *s, struct arena *keep, int err,
                       struct failure *ret)
{
    const struct canon_error *e = &s->translator.error;

    if (!s->translator.failed) {
        failure_of(ret, err == ERR_LIMIT ? ERR_UPSTREAM_FOREIGN : err, SLICE_EMPTY, SLICE_EMPTY);
        return;
    }
    error_failure(e, keep, ret);
}
