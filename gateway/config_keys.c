// SPDX-License-Identifier: Apache-2.0
//
// config_keys.c: a provider's keys: their names, secrets, model lists and aliases.
//
// What a list of models means depends on the file's version: under 2 an empty one admits nothing
// and
// ["*"] everything; under 1 an empty one admits everything. A key that can serve nothing (no
// value where the vendor wants one, no model) is kept, disabled or empty-handed, and spoken about:
// a file that worked while one variable was set must not stop working when it is not.
//
// A key without an id gets one that stays the same for its provider and name: a version 5 UUID, so
// that sessions and logs mean the same key after a restart.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include <openssl/sha.h>
#include <stdio.h>

// ---- Identity -----------------------------------------------------------------------------------

// RFC 9562, 5.5, with a name space of our own.
void config__key_identity(struct config_builder *b, const struct config_provider *p,
                          struct config_key *key)
{
    static const uint8_t space[16] = {0x8e, 0x61, 0x1b, 0x5a, 0x2c, 0x0d, 0x4b, 0x37,
                                      0x9a, 0x5f, 0x0c, 0x43, 0x7e, 0x1d, 0x96, 0x22};
    uint8_t u[SHA_DIGEST_LENGTH];
    SHA_CTX sha;
    SHA1_Init(&sha);
    SHA1_Update(&sha, space, sizeof(space));
    SHA1_Update(&sha, p->name.ptr, p->name.len);
    SHA1_Update(&sha, "/", 1);
    SHA1_Update(&sha, key->name.ptr, key->name.len);
    SHA1_Final(u, &sha);
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x50);
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    char text[37];
    int n = snprintf(text, sizeof(text),
                     "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0],
                     u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                     u[13], u[14], u[15]);
    ASSERT(n == 36);
    key->id = config__copy(b, slice_of(text, 36));
}

static bool is_header_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < ' ' || c == 0x7f)
            return false;
    }
    return true;
}

static void load_value(struct config_builder *b, const struct config_path *at,
                       const struct config_provider *p, struct config_key *key, yyjson_val *object)
{
    struct config_path path = CONFIG_MEMBER(at, "value");
    struct slice text = SLICE("");
    switch (config__text(b, &path, config__get(object, "value"), &text)) {
    case CONFIG_TEXT_UNSET:
        config__warn(b, &path, "environment variable %.*s is not set: the key is disabled",
                     SLICE_ARG(text));
        key->enabled = false;
        return;
    case CONFIG_TEXT_BAD:
        return;
    case CONFIG_TEXT_ABSENT:
    case CONFIG_TEXT_FOUND:
        break;
    }
    key->value = text;
    if (!is_header_value(text)) {
        config__error(b, &path, "holds characters that cannot be sent in a header");
        return;
    }
    if (text.len > 0 && p->row->auth == AUTH_BEARER) {
        key->auth_value = arena_printf(&b->config->memory, "Bearer %.*s", SLICE_ARG(text));
        b->no_memory |= key->auth_value.ptr == NULL;
    } else if (text.len > 0) {
        key->auth_value = text;
    } else if (key->enabled && !p->key_less && !p->row->key_optional) {
        config__warn(b, &path, "empty: the key is disabled");
        key->enabled = false;
    }
}

// ---- Models -------------------------------------------------------------------------------------

static void load_models(struct config_builder *b, const struct config_path *at,
                        struct config_key *key, yyjson_val *object)
{
    struct config_path models = CONFIG_MEMBER(at, "models");
    struct config_path black = CONFIG_MEMBER(at, "blacklisted_models");
    config__texts(b, &models, config__get(object, "models"), &key->models, &key->model_count);
    config__texts(b, &black, config__get(object, "blacklisted_models"), &key->blacklist,
                  &key->blacklist_count);
    key->all_models = slice_in(SLICE("*"), key->models, key->model_count) ||
                      (key->model_count == 0 && b->config->version == 1);
    if (slice_in(SLICE("*"), key->models, key->model_count) && key->model_count > 1)
        config__warn(b, &models, "\"*\" admits every model; the others mean nothing");
}

static bool is_trimmed(struct slice s)
{
    return s.len > 0 && slice_eq(slice_trim(s), s);
}

static bool load_alias(struct config_builder *b, const struct config_path *at,
                       const struct config_key *key, struct config_alias *alias, yyjson_val *value)
{
    struct config_path member = CONFIG_MEMBER(at, "model_id");
    bool is_object = yyjson_is_obj(value);
    alias->name = config__copy(b, at->name);
    if (!config__text_set(b, is_object ? &member : at,
                          is_object ? config__get(value, "model_id") : value, &alias->model_id))
        return false;
    if (!is_trimmed(at->name) || !is_trimmed(alias->model_id)) {
        config__error(b, at, "an alias and its model may not be empty or begin or end with space");
        return false;
    }
    struct slice family = json_str(is_object ? config__get(value, "model_family") : NULL);
    alias->claude = family.len > 0
                        ? slice_eq(family, SLICE("anthropic"))
                        : provider_is_claude(alias->name) || provider_is_claude(alias->model_id);
    if (is_object) {
        alias->api_version = config__copy(b, json_str(config__get(value, "api_version")));
        alias->anthropic_version =
            config__copy(b, json_str(config__get(value, "anthropic_version")));
    }
    for (unsigned i = 0; i < key->alias_count; i++) {
        if (slice_ieq(key->aliases[i].name, alias->name)) {
            config__error(b, at, "this alias is there already (letter case does not count)");
            return false;
        }
    }
    return true;
}

static void load_aliases(struct config_builder *b, const struct config_path *at,
                         struct config_key *key, yyjson_val *object)
{
    struct config_path path = CONFIG_MEMBER(at, "aliases");
    yyjson_val *aliases = config__get(object, "aliases");
    key->aliases = config__alloc(b, yyjson_obj_size(aliases), sizeof(*key->aliases));
    if (key->aliases == NULL)
        return;
    yyjson_obj_iter iter = yyjson_obj_iter_with(aliases);
    for (yyjson_val *name; (name = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path place = {.up = &path, .name = json_str(name)};
        yyjson_val *value = yyjson_obj_iter_get_val(name);
        if (!yyjson_is_null(value) &&
            load_alias(b, &place, key, &key->aliases[key->alias_count], value))
            key->alias_count++;
    }
}

// ---- A key's own place (ollama, sgl, vllm, azure) -----------------------------------------------

static const struct {
    const char *member;
    const char *url; // inside it
} places[] = {
    {"ollama_key_config", "url"},
    {"sgl_key_config", "url"},
    {"vllm_key_config", "url"},
    {"azure_key_config", "endpoint"},
};

// Is `member` "<vendor>_key_config"?
static bool is_place_of(const char *member, struct slice vendor)
{
    struct slice m = slice_str(member);
    return slice_starts(m, vendor) && slice_eq(slice_skip(m, vendor.len), SLICE("_key_config"));
}

// A server that has one model serves requests for that one.
static void narrow_to(struct config_builder *b, const struct config_path *at,
                      struct config_key *key, struct slice model)
{
    if (!key->all_models && key->model_count > 0 &&
        !slice_in(model, key->models, key->model_count)) {
        config__warn(b, at, "not among the key's models, so the key serves no model");
        key->model_count = 0;
        return;
    }
    struct slice *one = config__alloc(b, 1, sizeof(*one));
    if (one == NULL)
        return;
    *one = model;
    key->models = one;
    key->model_count = 1;
    key->all_models = false;
}

static void load_place(struct config_builder *b, const struct config_path *at,
                       const struct config_network *network, const struct config_provider *p,
                       struct slice base_url, struct config_key *key, yyjson_val *object)
{
    struct config_path place = *at, url = *at, model = *at;
    const char *url_member = "url";
    yyjson_val *config = NULL;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        const char *name = places[i].member;
        struct config_path member = CONFIG_MEMBER(at, name);
        bool own = p->row->url_per_key && is_place_of(name, p->row->name);
        if (own)
            url_member = places[i].url;
        if (config__get(object, name) == NULL)
            continue;
        if (!own) {
            config__warn(b, &member, "means nothing to this provider: ignored");
            continue;
        }
        place = member;
        config = config__get(object, name);
    }
    if (!p->row->url_per_key)
        return;
    url = CONFIG_MEMBER(&place, url_member);
    struct slice text = base_url;
    if (config != NULL && !config__text_set(b, &url, config__get(config, url_member), &text))
        return;
    if (text.len == 0) {
        config__error(b, at, "a key of this provider needs %.*s_key_config.%s",
                      SLICE_ARG(p->row->name), url_member);
        return;
    }
    if (p->row->auth == AUTH_AZURE)
        config__load_azure(b, &place, network, p, key, config);
    if (config__origin(b, &url, network, text, &key->origin, &key->base_path))
        key->base_path = config__without_v1(key->base_path);
    model = CONFIG_MEMBER(&place, "model_name");
    struct slice name = SLICE("");
    if (config__text_set(b, &model, config__get(config, "model_name"), &name) && name.len > 0)
        narrow_to(b, &model, key, name);
}

// ---- A key --------------------------------------------------------------------------------------

static void check_unique(struct config_builder *b, const struct config_path *at,
                         const struct config_provider *p, const struct config_key *key)
{
    for (const struct config_key *k = p->keys; k < key; k++) {
        if (slice_eq(k->name, key->name))
            config__error(b, &CONFIG_MEMBER(at, "name"), "another key of this provider has it");
        else if (slice_eq(k->id, key->id))
            config__error(b, &CONFIG_MEMBER(at, "id"), "another key of this provider has it");
    }
}

static void load_key(struct config_builder *b, const struct config_path *at,
                     const struct config_network *network, const struct config_provider *p,
                     struct slice base_url, struct config_key *key, yyjson_val *object)
{
    struct config_path name = CONFIG_MEMBER(at, "name"), id = CONFIG_MEMBER(at, "id");
    if (config__text_set(b, &name, config__get(object, "name"), &key->name) &&
        !is_trimmed(key->name))
        config__error(b, &name, "may not be empty or begin or end with space");
    key->weight = 1;
    if (config__get(object, "weight") != NULL)
        key->weight = yyjson_get_num(config__get(object, "weight"));
    key->enabled = config__bool(object, "enabled", true);
    if (!config__text_set(b, &id, config__get(object, "id"), &key->id) || key->id.len == 0)
        config__key_identity(b, p, key);
    load_value(b, at, p, key, object);
    load_models(b, at, key, object);
    load_aliases(b, at, key, object);
    load_place(b, at, network, p, base_url, key, object);
    check_unique(b, at, p, key);
    if (key->enabled && !key->all_models && key->model_count == 0 && key->alias_count == 0)
        config__warn(b, &CONFIG_MEMBER(at, "models"),
                     "the key serves no model; [\"*\"] serves every one");
}

// Without keys, a server at base_url that asks for none.
static void make_open_key(struct config_builder *b, const struct config_path *at,
                          const struct config_network *network, struct config_provider *p,
                          struct slice base_url)
{
    struct config_path section = CONFIG_MEMBER(at, "network_config");
    struct config_path url = CONFIG_MEMBER(&section, "base_url");
    p->keys = config__alloc(b, 1, sizeof(*p->keys));
    if (p->keys == NULL)
        return;
    p->key_count = 1;
    struct config_key *key = &p->keys[0];
    key->name = config__copy(b, p->name);
    key->weight = 1;
    key->enabled = true;
    key->all_models = true;
    config__key_identity(b, p, key);
    if (config__origin(b, &url, network, base_url, &key->origin, &key->base_path))
        key->base_path = config__without_v1(key->base_path);
}

void config__load_keys(struct config_builder *b, const struct config_path *at,
                       const struct config_network *network, struct config_provider *p,
                       struct slice base_url, yyjson_val *provider)
{
    struct config_path path = CONFIG_MEMBER(at, "keys");
    yyjson_val *keys = config__get(provider, "keys");
    size_t count = yyjson_arr_size(keys);
    if (count == 0 && p->row->url_per_key && base_url.len > 0) {
        make_open_key(b, at, network, p, base_url);
        return;
    }
    if (count == 0 && !p->key_less)
        config__error(b, &path, "at least one key is needed");
    p->keys = config__alloc(b, count, sizeof(*p->keys));
    if (p->keys == NULL)
        return;
    size_t i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(keys);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++) {
        p->key_count = (unsigned)i + 1; // counted first: what it owns is freed with the snapshot
        load_key(b, &CONFIG_ELEMENT(&path, i), network, p, base_url, &p->keys[i], v);
    }
}
