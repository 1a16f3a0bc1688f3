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

// The same kind of token by what was served and how much of it there was, in this order; the first
// rate that is there counts.
enum rung {
    FLEX_272K,
    FLEX,
    PRIORITY_272K,
    ABOVE_272K,
    PRIORITY_200K,
    ABOVE_200K,
    ABOVE_128K,
    PRIORITY,
    BASE,
    RUNG_COUNT
};

// What must hold for a rung.
static const struct {
    enum price_tier tier; // PRICE_TIER_DEFAULT: any
    uint64_t above;
} rungs[RUNG_COUNT] = {
    [FLEX_272K] = {PRICE_TIER_FLEX, 272000},
    [FLEX] = {PRICE_TIER_FLEX, 0},
    [PRIORITY_272K] = {PRICE_TIER_PRIORITY, 272000},
    [ABOVE_272K] = {PRICE_TIER_DEFAULT, 272000},
    [PRIORITY_200K] = {PRICE_TIER_PRIORITY, 200000},
    [ABOVE_200K] = {PRICE_TIER_DEFAULT, 200000},
    [ABOVE_128K] = {PRICE_TIER_DEFAULT, 128000},
    [PRIORITY] = {PRICE_TIER_PRIORITY, 0},
    [BASE] = {PRICE_TIER_DEFAULT, 0},
};

enum kind { KIND_INPUT, KIND_OUTPUT, KIND_READ, KIND_WRITE, KIND_WRITE_1H, KIND_COUNT };

#define NO_RATE PRICE_RATE_COUNT
static const enum price_rate rates[KIND_COUNT][RUNG_COUNT] = {
    [KIND_INPUT] = {PRICE_INPUT_FLEX_272K, PRICE_INPUT_FLEX, PRICE_INPUT_272K_PRIORITY,
                    PRICE_INPUT_272K, PRICE_INPUT_200K_PRIORITY, PRICE_INPUT_200K, PRICE_INPUT_128K,
                    PRICE_INPUT_PRIORITY, PRICE_INPUT},
    [KIND_OUTPUT] = {PRICE_OUTPUT_FLEX_272K, PRICE_OUTPUT_FLEX, PRICE_OUTPUT_272K_PRIORITY,
                     PRICE_OUTPUT_272K, PRICE_OUTPUT_200K_PRIORITY, PRICE_OUTPUT_200K,
                     PRICE_OUTPUT_128K, PRICE_OUTPUT_PRIORITY, PRICE_OUTPUT},
    [KIND_READ] = {PRICE_READ_FLEX_272K, PRICE_READ_FLEX, PRICE_READ_272K_PRIORITY, PRICE_READ_272K,
                   PRICE_READ_200K_PRIORITY, PRICE_READ_200K, NO_RATE, PRICE_READ_PRIORITY,
                   PRICE_READ},
    // Nobody sells priority by length here: it goes before the lengths.
    [KIND_WRITE] = {PRICE_WRITE_FLEX_272K, PRICE_WRITE_FLEX, PRICE_WRITE_PRIORITY, PRICE_WRITE_272K,
                    PRICE_WRITE_PRIORITY, PRICE_WRITE_200K, NO_RATE, PRICE_WRITE_PRIORITY,
                    PRICE_WRITE},
    [KIND_WRITE_1H] = {NO_RATE, NO_RATE, NO_RATE, NO_RATE, NO_RATE, PRICE_WRITE_1H_200K, NO_RATE,
                       NO_RATE, PRICE_WRITE_1H},
};

static int64_t rate_of(const struct price *p, enum kind kind, enum price_tier tier, uint64_t total,
                       int64_t absent)
{
    for (unsigned i = 0; i < RUNG_COUNT; i++) {
        enum price_rate rate = rates[kind][i];
        bool applies = total >= rungs[i].above + (rungs[i].above > 0) &&
                       (rungs[i].tier == PRICE_TIER_DEFAULT || rungs[i].tier == tier);
        if (applies && rate != NO_RATE && p->rate[rate] != PRICE_ABSENT)
            return p->rate[rate];
    }
    return absent;
}

static unsigned __int128 times(uint64_t units, int64_t rate)
{
    return (unsigned __int128)units * (uint64_t)rate;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

// `all` tokens, of which `audio` are audio.
static unsigned __int128 with_audio(const struct price *p, uint64_t all, int64_t rate,
                                    uint64_t audio, enum price_rate audio_rate)
{
    audio = p->rate[audio_rate] == PRICE_ABSENT ? 0 : least(audio, all);
    return times(all - audio, rate) + (audio > 0 ? times(audio, p->rate[audio_rate]) : 0);
}

int64_t price_cost(const struct price *p, const struct price_use *use)
{
    uint64_t total = use->input_tokens + use->output_tokens;
    uint64_t read = least(use->cached_read_tokens, use->input_tokens);
    uint64_t write = least(use->cached_write_tokens, use->input_tokens - read);
    uint64_t hour = least(use->cached_write_1h_tokens, write);
    int64_t in = rate_of(p, KIND_INPUT, use->tier, total, 0);
    int64_t out = rate_of(p, KIND_OUTPUT, use->tier, total, 0);
    int64_t written = rate_of(p, KIND_WRITE, use->tier, total, in);
    int64_t searched = p->rate[PRICE_SEARCH] == PRICE_ABSENT ? 0 : p->rate[PRICE_SEARCH];
    unsigned __int128 cost =
        with_audio(p, use->input_tokens - read - write, in, use->input_audio_tokens,
                   PRICE_INPUT_AUDIO) +
        with_audio(p, use->output_tokens, out, use->output_audio_tokens, PRICE_OUTPUT_AUDIO) +
        times(read, rate_of(p, KIND_READ, use->tier, total, in)) + times(write - hour, written) +
        times(hour, rate_of(p, KIND_WRITE_1H, use->tier, total, written)) +
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
