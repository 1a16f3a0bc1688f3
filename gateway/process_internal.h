// SPDX-License-Identifier: Apache-2.0
//
// process_internal.h: what the files of the process share: threads, the gates of the start,
// control.
//
// Start and stop are phases. Every thread passes the same gates, the main thread those of the
// start, and a gate opens when all have come or one has failed:
//
//   main    ─ config ─ threads ─┐
//   core 0  ─ ring, net ────────┤ MADE ─ sockets ┐        ┌─► runs ─► stop ─┐
//   core 1  ─ ring, net ────────┘                ┤ FIRST ─ accept ─ ALL ─►  ├ ENDED ─► taken apart
//   core n  ─ …                                  ┘                          ┘
//
// Nobody accepts before every core can take a connection over. No ring is freed before all loops
// have ended, because they mail each other.
#ifndef RINGGATE_GATEWAY_PROCESS_INTERNAL_H
#define RINGGATE_GATEWAY_PROCESS_INTERNAL_H

#include "gateway/handover.h"
#include "gateway/process.h"
#include "gateway/shared_dir.h"
#include "gateway/tour.h"
#include "gateway/watchdog.h"
#include "net/sockets.h"
#include "net/tls_ticket.h"
#include "store/store.h"
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
    RELOAD_PRICES = 4,       // what the snapshot in use was made of, with the newest catalogue
};

// A second snapshot, or a second set of certificates, in the making: see process_reload.c.
struct reload {
    pthread_t thread;
    bool busy;
    enum reload_kind kind;
    unsigned again;            // kinds that were asked for meanwhile
    struct config *base;       // in use when it began; no other reload can end it
    struct config *config;     // RELOAD_ALL, RELOAD_PRICES
    struct catalog *catalog;   // a reference
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
    struct mono settle_by; // whatever else changes meanwhile
    struct mono rotate_at;
    struct tls_ticket_key key, before; // the newest; the next process gets both
    bool has_before;
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
    bool told;                // a signal has asked for the end
    unsigned accepting_cores; // found by this round
    unsigned busy_cores;      // the same
    uint64_t requests;
    struct mono until;   // end of the state's patience
    unsigned timeout_ms; // that of DRAINING
};

enum upgrade_state {
    UPGRADE_NONE,
    UPGRADE_STARTING,
    UPGRADE_CALLED_OFF,
    UPGRADE_DONE,
    UPGRADE_STATE_COUNT
};

// A socket that systemd has named keeps its role whatever its address is.
#define PROCESS_NAMED ".named"

// Both sides of a new program's taking this one's place: process_upgrade.c, process_takeover.c.
struct upgrade {
    // To be replaced.
    enum upgrade_state state;
    pthread_t thread;
    pthread_mutex_t mutex; // holds `child` and `early`
    pid_t child;           // 0: not there yet, or collected
    int pidfd;             // says that it has ended
    int early[2];          // signals it is to get as soon as it is there
    int link;              // to it; -1: none
    int far_link;          // its end, until it is started
    int wake;              // eventfd: called off
    unsigned timeout_ms;
    bool served;
    char reason[256];
    struct handover offer;
    struct ring_mail mail; // the thread's, to core 0
    struct tour tour;
    // To take over.
    struct handover inherited;
    bool by_systemd;  // that is where it comes from
    bool successor;   // of a ringgate
    bool taking_over; // and that one still accepts
    int before;       // link to it; -1: none
    struct ring_op before_op;
    struct handover_message heard;
    struct tour before_tour;
    // Shared by both.
    struct handover_area *area;
    int area_fd;
};

struct core_thread {
    struct gateway_core core; // first: aligned like the allocation
    struct process *process;
    struct ring *ring;
    struct fiber_sched *fibers;
    pthread_t thread;
    void *signal_stack;
};

// Rows of the store's `config`, as the snapshots read them (config_stored.c): memory that the
// process after this one gets too, because it cannot open the store while this one has it.
struct stored {
    int fd; // memfd, sealed; -1: none
    void *memory;
    size_t bytes;
    struct slice text; // in `memory`; secret
};

struct process {
    struct gateway gateway; // first: aligned like the allocation
    const struct process_setup *setup;
    char shared_dir[SHARED_DIR_BYTES];
    struct gates gates;
    struct control control;
    struct reload reload;
    struct upgrade upgrade;
    struct watchdog watchdog;
    struct listener_care care;
    struct stored stored;
    struct config *config;      // the first snapshot, until the cores have it
    struct buf encryption_key;  // what the store was opened with; wiped at the end
    struct net_sockets sockets; // the cores' once they accept: each closes its own
    unsigned port;              // as bound
    unsigned plain_port;        // the same, beside TLS
    bool secure, plain;         // TLS on `port`; plain on `plain_port`
    unsigned fibers_max;        // per core
    uint64_t memory_max;        // of a core, unless the configuration says
    struct core_thread *thread[CORES_MAX];
};

// process.c
bool process__pass(struct process *p, enum phase phase); // false: the start has failed
void process__fail(struct process *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct config_source process__source(const struct process_setup *setup, struct gateway *g);
// What the first snapshot and the flags want to be listened on.
void process__wants(const struct process *p, struct net_want ret[NET_ROLE_COUNT]);

// process_store.c, in the main thread. Each 0, or an error that was written to standard error.
// Opens the store when the configuration asks for records, or when there is one that may hold rows.
int process__open_store(struct process *p);
// Of a new snapshot: how long records are kept. Any thread.
void process__retain(struct process *p, const struct config_logging *logging);
// Tells a fresh ledger what was used: when the last word about the configuration was said.
int process__fill_ledger(struct process *p);

// The store closes. Again is fine, and without one.
void process__close_store(struct process *p);

// Would the start find the key of the store that is there? False with a sentence.
bool process__key_fits(const struct options *options, const struct config *c,
                       char ret_reason[STORE_REASON_BYTES]);

// process_stored.c, in the main thread.
int process__take_stored(struct process *p); // what the process before passes on
int process__load_stored(struct process *p); // from the store, unless that is another's
void process__stored_free(struct process *p);

// process_core.c: the thread's function.
void *process__core_main(void *core_thread);

// process_control.c, on core 0's thread.
int process__control_begin(struct process *p); // 0 or ERR_SYSTEM
void process__control_end(struct process *p);
int process__block_signals(void); // in the main thread, before any other

// A new process serves: no connection is accepted any more, what runs finishes.
void process__give_way(struct process *p);

// process_upgrade.c. In the main thread, before any other.
void process__upgrade_init(struct process *p);
void process__upgrade_free(struct process *p);
// On core 0's thread.
void process__upgrade(struct process *p);              // SIGUSR2
void process__upgrade_reload_asked(struct process *p); // SIGHUP
void process__upgrade_end_asked(struct process *p);    // SIGTERM, SIGINT
bool process__upgrade_busy(const struct process *p);   // the process may not end yet
bool process__upgrade_waits(const struct process *p);  // for process__upgrade_stopped
void process__upgrade_stopped(struct process *p);      // no core accepts
bool process__listen_anew(struct tour *tour, struct gateway_core *core);

// process_takeover.c. In the main thread, before any other; on core 0's thread, in this order.
int process__take_over(struct process *p); // negative: said on standard error
int process__inherit_sockets(struct process *p, const struct net_want want[NET_ROLE_COUNT]);
void process__takeover_begin(struct process *p);
void process__takeover_serving(struct process *p);
void process__takeover_end(struct process *p);

// process_reload.c, on core 0's thread.
void process__reload(struct process *p, enum reload_kind kind);
void process__prices_begin(struct process *p); // once the cores serve

// process_tls.c, on core 0's thread. Without TLS nothing happens.
void process__tls_begin(struct process *p);
void process__tls_watch(struct process *p); // also the files of the snapshot now in use
void process__tls_end(struct process *p);

// ---- What they all say -----------------------------------------------------------------------

static inline struct core_thread *process__first_core(struct process *p)
{
    return p->thread[0];
}

#define PROCESS__SAY(p, level, ...)                                                                \
    LOG(&process__first_core(p)->core.log, ring_wall(process__first_core(p)->ring), level,         \
        __VA_ARGS__)

#endif
