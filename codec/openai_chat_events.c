// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_events.c: a provider's chunks become canonical events, for chat and for text.
//
// Chunks have no blocks; a block is opened at the first piece of its kind and closed when another
// kind, or another call, begins.
//
//     IDLE ──first chunk that says something: START──► OPEN ──[DONE]: STOP, END──► ENDED
//       └──[DONE]: START, STOP, END──► ENDED          any ──an error: ERROR──► FAILED
//
// Vendors differ, and all of this is taken: `role` in every chunk, `content` null or empty, no
// `delta`, usage in any chunk, thoughts under three names, calls whole or in pieces, without an
// index, without an identifier until later or at all, all with index 0. What tells two calls apart:
//
//     another index                                  another call
//     the same or no index, another id, and a name   another call
//     no index, no id, and a name                    another call
//     else                                           more of the open one
//
// A call is announced once its id and name are known; arguments that come before its id get it one
// made here, arguments before its name are malformed. So is a piece of a call that is closed, which
// the canonical order could not carry.
//
// A finish_reason closes the open block at once. STOP waits for the end: some vendors give a reason
// with every chunk, and no client's dialect shows it before.

#include "base/assert.h"
#include "base/err.h"
#include "codec/json_token.h"
#include "codec/openai_internal.h"

enum phase { IDLE, OPEN, ENDED, FAILED };

// The identifier of a call that has been closed.
struct closed_call {
    struct closed_call *next;
    struct slice id;
};

struct reading {
    enum phase phase;
    unsigned index; // of the open block, else of the next one
    bool open;      // BLOCK_START was given
    enum canon_block_kind block;
    enum canon_stop stop;
    struct slice id; // of the answer, when it is short
    struct canon_usage usage;
    // THINKING
    struct slice detail_index; // as written
    bool is_signed;
    // TOOL_CALL; `pending` before BLOCK_START
    bool pending;
    bool has_call_index;
    bool id_made;
    enum canon_tool_kind tool;
    uint64_t call_index;
    struct slice call_id, call_name;
    unsigned calls;
    struct closed_call *closed;
};

_Static_assert(sizeof(struct reading) <= CANON_STATE_BYTES, "the state fits its room");

// One event's way through.
struct chunk {
    struct canon_reader *r;
    struct reading *st;
    struct canon_sink *sink;
};

static int give(struct chunk *c, const struct canon_event *e)
{
    return c->sink->take(c->sink, e);
}

static int keep(struct chunk *c, struct slice s, struct slice *ret)
{
    *ret = s;
    if (s.len == 0)
        return 0;
    *ret = arena_copy(c->r->arena, s);
    return ret->ptr ? 0 : ERR_NOMEM;
}

// ---- Blocks ------------------------------------------------------------------------------------

static int start_block(struct chunk *c, enum canon_block_kind kind)
{
    struct reading *st = c->st;

    ASSERT(!st->open);
    if (st->index >= CANON_STREAM_BLOCKS_MAX)
        return ERR_LIMIT;
    st->open = true;
    st->pending = false;
    st->block = kind;
    st->is_signed = false;
    struct canon_event e = {.kind = CANON_BLOCK_START, .index = st->index, .block = kind};
    if (kind == CANON_TOOL_CALL) {
        e.tool = st->tool;
        e.id = st->call_id;
        e.name = st->call_name;
    }
    return give(c, &e);
}

static int start_call(struct chunk *c)
{
    struct reading *st = c->st;

    if (st->call_name.len == 0)
        return ERR_BAD_SSE;
    if (st->call_id.len == 0) {
        st->call_id = openai__make_call_id(c->r->arena, st->id, st->calls - 1);
        st->id_made = true;
    }
    return st->call_id.len == 0 ? ERR_NOMEM : start_block(c, CANON_TOOL_CALL);
}

static int close_block(struct chunk *c)
{
    struct reading *st = c->st;
    int rc = st->pending ? start_call(c) : 0;

    if (rc || !st->open)
        return rc;
    if (st->block == CANON_TOOL_CALL) {
        struct closed_call *call = arena_alloc(c->r->arena, sizeof(*call));
        if (!call)
            return ERR_NOMEM;
        *call = (struct closed_call){.next = st->closed, .id = st->call_id};
        st->closed = call;
    }
    struct canon_event e = {
        .kind = CANON_BLOCK_STOP, .index = st->index, .block = st->block, .tool = st->tool};
    st->open = false;
    st->index++;
    return give(c, &e);
}

static int enter_block(struct chunk *c, enum canon_block_kind kind)
{
    if (c->st->open && c->st->block == kind)
        return 0;
    int rc = close_block(c);
    return rc ? rc : start_block(c, kind);
}

static int give_delta(struct chunk *c, enum canon_delta_kind delta, struct slice text)
{
    struct canon_event e = {.kind = CANON_BLOCK_DELTA,
                            .index = c->st->index,
                            .block = c->st->block,
                            .tool = c->st->tool,
                            .delta = delta,
                            .text = text};
    return give(c, &e);
}

static int read_piece(struct chunk *c, enum canon_block_kind kind, struct slice text)
{
    if (literal_is_empty(text))
        return 0;
    int rc = enter_block(c, kind);
    return rc ? rc : give_delta(c, CANON_DELTA_TEXT, text);
}

// ---- Thoughts ----------------------------------------------------------------------------------

static int read_sealed(struct chunk *c, struct slice data)
{
    int rc = close_block(c);
    if (rc == 0)
        rc = start_block(c, CANON_REDACTED_THINKING);
    if (rc == 0)
        rc = give_delta(c, CANON_DELTA_DATA, data);
    return rc ? rc : close_block(c);
}

// Another thought begins with another index, or behind a signature.
static int enter_thought(struct chunk *c, struct slice index)
{
    struct reading *st = c->st;
    bool other = st->open && st->block == CANON_THINKING &&
                 (st->is_signed || (index.len > 0 && st->detail_index.len > 0 &&
                                    !slice_eq(index, st->detail_index)));
    int rc = other ? close_block(c) : 0;
    if (rc)
        return rc;
    bool fresh = !(st->open && st->block == CANON_THINKING);
    rc = enter_block(c, CANON_THINKING);
    return rc || !fresh ? rc : keep(c, index, &st->detail_index);
}

static int read_detail(struct chunk *c, struct slice detail)
{
    struct json_member m[DETAIL_COUNT];

    openai__pick(detail, &(struct openai_pick){openai__detail_names, DETAIL_COUNT, m});
    struct slice data = openai__text(&m[DETAIL_DATA]);
    if (literal_is(m[DETAIL_TYPE].value, SLICE("reasoning.encrypted")))
        return data.len > 0 ? read_sealed(c, data) : 0;
    struct slice text = openai__text(&m[DETAIL_TEXT]);
    struct slice signature = openai__text(&m[DETAIL_SIGNATURE]);
    if (text.len == 0)
        text = openai__text(&m[DETAIL_SUMMARY]);
    if (text.len == 0 && signature.len == 0)
        return 0;
    int rc = enter_thought(c, m[DETAIL_INDEX].value);
    if (rc == 0 && text.len > 0)
        rc = give_delta(c, CANON_DELTA_TEXT, text);
    if (rc || signature.len == 0)
        return rc;
    c->st->is_signed = true;
    return give_delta(c, CANON_DELTA_SIGNATURE, signature);
}

static bool says_something(struct slice detail)
{
    struct json_member m[DETAIL_COUNT];
    openai__pick(detail, &(struct openai_pick){openai__detail_names, DETAIL_COUNT, m});
    return openai__text(&m[DETAIL_TEXT]).len > 0 || openai__text(&m[DETAIL_SUMMARY]).len > 0 ||
           openai__text(&m[DETAIL_SIGNATURE]).len > 0 || openai__text(&m[DETAIL_DATA]).len > 0;
}

// The same thought may stand in the chunk under several names: details say most.
static int read_thoughts(struct chunk *c, const struct json_member *m)
{
    bool any = false;
    enum json_type type;
    struct slice detail;
    int rc = 0;

    if (m[SAID_DETAILS].type == JSON_ARRAY)
        for (size_t at = 0; rc == 0 && json_array_next(m[SAID_DETAILS].value, &at, &type, &detail);)
            if (type == JSON_OBJECT && says_something(detail)) {
                any = true;
                rc = read_detail(c, detail);
            }
    if (rc || any)
        return rc;
    struct slice text = openai__text(&m[SAID_REASONING]);
    if (text.len == 0)
        text = openai__text(&m[SAID_REASONING_CONTENT]);
    if (text.len == 0)
        return 0;
    rc = enter_thought(c, SLICE_EMPTY);
    return rc ? rc : give_delta(c, CANON_DELTA_TEXT, text);
}

// ---- Calls -------------------------------------------------------------------------------------

// What a piece of a call says.
struct call_piece {
    bool has_index;
    uint64_t index;
    bool custom;
    struct slice id, name, arguments; // absent when empty
};

static bool is_known_id(const struct reading *st, struct slice id)
{
    const struct closed_call *call = st->closed;
    while (call && !slice_eq(call->id, id))
        call = call->next;
    return call != NULL;
}

// See the table at the top.
static bool continues(const struct reading *st, const struct call_piece *p)
{
    bool same_name = p->name.len == 0 || st->call_name.len == 0 || slice_eq(p->name, st->call_name);
    bool have_id = st->call_id.len > 0 && !st->id_made;

    if (!st->pending && !(st->open && st->block == CANON_TOOL_CALL))
        return false;
    if (p->has_index && st->has_call_index && p->index != st->call_index)
        return false;
    if (p->id.len > 0 && have_id && !slice_eq(p->id, st->call_id))
        // Some vendors make up another id for every piece of a call; only the first has a name.
        return p->has_index && p->name.len == 0 && p->arguments.len > 0;
    if (p->id.len == 0 && !p->has_index)
        return p->name.len == 0 || st->call_name.len == 0;
    return same_name || (p->id.len > 0 && have_id);
}

static int begin_call(struct chunk *c, const struct call_piece *p)
{
    struct reading *st = c->st;

    if ((p->id.len == 0 && p->name.len == 0) || (p->id.len > 0 && is_known_id(st, p->id)))
        return ERR_BAD_SSE; // a piece of a call that is closed, or never began
    int rc = close_block(c);
    if (rc)
        return rc;
    st->pending = true;
    st->calls++;
    st->id_made = false;
    st->has_call_index = p->has_index;
    st->call_index = p->index;
    st->tool = p->custom ? CANON_TOOL_CUSTOM : CANON_TOOL_FUNCTION;
    rc = keep(c, p->id, &st->call_id);
    return rc ? rc : keep(c, p->name, &st->call_name);
}

// What a pending call did not know yet.
static int complete_call(struct chunk *c, const struct call_piece *p)
{
    struct reading *st = c->st;
    int rc = 0;

    if (!st->pending)
        return 0;
    if (st->call_id.len == 0)
        rc = keep(c, p->id, &st->call_id);
    if (rc == 0 && st->call_name.len == 0)
        rc = keep(c, p->name, &st->call_name);
    if (p->custom)
        st->tool = CANON_TOOL_CUSTOM;
    return rc;
}

static int read_call_piece(struct chunk *c, const struct call_piece *p)
{
    struct reading *st = c->st;
    int rc = continues(st, p) ? complete_call(c, p) : begin_call(c, p);

    if (rc)
        return rc;
    if (st->pending && (p->arguments.len > 0 || (st->call_id.len > 0 && st->call_name.len > 0)))
        rc = start_call(c);
    if (rc || p->arguments.len == 0)
        return rc;
    return give_delta(c, CANON_DELTA_TEXT, p->arguments);
}

// `holder` is {"name","arguments"} or {"name","input"}, or absent.
static int read_called(const struct json_member *holder, struct call_piece *p)
{
    struct json_member m[CALLED_COUNT];

    if (holder->type == JSON_NONE)
        return 0;
    if (holder->type != JSON_OBJECT)
        return ERR_BAD_SSE;
    openai__pick(holder->value, &(struct openai_pick){openai__called_names, CALLED_COUNT, m});
    const struct json_member *arguments = &m[p->custom ? CALLED_INPUT : CALLED_ARGUMENTS];
    if ((m[CALLED_NAME].type != JSON_NONE && m[CALLED_NAME].type != JSON_STRING) ||
        (arguments->type != JSON_NONE && arguments->type != JSON_STRING))
        return ERR_BAD_SSE;
    p->name = openai__text(&m[CALLED_NAME]);
    p->arguments = openai__text(arguments);
    return 0;
}

static int read_call(struct chunk *c, struct slice element)
{
    struct json_member m[CALL_COUNT];
    struct call_piece p = {0};

    openai__pick(element, &(struct openai_pick){openai__call_names, CALL_COUNT, m});
    if (m[CALL_INDEX].type != JSON_NONE) {
        if (json_u64(m[CALL_INDEX].value, &p.index) != 0)
            return ERR_BAD_SSE;
        p.has_index = true;
    }
    if (m[CALL_ID].type != JSON_NONE && m[CALL_ID].type != JSON_STRING)
        return ERR_BAD_SSE;
    p.id = openai__text(&m[CALL_ID]);
    p.custom = m[CALL_CUSTOM].type != JSON_NONE;
    int rc = read_called(&m[p.custom ? CALL_CUSTOM : CALL_FUNCTION], &p);
    return rc ? rc : read_call_piece(c, &p);
}

static int read_calls(struct chunk *c, const struct json_member *m)
{
    enum json_type type;
    struct slice element;
    struct call_piece old = {0};
    int rc = 0;

    if (m[SAID_FUNCTION_CALL].type != JSON_NONE) {
        rc = read_called(&m[SAID_FUNCTION_CALL], &old);
        if (rc == 0 && (old.name.len > 0 || old.arguments.len > 0))
            rc = read_call_piece(c, &old);
    }
    if (rc || m[SAID_CALLS].type == JSON_NONE)
        return rc;
    if (m[SAID_CALLS].type != JSON_ARRAY)
        return ERR_BAD_SSE;
    for (size_t at = 0; rc == 0 && json_array_next(m[SAID_CALLS].value, &at, &type, &element);)
        rc = type == JSON_OBJECT ? read_call(c, element) : ERR_BAD_SSE;
    return rc;
}

// ---- Deltas ------------------------------------------------------------------------------------

static int read_parts(struct chunk *c, struct slice array)
{
    enum json_type type;
    struct slice element;
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_array_next(array, &at, &type, &element);) {
        if (type != JSON_OBJECT)
            continue;
        struct json_member text = json_object_get(element, SLICE("text"));
        rc = read_piece(c, CANON_TEXT, openai__text(&text));
    }
    return rc;
}

static int read_content(struct chunk *c, const struct json_member *m)
{
    switch (m->type) {
    case JSON_NONE:
        return 0;
    case JSON_STRING:
        return read_piece(c, CANON_TEXT, m->value);
    case JSON_ARRAY: // some vendors' parts
        return read_parts(c, m->value);
    default:
        return ERR_BAD_SSE;
    }
}

static int read_annotations(struct chunk *c, const struct json_member *m)
{
    enum json_type type;
    struct slice element;
    int rc = 0;

    if (m->type != JSON_ARRAY || !c->st->open || c->st->block != CANON_TEXT)
        return 0;
    for (size_t at = 0; rc == 0 && json_array_next(m->value, &at, &type, &element);)
        if (type == JSON_OBJECT)
            rc = give_delta(c, CANON_DELTA_CITATION, element);
    return rc;
}

static int read_delta(struct chunk *c, const struct json_member *delta)
{
    struct json_member m[SAID_COUNT];

    if (delta->type == JSON_NONE)
        return 0;
    if (delta->type != JSON_OBJECT)
        return ERR_BAD_SSE;
    openai__pick(delta->value, &(struct openai_pick){openai__said_names, SAID_COUNT, m});
    int rc = read_thoughts(c, m);
    if (rc == 0)
        rc = read_content(c, &m[SAID_CONTENT]);
    if (rc == 0)
        rc = read_annotations(c, &m[SAID_ANNOTATIONS]);
    if (rc == 0)
        rc = read_piece(c, CANON_REFUSAL, openai__text(&m[SAID_REFUSAL]));
    return rc ? rc : read_calls(c, m);
}

// ---- Chunks ------------------------------------------------------------------------------------

static int read_choice(struct chunk *c, struct slice choice)
{
    enum { INDEX, DELTA, TEXT, REASON, LOGPROBS, COUNT };
    static const struct slice names[COUNT] = {
        [INDEX] = SLICE("index"),          [DELTA] = SLICE("delta"),       [TEXT] = SLICE("text"),
        [REASON] = SLICE("finish_reason"), [LOGPROBS] = SLICE("logprobs"),
    };
    struct json_member m[COUNT];

    openai__pick(choice, &(struct openai_pick){names, COUNT, m});
    if (m[INDEX].type == JSON_NUMBER && !slice_eq(m[INDEX].value, SLICE("0")))
        return 0; // one of several answers: there is one here
    if (m[REASON].type != JSON_NONE && m[REASON].type != JSON_STRING)
        return ERR_BAD_SSE;
    bool text = c->r->dialect == &dialect_openai_text;
    int rc = text ? read_content(c, &m[TEXT]) : read_delta(c, &m[DELTA]);
    if (rc == 0 && m[LOGPROBS].type == JSON_OBJECT && c->st->open && c->st->block == CANON_TEXT)
        rc = give_delta(c, CANON_DELTA_LOGPROBS, m[LOGPROBS].value);
    if (rc || openai__text(&m[REASON]).len == 0)
        return rc;
    c->st->stop = openai__read_stop(m[REASON].value);
    return close_block(c);
}

static int give_start(struct chunk *c, const struct json_member *m)
{
    enum { ID_BYTES_MAX = 80 }; // a longer one is of no use in made identifiers
    struct reading *st = c->st;
    struct canon_event e = {.kind = CANON_START};

    if (m) {
        e.id = openai__text(&m[FRAME_ID]);
        e.model = openai__text(&m[FRAME_MODEL]);
        e.service_tier = openai__text(&m[FRAME_SERVICE_TIER]);
        e.system_fingerprint = openai__text(&m[FRAME_FINGERPRINT]);
        if (json_u64(m[FRAME_CREATED].value, &e.created_s) != 0)
            e.created_s = 0;
        if (m[FRAME_USAGE].type == JSON_OBJECT)
            openai__read_usage(m[FRAME_USAGE].value, &st->usage);
        e.usage = st->usage;
    }
    st->phase = OPEN;
    int rc = e.id.len <= ID_BYTES_MAX ? keep(c, e.id, &st->id) : 0;
    return rc ? rc : give(c, &e);
}

static int give_end(struct chunk *c)
{
    struct reading *st = c->st;
    struct canon_event stop = {.kind = CANON_STOP, .stop = CANON_STOP_END};
    struct canon_event end = {.kind = CANON_END};
    int rc = st->phase == IDLE ? give_start(c, NULL) : 0;

    if (rc == 0)
        rc = close_block(c);
    if (rc)
        return rc;
    if (st->stop != CANON_STOP_UNSET)
        stop.stop = st->stop;
    // A call ends the answer whatever the vendor calls it (see openai_chat_answer.c).
    if (stop.stop == CANON_STOP_END && st->calls > 0)
        stop.stop = CANON_STOP_TOOL;
    st->phase = ENDED;
    rc = give(c, &stop);
    return rc ? rc : give(c, &end);
}

static int give_error(struct chunk *c, const struct json_member *error)
{
    struct canon_event e = {.kind = CANON_ERROR};
    int rc = openai__read_error(c->r->arena, error, &e.error);

    c->st->phase = FAILED;
    return rc ? rc : give(c, &e);
}

static int read_choices(struct chunk *c, const struct json_member *choices)
{
    enum json_type type;
    struct slice choice;
    int rc = 0;

    for (size_t at = 0; rc == 0 && choices->type == JSON_ARRAY &&
                        json_array_next(choices->value, &at, &type, &choice);)
        rc = type == JSON_OBJECT ? read_choice(c, choice) : ERR_BAD_SSE;
    return rc;
}

static int read_chunk(struct chunk *c, const struct json_member *m)
{
    const struct json_member *choices = &m[FRAME_CHOICES];
    bool has_usage = m[FRAME_USAGE].type == JSON_OBJECT;
    enum json_type type;
    struct slice choice;
    size_t at = 0;

    if (choices->type != JSON_ARRAY && choices->type != JSON_NONE && choices->type != JSON_NULL)
        return ERR_BAD_SSE;
    bool has_choice =
        choices->type == JSON_ARRAY && json_array_next(choices->value, &at, &type, &choice);
    if (!has_choice && !has_usage)
        return 0; // a filter's verdict, a ping
    int rc = c->st->phase == IDLE ? give_start(c, m) : 0;
    if (rc == 0)
        rc = read_choices(c, choices);
    if (rc || !has_usage)
        return rc;
    openai__read_usage(m[FRAME_USAGE].value, &c->st->usage);
    struct canon_event usage = {.kind = CANON_USAGE, .usage = c->st->usage};
    return usage.usage.known ? give(c, &usage) : 0;
}

int openai__read_event(struct canon_reader *r, const struct sse_event *event,
                       struct canon_sink *sink)
{
    struct chunk c = {.r = r, .st = (struct reading *)r->state, .sink = sink};
    struct slice data = event->data;
    struct json_scanner scan;
    struct json_member error;

    while (data.len > 0 && json__is_space(data.ptr[0]))
        data = slice_skip(data, 1);
    while (data.len > 0 && json__is_space(data.ptr[data.len - 1]))
        data.len--;
    if (!event->has_data || data.len == 0 || c.st->phase == ENDED)
        return 0;
    if (c.st->phase == FAILED)
        return ERR_BAD_SSE;
    if (sse_is_done_marker(data))
        return give_end(&c);
    if (json_scan(&scan, data, openai__frame_names, FRAME_COUNT, 0) != 0)
        return ERR_BAD_SSE;
    if (openai__is_error(&scan, &error) || slice_eq(event->type, SLICE("error")))
        return give_error(&c, &error);
    return read_chunk(&c, scan.member);
}
