// SPDX-License-Identifier: Apache-2.0
//
// estimate_test.c: the 95th percentile of what a model answered lately.
#include "gateway/estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define P SLICE("openai")
#define M SLICE("gpt-x")

static void test_nobody_has_answered(void **state)
{
    (void)state;
    struct estimates *e = estimates_new();
    assert_non_null(e);
    assert_int_equal(estimate_output(e, P, M), ESTIMATE_OUTPUT_DEFAULT);
    estimate_learn(e, P, M, 100);
    assert_int_equal(estimate_output(e, P, SLICE("gpt-y")), ESTIMATE_OUTPUT_DEFAULT);
    assert_int_equal(estimate_output(e, SLICE("azure"), M), ESTIMATE_OUTPUT_DEFAULT);
    estimates_free(e);
}

// An estimate is the end of a bucket of half an octave: never less than what it stands for, and
// never half as much again.
static void test_one_answer(void **state)
{
    (void)state;
    static const uint64_t tokens[] = {0, 1, 2, 3, 4, 5, 6, 7, 95, 96, 127, 128, 1000, 4000000};
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct estimates *e = estimates_new();
        estimate_learn(e, P, M, tokens[i]);
        uint64_t n = estimate_output(e, P, M);
        assert_in_range(n, tokens[i], tokens[i] + tokens[i] / 2 + 1);
        estimates_free(e);
    }
    struct estimates *e = estimates_new();
    estimate_learn(e, P, M, UINT64_MAX); // what no model does is the last bucket
    assert_in_range(estimate_output(e, P, M), 1 << 20, 1 << 23);
    estimates_free(e);
}

static void test_the_95th_percentile(void **state)
{
    (void)state;
    struct estimates *e = estimates_new();
    for (unsigned i = 0; i < 95; i++)
        estimate_learn(e, P, M, 100);
    for (unsigned i = 0; i < 5; i++)
        estimate_learn(e, P, M, 5000);
    assert_in_range(estimate_output(e, P, M), 100, 150);
    estimate_learn(e, P, M, 5000);
    assert_in_range(estimate_output(e, P, M), 5000, 7500);
    estimates_free(e);
}

static void test_the_past_fades(void **state)
{
    (void)state;
    struct estimates *e = estimates_new();
    for (unsigned i = 0; i < 2 * ESTIMATE_ROW_MAX; i++)
        estimate_learn(e, P, M, 5000);
    for (unsigned i = 0; i < 8 * ESTIMATE_ROW_MAX; i++)
        estimate_learn(e, P, M, 100);
    assert_in_range(estimate_output(e, P, M), 100, 150);
    estimates_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_has_answered),
        cmocka_unit_test(test_one_answer),
        cmocka_unit_test(test_the_95th_percentile),
        cmocka_unit_test(test_the_past_fades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
