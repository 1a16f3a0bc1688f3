// SPDX-License-Identifier: Apache-2.0
//
// buf_test.c: growth up to the ceiling and not past it, and the sticky error.
#include "tests/unit/base/cm.h"

#include "base/buf.h"
#include "base/err.h"

static void appends(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(buf_slice(&b).len, 0);
    buf_add(&b, SLICE("a"));
    buf_add(&b, SLICE_EMPTY);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, 18446744073709551615u);
    buf_printf(&b, " %s=%d ", "x", -1);
    buf_add_json(&b, SLICE("q\"\n\xff"));
    assert_slice(buf_slice(&b), "a 18446744073709551615 x=-1 \"q\\\"\\n\xef\xbf\xbd\"");
    assert_int_equal(b.err, 0);
    size_t cap = b.cap;
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.cap, cap);
    buf_done(&b);
    buf_done(&b);
}

static void room_is_there_before_it_is_used(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_add(&b, SLICE("ab"));
    char *at = buf_room(&b, 998);
    assert_non_null(at);
    assert_int_equal(b.len, 2);
    memcpy(at, "cd", 2);
    b.len += 2;
    assert_slice(buf_slice(&b), "abcd");
    assert_null(buf_room(&b, 997));
    assert_int_equal(b.err, ERR_LIMIT);
    buf_done(&b);
}

static void grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        buf_add_char(&b, (char)i);
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.ptr[i], (char)i);
    buf_done(&b);
}

static void ceiling_is_sticky(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add(&b, SLICE("0123456789"));
    assert_int_equal(b.err, 0);
    buf_add_char(&b, 'x');
    assert_int_equal(b.err, ERR_LIMIT);
    assert_slice(buf_slice(&b), "0123456789");
    buf_reset(&b);
    buf_add(&b, SLICE("01234567890"));
    assert_int_equal(b.err, ERR_LIMIT);
    buf_add(&b, SLICE("a")); // would fit, but something before it did not
    assert_int_equal(b.len, 0);
    buf_reset(&b);
    buf_printf(&b, "%s", "0123456789"); // exactly
    assert_int_equal(b.err, 0);
    assert_slice(buf_slice(&b), "0123456789");
    buf_printf(&b, "%s", "");
    assert_int_equal(b.err, 0);
    buf_printf(&b, "%d", 1);
    assert_int_equal(b.err, ERR_LIMIT);
    assert_int_equal(b.max, 10);
    buf_reset(&b);
    buf_add_json(&b, SLICE("123456789"));
    assert_int_equal(b.err, ERR_LIMIT);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(room_is_there_before_it_is_used),
        cmocka_unit_test(grows),
        cmocka_unit_test(ceiling_is_sticky),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
