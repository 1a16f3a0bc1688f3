// SPDX-License-Identifier: Apache-2.0
//
// literal_test.c: words spelt in every way, and what is no word.
#include "codec/literal.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_word_is_a_word_however_it_is_spelt(void **state)
{
    (void)state;
    assert_true(literal_is(SLICE("\"text\""), SLICE("text")));
    assert_true(literal_is(SLICE("\"te\\u0078t\""), SLICE("text")));
    assert_true(literal_is(SLICE("\"\\u0074\\u0065\\u0078\\u0074\""), SLICE("text")));
    assert_true(literal_is(SLICE("\"\""), SLICE("")));
    assert_false(literal_is(SLICE("\"texts\""), SLICE("text")));
    assert_false(literal_is(SLICE("\"tex\""), SLICE("text")));
    assert_false(literal_is(SLICE("\"Text\""), SLICE("text")));
    assert_false(literal_is(SLICE("\"\\u0074ex\""), SLICE("text")));
}

static void what_is_no_string_is_no_word(void **state)
{
    (void)state;
    assert_false(literal_is(SLICE("{text}"), SLICE("text")));
    assert_false(literal_is(SLICE("7"), SLICE("7")));
    assert_false(literal_is(SLICE("null"), SLICE("ul")));
    assert_false(literal_is(SLICE_EMPTY, SLICE("text")));
    assert_false(literal_is(SLICE_EMPTY, SLICE("")));
}

static void the_inside_is_what_was_written(void **state)
{
    (void)state;
    assert_true(slice_eq(literal_inner(SLICE("\"a\\n\"")), SLICE("a\\n")));
    assert_int_equal(literal_inner(SLICE("\"\"")).len, 0);
    assert_int_equal(literal_inner(SLICE_EMPTY).len, 0);
    assert_true(literal_is_empty(SLICE_EMPTY));
    assert_true(literal_is_empty(SLICE("\"\"")));
    assert_false(literal_is_empty(SLICE("\" \"")));
}

static void space_around_a_text_goes(void **state)
{
    (void)state;
    assert_true(slice_eq(literal_trim(SLICE(" \r\n\t{ } \n")), SLICE("{ }")));
    assert_int_equal(literal_trim(SLICE(" \n")).len, 0);
    assert_int_equal(literal_trim(SLICE_EMPTY).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_is_a_word_however_it_is_spelt),
        cmocka_unit_test(what_is_no_string_is_no_word),
        cmocka_unit_test(the_inside_is_what_was_written),
        cmocka_unit_test(space_around_a_text_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
