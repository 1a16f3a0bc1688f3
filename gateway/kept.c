// SPDX-License-Identifier: Apache-2.0
//
// kept.c: pieces that double, and what does not fit in them.

#include "gateway/kept.h"
#include "base/assert.h"

#define PIECE_BYTES_MIN ((size_t)512)
#define PIECE_BYTES_MAX ((size_t)64 * 1024)

struct kept_piece {
    struct kept_piece *next;
    size_t len, cap;
    char bytes[];
};

_Static_assert(PIECE_BYTES_MIN > sizeof(struct kept_piece), "a piece holds something");

void kept_init(struct kept *k, struct arena *arena, size_t *of_core)
{
    *k = (struct kept){.arena = arena, .of_core = of_core};
}

void kept_done(struct kept *k)
{
    if (!k || !k->of_core)
        return;
    ASSERT(*k->of_core >= k->taken);
    *k->of_core -= k->taken;
    k->of_core = NULL;
}

bool kept_reserve(struct kept *k, size_t bytes)
{
    ASSERT(*k->of_core <= KEPT_CORE_BYTES_MAX);
    if (bytes > KEPT_CORE_BYTES_MAX - *k->of_core)
        return false;
    *k->of_core += bytes;
    k->taken += bytes;
    return true;
}

static struct kept_piece *add_piece(struct kept *k, size_t bytes)
{
    size_t size = k->last ? 2 * (k->last->cap + sizeof(*k->last)) : PIECE_BYTES_MIN;

    if (size > PIECE_BYTES_MAX)
        size = PIECE_BYTES_MAX;
    if (size < bytes + sizeof(struct kept_piece))
        size = bytes + sizeof(struct kept_piece);
    if (!kept_reserve(k, size))
        return NULL;
    struct kept_piece *p = arena_alloc(k->arena, size);
    if (!p)
        return NULL;
    *p = (struct kept_piece){.cap = size - sizeof(*p)};
    if (k->last)
        k->last->next = p;
    else
        k->first = p;
    k->last = p;
    return p;
}

// A piece with room for so many bytes in a row; NULL: no more is kept.
static struct kept_piece *room(struct kept *k, size_t bytes)
{
    struct kept_piece *p = k->last;

    if (bytes > KEPT_BYTES_MAX - k->bytes)
        p = NULL;
    else if (!p || bytes > p->cap - p->len)
        p = add_piece(k, bytes);
    k->cut = !p;
    return p;
}

static void took(struct kept *k, struct kept_piece *p, size_t bytes)
{
    ASSERT(bytes <= p->cap - p->len);
    p->len += bytes;
    k->bytes += bytes;
}

void kept_event(struct kept *k, struct slice event)
{
    if (k->cut)
        return;
    k->folded = true;
    struct kept_piece *p = room(k, event.len + FOLD_HEAD_BYTES);
    if (p)
        took(k, p, fold_add(&k->fold, event, p->bytes + p->len));
}

void kept_run(struct kept *k, struct slice run)
{
    while (run.len > 0 && !k->cut) {
        const char *end = memchr(run.ptr, '\n', run.len);
        ASSERT(end && end + 1 < run.ptr + run.len);
        struct slice event = slice_take(run, (size_t)(end + 2 - run.ptr));
        kept_event(k, event);
        run = slice_skip(run, event.len);
    }
}

void kept_span(struct kept *k, struct slice span)
{
    while (span.len > 0 && !k->cut) {
        struct kept_piece *p = k->last && k->last->len < k->last->cap ? k->last : room(k, 1);
        if (!p)
            return;
        size_t some = p->cap - p->len;
        if (some > KEPT_BYTES_MAX - k->bytes)
            some = KEPT_BYTES_MAX - k->bytes;
        if (some > span.len)
            some = span.len;
        k->cut = some == 0;
        memcpy(p->bytes + p->len, span.ptr, some);
        took(k, p, some);
        span = slice_skip(span, some);
    }
}

struct slice kept_join(struct kept *k)
{
    size_t len = 0;

    if (!k->first || !k->first->next)
        return k->first ? slice_of(k->first->bytes, k->first->len) : SLICE_EMPTY;
    char *all = arena_large(k->arena, k->bytes);
    if (!all) {
        k->cut = true;
        return SLICE_EMPTY;
    }
    for (const struct kept_piece *p = k->first; p; p = p->next) {
        memcpy(all + len, p->bytes, p->len);
        len += p->len;
    }
    ASSERT(len == k->bytes);
    return slice_of(all, len);
}
