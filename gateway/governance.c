// SPDX-License-Identifier: Apache-2.0
//
// governance.c: the questions that a snapshot's governance answers. No I/O, nothing changes.
#include "gateway/governance.h"

#include "base/assert.h"
#include "gateway/config.h"

const struct virtual_key *governance_find_key(const struct governance *g, struct slice value)
{
    return value.len > 0 ? map_get(&g->key_by_value, value) : NULL;
}

const struct governance_grant *governance_grant(const struct virtual_key *key,
                                                const struct config_provider *provider)
{
    for (unsigned i = 0; i < key->grant_count; i++) {
        if (key->grants[i].provider == provider)
            return &key->grants[i];
    }
    return NULL;
}

static bool listed(const struct slice *list, unsigned count, struct slice model, struct slice base)
{
    return slice_iin(model, list, count) || (base.len > 0 && slice_iin(base, list, count));
}

bool governance_refuses_model(const struct governance_grant *grant, struct slice model)
{
    return grant->no_models || listed(grant->blacklist, grant->blacklist_count, model, SLICE_EMPTY);
}

bool governance_allows_model(const struct governance_grant *grant, struct slice model,
                             struct slice base)
{
    if (grant->no_models || listed(grant->blacklist, grant->blacklist_count, model, base))
        return false;
    return grant->all_models || listed(grant->models, grant->model_count, model, base);
}

// ---- Gates -----------------------------------------------------------------------------------

struct gates {
    struct governance_gate *gate;
    unsigned count;
};

static void add(struct gates *g, const struct governance_owner *owner,
                const struct governance_limit **limits, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        // A limit that two owners of one request name is one limit.
        bool there = false;
        for (unsigned n = 0; n < g->count && !there; n++)
            there = g->gate[n].limit == limits[i];
        if (there)
            continue;
        ASSERT(g->count < GOVERNANCE_LIMITS_MAX); // checked when the snapshot was built
        g->gate[g->count++] = (struct governance_gate){.limit = limits[i], .owner = owner};
    }
}

static void add_rates(struct gates *g, const struct governance_owner *owner)
{
    if (owner)
        add(g, owner, owner->rates, owner->rate_count);
}

static void add_budgets(struct gates *g, const struct governance_owner *owner)
{
    if (owner)
        add(g, owner, owner->budgets, owner->budget_count);
}

// `key` NULL: those for whoever asks; else only those of that key.
static void add_models(struct gates *g, const struct governance_model *list,
                       const struct virtual_key *key, const struct config_provider *provider)
{
    for (const struct governance_model *m = list; m; m = m->next) {
        if (m->key == key && (!m->provider || m->provider == provider)) {
            add_rates(g, &m->owner);
            add_budgets(g, &m->owner);
        }
    }
}

struct slice governance_model_name(char *space, struct slice name)
{
    if (name.len > GOVERNANCE_MODEL_BYTES_MAX)
        return SLICE_EMPTY;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        space[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return slice_of(space, name.len);
}

struct slice governance_alias_of(const struct config_provider *provider, struct slice model)
{
    for (unsigned i = 0; i < provider->key_count; i++) {
        const struct config_alias *alias = config_key_alias(&provider->keys[i], model);
        if (alias)
            return alias->model_id;
    }
    return SLICE_EMPTY;
}

// The limits of a model are those of its name and of what the name stands for.
static void add_named(struct gates *gates, const struct governance *g,
                      const struct virtual_key *key, const struct config_provider *provider,
                      struct slice model)
{
    char space[GOVERNANCE_MODEL_BYTES_MAX];
    struct slice alias = governance_alias_of(provider, model);
    add_models(gates, map_get(&g->model_by_name, governance_model_name(space, model)), key,
               provider);
    if (alias.len > 0)
        add_models(gates, map_get(&g->model_by_name, governance_model_name(space, alias)), key,
                   provider);
    add_models(gates, g->every_model, key, provider);
}

unsigned governance_gates(const struct governance *g, const struct virtual_key *key,
                          const struct config_provider *provider, struct slice model,
                          struct governance_gate *ret)
{
    struct gates gates = {.gate = ret};
    const struct governance_owner *of_provider = g->provider ? g->provider[provider->index] : NULL;

    add_rates(&gates, of_provider);
    add_budgets(&gates, of_provider);
    add_named(&gates, g, NULL, provider, model);
    if (!key)
        return gates.count;
    const struct governance_grant *grant = governance_grant(key, provider);
    if (grant)
        add_rates(&gates, &grant->owner);
    add_rates(&gates, &key->owner);
    if (grant)
        add_budgets(&gates, &grant->owner);
    for (const struct governance_owner *o = &key->owner; o; o = o->above) {
        add_budgets(&gates, o);
        add_budgets(&gates, o->unit);
    }
    add_named(&gates, g, key, provider, model);
    // From the top: the customer, the business unit, the team.
    const struct governance_owner *above = key->owner.above;
    if (above) {
        add_rates(&gates, above->above);
        add_rates(&gates, above->unit);
    }
    add_rates(&gates, above);
    return gates.count;
}
