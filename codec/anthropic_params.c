// SPDX-License-Identifier: Apache-2.0
//
// anthropic_params.c: the parameters of a request and their fates. anthropic_write.c calls it.
//
// One table has a row for each: it is copied, left out in silence, left out and reported under the
// source's name, refused because the answer would be another without it, or a function decides.
// What the counting of tokens does not take changes no count: it is left out in silence there.

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"
#include <stdlib.h>

// ---- Members at the top ------------------------------------------------------------------------

const struct slice anthropic__top_names[ANTHROPIC_TOP_COUNT] = {
    [ANTHROPIC_TOP_MODEL] = SLICE("model"),
    [ANTHROPIC_TOP_MAX_TOKENS] = SLICE("max_tokens"),
    [ANTHROPIC_TOP_SYSTEM] = SLICE("system"),
    [ANTHROPIC_TOP_MESSAGES] = SLICE("messages"),
    [ANTHROPIC_TOP_TOOLS] = SLICE("tools"),
    [ANTHROPIC_TOP_TOOL_CHOICE] = SLICE("tool_choice"),
    [ANTHROPIC_TOP_THINKING] = SLICE("thinking"),
    [ANTHROPIC_TOP_OUTPUT_CONFIG] = SLICE("output_config"),
    [ANTHROPIC_TOP_TEMPERATURE] = SLICE("temperature"),
    [ANTHROPIC_TOP_TOP_P] = SLICE("top_p"),
    [ANTHROPIC_TOP_TOP_K] = SLICE("top_k"),
    [ANTHROPIC_TOP_STOP_SEQUENCES] = SLICE("stop_sequences"),
    [ANTHROPIC_TOP_METADATA] = SLICE("metadata"),
    [ANTHROPIC_TOP_SERVICE_TIER] = SLICE("service_tier"),
    [ANTHROPIC_TOP_CONTEXT_MANAGEMENT] = SLICE("context_management"),
    [ANTHROPIC_TOP_MCP_SERVERS] = SLICE("mcp_servers"),
    [ANTHROPIC_TOP_CONTAINER] = SLICE("container"),
    [ANTHROPIC_TOP_CACHE_CONTROL] = SLICE("cache_control"),
    [ANTHROPIC_TOP_STREAM] = SLICE("stream"),
};

void anthropic__top_key(struct anthropic_writing *x, enum anthropic_top name)
{
    json_key(x->w, anthropic__top_names[name]);
    x->written |= 1u << name;
}

bool anthropic__is_from_responses(const struct canon_request *r)
{
    return r->from && slice_eq(r->from->members[DIALECT_INPUT], SLICE("input"));
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

static int write_temperature(struct anthropic_writing *x, struct slice value)
{
    anthropic__top_key(x, ANTHROPIC_TOP_TEMPERATURE);
    anthropic__write_temperature(x->w, value);
    return 0;
}

static int write_stop(struct anthropic_writing *x, struct slice value)
{
    anthropic__top_key(x, ANTHROPIC_TOP_STOP_SEQUENCES);
    anthropic__write_stop_sequences(x->w, value);
    return 0;
}

static int write_user(struct anthropic_writing *x, struct slice value)
{
    anthropic__top_key(x, ANTHROPIC_TOP_METADATA);
    json_object(x->w);
    json_member(x->w, SLICE("user_id"), value);
    json_object_end(x->w);
    return 0;
}

static int write_service_tier(struct anthropic_writing *x, struct slice value)
{
    bool only = literal_is(value, SLICE("default"));

    if (!only && !literal_is(value, SLICE("auto"))) {
        canon_drop(x->r, SLICE("service_tier"));
        return 0;
    }
    anthropic__top_key(x, ANTHROPIC_TOP_SERVICE_TIER);
    json_string(x->w, only ? SLICE("standard_only") : SLICE("auto"));
    return 0;
}

// Has the dialect's own meaning only when it comes from there.
static int write_own(struct anthropic_writing *x, enum anthropic_top name, struct slice value)
{
    if (!x->own) {
        canon_drop(x->r, anthropic__top_names[name]);
        return 0;
    }
    anthropic__top_key(x, name);
    json_raw(x->w, value);
    return 0;
}

static int write_context_management(struct anthropic_writing *x, struct slice value)
{
    return write_own(x, ANTHROPIC_TOP_CONTEXT_MANAGEMENT, value);
}

static int write_mcp_servers(struct anthropic_writing *x, struct slice value)
{
    return write_own(x, ANTHROPIC_TOP_MCP_SERVERS, value);
}

static int write_container(struct anthropic_writing *x, struct slice value)
{
    return write_own(x, ANTHROPIC_TOP_CONTAINER, value);
}

static int drop_verbosity(struct anthropic_writing *x, struct slice value)
{
    (void)value;
    canon_drop(x->r,
               anthropic__is_from_responses(x->r) ? SLICE("text.verbosity") : SLICE("verbosity"));
    return 0;
}

static int refuse_modalities(struct anthropic_writing *x, struct slice value)
{
    enum json_type type;
    struct slice element;

    for (size_t at = 0; json_array_next(value, &at, &type, &element);)
        if (literal_is(element, SLICE("audio")))
            return canon_refuse(x->r, ERR_UNSUPPORTED, SLICE("modalities"),
                                "modalities: the provider speaks no audio");
    return 0;
}

static int refuse_background(struct anthropic_writing *x, struct slice value)
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
    enum anthropic_top top;
    bool counts;          // the counting of tokens takes it too, or asks for it
    bool shapes_sampling; // Claude refuses it beside thinking, newer ones always
    int (*call)(struct anthropic_writing *x, struct slice value);
} rules[CANON_PARAM_COUNT] = {
    [CANON_P_TEMPERATURE] = {.fate = CALLED,
                             .name = SLICE("temperature"),
                             .shapes_sampling = true,
                             .call = write_temperature},
    [CANON_P_TOP_P] = {.fate = COPIED,
                       .name = SLICE("top_p"),
                       .top = ANTHROPIC_TOP_TOP_P,
                       .shapes_sampling = true},
    [CANON_P_TOP_K] = {.fate = COPIED,
                       .name = SLICE("top_k"),
                       .top = ANTHROPIC_TOP_TOP_K,
                       .shapes_sampling = true},
    [CANON_P_STOP] = {.fate = CALLED, .call = write_stop},
    [CANON_P_SEED] = {.fate = TOLD, .name = SLICE("seed")},
    [CANON_P_FREQUENCY_PENALTY] = {.fate = TOLD, .name = SLICE("frequency_penalty")},
    [CANON_P_PRESENCE_PENALTY] = {.fate = TOLD, .name = SLICE("presence_penalty")},
    [CANON_P_LOGIT_BIAS] = {.fate = TOLD, .name = SLICE("logit_bias")},
    [CANON_P_LOGPROBS] = {.fate = TOLD, .name = SLICE("logprobs")},
    [CANON_P_TOP_LOGPROBS] = {.fate = TOLD, .name = SLICE("top_logprobs")},
    [CANON_P_USER] = {.fate = CALLED, .call = write_user},
    [CANON_P_METADATA] = {.fate = TOLD, .name = SLICE("metadata")},
    [CANON_P_SERVICE_TIER] = {.fate = CALLED, .call = write_service_tier},
    [CANON_P_VERBOSITY] = {.fate = CALLED, .call = drop_verbosity},
    [CANON_P_MODALITIES] = {.fate = CALLED, .counts = true, .call = refuse_modalities},
    [CANON_P_AUDIO] = {.fate = REFUSED, .name = SLICE("audio"), .counts = true},
    [CANON_P_PREDICTION] = {.fate = TOLD, .name = SLICE("prediction")},
    [CANON_P_PREVIOUS_RESPONSE_ID] = {.fate = REFUSED,
                                      .name = SLICE("previous_response_id"),
                                      .counts = true},
    [CANON_P_CONVERSATION] = {.fate = REFUSED, .name = SLICE("conversation"), .counts = true},
    [CANON_P_BACKGROUND] = {.fate = CALLED, .call = refuse_background},
    [CANON_P_PROMPT_TEMPLATE] = {.fate = REFUSED, .name = SLICE("prompt"), .counts = true},
    [CANON_P_CONTEXT_MANAGEMENT] = {.fate = CALLED,
                                    .counts = true,
                                    .call = write_context_management},
    [CANON_P_MCP_SERVERS] = {.fate = CALLED, .counts = true, .call = write_mcp_servers},
    [CANON_P_CONTAINER] = {.fate = CALLED, .call = write_container},
    [CANON_P_CACHE_CONTROL] = {.fate = COPIED,
                               .name = SLICE("cache_control"),
                               .top = ANTHROPIC_TOP_CACHE_CONTROL,
                               .counts = true},
};

static int apply(struct anthropic_writing *x, const struct rule *rule, struct slice value)
{
    if (rule->shapes_sampling && (x->thinks || x->version >= ANTHROPIC_SELF_MEASURED)) {
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
        anthropic__top_key(x, rule->top);
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

int anthropic__write_params(struct anthropic_writing *x)
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
    if (!literal_is_empty(r->param[CANON_P_SUFFIX]))
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
