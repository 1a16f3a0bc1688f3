// SPDX-License-Identifier: Apache-2.0
//
// price_test.c: the formula, by hand.
#include "providers/price.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// Dollars for a token, so that sums are read off: 3, 15, …, in millionths.
static struct price sonnet(void)
{
    struct price p;
    price_init(&p);
    assert_true(price_set(&p, SLICE("input_cost_per_token"), 3e-6));
    assert_true(price_set(&p, SLICE("output_cost_per_token"), 15e-6));
    assert_true(price_set(&p, SLICE("cache_read_input_token_cost"), 0.3e-6));
    assert_true(price_set(&p, SLICE("cache_creation_input_token_cost"), 3.75e-6));
    assert_true(price_set(&p, SLICE("input_cost_per_token_above_200k_tokens"), 6e-6));
    assert_true(price_set(&p, SLICE("output_cost_per_token_above_200k_tokens"), 22.5e-6));
    assert_true(price_set(&p, SLICE("cache_read_input_token_cost_above_200k_tokens"), 0.6e-6));
    assert_true(price_set(&p, SLICE("cache_creation_input_token_cost_above_200k_tokens"), 7.5e-6));
    return p;
}

#define MICRO (PRICE_DOLLAR / 1000000)

static void test_text(void **state)
{
    (void)state;
    struct price p = sonnet();
    static const struct {
        struct price_use use;
        int64_t hundredths; // of a millionth of a dollar
    } rows[] = {
        {{.input_tokens = 1000, .output_tokens = 100}, 450000},
        {{0}, 0},
        // 100 plain at 3, 600 read at 0.3, 300 written at 3.75, 10 out at 15
        {{.input_tokens = 1000,
          .output_tokens = 10,
          .cached_read_tokens = 600,
          .cached_write_tokens = 300},
         30000 + 18000 + 112500 + 15000},
        // More of the cache than there was input: all of it was read.
        {{.input_tokens = 10, .cached_read_tokens = 900, .cached_write_tokens = 900}, 300},
        {{.input_tokens = 10, .cached_read_tokens = 4, .cached_write_tokens = 900}, 120 + 2250},
        // The tier goes by the sum of the tokens: 200,000 are not above 200,000.
        {{.input_tokens = 199000, .output_tokens = 1000}, 59700000 + 1500000},
        {{.input_tokens = 199001, .output_tokens = 1000}, 119400600 + 2250000},
        {{.input_tokens = 200001, .cached_read_tokens = 1, .cached_write_tokens = 1},
         119999400 + 60 + 750},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(price_cost(&p, &rows[i].use), rows[i].hundredths * (MICRO / 100));
}

static void test_a_missing_rate(void **state)
{
    (void)state;
    struct price p;
    price_init(&p);
    assert_false(price_known(&p));
    assert_true(price_set(&p, SLICE("max_tokens"), 8192)); // no rate of ours
    assert_false(price_known(&p));
    assert_true(price_set(&p, SLICE("input_cost_per_token"), 2e-6));
    assert_true(price_known(&p));
    // Cache at the input's rate, output for nothing.
    assert_int_equal(price_cost(&p, &(struct price_use){.input_tokens = 10,
                                                        .output_tokens = 10,
                                                        .cached_read_tokens = 5,
                                                        .cached_write_tokens = 5}),
                     20 * MICRO);
    assert_true(price_set(&p, SLICE("search_context_cost_per_query"), 0.01));
    assert_int_equal(price_cost(&p, &(struct price_use){.searches = 3}), 30000 * MICRO);
}

static void test_service_tiers(void **state)
{
    (void)state;
    struct price p;
    price_init(&p);
    price_set(&p, SLICE("input_cost_per_token"), 1e-6);
    price_set(&p, SLICE("input_cost_per_token_above_128k_tokens"), 2e-6);
    price_set(&p, SLICE("input_cost_per_token_priority"), 5e-6);
    price_set(&p, SLICE("input_cost_per_token_flex"), 0.5e-6);
    struct price_use use = {.input_tokens = 200000};
    assert_int_equal(price_cost(&p, &use), 400000 * MICRO);
    use.tier = price_tier(SLICE("priority"));
    assert_int_equal(price_cost(&p, &use), 1000000 * MICRO);
    use.tier = price_tier(SLICE("flex"));
    assert_int_equal(price_cost(&p, &use), 100000 * MICRO);
    use.tier = price_tier(SLICE("auto"));
    use.input_tokens = 128000;
    assert_int_equal(price_cost(&p, &use), 128000 * MICRO);
}

static void test_a_patch(void **state)
{
    (void)state;
    struct price p = sonnet(), patch;
    price_init(&patch);
    price_set(&patch, SLICE("input_cost_per_token"), 1e-6);
    price_patch(&p, &patch);
    assert_int_equal(price_cost(&p, &(struct price_use){.input_tokens = 1, .output_tokens = 1}),
                     16 * MICRO);
}

static void test_broken_numbers(void **state)
{
    (void)state;
    struct price p = sonnet();
    assert_false(price_set(&p, SLICE("input_cost_per_token"), -1));
    assert_false(price_set(&p, SLICE("input_cost_per_token"), NAN));
    assert_false(price_set(&p, SLICE("input_cost_per_token"), PRICE_RATE_DOLLARS_MAX + 1));
    assert_true(price_set(&p, SLICE("output_cost_per_token"), PRICE_RATE_DOLLARS_MAX));
    struct price_use all = {.input_tokens = UINT64_C(1000000000000),
                            .output_tokens = UINT64_C(1000000000000)};
    assert_int_equal(price_cost(&p, &all), PRICE_COST_DOLLARS_MAX * PRICE_DOLLAR);
    assert_int_equal(price_of_dollars(0.00125), 1250 * MICRO);
    assert_int_equal(price_of_dollars(0), 0);
    assert_int_equal(price_of_dollars(-0.1), -1);
    assert_int_equal(price_of_dollars(NAN), -1);
    assert_int_equal(price_of_dollars(1e300), PRICE_COST_DOLLARS_MAX * PRICE_DOLLAR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),           cmocka_unit_test(test_a_missing_rate),
        cmocka_unit_test(test_service_tiers),  cmocka_unit_test(test_a_patch),
        cmocka_unit_test(test_broken_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
