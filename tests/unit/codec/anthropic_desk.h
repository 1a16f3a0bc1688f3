// SPDX-License-Identifier: Apache-2.0
//
// anthropic_desk.h: what the tests of the anthropic files share: memory, requests read and written,
// streams read and written, texts compared.
//
// A request that others would have read is made from one of this dialect: `from` says whose it is
// then, and `tweak` adds what only they have.
#ifndef RINGGATE_TESTS_ANTHROPIC_DESK_H
#define RINGGATE_TESTS_ANTHROPIC_DESK_H

#include "base/container.h"
#include "base/err.h"
#include "codec/anthropic_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka wants the four above.
#include <cmocka.h>

#define DESK_BYTES ((size_t)64 << 20)

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

static inline void same(struct slice got, const char *want)
{
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got:\n%.*s\nwant:\n%s", SLICE_ARG(got), want);
}

static inline struct slice desk_text(struct desk *d)
{
    struct slice text = SLICE_EMPTY;
    assert_int_equal(json_writer_done(&d->w, &text), 0);
    return text;
}

// Names with a space between.
static inline struct slice desk_dropped(struct desk *d)
{
    struct slice text = SLICE("");
    for (const struct canon_member *m = d->r.dropped; m; m = m->next)
        text = arena_printf(&d->arena, "%.*s%s%.*s", SLICE_ARG(text), text.len > 0 ? " " : "",
                            SLICE_ARG(m->name));
    return text;
}

// The content of messages of one user around `content`.
#define USER(content) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":" content "}]}"

struct request_case {
    const char *client;         // a request of messages
    const struct dialect *from; // whose it is said to be
    void (*tweak)(struct canon_request *r);
    const char *provider; // NULL: refused
    const char *dropped;  // NULL: none; refused: the member
};

static inline void check_request_for(const char *model, const struct request_case *c,
                                     int (*write)(struct canon_request *, struct slice,
                                                  struct json_writer *))
{
    struct desk d;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_request(&d.r, slice_str(c->client)), 0);
    if (c->from)
        d.r.from = c->from;
    if (c->tweak)
        c->tweak(&d.r);
    int rc = write(&d.r, slice_str(model), &d.w);
    if (c->provider) {
        if (rc != 0)
            fail_msg("%s: %s: %.*s", c->client, err_name(rc), SLICE_ARG(d.r.refusal.message));
        same(desk_text(&d), c->provider);
        same(desk_dropped(&d), c->dropped ? c->dropped : "");
    } else {
        if (rc != ERR_UNSUPPORTED && rc != ERR_BAD_TYPE)
            fail_msg("%s: %s", c->client, err_name(rc));
        same(d.r.refusal.param, c->dropped);
        assert_true(d.r.refusal.message.len > 0);
    }
    desk_close(&d);
}

// Of no model in particular.
static inline void check_request(const struct request_case *c,
                                 int (*write)(struct canon_request *, struct slice,
                                              struct json_writer *))
{
    check_request_for("claude", c, write);
}

// Every ceiling up to the one that suffices: ERR_NOMEM and nothing worse.
static inline void check_memory(int (*run)(struct desk *d))
{
    for (size_t ceiling = 0;; ceiling += BLOCK_BYTES) {
        struct desk d;
        desk_open(&d, ceiling);
        int rc = run(&d);
        desk_close(&d);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
        assert_true(ceiling < DESK_BYTES);
    }
}

#endif
