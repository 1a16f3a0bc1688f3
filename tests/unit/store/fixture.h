// SPDX-License-Identifier: Apache-2.0
//
// fixture.h: a store in a folder of its own, records to put into it, and a fiber to ask it from.
//
// Folders lie under /dev/shm: ring files belong on tmpfs, and nothing here waits for a disk.
#ifndef RINGGATE_TESTS_UNIT_STORE_FIXTURE_H
#define RINGGATE_TESTS_UNIT_STORE_FIXTURE_H

#include "tests/unit/ring/fixture.h"

#include "base/arena.h"
#include "base/err.h"
#include "base/fold.h"
#include "ring/fiber.h"
#include "store/keys.h"
#include "store/store.h"
#include "store/store_internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define NOTICES_BYTES 65536

struct place {
    char top[64];
    char dir[80];
    char rings[80];
    struct store_options options;
    char reason[STORE_REASON_BYTES];
    pthread_mutex_t mutex;
    char notices[NOTICES_BYTES]; // a line each
};

static inline void place_notice(void *arg, enum log_level level, const char *text)
{
    struct place *p = arg;
    (void)level;
    pthread_mutex_lock(&p->mutex);
    size_t len = strlen(p->notices);
    snprintf(p->notices + len, sizeof(p->notices) - len, "%s\n", text);
    pthread_mutex_unlock(&p->mutex);
}

static inline int place_remove_one(const char *path, const struct stat *status, int type,
                                   struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void place_at(struct place *p, const char *top)
{
    memset(p, 0, sizeof(*p));
    pthread_mutex_init(&p->mutex, NULL);
    snprintf(p->top, sizeof(p->top), "%s", top);
    snprintf(p->dir, sizeof(p->dir), "%s/store", p->top);
    snprintf(p->rings, sizeof(p->rings), "%s/rings", p->top);
    p->options = (struct store_options){.dir = p->dir,
                                        .rings = p->rings,
                                        .cores = 1,
                                        .ring_bytes = 4 << 20,
                                        .notice = place_notice,
                                        .notice_arg = p};
}

static inline void place_make(struct place *p)
{
    char top[64] = "/dev/shm/ringgate-store-XXXXXX";
    assert_non_null(mkdtemp(top));
    place_at(p, top);
}

static inline void place_done(struct place *p)
{
    pthread_mutex_destroy(&p->mutex);
    assert_int_equal(nftw(p->top, place_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline struct store *place_open(struct place *p)
{
    struct store *s = NULL;
    int err = store_open(&p->options, &s, p->reason);
    if (err)
        fail_msg("store_open: %s: %s", err_name(err), p->reason);
    return s;
}

static inline void memory_options(struct store_options *o)
{
    *o = (struct store_options){.memory = true, .cores = 1, .ring_bytes = 4 << 20};
}

static inline struct store *memory_open(void)
{
    struct store_options options;
    struct store *s = NULL;
    char reason[STORE_REASON_BYTES];
    memory_options(&options);
    assert_int_equal(store_open(&options, &s, reason), 0);
    return s;
}

// ---- Records ---------------------------------------------------------------------------------

// 2023-11-14 22:13:20 UTC.
#define T0_US UINT64_C(1700000000000000)

// A window that the clean-up, which runs at the start, does not find too old.
static inline uint64_t window_s(void)
{
    return (uint64_t)(clock_wall().ns / NS_PER_S) / 86400 * 86400 - 86400;
}

static inline struct wall wall_us(uint64_t us)
{
    return (struct wall){.ns = (int64_t)us * NS_PER_US};
}

static inline struct store_record sample(uint64_t us)
{
    return (struct store_record){
        .time = wall_us(us),
        .word = {SLICE("openai"), SLICE("gpt-4o"), SLICE("key-1"), SLICE("vk-1"), SLICE_EMPTY,
                 SLICE("chat.completion")},
        .status = 200,
        .usage_known = true,
        .latency_ms = 12,
        .input_tokens = 100,
        .output_tokens = 10,
        .cost = 1500,
        .row = SLICE("{\"id\":1}"),
    };
}

static inline struct store_id put(struct store *s, unsigned core, const struct store_record *record,
                                  enum store_kept expected)
{
    struct store_id id;
    struct store_ring *ring = store_ring(s, core);
    assert_int_equal(store_reserve(ring), 0);
    assert_int_equal(store_put_record(ring, record, &id), expected);
    return id;
}

// Everything that was put is WRITTEN.
static inline void drain(struct store *s)
{
    pthread_mutex_lock(&s->batch_mutex);
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
}

// ---- Segments --------------------------------------------------------------------------------

// Calls fn for each file of segments in a store's folder; returns how many there are.
static inline unsigned segment_files(const char *dir, void (*fn)(const char *path, void *arg),
                                     void *arg)
{
    char path[512];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS, dir);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/%s", dir, entry->d_name);
        if (fn)
            fn(path, arg);
        count++;
    }
    closedir(folder);
    return count;
}

struct needle {
    struct slice bytes;
    unsigned count;
};

static inline void needle_in(const char *path, void *arg)
{
    struct needle *n = arg;
    struct stat status;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
    close(fd);
    char *at = bytes, *end = bytes + status.st_size;
    while ((at = memmem(at, (size_t)(end - at), n->bytes.ptr, n->bytes.len)) != NULL) {
        n->count++;
        at++;
    }
    free(bytes);
}

// How often these bytes stand in the segments; random ones are not packed.
static inline unsigned on_disk(const char *dir, struct slice bytes)
{
    struct needle n = {.bytes = bytes};
    segment_files(dir, needle_in, &n);
    return n.count;
}

// ---- A fiber that asks -----------------------------------------------------------------------

struct asker {
    struct ring *ring;
    struct fiber_sched *sched;
    struct block_pool blocks;
    struct arena arena;
    struct store *store;
    void (*fn)(struct asker *a, struct fiber *self, void *arg);
    void *arg;
    bool ended;
};

static inline void asker_open(struct asker *a, struct store *s)
{
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    *a = (struct asker){.store = s, .ring = ring_open(false, 64, 0)};
    assert_int_equal(fiber_sched_new(a->ring, &options, &a->sched), 0);
    block_pool_init(&a->blocks, 16);
    arena_init(&a->arena, &a->blocks, (size_t)512 << 20);
}

static inline void asker_close(struct asker *a)
{
    store_leave(a->store);
    arena_done(&a->arena);
    block_pool_done(&a->blocks);
    fiber_sched_free(a->sched);
    ring_free(a->ring);
}

static inline void asker_fiber(struct fiber *self, void *arg)
{
    struct asker *a = arg;
    a->fn(a, self, a->arg);
    a->ended = true;
}

// Runs `fn` on a fiber until it ends.
static inline void ask(struct asker *a, void (*fn)(struct asker *a, struct fiber *self, void *arg),
                       void *arg)
{
    struct fiber *fiber;
    a->fn = fn;
    a->arg = arg;
    a->ended = false;
    assert_int_equal(fiber_spawn(a->sched, asker_fiber, a, &fiber), 0);
    WAIT_FOR(a->ring, a->ended);
}

// ---- Questions -------------------------------------------------------------------------------

struct search {
    struct store_query query;
    struct store_page page;
    int err;
};

static inline void search_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct search *q = arg;
    q->err = store_search_await(a->store, self, &q->query, &a->arena, &q->page);
}

static inline struct store_page search_for(struct asker *a, struct store_query query)
{
    struct search q = {.query = query};
    if (q.query.limit == 0)
        q.query.limit = STORE_PAGE_MAX;
    ask(a, search_fn, &q);
    assert_int_equal(q.err, 0);
    return q.page;
}

static inline uint64_t rows_of(struct store *s)
{
    struct asker a;
    asker_open(&a, s);
    uint64_t n = search_for(&a, (struct store_query){.limit = 1}).total;
    asker_close(&a);
    return n;
}

struct got {
    struct store_id id;
    struct store_entry entry;
    int err;
};

static inline void got_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct got *g = arg;
    g->err = store_get_record_await(a->store, self, g->id, &a->arena, &g->entry);
}

struct removal {
    const struct store_id *ids;
    unsigned count;
    int err;
};

static inline void remove_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct removal *r = arg;
    r->err = store_delete_records_await(a->store, self, r->ids, r->count);
}

// Each record of it, with its row and the content "question".
static inline void all_is_found(struct store *s, unsigned count)
{
    struct asker a;
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.ascending = true});
    assert_int_equal(page.total, count);
    for (unsigned i = 0; i < page.count; i++) {
        struct got got = {.id = page.found[i].id};
        ask(&a, got_fn, &got);
        assert_int_equal(got.err, 0);
        assert_true(slice_eq(got.entry.row, SLICE("{\"id\":1}")));
        assert_true(slice_eq(got.entry.request, SLICE("question")));
    }
    assert_int_equal(atomic_load(&s->numbers.damaged), 0);
    asker_close(&a);
}

static inline unsigned keys_of(struct store *s, enum keys_table table)
{
    struct keys_key from = keys_begin(table), to = keys_end(table);
    struct rocks_iter *it = rocks_iter_new(s->logs, keys_slice(&from), keys_slice(&to));
    unsigned count = 0;
    for (rocks_iter_first(it); rocks_iter_valid(it); rocks_iter_next(it))
        count++;
    rocks_iter_free(it);
    return count;
}

// What a test's search looks at: the bytes, an answer unfolded.
static inline void plain_text(struct slice request, struct slice answer, bool folded,
                              struct buf *out)
{
    buf_add(out, request);
    buf_add_char(out, '\n');
    if (folded)
        (void)fold_read(answer, out);
    else
        buf_add(out, answer);
}

static inline int64_t counter_value(struct store *s, const char *counter, uint64_t window)
{
    struct block_pool blocks;
    struct arena arena;
    struct store_counter *counters;
    size_t count;
    int64_t value = 0;
    block_pool_init(&blocks, 0);
    arena_init(&arena, &blocks, 64 << 20);
    assert_int_equal(store_load_counters(s, 0, &arena, &counters, &count), 0);
    for (size_t i = 0; i < count; i++)
        if (slice_eq(counters[i].counter, slice_str(counter)) && counters[i].window == window)
            value = counters[i].value;
    arena_done(&arena);
    block_pool_done(&blocks);
    return value;
}

#endif
