// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_fuzz.c: any bytes as a request, an answer or a stream of chat or text completions.
//
// Input: a byte says which of them and in which dialect, a byte how much memory there is; the rest
// is the text, of a stream one event's data a line. Whatever is taken must come out as JSON, and
// once more the same; a stream's canonical events must keep their order, and be written as events.
#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum what { REQUEST, ANSWER, STREAM, WHATS };

struct desk {
    struct block_pool pool;
    struct arena arena;
    const struct dialect *dialect;
};

static const struct canon_context context = {
    .now_s = 7, .model = SLICE("model"), .id = SLICE("req-1")};

static const struct dialect *const dialects[] = {&dialect_openai_chat, &dialect_openai_text};

static void is_json(struct slice text)
{
    struct json_scanner scan;
    int rc = json_scan(&scan, text, NULL, 0, 0);
    // What is written may lie a level or two deeper.
    ASSERT(rc == 0 || rc == ERR_BAD_DEPTH);
}

// ---- Requests
// ------------------------------------------------------------------------------------

static void check_refusal(const struct canon_request *r, int rc)
{
    if (rc == ERR_BAD_TYPE || rc == ERR_MISSING || rc == ERR_UNSUPPORTED)
        ASSERT(r->refusal.param.len > 0 && r->refusal.message.len > 0);
    else
        ASSERT(rc == ERR_LIMIT || rc == ERR_NOMEM);
}

// Reads `text` and writes it for `to`, as if it had come from `from`. False: one of the two would
// not.
static bool rewrite(struct desk *d, struct slice text, const struct dialect *from,
                    const struct dialect *to, struct slice *ret)
{
    struct canon_request r = {
        .arena = &d->arena, .pass_extra = from != d->dialect, .keep_thoughts = from != d->dialect};
    struct json_writer w;
    int rc = d->dialect->translation->read_request(&r, text);

    if (rc == 0) {
        json_writer_init(&w, &d->arena, 0);
        r.from = from;
        rc = to->translation->write_request(&r, SLICE("model"), &w);
    }
    if (rc) {
        check_refusal(&r, rc);
        return false;
    }
    ASSERT(json_writer_done(&w, ret) == 0);
    is_json(*ret);
    return true;
}

static void try_request(struct desk *d, struct slice text)
{
    struct json_scanner scan;
    struct slice once, twice, other;

    if (json_scan(&scan, text, NULL, 0, 0) != 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        (void)rewrite(d, text, d->dialect, dialects[i], &other);
        (void)rewrite(d, text, &dialect_openai_responses, dialects[i], &other);
    }
    if (rewrite(d, text, d->dialect, d->dialect, &once) &&
        rewrite(d, once, d->dialect, d->dialect, &twice))
        ASSERT(slice_eq(once, twice));
}

// ---- Answers
// -------------------------------------------------------------------------------------

static bool answer(struct desk *d, struct slice text, const struct dialect *to, struct slice *ret)
{
    struct canon_answer a = {.arena = &d->arena};
    struct json_writer w;

    if (d->dialect->translation->read_answer(&a, text) != 0)
        return false;
    json_writer_init(&w, &d->arena, 0);
    int rc = to->translation->write_answer(&a, &context, &w);
    ASSERT(rc == 0 || rc == ERR_NOMEM);
    if (rc || json_writer_done(&w, ret) != 0)
        return false;
    is_json(*ret);
    return true;
}

static void try_answer(struct desk *d, struct slice text)
{
    struct slice once, twice;

    for (size_t i = 0; i < 2; i++)
        (void)answer(d, text, dialects[i], &once);
    if (answer(d, text, d->dialect, &once) && answer(d, once, d->dialect, &twice))
        ASSERT(slice_eq(once, twice));
}

// ---- Streams
// -------------------------------------------------------------------------------------

// Every event is `data: ` and JSON, or the end.
static void check_events(struct slice text)
{
    while (text.len > 0) {
        ptrdiff_t end = slice_find(text, SLICE("\n\n"));
        ASSERT(end > 0 && slice_starts(text, SLICE("data: ")));
        struct slice json = slice_of(text.ptr + 6, (size_t)end - 6);
        if (slice_eq(json, SLICE("[DONE]")))
            ASSERT((size_t)end + 2 == text.len);
        else
            is_json(json);
        text = slice_skip(text, (size_t)end + 2);
    }
}

// The writers assert the order of what is read.
static void try_stream(struct desk *d, const struct dialect *to, struct slice text)
{
    struct canon_translator t;
    struct json_writer out;
    struct slice got;

    canon_translator_init(&t, d->dialect, to, &d->arena, &context);
    json_writer_init(&out, &d->arena, 0);
    while (text.len > 0) {
        ptrdiff_t line = slice_find_char(text, '\n');
        struct slice event = slice_take(text, line < 0 ? text.len : (size_t)line);
        struct sse_event e = {.data = event, .has_data = true};
        if (slice_starts(event, SLICE("!"))) {
            e.type = SLICE("error");
            e.data = slice_skip(event, 1);
        }
        int rc = canon_translate(&t, &e, &out);
        ASSERT(rc == 0 || rc == ERR_BAD_SSE || rc == ERR_LIMIT || rc == ERR_NOMEM ||
               (rc == ERR_UPSTREAM_PROTOCOL && t.failed));
        if (rc)
            break;
        text = slice_skip(text, event.len + 1);
    }
    if (json_writer_done(&out, &got) == 0)
        check_events(got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice text = slice_of(data + 2, size - 2);
    struct desk d = {.dialect = dialects[data[0] / WHATS & 1]};
    size_t bytes_max = data[1] == '0' ? (size_t)64 << 20 : data[1] * (size_t)BLOCK_BYTES / 2;

    block_pool_init(&d.pool, 0);
    arena_init(&d.arena, &d.pool, bytes_max);
    switch ((enum what)(data[0] % WHATS)) {
    case REQUEST:
        try_request(&d, text);
        break;
    case ANSWER:
        try_answer(&d, text);
        break;
    default:
        try_stream(&d, dialects[0], text);
        try_stream(&d, dialects[1], text);
        break;
    }
    arena_done(&d.arena);
    block_pool_done(&d.pool);
    return 0;
}
