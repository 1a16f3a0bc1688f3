// SPDX-License-Identifier: Apache-2.0
//
// h2_begin.c: from a request's head to the gateway, which begins it.
//
// A request costs little until it begins: then it has a fiber, is looked at by everything that
// looks at requests, and has a line in the log. One connection can bring a hundred in a single
// read, and take each of them back in the next frame (rapid reset). So a head that has come waits
// here until the whole read has been looked at: what its own client has taken back by then never
// begins.
//
//     on_head ─► arrived ──┬── read is over, turns' shares ──► on_request
//                          └── reset, connection lost ───────► gone, counted
//
// What begins in one turn is bounded, for a connection and for the core: a burst of requests delays
// its own, not the streams that are running. What is left over begins in the next turns, each
// connection's share in its turn; those that come meanwhile stand behind it.
#include "base/assert.h"
#include "net/h2_internal.h"

void h2_begin__add(struct h2_exchange *x)
{
    ASSERT(!x->served && !list_linked(&x->arrived));
    list_push_back(&x->conn->arrived, &x->arrived);
}

// Up to a share of them.
static void begin_some(struct h2_conn *h)
{
    struct net_core *core = h->conn->stream.core;
    struct list *l;
    for (unsigned n = H2_BEGUN_A_READ; n > 0 && core->h2_begin.left > 0; n--) {
        if ((l = list_pop_front(&h->arrived)) == NULL)
            return;
        struct h2_exchange *x = container_of(l, struct h2_exchange, arrived);
        core->h2_begin.left--;
        x->served = true;
        core->server->on_request(core->server, &x->stream);
    }
}

// True: some are left. A session that is over has nobody to answer: its exchanges end with it.
static bool begin_share(struct h2_conn *h)
{
    if (h2_session_over(&h->server))
        return false;
    begin_some(h);
    return !list_empty(&h->arrived);
}

void h2_begin__read(struct h2_conn *h)
{
    if (!list_linked(&h->waiting) && begin_share(h))
        list_push_back(&h->conn->stream.core->h2_begin.waiting, &h->waiting);
}

void h2_begin__drop(struct h2_conn *h)
{
    list_remove(&h->waiting);
}

// Every connection that waits, once; whoever got nothing stands before those that did.
static void on_waiting(struct ring *ring, struct ring_task *task)
{
    struct net_core *core = container_of(task, struct net_core, h2_begin.task);
    struct list had, *l;
    (void)ring;
    list_init(&had);
    while (core->h2_begin.left > 0 && (l = list_pop_front(&core->h2_begin.waiting)) != NULL) {
        if (begin_share(container_of(l, struct h2_conn, waiting)))
            list_push_back(&had, l);
    }
    while ((l = list_pop_front(&had)) != NULL)
        list_push_back(&core->h2_begin.waiting, l);
}

static void on_turn_end(struct ring *ring, struct ring_hook *hook)
{
    struct net_core *core = container_of(hook, struct net_core, h2_begin.hook);
    core->h2_begin.left = H2_BEGUN_A_TURN;
    if (!list_empty(&core->h2_begin.waiting) && !core->h2_begin.task.link.next)
        ring_defer(ring, &core->h2_begin.task, on_waiting);
}

void net__h2_begin_init(struct net_core *c)
{
    list_init(&c->h2_begin.waiting);
    c->h2_begin.left = H2_BEGUN_A_TURN;
    ring_hook_add(c->ring, &c->h2_begin.hook, on_turn_end);
}

void net__h2_begin_done(struct net_core *c)
{
    ASSERT(list_empty(&c->h2_begin.waiting));
    list_remove(&c->h2_begin.hook.link);
    ring_undefer(c->ring, &c->h2_begin.task);
}
