// SPDX-License-Identifier: Apache-2.0
//
// weigh.c: the draw among a virtual key's providers. exchange.c asks when it routes.

#include "gateway/weigh.h"
#include "base/assert.h"
#include "gateway/pricing.h"

// How surely a provider serves a model.
enum standing { STANDING_NO, STANDING_MAYBE, STANDING_YES };

static enum standing standing_of(const struct exchange *x, const struct governance_grant *grant,
                                 struct slice model)
{
    const struct config_provider *p = grant->provider;
    enum standing standing = p->key_less ? STANDING_MAYBE : STANDING_NO;
    struct slice base = pricing_base_model(x->config, p, model, x->route->operation);
    struct slice ignored;

    if (!governance_allows_model(grant, model, base))
        return STANDING_NO;
    for (unsigned i = 0; i < p->key_count; i++) {
        const struct config_key *key = &p->keys[i];
        if ((grant->keys && !grant->keys[i]) || !config_key_serves(key, model, &ignored))
            continue;
        if (!key->all_models)
            return STANDING_YES;
        standing = STANDING_MAYBE;
    }
    if (standing == STANDING_NO)
        return STANDING_NO;
    bool known = slice_iin(model, grant->models, grant->model_count) ||
                 pricing_knows(x->config, p, model, x->route->operation);
    return known ? STANDING_YES : STANDING_MAYBE;
}

static bool has_room(const struct governance_limit **limits, unsigned count, uint64_t now)
{
    for (unsigned i = 0; i < count; i++) {
        const struct ledger_limit *l = &limits[i]->ledger;
        if (l->counter && ledger_view(l, now).committed >= l->max)
            return false;
    }
    return true;
}

// The grants that may draw, as bits by index.
static uint64_t candidates(const struct exchange *x, const struct virtual_key *key,
                           struct slice model)
{
    uint64_t yes = 0, maybe = 0;
    uint64_t now = (uint64_t)(ring_wall(x->core->net.ring).ns / NS_PER_S);

    for (unsigned i = 0; i < key->grant_count && i < 64; i++) {
        const struct governance_grant *g = &key->grants[i];
        if (!g->weighted || !has_room(g->owner.rates, g->owner.rate_count, now) ||
            !has_room(g->owner.budgets, g->owner.budget_count, now))
            continue;
        enum standing standing = standing_of(x, g, model);
        if (standing == STANDING_YES)
            yes |= UINT64_C(1) << i;
        else if (standing == STANDING_MAYBE)
            maybe |= UINT64_C(1) << i;
    }
    return yes ? yes : maybe;
}

static double weight(const struct virtual_key *key, unsigned index)
{
    double w = key->grants[index].weight;
    return w > 0 ? w : 0;
}

static unsigned draw(struct prng *prng, const struct virtual_key *key, uint64_t set)
{
    double line = 0;
    unsigned last = 0;

    for (unsigned i = 0; i < 64; i++)
        if (set >> i & 1)
            line += weight(key, i);
    double point = prng_unit(prng) * line;
    for (unsigned i = 0; i < 64; i++) {
        if (!(set >> i & 1))
            continue;
        last = i;
        point -= weight(key, i);
        if (point < 0)
            break;
    }
    return last;
}

static unsigned heaviest(const struct virtual_key *key, uint64_t set)
{
    unsigned best = 64;

    for (unsigned i = 0; i < 64; i++)
        if (set >> i & 1 && (best == 64 || weight(key, i) > weight(key, best)))
            best = i;
    ASSERT(best < 64);
    return best;
}

static bool names_provider(const struct config *c, struct slice model)
{
    ptrdiff_t slash = slice_find_char(model, '/');
    return slash > 0 && config_provider(c, slice_trim(slice_take(model, (size_t)slash)));
}

unsigned weigh_targets(struct exchange *x, bool fallbacks)
{
    const struct virtual_key *key = x->virtual_key;
    struct slice model = slice_trim(x->model_requested);
    unsigned count = 0;

    if (!key || model.len == 0 || names_provider(x->config, model))
        return 0;
    uint64_t set = candidates(x, key, model);
    while (set && count < 1 + FALLBACKS_MAX) {
        unsigned i = count == 0 ? draw(&x->core->net.prng, key, set) : heaviest(key, set);
        set &= ~(UINT64_C(1) << i);
        x->target[count++] = (struct target){.provider = key->grants[i].provider, .model = model};
        if (!fallbacks)
            break;
    }
    return count;
}
