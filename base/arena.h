// SPDX-License-Identifier: Apache-2.0
//
// arena.h: the memory of one exchange, given back whole.
//
// An arena is a chain of blocks; allocation moves a pointer. The first blocks come from the core's
// `block_pool` (BLOCK_BYTES each, kept for reuse), larger wishes get a block of their own. Nothing
// is freed singly except a large block through arena_drop_large: a request body is given back when
// the answer has committed and no retry can need it any more.
//
//     arena ──► [block 4 kB | used ▒▒▒▒░░░░] ──► [block 4 kB ▒▒▒▒▒▒] ──► [large 64 kB]
//
// Born with a ceiling: past `bytes_max` arena_alloc returns NULL, which callers turn into
// ERR_NOMEM. Under AddressSanitizer the unused tail is poisoned. One core only.
#ifndef RINGGATE_BASE_ARENA_H
#define RINGGATE_BASE_ARENA_H

#include "base/slice.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define BLOCK_BYTES 4096

struct block;

// Large blocks between these sizes, header included, are kept for reuse as well: the memory of long
// prompts. The allocator takes locks and searches for them, and what it finds is in no cache.
// Smaller ones it keeps for each thread by itself; larger ones cost more to fill than to get.
#define LARGE_BYTES_MIN ((size_t)32 * 1024)
#define LARGE_BYTES_MAX ((size_t)1024 * 1024)
#define LARGE_SIZES     20
// Of one core. A burst of long prompts must not decide what the process holds from then on.
#define LARGE_KEPT_BYTES ((size_t)16 * 1024 * 1024)

// Blocks of one core, reused. `keep_max` bounds the free list: what a burst took beyond it goes
// back to the allocator at once, and what stood unused through a whole period with
// block_pool_trim. A pool with keep_max 0 keeps no large ones either.
struct block_pool {
    struct block *free;
    size_t free_count;
    size_t free_low; // the least free_count of this period
    size_t keep_max;
    size_t live_count; // handed out now; for tests and metrics
    size_t live_bytes; // the same and blocks up to LARGE_BYTES_MIN: those are filled once taken
    struct block *large[LARGE_SIZES];
    size_t large_bytes; // of all of those
    size_t large_low;   // the least large_bytes of this period
};

struct arena {
    struct block_pool *pool;
    struct block *blocks; // newest first; large ones are linked behind the newest
    char *next;
    char *end;
    size_t bytes;     // taken from pool and allocator
    size_t bytes_max; // ceiling
};

void block_pool_init(struct block_pool *pool, size_t keep_max);
void block_pool_done(struct block_pool *pool); // asserts that nothing is live

// Gives back blocks that stood unused since the period began, at most `max` of them. True: there
// are more, call again. False: done, and a new period has begun.
bool block_pool_trim(struct block_pool *pool, size_t max);

// The same for the large blocks.
bool block_pool_trim_large(struct block_pool *pool, size_t max);

// Takes nothing until the first allocation.
void arena_init(struct arena *a, struct block_pool *pool, size_t bytes_max);
void arena_done(struct arena *a); // gives every block back; the arena may be init'ed again

// From here on the arena takes from `to` and gives everything back there, what it holds included:
// for memory that another thread is about to work in. `to` keeps no blocks (keep_max 0).
void arena_move(struct arena *a, struct block_pool *to);

// 16-byte aligned (arena_alloc) or unaligned (arena_bytes). NULL past the ceiling. Size 0 is fine.
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
char *arena_bytes(struct arena *a, size_t size);
// A block of its own whatever the size; give it back early with arena_drop_large.
void *arena_large(struct arena *a, size_t size);
void arena_drop_large(struct arena *a, void *ptr);
// Copies; ret.ptr is NULL past the ceiling (and only then, also for an empty source).
struct slice arena_copy(struct arena *a, struct slice s);
struct slice arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
