// SPDX-License-Identifier: Apache-2.0
//
// rows.c: the vendors, one row each: those that speak the OpenAI dialect, Anthropic, and Azure,
// which hosts models of both.
//
// What a row leaves out is as meaningful as what it holds: an operation without a path is answered
// with "<op> is not supported by <provider> provider" and nothing is sent. `responses` has a path
// only where the vendor documents an endpoint of its own; it is never rebuilt from chat here.
//
// The edit lists follow what the vendors refuse or never read. openai's is empty: bytes are sacred.
// All others lose four members of OpenAI's own (prompt_cache_key, verbosity, store, service_tier)
// and get `reasoning_effort` in place of the `reasoning` object, in chat only: their responses
// endpoints were made for OpenAI's members, `store` among them.
//
// A list holds at most PROVIDER_EDITS_MAX edits for an operation, so that they and the gateway's
// own fit one json_edit; the unit test counts.
//
// Sources: the vendors' API references (base URL and paths); bifrost-behaviour §4.2, §4.3, §4.5,
// §4.9.
#include "providers/rows.h"
#include "base/container.h"

#define CHAT      (1u << OP_CHAT)
#define RESPONSES (1u << OP_RESPONSES)

#define DROP(on, name)                                                                             \
    {                                                                                              \
        .kind = EDIT_DROP, .operations = (on), .member = SLICE(name)                               \
    }
#define RENAME(on, name, target)                                                                   \
    {                                                                                              \
        .kind = EDIT_RENAME, .operations = (on), .member = SLICE(name), .to = SLICE(target)        \
    }
#define REASONING                                                                                  \
    {                                                                                              \
        .kind = EDIT_REASONING, .operations = CHAT, .member = SLICE("reasoning"),                  \
        .to = SLICE("reasoning_effort")                                                            \
    }
// What only OpenAI's own chat endpoint knows.
#define DROP_OPENAI_ONLY                                                                           \
    DROP(CHAT, "prompt_cache_key"), DROP(CHAT, "verbosity"), DROP(CHAT, "store"),                  \
        DROP(CHAT, "service_tier")

static const struct provider_edit compatible_edits[] = {
    DROP_OPENAI_ONLY,
    REASONING,
};

// Groq refuses a `user` of more than 64 characters; its responses endpoint is stateless.
static const struct provider_edit groq_edits[] = {
    DROP_OPENAI_ONLY,
    REASONING,
    {.kind = EDIT_DROP_LONG, .operations = CHAT | RESPONSES, .member = SLICE("user"), .limit = 64},
    DROP(RESPONSES, "store"),
    DROP(RESPONSES, "prompt_cache_key"),
};

// Fireworks isolates its prompt cache by a member of another name.
static const struct provider_edit fireworks_edits[] = {
    RENAME(CHAT, "prompt_cache_key", "prompt_cache_isolation_key"),
    DROP(CHAT, "verbosity"),
    DROP(CHAT, "store"),
    DROP(CHAT, "service_tier"),
    REASONING,
};

// Mistral answers 422 to any member it does not know, stream_options among them; it sends usage
// with the last chunk unasked.
static const struct provider_edit mistral_edits[] = {
    DROP_OPENAI_ONLY,
    REASONING,
    DROP(CHAT, "stream_options"),
    RENAME(CHAT, "max_completion_tokens", "max_tokens"),
    {.kind = EDIT_CHOICE_ANY, .operations = CHAT, .member = SLICE("tool_choice")},
};

// Perplexity searches instead of calling tools and always sends usage.
static const struct provider_edit perplexity_edits[] = {
    DROP_OPENAI_ONLY,
    REASONING,
    DROP(CHAT, "tools"),
    DROP(CHAT, "tool_choice"),
    DROP(CHAT, "parallel_tool_calls"),
    DROP(CHAT, "stop"),
    DROP(CHAT, "seed"),
    DROP(CHAT, "logprobs"),
    DROP(CHAT, "top_logprobs"),
    DROP(CHAT, "logit_bias"),
    RENAME(CHAT, "max_completion_tokens", "max_tokens"),
};

#define EDITS(list) .edits = (list), .edit_count = ARRAY_LEN(list)

#define V1_CHAT      [OP_CHAT] = SLICE("/v1/chat/completions")
#define V1_TEXT      [OP_TEXT] = SLICE("/v1/completions")
#define V1_EMBEDDING [OP_EMBEDDING] = SLICE("/v1/embeddings")
#define V1_RESPONSES [OP_RESPONSES] = SLICE("/v1/responses")
#define V1_MODELS    [OP_LIST_MODELS] = SLICE("/v1/models")
#define V1_INPUT     [OP_INPUT_TOKENS] = SLICE("/v1/responses/input_tokens")
#define AZURE(tail)  SLICE("/openai/deployments/{model}" tail "?api-version={api_version}")

const struct provider_row provider__rows[] = {
    {
        .name = SLICE("openai"),
        .base_url = SLICE("https://api.openai.com"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_RESPONSES, V1_MODELS, V1_INPUT},
        .streams_text = true,
        .stream_usage = true,
        .prefers_responses = true,
        .max_completion_tokens = true,
        .environment = {"OPENAI_API_KEY", "OPENAI_KEY"},
    },
    {
        .name = SLICE("anthropic"),
        .base_url = SLICE("https://api.anthropic.com"),
        .path =
            {
                [OP_MESSAGES] = SLICE("/v1/messages"),
                [OP_COMPLETE] = SLICE("/v1/complete"),
                [OP_COUNT_TOKENS] = SLICE("/v1/messages/count_tokens"),
                // Without it a page is 20 models.
                [OP_LIST_MODELS] = SLICE("/v1/models?limit=1000"),
            },
        .auth = AUTH_X_API_KEY,
        .streams_text = true,
        .anthropic = true,
        .environment = {"ANTHROPIC_API_KEY", "ANTHROPIC_KEY"},
    },
    {
        // The model in a path is a deployment; aliases map names to deployments. The responses API
        // has one path for all of them and a version of its own.
        .name = SLICE("azure"),
        .path =
            {
                [OP_CHAT] = AZURE("/chat/completions"),
                [OP_TEXT] = AZURE("/completions"),
                [OP_EMBEDDING] = AZURE("/embeddings"),
                [OP_RESPONSES] = SLICE("/openai/v1/responses?api-version=preview"),
                [OP_INPUT_TOKENS] = SLICE("/openai/v1/responses/input_tokens?api-version=preview"),
                [OP_MESSAGES] = SLICE("/anthropic/v1/messages"),
                [OP_COUNT_TOKENS] = SLICE("/anthropic/v1/messages/count_tokens"),
                [OP_LIST_MODELS] = SLICE("/openai/models?api-version={api_version}"),
            },
        .auth = AUTH_AZURE,
        .path_templates = true,
        .by_family = true,
        .prefers_responses = true,
        .max_completion_tokens = true,
        .streams_text = true,
        .stream_usage = true,
        .key_optional = true, // Entra
        .url_per_key = true,
        .anthropic = true,
    },
    {
        .name = SLICE("groq"),
        .base_url = SLICE("https://api.groq.com/openai"),
        .path = {V1_CHAT, V1_RESPONSES, V1_MODELS},
        .stream_usage = true,
        EDITS(groq_edits),
        .environment = {"GROQ_API_KEY"},
    },
    {
        .name = SLICE("cerebras"),
        .base_url = SLICE("https://api.cerebras.ai"),
        .path = {V1_CHAT, V1_TEXT, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        EDITS(compatible_edits),
        .environment = {"CEREBRAS_API_KEY"},
    },
    {
        .name = SLICE("fireworks"),
        .base_url = SLICE("https://api.fireworks.ai/inference"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_RESPONSES, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        EDITS(fireworks_edits),
        .environment = {"FIREWORKS_API_KEY"},
    },
    {
        .name = SLICE("nebius"),
        .base_url = SLICE("https://api.tokenfactory.nebius.com"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        EDITS(compatible_edits),
        .environment = {"NEBIUS_API_KEY"},
    },
    {
        .name = SLICE("openrouter"),
        .base_url = SLICE("https://openrouter.ai/api"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_RESPONSES, V1_MODELS},
        .keeps_thoughts = true,
        .streams_text = true,
        .stream_usage = true,
        EDITS(compatible_edits),
        .environment = {"OPENROUTER_API_KEY"},
    },
    {
        .name = SLICE("parasail"),
        .base_url = SLICE("https://api.parasail.io"),
        .path = {V1_CHAT, V1_MODELS},
        .stream_usage = true,
        EDITS(compatible_edits),
        .environment = {"PARASAIL_API_KEY"},
    },
    {
        .name = SLICE("perplexity"),
        .base_url = SLICE("https://api.perplexity.ai"),
        .path = {[OP_CHAT] = SLICE("/chat/completions")}, // without /v1
        EDITS(perplexity_edits),
        .environment = {"PERPLEXITY_API_KEY", "PPLX_API_KEY"},
    },
    {
        .name = SLICE("xai"),
        .base_url = SLICE("https://api.x.ai"),
        .path = {V1_CHAT, V1_TEXT, V1_RESPONSES, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        EDITS(compatible_edits),
        .environment = {"XAI_API_KEY"},
    },
    {
        .name = SLICE("mistral"),
        .base_url = SLICE("https://api.mistral.ai"),
        .path = {V1_CHAT, V1_EMBEDDING, V1_MODELS},
        EDITS(mistral_edits),
        .environment = {"MISTRAL_API_KEY", "MISTRAL_KEY"},
    },
    {
        .name = SLICE("ollama"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_RESPONSES, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        .key_optional = true,
        .url_per_key = true,
        EDITS(compatible_edits),
    },
    {
        .name = SLICE("sgl"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        .key_optional = true,
        .url_per_key = true,
        EDITS(compatible_edits),
    },
    {
        .name = SLICE("vllm"),
        .path = {V1_CHAT, V1_TEXT, V1_EMBEDDING, V1_RESPONSES, V1_MODELS},
        .streams_text = true,
        .stream_usage = true,
        .key_optional = true,
        .url_per_key = true,
        EDITS(compatible_edits),
    },
};

const unsigned provider__row_count = ARRAY_LEN(provider__rows);
