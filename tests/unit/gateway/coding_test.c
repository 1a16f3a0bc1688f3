// SPDX-License-Identifier: Apache-2.0
//
// coding_test.c: each coding taken off in pieces of any size, and what is no such data.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "base/err.h"
#include "gateway/coding.h"
#include "tests/support/packer.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES 200000
#define ROOM       (2 * TEXT_BYTES + 4096)

static struct block_pool blocks;
static struct arena arena;
static char text[TEXT_BYTES], packed[2 * TEXT_BYTES + 4096], got[ROOM];

static int begin(void **state)
{
    (void)state;
    block_pool_init(&blocks, 4);
    arena_init(&arena, &blocks, 1 << 20);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i % 700 < 600 ? 'a' : 'b' + (char)(i * 7 % 23));
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_done(&arena);
    block_pool_done(&blocks);
    return 0;
}

// In steps of at most `in_step` and `out_step`: the error or 0, what came out, whether it may end
// there.
static int take_off(const char *name, struct slice in, size_t in_step, size_t out_step,
                    size_t *ret_len, bool *ret_whole)
{
    struct coding *c = NULL;
    size_t len = 0, n = 0, room = 1;
    int rc = coding_new(&arena, coding_find(slice_str(name)), &c);
    assert_int_equal(rc, 0);
    while (rc == 0 && (in.len > 0 || n == room)) {
        struct slice piece = slice_take(in, in_step);
        size_t given = piece.len;
        room = ROOM - len < out_step ? ROOM - len : out_step;
        assert_true(room > 0);
        rc = coding_step(c, &piece, got + len, room, &n);
        if (rc == 0) {
            assert_true(n <= room && (piece.len == 0 || n == room));
            len += n;
            in = slice_skip(in, given - piece.len);
        }
    }
    *ret_len = len;
    *ret_whole = coding_is_whole(c);
    coding_free(c);
    arena_done(&arena);
    arena_init(&arena, &blocks, 1 << 20);
    return rc;
}

static void every_coding_in_every_step(void **state)
{
    static const size_t out_steps[] = {1000, 32768, ROOM};
    size_t len;
    bool whole;
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        size_t n = pack(p, slice_of(text, sizeof(text)), packed, sizeof(packed));
        for (size_t step = 1; step <= n; step = step * 3 + 1) {
            for (size_t o = 0; o < ARRAY_LEN(out_steps); o++) {
                assert_int_equal(take_off(packing_names[p], slice_of(packed, n), step, out_steps[o],
                                          &len, &whole),
                                 0);
                assert_true(whole);
                assert_int_equal(len, sizeof(text));
                assert_memory_equal(got, text, sizeof(text));
            }
        }
    }
}

static void nothing_is_a_text_too(void **state)
{
    size_t len;
    bool whole;
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        size_t n = pack(p, SLICE(""), packed, sizeof(packed));
        assert_int_equal(take_off(packing_names[p], slice_of(packed, n), n, 10, &len, &whole), 0);
        assert_true(whole && len == 0);
    }
}

// RFC 1952, 2.2 and RFC 8878, 3: a file may be several. The others end once.
static void what_may_repeat_repeats(void **state)
{
    size_t len;
    bool whole;
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        bool repeats = p == PACK_GZIP || p == PACK_ZSTD;
        size_t n = pack(p, slice_of(text, sizeof(text)), packed, sizeof(packed));
        assert_true(2 * n <= sizeof(packed));
        memcpy(packed + n, packed, n);
        for (size_t step = 7; step < 3 * n; step = step * 5) {
            int rc = take_off(packing_names[p], slice_of(packed, 2 * n), step, 999, &len, &whole);
            assert_int_equal(rc, repeats ? 0 : ERR_BAD_PACKED);
            assert_true(whole);
            if (repeats) {
                assert_int_equal(len, 2 * sizeof(text));
                assert_memory_equal(got + sizeof(text), text, sizeof(text));
            }
        }
    }
}

static void what_is_cut_is_not_whole(void **state)
{
    size_t len;
    bool whole;
    (void)state;
    for (enum packing p = 0; p < PACK_COUNT; p++) {
        size_t n = pack(p, slice_of(text, 3000), packed, sizeof(packed));
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(
                take_off(packing_names[p], slice_of(packed, cut), 50, 999, &len, &whole), 0);
            assert_false(whole);
        }
    }
}

static void garbage_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct slice data;
    } cases[] = {
        {"gzip", SLICE("plain text")},
        {"gzip", SLICE("\x1f\x8b\x09\0\0\0\0\0\0\3")}, // a method that does not exist
        {"deflate", SLICE("\x07plain text")},          // a block type that does not exist
        {"deflate", SLICE("\x78\x9d\1\0\0\xff\xff")},  // the header's check is wrong
        {"deflate", SLICE("\x78\xbb\0\0\0\0\0")},      // wants a dictionary
        {"br", SLICE("\xff\xff\xff\xff\xff\xff")},
        {"zstd", SLICE("plain text")},
        {"zstd", SLICE("\x27\xb5\x2f\xfd\x20\0\0\0")},         // zstd 0.7's magic number
        {"zstd", SLICE("\x28\xb5\x2f\xfd\0\x70\1\0\0")},       // a window of 16 MB
        {"zstd", SLICE("\x28\xb5\x2f\xfd\x21\x05\x02\1\0\0")}, // wants dictionary 5
    };
    size_t len;
    bool whole;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int rc = take_off(cases[i].name, cases[i].data, 3, 100, &len, &whole);
        if (rc != ERR_BAD_PACKED || whole)
            fail_msg("case %zu: %s, whole: %d", i, err_name(rc), whole);
    }
}

static void a_changed_byte_is_noticed(void **state)
{
    size_t len;
    bool whole;
    (void)state;
    // Those with a check sum of the text (zstd's is off unless asked for).
    static const enum packing checked[] = {PACK_GZIP, PACK_ZLIB};
    for (size_t i = 0; i < ARRAY_LEN(checked); i++) {
        size_t n = pack(checked[i], slice_of(text, 3000), packed, sizeof(packed));
        packed[n - 3] = (char)(packed[n - 3] ^ 1);
        assert_int_equal(
            take_off(packing_names[checked[i]], slice_of(packed, n), n, 999, &len, &whole),
            ERR_BAD_PACKED);
    }
}

// RFC 8878, 3.1.2.
static void frames_that_say_nothing_are_skipped(void **state)
{
    size_t len, n;
    bool whole;
    (void)state;
    memcpy(packed, "\x5a\x2a\x4d\x18\3\0\0\0abc", 11);
    n = 11 + pack(PACK_ZSTD, SLICE("text"), packed + 11, sizeof(packed) - 11);
    for (size_t step = 1; step <= n; step++) {
        assert_int_equal(take_off("zstd", slice_of(packed, n), step, 100, &len, &whole), 0);
        assert_true(whole && len == 4 && memcmp(got, "text", 4) == 0);
        assert_int_equal(take_off("zstd", slice_of(packed, 11), step, 100, &len, &whole), 0);
        assert_true(whole && len == 0);
    }
}

static void names_are_found(void **state)
{
    (void)state;
    assert_non_null(coding_find(SLICE("GZIP")));
    assert_non_null(coding_find(SLICE("x-gzip")));
    assert_non_null(coding_find(SLICE("Br")));
    assert_null(coding_find(SLICE("compress")));
    assert_null(coding_find(SLICE("")));
    assert_null(coding_find(SLICE("identity")));
}

static void memory_that_is_short_is_said(void **state)
{
    struct coding *c;
    (void)state;
    struct arena small;
    arena_init(&small, &blocks, 6000);
    assert_int_equal(coding_new(&small, coding_find(SLICE("gzip")), &c), ERR_NOMEM);
    arena_done(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_in_every_step),
        cmocka_unit_test(nothing_is_a_text_too),
        cmocka_unit_test(what_may_repeat_repeats),
        cmocka_unit_test(what_is_cut_is_not_whole),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(a_changed_byte_is_noticed),
        cmocka_unit_test(frames_that_say_nothing_are_skipped),
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(memory_that_is_short_is_said),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
