// SPDX-License-Identifier: Apache-2.0
//
// map.c: entries in insertion order, found through an index of positions.
//
//     index   [ 0 | 3 | 0 | 1 | 2 | 0 | 0 | 0 ]     twice as many slots as entries: probes are
//     short
//                   │       │   │
//     entries [ a:… | b:… | c:… |   free      ]     dense, in the order they came
//
// A slot holds an entry's position + 1. Removal clears the entry's value and leaves its slot, so
// probing past it goes on; its key is not looked at again (its owner may be gone). When the entries
// are used up the map is rebuilt: in place of the same size if half of it was removed entries,
// doubled otherwise. Slots are compared by the full 64-bit hash before the bytes.
#include "base/map.h"
#include "base/assert.h"
#include "base/err.h"
#include <endian.h>
#include <stdlib.h>

#define MAP_CAP_MIN 8
// Positions are 32 bits; nothing in a gateway comes near.
#define MAP_CAP_MAX ((size_t)1 << 30)

// ---- SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012) -------------

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

uint64_t map_hash(const uint64_t seed[2], struct slice key)
{
    struct sip s = {
        .v0 = seed[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = seed[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = seed[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = seed[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = key.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, key.ptr + i, 8);
        sip_word(&s, le64toh(word));
    }
    uint64_t last = (uint64_t)key.len << 56;
    for (size_t i = whole; i < key.len; i++)
        last |= (uint64_t)(unsigned char)key.ptr[i] << (8 * (i & 7));
    sip_word(&s, last);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

// ---- Map -------------------------------------------------------------------------------------

void map_init(struct map *m, const uint64_t seed[2])
{
    *m = (struct map){.seed = {seed[0], seed[1]}};
}

void map_done(struct map *m)
{
    free(m->entries);
    free(m->index);
    *m = (struct map){.seed = {m->seed[0], m->seed[1]}};
}

// The slot where the entry is, or the empty slot where the probe ended. The index is never full.
static size_t probe(const struct map *m, uint64_t hash, struct slice key)
{
    size_t mask = m->cap * 2 - 1;
    size_t slot = (size_t)hash & mask;
    while (m->index[slot] != 0) {
        const struct map_entry *e = &m->entries[m->index[slot] - 1];
        if (e->value && e->hash == hash && slice_eq(e->key, key))
            return slot;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static struct map_entry *find(const struct map *m, struct slice key)
{
    if (m->live == 0)
        return NULL;
    size_t slot = probe(m, map_hash(m->seed, key), key);
    return m->index[slot] ? &m->entries[m->index[slot] - 1] : NULL;
}

void *map_get(const struct map *m, struct slice key)
{
    const struct map_entry *e = find(m, key);
    return e ? e->value : NULL;
}

static void index_add(struct map *m, size_t position)
{
    size_t mask = m->cap * 2 - 1;
    size_t slot = (size_t)m->entries[position].hash & mask;
    while (m->index[slot] != 0)
        slot = (slot + 1) & mask;
    m->index[slot] = (uint32_t)(position + 1);
}

static int rebuild(struct map *m)
{
    size_t cap = m->cap;
    if (cap == 0)
        cap = MAP_CAP_MIN;
    else if (m->live > cap / 2)
        cap *= 2;
    if (cap > MAP_CAP_MAX)
        return ERR_NOMEM;
    struct map_entry *entries = malloc(cap * sizeof(*entries));
    uint32_t *index = calloc(cap * 2, sizeof(*index));
    if (!entries || !index) {
        free(entries);
        free(index);
        return ERR_NOMEM;
    }
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++) {
        if (m->entries[i].value)
            entries[count++] = m->entries[i];
    }
    ASSERT(count == m->live);
    free(m->entries);
    free(m->index);
    m->entries = entries;
    m->index = index;
    m->cap = cap;
    m->count = count;
    for (size_t i = 0; i < count; i++)
        index_add(m, i);
    return 0;
}

int map_put(struct map *m, struct slice key, void *value)
{
    ASSERT(value);
    struct map_entry *e = find(m, key);
    if (e) {
        e->key = key; // the new value may own the new key
        e->value = value;
        return 0;
    }
    if (m->count == m->cap) {
        int err = rebuild(m);
        if (err)
            return err;
    }
    ASSERT(m->count < m->cap);
    m->entries[m->count] =
        (struct map_entry){.key = key, .hash = map_hash(m->seed, key), .value = value};
    index_add(m, m->count);
    m->count++;
    m->live++;
    return 0;
}

void *map_remove(struct map *m, struct slice key)
{
    struct map_entry *e = find(m, key);
    if (!e)
        return NULL;
    void *value = e->value;
    e->value = NULL;
    e->key = SLICE_EMPTY;
    m->live--;
    return value;
}

struct map_entry *map_next(const struct map *m, size_t *position)
{
    while (*position < m->count) {
        struct map_entry *e = &m->entries[(*position)++];
        if (e->value)
            return e;
    }
    return NULL;
}
