// SPDX-License-Identifier: Apache-2.0
//
// fold_test.c: what comes out is what went in, small where texts are alike; nothing is believed.
#include "tests/unit/base/cm.h"

#include "base/container.h"
#include "base/err.h"
#include "base/fold.h"
#include "base/prng.h"
#include <stdlib.h>

#define EVENT(text)                                                                                \
    "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1694268190,"  \
    "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text           \
    "\"},\"finish_reason\":null}]}\n\n"

static char place[1 << 20];

static struct slice fold_all(const struct slice *texts, size_t count)
{
    struct fold f = {0};
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t took = fold_add(&f, texts[i], place + len);
        assert_true(took <= texts[i].len + FOLD_HEAD_BYTES);
        len += took;
    }
    return slice_of(place, len);
}

static void comes_back(const struct slice *texts, size_t count)
{
    struct buf in, out;
    buf_init(&in, 1 << 24);
    buf_init(&out, 1 << 24);
    for (size_t i = 0; i < count; i++)
        buf_add(&in, texts[i]);
    assert_int_equal(fold_read(fold_all(texts, count), &out), 0);
    assert_true(slice_eq(buf_slice(&in), buf_slice(&out)));
    buf_done(&in);
    buf_done(&out);
}

static void alike_texts_are_small(void **state)
{
    static const struct slice texts[] = {SLICE(EVENT("One")), SLICE(EVENT(" two")),
                                         SLICE(EVENT("")), SLICE(EVENT(" two"))};
    (void)state;
    comes_back(texts, ARRAY_LEN(texts));
    // The first whole behind two bytes of length; the others a byte and two parts of two bytes at
    // most, and what is new: " two", nothing (and then nothing of "One" stays), " two".
    size_t len = fold_all(texts, ARRAY_LEN(texts)).len;
    assert_true(len <= 2 + texts[0].len + 3 * 5 + 4 + 0 + 4);
}

static void others_come_back_too(void **state)
{
    static char longest[4 * FOLD_REFERENCE_BYTES];
    (void)state;
    memset(longest, 'x', sizeof longest);
    const struct slice texts[] = {
        SLICE(""),
        SLICE("a"),
        SLICE("a"),
        SLICE("aaaaaaaaaaaaaaaaaaaaaaaa"),
        SLICE("aaaaaaaaaaaaaaaa"),
        slice_of(longest, sizeof longest),
        slice_of(longest, FOLD_REFERENCE_BYTES),
        slice_of(longest, FOLD_REFERENCE_BYTES + 1),
        slice_of(longest, FOLD_REFERENCE_BYTES - 1),
        SLICE(EVENT("x")),
        SLICE("event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        SLICE(EVENT("y")),
    };
    comes_back(texts, ARRAY_LEN(texts));
}

// Random pieces of a small alphabet: all kinds of overlaps of front and back.
static void random_texts_come_back(void **state)
{
    struct prng prng;
    (void)state;
    prng_seed(&prng, 7);
    for (unsigned round = 0; round < 2000; round++) {
        char bytes[40][64];
        struct slice texts[40];
        for (unsigned i = 0; i < 40; i++) {
            size_t len = prng_below(&prng, sizeof bytes[i]);
            for (size_t k = 0; k < len; k++)
                bytes[i][k] = (char)('a' + prng_below(&prng, 8) / 7);
            texts[i] = slice_of(bytes[i], len);
        }
        comes_back(texts, 40);
    }
}

// Cut anywhere: the texts before the cut, and it is said.
static void what_is_cut_says_so(void **state)
{
    static const struct slice texts[] = {SLICE(EVENT("One")), SLICE(EVENT(" two"))};
    struct slice folded = fold_all(texts, 2);
    size_t first = fold_all(texts, 1).len;
    (void)fold_all(texts, 2);
    (void)state;
    for (size_t len = 0; len <= folded.len; len++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        bool whole = len == 0 || len == first || len == folded.len;
        assert_int_equal(fold_read(slice_take(folded, len), &out), whole ? 0 : ERR_MORE);
        buf_done(&out);
    }
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        struct slice folded;
        int err;
    } cases[] = {
        {SLICE("\x01\x01\x00"), ERR_BAD_LENGTH},             // a part of no reference
        {SLICE("\x02x\x01\x01\x01"), ERR_BAD_LENGTH},        // both parts: more than it has
        {SLICE("\xff\xff\xff\xff\xff\x01"), ERR_BAD_LENGTH}, // a number without an end
        {SLICE("\xff\xff\xff\xff\x7f"), ERR_MORE},           // a text longer than there is
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(fold_read(cases[i].folded, &out), cases[i].err);
        buf_done(&out);
    }
}

static void a_bomb_meets_the_ceiling(void **state)
{
    char folded[3 + 32 + 64 * 3];
    struct buf out;
    size_t len = 0;
    (void)state;
    folded[len++] = 32 << 1;
    memset(folded + len, 'b', 32);
    len += 32;
    for (unsigned i = 0; i < 64; i++) {
        folded[len++] = 1;
        folded[len++] = 32;
        folded[len++] = 0;
    }
    buf_init(&out, 512);
    assert_int_equal(fold_read(slice_of(folded, len), &out), ERR_LIMIT);
    assert_true(out.len <= 512);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alike_texts_are_small),  cmocka_unit_test(others_come_back_too),
        cmocka_unit_test(random_texts_come_back), cmocka_unit_test(what_is_cut_says_so),
        cmocka_unit_test(nonsense_is_refused),    cmocka_unit_test(a_bomb_meets_the_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
