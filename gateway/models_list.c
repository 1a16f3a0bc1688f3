// SPDX-License-Identifier: Apache-2.0
//
// models_list.c: lists of models read, filtered and written. No I/O.

#include "base/assert.h"
#include "base/err.h"
#include "base/map.h"
#include "codec/json.h"
#include "gateway/models.h"

#include <stdlib.h>

// ---- The query -------------------------------------------------------------------------------

int models_query_parse(struct slice query, struct models_query *ret, struct slice *ret_param)
{
    *ret = (struct models_query){0};
    while (query.len > 0) {
        ptrdiff_t amp = slice_find_char(query, '&');
        struct slice pair = amp < 0 ? query : slice_take(query, (size_t)amp);
        ptrdiff_t eq = slice_find_char(pair, '=');
        struct slice name = eq < 0 ? pair : slice_take(pair, (size_t)eq);
        struct slice value = eq < 0 ? SLICE_EMPTY : slice_skip(pair, (size_t)eq + 1);
        int rc = 0;

        query = amp < 0 ? SLICE_EMPTY : slice_skip(query, (size_t)amp + 1);
        *ret_param = name;
        if (slice_eq(name, SLICE("provider")))
            ret->provider = value;
        else if (value.len > 0 && slice_eq(name, SLICE("page_size")))
            rc = slice_to_u64(value, &ret->page_size);
        else if (value.len > 0 && slice_eq(name, SLICE("page_token")))
            rc = slice_to_u64(value, &ret->offset);
        if (rc)
            return ERR_BAD_TYPE;
    }
    return 0;
}

// ---- Writing ---------------------------------------------------------------------------------

struct page {
    enum mount mount;
    const struct models_query *query;
    struct buf *out;
    struct map seen; // ids of the current provider
    uint64_t index;  // models met
    uint64_t written;
};

// Is this one on the page? Counts it.
static bool on_page(struct page *l)
{
    uint64_t at = l->index++;
    return at >= l->query->offset &&
           (l->query->page_size == 0 || l->written < l->query->page_size) &&
           l->written < MODELS_MAX;
}

static void add_id(struct buf *out, struct slice provider, struct slice model)
{
    // Both are written as the inside of one string: quotes between them are cut away.
    buf_add_json(out, provider);
    if (out->err == 0)
        out->len--;
    buf_add_char(out, '/');
    size_t at = out->len;
    buf_add_json(out, model);
    if (out->err == 0) {
        memmove(out->ptr + at, out->ptr + at + 1, out->len - at - 1);
        out->len--;
    }
}

// The members of a provider's entry that go on as they are.
static bool passes(enum mount mount, struct slice name)
{
    static const struct slice openai[] = {SLICE("created"), SLICE("owned_by"), SLICE("active"),
                                          SLICE("context_window")};
    if (slice_eq(name, SLICE("id")) || slice_eq(name, SLICE("object")))
        return false;
    if (mount == MOUNT_UNIFIED)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(openai); i++)
        if (slice_eq(name, openai[i]))
            return true;
    return false;
}

static void add_members(struct page *l, yyjson_val *entry)
{
    yyjson_val *key;
    yyjson_obj_iter iter;

    yyjson_obj_iter_init(entry, &iter);
    while ((key = yyjson_obj_iter_next(&iter))) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (!passes(l->mount, json_str(key)) || yyjson_is_null(value))
            continue;
        size_t len = 0;
        char *text = yyjson_val_write(value, YYJSON_WRITE_NOFLAG, &len);
        if (!text)
            continue;
        buf_add_char(l->out, ',');
        buf_add_json(l->out, json_str(key));
        buf_add_char(l->out, ':');
        buf_add(l->out, slice_of(text, len));
        free(text);
    }
}

// What a model that only the configuration names has in place of a provider's members.
static void add_owner(struct buf *out, struct slice provider)
{
    buf_add(out, SLICE(",\"created\":0,\"owned_by\":"));
    buf_add_json(out, provider);
}

// `entry` is what the provider said about it, or NULL; `deployment` what an alias stands for.
static void add_model(struct page *l, struct slice provider, struct slice model, yyjson_val *entry,
                      struct slice deployment)
{
    if (map_get(&l->seen, model) || map_put(&l->seen, model, l) != 0 || !on_page(l))
        return;
    if (l->written++ > 0)
        buf_add_char(l->out, ',');
    buf_add(l->out, SLICE("{\"id\":"));
    add_id(l->out, provider, model);
    buf_add(l->out, SLICE(",\"object\":\"model\""));
    if (entry)
        add_members(l, entry);
    else
        add_owner(l->out, provider);
    if (deployment.len > 0 && l->mount == MOUNT_UNIFIED) {
        buf_add(l->out, SLICE(",\"deployment\":"));
        buf_add_json(l->out, deployment);
    }
    buf_add_char(l->out, '}');
}

// ---- One provider ----------------------------------------------------------------------------

static bool is_served(const struct config_provider *p, struct slice model)
{
    struct slice ignored;
    if (p->key_less)
        return true;
    for (unsigned i = 0; i < p->key_count; i++)
        if (config_key_serves(&p->keys[i], model, &ignored))
            return true;
    return false;
}

// {"data":[{"id":…}]}, {"models":[…]}, or the bare array some servers send.
static void add_text(struct page *l, const struct config_provider *p, yyjson_doc *doc)
{
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *array = root;
    size_t i, count;
    yyjson_val *entry;

    if (yyjson_is_obj(root))
        array = yyjson_obj_get(root, "data");
    if (!array)
        array = yyjson_obj_get(root, "models");
    yyjson_arr_foreach(array, i, count, entry)
    {
        struct slice id = json_str(yyjson_obj_get(entry, "id"));
        if (id.len > 0 && is_served(p, id))
            add_model(l, p->name, id, entry, SLICE_EMPTY);
    }
}

static void add_configured(struct page *l, const struct config_provider *p, bool lists_too)
{
    for (unsigned i = 0; i < p->key_count; i++) {
        const struct config_key *key = &p->keys[i];
        for (unsigned m = 0; key->enabled && lists_too && m < key->model_count; m++)
            if (!slice_eq(key->models[m], SLICE("*")) && is_served(p, key->models[m]))
                add_model(l, p->name, key->models[m], NULL, SLICE_EMPTY);
        for (unsigned a = 0; key->enabled && a < key->alias_count; a++)
            if (is_served(p, key->aliases[a].name))
                add_model(l, p->name, key->aliases[a].name, NULL, key->aliases[a].model_id);
    }
}

static int add_source(struct page *l, const struct models_source *s, const uint64_t seed[2])
{
    yyjson_doc *doc[MODELS_ASKS_MAX] = {NULL};
    int rc = 0;

    map_init(&l->seen, seed);
    for (unsigned i = 0; i < s->texts; i++) {
        rc = json_parse(s->text[i], &doc[i], NULL, NULL);
        if (rc == 0)
            add_text(l, s->provider, doc[i]);
    }
    add_configured(l, s->provider, s->texts == 0);
    map_done(&l->seen);
    for (unsigned i = 0; i < s->texts; i++)
        yyjson_doc_free(doc[i]);
    return rc == ERR_NOMEM ? rc : 0;
}

int models_write(enum mount mount, const struct models_source *sources, unsigned count,
                 const struct models_query *query, const uint64_t seed[2], int64_t latency_ms,
                 struct buf *out)
{
    struct page l = {.mount = mount, .query = query, .out = out};
    int rc = 0;

    buf_add(out, SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = add_source(&l, &sources[i], seed);
    buf_add_char(out, ']');
    if (mount == MOUNT_UNIFIED) {
        buf_add(out, SLICE(",\"extra_fields\":{\"request_type\":\"list_models\""));
        if (query->provider.len > 0) {
            buf_add(out, SLICE(",\"provider\":"));
            buf_add_json(out, query->provider);
        }
        buf_printf(out, ",\"latency\":%lld}", (long long)latency_ms);
        if (query->offset + l.written < l.index && l.written > 0)
            buf_printf(out, ",\"next_page_token\":\"%llu\"",
                       (unsigned long long)(query->offset + l.written));
    }
    buf_add_char(out, '}');
    return rc ? rc : out->err;
}
