// SPDX-License-Identifier: Apache-2.0
//
// anthropic_value.c: an object's members by name, refusals by path, and base64, in which other
// dialects carry the text of a file. For the other anthropic files.

#include "base/err.h"
#include "codec/anthropic_internal.h"
#include "codec/json_token.h"

// ---- Literals ----------------------------------------------------------------------------------

int anthropic__plain(struct arena *arena, struct slice literal, struct slice *ret)
{
    char *out = NULL;
    if (literal.len > 0 && memchr(literal.ptr, '\\', literal.len)) {
        out = arena_bytes(arena, literal.len);
        if (!out)
            return ERR_NOMEM;
    }
    return json_unescape(literal, out, ret);
}

// ---- Refusals ----------------------------------------------------------------------------------

// Deeper than any path here: the levels of nested results, three names each, and the top.
#define LEVELS_MAX (4 * CANON_NESTING_MAX)

static struct slice spell(struct arena *arena, const struct anthropic_path *path, struct slice name)
{
    const struct anthropic_path *level[LEVELS_MAX];
    const struct anthropic_path last = {.name = name};
    unsigned count = 0;
    struct slice text = SLICE("");

    if (name.len > 0)
        level[count++] = &last;
    for (; path && count < LEVELS_MAX; path = path->up)
        level[count++] = path;
    while (count > 0) {
        const struct anthropic_path *p = level[--count];
        if (p->name.len == 0)
            text = arena_printf(arena, "%.*s[%zu]", SLICE_ARG(text), p->index);
        else
            text = arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(text), text.len > 0 ? "." : "",
                                SLICE_ARG(p->name));
        if (!text.ptr)
            return SLICE("messages");
    }
    return text;
}

int anthropic__bad(const struct anthropic_reader *rd, int err, const struct anthropic_path *path,
                   struct slice name, const char *what)
{
    if (!rd->request)
        return ERR_UPSTREAM_PROTOCOL;
    struct slice param = spell(rd->arena, path, name);
    return canon_refuse(rd->request, err, param, "%.*s: %s", SLICE_ARG(param), what);
}

// ---- Members -----------------------------------------------------------------------------------

static unsigned find(struct slice key, const struct anthropic_field *fields, unsigned count)
{
    unsigned i = 0;
    while (i < count && !literal_is(key, fields[i].name))
        i++;
    return i;
}

static int keep_extra(const struct anthropic_reader *rd, const struct json_member *m,
                      struct canon_member ***tail)
{
    struct slice name;

    if (*rd->parts >= CANON_PARTS_MAX)
        return ERR_LIMIT;
    int rc = anthropic__plain(rd->arena, m->key, &name);
    if (rc)
        return rc;
    struct canon_member *extra = arena_zalloc(rd->arena, sizeof(*extra));
    if (!extra)
        return ERR_NOMEM;
    ++*rd->parts;
    extra->name = name;
    extra->value = m->value;
    **tail = extra;
    *tail = &extra->next;
    return 0;
}

static int check(const struct anthropic_reader *rd, const struct anthropic_path *path,
                 const struct anthropic_field *field, const struct json_member *m)
{
    if (m->type == JSON_NONE)
        return field->types & ANTHROPIC_REQUIRED
                   ? anthropic__bad(rd, ERR_MISSING, path, field->name, "is required")
                   : 0;
    if (!(field->types & ANTHROPIC_TYPE(m->type)))
        return anthropic__bad(rd, ERR_BAD_TYPE, path, field->name, "has the wrong type");
    return 0;
}

int anthropic__fields(const struct anthropic_reader *rd, const struct anthropic_path *path,
                      struct slice object, const struct anthropic_field *fields, unsigned count,
                      struct json_member *ret, struct canon_member **extra)
{
    struct canon_member **tail = extra;
    struct json_member m;
    int rc;

    memset(ret, 0, count * sizeof(*ret));
    for (size_t at = 0; json_object_next(object, &at, &m);) {
        unsigned i = find(m.key, fields, count);
        if (i < count) {
            ret[i] = m.type == JSON_NULL ? (struct json_member){.type = JSON_NONE} : m;
        } else if (tail && m.type != JSON_NULL) {
            rc = keep_extra(rd, &m, &tail);
            if (rc)
                return rc;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        rc = check(rd, path, &fields[i], &ret[i]);
        if (rc)
            return rc;
    }
    return 0;
}

// ---- Data in strings ---------------------------------------------------------------------------

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (json__is_digit(c))
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int anthropic__base64(struct arena *arena, struct slice data, struct slice *ret)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t len = 0;

    while (data.len > 0 && data.ptr[data.len - 1] == '=')
        data.len--;
    if (data.len % 4 == 1)
        return ERR_BAD_TYPE;
    char *out = arena_bytes(arena, data.len / 4 * 3 + 3);
    if (!out)
        return ERR_NOMEM;
    for (size_t i = 0; i < data.len; i++) {
        int digit = digit_of(data.ptr[i]);
        if (digit < 0)
            return ERR_BAD_TYPE;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (char)(bits >> have & 0xFF);
        }
    }
    *ret = slice_of(out, len);
    return 0;
}
