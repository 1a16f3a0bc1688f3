// SPDX-License-Identifier: Apache-2.0
//
// ring_bufs.c: groups of receive buffers, lent to the kernel and to readers.
//
// Each buffer is in one of three places; with incremental buffers the first two overlap:
//
//                     completion                      last loan put
//     ┌────────┐ ───────────────────► ┌──────┐ ─────────────────────► back in the kernel's ring
//     │ KERNEL │                      │ LENT │
//     └────────┘ ◄─────────────────── └──────┘
//
// Without IOU_PBUF_RING_INC (Linux 6.12) a completion takes the whole buffer out of the kernel's
// ring. With it the kernel goes on writing behind what it delivered and says so by
// IORING_CQE_F_BUF_MORE; the buffer leaves the ring with the completion that lacks that flag.
// Either way it goes back when the kernel has let go of it and no loan is left:
//
//     buffer  [ loan, put | loan, held | loan, held | kernel writes here … ]
//             0                                     ^ used
//
// A receiver that met -ENOBUFS waits. Waking all of them for one returned buffer makes all but one
// fail again, so while buffers are scarce a turn wakes as many receivers as there are buffers, in
// the order they came; when a quarter is free it wakes everybody.
#include "base/assert.h"
#include "base/err.h"
#include "ring/ring_internal.h"
#include <stdlib.h>
#include <sys/mman.h>

// The kernel's limit for a buffer ring.
#define BUFS_COUNT_MAX 32768

struct buf_state {
    uint32_t refs;  // loans
    uint32_t used;  // bytes the kernel has delivered since it got the buffer
    bool in_kernel; // the kernel may still write into it
};

struct ring_bufs {
    struct ring *ring;
    struct io_uring_buf_ring *entries;
    char *memory;
    unsigned count;
    unsigned buffer_bytes;
    unsigned free; // in the kernel's ring
    uint16_t group;
    bool taken; // something was received since the last trim
    bool dirty; // memory may have pages
    struct list waiters;
    struct ring_timer wake; // due at once: gathers what comes back within a turn
    struct buf_state state[];
};

// ---- Life ------------------------------------------------------------------------------------

static void lend(struct ring_bufs *b, unsigned index)
{
    ASSERT(index < b->count);
    ASSERT(!b->state[index].in_kernel && b->state[index].refs == 0);
    b->state[index] = (struct buf_state){.in_kernel = true};
    b->free++;
    io_uring_buf_ring_add(b->entries, b->memory + (size_t)index * b->buffer_bytes, b->buffer_bytes,
                          (unsigned short)index, io_uring_buf_ring_mask(b->count), 0);
    io_uring_buf_ring_advance(b->entries, 1);
}

static size_t memory_bytes(const struct ring_bufs *b)
{
    return (size_t)b->count * b->buffer_bytes;
}

int ring_bufs_new(struct ring *r, unsigned count, unsigned buffer_bytes,
                  struct ring_bufs **ret_bufs)
{
    ASSERT(count > 0 && count <= BUFS_COUNT_MAX && (count & (count - 1)) == 0);
    ASSERT(buffer_bytes > 0 && r->groups < UINT16_MAX);
    struct ring_bufs *b = calloc(1, sizeof(*b) + count * sizeof(b->state[0]));
    if (!b)
        return ERR_NOMEM;
    int err = ERR_NOMEM;
    b->ring = r;
    b->count = count;
    b->buffer_bytes = buffer_bytes;
    list_init(&b->waiters);
    void *memory =
        mmap(NULL, memory_bytes(b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        goto out;
    b->memory = memory;
    int rc = 0;
    unsigned flags = r->features.incremental_buffers ? IOU_PBUF_RING_INC : 0;
    b->entries = io_uring_setup_buf_ring(&r->uring, count, r->groups, flags, &rc);
    if (!b->entries) {
        err = rc == -ENOMEM ? ERR_NOMEM : ERR_SYSTEM;
        goto out;
    }
    b->group = r->groups++;
    for (unsigned i = 0; i < count; i++)
        lend(b, i);
    *ret_bufs = b;
    return 0;
out:
    ring_bufs_free(b);
    return err;
}

void ring_bufs_free(struct ring_bufs *b)
{
    if (!b)
        return;
    ASSERT(list_empty(&b->waiters));
    for (unsigned i = 0; i < b->count; i++)
        ASSERT(b->state[i].refs == 0);
    ring_timer_clear(b->ring, &b->wake);
    if (b->entries)
        io_uring_free_buf_ring(&b->ring->uring, b->entries, b->count, b->group);
    if (b->memory)
        munmap(b->memory, memory_bytes(b));
    free(b);
}

bool ring_bufs_low(const struct ring_bufs *b)
{
    return b->free < (b->count + 3) / 4;
}

// The kernel writes into a buffer only inside io_uring_enter of this thread (DEFER_TASKRUN), and
// what it wrote is a completion: when none waits and no loan is out, every byte is dead.
bool ring_bufs_trim(struct ring_bufs *b)
{
    bool idle = !b->taken && b->free == b->count && io_uring_cq_ready(&b->ring->uring) == 0;
    b->taken = false;
    for (unsigned i = 0; i < b->count && idle && b->dirty; i++)
        idle = b->state[i].refs == 0;
    if (idle && b->dirty)
        b->dirty = madvise(b->memory, memory_bytes(b), MADV_DONTNEED) != 0;
    return b->dirty;
}

uint16_t ring__bufs_group(const struct ring_bufs *b)
{
    return b->group;
}

// ---- Waiting for buffers ---------------------------------------------------------------------

static void wake_waiters(struct ring *r, struct ring_timer *t)
{
    struct ring_bufs *b = container_of(t, struct ring_bufs, wake);
    // Those who wait now: a waiter that waits again in its callback has its next chance later.
    struct list woken;
    list_init(&woken);
    unsigned n = ring_bufs_low(b) ? b->free : UINT32_MAX;
    for (struct list *l; n > 0 && (l = list_pop_front(&b->waiters)); n--)
        list_push_back(&woken, l);
    for (struct list *l; (l = list_pop_front(&woken));) {
        struct ring_bufs_waiter *waiter = container_of(l, struct ring_bufs_waiter, link);
        waiter->fn(r, waiter);
    }
    // Whoever was woken may not have wanted its buffer after all: nobody is left behind.
    if (!list_empty(&b->waiters) && b->free > 0)
        ring_timer_set(r, &b->wake, ring_now(r), wake_waiters);
}

static void wake_soon(struct ring_bufs *b)
{
    if (!list_empty(&b->waiters) && b->free > 0 && !ring_timer_is_set(&b->wake))
        ring_timer_set(b->ring, &b->wake, ring_now(b->ring), wake_waiters);
}

void ring_bufs_wait(struct ring_bufs *b, struct ring_bufs_waiter *waiter)
{
    ASSERT(waiter->fn);
    ASSERT(!list_linked(&waiter->link));
    list_push_back(&b->waiters, &waiter->link);
    wake_soon(b); // buffers may have come back since the receive failed
}

void ring_bufs_unwait(struct ring_bufs_waiter *waiter)
{
    list_remove(&waiter->link);
}

// ---- Loans -----------------------------------------------------------------------------------

struct ring_loan ring__bufs_take(struct ring_bufs *b, int res, unsigned flags)
{
    ASSERT(b);
    ASSERT(flags & IORING_CQE_F_BUFFER);
    unsigned index = flags >> IORING_CQE_BUFFER_SHIFT;
    ASSERT(index < b->count);
    struct buf_state *s = &b->state[index];
    ASSERT(s->in_kernel);
    b->taken = true;
    b->dirty = true;
    uint32_t len = res > 0 ? (uint32_t)res : 0;
    char *ptr = b->memory + (size_t)index * b->buffer_bytes + s->used;
    ASSERT(len <= b->buffer_bytes - s->used);
    s->used += len;
    if (!(flags & IORING_CQE_F_BUF_MORE)) {
        ASSERT(b->free > 0);
        s->in_kernel = false;
        b->free--;
    }
    if (len == 0) {
        if (!s->in_kernel && s->refs == 0)
            lend(b, index);
        return (struct ring_loan){0};
    }
    s->refs++;
    return (struct ring_loan){.ptr = ptr, .len = len, .buffer = (uint16_t)index, .bufs = b};
}

struct ring_loan ring_loan_share(const struct ring_loan *l, uint32_t offset, uint32_t len)
{
    ASSERT(l->bufs);
    ASSERT(offset <= l->len && len <= l->len - offset);
    struct buf_state *s = &l->bufs->state[l->buffer];
    ASSERT(s->refs > 0);
    s->refs++;
    struct ring_loan part = *l;
    part.ptr += offset;
    part.len = len;
    return part;
}

void ring_loan_put(struct ring_loan *l)
{
    struct ring_bufs *b = l->bufs;
    if (!b)
        return;
    unsigned index = l->buffer;
    struct buf_state *s = &b->state[index];
    ASSERT(s->refs > 0);
    *l = (struct ring_loan){0};
    s->refs--;
    if (s->refs > 0 || s->in_kernel)
        return;
    lend(b, index);
    wake_soon(b);
}
