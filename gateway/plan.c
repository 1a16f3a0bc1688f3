// SPDX-License-Identifier: Apache-2.0
//
// plan.c: the table of tries and the walk along a row of it. Called by attempt.c for each target.
//
// The common request takes the first step of its row and looks at nothing else: a header is read
// only where its answer can change something.

#include "gateway/plan.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "gateway/target.h"

const struct dialect *plan_dialect(enum operation op)
{
    static const struct dialect *const dialects[OPERATION_COUNT] = {
        [OP_CHAT] = &dialect_openai_chat,
        [OP_TEXT] = &dialect_openai_text,
        [OP_EMBEDDING] = &dialect_openai_embeddings,
        [OP_RESPONSES] = &dialect_openai_responses,
        [OP_MESSAGES] = &dialect_anthropic_messages,
        [OP_COMPLETE] = &dialect_anthropic_complete,
        [OP_COUNT_TOKENS] = &dialect_anthropic_count_tokens,
        [OP_INPUT_TOKENS] = &dialect_openai_input_tokens,
    };
    ASSERT(op < OPERATION_COUNT);
    return dialects[op];
}

// ---- Compat ----------------------------------------------------------------------------------

unsigned plan_compat(struct slice value)
{
    static const struct {
        struct slice name;
        unsigned bits;
    } features[] = {
        {SLICE("*"), COMPAT_ALL},
        {SLICE("convert_text_to_chat"), COMPAT_TEXT_TO_CHAT},
        {SLICE("convert_chat_to_responses"), COMPAT_CHAT_TO_RESPONSES},
        {SLICE("should_drop_params"), COMPAT_DROP_PARAMS},
        {SLICE("should_convert_params"), COMPAT_CONVERT_PARAMS},
    };
    struct json_scanner scan;
    struct slice element;
    enum json_type type;
    size_t at = 0;
    unsigned bits = 0;

    if (slice_ieq(value, SLICE("true")))
        return features[0].bits;
    if (json_scan(&scan, value, NULL, 0, JSON_SCAN_ANY_VALUE) != 0 || scan.type != JSON_ARRAY)
        return 0;
    while (json_array_next(value, &at, &type, &element))
        for (size_t i = 0; i < ARRAY_LEN(features) && type == JSON_STRING; i++)
            if (slice_eq(slice_of(element.ptr + 1, element.len - 2), features[i].name))
                bits |= features[i].bits;
    return bits;
}

bool plan_enabled(const struct exchange *x, enum compat feature)
{
    if (x->config->compat & feature)
        return true;
    const struct http_field *f = http_head_get(&x->stream->request, HTTP_N_X_BF_COMPAT);
    return f && (plan_compat(f->value) & feature);
}

// Models that OpenAI serves at /v1/responses only (platform.openai.com/docs/models, the endpoints
// of each), by how their names begin.
static bool is_responses_only(struct slice model)
{
    static const struct slice names[] = {
        SLICE("codex-mini"),
        SLICE("computer-use-preview"),
        SLICE("gpt-5-codex"),
        SLICE("gpt-5-pro"),
        SLICE("o1-pro"),
        SLICE("o3-deep-research"),
        SLICE("o4-mini-deep-research"),
        SLICE("o3-pro"),
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_starts(model, names[i]))
            return true;
    return false;
}

// ---- The walk --------------------------------------------------------------------------------

enum when {
    ALWAYS,
    RESPONSES_ONLY, // the model has no other endpoint, and convert_chat_to_responses
    PREFERRED,      // the vendor's responses say more than its chat
    TEXT_TO_CHAT,   // convert_text_to_chat
};

#define STEPS_MAX 4

static const struct step {
    enum operation op;
    enum when when;
    bool last;
} tries[OPERATION_COUNT][STEPS_MAX] = {
    [OP_CHAT] = {{OP_RESPONSES, RESPONSES_ONLY, false},
                 {OP_CHAT, ALWAYS, false},
                 {OP_MESSAGES, ALWAYS, false},
                 {OP_RESPONSES, ALWAYS, true}},
    [OP_TEXT] = {{OP_TEXT, ALWAYS, false},
                 {OP_COMPLETE, ALWAYS, false},
                 {OP_CHAT, TEXT_TO_CHAT, false},
                 {OP_MESSAGES, TEXT_TO_CHAT, true}},
    [OP_EMBEDDING] = {{OP_EMBEDDING, ALWAYS, true}},
    [OP_RESPONSES] = {{OP_RESPONSES, ALWAYS, false},
                      {OP_MESSAGES, ALWAYS, false},
                      {OP_CHAT, ALWAYS, true}},
    [OP_LIST_MODELS] = {{OP_LIST_MODELS, ALWAYS, true}},
    [OP_MESSAGES] = {{OP_MESSAGES, ALWAYS, false},
                     {OP_RESPONSES, PREFERRED, false},
                     {OP_CHAT, ALWAYS, false},
                     {OP_RESPONSES, ALWAYS, true}},
    [OP_COMPLETE] = {{OP_COMPLETE, ALWAYS, false},
                     {OP_TEXT, ALWAYS, false},
                     {OP_MESSAGES, TEXT_TO_CHAT, false},
                     {OP_CHAT, TEXT_TO_CHAT, true}},
    [OP_COUNT_TOKENS] = {{OP_COUNT_TOKENS, ALWAYS, false}, {OP_INPUT_TOKENS, ALWAYS, true}},
    [OP_INPUT_TOKENS] = {{OP_INPUT_TOKENS, ALWAYS, false}, {OP_COUNT_TOKENS, ALWAYS, true}},
};

static bool applies(const struct exchange *x, const struct target *t, enum when when)
{
    switch (when) {
    case RESPONSES_ONLY:
        return is_responses_only(t->model) && plan_enabled(x, COMPAT_CHAT_TO_RESPONSES);
    case PREFERRED:
        // A custom provider is somebody else's server: most of those know chat best.
        return t->provider->row->prefers_responses && !t->provider->custom;
    case TEXT_TO_CHAT:
        return plan_enabled(x, COMPAT_TEXT_TO_CHAT);
    case ALWAYS:
    default:
        return true;
    }
}

static bool fits(const struct exchange *x, const struct target *t, const struct step *step,
                 bool allowed_only)
{
    const struct dialect *to = plan_dialect(step->op);

    return target_has(t->provider, step->op, x->stream_wanted, t->model) &&
           (!allowed_only || target_allows(t->provider, step->op, x->stream_wanted)) &&
           (to == x->dialect || dialect_translates(x->dialect, to, x->stream_wanted)) &&
           applies(x, t, step->when);
}

int plan_target(struct exchange *x, const struct target *t)
{
    enum operation op = x->route->operation;

    if (!target_allows(t->provider, op, x->stream_wanted))
        return ERR_UNSUPPORTED;
    for (unsigned pass = 0; pass < 2; pass++) {
        const struct step *step = tries[op];
        for (;; step++) {
            if (fits(x, t, step, pass == 0)) {
                x->upstream_op = step->op;
                x->upstream_dialect = plan_dialect(step->op);
                return 0;
            }
            if (step->last)
                break;
        }
    }
    return ERR_UNSUPPORTED;
}
