// SPDX-License-Identifier: Apache-2.0
//
// kept_test.c: what passed is there, in little room, and what did not fit is said.
#include "tests/unit/base/cm.h"

#include "base/container.h"
#include "base/err.h"
#include "gateway/kept.h"
#include <stdio.h>
#include <stdlib.h>

static struct block_pool pool;
static struct arena arena;
static size_t of_core;
static struct kept kept;

static int set_up(void **state)
{
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, (size_t)256 << 20);
    of_core = 0;
    kept_init(&kept, &arena, &of_core);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kept_done(&kept);
    assert_int_equal(of_core, 0);
    arena_done(&arena);
    block_pool_done(&pool);
    return 0;
}

static struct slice event(char text[256], unsigned n)
{
    int len = snprintf(text, 256,
                       "data: {\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\","
                       "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" w%u\"}}]}\n\n",
                       n);
    return slice_of(text, (size_t)len);
}

static void unfolds_to(struct slice expected)
{
    struct buf out;
    buf_init(&out, (size_t)256 << 20);
    assert_true(kept.folded);
    assert_int_equal(fold_read(kept_join(&kept), &out), 0);
    assert_true(slice_eq(buf_slice(&out), expected));
    buf_done(&out);
}

static void nothing_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(kept_join(&kept).len, 0);
    assert_false(kept.cut || kept.folded);
    assert_int_equal(arena.bytes, 0);
}

// Singly and in runs: the same.
static void events_come_back_and_are_small(void **state)
{
    struct buf all;
    char text[256];
    (void)state;
    buf_init(&all, 1 << 20);
    for (unsigned i = 0; i < 1000; i++) {
        size_t before = all.len;
        buf_add(&all, event(text, i));
        if (i % 10 >= 5)
            buf_add(&all, event(text, i));
        struct slice added = slice_skip(buf_slice(&all), before);
        if (i % 10 < 5)
            kept_event(&kept, added);
        else
            kept_run(&kept, added);
    }
    unfolds_to(buf_slice(&all));
    assert_false(kept.cut);
    // Three numbers, the longest of two bytes, and at most four digits that differ.
    assert_true(kept.bytes < 1500 * 8 + 512);
    // Pieces double: no more than twice what is kept, and the first of them.
    assert_true(of_core < 2 * kept.bytes + 2048);
    buf_done(&all);
}

static void an_answer_meets_its_ceiling(void **state)
{
    static char text[KEPT_BYTES_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 23);
    struct slice span = slice_of(text, 100000);
    for (unsigned i = 0; i < 5; i++)
        kept_span(&kept, span);
    assert_false(kept.cut);
    assert_int_equal(kept.bytes, 500000);
    kept_span(&kept, span);
    assert_true(kept.cut);
    struct slice all = kept_join(&kept);
    assert_int_equal(all.len, KEPT_BYTES_MAX);
    assert_memory_equal(all.ptr + 400000, text, 100000);
    assert_memory_equal(all.ptr + 500000, text, KEPT_BYTES_MAX - 500000);
    assert_false(kept.folded);
}

// The events in front of the one that does not fit, whole, and none behind it.
static void a_stream_is_cut_between_events(void **state)
{
    static char long_one[KEPT_BYTES_MAX];
    char text[256], other[256];
    (void)state;
    memset(long_one, 'x', sizeof long_one);
    kept_event(&kept, event(text, 1));
    kept_event(&kept, slice_of(long_one, sizeof long_one));
    assert_true(kept.cut);
    kept_event(&kept, event(other, 2));
    unfolds_to(event(text, 1));
}

static void a_core_has_its_ceiling(void **state)
{
    char text[256];
    (void)state;
    of_core = KEPT_CORE_BYTES_MAX - 600;
    kept_event(&kept, event(text, 1));
    assert_false(kept.cut);
    assert_false(kept_reserve(&kept, 200));
    while (!kept.cut)
        kept_event(&kept, slice_of(text, (size_t)event(text, 2).len));
    assert_int_equal(of_core, KEPT_CORE_BYTES_MAX - 600 + 512);
    kept_done(&kept);
    kept_done(&kept); // once is enough
    assert_int_equal(of_core, KEPT_CORE_BYTES_MAX - 600);
    of_core = 0;
}

static void without_memory_it_is_cut(void **state)
{
    struct arena small;
    char text[256];
    (void)state;
    arena_init(&small, &pool, 0);
    kept_done(&kept);
    kept_init(&kept, &small, &of_core);
    kept_event(&kept, event(text, 1));
    assert_true(kept.cut);
    assert_int_equal(kept_join(&kept).len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_nothing),          TEST(events_come_back_and_are_small),
        TEST(an_answer_meets_its_ceiling), TEST(a_stream_is_cut_between_events),
        TEST(a_core_has_its_ceiling),      TEST(without_memory_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
