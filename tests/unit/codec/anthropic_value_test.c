// SPDX-License-Identifier: Apache-2.0
//
// anthropic_value_test.c: members by name, what a refusal calls them, base64.
#include "tests/unit/codec/anthropic_desk.h"

static void base64_is_decoded(void **state)
{
    // RFC 4648, 10.
    static const char *const cases[][2] = {
        {"", ""},           {"Zg==", "f"},        {"Zm8=", "fo"},         {"Zm9v", "foo"},
        {"Zm9vYg", "foob"}, {"Zm9vYmE", "fooba"}, {"Zm9vYmFy", "foobar"}, {"_-4=", "\xff\xee"},
    };
    static const char *const bad[] = {"Z", "Zm9v!", "Zg==Zg==", "Zm 9v", "Zm9vY"};
    struct desk d;
    struct slice got;
    (void)state;
    desk_open(&d, DESK_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(anthropic__base64(&d.arena, slice_str(cases[i][0]), &got), 0);
        same(got, cases[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(anthropic__base64(&d.arena, slice_str(bad[i]), &got), ERR_BAD_TYPE);
    desk_close(&d);
}

static const struct anthropic_field fields[] = {
    {SLICE("a"), ANTHROPIC_STRING | ANTHROPIC_REQUIRED},
    {SLICE("b"), ANTHROPIC_NUMBER | ANTHROPIC_BOOL},
};

static void members_by_name_the_rest_is_extra(void **state)
{
    struct json_member m[2];
    struct canon_member *extra = NULL;
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    const struct anthropic_reader rd = {&d.arena, &d.r.parts, &d.r};
    assert_int_equal(anthropic__fields(&rd, NULL,
                                       SLICE("{\"x\":1, \"\\u0061\":\"1\",\"b\":null,\"a\":\"2\","
                                             "\"\\u0079\":{},\"z\":null}"),
                                       fields, 2, m, &extra),
                     0);
    same(m[0].value, "\"2\""); // the last one counts
    assert_int_equal(m[1].type, JSON_NONE);
    same(extra->name, "x");
    same(extra->value, "1");
    same(extra->next->name, "y");
    assert_null(extra->next->next);
    desk_close(&d);
}

static void a_refusal_names_the_member(void **state)
{
    const struct anthropic_path top = {.name = SLICE("messages")};
    const struct anthropic_path element = {.up = &top, .index = 3};
    struct json_member m[2];
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    const struct anthropic_reader rd = {&d.arena, &d.r.parts, &d.r};
    const struct anthropic_reader of_answer = {&d.arena, &d.r.parts, NULL};
    assert_int_equal(anthropic__fields(&rd, &element, SLICE("{}"), fields, 2, m, NULL),
                     ERR_MISSING);
    same(d.r.refusal.param, "messages[3].a");
    same(d.r.refusal.message, "messages[3].a: is required");
    assert_int_equal(
        anthropic__fields(&rd, &element, SLICE("{\"a\":\"\",\"b\":[]}"), fields, 2, m, NULL),
        ERR_BAD_TYPE);
    same(d.r.refusal.param, "messages[3].b");
    assert_int_equal(anthropic__bad(&rd, ERR_BAD_TYPE, &element, SLICE_EMPTY, "is odd"),
                     ERR_BAD_TYPE);
    same(d.r.refusal.param, "messages[3]");
    assert_int_equal(anthropic__fields(&of_answer, &element, SLICE("{}"), fields, 2, m, NULL),
                     ERR_UPSTREAM_PROTOCOL);
    desk_close(&d);
}

static void unknown_members_are_counted(void **state)
{
    struct json_member m[2];
    struct canon_member *extra = NULL;
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    d.r.parts = CANON_PARTS_MAX - 1;
    const struct anthropic_reader rd = {&d.arena, &d.r.parts, &d.r};
    assert_int_equal(
        anthropic__fields(&rd, NULL, SLICE("{\"a\":\"\",\"x\":1}"), fields, 2, m, &extra), 0);
    assert_int_equal(
        anthropic__fields(&rd, NULL, SLICE("{\"a\":\"\",\"x\":1}"), fields, 2, m, &extra),
        ERR_LIMIT);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_is_decoded),
        cmocka_unit_test(members_by_name_the_rest_is_extra),
        cmocka_unit_test(a_refusal_names_the_member),
        cmocka_unit_test(unknown_members_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
