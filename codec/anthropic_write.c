// SPDX-License-Identifier: Apache-2.0
//
// anthropic_write.c: a canonical request becomes one for messages, or for the counting of its
// tokens. The gateway calls it through the rows of dialect_anthropic.c.
//
// The order is that of docs/translation.md: model, max_tokens, system, messages, tools,
// tool_choice, thinking, output_config, parameters, stream, unknown. What does not cross is
// reported when its place in that order comes. max_tokens and thinking depend on each other: Claude
// wants a limit always and a budget below it, so both are planned before the first is written.
//
// Counting takes no parameters of sampling; leaving them out changes no count and is not reported.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"
#include <stdlib.h>

#define MAX_TOKENS_UNSET 4096
#define BUDGET_MIN       1024
// No model writes more; above it sums could overflow.
#define TOKENS_MAX UINT32_MAX

// Members at the top, for what is unknown and must not stand over one that was written.
enum top {
    TOP_MODEL,
    TOP_MAX_TOKENS,
    TOP_SYSTEM,
    TOP_MESSAGES,
    TOP_TOOLS,
    TOP_TOOL_CHOICE,
    TOP_THINKING,
    TOP_OUTPUT_CONFIG,
    TOP_TEMPERATURE,
    TOP_TOP_P,
    TOP_TOP_K,
    TOP_STOP_SEQUENCES,
    TOP_METADATA,
    TOP_SERVICE_TIER,
    TOP_CONTEXT_MANAGEMENT,
    TOP_MCP_SERVERS,
    TOP_CONTAINER,
    TOP_CACHE_CONTROL,
    TOP_STREAM,
    TOP_COUNT
};

static const struct slice top_names[TOP_COUNT] = {
    [TOP_MODEL] = SLICE("model"),
    [TOP_MAX_TOKENS] = SLICE("max_tokens"),
    [TOP_SYSTEM] = SLICE("system"),
    [TOP_MESSAGES] = SLICE("messages"),
    [TOP_TOOLS] = SLICE("tools"),
    [TOP_TOOL_CHOICE] = SLICE("tool_choice"),
    [TOP_THINKING] = SLICE("thinking"),
    [TOP_OUTPUT_CONFIG] = SLICE("output_config"),
    [TOP_TEMPERATURE] = SLICE("temperature"),
    [TOP_TOP_P] = SLICE("top_p"),
    [TOP_TOP_K] = SLICE("top_k"),
    [TOP_STOP_SEQUENCES] = SLICE("stop_sequences"),
    [TOP_METADATA] = SLICE("metadata"),
    [TOP_SERVICE_TIER] = SLICE("service_tier"),
    [TOP_CONTEXT_MANAGEMENT] = SLICE("context_management"),
    [TOP_MCP_SERVERS] = SLICE("mcp_servers"),
    [TOP_CONTAINER] = SLICE("container"),
    [TOP_CACHE_CONTROL] = SLICE("cache_control"),
    [TOP_STREAM] = SLICE("stream"),
};

struct writing {
    struct canon_request *r;
    struct json_writer *w;
    bool own;      // the source speaks this dialect
    bool counting; // tokens of the request, not its answer
    bool thinks;
    uint32_t written; // bit n: enum top
    bool has_limit;
    uint64_t max_tokens;
    uint64_t budget; // 0: none
};

static void mark(struct writing *x, enum top name)
{
    x->written |= 1u << name;
}

static void key(struct writing *x, enum top name)
{
    json_key(x->w, top_names[name]);
    mark(x, name);
}

// Responses and the counting of their tokens.
static bool is_openai_responses(const struct canon_request *r)
{
    return r->from && slice_eq(r->from->members[DIALECT_INPUT], SLICE("input"));
}

// ---- max_tokens and thinking -------------------------------------------------------------------

static int plan_budget(struct writing *x)
{
    struct slice name = x->own ? SLICE("thinking.budget_tokens") : SLICE("reasoning.max_tokens");
    uint64_t budget = x->r->reasoning.budget;

    if (budget == UINT64_MAX) // -1: as much as the provider likes
        budget = BUDGET_MIN;
    if (budget < BUDGET_MIN)
        return canon_refuse(x->r, ERR_UNSUPPORTED, name,
                            "%.*s: the provider thinks with at least %d tokens", SLICE_ARG(name),
                            BUDGET_MIN);
    if (budget > TOKENS_MAX || (x->has_limit && !x->counting && budget >= x->max_tokens))
        return canon_refuse(x->r, ERR_UNSUPPORTED, name, "%.*s: must be below the limit of tokens",
                            SLICE_ARG(name));
    x->budget = budget;
    return 0;
}

static void plan_effort(struct writing *x)
{
    struct slice effort;
    uint64_t limit = x->has_limit ? x->max_tokens : MAX_TOKENS_UNSET;

    if (anthropic__plain(x->r->arena, x->r->reasoning.effort, &effort) == 0)
        x->budget = canon_budget_of_effort(effort, limit);
}

static bool is_off(const struct canon_request *r)
{
    return r->reasoning.kind == CANON_REASONING_OFF ||
           (r->reasoning.kind == CANON_REASONING_EFFORT &&
            anthropic__is(r->reasoning.effort, SLICE("none")));
}

static int plan(struct writing *x)
{
    struct slice limit = x->r->param[CANON_P_MAX_TOKENS];
    int rc = 0;

    x->has_limit = limit.len > 0;
    if (x->has_limit && json_u64(limit, &x->max_tokens) != 0)
        return canon_refuse(x->r, ERR_BAD_TYPE, SLICE("max_tokens"),
                            "max_tokens: must be an integer");
    if (x->r->reasoning.kind == CANON_REASONING_BUDGET)
        rc = plan_budget(x);
    else if (x->r->reasoning.kind == CANON_REASONING_EFFORT && !x->own && !is_off(x->r))
        plan_effort(x);
    x->thinks = x->budget > 0 || x->r->reasoning.kind == CANON_REASONING_ADAPTIVE;
    if (!x->has_limit)
        x->max_tokens = x->budget + MAX_TOKENS_UNSET;
    return rc;
}

static void write_max_tokens(struct writing *x)
{
    if (x->counting)
        return;
    key(x, TOP_MAX_TOKENS);
    if (x->has_limit)
        json_raw(x->w, x->r->param[CANON_P_MAX_TOKENS]);
    else
        json_number(x->w, x->max_tokens);
}

static void write_thinking(struct writing *x)
{
    struct slice type = is_off(x->r)    ? SLICE("disabled")
                        : x->budget > 0 ? SLICE("enabled")
                        : x->thinks     ? SLICE("adaptive")
                                        : SLICE_EMPTY;

    if (type.len == 0) {
        if (x->r->reasoning.kind == CANON_REASONING_EFFORT && !x->own)
            canon_drop(x->r,
                       is_openai_responses(x->r) ? SLICE("reasoning") : SLICE("reasoning_effort"));
        return;
    }
    key(x, TOP_THINKING);
    json_object(x->w);
    json_member_string(x->w, SLICE("type"), type);
    if (x->budget > 0)
        json_member_number(x->w, SLICE("budget_tokens"), x->budget);
    json_object_end(x->w);
}

static void write_output_config(struct writing *x)
{
    const struct canon_request *r = x->r;
    bool effort =
        r->reasoning.effort.len > 0 && (r->reasoning.kind == CANON_REASONING_ADAPTIVE ||
                                        (x->own && r->reasoning.kind == CANON_REASONING_EFFORT));
    bool schema = r->format.kind == CANON_FORMAT_JSON_SCHEMA && r->format.schema.len > 0;

    if (r->format.kind >= CANON_FORMAT_JSON_OBJECT && !schema)
        canon_drop(x->r, is_openai_responses(r) ? SLICE("text") : SLICE("response_format"));
    if (!effort && !schema)
        return;
    key(x, TOP_OUTPUT_CONFIG);
    json_object(x->w);
    if (effort)
        json_member(x->w, SLICE("effort"), r->reasoning.effort);
    if (schema) {
        json_key(x->w, SLICE("format"));
        json_object(x->w);
        json_member(x->w, SLICE("type"), SLICE("\"json_schema\""));
        json_member(x->w, SLICE("schema"), r->format.schema);
        json_object_end(x->w);
    }
    json_object_end(x->w);
}

// ---- Tools -------------------------------------------------------------------------------------

#define EMPTY_SCHEMA SLICE("{\"type\":\"object\",\"properties\":{}}")
#define INPUT_SCHEMA                                                                               \
    SLICE("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"                 \
          "\"required\":[\"input\"]}")

static void write_function(struct writing *x, const struct canon_tool *t)
{
    bool custom = t->kind == CANON_TOOL_CUSTOM;

    json_member(x->w, SLICE("name"), t->name);
    json_member(x->w, SLICE("description"), t->description);
    json_member(x->w, SLICE("input_schema"),
                custom                  ? INPUT_SCHEMA
                : t->parameters.len > 0 ? t->parameters
                                        : EMPTY_SCHEMA);
    if (slice_eq(t->strict, SLICE("true")))
        json_member(x->w, SLICE("strict"), t->strict);
}

// Chat wraps the place in a member `approximate`, the others do not.
static void write_location(struct json_writer *w, struct slice location)
{
    struct json_member m;

    if (location.len == 0)
        return;
    struct json_member inside = json_object_get(location, SLICE("approximate"));
    json_key(w, SLICE("user_location"));
    if (inside.type != JSON_OBJECT) {
        json_raw(w, location);
        return;
    }
    json_object(w);
    json_member(w, SLICE("type"), SLICE("\"approximate\""));
    for (size_t at = 0; json_object_next(inside.value, &at, &m);)
        if (!anthropic__is(m.key, SLICE("type"))) {
            json_raw(w, m.key);
            w->comma = false;
            json_plain(w, SLICE(":"));
            json_raw(w, m.value);
        }
    json_object_end(w);
}

static void write_search(struct writing *x, const struct canon_tool *t)
{
    json_member(x->w, SLICE("type"), SLICE("\"web_search_20250305\""));
    json_member(x->w, SLICE("name"), SLICE("\"web_search\""));
    json_member(x->w, SLICE("max_uses"), t->max_uses);
    json_member(x->w, SLICE("allowed_domains"), t->allowed_domains);
    write_location(x->w, t->user_location);
}

static void write_tool(struct writing *x, const struct canon_tool *t)
{
    if (t->raw.len > 0 && x->own) {
        json_raw(x->w, t->raw);
        return;
    }
    json_object(x->w);
    if (t->kind == CANON_TOOL_WEB_SEARCH)
        write_search(x, t);
    else
        write_function(x, t);
    json_member(x->w, SLICE("cache_control"), t->cache_control);
    anthropic__write_extra(x->r, x->w, t->extra);
    json_object_end(x->w);
}

static void open_tools(struct writing *x)
{
    if (x->written & 1u << TOP_TOOLS)
        return;
    key(x, TOP_TOOLS);
    json_array(x->w);
}

static void write_tools(struct writing *x)
{
    struct slice options = x->r->param[CANON_P_WEB_SEARCH_OPTIONS];
    bool searches = false;

    for (const struct canon_tool *t = x->r->tools; t; t = t->next) {
        if (t->kind == CANON_TOOL_OPAQUE && !x->own) {
            canon_drop(x->r, SLICE("tools"));
            continue;
        }
        searches |= t->kind == CANON_TOOL_WEB_SEARCH;
        open_tools(x);
        write_tool(x, t);
    }
    if (options.len > 0 && options.ptr[0] == '{' && !searches) {
        struct json_member location = json_object_get(options, SLICE("user_location"));
        const struct canon_tool search = {
            .kind = CANON_TOOL_WEB_SEARCH,
            .user_location = location.type == JSON_OBJECT ? location.value : SLICE_EMPTY};
        open_tools(x);
        write_tool(x, &search);
    }
    if (x->written & 1u << TOP_TOOLS)
        json_array_end(x->w);
}

// Claude takes a choice only beside tools; without them it says nothing.
static void write_tool_choice(struct writing *x)
{
    static const struct slice types[] = {
        [CANON_CHOICE_UNSET] = SLICE("auto"), [CANON_CHOICE_AUTO] = SLICE("auto"),
        [CANON_CHOICE_NONE] = SLICE("none"),  [CANON_CHOICE_REQUIRED] = SLICE("any"),
        [CANON_CHOICE_TOOL] = SLICE("tool"),  [CANON_CHOICE_OPAQUE] = SLICE("auto"),
    };
    enum canon_choice_kind kind = x->r->tool_choice.kind;
    bool serial = slice_eq(x->r->param[CANON_P_PARALLEL_TOOL_CALLS], SLICE("false")) &&
                  kind != CANON_CHOICE_NONE;

    if (kind == CANON_CHOICE_OPAQUE && !x->own)
        canon_drop(x->r, SLICE("tool_choice"));
    if (!(x->written & 1u << TOP_TOOLS))
        return;
    if (kind == CANON_CHOICE_OPAQUE && x->own) {
        key(x, TOP_TOOL_CHOICE);
        json_raw(x->w, x->r->tool_choice.raw);
        return;
    }
    if ((kind == CANON_CHOICE_UNSET || kind == CANON_CHOICE_OPAQUE) && !serial)
        return;
    key(x, TOP_TOOL_CHOICE);
    json_object(x->w);
    json_member_string(x->w, SLICE("type"), types[kind]);
    if (kind == CANON_CHOICE_TOOL)
        json_member(x->w, SLICE("name"), x->r->tool_choice.name);
    if (serial)
        json_member(x->w, SLICE("disable_parallel_tool_use"), SLICE("true"));
    json_object_end(x->w);
}

// ---- Parameters --------------------------------------------------------------------------------

// The longest spelling of a number that is looked at; a longer one goes as it is.
#define NUMBER_BYTES_MAX 63

void anthropic__write_temperature(struct json_writer *w, struct slice value)
{
    char text[NUMBER_BYTES_MAX + 1];

    bool above = false;
    if (value.len <= NUMBER_BYTES_MAX) {
        memcpy(text, value.ptr, value.len);
        text[value.len] = '\0';
        above = strtod(text, NULL) > 1;
    }
    json_raw(w, above ? SLICE("1") : value);
}

void anthropic__write_stop_sequences(struct json_writer *w, struct slice stop)
{
    if (stop.ptr[0] != '"') {
        json_raw(w, stop);
        return;
    }
    json_array(w);
    json_raw(w, stop);
    json_array_end(w);
}

static int write_temperature(struct writing *x, struct slice value)
{
    key(x, TOP_TEMPERATURE);
    anthropic__write_temperature(x->w, value);
    return 0;
}

static int write_stop(struct writing *x, struct slice value)
{
    key(x, TOP_STOP_SEQUENCES);
    anthropic__write_stop_sequences(x->w, value);
    return 0;
}

static int write_user(struct writing *x, struct slice value)
{
    key(x, TOP_METADATA);
    json_object(x->w);
    json_member(x->w, SLICE("user_id"), value);
    json_object_end(x->w);
    return 0;
}

static int write_service_tier(struct writing *x, struct slice value)
{
    bool only = anthropic__is(value, SLICE("default"));

    if (!only && !anthropic__is(value, SLICE("auto"))) {
        canon_drop(x->r, SLICE("service_tier"));
        return 0;
    }
    key(x, TOP_SERVICE_TIER);
    json_string(x->w, only ? SLICE("standard_only") : SLICE("auto"));
    return 0;
}

// Has the dialect's own meaning only when it comes from there.
static int write_own(struct writing *x, enum top name, struct slice value)
{
    if (!x->own) {
        canon_drop(x->r, top_names[name]);
        return 0;
    }
    key(x, name);
    json_raw(x->w, value);
    return 0;
}

static int write_context_management(struct writing *x, struct slice value)
{
    return write_own(x, TOP_CONTEXT_MANAGEMENT, value);
}

static int write_mcp_servers(struct writing *x, struct slice value)
{
    return write_own(x, TOP_MCP_SERVERS, value);
}

static int write_container(struct writing *x, struct slice value)
{
    return write_own(x, TOP_CONTAINER, value);
}

static int drop_verbosity(struct writing *x, struct slice value)
{
    (void)value;
    canon_drop(x->r, is_openai_responses(x->r) ? SLICE("text.verbosity") : SLICE("verbosity"));
    return 0;
}

static int refuse_modalities(struct writing *x, struct slice value)
{
    enum json_type type;
    struct slice element;

    for (size_t at = 0; json_array_next(value, &at, &type, &element);)
        if (anthropic__is(element, SLICE("audio")))
            return canon_refuse(x->r, ERR_UNSUPPORTED, SLICE("modalities"),
                                "modalities: the provider speaks no audio");
    return 0;
}

static int refuse_background(struct writing *x, struct slice value)
{
    if (!slice_eq(value, SLICE("true")))
        return 0;
    return canon_refuse(x->r, ERR_UNSUPPORTED, SLICE("background"),
                        "background: the provider answers at once");
}

enum fate {
    UNTOLD, // dropped, not reported
    TOLD,   // dropped, reported under `name`
    COPIED, // written as `top`
    REFUSED,
    CALLED, // `call` decides
};

static const struct rule {
    enum fate fate;
    struct slice name; // the source's
    enum top top;
    bool counts;           // the counting of tokens takes it too, or asks for it
    bool excludes_thought; // Claude refuses it beside thinking
    int (*call)(struct writing *x, struct slice value);
} rules[CANON_PARAM_COUNT] = {
    [CANON_P_TEMPERATURE] = {CALLED, SLICE("temperature"), .excludes_thought = true,
                             .call = write_temperature},
    [CANON_P_TOP_P] = {COPIED, SLICE("top_p"), TOP_TOP_P, .excludes_thought = true},
    [CANON_P_TOP_K] = {COPIED, SLICE("top_k"), TOP_TOP_K, .excludes_thought = true},
    [CANON_P_STOP] = {CALLED, .call = write_stop},
    [CANON_P_SEED] = {TOLD, SLICE("seed")},
    [CANON_P_FREQUENCY_PENALTY] = {TOLD, SLICE("frequency_penalty")},
    [CANON_P_PRESENCE_PENALTY] = {TOLD, SLICE("presence_penalty")},
    [CANON_P_LOGIT_BIAS] = {TOLD, SLICE("logit_bias")},
    [CANON_P_LOGPROBS] = {TOLD, SLICE("logprobs")},
    [CANON_P_TOP_LOGPROBS] = {TOLD, SLICE("top_logprobs")},
    [CANON_P_USER] = {CALLED, .call = write_user},
    [CANON_P_METADATA] = {TOLD, SLICE("metadata")},
    [CANON_P_SERVICE_TIER] = {CALLED, .call = write_service_tier},
    [CANON_P_VERBOSITY] = {CALLED, .call = drop_verbosity},
    [CANON_P_MODALITIES] = {CALLED, .counts = true, .call = refuse_modalities},
    [CANON_P_AUDIO] = {REFUSED, SLICE("audio"), .counts = true},
    [CANON_P_PREDICTION] = {TOLD, SLICE("prediction")},
    [CANON_P_PREVIOUS_RESPONSE_ID] = {REFUSED, SLICE("previous_response_id"), .counts = true},
    [CANON_P_CONVERSATION] = {REFUSED, SLICE("conversation"), .counts = true},
    [CANON_P_BACKGROUND] = {CALLED, .call = refuse_background},
    [CANON_P_PROMPT_TEMPLATE] = {REFUSED, SLICE("prompt"), .counts = true},
    [CANON_P_CONTEXT_MANAGEMENT] = {CALLED, .counts = true, .call = write_context_management},
    [CANON_P_MCP_SERVERS] = {CALLED, .counts = true, .call = write_mcp_servers},
    [CANON_P_CONTAINER] = {CALLED, .call = write_container},
    [CANON_P_CACHE_CONTROL] = {COPIED, SLICE("cache_control"), TOP_CACHE_CONTROL, .counts = true},
};

static int apply(struct writing *x, const struct rule *rule, struct slice value)
{
    if (rule->excludes_thought && x->thinks) {
        canon_drop(x->r, rule->name);
        return 0;
    }
    switch (rule->fate) {
    case UNTOLD:
        return 0;
    case TOLD:
        if (!slice_eq(value, SLICE("false")))
            canon_drop(x->r, rule->name);
        return 0;
    case COPIED:
        key(x, rule->top);
        json_raw(x->w, value);
        return 0;
    case REFUSED:
        return canon_refuse(x->r, ERR_UNSUPPORTED, rule->name,
                            "%.*s: the provider has no such thing", SLICE_ARG(rule->name));
    case CALLED:
        break;
    }
    return rule->call(x, value);
}

static int write_params(struct writing *x)
{
    for (unsigned i = 0; i < CANON_PARAM_COUNT; i++) {
        if (x->r->param[i].len == 0 || (x->counting && !rules[i].counts))
            continue;
        int rc = apply(x, &rules[i], x->r->param[i]);
        if (rc)
            return rc;
    }
    return 0;
}

static int refuse_above_one(struct canon_request *r, enum canon_param param, struct slice name)
{
    uint64_t count;

    if (r->param[param].len == 0)
        return 0;
    if (json_u64(r->param[param], &count) != 0)
        return canon_refuse(r, ERR_BAD_TYPE, name, "%.*s: must be an integer", SLICE_ARG(name));
    if (count > 1)
        return canon_refuse(r, ERR_UNSUPPORTED, name, "%.*s: the provider gives one answer",
                            SLICE_ARG(name));
    return 0;
}

int anthropic__refuse_several(struct canon_request *r)
{
    int rc = refuse_above_one(r, CANON_P_N, SLICE("n"));
    if (rc == 0)
        rc = refuse_above_one(r, CANON_P_BEST_OF, SLICE("best_of"));
    if (rc)
        return rc;
    if (!anthropic__is_empty(r->param[CANON_P_SUFFIX]))
        return canon_refuse(r, ERR_UNSUPPORTED, SLICE("suffix"),
                            "suffix: the provider writes behind a prompt only");
    if (slice_eq(r->param[CANON_P_ECHO], SLICE("true")))
        return canon_refuse(r, ERR_UNSUPPORTED, SLICE("echo"),
                            "echo: the provider does not repeat the prompt");
    if (r->prompt.len > 0 && r->prompt.ptr[0] != '"')
        return canon_refuse(r, ERR_UNSUPPORTED, SLICE("prompt"),
                            "prompt: the provider takes one text");
    return 0;
}

// ---- The whole ---------------------------------------------------------------------------------

static void write_unknown(struct writing *x)
{
    bool pass = x->own || x->r->pass_extra;

    for (const struct canon_member *m = x->r->extra; m; m = m->next) {
        unsigned i = 0;
        while (i < TOP_COUNT && !slice_eq(m->name, top_names[i]))
            i++;
        if (!pass || (i < TOP_COUNT && x->written & 1u << i)) {
            canon_drop(x->r, m->name.len > 0 ? m->name : SLICE("\"\""));
            continue;
        }
        json_string(x->w, m->name);
        x->w->comma = false;
        json_plain(x->w, SLICE(":"));
        json_raw(x->w, m->value);
    }
}

static int write_content(struct writing *x)
{
    bool written;

    int rc = anthropic__write_system(x->r, x->w, &written);
    if (rc)
        return rc;
    if (written)
        mark(x, TOP_SYSTEM);
    mark(x, TOP_MESSAGES);
    return anthropic__write_messages(x->r, x->w);
}

static int write_request(struct writing *x, struct slice model)
{
    int rc = anthropic__refuse_several(x->r);
    if (rc == 0)
        rc = plan(x);
    if (rc)
        return rc;
    json_object(x->w);
    key(x, TOP_MODEL);
    json_string(x->w, model);
    write_max_tokens(x);
    rc = write_content(x);
    if (rc)
        return rc;
    write_tools(x);
    write_tool_choice(x);
    write_thinking(x);
    write_output_config(x);
    rc = write_params(x);
    if (rc)
        return rc;
    if (x->r->stream && !x->counting) {
        key(x, TOP_STREAM);
        json_bool(x->w, true);
    }
    write_unknown(x);
    json_object_end(x->w);
    return x->w->err;
}

int anthropic__write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    struct writing x = {.r = r, .w = w, .own = anthropic__is_family(r->from)};
    return write_request(&x, model);
}

int anthropic__write_count_request(struct canon_request *r, struct slice model,
                                   struct json_writer *w)
{
    struct writing x = {.r = r, .w = w, .own = anthropic__is_family(r->from), .counting = true};
    return write_request(&x, model);
}
