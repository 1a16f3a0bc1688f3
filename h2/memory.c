// SPDX-License-Identifier: Apache-2.0
//
// memory.c: what nghttp2 allocates for a connection, counted and bounded.
//
// nghttp2 has bounds of its own for most of what a peer can make it keep, version by version. This
// one stands behind all of them: whatever a client thinks of, its connection holds no more than
// H2_MEMORY_MAX, and what is held is known to tests and metrics.
//
// What counts is what the allocator set aside, which it knows itself (malloc_usable_size): a size
// kept in front of each allocation would push nghttp2's own, which are powers of two and one whole
// frame, into the next larger class, some 1.5 kB a connection.
//
// A connection that is silent holds pages that say nothing: what the last frames left in the buffer
// they were written in, and a table without a stream in it, which is all zeros. When it has rested
// for a while both go back to the kernel (h2__memory_rest), 8 kB of the 16 that it would cost. The
// session does not notice: a private page given back reads as zeros. So the buffer begins a page.
//
// nghttp2 (1.52, streams without RFC 7540's priorities) queues a DATA frame by hanging it on its
// stream and then growing a queue; when that is refused it frees the frame and leaves it hanging,
// and deleting the session frees it again. A client could lead its connection there by filling it
// to the bound. So what is freed first after a refused growth is kept until the session is gone:
// such a refusal ends the session anyway.
#include "base/assert.h"
#include "base/heap.h"
#include "h2/h2_internal.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

// What is allocated as large is the buffer for one frame, which comes with the session.
#define FRAME_BYTES_MIN ((size_t)16 * 1024)

// May `more` bytes come in the place of `before`?
static bool fits(const struct h2_memory *m, size_t before, size_t more)
{
    size_t others = m->bytes - before;
    return more <= m->max && others <= m->max - more;
}

static void *counted(struct h2_memory *m, void *ptr)
{
    m->bytes += ptr ? malloc_usable_size(ptr) : 0;
    return ptr;
}

static void *frame_new(struct h2_memory *m, size_t size)
{
    size = (size + HEAP_PAGE_BYTES - 1) & ~(HEAP_PAGE_BYTES - 1);
    m->frame = fits(m, 0, size) ? counted(m, aligned_alloc(HEAP_PAGE_BYTES, size)) : NULL;
    m->frame_bytes = size;
    return m->frame;
}

static void *get_new(size_t size, void *user)
{
    struct h2_memory *m = user;
    if (size >= FRAME_BYTES_MIN && !m->frame)
        return frame_new(m, size);
    return fits(m, 0, size) ? counted(m, malloc(size)) : NULL;
}

static void *get_zeroed_new(size_t count, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    void *ptr = fits(m, 0, count * size) ? counted(m, calloc(count, size)) : NULL;
    if (count * size >= HEAP_PAGE_BYTES && ptr && !m->table) {
        m->table = ptr;
        m->table_bytes = count * size;
    }
    return ptr;
}

// `ptr` is no longer what it was.
static void forget(struct h2_memory *m, const void *ptr)
{
    if (ptr && ptr == m->frame)
        m->frame = NULL;
    if (ptr && ptr == m->table)
        m->table = NULL;
}

static void give_back(struct h2_memory *m, void *ptr)
{
    size_t size = ptr ? malloc_usable_size(ptr) : 0;
    ASSERT(m->bytes >= size);
    m->bytes -= size;
    forget(m, ptr);
    free(ptr);
}

static void put(void *ptr, void *user)
{
    struct h2_memory *m = user;
    if (!ptr || ptr == m->kept)
        return;
    if (!m->refused) {
        give_back(m, ptr);
        return;
    }
    m->refused = false;
    give_back(m, m->kept);
    m->kept = ptr;
}

// The growth of something, from nothing perhaps, was refused.
static void *refused(struct h2_memory *m)
{
    m->refused = true;
    return NULL;
}

static void *resize_new(void *ptr, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (!ptr) {
        void *made = get_new(size, user);
        return made ? made : refused(m);
    }
    size_t before = malloc_usable_size(ptr);
    if (!fits(m, before, size))
        return refused(m);
    forget(m, ptr);
    void *moved = realloc(ptr, size);
    if (!moved)
        return refused(m);
    m->bytes -= before;
    return counted(m, moved);
}

static bool is_zero(const char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, HEAP_PAGE_BYTES - 1) == 0;
}

void h2__memory_rest(struct h2_memory *m, bool frame)
{
    if (frame && m->frame)
        heap_forget(m->frame, m->frame_bytes);
    size_t skip = m->table ? (size_t)(-(uintptr_t)m->table & (HEAP_PAGE_BYTES - 1)) : 0;
    for (; m->table && skip + HEAP_PAGE_BYTES <= m->table_bytes; skip += HEAP_PAGE_BYTES)
        if (is_zero(m->table + skip))
            heap_forget(m->table + skip, HEAP_PAGE_BYTES);
}

nghttp2_mem h2__memory(struct h2_memory *m)
{
    return (nghttp2_mem){.mem_user_data = m,
                         .malloc = get_new,
                         .free = put,
                         .calloc = get_zeroed_new,
                         .realloc = resize_new};
}

void h2__memory_done(struct h2_memory *m)
{
    give_back(m, m->kept);
    m->kept = NULL;
}
