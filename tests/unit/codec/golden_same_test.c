// SPDX-License-Identifier: Apache-2.0
//
// golden_same_test.c: a comparison that takes everything for equal would make every golden file
// pass. What counts as a difference, and what does not, is tests/golden/README.md.
#include "tests/support/golden.h"

#include "tests/unit/base/cm.h"

struct pair {
    const char *a, *b;
    const char *why; // part of the difference; NULL: they are equal
};

static void compare(bool (*same)(struct slice, struct slice, struct golden_diff *),
                    const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct golden_diff diff = {0};
        bool equal = same(slice_str(pairs[i].a), slice_str(pairs[i].b), &diff);
        if (equal != !pairs[i].why)
            fail_msg("%s and %s: %s", pairs[i].a, pairs[i].b, diff.text);
        if (pairs[i].why && !strstr(diff.text, pairs[i].why))
            fail_msg("'%s' instead of '%s'", diff.text, pairs[i].why);
    }
}

static void json(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"{\"a\": 1, \"b\": [true, null]}", "{\"b\":[true,null],\"a\":1}", NULL},
        {"\"\\u00e9\"", "\"\xc3\xa9\"", NULL},
        {"{\"a\":1}", "{\"a\":1.0}", "/a: '1.0', expected '1'"},
        {"{\"a\":10}", "{\"a\":1e1}", "expected '10'"},
        {"{\"a\":1}", "{\"a\":\"1\"}", "/a: it is string"},
        {"{\"a\":true}", "{\"a\":false}", "true is not false"},
        {"{\"a\":null}", "{}", "no member 'a'"},
        {"{}", "{\"a\":null}", "unexpected member 'a'"},
        {"{\"a\":1}", "{\"a\":1,\"a\":1}", "stands twice"},
        {"[1,[2,3]]", "[1,[3,2]]", "/1/0: '3'"},
        {"[1]", "[1,2]", "2 elements, 1 expected"},
        {"[\"a\"]", "[\"b\"]", "/0: 'b', expected 'a'"},
        {"{}", "{", "no JSON"},
        {"{", "{}", "the golden file is no JSON"},
        {"{\"input\":{\"a\":1,\"b\":2}}", "{\"input\":{\"b\":2,\"a\":1}}", NULL},
        {"{\"parameters\":{\"a\":1,\"b\":2}}", "{\"parameters\":{\"b\":2,\"a\":1}}",
         "'a' stands elsewhere"},
        {"{\"input_schema\":{\"p\":{\"a\":1,\"b\":2}}}",
         "{\"input_schema\":{\"p\":{\"b\":2,\"a\":1}}}", "'a' stands elsewhere"},
        {"{\"schema\":[{\"a\":1,\"b\":2}]}", "{\"schema\":[{\"b\":2,\"a\":1}]}",
         "'a' stands elsewhere"},
    };
    compare(golden_same_json, pairs, sizeof(pairs) / sizeof(pairs[0]));
}

static void streams(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"event: a\ndata: {\"x\": 1}\n\n\n", "event: a\ndata: {\"x\":1}\n\n", NULL},
        {"data: [DONE]\n\n", "data: [DONE]\n\n", NULL},
        {"", "", NULL},
        {"event: a\ndata: {}\n\n", "event: b\ndata: {}\n\n", "event 0 : event 'b', expected 'a'"},
        {"event: a\ndata: {}\n\n", "data: {}\n\n", "event ''"},
        {"data: {}\n\ndata: {\"x\":1}\n\n", "data: {}\n\ndata: {\"x\":2}\n\n", "event 1 /x: '2'"},
        {"data: {}\n\ndata: [DONE]\n\n", "data: {}\n\n", "event 1 it is missing: [DONE]"},
        {"data: {}\n\n", "data: {}\n\ndata: [DONE]\n\n", "it is not expected: [DONE]"},
        {"data: {}\n\n", "data: [DONE]\n\n", "[DONE] is not there, or is too early"},
        {"data: {}\n\n", "data: {}\n", "it is missing"},
    };
    compare(golden_same_stream, pairs, sizeof(pairs) / sizeof(pairs[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),
        cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
