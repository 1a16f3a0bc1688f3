// SPDX-License-Identifier: Apache-2.0
//
// core.c: a core's network memory, its load figure, its date line and its drain.
//
// The clients' buffer group holds one megabyte either way. With incremental buffers a buffer serves
// receives until it is full, so 64 of 16 kB serve 1 kB requests and long bodies alike; without,
// each receive takes a whole buffer however little arrives, so there are 256 of 4 kB. Nothing here
// keeps a loan beyond the turn it came in, so a small group is enough and stays in the cache.
//
// Leaving closes no connection: a client may be sending its next request on any that is idle, and
// one that is closed under it cannot be told from one that was lost. The answer to that request
// says that it is the last; whoever asks nothing more is closed when patience ends (net_abort).
#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "net/dns.h"
#include "net/h2_internal.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include <stdio.h>

#define CLIENT_BUFS            64
#define CLIENT_BUF_BYTES       (16 * 1024)
#define CLIENT_BUFS_6_1        256
#define CLIENT_BUF_BYTES_6_1   4096
#define UPSTREAM_BUFS          32
#define UPSTREAM_BUF_BYTES     (64 * 1024)
#define UPSTREAM_BUFS_6_1      256
#define UPSTREAM_BUF_BYTES_6_1 (16 * 1024)
// Blocks kept for reuse: 4 MB.
#define BLOCKS_KEPT 1024
// An exchange costs its core about as much as this many open connections.
#define EXCHANGE_WEIGHT 16

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static void set_options(struct net_core *c, const struct net_options *o)
{
    c->options = *o;
    c->options.head_bytes_max = or_default(o->head_bytes_max, LIMIT_HEAD_BYTES);
    c->options.handshake_ms = or_default(o->handshake_ms, LIMIT_HANDSHAKE_MS);
    c->options.proxy_header_ms = or_default(o->proxy_header_ms, LIMIT_PROXY_HEADER_MS);
    c->options.idle_ms = or_default(o->idle_ms, LIMIT_IDLE_MS);
    c->options.head_ms = or_default(o->head_ms, LIMIT_HEAD_MS);
    c->options.body_ms = or_default(o->body_ms, LIMIT_BODY_MS);
    c->options.send_ms = or_default(o->send_ms, LIMIT_SEND_MS);
    c->options.head_rate = or_default(o->head_rate, LIMIT_HEAD_RATE);
    c->options.body_rate = or_default(o->body_rate, LIMIT_BODY_RATE);
    c->options.send_rate = or_default(o->send_rate, LIMIT_SEND_RATE);
}

static int make_bufs(struct net_core *c)
{
    bool incremental = ring_features(c->ring)->incremental_buffers;
    int rc = ring_bufs_new(c->ring, incremental ? CLIENT_BUFS : CLIENT_BUFS_6_1,
                           incremental ? CLIENT_BUF_BYTES : CLIENT_BUF_BYTES_6_1, &c->client_bufs);
    if (rc)
        return rc;
    return ring_bufs_new(c->ring, incremental ? UPSTREAM_BUFS : UPSTREAM_BUFS_6_1,
                         incremental ? UPSTREAM_BUF_BYTES : UPSTREAM_BUF_BYTES_6_1,
                         &c->upstream_bufs);
}

int net_core_init(struct net_core *c, unsigned index, struct net_shared *shared, struct ring *ring,
                  struct fiber_sched *fibers, struct log *log, struct net_server *server,
                  const struct net_options *options)
{
    ASSERT(index < CORES_MAX && index < shared->cores);
    *c = (struct net_core){.index = index, .shared = shared, .ring = ring, .fibers = fibers};
    c->log = log;
    c->server = server;
    c->date_second = -1;
    set_options(c, options);
    c->options.senders = NULL;
    if (options->senders)
        net_senders_use(c, options->senders);
    list_init(&c->connections);
    block_pool_init(&c->blocks, BLOCKS_KEPT);
    pool_init(&c->conns, sizeof(struct h1_conn), LIMIT_CONNECTIONS);
    list_init(&c->h2_open);
    net__h2_begin_init(c);
    pool_init(&c->h2_conns, sizeof(struct h2_conn), LIMIT_CONNECTIONS);
    pool_init(&c->h2_exchanges, sizeof(struct h2_exchange), LIMIT_H2_EXCHANGES);
    int rc = prng_seed_kernel(&c->prng);
    if (!rc)
        rc = make_bufs(c);
    if (!rc)
        rc = upstream__core_init(c);
    if (!rc)
        rc = net__tls_init(c, options);
    if (rc)
        return rc;
    atomic_store_explicit(&shared->core[index], c, memory_order_release);
    return 0;
}

void net_core_done(struct net_core *c)
{
    if (!c || !c->ring)
        return;
    ASSERT(list_empty(&c->connections));
    net__listen_done(c);
    ring_timer_clear(c->ring, &c->trim_timer);
    ring_timer_clear(c->ring, &c->h2_drain_timer);
    net__h2_begin_done(c);
    net__tls_done(c);
    upstream__core_done(c);
    ring_bufs_free(c->client_bufs);
    ring_bufs_free(c->upstream_bufs);
    pool_done(&c->h2_exchanges);
    pool_done(&c->h2_conns);
    pool_done(&c->conns);
    block_pool_done(&c->blocks);
    *c = (struct net_core){0};
}

// ---- Load ------------------------------------------------------------------------------------

void net__load_add(struct net_core *c, int weight)
{
    // Other cores add what they hand over, so this cannot be a plain store.
    atomic_fetch_add_explicit(&c->shared->load[c->index].live, (uint32_t)weight,
                              memory_order_relaxed);
}

void net_load_begin(struct net_core *c)
{
    net__load_add(c, EXCHANGE_WEIGHT);
    net__trim_soon(c);
}

void net_load_end(struct net_core *c)
{
    net__load_add(c, -EXCHANGE_WEIGHT);
    net__trim_soon(c);
}

// ---- Date ------------------------------------------------------------------------------------

struct slice net__date(struct net_core *c)
{
    int64_t second = ring_wall(c->ring).ns / NS_PER_S;
    if (second != c->date_second) {
        char date[CIVIL_HTTP_BYTES];
        struct slice text = civil_http((struct wall){.ns = second * NS_PER_S}, date);
        int n = snprintf(c->date, sizeof(c->date), "Date: %.*s\r\n", SLICE_ARG(text));
        ASSERT(n == 37);
        c->date_second = second;
    }
    return slice_of(c->date, 37);
}

// ---- Refusals --------------------------------------------------------------------------------

void http_refuse(struct http_stream *s, int err)
{
    ASSERT(err < 0);
    s->ops->refuse(s, err);
}

// ---- Drain and abort -------------------------------------------------------------------------

void net_leave(struct net_core *c)
{
    c->leaving = true;
}

void net_drain(struct net_core *c)
{
    net_leave(c);
    if (c->draining)
        return;
    c->draining = true;
    net__listen_stop(c);
    upstream__core_drain(c);
    net__h2_drain(c);
    for (struct list *l = c->connections.next; l != &c->connections; l = l->next)
        h1_conn__tell_drain(container_of(l, struct h1_conn, link));
}

bool net_idle(const struct net_core *c)
{
    return list_empty(&c->connections) && net__listen_idle(c) && upstream__core_idle(c);
}

void net_abort(struct net_core *c)
{
    net_drain(c);
    for (struct list *l = c->connections.next; l != &c->connections; l = l->next) {
        struct h1_conn *conn = container_of(l, struct h1_conn, link); // freed by a task, not here
        h1_conn__drain(conn);
        h1_conn__abort(conn);
    }
}
