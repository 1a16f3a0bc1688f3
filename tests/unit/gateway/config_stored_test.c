// SPDX-License-Identifier: Apache-2.0
//
// config_stored_test.c: rows of the store beside the file's: read and refused as if they stood in
// it, and the file's own stand above them.
#include "tests/support/config_support.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "{\"version\":2,\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"id\":\"k-1\","          \
    "\"value\":\"s\",\"models\":[\"*\"]}]}}"
#define KEY(id, name, value)                                                                       \
    "{\"id\":\"" id "\",\"name\":\"" name "\",\"value\":\"" value "\",\"provider_configs\":["      \
    "{\"provider\":\"openai\",\"allowed_models\":[\"*\"],\"key_ids\":[\"*\"]}]}"

static const char row_b[] = "{\"virtual_keys\":[" KEY("b", "B", "sk-bf-b") "]}";

static const struct virtual_key *find(const struct built *b, const char *value)
{
    return governance_find_key(&b->config->governance, slice_str(value));
}

// Does the report have this line, whatever it begins with?
static bool has(const struct buf *lines, const char *line)
{
    return slice_find(buf_slice(lines), slice_str(line)) >= 0;
}

static void test_rows_join_the_file(void **state)
{
    (void)state;
    struct built b;
    built_stored(
        &b, HEAD ",\"governance\":{\"virtual_keys\":[" KEY("a", "A", "sk-bf-a") "]}}",
        "{\"virtual_keys\":[" KEY(
            "b", "B",
            "sk-bf-b") "],\"budgets\":[{\"id\":\"g\","
                       "\"max_limit\":1,\"reset_duration\":\"1h\",\"virtual_key_id\":\"a\"}]}");
    assert_int_equal(b.err, 0);
    assert_non_null(find(&b, "sk-bf-a"));
    assert_non_null(find(&b, "sk-bf-b"));
    assert_int_equal(find(&b, "sk-bf-a")->owner.budget_count, 1);
    built_done(&b);
}

static void test_a_file_without_governance(void **state)
{
    (void)state;
    static const char *const files[] = {HEAD "}", HEAD ",\"governance\":null}",
                                        HEAD ",\"governance\":{\"virtual_keys\":null}}"};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct built b;
        built_stored(&b, files[i], row_b);
        assert_int_equal(b.err, 0);
        assert_non_null(find(&b, "sk-bf-b"));
        built_done(&b);
    }
}

static void test_the_file_stands_above_the_store(void **state)
{
    (void)state;
    struct built b;
    built_stored(&b, HEAD ",\"governance\":{\"virtual_keys\":[" KEY("a", "A", "sk-bf-new") "]}}",
                 "{\"virtual_keys\":[" KEY("a", "A", "sk-bf-old") "]}");
    assert_int_equal(b.err, 0);
    assert_non_null(find(&b, "sk-bf-new"));
    assert_null(find(&b, "sk-bf-old"));
    built_done(&b);
}

static void test_it_can_be_switched_off(void **state)
{
    (void)state;
    struct built b;
    built_stored(&b, HEAD ",\"config_store\":{\"enabled\":false}}", row_b);
    assert_int_equal(b.err, 0);
    assert_true(b.config->no_stored);
    assert_null(find(&b, "sk-bf-b"));
    built_done(&b);
    built_stored(&b, HEAD ",\"config_store\":{\"enabled\":null}}", row_b);
    assert_false(b.config->no_stored); // says nothing
    assert_non_null(find(&b, "sk-bf-b"));
    built_done(&b);
}

static void test_a_bad_row_is_refused(void **state)
{
    (void)state;
    struct built b;
    built_stored(&b, HEAD ",\"governance\":{\"virtual_keys\":[" KEY("a", "A", "sk-bf-a") "]}}",
                 "{\"virtual_keys\":[" KEY("b", "B", "sk-bf-b") ",{\"id\":\"c\"}]}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(has(&b.report.errors, "config.json and the store: governance.virtual_keys[2].name: "
                                      "missing"));
    built_done(&b);
    built_stored(&b, HEAD "}", "{\"virtual_keys\":[");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(has(&b.report.errors, "config.json: the rows of the store are no JSON"));
    built_done(&b);
}

// What is wrong about the file is said as it always is.
static void test_a_bad_file_stays_one(void **state)
{
    (void)state;
    static const char *const files[] = {"[]", "{\"governance\":3}",
                                        "{\"governance\":{\"virtual_keys\":{}}}"};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct built b, alone;
        built_text(&alone, files[i]);
        built_stored(&b, files[i], row_b);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(slice_eq(buf_slice(&b.report.errors), buf_slice(&alone.report.errors)));
        built_done(&b);
        built_done(&alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_join_the_file),
        cmocka_unit_test(test_a_file_without_governance),
        cmocka_unit_test(test_the_file_stands_above_the_store),
        cmocka_unit_test(test_it_can_be_switched_off),
        cmocka_unit_test(test_a_bad_row_is_refused),
        cmocka_unit_test(test_a_bad_file_stays_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
