// SPDX-License-Identifier: Apache-2.0
//
// record_test.c: a record survives the ring; what is cut says so; what is damaged is refused.
#include "tests/unit/store/fixture.h"

#include "store/record.h"

static struct slice through(struct spool *spool, const struct store_record *r, enum store_kept kept,
                            unsigned flags)
{
    struct slice payload;
    record_put(spool, r, NULL, kept, flags, 99);
    assert_int_equal(spool_next(spool, &payload), SPOOL_FRAME);
    assert_int_equal(payload.len, record_bytes(r, NULL, kept));
    spool_release(spool, spool->read);
    return payload;
}

static void everything_comes_back(void **state)
{
    (void)state;
    struct spool *spool;
    struct record_view v;
    assert_int_equal(spool_new(0, 4 << 20, &spool), 0);
    struct store_record r = sample(T0_US + 5);
    r.streamed = r.cost_estimated = true;
    r.cached_read_tokens = UINT64_MAX;
    r.cached_write_tokens = 4;
    r.cost = INT64_MIN;
    r.latency_ms = UINT32_MAX;
    r.status = 499;
    r.request = SLICE("question");
    r.answer = SLICE("answer!");
    r.moves = STORE_MOVES_MAX;
    for (unsigned i = 0; i < r.moves; i++)
        r.move[i] = (struct store_move){SLICE("counter"), i, -(int64_t)i};
    assert_int_equal(record_read(through(spool, &r, STORE_KEPT_ALL, 0), &v), 0);
    assert_int_equal(v.record.time.ns, r.time.ns);
    assert_int_equal(v.id.number, 99);
    assert_int_equal(v.id.time_us, T0_US + 5);
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        assert_true(slice_eq(v.record.word[i], r.word[i]));
    assert_int_equal(v.record.status, 499);
    assert_true(v.record.streamed && v.record.usage_known && v.record.cost_estimated);
    assert_int_equal(v.record.latency_ms, UINT32_MAX);
    assert_true(v.record.cached_read_tokens == UINT64_MAX);
    assert_int_equal(v.record.cached_write_tokens, 4);
    assert_true(v.record.cost == INT64_MIN);
    assert_int_equal(v.record.moves, STORE_MOVES_MAX);
    assert_int_equal(v.record.move[15].delta, -15);
    assert_int_equal(v.record.move[15].window, 15);
    assert_true(slice_eq(v.record.move[15].counter, SLICE("counter")));
    assert_true(slice_eq(v.record.row, r.row));
    assert_true(slice_eq(v.record.request, r.request));
    assert_true(slice_eq(v.record.answer, r.answer));

    assert_int_equal(
        record_read(through(spool, &r, STORE_KEPT_NO_CONTENT, RECORD_LOST_CONTENT), &v), 0);
    assert_true(slice_eq(v.record.row, r.row));
    assert_int_equal(v.record.request.len + v.record.answer.len, 0);
    assert_true(v.flags & RECORD_LOST_CONTENT);
    assert_int_equal(record_read(through(spool, &r, STORE_KEPT_USAGE, RECORD_LOST_ROW), &v), 0);
    assert_int_equal(v.record.row.len, 0);
    assert_int_equal(v.record.moves, STORE_MOVES_MAX);
    spool_free(spool);
}

static void the_largest_usage_fits_its_place(void **state)
{
    (void)state;
    char word[4 * STORE_WORD_BYTES_MAX];
    memset(word, 'w', sizeof(word));
    struct store_record r = {.moves = STORE_MOVES_MAX};
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        r.word[i] = slice_of(word, sizeof(word));
    for (unsigned i = 0; i < STORE_MOVES_MAX; i++)
        r.move[i].counter = slice_of(word, STORE_WORD_BYTES_MAX);
    record_trim(&r);
    assert_int_equal(spool_frame_bytes(record_bytes(&r, NULL, STORE_KEPT_USAGE)),
                     RECORD_USAGE_BYTES_MAX);
}

static void words_and_content_are_cut_between_characters(void **state)
{
    (void)state;
    static char text[STORE_CONTENT_BYTES_MAX];
    for (size_t i = 0; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2); // é
    struct store_record r = {.word = {slice_of("x\xc3\xa9", 3)}};
    char word[STORE_WORD_BYTES_MAX + 1];
    memset(word, 'w', sizeof(word));
    memcpy(word + STORE_WORD_BYTES_MAX - 1, "\xc3\xa9", 2);
    r.word[1] = slice_of(word, sizeof(word));
    r.request = slice_of(text, sizeof(text));
    r.answer = SLICE("short");
    assert_int_equal(record_trim(&r), RECORD_CUT);
    assert_int_equal(r.word[0].len, 3);
    assert_int_equal(r.word[1].len, STORE_WORD_BYTES_MAX - 1);
    assert_int_equal(r.answer.len, 5);
    assert_int_equal(r.request.len, STORE_CONTENT_BYTES_MAX - 6); // an odd byte less
    r.request = r.answer = slice_of(text, sizeof(text));
    assert_int_equal(record_trim(&r), RECORD_CUT);
    assert_int_equal(r.request.len, STORE_CONTENT_BYTES_MAX / 2);
    assert_int_equal(r.answer.len, STORE_CONTENT_BYTES_MAX / 2);
    assert_int_equal(record_trim(&r), 0);
}

static void no_prefix_of_a_record_is_one(void **state)
{
    (void)state;
    struct spool *spool;
    struct record_view v;
    assert_int_equal(spool_new(0, 4 << 20, &spool), 0);
    struct store_record r = sample(T0_US);
    r.moves = 1;
    r.move[0] = (struct store_move){SLICE("c"), 1, 1};
    struct slice payload = through(spool, &r, STORE_KEPT_ALL, 0);
    for (size_t len = 0; len < payload.len; len++)
        assert_int_equal(record_read(slice_take(payload, len), &v), ERR_BAD_LENGTH);
    ((char *)payload.ptr)[0] = 2;
    assert_int_equal(record_read(payload, &v), ERR_UNSUPPORTED);
    spool_free(spool);
}

static void content_has_its_layout(void **state)
{
    (void)state;
    struct slice request, answer;
    unsigned flags;
    assert_int_equal(
        record_content_read(slice_of("\1\100\0\0\0\3abcde", 11), &request, &answer, &flags), 0);
    assert_true(slice_eq(request, SLICE("abc")) && slice_eq(answer, SLICE("de")));
    assert_int_equal(flags, RECORD_CUT);
    assert_int_equal(
        record_content_read(slice_of("\1\0\0\0\0\6abcde", 11), &request, &answer, &flags),
        ERR_BAD_LENGTH);
    assert_int_equal(record_content_read(slice_of("\2\0\0\0\0\0", 6), &request, &answer, &flags),
                     ERR_BAD_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(the_largest_usage_fits_its_place),
        cmocka_unit_test(words_and_content_are_cut_between_characters),
        cmocka_unit_test(no_prefix_of_a_record_is_one),
        cmocka_unit_test(content_has_its_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
