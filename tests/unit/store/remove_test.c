// SPDX-License-Identifier: Apache-2.0
//
// remove_test.c: what is deleted is not on the disk any more; what was beside it is, once.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"

#define SECRET_BYTES 64
#define HOUR_US      (UINT64_C(3600) * 1000000)
#define DAY_US       (24 * HOUR_US)

struct secrets {
    char row[SECRET_BYTES], request[SECRET_BYTES]; // random: they are on the disk as they are
};

static struct store_id put_secrets(struct store *s, uint64_t us, struct secrets *x)
{
    struct store_record r = sample(us);
    assert_int_equal(random_bytes(x, sizeof(*x)), 0);
    r.row = slice_of(x->row, sizeof(x->row));
    r.request = slice_of(x->request, sizeof(x->request));
    return put(s, 0, &r, STORE_KEPT_ALL);
}

static void remove_ids(struct asker *a, const struct store_id *ids, unsigned count)
{
    struct removal r = {.ids = ids, .count = count};
    ask(a, remove_fn, &r);
    assert_int_equal(r.err, 0);
}

// Their middles: where a secret begins or ends as another one does, packing takes that too.
static void is_on_disk(const struct place *p, const struct secrets *x, unsigned times)
{
    assert_int_equal(on_disk(p->dir, slice_of(x->row + 16, SECRET_BYTES - 32)), times);
    assert_int_equal(on_disk(p->dir, slice_of(x->request + 16, SECRET_BYTES - 32)), times);
}

static void is_found(struct asker *a, struct store_id id, const struct secrets *x)
{
    struct got got = {.id = id};
    ask(a, got_fn, &got);
    assert_int_equal(got.err, x ? 0 : ERR_NOT_FOUND);
    if (!x)
        return;
    assert_true(slice_eq(got.entry.row, slice_of(x->row, sizeof(x->row))));
    assert_true(slice_eq(got.entry.request, slice_of(x->request, sizeof(x->request))));
}

static void deleted_bytes_leave_the_disk(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct secrets x[3];
    struct store_id id[3];
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 3; i++)
        id[i] = put_secrets(s, T0_US + i, &x[i]);
    drain(s);
    is_on_disk(&p, &x[1], 1);
    asker_open(&a, s);
    const struct store_id twice[2] = {id[1], id[1]};
    remove_ids(&a, twice, 2);
    for (unsigned i = 0; i < 3; i++) {
        is_on_disk(&p, &x[i], i != 1);
        is_found(&a, id[i], i != 1 ? &x[i] : NULL);
    }
    remove_ids(&a, id, 3); // nothing is left of the bundle
    for (unsigned i = 0; i < 3; i++) {
        is_on_disk(&p, &x[i], 0);
        is_found(&a, id[i], NULL);
    }
    assert_int_equal(atomic_load(&s->numbers.damaged), 0);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// The deletion drains them, and what it drained is not appended a second time.
static void what_was_in_the_ring_is_written_once(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    for (unsigned round = 0; round < 20; round++) {
        struct secrets kept, gone;
        const uint64_t us = T0_US + round * 10;
        struct store_id ids[2] = {put_secrets(s, us, &kept), put_secrets(s, us + 1, &gone)};
        remove_ids(&a, ids + 1, 1);
        is_on_disk(&p, &gone, 0);
        is_on_disk(&p, &kept, 1);
        is_found(&a, ids[0], &kept);
    }
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// Else a machine that goes down would have neither the old bundle nor the new one.
static void bytes_are_erased_when_what_replaces_them_is_synced(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    for (unsigned round = 0; round < 20; round++) {
        struct secrets x;
        struct store_id id = put_secrets(s, T0_US + round, &x);
        remove_ids(&a, &id, 1);
        assert_int_equal(atomic_load(&s->synced), atomic_load(&s->written));
    }
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// What is written again lies with what is as old: the newest file goes on, and what is old goes
// when its time comes.
static void old_bundles_do_not_end_the_newest_segment(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct secrets x[40], y;
    struct store_id id[40];
    const uint64_t now_us = (uint64_t)(clock_wall().ns / NS_PER_US);
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 40; i++) {
        id[i] = put_secrets(s, now_us - 5 * DAY_US + i, &x[i]);
        if (i % 2 == 1)
            drain(s); // a bundle of two
    }
    asker_open(&a, s);
    for (unsigned i = 0; i < 40; i += 2) {
        (void)put_secrets(s, now_us + i, &y);
        drain(s);
        remove_ids(&a, &id[i], 1);
    }
    assert_in_range(segment_files(p.dir, NULL, NULL), 4, 6);
    for (unsigned i = 0; i < 40; i++) {
        is_on_disk(&p, &x[i], i % 2);
        is_found(&a, id[i], i % 2 ? &x[i] : NULL);
    }
    store_retain(s, 4, 4, 0);
    assert_int_equal(store__clean_up(s, clock_wall()), 0);
    for (unsigned i = 0; i < 40; i++)
        is_on_disk(&p, &x[i], 0);
    is_on_disk(&p, &y, 1);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// One call about records of many days: each bundle lies with its time, too.
static void records_of_many_days_are_deleted_together(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct secrets gone[10], kept[10];
    struct store_id ids[10], beside[10];
    const uint64_t now_us = (uint64_t)(clock_wall().ns / NS_PER_US);
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 10; i++) {
        const unsigned day = i * 7 % 10;
        beside[i] = put_secrets(s, now_us - (day + 1) * DAY_US, &kept[i]);
        ids[i] = put_secrets(s, now_us - (day + 1) * DAY_US + 1, &gone[i]);
        drain(s);
    }
    asker_open(&a, s);
    remove_ids(&a, ids, 10);
    for (unsigned i = 0; i < 10; i++) {
        is_found(&a, beside[i], &kept[i]);
        is_found(&a, ids[i], NULL);
        is_on_disk(&p, &gone[i], 0);
    }
    store_retain(s, 5, 5, 0);
    assert_int_equal(store__clean_up(s, (struct wall){.ns = clock_wall().ns + NS_PER_S * 3600}), 0);
    for (unsigned i = 0; i < 10; i++)
        is_on_disk(&p, &kept[i], i * 7 % 10 < 4);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// Other than a full disk, which is space_test.c's.
static void a_backup_keeps_what_is_deleted_later(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct secrets x[2], later;
    struct store_id id[2];
    char to[128];
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 2; i++)
        id[i] = put_secrets(s, T0_US + i, &x[i]);
    drain(s);
    snprintf(to, sizeof(to), "%s/backup", p.top);
    assert_int_equal(store_backup(p.dir, to, p.reason), 0);
    asker_open(&a, s);
    remove_ids(&a, id, 1);
    is_found(&a, id[0], NULL);
    is_found(&a, id[1], &x[1]);
    asker_close(&a);
    // Neither writes into the other's files.
    struct place copy;
    char rings[160];
    snprintf(rings, sizeof(rings), "%s-rings", to);
    place_at(&copy, "/nowhere");
    copy.options.dir = to;
    copy.options.rings = rings;
    struct store *b = place_open(&copy);
    struct secrets other;
    struct store_id other_id = put_secrets(b, T0_US + 5, &other);
    drain(b);
    struct store_id later_id = put_secrets(s, T0_US + 5, &later);
    drain(s);
    asker_open(&a, b);
    is_found(&a, id[0], &x[0]);
    is_found(&a, id[1], &x[1]);
    is_found(&a, other_id, &other);
    asker_close(&a);
    asker_open(&a, s);
    is_found(&a, later_id, &later);
    is_found(&a, id[1], &x[1]);
    asker_close(&a);
    store_close(b);
    store_close(s);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_bytes_leave_the_disk),
        cmocka_unit_test(what_was_in_the_ring_is_written_once),
        cmocka_unit_test(bytes_are_erased_when_what_replaces_them_is_synced),
        cmocka_unit_test(old_bundles_do_not_end_the_newest_segment),
        cmocka_unit_test(records_of_many_days_are_deleted_together),
        cmocka_unit_test(a_backup_keeps_what_is_deleted_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
