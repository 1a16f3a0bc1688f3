// SPDX-License-Identifier: Apache-2.0
//
// openai_read.c: what every reader of OpenAI's formats needs: members of an object in one walk, the
// name of a member that is wrong, and the small values that chat and text share.
//
// Texts that come here are well-formed. A client's request is not checked beyond that, so each
// member that matters is asked for its type; null is absent everywhere, as OpenAI has it.

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "codec/openai_internal.h"

// A path's text; a deeper or longer one is cut. Stops a refusal from repeating the request.
#define PATH_BYTES_MAX 160
// What is compared or shown of a short literal.
#define SHORT_BYTES_MAX 64

// ---- Members -----------------------------------------------------------------------------------

int openai__name(struct arena *arena, struct slice key, struct slice *ret)
{
    *ret = literal_inner(key);
    if (slice_find_char(key, '\\') < 0)
        return 0;
    char *out = arena_bytes(arena, key.len);
    if (!out)
        return ERR_NOMEM;
    return json_unescape(key, out, ret);
}

// The position of `key` (with its quotes) among the names, or -1.
static int find_name(const struct openai_pick *pick, struct slice key)
{
    bool odd = memchr(key.ptr, '\\', key.len) != NULL;
    for (unsigned i = 0; i < pick->count; i++)
        if (odd ? literal_is(key, pick->names[i]) : slice_eq(literal_inner(key), pick->names[i]))
            return (int)i;
    return -1;
}

static void pick_one(const struct openai_pick *pick, int at, const struct json_member *m)
{
    pick->member[at] = *m;
    if (m->type == JSON_NULL)
        pick->member[at] = (struct json_member){.type = JSON_NONE};
}

void openai__pick(struct slice object, const struct openai_pick *pick)
{
    struct json_member m;

    memset(pick->member, 0, pick->count * sizeof(*pick->member));
    for (size_t position = 0; json_object_next(object, &position, &m);) {
        int at = find_name(pick, m.key);
        if (at >= 0)
            pick_one(pick, at, &m);
    }
}

static int add_extra(struct canon_request *r, const struct json_member *m,
                     struct canon_member ***tail)
{
    struct slice name;
    int rc = openai__name(r->arena, m->key, &name);
    if (rc || name.len == 0)
        return rc;
    if (r->parts >= CANON_PARTS_MAX)
        return ERR_LIMIT;
    r->parts++;
    rc = canon_add_member(r->arena, *tail, name, m->value);
    if (rc == 0)
        *tail = &(**tail)->next;
    return rc;
}

int openai__pick_extra(struct canon_request *r, struct slice object, const struct openai_pick *pick,
                       struct canon_member **extra)
{
    struct json_member m;

    memset(pick->member, 0, pick->count * sizeof(*pick->member));
    for (size_t position = 0; json_object_next(object, &position, &m);) {
        int at = find_name(pick, m.key);
        if (at >= 0) {
            pick_one(pick, at, &m);
            continue;
        }
        int rc = add_extra(r, &m, &extra);
        if (rc)
            return rc;
    }
    return 0;
}

struct slice openai__text(const struct json_member *m)
{
    return m->type == JSON_STRING && m->value.len > 2 ? m->value : SLICE_EMPTY;
}

int openai__plain(struct arena *arena, const struct json_member *m, struct slice *ret)
{
    *ret = SLICE_EMPTY;
    return m->type == JSON_STRING ? openai__name(arena, m->value, ret) : 0;
}

static size_t find_row(const struct openai_member *table, size_t count, struct slice key)
{
    bool odd = memchr(key.ptr, '\\', key.len) != NULL;
    size_t i = 0;
    while (i < count &&
           !(odd ? literal_is(key, table[i].name) : slice_eq(literal_inner(key), table[i].name)))
        i++;
    return i;
}

static int read_known(struct canon_request *r, const struct json_member *m,
                      const struct openai_member *row)
{
    if (row->types == 0)
        return 0;
    int rc = openai__expect(r, NULL, row->name, m, row->types, true);
    if (rc)
        return rc;
    if (row->read)
        return row->read(r, m);
    r->param[row->param] = m->value;
    return 0;
}

int openai__read_members(struct canon_request *r, struct slice text,
                         const struct openai_member *table, size_t count)
{
    struct canon_member **tail = &r->extra;
    struct json_member m;
    uint64_t seen = 0;
    int rc = 0;

    ASSERT(count <= 64);
    for (size_t position = 0; rc == 0 && json_object_next(text, &position, &m);) {
        size_t at = find_row(table, count, m.key);
        if (at == count) {
            rc = add_extra(r, &m, &tail);
            continue;
        }
        // Which of two would count is another reader's choice.
        if (seen >> at & 1)
            return openai__refuse(r, ERR_BAD_TYPE, NULL, table[at].name, "occurs twice");
        seen |= (uint64_t)1 << at;
        if (m.type != JSON_NULL)
            rc = read_known(r, &m, &table[at]);
    }
    return rc;
}

int openai__read_stream(struct canon_request *r, const struct json_member *m)
{
    r->stream = m->type == JSON_TRUE;
    return 0;
}

// ---- Refusals ----------------------------------------------------------------------------------

static size_t write_path(char *out, const struct openai_path *path)
{
    if (!path)
        return 0;
    size_t len = write_path(out, path->up);
    struct slice name = path->name;
    char digits[20];
    if (name.len == 0)
        name = slice_of(digits, fmt_u64(digits, path->index));
    if (len + name.len + 2 > PATH_BYTES_MAX)
        return len;
    if (path->name.len == 0)
        out[len++] = '[';
    else if (len > 0)
        out[len++] = '.';
    memcpy(out + len, name.ptr, name.len);
    len += name.len;
    if (path->name.len == 0)
        out[len++] = ']';
    return len;
}

int openai__refuse(struct canon_request *r, int err, const struct openai_path *path,
                   struct slice name, const char *what)
{
    char text[PATH_BYTES_MAX];
    struct openai_path whole = {.up = path, .name = name};
    struct slice written = slice_of(text, write_path(text, name.len > 0 ? &whole : path));
    struct slice param = arena_copy(r->arena, written);

    if (!param.ptr)
        param = SLICE("messages");
    return canon_refuse(r, err, param, "'%.*s' %s", SLICE_ARG(written), what);
}

// Every combination of types that is asked for, in words.
static const struct {
    unsigned types;
    const char *must_be;
} wanted_types[] = {
    {ANY_STRING, "must be a string"},
    {ANY_NUMBER, "must be a number"},
    {ANY_BOOL, "must be true or false"},
    {ANY_ARRAY, "must be an array"},
    {ANY_OBJECT, "must be an object"},
    {ANY_STRING | ANY_ARRAY, "must be a string or an array"},
    {ANY_STRING | ANY_OBJECT, "must be a string or an object"},
};

int openai__expect(struct canon_request *r, const struct openai_path *path, struct slice name,
                   const struct json_member *m, unsigned types, bool required)
{
    if (m->type == JSON_NONE || m->type == JSON_NULL)
        return required ? openai__refuse(r, ERR_MISSING, path, name, "is missing") : 0;
    if (types & TYPE_BIT(m->type))
        return 0;
    const char *must_be = "has a wrong type";
    for (size_t i = 0; i < ARRAY_LEN(wanted_types); i++)
        if (wanted_types[i].types == types)
            must_be = wanted_types[i].must_be;
    return openai__refuse(r, ERR_BAD_TYPE, path, name, must_be);
}

// ---- Usage -------------------------------------------------------------------------------------

struct count_name {
    struct slice name;
    size_t offset;
    size_t known; // the flag it sets
};

#define COUNT(name, member, known)                                                                 \
    {                                                                                              \
        SLICE("\"" name "\""), offsetof(struct canon_usage, member),                               \
            offsetof(struct canon_usage, known)                                                    \
    }

// At whatever depth of `usage`; `cached_tokens` beside the totals is Moonshot's, the hit tokens are
// DeepSeek's, cached_read_ and cached_write_tokens Bifrost's.
static const struct count_name counts[] = {
    COUNT("prompt_tokens", input_tokens, known),
    COUNT("completion_tokens", output_tokens, known),
    COUNT("cached_tokens", cached_read_tokens, cached_known),
    COUNT("cached_read_tokens", cached_read_tokens, cached_known),
    COUNT("prompt_cache_hit_tokens", cached_read_tokens, cached_known),
    COUNT("cache_write_tokens", cached_write_tokens, cached_known),
    COUNT("cached_write_tokens", cached_write_tokens, cached_known),
    COUNT("reasoning_tokens", reasoning_tokens, reasoning_known),
};

static void read_count(const struct json_member *m, struct canon_usage *usage)
{
    static const bool yes = true;
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        if (!slice_eq(m->key, counts[i].name))
            continue;
        if (dialect_tokens(m->value, &value) == 0) {
            memcpy((char *)usage + counts[i].offset, &value, sizeof(value));
            memcpy((char *)usage + counts[i].known, &yes, sizeof(yes));
        }
        return;
    }
}

void openai__read_usage(struct slice object, struct canon_usage *usage)
{
    struct json_member m;
    struct json_member detail;

    for (size_t position = 0; json_object_next(object, &position, &m);) {
        bool details = slice_eq(m.key, SLICE("\"prompt_tokens_details\"")) ||
                       slice_eq(m.key, SLICE("\"completion_tokens_details\""));
        if (!details)
            read_count(&m, usage);
        size_t inner = 0;
        while (details && m.type == JSON_OBJECT && json_object_next(m.value, &inner, &detail))
            read_count(&detail, usage);
    }
}

void openai__write_usage(struct json_writer *w, const struct canon_usage *usage)
{
    json_object(w);
    json_member_number(w, SLICE("prompt_tokens"), usage->input_tokens);
    json_member_number(w, SLICE("completion_tokens"), usage->output_tokens);
    json_member_number(w, SLICE("total_tokens"), usage->input_tokens + usage->output_tokens);
    if (usage->cached_known) {
        json_key(w, SLICE("prompt_tokens_details"));
        json_object(w);
        json_member_number(w, SLICE("cached_tokens"), usage->cached_read_tokens);
        if (usage->cached_write_tokens > 0)
            json_member_number(w, SLICE("cache_write_tokens"), usage->cached_write_tokens);
        json_object_end(w);
    }
    if (usage->reasoning_known) {
        json_key(w, SLICE("completion_tokens_details"));
        json_object(w);
        json_member_number(w, SLICE("reasoning_tokens"), usage->reasoning_tokens);
        json_object_end(w);
    }
    json_object_end(w);
}

// ---- Ends, identifiers, errors -----------------------------------------------------------------

enum canon_stop openai__read_stop(struct slice literal)
{
    static const struct {
        struct slice name;
        enum canon_stop stop;
    } reasons[] = {
        {SLICE("stop"), CANON_STOP_END},
        {SLICE("length"), CANON_STOP_LENGTH},
        {SLICE("tool_calls"), CANON_STOP_TOOL},
        {SLICE("function_call"), CANON_STOP_TOOL},
        {SLICE("content_filter"), CANON_STOP_FILTER},
    };
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (literal_is(literal, reasons[i].name))
            return reasons[i].stop;
    return CANON_STOP_END;
}

struct slice openai__write_stop(enum canon_stop stop)
{
    static const struct slice names[CANON_STOP_COUNT] = {
        [CANON_STOP_UNSET] = SLICE("\"stop\""),
        [CANON_STOP_END] = SLICE("\"stop\""),
        [CANON_STOP_SEQUENCE] = SLICE("\"stop\""),
        [CANON_STOP_LENGTH] = SLICE("\"length\""),
        [CANON_STOP_TOOL] = SLICE("\"tool_calls\""),
        [CANON_STOP_FILTER] = SLICE("\"content_filter\""),
        [CANON_STOP_PAUSE] = SLICE("\"stop\""),
        [CANON_STOP_CONTEXT] = SLICE("\"length\""),
    };
    ASSERT(stop < CANON_STOP_COUNT);
    return names[stop];
}

struct slice openai__make_call_id(struct arena *arena, struct slice id, unsigned number)
{
    struct slice inner = literal_inner(id);
    if (inner.len == 0 || inner.len > SHORT_BYTES_MAX)
        return arena_printf(arena, "\"call_%u\"", number);
    return arena_printf(arena, "\"call_%.*s_%u\"", SLICE_ARG(inner), number);
}

int openai__read_error(struct arena *arena, const struct json_member *value,
                       struct canon_error *ret)
{
    enum { MESSAGE, TYPE, CODE, PARAM, COUNT_OF };
    static const struct slice names[COUNT_OF] = {
        [MESSAGE] = SLICE("message"),
        [TYPE] = SLICE("type"),
        [CODE] = SLICE("code"),
        [PARAM] = SLICE("param"),
    };
    struct json_member m[COUNT_OF];
    uint64_t status;

    *ret = (struct canon_error){0};
    if (value->type != JSON_OBJECT)
        return openai__plain(arena, value, &ret->message);
    openai__pick(value->value, &(struct openai_pick){names, COUNT_OF, m});
    if (m[CODE].type == JSON_NUMBER && json_u64(m[CODE].value, &status) == 0 && status >= 400 &&
        status <= 599)
        ret->status = (unsigned)status;
    int rc = openai__plain(arena, &m[MESSAGE], &ret->message);
    if (rc == 0)
        rc = openai__plain(arena, &m[TYPE], &ret->type);
    if (rc == 0)
        rc = openai__plain(arena, &m[CODE], &ret->code);
    return rc ? rc : openai__plain(arena, &m[PARAM], &ret->param);
}
