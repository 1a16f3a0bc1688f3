// SPDX-License-Identifier: Apache-2.0
//
// pool.h: objects of one size, reused; connections live here.
//
// A slab allocator. Objects come from slabs that are in use already, so that what a burst took
// empties again; pool_trim gives back empty slabs that stood unused through a whole period. Born
// with a ceiling in objects. One core only.
#ifndef RINGGATE_BASE_POOL_H
#define RINGGATE_BASE_POOL_H

#include "base/list.h"
#include <stddef.h>

struct pool {
    struct list partial; // slabs with objects out and objects free
    struct list full;    // slabs with all objects out
    struct list empty;   // slabs with none out
    size_t empty_count;
    size_t empty_low; // the least empty_count of this period: what nobody has wanted
    size_t slab_bytes;
    size_t object_bytes;
    size_t live;
    size_t live_max;
};

// The pool must not move afterwards.
void pool_init(struct pool *p, size_t object_bytes, size_t live_max);
void pool_done(struct pool *p);              // asserts that nothing is live
void *pool_get(struct pool *p);              // zeroed; NULL at the ceiling or without memory
void pool_put(struct pool *p, void *object); // NULL is fine
// Gives back slabs that stood empty since the period began, at most `max` of them. True: there are
// more, call again. False: done, and a new period has begun.
bool pool_trim(struct pool *p, size_t max);

#endif
