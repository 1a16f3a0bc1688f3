// SPDX-License-Identifier: Apache-2.0
//
// heap.h: what only the allocator can give back.
#ifndef RINGGATE_BASE_HEAP_H
#define RINGGATE_BASE_HEAP_H

// Empties the calling thread's cache of freed memory: the pages it lies in can go back only then.
// For a thread that has come to rest; takes tens of microseconds. Nothing without jemalloc.
void heap_rest(void);

#endif
