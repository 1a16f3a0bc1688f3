// SPDX-License-Identifier: Apache-2.0
//
// digest_test.c: rows come back from columns of every width; the layout is the documented one.
#include "tests/unit/base/cm.h"

#include "base/err.h"
#include "base/prng.h"
#include "store/digest.h"
#include <stdlib.h>

static struct buf packed(const struct digest_row *rows, unsigned count)
{
    struct buf b;
    buf_init(&b, DIGEST_BYTES_MAX);
    digest_write(rows, count, &b);
    assert_int_equal(b.err, 0);
    return b;
}

static void one_row_lies_as_the_header_draws_it(void **state)
{
    (void)state;
    struct digest_row row = {.column = {[DIGEST_TIME] = 0x0102030405060708}};
    struct buf b = packed(&row, 1);
    assert_int_equal(b.len, 12 + 9 * DIGEST_COLUMNS + 4);
    assert_memory_equal(b.ptr, "\x01\x11\x01\x00\x08\x07\x06\x05\x04\x03\x02\x01", 12);
    assert_memory_equal(b.ptr + 12, "\x00\x08\x07\x06\x05\x04\x03\x02\x01", 9);
    buf_done(&b);
}

static void random_rows_come_back(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 2);
    struct digest_row *rows = calloc(STORE_DIGEST_ROWS, sizeof(*rows));
    for (unsigned round = 0; round < 100; round++) {
        unsigned count = 1 + (unsigned)prng_below(&prng, STORE_DIGEST_ROWS);
        for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
            uint64_t base = prng_next(&prng);
            unsigned bits = (unsigned)prng_below(&prng, 65);
            for (unsigned i = 0; i < count; i++)
                rows[i].column[c] = base + (bits == 0 ? 0 : prng_next(&prng) >> (64 - bits));
        }
        struct buf b = packed(rows, count);
        struct digest_view view;
        assert_int_equal(digest_read(buf_slice(&b), &view), 0);
        assert_int_equal(view.rows, count);
        uint64_t min = UINT64_MAX, max = 0;
        for (unsigned i = 0; i < count; i++) {
            struct digest_row row;
            digest_get_row(&view, i, &row);
            assert_memory_equal(&row, &rows[i], sizeof(row));
            min = row.column[DIGEST_TIME] < min ? row.column[DIGEST_TIME] : min;
            max = row.column[DIGEST_TIME] > max ? row.column[DIGEST_TIME] : max;
        }
        assert_true(view.time_min == min && view.time_max == max);
        assert_true(digest_name(rows, count).time_us == min);
        for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
            uint64_t column[STORE_DIGEST_ROWS];
            digest_get_column(&view, (enum digest_column)c, column);
            for (unsigned i = 0; i < count; i++)
                assert_true(column[i] == rows[i].column[c]);
        }
        buf_done(&b);
    }
    free(rows);
}

static void small_debts_and_credits_are_small_entries(void **state)
{
    (void)state;
    struct digest_row rows[2] = {{.column = {[DIGEST_COST] = (uint64_t)-3}},
                                 {.column = {[DIGEST_COST] = 4}}};
    struct buf b = packed(rows, 2);
    struct digest_view view;
    assert_int_equal(digest_read(buf_slice(&b), &view), 0);
    assert_int_equal(view.width[DIGEST_COST], 1);
    buf_done(&b);
}

static void damage_is_refused(void **state)
{
    (void)state;
    struct digest_row rows[3] = {{.column = {1, 2, 3}}, {.column = {500, 2, 4}}};
    struct buf b = packed(rows, 3);
    struct digest_view view;
    for (size_t i = 0; i < b.len; i++) {
        b.ptr[i] ^= 1;
        assert_true(digest_read(buf_slice(&b), &view) < 0);
        b.ptr[i] ^= 1;
        assert_true(digest_read(slice_take(buf_slice(&b), i), &view) < 0);
    }
    b.ptr[0] = 2;
    assert_int_equal(digest_read(buf_slice(&b), &view), ERR_UNSUPPORTED);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_row_lies_as_the_header_draws_it),
        cmocka_unit_test(random_rows_come_back),
        cmocka_unit_test(small_debts_and_credits_are_small_entries),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
