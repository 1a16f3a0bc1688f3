// SPDX-License-Identifier: Apache-2.0
//
// admit.c: the counters of admit.h.
#include "net/admit.h"

#include "base/assert.h"
#include "net/limits.h"
#include "net/page.h"
#include "net/upstream_internal.h"
#include <arpa/inet.h>

#define V6_PREFIX_BYTES 8

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

static uint64_t hash(uint64_t seed, const unsigned char *bytes, size_t len)
{
    uint64_t h = mix(seed ^ len);
    for (size_t i = 0; i < len; i++)
        h = mix(h ^ bytes[i]);
    return h;
}

// The bytes that are counted as one client.
static size_t identity(const char *peer, unsigned char out[sizeof(struct in6_addr)])
{
    if (inet_pton(AF_INET, peer, out) == 1)
        return sizeof(struct in_addr);
    if (inet_pton(AF_INET6, peer, out) == 1)
        return V6_PREFIX_BYTES;
    size_t len = strnlen(peer, sizeof(struct in6_addr));
    memcpy(out, peer, len);
    return len;
}

uint32_t admit_enter(struct admit_table *t, const char *peer, struct admit_slots *ret_slots)
{
    unsigned char id[sizeof(struct in6_addr)];
    size_t len = identity(peer, id);
    uint32_t least = UINT32_MAX;
    for (unsigned row = 0; row < ADMIT_ROWS; row++) {
        unsigned slot = (unsigned)(hash(t->seed[row] + row, id, len) % ADMIT_SLOTS);
        uint32_t now = 1 + atomic_fetch_add_explicit(&t->count[row][slot], 1, memory_order_relaxed);
        ret_slots->slot[row] = (uint16_t)slot;
        least = now < least ? now : least;
    }
    ret_slots->entered = true;
    return least;
}

void admit_leave(struct admit_table *t, struct admit_slots *slots)
{
    if (!slots->entered)
        return;
    slots->entered = false;
    for (unsigned row = 0; row < ADMIT_ROWS; row++) {
        uint32_t before =
            atomic_fetch_sub_explicit(&t->count[row][slots->slot[row]], 1, memory_order_relaxed);
        ASSERT(before > 0);
    }
}

// ---- Memory ----------------------------------------------------------------------------------

void admit_bytes_add(struct net_core *c, size_t bytes)
{
    c->body_bytes += bytes;
    atomic_fetch_add_explicit(&c->shared->body_bytes, bytes, memory_order_relaxed);
}

void admit_bytes_sub(struct net_core *c, size_t bytes)
{
    ASSERT(bytes <= c->body_bytes);
    c->body_bytes -= bytes;
    atomic_fetch_sub_explicit(&c->shared->body_bytes, bytes, memory_order_relaxed);
}

uint64_t admit_memory(const struct net_core *c)
{
    uint64_t pages = c->upstream ? c->upstream->pages.live : 0;
    return c->body_bytes + c->blocks.live_bytes + pages * PAGE_BYTES;
}

bool admit_is_full(const struct net_core *c)
{
    return atomic_load_explicit(&c->shared->body_bytes, memory_order_relaxed) >
               LIMIT_BODY_IN_FLIGHT ||
           (c->options.memory_max > 0 && admit_memory(c) > c->options.memory_max);
}
