// SPDX-License-Identifier: Apache-2.0
//
// process_internal.h: what the files of the process share: threads, the gates of the start,
// control.
//
// Start and stop are phases. Every thread passes the same gates, the main thread those of the
// start, and a gate opens when all have come or one has failed:
//
//   main    ─ config ─ threads ─┐
//   core 0  ─ ring, net ────────┤ MADE ─ listen ─┐        ┌─► runs ─► stop ─┐
//   core 1  ─ ring, net ────────┘                ┤ FIRST ─ listen ─ ALL ─►  ├ ENDED ─► taken apart
//   core n  ─ …                                  ┘                          ┘
//
// Nobody accepts before every core can take a connection over; the first to listen decides the port
// when it was left open. No ring is freed before all loops have ended, because they mail each
// other.
#ifndef RINGGATE_GATEWAY_PROCESS_INTERNAL_H
#define RINGGATE_GATEWAY_PROCESS_INTERNAL_H

#include "gateway/process.h"
#include "gateway/tour.h"
#include "gateway/watchdog.h"
#include "net/tls_ticket.h"
#include <pthread.h>

enum phase { PHASE_MADE, PHASE_FIRST, PHASE_ALL, PHASE_ENDED, PHASE_COUNT };

// Meeting points of the threads. Passing one orders memory like a mutex.
struct gates {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned arrived[PHASE_COUNT];
    unsigned expected[PHASE_COUNT];
    bool failed; // the start is over; the first reason stays
    char reason[512];
};

enum reload_kind {
    RELOAD_CERTIFICATES = 1, // the listener's, from the files the snapshot in use names
    RELOAD_ALL = 2,          // config.json, and with it those
};

// A second snapshot, or a second set of certificates, in the making: see process_reload.c.
struct reload {
    pthread_t thread;
    bool busy;
    enum reload_kind kind;
    unsigned again;            // kinds that were asked for meanwhile
    struct config *base;       // in use when it began; no other reload can end it
    struct config *config;     // RELOAD_ALL
    struct tls_context *fresh; // RELOAD_CERTIFICATES
    int err;
    struct config_report report;
    struct ring_mail mail; // from the worker to core 0
    struct tour tour;      // hands the snapshot to every core
};

// A TLS listener's keys and files: see process_tls.c.
struct listener_care {
    struct tls_context *current; // what handshakes use; NULL: there is no TLS
    struct ring_timer rotation, settle;
    struct mono settle_by;     // whatever else changes meanwhile
    struct tls_ticket_key key; // the newest, until every core has it
    struct tour tour;
    int inotify_fd; // -1: none
    struct ring_op watch_op;
};

enum control_state {
    CONTROL_RUNNING,
    CONTROL_LEAVING,
    CONTROL_DRAINING,
    CONTROL_ABORTING,
    CONTROL_STOPPING,
    CONTROL_STATE_COUNT
};

// Core 0 decides for the process: see process_control.c.
struct control {
    enum control_state state;
    int signal_fd;
    struct ring_op signal_op;
    struct ring_timer timer;
    struct tour tour;
    enum control_state order; // what this round tells the cores
    unsigned busy_cores;      // found by this round
    uint64_t requests;        // the same
    struct mono until;        // end of the state's patience
    unsigned timeout_ms;      // that of DRAINING
};

struct core_thread {
    struct gateway_core core; // first: aligned like the allocation
    struct process *process;
    struct ring *ring;
    struct fiber_sched *fibers;
    pthread_t thread;
    void *signal_stack;
};

struct process {
    struct gateway gateway; // first: aligned like the allocation
    const struct process_setup *setup;
    struct gates gates;
    struct control control;
    struct reload reload;
    struct watchdog watchdog;
    struct listener_care care;
    struct config *config; // the first snapshot, until the cores have it
    unsigned port;         // as bound
    unsigned plain_port;   // the same, beside TLS
    bool secure, plain;    // TLS on `port`; plain on `plain_port`
    unsigned fibers_max;   // per core
    uint64_t memory_max;   // of a core, unless the configuration says
    struct core_thread *thread[CORES_MAX];
};

// process.c
bool process__pass(struct process *p, enum phase phase); // false: the start has failed
void process__fail(struct process *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct config_source process__source(const struct process_setup *setup);

// process_core.c: the thread's function.
void *process__core_main(void *core_thread);

// process_control.c, on core 0's thread.
int process__control_begin(struct process *p); // 0 or ERR_SYSTEM
void process__control_end(struct process *p);
int process__block_signals(void); // in the main thread, before any other

// process_reload.c, on core 0's thread.
void process__reload(struct process *p, enum reload_kind kind);

// process_tls.c, on core 0's thread. Without TLS nothing happens.
void process__tls_begin(struct process *p);
void process__tls_watch(struct process *p); // also the files of the snapshot now in use
void process__tls_end(struct process *p);

#endif
