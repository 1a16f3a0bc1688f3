// SPDX-License-Identifier: Apache-2.0
//
// anthropic_fuzz.c: requests, answers and streams of the Anthropic dialects that somebody made up.
//
// Input: the first byte says what the rest is (a request, an answer, a stream, one of these to or
// from another dialect), of which row, and how much memory there is. What is read is written again:
// the text must be JSON, a stream's events must be what this dialect allows (they are read a second
// time), and reading what was written and writing it once more must give the same text. Errors are
// of the kinds the contract names.
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"
#include "codec/canon_collect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *const rows[] = {
    &dialect_anthropic_messages, &dialect_anthropic_count_tokens, &dialect_anthropic_complete};

struct desk {
    struct block_pool pool;
    struct arena arena;
};

static const struct canon_context context = {.model = {"m\"\n", 3}, .id = {"r-1", 3}};

static bool is_object(struct slice text)
{
    struct json_scanner scan;
    return json_scan(&scan, text, NULL, 0, 0) == 0;
}

// ---- Requests ----------------------------------------------------------------------------------

static bool is_refusal(int rc)
{
    return rc == ERR_BAD_TYPE || rc == ERR_MISSING || rc == ERR_UNSUPPORTED;
}

static void check_error(const struct canon_request *r, int rc)
{
    ASSERT(is_refusal(rc) || rc == ERR_NOMEM || rc == ERR_LIMIT);
    if (is_refusal(rc))
        ASSERT(r->refusal.param.len > 0 && r->refusal.message.len > 0);
}

// The text as `to` gets it, from a client of `from`; empty when it does not.
static struct slice pass_request(struct arena *arena, const struct dialect *row, struct slice text,
                                 const struct dialect *from, bool pass_extra)
{
    struct canon_request r = {.arena = arena, .pass_extra = pass_extra};
    struct json_writer w;
    struct slice written = SLICE_EMPTY;

    int rc = row->translation->read_request(&r, text);
    if (rc == 0) {
        if (from)
            r.from = from;
        json_writer_init(&w, arena, 0);
        rc = row->translation->write_request(&r, context.model, &w);
        if (rc == 0)
            rc = json_writer_done(&w, &written);
    }
    if (rc) {
        check_error(&r, rc);
        return SLICE_EMPTY;
    }
    ASSERT(is_object(written));
    return written;
}

static void try_request(struct arena *arena, const struct dialect *row, struct slice text, bool odd)
{
    if (!is_object(text))
        return;
    pass_request(arena, row, text, &dialect_openai_chat, odd);
    pass_request(arena, row, text, &dialect_openai_responses, !odd);
    struct slice once = pass_request(arena, row, text, NULL, odd);
    if (once.len == 0)
        return;
    struct slice twice = pass_request(arena, row, once, NULL, odd);
    ASSERT(twice.len == 0 || slice_eq(once, twice)); // no memory, no text
}

// ---- Answers -----------------------------------------------------------------------------------

static struct slice pass_answer(struct arena *arena, const struct dialect *row, struct slice text)
{
    struct canon_answer a = {.arena = arena};
    struct json_writer w;
    struct slice written = SLICE_EMPTY;

    int rc = row->translation->read_answer(&a, text);
    if (rc == 0) {
        json_writer_init(&w, arena, 0);
        rc = row->translation->write_answer(&a, &context, &w);
        if (rc == 0)
            rc = json_writer_done(&w, &written);
    }
    ASSERT(rc == 0 || rc == ERR_BAD_JSON || rc == ERR_BAD_UTF8 || rc == ERR_BAD_DEPTH ||
           rc == ERR_DUPLICATE || rc == ERR_UPSTREAM_PROTOCOL || rc == ERR_NOMEM ||
           rc == ERR_LIMIT);
    ASSERT(written.len == 0 || is_object(written));
    return written;
}

static void try_answer(struct arena *arena, const struct dialect *row, struct slice text)
{
    struct dialect_usage usage;
    row->answer_usage(text, &usage);
    struct slice once = pass_answer(arena, row, text);
    if (once.len == 0)
        return;
    struct slice twice = pass_answer(arena, row, once);
    ASSERT(twice.len == 0 || slice_eq(once, twice));
}

// ---- Streams -----------------------------------------------------------------------------------

// All events of `text` through the translator; how it ended.
static int pass_stream(struct arena *arena, const struct dialect *row, struct slice text,
                       struct slice *ret, bool *ret_ended)
{
    struct canon_translator t;
    struct sse_splitter splitter;
    struct sse_event event;
    struct dialect_event look;
    struct json_writer w;
    int rc = 0;

    canon_translator_init(&t, row, row, arena, &context);
    json_writer_init(&w, arena, 0);
    sse_init(&splitter);
    sse_feed(&splitter, text);
    while (rc == 0 && sse_next(&splitter, &event) == 0) {
        row->event(&event, &look);
        rc = canon_translate(&t, &event, &w);
        ASSERT(rc != ERR_UPSTREAM_PROTOCOL || t.failed);
    }
    sse_done(&splitter);
    ASSERT(rc == 0 || rc == ERR_BAD_SSE || rc == ERR_UPSTREAM_PROTOCOL || rc == ERR_NOMEM ||
           rc == ERR_LIMIT);
    *ret_ended = t.ended;
    *ret = SLICE_EMPTY;
    if (json_writer_done(&w, ret) != 0)
        ASSERT(rc == ERR_NOMEM || w.err == ERR_NOMEM);
    return rc;
}

static void try_stream(struct arena *arena, const struct dialect *row, struct slice text)
{
    struct slice once, twice;
    bool ended, ended_again;

    if (!row->translation->read_event)
        return;
    pass_stream(arena, row, text, &once, &ended);
    int rc = pass_stream(arena, row, once, &twice, &ended_again);
    // What was written before an error is legal as far as it goes.
    ASSERT(rc == 0 || rc == ERR_NOMEM);
    if (rc == 0 && twice.len > 0)
        ASSERT(slice_eq(once, twice) && ended == ended_again);
}

// ---- To and from others ------------------------------------------------------------------------

// Whatever one reads the other can write.
static void cross_stream(struct arena *arena, const struct dialect *from, const struct dialect *to,
                         struct slice text)
{
    struct canon_translator t;
    struct sse_splitter splitter;
    struct sse_event event;
    struct json_writer w;
    struct slice written;
    int rc = 0;

    if (!dialect_translates(to, from, true))
        return;
    canon_translator_init(&t, from, to, arena, &context);
    json_writer_init(&w, arena, 0);
    sse_init(&splitter);
    sse_feed(&splitter, text);
    while (rc == 0 && sse_next(&splitter, &event) == 0)
        rc = canon_translate(&t, &event, &w);
    sse_done(&splitter);
    if (json_writer_done(&w, &written) != 0)
        return;
    sse_init(&splitter);
    sse_feed(&splitter, written);
    while (sse_next(&splitter, &event) == 0)
        ASSERT(event.has_data && (is_object(event.data) || sse_is_done_marker(event.data)));
    ASSERT(!sse_partial(&splitter));
    sse_done(&splitter);
}

// What a stream is when it is brought together, anybody can write.
static void cross_collected(struct arena *arena, const struct dialect *from,
                            const struct dialect *to, struct slice text)
{
    struct canon_answer a = {.arena = arena, .from = from};
    struct dialect_usage usage = {0};
    struct canon_collector c;
    struct json_writer w;
    struct slice written;

    if (!dialect_translates(to, from, true))
        return;
    canon_collector_init(&c, &a);
    int rc = canon_collect(&c, text, &usage);
    ASSERT(rc == 0 || rc == ERR_BAD_SSE || rc == ERR_UPSTREAM_TRUNCATED || rc == ERR_NOMEM ||
           rc == ERR_LIMIT || (rc == ERR_UPSTREAM_PROTOCOL && c.failed));
    if (rc)
        return;
    json_writer_init(&w, arena, 0);
    if (to->translation->write_answer(&a, &context, &w) == 0 && json_writer_done(&w, &written) == 0)
        ASSERT(is_object(written));
}

static void cross_answer(struct arena *arena, const struct dialect *from, const struct dialect *to,
                         struct slice text)
{
    struct canon_answer a = {.arena = arena};
    struct json_writer w;
    struct slice written;

    if (!dialect_translates(to, from, false) || from->translation->read_answer(&a, text) != 0)
        return;
    json_writer_init(&w, arena, 0);
    if (to->translation->write_answer(&a, &context, &w) == 0 && json_writer_done(&w, &written) == 0)
        ASSERT(is_object(written));
}

static void cross_request(struct arena *arena, const struct dialect *from, const struct dialect *to,
                          struct slice text, unsigned how)
{
    static const struct slice models[] = {
        {"m\"\n", 3}, SLICE("claude-opus-4-6"), SLICE("claude-sonnet-5")};
    struct canon_request r = {.arena = arena, .keep_thoughts = how & 1};
    struct json_writer w;
    struct slice written;

    if (!dialect_translates(from, to, false) || !is_object(text) ||
        from->translation->read_request(&r, text) != 0)
        return;
    json_writer_init(&w, arena, 0);
    int rc = to->translation->write_request(&r, models[how / 2 % ARRAY_LEN(models)], &w);
    if (rc == 0 && json_writer_done(&w, &written) == 0)
        ASSERT(is_object(written));
    if (rc)
        check_error(&r, rc);
}

// The text's first byte says which two and what.
static void try_cross(struct arena *arena, const struct dialect *row, struct slice text, bool to)
{
    static const struct dialect *const others[] = {&dialect_openai_chat, &dialect_openai_responses,
                                                   &dialect_openai_text};
    if (text.len == 0)
        return;
    unsigned what = (unsigned char)text.ptr[0];
    const struct dialect *other = others[what / 4 % ARRAY_LEN(others)];
    const struct dialect *a = to ? row : other, *b = to ? other : row;
    text = slice_skip(text, 1);
    if (what % 4 == 0)
        cross_request(arena, a, b, text, what / 4 / ARRAY_LEN(others));
    else if (what % 4 == 1)
        cross_answer(arena, a, b, text);
    else if (what % 4 == 2)
        cross_stream(arena, a, b, text);
    else
        cross_collected(arena, a, b, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct desk d;

    if (size == 0)
        return 0;
    unsigned how = data[0];
    const struct dialect *row = rows[how / 4 % ARRAY_LEN(rows)];
    struct slice text = slice_of(data + 1, size - 1);
    block_pool_init(&d.pool, 4);
    arena_init(&d.arena, &d.pool, how & 64 ? (how & 128 ? 0 : BLOCK_BYTES) : (size_t)64 << 20);
    switch (how % 4) {
    case 0:
        try_request(&d.arena, row, text, how & 32);
        break;
    case 1:
        try_answer(&d.arena, row, text);
        break;
    case 2:
        try_stream(&d.arena, row, text);
        break;
    default:
        try_cross(&d.arena, row, text, how & 32);
        break;
    }
    arena_done(&d.arena);
    block_pool_done(&d.pool);
    return 0;
}
