// SPDX-License-Identifier: Apache-2.0
//
// Pages: reuse, ceiling, the allocator as a pool.
#include "net/page.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void pages_are_reused_up_to_the_ceiling(void **state)
{
    (void)state;
    struct page_pool p;
    page_pool_init(&p, 1, 2);
    struct page *a = page_get(&p), *b = page_get(&p);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(page_get(&p));
    a->used = 100;
    a->start = 40;
    assert_int_equal(page_bytes(a).len, 60);
    assert_int_equal(page_room(a), PAGE_BYTES - 100);
    a->next = b;
    page_put_all(&p, a);
    assert_int_equal(p.live, 0);
    assert_int_equal(p.free_count, 1); // keep_max
    struct page *again = page_get(&p);
    assert_ptr_equal(again, a);
    assert_int_equal(again->used, 0);
    assert_null(again->next);
    page_put(&p, again);
    page_put(&p, NULL);
    page_pool_done(&p);
}

static void unwanted_pages_are_trimmed(void **state)
{
    (void)state;
    struct page_pool p;
    struct page *page[4];
    page_pool_init(&p, 4, 4);
    for (int i = 0; i < 4; i++)
        page[i] = page_get(&p);
    for (int i = 0; i < 4; i++)
        page_put(&p, page[i]);
    assert_false(page_pool_trim(&p, 4)); // the period begins
    assert_int_equal(p.free_count, 4);
    page_put(&p, page_get(&p));
    assert_true(page_pool_trim(&p, 2)); // three stood unused
    assert_int_equal(p.free_count, 2);
    assert_false(page_pool_trim(&p, 2));
    assert_int_equal(p.free_count, 1);
    assert_false(page_pool_trim(&p, 2));
    assert_int_equal(p.free_count, 0);
    page_pool_done(&p);
}

static void without_a_pool_the_allocator_serves(void **state)
{
    (void)state;
    struct page *a = page_get(NULL);
    assert_non_null(a);
    assert_true(page_room(a) >= PAGE_RECORD_BYTES + 300); // a sealed record fits
    page_put(NULL, a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_reused_up_to_the_ceiling),
        cmocka_unit_test(unwanted_pages_are_trimmed),
        cmocka_unit_test(without_a_pool_the_allocator_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
