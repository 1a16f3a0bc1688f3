// SPDX-License-Identifier: Apache-2.0
//
// catalog_built_in.c: the datasheet of the program itself.
//
// A small one: the models that most requests are for, as their vendors' price pages had them in
// November 2025, so that budgets work on a host without any network. The sheet that
// framework.pricing names takes its place whole (docs/configuration.md). What OpenAI and Anthropic
// sell azure sells for the same.
#include "providers/catalog.h"

// Rates are dollars for one token; every fact ends in a comma, and the mode stands behind them.
#define IN(rate)   "\"input_cost_per_token\":" rate ","
#define OUT(rate)  "\"output_cost_per_token\":" rate ","
#define READ(rate) "\"cache_read_input_token_cost\":" rate ","
// For five minutes, for an hour.
#define WRITE(rate, hour)                                                                          \
    "\"cache_creation_input_token_cost\":" rate                                                    \
    ",\"cache_creation_input_token_cost_above_1hr\":" hour ","
#define SEARCH(rate) "\"search_context_cost_per_query\":" rate ","
#define ABOVE_200K(in, out, write, hour, read)                                                     \
    "\"input_cost_per_token_above_200k_tokens\":" in                                               \
    ",\"output_cost_per_token_above_200k_tokens\":" out                                            \
    ",\"cache_creation_input_token_cost_above_200k_tokens\":" write                                \
    ",\"cache_creation_input_token_cost_above_1hr_above_200k_tokens\":" hour                       \
    ",\"cache_read_input_token_cost_above_200k_tokens\":" read ","
#define TOKENS_IN(in)   "\"max_input_tokens\":" in ","
#define TOKENS(in, out) TOKENS_IN(in) "\"max_output_tokens\":" out ","
#define OF(base)        "\"base_model\":\"" base "\","

#define ONE(vendor, name, mode, facts)                                                             \
    "\"" vendor "/" name "\":{\"provider\":\"" vendor "\"," facts "\"mode\":\"" mode "\"}"
#define BOTH(vendor, name, mode, facts)                                                            \
    ONE(vendor, name, mode, facts) "," ONE("azure", name, mode, facts)

// Models with versions of their own.
// clang-format off
#define GPT_4O IN("2.5e-6") OUT("1e-5") READ("1.25e-6") TOKENS("128000", "16384")
#define GPT_4O_MINI IN("1.5e-7") OUT("6e-7") READ("7.5e-8") TOKENS("128000", "16384")
#define CLAUDE_OPUS_4_5 IN("5e-6") OUT("2.5e-5") WRITE("6.25e-6", "1e-5") READ("5e-7") \
    SEARCH("0.01") TOKENS("200000", "64000")
#define CLAUDE_OPUS_4_1 IN("1.5e-5") OUT("7.5e-5") WRITE("1.875e-5", "3e-5") READ("1.5e-6") \
    SEARCH("0.01") TOKENS("200000", "32000")
#define CLAUDE_SONNET_4_5 IN("3e-6") OUT("1.5e-5") WRITE("3.75e-6", "6e-6") READ("3e-7") \
    ABOVE_200K("6e-6", "2.25e-5", "7.5e-6", "1.2e-5", "6e-7") SEARCH("0.01") \
    TOKENS("200000", "64000")
#define CLAUDE_SONNET_4_0 IN("3e-6") OUT("1.5e-5") WRITE("3.75e-6", "6e-6") READ("3e-7") \
    ABOVE_200K("6e-6", "2.25e-5", "7.5e-6", "1.2e-5", "6e-7") SEARCH("0.01") \
    TOKENS("200000", "64000")
#define CLAUDE_HAIKU_4_5 IN("1e-6") OUT("5e-6") WRITE("1.25e-6", "2e-6") READ("1e-7") \
    SEARCH("0.01") TOKENS("200000", "64000")
#define CLAUDE_3_5_HAIKU_LATEST IN("8e-7") OUT("4e-6") WRITE("1e-6", "1.6e-6") READ("8e-8") \
    SEARCH("0.01") TOKENS("200000", "8192")

static const char text[] =
    "{"
    BOTH("openai", "gpt-5", "chat", IN("1.25e-6") OUT("1e-5") READ("1.25e-7")
        TOKENS("400000", "128000")) ","
    BOTH("openai", "gpt-5-mini", "chat", IN("2.5e-7") OUT("2e-6") READ("2.5e-8")
        TOKENS("400000", "128000")) ","
    BOTH("openai", "gpt-5-nano", "chat", IN("5e-8") OUT("4e-7") READ("5e-9")
        TOKENS("400000", "128000")) ","
    BOTH("openai", "gpt-4.1", "chat", IN("2e-6") OUT("8e-6") READ("5e-7")
        TOKENS("1047576", "32768")) ","
    BOTH("openai", "gpt-4.1-mini", "chat", IN("4e-7") OUT("1.6e-6") READ("1e-7")
        TOKENS("1047576", "32768")) ","
    BOTH("openai", "gpt-4.1-nano", "chat", IN("1e-7") OUT("4e-7") READ("2.5e-8")
        TOKENS("1047576", "32768")) ","
    BOTH("openai", "gpt-4o", "chat", GPT_4O) ","
    BOTH("openai", "gpt-4o-2024-08-06", "chat", GPT_4O OF("gpt-4o")) ","
    BOTH("openai", "gpt-4o-2024-11-20", "chat", GPT_4O OF("gpt-4o")) ","
    BOTH("openai", "gpt-4o-mini", "chat", GPT_4O_MINI) ","
    BOTH("openai", "gpt-4o-mini-2024-07-18", "chat", GPT_4O_MINI OF("gpt-4o-mini")) ","
    BOTH("openai", "o3", "chat", IN("2e-6") OUT("8e-6") READ("5e-7") TOKENS("200000", "100000")) ","
    BOTH("openai", "o4-mini", "chat", IN("1.1e-6") OUT("4.4e-6") READ("2.75e-7")
        TOKENS("200000", "100000")) ","
    BOTH("openai", "text-embedding-3-small", "embedding", IN("2e-8") TOKENS_IN("8191")) ","
    BOTH("openai", "text-embedding-3-large", "embedding", IN("1.3e-7") TOKENS_IN("8191")) ","
    BOTH("openai", "text-embedding-ada-002", "embedding", IN("1e-7") TOKENS_IN("8191")) ","
    ONE("openai", "gpt-3.5-turbo-instruct", "completion", IN("1.5e-6") OUT("2e-6")
        TOKENS("4096", "4096")) ","
    BOTH("anthropic", "claude-opus-4-5", "chat", CLAUDE_OPUS_4_5) ","
    BOTH("anthropic", "claude-opus-4-5-20251101", "chat", CLAUDE_OPUS_4_5 OF("claude-opus-4-5")) ","
    BOTH("anthropic", "claude-opus-4-1", "chat", CLAUDE_OPUS_4_1) ","
    BOTH("anthropic", "claude-opus-4-1-20250805", "chat", CLAUDE_OPUS_4_1 OF("claude-opus-4-1")) ","
    BOTH("anthropic", "claude-sonnet-4-5", "chat", CLAUDE_SONNET_4_5) ","
    BOTH("anthropic", "claude-sonnet-4-5-20250929", "chat",
        CLAUDE_SONNET_4_5 OF("claude-sonnet-4-5")) ","
    BOTH("anthropic", "claude-sonnet-4-0", "chat", CLAUDE_SONNET_4_0) ","
    BOTH("anthropic", "claude-sonnet-4-20250514", "chat",
        CLAUDE_SONNET_4_0 OF("claude-sonnet-4-0")) ","
    BOTH("anthropic", "claude-haiku-4-5", "chat", CLAUDE_HAIKU_4_5) ","
    BOTH("anthropic", "claude-haiku-4-5-20251001", "chat",
        CLAUDE_HAIKU_4_5 OF("claude-haiku-4-5")) ","
    BOTH("anthropic", "claude-3-5-haiku-latest", "chat", CLAUDE_3_5_HAIKU_LATEST) ","
    BOTH("anthropic", "claude-3-5-haiku-20241022", "chat",
        CLAUDE_3_5_HAIKU_LATEST OF("claude-3-5-haiku-latest"))
    "}";
// clang-format on

struct slice catalog_built_in(void)
{
    return slice_of(text, sizeof text - 1);
}
