// SPDX-License-Identifier: Apache-2.0
//
// arena_test.c: alignment, the ceiling, large blocks, and that everything goes back.
#include "tests/unit/base/cm.h"

#include "base/arena.h"
#include "base/poison.h"
#include "base/prng.h"
#include <stdlib.h>

static void takes_nothing_until_asked(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, 1 << 20);
    assert_int_equal(a.bytes, 0);
    arena_done(&a);
    block_pool_done(&pool);
}

static void pieces_do_not_touch(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct block_pool pool;
    struct arena a;
    struct prng p;
    unsigned char *ptr[N];
    size_t len[N];
    prng_seed(&p, 3);
    block_pool_init(&pool, 8);
    arena_init(&a, &pool, (size_t)64 << 20);
    for (int i = 0; i < N; i++) {
        len[i] = prng_below(&p, i % 50 == 0 ? 20000 : 300);
        if (i % 3 == 0) {
            ptr[i] = (unsigned char *)arena_bytes(&a, len[i]);
        } else {
            ptr[i] = i % 3 == 1 ? arena_alloc(&a, len[i]) : arena_zalloc(&a, len[i]);
            assert_int_equal((uintptr_t)ptr[i] % 16, 0);
        }
        assert_non_null(ptr[i]);
        for (size_t k = 0; i % 3 == 2 && k < len[i]; k++)
            assert_int_equal(ptr[i][k], 0);
        memset(ptr[i], i & 0xff, len[i]);
    }
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < len[i]; k++)
            assert_int_equal(ptr[i][k], i & 0xff);
    }
    arena_done(&a);
    assert_int_equal(a.bytes, 0);
    assert_int_equal(pool.live_count, 0);
    assert_int_equal(pool.free_count, 8); // and no more are kept
    assert_non_null(arena_alloc(&a, 1));  // usable again
    assert_int_equal(pool.free_count, 7);
    arena_done(&a);
    block_pool_done(&pool);
}

static void ceiling_holds(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 0);
    arena_init(&a, &pool, 3 * BLOCK_BYTES);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_large(&a, SIZE_MAX - 8));
    assert_null(arena_alloc(&a, 3 * BLOCK_BYTES));
    unsigned n = 0;
    while (arena_alloc(&a, 1000))
        n++;
    assert_int_equal(n, 12); // four to a block
    assert_true(a.bytes <= a.bytes_max);
    assert_null(arena_copy(&a, slice_of(calloc, 2000)).ptr);
    assert_null(arena_printf(&a, "%2000d", 1).ptr);
    arena_done(&a);
    arena_init(&a, &pool, BLOCK_BYTES - 1);
    assert_null(arena_alloc(&a, 1));
    arena_done(&a);
    block_pool_done(&pool);
}

static void large_blocks_go_back_early(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)1 << 20);
    char *x = arena_large(&a, 100000);
    char *small = arena_alloc(&a, 10);
    char *y = arena_large(&a, 200000);
    char *odd = arena_large(&a, BLOCK_BYTES - 16); // looks like a pooled block, but is not
    size_t before = a.bytes;
    assert_non_null(x);
    assert_non_null(y);
    memset(x, 1, 100000);
    memset(y, 2, 200000);
    memset(odd, 3, BLOCK_BYTES - 16);
    memcpy(small, "small", 6);
    arena_drop_large(&a, y);
    assert_true(a.bytes <= before - 200000);
    arena_drop_large(&a, x);
    arena_drop_large(&a, odd);
    arena_drop_large(&a, NULL);
    assert_int_equal(a.bytes, BLOCK_BYTES);
    assert_string_equal(small, "small");
    // The current block goes on being used.
    char *next = arena_alloc(&a, 10);
    assert_ptr_equal(next, small + 16);
    arena_done(&a);
    block_pool_done(&pool);
}

static void medium_wish_does_not_waste_the_block(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)1 << 20);
    char *first = arena_alloc(&a, 512);
    assert_non_null(arena_alloc(&a, 4000)); // does not fit behind the first
    assert_ptr_equal(arena_alloc(&a, 16), first + 512);
    arena_done(&a);
    block_pool_done(&pool);
}

static void unwanted_blocks_are_trimmed(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 100);
    arena_init(&a, &pool, (size_t)1 << 20);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_alloc(&a, 4000));
    arena_done(&a);
    assert_false(block_pool_trim(&pool, 100)); // the period begins
    assert_int_equal(pool.free_count, 10);
    for (int i = 0; i < 4; i++)
        assert_non_null(arena_alloc(&a, 4000));
    arena_done(&a);
    assert_true(block_pool_trim(&pool, 5)); // six stood unused
    assert_int_equal(pool.free_count, 5);
    assert_false(block_pool_trim(&pool, 5));
    assert_int_equal(pool.free_count, 4);
    assert_false(block_pool_trim(&pool, 100));
    assert_int_equal(pool.free_count, 0);
    assert_false(block_pool_trim(&pool, 100));
    block_pool_done(&pool);
}

static void large_blocks_are_kept(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)64 << 20);
    // Of every size, also at the edges: all of it may be written.
    for (size_t size = LARGE_BYTES_MIN - 20; size < LARGE_BYTES_MAX + 20; size += 1003) {
        char *p = arena_large(&a, size);
        assert_non_null(p);
        memset(p, 1, size);
        arena_drop_large(&a, p);
    }
    assert_int_equal(a.bytes, 0);
    // Four sizes a doubling from 40 kB to 1 MB, one of each.
    assert_int_equal(pool.large_bytes, (5 + 6 + 7 + 8) * 31 * 8192);
    char *p = arena_large(&a, 115000);
    assert_int_equal(pool.large_bytes, (5 + 6 + 7 + 8) * 31 * 8192 - 131072);
    arena_drop_large(&a, p);
    assert_ptr_equal(arena_large(&a, 120000), p);
    arena_done(&a);
    block_pool_done(&pool);
}

static void large_blocks_kept_have_a_ceiling(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)64 << 20);
    for (int i = 0; i < 40; i++)
        assert_non_null(arena_large(&a, LARGE_BYTES_MAX - 16));
    arena_done(&a);
    assert_int_equal(pool.large_bytes, LARGE_KEPT_BYTES);
    block_pool_done(&pool);
    block_pool_init(&pool, 0);
    assert_non_null(arena_large(&a, 100000));
    arena_done(&a);
    assert_int_equal(pool.large_bytes, 0); // this pool keeps nothing
    block_pool_done(&pool);
}

static void unwanted_large_blocks_are_trimmed(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)64 << 20);
    for (int i = 0; i < 10; i++)
        assert_non_null(arena_large(&a, 65536 - 16));
    arena_done(&a);
    assert_false(block_pool_trim_large(&pool, 100)); // the period begins
    assert_int_equal(pool.large_bytes, 10 * 65536);
    for (int i = 0; i < 4; i++)
        assert_non_null(arena_large(&a, 65536 - 16));
    arena_done(&a);
    assert_true(block_pool_trim_large(&pool, 5)); // six stood unused
    assert_int_equal(pool.large_bytes, 5 * 65536);
    assert_false(block_pool_trim_large(&pool, 5));
    assert_int_equal(pool.large_bytes, 4 * 65536);
    assert_false(block_pool_trim_large(&pool, 100));
    assert_int_equal(pool.large_bytes, 0);
    block_pool_done(&pool);
}

static void copies_and_prints(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)1 << 20);
    assert_slice(arena_copy(&a, SLICE("abc")), "abc");
    struct slice empty = arena_copy(&a, SLICE_EMPTY);
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    assert_slice(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    struct slice longer = arena_printf(&a, "%10000d", 7);
    assert_int_equal(longer.len, 10000);
    arena_done(&a);
    block_pool_done(&pool);
}

static void what_was_taken_moves_along(void **state)
{
    (void)state;
    struct block_pool from, to;
    struct arena a;
    block_pool_init(&from, 4);
    block_pool_init(&to, 0);
    arena_init(&a, &from, (size_t)1 << 20);
    char *before = arena_bytes(&a, 100);
    assert_non_null(arena_large(&a, 50000));
    assert_non_null(arena_bytes(&a, BLOCK_BYTES - 100));
    size_t bytes = a.bytes;
    memset(before, 'x', 100);
    arena_move(&a, &to);
    assert_int_equal(from.live_count, 0);
    assert_int_equal(to.live_count, 2);
    assert_int_equal(a.bytes, bytes);
    block_pool_done(&from);
    assert_int_equal(before[99], 'x');
    assert_non_null(arena_large(&a, 3000));
    arena_done(&a);
    assert_int_equal(to.live_count, 0);
    block_pool_done(&to);
}

static void tail_is_poisoned(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    struct block_pool pool;
    struct arena a;
    block_pool_init(&pool, 4);
    arena_init(&a, &pool, (size_t)1 << 20);
    char *p = arena_bytes(&a, 5);
    assert_false(__asan_address_is_poisoned(p + 4));
    assert_true(__asan_address_is_poisoned(p + 5));
    arena_done(&a);
    assert_true(__asan_address_is_poisoned(p)); // kept by the pool
    p = arena_large(&a, 50000);
    assert_false(__asan_address_is_poisoned(p + 49999));
    assert_true(__asan_address_is_poisoned(p + 50000)); // the block is larger
    arena_done(&a);
    assert_true(__asan_address_is_poisoned(p));
    assert_ptr_equal(arena_large(&a, 51000), p);
    assert_false(__asan_address_is_poisoned(p + 50999));
    assert_true(__asan_address_is_poisoned(p + 51000));
    arena_done(&a);
    block_pool_done(&pool);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_nothing_until_asked),
        cmocka_unit_test(pieces_do_not_touch),
        cmocka_unit_test(ceiling_holds),
        cmocka_unit_test(large_blocks_go_back_early),
        cmocka_unit_test(medium_wish_does_not_waste_the_block),
        cmocka_unit_test(unwanted_blocks_are_trimmed),
        cmocka_unit_test(large_blocks_are_kept),
        cmocka_unit_test(large_blocks_kept_have_a_ceiling),
        cmocka_unit_test(unwanted_large_blocks_are_trimmed),
        cmocka_unit_test(copies_and_prints),
        cmocka_unit_test(what_was_taken_moves_along),
        cmocka_unit_test(tail_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
