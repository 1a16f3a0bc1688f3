// SPDX-License-Identifier: Apache-2.0
//
// keys_test.c: the examples of keys.h, byte for byte, and the order of what they stand for.
#include "tests/unit/base/cm.h"

#include "store/keys.h"
#include <stdio.h>

static const struct store_id example = {
    .time_us = UINT64_C(1700000000123456), .ring = 3, .number = 70000};

static void expect(const struct keys_key *key, const char *hex)
{
    char text[3 * KEYS_BYTES_MAX + 1];
    for (unsigned i = 0; i < key->len; i++)
        snprintf(text + (size_t)3 * i, 4, "%02x ", key->bytes[i]);
    text[3 * key->len - 1] = '\0';
    assert_string_equal(text, hex);
}

#define EXPECT(call, hex)                                                                          \
    do {                                                                                           \
        struct keys_key key_ = (call);                                                             \
        expect(&key_, hex);                                                                        \
    } while (0)

static void the_examples(void **state)
{
    (void)state;
    EXPECT(keys_state(KEYS_STATE_FORMAT), "00 00");
    EXPECT(keys_state(KEYS_STATE_FLOOR), "00 03");
    EXPECT(keys_row(STORE_VIRTUAL_KEY, SLICE("vk-1")), "01 04 76 6b 2d 31");
    EXPECT(keys_id(KEYS_ROWS, example), "18 00 06 0a 24 18 20 22 40 00 03 00 01 11 70");
    EXPECT(keys_id(KEYS_CONTENTS, example), "19 00 06 0a 24 18 20 22 40 00 03 00 01 11 70");
    EXPECT(keys_id(KEYS_DIGEST, example), "12 00 06 0a 24 18 20 22 40 00 03 00 01 11 70");
    EXPECT(keys_id(KEYS_PIECE, example), "16 00 06 0a 24 18 20 22 40 00 03 00 01 11 70");
    EXPECT(keys_word(STORE_WORD_MODEL, 258), "13 01 00 00 01 02");
    EXPECT(keys_counter(7, 1699999200), "14 00 00 00 07 00 00 00 00 65 53 ed e0");
    EXPECT(keys_position(3), "15 00 03");
}

static void an_id_comes_back(void **state)
{
    (void)state;
    struct keys_key key = keys_id(KEYS_ROWS, example);
    struct store_id id = keys_to_id(keys_slice(&key));
    assert_int_equal(id.time_us, example.time_us);
    assert_int_equal(id.ring, example.ring);
    assert_int_equal(id.number, example.number);
}

static int order(struct keys_key a, struct keys_key b)
{
    unsigned len = a.len < b.len ? a.len : b.len;
    int rc = memcmp(a.bytes, b.bytes, len);
    return rc != 0 ? rc : (int)a.len - (int)b.len;
}

static void keys_sort_as_their_numbers_do(void **state)
{
    (void)state;
    struct store_id later = example;
    later.time_us = example.time_us + 1;
    later.ring = 0;
    later.number = 0;
    assert_true(order(keys_id(KEYS_ROWS, example), keys_id(KEYS_ROWS, later)) < 0);
    struct store_id higher = example;
    higher.number++;
    assert_true(order(keys_id(KEYS_ROWS, example), keys_id(KEYS_ROWS, higher)) < 0);
    assert_true(order(keys_time(KEYS_ROWS, example.time_us), keys_id(KEYS_ROWS, example)) < 0);
    assert_true(order(keys_begin(KEYS_ROWS), keys_time(KEYS_ROWS, 0)) < 0);
    assert_true(order(keys_id(KEYS_ROWS, (struct store_id){UINT64_MAX, UINT16_MAX, UINT32_MAX}),
                      keys_end(KEYS_ROWS)) < 0);
    assert_true(order(keys_counter(255, UINT64_MAX), keys_counter(256, 0)) < 0);
    assert_true(order(keys_row(STORE_KEY, SLICE("z")), keys_row(STORE_VIRTUAL_KEY, SLICE("a"))) <
                0);
}

static void the_longest_row_key_fits(void **state)
{
    (void)state;
    char id[KEYS_ID_BYTES_MAX];
    memset(id, 'x', sizeof(id));
    struct keys_key key = keys_row(STORE_JOB, slice_of(id, sizeof(id)));
    assert_int_equal(key.len, KEYS_ROW_BYTES_MAX);
    assert_memory_equal(key.bytes + 2, id, sizeof(id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples),
        cmocka_unit_test(an_id_comes_back),
        cmocka_unit_test(keys_sort_as_their_numbers_do),
        cmocka_unit_test(the_longest_row_key_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
