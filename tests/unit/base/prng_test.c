// SPDX-License-Identifier: Apache-2.0
//
// prng_test.c: the published generator, bounds, and evenness.
#include "tests/unit/base/cm.h"

#include "base/prng.h"

static void is_xoshiro256ss(void **state)
{
    (void)state;
    // The reference implementation with state {1, 2, 3, 4}.
    struct prng p = {.state = {1, 2, 3, 4}};
    assert_true(prng_next(&p) == 11520);
    assert_true(prng_next(&p) == 0);
    assert_true(prng_next(&p) == 1509978240);
    assert_true(prng_next(&p) == 1215971899390074240);
}

static void a_seed_repeats(void **state)
{
    (void)state;
    struct prng a, b;
    prng_seed(&a, 5);
    prng_seed(&b, 5);
    for (int i = 0; i < 100; i++)
        assert_true(prng_next(&a) == prng_next(&b));
    prng_seed(&b, 6);
    assert_true(prng_next(&a) != prng_next(&b));
    assert_int_equal(prng_seed_kernel(&a), 0);
    assert_int_equal(prng_seed_kernel(&b), 0);
    assert_true(prng_next(&a) != prng_next(&b));
}

static void below_is_even(void **state)
{
    (void)state;
    struct prng p;
    unsigned count[6] = {0};
    prng_seed(&p, 7);
    for (int i = 0; i < 60000; i++)
        count[prng_below(&p, 6)]++;
    for (int i = 0; i < 6; i++)
        assert_in_range(count[i], 9500, 10500);
    for (int i = 0; i < 1000; i++) {
        assert_true(prng_below(&p, 1) == 0);
        assert_true(prng_below(&p, UINT64_C(3) << 62) < UINT64_C(3) << 62);
        double u = prng_unit(&p);
        assert_true(u >= 0 && u < 1);
    }
}

static void kernel_bytes(void **state)
{
    (void)state;
    unsigned char a[1000] = {0}, zero[32] = {0};
    assert_int_equal(random_bytes(a, 0), 0);
    assert_int_equal(random_bytes(a, sizeof(a)), 0);
    assert_memory_not_equal(a + sizeof(a) - sizeof(zero), zero, sizeof(zero));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_xoshiro256ss),
        cmocka_unit_test(a_seed_repeats),
        cmocka_unit_test(below_is_even),
        cmocka_unit_test(kernel_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
