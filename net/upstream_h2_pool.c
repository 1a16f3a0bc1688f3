// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2_pool.c: which connection to a provider takes a call, who opens another, who waits.
//
//     room on a connection ─► there, the oldest first: load gathers, and the rest reaches idle_ms
//     none, one may be opened ─► whoever comes opens it, on its own fiber and deadline
//     else ─► waits its turn
//
// Opening is shared: while a connection is on its way (until the provider's SETTINGS say how much
// it can take) nobody opens another, unless more wait than the provider is known to allow on one.
// What becomes free (a place, a slot) is given to the first who waits and to nobody who comes
// later; a place is promised until its fiber has come for it, and keeps the connection's memory
// until then.
//
// When a connection cannot be opened and there is no other, all who wait for it hear the reason:
// each trying in turn would add up their patience. When its opener has merely left, the next one
// opens.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"

struct waiter {
    struct list link;
    struct fiber *fiber;
    const struct upstream_h2 *avoid;
    struct upstream_h2_place place;
    int err;
    bool granted;
};

static struct upstream_h2 *with_room(const struct origin_pool *p, const struct upstream_h2 *avoid)
{
    for (struct list *l = p->h2.next; l != &p->h2; l = l->next) {
        struct upstream_h2 *h = container_of(l, struct upstream_h2, link);
        if (h != avoid && upstream_h2__has_room(h))
            return h;
    }
    return NULL;
}

static bool may_open(const struct origin_pool *p)
{
    unsigned each = p->h2_limit > 0 ? p->h2_limit : H2_CLIENT_STREAMS_MAX;
    unsigned wanted = (p->h2_waiting + each) / each; // for those and one more
    return p->slots < origin_pool__slots_max(p) && p->h2_opening < wanted;
}

// What there is for one more call. False: nothing yet.
static bool find_place(struct origin_pool *p, const struct upstream_h2 *avoid,
                       struct upstream_h2_place *ret)
{
    struct upstream_h2 *h = NULL;
    if (p->http1) {
        *ret = (struct upstream_h2_place){0};
        return true;
    }
    h = with_room(p, avoid);
    if (!h && may_open(p)) {
        p->slots++;
        p->h2_opening++;
        *ret = (struct upstream_h2_place){.open = true};
        return true;
    }
    if (!h && avoid && p->h2_opening == 0)
        h = with_room(p, NULL);
    if (!h)
        return false;
    h->promised++;
    *ret = (struct upstream_h2_place){.h2 = h};
    return true;
}

static void grant(struct waiter *w)
{
    list_remove(&w->link);
    w->granted = true;
    fiber_wake(w->fiber);
}

void upstream_h2__dispatch(struct origin_pool *p)
{
    while (!list_empty(&p->h2_waiters)) {
        struct waiter *w = container_of(p->h2_waiters.next, struct waiter, link);
        if (!find_place(p, w->avoid, &w->place))
            return;
        grant(w);
    }
}

void upstream_h2__opened(struct origin_pool *p, int rc)
{
    ASSERT(p->h2_opening > 0);
    p->h2_opening--;
    if (rc == 0 || !list_empty(&p->h2) || p->h2_opening > 0) {
        upstream_h2__dispatch(p);
        return;
    }
    while (!list_empty(&p->h2_waiters)) {
        struct waiter *w = container_of(p->h2_waiters.next, struct waiter, link);
        w->err = rc;
        grant(w);
    }
}

void upstream_h2__give_back(struct upstream_h2 *h)
{
    struct upstream_conn *u = h->conn;
    ASSERT(h->promised > 0);
    h->promised--;
    if (u->state == UPSTREAM_CLOSING)
        upstream_conn__finish(u);
    else
        upstream_h2__left(h, false);
}

// An interrupted waiter gives on what it was granted meanwhile.
static void decline(struct origin_pool *p, const struct waiter *w)
{
    if (w->granted && w->place.open) {
        p->h2_opening--;
        origin_pool__slot_free(p); // goes on to the next, or frees the pool
        return;
    }
    if (w->granted && w->place.h2)
        upstream_h2__give_back(w->place.h2);
    upstream_h2__dispatch(p);
    origin_pool__free_unused(p);
}

int upstream_h2__place_await(struct origin_pool *p, struct fiber *self,
                             const struct upstream_h2 *avoid, struct upstream_h2_place *ret)
{
    struct waiter w = {.fiber = self, .avoid = avoid};
    int rc = 0;
    if (list_empty(&p->h2_waiters) && find_place(p, avoid, ret))
        return 0;
    if (p->h2_waiting >= LIMIT_UPSTREAM_WAITERS)
        return ERR_LIMIT;
    list_push_back(&p->h2_waiters, &w.link);
    p->h2_waiting++;
    upstream_h2__dispatch(p); // who waits may be one more than one connection is for
    while (rc == 0 && !w.granted)
        rc = fiber_park_await(self);
    p->h2_waiting--;
    list_remove(&w.link);
    if (rc != 0) {
        decline(p, &w);
        return rc;
    }
    if (w.err != 0) {
        origin_pool__free_unused(p);
        return w.err;
    }
    *ret = w.place;
    return 0;
}
