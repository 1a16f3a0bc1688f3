// SPDX-License-Identifier: Apache-2.0
//
// open_test.c: a store that does not open says why, and leaves everything as it was.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/keys.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>

static int refused(struct place *p, const char *words)
{
    struct store *s = NULL;
    int err = store_open(&p->options, &s, p->reason);
    assert_null(s);
    if (!strstr(p->reason, words))
        fail_msg("'%s' is not in '%s'", words, p->reason);
    return err;
}

static void only_one_process_has_it(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    assert_int_equal(refused(&p, "another process has"), ERR_SYSTEM);
    store_close(s);
    store_close(place_open(&p));
    place_done(&p);
}

static void syncs(struct asker *a, struct fiber *self, void *arg)
{
    *(int *)arg = store_sync_await(a->store, self);
}

// Two processes of an upgrade; here two stores, each with a lock and rings of its own.
static void who_stands_by_has_its_rings_at_once(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    int rc = 0;
    place_make(&p);
    p.options.encryption_key = SLICE("right");
    struct store *old = place_open(&p);
    p.options.standby = true;
    struct store *next = place_open(&p);
    assert_true(store_is_ready(old));
    assert_false(store_is_ready(next));
    for (unsigned i = 0; i < 100; i++) {
        struct store_record r = sample(T0_US + i);
        put(i % 2 ? old : next, 0, &r, STORE_KEPT_ALL);
    }
    asker_open(&a, next);
    ask(&a, syncs, &rc);
    assert_int_equal(rc, ERR_LIMIT);
    asker_close(&a);
    store_close(old);
    while (!store_is_ready(next))
        sched_yield();
    for (unsigned i = 0; i < 10; i++) {
        struct store_record r = sample(T0_US + 100 + i);
        put(next, 0, &r, STORE_KEPT_ALL);
    }
    drain(next);
    assert_int_equal(rows_of(next), 110);
    store_close(next);
    assert_string_equal(p.notices, "");
    place_done(&p);
}

static void who_stood_by_in_vain_loses_nothing(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *old = place_open(&p);
    p.options.standby = true;
    struct store *next = place_open(&p);
    struct store_record r = sample(T0_US);
    put(next, 0, &r, STORE_KEPT_ALL);
    store_close(next);
    store_close(old);
    p.options.standby = false;
    struct store *s = place_open(&p);
    assert_int_equal(rows_of(s), 1);
    store_close(s);
    place_done(&p);
}

static void standby_with_nobody_there_is_an_opening(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    p.options.standby = true;
    struct store *s = place_open(&p);
    assert_true(store_is_ready(s));
    store_close(s);
    place_done(&p);
}

static void a_wrong_key_changes_nothing(void **state)
{
    (void)state;
    struct place p;
    struct buf before, after;
    struct keys_key key = keys_state(KEYS_STATE_SEAL);
    place_make(&p);
    p.options.encryption_key = SLICE("right");
    struct store *s = place_open(&p);
    buf_init(&before, 1000);
    buf_init(&after, 1000);
    assert_int_equal(rocks_get(s->config, keys_slice(&key), &before), 0);
    store_close(s);
    p.options.encryption_key = SLICE("wrong");
    assert_int_equal(refused(&p, "is not the one that the rows"), ERR_CREDENTIAL);
    p.options.encryption_key = SLICE_EMPTY;
    assert_int_equal(refused(&p, "are encrypted: encryption_key"), ERR_CREDENTIAL);
    p.options.encryption_key = SLICE("right");
    s = place_open(&p);
    assert_int_equal(rocks_get(s->config, keys_slice(&key), &after), 0);
    assert_true(slice_eq(buf_slice(&before), buf_slice(&after)));
    store_close(s);
    buf_done(&before);
    buf_done(&after);
    place_done(&p);
}

static void a_newer_format_is_not_opened(void **state)
{
    (void)state;
    struct place p;
    struct keys_key key = keys_state(KEYS_STATE_FORMAT);
    place_make(&p);
    struct store *s = place_open(&p);
    struct rocks_batch *b = rocks_batch_new();
    rocks_batch_put(b, keys_slice(&key), slice_of("\0\0\1\0", 4));
    assert_int_equal(rocks_write(s->logs, b, true), 0);
    rocks_batch_free(b);
    store_close(s);
    assert_int_equal(refused(&p, "the logs database has format 256"), ERR_UNSUPPORTED);
    place_done(&p);
}

// Overwrites the middle of the database's manifest.
static void damage_manifest(const struct place *p, const char *name)
{
    char dir[128], path[512];
    snprintf(dir, sizeof(dir), "%s/%s", p->dir, name);
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    unsigned hit = 0;
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, "MANIFEST", 8) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        int fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, "damage damage damage", 20, 12), 20);
        close(fd);
        hit++;
    }
    closedir(folder);
    assert_true(hit > 0);
}

static uint64_t total(struct store *s)
{
    struct asker a;
    asker_open(&a, s);
    uint64_t n = search_for(&a, (struct store_query){.limit = 1}).total;
    asker_close(&a);
    return n;
}

struct record_ask {
    struct store_id id;
    struct store_entry entry;
    int err;
};

static void record_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct record_ask *r = arg;
    r->err = store_get_record_await(a->store, self, r->id, &a->arena, &r->entry);
}

static void a_damaged_database_names_the_command_that_repairs_it(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    struct store_record r = sample(T0_US);
    r.moves = 1;
    r.move[0] = (struct store_move){SLICE("budget"), window_s(), 5};
    static char body[10000];
    assert_int_equal(random_bytes(body, sizeof(body)), 0); // nothing to be packed
    r.request = slice_of(body, sizeof(body));
    struct record_ask got = {.id = put(s, 0, &r, STORE_KEPT_ALL)};
    r.request = SLICE_EMPTY;
    for (unsigned i = 1; i < 2000; i++) {
        r.time = wall_us(T0_US + i);
        put(s, 0, &r, STORE_KEPT_ALL);
    }
    drain(s);
    store_close(s);
    damage_manifest(&p, "logs");
    assert_int_equal(refused(&p, "`ringgate repair`"), ERR_SYSTEM);
    assert_non_null(strstr(p.reason, "/logs cannot be opened"));
    assert_int_equal(store_repair(p.dir, p.reason), 0);
    s = place_open(&p);
    assert_int_equal(total(s), 2000);
    assert_int_equal(counter_value(s, "budget", window_s()), 10000);
    struct asker a;
    asker_open(&a, s);
    ask(&a, record_fn, &got);
    assert_int_equal(got.err, 0);
    assert_true(slice_eq(got.entry.row, r.row));
    assert_true(slice_eq(got.entry.request, slice_of(body, sizeof(body))));
    asker_close(&a);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(total(s), 2001);
    assert_int_equal(store_repair(p.dir, p.reason), ERR_SYSTEM); // it is open
    store_close(s);
    place_done(&p);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    p.options.dir = "/dev/shm/no/such/folder";
    assert_int_equal(refused(&p, "/dev/shm/no/such/folder cannot be made"), ERR_SYSTEM);
    p.options.dir = p.dir;
    p.options.rings = "/dev/shm/no/such/folder";
    assert_int_equal(refused(&p, "cannot be made in /dev/shm/no/such/folder"), ERR_SYSTEM);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_one_process_has_it),
        cmocka_unit_test(who_stands_by_has_its_rings_at_once),
        cmocka_unit_test(who_stood_by_in_vain_loses_nothing),
        cmocka_unit_test(standby_with_nobody_there_is_an_opening),
        cmocka_unit_test(a_wrong_key_changes_nothing),
        cmocka_unit_test(a_newer_format_is_not_opened),
        cmocka_unit_test(a_damaged_database_names_the_command_that_repairs_it),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
