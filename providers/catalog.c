// SPDX-License-Identifier: Apache-2.0
//
// catalog.c: a datasheet, read and searched.
//
// The names of vendors are Bifrost's; public sheets spell some of them otherwise, and the table
// below says which is which.
//
// Sources: bifrost-behaviour §8.1, §8.2.
#include "providers/catalog.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/container.h"
#include "base/err.h"
#include "base/map.h"
#include "codec/json.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct catalog {
    _Atomic unsigned references;
    struct catalog_model *models;
    unsigned count, skipped;
    struct map by_key; // "model|provider|mode"
    struct arena memory;
    struct block_pool blocks;
};

static const struct {
    struct slice theirs, ours; // `theirs` may be a prefix
} spellings[] = {
    {SLICE("vertex_ai"), SLICE("vertex")},
    {SLICE("bedrock"), SLICE("bedrock")},
    {SLICE("cohere"), SLICE("cohere")},
    {SLICE("fireworks_ai"), SLICE("fireworks")},
    {SLICE("azure_ai"), SLICE("azure")},
    {SLICE("azure"), SLICE("azure")},
    {SLICE("text-completion-openai"), SLICE("openai")},
};

static struct slice vendor_of(struct slice name)
{
    for (unsigned i = 0; i < ARRAY_LEN(spellings); i++) {
        if (slice_starts(name, spellings[i].theirs))
            return spellings[i].ours;
    }
    return name;
}

// ---- Reading ---------------------------------------------------------------------------------

static bool add_key(char *to, size_t *len, struct slice part, char end)
{
    if (*len + part.len + 1 > CATALOG_NAME_BYTES_MAX)
        return false;
    memcpy(to + *len, part.ptr, part.len);
    *len += part.len;
    if (end != '\0')
        to[(*len)++] = end;
    return true;
}

// The key of a model, in `space` of CATALOG_NAME_BYTES_MAX; empty when it does not fit.
static struct slice key_of(char *space, struct slice model, struct slice vendor, struct slice mode)
{
    size_t len = 0;
    bool fits = add_key(space, &len, model, '|') && add_key(space, &len, vendor, '|') &&
                add_key(space, &len, mode, '\0');
    return fits ? slice_of(space, len) : SLICE_EMPTY;
}

static uint32_t tokens(yyjson_val *row, const char *member)
{
    yyjson_val *v = yyjson_obj_get(row, member);
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= UINT32_MAX ? (uint32_t)yyjson_get_uint(v) : 0;
}

// What a search costs is an object in public sheets: by how much of the web is read.
static yyjson_val *plain(yyjson_val *value)
{
    static const char *const sizes[] = {"search_context_size_medium", "search_context_size_low",
                                        "search_context_size_high"};
    yyjson_val *found = value;
    for (unsigned i = 0; yyjson_is_obj(value) && found == value && i < ARRAY_LEN(sizes); i++) {
        yyjson_val *of_size = yyjson_obj_get(value, sizes[i]);
        found = yyjson_is_num(of_size) ? of_size : value;
    }
    return found;
}

// All rates of a row; false when one of them is no price.
static bool read_rates(yyjson_val *row, struct price *price)
{
    size_t i, n;
    yyjson_val *name, *value;
    price_init(price);
    yyjson_obj_foreach(row, i, n, name, value)
    {
        value = plain(value);
        if (yyjson_is_num(value) && !price_set(price, json_str(name), yyjson_get_num(value)))
            return false;
    }
    return true;
}

// 0, ERR_BAD_TYPE: makes no sense; ERR_NOMEM.
static int read_model(struct catalog *c, struct slice name, yyjson_val *row)
{
    struct catalog_model *m = &c->models[c->count];
    *m = (struct catalog_model){0};
    struct slice vendor = json_str(yyjson_obj_get(row, "provider"));
    struct slice mode = json_str(yyjson_obj_get(row, "mode"));
    ptrdiff_t slash = slice_find_char(name, '/');
    struct slice first = slice_take(name, slash > 0 ? (size_t)slash : 0);
    if (vendor.len == 0)
        vendor = first;
    if (vendor.len == 0 || mode.len == 0 || !read_rates(row, &m->price))
        return ERR_BAD_TYPE;
    // Models may have a slash of their own: only the vendor's name is no part of one.
    bool prefixed = slice_eq(first, vendor) || slice_eq(vendor_of(first), vendor_of(vendor));
    struct slice model = first.len > 0 && prefixed ? slice_skip(name, first.len + 1) : name;
    char space[CATALOG_NAME_BYTES_MAX];
    struct slice key = key_of(space, model, vendor_of(vendor), mode);
    if (model.len == 0 || key.len == 0)
        return ERR_BAD_TYPE;
    key = arena_copy(&c->memory, key);
    m->base_model = arena_copy(&c->memory, json_str(yyjson_obj_get(row, "base_model")));
    if (key.ptr == NULL || m->base_model.ptr == NULL)
        return ERR_NOMEM;
    m->model = slice_take(key, model.len);
    m->provider = slice_take(slice_skip(key, model.len + 1), vendor_of(vendor).len);
    m->mode = slice_skip(key, model.len + m->provider.len + 2);
    m->max_input_tokens = tokens(row, "max_input_tokens");
    m->max_output_tokens = tokens(row, "max_output_tokens");
    if (map_get(&c->by_key, key) != NULL)
        return ERR_BAD_TYPE; // the first one stands
    if (map_put(&c->by_key, key, m) != 0)
        return ERR_NOMEM;
    c->count++;
    return 0;
}

static int read_models(struct catalog *c, yyjson_val *root, const char **ret_reason)
{
    size_t i, n = yyjson_obj_size(root);
    yyjson_val *name, *row;
    if (!yyjson_is_obj(root)) {
        *ret_reason = "not a JSON object";
        return ERR_BAD_TYPE;
    }
    if (n > CATALOG_MODELS_MAX) {
        *ret_reason = "too many models";
        return ERR_LIMIT;
    }
    c->models = arena_alloc(&c->memory, (n + 1) * sizeof c->models[0]);
    if (c->models == NULL)
        return ERR_NOMEM;
    yyjson_obj_foreach(root, i, n, name, row)
    {
        int rc = yyjson_is_obj(row) ? read_model(c, json_str(name), row) : ERR_BAD_TYPE;
        if (rc == ERR_NOMEM)
            return rc;
        c->skipped += rc != 0;
    }
    if (c->count == 0) {
        *ret_reason = "no row has a provider, a mode and prices";
        return ERR_BAD_TYPE;
    }
    return 0;
}

int catalog_new(struct slice text, struct catalog **ret, const char **ret_reason)
{
    uint64_t seed[2];
    yyjson_doc *doc = NULL;
    const char *reason = "out of memory";
    int rc = ERR_LIMIT;
    struct catalog *c = calloc(1, sizeof *c);
    if (c == NULL || getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        *ret_reason = c == NULL ? reason : "no randomness";
        free(c);
        return c == NULL ? ERR_NOMEM : ERR_SYSTEM;
    }
    atomic_init(&c->references, 1);
    block_pool_init(&c->blocks, 0);
    arena_init(&c->memory, &c->blocks, (size_t)8 * CATALOG_BYTES_MAX);
    map_init(&c->by_key, seed);
    if (text.len > CATALOG_BYTES_MAX)
        reason = "too large";
    else
        rc = json_parse(text, &doc, NULL, &reason);
    if (rc == 0)
        rc = read_models(c, yyjson_doc_get_root(doc), &reason);
    yyjson_doc_free(doc);
    if (rc != 0) {
        *ret_reason = reason;
        catalog_put(c);
        return rc;
    }
    *ret = c;
    return 0;
}

struct catalog *catalog_get(struct catalog *c)
{
    if (c != NULL)
        atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    return c;
}

void catalog_put(struct catalog *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) > 1)
        return;
    map_done(&c->by_key);
    arena_done(&c->memory);
    block_pool_done(&c->blocks);
    free(c);
}

unsigned catalog_count(const struct catalog *c)
{
    return c->count;
}

unsigned catalog_skipped(const struct catalog *c)
{
    return c->skipped;
}

const struct catalog_model *catalog_at(const struct catalog *c, unsigned index)
{
    return index < c->count ? &c->models[index] : NULL;
}

// ---- Looking up ------------------------------------------------------------------------------

// The mode of each endpoint, and the one that stands in for it.
static const struct {
    struct slice mode, near;
} modes[OPERATION_COUNT] = {
    [OP_CHAT] = {SLICE("chat"), SLICE("responses")},
    [OP_TEXT] = {SLICE("completion"), SLICE("chat")},
    [OP_EMBEDDING] = {SLICE("embedding"), SLICE("")},
    [OP_RESPONSES] = {SLICE("responses"), SLICE("chat")},
    [OP_MESSAGES] = {SLICE("responses"), SLICE("chat")},
    [OP_COMPLETE] = {SLICE("completion"), SLICE("chat")},
};

static const struct catalog_model *find(const struct catalog *c, struct slice vendor,
                                        struct slice model, enum operation op)
{
    char space[CATALOG_NAME_BYTES_MAX];
    const struct slice tried[] = {modes[op].mode, modes[op].near};
    for (unsigned i = 0; i < ARRAY_LEN(tried); i++) {
        if (tried[i].len == 0)
            continue;
        struct slice key = key_of(space, model, vendor, tried[i]);
        const struct catalog_model *m = key.len > 0 ? map_get(&c->by_key, key) : NULL;
        if (m != NULL)
            return m;
    }
    return NULL;
}

const struct catalog_model *catalog_find(const struct catalog *c, struct slice vendor,
                                         struct slice model, enum operation op)
{
    const struct catalog_model *m = find(c, vendor, model, op);
    if (m != NULL)
        return m;
    ptrdiff_t slash = slice_find_char(model, '/');
    struct slice bare = slash >= 0 ? slice_skip(model, (size_t)slash + 1) : SLICE_EMPTY;
    if (slice_eq(vendor, SLICE("gemini")))
        return find(c, SLICE("vertex"), model, op);
    if (slice_eq(vendor, SLICE("vertex")) && bare.len > 0) // "anthropic/claude-…"
        return find(c, vendor, bare, op);
    if (slice_eq(vendor, SLICE("bedrock")) && slice_istarts(model, SLICE("claude"))) {
        char space[CATALOG_NAME_BYTES_MAX];
        size_t len = 0;
        bool fits =
            add_key(space, &len, SLICE("anthropic"), '.') && add_key(space, &len, model, '\0');
        return fits ? find(c, vendor, slice_of(space, len), op) : NULL;
    }
    return NULL;
}
