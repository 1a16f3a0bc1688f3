// SPDX-License-Identifier: Apache-2.0
//
// canon.c: what every dialect's reader and writer needs: growing the lists, reporting, and the one
// conversion of thinking between an effort and a number of tokens.

#include "codec/canon.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

// ---- Lists -----------------------------------------------------------------------------------

static int take_part(struct arena *arena, unsigned *parts, size_t bytes, void *ret_part)
{
    if (*parts >= CANON_PARTS_MAX)
        return ERR_LIMIT;
    void *part = arena_zalloc(arena, bytes);
    if (!part)
        return ERR_NOMEM;
    ++*parts;
    *(void **)ret_part = part;
    return 0;
}

int canon_add_message(struct canon_request *r, struct canon_message ***tail,
                      struct canon_message **ret)
{
    struct canon_message *m;
    int rc = take_part(r->arena, &r->parts, sizeof(*m), &m);
    if (rc)
        return rc;
    **tail = m;
    *tail = &m->next;
    *ret = m;
    return 0;
}

int canon_add_tool(struct canon_request *r, struct canon_tool ***tail, struct canon_tool **ret)
{
    struct canon_tool *t;
    int rc = take_part(r->arena, &r->parts, sizeof(*t), &t);
    if (rc)
        return rc;
    **tail = t;
    *tail = &t->next;
    *ret = t;
    return 0;
}

int canon_add_block(struct arena *arena, unsigned *parts, struct canon_block ***tail,
                    struct canon_block **ret)
{
    struct canon_block *b;
    int rc = take_part(arena, parts, sizeof(*b), &b);
    if (rc)
        return rc;
    **tail = b;
    *tail = &b->next;
    *ret = b;
    return 0;
}

int canon_add_member(struct arena *arena, struct canon_member **list, struct slice name,
                     struct slice value)
{
    struct canon_member *m = arena_zalloc(arena, sizeof(*m));
    if (!m)
        return ERR_NOMEM;
    m->name = name;
    m->value = value;
    while (*list)
        list = &(*list)->next;
    *list = m;
    return 0;
}

// ---- Reporting -------------------------------------------------------------------------------

void canon_drop(struct canon_request *r, struct slice name)
{
    unsigned count = 0;

    if (name.len == 0) // a client may have named it so
        name = SLICE("\"\"");
    for (const struct canon_member *m = r->dropped; m; m = m->next, count++)
        if (slice_eq(m->name, name))
            return;
    if (count < CANON_DROPPED_MAX)
        (void)canon_add_member(r->arena, &r->dropped, name, SLICE_EMPTY);
}

int canon_note_inner(struct canon_request *r, struct slice of, struct slice name)
{
    unsigned count = 0;

    for (const struct canon_member *m = r->inner; m; m = m->next)
        count++;
    if (count == CANON_DROPPED_MAX)
        return 0;
    struct slice path = arena_printf(r->arena, "%.*s.%.*s", SLICE_ARG(of), SLICE_ARG(name));
    return path.ptr ? canon_add_member(r->arena, &r->inner, path, SLICE_EMPTY) : ERR_NOMEM;
}

void canon_drop_inner(struct canon_request *r)
{
    for (const struct canon_member *m = r->inner; m; m = m->next)
        canon_drop(r, m->name);
}

int canon_refuse(struct canon_request *r, int err, struct slice param, const char *format, ...)
{
    char text[256];
    va_list args;

    ASSERT(err < 0);
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    r->refusal.param = param;
    r->refusal.message = arena_copy(r->arena, slice_of(text, len));
    if (!r->refusal.message.ptr)
        r->refusal.message = SLICE("the request cannot be translated for this provider");
    return err;
}

// ---- Thinking --------------------------------------------------------------------------------

#define BUDGET_MIN 1024

// Shares in thousandths, so that the arithmetic is exact.
static const struct {
    struct slice effort;
    uint64_t share;
} efforts[] = {
    {SLICE("minimal"), 25}, {SLICE("low"), 150},   {SLICE("medium"), 425},
    {SLICE("high"), 800},   {SLICE("xhigh"), 950},
};

uint64_t canon_budget_of_effort(struct slice effort, uint64_t max_tokens)
{
    if (max_tokens <= BUDGET_MIN)
        return 0;
    if (max_tokens > UINT32_MAX)
        max_tokens = UINT32_MAX;
    for (size_t i = 0; i < ARRAY_LEN(efforts); i++)
        if (slice_eq(efforts[i].effort, effort))
            return BUDGET_MIN + (max_tokens - BUDGET_MIN) * efforts[i].share / 1000;
    return 0;
}

struct slice canon_effort_of_budget(uint64_t budget, uint64_t max_tokens)
{
    // Halfway between two efforts' shares, in ten-thousandths.
    enum { LOW_UP_TO = 2875, MEDIUM_UP_TO = 6125 };

    if (max_tokens > UINT32_MAX)
        max_tokens = UINT32_MAX;
    if (budget <= BUDGET_MIN)
        return SLICE("low");
    if (budget >= max_tokens)
        return SLICE("high");
    uint64_t share = (budget - BUDGET_MIN) * 10000 / (max_tokens - BUDGET_MIN);
    if (share <= LOW_UP_TO)
        return SLICE("low");
    return share <= MEDIUM_UP_TO ? SLICE("medium") : SLICE("high");
}
