// SPDX-License-Identifier: Apache-2.0
//
// config_pricing_test.c: where prices come from, as a file says it.
#include "tests/support/config_support.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_nothing_is_fetched_unless_a_url_is_there(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{},\"framework\":{\"pricing\":{}}}");
    assert_int_equal(b.err, 0);
    assert_int_equal(b.config->pricing.url.len, 0);
    assert_null(b.config->pricing.origin);
    assert_int_equal(b.config->pricing.interval_s, 86400);
    built_done(&b);
}

static void test_a_url(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{},\"framework\":{\"pricing\":{\"pricing_url\":"
                   "\"http://127.0.0.1:9/a/sheet.json\",\"pricing_sync_interval\":3600}}}");
    assert_int_equal(b.err, 0);
    assert_true(slice_eq(b.config->pricing.path, SLICE("/a/sheet.json")));
    assert_true(slice_eq(origin_authority(b.config->pricing.origin), SLICE("127.0.0.1:9")));
    assert_int_equal(b.config->pricing.interval_s, 3600);
    built_done(&b);
    built_text(&b, "{\"providers\":{},\"framework\":{\"pricing\":{\"pricing_url\":"
                   "\"http://127.0.0.1:9\"}}}");
    assert_true(slice_eq(b.config->pricing.path, SLICE("/")));
    built_done(&b);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const char *const members[] = {
        "\"pricing_sync_interval\":3599",
        "\"pricing_url\":\"file:///etc/passwd\"",
        "\"pricing_url\":\"http://169.254.169.254/\"",
    };
    for (unsigned i = 0; i < sizeof members / sizeof members[0]; i++) {
        struct built b;
        char text[256];
        snprintf(text, sizeof text, "{\"providers\":{},\"framework\":{\"pricing\":{%s}}}",
                 members[i]);
        built_text(&b, text);
        assert_int_equal(b.err, ERR_CONFIG);
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_fetched_unless_a_url_is_there),
        cmocka_unit_test(test_a_url),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
