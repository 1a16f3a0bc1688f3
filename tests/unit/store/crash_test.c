// SPDX-License-Identifier: Apache-2.0
//
// crash_test.c: `kill -9` at any moment loses nothing that was put and counts nothing twice.
//
// A child opens the store and puts records from several threads, each with a ring of its own, while
// its drain runs. Behind each put the thread says in memory it shares with the parent how many it
// has put: an acknowledgement. The parent kills it at a random moment, opens the store, and counts:
// each thread's records are there from the first to the acknowledged one, once each; a record whose
// acknowledgement was cut off may be there. So must be the money they moved, and byte for byte the
// row and the content that the ring had room for.
//
// 20 rounds; RINGGATE_CRASH_ROUNDS asks for more (a soak runs 200).
#include "tests/unit/store/fixture.h"

#include "base/assert.h"
#include "base/prng.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define THREADS 3
// Of a thread in a round: what is put must be counted afterwards.
#define RECORDS_MAX 8000

struct shared {
    _Atomic uint64_t acknowledged[THREADS]; // of this round
    _Atomic uint64_t ready;
    unsigned char kept[THREADS][RECORDS_MAX]; // enum store_kept
};

#define BODY_BYTES 3000

// What a record is written with, told by its thread, round and number; every 7th has content.
struct bodies {
    char row[128];
    char request[BODY_BYTES];
};

static void make_bodies(unsigned thread, uint64_t round, uint64_t number, struct bodies *b,
                        struct store_record *r)
{
    struct prng prng;
    int len = snprintf(b->row, sizeof(b->row), "{\"thread\":%u,\"round\":%llu,\"number\":%llu}",
                       thread, (unsigned long long)round, (unsigned long long)number);
    r->row = slice_of(b->row, (size_t)len);
    if (number % 7 != 0)
        return;
    prng_seed(&prng, (round * THREADS + thread) * RECORDS_MAX + number);
    for (size_t at = 0; at < BODY_BYTES; at += 8) { // half of it packs
        uint64_t noise = at % 16 ? prng_next(&prng) : number;
        memcpy(b->request + at, &noise, 8);
    }
    r->request = slice_of(b->request, BODY_BYTES);
}

struct putter {
    struct store *store;
    struct shared *shared;
    unsigned thread;
    uint64_t round;
};

static void crash_options(struct place *p)
{
    p->options.cores = THREADS;
    p->options.ring_bytes = 1 << 20;
}

static struct shared *map_shared(const char *path)
{
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    struct shared *shared = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof(*shared)) == 0)
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT(shared != MAP_FAILED);
    close(fd);
    return shared;
}

// The thread is told by its model, round and number by the time.
static struct store_record record_of(unsigned thread, uint64_t round, uint64_t number)
{
    static const char *const models[THREADS] = {"m0", "m1", "m2"};
    struct store_record r = sample(T0_US + round * 100000000 + number);
    r.word[STORE_WORD_MODEL] = slice_str(models[thread]);
    r.moves = 1;
    r.move[0] = (struct store_move){slice_str(models[thread]), window_s(), 11};
    return r;
}

static void *putter_main(void *arg)
{
    struct putter *p = arg;
    struct store_ring *ring = store_ring(p->store, p->thread);
    struct bodies bodies;
    for (uint64_t n = 0; n < RECORDS_MAX;) {
        struct store_id id;
        struct store_record r = record_of(p->thread, p->round, n);
        make_bodies(p->thread, p->round, n, &bodies, &r);
        if (store_reserve(ring) < 0) {
            sched_yield();
            continue;
        }
        p->shared->kept[p->thread][n] = (unsigned char)store_put_record(ring, &r, &id);
        atomic_store(&p->shared->acknowledged[p->thread], ++n);
        atomic_fetch_add(&p->shared->ready, 1);
    }
    while (pause() < 0)
        continue;
    return NULL;
}

// The program again, with the place, the shared memory and the round as arguments: threads of the
// engine do not survive a fork.
static int child_main(char **argv)
{
    struct store *s = NULL;
    struct place p;
    struct putter putters[THREADS];
    pthread_t thread;
    place_at(&p, argv[1]);
    crash_options(&p);
    if (store_open(&p.options, &s, p.reason) < 0) {
        fprintf(stderr, "%s\n", p.reason);
        return 1;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){s, map_shared(argv[2]), i, strtoull(argv[3], NULL, 10)};
        if (pthread_create(&thread, NULL, putter_main, &putters[i]) != 0)
            return 1;
    }
    while (pause() < 0)
        continue;
    return 0;
}

static pid_t start_child(const struct place *p, const char *shared, uint64_t round)
{
    char number[32];
    snprintf(number, sizeof(number), "%llu", (unsigned long long)round);
    char *argv[] = {"crash_test", (char *)p->top, (char *)shared, number, NULL};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        execv("/proc/self/exe", argv);
        _exit(2);
    }
    return child;
}

static void same_as_put(struct asker *a, const struct shared *shared, unsigned thread,
                        uint64_t round, uint64_t number, const struct store_found *found)
{
    struct bodies bodies;
    struct store_record r = record_of(thread, round, number);
    struct got got = {.id = found->id};
    enum store_kept kept = (enum store_kept)shared->kept[thread][number];
    make_bodies(thread, round, number, &bodies, &r);
    if (kept <= STORE_KEPT_NO_CONTENT)
        assert_true(slice_eq(found->row, r.row));
    if (kept != STORE_KEPT_ALL || r.request.len == 0)
        return;
    ask(a, got_fn, &got);
    assert_int_equal(got.err, 0);
    assert_true(slice_eq(got.entry.row, r.row));
    assert_true(slice_eq(got.entry.request, r.request));
}

// How many records of the thread and round are there; none is missing or twice.
static uint64_t found(struct asker *a, const struct shared *shared, unsigned thread, uint64_t round)
{
    struct store_record first = record_of(thread, round, 0);
    struct store_record behind = record_of(thread, round, 99999999);
    struct store_query q = {.from = first.time,
                            .to = behind.time,
                            .word[STORE_WORD_MODEL] = &first.word[STORE_WORD_MODEL],
                            .words[STORE_WORD_MODEL] = 1,
                            .ascending = true,
                            .limit = STORE_PAGE_MAX};
    uint64_t count = 0, total = 0;
    do {
        struct store_page page = search_for(a, q);
        total = page.total;
        for (unsigned i = 0; i < page.count; i++) {
            assert_int_equal(page.found[i].facts.time.ns,
                             record_of(thread, round, count + i).time.ns);
            if (count + i < atomic_load(&shared->acknowledged[thread]))
                same_as_put(a, shared, thread, round, count + i, &page.found[i]);
        }
        count += page.count;
        q.offset = count;
        arena_done(&a->arena);
        arena_init(&a->arena, &a->blocks, (size_t)512 << 20);
    } while (count < total && count + STORE_PAGE_MAX <= STORE_DEPTH_MAX);
    return total;
}

static void check(struct store *s, struct shared *shared, uint64_t round, uint64_t all[THREADS])
{
    static const char *const models[THREADS] = {"m0", "m1", "m2"};
    struct asker a;
    asker_open(&a, s);
    for (unsigned i = 0; i < THREADS; i++) {
        uint64_t acknowledged = atomic_load(&shared->acknowledged[i]);
        uint64_t there = found(&a, shared, i, round);
        assert_true(there == acknowledged || there == acknowledged + 1);
        all[i] += there;
        assert_int_equal(counter_value(s, models[i], window_s()), 11 * all[i]);
    }
    asker_close(&a);
}

static void kill_at_any_moment(void **state)
{
    (void)state;
    const char *asked = getenv("RINGGATE_CRASH_ROUNDS");
    uint64_t rounds = asked ? strtoull(asked, NULL, 10) : 20, all[THREADS] = {0}, sum = 0;
    char path[128];
    struct prng prng;
    struct place p;
    place_make(&p);
    crash_options(&p);
    snprintf(path, sizeof(path), "%s/shared", p.top);
    struct shared *shared = map_shared(path);
    prng_seed(&prng, 42);
    for (uint64_t round = 0; round < rounds; round++) {
        int status = 0;
        memset(shared, 0, sizeof(*shared));
        // Behind so many records; some die while they open the store.
        uint64_t until = prng_below(&prng, 8) == 0 ? 0 : prng_below(&prng, 6000);
        pid_t child = start_child(&p, path, round);
        while (atomic_load(&shared->ready) < until && waitpid(child, &status, WNOHANG) == 0)
            sched_yield();
        assert_true(atomic_load(&shared->ready) >= until);
        kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status));
        struct store *s = place_open(&p);
        check(s, shared, round, all);
        assert_int_equal(atomic_load(&s->numbers.damaged), 0);
        store_close(s);
    }
    for (unsigned i = 0; i < THREADS; i++)
        sum += all[i];
    print_message("%llu records in %llu rounds\n", (unsigned long long)sum,
                  (unsigned long long)rounds);
    assert_true(sum > rounds * 100);
    munmap(shared, sizeof(*shared));
    place_done(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kill_at_any_moment)};
    if (argc == 4)
        return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
