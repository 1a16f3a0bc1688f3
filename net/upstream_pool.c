// SPDX-License-Identifier: Apache-2.0
//
// upstream_pool.c: the connections of one origin on one core.
//
// A slot is the right to have one connection; the core's share of conns_max is their number. It is
// held from before the name is resolved until the close begins, whether the connection is busy or
// idle, and moves from a dead connection to its replacement. Who finds neither an idle connection
// nor a free slot waits, in the order of arrival; what frees (a connection or a slot) is handed to
// the first, so that nobody who comes later can take it.
//
//     release ──► first waiter, else idle list (newest first), else closed (idle_max, age, drain)
//     close   ──► slot to the first waiter, else back; the last slot frees the pool
//
// Reuse is LIFO: the few connections a quiet hour needs stay warm, the rest reach idle_ms and
// close; those of a burst, which were released beside LIMIT_UPSTREAM_WARM others, sooner.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "net/upstream_internal.h"
#include <stdlib.h>

struct waiter {
    struct list link;
    struct fiber *fiber;
    struct upstream_conn *conn; // what was handed over: a connection …
    bool granted;               // … or a slot
};

// ---- Pools -----------------------------------------------------------------------------------

static struct origin_pool *make(struct upstream_core *side, struct origin *o)
{
    struct origin_pool *p = calloc(1, sizeof(*p) + o->key.len);
    if (!p)
        return NULL;
    p->side = side;
    p->origin = origin_get(o);
    list_init(&p->idle);
    list_init(&p->waiters);
    list_init(&p->h2);
    list_init(&p->h2_waiters);
    p->key_len = o->key.len;
    memcpy(p->key, o->key.ptr, o->key.len);
    if (map_put(&side->core->origins, slice_of(p->key, p->key_len), p) != 0) {
        origin_put(p->origin);
        free(p);
        return NULL;
    }
    return p;
}

struct origin_pool *origin_pool__find(struct upstream_core *side, struct origin *o)
{
    struct origin_pool *p = map_get(&side->core->origins, o->key);
    if (!p)
        return make(side, o);
    if (p->origin != o) { // reloaded: the new limits count from now on
        origin_get(o);
        origin_put(p->origin);
        p->origin = o;
    }
    return p;
}

void origin_pool__free_unused(struct origin_pool *p)
{
    if (p->slots > 0 || p->waiting > 0 || p->h2_waiting > 0)
        return;
    ASSERT(list_empty(&p->idle) && list_empty(&p->waiters) && list_empty(&p->h2));
    void *removed = map_remove(&p->side->core->origins, slice_of(p->key, p->key_len));
    ASSERT(removed == p);
    origin_put(p->origin);
    free(p);
}

// ---- Slots and waiters -----------------------------------------------------------------------

// conns_max is the process's: the cores' shares add up to it, or to one a core when it is fewer
// than they are. One counter for all would have idle connections of one core refused to another,
// and mail to take them back.
unsigned origin_pool__slots_max(const struct origin_pool *p)
{
    const struct net_core *c = p->side->core;
    unsigned cores = c->shared->cores, all = p->origin->conns_max;
    unsigned share = all / cores + (c->index < all % cores);
    return share > 0 ? share : 1;
}

static struct waiter *next_waiter(struct origin_pool *p)
{
    struct list *l = list_pop_front(&p->waiters);
    return l ? container_of(l, struct waiter, link) : NULL;
}

void origin_pool__slot_free(struct origin_pool *p)
{
    struct waiter *w = NULL;
    ASSERT(p->slots > 0);
    if (p->slots <= origin_pool__slots_max(p))
        w = next_waiter(p);
    if (w) {
        w->granted = true;
        fiber_wake(w->fiber);
        return;
    }
    p->slots--;
    if (p->h2_waiting > 0)
        upstream_h2__dispatch(p);
    origin_pool__free_unused(p);
}

static void begin(struct upstream_conn *u)
{
    upstream_conn__set_state(u, UPSTREAM_SEND);
    ring_timer_clear(u->side->core->ring, &u->timer);
    u->up.reused = true;
}

static int wait_await(struct origin_pool *p, struct fiber *self, struct waiter *w)
{
    int rc = 0;
    w->fiber = self;
    list_push_back(&p->waiters, &w->link);
    p->waiting++;
    while (rc == 0 && !w->conn && !w->granted)
        rc = fiber_park_await(self);
    p->waiting--;
    list_remove(&w->link);
    if (rc == 0)
        return 0;
    // Interrupted: what was handed over meanwhile goes to the next one.
    if (w->conn)
        upstream_conn__close(w->conn);
    else if (w->granted)
        origin_pool__slot_free(p);
    else
        origin_pool__free_unused(p);
    return rc;
}

static struct upstream_conn *take_idle(struct origin_pool *p)
{
    struct list *l = list_pop_front(&p->idle);
    if (!l)
        return NULL;
    p->idle_count--;
    struct upstream_conn *u = container_of(l, struct upstream_conn, idle_link);
    begin(u);
    return u;
}

int origin_pool__take_await(struct origin_pool *p, struct fiber *self, struct upstream_conn **ret)
{
    struct waiter w = {0};
    struct upstream_conn *u = take_idle(p);
    if (!u && p->slots >= origin_pool__slots_max(p)) {
        if (p->waiting >= LIMIT_UPSTREAM_WAITERS)
            return ERR_LIMIT;
        int rc = wait_await(p, self, &w);
        if (rc != 0)
            return rc;
        u = w.conn;
    } else if (!u) {
        p->slots++;
    }
    if (!u) {
        u = upstream_conn__new(p);
        if (!u) {
            origin_pool__slot_free(p);
            return ERR_LIMIT;
        }
    }
    *ret = u;
    return 0;
}

// ---- Idle connections ------------------------------------------------------------------------

void origin_pool__forget_idle(struct upstream_conn *u)
{
    ASSERT(list_linked(&u->idle_link) && u->pool->idle_count > 0);
    list_remove(&u->idle_link);
    u->pool->idle_count--;
}

static void on_idle_too_long(struct ring *ring, struct ring_timer *timer)
{
    (void)ring;
    upstream_conn__close(container_of(timer, struct upstream_conn, timer));
}

void origin_pool__release(struct upstream_conn *u)
{
    struct origin_pool *p = u->pool;
    struct ring *ring = u->side->core->ring;
    struct mono now = ring_now(ring);
    struct mono old = mono_add_ms(u->born, p->origin->age_ms);
    if (u->side->draining || !mono_before(now, old) || p->slots > origin_pool__slots_max(p)) {
        upstream_conn__close(u);
        return;
    }
    struct waiter *w = next_waiter(p);
    if (!w && p->idle_count >= p->origin->idle_max) {
        upstream_conn__close(u);
        return;
    }
    upstream_conn__reset(u);
    upstream_conn__set_state(u, UPSTREAM_IDLE);
    upstream_conn__receive(u);
    if (w) {
        begin(u);
        w->conn = u;
        fiber_wake(w->fiber);
        return;
    }
    unsigned keep_ms = p->origin->idle_ms;
    if (p->idle_count >= LIMIT_UPSTREAM_WARM && keep_ms > LIMIT_UPSTREAM_SURPLUS_MS)
        keep_ms = LIMIT_UPSTREAM_SURPLUS_MS;
    list_push_front(&p->idle, &u->idle_link);
    p->idle_count++;
    ring_timer_set(ring, &u->timer, mono_min(mono_add_ms(now, keep_ms), old), on_idle_too_long);
}
