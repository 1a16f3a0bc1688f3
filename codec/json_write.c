// SPDX-License-Identifier: Apache-2.0
//
// json_write.c: appending, and the one comma rule. Every dialect's writers call it.
//
// `comma` says whether the value or key that comes next is preceded by one. Opening a container or
// writing a key clears it, every finished value sets it; so nobody who writes has to count.

#include "codec/json_write.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/escape.h"

// The first memory of a writer that was given no guess.
#define FIRST_BYTES 512

void json_writer_init(struct json_writer *w, struct arena *arena, size_t guess)
{
    *w = (struct json_writer){.arena = arena, .cap = guess};
}

int json_writer_done(struct json_writer *w, struct slice *ret)
{
    if (w->err)
        return w->err;
    *ret = slice_of(w->ptr ? w->ptr : "", w->len);
    return 0;
}

// Room for `bytes` more; NULL when there is no memory.
static char *room(struct json_writer *w, size_t bytes)
{
    if (w->ptr && w->cap - w->len >= bytes)
        return w->ptr + w->len;
    if (w->err)
        return NULL;
    size_t cap = w->ptr ? w->cap * 2 : w->cap > 0 ? w->cap : FIRST_BYTES;
    if (cap < w->len + bytes)
        cap = w->len + bytes;
    char *more = cap <= BLOCK_BYTES / 2 ? arena_bytes(w->arena, cap) : arena_large(w->arena, cap);
    if (!more) {
        w->err = ERR_NOMEM;
        return NULL;
    }
    if (w->len > 0)
        memcpy(more, w->ptr, w->len);
    if (w->ptr && w->cap > BLOCK_BYTES / 2)
        arena_drop_large(w->arena, w->ptr);
    w->ptr = more;
    w->cap = cap;
    return more + w->len;
}

static void put(struct json_writer *w, const char *bytes, size_t len)
{
    char *to = len > 0 ? room(w, len) : NULL;
    if (to) {
        memcpy(to, bytes, len);
        w->len += len;
    }
}

static void put_char(struct json_writer *w, char c)
{
    put(w, &c, 1);
}

// ---- Containers ------------------------------------------------------------------------------

static void begin_value(struct json_writer *w)
{
    if (w->comma)
        put_char(w, ',');
}

static void open(struct json_writer *w, char bracket)
{
    begin_value(w);
    put_char(w, bracket);
    w->comma = false;
}

static void close(struct json_writer *w, char bracket)
{
    put_char(w, bracket);
    w->comma = true;
}

void json_object(struct json_writer *w)
{
    open(w, '{');
}

void json_object_end(struct json_writer *w)
{
    close(w, '}');
}

void json_array(struct json_writer *w)
{
    open(w, '[');
}

void json_array_end(struct json_writer *w)
{
    close(w, ']');
}

void json_key(struct json_writer *w, struct slice name)
{
    ASSERT(name.len > 0);
    begin_value(w);
    put_char(w, '"');
    put(w, name.ptr, name.len);
    put(w, "\":", 2);
    w->comma = false;
}

// ---- Values ----------------------------------------------------------------------------------

void json_raw(struct json_writer *w, struct slice text)
{
    ASSERT(text.len > 0);
    begin_value(w);
    put(w, text.ptr, text.len);
    w->comma = true;
}

void json_string(struct json_writer *w, struct slice bytes)
{
    json_string_open(w);
    json_string_bytes(w, bytes);
    json_string_close(w);
}

void json_number(struct json_writer *w, uint64_t value)
{
    char text[20];
    size_t len = fmt_u64(text, value);
    json_raw(w, slice_of(text, len));
}

void json_bool(struct json_writer *w, bool value)
{
    json_raw(w, value ? SLICE("true") : SLICE("false"));
}

void json_null(struct json_writer *w)
{
    json_raw(w, SLICE("null"));
}

// ---- Members ---------------------------------------------------------------------------------

void json_member(struct json_writer *w, struct slice name, struct slice text)
{
    if (text.len == 0)
        return;
    json_key(w, name);
    json_raw(w, text);
}

void json_member_string(struct json_writer *w, struct slice name, struct slice bytes)
{
    json_key(w, name);
    json_string(w, bytes);
}

void json_member_number(struct json_writer *w, struct slice name, uint64_t value)
{
    json_key(w, name);
    json_number(w, value);
}

// ---- Strings in pieces -----------------------------------------------------------------------

void json_string_open(struct json_writer *w)
{
    begin_value(w);
    put_char(w, '"');
    w->comma = false;
}

void json_string_inner(struct json_writer *w, struct slice inner)
{
    put(w, inner.ptr, inner.len);
}

void json_string_bytes(struct json_writer *w, struct slice bytes)
{
    char step[ESCAPE_STEP_MAX];

    while (bytes.len > 0 && !w->err) {
        size_t plain = escape_plain(bytes);
        put(w, bytes.ptr, plain);
        bytes = slice_skip(bytes, plain);
        if (bytes.len > 0) {
            size_t len = escape_step(&bytes, step);
            put(w, step, len);
        }
    }
}

void json_string_close(struct json_writer *w)
{
    put_char(w, '"');
    w->comma = true;
}

void json_plain(struct json_writer *w, struct slice bytes)
{
    put(w, bytes.ptr, bytes.len);
    w->comma = false;
}

struct slice json_literal(struct arena *arena, struct slice bytes)
{
    struct json_writer w;
    struct slice literal;

    json_writer_init(&w, arena, bytes.len + 2);
    json_string(&w, bytes);
    return json_writer_done(&w, &literal) == 0 ? literal : SLICE_EMPTY;
}
