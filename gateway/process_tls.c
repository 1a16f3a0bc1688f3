// SPDX-License-Identifier: Apache-2.0
//
// process_tls.c: what a TLS listener needs while it runs: fresh keys, fresh certificates. Core 0.
//
//     every hour ─► a new ticket key ─► tour: every core seals with it, and still opens with the
//                                       one before; a process that takes over gets both, and the
//                                       time that is left
//
//     inotify ─► wait SETTLE_MS for silence ─► worker reads the files ─► the same as before:
//     nothing
//                                                                     ├► bad: one line, old ones
//                                                                     stay └► tour: every core's
//                                                                     next
//                                                                        handshakes use them
//
// What is watched are the folders of the files, as they are named and as they resolve: certificates
// are renewed by renaming over them (certbot) or over a link somewhere in their path (Kubernetes),
// and a watch on the file itself would follow the old one. A folder says more than concerns us, so
// what was read is compared with what is in use.
//
// The keys are the process's, not the snapshot's: a reload ends nobody's session.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/process_internal.h"
#include "net/tls_ticket.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

// A key that could not be made now.
#define ROTATE_AGAIN_MS (60 * 1000)
// A renewal writes two files or more; the pair is read when it has been still for this long.
#define SETTLE_MS 500
// A folder that is never still (a log beside the certificates) must not put it off for ever.
#define SETTLE_MS_MAX 5000
#define WATCHED       (IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ATTRIB)
#define END_TURNS     1000

static struct process *process_of(struct listener_care *care)
{
    return container_of(care, struct process, care);
}

static struct ring *ring_of(struct listener_care *care)
{
    return process_of(care)->thread[0]->ring;
}

// ---- Keys --------------------------------------------------------------------------------------

static void arm_rotation(struct listener_care *care);

static bool give_key(struct tour *tour, struct gateway_core *core)
{
    struct listener_care *care = container_of(tour, struct listener_care, tour);
    net_tls_rotate(&core->net, &care->key);
    return true;
}

static void key_given(struct tour *tour)
{
    struct listener_care *care = container_of(tour, struct listener_care, tour);
    if (process_of(care)->control.state == CONTROL_RUNNING)
        arm_rotation(care);
}

// Not while a new process starts: it has been given the keys that there were.
static bool rotate(struct listener_care *care)
{
    struct tls_ticket_key fresh;
    if (process__upgrade_busy(process_of(care)) || tls_ticket_key_make(&fresh) < 0)
        return false;
    care->before = care->key;
    care->has_before = true;
    care->key = fresh;
    explicit_bzero(&fresh, sizeof(fresh));
    return true;
}

static void on_rotation(struct ring *ring, struct ring_timer *timer)
{
    struct listener_care *care = container_of(timer, struct listener_care, rotation);
    if (process_of(care)->control.state != CONTROL_RUNNING)
        return;
    bool done = rotate(care);
    care->rotate_at =
        mono_add_ms(ring_now(ring), done ? (int64_t)TLS_TICKET_ROTATE_S * 1000 : ROTATE_AGAIN_MS);
    if (done)
        tour_start(&care->tour, &process_of(care)->thread[0]->core, give_key, key_given);
    else
        arm_rotation(care);
}

static void arm_rotation(struct listener_care *care)
{
    ring_timer_set(ring_of(care), &care->rotation, care->rotate_at, on_rotation);
}

// ---- Files -------------------------------------------------------------------------------------

static void watch_folder(struct listener_care *care, const char *file)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    size_t len = slash ? (size_t)(slash - file) : 0;
    if (len >= sizeof(folder))
        return;
    memcpy(folder, file, len);
    folder[len] = '\0';
    if (len == 0)
        memcpy(folder, slash ? "/" : ".", 2);
    // Refused (no more watches): SIGHUP still reloads. The same folder twice is one watch.
    (void)inotify_add_watch(care->inotify_fd, folder, WATCHED);
}

// PEM texts in the place of a path name no folder worth watching.
static void watch_file(struct listener_care *care, struct slice from)
{
    char name[PATH_MAX], real[PATH_MAX];
    if (from.len == 0 || from.len >= sizeof(name) || slice_starts(from, SLICE("-----")))
        return;
    memcpy(name, from.ptr, from.len);
    name[from.len] = '\0';
    watch_folder(care, name);
    if (realpath(name, real))
        watch_folder(care, real);
}

void process__tls_watch(struct process *p)
{
    const struct config_listener *l = p->thread[0]->core.config->tls;
    if (p->care.inotify_fd < 0 || l == NULL)
        return;
    for (unsigned i = 0; i < l->count; i++) {
        watch_file(&p->care, l->certificates[i].cert);
        watch_file(&p->care, l->certificates[i].key);
    }
    watch_file(&p->care, l->client_ca);
}

static void on_settled(struct ring *ring, struct ring_timer *timer)
{
    struct listener_care *care = container_of(timer, struct listener_care, settle);
    (void)ring;
    if (process_of(care)->control.state != CONTROL_RUNNING)
        return;
    process__tls_watch(process_of(care)); // a folder may be another one now
    process__reload(process_of(care), RELOAD_CERTIFICATES);
}

static void on_change(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct listener_care *care = container_of(op, struct listener_care, watch_op);
    char events[4096];
    bool any = false;
    while (read(care->inotify_fd, events, sizeof(events)) > 0)
        any = true;
    if (any) {
        struct mono now = ring_now(ring);
        if (!ring_timer_is_set(&care->settle))
            care->settle_by = mono_add_ms(now, SETTLE_MS_MAX);
        ring_timer_set(ring, &care->settle, mono_min(mono_add_ms(now, SETTLE_MS), care->settle_by),
                       on_settled);
    }
    if (event->final && event->res >= 0 && process_of(care)->control.state != CONTROL_STOPPING)
        ring_poll(ring, op, on_change, care->inotify_fd, POLLIN);
}

// ---- Life --------------------------------------------------------------------------------------

void process__tls_begin(struct process *p)
{
    struct listener_care *care = &p->care;
    struct gateway_core *core = &p->thread[0]->core;
    if (core->config->tls == NULL)
        return;
    care->current = tls_context_get(core->config->tls->context);
    arm_rotation(care);
    care->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (care->inotify_fd < 0) {
        LOG(&core->log, ring_wall(core->net.ring), LOG_WARN,
            "certificates are not watched, SIGHUP reloads them",
            LOG_S("error", slice_str(strerror(errno))));
        return;
    }
    process__tls_watch(p);
    ring_poll(core->net.ring, &care->watch_op, on_change, care->inotify_fd, POLLIN);
}

void process__tls_end(struct process *p)
{
    struct listener_care *care = &p->care;
    if (care->current == NULL)
        return; // never begun
    struct ring *ring = ring_of(care);
    ring_timer_clear(ring, &care->rotation);
    ring_timer_clear(ring, &care->settle);
    ring_cancel(ring, &care->watch_op);
    for (unsigned i = 0; i < END_TURNS && ring_op_busy(&care->watch_op); i++)
        ring_turn(ring, mono_add_ms(clock_mono(), 1));
    ASSERT(!ring_op_busy(&care->watch_op));
    if (care->inotify_fd >= 0)
        close(care->inotify_fd);
    tls_context_put(care->current);
    care->current = NULL;
}
