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
// nghttp2 (1.52, streams without RFC 7540's priorities) queues a DATA frame by hanging it on its
// stream and then growing a queue; when that is refused it frees the frame and leaves it hanging,
// and deleting the session frees it again. A client could lead its connection there by filling it
// to the bound. So what is freed first after a refused growth is kept until the session is gone:
// such a refusal ends the session anyway.
#include "base/assert.h"
#include "h2/h2_internal.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

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

static void *get_new(size_t size, void *user)
{
    struct h2_memory *m = user;
    return fits(m, 0, size) ? counted(m, malloc(size)) : NULL;
}

static void *get_zeroed_new(size_t count, size_t size, void *user)
{
    struct h2_memory *m = user;
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    return fits(m, 0, count * size) ? counted(m, calloc(count, size)) : NULL;
}

static void give_back(struct h2_memory *m, void *ptr)
{
    size_t size = ptr ? malloc_usable_size(ptr) : 0;
    ASSERT(m->bytes >= size);
    m->bytes -= size;
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

static void *resize_new(void *ptr, size_t size, void *user)
{
    struct h2_memory *m = user;
    size_t before = ptr ? malloc_usable_size(ptr) : 0;
    void *moved = fits(m, before, size) ? realloc(ptr, size) : NULL;
    if (!moved) {
        m->refused = true;
        return NULL;
    }
    m->bytes -= before;
    return counted(m, moved);
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
