// SPDX-License-Identifier: Apache-2.0
//
// config_read_test.c: durations, and values that stand for others.
#include "gateway/config_build.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void durations_are_gos(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms; // -1: refused
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"500ms", 500},
        {"1s", 1000},
        {"1m30s", 90000},
        {"1.5s", 1500},
        {"2h", 7200000},
        {"100us", 1},
        {"1ns", 1},
        {".5s", 500},
        {"1.s", 1000},
        {"5\xc2\xb5s", 1},
        {"1h2m3s4ms", 3723004},
        {"", -1},
        {"5", -1},
        {"s", -1},
        {"5 s", -1},
        {"-1s", -1},
        {"1d", -1},
        {"1s ", -1},
        {"1..5s", -1},
        {".s", -1},
        {"1e3s", -1},
        {"99999999999999999999h", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ms = 77;
        int err = config__parse_duration(slice_str(rows[i].text), &ms);
        if (err != (rows[i].ms < 0 ? ERR_BAD_TYPE : 0))
            fail_msg("%s: %d", rows[i].text, err);
        if (ms != (rows[i].ms < 0 ? 77 : (uint64_t)rows[i].ms))
            fail_msg("%s: %llu", rows[i].text, (unsigned long long)ms);
    }
}

static void null_is_absent(void **state)
{
    (void)state;
    yyjson_doc *doc;
    assert_int_equal(json_parse(SLICE("{\"a\":null,\"b\":false,\"n\":7,\"z\":0,\"d\":\"2s\"}"),
                                &doc, NULL, NULL),
                     0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_null(config__get(root, "a"));
    assert_null(config__get(root, "missing"));
    assert_null(config__get(NULL, "a"));
    assert_true(config__bool(root, "a", true));
    assert_false(config__bool(root, "b", true));
    assert_int_equal(config__uint(root, "n", 5), 7);
    assert_int_equal(config__uint(root, "z", 5), 5);
    assert_int_equal(config__uint(root, "a", 5), 5);
    assert_int_equal(config__duration_ms(root, "d", 5), 2000);
    assert_int_equal(config__duration_ms(root, "n", 5), 7);
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_gos),
        cmocka_unit_test(null_is_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
