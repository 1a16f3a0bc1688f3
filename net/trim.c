// SPDX-License-Identifier: Apache-2.0
//
// trim.c: memory that stood unused goes back.
//
// A core keeps what it may need again: stacks, blocks, slabs, pages, receive buffers. Each keeper
// knows the least it had free during a period (its low-water mark); that much nobody has wanted,
// and at the period's end it is given back. So a steady load keeps what it uses, and a burst's
// memory is gone two periods after it.
//
//     net_trim_soon ─► wait TRIM_PERIOD_MS ─► slice, 1 ms, slice, … ─► anything left? ─► wait again
//          ▲                                                                  │ no
//          └──────── an exchange or a connection begins or ends ◄── asleep ◄──┘
//
// A slice is small enough for a turn of well under a millisecond. An idle core does not wake: the
// timer sleeps when there is nothing left to give back.
#include "base/assert.h"
#include "base/heap.h"
#include "net/net_internal.h"
#include "net/upstream_internal.h"

#define TRIM_PERIOD_MS 2000
#define TRIM_SLICE_MS  1
// A stack costs a system call of a microsecond or more, the others a free().
#define STACKS_A_SLICE 64
#define BLOCKS_A_SLICE 256
#define LARGE_A_SLICE  64
#define SLABS_A_SLICE  64
#define PAGES_A_SLICE  32

// One keeper a step. A slice of each: true when it has more.

static bool trim_stacks(struct net_core *c)
{
    return fiber_sched_trim(c->fibers, STACKS_A_SLICE);
}

static bool trim_blocks(struct net_core *c)
{
    return block_pool_trim(&c->blocks, BLOCKS_A_SLICE);
}

static bool trim_large(struct net_core *c)
{
    return block_pool_trim_large(&c->blocks, LARGE_A_SLICE);
}

static bool trim_conns(struct net_core *c)
{
    return pool_trim(&c->conns, SLABS_A_SLICE);
}

static bool trim_h2_conns(struct net_core *c)
{
    return pool_trim(&c->h2_conns, SLABS_A_SLICE);
}

static bool trim_h2_exchanges(struct net_core *c)
{
    return pool_trim(&c->h2_exchanges, SLABS_A_SLICE);
}

static bool trim_upstreams(struct net_core *c)
{
    return pool_trim(&c->upstreams, SLABS_A_SLICE);
}

static bool trim_upstream_h2_conns(struct net_core *c)
{
    return pool_trim(&c->upstream->h2_conns, SLABS_A_SLICE);
}

static bool trim_upstream_h2_calls(struct net_core *c)
{
    return pool_trim(&c->upstream->h2_calls, SLABS_A_SLICE);
}

static bool trim_sends(struct net_core *c)
{
    return pool_trim(&c->upstream->sends, SLABS_A_SLICE);
}

static bool trim_pages(struct net_core *c)
{
    return page_pool_trim(&c->upstream->pages, PAGES_A_SLICE);
}

static bool (*const steps[])(struct net_core *) = {trim_stacks,
                                                   trim_blocks,
                                                   trim_large,
                                                   trim_conns,
                                                   trim_h2_conns,
                                                   trim_h2_exchanges,
                                                   trim_upstreams,
                                                   trim_upstream_h2_conns,
                                                   trim_upstream_h2_calls,
                                                   trim_sends,
                                                   trim_pages};

static bool anything_left(const struct net_core *c)
{
    return fiber_sched_trimmable(c->fibers) || c->blocks.free_count > 0 ||
           c->blocks.large_bytes > 0 || c->conns.empty_count > 0 || c->h2_conns.empty_count > 0 ||
           c->h2_exchanges.empty_count > 0 || c->upstreams.empty_count > 0 ||
           c->upstream->h2_conns.empty_count > 0 || c->upstream->h2_calls.empty_count > 0 ||
           c->upstream->sends.empty_count > 0 || c->upstream->pages.free_count > 0;
}

static void on_trim(struct ring *ring, struct ring_timer *timer)
{
    struct net_core *c = container_of(timer, struct net_core, trim_timer);
    if (!steps[c->trim_step](c))
        c->trim_step++;
    if (c->trim_step < ARRAY_LEN(steps)) {
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), TRIM_SLICE_MS), on_trim);
        return;
    }
    c->trim_step = 0;
    bool bufs = ring_bufs_trim(c->client_bufs);
    bufs = ring_bufs_trim(c->upstream_bufs) || bufs;
    if (bufs || anything_left(c))
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), TRIM_PERIOD_MS), on_trim);
    else
        heap_rest();
}

void net__trim_soon(struct net_core *c)
{
    if (!ring_timer_is_set(&c->trim_timer))
        ring_timer_set(c->ring, &c->trim_timer, mono_add_ms(ring_now(c->ring), TRIM_PERIOD_MS),
                       on_trim);
}
