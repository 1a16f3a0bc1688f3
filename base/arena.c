// SPDX-License-Identifier: Apache-2.0
//
// arena.c: a chain of blocks and a moving pointer.
//
// A block begins with its header; the bytes follow, 16-aligned because malloc's are and the header
// is 16 bytes:
//
//     0        8        16                                     BLOCK_BYTES
//     | next   | bytes  | used ▒▒▒▒▒▒▒▒ | unused, poisoned ░░░░░ |
//                                       ^ arena.next             ^ arena.end
//
// `bytes` is the size of the whole block: BLOCK_BYTES means it came from the pool and returns
// there, anything else is a large one. (A large wish that adds up to exactly BLOCK_BYTES is
// therefore rounded one step up.) When a wish does not fit into the current block a new one is
// taken, and whichever of the two has more room left stays current, so one medium wish cannot waste
// a nearly empty block.
//
// Invariant: [next, end) lies in the first block or is empty.
#include "base/arena.h"
#include "base/assert.h"
#include "base/poison.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_ALIGN ((size_t)16)

struct block {
    struct block *next;
    size_t bytes;
};

#define BLOCK_ROOM (BLOCK_BYTES - sizeof(struct block))

_Static_assert(sizeof(struct block) == ARENA_ALIGN, "a block's bytes start aligned");

static char *block_data(struct block *b)
{
    return (char *)(b + 1);
}

// ---- Large blocks ----------------------------------------------------------------------------

// Four sizes a doubling. They are jemalloc's own, so rounding up to one costs no memory:
//
//     index   0   1   2   3   4   5   6    7    8  …   19
//     kB     40  48  56  64  80  96 112  128  160 … 1024

static unsigned large_index(size_t bytes)
{
    ASSERT(bytes > LARGE_BYTES_MIN && bytes <= LARGE_BYTES_MAX);
    unsigned doubling = 0;
    while (bytes > LARGE_BYTES_MIN << (doubling + 1))
        doubling++;
    unsigned quarter = (unsigned)(4 * (bytes - 1) / (LARGE_BYTES_MIN << doubling)) - 4;
    return doubling * 4 + quarter;
}

static size_t large_size(unsigned index)
{
    ASSERT(index < LARGE_SIZES);
    return (5 + index % 4) * (LARGE_BYTES_MIN / 4) << index / 4;
}

static bool keeps_large(const struct block_pool *pool, size_t bytes)
{
    return bytes > LARGE_BYTES_MIN && bytes <= LARGE_BYTES_MAX && pool->keep_max > 0;
}

// The largest first. Returns what is gained.
static size_t free_large(struct block_pool *pool)
{
    unsigned index = LARGE_SIZES - 1;
    while (!pool->large[index]) {
        ASSERT(index > 0); // there is one
        index--;
    }
    struct block *b = pool->large[index];
    size_t bytes = b->bytes;
    pool->large[index] = b->next;
    pool->large_bytes -= bytes;
    UNPOISON(block_data(b), bytes - sizeof(*b));
    free(b);
    return bytes;
}

bool block_pool_trim_large(struct block_pool *pool, size_t max)
{
    for (; pool->large_low > 0 && max > 0; max--) {
        size_t gained = free_large(pool);
        pool->large_low -= gained < pool->large_low ? gained : pool->large_low;
    }
    if (pool->large_low > 0)
        return true;
    pool->large_low = pool->large_bytes;
    return false;
}

// `bytes` with the header; the block may be larger.
static struct block *large_take(struct block_pool *pool, size_t bytes)
{
    if (!keeps_large(pool, bytes)) {
        struct block *b = malloc(bytes);
        if (b)
            b->bytes = bytes;
        return b;
    }
    unsigned index = large_index(bytes);
    struct block *b = pool->large[index];
    if (b) {
        pool->large[index] = b->next;
        pool->large_bytes -= b->bytes;
        if (pool->large_bytes < pool->large_low)
            pool->large_low = pool->large_bytes;
    } else {
        b = malloc(large_size(index));
        if (!b)
            return NULL;
        b->bytes = large_size(index);
        POISON(block_data(b), b->bytes - sizeof(*b));
    }
    UNPOISON(block_data(b), bytes - sizeof(*b));
    return b;
}

static void large_give(struct block_pool *pool, struct block *b)
{
    if (!keeps_large(pool, b->bytes) || b->bytes > LARGE_KEPT_BYTES - pool->large_bytes) {
        UNPOISON(block_data(b), b->bytes - sizeof(*b));
        free(b);
        return;
    }
    unsigned index = large_index(b->bytes);
    POISON(block_data(b), b->bytes - sizeof(*b));
    b->next = pool->large[index];
    pool->large[index] = b;
    pool->large_bytes += b->bytes;
}

// ---- Pool ------------------------------------------------------------------------------------

void block_pool_init(struct block_pool *pool, size_t keep_max)
{
    *pool = (struct block_pool){.keep_max = keep_max};
}

static void free_spare(struct block_pool *pool)
{
    struct block *b = pool->free;
    pool->free = b->next;
    pool->free_count--;
    UNPOISON(block_data(b), BLOCK_ROOM);
    free(b);
}

void block_pool_done(struct block_pool *pool)
{
    ASSERT(pool->live_count == 0);
    while (pool->free)
        free_spare(pool);
    ASSERT(pool->free_count == 0);
    while (pool->large_bytes > 0)
        free_large(pool);
}

bool block_pool_trim(struct block_pool *pool, size_t max)
{
    for (; pool->free_low > 0 && max > 0; max--) {
        pool->free_low--;
        free_spare(pool);
    }
    if (pool->free_low > 0)
        return true;
    pool->free_low = pool->free_count;
    return false;
}

static struct block *pool_take(struct block_pool *pool)
{
    struct block *b = pool->free;
    if (b) {
        ASSERT(pool->free_count > 0);
        pool->free = b->next;
        if (--pool->free_count < pool->free_low)
            pool->free_low = pool->free_count;
    } else {
        b = malloc(BLOCK_BYTES);
        if (!b)
            return NULL;
        POISON(block_data(b), BLOCK_ROOM);
    }
    pool->live_count++;
    b->bytes = BLOCK_BYTES;
    return b;
}

static void pool_give(struct block_pool *pool, struct block *b)
{
    ASSERT(pool->live_count > 0);
    pool->live_count--;
    if (pool->free_count >= pool->keep_max) {
        UNPOISON(block_data(b), BLOCK_ROOM);
        free(b);
        return;
    }
    POISON(block_data(b), BLOCK_ROOM);
    b->next = pool->free;
    pool->free = b;
    pool->free_count++;
}

// ---- Arena -----------------------------------------------------------------------------------

void arena_init(struct arena *a, struct block_pool *pool, size_t bytes_max)
{
    *a = (struct arena){.pool = pool, .bytes_max = bytes_max};
}

// A larger block may be an announcement: the memory of a body of which nothing has come.
static size_t certain(const struct block *b)
{
    return b->bytes <= LARGE_BYTES_MIN ? b->bytes : 0;
}

static void take_in(struct arena *a, const struct block *b)
{
    a->bytes += b->bytes;
    a->pool->live_bytes += certain(b);
}

static void give_back(struct arena *a, struct block *b)
{
    ASSERT(a->bytes >= b->bytes && a->pool->live_bytes >= certain(b));
    a->bytes -= b->bytes;
    a->pool->live_bytes -= certain(b);
    if (b->bytes == BLOCK_BYTES)
        pool_give(a->pool, b);
    else
        large_give(a->pool, b);
}

void arena_done(struct arena *a)
{
    while (a->blocks) {
        struct block *b = a->blocks;
        a->blocks = b->next;
        give_back(a, b);
    }
    ASSERT(a->bytes == 0);
    a->next = NULL;
    a->end = NULL;
}

static size_t room(const struct arena *a)
{
    return (size_t)(a->end - a->next);
}

void arena_move(struct arena *a, struct block_pool *to)
{
    ASSERT(to->keep_max == 0); // a large one would be kept as if it had one of the kept sizes
    for (const struct block *b = a->blocks; b; b = b->next) {
        ASSERT(a->pool->live_bytes >= certain(b));
        a->pool->live_bytes -= certain(b);
        to->live_bytes += certain(b);
        if (b->bytes == BLOCK_BYTES) {
            ASSERT(a->pool->live_count > 0);
            a->pool->live_count--;
            to->live_count++;
        }
    }
    a->pool = to;
}

// Behind the newest, so that the current block stays first.
static void link_behind(struct arena *a, struct block *b)
{
    if (a->blocks) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = NULL;
        a->blocks = b;
    }
}

void *arena_large(struct arena *a, size_t size)
{
    // One step past the alignment when it would otherwise look like a pooled block.
    size_t extra = size + sizeof(struct block) == BLOCK_BYTES ? ARENA_ALIGN : 0;
    if (a->bytes > a->bytes_max || size > a->bytes_max - a->bytes ||
        a->bytes_max - a->bytes - size < sizeof(struct block) + extra)
        return NULL;
    struct block *b = large_take(a->pool, sizeof(struct block) + size + extra);
    if (!b)
        return NULL;
    take_in(a, b);
    link_behind(a, b);
    return block_data(b);
}

void arena_drop_large(struct arena *a, void *ptr)
{
    if (!ptr)
        return;
    struct block **at = &a->blocks;
    while (*at && block_data(*at) != ptr)
        at = &(*at)->next;
    struct block *b = *at;
    ASSERT(b); // a large block of this arena
    ASSERT(b->bytes != BLOCK_BYTES);
    *at = b->next;
    give_back(a, b);
}

// The wish is the first thing in a fresh block, so it needs no alignment of its own.
static char *alloc_slow(struct arena *a, size_t size)
{
    if (size > BLOCK_ROOM)
        return arena_large(a, size);
    if (a->bytes_max < BLOCK_BYTES || a->bytes > a->bytes_max - BLOCK_BYTES)
        return NULL;
    struct block *b = pool_take(a->pool);
    if (!b)
        return NULL;
    take_in(a, b);
    char *data = block_data(b);
    if (BLOCK_ROOM - size > room(a)) {
        b->next = a->blocks;
        a->blocks = b;
        a->next = data + size;
        a->end = data + BLOCK_ROOM;
    } else {
        link_behind(a, b);
    }
    UNPOISON(data, size);
    return data;
}

static char *alloc(struct arena *a, size_t size, size_t align)
{
    size_t pad = (align - (uintptr_t)a->next % align) % align;
    size_t have = room(a);
    if (!a->next || size > have || have - size < pad)
        return alloc_slow(a, size);
    char *ptr = a->next + pad;
    a->next = ptr + size;
    UNPOISON(ptr, size);
    return ptr;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return alloc(a, size, ARENA_ALIGN);
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *ptr = alloc(a, size, ARENA_ALIGN);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

char *arena_bytes(struct arena *a, size_t size)
{
    return alloc(a, size, 1);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *ptr = arena_bytes(a, s.len);
    if (!ptr)
        return SLICE_EMPTY;
    if (s.len > 0)
        memcpy(ptr, s.ptr, s.len);
    return slice_of(ptr, s.len);
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return SLICE_EMPTY;
    char *ptr = arena_bytes(a, (size_t)len + 1);
    if (!ptr)
        return SLICE_EMPTY;
    va_start(args, format);
    vsnprintf(ptr, (size_t)len + 1, format, args);
    va_end(args);
    return slice_of(ptr, (size_t)len);
}
