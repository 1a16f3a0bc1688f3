// SPDX-License-Identifier: Apache-2.0
//
// process_control.c: signals, and the way down.
//
// Signals are blocked in every thread and read by core 0's ring from a signalfd, so a signal is an
// event like any other and never interrupts anything.
//
//   ┌─────────┐ SIGTERM, SIGINT ┌─────────┐ drain_delay_s ┌──────────┐ drain_timeout_s ┌──────────┐
//   │ RUNNING │ ──────────────► │ LEAVING │ ────────────► │ DRAINING │ ──────────────► │ ABORTING │
//   └─────────┘ begin_end       └─────────┘ next_state    └──────────┘ next_state      └──────────┘
//                                    │                         │  all cores idle            │  ▲
//                                    │                         ▼                            │  │
//                                    │                    ┌──────────┐ all cores idle, 5 s  │  │
//                                    │                    │ STOPPING │ ◄────────────────────┘  │
//                                    │                    └──────────┘ every ring is told      │
//                                    └── a second signal, here and in DRAINING ────────────────┘
//
// A new process that serves (process_upgrade.c) takes RUNNING to DRAINING at once, by give_way:
// nobody has to look away, the port is still served. What runs has the same drain_timeout_s; a
// signal that comes then is the first, and changes nothing.
//
//   LEAVING   /health says 503, answers say Connection: close; connections are accepted and served:
//             balancers need time to look away
//   DRAINING  no connection is accepted, running exchanges finish, idle connections wait for a
//             request whose answer tells them
//   ABORTING  idle connections are closed, what runs is reset, its fibers cancelled
//
// /health says 503 from the first signal on, but not when a new process has taken over: a balancer
// that asks on an old connection would take the port for dead.
//
// From LEAVING on core 0 sends rounds (tours), every ROUND_MS from DRAINING on: each core is told
// what the state asks for, which is harmless to repeat, and counted when it is not idle.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/notify.h"
#include "gateway/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ABORT_MS 5000
#define ROUND_MS 20
// While a new process waits for the last socket: who is in its queue may be waiting for that.
#define ROUND_MS_MIN 1
#define QUIT_TURNS   1000
#define QUIT_TURN_MS 1

static void send_round(struct ring *ring, struct ring_timer *timer);

static struct process *process_of(struct control *c)
{
    return container_of(c, struct process, control);
}

static void set_state(struct control *c, enum control_state to)
{
    // Always forward; a second signal skips, and DRAINING leads to STOPPING as well.
    ASSERT(to > c->state && to < CONTROL_STATE_COUNT);
    c->state = to;
}

// ---- The way down ----------------------------------------------------------------------------

static void stop(struct process *p)
{
    set_state(&p->control, CONTROL_STOPPING);
    for (unsigned i = p->gateway.cores; i-- > 0;)
        ring_stop(p->thread[i]->ring);
}

static bool visit(struct tour *tour, struct gateway_core *core)
{
    static void (*const orders[CONTROL_STATE_COUNT])(struct net_core *) = {
        [CONTROL_LEAVING] = net_leave,
        [CONTROL_DRAINING] = net_drain,
        [CONTROL_ABORTING] = net_abort,
    };
    struct control *c = container_of(tour, struct control, tour);
    orders[c->order](&core->net);
    c->requests += fiber_live(core->net.fibers);
    c->accepting_cores += net_listen_over(&core->net) ? 0 : 1;
    if (!net_idle(&core->net) || fiber_live(core->net.fibers) > 0)
        c->busy_cores++;
    return true;
}

// What the round just home found, as fields of a line.
#define FOUND(c) LOG_N("busy_cores", (c)->busy_cores), LOG_N("requests", (c)->requests)

static void say_aborting(const struct control *c, struct core_thread *t)
{
    if (c->requests > 0)
        LOG(&t->core.log, ring_wall(t->ring), LOG_WARN, "resetting the requests that are left",
            FOUND(c));
    else
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "closing the connections that are left",
            FOUND(c));
}

// The state's patience is over.
static void next_state(struct process *p, struct mono now)
{
    struct control *c = &p->control;
    struct core_thread *t = process__first_core(p);
    switch (c->state) {
    case CONTROL_LEAVING:
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "accepting no more connections",
            LOG_N("timeout_ms", c->timeout_ms));
        set_state(c, CONTROL_DRAINING);
        c->until = mono_add_ms(now, c->timeout_ms);
        return;
    case CONTROL_DRAINING:
        say_aborting(c, t);
        set_state(c, CONTROL_ABORTING);
        c->until = mono_add_ms(now, ABORT_MS);
        return;
    default:
        ASSERT(c->state == CONTROL_ABORTING);
        // A fiber that does not end even now would hang the stop for ever.
        LOG(&t->core.log, ring_wall(t->ring), LOG_ERROR, "stopping although not idle", FOUND(c));
        log_flush(&t->core.log, STDERR_FILENO);
        _exit(1);
    }
}

static void round_done(struct tour *tour)
{
    struct control *c = container_of(tour, struct control, tour);
    struct process *p = process_of(c);
    struct core_thread *t = process__first_core(p);
    struct mono now = ring_now(t->ring);
    if (c->order >= CONTROL_DRAINING && c->accepting_cores == 0)
        process__upgrade_stopped(p);
    if (c->order >= CONTROL_DRAINING && c->busy_cores == 0 && !p->reload.busy &&
        !process__upgrade_busy(p)) {
        stop(p);
        return;
    }
    if (c->order == c->state && !mono_before(now, c->until))
        next_state(p, now);
    bool waits = c->state == CONTROL_LEAVING; // until then a round would find nothing to do
    unsigned pause = process__upgrade_waits(p) ? ROUND_MS_MIN : ROUND_MS;
    ring_timer_set(t->ring, &c->timer, waits ? c->until : mono_add_ms(now, pause), send_round);
}

static void send_round(struct ring *ring, struct ring_timer *timer)
{
    struct control *c = container_of(timer, struct control, timer);
    struct core_thread *t = process__first_core(process_of(c));
    ASSERT(ring == t->ring && c->state >= CONTROL_LEAVING);
    c->accepting_cores = 0;
    c->busy_cores = 0;
    c->requests = 0;
    c->order = c->state;
    tour_start(&c->tour, &t->core, visit, round_done);
}

static void begin(struct process *p, unsigned delay_ms)
{
    struct control *c = &p->control;
    struct core_thread *t = process__first_core(p);
    pricing_sync_stop(&p->gateway.prices, &t->core);
    c->timeout_ms = t->core.config->drain_timeout_ms;
    set_state(c, delay_ms > 0 ? CONTROL_LEAVING : CONTROL_DRAINING);
    c->until = mono_add_ms(ring_now(t->ring), delay_ms > 0 ? delay_ms : c->timeout_ms);
    send_round(t->ring, &c->timer);
}

void process__give_way(struct process *p)
{
    ASSERT(p->control.state == CONTROL_RUNNING);
    begin(p, 0);
}

static void begin_end(struct process *p, unsigned signal)
{
    struct control *c = &p->control;
    struct core_thread *t = process__first_core(p);
    if (c->state == CONTROL_STOPPING)
        return; // over; there is no snapshot any more
    const struct config *config = t->core.config;
    bool first = !c->told;
    c->told = true;
    if (first)
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "finishing the requests that are running",
            LOG_N("signal", signal), LOG_N("delay_ms", config->drain_delay_ms),
            LOG_N("timeout_ms", config->drain_timeout_ms));
    if (c->state == CONTROL_RUNNING) {
        notify_stopping();
        atomic_store(&p->gateway.draining, true);
        process__upgrade_end_asked(p);
        begin(p, config->drain_delay_ms);
    } else if (!first && c->state < CONTROL_ABORTING) {
        set_state(c, CONTROL_ABORTING); // patience is over
        c->until = mono_add_ms(ring_now(t->ring), ABORT_MS);
        if (ring_timer_is_set(&c->timer)) // else a round is on its way, and the next one sees it
            ring_timer_set(t->ring, &c->timer, ring_now(t->ring), send_round);
    }
}

// ---- Signals ---------------------------------------------------------------------------------

static void signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGUSR2);
}

static void take_signal(struct process *p, unsigned signal)
{
    if (signal == SIGUSR2) {
        process__upgrade(p);
    } else if (signal != SIGHUP) {
        begin_end(p, signal);
    } else if (p->control.state == CONTROL_RUNNING) {
        process__upgrade_reload_asked(p);
        process__reload(p, RELOAD_ALL);
    }
}

static void on_signal(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct control *c = container_of(op, struct control, signal_op);
    struct signalfd_siginfo info;
    // The descriptor does not block; a handful of signals can be waiting.
    while (read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        take_signal(process_of(c), info.ssi_signo);
    if (event->final && event->res >= 0 && c->state != CONTROL_STOPPING)
        ring_poll(ring, op, on_signal, c->signal_fd, POLLIN);
}

int process__block_signals(void)
{
    sigset_t set;
    signals(&set);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        return ERR_SYSTEM;
    return 0;
}

int process__control_begin(struct process *p)
{
    struct control *c = &p->control;
    sigset_t set;
    signals(&set);
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->signal_fd < 0)
        return ERR_SYSTEM;
    ring_poll(process__first_core(p)->ring, &c->signal_op, on_signal, c->signal_fd, POLLIN);
    return 0;
}

void process__control_end(struct process *p)
{
    struct control *c = &p->control;
    struct ring *ring = process__first_core(p)->ring;
    if (c->signal_fd < 0)
        return; // never begun
    ring_cancel(ring, &c->signal_op);
    for (unsigned i = 0; i < QUIT_TURNS && ring_op_busy(&c->signal_op); i++)
        ring_turn(ring, mono_add_ms(clock_mono(), QUIT_TURN_MS));
    ASSERT(!ring_op_busy(&c->signal_op));
    close(c->signal_fd);
}
