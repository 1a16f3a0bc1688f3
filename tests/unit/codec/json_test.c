// SPDX-License-Identifier: Apache-2.0
//
// The door to yyjson: what it refuses, and the members that occur twice.
#include "codec/json.h"

#include "base/err.h"
#include "codec/json_scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int parse(const char *text, size_t *ret_at)
{
    yyjson_doc *doc = NULL;
    const char *reason = NULL;
    int err = json_parse(slice_str(text), &doc, ret_at, &reason);
    assert_int_equal(err == 0, doc != NULL);
    assert_int_equal(err == 0, reason == NULL);
    yyjson_doc_free(doc);
    return err;
}

static void test_reading_is_strict(void **state)
{
    (void)state;
    size_t at = 99;
    assert_int_equal(parse("{\"a\":[1,2.5,\"x\"]}", &at), 0);
    assert_int_equal(at, 99); // untouched
    assert_int_equal(parse("{\"a\":1,}", &at), ERR_BAD_JSON);
    assert_int_equal(at, 6); // the comma
    assert_int_equal(parse("", &at), ERR_BAD_JSON);
    assert_int_equal(parse("{} // c", &at), ERR_BAD_JSON);
    assert_int_equal(parse("\xEF\xBB\xBF{}", &at), ERR_BAD_JSON);
    assert_int_equal(parse("[1e999]", &at), ERR_BAD_JSON);
    assert_int_equal(parse("[NaN]", &at), ERR_BAD_JSON);
    assert_int_equal(parse("[\"\xFF\"]", &at), ERR_BAD_UTF8);
    assert_int_equal(at, 2);
    yyjson_doc *doc = NULL;
    assert_int_equal(json_parse(SLICE("["), &doc, NULL, NULL), ERR_BAD_JSON);
    assert_null(doc);
}

static void test_size_and_depth_are_bounded(void **state)
{
    (void)state;
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    size_t at;
    snprintf(text, sizeof(text), "%0*d", 2 * (JSON_DEPTH_MAX + 1), 0);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(parse(text, &at), ERR_BAD_DEPTH);
    assert_int_equal(at, JSON_DEPTH_MAX);
    text[sizeof(text) - 2] = '\0';
    assert_int_equal(parse(text + 1, &at), 0);
    yyjson_doc *doc = NULL;
    assert_int_equal(json_parse(slice_of(text, JSON_PARSE_BYTES_MAX + 1), &doc, NULL, NULL),
                     ERR_LIMIT);
}

static void test_strings(void **state)
{
    (void)state;
    yyjson_doc *doc;
    assert_int_equal(json_parse(SLICE("[\"a\\u0000b\",1]"), &doc, NULL, NULL), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct slice s = json_str(yyjson_arr_get(root, 0));
    assert_int_equal(s.len, 3);
    assert_memory_equal(s.ptr, "a\0b", 3);
    assert_int_equal(json_str(yyjson_arr_get(root, 1)).len, 0);
    assert_int_equal(json_str(NULL).len, 0);
    yyjson_doc_free(doc);
}

// An object of `count` members m0, m1, …, where the one at `twin` is named like the one before it.
static int check_object(unsigned count, unsigned twin, char *ret_name)
{
    size_t size = count * 24 + 8;
    char *text = malloc(size);
    char *p = text;
    *p++ = '{';
    for (unsigned i = 0; i < count; i++)
        p += snprintf(p, size - (size_t)(p - text), "%s\"m%u\":{\"a\":1,\"a\":2}", i ? "," : "",
                      i == twin ? i - 1 : i);
    *p++ = '}';
    yyjson_doc *doc;
    assert_int_equal(json_parse(slice_of(text, (size_t)(p - text)), &doc, NULL, NULL), 0);
    struct slice name = SLICE_EMPTY;
    int err = json_check_object(yyjson_doc_get_root(doc), &name);
    snprintf(ret_name, 16, "%.*s", SLICE_ARG(name));
    yyjson_doc_free(doc);
    free(text);
    return err;
}

static void test_members_that_occur_twice(void **state)
{
    (void)state;
    char name[16];
    static const unsigned counts[] = {2, 15, 16, 17, 1000};
    assert_int_equal(check_object(0, 0, name), 0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(check_object(counts[i], counts[i], name), 0);
        assert_string_equal(name, "");
        assert_int_equal(check_object(counts[i], counts[i] - 1, name), ERR_DUPLICATE);
        char expected[16];
        snprintf(expected, sizeof(expected), "m%u", counts[i] - 2);
        assert_string_equal(name, expected);
    }
    struct slice none;
    assert_int_equal(json_check_object(NULL, &none), ERR_BAD_TYPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_is_strict),
        cmocka_unit_test(test_size_and_depth_are_bounded),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_members_that_occur_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
