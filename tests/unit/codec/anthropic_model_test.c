// SPDX-License-Identifier: Apache-2.0
//
// anthropic_model_test.c: versions are found wherever vendors put them, and only versions.
#include "tests/unit/base/cm.h"

#include "codec/anthropic_internal.h"

#define NEWEST ANTHROPIC_VERSION_NEWEST
#define V      ANTHROPIC_VERSION

static void names_tell_versions(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned version;
    } cases[] = {
        // Anthropic's own.
        {"claude-opus-4-7", V(4, 7)},
        {"claude-opus-4-8", V(4, 8)},
        {"claude-sonnet-4-5-20250929", V(4, 5)},
        {"claude-3-7-sonnet-20250219", V(3, 7)},
        {"claude-3-haiku-20240307", V(3, 0)},
        {"claude-opus-4-20250514", V(4, 0)},
        {"claude-opus-4-1-20250805", V(4, 1)},
        {"claude-sonnet-5", V(5, 0)},
        {"claude-opus-5-5", V(5, 5)},
        {"claude-fable-5-1", V(5, 1)},
        {"claude-mythos-5", V(5, 0)},
        {"claude-mythos-preview", NEWEST},
        {"claude-fable-latest", NEWEST},
        {"claude-instant-1.2", V(1, 2)},
        {"claude-2.1", V(2, 1)},
        {"claude-opus-6-12", V(6, 12)},
        // Of hosts.
        {"us.anthropic.claude-opus-4-6-v1:0", V(4, 6)},
        {"us.anthropic.claude-opus-5-v1:0", V(5, 0)},
        {"anthropic.claude-sonnet-4-20250514-v1:0", V(4, 0)},
        {"anthropic/claude-sonnet-4.6", V(4, 6)},
        {"anthropic/claude-4.7-opus-20260416", V(4, 7)},
        {"claude-sonnet-4-5@20250929", V(4, 5)},
        {"databricks-claude-opus-4-6", V(4, 6)},
        {"claude-code/Claude-Opus-4-7", V(4, 7)},
        {"gpt-4-7/claude-mythos-preview", NEWEST},
        // A date is no version, nor is a number of another kind.
        {"claude-opus-20250514", 0},
        {"claude-sonnet-45", 0},
        {"claude-sonnet-4-202", V(4, 0)},
        {"claude-sonnet-4.", V(4, 0)},
        // Nothing can be said of these.
        {"claude", 0},
        {"claude-latest", 0},
        {"prod", 0},
        {"gpt-4-7", 0},
        {"fable-5-1", 0},
        {"claud-opus-4-7", 0},
        {"", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned got = anthropic__version(slice_str(cases[i].name));
        if (got != cases[i].version)
            print_error("%s: %u\n", cases[i].name, got);
        assert_int_equal(got, cases[i].version);
    }
}

static void newer_is_greater(void **state)
{
    (void)state;
    assert_true(V(4, 5) < ANTHROPIC_ADAPTIVE && V(4, 6) >= ANTHROPIC_ADAPTIVE);
    assert_true(V(4, 6) < ANTHROPIC_SELF_MEASURED && V(5, 0) >= ANTHROPIC_SELF_MEASURED);
    assert_true(V(4, 99) < ANTHROPIC_THINKS_UNASKED && NEWEST >= ANTHROPIC_THINKS_UNASKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_versions),
        cmocka_unit_test(newer_is_greater),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
