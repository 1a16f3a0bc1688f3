// SPDX-License-Identifier: Apache-2.0
//
// heap.h: what only the allocator or the kernel can give back.
#ifndef RINGGATE_BASE_HEAP_H
#define RINGGATE_BASE_HEAP_H

#include <stddef.h>

#define HEAP_PAGE_BYTES ((size_t)4096)

// Empties the calling thread's cache of freed memory: the pages it lies in can go back only then.
// For a thread that has come to rest; takes tens of microseconds. Nothing without jemalloc.
void heap_rest(void);

// Gives the kernel back the memory of whole pages that stay allocated; they read as zeros then. One
// system call, and a page fault for each that is touched again. What fails stays as it was.
void heap_forget(void *pages, size_t bytes);

#endif
