// SPDX-License-Identifier: Apache-2.0
//
// crash_test.c: `kill -9` at any moment loses nothing that was put and counts nothing twice.
//
// A child opens the store and puts records from several threads, each with a ring of its own, while
// its drain runs. Behind each put the thread says in memory it shares with the parent how many it
// has put: an acknowledgement. The parent kills it at a random moment, opens the store, and counts:
// each thread's records are there from the first to the acknowledged one, once each; a record whose
// acknowledgement was cut off may be there. So must be the money they moved.
//
// 20 rounds; RINGGATE_CRASH_ROUNDS asks for more (a soak runs 200).
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define THREADS 3
// Of a thread in a round: what is put must be counted afterwards.
#define RECORDS_MAX 8000

struct shared {
    _Atomic uint64_t acknowledged[THREADS]; // of this round
    _Atomic uint64_t ready;
};

struct putter {
    struct store *store;
    struct shared *shared;
    unsigned thread;
    uint64_t round;
};

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
    static char body[3000];
    for (uint64_t n = 0; n < RECORDS_MAX;) {
        struct store_id id;
        struct store_record r = record_of(p->thread, p->round, n);
        if (n % 7 == 0)
            r.request = slice_of(body, sizeof(body));
        if (store_reserve(ring) < 0) {
            sched_yield();
            continue;
        }
        (void)store_put_record(ring, &r, &id);
        atomic_store(&p->shared->acknowledged[p->thread], ++n);
        atomic_fetch_add(&p->shared->ready, 1);
    }
    while (pause() < 0)
        continue;
    return NULL;
}

static void child_main(const struct store_options *options, struct shared *shared, uint64_t round)
{
    struct store *s = NULL;
    char reason[STORE_REASON_BYTES];
    struct putter putters[THREADS];
    pthread_t thread;
    if (store_open(options, &s, reason) < 0) {
        fprintf(stderr, "%s\n", reason);
        _exit(1);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){s, shared, i, round};
        if (pthread_create(&thread, NULL, putter_main, &putters[i]) != 0)
            _exit(1);
    }
    for (;;)
        pause();
}

// How many records of the thread and round are there; none is missing or twice.
static uint64_t found(struct asker *a, unsigned thread, uint64_t round)
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
        for (unsigned i = 0; i < page.count; i++)
            assert_int_equal(page.found[i].facts.time.ns,
                             record_of(thread, round, count + i).time.ns);
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
        uint64_t there = found(&a, i, round);
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
    uint64_t rounds = asked ? strtoull(asked, NULL, 10) : 20, all[THREADS] = {0};
    struct prng prng;
    struct place p;
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    place_make(&p);
    p.options.cores = THREADS;
    p.options.ring_bytes = 1 << 20;
    prng_seed(&prng, 42);
    for (uint64_t round = 0; round < rounds; round++) {
        memset(shared, 0, sizeof(*shared));
        // Behind so many records; some die while they open the store.
        uint64_t until = prng_below(&prng, 8) == 0 ? 0 : prng_below(&prng, 6000);
        fflush(NULL);
        pid_t child = fork();
        if (child == 0)
            child_main(&p.options, shared, round);
        while (atomic_load(&shared->ready) < until && waitpid(child, NULL, WNOHANG) == 0)
            sched_yield();
        kill(child, SIGKILL);
        (void)waitpid(child, NULL, 0);
        struct store *s = place_open(&p);
        check(s, shared, round, all);
        store_close(s);
    }
    place_done(&p);
    munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kill_at_any_moment)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
