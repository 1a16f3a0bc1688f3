// SPDX-License-Identifier: Apache-2.0
//
// lanes_test.c: the wide looks against a look at each byte.
#include "tests/unit/base/cm.h"

#include "codec/lanes.h"

// Where whole groups of plain characters end, by the words of the header.
static const char *groups_end(const char *p, const char *end)
{
    for (; end - p >= WIDE_BYTES; p += WIDE_BYTES)
        for (int i = 0; i < WIDE_BYTES; i++)
            if ((unsigned char)p[i] < 0x20 || (unsigned char)p[i] >= 0x80 || p[i] == '"' ||
                p[i] == '\\')
                return p;
    return p;
}

static void every_byte_in_every_place(void **state)
{
    (void)state;
    char text[3 * WIDE_BYTES + 20];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < sizeof(text); at++) {
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            for (size_t len = sizeof(text) - 21; len <= sizeof(text); len += 21) {
                const char *past = groups_end(text, text + len);
                assert_ptr_equal(lanes_skip_plain(text, text + len), past);
                assert_ptr_equal(lanes_skip_plain_any(text, text + len), past);
            }
        }
        text[at] = (char)('a' + at % 26);
    }
}

static void what_is_shorter_than_a_group_is_left(void **state)
{
    (void)state;
    char text[WIDE_BYTES];
    memset(text, 'x', sizeof(text));
    assert_ptr_equal(lanes_skip_plain(text, text + WIDE_BYTES - 1), text);
    assert_ptr_equal(lanes_skip_plain(text, text + WIDE_BYTES), text + WIDE_BYTES);
    assert_ptr_equal(lanes_skip_plain(text, text), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(what_is_shorter_than_a_group_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
