// SPDX-License-Identifier: Apache-2.0
//
// desk_test.c: a backup is a store, made while one runs or when none does.
#include "tests/unit/store/fixture.h"

#include <fcntl.h>

static uint64_t total(struct store *s)
{
    struct asker a;
    asker_open(&a, s);
    uint64_t n = search_for(&a, (struct store_query){.limit = 1}).total;
    asker_close(&a);
    return n;
}

static uint64_t total_in(const char *dir)
{
    struct place copy;
    char rings[128];
    place_at(&copy, "/nowhere");
    snprintf(rings, sizeof(rings), "%s-rings", dir);
    copy.options.dir = dir;
    copy.options.rings = rings;
    struct store *s = place_open(&copy);
    uint64_t n = total(s);
    store_close(s);
    return n;
}

// Each record of it, with its row and its content.
static void all_is_in(const char *dir, unsigned count)
{
    struct place copy;
    char rings[160];
    place_at(&copy, "/nowhere");
    snprintf(rings, sizeof(rings), "%s-rings", dir);
    copy.options.dir = dir;
    copy.options.rings = rings;
    struct store *s = place_open(&copy);
    all_is_found(s, count);
    store_close(s);
}

static void put_some(struct store *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct store_record r = sample(T0_US + i);
        r.request = SLICE("question");
        put(s, 0, &r, STORE_KEPT_ALL);
    }
    drain(s);
}

static void a_running_store_is_asked(void **state)
{
    (void)state;
    struct place p;
    char to[128];
    place_make(&p);
    struct store *s = place_open(&p);
    put_some(s, 100);
    snprintf(to, sizeof(to), "%s/backup", p.top);
    assert_int_equal(store_backup(p.dir, to, p.reason), 0);
    put_some(s, 11);
    assert_int_equal(store_backup(p.dir, to, p.reason), ERR_SYSTEM); // it exists
    assert_non_null(strstr(p.reason, "cannot be made: File exists"));
    assert_int_equal(total(s), 111);
    all_is_in(to, 100);
    store_close(s);
    place_done(&p);
}

static void a_store_at_rest_is_opened(void **state)
{
    (void)state;
    struct place p;
    char to[128];
    place_make(&p);
    struct store *s = place_open(&p);
    put_some(s, 50);
    store_close(s);
    snprintf(to, sizeof(to), "%s/backup", p.top);
    assert_int_equal(store_backup(p.dir, to, p.reason), 0);
    all_is_in(to, 50);
    assert_int_equal(store_backup("/dev/shm/no/such/store", to, p.reason), ERR_SYSTEM);
    assert_non_null(strstr(p.reason, "/dev/shm/no/such/store"));
    place_done(&p);
}

struct backup {
    const char *to;
    int err;
};

static void backup_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct backup *b = arg;
    b->err = store_backup_await(a->store, self, b->to);
}

static void a_fiber_may_ask_too(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    char to[128];
    place_make(&p);
    struct store *s = place_open(&p);
    put_some(s, 20);
    snprintf(to, sizeof(to), "%s/backup", p.top);
    struct backup b = {.to = to};
    asker_open(&a, s);
    ask(&a, backup_fn, &b);
    assert_int_equal(b.err, 0);
    ask(&a, backup_fn, &b);
    assert_int_equal(b.err, ERR_SYSTEM);
    asker_close(&a);
    assert_int_equal(total_in(to), 20);
    store_close(s);
    place_done(&p);
}

// The wrong file system for links: /dev/shm is a tmpfs.
static void a_backup_on_another_disk_has_all(void **state)
{
    (void)state;
    struct place p;
    char top[64] = "/var/tmp/ringgate-backup-XXXXXX", to[128];
    assert_non_null(mkdtemp(top));
    place_make(&p);
    struct store *s = place_open(&p);
    put_some(s, 50);
    snprintf(to, sizeof(to), "%s/backup", top);
    if (store_backup(p.dir, to, p.reason) != 0)
        fail_msg("%s", p.reason);
    all_is_in(to, 50);
    store_close(s);
    place_done(&p);
    assert_int_equal(nftw(top, place_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct writer {
    struct store *store;
    _Atomic bool stop;
    unsigned count;
};

static void *writer_main(void *arg)
{
    struct writer *w = arg;
    while (!atomic_load(&w->stop)) {
        put_some(w->store, 20);
        w->count += 20;
    }
    return NULL;
}

// While records come and retention runs, and put where the store was.
static void a_restored_backup_goes_on(void **state)
{
    (void)state;
    struct place p;
    pthread_t thread;
    char to[3][128];
    unsigned count[3];
    place_make(&p);
    struct writer w = {.store = place_open(&p)};
    put_some(w.store, 20);
    assert_int_equal(pthread_create(&thread, NULL, writer_main, &w), 0);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(to[i], sizeof(to[i]), "%s/backup-%u", p.top, i);
        assert_int_equal(store_backup(p.dir, to[i], p.reason), 0);
        assert_int_equal(store__clean_up(w.store, clock_wall()), 0);
    }
    atomic_store(&w.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    store_close(w.store);
    assert_int_equal(nftw(p.dir, place_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    for (unsigned i = 0; i < 3; i++) {
        count[i] = (unsigned)total_in(to[i]);
        assert_true(count[i] >= (i == 0 ? 20 : count[i - 1]) && count[i] <= w.count + 20);
    }
    for (unsigned i = 0; i < 3; i++)
        all_is_in(to[i], count[i]);
    assert_int_equal(rename(to[1], p.dir), 0);
    struct store *s = place_open(&p);
    put_some(s, 30);
    assert_int_equal(total(s), count[1] + 30);
    store_close(s);
    assert_int_equal(total_in(p.dir), count[1] + 30);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_store_is_asked),
        cmocka_unit_test(a_store_at_rest_is_opened),
        cmocka_unit_test(a_fiber_may_ask_too),
        cmocka_unit_test(a_backup_on_another_disk_has_all),
        cmocka_unit_test(a_restored_backup_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
