// SPDX-License-Identifier: Apache-2.0
//
// key_test.c: a key that is not the one is told before a file is touched, by whoever looks.
#include "tests/unit/store/fixture.h"

#include "base/slice.h"
#include "store/crc.h"
#include <dirent.h>
#include <fcntl.h>

// A number over the names and bytes of all files below `dir`; of what lies where, in any order.
static uint64_t sum_of(const char *dir)
{
    char path[512], bytes[65536];
    uint64_t sum = 0;
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        uint64_t one = crc_add(0, path, strlen(path));
        int fd = open(path, O_RDONLY | O_DIRECTORY);
        if (fd >= 0) {
            one += sum_of(path);
        } else {
            fd = open(path, O_RDONLY);
            ssize_t n = read(fd, bytes, sizeof(bytes));
            assert_true(n >= 0 && n < (ssize_t)sizeof(bytes));
            one = one << 32 | crc_add(0, bytes, (size_t)n);
        }
        close(fd);
        sum += one * 0x9e3779b97f4a7c15u;
    }
    closedir(folder);
    return sum;
}

static int refused(struct place *p)
{
    struct store *s = NULL;
    int err = store_open(&p->options, &s, p->reason);
    assert_null(s);
    return err;
}

static void a_refused_start_leaves_every_byte(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    p.options.encryption_key = SLICE("right");
    store_close(place_open(&p));
    uint64_t before = sum_of(p.dir);
    p.options.encryption_key = SLICE("wrong");
    assert_int_equal(refused(&p), ERR_CREDENTIAL);
    p.options.encryption_key = SLICE_EMPTY;
    assert_int_equal(refused(&p), ERR_CREDENTIAL);
    assert_true(sum_of(p.dir) == before);
    p.options.encryption_key = SLICE("right");
    store_close(place_open(&p));
    place_done(&p);
}

// Told at once, while the process that has it serves; else it would be told when that one is gone.
static void who_stands_by_with_another_key_is_refused(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    p.options.encryption_key = SLICE("right");
    struct store *old = place_open(&p);
    p.options.standby = true;
    p.options.encryption_key = SLICE("wrong");
    assert_int_equal(refused(&p), ERR_CREDENTIAL);
    p.options.encryption_key = SLICE("right");
    struct store *next = place_open(&p);
    assert_false(store_is_ready(next));
    store_close(next);
    store_close(old);
    place_done(&p);
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    struct place p;
    char reason[STORE_REASON_BYTES];
    place_make(&p);
    assert_int_equal(store_check_key(p.dir, SLICE("any"), reason), 0); // nothing is there
    struct store *s = place_open(&p);
    assert_int_equal(store_check_key(p.dir, SLICE("the first"), reason), 0);
    store_close(s);
    p.options.encryption_key = SLICE("right");
    s = place_open(&p);
    assert_int_equal(store_check_key(p.dir, SLICE("right"), reason), 0);
    assert_int_equal(store_check_key(p.dir, SLICE("wrong"), reason), ERR_CREDENTIAL);
    assert_non_null(strstr(reason, "is not the one"));
    assert_int_equal(store_check_key(p.dir, SLICE_EMPTY, reason), ERR_CREDENTIAL);
    assert_non_null(strstr(reason, "are encrypted"));
    store_close(s);
    uint64_t before = sum_of(p.dir);
    assert_int_equal(store_check_key(p.dir, SLICE("right"), reason), 0);
    assert_true(sum_of(p.dir) == before);
    place_done(&p);
}

static void put_row(struct asker *a, struct fiber *self, void *arg)
{
    const struct store_change change = {STORE_SETTING, SLICE("s"), SLICE("in the clear")};
    *(int *)arg = store_change_await(a->store, self, &change, 1);
}

struct get {
    struct slice value;
    int err;
};

static void get_row(struct asker *a, struct fiber *self, void *arg)
{
    struct get *g = arg;
    g->err = store_get_await(a->store, self, STORE_SETTING, SLICE("s"), &a->arena, &g->value);
}

// Rows that were there before the first key are read, and the key is the database's from then on.
static void the_first_key_of_a_store_that_has_rows(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    int rc = -1;
    struct get get;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    ask(&a, put_row, &rc);
    assert_int_equal(rc, 0);
    asker_close(&a);
    store_close(s);
    p.options.encryption_key = SLICE("right");
    s = place_open(&p);
    assert_true(s->sealed);
    asker_open(&a, s);
    ask(&a, get_row, &get);
    assert_int_equal(get.err, 0);
    assert_true(slice_eq(get.value, SLICE("in the clear")));
    asker_close(&a);
    store_close(s);
    p.options.encryption_key = SLICE("wrong");
    assert_int_equal(refused(&p), ERR_CREDENTIAL);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_start_leaves_every_byte),
        cmocka_unit_test(who_stands_by_with_another_key_is_refused),
        cmocka_unit_test(looking_changes_nothing),
        cmocka_unit_test(the_first_key_of_a_store_that_has_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
