// SPDX-License-Identifier: Apache-2.0
//
// provider.c: finding rows, and the three lists that belong to no single vendor: the operations'
// names, every name Bifrost knows, and the phrases by which vendors say "slow down".
//
// The lists are short and looked at when a configuration is built or an error has arrived, so they
// are searched from the front.
#include "providers/provider.h"
#include "base/assert.h"
#include "base/container.h"
#include "providers/rows.h"

// An error text is looked at this far: stops a megabyte of error body from costing a megabyte times
// the phrases.
#define RATE_LIMIT_TEXT_MAX 4096

static const struct {
    const char *whole;
    const char *stream; // NULL: never streamed
} operation_names[OPERATION_COUNT] = {
#define X(token, name, stream_name, text) [OP_##token] = {name, stream_name},
    OPERATION_MAP(X)
#undef X
};

bool operation_streams(enum operation op)
{
    ASSERT(op < OPERATION_COUNT);
    return operation_names[op].stream != NULL;
}

struct slice operation_name(enum operation op, bool stream)
{
    ASSERT(op < OPERATION_COUNT);
    return slice_str(stream && operation_names[op].stream ? operation_names[op].stream
                                                          : operation_names[op].whole);
}

const struct provider_row *provider_at(unsigned index)
{
    return index < provider__row_count ? &provider__rows[index] : NULL;
}

const struct provider_row *provider_find(struct slice name)
{
    for (unsigned i = 0; i < provider__row_count; i++) {
        if (slice_eq(provider__rows[i].name, name))
            return &provider__rows[i];
    }
    return NULL;
}

struct slice provider_standard_at(unsigned index)
{
    static const struct slice names[] = {
        SLICE("openai"),
        SLICE("azure"),
        SLICE("anthropic"),
        SLICE("bedrock"),
        SLICE("cohere"),
        SLICE("vertex"),
        SLICE("vllm"),
        SLICE("mistral"),
        SLICE("ollama"),
        SLICE("groq"),
        SLICE("sgl"),
        SLICE("parasail"),
        SLICE("perplexity"),
        SLICE("replicate"),
        SLICE("cerebras"),
        SLICE("gemini"),
        SLICE("openrouter"),
        SLICE("elevenlabs"),
        SLICE("huggingface"),
        SLICE("nebius"),
        SLICE("xai"),
        SLICE("runway"),
        SLICE("fireworks"),
        // later than the API description this program implements
        SLICE("bedrock_mantle"),
        SLICE("deepseek"),
        SLICE("runware"),
        SLICE("sarvam"),
        SLICE("wafer"),
        SLICE("opencode-go"),
        SLICE("opencode-zen"),
        SLICE("deepgram"),
        SLICE("github-copilot"),
        SLICE("databricks"),
        SLICE("typesafe"),
    };
    return index < ARRAY_LEN(names) ? names[index] : SLICE_EMPTY;
}

bool provider_is_standard(struct slice name)
{
    struct slice standard;
    for (unsigned i = 0; (standard = provider_standard_at(i)).len > 0; i++) {
        if (slice_eq(standard, name))
            return true;
    }
    return false;
}

bool provider_is_claude(struct slice model)
{
    return slice_ifind(model, SLICE("claude")) >= 0;
}

bool provider_has(const struct provider_row *row, enum operation op, bool claude)
{
    ASSERT(op < OPERATION_COUNT);
    if (row->path[op].len == 0)
        return false;
    bool is_claudes = (PROVIDER_CLAUDE_OPERATIONS >> op & 1) != 0;
    return !row->by_family || op == OP_LIST_MODELS || claude == is_claudes;
}

struct slice provider_auth_field(const struct provider_row *row, enum operation op)
{
    bool claude = (PROVIDER_CLAUDE_OPERATIONS >> op & 1) != 0;
    switch (row->auth) {
    case AUTH_X_API_KEY:
        return SLICE("x-api-key");
    case AUTH_AZURE:
        return claude ? SLICE("x-api-key") : SLICE("api-key");
    case AUTH_BEARER:
    default:
        return SLICE("authorization");
    }
}

bool provider_is_rate_limit(struct slice text)
{
    // Bifrost's list without those that contain another ("api rate limit", "requests per minute").
    static const struct slice phrases[] = {
        SLICE("rate limit"),
        SLICE("rate_limit"),
        SLICE("ratelimit"),
        SLICE("too many requests"),
        SLICE("quota exceeded"),
        SLICE("quota_exceeded"),
        SLICE("request limit"),
        SLICE("throttled"),
        SLICE("throttling"),
        SLICE("rate exceeded"),
        SLICE("limit exceeded"),
        SLICE("requests per"),
        SLICE("rpm exceeded"),
        SLICE("tpm exceeded"),
        SLICE("tokens per minute"),
        SLICE("usage limit"),
        SLICE("concurrent requests limit"),
        SLICE("burst_rate"),
        SLICE("rate increased"),
    };
    text = slice_take(text, RATE_LIMIT_TEXT_MAX);
    for (unsigned i = 0; i < ARRAY_LEN(phrases); i++) {
        if (slice_ifind(text, phrases[i]) >= 0)
            return true;
    }
    return false;
}
