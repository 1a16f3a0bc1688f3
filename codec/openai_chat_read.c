// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_read.c: a client's chat request becomes canonical: its parameters and tools.
//
// One table says what each top-level member is. A member with a reader changes its shape on the
// way; one without crosses as it is, when its type is right; what the table does not have is kept
// as unknown. `functions` and `function_call` are what tools were called before they had a kind,
// `reasoning` is OpenRouter's and Bifrost's addition.
//
// Sources: platform.openai.com/docs/api-reference/chat/create, docs/translation.md.

#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

// ---- Limits and stops --------------------------------------------------------------------------

// Others compute with it, so it is a number of tokens and nothing else.
int openai__read_limit(struct canon_request *r, const struct json_member *m)
{
    uint64_t tokens;
    if (json_u64(m->value, &tokens) != 0)
        return openai__refuse(r, ERR_BAD_TYPE, NULL, literal_inner(m->key),
                              "must be a number of tokens");
    r->param[CANON_P_MAX_TOKENS] = m->value;
    return 0;
}

// The older name yields, wherever it stands.
static int read_limit_old(struct canon_request *r, const struct json_member *m)
{
    struct slice newer = r->param[CANON_P_MAX_TOKENS];
    int rc = openai__read_limit(r, m);
    if (rc == 0 && newer.len > 0)
        r->param[CANON_P_MAX_TOKENS] = newer;
    return rc;
}

int openai__read_stops(struct canon_request *r, const struct json_member *m)
{
    struct openai_path path = {.name = SLICE("stop")};
    struct json_member element = {0};

    for (size_t at = 0;
         m->type == JSON_ARRAY && json_array_next(m->value, &at, &element.type, &element.value);) {
        struct openai_path item = {.up = &path, .index = path.index++};
        int rc = openai__expect(r, &item, SLICE_EMPTY, &element, ANY_STRING, true);
        if (rc)
            return rc;
    }
    if (m->type == JSON_STRING || path.index > 0)
        r->param[CANON_P_STOP] = m->value;
    return 0;
}

// ---- Reasoning ---------------------------------------------------------------------------------

static int read_effort(struct canon_request *r, const struct json_member *m)
{
    r->reasoning.effort = m->value;
    if (r->reasoning.kind == CANON_REASONING_UNSET)
        r->reasoning.kind = CANON_REASONING_EFFORT;
    return 0;
}

static int read_budget(struct canon_request *r, const struct openai_path *path,
                       const struct json_member *m)
{
    enum { LEAST = 1024 }; // what -1, "as you like", counts as
    uint64_t budget = LEAST;

    if (!slice_eq(m->value, SLICE("-1")) && json_u64(m->value, &budget) != 0)
        return openai__refuse(r, ERR_BAD_TYPE, path, SLICE("max_tokens"),
                              "must be a number of tokens");
    r->reasoning.kind = CANON_REASONING_BUDGET;
    r->reasoning.budget = budget;
    return 0;
}

static int read_reasoning(struct canon_request *r, const struct json_member *member)
{
    enum { EFFORT, MAX_TOKENS, SUMMARY, COUNT };
    static const struct slice names[COUNT] = {
        [EFFORT] = SLICE("effort"),
        [MAX_TOKENS] = SLICE("max_tokens"),
        [SUMMARY] = SLICE("summary"),
    };
    struct openai_path path = {.name = SLICE("reasoning")};
    struct json_member m[COUNT];
    int rc;

    openai__pick(member->value, &(struct openai_pick){names, COUNT, m});
    if ((rc = openai__expect(r, &path, names[EFFORT], &m[EFFORT], ANY_STRING, false)) ||
        (rc = openai__expect(r, &path, names[SUMMARY], &m[SUMMARY], ANY_STRING, false)))
        return rc;
    r->reasoning.summary = m[SUMMARY].value;
    // `reasoning_effort` beside it wins, wherever it stands.
    if (m[EFFORT].type != JSON_NONE && r->reasoning.effort.len == 0)
        (void)read_effort(r, &m[EFFORT]);
    if (m[MAX_TOKENS].type != JSON_NONE)
        return read_budget(r, &path, &m[MAX_TOKENS]);
    return 0;
}

// ---- Format ------------------------------------------------------------------------------------

static int read_schema(struct canon_request *r, const struct openai_path *path,
                       const struct json_member *member)
{
    enum { NAME, DESCRIPTION, SCHEMA, STRICT, COUNT };
    static const struct slice names[COUNT] = {
        [NAME] = SLICE("name"),
        [DESCRIPTION] = SLICE("description"),
        [SCHEMA] = SLICE("schema"),
        [STRICT] = SLICE("strict"),
    };
    struct slice self = SLICE("json_schema");
    struct openai_path inside = {.up = path, .name = self};
    struct json_member m[COUNT];
    int rc = openai__expect(r, path, self, member, ANY_OBJECT, true);

    if (rc)
        return rc;
    openai__pick(member->value, &(struct openai_pick){names, COUNT, m});
    if ((rc = openai__expect(r, &inside, names[NAME], &m[NAME], ANY_STRING, false)) ||
        (rc = openai__expect(r, &inside, names[DESCRIPTION], &m[DESCRIPTION], ANY_STRING, false)) ||
        (rc = openai__expect(r, &inside, names[SCHEMA], &m[SCHEMA], ANY_OBJECT, false)) ||
        (rc = openai__expect(r, &inside, names[STRICT], &m[STRICT], ANY_BOOL, false)))
        return rc;
    r->format.kind = CANON_FORMAT_JSON_SCHEMA;
    r->format.name = m[NAME].value;
    r->format.description = m[DESCRIPTION].value;
    r->format.schema = m[SCHEMA].value;
    r->format.strict = m[STRICT].value;
    return 0;
}

static int read_format(struct canon_request *r, const struct json_member *member)
{
    enum { TYPE, SCHEMA, COUNT };
    static const struct slice names[COUNT] = {SLICE("type"), SLICE("json_schema")};
    struct openai_path path = {.name = SLICE("response_format")};
    struct json_member m[COUNT];

    openai__pick(member->value, &(struct openai_pick){names, COUNT, m});
    int rc = openai__expect(r, &path, names[TYPE], &m[TYPE], ANY_STRING, true);
    if (rc)
        return rc;
    if (literal_is(m[TYPE].value, SLICE("json_schema")))
        return read_schema(r, &path, &m[SCHEMA]);
    if (literal_is(m[TYPE].value, SLICE("text")))
        r->format.kind = CANON_FORMAT_TEXT;
    else if (literal_is(m[TYPE].value, SLICE("json_object")))
        r->format.kind = CANON_FORMAT_JSON_OBJECT;
    else
        return openai__refuse(r, ERR_UNSUPPORTED, &path, names[TYPE],
                              "is no format that can be translated");
    return 0;
}

// ---- Tools -------------------------------------------------------------------------------------

enum tool_detail {
    TOOL_NAME,
    TOOL_DESCRIPTION,
    TOOL_PARAMETERS,
    TOOL_STRICT,
    TOOL_FORMAT,
    TOOL_CACHE_CONTROL,
    TOOL_DETAILS
};

// What stands in `function` or `custom` of a tool, or in an element of `functions`.
static int read_tool_detail(struct canon_request *r, const struct openai_path *path,
                            struct slice object, struct canon_tool *tool)
{
    static const struct {
        struct slice name[TOOL_DETAILS];
        unsigned types[TOOL_DETAILS];
    } details = {{[TOOL_NAME] = SLICE("name"),
                  [TOOL_DESCRIPTION] = SLICE("description"),
                  [TOOL_PARAMETERS] = SLICE("parameters"),
                  [TOOL_STRICT] = SLICE("strict"),
                  [TOOL_FORMAT] = SLICE("format"),
                  [TOOL_CACHE_CONTROL] = SLICE("cache_control")},
                 {ANY_STRING, ANY_STRING, ANY_OBJECT, ANY_BOOL, ANY_OBJECT, ANY_OBJECT}};
    struct json_member m[TOOL_DETAILS];
    int rc = openai__pick_extra(r, object, &(struct openai_pick){details.name, TOOL_DETAILS, m},
                                &tool->extra);

    for (unsigned i = 0; rc == 0 && i < TOOL_DETAILS; i++)
        rc = openai__expect(r, path, details.name[i], &m[i], details.types[i], i == TOOL_NAME);
    tool->name = m[TOOL_NAME].value;
    tool->description = m[TOOL_DESCRIPTION].value;
    tool->parameters = m[TOOL_PARAMETERS].value;
    tool->strict = m[TOOL_STRICT].value;
    tool->format = m[TOOL_FORMAT].value;
    if (m[TOOL_CACHE_CONTROL].value.len > 0)
        tool->cache_control = m[TOOL_CACHE_CONTROL].value;
    return rc;
}

static int read_tool(struct canon_request *r, const struct openai_path *path, struct slice object,
                     struct canon_tool *tool)
{
    enum { TYPE, FUNCTION, CUSTOM, CACHE_CONTROL, COUNT };
    static const struct slice names[COUNT] = {SLICE("type"), SLICE("function"), SLICE("custom"),
                                              SLICE("cache_control")};
    struct json_member m[COUNT];

    openai__pick(object, &(struct openai_pick){names, COUNT, m});
    int rc = openai__expect(r, path, names[TYPE], &m[TYPE], ANY_STRING, true);
    if (rc)
        return rc;
    int detail = literal_is(m[TYPE].value, names[FUNCTION]) ? FUNCTION
                 : literal_is(m[TYPE].value, names[CUSTOM]) ? CUSTOM
                                                            : TYPE;
    if (detail == TYPE) {
        tool->kind = CANON_TOOL_OPAQUE;
        tool->raw = object;
        return 0;
    }
    tool->kind = detail == CUSTOM ? CANON_TOOL_CUSTOM : CANON_TOOL_FUNCTION;
    tool->cache_control = m[CACHE_CONTROL].value;
    struct openai_path inside = {.up = path, .name = names[detail]};
    rc = openai__expect(r, path, names[detail], &m[detail], ANY_OBJECT, true);
    return rc ? rc : read_tool_detail(r, &inside, m[detail].value, tool);
}

static int read_tool_list(struct canon_request *r, const struct json_member *m, bool functions)
{
    struct openai_path path = {.name = functions ? SLICE("functions") : SLICE("tools")};
    struct canon_tool **tail = &r->tools;
    struct json_member element = {0};
    int rc = 0;

    while (*tail)
        tail = &(*tail)->next;
    for (size_t at = 0; rc == 0 && json_array_next(m->value, &at, &element.type, &element.value);
         path.index++) {
        struct openai_path item = {.up = &path, .index = path.index};
        struct canon_tool *tool;
        rc = openai__expect(r, &item, SLICE_EMPTY, &element, ANY_OBJECT, true);
        if (rc == 0)
            rc = canon_add_tool(r, &tail, &tool);
        if (rc == 0)
            rc = functions ? read_tool_detail(r, &item, element.value, tool)
                           : read_tool(r, &item, element.value, tool);
    }
    return rc;
}

static int read_tools(struct canon_request *r, const struct json_member *m)
{
    return read_tool_list(r, m, false);
}

static int read_functions(struct canon_request *r, const struct json_member *m)
{
    return read_tool_list(r, m, true);
}

// `{"type":"approximate","approximate":{"city":…}}` becomes flat, as everybody else has it.
static int flatten_location(struct canon_request *r, struct slice object, struct slice *ret)
{
    struct json_member inner = json_object_get(object, SLICE("approximate"));
    struct json_writer w;
    struct json_member m;

    *ret = object;
    if (inner.type != JSON_OBJECT)
        return 0;
    json_writer_init(&w, r->arena, object.len);
    json_object(&w);
    json_member(&w, SLICE("type"), SLICE("\"approximate\""));
    for (size_t at = 0; json_object_next(inner.value, &at, &m);) {
        if (m.type == JSON_NULL)
            continue;
        json_raw(&w, m.key);
        json_plain(&w, SLICE(":"));
        json_raw(&w, m.value);
    }
    json_object_end(&w);
    return json_writer_done(&w, ret);
}

// A tool that the provider runs, the last one; its own settings stay for its own dialect.
static int read_web_search(struct canon_request *r, struct slice options)
{
    struct canon_tool **tail = &r->tools;
    struct canon_tool *tool;

    while (*tail)
        tail = &(*tail)->next;
    int rc = canon_add_tool(r, &tail, &tool);
    if (rc)
        return rc;
    tool->kind = CANON_TOOL_WEB_SEARCH;
    tool->raw = options;
    struct json_member location = json_object_get(options, SLICE("user_location"));
    if (location.type == JSON_OBJECT)
        rc = flatten_location(r, location.value, &tool->user_location);
    return rc;
}

// ---- Choice ------------------------------------------------------------------------------------

static const struct {
    struct slice name;
    enum canon_choice_kind kind;
} choices[] = {
    {SLICE("auto"), CANON_CHOICE_AUTO},
    {SLICE("none"), CANON_CHOICE_NONE},
    {SLICE("required"), CANON_CHOICE_REQUIRED},
    {SLICE("any"), CANON_CHOICE_REQUIRED}, // Bifrost's
};

static enum canon_choice_kind choice_named(struct slice literal)
{
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (literal_is(literal, choices[i].name))
            return choices[i].kind;
    return CANON_CHOICE_UNSET;
}

static int choose_tool(struct canon_request *r, const struct openai_path *path,
                       const struct json_member *holder, struct slice holder_name)
{
    int rc = openai__expect(r, path, holder_name, holder, ANY_OBJECT, true);
    if (rc)
        return rc;
    struct openai_path inside = {.up = path, .name = holder_name};
    struct json_member name = json_object_get(holder->value, SLICE("name"));
    rc = openai__expect(r, &inside, SLICE("name"), &name, ANY_STRING, true);
    if (rc)
        return rc;
    r->tool_choice.kind = CANON_CHOICE_TOOL;
    r->tool_choice.name = name.value;
    return 0;
}

static int read_choice_object(struct canon_request *r, const struct json_member *member)
{
    enum { TYPE, FUNCTION, COUNT };
    static const struct slice names[COUNT] = {SLICE("type"), SLICE("function")};
    struct openai_path path = {.name = SLICE("tool_choice")};
    struct json_member m[COUNT];

    openai__pick(member->value, &(struct openai_pick){names, COUNT, m});
    int rc = openai__expect(r, &path, names[TYPE], &m[TYPE], ANY_STRING, true);
    if (rc)
        return rc;
    if (literal_is(m[TYPE].value, names[FUNCTION]))
        return choose_tool(r, &path, &m[FUNCTION], names[FUNCTION]);
    r->tool_choice.kind = choice_named(m[TYPE].value);
    if (r->tool_choice.kind != CANON_CHOICE_UNSET)
        return 0;
    r->tool_choice.kind = CANON_CHOICE_OPAQUE; // custom, allowed_tools
    r->tool_choice.raw = member->value;
    return 0;
}

static int read_choice(struct canon_request *r, const struct json_member *m)
{
    if (m->type == JSON_OBJECT)
        return read_choice_object(r, m);
    r->tool_choice.kind = choice_named(m->value);
    if (r->tool_choice.kind == CANON_CHOICE_UNSET)
        return openai__refuse(r, ERR_BAD_TYPE, NULL, SLICE("tool_choice"),
                              "must be auto, none, required or an object");
    return 0;
}

// The choice of old: "auto", "none" or the function's name.
static int read_function_call(struct canon_request *r, const struct json_member *m)
{
    if (r->tool_choice.kind != CANON_CHOICE_UNSET)
        return 0;
    return m->type == JSON_OBJECT ? choose_tool(r, NULL, m, SLICE("function_call"))
                                  : read_choice(r, m);
}

// ---- Request -----------------------------------------------------------------------------------

#define PARAM(text, bits, canon)                                                                   \
    {                                                                                              \
        .name = SLICE(text), .types = (bits), .param = CANON_P_##canon                             \
    }
#define READ(text, bits, function)                                                                 \
    {                                                                                              \
        .name = SLICE(text), .types = (bits), .read = (function)                                   \
    }
#define OURS(text)                                                                                 \
    {                                                                                              \
        .name = SLICE(text)                                                                        \
    }

static const struct openai_member members[] = {
    OURS("model"),
    OURS("fallbacks"),
    OURS("stream_options"),
    OURS("extra_params"),
    READ("messages", ANY_ARRAY, openai__read_messages),
    READ("stream", ANY_BOOL, openai__read_stream),
    READ("max_completion_tokens", ANY_NUMBER, openai__read_limit),
    READ("max_tokens", ANY_NUMBER, read_limit_old),
    READ("tools", ANY_ARRAY, read_tools),
    READ("functions", ANY_ARRAY, read_functions),
    READ("tool_choice", ANY_STRING | ANY_OBJECT, read_choice),
    READ("function_call", ANY_STRING | ANY_OBJECT, read_function_call),
    READ("response_format", ANY_OBJECT, read_format),
    READ("reasoning_effort", ANY_STRING, read_effort),
    READ("reasoning", ANY_OBJECT, read_reasoning),
    READ("stop", ANY_STRING | ANY_ARRAY, openai__read_stops),
    PARAM("web_search_options", ANY_OBJECT, WEB_SEARCH_OPTIONS),
    PARAM("temperature", ANY_NUMBER, TEMPERATURE),
    PARAM("top_p", ANY_NUMBER, TOP_P),
    PARAM("top_k", ANY_NUMBER, TOP_K),
    PARAM("seed", ANY_NUMBER, SEED),
    PARAM("frequency_penalty", ANY_NUMBER, FREQUENCY_PENALTY),
    PARAM("presence_penalty", ANY_NUMBER, PRESENCE_PENALTY),
    PARAM("logit_bias", ANY_OBJECT, LOGIT_BIAS),
    PARAM("logprobs", ANY_BOOL, LOGPROBS),
    PARAM("top_logprobs", ANY_NUMBER, TOP_LOGPROBS),
    PARAM("n", ANY_NUMBER, N),
    PARAM("user", ANY_STRING, USER),
    PARAM("metadata", ANY_OBJECT, METADATA),
    PARAM("service_tier", ANY_STRING, SERVICE_TIER),
    PARAM("store", ANY_BOOL, STORE),
    PARAM("parallel_tool_calls", ANY_BOOL, PARALLEL_TOOL_CALLS),
    PARAM("prompt_cache_key", ANY_STRING, PROMPT_CACHE_KEY),
    PARAM("prompt_cache_retention", ANY_STRING, PROMPT_CACHE_RETENTION),
    PARAM("safety_identifier", ANY_STRING, SAFETY_IDENTIFIER),
    PARAM("verbosity", ANY_STRING, VERBOSITY),
    PARAM("modalities", ANY_ARRAY, MODALITIES),
    PARAM("audio", ANY_OBJECT, AUDIO),
    PARAM("prediction", ANY_OBJECT, PREDICTION),
};

int openai_chat__read_request(struct canon_request *r, struct slice text)
{
    r->from = &dialect_openai_chat;
    int rc = openai__read_members(r, text, members, ARRAY_LEN(members));
    struct slice search = r->param[CANON_P_WEB_SEARCH_OPTIONS];
    if (rc == 0 && search.len > 0) {
        r->param[CANON_P_WEB_SEARCH_OPTIONS] = SLICE_EMPTY;
        rc = read_web_search(r, search);
    }
    if (rc || r->messages)
        return rc;
    struct json_member messages = json_object_get(text, SLICE("messages"));
    return openai__expect(r, NULL, SLICE("messages"), &messages, ANY_ARRAY, true);
}
