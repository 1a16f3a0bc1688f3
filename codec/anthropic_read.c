// SPDX-License-Identifier: Apache-2.0
//
// anthropic_read.c: a messages request becomes canonical. The gateway calls it through the rows of
// dialect_anthropic.c, when the provider speaks another dialect.
//
// One table names every member: parameters that cross by name have their place in the canonical
// form, the others a reader. `thinking` and `output_config` say one thing between them, so they are
// looked at together, behind the table. Counting tokens takes the same request without max_tokens.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

struct reading {
    struct anthropic_reader rd;
    struct canon_request *r;
    struct canon_message **messages;
};

bool anthropic__is_family(const struct dialect *d)
{
    return d == &dialect_anthropic_messages || d == &dialect_anthropic_count_tokens;
}

// ---- Tools -------------------------------------------------------------------------------------

static int read_function(const struct reading *x, const struct anthropic_path *path,
                         struct slice object, struct canon_tool *t)
{
    enum { TYPE, NAME, DESCRIPTION, SCHEMA, STRICT, CACHE, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING},
        [NAME] = {SLICE("name"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [DESCRIPTION] = {SLICE("description"), ANTHROPIC_STRING},
        [SCHEMA] = {SLICE("input_schema"), ANTHROPIC_OBJECT},
        [STRICT] = {SLICE("strict"), ANTHROPIC_BOOL},
        [CACHE] = {SLICE("cache_control"), ANTHROPIC_OBJECT},
    };
    struct json_member m[COUNT];

    int rc = anthropic__fields(&x->rd, path, object, fields, COUNT, m, &t->extra);
    t->kind = CANON_TOOL_FUNCTION;
    t->name = m[NAME].value;
    t->description = m[DESCRIPTION].value;
    t->parameters = m[SCHEMA].value;
    t->strict = m[STRICT].value;
    t->cache_control = m[CACHE].value;
    return rc;
}

static int read_web_search(const struct reading *x, const struct anthropic_path *path,
                           struct slice object, struct canon_tool *t)
{
    enum { TYPE, NAME, USES, DOMAINS, LOCATION, CACHE, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING},
        [NAME] = {SLICE("name"), ANTHROPIC_STRING},
        [USES] = {SLICE("max_uses"), ANTHROPIC_NUMBER},
        [DOMAINS] = {SLICE("allowed_domains"), ANTHROPIC_ARRAY},
        [LOCATION] = {SLICE("user_location"), ANTHROPIC_OBJECT},
        [CACHE] = {SLICE("cache_control"), ANTHROPIC_OBJECT},
    };
    struct json_member m[COUNT];

    int rc = anthropic__fields(&x->rd, path, object, fields, COUNT, m, &t->extra);
    t->kind = CANON_TOOL_WEB_SEARCH;
    t->max_uses = m[USES].value;
    t->allowed_domains = m[DOMAINS].value;
    t->user_location = m[LOCATION].value;
    t->cache_control = m[CACHE].value;
    t->raw = object;
    return rc;
}

// A tool of the client has no type or the type custom; every other type is a tool of Anthropic's.
static int read_tool(const struct reading *x, const struct anthropic_path *path,
                     struct slice object, struct canon_tool *t)
{
    struct json_member type = json_object_get(object, SLICE("type"));

    if (type.type == JSON_NONE || type.type == JSON_NULL || literal_is(type.value, SLICE("custom")))
        return read_function(x, path, object, t);
    if (type.type != JSON_STRING)
        return anthropic__bad(&x->rd, ERR_BAD_TYPE, path, SLICE("type"), "must be a string");
    if (slice_starts(literal_inner(type.value), SLICE("web_search_")))
        return read_web_search(x, path, object, t);
    t->kind = CANON_TOOL_OPAQUE;
    t->raw = object;
    return 0;
}

static int read_tools(struct reading *x, const struct json_member *m)
{
    const struct anthropic_path top = {.name = SLICE("tools")};
    struct anthropic_path path = {.up = &top};
    struct canon_tool **tail = &x->r->tools;
    struct canon_tool *tool;
    enum json_type type;
    struct slice element;

    for (size_t at = 0; json_array_next(m->value, &at, &type, &element); path.index++) {
        if (type != JSON_OBJECT)
            return anthropic__bad(&x->rd, ERR_BAD_TYPE, &path, SLICE_EMPTY, "must be an object");
        int rc = canon_add_tool(x->r, &tail, &tool);
        if (rc == 0)
            rc = read_tool(x, &path, element, tool);
        if (rc)
            return rc;
    }
    return 0;
}

static int read_tool_choice(struct reading *x, const struct json_member *m)
{
    enum { TYPE, NAME, SERIAL, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [NAME] = {SLICE("name"), ANTHROPIC_STRING},
        [SERIAL] = {SLICE("disable_parallel_tool_use"), ANTHROPIC_BOOL},
    };
    static const struct {
        struct slice type;
        enum canon_choice_kind kind;
    } choices[] = {
        {SLICE("auto"), CANON_CHOICE_AUTO},
        {SLICE("none"), CANON_CHOICE_NONE},
        {SLICE("any"), CANON_CHOICE_REQUIRED},
        {SLICE("tool"), CANON_CHOICE_TOOL},
    };
    const struct anthropic_path path = {.name = SLICE("tool_choice")};
    struct json_member f[COUNT];

    int rc = anthropic__fields(&x->rd, &path, m->value, fields, COUNT, f, NULL);
    if (rc)
        return rc;
    x->r->tool_choice.kind = CANON_CHOICE_OPAQUE;
    x->r->tool_choice.raw = m->value;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (literal_is(f[TYPE].value, choices[i].type))
            x->r->tool_choice.kind = choices[i].kind;
    if (x->r->tool_choice.kind == CANON_CHOICE_TOOL && f[NAME].type == JSON_NONE)
        return anthropic__bad(&x->rd, ERR_MISSING, &path, SLICE("name"), "is required");
    x->r->tool_choice.name = f[NAME].value;
    if (f[SERIAL].type == JSON_TRUE)
        x->r->param[CANON_P_PARALLEL_TOOL_CALLS] = SLICE("false");
    return 0;
}

// ---- Members inside others ---------------------------------------------------------------------

// What stands in the member `of` beside the known fields crosses to nobody, and that is reported.
static int note_unknown(struct reading *x, struct slice of, const struct json_member *object,
                        const struct anthropic_field *fields, unsigned count)
{
    struct json_member m;
    int rc = 0;

    for (size_t at = 0; rc == 0 && json_object_next(object->value, &at, &m);) {
        struct slice name;
        unsigned i = 0;
        while (i < count && !literal_is(m.key, fields[i].name))
            i++;
        if (i < count || m.type == JSON_NULL)
            continue;
        rc = anthropic__plain(x->r->arena, m.key, &name);
        if (rc == 0)
            rc = canon_note_inner(x->r, of, name);
    }
    return rc;
}

// ---- Thinking and the form of the answer -------------------------------------------------------

static int read_thinking(struct reading *x, const struct json_member *m)
{
    enum { TYPE, BUDGET, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [BUDGET] = {SLICE("budget_tokens"), ANTHROPIC_NUMBER},
    };
    const struct anthropic_path path = {.name = SLICE("thinking")};
    struct json_member f[COUNT];

    int rc = anthropic__fields(&x->rd, &path, m->value, fields, COUNT, f, NULL);
    if (rc)
        return rc;
    if (literal_is(f[TYPE].value, SLICE("disabled"))) {
        x->r->reasoning.kind = CANON_REASONING_OFF;
    } else if (literal_is(f[TYPE].value, SLICE("adaptive"))) {
        x->r->reasoning.kind = CANON_REASONING_ADAPTIVE;
    } else if (literal_is(f[TYPE].value, SLICE("enabled"))) {
        x->r->reasoning.kind = CANON_REASONING_BUDGET;
        if (json_u64(f[BUDGET].value, &x->r->reasoning.budget) != 0)
            return anthropic__bad(&x->rd, f[BUDGET].type == JSON_NONE ? ERR_MISSING : ERR_BAD_TYPE,
                                  &path, SLICE("budget_tokens"), "is required, an integer");
    } else { // a kind of tomorrow: dropped and reported, as every unknown member
        return canon_add_member(x->r->arena, &x->r->extra, SLICE("thinking"), m->value);
    }
    return note_unknown(x, path.name, m, fields, COUNT);
}

static int read_format(struct reading *x, const struct anthropic_path *path,
                       const struct json_member *m)
{
    enum { TYPE, SCHEMA, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [TYPE] = {SLICE("type"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
        [SCHEMA] = {SLICE("schema"), ANTHROPIC_OBJECT | ANTHROPIC_REQUIRED},
    };
    struct json_member f[COUNT];

    int rc = anthropic__fields(&x->rd, path, m->value, fields, COUNT, f, NULL);
    if (rc)
        return rc;
    if (!literal_is(f[TYPE].value, SLICE("json_schema")))
        return anthropic__bad(&x->rd, ERR_UNSUPPORTED, path, SLICE("type"), "is not known");
    x->r->format.kind = CANON_FORMAT_JSON_SCHEMA;
    x->r->format.schema = f[SCHEMA].value;
    return 0;
}

static int read_output_format(struct reading *x, const struct json_member *m)
{
    const struct anthropic_path path = {.name = SLICE("output_format")};
    return read_format(x, &path, m);
}

// Behind `thinking` in the table: an effort without it is an effort, beside adaptive thinking its
// measure, beside the others it does not count. The highest has another name elsewhere.
static int read_output_config(struct reading *x, const struct json_member *m)
{
    enum { EFFORT, FORMAT, COUNT };
    static const struct anthropic_field fields[COUNT] = {
        [EFFORT] = {SLICE("effort"), ANTHROPIC_STRING},
        [FORMAT] = {SLICE("format"), ANTHROPIC_OBJECT},
    };
    const struct anthropic_path path = {.name = SLICE("output_config")};
    const struct anthropic_path format = {.up = &path, .name = SLICE("format")};
    struct json_member f[COUNT];

    int rc = anthropic__fields(&x->rd, &path, m->value, fields, COUNT, f, NULL);
    if (rc)
        return rc;
    if (f[EFFORT].type == JSON_STRING) {
        if (x->r->reasoning.kind == CANON_REASONING_UNSET)
            x->r->reasoning.kind = CANON_REASONING_EFFORT;
        x->r->reasoning.effort =
            literal_is(f[EFFORT].value, SLICE("max")) ? SLICE("\"xhigh\"") : f[EFFORT].value;
    }
    rc = f[FORMAT].type == JSON_OBJECT ? read_format(x, &format, &f[FORMAT]) : 0;
    return rc ? rc : note_unknown(x, path.name, m, fields, COUNT);
}

// ---- Parameters --------------------------------------------------------------------------------

static int read_system(struct reading *x, const struct json_member *m)
{
    return anthropic__read_system(&x->rd, m, &x->messages);
}

static int read_messages(struct reading *x, const struct json_member *m)
{
    return anthropic__read_messages(&x->rd, m, &x->messages);
}

static int read_stream(struct reading *x, const struct json_member *m)
{
    x->r->stream = m->type == JSON_TRUE;
    return 0;
}

static int read_metadata(struct reading *x, const struct json_member *m)
{
    static const struct anthropic_field fields[] = {{SLICE("user_id"), ANTHROPIC_STRING}};
    const struct anthropic_path path = {.name = SLICE("metadata")};
    struct json_member user;

    int rc = anthropic__fields(&x->rd, &path, m->value, fields, ARRAY_LEN(fields), &user, NULL);
    if (rc)
        return rc;
    x->r->param[CANON_P_USER] = user.value;
    return note_unknown(x, path.name, m, fields, ARRAY_LEN(fields));
}

static int read_service_tier(struct reading *x, const struct json_member *m)
{
    x->r->param[CANON_P_SERVICE_TIER] =
        literal_is(m->value, SLICE("standard_only")) ? SLICE("\"default\"") : m->value;
    return 0;
}

static int ignore(struct reading *x, const struct json_member *m)
{
    (void)x, (void)m;
    return 0;
}

// In the order in which they are looked at: system before messages, thinking before output_config.
#define NO_PARAM CANON_PARAM_COUNT
static const struct {
    struct anthropic_field field;
    enum canon_param param; // NO_PARAM: it has a reader
    int (*read)(struct reading *x, const struct json_member *m);
} members[] = {
    {{SLICE("model"), ANTHROPIC_ANY}, NO_PARAM, ignore}, // the gateway's
    {{SLICE("fallbacks"), ANTHROPIC_ANY}, NO_PARAM, ignore},
    {{SLICE("system"), ANTHROPIC_STRING | ANTHROPIC_ARRAY}, NO_PARAM, read_system},
    {{SLICE("messages"), ANTHROPIC_ARRAY | ANTHROPIC_REQUIRED}, NO_PARAM, read_messages},
    {{SLICE("max_tokens"), ANTHROPIC_NUMBER}, CANON_P_MAX_TOKENS, NULL},
    {{SLICE("stream"), ANTHROPIC_BOOL}, NO_PARAM, read_stream},
    {{SLICE("tools"), ANTHROPIC_ARRAY}, NO_PARAM, read_tools},
    {{SLICE("tool_choice"), ANTHROPIC_OBJECT}, NO_PARAM, read_tool_choice},
    {{SLICE("thinking"), ANTHROPIC_OBJECT}, NO_PARAM, read_thinking},
    {{SLICE("output_format"), ANTHROPIC_OBJECT}, NO_PARAM, read_output_format},
    {{SLICE("output_config"), ANTHROPIC_OBJECT}, NO_PARAM, read_output_config},
    {{SLICE("temperature"), ANTHROPIC_NUMBER}, CANON_P_TEMPERATURE, NULL},
    {{SLICE("top_p"), ANTHROPIC_NUMBER}, CANON_P_TOP_P, NULL},
    {{SLICE("top_k"), ANTHROPIC_NUMBER}, CANON_P_TOP_K, NULL},
    {{SLICE("stop_sequences"), ANTHROPIC_ARRAY}, CANON_P_STOP, NULL},
    {{SLICE("metadata"), ANTHROPIC_OBJECT}, NO_PARAM, read_metadata},
    {{SLICE("service_tier"), ANTHROPIC_STRING}, NO_PARAM, read_service_tier},
    {{SLICE("context_management"), ANTHROPIC_OBJECT}, CANON_P_CONTEXT_MANAGEMENT, NULL},
    {{SLICE("mcp_servers"), ANTHROPIC_ARRAY}, CANON_P_MCP_SERVERS, NULL},
    {{SLICE("container"), ANTHROPIC_STRING | ANTHROPIC_OBJECT}, CANON_P_CONTAINER, NULL},
    {{SLICE("cache_control"), ANTHROPIC_OBJECT}, CANON_P_CACHE_CONTROL, NULL},
};

static int read_request(struct canon_request *r, struct slice text, const struct dialect *from)
{
    struct anthropic_field fields[ARRAY_LEN(members)];
    struct json_member m[ARRAY_LEN(members)];
    struct reading x = {.rd = {.arena = r->arena, .parts = &r->parts, .request = r},
                        .r = r,
                        .messages = &r->messages};

    r->from = from;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        fields[i] = members[i].field;
    int rc = anthropic__fields(&x.rd, NULL, literal_trim(text), fields, ARRAY_LEN(members), m,
                               &r->extra);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(members); i++) {
        if (m[i].type == JSON_NONE)
            continue;
        if (members[i].param == NO_PARAM)
            rc = members[i].read(&x, &m[i]);
        else
            r->param[members[i].param] = m[i].value;
    }
    return rc;
}

int anthropic__read_request(struct canon_request *r, struct slice text)
{
    return read_request(r, text, &dialect_anthropic_messages);
}

int anthropic__read_count_request(struct canon_request *r, struct slice text)
{
    return read_request(r, text, &dialect_anthropic_count_tokens);
}
