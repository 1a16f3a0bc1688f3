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
    assert_int_equal(total_in(to), 100);
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
    assert_int_equal(total_in(to), 50);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_store_is_asked),
        cmocka_unit_test(a_store_at_rest_is_opened),
        cmocka_unit_test(a_fiber_may_ask_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
