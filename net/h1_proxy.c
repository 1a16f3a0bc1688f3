// SPDX-License-Identifier: Apache-2.0
//
// h1_proxy.c: a connection from a load balancer, before it is its client's.
//
//     accept ─► PROXY ── header whole ──► HANDSHAKE or IDLE, with the client's address
//                 │
//                 └── not a header, too slow, from a stranger ──► closed, counted
//
// Nothing is answered to a connection that is closed here: what would be said is for somebody who
// speaks HTTP or TLS, and nobody has shown that yet.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/proxy_header.h"

// ---- The listener's side -----------------------------------------------------------------------

void net_senders_use(struct net_core *c, const struct proxy_senders *senders)
{
    ASSERT(senders->count <= PROXY_SENDERS_MAX);
    c->senders = *senders;
}

bool net__proxy_wanted(const struct net_core *c, bool secure)
{
    return c->senders.wanted && secure == (c->tls.context != NULL);
}

// ---- A connection ------------------------------------------------------------------------------

void h1_proxy__abandon(struct h1_conn *c, enum proxy_failure why)
{
    ASSERT(c->state == CONN_PROXY);
    counter_add(&c->stream.core->stats.proxy_failures[why], 1);
    h1_conn__close(c, false);
}

void h1_proxy__begin(struct h1_conn *c)
{
    const struct proxy_senders *side = &c->stream.core->senders;
    struct ip peer;
    ASSERT(c->state == CONN_PROXY);
    bool known =
        ip_parse(slice_str(c->stream.peer), &peer) && ip_nets_have(side->from, side->count, &peer);
    if (side->count > 0 && !known) {
        h1_proxy__abandon(c, PROXY_FAILURE_STRANGER);
        return;
    }
    h1_conn__deadline(c, c->stream.core->options.proxy_header_ms);
    h1_conn__aim(c);
}

// The header has been read; `rest` is the client's own.
static void finish(struct h1_conn *c, const struct proxy_header *h, struct slice rest)
{
    if (h->has_source) {
        ip_print(&h->source, c->stream.peer);
        if (h1_conn__enter(c) != 0) {
            h1_conn__close(c, false);
            return;
        }
    }
    h1_conn__serve(c);
    if (rest.len == 0 || c->state >= CONN_REFUSE)
        return;
    if (c->secure)
        h1_tls__take(c, rest);
    else
        h1_conn__offer(c, rest);
}

void h1_proxy__take(struct h1_conn *c, struct slice in)
{
    struct proxy_header h;
    struct buf all;
    buf_init(&all, c->held.max);
    if (h1_conn__held(c) > 0) {
        h1_conn__hold(c, in);
        if (c->state != CONN_PROXY)
            return;
        all = h1_conn__take_held(c);
        in = buf_slice(&all);
    }
    ptrdiff_t n = proxy_header_parse(in, &h);
    if (n > 0)
        finish(c, &h, slice_skip(in, (size_t)n));
    else if (n == ERR_MORE)
        h1_conn__hold(c, in);
    else
        h1_proxy__abandon(c, PROXY_FAILURE_MALFORMED);
    buf_done(&all);
}
