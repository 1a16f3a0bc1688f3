// SPDX-License-Identifier: Apache-2.0
//
// process_core.c: one core's thread, from its ring to its last log line.
//
// Threads are not pinned: the kernel moves a lone busy thread rarely and knows better when other
// programs share the machine. Everything a core owns is made and freed on its own thread, so its
// memory is near it.
//
// Log lines are formatted into memory; a hook at the end of each turn hands the filled half to the
// ring, which writes it to standard error while lines go on into the other half.
#include "base/assert.h"
#include "base/err.h"
#include "gateway/process_internal.h"
#include "ring/work.h"
#include "store/store.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Turns granted to connections and a log write to end once the loop has stopped.
#define QUIESCE_TURNS   2000
#define QUIESCE_TURN_MS 1
// Turns after the loop: one submits, one collects.
#define LAST_TURNS 2

// ---- The thread's memory -----------------------------------------------------------------------

// jemalloc's control, when it is linked in (main.c).
extern int mallctl(const char *name, void *old, size_t *old_len, void *in, size_t in_len)
    __attribute__((weak));

// jemalloc gives a freed block above this size back in the freeing call, which is a loop's turn: 6
// ms for 100 MB. Raised out of reach, its background thread does it like everything else.
static void keep_large_frees_off_the_loop(void)
{
    unsigned arena;
    size_t len = sizeof(arena);
    size_t never = (size_t)1 << 46;
    char name[48];
    if (!mallctl || mallctl("thread.arena", &arena, &len, NULL, 0) != 0)
        return;
    snprintf(name, sizeof(name), "arena.%u.oversize_threshold", arena);
    (void)mallctl(name, NULL, NULL, &never, sizeof(never));
}

// ---- The log's way out -----------------------------------------------------------------------

static void on_log_written(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    struct gateway_core *core = container_of(op, struct gateway_core, log_write);
    if (event->res > 0 && (size_t)event->res < core->log_left.len) {
        core->log_left = slice_skip(core->log_left, (size_t)event->res);
        ring_write(ring, op, on_log_written, STDERR_FILENO, core->log_left.ptr, core->log_left.len);
        return;
    }
    // An error (a closed pipe) loses these lines: there is nobody left to read them.
    log_written(&core->log);
}

static void flush_log(struct ring *ring, struct ring_hook *hook)
{
    struct gateway_core *core = container_of(hook, struct gateway_core, log_hook);
    if (ring_op_busy(&core->log_write))
        return;
    core->log_left = log_take(&core->log);
    if (core->log_left.len > 0)
        ring_write(ring, &core->log_write, on_log_written, STDERR_FILENO, core->log_left.ptr,
                   core->log_left.len);
}

// ---- Making ----------------------------------------------------------------------------------

static int make_ring(struct core_thread *t)
{
    const struct options *o = t->process->setup->options;
    struct ring_options options = RING_OPTIONS_DEFAULT;
    const char *reason = NULL;
    options.busy_poll_us = o->busy_poll_us;
    options.only_6_1 = o->only_6_1;
    int rc = ring_new(&options, &t->ring, &reason);
    if (rc < 0)
        process__fail(t->process, "io_uring is not available: %s",
                      reason != NULL ? reason : err_text(rc));
    return rc;
}

static void set_limits(struct net_options *net, const struct config_limits *l)
{
    net->head_ms = l->head_ms;
    net->head_rate = l->head_rate;
    net->body_ms = l->body_ms;
    net->body_rate = l->body_rate;
    net->send_ms = l->send_ms;
    net->send_rate = l->send_rate;
    net->idle_ms = l->idle_ms;
    net->connections_max = l->connections_max;
    net->per_address_max = l->per_address_max;
    net->memory_max = (uint64_t)l->memory_mb << 20;
}

static int make_core(struct core_thread *t)
{
    struct process *p = t->process;
    struct gateway_core *core = &t->core;
    const struct options *o = p->setup->options;
    struct fiber_options fibers = FIBER_OPTIONS_DEFAULT;
    struct net_options net = {0};
    uint64_t seed[2];
    fibers.fibers_max = p->fibers_max;
    net.head_bytes_max = p->config->head_bytes_max;
    net.senders = &p->config->senders;
    set_limits(&net, &p->config->limits);
    if (net.memory_max == 0)
        net.memory_max = p->memory_max;
    if (p->config->tls != NULL) {
        net.tls = p->config->tls->context;
        net.ticket_key = &p->care.key;
        net.ticket_key_before = p->care.has_before ? &p->care.before : NULL;
    }
    int rc = make_ring(t);
    if (rc == 0)
        rc = watchdog_thread_begin(&t->signal_stack);
    if (rc < 0)
        return rc;
    core->config = p->config;
    credentials_init(&core->credentials);
    core->server.on_request = gateway_on_request;
    core->server.refusal = gateway_refusal;
    rc = log_init(&core->log, o->log_level, o->log_style);
    if (rc == 0)
        rc = random_bytes(seed, sizeof(seed));
    if (rc == 0)
        rc = metrics_init(&core->metrics, seed);
    if (rc == 0)
        rc = fiber_sched_new(t->ring, &fibers, &t->fibers);
    if (rc == 0)
        rc = net_core_init(&core->net, core->index, &p->gateway.net, t->ring, t->fibers, &core->log,
                           &core->server, &net);
    if (rc == 0)
        ring_hook_add(t->ring, &core->log_hook, flush_log);
    else
        process__fail(p, "core %u: %s", core->index, err_text(rc));
    return rc;
}

static void cannot_listen(struct process *p, const struct net_want *want)
{
    const char *reason = errno != 0 ? strerror(errno) : "address unknown";
    process__fail(p, "cannot listen on %s port %u: %s", want->host, want->port, reason);
}

// Core 0, for all of them.
static void open_sockets(struct process *p)
{
    struct net_want want[NET_ROLE_COUNT];
    unsigned *port[NET_ROLE_COUNT] = {
        [NET_ROLE_MAIN] = &p->port, [NET_ROLE_PLAIN] = &p->plain_port};
    process__wants(p, want);
    if (process__inherit_sockets(p, want) < 0)
        return;
    for (unsigned r = 0; r < NET_ROLE_COUNT; r++) {
        errno = 0;
        if (want[r].wanted && net_sockets_open(&p->sockets, (enum net_role)r, &want[r],
                                               p->gateway.cores, port[r]) < 0) {
            cannot_listen(p, &want[r]);
            return;
        }
    }
}

// ---- Unmaking --------------------------------------------------------------------------------

static bool quiet(const struct core_thread *t)
{
    const struct gateway_core *core = &t->core;
    return net_idle(&core->net) && fiber_live(t->fibers) == 0 && !ring_op_busy(&core->log_write);
}

// The loop has ended in order, or the start has failed: what is still open is reset, and the ring
// turns until its last completions are in.
static void quiesce(struct core_thread *t)
{
    net_abort(&t->core.net);
    for (unsigned i = 0; i < QUIESCE_TURNS && !quiet(t); i++)
        ring_turn(t->ring, mono_add_ms(clock_mono(), QUIESCE_TURN_MS));
    ASSERT(quiet(t));
}

static void unmake_core(struct core_thread *t, bool made)
{
    struct gateway_core *core = &t->core;
    if (made) {
        quiesce(t);
        net_core_done(&core->net);
    }
    fiber_sched_free(t->fibers);
    work_pool_leave(core->gateway->work);
    if (core->gateway->store)
        store_leave(core->gateway->store);
    ring_free(t->ring);
    credentials_done(&core->credentials);
    metrics_done(&core->metrics);
    if (core->log.half[0] != NULL)
        log_flush(&core->log, STDERR_FILENO);
    log_done(&core->log);
}

// ---- The thread ------------------------------------------------------------------------------

// The gates of the start, in order; false when any thread failed at one.
static bool start(struct core_thread *t)
{
    struct process *p = t->process;
    if (!process__pass(p, PHASE_MADE))
        return false;
    if (t->core.index == 0)
        open_sockets(p);
    if (!process__pass(p, PHASE_FIRST))
        return false;
    if (net_listen(&t->core.net, &p->sockets) < 0)
        process__fail(p, "core %u: %s", t->core.index, err_text(ERR_NOMEM));
    if (t->core.index == 0 && process__control_begin(p) < 0)
        process__fail(p, "signals: %s", strerror(errno));
    else if (t->core.index == 0)
        process__tls_begin(p);
    if (t->core.index == 0)
        process__takeover_begin(p);
    bool passed = process__pass(p, PHASE_ALL);
    if (passed && t->core.index == 0)
        process__takeover_serving(p);
    if (passed && t->core.index == 0)
        process__prices_begin(p);
    return passed;
}

void *process__core_main(void *core_thread)
{
    struct core_thread *t = core_thread;
    struct process *p = t->process;
    char name[16];
    snprintf(name, sizeof(name), "core-%u", t->core.index);
    pthread_setname_np(pthread_self(), name);
    keep_large_frees_off_the_loop();
    bool made = make_core(t) == 0;
    bool started = start(t);
    if (started) {
        ring_run(t->ring);
        // A wake for another core may still lie unsubmitted; it must not meet a freed ring.
        for (unsigned i = 0; i < LAST_TURNS; i++)
            ring_turn(t->ring, clock_mono());
        process__pass(p, PHASE_ENDED);
        // Nobody mails any more. The last core to let go frees the snapshot.
        config_retire(t->core.config, t->core.index);
    }
    if (t->core.index == 0) {
        pricing_sync_stop(&p->gateway.prices, &t->core);
        process__takeover_end(p);
        process__tls_end(p);
        process__control_end(p);
    }
    unmake_core(t, made);
    watchdog_thread_end(t->signal_stack);
    return NULL;
}
