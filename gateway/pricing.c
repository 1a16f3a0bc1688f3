// SPDX-License-Identifier: Apache-2.0
//
// pricing.c: catalogue look-ups of an exchange.

#include "gateway/pricing.h"

static const struct catalog_model *find(const struct config *c,
                                        const struct config_provider *provider, struct slice model,
                                        enum operation op)
{
    if (!c->catalog)
        return NULL;
    const struct catalog_model *m = catalog_find(c->catalog, provider->name, model, op);
    if (m || slice_eq(provider->name, provider->row->name))
        return m;
    return catalog_find(c->catalog, provider->row->name, model, op);
}

bool pricing_knows(const struct config *c, const struct config_provider *provider,
                   struct slice model, enum operation op)
{
    return find(c, provider, model, op) != NULL;
}

// What a client's name for a model stands for, by any key of the provider.
static struct slice alias_model(const struct config_provider *p, struct slice model)
{
    for (unsigned i = 0; i < p->key_count; i++) {
        const struct config_alias *alias = config_key_alias(&p->keys[i], model);
        if (alias)
            return alias->model_id;
    }
    return SLICE_EMPTY;
}

// ---- Overrides -------------------------------------------------------------------------------

static bool matches(const struct config_price *o, struct slice model)
{
    return o->wildcard ? slice_istarts(model, o->pattern) : slice_ieq(model, o->pattern);
}

static bool applies(const struct exchange *x, const struct target *t, const struct config_price *o,
                    struct slice model)
{
    return (o->operations >> x->route->operation & 1) != 0 &&
           (!o->key || o->key == x->virtual_key) && (!o->provider || o->provider == t->provider) &&
           (o->key_id.len == 0 || (x->key && slice_eq(o->key_id, x->key->id))) && matches(o, model);
}

// Is `a` to be preferred to `b`?
static bool narrower(const struct config_price *a, const struct config_price *b)
{
    if (a->rank != b->rank)
        return a->rank > b->rank;
    if (a->wildcard != b->wildcard)
        return b->wildcard;
    return a->pattern.len > b->pattern.len;
}

static const struct config_price *override_of(const struct exchange *x, const struct target *t,
                                              struct slice model)
{
    const struct config *c = x->config;
    const struct config_price *best = NULL;

    for (unsigned i = 0; i < c->price_count; i++) {
        const struct config_price *o = &c->prices[i];
        if (applies(x, t, o, model) && (!best || narrower(o, best)))
            best = o;
    }
    return best;
}

bool pricing_find(const struct exchange *x, const struct target *target, struct price *ret)
{
    struct slice sent = x->key ? x->model_sent : alias_model(target->provider, target->model);
    const struct catalog_model *m = NULL;

    if (sent.len == 0)
        sent = target->model;
    m = find(x->config, target->provider, sent, x->route->operation);
    if (!m && !slice_eq(sent, target->model))
        m = find(x->config, target->provider, target->model, x->route->operation);
    const struct config_price *o = override_of(x, target, sent);
    if (m)
        *ret = m->price;
    else
        price_init(ret);
    if (o)
        price_patch(ret, &o->patch);
    return price_known(ret);
}

// ---- The catalogue alone ---------------------------------------------------------------------

struct slice pricing_base_model(const struct config *c, const struct config_provider *provider,
                                struct slice model, enum operation op)
{
    const struct catalog_model *m = find(c, provider, model, op);
    return m ? m->base_model : SLICE_EMPTY;
}
