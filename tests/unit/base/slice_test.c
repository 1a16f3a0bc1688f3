// SPDX-License-Identifier: Apache-2.0
//
// slice_test.c: comparing, searching and numbers, with their empty and last cases.
#include "tests/unit/base/cm.h"

#include "base/err.h"
#include "base/prng.h"
#include <inttypes.h>
#include <stdio.h>

static void comparing(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_EMPTY, SLICE("")));
    assert_false(slice_eq(SLICE("a"), SLICE("b")));
    assert_true(slice_ieq(SLICE("Content-LENGTH"), SLICE("content-length")));
    assert_false(slice_ieq(SLICE("a["), SLICE("A{"))); // differ by the case bit only
    assert_false(slice_ieq(SLICE("@"), SLICE("`")));
    assert_false(slice_ieq(SLICE("\xc4"), SLICE("\xe4"))); // ASCII only
    assert_true(slice_starts(SLICE("sk-bf-1"), SLICE("sk-bf-")));
    assert_true(slice_starts(SLICE("a"), SLICE_EMPTY));
    assert_false(slice_starts(SLICE("sk"), SLICE("sk-")));
    assert_true(slice_istarts(SLICE("BEARER x"), SLICE("bearer ")));
    assert_false(slice_istarts(SLICE("BEAR"), SLICE("bearer ")));
}

static void cutting(void **state)
{
    (void)state;
    assert_slice(slice_skip(SLICE("abc"), 1), "bc");
    assert_slice(slice_skip(SLICE("abc"), 9), "");
    assert_null(slice_skip(SLICE_EMPTY, 0).ptr);
    assert_null(slice_skip(SLICE_EMPTY, 3).ptr);
    assert_slice(slice_take(SLICE("abc"), 2), "ab");
    assert_slice(slice_take(SLICE("abc"), 9), "abc");
    assert_slice(slice_trim(SLICE(" \t a b\t ")), "a b");
    assert_slice(slice_trim(SLICE(" \t ")), "");
    assert_slice(slice_trim(SLICE("\r\na")), "\r\na"); // OWS is space and tab
    assert_slice(slice_trim(SLICE_EMPTY), "");
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(slice_find_char(SLICE("a:b:c"), ':'), 1);
    assert_int_equal(slice_find_char(SLICE("abc"), ':'), -1);
    assert_int_equal(slice_find_char(SLICE_EMPTY, ':'), -1);
    assert_int_equal(slice_find(SLICE("x\0needle"), SLICE("needle")), 2);
    assert_int_equal(slice_find(SLICE("aab"), SLICE("ab")), 1);
    assert_int_equal(slice_find(SLICE("a"), SLICE("ab")), -1);
    assert_int_equal(slice_find(SLICE_EMPTY, SLICE("a")), -1);
    assert_int_equal(slice_ifind(SLICE("gzip, CHUNKED"), SLICE("chunked")), 6);
    assert_int_equal(slice_ifind(SLICE("chunke"), SLICE("chunked")), -1);
}

static void reading_numbers(void **state)
{
    (void)state;
    uint64_t v = 77;
    assert_int_equal(slice_to_u64(SLICE("0"), &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(slice_to_u64(SLICE("18446744073709551615"), &v), 0);
    assert_true(v == UINT64_MAX);
    v = 77;
    static const char *const bad[] = {
        "", "18446744073709551616", "99999999999999999999", "-1", "+1", " 1", "1 ", "1a", "0x1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(slice_to_u64(slice_str(bad[i]), &v), ERR_BAD_TYPE);
        assert_int_equal(v, 77); // untouched on failure
    }
}

static void writing_numbers(void **state)
{
    (void)state;
    struct prng p;
    prng_seed(&p, 1);
    for (int i = 0; i < 2000; i++) {
        char mine[20], expected[32];
        uint64_t value = i == 0 ? 0 : i == 1 ? UINT64_MAX : prng_next(&p) >> prng_below(&p, 64);
        int len = snprintf(expected, sizeof(expected), "%" PRIu64, value);
        assert_int_equal(fmt_u64(mine, value), len);
        assert_memory_equal(mine, expected, (size_t)len);
        len = snprintf(expected, sizeof(expected), "%" PRIx64, value);
        assert_int_equal(fmt_hex(mine, value), len);
        assert_memory_equal(mine, expected, (size_t)len);
    }
}

static void being_on_a_list(void **state)
{
    (void)state;
    static const struct slice list[] = {SLICE("gpt-4o"), SLICE(""), SLICE("*")};
    assert_true(slice_in(SLICE("gpt-4o"), list, 3) && slice_iin(SLICE("gpt-4o"), list, 3));
    assert_true(slice_iin(SLICE("GPT-4O"), list, 3));
    assert_false(slice_in(SLICE("GPT-4O"), list, 3));
    assert_true(slice_in(SLICE("*"), list, 3));
    assert_false(slice_in(SLICE("*"), list, 2)); // behind the end
    assert_true(slice_in(SLICE_EMPTY, list, 3) && slice_iin(SLICE_EMPTY, list, 3));
    assert_false(slice_in(SLICE("gpt-4"), list, 3) || slice_iin(SLICE("gpt-4o-mini"), list, 3));
    assert_false(slice_in(SLICE("x"), NULL, 0) || slice_iin(SLICE("x"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing),       cmocka_unit_test(cutting),
        cmocka_unit_test(finding),         cmocka_unit_test(reading_numbers),
        cmocka_unit_test(writing_numbers), cmocka_unit_test(being_on_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
