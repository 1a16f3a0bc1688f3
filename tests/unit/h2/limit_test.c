// SPDX-License-Identifier: Apache-2.0
//
// limit_test.c: rates allow their burst, then their pace, and nothing more.
#include "toy_h2.h"

static void a_burst_then_a_pace(void **state)
{
    (void)state;
    struct h2_rate r = {0};
    struct mono now = {.ns = 5 * NS_PER_S};
    for (int i = 0; i < 64; i++)
        assert_true(h2_rate_take(&r, H2_RATE_PING, now));
    assert_false(h2_rate_take(&r, H2_RATE_PING, now));
    r = (struct h2_rate){0};
    for (int i = 0; i < 64; i++)
        assert_true(h2_rate_take(&r, H2_RATE_PING, now));
    for (int i = 0; i < 40; i++) { // four a second
        now = mono_add_ms(now, 250);
        assert_true(h2_rate_take(&r, H2_RATE_PING, now));
    }
    assert_false(h2_rate_take(&r, H2_RATE_PING, now));
}

static void silence_saves_no_more_than_a_burst(void **state)
{
    (void)state;
    struct h2_rate r = {0};
    struct mono now = {.ns = NS_PER_S};
    assert_true(h2_rate_take(&r, H2_RATE_SETTINGS, now));
    now = mono_add_ms(now, 1000000);
    h2_rate_earn(&r, H2_RATE_SETTINGS, 1000);
    for (int i = 0; i < 32; i++)
        assert_true(h2_rate_take(&r, H2_RATE_SETTINGS, now));
    assert_false(h2_rate_take(&r, H2_RATE_SETTINGS, now));
}

static void what_is_earned_may_be_spent(void **state)
{
    (void)state;
    struct h2_rate r = {0};
    struct mono now = {.ns = NS_PER_S};
    for (int i = 0; i < 4096; i++)
        assert_true(h2_rate_take(&r, H2_RATE_WINDOW, now));
    h2_rate_earn(&r, H2_RATE_WINDOW, 2);
    assert_true(h2_rate_take(&r, H2_RATE_WINDOW, now));
    assert_true(h2_rate_take(&r, H2_RATE_WINDOW, now));
    assert_false(h2_rate_take(&r, H2_RATE_WINDOW, now));
}

static void every_limit_has_its_own_label(void **state)
{
    (void)state;
    for (unsigned i = 0; i < H2_LIMIT_COUNT; i++) {
        assert_true(strlen(h2_limit_label(i)) > 0);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(h2_limit_label(i), h2_limit_label(j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_then_a_pace),
        cmocka_unit_test(silence_saves_no_more_than_a_burst),
        cmocka_unit_test(what_is_earned_may_be_spent),
        cmocka_unit_test(every_limit_has_its_own_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
