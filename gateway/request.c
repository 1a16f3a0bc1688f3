// SPDX-License-Identifier: Apache-2.0
//
// request.c: edits and the head of an attempt; attempt.c calls it with a key chosen.
//
// Every edit is a splice over the scan (codec/json_edit.h). The vendor's list is walked as data; a
// new kind of edit is a case in apply_edit and a line in docs/relay.md.

#include "gateway/request.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "codec/json_write.h"
#include "gateway/headers.h"
#include "gateway/plan.h"
#include "gateway/translate.h"
#include "net/upstream.h"
#include "providers/model_rules.h"

// The base members, the rows' own and `store` in one scan.
_Static_assert(DIALECT_MEMBER_COUNT + JSON_EDITS_MAX + 1 <= JSON_WANTS_MAX,
               "a scan cannot hold all members an edit list may name");

// A target: base path, path, and the client's query with its mark.
#define PATH_PARTS 4

// ---- Edits -----------------------------------------------------------------------------------

// What one build is made of.
struct builder {
    struct exchange *x;
    const struct target *target;
    const struct json_scanner *scan;
    struct json_edit edit;
    int err;
};

static const struct json_member *member_named(const struct json_scanner *scan, struct slice name)
{
    for (unsigned i = 0; i < scan->count; i++)
        if (name.len > 0 && slice_eq(scan->names[i], name))
            return &scan->member[i];
    return NULL;
}

static bool is_present(const struct json_member *m)
{
    return m && m->type != JSON_NONE;
}

static void append_text(struct builder *b, struct slice text)
{
    if (!text.ptr)
        b->err = ERR_NOMEM;
    else
        json_edit_append(&b->edit, text);
}

static void replace_text(struct builder *b, const struct json_member *m, struct slice text)
{
    if (!text.ptr)
        b->err = ERR_NOMEM;
    else
        json_edit_replace(&b->edit, m, text);
}

static void edit_model(struct builder *b)
{
    const struct json_member *m = &b->scan->member[DIALECT_MODEL];
    struct arena *a = &b->x->stream->early;

    if (m->type == JSON_STRING &&
        slice_eq(slice_of(m->value.ptr + 1, m->value.len - 2), b->x->model_sent))
        return;
    struct slice model = json_literal(a, b->x->model_sent);
    if (!model.ptr)
        b->err = ERR_NOMEM;
    else if (m->type != JSON_NONE)
        replace_text(b, m, model);
    else // the path named it
        append_text(b, arena_printf(a, "\"model\":%.*s", SLICE_ARG(model)));
}

// The client's other stream options are kept.
static void edit_stream_options(struct builder *b)
{
    const struct json_member *m = &b->scan->member[DIALECT_STREAM_OPTIONS];

    if (b->x->translated && !b->target->provider->row->stream_usage)
        json_edit_remove(&b->edit, m); // written for vendors that need it
    if (b->x->translated || !b->x->stream_wanted || b->x->usage_wanted ||
        !b->x->dialect->usage_option || !b->target->provider->row->stream_usage)
        return;
    if (m->type == JSON_NONE) {
        json_edit_append(&b->edit, SLICE("\"stream_options\":{\"include_usage\":true}"));
        return;
    }
    if (m->type != JSON_OBJECT) {
        json_edit_replace(&b->edit, m, SLICE("{\"include_usage\":true}"));
        return;
    }
    struct json_member asked = json_object_get(m->value, SLICE("include_usage"));
    if (asked.type != JSON_NONE) {
        json_edit_replace(&b->edit, &asked, SLICE("true"));
        return;
    }
    struct json_member first;
    size_t at = 0;
    bool empty = !json_object_next(m->value, &at, &first);
    struct slice rest = slice_skip(m->value, 1);
    replace_text(b, m,
                 arena_printf(&b->x->stream->early, "{\"include_usage\":true%s%.*s",
                              empty ? "" : ",", SLICE_ARG(rest)));
}

static size_t utf8_length(struct slice s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void drop_long(struct builder *b, const struct json_member *m, unsigned limit)
{
    struct slice text;

    if (m->type != JSON_STRING || m->value.len <= limit)
        return;
    char *out = arena_bytes(&b->x->stream->early, m->value.len);
    if (!out)
        b->err = ERR_NOMEM;
    else if (json_unescape(m->value, out, &text) == 0 && utf8_length(text) > limit)
        json_edit_remove(&b->edit, m);
}

static void reasoning_to_effort(struct builder *b, const struct json_member *m, struct slice to)
{
    struct json_member effort = {0};

    if (m->type == JSON_OBJECT)
        effort = json_object_get(m->value, SLICE("effort"));
    json_edit_remove(&b->edit, m);
    if (effort.type != JSON_STRING || is_present(member_named(b->scan, to)))
        return;
    struct slice value =
        slice_eq(effort.value, SLICE("\"minimal\"")) ? SLICE("\"low\"") : effort.value;
    append_text(
        b, arena_printf(&b->x->stream->early, "\"%.*s\":%.*s", SLICE_ARG(to), SLICE_ARG(value)));
}

static void rename_member(struct builder *b, const struct json_member *m, struct slice to)
{
    if (is_present(member_named(b->scan, to))) {
        json_edit_remove(&b->edit, m);
        return;
    }
    struct slice key = json_literal(&b->x->stream->early, to);
    if (!key.ptr)
        b->err = ERR_NOMEM;
    else
        json_edit_rename(&b->edit, m, key);
}

static void raise_to_floor(struct builder *b, const struct json_member *m, unsigned floor)
{
    uint64_t value;
    if (m->type == JSON_NUMBER && json_u64(m->value, &value) == 0 && value < floor)
        replace_text(b, m, arena_printf(&b->x->stream->early, "%u", floor));
}

// Is this edit for requests like this one?
static bool concerns(const struct exchange *x, const struct provider_edit *e)
{
    return (e->operations & 1u << x->upstream_op) != 0;
}

static void apply_edit(struct builder *b, const struct provider_edit *e)
{
    const struct json_member *m = member_named(b->scan, e->member);

    if (!concerns(b->x, e) || !is_present(m))
        return;
    switch (e->kind) {
    case EDIT_DROP:
        json_edit_remove(&b->edit, m);
        break;
    case EDIT_RENAME:
        rename_member(b, m, e->to);
        break;
    case EDIT_DROP_LONG:
        drop_long(b, m, e->limit);
        break;
    case EDIT_REASONING:
        reasoning_to_effort(b, m, e->to);
        break;
    case EDIT_CHOICE_ANY:
        if (m->type == JSON_OBJECT)
            json_edit_replace(&b->edit, m, SLICE("\"any\""));
        break;
    case EDIT_FLOOR:
        raise_to_floor(b, m, e->limit);
        break;
    }
}

// `store` exists where the answer can be kept: chat and responses.
static bool forces_store(const struct exchange *x, const struct config_provider *p)
{
    return p->disable_store && (x->upstream_op == OP_CHAT || x->upstream_op == OP_RESPONSES);
}

// Most servers of OpenAI's dialect know the token limit by its older name only, or both. A client's
// own words are not touched for that.
static bool renames_limit(const struct exchange *x, const struct config_provider *p)
{
    return x->translated && x->upstream_op == OP_CHAT &&
           (!p->row->max_completion_tokens || p->custom);
}

// client.compat's should_convert_params: a chat's limit of tokens under the name that is known
// there. Somebody else's server behind a vendor's dialect is left alone.
static bool converts_limit(const struct exchange *x, const struct config_provider *p)
{
    return x->upstream_op == OP_CHAT && !p->custom && plan_enabled(x, COMPAT_CONVERT_PARAMS);
}

static void edit_limit(struct builder *b)
{
    const struct config_provider *p = b->target->provider;
    const struct json_member *m = &b->scan->member[DIALECT_TOKENS_LIMIT];
    const struct json_member *old = &b->scan->member[DIALECT_TOKENS_LIMIT_OLD];

    if (is_present(m)) {
        if (renames_limit(b->x, p) || (!p->row->max_completion_tokens && converts_limit(b->x, p)))
            rename_member(b, m, SLICE("max_tokens"));
    } else if (is_present(old) && model_wants_new_limit(p->row, b->x->model_sent) &&
               converts_limit(b->x, p)) {
        rename_member(b, old, SLICE("max_completion_tokens"));
    }
}

// should_drop_params, as far as the model's name tells what it refuses.
static bool drops_refused(const struct exchange *x, const struct config_provider *p)
{
    return (x->upstream_op == OP_CHAT || x->upstream_op == OP_RESPONSES) && !p->custom &&
           model_has_rules(p->row) && plan_enabled(x, COMPAT_DROP_PARAMS);
}

static void note_shed(struct builder *b, struct slice name)
{
    struct exchange *x = b->x;
    struct arena *a = &x->stream->arena;
    const struct translated *t = x->translated;

    if (x->shed.len == 0 && t && t->dropped.len > 2) { // what did not cross comes first
        x->shed = slice_of(t->dropped.ptr + 1, t->dropped.len - 2);
        x->shed_list = t->dropped_list;
    }
    x->shed = arena_printf(a, "%.*s%s\"%.*s\"", SLICE_ARG(x->shed), x->shed.len > 0 ? "," : "",
                           SLICE_ARG(name));
    x->shed_list = arena_printf(a, "%.*s%s%.*s", SLICE_ARG(x->shed_list),
                                x->shed_list.len > 0 ? ", " : "", SLICE_ARG(name));
    if (!x->shed.ptr || !x->shed_list.ptr)
        b->err = ERR_NOMEM;
}

static void drop_refused(struct builder *b)
{
    const struct config_provider *p = b->target->provider;
    unsigned count;
    const struct slice *names = model_refused(p->row, b->x->model_sent, &count);

    for (unsigned i = 0; i < count && b->err == 0 && drops_refused(b->x, p); i++) {
        const struct json_member *m = member_named(b->scan, names[i]);
        if (!is_present(m))
            continue;
        json_edit_remove(&b->edit, m);
        note_shed(b, names[i]);
    }
}

static void edit_store(struct builder *b)
{
    const struct json_member *m = member_named(b->scan, SLICE("store"));

    if (!forces_store(b->x, b->target->provider))
        return;
    if (is_present(m))
        json_edit_replace(&b->edit, m, SLICE("false"));
    else
        json_edit_append(&b->edit, SLICE("\"store\":false"));
}

// ---- The second scan -------------------------------------------------------------------------

static void want(struct slice *names, unsigned *count, struct slice name)
{
    if (name.len == 0)
        return;
    for (unsigned i = 0; i < *count; i++)
        if (slice_eq(names[i], name))
            return;
    ASSERT(*count < JSON_WANTS_MAX);
    names[(*count)++] = name;
}

unsigned request_wanted_names(const struct exchange *x, const struct config_provider *provider,
                              struct slice *names)
{
    const struct provider_row *row = provider->row;
    unsigned count = DIALECT_MEMBER_COUNT;

    memcpy(names, x->upstream_dialect->members, DIALECT_MEMBER_COUNT * sizeof(names[0]));
    for (unsigned i = 0; i < row->edit_count; i++) {
        if (!concerns(x, &row->edits[i]))
            continue;
        want(names, &count, row->edits[i].member);
        want(names, &count, row->edits[i].to);
    }
    if (forces_store(x, provider))
        want(names, &count, SLICE("store"));
    unsigned refused = 0;
    const struct slice *ever = drops_refused(x, provider) ? model_refused_ever(&refused) : NULL;
    for (unsigned i = 0; i < refused; i++)
        want(names, &count, ever[i]);
    bool needed = count > DIALECT_MEMBER_COUNT || renames_limit(x, provider) ||
                  (x->upstream_dialect->usage_option && !row->stream_usage);
    return x->translated && !needed ? 0 : count;
}

int request_scan_await(struct exchange *x, struct fiber *self, const struct target *target)
{
    struct slice names[JSON_WANTS_MAX];
    unsigned count = request_wanted_names(x, target->provider, names);
    int rc;

    if (x->edit_scan_of == target->provider)
        return 0;
    x->edit_scan = NULL;
    x->edit_scan_of = NULL;
    if (count > DIALECT_MEMBER_COUNT) {
        struct slice *kept = arena_alloc(&x->stream->early, count * sizeof(names[0]));
        struct json_scanner *scan = arena_alloc(&x->stream->early, sizeof(*scan));
        if (!kept || !scan)
            return ERR_NOMEM;
        memcpy(kept, names, count * sizeof(names[0]));
        json_scan_begin(scan, x->body, kept, count, 0);
        x->edit_scan = scan;
        rc = exchange_scan_await(x, self, scan);
        if (rc)
            return rc;
    }
    x->edit_scan_of = target->provider;
    return 0;
}

// ---- The head --------------------------------------------------------------------------------

struct origin *request_origin(const struct config_provider *provider, const struct config_key *key,
                              enum operation op, struct slice *ret_base, struct slice *ret_path)
{
    struct origin *origin = provider->path_origin[op];

    *ret_base = SLICE_EMPTY;
    *ret_path = provider->path[op];
    if (!origin && key && key->origin) {
        *ret_base = key->base_path;
        origin = key->origin;
    }
    return origin ? origin : provider->origin;
}

// What a client of the Anthropic API says behind the path (`?beta=true`) is for a provider that
// speaks it. Parts 2 and 3 of the path.
static void add_query(const struct exchange *x, struct slice path[PATH_PARTS])
{
    struct slice query = x->stream->request.query;
    bool anthropic = x->upstream_op == OP_MESSAGES || x->upstream_op == OP_COMPLETE ||
                     x->upstream_op == OP_COUNT_TOKENS;

    if (!anthropic || query.len == 0 || x->dialect != x->upstream_dialect)
        return;
    path[2] = slice_find_char(path[1], '?') < 0 ? SLICE("?") : SLICE("&");
    path[3] = query;
}

static char *put(char *p, struct slice s)
{
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    return p + s.len;
}

// The model as one segment of a path (RFC 3986 3.3).
static struct slice encode_segment(struct arena *arena, struct slice s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_bytes(arena, s.len * 3 + 1);
    char *p = out;

    for (size_t i = 0; out && i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            memchr("-._~", c, 4)) {
            *p++ = (char)c;
        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }
    return slice_of(out, out ? (size_t)(p - out) : 0);
}

static struct slice replace_once(struct arena *arena, struct slice path, struct slice what,
                                 struct slice by)
{
    ptrdiff_t at = slice_find(path, what);
    if (at < 0 || !path.ptr)
        return path;
    struct slice rest = slice_skip(path, (size_t)at + what.len);
    return arena_printf(arena, "%.*s%.*s%.*s", (int)at, path.ptr, SLICE_ARG(by), SLICE_ARG(rest));
}

struct slice request_expand(struct exchange *x, const struct target *target, struct slice path)
{
    struct arena *early = &x->stream->early;
    const struct config_alias *alias = x->key ? config_key_alias(x->key, target->model) : NULL;

    if (!target->provider->row->path_templates)
        return path;
    struct slice version = alias && alias->api_version.len > 0 ? alias->api_version
                           : x->key                            ? x->key->api_version
                                                               : SLICE_EMPTY;
    struct slice model = encode_segment(early, x->model_sent);
    if (!model.ptr)
        return SLICE_EMPTY;
    // The version first: a model could be called {api_version}, once encoded it no longer is.
    path = replace_once(early, path, PROVIDER_PATH_VERSION, version);
    return replace_once(early, path, PROVIDER_PATH_MODEL, model);
}

// A head with room for its fields, the length (`body_bytes`, or none below 0) included.
static struct slice write_head(struct exchange *x, const struct target *target, struct slice method,
                               const struct slice path[PATH_PARTS], struct origin *origin,
                               int64_t body_bytes)
{
    struct http_field field[HEADERS_MAX];
    unsigned count = headers_up(x, target, field, HEADERS_MAX);
    struct slice host = origin_authority(origin);
    size_t room = method.len + host.len + 80;

    for (unsigned i = 0; i < PATH_PARTS; i++)
        room += path[i].len;
    for (unsigned i = 0; i < count; i++)
        room += field[i].name.len + field[i].value.len + 4;
    char *out = arena_bytes(&x->stream->early, room);
    if (!out)
        return SLICE_EMPTY;
    char *p = put(put(out, method), SLICE(" "));
    for (unsigned i = 0; i < PATH_PARTS; i++)
        p = put(p, path[i]);
    p = put(p, SLICE(" HTTP/1.1\r\nhost: "));
    p = put(put(p, host), SLICE("\r\n"));
    for (unsigned i = 0; i < count; i++)
        p = put(put(put(put(p, field[i].name), SLICE(": ")), field[i].value), SLICE("\r\n"));
    if (body_bytes >= 0) {
        p = put(p, SLICE("content-length: "));
        p += fmt_u64(p, (uint64_t)body_bytes);
        p = put(p, SLICE("\r\n"));
    }
    p = put(p, SLICE("\r\n"));
    ASSERT((size_t)(p - out) <= room);
    return slice_of(out, (size_t)(p - out));
}

static void set_head(struct request *r, struct slice head)
{
    r->iov[0] = (struct iovec){.iov_base = (void *)(uintptr_t)head.ptr, .iov_len = head.len};
}

// The client's body, or what it was translated to, cut around the edits.
static int build_body(struct builder *b, struct request *ret)
{
    struct exchange *x = b->x;
    const struct provider_row *row = b->target->provider->row;

    x->shed = SLICE_EMPTY;
    x->shed_list = SLICE_EMPTY;
    if (x->translated && !x->translation->scan) {
        struct slice text = x->translation->written;
        ret->iov[1] = (struct iovec){.iov_base = (void *)(uintptr_t)text.ptr, .iov_len = text.len};
        ret->iov_count = 2;
        ret->body_bytes = text.len;
        return 0;
    }
    b->scan = x->translated ? x->translation->scan : x->edit_scan ? x->edit_scan : x->scan;
    json_edit_begin(&b->edit, b->scan);
    edit_model(b);
    json_edit_remove(&b->edit, &b->scan->member[DIALECT_FALLBACKS]);
    edit_stream_options(b);
    edit_limit(b);
    drop_refused(b);
    for (unsigned i = 0; i < row->edit_count; i++)
        apply_edit(b, &row->edits[i]);
    edit_store(b);
    ret->iov_count = 1 + json_edit_pieces(&b->edit, ret->iov + 1, &ret->body_bytes);
    return b->err;
}

int request_build(struct exchange *x, const struct target *target, struct request *ret)
{
    struct builder b = {.x = x, .target = target};
    struct slice path[PATH_PARTS] = {{0}};

    int rc = build_body(&b, ret);
    if (rc)
        return rc;
    ret->origin = request_origin(target->provider, x->key, x->upstream_op, &path[0], &path[1]);
    if (!ret->origin)
        return ERR_CONFIG;
    path[1] = request_expand(x, target, path[1]);
    if (!path[1].ptr)
        return ERR_NOMEM;
    add_query(x, path);
    struct slice head =
        write_head(x, target, SLICE("POST"), path, ret->origin, (int64_t)ret->body_bytes);
    if (!head.ptr)
        return ERR_NOMEM;
    set_head(ret, head);
    return 0;
}

int request_build_get(struct exchange *x, const struct target *target, struct origin *origin,
                      struct slice path, struct request *ret)
{
    struct slice parts[PATH_PARTS] = {path};
    struct slice head = write_head(x, target, SLICE("GET"), parts, origin, -1);

    if (!head.ptr)
        return ERR_NOMEM;
    set_head(ret, head);
    ret->origin = origin;
    ret->iov_count = 1;
    ret->body_bytes = 0;
    return 0;
}
