// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_write.c: a canonical request becomes a chat request to a provider.
//
// Order of members: docs/translation.md. What chat has no place for is a table: a parameter of
// another dialect is refused, reported or left out, and the table says which and under which name
// its client sent it.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

// ---- What does not cross -----------------------------------------------------------------------

static const struct {
    enum canon_param param;
    struct slice harmless; // a value that asks for nothing
    struct slice name;
    const char *why;
} refused[] = {
    {CANON_P_PREVIOUS_RESPONSE_ID, SLICE("null"), SLICE("previous_response_id"),
     "needs a history that this provider does not keep"},
    {CANON_P_CONVERSATION, SLICE("null"), SLICE("conversation"),
     "needs a history that this provider does not keep"},
    {CANON_P_PROMPT_TEMPLATE, SLICE("null"), SLICE("prompt"),
     "names a template that this provider does not keep"},
    {CANON_P_BACKGROUND, SLICE("false"), SLICE("background"), "is not possible here"},
    {CANON_P_SUFFIX, SLICE("\"\""), SLICE("suffix"), "is not possible in a chat"},
    {CANON_P_ECHO, SLICE("false"), SLICE("echo"), "is not possible in a chat"},
    {CANON_P_BEST_OF, SLICE("1"), SLICE("best_of"), "must be 1 in a chat"},
};

// Reported, under the names their clients gave them, in the order of enum canon_param. What is in
// neither table and not in `params` below (include, truncation, …) is left out without a word.
static const struct openai_param dropped[] = {
    {CANON_P_TOP_K, SLICE("top_k")},
    {CANON_P_CONTEXT_MANAGEMENT, SLICE("context_management")},
    {CANON_P_MCP_SERVERS, SLICE("mcp_servers")},
    {CANON_P_CONTAINER, SLICE("container")},
};

static int turn_away(struct canon_request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct slice value = r->param[refused[i].param];
        if (value.len > 0 && !slice_eq(value, refused[i].harmless))
            return openai__refuse(r, ERR_UNSUPPORTED, NULL, refused[i].name, refused[i].why);
    }
    // A text completion's several answers are another thing than a chat's.
    if (r->from == &dialect_openai_text && r->param[CANON_P_N].len > 0 &&
        !slice_eq(r->param[CANON_P_N], SLICE("1")))
        return openai__refuse(r, ERR_UNSUPPORTED, NULL, SLICE("n"), "must be 1 in a chat");
    if (r->prompt.len > 0 && r->prompt.ptr[0] != '"')
        return openai__refuse(r, ERR_UNSUPPORTED, NULL, SLICE("prompt"), "must be one text");
    return 0;
}

static void drop_params(struct canon_request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
        if (r->param[dropped[i].param].len > 0 &&
            !(dropped[i].param == CANON_P_TOP_K && r->from == &dialect_openai_chat))
            canon_drop(r, dropped[i].name);
}

// ---- Tools -------------------------------------------------------------------------------------

// A grammar lies in a member of its own in chat and is flat elsewhere.
static void write_format(const struct canon_tool *tool, struct json_writer *w)
{
    struct json_member definition = {.type = JSON_NONE};
    if (tool->format.len > 0)
        definition = json_object_get(tool->format, SLICE("definition"));
    if (definition.type == JSON_NONE) {
        json_member(w, SLICE("format"), tool->format);
        return;
    }
    json_key(w, SLICE("format"));
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"grammar\""));
    json_key(w, SLICE("grammar"));
    json_object(w);
    json_member(w, SLICE("definition"), definition.value);
    json_member(w, SLICE("syntax"), json_object_get(tool->format, SLICE("syntax")).value);
    json_object_end(w);
    json_object_end(w);
}

static void write_tool(const struct canon_request *r, const struct canon_tool *tool,
                       struct json_writer *w)
{
    if (tool->kind == CANON_TOOL_OPAQUE) {
        json_raw(w, tool->raw);
        return;
    }
    bool custom = tool->kind == CANON_TOOL_CUSTOM;
    json_object(w);
    json_member(w, SLICE("type"), custom ? SLICE("\"custom\"") : SLICE("\"function\""));
    json_key(w, custom ? SLICE("custom") : SLICE("function"));
    json_object(w);
    json_member(w, SLICE("name"), tool->name);
    json_member(w, SLICE("description"), tool->description);
    if (custom) {
        write_format(tool, w);
    } else {
        json_member(w, SLICE("parameters"), tool->parameters);
        json_member(w, SLICE("strict"), tool->strict);
    }
    openai__write_extra(r, tool->extra, w);
    json_object_end(w);
    if (r->from == &dialect_openai_chat)
        json_member(w, SLICE("cache_control"), tool->cache_control);
    json_object_end(w);
}

// Does chat have it in `tools`? A web search is a member of its own.
static bool is_chat_tool(const struct canon_request *r, const struct canon_tool *tool)
{
    return tool->kind == CANON_TOOL_FUNCTION || tool->kind == CANON_TOOL_CUSTOM ||
           (tool->kind == CANON_TOOL_OPAQUE && r->from == &dialect_openai_chat);
}

static bool write_tools(struct canon_request *r, struct json_writer *w)
{
    bool any = false;
    for (const struct canon_tool *t = r->tools; t; t = t->next) {
        if (!is_chat_tool(r, t)) {
            if (t->kind != CANON_TOOL_WEB_SEARCH)
                canon_drop(r, SLICE("tools"));
            continue;
        }
        if (!any) {
            json_key(w, SLICE("tools"));
            json_array(w);
        }
        any = true;
        write_tool(r, t, w);
    }
    if (any)
        json_array_end(w);
    return any;
}

static const struct canon_tool *find_tool(const struct canon_request *r, struct slice name)
{
    const struct canon_tool *t = r->tools;
    while (t && !slice_eq(t->name, name))
        t = t->next;
    return t;
}

static void write_choice_of_one(struct canon_request *r, struct json_writer *w)
{
    const struct canon_tool *tool = find_tool(r, r->tool_choice.name);

    if (tool && !is_chat_tool(r, tool)) {
        canon_drop(r, SLICE("tool_choice"));
        return;
    }
    json_key(w, SLICE("tool_choice"));
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"function\""));
    json_key(w, SLICE("function"));
    json_object(w);
    json_member(w, SLICE("name"), r->tool_choice.name);
    json_object_end(w);
    json_object_end(w);
}

// Chat takes neither a choice nor a word about parallel calls without tools; when the client had
// some and none of them crossed, the choice does not either.
static void write_choice(struct canon_request *r, struct json_writer *w, bool tools_written)
{
    static const struct slice words[] = {
        [CANON_CHOICE_AUTO] = SLICE("\"auto\""),
        [CANON_CHOICE_NONE] = SLICE("\"none\""),
        [CANON_CHOICE_REQUIRED] = SLICE("\"required\""),
    };
    enum canon_choice_kind kind = r->tool_choice.kind;

    if (r->tools && !tools_written) {
        if (kind == CANON_CHOICE_REQUIRED || kind == CANON_CHOICE_TOOL)
            canon_drop(r, SLICE("tool_choice"));
        return;
    }
    if (kind == CANON_CHOICE_TOOL)
        write_choice_of_one(r, w);
    else if (r->tool_choice.raw.len > 0 && r->from == &dialect_openai_chat)
        json_member(w, SLICE("tool_choice"), r->tool_choice.raw);
    else if (kind == CANON_CHOICE_OPAQUE)
        canon_drop(r, SLICE("tool_choice"));
    else if (kind != CANON_CHOICE_UNSET)
        json_member(w, SLICE("tool_choice"), words[kind]);
    json_member(w, SLICE("parallel_tool_calls"), r->param[CANON_P_PARALLEL_TOOL_CALLS]);
}

// The place is flat elsewhere and lies in a member of its own here.
static void write_search(const struct canon_tool *tool, struct json_writer *w)
{
    struct json_member m;

    json_object(w);
    if (tool->user_location.len > 0) {
        json_key(w, SLICE("user_location"));
        json_object(w);
        json_member(w, SLICE("type"), SLICE("\"approximate\""));
        json_key(w, SLICE("approximate"));
        json_object(w);
        for (size_t at = 0; json_object_next(tool->user_location, &at, &m);) {
            if (m.type == JSON_NULL || literal_is(m.key, SLICE("type")))
                continue;
            json_raw(w, m.key);
            json_plain(w, SLICE(":"));
            json_raw(w, m.value);
        }
        json_object_end(w);
        json_object_end(w);
    }
    json_object_end(w);
}

static void write_web_search(const struct canon_request *r, struct json_writer *w)
{
    for (const struct canon_tool *t = r->tools; t; t = t->next) {
        if (t->kind != CANON_TOOL_WEB_SEARCH)
            continue;
        json_key(w, SLICE("web_search_options"));
        if (r->from == &dialect_openai_chat && t->raw.len > 0)
            json_raw(w, t->raw);
        else
            write_search(t, w);
        return;
    }
}

// ---- Format and reasoning ----------------------------------------------------------------------

static void write_response_format(const struct canon_request *r, struct json_writer *w)
{
    static const struct slice types[] = {
        [CANON_FORMAT_TEXT] = SLICE("\"text\""),
        [CANON_FORMAT_JSON_OBJECT] = SLICE("\"json_object\""),
        [CANON_FORMAT_JSON_SCHEMA] = SLICE("\"json_schema\""),
    };

    if (r->format.kind == CANON_FORMAT_UNSET)
        return;
    json_key(w, SLICE("response_format"));
    json_object(w);
    json_member(w, SLICE("type"), types[r->format.kind]);
    if (r->format.kind == CANON_FORMAT_JSON_SCHEMA) {
        json_key(w, SLICE("json_schema"));
        json_object(w);
        json_member(w, SLICE("name"),
                    r->format.name.len > 0 ? r->format.name : SLICE("\"response\""));
        json_member(w, SLICE("description"), r->format.description);
        json_member(w, SLICE("schema"), r->format.schema);
        json_member(w, SLICE("strict"), r->format.strict);
        json_object_end(w);
    }
    json_object_end(w);
}

static void write_reasoning(const struct canon_request *r, struct json_writer *w)
{
    enum { TOKENS_UNSET = 4096 };
    struct slice effort = r->reasoning.effort;
    uint64_t max_tokens;

    if (r->reasoning.kind == CANON_REASONING_BUDGET) {
        if (json_u64(r->param[CANON_P_MAX_TOKENS], &max_tokens) != 0)
            max_tokens = TOKENS_UNSET;
        json_member_string(w, SLICE("reasoning_effort"),
                           canon_effort_of_budget(r->reasoning.budget, max_tokens));
        return;
    }
    // OFF without an effort, ADAPTIVE without one: nothing.
    if (literal_is(effort, SLICE("max")))
        effort = SLICE("\"xhigh\"");
    if (r->reasoning.kind != CANON_REASONING_UNSET)
        json_member(w, SLICE("reasoning_effort"), effort);
}

// ---- Parameters --------------------------------------------------------------------------------

static const struct openai_param params[] = {
    {CANON_P_MAX_TOKENS, SLICE("max_completion_tokens")},
    {CANON_P_TEMPERATURE, SLICE("temperature")},
    {CANON_P_TOP_P, SLICE("top_p")},
    {CANON_P_TOP_K, SLICE("top_k")},
    {CANON_P_STOP, SLICE("stop")},
    {CANON_P_SEED, SLICE("seed")},
    {CANON_P_FREQUENCY_PENALTY, SLICE("frequency_penalty")},
    {CANON_P_PRESENCE_PENALTY, SLICE("presence_penalty")},
    {CANON_P_LOGIT_BIAS, SLICE("logit_bias")},
    {CANON_P_LOGPROBS, SLICE("logprobs")},
    {CANON_P_TOP_LOGPROBS, SLICE("top_logprobs")},
    {CANON_P_N, SLICE("n")},
    {CANON_P_USER, SLICE("user")},
    {CANON_P_METADATA, SLICE("metadata")},
    {CANON_P_SERVICE_TIER, SLICE("service_tier")},
    {CANON_P_STORE, SLICE("store")},
    {CANON_P_PROMPT_CACHE_KEY, SLICE("prompt_cache_key")},
    {CANON_P_PROMPT_CACHE_RETENTION, SLICE("prompt_cache_retention")},
    {CANON_P_SAFETY_IDENTIFIER, SLICE("safety_identifier")},
    {CANON_P_VERBOSITY, SLICE("verbosity")},
    {CANON_P_MODALITIES, SLICE("modalities")},
    {CANON_P_AUDIO, SLICE("audio")},
    {CANON_P_PREDICTION, SLICE("prediction")},
};

// A text completion asks for the probabilities of so many tokens; a chat first whether, then how
// many. What is top alone elsewhere needs the first here.
static void write_logprobs(const struct canon_request *r, enum canon_param param,
                           struct json_writer *w)
{
    struct slice whether = r->param[CANON_P_LOGPROBS];
    struct slice top = r->param[CANON_P_TOP_LOGPROBS];

    if (r->from == &dialect_openai_text) {
        top = whether;
        whether = whether.len > 0 ? SLICE("true") : SLICE_EMPTY;
    }
    if (whether.len == 0 && top.len > 0)
        whether = SLICE("true");
    if (param == CANON_P_LOGPROBS)
        json_member(w, SLICE("logprobs"), whether);
    else
        json_member(w, SLICE("top_logprobs"), top);
}

static void write_params(const struct canon_request *r, struct json_writer *w)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        enum canon_param param = params[i].param;
        if (param == CANON_P_LOGPROBS || param == CANON_P_TOP_LOGPROBS)
            write_logprobs(r, param, w);
        else if (param != CANON_P_TOP_K || r->from == &dialect_openai_chat)
            json_member(w, params[i].name, r->param[param]);
    }
}

// ---- Unknown members ---------------------------------------------------------------------------

// Written by their own rules, or the gateway's: an unknown member of the same name never is.
static const struct slice reserved[] = {
    SLICE("model"),          SLICE("messages"),
    SLICE("prompt"),         SLICE("tools"),
    SLICE("tool_choice"),    SLICE("response_format"),
    SLICE("stream"),         SLICE("reasoning_effort"),
    SLICE("stream_options"), SLICE("web_search_options"),
    SLICE("fallbacks"),      SLICE("parallel_tool_calls"),
    SLICE("functions"),      SLICE("function_call"),
};

static bool may_pass(const struct canon_request *r, const struct dialect *to, struct slice name,
                     const struct openai_param *table, size_t count)
{
    if (!r->pass_extra && r->from != to)
        return false;
    // Two limits would be one too many.
    if (slice_eq(name, SLICE("max_tokens")) && r->param[CANON_P_MAX_TOKENS].len > 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
        if (slice_eq(name, reserved[i]))
            return false;
    for (size_t i = 0; i < count; i++)
        if (slice_eq(name, table[i].name))
            return r->param[table[i].param].len == 0;
    return true;
}

static void write_member(const struct canon_member *m, struct json_writer *w)
{
    json_string(w, m->name);
    json_plain(w, SLICE(":"));
    json_raw(w, m->value);
}

void openai__write_extra(const struct canon_request *r, const struct canon_member *extra,
                         struct json_writer *w)
{
    if (r->from != &dialect_openai_chat)
        return;
    for (; extra; extra = extra->next)
        write_member(extra, w);
}

void openai__write_rest(struct canon_request *r, const struct dialect *to, struct json_writer *w,
                        const struct openai_param *table, size_t count)
{
    if (r->stream) {
        json_member(w, SLICE("stream"), SLICE("true"));
        json_member(w, SLICE("stream_options"), SLICE("{\"include_usage\":true}"));
    }
    for (const struct canon_member *m = r->extra; m; m = m->next) {
        if (may_pass(r, to, m->name, table, count))
            write_member(m, w);
        else
            canon_drop(r, m->name);
    }
    canon_drop_inner(r);
}

int openai_chat__write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    int rc = turn_away(r);
    if (rc)
        return rc;
    json_object(w);
    json_member_string(w, SLICE("model"), model);
    json_key(w, SLICE("messages"));
    rc = openai__write_messages(r, w);
    if (rc)
        return rc;
    write_choice(r, w, write_tools(r, w));
    write_response_format(r, w);
    write_reasoning(r, w);
    write_params(r, w);
    drop_params(r);
    write_web_search(r, w);
    openai__write_rest(r, &dialect_openai_chat, w, params, ARRAY_LEN(params));
    json_object_end(w);
    return w->err;
}
