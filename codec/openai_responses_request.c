// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_request.c: a client's request for a response, read into the canonical form.
//
// One walk over the top level sorts its members by a table; then they are read in the table's
// order, whatever order they came in: `instructions` stand before `input`, though they may be
// written behind it. Most members cross by name and are only looked at for their type. What the
// table does not name is kept as unknown.
//
// Counting tokens takes the same request. On /v1 its items may be called `messages`.
//
// Source: platform.openai.com/docs/api-reference/responses/create.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"

#include <stdio.h>

struct reader {
    struct canon_request *r;
    struct responses_items items;
    struct canon_tool **tools;
    struct canon_member **extra;
};

// ---- Refusals --------------------------------------------------------------------------------

static int bad(struct canon_request *r, int err, struct slice param)
{
    return canon_refuse(r, err, param, "`%.*s` %s", SLICE_ARG(param),
                        err == ERR_MISSING ? "is missing" : "is not what it must be");
}

// The fields of a member called `of`.
static int fields_of(struct canon_request *r, const char *of, struct slice object,
                     const struct responses_field *fields, unsigned count, struct slice *ret)
{
    unsigned field;
    int rc = responses__fields(object, fields, count, ret, &field);
    if (rc == 0)
        return 0;
    struct slice path = arena_printf(r->arena, "%s.%.*s", of, SLICE_ARG(fields[field].name));
    return path.ptr ? bad(r, rc, path) : ERR_NOMEM;
}

// ---- Input -----------------------------------------------------------------------------------

static int read_instructions(struct reader *x, struct slice value)
{
    if (value.len == 2)
        return 0;
    return responses__plain_message(&x->items, CANON_SYSTEM, value);
}

static int read_input_as(struct reader *x, const char *name, struct slice value)
{
    enum json_type type;
    struct slice item;
    int rc = 0;

    if (responses__is(value, '"'))
        return responses__plain_message(&x->items, CANON_USER, value);
    x->items.input = name;
    x->items.at = 0;
    for (size_t at = 0; rc == 0 && json_array_next(value, &at, &type, &item); x->items.at++)
        rc = type == JSON_OBJECT ? responses__read_item(&x->items, item)
                                 : responses__bad(&x->items, ERR_BAD_TYPE, SLICE_EMPTY);
    return rc;
}

static int read_input(struct reader *x, struct slice value)
{
    return read_input_as(x, "input", value);
}

static int read_messages(struct reader *x, struct slice value)
{
    return read_input_as(x, "messages", value);
}

// ---- Tools -----------------------------------------------------------------------------------

enum {
    TOOL_TYPE,
    TOOL_NAME,
    TOOL_DESCRIPTION,
    TOOL_PARAMETERS,
    TOOL_STRICT,
    TOOL_FORMAT,
    TOOL_FILTERS,
    TOOL_LOCATION,
    TOOL_CACHE,
    TOOL_FIELDS
};

// Only the members of the kind it is are looked at by type; `name` must be there for some.
static const struct responses_field tool_fields[TOOL_FIELDS] = {
    [TOOL_TYPE] = {SLICE("type"), RESPONSES_STRING | RESPONSES_REQUIRED},
    [TOOL_NAME] = {SLICE("name"), RESPONSES_STRING},
    [TOOL_DESCRIPTION] = {SLICE("description"), RESPONSES_STRING},
    [TOOL_PARAMETERS] = {SLICE("parameters"), RESPONSES_OBJECT},
    [TOOL_STRICT] = {SLICE("strict"), RESPONSES_BOOL},
    [TOOL_FORMAT] = {SLICE("format"), RESPONSES_OBJECT},
    [TOOL_FILTERS] = {SLICE("filters"), RESPONSES_ANY},
    [TOOL_LOCATION] = {SLICE("user_location"), RESPONSES_OBJECT},
    [TOOL_CACHE] = {SLICE("cache_control"), RESPONSES_OBJECT},
};

static enum canon_tool_kind tool_kind(struct slice type)
{
    if (literal_is(type, SLICE("function")))
        return CANON_TOOL_FUNCTION;
    if (literal_is(type, SLICE("custom")))
        return CANON_TOOL_CUSTOM;
    // web_search, web_search_2025_08_26, web_search_preview, …
    if (slice_starts(literal_inner(type), SLICE("web_search")))
        return CANON_TOOL_WEB_SEARCH;
    return CANON_TOOL_OPAQUE;
}

static int read_tool(struct reader *x, unsigned index, struct slice text)
{
    struct slice v[TOOL_FIELDS];
    char of[24];
    struct canon_tool *t;

    snprintf(of, sizeof(of), "tools[%u]", index);
    int rc = fields_of(x->r, of, text, tool_fields, 1, v);
    enum canon_tool_kind kind = rc == 0 ? tool_kind(v[TOOL_TYPE]) : CANON_TOOL_OPAQUE;
    if (rc == 0 && kind != CANON_TOOL_OPAQUE)
        rc = fields_of(x->r, of, text, tool_fields, TOOL_FIELDS, v);
    if (rc == 0)
        rc = canon_add_tool(x->r, &x->tools, &t);
    if (rc)
        return rc;
    t->kind = kind;
    if (kind == CANON_TOOL_OPAQUE) {
        t->raw = text;
        return 0;
    }
    if (kind != CANON_TOOL_WEB_SEARCH && v[TOOL_NAME].len <= 2) {
        struct slice path = arena_printf(x->r->arena, "%s.name", of);
        return path.ptr ? bad(x->r, ERR_MISSING, path) : ERR_NOMEM;
    }
    t->name = v[TOOL_NAME];
    t->description = v[TOOL_DESCRIPTION];
    t->parameters = v[TOOL_PARAMETERS];
    t->strict = v[TOOL_STRICT];
    t->format = v[TOOL_FORMAT];
    t->cache_control = v[TOOL_CACHE];
    t->user_location = v[TOOL_LOCATION];
    if (responses__is(v[TOOL_FILTERS], '{')) {
        struct json_member m = json_object_get(v[TOOL_FILTERS], SLICE("allowed_domains"));
        t->allowed_domains = m.type == JSON_ARRAY ? m.value : SLICE_EMPTY;
    }
    return 0;
}

static int read_tools(struct reader *x, struct slice value)
{
    enum json_type type;
    struct slice tool;
    int rc = 0;
    unsigned index = 0;

    for (size_t at = 0; rc == 0 && json_array_next(value, &at, &type, &tool); index++)
        rc = type == JSON_OBJECT ? read_tool(x, index, tool)
                                 : bad(x->r, ERR_BAD_TYPE, SLICE("tools"));
    return rc;
}

static const struct {
    struct slice name;
    enum canon_choice_kind kind;
} choices[] = {
    {SLICE("auto"), CANON_CHOICE_AUTO},         {SLICE("none"), CANON_CHOICE_NONE},
    {SLICE("required"), CANON_CHOICE_REQUIRED}, {SLICE("any"), CANON_CHOICE_REQUIRED},
    {SLICE("function"), CANON_CHOICE_TOOL},
};

static int read_tool_choice(struct reader *x, struct slice value)
{
    enum { TYPE, NAME, COUNT };
    static const struct responses_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [NAME] = {SLICE("name"), RESPONSES_STRING},
    };
    struct slice v[COUNT] = {value, SLICE_EMPTY};
    bool is_object = responses__is(value, '{');
    struct canon_request *r = x->r;
    size_t i = 0;

    int rc = is_object ? fields_of(r, "tool_choice", value, fields, COUNT, v) : 0;
    if (rc)
        return rc;
    while (i < ARRAY_LEN(choices) && !literal_is(v[TYPE], choices[i].name))
        i++;
    if (i == ARRAY_LEN(choices) && !is_object)
        return bad(r, ERR_BAD_TYPE, SLICE("tool_choice"));
    r->tool_choice.kind = i < ARRAY_LEN(choices) ? choices[i].kind : CANON_CHOICE_OPAQUE;
    if (r->tool_choice.kind == CANON_CHOICE_OPAQUE)
        r->tool_choice.raw = value;
    if (r->tool_choice.kind != CANON_CHOICE_TOOL)
        return 0;
    if (v[NAME].len == 0)
        return bad(r, is_object ? ERR_MISSING : ERR_BAD_TYPE, SLICE("tool_choice.name"));
    r->tool_choice.name = v[NAME];
    return 0;
}

// ---- Text, reasoning, the rest -----------------------------------------------------------------

static int read_format(struct canon_request *r, struct slice format)
{
    enum { TYPE, NAME, DESCRIPTION, SCHEMA, STRICT, NESTED, COUNT };
    static const struct responses_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), RESPONSES_STRING | RESPONSES_REQUIRED},
        [NAME] = {SLICE("name"), RESPONSES_STRING},
        [DESCRIPTION] = {SLICE("description"), RESPONSES_STRING},
        [SCHEMA] = {SLICE("schema"), RESPONSES_OBJECT},
        [STRICT] = {SLICE("strict"), RESPONSES_BOOL},
        [NESTED] = {SLICE("json_schema"), RESPONSES_OBJECT}, // as chat writes it; /v1 takes both
    };
    struct slice v[COUNT];

    int rc = fields_of(r, "text.format", format, fields, COUNT, v);
    if (rc)
        return rc;
    if (literal_is(v[TYPE], SLICE("text")))
        r->format.kind = CANON_FORMAT_TEXT;
    else if (literal_is(v[TYPE], SLICE("json_object")))
        r->format.kind = CANON_FORMAT_JSON_OBJECT;
    else if (literal_is(v[TYPE], SLICE("json_schema")))
        r->format.kind = CANON_FORMAT_JSON_SCHEMA;
    else
        return bad(r, ERR_BAD_TYPE, SLICE("text.format.type"));
    if (r->format.kind != CANON_FORMAT_JSON_SCHEMA)
        return 0;
    if (v[NESTED].len > 0 && v[SCHEMA].len == 0) {
        rc = fields_of(r, "text.format.json_schema", v[NESTED], fields + NAME, NESTED - NAME,
                       v + NAME);
        if (rc)
            return rc;
    }
    if (v[SCHEMA].len == 0)
        return bad(r, ERR_MISSING, SLICE("text.format.schema"));
    r->format.name = v[NAME];
    r->format.description = v[DESCRIPTION];
    r->format.schema = v[SCHEMA];
    r->format.strict = v[STRICT];
    return 0;
}

static int read_text(struct reader *x, struct slice value)
{
    enum { FORMAT, VERBOSITY, COUNT };
    static const struct responses_field fields[COUNT] = {
        [FORMAT] = {SLICE("format"), RESPONSES_OBJECT},
        [VERBOSITY] = {SLICE("verbosity"), RESPONSES_STRING},
    };
    struct slice v[COUNT];

    if (responses__is(value, '"')) // a text to count
        return responses__plain_message(&x->items, CANON_USER, value);
    int rc = fields_of(x->r, "text", value, fields, COUNT, v);
    if (rc)
        return rc;
    x->r->param[CANON_P_VERBOSITY] = v[VERBOSITY];
    return v[FORMAT].len > 0 ? read_format(x->r, v[FORMAT]) : 0;
}

static int read_reasoning(struct reader *x, struct slice value)
{
    enum { EFFORT, SUMMARY, GENERATE, BUDGET, COUNT };
    static const struct responses_field fields[COUNT] = {
        [EFFORT] = {SLICE("effort"), RESPONSES_STRING},
        [SUMMARY] = {SLICE("summary"), RESPONSES_STRING},
        [GENERATE] = {SLICE("generate_summary"), RESPONSES_STRING}, // its older name
        [BUDGET] = {SLICE("max_tokens"), RESPONSES_NUMBER},
    };
    struct slice v[COUNT];
    struct canon_request *r = x->r;

    int rc = fields_of(r, "reasoning", value, fields, COUNT, v);
    if (rc)
        return rc;
    r->reasoning.effort = v[EFFORT];
    r->reasoning.summary = v[SUMMARY].len > 0 ? v[SUMMARY] : v[GENERATE];
    if (v[BUDGET].len > 0) {
        r->reasoning.kind = CANON_REASONING_BUDGET;
        if (slice_eq(v[BUDGET], SLICE("-1"))) // as much as the model likes: the least it takes
            r->reasoning.budget = 1024;
        else if (json_u64(v[BUDGET], &r->reasoning.budget) != 0)
            return bad(r, ERR_BAD_TYPE, SLICE("reasoning.max_tokens"));
    } else if (v[EFFORT].len > 0) {
        r->reasoning.kind = CANON_REASONING_EFFORT; // "none" too: the client said so
    }
    return 0;
}

static int read_stream(struct reader *x, struct slice value)
{
    x->r->stream = value.ptr[0] == 't';
    return 0;
}

// Log probabilities are asked for in the list of what to include.
static int read_include(struct reader *x, struct slice value)
{
    enum json_type type;
    struct slice name;

    x->r->param[CANON_P_INCLUDE] = value;
    for (size_t at = 0; json_array_next(value, &at, &type, &name);)
        if (type == JSON_STRING && literal_is(name, SLICE("message.output_text.logprobs")))
            x->r->param[CANON_P_LOGPROBS] = SLICE("true");
    return 0;
}

static int ignore(struct reader *x, struct slice value)
{
    (void)x;
    (void)value;
    return 0;
}

// ---- The top level -----------------------------------------------------------------------------

// In the order in which they are read. Without a function the value is the parameter's.
static const struct {
    struct slice name;
    unsigned types;
    enum canon_param param;
    int (*read)(struct reader *x, struct slice value);
} rows[] = {
    {SLICE("instructions"), RESPONSES_STRING, 0, read_instructions},
    {SLICE("input"), RESPONSES_STRING | RESPONSES_ARRAY, 0, read_input},
    {SLICE("messages"), RESPONSES_STRING | RESPONSES_ARRAY, 0, read_messages},
    {SLICE("tools"), RESPONSES_ARRAY, 0, read_tools},
    {SLICE("tool_choice"), RESPONSES_STRING | RESPONSES_OBJECT, 0, read_tool_choice},
    {SLICE("text"), RESPONSES_STRING | RESPONSES_OBJECT, 0, read_text},
    {SLICE("reasoning"), RESPONSES_OBJECT, 0, read_reasoning},
    {SLICE("include"), RESPONSES_ARRAY, 0, read_include},
    {SLICE("stream"), RESPONSES_BOOL, 0, read_stream},
    {SLICE("model"), RESPONSES_ANY, 0, ignore},
    {SLICE("fallbacks"), RESPONSES_ANY, 0, ignore},
    {SLICE("stream_options"), RESPONSES_ANY, 0, ignore},
    {SLICE("max_output_tokens"), RESPONSES_NUMBER, CANON_P_MAX_TOKENS, NULL},
    {SLICE("temperature"), RESPONSES_NUMBER, CANON_P_TEMPERATURE, NULL},
    {SLICE("top_p"), RESPONSES_NUMBER, CANON_P_TOP_P, NULL},
    {SLICE("top_logprobs"), RESPONSES_NUMBER, CANON_P_TOP_LOGPROBS, NULL},
    {SLICE("user"), RESPONSES_STRING, CANON_P_USER, NULL},
    {SLICE("metadata"), RESPONSES_OBJECT, CANON_P_METADATA, NULL},
    {SLICE("service_tier"), RESPONSES_STRING, CANON_P_SERVICE_TIER, NULL},
    {SLICE("store"), RESPONSES_BOOL, CANON_P_STORE, NULL},
    {SLICE("parallel_tool_calls"), RESPONSES_BOOL, CANON_P_PARALLEL_TOOL_CALLS, NULL},
    {SLICE("prompt_cache_key"), RESPONSES_STRING, CANON_P_PROMPT_CACHE_KEY, NULL},
    {SLICE("prompt_cache_retention"), RESPONSES_STRING, CANON_P_PROMPT_CACHE_RETENTION, NULL},
    {SLICE("safety_identifier"), RESPONSES_STRING, CANON_P_SAFETY_IDENTIFIER, NULL},
    {SLICE("previous_response_id"), RESPONSES_STRING, CANON_P_PREVIOUS_RESPONSE_ID, NULL},
    {SLICE("conversation"), RESPONSES_STRING | RESPONSES_OBJECT, CANON_P_CONVERSATION, NULL},
    {SLICE("truncation"), RESPONSES_STRING, CANON_P_TRUNCATION, NULL},
    {SLICE("background"), RESPONSES_BOOL, CANON_P_BACKGROUND, NULL},
    {SLICE("max_tool_calls"), RESPONSES_NUMBER, CANON_P_MAX_TOOL_CALLS, NULL},
    {SLICE("prompt"), RESPONSES_OBJECT, CANON_P_PROMPT_TEMPLATE, NULL},
    {SLICE("context_management"), RESPONSES_ARRAY, CANON_P_CONTEXT_MANAGEMENT, NULL},
};

// A member nobody knows. Each is a part, because they are as cheap to write as parts are.
static int keep_unknown(struct reader *x, const struct json_member *m)
{
    struct slice name = literal_inner(m->key);
    if (x->r->parts >= CANON_PARTS_MAX)
        return ERR_LIMIT;
    x->r->parts++;
    if (name.len > 0 && memchr(name.ptr, '\\', name.len)) {
        char *plain = arena_bytes(x->r->arena, m->key.len);
        if (!plain)
            return ERR_NOMEM;
        (void)json_unescape(m->key, plain, &name); // the text has been scanned
    }
    if (name.len == 0)
        return 0;
    int rc = canon_add_member(x->r->arena, x->extra, name, m->value);
    if (rc == 0)
        x->extra = &(*x->extra)->next;
    return rc;
}

static int sort_members(struct reader *x, struct slice text, struct json_member *found)
{
    struct json_member m;
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_object_next(text, &at, &m);) {
        size_t i = 0;
        while (i < ARRAY_LEN(rows) && !literal_is(m.key, rows[i].name))
            i++;
        if (i < ARRAY_LEN(rows))
            found[i] = m;
        else
            rc = keep_unknown(x, &m);
    }
    return rc;
}

static int read_row(struct reader *x, size_t i, const struct json_member *m)
{
    if (m->type == JSON_NONE || m->type == JSON_NULL)
        return 0;
    if (!(rows[i].types & 1u << m->type))
        return bad(x->r, ERR_BAD_TYPE, rows[i].name);
    if (rows[i].read)
        return rows[i].read(x, m->value);
    x->r->param[rows[i].param] = m->value;
    return 0;
}

static struct slice trimmed(struct slice text)
{
    while (text.len > 0 && (unsigned char)text.ptr[0] <= ' ')
        text = slice_skip(text, 1);
    return text;
}

int responses__read_request(struct canon_request *r, struct slice text)
{
    struct json_member found[ARRAY_LEN(rows)];
    struct reader x = {
        .r = r,
        .items = {.arena = r->arena, .parts = &r->parts, .request = r, .messages = &r->messages},
        .tools = &r->tools,
        .extra = &r->extra,
    };

    ASSERT(r->arena && !r->messages);
    memset(found, 0, sizeof(found));
    r->from = &dialect_openai_responses;
    int rc = sort_members(&x, trimmed(text), found);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(rows); i++)
        rc = read_row(&x, i, &found[i]);
    if (rc == 0 && !r->messages && r->param[CANON_P_PROMPT_TEMPLATE].len == 0)
        rc = bad(r, ERR_MISSING, SLICE("input"));
    return rc;
}
