// SPDX-License-Identifier: Apache-2.0
//
// config_governance.c: virtual keys, teams, customers, and whose limits are whose.
//
// Names lead from one part to another in both directions (a budget names its virtual key, a virtual
// key its team), so everything is read once with empty hands and then the budgets that name an
// owner are handed out. A name that leads nowhere is an error: a limit that silently limits nobody
// would be found out by the bill.
#include "gateway/config_limits.h"

#include "base/assert.h"
#include "base/prng.h"

// What is being read, and where the file said it.
struct reading {
    struct config_builder *b;
    struct governance *g;
    struct config_path at; // "governance"
    yyjson_val *root;      // of that member
    struct config__limits limits;
    struct map customers, teams, keys; // id → owner or key
    struct map units;                  // id → owner
    struct map models;                 // id → owner
};

static void remember(struct reading *r, struct map *map, const struct config_path *at,
                     struct slice id, void *value)
{
    if (map_get(map, id) != NULL)
        config__error(r->b, &CONFIG_MEMBER(at, "id"), "stands here twice");
    else if (id.len == 0)
        config__error(r->b, &CONFIG_MEMBER(at, "id"), "must not be empty");
    else if (map_put(map, id, value) != 0)
        r->b->no_memory = true;
}

static void begin_owner(struct reading *r, const struct config_path *at, yyjson_val *object,
                        enum governance_level level, struct governance_owner *owner)
{
    *owner = (struct governance_owner){
        .level = level,
        .id = config__copy(r->b, json_str(config__get(object, "id"))),
        .name = config__copy(r->b, json_str(config__get(object, "name"))),
    };
    config__own_rate(r->b, &r->limits, at, object, owner);
    struct slice budget = json_str(config__get(object, "budget_id"));
    if (budget.len > 0)
        config__own_budget_id(r->b, &r->limits, &CONFIG_MEMBER(at, "budget_id"), budget, owner);
}

// ---- Customers and teams ---------------------------------------------------------------------

static void read_customer(struct reading *r, const struct config_path *at, yyjson_val *object,
                          struct governance_owner *owner)
{
    begin_owner(r, at, object, GOVERNANCE_CUSTOMER, owner);
    remember(r, &r->customers, at, owner->id, owner);
    struct config_path budgets = CONFIG_MEMBER(at, "budgets");
    yyjson_val *list = config__get(object, "budgets"), *v;
    if (list != NULL && owner->budget_count > 0)
        config__error(r->b, &budgets, "stands beside budget_id: one of the two");
    size_t i, n;
    yyjson_arr_foreach(list, i, n, v)
    {
        struct governance_limit *limit =
            config__budget(r->b, &r->limits, &CONFIG_ELEMENT(&budgets, i), v);
        if (limit != NULL)
            config__own_budget(r->b, &r->limits, owner, limit);
    }
}

static void read_team(struct reading *r, const struct config_path *at, yyjson_val *object,
                      struct governance_owner *owner)
{
    begin_owner(r, at, object, GOVERNANCE_TEAM, owner);
    remember(r, &r->teams, at, owner->id, owner);
    struct slice customer = json_str(config__get(object, "customer_id"));
    if (customer.len > 0 && (owner->above = map_get(&r->customers, customer)) == NULL)
        config__error(r->b, &CONFIG_MEMBER(at, "customer_id"), "names no customer");
    struct slice unit = json_str(config__get(object, "business_unit_id"));
    if (unit.len > 0 && (owner->unit = map_get(&r->units, unit)) == NULL)
        config__error(r->b, &CONFIG_MEMBER(at, "business_unit_id"), "names no business unit");
}

static void read_unit(struct reading *r, const struct config_path *at, yyjson_val *object,
                      struct governance_owner *owner)
{
    begin_owner(r, at, object, GOVERNANCE_BUSINESS_UNIT, owner);
    remember(r, &r->units, at, owner->id, owner);
}

// A team's business unit is named by one of the two, or by both.
static void gather_teams(struct reading *r)
{
    struct config_path path = CONFIG_MEMBER(&r->at, "business_units");
    yyjson_val *v, *id;
    size_t i, n, k, m;
    yyjson_arr_foreach(config__get(r->root, "business_units"), i, n, v)
    {
        struct config_path at = CONFIG_ELEMENT(&path, i), ids = CONFIG_MEMBER(&at, "team_ids");
        const struct governance_owner *unit = map_get(&r->units, json_str(config__get(v, "id")));
        yyjson_arr_foreach(config__get(v, "team_ids"), k, m, id)
        {
            struct governance_owner *team = map_get(&r->teams, json_str(id));
            if (team == NULL)
                config__error(r->b, &CONFIG_ELEMENT(&ids, k), "names no team");
            else if (team->unit != NULL && team->unit != unit)
                config__error(r->b, &CONFIG_ELEMENT(&ids, k), "names another business unit's team");
            else
                team->unit = unit;
        }
    }
}

// Every element of a list of the section into an array of owners.
static struct governance_owner *
read_owners(struct reading *r, const char *member, unsigned *ret_count,
            void (*read)(struct reading *, const struct config_path *, yyjson_val *,
                         struct governance_owner *))
{
    struct config_path path = CONFIG_MEMBER(&r->at, member);
    yyjson_val *list = config__get(r->root, member), *v;
    struct governance_owner *owners = config__alloc(r->b, yyjson_arr_size(list), sizeof *owners);
    size_t i, n;
    if (owners == NULL)
        return NULL;
    yyjson_arr_foreach(list, i, n, v)
    {
        read(r, &CONFIG_ELEMENT(&path, i), v, &owners[i]);
        *ret_count = (unsigned)i + 1;
    }
    return owners;
}

// ---- Virtual keys ----------------------------------------------------------------------------

static const struct config_provider *find_provider(const struct reading *r, struct slice name)
{
    for (unsigned i = 0; i < r->b->config->provider_count; i++) {
        if (slice_eq(r->b->config->providers[i].name, name))
            return &r->b->config->providers[i];
    }
    return NULL;
}

static bool has_star(const struct slice *list, unsigned count)
{
    return slice_in(SLICE("*"), list, count);
}

// Which of the provider's keys the grant lends. Version 1 of the file lends all when it says none.
static void read_grant_keys(struct reading *r, const struct config_path *at, yyjson_val *object,
                            struct governance_grant *grant)
{
    struct config_path path = CONFIG_MEMBER(at, "key_ids");
    const struct config_provider *p = grant->provider;
    struct slice *ids;
    unsigned count;
    config__texts(r->b, &path, config__get(object, "key_ids"), &ids, &count);
    if (has_star(ids, count) || (count == 0 && r->b->config->version == 1))
        return;
    bool *lent = config__alloc(r->b, p->key_count, sizeof *lent);
    for (unsigned i = 0; lent != NULL && i < count; i++) {
        bool found = false;
        for (unsigned k = 0; k < p->key_count; k++) {
            if (slice_eq(p->keys[k].id, ids[i]))
                found = lent[k] = true;
        }
        if (!found)
            config__error(r->b, &CONFIG_ELEMENT(&path, i), "is the id of no key of the provider");
    }
    grant->keys = lent;
}

static bool read_grant(struct reading *r, const struct config_path *at, yyjson_val *object,
                       const struct virtual_key *key, struct governance_grant *grant)
{
    struct slice name = json_str(config__get(object, "provider"));
    yyjson_val *weight = config__get(object, "weight");
    *grant = (struct governance_grant){.provider = find_provider(r, name)};
    if (grant->provider == NULL) {
        config__warn(r->b, &CONFIG_MEMBER(at, "provider"),
                     "names a provider that is not configured: ignored");
        return false;
    }
    if (governance_grant(key, grant->provider) != NULL) {
        config__error(r->b, &CONFIG_MEMBER(at, "provider"), "stands here twice");
        return false;
    }
    grant->weighted = weight != NULL;
    grant->weight = yyjson_get_num(weight);
    config__texts(r->b, &CONFIG_MEMBER(at, "allowed_models"), config__get(object, "allowed_models"),
                  &grant->models, &grant->model_count);
    config__texts(r->b, &CONFIG_MEMBER(at, "blacklisted_models"),
                  config__get(object, "blacklisted_models"), &grant->blacklist,
                  &grant->blacklist_count);
    grant->all_models = has_star(grant->models, grant->model_count) ||
                        (grant->model_count == 0 && r->b->config->version == 1);
    grant->no_models = has_star(grant->blacklist, grant->blacklist_count);
    read_grant_keys(r, at, object, grant);
    begin_owner(r, at, object, GOVERNANCE_KEY_PROVIDER, &grant->owner);
    grant->owner.id = grant->owner.name = grant->provider->name;
    return true;
}

// Budgets name a grant by its number.
static void own_grant_budgets(struct reading *r, int64_t id, struct governance_owner *owner)
{
    yyjson_val *v;
    size_t i, n;
    yyjson_arr_foreach(config__get(r->root, "budgets"), i, n, v)
    {
        yyjson_val *of = config__get(v, "provider_config_id");
        struct governance_limit *limit =
            map_get(&r->limits.budgets, json_str(config__get(v, "id")));
        if (of != NULL && yyjson_get_sint(of) == id && limit != NULL)
            config__own_budget(r->b, &r->limits, owner, limit);
    }
}

static void read_grants(struct reading *r, const struct config_path *at, yyjson_val *object,
                        struct virtual_key *key)
{
    struct config_path path = CONFIG_MEMBER(at, "provider_configs");
    yyjson_val *list = config__get(object, "provider_configs"), *v;
    size_t i, n;
    key->grants = config__alloc(r->b, yyjson_arr_size(list), sizeof *key->grants);
    if (key->grants == NULL)
        return;
    yyjson_arr_foreach(list, i, n, v)
    {
        struct governance_grant *grant = &key->grants[key->grant_count];
        yyjson_val *id = config__get(v, "id");
        if (!read_grant(r, &CONFIG_ELEMENT(&path, i), v, key, grant))
            continue;
        key->grant_count++;
        if (id != NULL)
            own_grant_budgets(r, yyjson_get_sint(id), &grant->owner);
        if (config__bool(object, "calendar_aligned", false))
            config__align(&r->limits, &grant->owner);
    }
}

static void read_value(struct reading *r, const struct config_path *at, yyjson_val *object,
                       struct virtual_key *key)
{
    struct config_path path = CONFIG_MEMBER(at, "value");
    switch (config__text(r->b, &path, config__get(object, "value"), &key->value)) {
    case CONFIG_TEXT_FOUND:
        break;
    case CONFIG_TEXT_UNSET:
        config__warn(r->b, &path, "environment variable %.*s is not set: the key is inactive",
                     SLICE_ARG(key->value));
        key->value = SLICE_EMPTY;
        return;
    case CONFIG_TEXT_ABSENT:
        config__warn(r->b, at, "has no value: nobody can use it");
        return;
    case CONFIG_TEXT_BAD:
        return;
    }
    if (key->value.len == 0)
        config__warn(r->b, at, "has no value: nobody can use it");
    else if (map_get(&r->g->key_by_value, key->value) != NULL)
        config__error(r->b, &path, "is the value of another virtual key");
    else if (map_put(&r->g->key_by_value, key->value, key) != 0)
        r->b->no_memory = true;
}

static void read_key(struct reading *r, const struct config_path *at, yyjson_val *object,
                     struct virtual_key *key)
{
    struct slice team = json_str(config__get(object, "team_id"));
    struct slice customer = json_str(config__get(object, "customer_id"));
    begin_owner(r, at, object, GOVERNANCE_KEY, &key->owner);
    key->id = key->owner.id;
    key->name = key->owner.name;
    key->active = config__bool(object, "is_active", true);
    config__time(r->b, at, object, "expires_at", &key->expires);
    remember(r, &r->keys, at, key->id, key);
    if (team.len > 0 && customer.len > 0)
        config__error(r->b, &CONFIG_MEMBER(at, "customer_id"),
                      "stands beside team_id: one of the two");
    if (team.len > 0 && (key->owner.above = map_get(&r->teams, team)) == NULL)
        config__error(r->b, &CONFIG_MEMBER(at, "team_id"), "names no team");
    if (customer.len > 0 && (key->owner.above = map_get(&r->customers, customer)) == NULL)
        config__error(r->b, &CONFIG_MEMBER(at, "customer_id"), "names no customer");
    read_value(r, at, object, key);
    read_grants(r, at, object, key);
    if (key->grant_count == 0)
        config__warn(r->b, at, "has no provider_configs: it may use no provider");
}

static void read_keys(struct reading *r)
{
    struct config_path path = CONFIG_MEMBER(&r->at, "virtual_keys");
    yyjson_val *list = config__get(r->root, "virtual_keys"), *v;
    size_t i, n;
    r->g->keys = config__alloc(r->b, yyjson_arr_size(list), sizeof *r->g->keys);
    if (r->g->keys == NULL)
        return;
    yyjson_arr_foreach(list, i, n, v)
    {
        read_key(r, &CONFIG_ELEMENT(&path, i), v, &r->g->keys[i]);
        r->g->key_count = (unsigned)i + 1;
    }
}

// ---- Models and providers --------------------------------------------------------------------

static void list_model(struct reading *r, struct slice name, struct governance_model *m)
{
    if (slice_eq(name, SLICE("*"))) {
        m->next = r->g->every_model;
        r->g->every_model = m;
        return;
    }
    char space[GOVERNANCE_MODEL_BYTES_MAX];
    struct slice folded = governance_model_name(space, name);
    if (folded.len == 0) {
        config__error(r->b, &r->at, "model_configs: a model's name is empty or too long");
        return;
    }
    m->next = map_get(&r->g->model_by_name, folded);
    if (map_put(&r->g->model_by_name, config__copy(r->b, folded), m) != 0)
        r->b->no_memory = true;
}

static void read_model(struct reading *r, const struct config_path *at, yyjson_val *object,
                       struct governance_model *m)
{
    struct slice provider = json_str(config__get(object, "provider"));
    struct slice model = json_str(config__get(object, "model_name"));
    struct config_path budgets = CONFIG_MEMBER(at, "budget_ids");
    struct slice *ids;
    unsigned count;
    begin_owner(r, at, object, GOVERNANCE_MODEL, &m->owner);
    m->owner.name = config__copy(r->b, model);
    remember(r, &r->models, at, m->owner.id, &m->owner);
    config__texts(r->b, &budgets, config__get(object, "budget_ids"), &ids, &count);
    for (unsigned i = 0; i < count; i++)
        config__own_budget_id(r->b, &r->limits, &CONFIG_ELEMENT(&budgets, i), ids[i], &m->owner);
    if (provider.len > 0 && (m->provider = find_provider(r, provider)) == NULL) {
        config__warn(r->b, &CONFIG_MEMBER(at, "provider"),
                     "names a provider that is not configured: ignored");
        return;
    }
    if (slice_eq(json_str(config__get(object, "scope")), SLICE("virtual_key"))) {
        m->owner.level = GOVERNANCE_KEY_MODEL;
        m->key = map_get(&r->keys, json_str(config__get(object, "scope_id")));
        if (m->key == NULL) {
            config__error(r->b, &CONFIG_MEMBER(at, "scope_id"), "names no virtual key");
            return;
        }
    }
    if (model.len == 0)
        config__error(r->b, &CONFIG_MEMBER(at, "model_name"), "must not be empty");
    else
        list_model(r, model, m);
}

static void read_models(struct reading *r)
{
    struct config_path path = CONFIG_MEMBER(&r->at, "model_configs");
    yyjson_val *list = config__get(r->root, "model_configs"), *v;
    struct governance_model *models = config__alloc(r->b, yyjson_arr_size(list), sizeof *models);
    size_t i, n;
    if (models == NULL)
        return;
    yyjson_arr_foreach(list, i, n, v)
    {
        read_model(r, &CONFIG_ELEMENT(&path, i), v, &models[i]);
    }
}

// A provider that is not configured has been spoken about (config_providers.c).
static void read_providers(struct reading *r)
{
    struct config_path path = CONFIG_MEMBER(&r->at, "providers");
    yyjson_val *v;
    size_t i, n;
    r->g->provider =
        config__alloc(r->b, r->b->config->provider_count, sizeof(struct governance_owner *));
    if (r->g->provider == NULL)
        return;
    yyjson_arr_foreach(config__get(r->root, "providers"), i, n, v)
    {
        const struct config_provider *p = find_provider(r, json_str(config__get(v, "name")));
        struct governance_owner *owner = config__alloc(r->b, 1, sizeof *owner);
        if (p == NULL || owner == NULL)
            continue;
        begin_owner(r, &CONFIG_ELEMENT(&path, i), v, GOVERNANCE_PROVIDER, owner);
        owner->id = owner->name = p->name;
        r->g->provider[p->index] = owner;
    }
}

// ---- Budgets that name their owner -----------------------------------------------------------

// The owner that member `member` of a budget names; NULL: none, or it has been spoken about.
static struct governance_owner *named_owner(struct reading *r, const struct config_path *at,
                                            yyjson_val *budget, const char *member,
                                            const struct map *map)
{
    struct slice id = json_str(config__get(budget, member));
    struct governance_owner *owner = id.len > 0 ? map_get(map, id) : NULL;
    if (id.len > 0 && owner == NULL)
        config__error(r->b, &CONFIG_MEMBER(at, member), "names nothing of this file");
    if (owner != NULL && map == &r->keys)
        owner = &((struct virtual_key *)owner)->owner;
    return owner;
}

static void hand_out_budgets(struct reading *r)
{
    const struct {
        const char *member;
        const struct map *map;
    } owners[] = {
        {"virtual_key_id", &r->keys},
        {"model_config_id", &r->models},
        {"customer_id", &r->customers},
        {"team_id", &r->teams},
    };
    struct config_path path = CONFIG_MEMBER(&r->at, "budgets");
    yyjson_val *v;
    size_t i, n;
    yyjson_arr_foreach(config__get(r->root, "budgets"), i, n, v)
    {
        struct config_path at = CONFIG_ELEMENT(&path, i);
        struct governance_limit *limit =
            map_get(&r->limits.budgets, json_str(config__get(v, "id")));
        unsigned named = 0;
        for (unsigned o = 0; o < ARRAY_LEN(owners); o++) {
            struct governance_owner *owner =
                named_owner(r, &at, v, owners[o].member, owners[o].map);
            if (owner == NULL || limit == NULL)
                continue;
            config__own_budget(r->b, &r->limits, owner, limit);
            named++;
        }
        if (named > 1)
            config__error(r->b, &at, "names more than one owner");
    }
}

// ---- By the calendar, and how many -----------------------------------------------------------

// Of an owner's object; limits of a model that are a virtual key's have what the key says.
static bool says_aligned(const struct reading *r, yyjson_val *object)
{
    yyjson_val *v;
    size_t i, n;
    if (config__bool(object, "calendar_aligned", false))
        return true;
    if (!slice_eq(json_str(config__get(object, "scope")), SLICE("virtual_key")))
        return false;
    yyjson_arr_foreach(config__get(r->root, "virtual_keys"), i, n, v)
    {
        if (slice_eq(json_str(config__get(v, "id")), json_str(config__get(object, "scope_id"))))
            return config__bool(v, "calendar_aligned", false);
    }
    return false;
}

static void align(struct reading *r, const char *member, const struct map *map)
{
    yyjson_val *v;
    size_t i, n;
    yyjson_arr_foreach(config__get(r->root, member), i, n, v)
    {
        void *found = map_get(map, json_str(config__get(v, "id")));
        if (found == NULL || !says_aligned(r, v))
            continue;
        config__align(&r->limits, map == &r->keys ? &((struct virtual_key *)found)->owner : found);
    }
}

static unsigned limits_of(const struct governance_owner *owner)
{
    return owner ? owner->rate_count + owner->budget_count : 0;
}

static unsigned limits_of_models(const struct governance_model *list)
{
    unsigned count = 0;
    for (; list; list = list->next)
        count += limits_of(&list->owner);
    return count;
}

// No request may meet more limits than its admission holds: the sum of the worst of each kind.
static void check_gates(struct reading *r)
{
    unsigned providers = 0, models = 0, keys = 0;
    struct map_entry *e;
    for (unsigned i = 0; i < r->b->config->provider_count; i++) {
        unsigned n = limits_of(r->g->provider[i]);
        providers = n > providers ? n : providers;
    }
    for (size_t at = 0; (e = map_next(&r->g->model_by_name, &at)) != NULL;) {
        unsigned n = limits_of_models(e->value);
        models = n > models ? n : models;
    }
    for (unsigned i = 0; i < r->g->key_count; i++) {
        const struct virtual_key *key = &r->g->keys[i];
        unsigned n = 0, grants = 0;
        for (const struct governance_owner *o = &key->owner; o; o = o->above)
            n += limits_of(o) + limits_of(o->unit);
        for (unsigned k = 0; k < key->grant_count; k++) {
            unsigned own = limits_of(&key->grants[k].owner);
            grants = own > grants ? own : grants;
        }
        keys = n + grants > keys ? n + grants : keys;
    }
    // A name and what it stands for.
    if (providers + 2 * models + limits_of_models(r->g->every_model) + keys > GOVERNANCE_LIMITS_MAX)
        config__error(r->b, &r->at, "a request could meet more than %d limits",
                      GOVERNANCE_LIMITS_MAX);
}

// ---- All -------------------------------------------------------------------------------------

static void read_all(struct reading *r)
{
    config__load_limits(r->b, &r->limits, &r->at, r->root);
    unsigned units = 0;
    r->g->customers = read_owners(r, "customers", &r->g->customer_count, read_customer);
    (void)read_owners(r, "business_units", &units, read_unit);
    r->g->teams = read_owners(r, "teams", &r->g->team_count, read_team);
    gather_teams(r);
    read_keys(r);
    read_models(r);
    read_providers(r);
    if (config__failed(r->b))
        return;
    hand_out_budgets(r);
    align(r, "customers", &r->customers);
    align(r, "teams", &r->teams);
    align(r, "virtual_keys", &r->keys);
    align(r, "model_configs", &r->models);
    config__load_prices(r->b, &r->keys, &r->at, r->root);
    config__speak_of_limits(r->b, &r->limits, &r->at, r->root);
    check_gates(r);
}

void config__load_governance(struct config_builder *b, yyjson_val *root)
{
    struct config *c = b->config;
    yyjson_val *client = config__get(root, "client");
    uint64_t seed[2];
    c->governance.enforced = config__bool(client, "enforce_auth_on_inference", false) ||
                             config__bool(client, "enforce_governance_header", false);
    c->allow_unpriced = config__bool(config__get(root, "server"), "allow_unpriced", false);
    if (random_bytes(seed, sizeof seed) != 0) {
        b->no_memory = true;
        return;
    }
    struct reading r = {
        .b = b,
        .g = &c->governance,
        .at = CONFIG_MEMBER(NULL, "governance"),
        .root = config__get(root, "governance"),
    };
    struct map *maps[] = {&r.customers, &r.units, &r.teams, &r.keys, &r.models};
    config__limits_init(&r.limits, seed);
    for (unsigned i = 0; i < ARRAY_LEN(maps); i++)
        map_init(maps[i], seed);
    read_all(&r);
    for (unsigned i = 0; i < ARRAY_LEN(maps); i++)
        map_done(maps[i]);
    config__limits_done(&r.limits);
}
