// SPDX-License-Identifier: Apache-2.0
//
// dialect.c: what can be said of two dialects together, and of two events' usage. The gateway asks.

#include "codec/dialect.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/json_scan.h"

bool dialect_translates(const struct dialect *client, const struct dialect *provider, bool stream)
{
    const struct dialect_translation *c = client->translation;
    const struct dialect_translation *p = provider->translation;

    if (!c || !p || !c->read_request || !p->write_request)
        return false;
    if (stream)
        return c->write_event && p->read_event;
    return c->write_answer && p->read_answer;
}

int dialect_tokens(struct slice value, uint64_t *ret)
{
    uint64_t tokens;
    if (json_u64(value, &tokens) != 0 || tokens > DIALECT_TOKENS_MAX)
        return ERR_BAD_TYPE;
    *ret = tokens;
    return 0;
}

enum dialect_tier dialect_tier(struct slice value)
{
    if (slice_eq(value, SLICE("\"priority\"")))
        return DIALECT_TIER_PRIORITY;
    return slice_eq(value, SLICE("\"flex\"")) ? DIALECT_TIER_FLEX : DIALECT_TIER_DEFAULT;
}

void dialect_usage_update(struct dialect_usage *sum, const struct dialect_usage *told)
{
    ASSERT(told->known && sum->parts == 0);
    if (told->parts == 0) {
        *sum = *told;
        return;
    }
    // The sum's input includes what the caches had to do with, a part's does not.
    uint64_t plain = sum->input_tokens - sum->cached_read_tokens - sum->cached_write_tokens;
    if (told->parts & DIALECT_USAGE_INPUT)
        plain = told->input_tokens;
    if (told->parts & DIALECT_USAGE_READ)
        sum->cached_read_tokens = told->cached_read_tokens;
    if (told->parts & DIALECT_USAGE_WRITE)
        sum->cached_write_tokens = told->cached_write_tokens;
    if (told->parts & DIALECT_USAGE_WRITE_1H)
        sum->cached_write_1h_tokens = told->cached_write_1h_tokens;
    if (told->parts & DIALECT_USAGE_SEARCHES)
        sum->searches = told->searches;
    if (told->parts & DIALECT_USAGE_TIER)
        sum->tier = told->tier;
    if (told->parts & DIALECT_USAGE_OUTPUT)
        sum->output_tokens = told->output_tokens;
    sum->input_tokens = plain + sum->cached_read_tokens + sum->cached_write_tokens;
    sum->total_tokens = sum->input_tokens + sum->output_tokens;
    sum->known = true;
    sum->opening = told->opening;
}
