// SPDX-License-Identifier: Apache-2.0
//
// content.c: from a record's bytes to what a LogEntry says of them.
//
// The two shapes of the API, chat and responses, are dialects themselves: a text in one of them is
// taken apart as it stands, any other is first written in the nearer one.

#include "admin/content.h"
#include "base/container.h"
#include "base/err.h"
#include "base/fold.h"
#include "codec/canon_collect.h"
#include "codec/dialect.h"
#include "codec/json_scan.h"
#include "gateway/row.h"

// What folding saves, at least, in a stream worth a worker.
#define FOLDED_TIMES 8

// How a dialect's content is told.
struct shape {
    const struct dialect *from;
    const struct dialect *as; // the API's: chat or responses
    bool counts;              // answered by a number: nothing to tell of the answer
};

static const struct shape shapes[] = {
    {&dialect_openai_chat, &dialect_openai_chat, false},
    {&dialect_openai_text, &dialect_openai_chat, false},
    {&dialect_anthropic_complete, &dialect_openai_chat, false},
    {&dialect_openai_responses, &dialect_openai_responses, false},
    {&dialect_anthropic_messages, &dialect_openai_responses, false},
    {&dialect_openai_input_tokens, &dialect_openai_responses, true},
    {&dialect_anthropic_count_tokens, &dialect_openai_responses, true},
    {&dialect_openai_embeddings, &dialect_openai_embeddings, false},
};

static const struct shape *shape_of(struct slice bytes)
{
    struct row row;

    if (row_read(bytes, &row) < 0)
        return NULL;
    for (unsigned i = 0; i < ARRAY_LEN(shapes); i++)
        if (slice_eq(shapes[i].from->name, row.text[ROW_DIALECT]))
            return &shapes[i];
    return NULL;
}

// ---- Members ---------------------------------------------------------------------------------

static void add_member(struct buf *out, const char *name, struct slice value)
{
    if (value.len == 0)
        return;
    buf_printf(out, ",\"%s\":", name);
    buf_add(out, value);
}

static bool is_named(struct json_member m, const char *name)
{
    return m.key.len == strlen(name) + 2 && memcmp(m.key.ptr + 1, name, strlen(name)) == 0;
}

static bool is_object(struct slice text)
{
    struct json_scanner scan;
    return text.len > 0 && json_scan(&scan, text, NULL, 0, 0) == 0;
}

// A text as the list that the API has: what a client may write instead of a list of one message.
static void add_input(struct buf *out, struct json_member m)
{
    if (m.type == JSON_STRING) {
        buf_add(out, SLICE(",\"responses_input_history\":[{\"role\":\"user\",\"content\":"));
        buf_add(out, m.value);
        buf_add(out, SLICE("}]"));
    } else if (m.type == JSON_ARRAY) {
        add_member(out, "responses_input_history", m.value);
    }
}

// The members of a request in one of the API's shapes; what routed it is in the row.
static void add_request(struct buf *out, const struct dialect *as, struct slice text)
{
    static const char *const routing[] = {"model", "stream", "stream_options", "fallbacks"};
    struct json_member m;
    struct buf params;
    size_t at = 0;

    buf_init(&params, CONTENT_TEXT_BYTES_MAX);
    while (json_object_next(text, &at, &m)) {
        bool routes = false;
        for (unsigned i = 0; i < ARRAY_LEN(routing); i++)
            routes |= is_named(m, routing[i]);
        if (is_named(m, "messages")) {
            add_member(out, "input_history", m.value);
        } else if (is_named(m, "input")) {
            if (as == &dialect_openai_responses)
                add_input(out, m);
        } else if (is_named(m, "tools")) {
            add_member(out, "tools", m.value);
        } else if (!routes) {
            buf_add_char(&params, params.len == 0 ? '{' : ',');
            buf_add(&params, m.key);
            buf_add_char(&params, ':');
            buf_add(&params, m.value);
        }
    }
    if (params.len > 0)
        buf_add_char(&params, '}');
    if (!params.err)
        add_member(out, "params", buf_slice(&params));
    buf_done(&params);
}

static void add_embeddings(struct buf *out, struct slice text)
{
    struct slice data = json_object_get(text, SLICE("data")).value, element;
    enum json_type type;
    size_t at = 0;
    bool any = false;

    while (json_array_next(data, &at, &type, &element)) {
        struct json_member e = {.type = JSON_NONE};
        if (type == JSON_OBJECT)
            e = json_object_get(element, SLICE("embedding"));
        if (e.type != JSON_ARRAY) // base64 is no list of numbers
            continue;
        buf_add(out, any ? SLICE(",") : SLICE(",\"embedding_output\":["));
        buf_add(out, e.value);
        any = true;
    }
    if (any)
        buf_add_char(out, ']');
}

static void add_answer(struct buf *out, const struct dialect *as, struct slice text)
{
    if (as == &dialect_openai_embeddings) {
        add_embeddings(out, text);
        return;
    }
    if (as == &dialect_openai_responses) {
        struct json_member output = json_object_get(text, SLICE("output"));
        if (output.type == JSON_ARRAY)
            add_member(out, "responses_output", output.value);
        return;
    }
    enum json_type type = JSON_NONE;
    struct slice choice;
    size_t at = 0;
    if (!json_array_next(json_object_get(text, SLICE("choices")).value, &at, &type, &choice) ||
        type != JSON_OBJECT)
        return;
    struct json_member message = json_object_get(choice, SLICE("message"));
    if (message.type != JSON_OBJECT)
        return;
    add_member(out, "output_message", message.value);
    struct json_member calls = json_object_get(message.value, SLICE("tool_calls"));
    if (calls.type == JSON_ARRAY)
        add_member(out, "tool_calls", calls.value);
}

// ---- Other dialects ----------------------------------------------------------------------------

static int write_request(const struct shape *s, struct slice text, struct arena *arena,
                         struct slice *ret)
{
    struct canon_request r = {.arena = arena, .from = s->from, .pass_extra = true};
    struct json_writer w;

    int rc = s->from->translation->read_request(&r, text);
    if (rc)
        return rc;
    json_writer_init(&w, arena, text.len);
    rc = s->as->translation->write_request(&r, SLICE("-"), &w);
    return rc ? rc : json_writer_done(&w, ret);
}

static int write_answer(const struct shape *s, const struct canon_answer *a, struct slice *ret)
{
    struct canon_context context = {.model = SLICE("-"), .id = SLICE("-")};
    struct json_writer w;

    json_writer_init(&w, a->arena, 0);
    int rc = s->as->translation->write_answer(a, &context, &w);
    return rc ? rc : json_writer_done(&w, ret);
}

// The event that ends a stream of responses repeats all of it.
static int find_response(struct slice events, struct arena *arena, struct slice *ret)
{
    struct slice found = SLICE_EMPTY;
    struct sse_splitter splitter;
    struct dialect_event d;
    struct sse_event e;

    sse_init(&splitter);
    sse_feed(&splitter, events);
    while (found.len == 0 && sse_next(&splitter, &e) == 0) {
        dialect_openai_responses.event(&e, &d);
        if (d.kind != DIALECT_EVENT_END || !is_object(e.data))
            continue;
        struct json_member m = json_object_get(e.data, SLICE("response"));
        found = m.type == JSON_OBJECT ? arena_copy(arena, m.value) : SLICE_EMPTY;
    }
    sse_done(&splitter);
    *ret = found;
    return found.len > 0 ? 0 : ERR_NOT_FOUND;
}

// What a stream that broke off had said counts, unless it had said nothing.
static int collect(const struct shape *s, struct slice events, struct arena *arena,
                   struct slice *ret)
{
    struct canon_answer a = {.arena = arena, .from = s->from};
    struct dialect_usage usage = {0};
    struct canon_collector c;

    if (s->from == &dialect_openai_responses && find_response(events, arena, ret) == 0)
        return 0;
    canon_collector_init(&c, &a);
    int rc = canon_collect(&c, events, &usage);
    if (rc)
        rc = canon_collector_break(&c);
    if (rc == 0 && !a.blocks)
        rc = ERR_NOT_FOUND;
    return rc ? rc : write_answer(s, &a, ret);
}

static int read_answer(const struct shape *s, struct slice text, struct arena *arena,
                       struct slice *ret)
{
    struct canon_answer a = {.arena = arena, .from = s->from};

    int rc = s->from->translation->read_answer(&a, text);
    return rc ? rc : write_answer(s, &a, ret);
}

// ---- All of it ---------------------------------------------------------------------------------

static void tell_request(const struct shape *s, struct slice text, struct buf *out)
{
    struct block_pool pool;
    struct arena arena;
    int rc = 0;

    if (!is_object(text))
        return;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, CONTENT_MEMORY_BYTES_MAX);
    if (s->from != s->as && !(s->counts && s->from == &dialect_openai_input_tokens))
        rc = write_request(s, text, &arena, &text);
    if (rc == 0)
        add_request(out, s->as, text);
    arena_done(&arena);
    block_pool_done(&pool);
}

static void tell_answer(const struct shape *s, struct slice text, bool events, struct buf *out)
{
    struct block_pool pool;
    struct arena arena;
    int rc = ERR_UNSUPPORTED;

    if (s->counts)
        return;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, CONTENT_MEMORY_BYTES_MAX);
    if (events)
        rc = s->from->translation && s->from->translation->read_event
                 ? collect(s, text, &arena, &text)
                 : rc;
    else if (is_object(text))
        rc = s->from != s->as ? read_answer(s, text, &arena, &text) : 0;
    if (rc == 0)
        add_answer(out, s->as, text);
    arena_done(&arena);
    block_pool_done(&pool);
}

void content_tell(const struct store_entry *entry, struct buf *out)
{
    const struct shape *shape = shape_of(entry->row);
    struct slice answer = entry->answer;
    bool cut = entry->cut;
    struct buf text;

    buf_init(&text, CONTENT_TEXT_BYTES_MAX);
    if (entry->answer_folded) {
        cut |= fold_read(entry->answer, &text) != 0;
        answer = buf_slice(&text);
    }
    if (shape && entry->request.len > 0)
        tell_request(shape, entry->request, out);
    if (shape && answer.len > 0)
        tell_answer(shape, answer, entry->answer_folded, out);
    if (entry->request.len > 0) {
        buf_add(out, SLICE(",\"raw_request\":"));
        buf_add_json(out, entry->request);
    }
    if (answer.len > 0) {
        buf_add(out, SLICE(",\"raw_response\":"));
        buf_add_json(out, answer);
    }
    if (cut)
        buf_add(out, SLICE(",\"content_cut\":true"));
    buf_done(&text);
}

size_t content_weight(const struct store_entry *entry)
{
    return entry->request.len + entry->answer.len * (entry->answer_folded ? FOLDED_TIMES : 1);
}
