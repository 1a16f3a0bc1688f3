// SPDX-License-Identifier: Apache-2.0
//
// page.c: see page.h. A free list; under AddressSanitizer what lies on it is poisoned, so that a
// span used after body_put is caught at its first byte.
#include "net/page.h"

#include "base/assert.h"
#include "base/poison.h"
#include <stdlib.h>

void page_pool_init(struct page_pool *p, unsigned keep_max, unsigned live_max)
{
    ASSERT(live_max > 0);
    *p = (struct page_pool){.keep_max = keep_max, .live_max = live_max};
}

static void free_spare(struct page_pool *p)
{
    struct page *page = p->free;
    p->free = page->next;
    p->free_count--;
    UNPOISON(page->data, PAGE_BYTES);
    free(page);
}

void page_pool_done(struct page_pool *p)
{
    ASSERT(p->live == 0);
    while (p->free)
        free_spare(p);
    ASSERT(p->free_count == 0);
}

bool page_pool_trim(struct page_pool *p, unsigned max)
{
    for (; p->free_low > 0 && max > 0; max--) {
        p->free_low--;
        free_spare(p);
    }
    if (p->free_low > 0)
        return true;
    p->free_low = p->free_count;
    return false;
}

struct page *page_get(struct page_pool *p)
{
    struct page *page = NULL;
    if (p && p->live == p->live_max)
        return NULL;
    if (p && p->free) {
        page = p->free;
        p->free = page->next;
        if (--p->free_count < p->free_low)
            p->free_low = p->free_count;
        UNPOISON(page->data, PAGE_BYTES);
    } else {
        page = malloc(sizeof(*page));
        if (!page)
            return NULL;
    }
    if (p)
        p->live++;
    page->next = NULL;
    page->start = 0;
    page->used = 0;
    return page;
}

void page_put(struct page_pool *p, struct page *page)
{
    if (!page)
        return;
    ASSERT(page->start <= page->used && page->used <= PAGE_BYTES);
    if (!p) {
        free(page);
        return;
    }
    ASSERT(p->live > 0);
    p->live--;
    if (p->free_count >= p->keep_max) {
        free(page);
        return;
    }
    POISON(page->data, PAGE_BYTES);
    page->next = p->free;
    p->free = page;
    p->free_count++;
}

void page_put_all(struct page_pool *p, struct page *first)
{
    while (first) {
        struct page *next = first->next;
        page_put(p, first);
        first = next;
    }
}
