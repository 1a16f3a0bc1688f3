// SPDX-License-Identifier: Apache-2.0
//
// price.c: rates and what they come to.
#include "providers/price.h"

#include "base/container.h"
#include <stddef.h>

static const struct slice names[PRICE_RATE_COUNT] = {
#define X(token, name) [PRICE_##token] = SLICE(name),
    PRICE_RATE_MAP(X)
#undef X
};

void price_init(struct price *p)
{
    for (unsigned i = 0; i < PRICE_RATE_COUNT; i++)
        p->rate[i] = PRICE_ABSENT;
}

static int64_t of_dollars(double dollars)
{
    return (int64_t)(dollars * (double)PRICE_DOLLAR + 0.5);
}

bool price_set(struct price *p, struct slice name, double dollars)
{
    for (unsigned i = 0; i < PRICE_RATE_COUNT; i++) {
        if (!slice_eq(names[i], name))
            continue;
        if (!(dollars >= 0 && dollars <= PRICE_RATE_DOLLARS_MAX))
            return false;
        p->rate[i] = of_dollars(dollars);
    }
    return true;
}

void price_patch(struct price *p, const struct price *patch)
{
    for (unsigned i = 0; i < PRICE_RATE_COUNT; i++) {
        if (patch->rate[i] != PRICE_ABSENT)
            p->rate[i] = patch->rate[i];
    }
}

bool price_known(const struct price *p)
{
    return p->rate[PRICE_INPUT] != PRICE_ABSENT || p->rate[PRICE_OUTPUT] != PRICE_ABSENT;
}

enum price_tier price_tier(struct slice service_tier)
{
    if (slice_eq(service_tier, SLICE("priority")))
        return PRICE_TIER_PRIORITY;
    return slice_eq(service_tier, SLICE("flex")) ? PRICE_TIER_FLEX : PRICE_TIER_DEFAULT;
}

// The same kind of token by tier: of the service first, then of the total. Flex has no tiers by
// total, priority's own rate wins over them.
struct ladder {
    enum price_rate flex, priority;
    enum price_rate above_272k, above_200k, above_128k;
    enum price_rate base;
};

static const struct ladder input_rates = {PRICE_INPUT_FLEX, PRICE_INPUT_PRIORITY, PRICE_INPUT_272K,
                                          PRICE_INPUT_200K, PRICE_INPUT_128K,     PRICE_INPUT};
static const struct ladder output_rates = {PRICE_OUTPUT_FLEX, PRICE_OUTPUT_PRIORITY,
                                           PRICE_OUTPUT_272K, PRICE_OUTPUT_200K,
                                           PRICE_OUTPUT_128K, PRICE_OUTPUT};
// PRICE_RATE_COUNT: there is no such rate.
static const struct ladder read_rates = {PRICE_READ_FLEX, PRICE_READ_PRIORITY, PRICE_RATE_COUNT,
                                         PRICE_READ_200K, PRICE_RATE_COUNT,    PRICE_READ};
static const struct ladder write_rates = {PRICE_RATE_COUNT, PRICE_RATE_COUNT, PRICE_RATE_COUNT,
                                          PRICE_WRITE_200K, PRICE_RATE_COUNT, PRICE_WRITE};

static int64_t rate_of(const struct price *p, const struct ladder *ladder, enum price_tier tier,
                       uint64_t total, int64_t absent)
{
    const struct {
        enum price_rate rate;
        bool applies;
    } rungs[] = {
        {ladder->flex, tier == PRICE_TIER_FLEX}, {ladder->priority, tier == PRICE_TIER_PRIORITY},
        {ladder->above_272k, total > 272000},    {ladder->above_200k, total > 200000},
        {ladder->above_128k, total > 128000},    {ladder->base, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rungs); i++) {
        bool there = rungs[i].applies && rungs[i].rate != PRICE_RATE_COUNT;
        if (there && p->rate[rungs[i].rate] != PRICE_ABSENT)
            return p->rate[rungs[i].rate];
    }
    return absent;
}

static unsigned __int128 times(uint64_t units, int64_t rate)
{
    return (unsigned __int128)units * (uint64_t)rate;
}

int64_t price_cost(const struct price *p, const struct price_use *use)
{
    uint64_t total = use->input_tokens + use->output_tokens;
    uint64_t read = use->cached_read_tokens, write = use->cached_write_tokens;
    read = read < use->input_tokens ? read : use->input_tokens;
    write = write < use->input_tokens - read ? write : use->input_tokens - read;
    int64_t in = rate_of(p, &input_rates, use->tier, total, 0);
    int64_t out = rate_of(p, &output_rates, use->tier, total, 0);
    int64_t searched = p->rate[PRICE_SEARCH] == PRICE_ABSENT ? 0 : p->rate[PRICE_SEARCH];
    unsigned __int128 cost = times(use->input_tokens - read - write, in) +
                             times(use->output_tokens, out) +
                             times(read, rate_of(p, &read_rates, use->tier, total, in)) +
                             times(write, rate_of(p, &write_rates, use->tier, total, in)) +
                             times(use->searches, searched);
    unsigned __int128 most = (unsigned __int128)PRICE_COST_DOLLARS_MAX * (uint64_t)PRICE_DOLLAR;
    return (int64_t)(cost < most ? cost : most);
}

int64_t price_of_dollars(double dollars)
{
    if (!(dollars >= 0))
        return -1;
    double most = (double)PRICE_COST_DOLLARS_MAX;
    return of_dollars(dollars < most ? dollars : most);
}
