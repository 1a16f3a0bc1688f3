// SPDX-License-Identifier: Apache-2.0
//
// upstream_proxy.c: the way through a proxy that speaks TLS itself.
//
// Its session is the connection's own until the proxy has consented; then the provider's stands
// inside it (tls_new_inside), or takes its place where a request goes to the proxy in absolute
// form:
//
//     CONNECT ─► HANDSHAKE (proxy) ─┬─ relayed ─────────────────────────► SEND
//                                   └─ PROXY: CONNECT host, its answer ─┬─ http ──► SEND
//                                                                       └─ https: HANDSHAKE ─► SEND
//
// The conversation is proxy_talk's, as in clear text (dial.c), its bytes the session's.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"

// Bytes have come, or none will. 0 or why not.
static int hear_await(struct upstream_conn *u, struct fiber *self)
{
    int rc = 0;
    u->caller = self;
    while (rc == 0 && u->inbox.bytes == 0 && u->err == 0 && !u->eof && !u->broken)
        rc = fiber_park_await(self);
    u->caller = NULL;
    if (rc != 0 || u->err != 0)
        return rc != 0 ? rc : u->err;
    return u->inbox.bytes > 0 ? 0 : ERR_PROXY_CLOSED;
}

static int take(struct upstream_conn *u, struct proxy_talk *t)
{
    struct slice in = slice_take(upstream_inbox__front(u), sizeof(t->in) - t->in_len);
    memcpy(t->in + t->in_len, in.ptr, in.len);
    upstream_inbox__skip(u, in.len);
    return proxy_talk_take(t, in.len);
}

static int talk_await(struct upstream_conn *u, struct fiber *self, struct proxy_talk *t)
{
    int rc = ERR_MORE;
    while (rc == ERR_MORE) {
        struct slice out = proxy_talk_output(t);
        rc = out.len > 0 ? upstream_conn__say(u, out) : hear_await(u, self);
        if (rc != 0)
            return rc;
        if (out.len > 0)
            proxy_talk_sent(t);
        rc = out.len > 0 ? ERR_MORE : take(u, t);
    }
    return rc != 0 || u->inbox.bytes == 0 ? rc : ERR_PROXY_PROTOCOL; // unasked
}

static int tunnel_await(struct upstream_conn *u, struct fiber *self, const struct origin *o)
{
    struct page *page = page_get(&u->side->pages);
    if (!page)
        return ERR_NOMEM;
    struct proxy_talk *t = (void *)page->data;
    proxy_talk_begin(t, o->proxy, o->host, o->port);
    int rc = talk_await(u, self, t);
    proxy_talk_done(t);
    page_put(&u->side->pages, page);
    return rc;
}

int upstream_proxy__pass_await(struct upstream_conn *u, struct fiber *self, const struct origin *o)
{
    bool relayed = origin__is_relayed(o);
    ASSERT(o->proxy->tls && !u->tls);
    int rc = tls_new(o->proxy->tls, o->proxy->host, &u->tls);
    if (rc != 0)
        return rc;
    tls_set_pages(u->tls, &u->side->pages);
    u->proxy_first = !relayed;
    rc = upstream_conn__shake_await(u, self);
    u->proxy_first = false;
    if (rc == 0 && !relayed)
        rc = tunnel_await(u, self, o);
    if (rc == 0 && !relayed && !o->tls)
        upstream_conn__set_state(u, UPSTREAM_SEND);
    return dial_of_proxy(rc);
}
