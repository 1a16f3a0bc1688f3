// SPDX-License-Identifier: Apache-2.0
//
// catalog_built_in_test.c: the program's own datasheet is one.
#include "providers/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_what_is_built_in(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    const char *reason = NULL;
    assert_int_equal(catalog_new(catalog_built_in(), &c, &reason), 0);
    assert_int_equal(catalog_skipped(c), 0);
    for (unsigned i = 0; i < catalog_count(c); i++)
        assert_true(price_known(&catalog_at(c, i)->price));
    // openai.com/api/pricing: $2.50 and $10.00 for a million tokens.
    const struct catalog_model *m =
        catalog_find(c, SLICE("openai"), SLICE("gpt-4o-2024-08-06"), OP_CHAT);
    assert_non_null(m);
    assert_true(slice_eq(m->base_model, SLICE("gpt-4o")));
    assert_int_equal(m->price.rate[PRICE_INPUT] * 1000000, 5 * PRICE_DOLLAR / 2);
    assert_int_equal(m->price.rate[PRICE_OUTPUT] * 1000000, 10 * PRICE_DOLLAR);
    assert_non_null(
        catalog_find(c, SLICE("anthropic"), SLICE("claude-sonnet-4-5-20250929"), OP_MESSAGES));
    catalog_put(c);
}

// docs.anthropic.com, pricing: what is written to the cache for five minutes costs 1.25 times what
// goes in, for an hour twice, what is read from it a tenth; ten dollars for a thousand searches.
static void test_what_claudes_cache_costs(void **state)
{
    (void)state;
    struct catalog *c = NULL;
    const char *reason = NULL;
    unsigned seen = 0;
    assert_int_equal(catalog_new(catalog_built_in(), &c, &reason), 0);
    for (unsigned i = 0; i < catalog_count(c); i++) {
        const struct catalog_model *m = catalog_at(c, i);
        const int64_t *rate = m->price.rate;
        if (!slice_starts(m->model, SLICE("claude")))
            continue;
        seen++;
        assert_int_equal(rate[PRICE_WRITE] * 4, rate[PRICE_INPUT] * 5);
        assert_int_equal(rate[PRICE_WRITE_1H], rate[PRICE_INPUT] * 2);
        assert_int_equal(rate[PRICE_READ] * 10, rate[PRICE_INPUT]);
        assert_int_equal(rate[PRICE_SEARCH] * 1000, 10 * PRICE_DOLLAR);
        if (rate[PRICE_INPUT_200K] != PRICE_ABSENT) {
            assert_int_equal(rate[PRICE_WRITE_200K] * 4, rate[PRICE_INPUT_200K] * 5);
            assert_int_equal(rate[PRICE_WRITE_1H_200K], rate[PRICE_INPUT_200K] * 2);
        }
    }
    assert_true(seen > 10);
    catalog_put(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_built_in),
        cmocka_unit_test(test_what_claudes_cache_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
