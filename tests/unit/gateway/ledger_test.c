// SPDX-License-Identifier: Apache-2.0
//
// ledger_test.c: a limit is never passed, no use is forgotten or counted twice, whoever dies.
#include "gateway/ledger.h"

#include "base/err.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW     UINT64_C(1700000000)
#define THREADS 4
#define ROUNDS  20000

static char folder[64];
static char path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/dev/shm/ringgate-test-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/ledger", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static struct ledger *opened(bool first)
{
    struct ledger *l;
    bool ret_first;
    assert_int_equal(ledger_open(path, &l, &ret_first), 0);
    assert_int_equal(ret_first, first);
    return l;
}

static struct ledger_limit limit_of(struct ledger *l, const char *name, int64_t max)
{
    struct ledger_limit limit = {.max = max};
    assert_int_equal(period_parse(SLICE("1h"), &limit.period), 0);
    assert_int_equal(ledger_counter(l, slice_str(name), &limit.counter), 0);
    return limit;
}

static void assert_view(const struct ledger_limit *limit, uint64_t now, int64_t used,
                        int64_t committed, uint64_t window)
{
    struct ledger_view v = ledger_view(limit, now);
    assert_int_equal(v.used, used);
    assert_int_equal(v.committed, committed);
    assert_int_equal(v.window, window);
}

static void test_what_is_reserved_counts_until_it_is_settled(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b-1", 100);
    assert_true(ledger_reserve(l, &limit, 60, NOW));
    assert_false(ledger_reserve(l, &limit, 41, NOW));
    assert_true(ledger_reserve(l, &limit, 40, NOW));
    assert_view(&limit, NOW, 0, 100, NOW);
    assert_false(ledger_reserve(l, &limit, 0, NOW)); // nothing is free of charge beyond the limit
    ledger_release(l, &limit, 40);
    assert_int_equal(ledger_settle(l, &limit, 60, 10, NOW + 1), NOW);
    assert_view(&limit, NOW + 1, 10, 10, NOW);
    assert_true(ledger_reserve(l, &limit, 90, NOW + 1));
    assert_int_equal(ledger_settle(l, &limit, 90, 270, NOW + 1), NOW); // thrice the estimate
    assert_view(&limit, NOW + 1, 280, 280, NOW);
    assert_false(ledger_reserve(l, &limit, 1, NOW + 1));
    struct ledger_limit none = limit_of(l, "budget/none", 0);
    assert_false(ledger_reserve(l, &none, 0, NOW));
    ledger_close(l);
}

static void test_a_window_rolls_and_reservations_outlive_it(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "tokens/r-1", 100);
    assert_true(ledger_reserve(l, &limit, 30, NOW));
    assert_int_equal(ledger_settle(l, &limit, 30, 50, NOW), NOW);
    assert_true(ledger_reserve(l, &limit, 50, NOW + 1));
    assert_false(ledger_reserve(l, &limit, 1, NOW + 3599));
    // The hour is over: the 50 that were used go, the 50 that are under way stay.
    assert_view(&limit, NOW + 3600, 0, 50, NOW + 3600);
    assert_true(ledger_reserve(l, &limit, 50, NOW + 3600));
    assert_false(ledger_reserve(l, &limit, 1, NOW + 3600));
    assert_int_equal(ledger_settle(l, &limit, 50, 5, NOW + 3600), NOW + 3600);
    ledger_release(l, &limit, 50);
    assert_view(&limit, NOW + 3600, 5, 5, NOW + 3600);
    ledger_close(l);
}

static void test_a_name_is_one_counter(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit a = limit_of(l, "requests/a", 10), b = limit_of(l, "requests/b", 10);
    assert_ptr_not_equal(a.counter, b.counter);
    assert_ptr_equal(limit_of(l, "requests/a", 10).counter, a.counter);
    assert_int_equal((uintptr_t)a.counter % 64, 0);
    // A limit that is raised by a reload is about the same counter.
    assert_true(ledger_reserve(l, &a, 10, NOW));
    struct ledger_limit raised = limit_of(l, "requests/a", 20);
    assert_true(ledger_reserve(l, &raised, 10, NOW));
    ledger_close(l);
}

static void test_the_counters_have_a_limit(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_counter *c;
    char name[32];
    int rc = 0;
    unsigned made = 0;
    while (rc == 0) {
        snprintf(name, sizeof name, "requests/%u", made);
        rc = ledger_counter(l, slice_str(name), &c);
        made += rc == 0;
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(made, LEDGER_COUNTERS_MAX);
    assert_int_equal(ledger_counter(l, SLICE("requests/0"), &c), 0); // those that are there stay
    ledger_close(l);
}

// ---- Threads ---------------------------------------------------------------------------------

struct crowd {
    struct ledger *ledger;
    struct ledger_limit limit;
    int64_t charged[2]; // in each window, by the windows that settle returned
    int64_t most;       // committed that was seen
    unsigned number;
    bool rolls;
};

// Estimates 3, uses 1 to 3; every seventh comes to nothing.
static void *use(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t now = NOW + (c->rolls && i >= ROUNDS / 2 ? 3600 : 0);
        if (!ledger_reserve(c->ledger, &c->limit, 3, now))
            continue;
        struct ledger_view v = ledger_view(&c->limit, now);
        c->most = v.committed > c->most ? v.committed : c->most;
        if (i % 7 == 0) {
            ledger_release(c->ledger, &c->limit, 3);
            continue;
        }
        int64_t actual = 1 + (i + c->number) % 3;
        uint64_t window = ledger_settle(c->ledger, &c->limit, 3, actual, now);
        c->charged[window == NOW ? 0 : 1] += actual;
    }
    return NULL;
}

static void crowd(struct ledger *l, const struct ledger_limit *limit, bool rolls,
                  int64_t charged[2], int64_t *ret_most)
{
    pthread_t thread[THREADS];
    struct crowd crowd[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        crowd[i] = (struct crowd){.ledger = l, .limit = *limit, .number = i, .rolls = rolls};
        assert_int_equal(pthread_create(&thread[i], NULL, use, &crowd[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        charged[0] += crowd[i].charged[0];
        charged[1] += crowd[i].charged[1];
        *ret_most = crowd[i].most > *ret_most ? crowd[i].most : *ret_most;
    }
}

static void test_no_crowd_passes_a_limit(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b", 5000);
    int64_t charged[2] = {0}, most = 0;
    assert_true(ledger_reserve(l, &limit, 1, NOW)); // the window begins
    ledger_release(l, &limit, 1);
    crowd(l, &limit, false, charged, &most);
    assert_int_equal(charged[1], 0);
    // There was more to do than the limit: all but less than one estimate is used.
    assert_in_range(charged[0], 4998, 5000);
    assert_in_range(most, 4998, 5000);
    assert_view(&limit, NOW, charged[0], charged[0], NOW);
    ledger_close(l);
}

// What a record says it was charged to is where it is.
static void test_every_use_is_in_the_window_it_says(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b", INT64_MAX);
    int64_t charged[2] = {0}, most = 0;
    assert_true(ledger_reserve(l, &limit, 1, NOW));
    ledger_release(l, &limit, 1);
    crowd(l, &limit, true, charged, &most);
    assert_true(charged[0] > 0 && charged[1] > 0);
    assert_view(&limit, NOW + 3600, charged[1], charged[1], NOW + 3600);
    ledger_close(l);
}

// ---- Processes -------------------------------------------------------------------------------

// A child that reserves and settles, says so, and lives until it is killed.
static pid_t child(int64_t used, int64_t reserved)
{
    int said[2];
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct ledger *l;
        bool first;
        char ok = 'n';
        if (ledger_open(path, &l, &first) == 0) {
            struct ledger_limit limit = {.max = 100};
            period_parse(SLICE("1h"), &limit.period);
            ledger_counter(l, SLICE("budget/b"), &limit.counter);
            if (ledger_reserve(l, &limit, used + reserved, NOW)) {
                ledger_settle(l, &limit, used, used, NOW);
                ok = 'y';
            }
        }
        ssize_t n = write(said[1], &ok, 1);
        (void)n;
        pause();
        _exit(1);
    }
    char ok = 0;
    assert_int_equal(read(said[0], &ok, 1), 1);
    assert_int_equal(ok, 'y');
    close(said[0]);
    close(said[1]);
    return pid;
}

static void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_two_processes_share_a_limit_and_a_death_gives_back(void **state)
{
    (void)state;
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b", 100);
    assert_true(ledger_reserve(l, &limit, 20, NOW));
    pid_t other = child(10, 30);
    assert_view(&limit, NOW, 10, 60, NOW);
    struct ledger *third;
    bool first;
    assert_int_equal(ledger_open(path, &third, &first), ERR_LIMIT);
    kill_child(other);
    // The next process of an upgrade takes the dead one's place and its reservations go.
    other = child(5, 1);
    assert_view(&limit, NOW, 15, 36, NOW);
    assert_true(ledger_reserve(l, &limit, 64, NOW));
    assert_false(ledger_reserve(l, &limit, 1, NOW));
    kill_child(other);
    ledger_close(l);
}

static void test_after_all_have_died_what_was_used_stands(void **state)
{
    (void)state;
    pid_t only = child(40, 50);
    kill_child(only);
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b", 100);
    assert_view(&limit, NOW, 40, 40, NOW);
    ledger_set(limit.counter, 70, NOW + 60); // what the store knows
    assert_view(&limit, NOW + 60, 70, 70, NOW + 60);
    ledger_close(l);
}

static void test_a_file_of_another_version_is_replaced(void **state)
{
    (void)state;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("something else", f) > 0);
    fclose(f);
    struct ledger *l = opened(true);
    struct ledger_limit limit = limit_of(l, "budget/b", 100);
    assert_view(&limit, NOW, 0, 0, NOW);
    ledger_close(l);
    assert_int_equal(ledger_open("/nowhere/ledger", &l, &(bool){false}), ERR_SYSTEM);
}

// 32 MiB of lines; what reads a hole gives it a page. Counters lie all over the file.
static void test_a_ledger_takes_the_memory_of_its_counters(void **state)
{
    (void)state;
    struct stat st;
    char name[16];
    ledger_close(opened(true));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
    struct ledger *l = opened(true);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "budget/%u", i);
        struct ledger_limit limit = limit_of(l, name, 100);
        assert_true(ledger_reserve(l, &limit, 50 + i, NOW));
        assert_int_equal(ledger_settle(l, &limit, 50 + i, i, NOW), NOW);
        assert_true(ledger_reserve(l, &limit, 20, NOW)); // and is gone
    }
    ledger_close(l);
    l = opened(true);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 <= 51 * 64 * 1024);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "budget/%u", i);
        struct ledger_limit limit = limit_of(l, name, 100);
        assert_view(&limit, NOW, i, i, NOW);
    }
    // A store it does not know: what is used stays, whatever of it that store has records of.
    assert_false(ledger_recount(l, 7));
    struct ledger_limit limit = limit_of(l, "budget/49", 100);
    ledger_told(limit.counter, 9, NOW, false);
    assert_view(&limit, NOW, 49, 49, NOW);
    // The same store again, with a record more.
    assert_true(ledger_recount(l, 7));
    ledger_told(limit.counter, 5, NOW - 3600, true); // long over
    ledger_told(limit.counter, 12, NOW, true);
    assert_view(&limit, NOW, 52, 52, NOW);
    struct ledger_limit other = limit_of(l, "budget/48", 100);
    assert_view(&other, NOW, 48, 48, NOW);
    assert_false(ledger_recount(l, 8));
    assert_view(&limit, NOW, 52, 52, NOW);
    ledger_close(l);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_reserved_counts_until_it_is_settled),
        TEST(test_a_window_rolls_and_reservations_outlive_it),
        TEST(test_a_name_is_one_counter),
        TEST(test_the_counters_have_a_limit),
        TEST(test_no_crowd_passes_a_limit),
        TEST(test_every_use_is_in_the_window_it_says),
        TEST(test_two_processes_share_a_limit_and_a_death_gives_back),
        TEST(test_after_all_have_died_what_was_used_stands),
        TEST(test_a_file_of_another_version_is_replaced),
        TEST(test_a_ledger_takes_the_memory_of_its_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
