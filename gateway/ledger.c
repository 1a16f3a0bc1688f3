// SPDX-License-Identifier: Apache-2.0
//
// ledger.c: counters in shared memory.
#include "gateway/ledger.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/shared_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEDGER_MAGIC   UINT64_C(0x72656764656c6772) // "rgledger"
#define LEDGER_VERSION 1
// Open addressing: lines are at most half used.
#define LEDGER_LINES (2 * LEDGER_COUNTERS_MAX)

// What has been used, and since when; read and written as one.
union used_word {
    unsigned __int128 whole;
    struct {
        int64_t used;
        uint64_t window;
    };
};

struct ledger_counter {
    _Alignas(64) union used_word word;
    _Atomic int64_t committed;
    _Atomic int64_t reserved[LEDGER_PROCESSES];
    _Atomic int64_t unrecorded; // of `used`: what no record tells
    _Atomic uint64_t hash[2];   // [0] is written last; 0: a free line
};
_Static_assert(sizeof(struct ledger_counter) == 64, "a counter is one cache line");

struct ledger_head {
    _Alignas(64) uint64_t magic;
    uint32_t version;
    uint32_t lines;
    _Atomic uint32_t count; // of lines that are not free
    uint64_t store;         // whose records tell what is used but for `unrecorded`; 0: nobody's yet
};

struct ledger_file {
    struct ledger_head head;
    struct ledger_counter line[LEDGER_LINES];
};

struct ledger {
    struct ledger_file *file;
    int fd;
    unsigned process; // whose reservations this one's are
};

// ---- The 16-byte word ------------------------------------------------------------------------
//
// Every processor that this program runs on swaps one; on x86-64 the compiler must be told (cx16,
// CMakeLists.txt).

// Half by half: a torn pair never equals what the swap finds.
static union used_word word_load(const union used_word *w)
{
    union used_word now;
    now.used = __atomic_load_n(&w->used, __ATOMIC_ACQUIRE);
    now.window = __atomic_load_n(&w->window, __ATOMIC_ACQUIRE);
    return now;
}

static bool word_swap(union used_word *w, union used_word *expected, union used_word next)
{
    unsigned __int128 found = __sync_val_compare_and_swap(&w->whole, expected->whole, next.whole);
    bool done = found == expected->whole;
    expected->whole = found;
    return done;
}

// ---- Opening ---------------------------------------------------------------------------------

// A byte of the file for each process; gone with the process, however it ends.
static bool take_process(int fd, unsigned process)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)process, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_taken(int fd, unsigned process)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)process, .l_len = 1};
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static bool is_ours(int fd)
{
    struct ledger_head head;
    return pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && head.magic == LEDGER_MAGIC &&
           head.version == LEDGER_VERSION && head.lines == LEDGER_LINES;
}

// Under the file's lock. Nobody else has a file that is not ours, or it is of another version and
// its process counts on by itself.
static int map_file(struct ledger *l)
{
    bool known = is_ours(l->fd);
    if (!known &&
        (ftruncate(l->fd, 0) != 0 || ftruncate(l->fd, (off_t)sizeof(struct ledger_file)) != 0))
        return ERR_SYSTEM;
    struct stat st;
    if (fstat(l->fd, &st) != 0 || (size_t)st.st_size < sizeof(struct ledger_file))
        return ERR_SYSTEM;
    void *at = mmap(NULL, sizeof(struct ledger_file), PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
    if (at == MAP_FAILED)
        return ERR_SYSTEM;
    l->file = at;
    if (!known) {
        l->file->head.version = LEDGER_VERSION;
        l->file->head.lines = LEDGER_LINES;
        l->file->head.magic = LEDGER_MAGIC;
    }
    return 0;
}

// Over the counters of a file that is mostly holes: to read a hole would give it a page, 32 MiB in
// all.
struct lines {
    size_t at, end;
};

static bool find_lines(struct ledger *l, struct lines *ret)
{
    const off_t first = (off_t)offsetof(struct ledger_file, line);
    const off_t from = first + (off_t)(ret->end * sizeof(struct ledger_counter));
    off_t data = lseek(l->fd, from, SEEK_DATA);
    if (data < 0)
        return false; // holes only, up to the end
    off_t hole = lseek(l->fd, data, SEEK_HOLE);
    if (data < from)
        data = from;
    ret->at = (size_t)(data - first) / sizeof(struct ledger_counter);
    ret->end = hole < 0 ? LEDGER_LINES : (size_t)(hole - first) / sizeof(struct ledger_counter);
    if (ret->end > LEDGER_LINES)
        ret->end = LEDGER_LINES;
    return ret->at < ret->end;
}

static struct ledger_counter *next_counter(struct ledger *l, struct lines *it)
{
    do {
        while (it->at < it->end) {
            struct ledger_counter *c = &l->file->line[it->at++];
            if (atomic_load(&c->hash[0]) != 0)
                return c;
        }
    } while (find_lines(l, it));
    return NULL;
}

// What a process that is gone had reserved. Alone, nothing is reserved at all: so also what a
// process that ended between two instructions left is set right.
static void give_back(struct ledger *l, unsigned process, bool alone)
{
    struct lines it = {0};
    for (struct ledger_counter *c; (c = next_counter(l, &it)) != NULL;) {
        int64_t left = atomic_exchange(&c->reserved[process], 0);
        if (alone)
            atomic_store(&c->committed, c->word.used);
        else
            atomic_fetch_sub(&c->committed, left);
    }
}

static int take_place(struct ledger *l, bool *ret_first)
{
    unsigned others = 0, mine = LEDGER_PROCESSES;
    for (unsigned i = 0; i < LEDGER_PROCESSES; i++) {
        if (is_taken(l->fd, i))
            others++;
        else if (mine == LEDGER_PROCESSES)
            mine = i;
    }
    if (mine == LEDGER_PROCESSES)
        return ERR_LIMIT;
    int rc = map_file(l);
    if (rc != 0)
        return rc;
    if (!take_process(l->fd, mine))
        return ERR_SYSTEM;
    l->process = mine;
    *ret_first = others == 0;
    for (unsigned i = 0; i < LEDGER_PROCESSES; i++) {
        if (i == mine || !is_taken(l->fd, i))
            give_back(l, i, others == 0);
    }
    return 0;
}

static struct ledger *ledger_new(void)
{
    return calloc(1, sizeof(struct ledger));
}

int ledger_open(const char *path, struct ledger **ret, bool *ret_first)
{
    struct ledger *l = ledger_new();
    if (l == NULL)
        return ERR_NOMEM;
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int rc = ERR_SYSTEM;
    if (l->fd >= 0 && flock(l->fd, LOCK_EX) == 0) {
        rc = take_place(l, ret_first);
        flock(l->fd, LOCK_UN);
    }
    if (rc != 0) {
        int why = errno;
        ledger_close(l);
        errno = why;
        return rc;
    }
    *ret = l;
    return 0;
}

int ledger_place_open(struct ledger_place *place, const char **ret_reason)
{
    char path[SHARED_DIR_BYTES + 8];
    if (place->ledger != NULL)
        return 0;
    int rc = shared_dir_make(place->folder, ret_reason);
    if (rc != 0)
        return rc;
    snprintf(path, sizeof path, "%s/ledger", place->folder);
    rc = ledger_open(path, &place->ledger, &place->first);
    *ret_reason = rc == ERR_LIMIT ? "two processes use it already" : "cannot hold the counters";
    return rc;
}

void ledger_close(struct ledger *l)
{
    if (l == NULL)
        return;
    if (l->file != NULL)
        munmap(l->file, sizeof *l->file);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

// ---- Counters --------------------------------------------------------------------------------

static void hash_name(struct slice name, uint64_t ret[2])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)name.ptr, name.len, digest);
    memcpy(ret, digest, 2 * sizeof ret[0]);
    ret[0] |= 1; // 0 is a free line
}

static int find_line(struct ledger *l, const uint64_t hash[2], struct ledger_counter **ret)
{
    for (uint64_t i = hash[0] >> 1;; i++) {
        struct ledger_counter *c = &l->file->line[i % LEDGER_LINES];
        uint64_t first = atomic_load_explicit(&c->hash[0], memory_order_acquire);
        if (first == 0) {
            if (atomic_load(&l->file->head.count) == LEDGER_COUNTERS_MAX)
                return ERR_LIMIT;
            atomic_fetch_add(&l->file->head.count, 1);
            atomic_store(&c->hash[1], hash[1]);
            atomic_store_explicit(&c->hash[0], hash[0], memory_order_release);
        } else if (first != hash[0] || atomic_load(&c->hash[1]) != hash[1]) {
            continue;
        }
        *ret = c;
        return 0;
    }
}

int ledger_counter(struct ledger *l, struct slice name, struct ledger_counter **ret)
{
    uint64_t hash[2];
    hash_name(name, hash);
    if (flock(l->fd, LOCK_EX) != 0) // against the other process
        return ERR_SYSTEM;
    int rc = find_line(l, hash, ret);
    flock(l->fd, LOCK_UN);
    return rc;
}

bool ledger_is_new(const struct ledger_counter *c)
{
    union used_word word = word_load(&c->word);
    return word.window == 0 && word.used == 0;
}

static void set(struct ledger_counter *c, int64_t used, uint64_t window)
{
    union used_word old = word_load(&c->word);
    union used_word next = {.used = used, .window = window};
    while (!word_swap(&c->word, &old, next)) {
    }
    atomic_fetch_add(&c->committed, used - old.used);
}

void ledger_set(struct ledger_counter *c, int64_t used, uint64_t window)
{
    atomic_store(&c->unrecorded, used);
    set(c, used, window);
}

bool ledger_recount(struct ledger *l, uint64_t store)
{
    bool known = l->file->head.store == store;
    struct lines it = {0};
    for (struct ledger_counter *c; (c = next_counter(l, &it)) != NULL;) {
        union used_word word = word_load(&c->word);
        if (known)
            set(c, atomic_load(&c->unrecorded), word.window);
        else
            atomic_store(&c->unrecorded, word.used);
    }
    l->file->head.store = store;
    return known;
}

void ledger_told(struct ledger_counter *c, int64_t value, uint64_t window, bool known)
{
    union used_word word = word_load(&c->word);
    if (window < word.window)
        return;
    if (window > word.window) {
        atomic_store(&c->unrecorded, 0);
        set(c, value, window);
    } else if (known) {
        set(c, word.used + value, window);
    } else {
        atomic_fetch_sub(&c->unrecorded, value);
    }
}

void ledger_unrecorded(const struct ledger_limit *limit, int64_t actual)
{
    atomic_fetch_add(&limit->counter->unrecorded, actual);
}

// ---- On the way of a request -----------------------------------------------------------------

static void roll(const struct ledger_limit *limit, uint64_t now)
{
    struct ledger_counter *c = limit->counter;
    union used_word old = word_load(&c->word);
    for (;;) {
        uint64_t window = period_window(&limit->period, old.window, now);
        if (window == old.window)
            return;
        union used_word next = {.used = 0, .window = window};
        if (word_swap(&c->word, &old, next))
            break;
    }
    atomic_fetch_sub(&c->committed, old.used);
    atomic_store(&c->unrecorded, 0);
}

bool ledger_reserve(struct ledger *l, const struct ledger_limit *limit, int64_t amount,
                    uint64_t now)
{
    ASSERT(amount >= 0);
    struct ledger_counter *c = limit->counter;
    roll(limit, now);
    int64_t committed = atomic_load(&c->committed);
    do {
        if (committed >= limit->max || amount > limit->max - committed)
            return false;
    } while (!atomic_compare_exchange_weak(&c->committed, &committed, committed + amount));
    atomic_fetch_add(&c->reserved[l->process], amount);
    return true;
}

void ledger_release(struct ledger *l, const struct ledger_limit *limit, int64_t reserved)
{
    atomic_fetch_sub(&limit->counter->reserved[l->process], reserved);
    atomic_fetch_sub(&limit->counter->committed, reserved);
}

uint64_t ledger_settle(struct ledger *l, const struct ledger_limit *limit, int64_t reserved,
                       int64_t actual, uint64_t now)
{
    struct ledger_counter *c = limit->counter;
    roll(limit, now);
    // First what is committed: another core must never see room that is not there.
    atomic_fetch_add(&c->committed, actual - reserved);
    atomic_fetch_sub(&c->reserved[l->process], reserved);
    union used_word old = word_load(&c->word), next;
    do {
        next = (union used_word){.used = old.used + actual, .window = old.window};
    } while (!word_swap(&c->word, &old, next));
    return old.window;
}

struct ledger_view ledger_view(const struct ledger_limit *limit, uint64_t now)
{
    roll(limit, now);
    union used_word word = word_load(&limit->counter->word);
    return (struct ledger_view){.used = word.used,
                                .window = word.window,
                                .committed = atomic_load(&limit->counter->committed)};
}
