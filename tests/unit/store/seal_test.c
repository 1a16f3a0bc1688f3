// SPDX-License-Identifier: Apache-2.0
//
// seal_test.c: only the right key, the right place and unchanged bytes open.
#include "tests/unit/base/cm.h"

#include "base/err.h"
#include "store/seal.h"
#include <argon2.h>

// Of the reference implementation's tests (argon2id, version 0x13): the library is the one meant.
static void argon2id_is_rfc_9106s(void **state)
{
    (void)state;
    static const unsigned char expected[32] = {0x09, 0x31, 0x61, 0x15, 0xd5, 0xcf, 0x24, 0xed,
                                               0x5a, 0x15, 0xa3, 0x1a, 0x3b, 0xa3, 0x26, 0xe5,
                                               0xcf, 0x32, 0xed, 0xc2, 0x47, 0x02, 0x98, 0x7c,
                                               0x02, 0xb6, 0x56, 0x6f, 0x61, 0x91, 0x3c, 0xf7};
    unsigned char out[32];
    assert_int_equal(argon2id_hash_raw(2, 65536, 1, "password", 8, "somesalt", 8, out, sizeof(out)),
                     ARGON2_OK);
    assert_memory_equal(out, expected, sizeof(out));
}

static void the_state_knows_its_passphrase(void **state)
{
    (void)state;
    struct seal first, second;
    unsigned char bytes[SEAL_STATE_BYTES];
    assert_int_equal(seal_make(SLICE("correct horse"), &first, bytes), 0);
    assert_int_equal(bytes[0], 1);
    struct slice kept = slice_of(bytes, sizeof(bytes));
    assert_int_equal(seal_open_state(SLICE("correct horse"), kept, &second), 0);
    assert_memory_equal(&first, &second, sizeof(first));
    assert_int_equal(seal_open_state(SLICE("wrong horse"), kept, &second), ERR_CREDENTIAL);
    assert_int_equal(seal_open_state(SLICE_EMPTY, kept, &second), ERR_LIMIT);
    assert_int_equal(seal_open_state(SLICE("correct horse"), slice_take(kept, 52), &second),
                     ERR_UNSUPPORTED);
    assert_memory_equal(&first, &second, sizeof(first)); // untouched
    struct seal other;
    unsigned char others[SEAL_STATE_BYTES];
    assert_int_equal(seal_make(SLICE("correct horse"), &other, others), 0);
    assert_memory_not_equal(&first, &other, sizeof(first)); // a salt of its own
}

static void a_value_opens_in_its_place_only(void **state)
{
    (void)state;
    const struct seal seal = {.key = {1, 2, 3}}, other = {.key = {1, 2, 4}};
    struct buf sealed, text;
    buf_init(&sealed, 4096);
    buf_init(&text, 4096);
    buf_add(&sealed, SLICE("before"));
    assert_int_equal(seal_value(&seal, SLICE("place"), SLICE("sk-secret"), &sealed), 0);
    assert_int_equal(sealed.len, 6 + 9 + SEAL_EXTRA_BYTES);
    assert_int_equal(slice_find(buf_slice(&sealed), SLICE("secret")), -1);
    struct slice value = slice_skip(buf_slice(&sealed), 6);
    assert_int_equal(seal_open(&seal, SLICE("place"), value, &text), 0);
    assert_slice(buf_slice(&text), "sk-secret");
    assert_int_equal(seal_open(&seal, SLICE("other"), value, &text), ERR_CREDENTIAL);
    assert_int_equal(seal_open(&other, SLICE("place"), value, &text), ERR_CREDENTIAL);
    for (size_t i = 0; i < value.len; i++) {
        ((char *)value.ptr)[i] ^= 1;
        assert_int_equal(seal_open(&seal, SLICE("place"), value, &text), ERR_CREDENTIAL);
        ((char *)value.ptr)[i] ^= 1;
        assert_int_equal(seal_open(&seal, SLICE("place"), slice_take(value, i), &text),
                         ERR_CREDENTIAL);
    }
    assert_slice(buf_slice(&text), "sk-secret"); // what was there before stays
    buf_reset(&sealed);
    assert_int_equal(seal_value(&seal, SLICE("p"), SLICE_EMPTY, &sealed), 0);
    buf_reset(&text);
    assert_int_equal(seal_open(&seal, SLICE("p"), buf_slice(&sealed), &text), 0);
    assert_int_equal(text.len, 0);
    buf_done(&sealed);
    buf_done(&text);
}

static void a_ceiling_is_an_error(void **state)
{
    (void)state;
    const struct seal seal = {.key = {1}};
    struct buf out;
    buf_init(&out, 30);
    assert_int_equal(seal_value(&seal, SLICE("p"), SLICE("long"), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(argon2id_is_rfc_9106s),
        cmocka_unit_test(the_state_knows_its_passphrase),
        cmocka_unit_test(a_value_opens_in_its_place_only),
        cmocka_unit_test(a_ceiling_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
