// SPDX-License-Identifier: Apache-2.0
//
// repair_test.c: a store whose process was killed is whole after a repair. A copy of the folder
// while it is open is what a kill leaves.
#include "tests/unit/store/fixture.h"

#include "store/find.h"

static void copy_to(const struct place *from, const struct place *to)
{
    char command[512];
    snprintf(command, sizeof(command), "cp -r %s %s", from->dir, to->dir);
    assert_int_equal(system(command), 0);
}

// Its rings are not there any more: what is found was in the database.
static void what_was_only_in_the_log_is_kept(void **state)
{
    (void)state;
    struct place p, killed;
    place_make(&p);
    place_make(&killed);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 5; i++) {
        struct store_record r = sample(T0_US + i);
        put(s, 0, &r, STORE_KEPT_ALL);
    }
    drain(s);
    assert_int_equal(store__sync(s), 0);
    copy_to(&p, &killed);
    store_close(s);
    if (store_repair(killed.dir, killed.reason) != 0)
        fail_msg("%s", killed.reason);
    s = place_open(&killed);
    assert_int_equal(rows_of(s), 5);
    store_close(s);
    place_done(&killed);
    place_done(&p);
}

static void put_one(struct store *s, uint64_t us)
{
    struct store_record r = sample(us);
    r.request = SLICE("question");
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
}

// Of the segments the database knows nothing, or what was so earlier; its names are there.
static void segments_are_counted_from_the_names_in_them(void **state)
{
    (void)state;
    struct place p;
    char logs[128], words[ROCKS_REASON_BYTES];
    for (unsigned earlier = 0; earlier < 2; earlier++) {
        place_make(&p);
        struct store *s = place_open(&p);
        for (unsigned i = 0; i < 5; i++)
            put_one(s, T0_US + i);
        store_close(s);
        snprintf(logs, sizeof(logs), "%s/logs", p.dir);
        const struct rocks_options options = {.dir = logs, .logs = true, .must_exist = true};
        struct rocks *db;
        assert_int_equal(rocks_open(&options, &db, words), 0);
        struct rocks_batch *batch = rocks_batch_new();
        for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) {
            struct keys_key key = keys_segment(kind, 1);
            if (earlier)
                find_put_segment(batch, &(struct segment){.kind = (enum segment_kind)kind,
                                                          .number = 1,
                                                          .bytes = 10,
                                                          .first_us = T0_US,
                                                          .last_us = T0_US});
            else
                rocks_batch_delete(batch, keys_slice(&key));
        }
        assert_int_equal(rocks_write(db, batch, true), 0);
        rocks_batch_free(batch);
        rocks_close(db);
        if (store_repair(p.dir, p.reason) != 0)
            fail_msg("%s", p.reason);
        s = place_open(&p);
        all_is_found(s, 5);
        put_one(s, T0_US + 5);
        all_is_found(s, 6);
        store_close(s);
        s = place_open(&p);
        all_is_found(s, 6);
        store_close(s);
        place_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_only_in_the_log_is_kept),
        cmocka_unit_test(segments_are_counted_from_the_names_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
