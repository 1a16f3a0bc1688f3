// SPDX-License-Identifier: Apache-2.0
//
// heap_test.c: without jemalloc there is nothing to empty, and what is live stays.
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(live_memory_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
