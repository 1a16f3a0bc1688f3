// SPDX-License-Identifier: Apache-2.0
//
// process.c: start-up in order, and the wait for the end.
//
// The main thread reads the configuration, makes the threads, says that they serve, and joins them.
// Everything that happens in between happens on the cores.
#include "gateway/process.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/estimate.h"
#include "gateway/host.h"
#include "gateway/limiter.h"
#include "gateway/notify.h"
#include "gateway/process_internal.h"
#include "gateway/session.h"
#include "providers/catalog.h"
#include "ring/work.h"
#include "store/store.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define CACHE_LINE 64
// Each fiber's stack costs two mappings (itself and its guard); the rest of the process has these.
#define MAPS_SPARED  8192
#define MAPS_DEFAULT 65530
#define FIBERS_MAX   16384
#define FIBERS_MIN   64
// Below this no body of the largest size could be served.
#define MEMORY_PER_CORE_MIN ((uint64_t)256 << 20)

// ---- Gates -----------------------------------------------------------------------------------

bool process__pass(struct process *p, enum phase phase)
{
    struct gates *g = &p->gates;
    pthread_mutex_lock(&g->mutex);
    g->arrived[phase]++;
    pthread_cond_broadcast(&g->changed);
    while (!g->failed && g->arrived[phase] < g->expected[phase])
        pthread_cond_wait(&g->changed, &g->mutex);
    bool failed = g->failed;
    pthread_mutex_unlock(&g->mutex);
    return !failed;
}

void process__fail(struct process *p, const char *format, ...)
{
    struct gates *g = &p->gates;
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&g->mutex);
    if (!g->failed)
        vsnprintf(g->reason, sizeof(g->reason), format, args);
    g->failed = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
    va_end(args);
}

static void gates_init(struct gates *g, unsigned cores)
{
    pthread_mutex_init(&g->mutex, NULL);
    pthread_cond_init(&g->changed, NULL);
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        g->expected[i] = cores + 1;
    g->expected[PHASE_ENDED] = cores;
}

// ---- What the machine offers -----------------------------------------------------------------

static unsigned cores_allowed(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    unsigned n = (unsigned)CPU_COUNT(&set);
    return n < 1 ? 1 : n > CORES_MAX ? CORES_MAX : n;
}

// Descriptors: every client and every provider's connection is one.
static void raise_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    // Refused: the soft limit stays, and accepting pauses when it is reached.
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

// No core dump, no debugger and no /proc/PID/mem of another process of this user's: keys of
// providers and of TLS lie in this memory. Both, because a core_pattern that is a pipe is not asked
// about RLIMIT_CORE.
static int keep_secrets_in(void)
{
    struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return ERR_SYSTEM;
    return 0;
}

static unsigned fibers_per_core(unsigned cores)
{
    unsigned long maps = MAPS_DEFAULT;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%lu", &maps) != 1)
            maps = MAPS_DEFAULT;
        fclose(file);
    }
    unsigned long fibers = maps > MAPS_SPARED ? (maps - MAPS_SPARED) / 2 / cores : 0;
    return fibers > FIBERS_MAX ? FIBERS_MAX : fibers < FIBERS_MIN ? FIBERS_MIN : (unsigned)fibers;
}

// The least of a number in a file and `bytes`; "max" and no file say nothing.
static uint64_t least_of_file(const char *path, uint64_t bytes)
{
    unsigned long long n = 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return bytes;
    if (fscanf(file, "%llu", &n) != 1 || n > bytes)
        n = bytes;
    fclose(file);
    return n;
}

// Half of the machine's memory, or of the container's, is for what is in flight.
static uint64_t memory_per_core(unsigned cores)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    bytes = least_of_file("/sys/fs/cgroup/memory.max", bytes) / 2 / cores;
    return bytes > MEMORY_PER_CORE_MIN ? bytes : MEMORY_PER_CORE_MIN;
}

// ---- Configuration ---------------------------------------------------------------------------

static void print(FILE *out, const struct buf *text)
{
    if (text->len > 0)
        fwrite(text->ptr, 1, text->len, out);
}

struct config_source process__source(const struct process_setup *setup, struct gateway *g)
{
    return (struct config_source){
        .app_dir = setup->options->app_dir,
        .allow_unenforced = setup->options->allow_unenforced,
        .ledger = g != NULL ? &g->ledger : NULL,
        .catalog = g != NULL ? g->catalog : NULL,
        .on_loopback = host_is_loopback(slice_str(setup->options->host)),
        .stored = g != NULL ? container_of(g, struct process, gateway)->stored.text : SLICE_EMPTY,
    };
}

int process_check_config(const struct options *options)
{
    struct process_setup setup = {.options = options};
    struct config_source source = process__source(&setup, NULL);
    struct config_report report;
    struct config *config = NULL;
    char reason[STORE_REASON_BYTES];
    if (!options->core_dumps && keep_secrets_in() != 0)
        return EXIT_FAILURE;
    config_report_init(&report);
    int rc = config_build(&source, NULL, &report, &config);
    print(stdout, &report.warnings);
    print(stdout, &report.errors);
    if (rc == 0 && !process__key_fits(options, config, reason)) {
        printf("the store: %s\n", reason);
        rc = ERR_CREDENTIAL;
    }
    if (rc < 0)
        printf("the configuration is not usable\n");
    else
        printf("the configuration is fine\n");
    config_free(config);
    config_report_done(&report);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

// The first one says whether there is a store; what that has to say makes another.
static int build_first(struct process *p, struct config_report *report)
{
    struct config_source source = process__source(p->setup, &p->gateway);
    config_report_done(report);
    config_report_init(report);
    config_free(p->config);
    p->config = NULL;
    int rc = config_build(&source, p->gateway.limiters, report, &p->config);
    if (rc < 0) {
        print(stderr, &report->warnings);
        print(stderr, &report->errors);
        fprintf(stderr, "ringgate: not started: %s\n", err_text(rc));
    }
    return rc;
}

static int first_config(struct process *p)
{
    struct config_report report;
    config_report_init(&report);
    int rc = build_first(p, &report);
    if (rc == 0)
        rc = process__open_store(p);
    size_t known = p->stored.text.len;
    if (rc == 0)
        rc = process__load_stored(p);
    if (rc == 0 && p->stored.text.len != known)
        rc = build_first(p, &report);
    if (rc == 0) {
        print(stderr, &report.warnings);
        rc = process__fill_ledger(p);
    }
    config_report_done(&report);
    return rc;
}

void process__wants(const struct process *p, struct net_want ret[NET_ROLE_COUNT])
{
    const struct options *o = p->setup->options;
    ret[NET_ROLE_MAIN] = (struct net_want){true, o->host, o->port};
    ret[NET_ROLE_PLAIN] =
        (struct net_want){p->plain, o->host, p->plain ? p->config->tls->plain_port : 0};
}

// ---- Life ------------------------------------------------------------------------------------

static int gateway_init(struct process *p)
{
    struct gateway *g = &p->gateway;
    uint64_t seed[2];
    int rc = random_bytes(seed, sizeof(seed));
    if (rc == 0)
        rc = random_bytes(g->net.addresses.seed, sizeof(g->net.addresses.seed));
    g->version = p->setup->version;
    g->started = clock_wall();
    g->cores = p->setup->options->cores > 0 ? p->setup->options->cores : cores_allowed();
    g->net.cores = g->cores;
    if (rc == 0)
        rc = limiters_new(&g->limiters);
    if (rc == 0)
        rc = sessions_new(&g->sessions);
    if (rc == 0)
        rc = shared_dir_name(p->setup->options->shared_dir, p->setup->options->app_dir,
                             p->shared_dir);
    g->ledger.folder = p->shared_dir;
    g->estimates = estimates_new();
    if (g->estimates == NULL)
        rc = ERR_NOMEM;
    if (rc == 0)
        rc = pricing_sync_init(&g->prices, p->setup->options->app_dir, &g->catalog);
    if (rc == 0)
        rc = work_pool_new((g->cores + 1) / 2 < WORK_THREADS_MAX ? (g->cores + 1) / 2
                                                                 : WORK_THREADS_MAX,
                           &g->work);
    if (rc == 0)
        rc = route_table_init(&g->routes, seed);
    for (unsigned i = 0; rc == 0 && i < PROCESS_ROUTE_SETS_MAX; i++)
        rc = route_table_add(&g->routes, p->setup->routes[i].rows, p->setup->routes[i].count);
    return rc;
}

static void process_free(struct process *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->gateway.cores; i++)
        free(p->thread[i]);
    if (p->config != NULL)
        atomic_store(&p->config->cores, 0); // still ours: the start has failed, no core uses it
    config_free(p->config);
    route_table_done(&p->gateway.routes);
    limiters_free(p->gateway.limiters);
    process__close_store(p);
    ledger_close(p->gateway.ledger.ledger);
    catalog_put(p->gateway.catalog);
    pricing_sync_done(&p->gateway.prices);
    estimates_free(p->gateway.estimates);
    sessions_free(p->gateway.sessions);
    work_pool_free(p->gateway.work);
    process__upgrade_free(p);
    process__stored_free(p);
    explicit_bzero(&p->care, sizeof(p->care));
    free(p);
}

static void *zalloc_aligned(size_t bytes)
{
    bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *p = aligned_alloc(CACHE_LINE, bytes);
    return p != NULL ? memset(p, 0, bytes) : NULL;
}

static int start_threads(struct process *p)
{
    bool recorded = p->gateway.store != NULL && p->config->logging.enabled;
    for (unsigned i = 0; i < p->gateway.cores; i++) {
        struct core_thread *t = zalloc_aligned(sizeof(*t));
        if (t == NULL)
            return ERR_NOMEM;
        t->process = p;
        t->core.gateway = &p->gateway;
        t->core.index = i;
        t->core.records = recorded ? store_ring(p->gateway.store, i) : NULL;
        p->thread[i] = t;
        p->gateway.core[i] = &t->core;
    }
    for (unsigned i = 0; i < p->gateway.cores; i++) {
        struct core_thread *t = p->thread[i];
        int rc = pthread_create(&t->thread, NULL, process__core_main, t);
        if (rc != 0) {
            t->thread = 0;
            process__fail(p, "thread of core %u: %s", i, strerror(rc));
            return 0; // the others leave through the next gate
        }
    }
    return 0;
}

// Always written, whatever the level: it names the port, and scripts wait for it.
static void say_serving(struct process *p)
{
    const struct options *o = p->setup->options;
    char text[OPTIONS_PATH_BYTES];
    struct log log;
    if (log_init(&log, LOG_INFO, o->log_style) < 0)
        return;
    bool v6 = strchr(o->host, ':') != NULL;
    const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
    int n =
        snprintf(text, sizeof(text), "successfully started ringgate, serving on http%s://%s%s%s:%u",
                 p->secure ? "s" : "", open, o->host, close, p->port);
    if (p->plain && n > 0 && (size_t)n < sizeof(text))
        snprintf(text + n, sizeof(text) - (size_t)n, " and http://%s%s%s:%u", open, o->host, close,
                 p->plain_port);
    log_line(&log, clock_wall(), LOG_INFO, slice_str(text), NULL, 0);
    log_flush(&log, STDERR_FILENO);
    log_done(&log);
}

// Looks at the cores until all their loops have ended: none frees its ring before that.
static void watch(struct process *p)
{
    struct gates *g = &p->gates;
    pthread_mutex_lock(&g->mutex);
    while (g->arrived[PHASE_ENDED] < g->expected[PHASE_ENDED]) {
        struct mono next = mono_add_ms(clock_mono(), watchdog_pause_ms(&p->watchdog));
        struct timespec until = {.tv_sec = next.ns / NS_PER_S, .tv_nsec = next.ns % NS_PER_S};
        if (pthread_cond_clockwait(&g->changed, &g->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
            continue;
        watchdog_look(&p->watchdog, clock_mono());
        pthread_mutex_unlock(&g->mutex);
        log_flush(&p->watchdog.log, STDERR_FILENO); // may wait for whoever reads it
        pthread_mutex_lock(&g->mutex);
    }
    pthread_mutex_unlock(&g->mutex);
}

static bool watch_cores(struct process *p, unsigned limit_ms)
{
    if (limit_ms == 0 || watchdog_init(&p->watchdog, limit_ms, p->setup->options->log_style) < 0)
        return false;
    for (unsigned i = 0; i < p->gateway.cores; i++)
        watchdog_add(&p->watchdog, p->thread[i]->ring, p->thread[i]->thread);
    return true;
}

static int serve(struct process *p)
{
    unsigned limit_ms = p->config->watchdog_ms;
    bool watched = false;
    bool started = process__pass(p, PHASE_MADE) && process__pass(p, PHASE_FIRST) &&
                   process__pass(p, PHASE_ALL);
    if (started) {
        p->config = NULL; // the cores' now; the last to retire it frees it
        say_serving(p);
        if (!p->upgrade.successor) // else the process before says which is the main one now
            notify_ready();
        watched = watch_cores(p, limit_ms);
    }
    if (watched)
        watch(p);
    for (unsigned i = 0; i < p->gateway.cores; i++) {
        if (p->thread[i]->thread != 0)
            pthread_join(p->thread[i]->thread, NULL);
    }
    if (watched)
        watchdog_done(&p->watchdog);
    if (!started)
        fprintf(stderr, "ringgate: %s\n", p->gates.reason);
    return started ? EXIT_SUCCESS : EXIT_FAILURE;
}

int process_run(const struct process_setup *setup)
{
    ASSERT(setup->options != NULL && setup->version != NULL);
    int status = EXIT_FAILURE;
    struct process *p = zalloc_aligned(sizeof(*p));
    if (p == NULL)
        goto out;
    p->setup = setup;
    p->control.signal_fd = -1;
    p->care.inotify_fd = -1;
    p->stored.fd = -1;
    process__upgrade_init(p);
    raise_files();
    int rc = setup->options->core_dumps ? 0 : keep_secrets_in(); // before a secret is read
    if (rc == 0)
        rc = process__block_signals();
    if (rc == 0)
        rc = process__take_over(p);
    if (rc == 0)
        rc = gateway_init(p);
    if (rc < 0) {
        fprintf(stderr, "ringgate: %s\n", err_text(rc));
        goto out;
    }
    if (first_config(p) < 0)
        goto out;
    p->secure = p->config->tls != NULL;
    p->plain = p->secure && p->config->tls->plain;
    atomic_store(&p->config->cores, p->gateway.cores);
    p->fibers_max = fibers_per_core(p->gateway.cores);
    p->memory_max = memory_per_core(p->gateway.cores);
    unsigned wanted = p->setup->options->requests_max;
    if (wanted > 0 && wanted < p->fibers_max)
        p->fibers_max = wanted;
    gates_init(&p->gates, p->gateway.cores);
    if (start_threads(p) == 0)
        status = serve(p);
    else
        fprintf(stderr, "ringgate: %s\n", err_text(ERR_NOMEM));
out:
    process_free(p);
    return status;
}
