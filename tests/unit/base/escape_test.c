// SPDX-License-Identifier: Apache-2.0
//
// escape_test.c: what is escaped, what passes, and that nothing but UTF-8 comes out.
#include "tests/unit/base/cm.h"

#include "base/buf.h"
#include "base/escape.h"

static void check(struct slice in, const char *expected)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    while (in.len > 0) {
        char step[ESCAPE_STEP_MAX];
        struct slice before = in;
        size_t len = escape_step(&in, step);
        assert_true(len > 0 && len <= sizeof(step));
        assert_true(in.len < before.len);
        buf_add(&b, slice_of(step, len));
    }
    assert_int_equal(b.len, strlen(expected));
    if (b.len > 0)
        assert_memory_equal(b.ptr, expected, b.len);
    buf_done(&b);
}

static void json_escapes(void **state)
{
    (void)state;
    check(SLICE("plain"), "plain");
    check(SLICE("\"\\/\b\f\n\r\t"), "\\\"\\\\/\\b\\f\\n\\r\\t");
    check(SLICE("\0\x01\x1b\x1f"), "\\u0000\\u0001\\u001b\\u001f");
    check(SLICE("\x7f"), "\\u007f");
    check(SLICE("\xc2\x80\xc2\x9b\xc2\xa0"), "\\u0080\\u009b\xc2\xa0");
}

static void utf8_passes(void **state)
{
    (void)state;
    check(SLICE("é€𝄞"), "é€𝄞");
    check(SLICE("\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"), "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf");
    check(SLICE("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

#define BAD "\xef\xbf\xbd"

static void anything_else_is_replaced(void **state)
{
    (void)state;
    check(SLICE("\x80"), BAD);
    check(SLICE("\xff\xfe"), BAD BAD);
    check(SLICE("\xc0\xaf"), BAD BAD);                 // overlong
    check(SLICE("\xe0\x80\xaf"), BAD BAD BAD);         // overlong
    check(SLICE("\xed\xa0\x80"), BAD BAD BAD);         // surrogate
    check(SLICE("\xf4\x90\x80\x80"), BAD BAD BAD BAD); // beyond U+10FFFF
    check(SLICE("\xe2\x82"), BAD BAD);                 // cut off
    check(SLICE("\xe2\"\xac"), BAD "\\\"" BAD);        // no quote is swallowed
    check(SLICE("\xf0\x90\x80z"), BAD BAD BAD "z");
}

static void plain_runs(void **state)
{
    (void)state;
    assert_int_equal(escape_plain(SLICE("abc")), 3);
    assert_int_equal(escape_plain(SLICE("ab\"c")), 2);
    assert_int_equal(escape_plain(SLICE("\\")), 0);
    assert_int_equal(escape_plain(SLICE("a\x7f")), 1);
    assert_int_equal(escape_plain(SLICE("a\xc3\xa9")), 1);
    assert_int_equal(escape_plain(SLICE_EMPTY), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(utf8_passes),
        cmocka_unit_test(anything_else_is_replaced),
        cmocka_unit_test(plain_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
