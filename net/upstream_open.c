// SPDX-License-Identifier: Apache-2.0
//
// upstream_open.c: from a provider's name to a connection that can take a request.
//
// Straight-line code on the caller's fiber. The origin's connect_ms bounds all of it, name, proxy
// and TLS, by moving the fiber's own deadline nearer. dial.c finds the socket; a handshake that
// fails is the provider's last word.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"

int upstream_conn__shake_await(struct upstream_conn *u, struct fiber *self)
{
    int rc = 0;
    upstream_conn__set_state(u, UPSTREAM_HANDSHAKE);
    u->caller = self;
    upstream_conn__start_handshake(u);
    while (u->state == UPSTREAM_HANDSHAKE && u->err == 0 && rc == 0)
        rc = fiber_park_await(self);
    u->caller = NULL;
    return rc != 0 ? rc : u->err;
}

// The session with the provider, inside the one with its proxy if there is such a one.
static int begin_tls(struct upstream_conn *u, const struct origin *o)
{
    struct tls *tls = NULL;
    int rc =
        u->tls ? tls_new_inside(o->tls, o->host, u->tls, &tls) : tls_new(o->tls, o->host, &tls);
    if (rc != 0)
        return rc;
    if (!u->tls)
        tls_set_pages(tls, &u->side->pages);
    u->tls = tls;
    bool offers = o->http != ORIGIN_HTTP1 && !u->pool->http1 && !u->upgrade;
    return offers ? tls_offer_h2(u->tls) : 0;
}

static int handshake_await(struct upstream_conn *u, struct fiber *self, struct origin *o)
{
    struct net_core *core = u->side->core;
    int rc = begin_tls(u, o);
    if (rc == 0)
        rc = upstream_conn__shake_await(u, self);
    if (rc != 0)
        return rc;
    counter_add(&core->stats.upstream_handshakes, 1);
    if (tls_resumed(u->tls))
        counter_add(&core->stats.upstream_resumptions, 1);
    return 0;
}

static int open_until_await(struct upstream_conn *u, struct fiber *self, struct origin *o)
{
    upstream_conn__set_state(u, UPSTREAM_CONNECT);
    int rc = dial_await(u->side, self, o, &u->fd);
    if (rc != 0)
        return rc;
    counter_add(&u->side->core->stats.upstream_connects, 1);
    if (o->proxy && o->proxy->tls) {
        rc = upstream_proxy__pass_await(u, self, o);
        if (rc != 0 || !o->tls)
            return rc;
    }
    if (o->tls)
        return handshake_await(u, self, o);
    upstream_conn__set_state(u, UPSTREAM_SEND);
    upstream_conn__receive(u);
    return 0;
}

static bool is_late(int rc)
{
    return rc == ERR_DEADLINE || rc == ERR_CONNECT_TIMEOUT || rc == ERR_PROXY_TIMEOUT;
}

int upstream_conn__open_await(struct upstream_conn *u, struct fiber *self, struct origin *o)
{
    struct mono before = fiber_deadline(self);
    struct mono own = mono_add_ms(ring_now(u->side->core->ring), o->connect_ms);
    struct mono limit = mono_min(before, own);
    ASSERT(u->state == UPSTREAM_RESOLVE && u->fd < 0);
    fiber_set_deadline(self, limit);
    int rc = open_until_await(u, self, o);
    fiber_set_deadline(self, before);
    if (!is_late(rc))
        return rc;
    // Whose time was it?
    if (fiber_interrupted(self) != 0)
        return ERR_DEADLINE;
    return rc == ERR_PROXY_TIMEOUT ? rc : ERR_CONNECT_TIMEOUT;
}
