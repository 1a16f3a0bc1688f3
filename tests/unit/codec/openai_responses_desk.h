// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_desk.h: what the tests of the responses translation share: an arena, texts with
// single quotes for double ones, and a failing memory.
#ifndef RINGGATE_TESTS_OPENAI_RESPONSES_DESK_H
#define RINGGATE_TESTS_OPENAI_RESPONSES_DESK_H

#include "base/err.h"
#include "codec/dialect.h"
#include "codec/openai_responses_internal.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_request r;
    struct canon_answer a;
    struct json_writer w;
};

static inline void desk_open(struct desk *d, size_t bytes_max)
{
    memset(d, 0, sizeof(*d));
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, bytes_max);
    d->r.arena = &d->arena;
    d->a.arena = &d->arena;
    json_writer_init(&d->w, &d->arena, 0);
}

static inline void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

// The text with " for '; lives until the process ends its test, in a buffer of its own.
#define TEXT_BYTES 16384
static inline struct slice text_in(char *buffer, const char *quoted)
{
    size_t len = strlen(quoted);
    assert_true(len < TEXT_BYTES);
    for (size_t i = 0; i < len; i++)
        buffer[i] = quoted[i] == '\'' ? '"' : quoted[i];
    buffer[len] = '\0';
    return slice_of(buffer, len);
}

static inline void expect_text(struct slice got, const char *quoted)
{
    char buffer[TEXT_BYTES];
    char copy[TEXT_BYTES];
    struct slice want = text_in(buffer, quoted);
    assert_true(got.len < TEXT_BYTES);
    if (got.len > 0)
        memcpy(copy, got.ptr, got.len);
    copy[got.len] = '\0';
    assert_string_equal(copy, want.ptr);
}

static inline void expect_written(struct desk *d, const char *quoted)
{
    struct slice got;
    assert_int_equal(json_writer_done(&d->w, &got), 0);
    expect_text(got, quoted);
}

static inline void expect_refused(const struct desk *d, const char *param)
{
    expect_text(d->r.refusal.param, param);
    assert_true(d->r.refusal.message.len > 0);
}

// "a,b,c"
static inline void expect_dropped(const struct desk *d, const char *names)
{
    char buffer[1024] = "";
    size_t len = 0;
    for (const struct canon_member *m = d->r.dropped; m; m = m->next)
        len += (size_t)snprintf(buffer + len, sizeof(buffer) - len, "%s%.*s", len > 0 ? "," : "",
                                SLICE_ARG(m->name));
    assert_string_equal(buffer, names);
}

#endif
