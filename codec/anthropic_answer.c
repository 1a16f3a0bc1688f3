// SPDX-License-Identifier: Apache-2.0
//
// anthropic_answer.c: a whole answer of messages, both ways, and what answers and streams share:
// usage, ends, the frame. Also the answer of counting, which is one number.
//
// Claude counts what its caches had to do with beside the input, the canonical form inside it. A
// message's id is the provider's without its prefix, because clients look at ours. A tool call
// whose arguments are no object (a provider's model wrote them) is an object that holds them as
// text: that is more than an error instead of the answer.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

// ---- Usage -------------------------------------------------------------------------------------

struct count {
    struct slice name; // with quotes, as a member's key is given
    enum dialect_usage_part part;
    size_t offset;
};

static void read_count(const struct json_member *m, const struct count *counts, size_t n,
                       struct dialect_usage *ret)
{
    uint64_t count;
    for (size_t i = 0; i < n; i++)
        if (slice_eq(m->key, counts[i].name) && dialect_tokens(m->value, &count) == 0) {
            memcpy((char *)ret + counts[i].offset, &count, sizeof(count));
            ret->parts |= (uint8_t)counts[i].part;
        }
}

// What lies deeper: how long a cache keeps what was written to it, and what was done on the web.
static void read_inner(struct slice object, struct dialect_usage *ret)
{
    static const struct count counts[] = {
        {SLICE("\"ephemeral_1h_input_tokens\""), DIALECT_USAGE_WRITE_1H,
         offsetof(struct dialect_usage, cached_write_1h_tokens)},
        {SLICE("\"web_search_requests\""), DIALECT_USAGE_SEARCHES,
         offsetof(struct dialect_usage, searches)},
    };
    struct json_member m;
    for (size_t at = 0; json_object_next(object, &at, &m);)
        read_count(&m, counts, ARRAY_LEN(counts), ret);
}

void anthropic__read_usage_parts(struct slice value, struct dialect_usage *ret)
{
    static const struct count counts[] = {
        {SLICE("\"input_tokens\""), DIALECT_USAGE_INPUT,
         offsetof(struct dialect_usage, input_tokens)},
        {SLICE("\"output_tokens\""), DIALECT_USAGE_OUTPUT,
         offsetof(struct dialect_usage, output_tokens)},
        {SLICE("\"cache_read_input_tokens\""), DIALECT_USAGE_READ,
         offsetof(struct dialect_usage, cached_read_tokens)},
        {SLICE("\"cache_creation_input_tokens\""), DIALECT_USAGE_WRITE,
         offsetof(struct dialect_usage, cached_write_tokens)},
    };
    struct json_member m;
    size_t at = 0;

    *ret = (struct dialect_usage){0};
    while (json_object_next(value, &at, &m)) {
        read_count(&m, counts, ARRAY_LEN(counts), ret);
        bool inner = slice_eq(m.key, SLICE("\"cache_creation\"")) ||
                     slice_eq(m.key, SLICE("\"server_tool_use\""));
        if (inner && m.type == JSON_OBJECT)
            read_inner(m.value, ret);
        if (slice_eq(m.key, SLICE("\"service_tier\"")) && m.type == JSON_STRING) {
            ret->tier = dialect_tier(m.value);
            ret->parts |= DIALECT_USAGE_TIER;
        }
    }
    ret->known = (ret->parts & (DIALECT_USAGE_INPUT | DIALECT_USAGE_OUTPUT | DIALECT_USAGE_READ |
                                DIALECT_USAGE_WRITE)) != 0;
}

void anthropic__update_usage(struct slice object, struct canon_usage *usage)
{
    struct dialect_usage told;
    struct dialect_usage sum = {.known = usage->known,
                                .input_tokens = usage->input_tokens,
                                .output_tokens = usage->output_tokens,
                                .cached_read_tokens = usage->cached_read_tokens,
                                .cached_write_tokens = usage->cached_write_tokens};

    anthropic__read_usage_parts(object, &told);
    if (!told.known)
        return;
    dialect_usage_update(&sum, &told);
    usage->known = true;
    usage->input_tokens = sum.input_tokens;
    usage->output_tokens = sum.output_tokens;
    usage->cached_read_tokens = sum.cached_read_tokens;
    usage->cached_write_tokens = sum.cached_write_tokens;
    usage->cached_known |= (told.parts & (DIALECT_USAGE_READ | DIALECT_USAGE_WRITE)) != 0;
    struct json_member details = json_object_get(object, SLICE("output_tokens_details"));
    if (details.type == JSON_OBJECT) {
        struct json_member thinking = json_object_get(details.value, SLICE("thinking_tokens"));
        if (dialect_tokens(thinking.value, &usage->reasoning_tokens) == 0)
            usage->reasoning_known = true;
    }
}

void anthropic__write_usage(struct json_writer *w, const struct canon_usage *usage)
{
    uint64_t cached = usage->cached_read_tokens + usage->cached_write_tokens;

    json_key(w, SLICE("usage"));
    json_object(w);
    json_member_number(w, SLICE("input_tokens"),
                       usage->input_tokens > cached ? usage->input_tokens - cached : 0);
    if (usage->cached_write_tokens > 0)
        json_member_number(w, SLICE("cache_creation_input_tokens"), usage->cached_write_tokens);
    if (usage->cached_known)
        json_member_number(w, SLICE("cache_read_input_tokens"), usage->cached_read_tokens);
    json_member_number(w, SLICE("output_tokens"), usage->output_tokens);
    if (usage->reasoning_known) {
        json_key(w, SLICE("output_tokens_details"));
        json_object(w);
        json_member_number(w, SLICE("thinking_tokens"), usage->reasoning_tokens);
        json_object_end(w);
    }
    json_object_end(w);
}

// ---- Ends --------------------------------------------------------------------------------------

static const struct {
    struct slice name;
    enum canon_stop stop;
} stops[] = {
    {SLICE("end_turn"), CANON_STOP_END},
    {SLICE("max_tokens"), CANON_STOP_LENGTH},
    {SLICE("tool_use"), CANON_STOP_TOOL},
    {SLICE("stop_sequence"), CANON_STOP_SEQUENCE},
    {SLICE("refusal"), CANON_STOP_FILTER},
    {SLICE("pause_turn"), CANON_STOP_PAUSE},
    {SLICE("model_context_window_exceeded"), CANON_STOP_CONTEXT},
};

// One of tomorrow is an end.
enum canon_stop anthropic__read_stop(struct slice literal)
{
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (literal_is(literal, stops[i].name))
            return stops[i].stop;
    return CANON_STOP_END;
}

void anthropic__write_stop(struct json_writer *w, enum canon_stop stop, struct slice sequence,
                           bool refused)
{
    struct slice name = SLICE("end_turn");

    if (refused && (stop == CANON_STOP_END || stop == CANON_STOP_UNSET))
        stop = CANON_STOP_FILTER;
    if (stop == CANON_STOP_SEQUENCE && sequence.len == 0)
        stop = CANON_STOP_END; // the provider did not say which
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (stops[i].stop == stop)
            name = stops[i].name;
    json_member_string(w, SLICE("stop_reason"), name);
    json_member(w, SLICE("stop_sequence"), stop == CANON_STOP_SEQUENCE ? sequence : SLICE("null"));
}

// ---- The frame ---------------------------------------------------------------------------------

static struct slice without_prefix(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] == '_' || id.ptr[i] == '-')
            return slice_skip(id, i + 1);
    return id;
}

void anthropic__write_id(struct json_writer *w, struct slice prefix, struct slice id,
                         const struct canon_context *c)
{
    json_key(w, SLICE("id"));
    json_string_open(w);
    json_string_inner(w, prefix);
    if (literal_is_empty(id))
        json_string_bytes(w, c->id);
    else
        json_string_inner(w, without_prefix(literal_inner(id)));
    json_string_close(w);
}

void anthropic__write_frame(struct json_writer *w, struct slice id, struct slice model,
                            const struct canon_context *c)
{
    anthropic__write_id(w, SLICE("msg_"), id, c);
    json_member(w, SLICE("type"), SLICE("\"message\""));
    json_member(w, SLICE("role"), SLICE("\"assistant\""));
    if (model.len > 0)
        json_member(w, SLICE("model"), model);
    else
        json_member_string(w, SLICE("model"), c->model);
}

// ---- Reading -----------------------------------------------------------------------------------

int anthropic__read_answer(struct canon_answer *a, struct slice text)
{
    enum { TYPE, ID, MODEL, CONTENT, REASON, SEQUENCE, USAGE, WANTED };
    static const struct slice names[WANTED] = {
        [TYPE] = SLICE("type"),          [ID] = SLICE("id"),
        [MODEL] = SLICE("model"),        [CONTENT] = SLICE("content"),
        [REASON] = SLICE("stop_reason"), [SEQUENCE] = SLICE("stop_sequence"),
        [USAGE] = SLICE("usage"),
    };
    const struct anthropic_reader rd = {.arena = a->arena, .parts = &a->parts};
    struct canon_block **tail = &a->blocks;
    struct json_scanner scan;

    int rc = json_scan(&scan, text, names, WANTED, 0);
    if (rc)
        return rc;
    const struct json_member *m = scan.member;
    if (m[CONTENT].type != JSON_ARRAY ||
        (m[TYPE].type != JSON_NONE && !literal_is(m[TYPE].value, SLICE("message"))))
        return ERR_UPSTREAM_PROTOCOL;
    a->from = &dialect_anthropic_messages;
    if (m[ID].type == JSON_STRING)
        a->id = m[ID].value;
    if (m[MODEL].type == JSON_STRING)
        a->model = m[MODEL].value;
    if (m[REASON].type == JSON_STRING)
        a->stop = anthropic__read_stop(m[REASON].value);
    if (m[SEQUENCE].type == JSON_STRING)
        a->stop_sequence = m[SEQUENCE].value;
    if (m[USAGE].type == JSON_OBJECT)
        anthropic__update_usage(m[USAGE].value, &a->usage);
    return anthropic__read_blocks(&rd, NULL, m[CONTENT].value, &tail);
}

int anthropic__read_count(struct canon_answer *a, struct slice text)
{
    static const struct slice names[] = {SLICE("input_tokens")};
    struct json_scanner scan;

    int rc = json_scan(&scan, text, names, ARRAY_LEN(names), 0);
    if (rc)
        return rc;
    if (dialect_tokens(scan.member[0].value, &a->usage.input_tokens) != 0)
        return ERR_UPSTREAM_PROTOCOL;
    a->from = &dialect_anthropic_count_tokens;
    a->usage.known = true;
    return 0;
}

// ---- Writing -----------------------------------------------------------------------------------

static void write_text(const struct canon_block *b, struct json_writer *w)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"text\""));
    json_member(w, SLICE("text"), b->text);
    json_object_end(w);
}

static void write_thinking(const struct canon_block *b, struct json_writer *w)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"thinking\""));
    json_member(w, SLICE("thinking"), b->text.len > 0 ? b->text : SLICE("\"\""));
    json_member(w, SLICE("signature"), b->signature.len > 0 ? b->signature : SLICE("\"\""));
    json_object_end(w);
}

static void write_redacted(const struct canon_block *b, struct json_writer *w)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"redacted_thinking\""));
    json_member(w, SLICE("data"), b->data);
    json_object_end(w);
}

static int write_call(const struct canon_answer *a, const struct canon_block *b,
                      struct json_writer *w)
{
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"tool_use\""));
    json_member(w, SLICE("id"), b->id.len > 0 ? b->id : SLICE("\"\""));
    json_member(w, SLICE("name"), b->name.len > 0 ? b->name : SLICE("\"\""));
    int rc = anthropic__write_input(w, a->arena, b);
    if (rc == ERR_BAD_TYPE && b->arguments_quoted) {
        struct canon_block text = *b;
        text.tool = CANON_TOOL_CUSTOM;
        rc = anthropic__write_input(w, a->arena, &text);
    }
    json_object_end(w);
    return rc == ERR_BAD_TYPE ? ERR_UPSTREAM_PROTOCOL : rc;
}

// What has no place in a message (searches, annotations, blocks of others' tools) is left out.
static int write_block(const struct canon_answer *a, const struct canon_block *b,
                       struct json_writer *w)
{
    switch (b->kind) {
    case CANON_TEXT:
    case CANON_REFUSAL:
        if (!literal_is_empty(b->text))
            write_text(b, w);
        return 0;
    case CANON_THINKING:
        write_thinking(b, w);
        return 0;
    case CANON_REDACTED_THINKING:
        write_redacted(b, w);
        return 0;
    case CANON_TOOL_CALL:
        return write_call(a, b, w);
    default:
        return 0;
    }
}

int anthropic__write_answer(const struct canon_answer *a, const struct canon_context *c,
                            struct json_writer *w)
{
    bool refused = false;
    int rc = 0;

    json_object(w);
    anthropic__write_frame(w, a->id, a->model, c);
    json_key(w, SLICE("content"));
    json_array(w);
    for (const struct canon_block *b = a->blocks; b && rc == 0; b = b->next) {
        refused |= b->kind == CANON_REFUSAL;
        rc = write_block(a, b, w);
    }
    json_array_end(w);
    anthropic__write_stop(w, a->stop, a->stop_sequence, refused);
    anthropic__write_usage(w, &a->usage);
    json_object_end(w);
    return rc ? rc : w->err;
}

int anthropic__write_count(const struct canon_answer *a, const struct canon_context *c,
                           struct json_writer *w)
{
    (void)c;
    if (!a->usage.known)
        return ERR_UPSTREAM_PROTOCOL;
    json_object(w);
    json_member_number(w, SLICE("input_tokens"), a->usage.input_tokens);
    json_object_end(w);
    return w->err;
}
