// SPDX-License-Identifier: Apache-2.0
//
// upstream.c: one request to a provider, told in order.
//
//     find the pool ─► take a connection ─► open it when it is fresh ─► send ─► head of the answer
//                            ▲                                              │ ended without a byte
//                            └───── a fresh one, once, in the same slot ◄───┘ and came from the
//                            pool
//
// The kernel holds the caller's iovecs only inside upstream_call_await: it returns when the request
// is sent, or when sending was stopped. An answer that begins earlier is received meanwhile;
// sending is stopped for it when the provider has refused (status 300 and above), has ended its
// answer, or goes on with it without reading us (our credit is full, or LIMIT_UPSTREAM_STALL_MS
// have passed without a byte sent): whoever answers well has seen what it wanted to see.
//
// Files and their division of labour: upstream_internal.h.
#include "base/assert.h"
#include "base/err.h"
#include "net/dns.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "net/upstream_internal.h"
#include <stdlib.h>

// Pages kept for reuse: a megabyte and a half a core.
#define PAGES_KEEP 96

// ---- A core's part ---------------------------------------------------------------------------

int upstream__core_init(struct net_core *c)
{
    struct upstream_core *side = calloc(1, sizeof(*side));
    uint64_t seed[2] = {prng_next(&c->prng), prng_next(&c->prng)};
    if (!side)
        return ERR_NOMEM;
    side->core = c;
    pool_init(&side->h2_conns, sizeof(struct upstream_h2), LIMIT_UPSTREAM_CONNECTIONS);
    pool_init(&side->h2_calls, sizeof(struct upstream_h2_call), LIMIT_UPSTREAM_CALLS);
    pool_init(&side->sends, sizeof(struct upstream_send), LIMIT_UPSTREAM_CONNECTIONS);
    page_pool_init(&side->pages, PAGES_KEEP, LIMIT_UPSTREAM_PAGES);
    side->dial_delay_ms = DIAL_DELAY_MS;
    list_init(&side->conns);
    list_init(&side->lenders);
    pool_init(&c->upstreams, sizeof(struct upstream_conn), LIMIT_UPSTREAM_CONNECTIONS);
    map_init(&c->origins, seed);
    c->upstream = side;
    return c->dns ? 0 : dns_new(c, &c->dns);
}

void upstream__core_drain(struct net_core *c)
{
    struct upstream_core *side = c->upstream;
    if (!side)
        return;
    side->draining = true;
    for (struct list *l = side->conns.next, *next; l != &side->conns; l = next) {
        struct upstream_conn *u = container_of(l, struct upstream_conn, link);
        next = l->next;
        if (u->state == UPSTREAM_IDLE)
            upstream_conn__close(u);
        else if (u->state == UPSTREAM_H2)
            upstream_h2__drain(u->h2);
    }
}

bool upstream__core_idle(const struct net_core *c)
{
    return !c->upstream || list_empty(&c->upstream->conns);
}

void upstream__core_done(struct net_core *c)
{
    struct upstream_core *side = c->upstream;
    if (!side)
        return;
    ASSERT(upstream__core_idle(c));
    dns_free(c->dns);
    c->dns = NULL;
    map_done(&c->origins);
    pool_done(&c->upstreams);
    pool_done(&side->sends);
    pool_done(&side->h2_calls);
    pool_done(&side->h2_conns);
    page_put(NULL, side->h2_plain);
    page_pool_done(&side->pages);
    free(side);
    c->upstream = NULL;
}

// ---- A call ----------------------------------------------------------------------------------

// No byte of an answer can come any more; why?
static int ended_early(const struct upstream_conn *u)
{
    return u->answered ? ERR_UPSTREAM_TRUNCATED : ERR_UPSTREAM_CLOSED;
}

// The answer has begun and the request is not all sent: is sending on worth it?
static bool sending_is_vain(const struct upstream_conn *u)
{
    size_t held = u->inbox.bytes;
    if (u->up.head.status >= 300 || u->eof || u->broken || u->err != 0 || u->paused)
        return true;
    if (u->framing.framing == H1_CHUNKED)
        return u->send_stalled || upstream_inbox__is_whole(u);
    return u->send_stalled || u->framing.complete ||
           (u->framing.framing == H1_LENGTH && held >= u->framing.left);
}

// Until the head is there. Leaves the send as it is.
static int head_await(struct upstream_conn *u, struct fiber *self)
{
    while (!u->head_done) {
        if (u->err != 0)
            return u->err;
        if (u->eof || u->broken)
            return ended_early(u);
        int rc = fiber_park_await(self);
        if (rc != 0)
            return rc;
    }
    return 0;
}

// Until the kernel holds nothing of the request.
static int sent_await(struct upstream_conn *u, struct fiber *self)
{
    while (!upstream_conn__sent(u)) {
        if (sending_is_vain(u)) {
            upstream_conn__stop_send_await(u, self);
            break;
        }
        if (u->inbox.bytes > 0 && !ring_timer_is_set(&u->timer))
            upstream_conn__watch_send(u);
        int rc = fiber_park_await(self);
        if (rc != 0)
            return rc;
    }
    ring_timer_clear(u->side->core->ring, &u->timer);
    return 0;
}

int upstream__exchange_await(struct upstream_conn *u, struct fiber *self,
                             const struct upstream_call *call)
{
    ASSERT(u->state == UPSTREAM_SEND && !u->answered);
    if (u->err != 0)
        return u->err;
    if (u->eof || u->broken)
        return ERR_UPSTREAM_CLOSED; // died between hand-over and now
    if (u->inbox.bytes > 0)         // speaks before it is asked
        return u->up.reused ? ERR_UPSTREAM_CLOSED : ERR_UPSTREAM_PROTOCOL;
    u->arena = call->arena;
    u->method = call->method;
    u->upgrade = call->upgrade;
    u->iov = call->iov;
    u->iov_count = call->iov_count;
    u->caller = self;
    upstream_conn__send(u);
    int rc = head_await(u, self);
    if (rc == 0)
        rc = sent_await(u, self);
    u->caller = NULL;
    if (rc != 0)
        upstream_conn__stop_send_await(u, self);
    ASSERT(!ring_op_busy(&u->send_op) || (rc == 0 && u->tls)); // sealed bytes are our own
    return rc;
}

// A fresh connection in the slot of a dead one.
static struct upstream_conn *replace(struct upstream_conn *dead)
{
    struct upstream_conn *fresh = upstream_conn__new(dead->pool);
    if (fresh)
        dead->pool = NULL; // the slot is the new one's
    upstream_conn__close(dead);
    return fresh;
}

static int h1_call_await(struct origin_pool *pool, struct fiber *self,
                         const struct upstream_call *call, struct upstream **ret)
{
    struct net_core *c = pool->side->core;
    struct upstream_conn *u = NULL;
    struct upstream_call absolute;
    bool relayed = origin__is_relayed(call->origin);
    int rc = relayed ? proxy_form(call, &absolute) : 0;
    if (rc == 0) {
        call = relayed ? &absolute : call;
        rc = origin_pool__take_await(pool, self, &u);
    } else {
        origin_pool__free_unused(pool);
    }
    if (rc != 0)
        return rc;
    if (u->up.reused) {
        counter_add(&c->stats.upstream_reuses, 1);
        rc = upstream__exchange_await(u, self, call);
        if (rc == ERR_UPSTREAM_CLOSED) {
            u = replace(u);
            if (!u)
                return ERR_NOMEM;
            counter_add(&c->stats.upstream_retries, 1);
        }
    }
    if (!u->up.reused) {
        u->upgrade = call->upgrade;
        rc = upstream_conn__open_await(u, self, call->origin);
        if (rc == 0)
            rc = upstream__exchange_await(u, self, call);
    }
    if (rc == 0 && relayed && u->up.head.status == 407) // the proxy's own word
        rc = ERR_PROXY_AUTH;
    if (rc != 0) {
        upstream_conn__stop_send_await(u, self);
        upstream_conn__close(u);
        return rc;
    }
    upstream_conn__set_state(u, UPSTREAM_BODY);
    *ret = &u->up;
    return 0;
}

int upstream_call_await(struct net_core *c, struct fiber *self, const struct upstream_call *call,
                        struct upstream **ret)
{
    struct origin_pool *pool = origin_pool__find(c->upstream, call->origin);
    ASSERT(call->iov_count > 0);
    if (!pool)
        return ERR_NOMEM;
    if (call->upgrade && (call->origin->http == ORIGIN_HTTP2 || origin__is_relayed(call->origin))) {
        origin_pool__free_unused(pool);
        return ERR_UNSUPPORTED;
    }
    if (call->origin->http != ORIGIN_HTTP1 && !pool->http1 && !call->upgrade) {
        int rc = upstream_h2__call_await(pool, self, call, ret);
        if (rc != ERR_UNSUPPORTED)
            return rc;
        pool = origin_pool__find(c->upstream, call->origin); // it may have gone meanwhile
        if (!pool)
            return ERR_NOMEM;
        pool->http1 = true;
    }
    return h1_call_await(pool, self, call, ret);
}

int upstream_write_await(struct upstream *up, struct fiber *self, const struct iovec *iov,
                         unsigned count)
{
    struct upstream_conn *u = container_of(up, struct upstream_conn, up);
    ASSERT(!up->h2 && u->state == UPSTREAM_BODY && u->upgrade && !u->caller);
    int rc = 0;
    if (u->send_failed || u->broken)
        return ERR_UPSTREAM_CLOSED;
    u->caller = self;
    upstream_conn__send_more(u, iov, count);
    while (rc == 0 && !upstream_conn__sent(u))
        rc = fiber_park_await(self);
    u->caller = NULL;
    if (rc != 0)
        upstream_conn__stop_send_await(u, self);
    return rc == 0 && u->send_failed ? ERR_UPSTREAM_CLOSED : rc;
}

void upstream__tear(struct upstream *up)
{
    struct upstream_conn *u = container_of(up, struct upstream_conn, up);
    u->send_failed = true;
    ring_cancel(u->side->core->ring, &u->send_op);
}

void upstream_end(struct net_core *c, struct upstream *up)
{
    if (!up)
        return;
    if (up->h2) {
        upstream_h2__end(up);
        return;
    }
    struct upstream_conn *u = container_of(up, struct upstream_conn, up);
    ASSERT(u->side == c->upstream && u->state == UPSTREAM_BODY && !u->part_out);
    bool whole = upstream_answer__drain(u) && u->inbox.bytes == 0;
    bool alive = !u->eof && !u->broken && !u->send_failed && upstream_conn__sent(u);
    if (whole && alive && !u->up.head.close)
        origin_pool__release(u);
    else
        upstream_conn__close(u);
}
