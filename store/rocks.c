// SPDX-License-Identifier: Apache-2.0
//
// rocks.c: RocksDB's C interface, and the settings the two databases run with.
//
// Threads of the engine are the process's: two for compaction at nice 19, one for flushes. What it
// writes in the background is bounded by a rate limiter, so that a compaction does not take the
// disk from the log that is synced every second.
//
// Under ThreadSanitizer the engine is a shared library (CMakeLists.txt) that the sanitizer has not
// instrumented: it sees the accesses that the library makes through memcpy, but not the atomics
// that order them. The option below has it overlook exactly those accesses.
//
// The engine's CRC-32C is ours: crc.c says why.
#include "store/rocks.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "store/crc.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB ((size_t)1024 * 1024)
// Background writes of one database, bytes a second.
#define BACKGROUND_RATE (256 * (int64_t)MIB)
// What is held in memory until it goes to a file.
#define BUFFER_BYTES (8 * MIB)
// What reads keep of the files; filters and indexes included.
#define CACHE_BYTES (16 * MIB)
// RocksDB's InfoLogLevel::HEADER_LEVEL.
#define LOG_HEADERS_ONLY 5
// Of a database that an earlier build made.
#define FAMILIES_MAX 8
// Descriptors of one database.
#define FILES_MAX 512

struct rocks {
    rocksdb_t *db;
    rocksdb_env_t *env;
    rocksdb_options_t *options;
    bool memory;
    char *dir;
    rocksdb_cache_t *cache;
    rocksdb_ratelimiter_t *limiter;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    rocksdb_writeoptions_t *write_synced;
    pthread_mutex_t mutex; // of reason
    char reason[ROCKS_REASON_BYTES];
};

struct rocks_batch {
    rocksdb_writebatch_t *batch;
};

struct rocks_iter {
    struct rocks *db;
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
};

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}
#endif

// ---- Errors ----------------------------------------------------------------------------------

// Takes `text`.
static int fail(struct rocks *db, char *text)
{
    int err = strstr(text, "No space left") || strstr(text, "Disk quota") ? ERR_LIMIT : ERR_SYSTEM;
    pthread_mutex_lock(&db->mutex);
    snprintf(db->reason, sizeof(db->reason), "%s", text);
    pthread_mutex_unlock(&db->mutex);
    rocksdb_free(text);
    return err;
}

static int result(struct rocks *db, char *text)
{
    return text ? fail(db, text) : 0;
}

void rocks_reason(const struct rocks *db, char reason[ROCKS_REASON_BYTES])
{
    pthread_mutex_lock((pthread_mutex_t *)&db->mutex);
    snprintf(reason, ROCKS_REASON_BYTES, "%s", db->reason);
    pthread_mutex_unlock((pthread_mutex_t *)&db->mutex);
}

// ---- Options ---------------------------------------------------------------------------------

static void set_tables(const struct rocks *db, rocksdb_options_t *options)
{
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(tables, db->cache);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(tables, 1);
    rocksdb_block_based_options_set_format_version(tables, 5);
    rocksdb_options_set_block_based_table_factory(options, tables);
    rocksdb_block_based_options_destroy(tables);
}

static rocksdb_options_t *make_options(const struct rocks *db, const struct rocks_options *wanted)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, !wanted->must_exist);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_disable_auto_compactions(options, wanted->still);
    if (db->env)
        rocksdb_options_set_env(options, db->env);
    rocksdb_options_set_write_buffer_size(options, BUFFER_BYTES);
    rocksdb_options_set_max_background_jobs(options, 3);
    rocksdb_options_set_max_open_files(options, FILES_MAX);
    rocksdb_options_set_ratelimiter(options, db->limiter);
    rocksdb_options_set_compression(options, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_bytes_per_sync(options, MIB);
    // Its LOG has the settings at the start and no line more: on a full disk it aborts the process
    // at the second that it cannot write. What matters comes with the errors.
    rocksdb_options_set_info_log_level(options, LOG_HEADERS_ONLY);
    rocksdb_options_set_keep_log_file_num(options, 3);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    // `config` is always synced: only its last write may be torn. What `logs` has not synced may
    // end anywhere; it goes on from the last whole batch.
    rocksdb_options_set_wal_recovery_mode(
        options, wanted->logs ? rocksdb_point_in_time_recovery
                              : rocksdb_tolerate_corrupted_tail_records_recovery);
    set_tables(db, options);
    return options;
}

static void make_env(struct rocks *db, bool memory)
{
    db->env = memory ? rocksdb_create_mem_env() : rocksdb_create_default_env();
    if (!memory)
        rocksdb_env_lower_thread_pool_cpu_priority(db->env);
}

// ---- Life ------------------------------------------------------------------------------------

static struct rocks *rocks_new(const struct rocks_options *options)
{
    struct rocks *db = calloc(1, sizeof(*db));
    if (!db)
        return NULL;
    pthread_mutex_init(&db->mutex, NULL);
    db->cache = rocksdb_cache_create_lru(CACHE_BYTES);
    db->limiter = rocksdb_ratelimiter_create(BACKGROUND_RATE, 100 * 1000, 10);
    db->memory = options->memory;
    db->dir = options->memory ? NULL : strdup(options->dir);
    make_env(db, options->memory);
    db->options = make_options(db, options);
    db->read = rocksdb_readoptions_create();
    db->write = rocksdb_writeoptions_create();
    db->write_synced = rocksdb_writeoptions_create();
    if (!options->memory)
        rocksdb_writeoptions_set_sync(db->write_synced, 1);
    return db;
}

// Builds before this one had rows and contents in families of the database. Opens it with them and
// gives them up.
static rocksdb_t *open_earlier(struct rocks *db, const char *dir, char **ret_error)
{
    rocksdb_column_family_handle_t *family[FAMILIES_MAX];
    const rocksdb_options_t *options[FAMILIES_MAX];
    size_t count = 0;

    char **names = rocksdb_list_column_families(db->options, dir, &count, ret_error);
    if (*ret_error || count > FAMILIES_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++)
        options[i] = db->options;
    rocksdb_t *opened = rocksdb_open_column_families(
        db->options, dir, (int)count, (const char *const *)names, options, family, ret_error);
    for (size_t i = 0; opened && i < count; i++) {
        if (!*ret_error && strcmp(names[i], "default") != 0)
            rocksdb_drop_column_family(opened, family[i], ret_error);
        rocksdb_column_family_handle_destroy(family[i]);
    }
    rocksdb_list_column_families_destroy(names, count);
    if (opened && *ret_error) {
        rocksdb_close(opened);
        opened = NULL;
    }
    return opened;
}

static rocksdb_t *open_db(struct rocks *db, const struct rocks_options *options, char **ret_error)
{
    const char *dir = options->memory ? "/memory" : options->dir;
    if (options->look)
        return rocksdb_open_for_read_only(db->options, dir, 0, ret_error);
    rocksdb_t *opened = rocksdb_open(db->options, dir, ret_error);
    if (*ret_error && strstr(*ret_error, "Column families not opened")) {
        rocksdb_free(*ret_error);
        *ret_error = NULL;
        opened = open_earlier(db, dir, ret_error);
    }
    return opened;
}

int rocks_open(const struct rocks_options *options, struct rocks **ret,
               char reason[ROCKS_REASON_BYTES])
{
    ASSERT(options->memory || options->dir);
    char *text = NULL;

    struct rocks *db = rocks_new(options);
    if (!db)
        return ERR_NOMEM;
    if (!db->memory && !db->dir) {
        rocks_close(db);
        return ERR_NOMEM;
    }
    db->db = open_db(db, options, &text);
    if (text) {
        db->db = NULL;
        int err = fail(db, text);
        rocks_reason(db, reason);
        rocks_close(db);
        return err;
    }
    *ret = db;
    return 0;
}

void rocks_close(struct rocks *db)
{
    if (!db)
        return;
    if (db->db)
        rocksdb_close(db->db);
    rocksdb_options_destroy(db->options);
    rocksdb_readoptions_destroy(db->read);
    rocksdb_writeoptions_destroy(db->write);
    rocksdb_writeoptions_destroy(db->write_synced);
    rocksdb_ratelimiter_destroy(db->limiter);
    rocksdb_cache_destroy(db->cache);
    rocksdb_env_destroy(db->env);
    pthread_mutex_destroy(&db->mutex);
    free(db->dir);
    free(db);
}

int rocks_repair(const char *dir, char reason[ROCKS_REASON_BYTES])
{
    char *text = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_repair_db(options, dir, &text);
    rocksdb_options_destroy(options);
    if (!text)
        return 0;
    snprintf(reason, ROCKS_REASON_BYTES, "%s", text);
    rocksdb_free(text);
    return ERR_SYSTEM;
}

// ---- Reading ---------------------------------------------------------------------------------

int rocks_get(struct rocks *db, struct slice key, struct buf *ret)
{
    char *text = NULL;
    rocksdb_pinnableslice_t *value = rocksdb_get_pinned(db->db, db->read, key.ptr, key.len, &text);
    if (text)
        return fail(db, text);
    if (!value)
        return ERR_NOT_FOUND;
    size_t len;
    const char *ptr = rocksdb_pinnableslice_value(value, &len);
    buf_add(ret, slice_of(ptr, len));
    rocksdb_pinnableslice_destroy(value);
    return ret->err;
}

struct rocks_iter *rocks_iter_new(struct rocks *db, struct slice from, struct slice to)
{
    struct rocks_iter *it = calloc(1, sizeof(*it));
    if (!it)
        return NULL;
    it->db = db;
    it->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_iterate_lower_bound(it->read, from.ptr, from.len);
    rocksdb_readoptions_set_iterate_upper_bound(it->read, to.ptr, to.len);
    it->it = rocksdb_create_iterator(db->db, it->read);
    return it;
}

void rocks_iter_free(struct rocks_iter *it)
{
    if (!it)
        return;
    rocksdb_iter_destroy(it->it);
    rocksdb_readoptions_destroy(it->read);
    free(it);
}

void rocks_iter_first(struct rocks_iter *it)
{
    rocksdb_iter_seek_to_first(it->it);
}

void rocks_iter_last(struct rocks_iter *it)
{
    rocksdb_iter_seek_to_last(it->it);
}

void rocks_iter_seek(struct rocks_iter *it, struct slice key)
{
    rocksdb_iter_seek(it->it, key.ptr, key.len);
}

void rocks_iter_seek_prev(struct rocks_iter *it, struct slice key)
{
    rocksdb_iter_seek_for_prev(it->it, key.ptr, key.len);
}

void rocks_iter_next(struct rocks_iter *it)
{
    rocksdb_iter_next(it->it);
}

void rocks_iter_prev(struct rocks_iter *it)
{
    rocksdb_iter_prev(it->it);
}

bool rocks_iter_valid(const struct rocks_iter *it)
{
    return rocksdb_iter_valid(it->it);
}

struct slice rocks_iter_key(const struct rocks_iter *it)
{
    size_t len;
    const char *ptr = rocksdb_iter_key(it->it, &len);
    return slice_of(ptr, len);
}

struct slice rocks_iter_value(const struct rocks_iter *it)
{
    size_t len;
    const char *ptr = rocksdb_iter_value(it->it, &len);
    return slice_of(ptr, len);
}

int rocks_iter_error(const struct rocks_iter *it)
{
    char *text = NULL;
    rocksdb_iter_get_error(it->it, &text);
    return result(it->db, text);
}

// ---- Writing ---------------------------------------------------------------------------------

struct rocks_batch *rocks_batch_new(void)
{
    struct rocks_batch *b = calloc(1, sizeof(*b));
    if (b)
        b->batch = rocksdb_writebatch_create();
    return b;
}

void rocks_batch_free(struct rocks_batch *b)
{
    if (!b)
        return;
    rocksdb_writebatch_destroy(b->batch);
    free(b);
}

void rocks_batch_reset(struct rocks_batch *b)
{
    rocksdb_writebatch_clear(b->batch);
}

void rocks_batch_put(struct rocks_batch *b, struct slice key, struct slice value)
{
    rocksdb_writebatch_put(b->batch, key.ptr, key.len, value.ptr, value.len);
}

void rocks_batch_delete(struct rocks_batch *b, struct slice key)
{
    rocksdb_writebatch_delete(b->batch, key.ptr, key.len);
}

void rocks_batch_delete_range(struct rocks_batch *b, struct slice from, struct slice to)
{
    rocksdb_writebatch_delete_range(b->batch, from.ptr, from.len, to.ptr, to.len);
}

unsigned rocks_batch_count(const struct rocks_batch *b)
{
    return (unsigned)rocksdb_writebatch_count(b->batch);
}

int rocks_write(struct rocks *db, struct rocks_batch *b, bool sync)
{
    char *text = NULL;
    rocksdb_write(db->db, sync ? db->write_synced : db->write, b->batch, &text);
    return result(db, text);
}

static int sync_fail(struct rocks *db, const char *what)
{
    int err = errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_SYSTEM;
    pthread_mutex_lock(&db->mutex);
    snprintf(db->reason, sizeof(db->reason), "%.200s cannot be synced: %s", what, strerror(errno));
    pthread_mutex_unlock(&db->mutex);
    return err;
}

static bool is_log(struct slice name)
{
    return name.len > 4 && slice_eq(slice_skip(name, name.len - 4), SLICE(".log"));
}

// The engine has handed its log to the kernel with each write; any descriptor of the file will do.
// Its own sync is not for a log whose last write failed: it aborts the process.
int rocks_sync(struct rocks *db)
{
    int err = 0;
    if (db->memory)
        return 0;
    DIR *folder = opendir(db->dir);
    if (!folder)
        return sync_fail(db, db->dir);
    for (struct dirent *entry; !err && (entry = readdir(folder)) != NULL;) {
        if (!is_log(slice_str(entry->d_name)))
            continue;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
        if (fd < 0 ? errno != ENOENT : fdatasync(fd) < 0)
            err = sync_fail(db, entry->d_name);
        if (fd >= 0)
            close(fd);
    }
    if (!err && fsync(dirfd(folder)) < 0)
        err = sync_fail(db, db->dir);
    closedir(folder);
    return err;
}

int rocks_flush(struct rocks *db)
{
    char *text = NULL;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flush(db->db, options, &text);
    rocksdb_flushoptions_destroy(options);
    return result(db, text);
}

// rocksdb::crc32c::Extend: the same convention as ours, which is RFC 3720's.
uint32_t __wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *data, size_t len);
uint32_t __wrap__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *data, size_t len)
{
    return crc_add(crc, data, len);
}

// ---- Care ------------------------------------------------------------------------------------

int rocks_reclaim(struct rocks *db, struct slice from, struct slice to)
{
    char *text = NULL;
    rocksdb_delete_file_in_range(db->db, from.ptr, from.len, to.ptr, to.len, &text);
    if (text)
        return fail(db, text);
    rocksdb_compact_range(db->db, from.ptr, from.len, to.ptr, to.len);
    return 0;
}

int rocks_checkpoint(struct rocks *db, const char *dir)
{
    char *text = NULL;
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(db->db, &text);
    if (text)
        return fail(db, text);
    rocksdb_checkpoint_create(checkpoint, dir, 0, &text);
    rocksdb_checkpoint_object_destroy(checkpoint);
    return result(db, text);
}

uint64_t rocks_bytes(struct rocks *db)
{
    static const char *const parts[] = {"rocksdb.live-sst-files-size",
                                        "rocksdb.cur-size-all-mem-tables"};
    uint64_t sum = 0;
    for (unsigned p = 0; p < ARRAY_LEN(parts); p++) {
        uint64_t bytes = 0;
        if (rocksdb_property_int(db->db, parts[p], &bytes) == 0)
            sum += bytes;
    }
    return sum;
}
