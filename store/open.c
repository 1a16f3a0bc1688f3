// SPDX-License-Identifier: Apache-2.0
//
// open.c: the store's start and end.
//
// In this order, so that a refusal leaves everything as it was: the lock; the key (key.c), looked
// at before a database is opened, which alone writes files; both databases; the formats; the rings;
// what memory keeps; what an earlier process has left in the rings; the threads.
//
// In standby the rings come first, and all that stands behind the lock is done by a thread that
// waits for it:
//
//   ┌─────────┐ the other process lets go ┌─────────┐ both open, drained ┌───────┐
//   │ STANDBY │ ────────────────────────► │ OPENING │ ─────────────────► │ READY │
//   └─────────┘  asked every STANDBY_MS   └─────────┘                    └───────┘
#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "store/drain_internal.h"
#include "store/keys.h"
#include "store/migrate.h"
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTICE_BYTES 1024
// Between two looks at a lock that another process has.
#define STANDBY_MS 10
#define REPAIR_HINT                                                                                \
    "`ringgate repair`, with the same -app-dir, makes a database again of what can be read"

// ---- Words to people -------------------------------------------------------------------------

void store__notice(const struct store *s, enum log_level level, const char *format, ...)
{
    char text[NOTICE_BYTES];
    va_list args;
    if (!s->notice)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    s->notice(s->notice_arg, level, text);
}

void store__explain(char reason[STORE_REASON_BYTES], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reason, STORE_REASON_BYTES, format, args);
    va_end(args);
}

int store__failed(struct store *s, const struct rocks *db, const char *what, int err)
{
    char reason[ROCKS_REASON_BYTES];
    rocks_reason(db, reason);
    atomic_fetch_add(&s->numbers.errors, 1);
    store__notice(s, LOG_ERROR, "%s: %s: %s", what, err_text(err), reason);
    return err;
}

int store__failed_segments(struct store *s, const char *what, int err)
{
    char reason[SEGMENT_REASON_BYTES];
    segments_reason(s->segments, reason);
    atomic_fetch_add(&s->numbers.errors, 1);
    store__notice(s, LOG_ERROR, "%s: %s: %s", what, err_text(err), reason);
    return err;
}

void store__set_aside(struct store *s, const char *name, struct slice bytes)
{
    char path[STORE_PATH_BYTES + 128];
    if (s->memory || atomic_load(&s->numbers.damaged) > STORE_ASIDE_MAX)
        return;
    snprintf(path, sizeof(path), "%s/damaged", s->dir);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/damaged/%s", s->dir, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, bytes.ptr, bytes.len) < 0)
        store__notice(s, LOG_ERROR, "%s cannot be written: %s", path, strerror(errno));
    close(fd);
}

// ---- The lock --------------------------------------------------------------------------------

int store__lock(const char *dir, int *ret_fd)
{
    char path[STORE_PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s/lock", dir);
    if (len < 0 || len >= (int)sizeof(path))
        return ERR_LIMIT;
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return ERR_NOT_FOUND;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return ERR_SYSTEM;
    }
    *ret_fd = fd;
    return 0;
}

static int take_lock(struct store *s, char reason[STORE_REASON_BYTES])
{
    if (s->memory)
        return 0;
    if (mkdir(s->dir, 0700) < 0 && errno != EEXIST) {
        store__explain(reason, "%s cannot be made: %s", s->dir, strerror(errno));
        return ERR_SYSTEM;
    }
    int err = store__lock(s->dir, &s->lock_fd);
    if (err == ERR_SYSTEM)
        store__explain(reason, "another process has %s open", s->dir);
    else if (err)
        store__explain(reason, "%s/lock cannot be written: %s", s->dir, strerror(errno));
    return err ? ERR_SYSTEM : 0;
}

// ---- Rings -----------------------------------------------------------------------------------

static int claim_new(struct store *s, char reason[STORE_REASON_BYTES])
{
    s->ring = calloc(s->cores, sizeof(s->ring[0]));
    if (!s->ring)
        return ERR_NOMEM;
    if (random_bytes(s->tenant_seed, sizeof(s->tenant_seed)) < 0)
        return ERR_SYSTEM;
    unsigned wanted = s->cores;
    s->cores = 0; // as many as there are, for the end
    for (unsigned i = 0; i < wanted; i++) {
        struct store_ring *r = &s->ring[i];
        r->store = s;
        int err = s->memory ? spool_new((uint16_t)i, s->ring_bytes, &r->spool)
                            : spool_claim(s->rings, s->ring_bytes, &r->spool);
        if (err) {
            store__explain(reason, "a ring of %llu bytes cannot be made in %s: %s: %s",
                           (unsigned long long)s->ring_bytes, s->rings, err_text(err),
                           strerror(errno));
            return err;
        }
        s->cores = i + 1;
        r->losses = spool_losses(r->spool);
        r->share = share_new();
        if (!r->share)
            return ERR_NOMEM;
    }
    return 0;
}

// ---- Databases -------------------------------------------------------------------------------

static int open_database(struct store *s, const char *name, bool logs, struct rocks **ret,
                         char reason[STORE_REASON_BYTES])
{
    char dir[STORE_PATH_BYTES + 16], words[ROCKS_REASON_BYTES];
    snprintf(dir, sizeof(dir), "%s/%s", s->dir, name);
    const struct rocks_options options = {.dir = dir, .memory = s->memory, .logs = logs};
    words[0] = '\0';
    int err = rocks_open(&options, ret, words);
    if (!err)
        return 0;
    store__explain(reason, "%.200s cannot be opened: %s. %s", dir, words,
                   err == ERR_LIMIT ? "There is no space on the disk" : REPAIR_HINT);
    return err;
}

int store__reopen_logs(struct store *s)
{
    char reason[STORE_REASON_BYTES];
    if (s->memory) // nothing would be left
        return ERR_SYSTEM;
    pthread_rwlock_wrlock(&s->db_lock);
    rocks_close(s->logs);
    s->logs = NULL;
    int err = open_database(s, "logs", true, &s->logs, reason);
    pthread_rwlock_unlock(&s->db_lock);
    if (err) {
        atomic_fetch_add(&s->numbers.errors, 1);
        store__notice(s, LOG_ERROR, "%s", reason);
    }
    return err;
}

static int open_segments(struct store *s, char reason[STORE_REASON_BYTES])
{
    char dir[STORE_PATH_BYTES + 16];
    snprintf(dir, sizeof(dir), "%s/" STORE_SEGMENTS, s->dir);
    int err = segments_new(s->memory ? NULL : dir, &s->segments);
    if (err)
        store__explain(reason, "%.200s cannot be opened: %s: %s", dir, err_text(err),
                       strerror(errno));
    return err;
}

static int open_databases(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES])
{
    bool first;
    int err = open_database(s, "config", false, &s->config, reason);
    if (!err)
        err = store__check_key(s, passphrase, &first, reason);
    if (!err)
        err = open_database(s, "logs", true, &s->logs, reason);
    if (!err)
        err = open_segments(s, reason);
    if (!err)
        err = migrate_run(s->config, "config", STORE_FORMAT_CONFIG, NULL, 0, reason);
    if (!err)
        err = migrate_run(s->logs, "logs", STORE_FORMAT_LOGS, NULL, 0, reason);
    if (!err && first)
        err = store__make_key(s, passphrase, reason);
    return err;
}

static int load(struct store *s, char reason[STORE_REASON_BYTES])
{
    struct buf floor;
    struct keys_key key = keys_state(KEYS_STATE_FLOOR);
    buf_init(&floor, 16);
    int err = rocks_get(s->logs, keys_slice(&key), &floor);
    if (!err && floor.len == 8)
        atomic_store(&s->floor_us, keys_u64(floor.ptr));
    buf_done(&floor);
    if (!err || err == ERR_NOT_FOUND)
        err = store__drain_new(s, &s->drain);
    if (!err)
        err = store__drain_load(s);
    if (!err) {
        store__drain_discover(s);
        if (s->drain->rings < s->cores)
            err = ERR_LIMIT;
    }
    if (!err) {
        store__measure(s);
        pthread_mutex_lock(&s->batch_mutex);
        err = store__drain_all(s);
        pthread_mutex_unlock(&s->batch_mutex);
        // What is not written stays in the rings: no reason not to serve.
        if (err == ERR_LIMIT)
            err = 0;
    }
    if (err)
        store__explain(reason, "%s/logs cannot be read: %s. %s", s->dir, err_text(err),
                       REPAIR_HINT);
    return err;
}

// ---- Threads ---------------------------------------------------------------------------------

bool store__wait_stop(struct store *s, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&s->stop_mutex);
    int rc = 0;
    while (!s->stop && rc == 0)
        rc = pthread_cond_timedwait(&s->stop_changed, &s->stop_mutex, &until);
    bool stop = s->stop;
    pthread_mutex_unlock(&s->stop_mutex);
    return stop;
}

static int start_threads(struct store *s, char reason[STORE_REASON_BYTES])
{
    static void *(*const mains[STORE_THREADS])(void *) = {store__drain_main, store__keep_main,
                                                          store__clean_main};
    int err = work_pool_new(STORE_WORKERS, &s->pool);
    if (!err)
        err = work_pool_start(s->pool);
    for (; !err && s->threads < STORE_THREADS; s->threads += !err)
        err = pthread_create(&s->thread[s->threads], NULL, mains[s->threads], s) ? ERR_NOMEM : 0;
    if (!err && !s->memory)
        err = store__desk_new(s, &s->desk);
    if (err)
        store__explain(reason, "the threads of the store cannot be made: %s", err_text(err));
    return err;
}

static void say_stop(struct store *s)
{
    pthread_mutex_lock(&s->stop_mutex);
    s->stop = true;
    pthread_cond_broadcast(&s->stop_changed);
    pthread_mutex_unlock(&s->stop_mutex);
}

static void stop_threads(struct store *s)
{
    store__desk_free(s->desk);
    say_stop(s);
    for (unsigned i = 0; i < s->threads; i++)
        pthread_join(s->thread[i], NULL);
    work_pool_free(s->pool);
}

// ---- Standby ---------------------------------------------------------------------------------

static void forget_passphrase(struct store *s)
{
    if (s->passphrase.ptr)
        explicit_bzero(s->passphrase.ptr, s->passphrase.len);
    buf_done(&s->passphrase);
}

static void *opener_main(void *store)
{
    struct store *s = store;
    char reason[STORE_REASON_BYTES] = "";
    int err;

    pthread_setname_np(pthread_self(), "store-opener");
    while ((err = store__lock(s->dir, &s->lock_fd)) == ERR_SYSTEM)
        if (store__wait_stop(s, STANDBY_MS))
            return NULL;
    if (err)
        store__explain(reason, "%s/lock cannot be written: %s", s->dir, err_text(err));
    else
        err = open_databases(s, buf_slice(&s->passphrase), reason);
    forget_passphrase(s);
    if (!err)
        err = load(s, reason);
    if (!err)
        err = start_threads(s, reason);
    if (err)
        store__notice(s, LOG_ERROR, "%s", reason);
    atomic_store(&s->failed, err != 0);
    atomic_store(&s->ready, err == 0);
    return NULL;
}

// A wrong key is told now, while the process that has the databases still serves.
static int stand_by(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES])
{
    int err = store__look_at_key(s, passphrase, reason);
    if (!err)
        err = claim_new(s, reason);
    if (err)
        return err;
    buf_init(&s->passphrase, STORE_KEY_BYTES_MAX);
    buf_add(&s->passphrase, passphrase);
    s->opens = !s->passphrase.err && pthread_create(&s->opener, NULL, opener_main, s) == 0;
    return s->opens ? 0 : ERR_NOMEM;
}

bool store_is_ready(const struct store *s)
{
    return atomic_load_explicit(&s->ready, memory_order_acquire);
}

// ---- Life ------------------------------------------------------------------------------------

static struct store *store_new(const struct store_options *options)
{
    pthread_condattr_t monotonic;
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    snprintf(s->dir, sizeof(s->dir), "%s", options->dir ? options->dir : "");
    snprintf(s->rings, sizeof(s->rings), "%s", options->rings ? options->rings : "");
    s->memory = options->memory;
    s->lock_fd = -1;
    s->notice = options->notice;
    s->notice_arg = options->notice_arg;
    s->cores = options->cores;
    s->ring_bytes = options->ring_bytes;
    s->free_bytes_min = options->free_bytes_min;
    store_retain(s, options->row_days, options->content_days, options->logs_bytes_max);
    pthread_rwlock_init(&s->db_lock, NULL);
    pthread_mutex_init(&s->batch_mutex, NULL);
    pthread_mutex_init(&s->sync_mutex, NULL);
    pthread_mutex_init(&s->stop_mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->stop_changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return s;
}

static void end_standby(struct store *s)
{
    if (!s->opens)
        return;
    if (!store_is_ready(s))
        say_stop(s);
    pthread_join(s->opener, NULL);
    s->opens = false;
    forget_passphrase(s);
}

static void ring_done(struct store_ring *r)
{
    share_free(r->share);
    spool_free(r->spool);
}

static void destroy(struct store *s)
{
    end_standby(s);
    stop_threads(s);
    store__drain_free(s->drain);
    for (unsigned i = 0; s->ring && i < s->cores; i++)
        ring_done(&s->ring[i]);
    free(s->ring);
    words_free(s->words);
    segments_free(s->segments);
    rocks_close(s->logs);
    rocks_close(s->config);
    seal_wipe(&s->seal);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_rwlock_destroy(&s->db_lock);
    pthread_mutex_destroy(&s->batch_mutex);
    pthread_mutex_destroy(&s->sync_mutex);
    pthread_mutex_destroy(&s->stop_mutex);
    pthread_cond_destroy(&s->stop_changed);
    free(s);
}

static int open_now(struct store *s, struct slice passphrase, char reason[STORE_REASON_BYTES])
{
    int err = store__look_at_key(s, passphrase, reason);
    if (!err)
        err = open_databases(s, passphrase, reason);
    if (!err)
        err = claim_new(s, reason);
    if (!err)
        err = load(s, reason);
    if (!err)
        err = start_threads(s, reason);
    atomic_store(&s->ready, err == 0);
    return err;
}

int store_open(const struct store_options *options, struct store **ret,
               char ret_reason[STORE_REASON_BYTES])
{
    ASSERT(options->memory || (options->dir && options->rings));
    ASSERT(options->cores > 0 && options->cores <= SPOOL_RINGS_MAX);

    store__explain(ret_reason, "%s", err_text(ERR_NOMEM));
    struct store *s = store_new(options);
    if (!s)
        return ERR_NOMEM;
    int err = take_lock(s, ret_reason);
    bool waits = err == ERR_SYSTEM && options->standby && access(s->dir, W_OK) == 0;
    if (waits)
        err = stand_by(s, options->encryption_key, ret_reason);
    else if (!err)
        err = open_now(s, options->encryption_key, ret_reason);
    if (err) {
        destroy(s);
        return err;
    }
    ret_reason[0] = '\0';
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    end_standby(s);
    if (!store_is_ready(s)) { // its rings wait for whoever opens next
        destroy(s);
        return;
    }
    pthread_mutex_lock(&s->batch_mutex);
    (void)store__drain_all(s);
    pthread_mutex_unlock(&s->batch_mutex);
    (void)store__sync(s);
    if (s->logs && !s->memory && rocks_flush(s->logs) < 0) // a repair would miss it
        store__notice(s, LOG_WARN, "the database of logs was not flushed at the end");
    destroy(s);
}
