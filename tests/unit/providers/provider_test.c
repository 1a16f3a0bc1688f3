// SPDX-License-Identifier: Apache-2.0
//
// provider_test.c: finding rows, names, and the phrases of rate limits.
#include "providers/provider.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void rows_are_found_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {"openai", "groq",       "cerebras", "fireworks",
                                        "nebius", "openrouter", "parasail", "perplexity",
                                        "xai",    "mistral",    "ollama",   "sgl",
                                        "vllm",   "anthropic",  "azure"};
    unsigned count = 0;
    while (provider_at(count) != NULL)
        count++;
    assert_int_equal(count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct provider_row *row = provider_find(slice_str(names[i]));
        assert_non_null(row);
        assert_true(slice_eq(row->name, slice_str(names[i])));
        assert_true(provider_is_standard(row->name));
    }
    assert_null(provider_find(SLICE("OpenAI")));
    assert_null(provider_find(SLICE("cohere")));
    assert_null(provider_find(SLICE("")));
}

static void bifrosts_names_are_standard(void **state)
{
    (void)state;
    static const char *const names[] = {"anthropic",    "azure",   "bedrock", "vertex",
                                        "gemini",       "cohere",  "runway",  "deepseek",
                                        "opencode-zen", "typesafe"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(provider_is_standard(slice_str(names[i])));
    assert_false(provider_is_standard(SLICE("mine")));
    assert_false(provider_is_standard(SLICE("")));
    assert_false(provider_is_standard(SLICE("open")));
    unsigned count = 0;
    while (provider_standard_at(count).len > 0)
        count++;
    assert_int_equal(count, 34);
}

static void operations_have_names(void **state)
{
    (void)state;
    assert_true(slice_eq(operation_name(OP_CHAT, false), SLICE("chat_completion")));
    assert_true(slice_eq(operation_name(OP_CHAT, true), SLICE("chat_completion_stream")));
    assert_true(slice_eq(operation_name(OP_RESPONSES, true), SLICE("responses_stream")));
    assert_true(slice_eq(operation_name(OP_EMBEDDING, true), SLICE("embedding")));
    assert_true(slice_eq(operation_name(OP_LIST_MODELS, false), SLICE("list_models")));
}

static void rate_limits_are_heard(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "Rate limit reached for gpt-4o",
        "rate_limit_exceeded",
        "RATELIMIT",
        "Too Many Requests",
        "You exceeded: quota exceeded",
        "insufficient: quota_exceeded",
        "request limit hit",
        "throttled",
        "ThrottlingException",
        "rate exceeded",
        "limit exceeded",
        "20 requests per minute",
        "rpm exceeded",
        "TPM exceeded",
        "tokens per minute",
        "usage limit",
        "concurrent requests limit",
        "limit_burst_rate",
        "Request rate increased too quickly",
        "api rate limit",
    };
    static const char *const no[] = {"",     "model not found", "invalid api key", "limit",
                                     "rate", "throttl"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (!provider_is_rate_limit(slice_str(yes[i])))
            fail_msg("%s", yes[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(provider_is_rate_limit(slice_str(no[i])));
}

static void only_the_front_of_a_text_is_searched(void **state)
{
    (void)state;
    static char text[8192];
    memset(text, 'x', sizeof(text));
    memcpy(text + 4000, "rate limit", 10);
    assert_true(provider_is_rate_limit(slice_of(text, sizeof(text))));
    memset(text, 'x', sizeof(text));
    memcpy(text + 5000, "rate limit", 10);
    assert_false(provider_is_rate_limit(slice_of(text, sizeof(text))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_found_by_name),
        cmocka_unit_test(bifrosts_names_are_standard),
        cmocka_unit_test(operations_have_names),
        cmocka_unit_test(rate_limits_are_heard),
        cmocka_unit_test(only_the_front_of_a_text_is_searched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
