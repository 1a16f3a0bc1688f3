// SPDX-License-Identifier: Apache-2.0
//
// pool.c: slabs cut into objects.
//
// A slab is a power of two of bytes, aligned to its own size, so the slab of an object is found by
// masking its address and no object carries a header. Each slab chains its own free objects and
// counts those that are out; a slab is on one of three lists:
//
//     slab, aligned to its size                              get            last object out
//     | header | object | object | … | object | rest |   EMPTY ───► PARTIAL ───► FULL
//                  └ free ones are chained through              ◄───         ◄───
//                    their first word                       last one back   put
//
// A free object is poisoned but for that word.
#include "base/pool.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/poison.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Small enough that an almost idle core wastes little, large enough that malloc is rare.
#define SLAB_BYTES_MIN   ((size_t)16384)
#define SLAB_OBJECTS_MIN ((size_t)8)
#define OBJECT_ALIGN     ((size_t)16)

struct free_object {
    struct free_object *next;
};

struct slab {
    struct list link;
    struct free_object *free;
    size_t used;
};

_Static_assert(sizeof(struct slab) % OBJECT_ALIGN == 0, "objects start aligned");

static struct slab *slab_of(const struct pool *p, const void *object)
{
    return (struct slab *)((uintptr_t)object & ~(uintptr_t)(p->slab_bytes - 1));
}

void pool_init(struct pool *p, size_t object_bytes, size_t live_max)
{
    ASSERT(object_bytes > 0 && object_bytes < SIZE_MAX / 64);
    size_t rounded = (object_bytes + OBJECT_ALIGN - 1) & ~(OBJECT_ALIGN - 1);
    *p = (struct pool){.object_bytes = rounded, .live_max = live_max, .slab_bytes = SLAB_BYTES_MIN};
    while (p->slab_bytes < sizeof(struct slab) + SLAB_OBJECTS_MIN * rounded)
        p->slab_bytes *= 2;
    list_init(&p->partial);
    list_init(&p->full);
    list_init(&p->empty);
}

static void free_push(struct pool *p, struct slab *s, void *object)
{
    struct free_object *f = object;
    f->next = s->free;
    s->free = f;
    POISON((char *)object + sizeof(*f), p->object_bytes - sizeof(*f));
}

static struct slab *grow(struct pool *p)
{
    struct slab *s = aligned_alloc(p->slab_bytes, p->slab_bytes);
    if (!s)
        return NULL;
    s->used = 0;
    s->free = NULL;
    // From the end, so that objects are handed out in rising order.
    size_t n = (p->slab_bytes - sizeof(*s)) / p->object_bytes;
    for (size_t i = n; i-- > 0;)
        free_push(p, s, (char *)(s + 1) + i * p->object_bytes);
    list_push_front(&p->partial, &s->link);
    return s;
}

// A slab with an object to give, on the list of partial ones.
static struct slab *slab_with_free(struct pool *p)
{
    if (!list_empty(&p->partial))
        return container_of(p->partial.next, struct slab, link);
    struct list *l = list_pop_front(&p->empty);
    if (!l)
        return grow(p);
    ASSERT(p->empty_count > 0);
    if (--p->empty_count < p->empty_low)
        p->empty_low = p->empty_count;
    list_push_front(&p->partial, l);
    return container_of(l, struct slab, link);
}

void *pool_get(struct pool *p)
{
    struct slab *s = p->live < p->live_max ? slab_with_free(p) : NULL;
    if (!s)
        return NULL;
    struct free_object *f = s->free;
    s->free = f->next;
    s->used++;
    p->live++;
    if (!s->free) {
        list_remove(&s->link);
        list_push_front(&p->full, &s->link);
    }
    UNPOISON(f, p->object_bytes);
    memset(f, 0, p->object_bytes);
    return f;
}

void pool_put(struct pool *p, void *object)
{
    if (!object)
        return;
    struct slab *s = slab_of(p, object);
    ASSERT(p->live > 0);
    ASSERT(s->used > 0);
    bool was_full = !s->free;
    p->live--;
    s->used--;
    free_push(p, s, object);
    if (s->used > 0 && !was_full)
        return;
    list_remove(&s->link);
    list_push_front(s->used > 0 ? &p->partial : &p->empty, &s->link);
    if (s->used == 0)
        p->empty_count++;
}

static void free_empty(struct pool *p)
{
    struct slab *s = container_of(list_pop_front(&p->empty), struct slab, link);
    ASSERT(s->used == 0);
    p->empty_count--;
    UNPOISON(s, p->slab_bytes);
    free(s);
}

bool pool_trim(struct pool *p, size_t max)
{
    for (; p->empty_low > 0 && max > 0; max--) {
        p->empty_low--;
        free_empty(p);
    }
    if (p->empty_low > 0)
        return true;
    p->empty_low = p->empty_count;
    return false;
}

void pool_done(struct pool *p)
{
    ASSERT(p->live == 0);
    if (!p->object_bytes)
        return; // never made
    while (p->empty_count > 0)
        free_empty(p);
    ASSERT(list_empty(&p->partial) && list_empty(&p->full));
}
