// SPDX-License-Identifier: Apache-2.0
//
// ring_timer.c: a hierarchical wheel with 1 ms ticks.
//
// A timer's tick is its time rounded up to a millisecond; the wheel's tick is the time rounded
// down. Firing when the first is not after the second can therefore never be early.
//
// A timer lives on the level of the highest group of 6 bits in which its tick differs from the
// wheel's, in the slot that group names:
//
//     tick       … 000010 110001 000111
//     wheel.tick … 000010 010100 111010        highest difference: level 1, slot 0b110001
//
//     level 0: the 64 ticks of the present 64 · level 1: 64 runs of 64 ticks · level 2: …
//
// Within its level a timer's slot is always ahead of the wheel's own, so slots never wrap, the
// earliest slot is a count of trailing zeros in the level's bitmap, and every timer of a lower
// level is earlier than any of a higher one. When the wheel reaches a slot of a higher level its
// timers are placed again, lower down; a timer moves at most seven times in its life.
//
// Invariant: bit s of occupied[l] is set exactly when slots[l][s] is not empty.
#include "base/assert.h"
#include "ring/ring_internal.h"

#define SLOT_BITS 6
#define SLOT_MASK ((uint64_t)RING__WHEEL_SLOTS - 1)

void ring__timers_init(struct ring *r)
{
    struct ring__wheel *w = &r->wheel;
    w->tick = (uint64_t)(r->now.ns / NS_PER_MS);
    for (int level = 0; level < RING__WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (int slot = 0; slot < RING__WHEEL_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
    list_init(&w->due);
    list_init(&w->firing);
}

static uint64_t tick_of(struct mono when)
{
    if (when.ns <= 0)
        return 0;
    return (uint64_t)(when.ns / NS_PER_MS) + (when.ns % NS_PER_MS != 0);
}

static void place(struct ring__wheel *w, struct ring_timer *t)
{
    uint64_t tick = tick_of(t->when);
    if (tick <= w->tick) {
        list_push_back(&w->due, &t->link);
        return;
    }
    unsigned level = (63 - (unsigned)__builtin_clzll(tick ^ w->tick)) / SLOT_BITS;
    ASSERT(level < RING__WHEEL_LEVELS);
    unsigned slot = (unsigned)((tick >> (level * SLOT_BITS)) & SLOT_MASK);
    list_push_back(&w->slots[level][slot], &t->link);
    w->occupied[level] |= UINT64_C(1) << slot;
}

// A link alone on its list has the list's head on both sides; if that head is a slot, its bit goes.
static void forget_slot(struct ring__wheel *w, const struct list *l)
{
    const struct list *first = &w->slots[0][0];
    const struct list *end = first + RING__WHEEL_LEVELS * RING__WHEEL_SLOTS;
    if (l->next != l->prev || l->next < first || l->next >= end)
        return;
    size_t index = (size_t)(l->next - first);
    w->occupied[index / RING__WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % RING__WHEEL_SLOTS));
}

void ring_timer_clear(struct ring *r, struct ring_timer *t)
{
    if (!ring_timer_is_set(t))
        return;
    forget_slot(&r->wheel, &t->link);
    ring__unlink(&t->link);
}

void ring_timer_set(struct ring *r, struct ring_timer *t, struct mono when,
                    void (*fn)(struct ring *, struct ring_timer *))
{
    ASSERT(fn);
    ring_timer_clear(r, t);
    t->when = when;
    t->fn = fn;
    // What is due within the present millisecond does not wait for the next.
    if (mono_before(r->now, when))
        place(&r->wheel, t);
    else
        list_push_back(&r->wheel.due, &t->link);
}

struct slot_position {
    unsigned level;
    unsigned slot;
    uint64_t start; // its first tick
};

static bool first_slot(const struct ring__wheel *w, struct slot_position *ret)
{
    for (unsigned level = 0; level < RING__WHEEL_LEVELS; level++) {
        if (w->occupied[level] == 0)
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(w->occupied[level]);
        uint64_t above = w->tick >> ((level + 1) * SLOT_BITS);
        ret->level = level;
        ret->slot = slot;
        ret->start = ((above << SLOT_BITS) | slot) << (level * SLOT_BITS);
        ASSERT(ret->start > w->tick);
        return true;
    }
    return false;
}

struct mono ring__timers_next(const struct ring *r)
{
    const struct ring__wheel *w = &r->wheel;
    if (!list_empty(&w->due))
        return (struct mono){.ns = 0};
    struct slot_position at;
    if (!first_slot(w, &at) || at.start > (uint64_t)(INT64_MAX / NS_PER_MS))
        return MONO_NEVER;
    return (struct mono){.ns = (int64_t)at.start * NS_PER_MS};
}

// Moves the wheel to `tick`; what has come due is on `due` afterwards.
static void advance(struct ring__wheel *w, uint64_t tick)
{
    struct slot_position at;
    while (first_slot(w, &at) && at.start <= tick) {
        struct list *head = &w->slots[at.level][at.slot];
        w->tick = at.start;
        w->occupied[at.level] &= ~(UINT64_C(1) << at.slot);
        for (struct list *l; (l = list_pop_front(head));)
            place(w, container_of(l, struct ring_timer, link));
    }
    if (w->tick < tick)
        w->tick = tick;
}

void ring__timers_run(struct ring *r)
{
    struct ring__wheel *w = &r->wheel;
    advance(w, (uint64_t)(r->now.ns / NS_PER_MS));
    // A callback may set timers that are due already: they fire in the next turn, or a timer that
    // sets itself again would keep this one for ever.
    ASSERT(list_empty(&w->firing));
    for (struct list *l; (l = list_pop_front(&w->due));)
        list_push_back(&w->firing, l);
    while (!list_empty(&w->firing)) {
        struct ring_timer *t = container_of(w->firing.next, struct ring_timer, link);
        ASSERT(!mono_before(r->now, t->when));
        ring__unlink(&t->link);
        t->fn(r, t);
    }
}
