// SPDX-License-Identifier: Apache-2.0
//
// wire.c: see wire.h.
#include "tests/sim/wire.h"

#include "tests/sim/kernel.h"
#include <errno.h>
#include <string.h>

// ---- Descriptors -----------------------------------------------------------------------------

void wire_begin(void)
{
    sim.wire = sim_alloc(sizeof(*sim.wire));
    sim.wire->fds_max = WIRE_FDS_MAX;
    sim.wire->port = 8000;
}

static void end_free(struct wire_end *e)
{
    sim_drop(&e->in.delivery);
    sim_drop(&e->change);
    sim_free(e->in.bytes);
    sim_free(e);
}

struct wire_end *wire_get(struct wire_end *e)
{
    e->refs++;
    return e;
}

void wire_put(struct wire_end *e)
{
    if (e && --e->refs == 0)
        end_free(e);
}

void wire_end_all(void)
{
    struct sim_wire *w = sim.wire;
    for (unsigned i = 0; i < w->listeners; i++)
        wire_put(w->heard[i]);
    for (int i = 0; i < WIRE_FDS_MAX; i++)
        SIM_HOLDS(!w->fd[i], "descriptor %d is still open (kind %d)", WIRE_FD + i,
                  (int)w->fd[i]->kind);
    sim_free(w);
    sim.wire = NULL;
}

static struct wire_end *end_new(enum wire_kind kind)
{
    static const size_t rooms[] = {1024, 8192, 65536, 1 << 20};
    struct wire_end *e = sim_alloc(sizeof(*e));
    e->kind = kind;
    e->fd = -1;
    e->refs = 1;
    e->in.room = rooms[sim_below(4)];
    return e;
}

static int fd_for(struct wire_end *e)
{
    struct sim_wire *w = sim.wire;
    if (w->fds >= w->fds_max)
        return -EMFILE;
    int i = 0;
    while (w->fd[i])
        i++;
    w->fd[i] = e;
    w->fds++;
    e->fd = WIRE_FD + i;
    return e->fd;
}

int wire_open(enum wire_kind kind)
{
    struct wire_end *e = end_new(kind);
    int fd = fd_for(e);
    if (fd < 0)
        wire_put(e);
    return fd;
}

bool wire_is(int fd)
{
    return fd >= WIRE_FD && fd < WIRE_FD + WIRE_FDS_MAX;
}

struct wire_end *wire_of(int fd)
{
    SIM_HOLDS(wire_is(fd) && sim.wire->fd[fd - WIRE_FD], "descriptor %d is not open", fd);
    return sim.wire->fd[fd - WIRE_FD];
}

// ---- Telling ---------------------------------------------------------------------------------

static void changed(void *arg)
{
    struct wire_end *e = arg;
    e->change = NULL;
    if (!e->closed)
        e->on_change(e);
}

void wire_poke(struct wire_end *e)
{
    if (e->closed)
        return;
    if (!e->on_change)
        kernel_poke(e);
    else if (!e->change)
        e->change = sim_after(sim_delay(), changed, e);
}

// ---- Bytes on their way ----------------------------------------------------------------------

static void deliver_soon(struct wire_end *to);

static void deliver(void *arg)
{
    struct wire_end *to = arg;
    struct wire_pipe *p = &to->in;
    p->delivery = NULL;
    if (sim.weather.reset > 0 && sim_below(100000) < sim.weather.reset) {
        sim_trace("the network resets a connection (fd %d)", to->fd);
        to->struck = true;
        if (to->peer)
            to->peer->struck = true;
        wire_reset(to);
        return;
    }
    size_t waiting = p->len - p->visible;
    if (waiting > 0 && sim_chance(sim.weather.partial))
        waiting = sim_between(1, waiting);
    p->visible += waiting;
    if (to->peer)
        to->peer->acked += waiting;
    if (p->visible == p->len && p->fin_sent)
        p->fin_visible = true;
    deliver_soon(to);
    wire_poke(to);
}

static void deliver_soon(struct wire_end *to)
{
    struct wire_pipe *p = &to->in;
    bool nothing = p->visible == p->len && (!p->fin_sent || p->fin_visible);
    if (nothing || p->delivery || to->broken)
        return;
    int64_t delay = sim_delay();
    if (sim_chance(sim.weather.stall))
        delay += (int64_t)sim_below(4 * (uint64_t)NS_PER_S);
    // Longer than the gateway waits for the rest of a body it does not want (LIMIT_LINGER_MS).
    if (delay > NS_PER_S && to->peer)
        to->struck = to->peer->struck = true;
    p->delivery = sim_after(delay, deliver, to);
}

static void pipe_add(struct wire_pipe *p, const void *bytes, size_t len)
{
    if (p->at + p->len + len > p->cap) {
        memmove(p->bytes ? p->bytes : "", p->bytes ? p->bytes + p->at : "", p->len);
        p->at = 0;
        if (p->len + len > p->cap) {
            p->cap = 2 * (p->len + len);
            p->bytes = sim_realloc(p->bytes, p->cap);
        }
    }
    memcpy(p->bytes + p->at + p->len, bytes, len);
    p->len += len;
}

long wire_send(struct wire_end *e, const void *bytes, size_t len)
{
    if (e->broken)
        return -ECONNRESET;
    if (e->shut || !e->connected)
        return -EPIPE;
    struct wire_end *to = e->peer;
    if (!to || to->closed) {
        // The peer's machine answers what it cannot take with a reset.
        wire_reset(e);
        return -EPIPE;
    }
    size_t room = to->in.room > to->in.len ? to->in.room - to->in.len : 0;
    size_t n = len < room ? len : room;
    if (n == 0)
        return -EAGAIN;
    if (n > 1 && sim_chance(sim.weather.partial))
        n = sim_between(1, n);
    pipe_add(&to->in, bytes, n);
    deliver_soon(to);
    return (long)n;
}

long wire_recv(struct wire_end *e, void *out, size_t len)
{
    struct wire_pipe *p = &e->in;
    if (e->deaf)
        return 0;
    size_t n = p->visible < len ? p->visible : len;
    if (n == 0 && e->broken)
        return -ECONNRESET;
    if (n == 0)
        return p->fin_visible ? 0 : -EAGAIN;
    if (n > 1 && sim_chance(sim.weather.partial))
        n = sim_between(1, n);
    memcpy(out, p->bytes + p->at, n);
    p->at += n;
    p->len -= n;
    p->visible -= n;
    if (p->len == 0)
        p->at = 0;
    if (e->peer)
        wire_poke(e->peer); // there is room
    return (long)n;
}

size_t wire_readable(const struct wire_end *e)
{
    return e->in.visible;
}

void wire_shut(struct wire_end *e)
{
    if (e->shut || e->broken || !e->connected)
        return;
    e->shut = true;
    if (e->peer) {
        e->peer->in.fin_sent = true;
        deliver_soon(e->peer);
    }
}

static void broken(struct wire_end *e)
{
    if (e->broken)
        return;
    e->broken = true;
    e->struck |= e->in.visible < e->in.len;
    sim_drop(&e->in.delivery);
    e->in.len = e->in.visible; // the rest is lost
    wire_poke(e);
}

void wire_reset(struct wire_end *e)
{
    if (e->peer)
        broken(e->peer);
    broken(e);
}

// ---- Ends ------------------------------------------------------------------------------------

static void part(struct wire_end *e)
{
    struct wire_end *peer = e->peer;
    if (!peer)
        return;
    e->peer = NULL;
    peer->peer = NULL;
    wire_put(e);
    wire_put(peer);
}

static void leave(struct wire_end *e, bool reset)
{
    if (e->kind == WIRE_SOCKET && e->connected) {
        // Closing over bytes that were not read is a reset, and so is what comes after.
        if (reset || e->in.len > 0)
            wire_reset(e);
        else
            wire_shut(e);
    }
    e->closed = true;
    if (e->broken || !e->peer || e->peer->closed)
        part(e);
    sim_drop(&e->change);
}

void wire_close(int fd)
{
    struct wire_end *e = wire_of(fd);
    kernel_closing(e);
    sim.wire->fd[fd - WIRE_FD] = NULL;
    sim.wire->fds--;
    for (unsigned i = 0; i < e->waiting; i++) {
        // Nobody had accepted it: no fault of the gateway's.
        if (e->backlog[i]->peer)
            e->backlog[i]->peer->struck = true;
        wire_hang_up(e->backlog[i], true);
    }
    e->waiting = 0;
    leave(e, e->hard);
    wire_put(e);
}

void wire_hang_up(struct wire_end *e, bool reset)
{
    if (e->closed)
        return;
    leave(e, reset);
    wire_put(e);
}

static void join(struct wire_end *a, struct wire_end *b)
{
    a->peer = wire_get(b);
    b->peer = wire_get(a);
    a->connected = b->connected = true;
}

static struct wire_end *listener_at(unsigned port, bool of_gateway)
{
    struct sim_wire *w = sim.wire;
    struct wire_end *found = NULL;
    unsigned n = 0;
    if (!of_gateway) {
        for (unsigned i = 0; i < w->listeners; i++)
            found = w->heard[i]->port == port ? w->heard[i] : found;
        return found;
    }
    for (int i = 0; i < WIRE_FDS_MAX; i++) { // SO_REUSEPORT: any of them
        struct wire_end *e = w->fd[i];
        if (e && e->kind == WIRE_LISTENER && e->port == port && sim_below(++n) == 0)
            found = e;
    }
    return found;
}

struct wire_end *wire_dial(unsigned port, wire_fn on_change, void *actor)
{
    struct wire_end *listener = listener_at(port, true);
    if (!listener || listener->waiting == sizeof(listener->backlog) / sizeof(listener->backlog[0]))
        return NULL;
    struct wire_end *mine = wire_actor(on_change, actor);
    struct wire_end *other = end_new(WIRE_SOCKET);
    join(mine, other);
    listener->backlog[listener->waiting++] = other;
    wire_poke(listener);
    return mine;
}

struct wire_end *wire_actor(wire_fn on_change, void *actor)
{
    struct wire_end *e = end_new(WIRE_SOCKET);
    e->on_change = on_change;
    e->actor = actor;
    return e;
}

void wire_listen(unsigned port, struct wire_end *(*answer)(void *arg), void *arg)
{
    struct wire_end *e = end_new(WIRE_LISTENER);
    e->port = port;
    e->answer = answer;
    e->answer_arg = arg;
    sim.wire->heard[sim.wire->listeners++] = e;
}

int wire_connect(struct wire_end *e, unsigned port)
{
    struct wire_end *listener = listener_at(port, false);
    struct wire_end *other = listener ? listener->answer(listener->answer_arg) : NULL;
    if (!other)
        return -ECONNREFUSED;
    join(e, other);
    wire_poke(other);
    return 0;
}

int wire_accept(struct wire_end *listener)
{
    if (listener->waiting == 0)
        return -EAGAIN;
    int fd = fd_for(listener->backlog[0]);
    if (fd < 0)
        return fd;
    memmove(&listener->backlog[0], &listener->backlog[1],
            --listener->waiting * sizeof(listener->backlog[0]));
    return fd;
}
