// SPDX-License-Identifier: Apache-2.0
//
// anthropic_events.c: a provider's events of messages become canonical ones. Called by
// canon_translate through the row.
//
//   IDLE ──message_start──► OPEN ──message_stop──► ENDED
//
//   in OPEN:  content_block_start ─► block open ─► content_block_delta… ─► content_block_stop
//             message_delta, when no block is open: the stop, and usage
//
// Claude's blocks do not overlap and are written one behind the other, as the canonical ones; what
// is out of that order is malformed. Blocks nobody else knows are walked past, so the canonical
// index counts only the others. A search that Claude made is told with its query, which comes in
// pieces of JSON and is whole only at the block's end: the one thing that is gathered.
//
// The scan of an event is the price of a delta: one walk, no unescaping, no copy.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

// The input of a search; stops one from filling memory. A longer one has no query to tell.
#define QUERY_BYTES_MAX 2048

enum phase { IDLE, OPEN, ENDED };

struct state {
    enum phase phase;
    bool in_block;
    bool walked_past;           // the open block has no canonical counterpart
    bool stopped;               // CANON_STOP was given
    enum canon_block_kind kind; // of the open block
    uint64_t provider_index;    // of the open block
    unsigned seen;              // the provider's blocks
    unsigned count;             // canonical blocks given
    struct canon_usage usage;
    char *query; // QUERY_BYTES_MAX, taken with the first search
    size_t query_len;
};

_Static_assert(sizeof(struct state) <= CANON_STATE_BYTES, "a stream remembers no more");

enum member { TYPE, INDEX, DELTA, BLOCK, MESSAGE, USAGE, ERROR, WANTED };

struct reading {
    struct canon_reader *reader;
    struct state *s;
    struct canon_sink *sink;
    const struct json_member *m; // of the event
};

int anthropic__scan_event(struct json_scanner *scan, const struct sse_event *event,
                          const struct slice *names, unsigned count)
{
    return json_scan(scan, event->data, names, count, 0) == 0 ? 0 : ERR_BAD_SSE;
}

static struct slice string_of(struct json_member m)
{
    return m.type == JSON_STRING ? m.value : SLICE_EMPTY;
}

static int give(const struct reading *x, const struct canon_event *e)
{
    return x->sink->take(x->sink, e);
}

// ---- Errors ------------------------------------------------------------------------------------

int anthropic__give_error(struct arena *arena, const struct json_member *error,
                          struct canon_sink *sink)
{
    static const struct {
        struct slice type;
        unsigned status;
    } types[] = {
        {SLICE("invalid_request_error"), 400}, {SLICE("authentication_error"), 401},
        {SLICE("billing_error"), 402},         {SLICE("permission_error"), 403},
        {SLICE("not_found_error"), 404},       {SLICE("request_too_large"), 413},
        {SLICE("rate_limit_error"), 429},      {SLICE("api_error"), 500},
        {SLICE("timeout_error"), 504},         {SLICE("overloaded_error"), 529},
    };
    struct canon_event e = {.kind = CANON_ERROR};

    if (error->type == JSON_OBJECT) {
        struct json_member type = json_object_get(error->value, SLICE("type"));
        struct json_member message = json_object_get(error->value, SLICE("message"));
        for (size_t i = 0; i < ARRAY_LEN(types); i++)
            if (literal_is(type.value, types[i].type))
                e.error.status = types[i].status;
        if (type.type == JSON_STRING &&
            anthropic__plain(arena, type.value, &e.error.type) == ERR_NOMEM)
            return ERR_NOMEM;
        if (message.type == JSON_STRING &&
            anthropic__plain(arena, message.value, &e.error.message) == ERR_NOMEM)
            return ERR_NOMEM;
    }
    return sink->take(sink, &e);
}

static int on_error(const struct reading *x)
{
    return anthropic__give_error(x->reader->arena, &x->m[ERROR], x->sink);
}

// ---- The frame ---------------------------------------------------------------------------------

static int on_start(const struct reading *x)
{
    struct slice message = x->m[MESSAGE].value;

    if (x->s->phase != IDLE || x->m[MESSAGE].type != JSON_OBJECT)
        return ERR_BAD_SSE;
    x->s->phase = OPEN;
    struct json_member usage = json_object_get(message, SLICE("usage"));
    if (usage.type == JSON_OBJECT)
        anthropic__update_usage(usage.value, &x->s->usage);
    const struct canon_event e = {
        .kind = CANON_START,
        .id = string_of(json_object_get(message, SLICE("id"))),
        .model = string_of(json_object_get(message, SLICE("model"))),
        .usage = x->s->usage,
    };
    return give(x, &e);
}

static int give_stop(const struct reading *x, struct slice delta)
{
    struct json_member reason = json_object_get(delta, SLICE("stop_reason"));

    if (reason.type != JSON_STRING || x->s->stopped)
        return 0;
    x->s->stopped = true;
    const struct canon_event e = {
        .kind = CANON_STOP,
        .stop = anthropic__read_stop(reason.value),
        .stop_sequence = string_of(json_object_get(delta, SLICE("stop_sequence"))),
    };
    return give(x, &e);
}

static int on_message_delta(const struct reading *x)
{
    if (x->s->phase != OPEN || x->s->in_block)
        return ERR_BAD_SSE;
    if (x->m[USAGE].type == JSON_OBJECT)
        anthropic__update_usage(x->m[USAGE].value, &x->s->usage);
    int rc = x->m[DELTA].type == JSON_OBJECT ? give_stop(x, x->m[DELTA].value) : 0;
    if (rc || !x->s->usage.known)
        return rc;
    const struct canon_event e = {.kind = CANON_USAGE, .usage = x->s->usage};
    return give(x, &e);
}

static int on_stop(const struct reading *x)
{
    if (x->s->phase != OPEN || x->s->in_block)
        return ERR_BAD_SSE;
    x->s->phase = ENDED;
    const struct canon_event e = {.kind = CANON_END};
    return give(x, &e);
}

// ---- Blocks ------------------------------------------------------------------------------------

static struct canon_event of_block(const struct state *s, enum canon_event_kind kind)
{
    return (struct canon_event){
        .kind = kind, .index = s->count, .block = s->kind, .tool = CANON_TOOL_FUNCTION};
}

static int give_delta(const struct reading *x, enum canon_delta_kind delta, struct slice text)
{
    if (literal_is_empty(text))
        return 0;
    struct canon_event e = of_block(x->s, CANON_BLOCK_DELTA);
    e.delta = delta;
    e.text = text;
    return give(x, &e);
}

// A call whose input came whole with its start, as some who imitate Claude send it.
static int give_input(const struct reading *x, struct slice block)
{
    struct json_member input = json_object_get(block, SLICE("input"));
    struct json_writer text;
    struct json_member first;
    struct slice literal;
    size_t at = 0;

    if (input.type != JSON_OBJECT || !json_object_next(input.value, &at, &first))
        return 0;
    json_writer_init(&text, x->reader->arena, input.value.len + input.value.len / 4 + 2);
    json_string(&text, input.value);
    int rc = json_writer_done(&text, &literal);
    return rc ? rc : give_delta(x, CANON_DELTA_TEXT, literal);
}

static int open_search(const struct reading *x)
{
    struct state *s = x->s;

    if (!s->query)
        s->query = arena_bytes(x->reader->arena, QUERY_BYTES_MAX);
    s->query_len = 0;
    return s->query ? 0 : ERR_NOMEM;
}

static const struct opening {
    struct slice type;
    enum canon_block_kind kind;
    enum canon_delta_kind delta; // what the start may hold already
    struct slice member;
} openings[] = {
    {SLICE("text"), CANON_TEXT, CANON_DELTA_TEXT, SLICE("text")},
    {SLICE("thinking"), CANON_THINKING, CANON_DELTA_TEXT, SLICE("thinking")},
    {SLICE("redacted_thinking"), CANON_REDACTED_THINKING, CANON_DELTA_DATA, SLICE("data")},
    {SLICE("tool_use"), CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE_EMPTY},
    {SLICE("server_tool_use"), CANON_WEB_SEARCH, CANON_DELTA_TEXT, SLICE_EMPTY},
};

static const struct opening *opening_of(struct slice block, struct slice type)
{
    for (size_t i = 0; i < ARRAY_LEN(openings); i++) {
        if (!literal_is(type, openings[i].type))
            continue;
        if (openings[i].kind != CANON_WEB_SEARCH)
            return &openings[i];
        struct json_member name = json_object_get(block, SLICE("name"));
        return literal_is(name.value, SLICE("web_search")) ? &openings[i] : NULL;
    }
    return NULL;
}

static int open_block(const struct reading *x, const struct opening *opening, struct slice block)
{
    struct state *s = x->s;

    s->kind = opening->kind;
    struct canon_event e = of_block(s, CANON_BLOCK_START);
    e.id = string_of(json_object_get(block, SLICE("id")));
    e.name = string_of(json_object_get(block, SLICE("name")));
    if (s->kind == CANON_TOOL_CALL && (e.id.len == 0 || e.name.len == 0))
        return ERR_BAD_SSE;
    int rc = s->kind == CANON_WEB_SEARCH ? open_search(x) : 0;
    if (rc == 0)
        rc = give(x, &e);
    if (rc)
        return rc;
    if (s->kind == CANON_TOOL_CALL)
        return give_input(x, block);
    if (opening->member.len == 0)
        return 0;
    return give_delta(x, opening->delta, string_of(json_object_get(block, opening->member)));
}

static int on_block_start(const struct reading *x)
{
    struct state *s = x->s;
    struct slice block = x->m[BLOCK].value;

    if (s->phase != OPEN || s->in_block || s->stopped || x->m[BLOCK].type != JSON_OBJECT ||
        json_u64(x->m[INDEX].value, &s->provider_index) != 0)
        return ERR_BAD_SSE;
    struct json_member type = json_object_get(block, SLICE("type"));
    if (type.type != JSON_STRING)
        return ERR_BAD_SSE;
    if (s->seen++ >= CANON_STREAM_BLOCKS_MAX)
        return ERR_LIMIT;
    s->in_block = true;
    const struct opening *opening = opening_of(block, type.value);
    s->walked_past = !opening;
    return opening ? open_block(x, opening, block) : 0;
}

// Is the event about the block that is open?
static bool is_open(const struct reading *x)
{
    uint64_t index;
    return x->s->phase == OPEN && x->s->in_block && json_u64(x->m[INDEX].value, &index) == 0 &&
           index == x->s->provider_index;
}

static int gather_query(struct state *s, struct slice piece)
{
    struct slice plain;
    size_t room = QUERY_BYTES_MAX - s->query_len;

    // json_unescape writes fewer bytes than the literal has.
    if (piece.len > room) {
        s->query_len = QUERY_BYTES_MAX;
        return 0;
    }
    if (json_unescape(piece, s->query + s->query_len, &plain) != 0)
        return ERR_BAD_SSE;
    memmove(s->query + s->query_len, plain.ptr, plain.len);
    s->query_len += plain.len;
    return 0;
}

static int give_query(const struct reading *x)
{
    static const struct slice names[] = {SLICE("query")};
    struct json_scanner scan;

    if (x->s->query_len >= QUERY_BYTES_MAX ||
        json_scan(&scan, slice_of(x->s->query, x->s->query_len), names, 1, 0) != 0)
        return 0;
    return give_delta(x, CANON_DELTA_TEXT, string_of(scan.member[0]));
}

static const struct delta_type {
    struct slice type; // with quotes, as it stands
    struct slice member;
    enum canon_delta_kind kind;
    unsigned blocks; // bit n: enum canon_block_kind
} deltas[] = {
    {SLICE("\"text_delta\""), SLICE("\"text\""), CANON_DELTA_TEXT, 1u << CANON_TEXT},
    {SLICE("\"input_json_delta\""), SLICE("\"partial_json\""), CANON_DELTA_TEXT,
     1u << CANON_TOOL_CALL | 1u << CANON_WEB_SEARCH},
    {SLICE("\"thinking_delta\""), SLICE("\"thinking\""), CANON_DELTA_TEXT, 1u << CANON_THINKING},
    {SLICE("\"signature_delta\""), SLICE("\"signature\""), CANON_DELTA_SIGNATURE,
     1u << CANON_THINKING},
    {SLICE("\"citations_delta\""), SLICE("\"citation\""), CANON_DELTA_CITATION, 1u << CANON_TEXT},
};

static const struct delta_type *delta_of(struct slice delta)
{
    struct json_member type = json_object_get(delta, SLICE("type"));
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++)
        if (slice_eq(type.value, deltas[i].type))
            return &deltas[i];
    return NULL;
}

static int on_block_delta(const struct reading *x)
{
    struct state *s = x->s;

    if (!is_open(x) || x->m[DELTA].type != JSON_OBJECT)
        return ERR_BAD_SSE;
    if (s->walked_past)
        return 0;
    const struct delta_type *type = delta_of(x->m[DELTA].value);
    if (!type)
        return 0; // a kind of tomorrow
    struct json_member payload = json_object_get(x->m[DELTA].value, literal_inner(type->member));
    enum json_type wanted = type->kind == CANON_DELTA_CITATION ? JSON_OBJECT : JSON_STRING;
    if (!(type->blocks & 1u << s->kind) || payload.type != wanted)
        return ERR_BAD_SSE;
    if (s->kind == CANON_WEB_SEARCH)
        return gather_query(s, payload.value);
    return give_delta(x, type->kind, payload.value);
}

static int on_block_stop(const struct reading *x)
{
    struct state *s = x->s;

    if (!is_open(x))
        return ERR_BAD_SSE;
    s->in_block = false;
    if (s->walked_past)
        return 0;
    int rc = s->kind == CANON_WEB_SEARCH ? give_query(x) : 0;
    if (rc)
        return rc;
    struct canon_event e = of_block(s, CANON_BLOCK_STOP);
    s->count++;
    return give(x, &e);
}

// ---- Events ------------------------------------------------------------------------------------

static const struct {
    struct slice name;
    int (*on)(const struct reading *x);
} events[] = {
    {SLICE("content_block_delta"), on_block_delta}, // most of them
    {SLICE("content_block_start"), on_block_start},
    {SLICE("content_block_stop"), on_block_stop},
    {SLICE("message_start"), on_start},
    {SLICE("message_delta"), on_message_delta},
    {SLICE("message_stop"), on_stop},
    {SLICE("error"), on_error},
};

static size_t find(struct slice name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(events) && !slice_eq(name, events[i].name))
        i++;
    return i;
}

int anthropic__read_event(struct canon_reader *r, const struct sse_event *event,
                          struct canon_sink *sink)
{
    static const struct slice names[WANTED] = {
        [TYPE] = SLICE("type"),           [INDEX] = SLICE("index"),     [DELTA] = SLICE("delta"),
        [BLOCK] = SLICE("content_block"), [MESSAGE] = SLICE("message"), [USAGE] = SLICE("usage"),
        [ERROR] = SLICE("error"),
    };
    struct json_scanner scan;
    size_t i = find(event->type);

    // Unknown by its line: whatever it holds, it says nothing here.
    if (!event->has_data || (event->type.len > 0 && i == ARRAY_LEN(events)))
        return 0;
    struct state *s = (struct state *)(void *)r->state;
    if (s->phase == ENDED && event->type.len == 0)
        return 0; // such as the [DONE] of others
    int rc = anthropic__scan_event(&scan, event, names, WANTED);
    if (rc)
        return rc;
    if (event->type.len == 0)
        i = find(literal_inner(string_of(scan.member[TYPE])));
    if (i == ARRAY_LEN(events))
        return 0;
    const struct reading x = {.reader = r, .s = s, .sink = sink, .m = scan.member};
    return events[i].on(&x);
}
