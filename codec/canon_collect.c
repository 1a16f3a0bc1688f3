// SPDX-License-Identifier: Apache-2.0
//
// canon_collect.c: a sink that keeps what the events say. gateway/translate_answer.c calls it.
//
// Events live as long as their call, so everything is copied. Blocks do not overlap (canon.h), so
// one text is open at a time.

#include "codec/canon_collect.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/canon_stream.h"
#include "codec/dialect.h"

// ---- Blocks ------------------------------------------------------------------------------------

static int copy(struct canon_collector *c, struct slice *to, struct slice from)
{
    if (from.len == 0)
        return 0;
    *to = arena_copy(c->answer->arena, from);
    return to->ptr ? 0 : ERR_NOMEM;
}

static int begin_block(struct canon_collector *c, const struct canon_event *e)
{
    struct canon_answer *a = c->answer;

    if (c->block)
        return ERR_BAD_SSE;
    int rc = canon_add_block(a->arena, &a->parts, &c->tail, &c->block);
    if (rc)
        return rc;
    c->block->kind = e->block;
    c->block->tool = e->tool;
    c->signed_ = c->cited = false;
    json_writer_init(&c->text, a->arena, 0);
    json_string_open(&c->text);
    rc = copy(c, &c->block->id, e->id);
    return rc ? rc : copy(c, &c->block->name, e->name);
}

static void add_piece(struct json_writer *w, struct slice literal)
{
    if (literal.len > 2)
        json_string_inner(w, slice_of(literal.ptr + 1, literal.len - 2));
}

static void add_signature(struct canon_collector *c, struct slice literal)
{
    if (!c->signed_) {
        json_writer_init(&c->signature, c->answer->arena, 0);
        json_string_open(&c->signature);
        c->signed_ = true;
    }
    add_piece(&c->signature, literal);
}

static void add_citation(struct canon_collector *c, struct slice citation)
{
    if (!c->cited) {
        json_writer_init(&c->citations, c->answer->arena, 0);
        json_array(&c->citations);
        c->cited = true;
    }
    json_raw(&c->citations, citation);
}

static int add_delta(struct canon_collector *c, const struct canon_event *e)
{
    if (!c->block)
        return ERR_BAD_SSE;
    switch (e->delta) {
    case CANON_DELTA_TEXT:
        add_piece(&c->text, e->text);
        break;
    case CANON_DELTA_SIGNATURE:
        add_signature(c, e->text);
        break;
    case CANON_DELTA_DATA:
        return copy(c, &c->block->data, e->text);
    case CANON_DELTA_CITATION:
        add_citation(c, e->text);
        break;
    case CANON_DELTA_LOGPROBS:
        break;
    }
    return 0;
}

static int end_block(struct canon_collector *c)
{
    struct canon_block *b = c->block;
    bool call = b && b->kind == CANON_TOOL_CALL;
    int rc = 0;

    if (!b)
        return ERR_BAD_SSE;
    c->block = NULL;
    json_string_close(&c->text);
    b->arguments_quoted = call;
    rc = json_writer_done(&c->text, call ? &b->arguments : &b->text);
    if (rc == 0 && c->signed_) {
        json_string_close(&c->signature);
        rc = json_writer_done(&c->signature, &b->signature);
    }
    if (rc == 0 && c->cited) {
        json_array_end(&c->citations);
        b->citations_of = c->answer->from;
        rc = json_writer_done(&c->citations, &b->citations);
    }
    return rc;
}

// ---- The rest ----------------------------------------------------------------------------------

static int begin(struct canon_collector *c, const struct canon_event *e)
{
    struct canon_answer *a = c->answer;
    int rc = copy(c, &a->id, e->id);

    a->created_s = e->created_s;
    if (e->usage.known)
        a->usage = e->usage;
    if (rc == 0)
        rc = copy(c, &a->model, e->model);
    if (rc == 0)
        rc = copy(c, &a->service_tier, e->service_tier);
    return rc ? rc : copy(c, &a->system_fingerprint, e->system_fingerprint);
}

static int fail(struct canon_collector *c, const struct canon_error *e)
{
    c->failed = true;
    c->error.status = e->status;
    int rc = copy(c, &c->error.type, e->type);
    if (rc == 0)
        rc = copy(c, &c->error.code, e->code);
    if (rc == 0)
        rc = copy(c, &c->error.message, e->message);
    if (rc == 0)
        rc = copy(c, &c->error.param, e->param);
    return rc ? rc : ERR_UPSTREAM_PROTOCOL;
}

static int take(struct canon_sink *self, const struct canon_event *e)
{
    struct canon_collector *c = container_of(self, struct canon_collector, sink);

    if (c->ended)
        return ERR_BAD_SSE; // something behind the end
    switch (e->kind) {
    case CANON_START:
        return begin(c, e);
    case CANON_BLOCK_START:
        return begin_block(c, e);
    case CANON_BLOCK_DELTA:
        return add_delta(c, e);
    case CANON_BLOCK_STOP:
        return end_block(c);
    case CANON_STOP:
        c->answer->stop = e->stop;
        return copy(c, &c->answer->stop_sequence, e->stop_sequence);
    case CANON_USAGE:
        c->answer->usage = e->usage;
        return 0;
    case CANON_END:
        c->ended = true;
        return 0;
    case CANON_ERROR:
        break;
    }
    return fail(c, &e->error);
}

void canon_collector_init(struct canon_collector *c, struct canon_answer *answer)
{
    memset(c, 0, sizeof(*c));
    c->sink.take = take;
    c->answer = answer;
    c->tail = &answer->blocks;
}

int canon_collector_break(struct canon_collector *c)
{
    return c->block ? end_block(c) : 0;
}

// ---- A whole body ------------------------------------------------------------------------------

static int collect_span(struct canon_collector *c, struct canon_reader *r, struct sse_splitter *s,
                        struct dialect_usage *usage)
{
    struct sse_event event;
    struct dialect_event seen;
    int rc = 0;

    while (rc == 0 && !c->ended) {
        rc = sse_next(s, &event);
        if (rc)
            break;
        r->dialect->event(&event, &seen);
        if (seen.usage.known)
            dialect_usage_update(usage, &seen.usage);
        rc = r->dialect->translation->read_event(r, &event, &c->sink);
    }
    return rc == ERR_MORE ? 0 : rc;
}

int canon_collect(struct canon_collector *c, struct slice text, struct dialect_usage *usage)
{
    struct canon_reader reader = {.dialect = c->answer->from, .arena = c->answer->arena};
    struct sse_splitter splitter;

    sse_init(&splitter);
    sse_feed(&splitter, text);
    int rc = collect_span(c, &reader, &splitter, usage);
    // Some vendors forget the blank line behind the last event.
    if (rc == 0 && !c->ended && sse_partial(&splitter)) {
        sse_feed(&splitter, SLICE("\n\n"));
        rc = collect_span(c, &reader, &splitter, usage);
    }
    sse_done(&splitter);
    if (rc == 0 && !c->ended)
        rc = ERR_UPSTREAM_TRUNCATED;
    return rc;
}
