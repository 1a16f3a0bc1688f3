// SPDX-License-Identifier: Apache-2.0
//
// heap.c: the one call to jemalloc beside malloc, and the one to the kernel beside both.
//
// Only the gateway is linked with jemalloc; tests and sanitizer builds keep their own malloc, so
// the call is a weak one.
#include "base/heap.h"

#include "base/assert.h"
#include <stdint.h>
#include <sys/mman.h>

extern int mallctl(const char *name, void *old, size_t *old_len, void *value, size_t value_len)
    __attribute__((weak));

void heap_rest(void)
{
    if (mallctl)
        (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
}

void heap_forget(void *pages, size_t bytes)
{
    ASSERT((uintptr_t)pages % HEAP_PAGE_BYTES == 0 && bytes % HEAP_PAGE_BYTES == 0);
    (void)madvise(pages, bytes, MADV_DONTNEED);
}
