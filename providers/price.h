// SPDX-License-Identifier: Apache-2.0
//
// price.h: what a request costs.
//
// A price is a set of rates by the names of the datasheet (PRICE_RATE_MAP); a rate that is not
// there is PRICE_ABSENT, not zero. Money is in 10⁻¹² dollars: a rate of a millionth of a cent for a
// token is still exact, and the sum of a budget is the sum of its parts.
//
// The formula for text: the first tier that the total of the tokens passes and that has a rate,
// else the base; in each the rate of a priority service before the usual one, and those of a flex
// service before all. Tokens read from or written to the provider's cache count at the cache's own
// rates, and at the input's where there are none; those written for an hour at theirs, else as for
// five minutes. Audio that is part of a text model's tokens counts at its own rate where there is
// one. What a model thought is part of its output. Searches are for each.
//
// Sources: bifrost-behaviour §8.3; names of rates as Bifrost's datasheet has them.
//
// Pure; any thread.
#ifndef RINGGATE_PROVIDERS_PRICE_H
#define RINGGATE_PROVIDERS_PRICE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

#define PRICE_ABSENT INT64_C(-1)
// 10⁻¹² dollars in one.
#define PRICE_DOLLAR INT64_C(1000000000000)
// Dollars for one unit of anything; beyond it a datasheet is broken, and sums could wrap.
#define PRICE_RATE_DOLLARS_MAX 1000
// What one request may come to, in dollars: stops broken numbers of a provider from wrapping a sum.
#define PRICE_COST_DOLLARS_MAX 1000000

// X(token, name in the datasheet and in a pricing patch): the rates that are charged.
#define PRICE_RATE_MAP(X)                                                                          \
    X(INPUT, "input_cost_per_token")                                                               \
    X(OUTPUT, "output_cost_per_token")                                                             \
    X(INPUT_PRIORITY, "input_cost_per_token_priority")                                             \
    X(OUTPUT_PRIORITY, "output_cost_per_token_priority")                                           \
    X(INPUT_FLEX, "input_cost_per_token_flex")                                                     \
    X(OUTPUT_FLEX, "output_cost_per_token_flex")                                                   \
    X(INPUT_FLEX_272K, "input_cost_per_token_flex_above_272k_tokens")                              \
    X(OUTPUT_FLEX_272K, "output_cost_per_token_flex_above_272k_tokens")                            \
    X(INPUT_128K, "input_cost_per_token_above_128k_tokens")                                        \
    X(OUTPUT_128K, "output_cost_per_token_above_128k_tokens")                                      \
    X(INPUT_200K, "input_cost_per_token_above_200k_tokens")                                        \
    X(OUTPUT_200K, "output_cost_per_token_above_200k_tokens")                                      \
    X(INPUT_200K_PRIORITY, "input_cost_per_token_above_200k_tokens_priority")                      \
    X(OUTPUT_200K_PRIORITY, "output_cost_per_token_above_200k_tokens_priority")                    \
    X(INPUT_272K, "input_cost_per_token_above_272k_tokens")                                        \
    X(OUTPUT_272K, "output_cost_per_token_above_272k_tokens")                                      \
    X(INPUT_272K_PRIORITY, "input_cost_per_token_above_272k_tokens_priority")                      \
    X(OUTPUT_272K_PRIORITY, "output_cost_per_token_above_272k_tokens_priority")                    \
    X(READ, "cache_read_input_token_cost")                                                         \
    X(READ_PRIORITY, "cache_read_input_token_cost_priority")                                       \
    X(READ_FLEX, "cache_read_input_token_cost_flex")                                               \
    X(READ_FLEX_272K, "cache_read_input_token_cost_flex_above_272k_tokens")                        \
    X(READ_200K, "cache_read_input_token_cost_above_200k_tokens")                                  \
    X(READ_200K_PRIORITY, "cache_read_input_token_cost_above_200k_tokens_priority")                \
    X(READ_272K, "cache_read_input_token_cost_above_272k_tokens")                                  \
    X(READ_272K_PRIORITY, "cache_read_input_token_cost_above_272k_tokens_priority")                \
    X(WRITE, "cache_creation_input_token_cost")                                                    \
    X(WRITE_PRIORITY, "cache_creation_input_token_cost_priority")                                  \
    X(WRITE_FLEX, "cache_creation_input_token_cost_flex")                                          \
    X(WRITE_FLEX_272K, "cache_creation_input_token_cost_flex_above_272k_tokens")                   \
    X(WRITE_200K, "cache_creation_input_token_cost_above_200k_tokens")                             \
    X(WRITE_272K, "cache_creation_input_token_cost_above_272k_tokens")                             \
    X(WRITE_1H, "cache_creation_input_token_cost_above_1hr")                                       \
    X(WRITE_1H_200K, "cache_creation_input_token_cost_above_1hr_above_200k_tokens")                \
    X(INPUT_AUDIO, "input_cost_per_audio_token")                                                   \
    X(OUTPUT_AUDIO, "output_cost_per_audio_token")                                                 \
    X(SEARCH, "search_context_cost_per_query")

enum price_rate {
#define X(token, name) PRICE_##token,
    PRICE_RATE_MAP(X)
#undef X
        PRICE_RATE_COUNT
};

struct price {
    int64_t rate[PRICE_RATE_COUNT]; // 10⁻¹² dollars for a unit, or PRICE_ABSENT
};

void price_init(struct price *p); // no rate at all
// Members of a datasheet's row that are no rates of ours are skipped. False: `dollars` is negative,
// no number, or beyond PRICE_RATE_DOLLARS_MAX.
bool price_set(struct price *p, struct slice name, double dollars);
// A pricing patch: what `patch` has replaces what is there.
void price_patch(struct price *p, const struct price *patch);
// Does it say what a token costs?
bool price_known(const struct price *p);

// What an answer's `service_tier` says: as which the provider has served.
enum price_tier { PRICE_TIER_DEFAULT, PRICE_TIER_PRIORITY, PRICE_TIER_FLEX };

struct price_use {
    uint64_t input_tokens; // all, those of the cache included
    uint64_t output_tokens;
    uint64_t cached_read_tokens, cached_write_tokens; // clamped to the input
    uint64_t cached_write_1h_tokens;                  // of those written; clamped to them
    uint64_t input_audio_tokens, output_audio_tokens; // clamped to what no cache had to do with
    uint64_t searches;
    enum price_tier tier;
};
// In 10⁻¹² dollars; at most PRICE_COST_DOLLARS_MAX dollars.
int64_t price_cost(const struct price *p, const struct price_use *use);

// Dollars of a JSON number, as a provider reports a cost, in 10⁻¹² dollars; -1 when negative or no
// number, PRICE_COST_DOLLARS_MAX dollars at most.
int64_t price_of_dollars(double dollars);

#endif
