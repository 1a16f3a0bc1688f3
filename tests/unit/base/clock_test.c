// SPDX-License-Identifier: Apache-2.0
//
// clock_test.c: the monotonic clock never goes back, and the sums.
#include "tests/unit/base/cm.h"

#include "base/clock.h"
#include <time.h>

static void never_goes_back(void **state)
{
    (void)state;
    struct mono last = clock_mono();
    assert_true(last.ns > 0);
    for (int i = 0; i < 10000; i++) {
        struct mono now = clock_mono();
        assert_false(mono_before(now, last));
        last = now;
    }
}

static void wall_is_the_calendar(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL);
    int64_t s = clock_wall().ns / NS_PER_S;
    assert_true(s >= before && s <= (int64_t)time(NULL) + 1);
}

static void sums(void **state)
{
    (void)state;
    struct mono a = {.ns = 10}, b = mono_add_ms(a, 3);
    assert_int_equal(b.ns, 10 + 3 * NS_PER_MS);
    assert_int_equal(mono_diff_ns(b, a), 3 * NS_PER_MS);
    assert_true(mono_before(a, b));
    assert_false(mono_before(a, a));
    assert_int_equal(mono_min(b, a).ns, 10);
    assert_int_equal(mono_min(a, MONO_NEVER).ns, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_goes_back),
        cmocka_unit_test(wall_is_the_calendar),
        cmocka_unit_test(sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
