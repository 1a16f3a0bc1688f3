// SPDX-License-Identifier: Apache-2.0
//
// page.h: memory of one size for bytes on their way, reused; one core's.
//
// A page holds one full TLS record, sealed or open, or bytes copied out of a ring buffer that had
// to go back. Pages are taken when bytes are there and given back when they have gone on, so a
// silent stream owns none. Not zeroed: 16 kB of zeroes would cost as much as sealing them.
//
//     data:  [ gone | start … used ) bytes [ room ]
//
// Born with a ceiling (live_max); what a burst took beyond keep_max goes back to the allocator at
// once, and what stood unused through a whole period with page_pool_trim. A
// NULL pool means the allocator itself: for tests and tools that have no core.
#ifndef RINGGATE_NET_PAGE_H
#define RINGGATE_NET_PAGE_H

#include "base/slice.h"
#include <stdbool.h>

// The greatest plaintext of a TLS record, and room for header, nonce, padding and tag around it.
#define PAGE_RECORD_BYTES 16384
#define PAGE_BYTES        (PAGE_RECORD_BYTES + 448)

struct page {
    struct page *next;
    uint32_t start;
    uint32_t used;
    char data[PAGE_BYTES];
};

struct page_pool {
    struct page *free;
    unsigned free_count;
    unsigned free_low; // the least free_count of this period
    unsigned keep_max;
    unsigned live;
    unsigned live_max;
};

void page_pool_init(struct page_pool *p, unsigned keep_max, unsigned live_max);
void page_pool_done(struct page_pool *p); // asserts that nothing is live

// Gives back pages that stood unused since the period began, at most `max` of them. True: there are
// more, call again. False: done, and a new period has begun.
bool page_pool_trim(struct page_pool *p, unsigned max);

struct page *page_get(struct page_pool *p); // empty; NULL at the ceiling or without memory
void page_put(struct page_pool *p, struct page *page);      // NULL is fine
void page_put_all(struct page_pool *p, struct page *first); // a chain by `next`

static inline struct slice page_bytes(const struct page *page)
{
    return slice_of(page->data + page->start, page->used - page->start);
}

static inline size_t page_room(const struct page *page)
{
    return PAGE_BYTES - page->used;
}

#endif
