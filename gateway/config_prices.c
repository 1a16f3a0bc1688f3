// SPDX-License-Identifier: Apache-2.0
//
// config_prices.c: governance.pricing_overrides: for whom, for which models, and what it says.
//
// A patch is a JSON text inside a string, as Bifrost has it, or the object itself. A price that
// cannot be, or a name that leads nowhere, is an error: a wrong price is found out by the bill.
#include "gateway/config_build.h"

#include "base/container.h"

static const struct scope {
    const char *name;
    unsigned rank;
    bool virtual_key, provider, provider_key; // that it needs
} scopes[] = {
    {"global", 0, false, false, false},
    {"provider", 1, false, true, false},
    {"provider_key", 2, false, false, true},
    {"virtual_key", 3, true, false, false},
    {"virtual_key_provider", 4, true, true, false},
    {"virtual_key_provider_key", 5, true, false, true},
};

static void read_patch(struct config_builder *b, const struct config_path *at, yyjson_val *object,
                       struct price *ret)
{
    struct config_path path = CONFIG_MEMBER(at, "pricing_patch");
    yyjson_val *value = config__get(object, "pricing_patch"), *name, *rate;
    yyjson_doc *doc = NULL;
    size_t i, n;
    price_init(ret);
    if (yyjson_is_str(value) && json_parse(json_str(value), &doc, NULL, NULL) == 0)
        value = yyjson_doc_get_root(doc);
    if (!yyjson_is_obj(value)) {
        config__error(b, &path, "expected a JSON object, or its text in a string");
        yyjson_doc_free(doc);
        return;
    }
    yyjson_obj_foreach(value, i, n, name, rate)
    {
        // As the API has it, a zero sets no price.
        bool zero = yyjson_is_null(rate) || (yyjson_is_num(rate) && yyjson_get_num(rate) == 0);
        if (!zero &&
            (!yyjson_is_num(rate) || !price_set(ret, json_str(name), yyjson_get_num(rate))))
            config__error(b, &path, "\"%.*s\" is no price", SLICE_ARG(json_str(name)));
    }
    yyjson_doc_free(doc);
}

// Names of types of requests; those of a stream count as their base.
static unsigned read_operations(struct config_builder *b, const struct config_path *at,
                                yyjson_val *object)
{
    struct config_path path = CONFIG_MEMBER(at, "request_types");
    struct slice *names;
    unsigned count, operations = 0;
    config__texts(b, &path, config__get(object, "request_types"), &names, &count);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned op = 0; op < OPERATION_COUNT; op++) {
            enum operation o = (enum operation)op;
            if (slice_eq(names[i], operation_name(o, false)) ||
                (operation_streams(o) && slice_eq(names[i], operation_name(o, true))))
                operations |= 1u << op;
        }
    }
    if (count == 0)
        config__error(b, &path, "must name at least one type of request");
    return operations;
}

static void find_owners(struct config_builder *b, const struct map *keys,
                        const struct config_path *at, yyjson_val *object, const struct scope *scope,
                        struct config_price *p)
{
    struct slice provider = json_str(config__get(object, "provider_id"));
    struct slice name = json_str(config__get(object, "provider_key_name"));
    if (scope->virtual_key &&
        (p->key = map_get(keys, json_str(config__get(object, "virtual_key_id")))) == NULL)
        config__error(b, &CONFIG_MEMBER(at, "virtual_key_id"), "names no virtual key");
    for (unsigned i = 0; i < b->config->provider_count; i++) {
        const struct config_provider *own = &b->config->providers[i];
        if (scope->provider && slice_eq(own->name, provider))
            p->provider = own;
        for (unsigned k = 0; scope->provider_key && k < own->key_count; k++) {
            if (slice_eq(own->keys[k].name, name) &&
                (provider.len == 0 || slice_eq(own->name, provider)))
                p->key_id = own->keys[k].id;
        }
    }
    if (scope->provider && p->provider == NULL)
        config__error(b, &CONFIG_MEMBER(at, "provider_id"), "names no configured provider");
    if (scope->provider_key && p->key_id.len == 0)
        config__error(b, &CONFIG_MEMBER(at, "provider_key_name"), "names no key of a provider");
}

static void read_pattern(struct config_builder *b, const struct config_path *at, yyjson_val *object,
                         struct config_price *p)
{
    struct config_path path = CONFIG_MEMBER(at, "pattern");
    struct slice pattern = json_str(config__get(object, "pattern"));
    p->wildcard = slice_eq(json_str(config__get(object, "match_type")), SLICE("wildcard"));
    bool star = pattern.len > 0 && pattern.ptr[pattern.len - 1] == '*';
    if (p->wildcard && !star)
        config__error(b, &path, "a wildcard ends in *");
    if (p->wildcard && star)
        pattern.len--;
    if (!p->wildcard && pattern.len == 0)
        config__error(b, &path, "must not be empty");
    p->pattern = config__copy(b, pattern);
}

void config__load_prices(struct config_builder *b, const struct map *keys,
                         const struct config_path *up, yyjson_val *governance)
{
    struct config_path path = CONFIG_MEMBER(up, "pricing_overrides");
    yyjson_val *list = config__get(governance, "pricing_overrides"), *v;
    size_t i, n;
    b->config->prices = config__alloc(b, yyjson_arr_size(list), sizeof *b->config->prices);
    if (b->config->prices == NULL)
        return;
    yyjson_arr_foreach(list, i, n, v)
    {
        struct config_path at = CONFIG_ELEMENT(&path, i);
        struct config_price *p = &b->config->prices[i];
        struct slice kind = json_str(config__get(v, "scope_kind"));
        for (unsigned s = 0; s < ARRAY_LEN(scopes); s++) {
            if (!slice_eq(kind, slice_str(scopes[s].name)))
                continue;
            p->rank = scopes[s].rank;
            find_owners(b, keys, &at, v, &scopes[s], p);
        }
        p->operations = read_operations(b, &at, v);
        read_pattern(b, &at, v, p);
        read_patch(b, &at, v, &p->patch);
        b->config->price_count = (unsigned)i + 1;
    }
}
