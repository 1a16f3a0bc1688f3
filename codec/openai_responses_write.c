// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_write.c: a canonical request, written for a provider of responses.
//
// The members come in the order of docs/translation.md. Which ones have been written is remembered
// as bits, because an unknown member that the client may pass on must not come twice.
//
//     top[]      the members, by position; TOP_PARAMS… are those that cross by name
//     fates[]    what becomes of every canonical parameter: a member, a refusal, a report, silence
//
// Defaults of this API differ from those of the others: functions are strict and answers are stored
// unless the request says otherwise. What was written for another API says so here.
//
// Counting tokens takes the same request without what has nothing to do with its input; the API
// refuses members it does not know.
//
// Sources: platform.openai.com/docs/api-reference/responses/create, /responses/input-tokens.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"

// The API's own floor for max_output_tokens.
#define OUTPUT_TOKENS_MIN 16
// What a budget of thought is a share of when the request does not say.
#define OUTPUT_TOKENS_DEFAULT 4096

struct writer {
    struct canon_request *r;
    struct json_writer *w;
    uint64_t written; // bits of top[]
    bool count;       // a request for a count of tokens
    bool from_messages;
    bool own; // read by this dialect
};

// ---- Members ---------------------------------------------------------------------------------

enum top {
    TOP_MODEL,
    TOP_INPUT,
    TOP_TOOLS,
    TOP_TOOL_CHOICE,
    TOP_PARALLEL,
    TOP_TEXT,
    TOP_REASONING,
    TOP_INCLUDE,
    TOP_MAX_OUTPUT_TOKENS,
    TOP_TEMPERATURE,
    TOP_TOP_P,
    TOP_TOP_LOGPROBS,
    TOP_USER,
    TOP_METADATA,
    TOP_SERVICE_TIER,
    TOP_STORE,
    TOP_CACHE_KEY,
    TOP_CACHE_RETENTION,
    TOP_SAFETY_IDENTIFIER,
    TOP_PREVIOUS_RESPONSE_ID,
    TOP_CONVERSATION,
    TOP_TRUNCATION,
    TOP_BACKGROUND,
    TOP_MAX_TOOL_CALLS,
    TOP_PROMPT,
    TOP_CONTEXT_MANAGEMENT,
    TOP_STREAM,
    TOP_STREAM_OPTIONS, // never written, never passed: it belongs to the gateway
    TOP_FALLBACKS,
    TOP_COUNT,
    TOP_NONE = TOP_COUNT
};

static const struct {
    struct slice name;
    bool counts; // asking for a count takes it
} top[TOP_COUNT] = {
    [TOP_MODEL] = {SLICE("model"), true},
    [TOP_INPUT] = {SLICE("input"), true},
    [TOP_TOOLS] = {SLICE("tools"), true},
    [TOP_TOOL_CHOICE] = {SLICE("tool_choice"), true},
    [TOP_PARALLEL] = {SLICE("parallel_tool_calls"), true},
    [TOP_TEXT] = {SLICE("text"), true},
    [TOP_REASONING] = {SLICE("reasoning"), true},
    [TOP_INCLUDE] = {SLICE("include"), false},
    [TOP_MAX_OUTPUT_TOKENS] = {SLICE("max_output_tokens"), false},
    [TOP_TEMPERATURE] = {SLICE("temperature"), false},
    [TOP_TOP_P] = {SLICE("top_p"), false},
    [TOP_TOP_LOGPROBS] = {SLICE("top_logprobs"), false},
    [TOP_USER] = {SLICE("user"), false},
    [TOP_METADATA] = {SLICE("metadata"), false},
    [TOP_SERVICE_TIER] = {SLICE("service_tier"), false},
    [TOP_STORE] = {SLICE("store"), false},
    [TOP_CACHE_KEY] = {SLICE("prompt_cache_key"), false},
    [TOP_CACHE_RETENTION] = {SLICE("prompt_cache_retention"), false},
    [TOP_SAFETY_IDENTIFIER] = {SLICE("safety_identifier"), false},
    [TOP_PREVIOUS_RESPONSE_ID] = {SLICE("previous_response_id"), true},
    [TOP_CONVERSATION] = {SLICE("conversation"), true},
    [TOP_TRUNCATION] = {SLICE("truncation"), true},
    [TOP_BACKGROUND] = {SLICE("background"), false},
    [TOP_MAX_TOOL_CALLS] = {SLICE("max_tool_calls"), false},
    [TOP_PROMPT] = {SLICE("prompt"), false},
    [TOP_CONTEXT_MANAGEMENT] = {SLICE("context_management"), false},
    [TOP_STREAM] = {SLICE("stream"), false},
    [TOP_STREAM_OPTIONS] = {SLICE("stream_options"), false},
    [TOP_FALLBACKS] = {SLICE("fallbacks"), false},
};

_Static_assert(TOP_COUNT <= 64, "a bit each");

static void key(struct writer *x, enum top member)
{
    ASSERT(!(x->written & (uint64_t)1 << member));
    x->written |= (uint64_t)1 << member;
    json_key(x->w, top[member].name);
}

// ---- Tools -----------------------------------------------------------------------------------

// A grammar may come as chat has it, with an object of its own inside.
static void write_grammar(struct writer *x, struct slice format)
{
    struct json_member nested = json_object_get(format, SLICE("grammar"));

    if (nested.type != JSON_OBJECT) {
        json_member(x->w, SLICE("format"), format);
        return;
    }
    json_key(x->w, SLICE("format"));
    json_object(x->w);
    json_member(x->w, SLICE("type"), SLICE("\"grammar\""));
    json_member(x->w, SLICE("syntax"), json_object_get(nested.value, SLICE("syntax")).value);
    json_member(x->w, SLICE("definition"),
                json_object_get(nested.value, SLICE("definition")).value);
    json_object_end(x->w);
}

static void write_function(struct writer *x, const struct canon_tool *t)
{
    json_member(x->w, SLICE("type"), SLICE("\"function\""));
    json_member(x->w, SLICE("name"), t->name);
    json_member(x->w, SLICE("description"), t->description);
    json_member(x->w, SLICE("parameters"),
                t->parameters.len > 0 ? t->parameters
                                      : SLICE("{\"type\":\"object\",\"properties\":{}}"));
    json_member(x->w, SLICE("strict"), t->strict.len > 0 ? t->strict : SLICE("false"));
}

static void write_custom(struct writer *x, const struct canon_tool *t)
{
    json_member(x->w, SLICE("type"), SLICE("\"custom\""));
    json_member(x->w, SLICE("name"), t->name);
    json_member(x->w, SLICE("description"), t->description);
    if (t->format.len > 0)
        write_grammar(x, t->format);
}

static void write_web_search(struct writer *x, const struct canon_tool *t)
{
    json_member(x->w, SLICE("type"), SLICE("\"web_search\""));
    if (t->allowed_domains.len > 0) {
        json_key(x->w, SLICE("filters"));
        json_object(x->w);
        json_member(x->w, SLICE("allowed_domains"), t->allowed_domains);
        json_object_end(x->w);
    }
    json_member(x->w, SLICE("user_location"), t->user_location);
}

static void write_tools(struct writer *x)
{
    static void (*const kinds[])(struct writer * x, const struct canon_tool *t) = {
        [CANON_TOOL_FUNCTION] = write_function,
        [CANON_TOOL_CUSTOM] = write_custom,
        [CANON_TOOL_WEB_SEARCH] = write_web_search,
    };
    bool open = false;

    for (const struct canon_tool *t = x->r->tools; t; t = t->next) {
        if (t->kind == CANON_TOOL_OPAQUE && !x->own) {
            canon_drop(x->r, SLICE("tools"));
            continue;
        }
        if (!open) {
            key(x, TOP_TOOLS);
            json_array(x->w);
            open = true;
        }
        if (t->kind == CANON_TOOL_OPAQUE) {
            json_raw(x->w, t->raw);
            continue;
        }
        json_object(x->w);
        kinds[t->kind](x, t);
        json_object_end(x->w);
    }
    if (open)
        json_array_end(x->w);
}

static void write_tool_choice(struct writer *x)
{
    static const struct slice words[] = {
        [CANON_CHOICE_AUTO] = SLICE("\"auto\""),
        [CANON_CHOICE_NONE] = SLICE("\"none\""),
        [CANON_CHOICE_REQUIRED] = SLICE("\"required\""),
    };
    enum canon_choice_kind kind = x->r->tool_choice.kind;

    if (kind == CANON_CHOICE_UNSET)
        return;
    if (kind == CANON_CHOICE_OPAQUE && !x->own) {
        canon_drop(x->r, SLICE("tool_choice"));
        return;
    }
    key(x, TOP_TOOL_CHOICE);
    if (kind == CANON_CHOICE_OPAQUE) {
        json_raw(x->w, x->r->tool_choice.raw);
    } else if (kind == CANON_CHOICE_TOOL) {
        json_object(x->w);
        json_member(x->w, SLICE("type"), SLICE("\"function\""));
        json_member(x->w, SLICE("name"), x->r->tool_choice.name);
        json_object_end(x->w);
    } else {
        json_raw(x->w, words[kind]);
    }
}

// ---- Text and reasoning ------------------------------------------------------------------------

static void write_format(struct writer *x)
{
    static const struct slice types[] = {
        [CANON_FORMAT_TEXT] = SLICE("\"text\""),
        [CANON_FORMAT_JSON_OBJECT] = SLICE("\"json_object\""),
        [CANON_FORMAT_JSON_SCHEMA] = SLICE("\"json_schema\""),
    };
    const struct canon_request *r = x->r;

    json_key(x->w, SLICE("format"));
    json_object(x->w);
    json_member(x->w, SLICE("type"), types[r->format.kind]);
    if (r->format.kind == CANON_FORMAT_JSON_SCHEMA) {
        json_member(x->w, SLICE("name"),
                    r->format.name.len > 0 ? r->format.name : SLICE("\"response\""));
        json_member(x->w, SLICE("description"), r->format.description);
        json_member(x->w, SLICE("schema"), r->format.schema);
        json_member(x->w, SLICE("strict"), r->format.strict);
    }
    json_object_end(x->w);
}

static void write_text(struct writer *x)
{
    struct slice verbosity = x->r->param[CANON_P_VERBOSITY];

    if (x->r->format.kind == CANON_FORMAT_UNSET && verbosity.len == 0)
        return;
    key(x, TOP_TEXT);
    json_object(x->w);
    if (x->r->format.kind != CANON_FORMAT_UNSET)
        write_format(x);
    json_member(x->w, SLICE("verbosity"), verbosity);
    json_object_end(x->w);
}

static uint64_t output_tokens(const struct canon_request *r)
{
    uint64_t tokens;
    return json_u64(r->param[CANON_P_MAX_TOKENS], &tokens) == 0 ? tokens : OUTPUT_TOKENS_DEFAULT;
}

// The effort to ask for, as text inside quotes; empty: none is named.
static struct slice effort_of(const struct canon_request *r)
{
    if (r->reasoning.kind == CANON_REASONING_BUDGET)
        return canon_effort_of_budget(r->reasoning.budget, output_tokens(r));
    struct slice effort = literal_inner(r->reasoning.effort);
    return slice_eq(effort, SLICE("max")) ? SLICE("xhigh") : effort;
}

// Is a thought asked for that could come back?
static bool thinks(const struct canon_request *r)
{
    return r->reasoning.kind != CANON_REASONING_UNSET && r->reasoning.kind != CANON_REASONING_OFF &&
           !slice_eq(r->reasoning.effort, SLICE("\"none\""));
}

static void write_reasoning(struct writer *x)
{
    const struct canon_request *r = x->r;
    struct slice effort = effort_of(r);
    struct slice summary = r->reasoning.summary;
    bool summarised = x->from_messages || r->reasoning.kind == CANON_REASONING_BUDGET ||
                      r->reasoning.kind == CANON_REASONING_ADAPTIVE;

    if (summary.len == 0 && summarised && thinks(r))
        summary = SLICE("\"auto\"");
    if (effort.len == 0 && summary.len == 0)
        return;
    key(x, TOP_REASONING);
    json_object(x->w);
    if (effort.len > 0) {
        json_key(x->w, SLICE("effort"));
        json_string_open(x->w);
        json_string_inner(x->w, effort);
        json_string_close(x->w);
    }
    json_member(x->w, SLICE("summary"), summary);
    json_object_end(x->w);
}

static void write_include(struct writer *x)
{
    struct slice own = x->r->param[CANON_P_INCLUDE];
    bool sealed = x->from_messages && thinks(x->r);
    bool logprobs = slice_eq(x->r->param[CANON_P_LOGPROBS], SLICE("true"));

    if (x->count || (own.len == 0 && !sealed && !logprobs))
        return;
    key(x, TOP_INCLUDE);
    if (own.len > 0) {
        json_raw(x->w, own);
        return;
    }
    json_array(x->w);
    if (sealed)
        json_raw(x->w, SLICE("\"reasoning.encrypted_content\""));
    if (logprobs)
        json_raw(x->w, SLICE("\"message.output_text.logprobs\""));
    json_array_end(x->w);
}

// ---- Parameters ------------------------------------------------------------------------------

enum fate {
    WRITTEN, // as `member`
    DROPPED, // reported under `name`
    SILENT,  // written elsewhere, or nobody misses it
    REFUSED,
};

static const struct {
    enum fate fate;
    enum top member;
    struct slice name; // as the source calls it
} fates[CANON_PARAM_COUNT] = {
    [CANON_P_MAX_TOKENS] = {WRITTEN, TOP_MAX_OUTPUT_TOKENS, SLICE_EMPTY},
    [CANON_P_TEMPERATURE] = {WRITTEN, TOP_TEMPERATURE, SLICE_EMPTY},
    [CANON_P_TOP_P] = {WRITTEN, TOP_TOP_P, SLICE_EMPTY},
    [CANON_P_TOP_K] = {DROPPED, TOP_NONE, SLICE("top_k")},
    [CANON_P_STOP] = {DROPPED, TOP_NONE, SLICE("stop")},
    [CANON_P_SEED] = {DROPPED, TOP_NONE, SLICE("seed")},
    [CANON_P_FREQUENCY_PENALTY] = {DROPPED, TOP_NONE, SLICE("frequency_penalty")},
    [CANON_P_PRESENCE_PENALTY] = {DROPPED, TOP_NONE, SLICE("presence_penalty")},
    [CANON_P_LOGIT_BIAS] = {DROPPED, TOP_NONE, SLICE("logit_bias")},
    [CANON_P_LOGPROBS] = {SILENT, TOP_NONE, SLICE_EMPTY},
    [CANON_P_TOP_LOGPROBS] = {WRITTEN, TOP_TOP_LOGPROBS, SLICE_EMPTY},
    [CANON_P_N] = {REFUSED, TOP_NONE, SLICE("n")},
    [CANON_P_USER] = {WRITTEN, TOP_USER, SLICE_EMPTY},
    [CANON_P_METADATA] = {WRITTEN, TOP_METADATA, SLICE_EMPTY},
    [CANON_P_SERVICE_TIER] = {WRITTEN, TOP_SERVICE_TIER, SLICE_EMPTY},
    [CANON_P_STORE] = {WRITTEN, TOP_STORE, SLICE_EMPTY},
    [CANON_P_PARALLEL_TOOL_CALLS] = {SILENT, TOP_NONE, SLICE_EMPTY},
    [CANON_P_PROMPT_CACHE_KEY] = {WRITTEN, TOP_CACHE_KEY, SLICE_EMPTY},
    [CANON_P_PROMPT_CACHE_RETENTION] = {WRITTEN, TOP_CACHE_RETENTION, SLICE_EMPTY},
    [CANON_P_SAFETY_IDENTIFIER] = {WRITTEN, TOP_SAFETY_IDENTIFIER, SLICE_EMPTY},
    [CANON_P_VERBOSITY] = {SILENT, TOP_NONE, SLICE_EMPTY},
    [CANON_P_MODALITIES] = {REFUSED, TOP_NONE, SLICE("modalities")},
    [CANON_P_AUDIO] = {REFUSED, TOP_NONE, SLICE("audio")},
    [CANON_P_PREDICTION] = {DROPPED, TOP_NONE, SLICE("prediction")},
    [CANON_P_WEB_SEARCH_OPTIONS] = {DROPPED, TOP_NONE, SLICE("web_search_options")},
    [CANON_P_PREVIOUS_RESPONSE_ID] = {WRITTEN, TOP_PREVIOUS_RESPONSE_ID, SLICE_EMPTY},
    [CANON_P_CONVERSATION] = {WRITTEN, TOP_CONVERSATION, SLICE_EMPTY},
    [CANON_P_INCLUDE] = {SILENT, TOP_NONE, SLICE_EMPTY},
    [CANON_P_TRUNCATION] = {WRITTEN, TOP_TRUNCATION, SLICE_EMPTY},
    [CANON_P_BACKGROUND] = {WRITTEN, TOP_BACKGROUND, SLICE_EMPTY},
    [CANON_P_MAX_TOOL_CALLS] = {WRITTEN, TOP_MAX_TOOL_CALLS, SLICE_EMPTY},
    [CANON_P_PROMPT_TEMPLATE] = {WRITTEN, TOP_PROMPT, SLICE_EMPTY},
    [CANON_P_CONTEXT_MANAGEMENT] = {DROPPED, TOP_CONTEXT_MANAGEMENT, SLICE("context_management")},
    [CANON_P_MCP_SERVERS] = {DROPPED, TOP_NONE, SLICE("mcp_servers")},
    [CANON_P_CONTAINER] = {DROPPED, TOP_NONE, SLICE("container")},
    [CANON_P_CACHE_CONTROL] = {SILENT, TOP_NONE, SLICE_EMPTY},
    [CANON_P_SUFFIX] = {DROPPED, TOP_NONE, SLICE("suffix")},
    [CANON_P_ECHO] = {DROPPED, TOP_NONE, SLICE("echo")},
    [CANON_P_BEST_OF] = {DROPPED, TOP_NONE, SLICE("best_of")},
};

// `n` of 1 and modalities without audio ask for nothing special.
static int check_refused(struct canon_request *r)
{
    enum json_type type;
    struct slice word;
    struct slice n = r->param[CANON_P_N];

    if (n.len > 0 && !slice_eq(n, SLICE("1")))
        return canon_refuse(r, ERR_UNSUPPORTED, fates[CANON_P_N].name,
                            "this provider gives one answer to a request: `n` must be 1");
    for (size_t at = 0; json_array_next(r->param[CANON_P_MODALITIES], &at, &type, &word);)
        if (slice_eq(word, SLICE("\"audio\"")))
            return canon_refuse(r, ERR_UNSUPPORTED, fates[CANON_P_MODALITIES].name,
                                "this provider does not answer with audio");
    if (r->param[CANON_P_AUDIO].len > 0)
        return canon_refuse(r, ERR_UNSUPPORTED, fates[CANON_P_AUDIO].name,
                            "this provider does not answer with audio");
    return 0;
}

static void write_param(struct writer *x, enum canon_param param, struct slice value)
{
    uint64_t tokens;
    enum top member = fates[param].member;

    if (x->count && !top[member].counts)
        return;
    if (param == CANON_P_MAX_TOKENS && json_u64(value, &tokens) == 0 && tokens < OUTPUT_TOKENS_MIN)
        value = SLICE("16");
    key(x, member);
    json_raw(x->w, value);
}

static void write_params(struct writer *x)
{
    for (enum canon_param p = 0; p < CANON_PARAM_COUNT; p++) {
        struct slice value = x->r->param[p];
        if (p == CANON_P_STORE && value.len == 0 && !x->own)
            value = SLICE("false");
        if (value.len == 0)
            continue;
        if (fates[p].fate == WRITTEN || (p == CANON_P_CONTEXT_MANAGEMENT && x->own))
            write_param(x, p, value);
        else if (fates[p].fate == DROPPED && !x->count)
            canon_drop(x->r, p == CANON_P_STOP && x->from_messages ? SLICE("stop_sequences")
                                                                   : fates[p].name);
    }
}

static bool may_pass(const struct writer *x, struct slice name)
{
    for (unsigned i = 0; i < TOP_COUNT; i++)
        if (slice_eq(top[i].name, name))
            return !(x->written & (uint64_t)1 << i) && i < TOP_STREAM;
    return true;
}

static void write_unknown(struct writer *x)
{
    for (const struct canon_member *m = x->r->extra; m; m = m->next) {
        if (!x->r->pass_extra || !may_pass(x, m->name)) {
            canon_drop(x->r, m->name);
            continue;
        }
        json_string(x->w, m->name);
        json_plain(x->w, SLICE(":"));
        json_raw(x->w, m->value);
    }
    canon_drop_inner(x->r);
}

// ---- The request -------------------------------------------------------------------------------

static int write_request(struct canon_request *r, struct slice model, struct json_writer *w,
                         bool count)
{
    struct writer x = {
        .r = r,
        .w = w,
        .count = count,
        .from_messages = r->from && slice_starts(r->from->name, SLICE("anthropic_")),
        .own = r->from == &dialect_openai_responses,
    };

    ASSERT(model.len > 0);
    int rc = check_refused(r);
    if (rc)
        return rc;
    json_object(w);
    key(&x, TOP_MODEL);
    json_string(w, model);
    key(&x, TOP_INPUT);
    rc = responses__write_input(r, w);
    if (rc)
        return rc;
    write_tools(&x);
    write_tool_choice(&x);
    if (r->param[CANON_P_PARALLEL_TOOL_CALLS].len > 0) {
        key(&x, TOP_PARALLEL);
        json_raw(w, r->param[CANON_P_PARALLEL_TOOL_CALLS]);
    }
    write_text(&x);
    write_reasoning(&x);
    write_include(&x);
    write_params(&x);
    if (r->stream && !count) {
        key(&x, TOP_STREAM);
        json_bool(w, true);
    }
    write_unknown(&x);
    json_object_end(w);
    return w->err;
}

int responses__write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    return write_request(r, model, w, false);
}

int responses__write_count_request(struct canon_request *r, struct slice model,
                                   struct json_writer *w)
{
    return write_request(r, model, w, true);
}
