// SPDX-License-Identifier: Apache-2.0
//
// process_takeover.c: what was passed to this process, by systemd or by the process it replaces.
//
//   take_over ─► config, rings ─► inherit_sockets ─► accepts ─► READY ─ ─ ─► STOPPED: took_over
//   (environment, area, keys)                                                asks anew who waits
//
// Until READY whatever goes wrong ends this process, and nothing else: sockets it shares stay open
// in the one before, which goes on. Between READY and STOPPED both accept from them; then this one
// asks the kernel once more, because a connection may have woken the other just before it stopped
// (net/listen.c). The other side is process_upgrade.c, what the two say to each other handover.h.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/process_internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_TURNS 1000

// ---- Before there are threads -----------------------------------------------------------------

// What its parent or systemd has left in the environment, which says it no longer.
static int read_environment(struct upgrade *u)
{
    static const char *const systemd[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    const char *text = getenv(HANDOVER_ENV);
    int rc = text != NULL ? handover_read(&u->inherited, text)
                          : handover_read_systemd(&u->inherited, getenv(systemd[0]),
                                                  getenv(systemd[1]), getenv(systemd[2]));
    u->by_systemd = text == NULL && u->inherited.count > 0;
    if (rc < 0)
        fprintf(stderr, "ringgate: %s: %s\n", text != NULL ? HANDOVER_ENV : systemd[1],
                rc == ERR_UNSUPPORTED ? "the process before this one speaks another version"
                                      : "not understood");
    (void)unsetenv(HANDOVER_ENV);
    for (size_t i = 0; i < ARRAY_LEN(systemd); i++)
        (void)unsetenv(systemd[i]);
    return rc;
}

static int take_area(struct upgrade *u)
{
    u->area_fd = handover_take(&u->inherited, "area");
    if (u->area_fd < 0)
        return handover_area_make(&u->area_fd, &u->area);
    int rc = handover_area_map(u->area_fd, &u->area);
    if (rc < 0)
        fprintf(stderr, "ringgate: the shared memory of the process before is not understood\n");
    return rc;
}

static int take_keys(struct process *p)
{
    struct listener_care *care = &p->care;
    struct handover_message keys;
    care->rotate_at = mono_add_ms(clock_mono(), (int64_t)TLS_TICKET_ROTATE_S * 1000);
    p->upgrade.before = handover_take(&p->upgrade.inherited, "link");
    if (p->upgrade.before < 0)
        return tls_ticket_key_make(&care->key);
    int rc = handover_hear(p->upgrade.before, &keys);
    if (rc < 0 || keys.word != HANDOVER_KEYS) {
        fprintf(stderr, "ringgate: the process before does not say what it should\n");
        return ERR_SYSTEM;
    }
    care->key = keys.key;
    care->before = keys.before;
    care->has_before = keys.has_before != 0;
    care->rotate_at = mono_add_ms(clock_mono(), keys.rotate_in_ms);
    explicit_bzero(&keys, sizeof(keys));
    return 0;
}

int process__take_over(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    int rc = read_environment(u);
    if (rc == 0)
        rc = take_area(u);
    if (rc == 0)
        rc = process__take_stored(p);
    if (rc == 0)
        rc = take_keys(p);
    p->gateway.area = u->area;
    u->taking_over = u->successor = u->before >= 0;
    return rc;
}

// ---- Sockets ----------------------------------------------------------------------------------

// The role that the name of an inherited socket says, and whether that stands above its address.
static enum net_role role_named(const struct upgrade *u, const char *name, bool *ret_trusted)
{
    struct slice role = slice_str(name);
    struct slice end = SLICE(PROCESS_NAMED);
    bool marked = role.len > end.len && slice_eq(slice_skip(role, role.len - end.len), end);
    if (marked)
        role = slice_take(role, role.len - end.len);
    *ret_trusted = u->by_systemd || marked;
    return net_role_of_name(role);
}

// systemd's is a mistake that somebody must hear of; one that the process before listened on is one
// that the configuration no longer wants.
static int unwanted(struct process *p, int fd, int err)
{
    struct net_address a;
    char text[64] = "no IP address";
    if (net_address_of(fd, &a))
        net_address_text(&a, text, sizeof(text));
    if (!p->upgrade.by_systemd) {
        PROCESS__SAY(p, LOG_WARN, "no longer listening", LOG_S("address", slice_str(text)));
        return 0;
    }
    if (err == ERR_NOT_FOUND)
        process__fail(p, "LISTEN_FDS: descriptor %d listens on %s, which is not configured", fd,
                      text);
    else
        process__fail(p, "LISTEN_FDS: descriptor %d (%s) is not a listening TCP socket", fd, text);
    return err;
}

int process__inherit_sockets(struct process *p, const struct net_want want[NET_ROLE_COUNT])
{
    struct upgrade *u = &p->upgrade;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < u->inherited.count; i++) {
        struct handover_item *item = &u->inherited.item[i];
        bool trusted;
        enum net_role named = role_named(u, item->name, &trusted);
        if (named == NET_ROLE_COUNT && !u->by_systemd)
            continue; // another thing of a later version
        int err = net_sockets_inherit(&p->sockets, item->fd, want, named, trusted);
        if (err == 0)
            item->fd = -1; // the set's
        else
            rc = unwanted(p, item->fd, err);
    }
    for (unsigned i = 0; i < u->inherited.count; i++) {
        if (u->inherited.item[i].fd >= 0)
            (void)close(u->inherited.item[i].fd);
    }
    u->inherited.count = 0;
    return rc;
}

// ---- The process before -----------------------------------------------------------------------

static void took_over(struct tour *tour)
{
    struct upgrade *u = container_of(tour, struct upgrade, before_tour);
    PROCESS__SAY(container_of(u, struct process, upgrade), LOG_INFO,
                 "took over from the process before",
                 LOG_N("generation", atomic_load(&u->area->generation)));
    u->taking_over = false;
}

static void on_before(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct upgrade *u = container_of(op, struct upgrade, before_op);
    struct process *p = container_of(u, struct process, upgrade);
    (void)ring;
    ASSERT(event->final);
    // STOPPED, or its end: it does not accept any more.
    (void)close(u->before);
    u->before = -1;
    if (p->control.state == CONTROL_RUNNING)
        tour_start(&u->before_tour, &process__first_core(p)->core, process__listen_anew, took_over);
}

void process__takeover_begin(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    if (u->before >= 0)
        ring_recv_into(process__first_core(p)->ring, &u->before_op, on_before, u->before, &u->heard,
                       sizeof(u->heard));
}

void process__takeover_end(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    struct ring *ring = process__first_core(p)->ring;
    if (!ring_op_busy(&u->before_op))
        return;
    ring_cancel(ring, &u->before_op);
    for (unsigned i = 0; i < END_TURNS && ring_op_busy(&u->before_op); i++)
        ring_turn(ring, mono_add_ms(clock_mono(), 1));
    ASSERT(!ring_op_busy(&u->before_op));
}

void process__takeover_serving(struct process *p)
{
    struct upgrade *u = &p->upgrade;
    atomic_fetch_add(&u->area->generation, 1);
    const struct handover_message ready = {.word = HANDOVER_READY};
    if (u->before >= 0)
        (void)handover_say(u->before, &ready); // it is gone: then it does not accept either
}
