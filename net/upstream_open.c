// SPDX-License-Identifier: Apache-2.0
//
// upstream_open.c: from a provider's name to a connection that can take a request.
//
// Straight-line code on the caller's fiber. The origin's connect_ms bounds all of it by moving the
// fiber's own deadline nearer; what is left of it is shared out evenly between the addresses not
// yet tried, so one that swallows packets leaves time for the next. The first address that connects
// is the one; a handshake that fails is the provider's last word.
#include "base/assert.h"
#include "base/err.h"
#include "net/dns.h"
#include "net/upstream_internal.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

static void on_connected(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct upstream_conn *u = container_of(op, struct upstream_conn, connect_op);
    (void)ring;
    ASSERT(event->final);
    fiber_wait_done(&u->connected, event->res);
}

static int open_socket(const struct dns_address *a)
{
    int one = 1;
    int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

// One address. 0; ERR_CONNECT, ERR_CONNECT_TIMEOUT; an interruption. No socket after an error.
static int connect_one_await(struct upstream_conn *u, struct fiber *self,
                             const struct dns_address *a)
{
    struct ring *ring = u->side->core->ring;
    int res = 0;
    u->fd = open_socket(a);
    if (u->fd < 0)
        return ERR_CONNECT;
    fiber_wait_begin(&u->connected);
    ring_connect(ring, &u->connect_op, on_connected, u->fd, (const struct sockaddr *)&a->address,
                 a->len);
    int rc = fiber_wait_await(&u->connected, self, &res);
    if (rc != 0) {
        ring_cancel(ring, &u->connect_op);
        (void)fiber_wait_shielded_await(&u->connected, self);
    } else if (res < 0) {
        rc = res == -ETIMEDOUT ? ERR_CONNECT_TIMEOUT : ERR_CONNECT;
    }
    if (rc != 0) {
        ring_close(ring, u->fd);
        u->fd = -1;
    }
    return rc;
}

// Each address in turn, until `limit`.
static int connect_await(struct upstream_conn *u, struct fiber *self,
                         const struct dns_answer *answer, struct mono limit)
{
    int rc = ERR_CONNECT;
    ASSERT(answer->count > 0);
    for (unsigned i = 0; i < answer->count; i++) {
        struct mono now = ring_now(u->side->core->ring);
        int64_t share = mono_diff_ns(limit, now) / (int64_t)(answer->count - i);
        if (share <= 0)
            return ERR_DEADLINE;
        fiber_set_deadline(self, (struct mono){now.ns + share});
        upstream_conn__set_state(u, UPSTREAM_CONNECT);
        rc = connect_one_await(u, self, &answer->address[i]);
        if (rc == 0 || (rc < 0 && fiber_interrupted(self) != 0 && rc != ERR_DEADLINE))
            break;
        if (rc == ERR_DEADLINE)
            rc = ERR_CONNECT_TIMEOUT;
    }
    fiber_set_deadline(self, limit);
    return rc;
}

static int handshake_await(struct upstream_conn *u, struct fiber *self, struct origin *o)
{
    struct net_core *core = u->side->core;
    int rc = tls_new(o->tls, o->host, &u->tls);
    if (rc != 0)
        return rc;
    tls_set_pages(u->tls, &u->side->pages);
    if (o->http != ORIGIN_HTTP1 && !u->pool->http1)
        rc = tls_offer_h2(u->tls);
    if (rc != 0)
        return rc;
    upstream_conn__set_state(u, UPSTREAM_HANDSHAKE);
    u->caller = self;
    upstream_conn__start_handshake(u);
    while (u->state == UPSTREAM_HANDSHAKE && u->err == 0 && rc == 0)
        rc = fiber_park_await(self);
    u->caller = NULL;
    if (rc != 0 || u->err != 0)
        return rc != 0 ? rc : u->err;
    counter_add(&core->stats.upstream_handshakes, 1);
    if (tls_resumed(u->tls))
        counter_add(&core->stats.upstream_resumptions, 1);
    return 0;
}

static int open_until_await(struct upstream_conn *u, struct fiber *self, struct origin *o,
                            struct mono limit)
{
    struct net_core *core = u->side->core;
    struct dns_answer answer;
    int rc = dns_resolve_await(core->dns, self, o->host, o->port, &answer);
    if (rc == 0)
        rc = connect_await(u, self, &answer, limit);
    if (rc != 0)
        return rc;
    counter_add(&core->stats.upstream_connects, 1);
    if (o->tls)
        return handshake_await(u, self, o);
    upstream_conn__set_state(u, UPSTREAM_SEND);
    upstream_conn__receive(u);
    return 0;
}

int upstream_conn__open_await(struct upstream_conn *u, struct fiber *self, struct origin *o)
{
    struct mono before = fiber_deadline(self);
    struct mono own = mono_add_ms(ring_now(u->side->core->ring), o->connect_ms);
    struct mono limit = mono_min(before, own);
    ASSERT(u->state == UPSTREAM_RESOLVE && u->fd < 0);
    fiber_set_deadline(self, limit);
    int rc = open_until_await(u, self, o, limit);
    fiber_set_deadline(self, before);
    if ((rc == ERR_DEADLINE || rc == ERR_CONNECT_TIMEOUT) && fiber_interrupted(self) == 0)
        return ERR_CONNECT_TIMEOUT;
    return rc == ERR_CONNECT_TIMEOUT ? ERR_DEADLINE : rc;
}
