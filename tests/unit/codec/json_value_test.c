// SPDX-License-Identifier: Apache-2.0
//
// Short values: unescaping, integers, elements and members.
#include "base/container.h"
#include "base/err.h"
#include "codec/json_scan.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_slice(struct slice s, struct slice expected)
{
    assert_int_equal(s.len, expected.len);
    assert_memory_equal(s.ptr, expected.ptr, s.len);
}

static void test_unescape(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        struct slice plain;
    } rows[] = {
        {{"\"\"", 2}, {"", 0}},
        {{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 18}, {"\"\\/\b\f\n\r\t", 8}},
        {{"\"\\u0000a\"", 9}, {"\0a", 2}},
        {{"\"\\u007F\\u0080\\u07ff\\u0800\\uFFFF\"", 32},
         {"\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF", 11}},
        {{"\"x\\uD800\\uDC00\\udbff\\udfffy\"", 28}, {"x\xF0\x90\x80\x80\xF4\x8F\xBF\xBFy", 10}},
        {{"\"\xC3\xA9\\u00e9\"", 10}, {"\xC3\xA9\xC3\xA9", 4}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[64];
        struct slice plain;
        assert_int_equal(json_unescape(rows[i].value, out, &plain), 0);
        assert_slice(plain, rows[i].plain);
    }
}

static void test_unescape_copies_only_when_it_must(void **state)
{
    (void)state;
    char out[16];
    struct slice plain;
    struct slice value = SLICE("\"gpt-4o\"");
    assert_int_equal(json_unescape(value, out, &plain), 0);
    assert_ptr_equal(plain.ptr, value.ptr + 1);
    assert_int_equal(json_unescape(SLICE("\"a\\n\""), out, &plain), 0);
    assert_ptr_equal(plain.ptr, out);
}

static void test_unescape_wants_a_string(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "1",
                                      "null",
                                      "\"",
                                      "\"a",
                                      "a\"",
                                      "{}",
                                      "\"\\\"",
                                      "\"\\u12\"",
                                      "\"\\q\"",
                                      "\"\\ud800\"",
                                      "\"\\udc00\"",
                                      "\"\\ud800\\u0041\""};
    struct slice plain = SLICE("untouched");
    char out[64];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(json_unescape(slice_str(bad[i]), out, &plain), ERR_BAD_TYPE);
    assert_slice(plain, SLICE("untouched"));
}

static void test_u64(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_int_equal(json_u64(SLICE("0"), &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(json_u64(SLICE("18446744073709551615"), &n), 0);
    assert_true(n == UINT64_MAX);
    static const char *const bad[] = {"",   "-1",   "1.0", "1e3", "\"1\"", "00",
                                      "01", "null", "+1",  " 1",  "-0",    "18446744073709551616"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(json_u64(slice_str(bad[i]), &n), ERR_BAD_TYPE);
    assert_true(n == UINT64_MAX);
}

static void test_array_elements(void **state)
{
    (void)state;
    static const struct {
        enum json_type type;
        struct slice text;
    } expected[] = {
        {JSON_NUMBER, {"-1.5", 4}},      {JSON_STRING, {"\"a,]\\\"\"", 7}},
        {JSON_ARRAY, {"[[],\"]\"]", 8}}, {JSON_OBJECT, {"{\"a\":[1,{}]}", 12}},
        {JSON_TRUE, {"true", 4}},        {JSON_FALSE, {"false", 5}},
        {JSON_NULL, {"null", 4}},
    };
    struct slice array =
        SLICE("[ -1.5,\"a,]\\\"\" ,[[],\"]\"],\n{\"a\":[1,{}]} , true,false,null ]");
    size_t position = 0;
    size_t count = 0;
    enum json_type type;
    struct slice element;
    for (; json_array_next(array, &position, &type, &element); count++) {
        assert_int_equal(type, expected[count].type);
        assert_slice(element, expected[count].text);
    }
    assert_int_equal(count, ARRAY_LEN(expected));
    assert_false(json_array_next(array, &position, &type, &element));
    position = 0;
    assert_false(json_array_next(SLICE("[ ]"), &position, &type, &element));
    assert_false(json_array_next(SLICE("{}"), &position, &type, &element));
    assert_false(json_array_next(SLICE_EMPTY, &position, &type, &element));
}

static void test_object_members(void **state)
{
    (void)state;
    struct slice object = SLICE("{ \"a\" : 1 , \"b\\\"\":{\"a\":2},\"c\":\"x\" }");
    struct json_member m;
    size_t position = 0;
    assert_true(json_object_next(object, &position, &m));
    assert_slice(m.key, SLICE("\"a\""));
    assert_slice(m.value, SLICE("1"));
    assert_int_equal(m.comma_before, -1);
    assert_int_equal(object.ptr[m.comma_after], ',');
    ptrdiff_t comma = m.comma_after;
    assert_true(json_object_next(object, &position, &m));
    assert_slice(m.key, SLICE("\"b\\\"\""));
    assert_int_equal(m.type, JSON_OBJECT);
    assert_int_equal(m.comma_before, comma);
    assert_true(json_object_next(object, &position, &m));
    assert_slice(m.value, SLICE("\"x\""));
    assert_int_equal(m.comma_after, -1);
    assert_false(json_object_next(object, &position, &m));
}

static void test_object_get(void **state)
{
    (void)state;
    struct slice object = SLICE("{\"a\":1,\"\\u0062\":2,\"a\":3,\"A\":4,\"b\\u0000\":5}");
    assert_slice(json_object_get(object, SLICE("a")).value, SLICE("3"));
    assert_slice(json_object_get(object, SLICE("b")).value, SLICE("2"));
    assert_int_equal(json_object_get(object, SLICE("c")).type, JSON_NONE);
    assert_int_equal(json_object_get(SLICE("[1]"), SLICE("a")).type, JSON_NONE);
    assert_int_equal(json_object_get(SLICE("{}"), SLICE("a")).comma_before, -1);
    // The value of an absent member has none either; its pointer is NULL.
    assert_int_equal(json_object_get(SLICE_EMPTY, SLICE("a")).type, JSON_NONE);
}

static void test_an_absent_value_is_empty(void **state)
{
    (void)state;
    struct json_member m;
    enum json_type type;
    struct slice element;
    size_t at = 0;
    assert_false(json_array_next(SLICE_EMPTY, &at, &type, &element));
    assert_false(json_object_next(SLICE_EMPTY, &at, &m));
    assert_int_equal(json_object_get(SLICE_EMPTY, SLICE("a")).type, JSON_NONE);
}

static void test_malformed_values_end_the_walk(void **state)
{
    (void)state;
    static const char *const bad[] = {"[", "[1",   "[\"a",   "[[1,2",   "[\"\\",    "[}",
                                      "{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":{", "{1:2}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t at_array = 0;
        size_t at_object = 0;
        enum json_type type;
        struct slice element;
        struct json_member m;
        unsigned rounds = 0;
        while (json_array_next(slice_str(bad[i]), &at_array, &type, &element))
            assert_true(++rounds < 3);
        while (json_object_next(slice_str(bad[i]), &at_object, &m))
            assert_true(++rounds < 3);
    }
    size_t position = 0;
    struct json_member m;
    assert_false(json_object_next(SLICE("{\"a\"x1}"), &position, &m));
    assert_false(json_object_next(SLICE("[\"a\":1}"), &position, &m));
    assert_int_equal(position, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_unescape_copies_only_when_it_must),
        cmocka_unit_test(test_unescape_wants_a_string),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_array_elements),
        cmocka_unit_test(test_object_members),
        cmocka_unit_test(test_object_get),
        cmocka_unit_test(test_an_absent_value_is_empty),
        cmocka_unit_test(test_malformed_values_end_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
