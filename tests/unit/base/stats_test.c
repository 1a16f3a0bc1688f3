// SPDX-License-Identifier: Apache-2.0
//
// stats_test.c: which bucket a value falls into.
#include "tests/unit/base/cm.h"

#include "base/stats.h"
#include <math.h>

static void buckets(void **state)
{
    (void)state;
    static const double bounds[] = {0.1, 1, 10};
    struct histogram h;
    histogram_init(&h, bounds, 3);
    assert_int_equal(histogram_count(&h), 0);
    static const double values[] = {0, 0.1, 0.11, 1, 10, 10.5, 1e9};
    static const int expected[] = {2, 2, 1, 2};
    double sum = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        histogram_observe(&h, values[i]);
        sum += values[i];
    }
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(counter_get(&h.bucket[i]), expected[i]);
    assert_int_equal(histogram_count(&h), 7);
    assert_true(fabs(histogram_sum(&h) - sum) < 1e-6);
}

static void not_a_number_is_counted_above(void **state)
{
    (void)state;
    static const double bounds[] = {1};
    struct histogram h;
    histogram_init(&h, bounds, 1);
    histogram_observe(&h, NAN);
    assert_int_equal(counter_get(&h.bucket[1]), 1);
}

static void counters(void **state)
{
    (void)state;
    struct counter c = {0};
    counter_add(&c, 3);
    counter_add(&c, 4);
    assert_int_equal(counter_get(&c), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets),
        cmocka_unit_test(not_a_number_is_counted_above),
        cmocka_unit_test(counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
