// SPDX-License-Identifier: Apache-2.0
//
// err_test.c: the table says what ERR_MAP says, for every row.
#include "tests/unit/base/cm.h"

#include "base/err.h"

static void known_rows(void **state)
{
    (void)state;
    assert_string_equal(err_name(0), "NONE");
    assert_string_equal(err_text(0), "");
    assert_int_equal(err_http_status(0), 200);
    assert_false(err_retryable(0));
    assert_string_equal(err_name(ERR_UPSTREAM_CLOSED), "UPSTREAM_CLOSED");
    assert_int_equal(err_http_status(ERR_UPSTREAM_CLOSED), 502);
    assert_true(err_retryable(ERR_UPSTREAM_CLOSED));
    assert_int_equal(err_http_status(ERR_BODY_TOO_LARGE), 413);
    assert_int_equal(ERR_MORE, -1);
    assert_string_equal(err_name(-(int)ERR_COUNT + 1), "OVERLOAD");
}

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int err = -1; err > -(int)ERR_COUNT; err--) {
        assert_true(strlen(err_name(err)) > 0);
        assert_true(strlen(err_text(err)) > 0);
        assert_true(err_http_status(err) >= 400 && err_http_status(err) < 600);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_rows),
        cmocka_unit_test(every_row_is_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
