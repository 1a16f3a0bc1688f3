// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_fuzz.c: requests, answers and streams of responses that somebody made up.
//
// Input: the first byte says what the rest is (a request, an answer, a count, a stream whose events
// are lines), whom it comes from, and how much memory there is. What is read is written again: it
// must be JSON, a stream must be one that a client may see (stream_rules.h), and reading that and
// writing it once more must give the same text. Errors are of the kinds the contract names.
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"
#include "tests/support/stream_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { REQUEST, ANSWER, COUNT, STREAM };

static const struct dialect messages = {.name = {"anthropic_messages", 18}};
static const struct dialect chat = {.name = {"openai_chat", 11}};

static const struct canon_context context = {.now_s = 7, .model = {"m\"\n", 3}, .id = {"r-1", 3}};

static bool is_object(struct slice text)
{
    struct json_scanner scan;
    return json_scan(&scan, text, NULL, 0, 0) == 0;
}

// ---- Requests ----------------------------------------------------------------------------------

static void check_refusal(const struct canon_request *r, int rc)
{
    bool refused = rc == ERR_BAD_TYPE || rc == ERR_MISSING || rc == ERR_UNSUPPORTED;
    ASSERT(refused || rc == ERR_NOMEM || rc == ERR_LIMIT);
    if (refused)
        ASSERT(r->refusal.param.len > 0 && r->refusal.message.len > 0);
}

// The text as the provider gets it when a client of `from` sends it; empty when it does not.
static struct slice pass_request(struct arena *arena, struct slice text, const struct dialect *from,
                                 bool pass_extra, bool count)
{
    struct canon_request r = {.arena = arena, .pass_extra = pass_extra};
    struct json_writer w;
    struct slice written = SLICE_EMPTY;

    int rc = responses__read_request(&r, text);
    if (rc == 0) {
        r.from = from;
        json_writer_init(&w, arena, 0);
        rc = (count ? responses__write_count_request : responses__write_request)(&r, context.model,
                                                                                 &w);
        if (rc == 0)
            rc = json_writer_done(&w, &written);
    }
    if (rc) {
        check_refusal(&r, rc);
        return SLICE_EMPTY;
    }
    ASSERT(is_object(written));
    return written;
}

static void try_request(struct arena *arena, struct slice text, bool odd)
{
    if (!is_object(text))
        return;
    pass_request(arena, text, &messages, odd, odd);
    pass_request(arena, text, &chat, !odd, false);
    struct slice once = pass_request(arena, text, &dialect_openai_responses, odd, false);
    if (once.len == 0)
        return;
    struct slice twice = pass_request(arena, once, &dialect_openai_responses, odd, false);
    ASSERT(twice.len == 0 || slice_eq(once, twice)); // nothing: no memory, or no item was left
}

// ---- Answers -----------------------------------------------------------------------------------

static struct slice pass_answer(struct arena *arena, struct slice text, bool count)
{
    const struct dialect *row = count ? &dialect_openai_input_tokens : &dialect_openai_responses;
    struct canon_answer a = {.arena = arena};
    struct json_writer w;
    struct slice written = SLICE_EMPTY;

    int rc = row->translation->read_answer(&a, text);
    ASSERT(rc <= 0);
    if (rc)
        return SLICE_EMPTY;
    json_writer_init(&w, arena, 0);
    rc = row->translation->write_answer(&a, &context, &w);
    if (rc == 0)
        rc = json_writer_done(&w, &written);
    ASSERT(rc == 0 || rc == ERR_NOMEM || rc == ERR_LIMIT);
    if (rc)
        return SLICE_EMPTY;
    ASSERT(is_object(written));
    return written;
}

static void try_answer(struct arena *arena, struct slice text, bool count)
{
    struct slice once = pass_answer(arena, text, count);
    if (once.len == 0)
        return;
    struct slice twice = pass_answer(arena, once, count);
    ASSERT(twice.len == 0 || slice_eq(once, twice));
}

// ---- Streams -----------------------------------------------------------------------------------

// Reads and writes; `events` are lines, or whole events when `as_sse`. What was written, or nothing
// when it broke off.
static struct slice pass_stream(struct arena *arena, struct slice events, bool as_sse,
                                bool *ret_end)
{
    struct canon_translator t;
    struct json_writer out;
    struct sse_splitter split;
    struct sse_event event;
    struct slice written = SLICE_EMPTY;
    int rc = 0;

    canon_translator_init(&t, &dialect_openai_responses, &dialect_openai_responses, arena,
                          &context);
    json_writer_init(&out, arena, 0);
    sse_init(&split);
    if (as_sse)
        sse_feed(&split, events);
    while (rc == 0 && !t.failed) {
        if (as_sse) {
            if (sse_next(&split, &event) != 0)
                break;
        } else {
            if (events.len == 0)
                break;
            ptrdiff_t end = slice_find_char(events, '\n');
            struct slice line = end < 0 ? events : slice_take(events, (size_t)end);
            events = end < 0 ? SLICE_EMPTY : slice_skip(events, (size_t)end + 1);
            event = (struct sse_event){.data = line, .has_data = true};
        }
        rc = canon_translate(&t, &event, &out);
    }
    sse_done(&split);
    ASSERT(rc == 0 || rc == ERR_BAD_SSE || rc == ERR_NOMEM || rc == ERR_LIMIT ||
           (rc == ERR_UPSTREAM_PROTOCOL && t.failed));
    *ret_end = t.ended;
    if (out.err || rc == ERR_NOMEM || json_writer_done(&out, &written) != 0)
        return SLICE_EMPTY;
    return written;
}

static void try_stream(struct arena *arena, struct slice lines)
{
    struct stream_verdict verdict;
    bool ended;
    bool ended_again;

    struct slice once = pass_stream(arena, lines, false, &ended);
    if (once.len == 0)
        return;
    ASSERT(stream_rules_responses(once, ended, &verdict));
    struct slice twice = pass_stream(arena, once, true, &ended_again);
    if (twice.len == 0)
        return;
    ASSERT(ended == ended_again);
    ASSERT(stream_rules_responses(twice, ended, &verdict));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t ceilings[] = {64 << 20, 64 << 10, 16 << 10, 6 << 10};
    struct block_pool pool;
    struct arena arena;

    if (size == 0)
        return 0;
    struct slice text = slice_of(data + 1, size - 1);
    unsigned what = data[0];
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, ceilings[what >> 2 & 3]);
    switch ((enum kind)(what & 3)) {
    case REQUEST:
        try_request(&arena, text, what >> 4 & 1);
        break;
    case ANSWER:
        try_answer(&arena, text, false);
        break;
    case COUNT:
        try_answer(&arena, text, true);
        break;
    case STREAM:
        try_stream(&arena, text);
        break;
    }
    arena_done(&arena);
    block_pool_done(&pool);
    return 0;
}
