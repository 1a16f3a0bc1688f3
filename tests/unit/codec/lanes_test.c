// SPDX-License-Identifier: Apache-2.0
//
// lanes_test.c: the wide looks against a look at each byte.
#include "tests/unit/base/cm.h"

#include "codec/lanes.h"

#define TEXT (3 * LANES_BYTES + 5)

static void each_byte_has_its_bit(void **state)
{
    (void)state;
    for (unsigned a = 0; a < LANES_BYTES; a++) {
        for (unsigned b = a; b < LANES_BYTES; b++) {
            char text[LANES_BYTES] = {0};
            text[a] = 'q';
            text[b] = 'r';
            struct lanes hit = lanes_eq2(lanes_load(text), 'q', 'r');
            assert_int_equal(lanes_mask(hit), 1U << a | 1U << b);
            assert_int_equal(lanes_first(hit), a);
            assert_true(lanes_any(hit));
        }
    }
    struct lanes none = lanes_eq2(lanes_load("sixteen letters."), 'q', 'Q');
    assert_int_equal(lanes_mask(none), 0);
    assert_int_equal(lanes_first(none), LANES_BYTES);
    assert_false(lanes_any(none));
}

static void what_is_not_plain(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[LANES_BYTES];
        memset(text, c, sizeof(text));
        bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        assert_int_equal(lanes_mask(lanes_not_plain(lanes_load(text))), plain ? 0 : 0xFFFF);
    }
}

static void one_of_two_in_every_place(void **state)
{
    (void)state;
    char text[TEXT];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < TEXT; at++) {
        for (size_t len = 0; len <= TEXT; len++) {
            size_t found = at < len ? at : len;
            text[at] = 'a';
            assert_ptr_equal(lanes_find2(text, text + len, 'a', 'b'), text + found);
            text[at] = 'b';
            assert_ptr_equal(lanes_find2(text, text + len, 'a', 'b'), text + found);
        }
        text[at] = 'x';
    }
}

static void a_pair_in_every_place(void **state)
{
    (void)state;
    char text[TEXT];
    memset(text, 'a', sizeof(text)); // without what must be behind it
    for (size_t at = 1; at < TEXT; at++) {
        for (size_t len = 0; len <= TEXT; len++) {
            size_t found = at < len ? at - 1 : len;
            text[at] = 'b';
            assert_ptr_equal(lanes_find_pair(text, text + len, 'a', 'b', 'c'), text + found);
            text[at] = 'c';
            assert_ptr_equal(lanes_find_pair(text, text + len, 'a', 'b', 'c'), text + found);
        }
        text[at] = 'a';
    }
}

static void a_line_end_and_a_pair_before_it(void **state)
{
    (void)state;
    for (size_t at = 0; at < TEXT; at++) {
        char text[TEXT];
        bool pair;
        memset(text, 'x', sizeof(text));
        text[at] = at % 2 ? '\n' : '\r';
        assert_ptr_equal(lanes_find_line_end(text, text + TEXT, '"', "ue", &pair), text + at);
        if (at + LANES_BYTES < TEXT)
            assert_false(pair);
        for (size_t i = 0; i + 1 < at; i++) {
            memcpy(text + i, i % 2 ? "\"u" : "\"e", 2);
            assert_ptr_equal(lanes_find_line_end(text, text + TEXT, '"', "ue", &pair), text + at);
            assert_true(pair);
            memset(text + i, 'x', 2);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_has_its_bit),           cmocka_unit_test(what_is_not_plain),
        cmocka_unit_test(one_of_two_in_every_place),       cmocka_unit_test(a_pair_in_every_place),
        cmocka_unit_test(a_line_end_and_a_pair_before_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
