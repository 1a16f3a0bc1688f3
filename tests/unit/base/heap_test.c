// SPDX-License-Identifier: Apache-2.0
//
// heap_test.c: without jemalloc there is nothing to empty, and what is live stays; pages that
// are forgotten stay allocated.
#include "tests/unit/base/cm.h"

#include "base/heap.h"
#include <stdlib.h>

static void live_memory_stays(void **state)
{
    (void)state;
    char *p = malloc(100);
    memset(p, 7, 100);
    free(malloc(100));
    heap_rest();
    for (int i = 0; i < 100; i++)
        assert_int_equal(p[i], 7);
    free(p);
}

static void forgotten_pages_read_as_zeros(void **state)
{
    (void)state;
    char *p = aligned_alloc(HEAP_PAGE_BYTES, 3 * HEAP_PAGE_BYTES);
    memset(p, 7, 3 * HEAP_PAGE_BYTES);
    heap_forget(p + HEAP_PAGE_BYTES, HEAP_PAGE_BYTES);
    for (size_t i = 0; i < 3 * HEAP_PAGE_BYTES; i++)
        assert_int_equal(p[i], i / HEAP_PAGE_BYTES == 1 ? 0 : 7);
    p[HEAP_PAGE_BYTES] = 7;
    assert_int_equal(p[HEAP_PAGE_BYTES], 7);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(live_memory_stays),
                                       cmocka_unit_test(forgotten_pages_read_as_zeros)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
