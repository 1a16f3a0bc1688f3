// SPDX-License-Identifier: Apache-2.0
//
// words_test.c: a word has one number, and keeps it.
#include "tests/unit/base/cm.h"

#include "base/err.h"
#include "store/words.h"
#include <stdio.h>

static const uint64_t seed[2] = {1, 2};

static void numbers_are_given_and_found(void **state)
{
    (void)state;
    struct words *w = words_new(seed);
    uint32_t a, b, c;
    assert_int_equal(words_add(w, STORE_WORD_MODEL, SLICE("a"), &a), 0);
    assert_int_equal(words_add(w, STORE_WORD_MODEL, SLICE("b"), &b), 0);
    assert_int_equal(words_add(w, STORE_WORD_KEY, SLICE("a"), &c), 0);
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(c, 1);
    assert_int_equal(words_number(w, STORE_WORD_MODEL, SLICE("b")), 2);
    assert_int_equal(words_number(w, STORE_WORD_KEY, SLICE("b")), 0);
    assert_true(slice_eq(words_text(w, STORE_WORD_MODEL, 2), SLICE("b")));
    assert_int_equal(words_text(w, STORE_WORD_MODEL, 3).len, 0);
    assert_int_equal(words_text(w, STORE_WORD_MODEL, 0).len, 0);
    assert_int_equal(words_count(w, STORE_WORD_MODEL), 2);
    words_free(w);
}

static void those_of_the_database_come_in_any_order(void **state)
{
    (void)state;
    struct words *w = words_new(seed);
    uint32_t next;
    assert_int_equal(words_load(w, STORE_WORD_COUNTER, 5000, SLICE("late")), 0);
    assert_int_equal(words_load(w, STORE_WORD_COUNTER, 1, SLICE("early")), 0);
    assert_int_equal(words_load(w, STORE_WORD_COUNTER, 1, SLICE("again")), ERR_LIMIT);
    assert_int_equal(words_load(w, STORE_WORD_COUNTER, 0, SLICE("none")), ERR_LIMIT);
    assert_int_equal(words_load(w, STORE_WORD_COUNTER, UINT32_MAX, SLICE("far")), ERR_LIMIT);
    assert_int_equal(words_add(w, STORE_WORD_COUNTER, SLICE("new"), &next), 0);
    assert_int_equal(next, 5001);
    assert_true(slice_eq(words_text(w, STORE_WORD_COUNTER, 5000), SLICE("late")));
    words_free(w);
}

static void a_full_dictionary_says_other(void **state)
{
    (void)state;
    struct words *w = words_new(seed);
    char name[16];
    uint32_t number;
    for (unsigned i = 1; i <= STORE_WORDS_MAX; i++) {
        struct slice word = slice_of(name, (size_t)snprintf(name, sizeof(name), "%u", i));
        assert_int_equal(words_add(w, STORE_WORD_MODEL, word, &number), 0);
        assert_int_equal(number, i);
    }
    assert_int_equal(words_add(w, STORE_WORD_MODEL, SLICE("x"), &number), 0);
    assert_int_equal(number, WORDS_OTHER);
    assert_true(slice_eq(words_text(w, STORE_WORD_MODEL, number), SLICE("(other)")));
    assert_int_equal(words_number(w, STORE_WORD_MODEL, SLICE("(other)")), WORDS_OTHER);
    assert_true(slice_eq(words_text(w, STORE_WORD_MODEL, 777), SLICE("777")));
    words_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_given_and_found),
        cmocka_unit_test(those_of_the_database_come_in_any_order),
        cmocka_unit_test(a_full_dictionary_says_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
