// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_value.c: objects taken apart by a table, literals joined, reasoning sealed.
//
// A seal says who can open it. What OpenAI encrypted travels through foreign dialects as one
// signature, `openai:<id>:<encrypted_content>`; what Claude signed travels through this one as an
// encrypted_content `claude:<signature>`, a redacted thought as `claude-redacted:<data>`. So a
// client brings back what it was given, and the vendor gets what it made (docs/translation.md).
//
// Literals are joined by their insides: an escape means the same wherever it stands.

#include "base/assert.h"
#include "base/err.h"
#include "codec/json_write.h"
#include "codec/openai_responses_internal.h"

#define OPENAI_SEAL   "openai:"
#define CLAUDE_SEAL   "claude:"
#define REDACTED_SEAL "claude-redacted:"

// ---- Objects ---------------------------------------------------------------------------------

static void take_member(const struct json_member *m, const struct responses_field *fields,
                        unsigned count, struct slice *ret, enum json_type *types)
{
    for (unsigned i = 0; i < count; i++) {
        if (!literal_is(m->key, fields[i].name))
            continue;
        ret[i] = m->type == JSON_NULL ? SLICE_EMPTY : m->value;
        types[i] = m->type == JSON_NULL ? JSON_NONE : m->type;
        return;
    }
}

int responses__fields(struct slice object, const struct responses_field *fields, unsigned count,
                      struct slice *ret, unsigned *ret_field)
{
    enum json_type types[JSON_WANTS_MAX] = {JSON_NONE};
    struct json_member m;

    ASSERT(count <= JSON_WANTS_MAX);
    for (unsigned i = 0; i < count; i++)
        ret[i] = SLICE_EMPTY;
    for (size_t at = 0; json_object_next(object, &at, &m);)
        take_member(&m, fields, count, ret, types);
    for (unsigned i = 0; i < count; i++) {
        *ret_field = i;
        if (types[i] == JSON_NONE && fields[i].types & RESPONSES_REQUIRED)
            return ERR_MISSING;
        if (types[i] != JSON_NONE && !(fields[i].types & 1u << types[i]))
            return ERR_BAD_TYPE;
    }
    return 0;
}

int responses__join(struct arena *arena, const struct slice *pieces, unsigned count,
                    struct slice *ret)
{
    struct json_writer w;
    size_t bytes = 2;

    for (unsigned i = 0; i < count; i++)
        bytes += pieces[i].len;
    json_writer_init(&w, arena, bytes);
    json_string_open(&w);
    for (unsigned i = 0; i < count; i++)
        json_string_inner(&w, pieces[i]);
    json_string_close(&w);
    return json_writer_done(&w, ret);
}

int responses__one_line(struct arena *arena, struct slice text, struct slice *ret)
{
    size_t len = 0;

    *ret = text;
    if (text.len == 0 || (!memchr(text.ptr, '\n', text.len) && !memchr(text.ptr, '\r', text.len)))
        return 0;
    char *line = arena_bytes(arena, text.len);
    if (!line)
        return ERR_NOMEM;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\n' && text.ptr[i] != '\r')
            line[len++] = text.ptr[i];
    *ret = slice_of(line, len);
    return 0;
}

// ---- Seals -----------------------------------------------------------------------------------

int responses__unseal(struct arena *arena, struct slice id, struct slice encrypted,
                      bool *ret_redacted, struct slice *ret_sealed)
{
    struct slice inner = literal_inner(encrypted);

    *ret_redacted = slice_starts(inner, SLICE(REDACTED_SEAL));
    if (*ret_redacted || slice_starts(inner, SLICE(CLAUDE_SEAL))) {
        inner =
            slice_skip(inner, *ret_redacted ? sizeof(REDACTED_SEAL) - 1 : sizeof(CLAUDE_SEAL) - 1);
        return responses__join(arena, &inner, 1, ret_sealed);
    }
    // The first colon behind the mark ends the id.
    struct slice plain = arena_copy(arena, literal_inner(id));
    if (!plain.ptr)
        return ERR_NOMEM;
    for (char *c = (char *)(uintptr_t)plain.ptr; c < plain.ptr + plain.len; c++)
        if (*c == ':')
            *c = '_';
    struct slice pieces[] = {SLICE(OPENAI_SEAL), plain, SLICE(":"), inner};
    return responses__join(arena, pieces, 4, ret_sealed);
}

bool responses__own_seal(struct slice signature, struct slice *ret_id, struct slice *ret_encrypted)
{
    struct slice inner = literal_inner(signature);

    if (!slice_starts(inner, SLICE(OPENAI_SEAL)))
        return false;
    inner = slice_skip(inner, sizeof(OPENAI_SEAL) - 1);
    ptrdiff_t colon = slice_find_char(inner, ':');
    if (colon < 0)
        return false;
    *ret_id = slice_take(inner, (size_t)colon);
    *ret_encrypted = slice_skip(inner, (size_t)colon + 1);
    return true;
}

void responses__seal(struct json_writer *w, struct slice signature, bool redacted)
{
    struct slice id;
    struct slice inner;

    json_key(w, SLICE("encrypted_content"));
    json_string_open(w);
    if (redacted || !responses__own_seal(signature, &id, &inner)) {
        json_string_inner(w, redacted ? SLICE(REDACTED_SEAL) : SLICE(CLAUDE_SEAL));
        inner = literal_inner(signature);
    }
    json_string_inner(w, inner);
    json_string_close(w);
}
