// SPDX-License-Identifier: Apache-2.0
//
// map.h: from a byte string to a pointer.
//
// Open addressing, SipHash-1-3 keyed by a per-process secret (names come from clients and
// configuration: an attacker must not be able to choose collisions). Keys are borrowed and must
// outlive the entry. Iteration is in insertion order. Not thread-safe; a finished map may be read
// by every core.
#ifndef RINGGATE_BASE_MAP_H
#define RINGGATE_BASE_MAP_H

#include "base/slice.h"

struct map_entry {
    struct slice key;
    uint64_t hash;
    void *value; // NULL marks a removed entry
};

struct map {
    struct map_entry *entries; // insertion order
    uint32_t *index;           // 0 empty, else entry + 1
    size_t count;              // entries used, removed ones included
    size_t live;
    size_t cap;
    uint64_t seed[2];
};

// The hash by itself: SipHash-1-3 of `key`, as strong as its secret seed. Pure.
uint64_t map_hash(const uint64_t seed[2], struct slice key);

void map_init(struct map *m, const uint64_t seed[2]);
void map_done(struct map *m);
void *map_get(const struct map *m, struct slice key);      // NULL when absent
int map_put(struct map *m, struct slice key, void *value); // replaces; 0 or ERR_NOMEM
void *map_remove(struct map *m, struct slice key);         // what was there, or NULL
// for (size_t i = 0; (e = map_next(m, &i));) in insertion order
struct map_entry *map_next(const struct map *m, size_t *position);

#endif
