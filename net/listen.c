// SPDX-License-Identifier: Apache-2.0
//
// listen.c: where connections come in, and which core gets them.
//
// Every core has sockets of its own (sockets.h): the kernel spreads connections by a hash, without
// a lock and without a thundering herd. A hash of eight connections over four cores is rarely even,
// so the core that accepts looks at the load table: when it stands above HANDOVER_FACTOR_PERCENT of
// the mean and another core would still have less after taking the connection, the descriptor is
// mailed there. This happens once a connection, before its first byte is read.
//
//    accept ─► too many? ── 503, pause         loads: [12][3][14][2]   mean 7.75
//       │                                               mine ▲      ▲ fewest: mail
//       └──► well above the mean? ─ yes ─► mail ─► the other core opens it
//                      └─ no ─► open here
//
// Running out of descriptors or memory pauses accepting for ACCEPT_PAUSE_MS: the backlog holds the
// clients meanwhile, and retrying at once would only burn the core. Clients get three descriptors
// in four: idle ones could otherwise take them all, and a request would find none left to reach its
// provider with. Accepting pauses as soon as they are taken, so that the backlog holds who comes
// next; those the kernel had accepted by then are told 503, as far as LIMIT_TURNED_AWAY_SHARE goes.
// Above a number that the operator sets accepting goes on, so that the newest hear of it at once.
//
// While a process is being replaced two of them accept from the same sockets, and the kernel wakes
// one for each connection. If that one stops accepting before it has looked, nobody is woken again:
// so whoever goes on accepting asks anew when the other has stopped (net_listen_anew).
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/sockets.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_PAUSE_MS         100
#define HANDOVER_FACTOR_PERCENT 125

static void arm(struct net_core *c);

// Connections of the process's clients.
static uint64_t clients(const struct net_core *c)
{
    const struct net_shared *shared = c->shared;
    uint64_t held = 0;
    for (unsigned i = 0; i < shared->cores; i++) {
        const struct net_core *core = atomic_load_explicit(&shared->core[i], memory_order_acquire);
        if (core)
            held += atomic_load_explicit(&core->stats.connections, memory_order_relaxed);
    }
    return held;
}

// Do they hold their share of its descriptors?
static bool is_full(const struct net_core *c)
{
    return clients(c) >= c->listener.clients_max;
}

// Are they as many as the operator allows? Then who comes next is told so; nobody waits in the
// backlog for what may never come.
static bool is_capped(const struct net_core *c)
{
    unsigned max = c->options.connections_max;
    return max > 0 && clients(c) >= max;
}

// There is no room for it: the client hears so, and no more than that.
static void turn_away(struct net_core *c, int fd, bool secure, uint64_t max, enum net_shed why)
{
    uint64_t held = clients(c);
    bool crowded = held > max && held - max >= net__turned_away_max(max);
    net__count_shed(c, why);
    if (crowded || h1_conn__turn_away(c, fd, secure) != 0)
        (void)close(fd);
}

// True: there was no room for it.
static bool shed(struct net_core *c, int fd, bool secure)
{
    if (is_full(c))
        turn_away(c, fd, secure, c->listener.clients_max, NET_SHED_DESCRIPTORS);
    else if (is_capped(c))
        turn_away(c, fd, secure, c->options.connections_max, NET_SHED_CONNECTIONS);
    else
        return false;
    return true;
}

// ---- Hand-over -------------------------------------------------------------------------------

static void on_handover(struct ring *ring, struct ring_mail *mail)
{
    (void)ring;
    struct net_handover *h = container_of(mail, struct net_handover, mail);
    struct net_core *c = h->to;
    int fd = h->fd;
    bool secure = h->secure;
    net__load_add(c, -1); // the sender's advance; open adds the connection itself
    atomic_store_explicit(&h->busy, false, memory_order_release);
    if (!shed(c, fd, secure) && h1_conn__open(c, fd, secure))
        (void)close(fd);
}

// The core that should have the next connection; c itself unless it is well above the mean.
static struct net_core *choose(struct net_core *c)
{
    struct net_shared *shared = c->shared;
    uint64_t sum = 1, mine = 1; // with the connection to be placed
    uint32_t least = UINT32_MAX;
    struct net_core *best = c;
    if (shared->cores == 1)
        return c;
    for (unsigned i = 0; i < shared->cores; i++) {
        uint32_t live = atomic_load_explicit(&shared->load[i].live, memory_order_relaxed);
        sum += live;
        struct net_core *other = atomic_load_explicit(&shared->core[i], memory_order_acquire);
        if (i == c->index) {
            mine += live;
        } else if (live < least && other) {
            least = live;
            best = other;
        }
    }
    bool above = mine * 100 * shared->cores > sum * HANDOVER_FACTOR_PERCENT;
    return above && (uint64_t)least + 1 < mine ? best : c;
}

static bool hand_over(struct net_core *c, struct net_core *to, int fd, bool secure)
{
    for (unsigned i = 0; i < NET_HANDOVERS; i++) {
        struct net_handover *h = &c->listener.handover[i];
        if (atomic_load_explicit(&h->busy, memory_order_acquire))
            continue;
        atomic_store_explicit(&h->busy, true, memory_order_relaxed);
        h->to = to;
        h->fd = fd;
        h->secure = secure;
        net__load_add(to, 1);
        counter_add(&c->stats.handed_over, 1);
        ring_mail_send(c->ring, to->ring, &h->mail, on_handover);
        return true;
    }
    return false; // all on their way: keep it
}

// ---- Accepting -------------------------------------------------------------------------------

static void on_pause_over(struct ring *ring, struct ring_timer *timer)
{
    struct net_core *c = container_of(timer, struct net_core, listener.pause);
    if (is_full(c)) {
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), ACCEPT_PAUSE_MS), on_pause_over);
        return;
    }
    c->listener.paused = false;
    arm(c);
}

static void pause_accepting(struct net_core *c)
{
    struct net_listener *l = &c->listener;
    l->paused = true;
    for (unsigned i = 0; i < l->sockets; i++)
        ring_cancel(c->ring, &l->acceptor[i].op);
    if (!c->draining)
        ring_timer_set(c->ring, &l->pause, mono_add_ms(ring_now(c->ring), ACCEPT_PAUSE_MS),
                       on_pause_over);
}

static void place(struct net_core *c, int fd, bool secure)
{
    struct net_core *to = choose(c);
    // Also when accepting has just ended: the kernel has told the client that it is connected.
    bool full = is_full(c); // several came in one go
    if (shed(c, fd, secure)) {
        if (full)
            pause_accepting(c);
    } else if (to == c || !hand_over(c, to, fd, secure)) {
        int rc = h1_conn__open(c, fd, secure);
        if (rc)
            (void)close(fd);
        if ((rc && rc != ERR_LIMIT) || is_full(c))
            pause_accepting(c);
    }
}

// A socket is closed when nothing is in flight on it any more.
static void close_step(struct net_acceptor *a)
{
    if (a->core->draining && a->fd >= 0 && !ring_op_busy(&a->op)) {
        (void)close(a->fd);
        a->fd = -1;
    }
}

static void on_accept(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    struct net_acceptor *a = container_of(op, struct net_acceptor, op);
    struct net_core *c = a->core;
    if (event->res >= 0)
        place(c, event->res, a->secure);
    else if (event->res != -ECANCELED && event->res != -ECONNABORTED)
        pause_accepting(c); // no descriptors, no memory: later, and never in a hot loop
    if (!event->final)
        return;
    close_step(a);
    if (!c->listener.paused)
        arm(c);
}

static void arm(struct net_core *c)
{
    struct net_listener *l = &c->listener;
    if (c->draining)
        return;
    for (unsigned i = 0; i < l->sockets; i++) {
        struct net_acceptor *a = &l->acceptor[i];
        if (!ring_op_busy(&a->op))
            ring_accept(c->ring, &a->op, on_accept, a->fd);
    }
}

void net__listen_stop(struct net_core *c)
{
    struct net_listener *l = &c->listener;
    ASSERT(c->draining);
    ring_timer_clear(c->ring, &l->pause);
    for (unsigned i = 0; i < l->sockets; i++) {
        ring_cancel(c->ring, &l->acceptor[i].op);
        close_step(&l->acceptor[i]);
    }
}

void net_listen_anew(struct net_core *c)
{
    struct net_listener *l = &c->listener;
    for (unsigned i = 0; i < l->sockets; i++)
        ring_cancel(c->ring, &l->acceptor[i].op); // its end arms it again
}

bool net_listen_over(const struct net_core *c)
{
    for (unsigned i = 0; i < c->listener.sockets; i++) {
        if (c->listener.acceptor[i].fd >= 0)
            return false;
    }
    return true;
}

bool net__listen_idle(const struct net_core *c)
{
    if (!net_listen_over(c))
        return false;
    for (unsigned i = 0; i < NET_HANDOVERS; i++) {
        if (atomic_load_explicit(&c->listener.handover[i].busy, memory_order_acquire))
            return false;
    }
    return true;
}

// ---- Beginning -------------------------------------------------------------------------------

static uint64_t clients_max(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return files.rlim_cur - files.rlim_cur / 4;
}

static bool is_mine(const struct net_core *c, const struct net_socket *s)
{
    return s->nth % c->shared->cores == c->index;
}

static struct net_acceptor *acceptors_new(unsigned count)
{
    return calloc(count > 0 ? count : 1, sizeof(struct net_acceptor));
}

int net_listen(struct net_core *c, const struct net_sockets *sockets)
{
    struct net_listener *l = &c->listener;
    unsigned mine = 0;
    ASSERT(!l->acceptor && !c->draining);
    for (unsigned i = 0; i < sockets->count; i++)
        mine += is_mine(c, &sockets->socket[i]) ? 1 : 0;
    l->acceptor = acceptors_new(mine);
    if (!l->acceptor)
        return ERR_NOMEM;
    for (unsigned i = 0; i < sockets->count; i++) {
        const struct net_socket *s = &sockets->socket[i];
        if (!is_mine(c, s))
            continue;
        bool secure = s->role == NET_ROLE_MAIN && c->tls.context != NULL;
        l->acceptor[l->sockets++] = (struct net_acceptor){.core = c, .fd = s->fd, .secure = secure};
    }
    ASSERT(l->sockets == mine);
    l->clients_max = clients_max();
    arm(c);
    return 0;
}

void net__listen_done(struct net_core *c)
{
    ASSERT(net__listen_idle(c));
    free(c->listener.acceptor);
    c->listener.acceptor = NULL;
    c->listener.sockets = 0;
}
