// SPDX-License-Identifier: Apache-2.0
//
// models_list.c: lists of models read, filtered and written. No I/O.
//
// The entries are what the providers said, in the mount's shape: on /v1 all of their members, on
// OpenAI's mounts those that OpenAI has, on Anthropic's
//
//     {"data":[{"type":"model","id","display_name","created_at"}],"has_more","first_id","last_id"}
//
// whose pages are told by a neighbour's id instead of a number: such a list is walked twice, first
// without writing, to find the neighbour.

#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/map.h"
#include "codec/json.h"
#include "gateway/models.h"

#include <stdlib.h>

// ---- The query -------------------------------------------------------------------------------

// One parameter of an Anthropic list.
static int read_limit(struct slice name, struct slice value, struct arena *arena,
                      struct models_query *ret)
{
    if (slice_eq(name, SLICE("limit"))) {
        if (slice_to_u64(value, &ret->page_size) != 0 || ret->page_size < 1 ||
            ret->page_size > MODELS_LIMIT_MAX)
            return ERR_BAD_TYPE;
        return 0;
    }
    bool after = slice_eq(name, SLICE("after_id"));
    if (!after && !slice_eq(name, SLICE("before_id")))
        return 0;
    struct slice id = route_decode(arena, value);
    if (!id.ptr)
        return ERR_NOMEM;
    *(after ? &ret->after_id : &ret->before_id) = id;
    return 0;
}

int models_query_parse(enum mount mount, struct slice query, struct arena *arena,
                       struct models_query *ret, struct slice *ret_param)
{
    *ret = (struct models_query){0};
    if (mount == MOUNT_ANTHROPIC)
        ret->page_size = MODELS_LIMIT_DEFAULT;
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
        else if (value.len > 0 && mount == MOUNT_ANTHROPIC)
            rc = read_limit(name, value, arena, ret);
        else if (value.len > 0 && slice_eq(name, SLICE("page_size")))
            rc = slice_to_u64(value, &ret->page_size);
        else if (value.len > 0 && slice_eq(name, SLICE("page_token")))
            rc = slice_to_u64(value, &ret->offset);
        if (rc)
            return rc == ERR_NOMEM ? rc : ERR_BAD_TYPE;
    }
    return 0;
}

// ---- Writing ---------------------------------------------------------------------------------

struct page {
    enum mount mount;
    const struct models_query *query;
    struct buf *out;                      // NULL: looking for the neighbour
    struct map seen;                      // ids of the current provider
    const struct governance_grant *grant; // of the current source
    uint64_t index;                       // models met
    uint64_t written;
    uint64_t found_at; // the neighbour's index, when `found`
    bool found;
    // Where in `out` the first and the last id lie, as JSON strings.
    struct {
        size_t at, len;
    } first, last;
};

static bool is_named(struct slice id, struct slice provider, struct slice model)
{
    return id.len == provider.len + 1 + model.len && slice_starts(id, provider) &&
           id.ptr[provider.len] == '/' && slice_eq(slice_skip(id, provider.len + 1), model);
}

// Is this one on the page? Counts it.
static bool on_page(struct page *l, struct slice provider, struct slice model)
{
    uint64_t at = l->index++;
    const struct models_query *q = l->query;
    struct slice neighbour = q->after_id.len > 0 ? q->after_id : q->before_id;

    if (!l->out) {
        if (!l->found && is_named(neighbour, provider, model)) {
            l->found = true;
            l->found_at = at;
        }
        return false;
    }
    return at >= q->offset && (q->page_size == 0 || l->written < q->page_size) &&
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
    if (mount_traits[mount].extra_fields)
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

// ---- Times -----------------------------------------------------------------------------------

// "2025-02-19T00:00:00Z" as seconds; 0 when it is something else.
static int64_t seconds_of(struct slice text)
{
    struct wall at = {0};

    return civil_parse(text, &at) == 0 ? at.ns / NS_PER_S : 0;
}

static void add_time(struct buf *out, int64_t seconds)
{
    char text[CIVIL_TEXT_BYTES];
    bool told = seconds > 0 && seconds < INT64_MAX / NS_PER_S;

    buf_add_json(out, civil_text((struct wall){.ns = told ? seconds * NS_PER_S : 0}, 0, text));
}

// ---- Entries ---------------------------------------------------------------------------------

// What a model that only the configuration names has in place of a provider's members.
static void add_owner(struct buf *out, struct slice provider)
{
    buf_add(out, SLICE(",\"created\":0,\"owned_by\":"));
    buf_add_json(out, provider);
}

// `,"display_name":…,"created_at":…`: the provider's, or made of what OpenAI's kind says. A time
// that nobody knows is the epoch, as that API has it.
static void add_anthropic(struct page *l, struct slice model, yyjson_val *entry)
{
    struct slice name = json_str(yyjson_obj_get(entry, "display_name"));
    struct slice time = json_str(yyjson_obj_get(entry, "created_at"));

    buf_add(l->out, SLICE(",\"display_name\":"));
    buf_add_json(l->out, name.len > 0 ? name : model);
    buf_add(l->out, SLICE(",\"created_at\":"));
    if (time.len > 0)
        buf_add_json(l->out, time);
    else
        add_time(l->out, yyjson_get_sint(yyjson_obj_get(entry, "created")));
}

// What OpenAI's SDK expects of each model and Anthropic's list does not say in its way.
static void add_created(struct page *l, struct slice provider, yyjson_val *entry)
{
    struct slice time = json_str(yyjson_obj_get(entry, "created_at"));

    if (time.len == 0 || yyjson_obj_get(entry, "created"))
        return;
    buf_printf(l->out, ",\"created\":%lld", (long long)seconds_of(time));
    if (!yyjson_obj_get(entry, "owned_by")) {
        buf_add(l->out, SLICE(",\"owned_by\":"));
        buf_add_json(l->out, provider);
    }
}

// `entry` is what the provider said about it, or NULL; `deployment` what an alias stands for.
static void add_model(struct page *l, struct slice provider, struct slice model, yyjson_val *entry,
                      struct slice deployment)
{
    bool anthropic = l->mount == MOUNT_ANTHROPIC;

    if (l->grant && !governance_allows_model(l->grant, model, SLICE_EMPTY))
        return;
    if (map_get(&l->seen, model) || map_put(&l->seen, model, l) != 0 ||
        !on_page(l, provider, model))
        return;
    if (l->written++ > 0)
        buf_add_char(l->out, ',');
    buf_add(l->out, anthropic ? SLICE("{\"type\":\"model\",\"id\":") : SLICE("{\"id\":"));
    l->last.at = l->out->len;
    add_id(l->out, provider, model);
    l->last.len = l->out->len - l->last.at;
    if (l->written == 1)
        l->first = l->last;
    if (!anthropic)
        buf_add(l->out, SLICE(",\"object\":\"model\""));
    if (anthropic)
        add_anthropic(l, model, entry);
    else if (entry)
        add_members(l, entry);
    else
        add_owner(l->out, provider);
    if (entry && !anthropic)
        add_created(l, provider, entry);
    if (deployment.len > 0 && mount_traits[l->mount].extra_fields) {
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
    l->grant = s->grant;
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

// ---- The answer ------------------------------------------------------------------------------

// Where the page of Anthropic's neighbour begins and how long it is, as an offset and a size.
static int find_page(struct page *l, const struct models_source *sources, unsigned count,
                     const struct models_query *query, const uint64_t seed[2],
                     struct models_query *ret)
{
    struct page look = {.mount = l->mount, .query = query};
    int rc = 0;

    *ret = *query;
    if (query->after_id.len + query->before_id.len == 0)
        return 0;
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = add_source(&look, &sources[i], seed);
    if (rc == 0 && !look.found)
        rc = ERR_NOT_FOUND;
    if (rc)
        return rc;
    if (query->after_id.len > 0) {
        ret->offset = look.found_at + 1;
    } else {
        ret->offset = look.found_at > query->page_size ? look.found_at - query->page_size : 0;
        ret->page_size = look.found_at - ret->offset;
    }
    return 0;
}

static void add_unified_end(const struct page *l, int64_t latency_ms)
{
    const struct models_query *query = l->query;

    buf_add(l->out, SLICE(",\"extra_fields\":{\"request_type\":\"list_models\""));
    if (query->provider.len > 0) {
        buf_add(l->out, SLICE(",\"provider\":"));
        buf_add_json(l->out, query->provider);
    }
    buf_printf(l->out, ",\"latency\":%lld}", (long long)latency_ms);
    if (query->offset + l->written < l->index && l->written > 0)
        buf_printf(l->out, ",\"next_page_token\":\"%llu\"",
                   (unsigned long long)(query->offset + l->written));
}

// An id that `out` holds already, or null.
static void repeat_id(const struct page *l, size_t at, size_t len)
{
    struct buf copy;

    buf_init(&copy, MODELS_PAGE_BYTES_MAX);
    if (l->written > 0 && l->out->err == 0)
        buf_add(&copy, slice_of(l->out->ptr + at, len));
    buf_add(l->out, l->written > 0 ? buf_slice(&copy) : SLICE("null"));
    buf_done(&copy);
}

// More of what was asked for: behind the page, or before it when it was found from behind.
static void add_anthropic_end(const struct page *l)
{
    const struct models_query *q = l->query;
    bool more = q->after_id.len == 0 && q->before_id.len > 0 ? q->offset > 0
                                                             : q->offset + l->written < l->index;

    buf_printf(l->out, ",\"has_more\":%s,\"first_id\":", more ? "true" : "false");
    repeat_id(l, l->first.at, l->first.len);
    buf_add(l->out, SLICE(",\"last_id\":"));
    repeat_id(l, l->last.at, l->last.len);
}

int models_write(enum mount mount, const struct models_source *sources, unsigned count,
                 const struct models_query *query, const uint64_t seed[2], int64_t latency_ms,
                 struct buf *out)
{
    struct models_query page;
    struct page l = {.mount = mount, .query = &page, .out = out};

    int rc = find_page(&l, sources, count, query, seed, &page);
    if (rc)
        return rc;
    buf_add(out, mount == MOUNT_ANTHROPIC ? SLICE("{\"data\":[")
                                          : SLICE("{\"object\":\"list\",\"data\":["));
    // A page that holds nothing (before the first model) has no size to say so with.
    bool none = query->before_id.len > 0 && query->after_id.len == 0 && page.page_size == 0;
    for (unsigned i = 0; i < count && rc == 0 && !none; i++)
        rc = add_source(&l, &sources[i], seed);
    buf_add_char(out, ']');
    if (mount_traits[mount].extra_fields)
        add_unified_end(&l, latency_ms);
    else if (mount == MOUNT_ANTHROPIC)
        add_anthropic_end(&l);
    buf_add_char(out, '}');
    return rc ? rc : out->err;
}
