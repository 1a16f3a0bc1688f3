// SPDX-License-Identifier: Apache-2.0
//
// process_control.c: signals, and the way down.
//
// Signals are blocked in every thread and read by core 0's ring from a signalfd, so a signal is an
// event like any other and never interrupts anything.
//
//   ┌─────────┐ SIGTERM, SIGINT  ┌──────────┐ 30 s, or a      ┌──────────┐
//   │ RUNNING │ ───────────────► │ DRAINING │ second signal ► │ ABORTING │
//   └─────────┘ on_signal        └──────────┘ round_done      └──────────┘
//                                     │ all cores idle             │ all cores idle, or 5 s
//                                     ▼                            ▼
//                                ┌─────────────────────────────────────┐
//                                │ STOPPING  every ring is told to end │
//                                └─────────────────────────────────────┘
//
//   DRAINING  /health says 503, no connection is accepted, idle ones are closed, answers say
//             Connection: close, running exchanges finish
//   ABORTING  what is left is reset; its fibers are cancelled
//
// From DRAINING on core 0 sends a round (a tour) every ROUND_MS: each core is told what the state
// asks for, which is harmless to repeat, and counted when it is not idle.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAIN_MS     30000
#define ABORT_MS     5000
#define ROUND_MS     20
#define QUIT_TURNS   1000
#define QUIT_TURN_MS 1

static void send_round(struct ring *ring, struct ring_timer *timer);

static struct process *process_of(struct control *c)
{
    return container_of(c, struct process, control);
}

static struct core_thread *first_core(struct process *p)
{
    return p->thread[0];
}

static void set_state(struct control *c, enum control_state to)
{
    // Always forward; DRAINING and ABORTING both lead to STOPPING.
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
    struct control *c = container_of(tour, struct control, tour);
    if (c->abort)
        net_abort(&core->net);
    else
        net_drain(&core->net);
    if (!net_idle(&core->net) || fiber_live(core->net.fibers) > 0)
        c->busy_cores++;
    return true;
}

static void round_done(struct tour *tour)
{
    struct control *c = container_of(tour, struct control, tour);
    struct process *p = process_of(c);
    struct core_thread *t = first_core(p);
    struct mono now = ring_now(t->ring);
    if (c->busy_cores == 0 && !p->reload.busy) {
        stop(p);
        return;
    }
    if (!mono_before(now, c->until)) {
        if (c->state == CONTROL_ABORTING) {
            // A fiber that does not end even now would hang the stop for ever.
            LOG(&t->core.log, ring_wall(t->ring), LOG_ERROR, "stopping although not idle",
                LOG_N("busy_cores", c->busy_cores));
            log_flush(&t->core.log, STDERR_FILENO);
            _exit(1);
        }
        LOG(&t->core.log, ring_wall(t->ring), LOG_WARN, "resetting the requests that are left",
            LOG_N("busy_cores", c->busy_cores));
        set_state(c, CONTROL_ABORTING);
        c->until = mono_add_ms(now, ABORT_MS);
    }
    ring_timer_set(t->ring, &c->timer, mono_add_ms(now, ROUND_MS), send_round);
}

static void send_round(struct ring *ring, struct ring_timer *timer)
{
    struct control *c = container_of(timer, struct control, timer);
    struct core_thread *t = first_core(process_of(c));
    ASSERT(ring == t->ring && c->state >= CONTROL_DRAINING);
    c->busy_cores = 0;
    c->abort = c->state == CONTROL_ABORTING;
    tour_start(&c->tour, &t->core, visit, round_done);
}

static void begin_end(struct process *p, unsigned signal)
{
    struct control *c = &p->control;
    struct core_thread *t = first_core(p);
    struct mono now = ring_now(t->ring);
    if (c->state == CONTROL_RUNNING) {
        LOG(&t->core.log, ring_wall(t->ring), LOG_INFO, "finishing the requests that are running",
            LOG_N("signal", signal));
        atomic_store(&p->gateway.draining, true);
        set_state(c, CONTROL_DRAINING);
        c->until = mono_add_ms(now, DRAIN_MS);
        send_round(t->ring, &c->timer);
    } else if (c->state == CONTROL_DRAINING) {
        c->until = now; // patience is over; the next round sees it
    }
}

// ---- Signals ---------------------------------------------------------------------------------

static void signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGTERM);
}

static void on_signal(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct control *c = container_of(op, struct control, signal_op);
    struct process *p = process_of(c);
    struct signalfd_siginfo info;
    // The descriptor does not block; a handful of signals can be waiting.
    while (read(c->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGHUP)
            begin_end(p, info.ssi_signo);
        else if (c->state == CONTROL_RUNNING)
            process__reload(p, RELOAD_ALL);
    }
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
    ring_poll(first_core(p)->ring, &c->signal_op, on_signal, c->signal_fd, POLLIN);
    return 0;
}

void process__control_end(struct process *p)
{
    struct control *c = &p->control;
    struct ring *ring = first_core(p)->ring;
    if (c->signal_fd < 0)
        return; // never begun
    ring_cancel(ring, &c->signal_op);
    for (unsigned i = 0; i < QUIT_TURNS && ring_op_busy(&c->signal_op); i++)
        ring_turn(ring, mono_add_ms(clock_mono(), QUIT_TURN_MS));
    ASSERT(!ring_op_busy(&c->signal_op));
    close(c->signal_fd);
}
