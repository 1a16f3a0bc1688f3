// SPDX-License-Identifier: Apache-2.0
//
// spool_test.c: frames come out as they went in, whole or not at all, around every end of the ring.
#include "tests/unit/base/cm.h"

#include "base/prng.h"
#include "store/spool.h"
#include "store/spool_internal.h"
#include <stdlib.h>

static struct spool *make(uint64_t bytes)
{
    struct spool *s = NULL;
    assert_int_equal(spool_new(7, bytes, &s), 0);
    return s;
}

static void put(struct spool *s, const void *data, size_t len)
{
    spool_begin(s, len);
    spool_add(s, data, len);
    spool_commit(s);
}

static void expect(struct spool *s, struct slice payload)
{
    struct slice got;
    assert_int_equal(spool_next(s, &got), SPOOL_FRAME);
    assert_int_equal(got.len, payload.len);
    if (got.len > 0)
        assert_memory_equal(got.ptr, payload.ptr, got.len);
}

static void expect_empty(struct spool *s)
{
    struct slice got;
    assert_int_equal(spool_next(s, &got), SPOOL_EMPTY);
}

static void frames_lie_as_the_header_draws_them(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    put(s, "abc", 3);
    uint32_t len;
    uint64_t position;
    memcpy(&len, s->data, 4);
    memcpy(&position, s->data + 8, 8);
    assert_int_equal(len, 3);
    assert_int_equal(position, 0);
    assert_memory_equal(s->data + 16, "abc\0\0\0\0\0", 8);
    assert_int_equal(spool_head(s), 24);
    assert_memory_equal(s->header, "rgspool1", 8);
    assert_ptr_equal((char *)s->header + 64, &s->header->head);
    assert_ptr_equal((char *)s->header + 128, &s->header->tail);
    expect(s, SLICE("abc"));
    expect_empty(s);
    spool_free(s);
}

static void a_frame_that_is_being_written_is_not_there(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    spool_begin(s, 6);
    spool_add(s, "abc", 3);
    expect_empty(s);
    spool_add(s, "def", 3);
    expect_empty(s);
    spool_commit(s);
    expect(s, SLICE("abcdef"));
    spool_free(s);
}

static void any_lengths_go_round_and_round(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    struct prng prng;
    unsigned char bytes[9000];
    prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)prng_next(&prng);
    size_t queued[64];
    for (unsigned round = 0; round < 2000; round++) {
        unsigned n = 0;
        for (; n < 64; n++) {
            size_t len =
                prng_below(&prng, 4) == 0 ? prng_below(&prng, 9000) : prng_below(&prng, 300);
            if (spool_room(s) < spool_frame_bytes(len))
                break;
            queued[n] = len;
            put(s, bytes, len);
        }
        assert_true(n > 0);
        for (unsigned i = 0; i < n; i++)
            expect(s, slice_of(bytes, queued[i]));
        expect_empty(s);
        spool_release(s, s->read);
    }
    spool_free(s);
}

static void promised_room_is_kept(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    unsigned places = 0;
    while (spool_reserve(s, 1000))
        places++;
    assert_int_equal(places, SPOOL_BYTES_MIN / 1000);
    assert_true(spool_room(s) < 1000);
    char bytes[984] = {0};
    for (unsigned i = 0; i < places; i++) {
        spool_unreserve(s, 1000);
        put(s, bytes, sizeof(bytes));
    }
    assert_false(spool_reserve(s, 1000));
    struct slice got;
    for (unsigned i = 0; i < places; i++)
        assert_int_equal(spool_next(s, &got), SPOOL_FRAME);
    spool_release(s, s->read);
    assert_true(spool_reserve(s, 1000));
    spool_unreserve(s, 1000);
    spool_free(s);
}

static void a_ring_at_rest_loses_nothing(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    put(s, "first", 5);
    spool_rest(s);
    put(s, "second", 6);
    expect(s, SLICE("first"));
    spool_rest(s);
    expect(s, SLICE("second"));
    spool_free(s);
}

static void damage_is_skipped_to_the_next_whole_frame(void **state)
{
    (void)state;
    for (unsigned at = 24; at < 72; at++) { // the second frame: head and payload
        struct spool *s = make(SPOOL_BYTES_MIN);
        struct slice got;
        put(s, "first", 5);
        put(s, "0123456789012345678901234567", 28);
        put(s, "third", 5);
        s->data[at] ^= 0x10;
        expect(s, SLICE("first"));
        if (at < 24 + 16 + 28) {
            assert_int_equal(spool_next(s, &got), SPOOL_DAMAGED);
            assert_int_equal(got.len, 48);
        } else {
            expect(s, SLICE("0123456789012345678901234567")); // only filling
        }
        expect(s, SLICE("third"));
        expect_empty(s);
        spool_free(s);
    }
}

static void a_head_that_cannot_be_is_damage(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    struct slice got;
    atomic_store(&s->header->head, UINT64_C(1) << 40);
    assert_int_equal(spool_next(s, &got), SPOOL_DAMAGED);
    expect_empty(s);
    spool_free(s);
}

static void numbers_count_up(void **state)
{
    (void)state;
    struct spool *s = make(SPOOL_BYTES_MIN);
    uint32_t first = spool_number(s);
    assert_int_equal(spool_number(s), first + 1);
    assert_int_equal(atomic_load(&s->header->number), (uint32_t)(first + 2));
    spool_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_lie_as_the_header_draws_them),
        cmocka_unit_test(a_frame_that_is_being_written_is_not_there),
        cmocka_unit_test(any_lengths_go_round_and_round),
        cmocka_unit_test(promised_room_is_kept),
        cmocka_unit_test(a_ring_at_rest_loses_nothing),
        cmocka_unit_test(damage_is_skipped_to_the_next_whole_frame),
        cmocka_unit_test(a_head_that_cannot_be_is_damage),
        cmocka_unit_test(numbers_count_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
