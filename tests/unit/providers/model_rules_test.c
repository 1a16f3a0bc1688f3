// SPDX-License-Identifier: Apache-2.0
//
// model_rules_test.c: which names a rule means, and which it leaves alone.
#include "providers/model_rules.h"
#include "tests/unit/base/cm.h"

static unsigned refused_by(const char *vendor, const char *model)
{
    unsigned count = 99;
    const struct slice *names =
        model_refused(provider_find(slice_str(vendor)), slice_str(model), &count);
    for (unsigned i = 0; i < count; i++)
        assert_true(names[i].len > 0);
    return count;
}

static void names_of_reasoning_models(void **state)
{
    static const char *const reason[] = {"o1",    "o1-mini",    "o3-2025-04-16",        "o4-mini",
                                         "gpt-5", "gpt-5-mini", "GPT-5-nano-2025-08-07"};
    static const char *const others[] = {"gpt-4o",
                                         "gpt-5-chat",
                                         "gpt-5-chat-latest",
                                         "gpt-5.1",
                                         "gpt-5.1-codex",
                                         "gpt-50",
                                         "o10",
                                         "o",
                                         "omni-1",
                                         "prod",
                                         ""};
    (void)state;
    for (size_t i = 0; i < sizeof(reason) / sizeof(reason[0]); i++) {
        assert_int_equal(refused_by("openai", reason[i]), 7);
        assert_int_equal(refused_by("azure", reason[i]), 7);
        assert_int_equal(refused_by("groq", reason[i]), 0);
        assert_true(model_wants_new_limit(provider_find(SLICE("openai")), slice_str(reason[i])));
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(refused_by("openai", others[i]), 0);
        assert_false(model_wants_new_limit(provider_find(SLICE("openai")), slice_str(others[i])));
    }
}

static void vendors_without_rules(void **state)
{
    unsigned count = 0;
    (void)state;
    assert_true(model_has_rules(provider_find(SLICE("openai"))));
    assert_true(model_has_rules(provider_find(SLICE("azure"))));
    assert_false(model_has_rules(provider_find(SLICE("anthropic"))));
    assert_false(model_has_rules(provider_find(SLICE("openrouter"))));
    assert_non_null(model_refused_ever(&count));
    assert_true(count > 0 && count <= MODEL_REFUSED_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_reasoning_models),
        cmocka_unit_test(vendors_without_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
