// SPDX-License-Identifier: Apache-2.0
//
// poison.h: telling AddressSanitizer which bytes of our own allocators are nobody's.
//
// Arenas and pools cut large blocks into pieces that malloc never hears of; without this a
// sanitizer build would see no overrun inside a block. In other builds both words are nothing.
#ifndef RINGGATE_BASE_POISON_H
#define RINGGATE_BASE_POISON_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(ptr, size)   __asan_poison_memory_region((ptr), (size))
#define UNPOISON(ptr, size) __asan_unpoison_memory_region((ptr), (size))
#else
#define POISON(ptr, size)   ((void)(ptr), (void)(size))
#define UNPOISON(ptr, size) ((void)(ptr), (void)(size))
#endif

#endif
