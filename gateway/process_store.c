// SPDX-License-Identifier: Apache-2.0
//
// process_store.c: the store opens before the first core and closes behind the last.
//
// The rings lie where the ledger does (shared_dir.h). The ledger's memory is gone when the machine
// was: then what was used is told by the store, whose counters are the sums of all records' moves.
// So it is when it stands: a process that was killed may have charged what it did not record.
//
// One process has the databases. The new process of an upgrade stands by: its records go into rings
// of its own, which the old one drains, and it opens the databases when that one has ended.
#include "base/err.h"
#include "gateway/process_internal.h"
#include "store/store.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

// Of one core. A request in flight needs a place of 6 kB; what is drained late needs the rest.
#define RING_BYTES     ((uint64_t)64 << 20)
#define RING_BYTES_MIN ((uint64_t)1 << 20)
// All rings of a process, as a part of their file system: two processes have rings in an upgrade,
// and a container's /dev/shm is small (64 MB) and not for us alone.
#define RINGS_SHARE 4
// Counters read at the start.
#define COUNTERS_BYTES_MAX ((size_t)64 << 20)

static void notice(void *arg, enum log_level level, const char *text)
{
    (void)arg;
    (void)level;
    fprintf(stderr, "ringgate: store: %s\n", text);
}

// What the store does not know of yet, for want of a disk, only the ledger does.
static bool knows_all(struct store *s)
{
    struct store_health health;
    store_health(s, &health);
    return health.queued_bytes == 0;
}

// What tells this store from one that lay here before, or one that a backup was made of; not 0.
static uint64_t store_identity(const char *app_dir)
{
    char dir[OPTIONS_PATH_BYTES + sizeof(STORE_FOLDER) + 8];
    struct statx st = {0};
    snprintf(dir, sizeof(dir), "%s/%s/logs", app_dir, STORE_FOLDER);
    if (statx(AT_FDCWD, dir, 0, STATX_INO | STATX_BTIME, &st) != 0)
        return 1;
    uint64_t made = (uint64_t)st.stx_btime.tv_sec * NS_PER_S + st.stx_btime.tv_nsec;
    return (st.stx_ino ^ made << 20 ^ (uint64_t)st.stx_dev_minor << 52) | 1;
}

// Those of one counter follow each other, the oldest window first.
static int fill(struct gateway *g, const struct store_counter *counters, size_t count,
                uint64_t store)
{
    struct ledger_counter *before = NULL;
    bool all = knows_all(g->store);
    bool known = all && ledger_recount(g->ledger.ledger, store);
    for (size_t i = 0; i < count; i++) {
        struct ledger_counter *c;
        int rc = ledger_counter(g->ledger.ledger, counters[i].counter, &c);
        if (rc)
            return rc;
        if (!all && c != before && !ledger_is_new(c))
            continue;
        ledger_told(c, counters[i].value, counters[i].window, known);
        before = c;
    }
    return 0;
}

int process__fill_ledger(struct process *p)
{
    struct gateway *g = &p->gateway;
    struct block_pool pool;
    struct arena arena;
    struct store_counter *counters = NULL;
    size_t count = 0;

    if (!g->ledger.ledger || !g->ledger.first || !g->store || !store_is_ready(g->store))
        return 0;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, COUNTERS_BYTES_MAX);
    int rc = store_load_counters(g->store, 0, &arena, &counters, &count);
    if (rc == 0)
        rc = fill(g, counters, count, store_identity(p->setup->options->app_dir));
    arena_done(&arena);
    block_pool_done(&pool);
    if (rc < 0)
        fprintf(stderr, "ringgate: not started: the store: %s\n", err_text(rc));
    return rc;
}

static uint64_t ring_bytes(const char *dir, unsigned cores)
{
    uint64_t bytes = RING_BYTES;
    struct statvfs fs;

    if (statvfs(dir, &fs) != 0)
        return bytes;
    while (bytes > RING_BYTES_MIN && bytes * cores > fs.f_blocks * fs.f_frsize / RINGS_SHARE)
        bytes /= 2;
    return bytes;
}

// Limits that were kept there hold, whether requests are recorded or not.
static bool is_wanted(const struct config *config, const char *dir)
{
    return config->logging.enabled || (!config->no_stored && access(dir, F_OK) == 0);
}

// A reload compares with it.
static int keep_key(struct process *p)
{
    buf_init(&p->encryption_key, STORE_KEY_BYTES_MAX);
    buf_add(&p->encryption_key, p->config->encryption_key);
    return p->encryption_key.err;
}

int process__open_store(struct process *p)
{
    struct gateway *g = &p->gateway;
    char dir[OPTIONS_PATH_BYTES + sizeof(STORE_FOLDER) + 1];
    char text[STORE_REASON_BYTES] = "";
    const char *reason = NULL;

    snprintf(dir, sizeof(dir), "%s/%s", p->setup->options->app_dir, STORE_FOLDER);
    if (!is_wanted(p->config, dir))
        return 0;
    struct store_options options = {
        .dir = dir,
        .rings = p->shared_dir,
        .cores = g->cores,
        .row_days = p->config->logging.row_days,
        .content_days = p->config->logging.content_days,
        .logs_bytes_max = p->config->logging.bytes_max,
        .free_bytes_min = p->config->logging.free_bytes,
        .encryption_key = p->config->encryption_key,
        .notice = notice,
        .standby = p->upgrade.successor,
    };
    int rc = keep_key(p);
    if (rc == 0)
        rc = shared_dir_make(p->shared_dir, &reason);
    if (rc == 0) {
        reason = NULL; // what follows has its own
        options.ring_bytes = ring_bytes(p->shared_dir, g->cores);
        rc = store_open(&options, &g->store, text);
    }
    if (rc < 0)
        fprintf(stderr, "ringgate: not started: the store: %s%s\n",
                reason    ? reason
                : text[0] ? text
                          : err_text(rc),
                p->config->logging.enabled ? " (client.enable_logging: false keeps no records)"
                                           : "");
    return rc;
}

void process__retain(struct process *p, const struct config_logging *logging)
{
    if (p->gateway.store)
        store_retain(p->gateway.store, logging->row_days, logging->content_days,
                     logging->bytes_max);
}

void process__close_store(struct process *p)
{
    store_close(p->gateway.store);
    p->gateway.store = NULL;
    if (p->encryption_key.ptr != NULL)
        explicit_bzero(p->encryption_key.ptr, p->encryption_key.len);
    buf_done(&p->encryption_key);
}

bool process__key_fits(const struct options *options, const struct config *c,
                       char ret_reason[STORE_REASON_BYTES])
{
    char dir[OPTIONS_PATH_BYTES + sizeof(STORE_FOLDER) + 1];
    snprintf(dir, sizeof(dir), "%s/%s", options->app_dir, STORE_FOLDER);
    return !is_wanted(c, dir) || store_check_key(dir, c->encryption_key, ret_reason) == 0;
}
