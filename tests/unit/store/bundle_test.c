// SPDX-License-Identifier: Apache-2.0
//
// bundle_test.c: what comes out of a bundle is what went in; what is damaged is refused.
#include "tests/unit/base/cm.h"

#include "base/err.h"
#include "base/prng.h"
#include "store/bundle.h"
#include "store/crc.h"
#include "store/keys.h"
#include <stdio.h>

#define T0_US UINT64_C(1700000000000000)

static struct store_id id_at(uint64_t us, uint32_t number)
{
    return (struct store_id){.time_us = T0_US + us, .ring = 3, .number = number};
}

static void add(struct bundle *b, struct store_id id, struct slice entry)
{
    assert_true(bundle_takes(b, id, entry.len));
    assert_int_equal(bundle_add(b, id, &entry, 1), 0);
}

struct stored {
    struct bundle bundle;
    struct packer *packer;
    struct buf out, entries;
};

static void setup(struct stored *x)
{
    bundle_init(&x->bundle);
    x->packer = packer_new();
    assert_non_null(x->packer);
    buf_init(&x->out, BUNDLE_HEAD_BYTES + BUNDLE_BYTES_MAX);
    buf_init(&x->entries, BUNDLE_BYTES_MAX);
}

static void teardown(struct stored *x)
{
    bundle_done(&x->bundle);
    packer_free(x->packer);
    buf_done(&x->out);
    buf_done(&x->entries);
}

static void write_and_read(struct stored *x, struct packer *packer)
{
    buf_reset(&x->out);
    assert_int_equal(bundle_write(&x->bundle, packer, &x->out), 0);
    assert_int_equal(bundle_read(buf_slice(&x->out), &x->entries), 0);
    assert_true(slice_eq(buf_slice(&x->entries), buf_slice(&x->bundle.entries)));
}

// ---- In and out ------------------------------------------------------------------------------

static void a_small_bundle_has_these_bytes(void **state)
{
    (void)state;
    static const unsigned char golden[] = {
        'r',  'g',  'b',  '1',  0,    0,    0,    38,   // lengths: no fewer
        0,    0,    0,    38,   0x35, 0x9e, 0x6f, 0xd0, // than unpacked; CRC-32C
        0,    0,    0,    2,    0,    1,    0x11, 0x70, // of 2 bytes, number 70,000
        0x00, 0x06, 0x0a, 0x24, 0x18, 0x1e, 0x40, 0x00, 'h',  'i',  0,    0,   0,   4,   0,
        1,    0x11, 0x71, 0x00, 0x06, 0x0a, 0x24, 0x18, 0x1e, 0x40, 0x01, 'm', 'o', 'r', 'e'};
    const struct slice parts[3] = {SLICE("m"), SLICE_EMPTY, SLICE("ore")};
    struct stored x;
    setup(&x);
    add(&x.bundle, id_at(0, 70000), SLICE("hi"));
    assert_int_equal(bundle_add(&x.bundle, id_at(1, 70001), parts, 3), 0);
    write_and_read(&x, x.packer);
    assert_int_equal(x.out.len, sizeof(golden));
    assert_memory_equal(x.out.ptr, golden, sizeof(golden));
    struct slice rest = buf_slice(&x.entries);
    struct bundle_entry e;
    assert_true(bundle_next(&rest, &e));
    assert_int_equal(e.number, 70000);
    assert_int_equal(e.time_us, T0_US);
    assert_true(slice_eq(e.bytes, SLICE("hi")));
    assert_true(bundle_next(&rest, &e));
    assert_int_equal(e.number, 70001);
    assert_int_equal(e.time_us, T0_US + 1);
    assert_true(slice_eq(e.bytes, SLICE("more")));
    assert_false(bundle_next(&rest, &e));
    teardown(&x);
}

static void rows_that_are_alike_are_packed(void **state)
{
    (void)state;
    char row[200];
    struct stored x;
    setup(&x);
    for (uint32_t i = 0; i < 200; i++) {
        int len = snprintf(row, sizeof(row), "{\"id\":%u,\"model\":\"gpt-4o\",\"status\":200}", i);
        add(&x.bundle, id_at(i, i), slice_of(row, (size_t)len));
    }
    for (unsigned round = 0; round < 3; round++) { // the packer goes on
        write_and_read(&x, x.packer);
        assert_true(x.out.len < x.bundle.entries.len / 2);
        assert_int_equal(keys_u32(x.out.ptr + 4), x.out.len - BUNDLE_HEAD_BYTES);
        assert_int_equal(keys_u32(x.out.ptr + 8), x.bundle.entries.len);
    }
    write_and_read(&x, NULL); // in haste
    assert_int_equal(x.out.len, BUNDLE_HEAD_BYTES + x.bundle.entries.len);
    teardown(&x);
}

static void what_is_not_worth_it_is_not_packed(void **state)
{
    (void)state;
    static char noise[30000];
    struct stored x;
    setup(&x);
    assert_int_equal(random_bytes(noise, sizeof(noise)), 0);
    for (unsigned round = 0; round < 3; round++) {
        bundle_reset(&x.bundle);
        add(&x.bundle, id_at(0, 0), slice_of(noise, sizeof(noise)));
        write_and_read(&x, x.packer);
        assert_int_equal(x.out.len, BUNDLE_HEAD_BYTES + x.bundle.entries.len);
        // What failed to pack leaves nothing behind that would spoil the next one.
        bundle_reset(&x.bundle);
        memset(noise + 100, (int)round, 20000);
        add(&x.bundle, id_at(0, 0), slice_of(noise, sizeof(noise)));
        write_and_read(&x, x.packer);
        assert_true(x.out.len < 11000);
        assert_int_equal(random_bytes(noise, sizeof(noise)), 0);
    }
    // It would be shorter, but not by much.
    bundle_reset(&x.bundle);
    memcpy(noise + 500, noise, 24);
    add(&x.bundle, id_at(0, 0), slice_of(noise, 1000));
    write_and_read(&x, x.packer);
    assert_int_equal(x.out.len, BUNDLE_HEAD_BYTES + x.bundle.entries.len);
    bundle_reset(&x.bundle);
    add(&x.bundle, id_at(0, 0),
        SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")); // 64 bytes
    write_and_read(&x, x.packer);
    assert_int_equal(x.out.len, BUNDLE_HEAD_BYTES + 64);
    teardown(&x);
}

static void an_empty_entry_is_one(void **state)
{
    (void)state;
    struct stored x;
    struct bundle_entry e;
    setup(&x);
    add(&x.bundle, id_at(5, 6), SLICE_EMPTY);
    write_and_read(&x, x.packer);
    struct slice rest = buf_slice(&x.entries);
    assert_true(bundle_next(&rest, &e));
    assert_int_equal(e.number, 6);
    assert_int_equal(e.bytes.len, 0);
    teardown(&x);
}

// ---- Bounds ----------------------------------------------------------------------------------

static void it_spans_no_more_than_its_span(void **state)
{
    (void)state;
    struct stored x;
    setup(&x);
    const uint64_t at = 10 * BUNDLE_SPAN_US;
    add(&x.bundle, id_at(at, 1), SLICE("x"));
    assert_true(bundle_takes(&x.bundle, id_at(at + BUNDLE_SPAN_US, 2), 1));
    assert_false(bundle_takes(&x.bundle, id_at(at + BUNDLE_SPAN_US + 1, 2), 1));
    assert_true(bundle_takes(&x.bundle, id_at(at - BUNDLE_SPAN_US, 2), 1)); // the clock went back
    assert_false(bundle_takes(&x.bundle, id_at(at - BUNDLE_SPAN_US - 1, 2), 1));
    add(&x.bundle, id_at(at - 100, 2), SLICE("x"));
    assert_int_equal(x.bundle.name.time_us, T0_US + at - 100);
    assert_int_equal(x.bundle.name.number, 2);
    assert_int_equal(x.bundle.last_us, T0_US + at);
    assert_false(bundle_takes(&x.bundle, id_at(at - 100 + BUNDLE_SPAN_US + 1, 3), 1));
    struct store_id other = id_at(at, 3);
    other.ring = 4;
    assert_false(bundle_takes(&x.bundle, other, 1));
    bundle_reset(&x.bundle);
    assert_true(bundle_takes(&x.bundle, other, 1));
    teardown(&x);
}

static void it_has_no_more_than_its_bytes(void **state)
{
    (void)state;
    static char body[BUNDLE_BYTES_MAX];
    struct stored x;
    setup(&x);
    add(&x.bundle, id_at(0, 0), slice_of(body, 1000));
    const size_t left = BUNDLE_BYTES - (1000 + BUNDLE_ENTRY_BYTES);
    assert_true(bundle_takes(&x.bundle, id_at(0, 1), left - BUNDLE_ENTRY_BYTES));
    assert_false(bundle_takes(&x.bundle, id_at(0, 1), left - BUNDLE_ENTRY_BYTES + 1));
    // What is longer has one of its own, up to the longest of all.
    bundle_reset(&x.bundle);
    const size_t longest = BUNDLE_BYTES_MAX - BUNDLE_ENTRY_BYTES;
    add(&x.bundle, id_at(0, 0), slice_of(body, longest));
    assert_false(bundle_takes(&x.bundle, id_at(0, 1), 1));
    write_and_read(&x, x.packer);
    write_and_read(&x, NULL);
    bundle_reset(&x.bundle);
    const struct slice longer = slice_of(body, longest + 1);
    assert_int_equal(bundle_add(&x.bundle, id_at(0, 0), &longer, 1), ERR_LIMIT);
    assert_int_equal(x.bundle.count, 0);
    add(&x.bundle, id_at(0, 0), SLICE("it goes on"));
    write_and_read(&x, x.packer);
    teardown(&x);
}

// ---- Damage ----------------------------------------------------------------------------------

static void refused(struct stored *x, struct slice stored)
{
    assert_int_equal(bundle_read(stored, &x->entries), ERR_BAD_LENGTH);
}

static void seal_again(struct buf *out)
{
    struct slice body = slice_skip(buf_slice(out), BUNDLE_HEAD_BYTES);
    keys_put_u32((unsigned char *)out->ptr + 12, crc_add(0, body.ptr, body.len));
}

static void what_is_damaged_is_refused(void **state)
{
    (void)state;
    static char body[5000];
    struct stored x;
    setup(&x);
    for (unsigned packed = 0; packed < 2; packed++) {
        bundle_reset(&x.bundle);
        add(&x.bundle, id_at(0, 0), slice_of(body, packed ? sizeof(body) : 40));
        write_and_read(&x, x.packer);
        // Any byte of it, and any length but its own.
        for (size_t at = 0; at < x.out.len; at++) {
            x.out.ptr[at] = (char)(x.out.ptr[at] ^ 0x20);
            refused(&x, buf_slice(&x.out));
            x.out.ptr[at] = (char)(x.out.ptr[at] ^ 0x20);
            refused(&x, slice_take(buf_slice(&x.out), at));
        }
        buf_add_char(&x.out, 0);
        refused(&x, buf_slice(&x.out));
        x.out.len--;
        assert_int_equal(bundle_read(buf_slice(&x.out), &x.entries), 0);
    }
    teardown(&x);
}

// A sum that is right does not make lengths right.
static void lengths_are_not_trusted(void **state)
{
    (void)state;
    static char body[5000];
    static const uint32_t lengths[] = {0,         4999, 5015, 5017, 100000, BUNDLE_BYTES_MAX + 1,
                                       UINT32_MAX};
    struct stored x;
    setup(&x);
    add(&x.bundle, id_at(0, 0), slice_of(body, sizeof(body)));
    write_and_read(&x, x.packer);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        keys_put_u32((unsigned char *)x.out.ptr + 8, lengths[i]);
        refused(&x, buf_slice(&x.out));
    }
    keys_put_u32((unsigned char *)x.out.ptr + 8, 5016);
    assert_int_equal(bundle_read(buf_slice(&x.out), &x.entries), 0);
    memset(x.out.ptr + BUNDLE_HEAD_BYTES, 0xff, x.out.len - BUNDLE_HEAD_BYTES); // no LZ4
    seal_again(&x.out);
    refused(&x, buf_slice(&x.out));
    teardown(&x);
}

static void entries_end_where_they_are_cut(void **state)
{
    (void)state;
    struct stored x;
    struct bundle_entry e;
    setup(&x);
    add(&x.bundle, id_at(0, 0), SLICE("entry"));
    struct slice whole = buf_slice(&x.bundle.entries);
    for (size_t len = 0; len < whole.len; len++) {
        struct slice rest = slice_take(whole, len);
        assert_false(bundle_next(&rest, &e));
        assert_int_equal(rest.len, len);
    }
    assert_true(bundle_next(&whole, &e));
    teardown(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_bundle_has_these_bytes),
        cmocka_unit_test(rows_that_are_alike_are_packed),
        cmocka_unit_test(what_is_not_worth_it_is_not_packed),
        cmocka_unit_test(an_empty_entry_is_one),
        cmocka_unit_test(it_spans_no_more_than_its_span),
        cmocka_unit_test(it_has_no_more_than_its_bytes),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(lengths_are_not_trusted),
        cmocka_unit_test(entries_end_where_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
