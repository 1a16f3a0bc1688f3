// SPDX-License-Identifier: Apache-2.0
//
// price_test.c: the formula, by hand.
#include "providers/price.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

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

// bifrost-behaviour §8.3, in millionths of a dollar. Every rate is another number, so that a sum
// tells which one it was made of.
static void test_every_rate(void **state)
{
    (void)state;
    struct price p;
    static const struct {
        const char *name;
        double millionths;
    } rates[] = {
        {"input_cost_per_token", 1},
        {"output_cost_per_token", 2},
        {"input_cost_per_token_priority", 4},
        {"input_cost_per_token_flex", 8},
        {"input_cost_per_token_above_128k_tokens", 16},
        {"input_cost_per_token_above_200k_tokens", 32},
        {"input_cost_per_token_above_200k_tokens_priority", 64},
        {"input_cost_per_token_above_272k_tokens", 128},
        {"input_cost_per_token_above_272k_tokens_priority", 256},
        {"input_cost_per_token_flex_above_272k_tokens", 512},
        // A batch's answers are not billed here, and no text model is sold by these.
        {"input_cost_per_token_batches", 999},
        {"output_cost_per_token_batches", 999},
        {"input_cost_per_image", 999},
        {"output_cost_per_reasoning_token", 999},
        {"input_cost_per_request", 999},
    };
    static const struct {
        uint64_t input;
        enum price_tier tier;
        const char *without; // this rate, too, is not there
        int64_t millionths;  // a token
    } rows[] = {
        {128000, PRICE_TIER_DEFAULT, "", 1},
        {128001, PRICE_TIER_DEFAULT, "", 16},
        {200000, PRICE_TIER_DEFAULT, "", 16},
        {200001, PRICE_TIER_DEFAULT, "", 32},
        {272000, PRICE_TIER_DEFAULT, "", 32},
        {272001, PRICE_TIER_DEFAULT, "", 128},
        {272001, PRICE_TIER_DEFAULT, "input_cost_per_token_above_272k_tokens", 32},
        {200001, PRICE_TIER_DEFAULT, "input_cost_per_token_above_200k_tokens", 16},
        {128001, PRICE_TIER_DEFAULT, "input_cost_per_token_above_128k_tokens", 1},
        {1, PRICE_TIER_PRIORITY, "", 4},
        {1, PRICE_TIER_PRIORITY, "input_cost_per_token_priority", 1},
        {128001, PRICE_TIER_PRIORITY, "", 16}, // none of priority's own in this tier
        {200001, PRICE_TIER_PRIORITY, "", 64},
        {200001, PRICE_TIER_PRIORITY, "input_cost_per_token_above_200k_tokens_priority", 32},
        {272001, PRICE_TIER_PRIORITY, "", 256},
        {272001, PRICE_TIER_PRIORITY, "input_cost_per_token_above_272k_tokens_priority", 128},
        {1, PRICE_TIER_FLEX, "", 8},
        {272000, PRICE_TIER_FLEX, "", 8},
        {272001, PRICE_TIER_FLEX, "", 512},
        {272001, PRICE_TIER_FLEX, "input_cost_per_token_flex_above_272k_tokens", 8},
        {1, PRICE_TIER_FLEX, "input_cost_per_token_flex", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        price_init(&p);
        for (size_t k = 0; k < sizeof rates / sizeof rates[0]; k++)
            if (strcmp(rates[k].name, rows[i].without) != 0)
                price_set(&p, slice_of(rates[k].name, strlen(rates[k].name)),
                          rates[k].millionths * 1e-6);
        int64_t is = price_cost(
            &p, &(struct price_use){.input_tokens = rows[i].input, .tier = rows[i].tier});
        if (is != (int64_t)rows[i].input * rows[i].millionths * MICRO)
            fail_msg("row %zu: %lld", i, (long long)is);
    }
}

static void test_the_output_goes_by_the_same_tiers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t output;
        enum price_tier tier;
    } rows[] = {
        {"output_cost_per_token", 128000, PRICE_TIER_DEFAULT},
        {"output_cost_per_token_above_128k_tokens", 128001, PRICE_TIER_DEFAULT},
        {"output_cost_per_token_above_200k_tokens", 200001, PRICE_TIER_DEFAULT},
        {"output_cost_per_token_above_272k_tokens", 272001, PRICE_TIER_DEFAULT},
        {"output_cost_per_token_above_200k_tokens_priority", 200001, PRICE_TIER_PRIORITY},
        {"output_cost_per_token_above_272k_tokens_priority", 272001, PRICE_TIER_PRIORITY},
        {"output_cost_per_token_priority", 1, PRICE_TIER_PRIORITY},
        {"output_cost_per_token_flex", 1, PRICE_TIER_FLEX},
        {"output_cost_per_token_flex_above_272k_tokens", 272001, PRICE_TIER_FLEX},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct price p;
        price_init(&p);
        price_set(&p, SLICE("output_cost_per_token"), 1e-6);
        price_set(&p, slice_of(rows[i].name, strlen(rows[i].name)), 3e-6);
        struct price_use use = {.output_tokens = rows[i].output, .tier = rows[i].tier};
        assert_int_equal(price_cost(&p, &use), (int64_t)rows[i].output * 3 * MICRO);
    }
}

// A thousand tokens go in, of which so many were the cache's; in is 10, out 20 millionths.
static const struct {
    const char *name;
    double rate; // in millionths
    struct price_use use;
    int64_t millionths;
} cache_rows[] = {
    // Without a rate of its own the cache costs what the input does.
    {"none", 0, {.input_tokens = 1000, .cached_read_tokens = 400}, 10000},
    {"none", 0, {.input_tokens = 1000, .cached_write_tokens = 400}, 10000},
    {"none",
     0,
     {.input_tokens = 1000, .cached_write_tokens = 400, .cached_write_1h_tokens = 400},
     10000},
    {"cache_read_input_token_cost", 1, {.input_tokens = 1000, .cached_read_tokens = 400}, 6400},
    {"cache_read_input_token_cost_priority",
     1,
     {.input_tokens = 1000, .cached_read_tokens = 400, .tier = PRICE_TIER_PRIORITY},
     6400},
    {"cache_read_input_token_cost_flex",
     1,
     {.input_tokens = 1000, .cached_read_tokens = 400, .tier = PRICE_TIER_FLEX},
     6400},
    {"cache_creation_input_token_cost",
     12,
     {.input_tokens = 1000, .cached_write_tokens = 400},
     10800},
    // Written for an hour: as for five minutes where there is no other rate, …
    {"cache_creation_input_token_cost",
     12,
     {.input_tokens = 1000, .cached_write_tokens = 400, .cached_write_1h_tokens = 300},
     10800},
    // … else at its own: 600 and 100 at 10, 300 at 20.
    {"cache_creation_input_token_cost_above_1hr",
     20,
     {.input_tokens = 1000, .cached_write_tokens = 400, .cached_write_1h_tokens = 300},
     13000},
    // No more for an hour than was written at all.
    {"cache_creation_input_token_cost_above_1hr",
     20,
     {.input_tokens = 1000, .cached_write_tokens = 400, .cached_write_1h_tokens = 900},
     14000},
    {"cache_creation_input_token_cost_above_1hr_above_200k_tokens",
     20,
     {.input_tokens = 200001, .cached_write_tokens = 1, .cached_write_1h_tokens = 1},
     2000020},
    {"cache_creation_input_token_cost_above_1hr_above_200k_tokens",
     20,
     {.input_tokens = 200000, .cached_write_tokens = 1, .cached_write_1h_tokens = 1},
     2000000},
    {"cache_read_input_token_cost_above_272k_tokens",
     1,
     {.input_tokens = 272001, .cached_read_tokens = 1},
     2720001},
    {"cache_creation_input_token_cost_above_272k_tokens",
     12,
     {.input_tokens = 272001, .cached_write_tokens = 1},
     2720012},
    {"cache_creation_input_token_cost_flex",
     12,
     {.input_tokens = 1000, .cached_write_tokens = 1, .tier = PRICE_TIER_FLEX},
     10002},
    {"cache_creation_input_token_cost_priority",
     12,
     {.input_tokens = 1000, .cached_write_tokens = 1, .tier = PRICE_TIER_PRIORITY},
     10002},
    // Audio is part of the tokens that no cache had to do with.
    {"input_cost_per_audio_token", 100, {.input_tokens = 1000, .input_audio_tokens = 200}, 28000},
    {"input_cost_per_audio_token",
     100,
     {.input_tokens = 1000, .cached_read_tokens = 900, .input_audio_tokens = 200},
     9000 + 10000},
    {"output_cost_per_audio_token",
     100,
     {.output_tokens = 50, .output_audio_tokens = 20},
     600 + 2000},
    {"none", 0, {.output_tokens = 50, .output_audio_tokens = 20}, 1000},
    {"search_context_cost_per_query", 10000, {.input_tokens = 1, .searches = 3}, 30010},
    {"none", 0, {.input_tokens = 1, .searches = 3}, 10},
};

static void test_the_caches_rates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cache_rows / sizeof cache_rows[0]; i++) {
        struct price p;
        price_init(&p);
        price_set(&p, SLICE("input_cost_per_token"), 10e-6);
        price_set(&p, SLICE("output_cost_per_token"), 20e-6);
        price_set(&p, slice_of(cache_rows[i].name, strlen(cache_rows[i].name)),
                  cache_rows[i].rate * 1e-6);
        int64_t is = price_cost(&p, &cache_rows[i].use);
        if (is != cache_rows[i].millionths * MICRO)
            fail_msg("row %zu, %s: %lld", i, cache_rows[i].name, (long long)is);
    }
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
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_a_missing_rate),
        cmocka_unit_test(test_every_rate),
        cmocka_unit_test(test_the_output_goes_by_the_same_tiers),
        cmocka_unit_test(test_the_caches_rates),
        cmocka_unit_test(test_a_patch),
        cmocka_unit_test(test_broken_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
