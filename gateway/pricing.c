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
    return m ? m : catalog_find(c->catalog, provider->row->name, model, op);
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

const struct price *pricing_find(const struct exchange *x, const struct target *target)
{
    struct slice sent = x->key ? x->model_sent : alias_model(target->provider, target->model);
    const struct catalog_model *m = NULL;

    if (sent.len > 0)
        m = find(x->config, target->provider, sent, x->route->operation);
    if (!m)
        m = find(x->config, target->provider, target->model, x->route->operation);
    return m && price_known(&m->price) ? &m->price : NULL;
}

struct slice pricing_base_model(const struct config *c, const struct config_provider *provider,
                                struct slice model, enum operation op)
{
    const struct catalog_model *m = find(c, provider, model, op);
    return m ? m->base_model : SLICE_EMPTY;
}
