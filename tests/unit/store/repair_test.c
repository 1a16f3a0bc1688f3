// SPDX-License-Identifier: Apache-2.0
//
// repair_test.c: a store whose process was killed is whole after a repair. A copy of the folder
// while it is open is what a kill leaves.
#include "tests/unit/store/fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_only_in_the_log_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
