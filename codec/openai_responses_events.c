// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_events.c: a provider's stream of a response, read event by event.
//
// What streams are items, and parts of items; what comes out are blocks, one after another. A block
// is named by its place: the item's `output_index`, and for parts of a message their
// `content_index`. Places only rise, so an event for a place behind us is out of order.
//
//     output_item.added      call: START
//     …delta                 DELTA; a text, a refusal or a thought begins (START) with its first
//     …done                  the whole, as one DELTA, when it had none
//     content_part.done      STOP
//     output_item.done       STOP; a thought: its seal first; a search: all of it
//     response.completed …   STOP of what is open, STOP, USAGE, END
//     response.failed, error ERROR
//
//     IDLE ──any known event──► OPEN ──terminal event──► ENDED: whatever follows gives nothing
//
// A thought's summary may have several parts; they are one thought, with an empty line between.
//
// Sources: platform.openai.com/docs/api-reference/responses-streaming; gpt-oss for reasoning_text.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_responses_internal.h"

// A place: output_index in the upper half, content_index plus one in the lower. No place: 0.
struct state {
    bool started, ended;
    bool open;
    bool said; // the open block had a delta of text
    bool of_summary;
    bool has_call, has_refusal;
    enum canon_block_kind block;
    enum canon_tool_kind tool;
    unsigned blocks; // closed ones
    uint64_t place;  // of the open block, or of the last one
    uint64_t thought_part;
};

_Static_assert(sizeof(struct state) <= CANON_STATE_BYTES, "fits");

enum {
    TYPE,
    DELTA,
    OUTPUT_INDEX,
    CONTENT_INDEX,
    SUMMARY_INDEX,
    ITEM,
    TEXT,
    REFUSAL,
    ARGUMENTS,
    INPUT,
    ANNOTATION,
    LOGPROBS,
    RESPONSE,
    ERROR,
    CODE,
    MESSAGE,
    PARAM,
    WANTED
};

static const struct slice names[WANTED] = {
    [TYPE] = SLICE("type"),
    [DELTA] = SLICE("delta"),
    [OUTPUT_INDEX] = SLICE("output_index"),
    [CONTENT_INDEX] = SLICE("content_index"),
    [SUMMARY_INDEX] = SLICE("summary_index"),
    [ITEM] = SLICE("item"),
    [TEXT] = SLICE("text"),
    [REFUSAL] = SLICE("refusal"),
    [ARGUMENTS] = SLICE("arguments"),
    [INPUT] = SLICE("input"),
    [ANNOTATION] = SLICE("annotation"),
    [LOGPROBS] = SLICE("logprobs"),
    [RESPONSE] = SLICE("response"),
    [ERROR] = SLICE("error"),
    [CODE] = SLICE("code"),
    [MESSAGE] = SLICE("message"),
    [PARAM] = SLICE("param"),
};

struct reading {
    struct state *s;
    struct arena *arena;
    struct canon_sink *sink;
    const struct json_member *m; // WANTED of them
};

// ---- Events out --------------------------------------------------------------------------------

static int give(const struct reading *x, const struct canon_event *e)
{
    return x->sink->take(x->sink, e);
}

static struct canon_event of_block(const struct state *s, enum canon_event_kind kind)
{
    return (struct canon_event){
        .kind = kind, .index = s->blocks, .block = s->block, .tool = s->tool};
}

static struct slice string_of(const struct json_member *m)
{
    return m->type == JSON_STRING ? m->value : SLICE_EMPTY;
}

static struct slice string_in(struct slice object, struct slice name)
{
    struct json_member m = json_object_get(object, name);
    return string_of(&m);
}

static int start(const struct reading *x, struct slice response)
{
    struct canon_event e = {.kind = CANON_START};
    struct json_member created = json_object_get(response, SLICE("created_at"));

    if (x->s->started)
        return 0;
    x->s->started = true;
    e.id = string_in(response, SLICE("id"));
    e.model = string_in(response, SLICE("model"));
    e.service_tier = string_in(response, SLICE("service_tier"));
    e.created_s = responses__seconds(&created);
    return give(x, &e);
}

static int stop_block(const struct reading *x)
{
    struct state *s = x->s;

    if (!s->open)
        return 0;
    struct canon_event e = of_block(s, CANON_BLOCK_STOP);
    s->open = false;
    s->blocks++;
    return give(x, &e);
}

static int start_block(const struct reading *x, enum canon_block_kind block,
                       enum canon_tool_kind tool, uint64_t place, struct slice id,
                       struct slice name)
{
    struct state *s = x->s;

    int rc = stop_block(x);
    if (rc)
        return rc;
    if (s->blocks >= CANON_STREAM_BLOCKS_MAX)
        return ERR_LIMIT;
    s->block = block;
    s->tool = tool;
    s->place = place;
    s->open = true;
    s->said = false;
    s->has_call |= block == CANON_TOOL_CALL;
    s->has_refusal |= block == CANON_REFUSAL;
    struct canon_event e = of_block(s, CANON_BLOCK_START);
    e.id = id;
    e.name = name;
    return give(x, &e);
}

static int give_delta(const struct reading *x, enum canon_delta_kind delta, struct slice text)
{
    struct canon_event e = of_block(x->s, CANON_BLOCK_DELTA);

    if (delta == CANON_DELTA_TEXT && text.len <= 2)
        return 0;
    x->s->said |= delta == CANON_DELTA_TEXT;
    e.delta = delta;
    e.text = text;
    return give(x, &e);
}

// ---- Places ------------------------------------------------------------------------------------

// 0 and *ret; ERR_BAD_SSE when it is no number. Some vendors leave indices out: no place then.
static int index_of(const struct json_member *m, uint64_t *ret)
{
    *ret = 0;
    if (m->type == JSON_NONE || m->type == JSON_NULL)
        return 0;
    if (m->type != JSON_NUMBER || json_u64(m->value, ret) != 0 || *ret >= UINT32_MAX)
        return ERR_BAD_SSE;
    ++*ret;
    return 0;
}

static int place_of(const struct reading *x, bool of_part, uint64_t *ret)
{
    uint64_t output;
    uint64_t content = 0;

    int rc = index_of(&x->m[OUTPUT_INDEX], &output);
    if (rc == 0 && of_part)
        rc = index_of(&x->m[CONTENT_INDEX], &content);
    *ret = output << 32 | content;
    return rc;
}

// The block that takes a delta of this kind at this place: the open one, or one that opens now.
static int enter(const struct reading *x, enum canon_block_kind block, bool of_part)
{
    const struct state *s = x->s;
    uint64_t place;

    int rc = place_of(x, of_part, &place);
    if (rc)
        return rc;
    if (s->open && s->block == block && (place == 0 || place == s->place))
        return 0;
    if (place != 0 && place <= s->place)
        return ERR_BAD_SSE;
    return start_block(x, block, CANON_TOOL_FUNCTION, place, SLICE_EMPTY, SLICE_EMPTY);
}

// ---- Parts of a message ------------------------------------------------------------------------

static int give_text(const struct reading *x, enum canon_block_kind block, unsigned member)
{
    if (x->m[member].type != JSON_STRING)
        return ERR_BAD_SSE;
    if (x->m[member].value.len <= 2)
        return 0;
    int rc = enter(x, block, true);
    return rc ? rc : give_delta(x, CANON_DELTA_TEXT, x->m[member].value);
}

static int on_text_delta(const struct reading *x)
{
    size_t at = 0;
    enum json_type type;
    struct slice element;

    int rc = give_text(x, CANON_TEXT, DELTA);
    if (rc == 0 && x->s->open && x->s->block == CANON_TEXT && x->m[LOGPROBS].type == JSON_ARRAY &&
        json_array_next(x->m[LOGPROBS].value, &at, &type, &element))
        rc = give_delta(x, CANON_DELTA_LOGPROBS, x->m[LOGPROBS].value);
    return rc;
}

static int on_refusal_delta(const struct reading *x)
{
    return give_text(x, CANON_REFUSAL, DELTA);
}

// The whole part, where no piece of it was told.
static int give_part(const struct reading *x, enum canon_block_kind block, unsigned member)
{
    uint64_t place;
    int rc = place_of(x, true, &place);
    if (rc || place <= x->s->place || x->m[member].type != JSON_STRING)
        return rc;
    return give_text(x, block, member);
}

static int on_text_done(const struct reading *x)
{
    return give_part(x, CANON_TEXT, TEXT);
}

static int on_refusal_done(const struct reading *x)
{
    return give_part(x, CANON_REFUSAL, REFUSAL);
}

static int on_part_done(const struct reading *x)
{
    bool of_message = x->s->block == CANON_TEXT || x->s->block == CANON_REFUSAL;
    return of_message ? stop_block(x) : 0;
}

static int on_annotation(const struct reading *x)
{
    if (x->m[ANNOTATION].type != JSON_OBJECT || !x->s->open || x->s->block != CANON_TEXT)
        return 0;
    return give_delta(x, CANON_DELTA_CITATION, x->m[ANNOTATION].value);
}

// ---- Reasoning ---------------------------------------------------------------------------------

// A summary and the thought itself may both be told; which came first is the one that counts.
static int on_thought(const struct reading *x, bool summary, unsigned part_member)
{
    struct state *s = x->s;
    uint64_t part;

    if (x->m[DELTA].type != JSON_STRING)
        return ERR_BAD_SSE;
    if (x->m[DELTA].value.len <= 2)
        return 0;
    int rc = index_of(&x->m[part_member], &part);
    if (rc == 0)
        rc = enter(x, CANON_THINKING, false);
    if (rc)
        return rc;
    if (!s->said) {
        s->of_summary = summary;
    } else if (s->of_summary != summary) {
        return 0;
    } else if (part != s->thought_part) {
        rc = give_delta(x, CANON_DELTA_TEXT, SLICE("\"\\n\\n\""));
    }
    s->thought_part = part;
    return rc ? rc : give_delta(x, CANON_DELTA_TEXT, x->m[DELTA].value);
}

static int on_summary_delta(const struct reading *x)
{
    return on_thought(x, true, SUMMARY_INDEX);
}

static int on_reasoning_delta(const struct reading *x)
{
    return on_thought(x, false, CONTENT_INDEX);
}

static int end_thought(const struct reading *x, struct slice item)
{
    struct state *s = x->s;
    struct slice encrypted = string_in(item, SLICE("encrypted_content"));
    struct slice sealed = SLICE_EMPTY;
    uint64_t place;
    bool redacted = false;

    int rc = place_of(x, false, &place);
    if (rc == 0 && encrypted.len > 2)
        rc = responses__unseal(x->arena, string_in(item, SLICE("id")), encrypted, &redacted,
                               &sealed);
    if (rc)
        return rc;
    bool is_open = s->open && s->block == CANON_THINKING;
    if (!is_open && sealed.len <= 2)
        return 0;
    if (!is_open)
        rc = start_block(x, redacted ? CANON_REDACTED_THINKING : CANON_THINKING,
                         CANON_TOOL_FUNCTION, place, SLICE_EMPTY, SLICE_EMPTY);
    if (rc == 0 && sealed.len > 2 && !(is_open && redacted))
        rc = give_delta(x, redacted ? CANON_DELTA_DATA : CANON_DELTA_SIGNATURE, sealed);
    return rc ? rc : stop_block(x);
}

// ---- Calls -------------------------------------------------------------------------------------

static int on_call_delta(const struct reading *x)
{
    const struct state *s = x->s;
    uint64_t place;

    int rc = place_of(x, false, &place);
    if (rc)
        return rc;
    if (x->m[DELTA].type != JSON_STRING || !s->open || s->block != CANON_TOOL_CALL ||
        (place != 0 && place != s->place))
        return ERR_BAD_SSE;
    return give_delta(x, CANON_DELTA_TEXT, x->m[DELTA].value);
}

// The whole, where no piece of it was told.
static int give_whole(const struct reading *x, struct slice whole)
{
    if (!x->s->open || x->s->block != CANON_TOOL_CALL || x->s->said)
        return 0;
    return give_delta(x, CANON_DELTA_TEXT, whole);
}

static int on_arguments_done(const struct reading *x)
{
    return give_whole(x, string_of(&x->m[ARGUMENTS]));
}

static int on_input_done(const struct reading *x)
{
    return give_whole(x, string_of(&x->m[INPUT]));
}

static int begin_call(const struct reading *x, struct slice item, enum canon_tool_kind tool)
{
    struct slice id = string_in(item, SLICE("call_id"));
    struct slice name = string_in(item, SLICE("name"));
    uint64_t place;

    int rc = place_of(x, false, &place);
    if (rc)
        return rc;
    if (id.len == 0 || name.len == 0 || (place != 0 && place <= x->s->place))
        return ERR_BAD_SSE;
    return start_block(x, CANON_TOOL_CALL, tool, place, id, name);
}

static int begin_function(const struct reading *x, struct slice item)
{
    return begin_call(x, item, CANON_TOOL_FUNCTION);
}

static int begin_custom(const struct reading *x, struct slice item)
{
    return begin_call(x, item, CANON_TOOL_CUSTOM);
}

static int end_call(const struct reading *x, struct slice item)
{
    const struct state *s = x->s;

    if (!s->open || s->block != CANON_TOOL_CALL)
        return 0;
    int rc = give_whole(
        x, string_in(item, s->tool == CANON_TOOL_CUSTOM ? SLICE("input") : SLICE("arguments")));
    return rc ? rc : stop_block(x);
}

// ---- Items -------------------------------------------------------------------------------------

static int end_message(const struct reading *x, struct slice item)
{
    (void)item;
    return on_part_done(x);
}

// What was looked for is known when the search is over.
static int end_search(const struct reading *x, struct slice item)
{
    struct json_member action = json_object_get(item, SLICE("action"));
    uint64_t place;

    int rc = place_of(x, false, &place);
    if (rc == 0)
        rc = start_block(x, CANON_WEB_SEARCH, CANON_TOOL_FUNCTION, place,
                         string_in(item, SLICE("id")), SLICE_EMPTY);
    if (rc == 0)
        rc = give_delta(x, CANON_DELTA_TEXT, string_in(action.value, SLICE("query")));
    return rc ? rc : stop_block(x);
}

static const struct {
    struct slice type;
    int (*begin)(const struct reading *x, struct slice item); // NULL: nothing
    int (*end)(const struct reading *x, struct slice item);
} items[] = {
    {SLICE("message"), NULL, end_message},
    {SLICE("function_call"), begin_function, end_call},
    {SLICE("custom_tool_call"), begin_custom, end_call},
    {SLICE("reasoning"), NULL, end_thought},
    {SLICE("web_search_call"), NULL, end_search},
};

static int on_item(const struct reading *x, bool ends)
{
    struct slice item = x->m[ITEM].value;

    if (x->m[ITEM].type != JSON_OBJECT)
        return ERR_BAD_SSE;
    struct slice type = string_in(item, SLICE("type"));
    for (size_t i = 0; i < ARRAY_LEN(items); i++) {
        if (!literal_is(type, items[i].type))
            continue;
        if (ends)
            return items[i].end(x, item);
        return items[i].begin ? items[i].begin(x, item) : 0;
    }
    return 0; // an item of a tool nobody shares
}

static int on_item_added(const struct reading *x)
{
    return on_item(x, false);
}

static int on_item_done(const struct reading *x)
{
    return on_item(x, true);
}

// ---- The response ------------------------------------------------------------------------------

static int on_started(const struct reading *x)
{
    (void)x;
    return 0; // START has been given
}

static int on_ended(const struct reading *x)
{
    struct state *s = x->s;
    struct slice response = x->m[RESPONSE].value;

    if (x->m[RESPONSE].type != JSON_OBJECT)
        return ERR_BAD_SSE;
    int rc = stop_block(x);
    if (rc)
        return rc;
    struct json_member status = json_object_get(response, SLICE("status"));
    struct json_member details = json_object_get(response, SLICE("incomplete_details"));
    struct json_member usage = json_object_get(response, SLICE("usage"));
    struct slice ending = literal_is(x->m[TYPE].value, SLICE("response.incomplete"))
                              ? SLICE("\"incomplete\"")
                              : string_of(&status);
    struct canon_event e = {
        .kind = CANON_STOP,
        .stop = responses__stop_of(ending, details.value, s->has_call, s->has_refusal)};
    rc = give(x, &e);
    if (rc == 0 && usage.type == JSON_OBJECT) {
        e = (struct canon_event){.kind = CANON_USAGE};
        responses__read_usage(usage.value, &e.usage);
        rc = e.usage.known ? give(x, &e) : 0;
    }
    s->ended = true;
    e = (struct canon_event){.kind = CANON_END};
    return rc ? rc : give(x, &e);
}

static int plain_of(const struct reading *x, const struct json_member *m, struct slice *ret)
{
    if (m->type != JSON_STRING)
        return 0;
    char *plain = arena_bytes(x->arena, m->value.len);
    if (!plain)
        return ERR_NOMEM;
    return json_unescape(m->value, plain, ret);
}

// What the codes of a failed response stand for.
static unsigned status_of(struct slice code)
{
    static const struct {
        struct slice code;
        unsigned status;
    } codes[] = {
        {SLICE("rate_limit_exceeded"), 429},
        {SLICE("server_error"), 500},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (slice_eq(code, codes[i].code))
            return codes[i].status;
    return 0;
}

// The members of `object`, or of the event itself when it has none.
static int give_error(const struct reading *x, const struct json_member *object)
{
    struct canon_event e = {.kind = CANON_ERROR};
    struct json_member type = {.type = JSON_NONE};
    struct json_member code = x->m[CODE];
    struct json_member message = x->m[MESSAGE];
    struct json_member param = x->m[PARAM];

    if (object->type == JSON_OBJECT) {
        type = json_object_get(object->value, SLICE("type"));
        code = json_object_get(object->value, SLICE("code"));
        message = json_object_get(object->value, SLICE("message"));
        param = json_object_get(object->value, SLICE("param"));
    } else if (object->type == JSON_STRING) {
        message = *object;
    }
    int rc = plain_of(x, &type, &e.error.type);
    if (rc == 0)
        rc = plain_of(x, &code, &e.error.code);
    if (rc == 0)
        rc = plain_of(x, &message, &e.error.message);
    if (rc == 0)
        rc = plain_of(x, &param, &e.error.param);
    if (rc)
        return rc;
    if (e.error.type.len == 0)
        e.error.type = e.error.code;
    e.error.status = status_of(e.error.code);
    x->s->ended = true;
    return give(x, &e);
}

static int on_failed(const struct reading *x)
{
    struct json_member error = json_object_get(x->m[RESPONSE].value, SLICE("error"));
    return give_error(x, &error);
}

static int on_error(const struct reading *x)
{
    return give_error(x, &x->m[ERROR]);
}

// ---- Dispatch ----------------------------------------------------------------------------------

static const struct {
    struct slice type;
    int (*on)(const struct reading *x);
} events[] = {
    {SLICE("response.output_text.delta"), on_text_delta}, // most of them
    {SLICE("response.function_call_arguments.delta"), on_call_delta},
    {SLICE("response.reasoning_summary_text.delta"), on_summary_delta},
    {SLICE("response.reasoning_text.delta"), on_reasoning_delta},
    {SLICE("response.custom_tool_call_input.delta"), on_call_delta},
    {SLICE("response.refusal.delta"), on_refusal_delta},
    {SLICE("response.created"), on_started},
    {SLICE("response.queued"), on_started},
    {SLICE("response.in_progress"), on_started},
    {SLICE("response.output_item.added"), on_item_added},
    {SLICE("response.output_item.done"), on_item_done},
    {SLICE("response.content_part.done"), on_part_done},
    {SLICE("response.output_text.annotation.added"), on_annotation},
    {SLICE("response.output_text.done"), on_text_done},
    {SLICE("response.refusal.done"), on_refusal_done},
    {SLICE("response.function_call_arguments.done"), on_arguments_done},
    {SLICE("response.custom_tool_call_input.done"), on_input_done},
    {SLICE("response.completed"), on_ended},
    {SLICE("response.incomplete"), on_ended},
    {SLICE("response.failed"), on_failed},
    {SLICE("error"), on_error},
};

static bool type_is(const struct sse_event *event, const struct json_member *type, size_t i)
{
    if (type->type == JSON_STRING)
        return literal_is(type->value, events[i].type);
    return slice_eq(event->type, events[i].type);
}

static int dispatch(const struct reading *x, const struct sse_event *event)
{
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        if (!type_is(event, &x->m[TYPE], i))
            continue;
        bool is_error = events[i].on == on_error || events[i].on == on_failed;
        int rc = is_error ? 0 : start(x, x->m[RESPONSE].value);
        return rc ? rc : events[i].on(x);
    }
    // Some gateways put a bare error into a stream.
    if (x->m[TYPE].type == JSON_NONE && x->m[ERROR].type == JSON_OBJECT)
        return on_error(x);
    return 0;
}

int responses__read_event(struct canon_reader *r, const struct sse_event *event,
                          struct canon_sink *sink)
{
    struct state *s = (struct state *)r->state;
    struct json_scanner scan;

    if (s->ended || !event->has_data || sse_is_done_marker(event->data))
        return 0;
    int rc = json_scan(&scan, event->data, names, WANTED, 0);
    if (rc)
        return ERR_BAD_SSE;
    return dispatch(&(struct reading){s, r->arena, sink, scan.member}, event);
}
