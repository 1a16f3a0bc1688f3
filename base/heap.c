// SPDX-License-Identifier: Apache-2.0
//
// heap.c: the one call to jemalloc beside malloc.
//
// Only the gateway is linked with jemalloc; tests and sanitizer builds keep their own malloc, so
// the call is a weak one.
#include "base/heap.h"

#include <stddef.h>

extern int mallctl(const char *name, void *old, size_t *old_len, void *value, size_t value_len)
    __attribute__((weak));

void heap_rest(void)
{
    if (mallctl)
        (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}
