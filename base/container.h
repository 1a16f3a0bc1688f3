// SPDX-License-Identifier: Apache-2.0
//
// container.h: from a member back to the object that embeds it.
//
// Operations, timers, list links and mails are embedded in their owners, so a callback receives the
// embedded part and finds its owner here. Nothing carries a `void *ctx` beside what it is part of.
#ifndef RINGGATE_BASE_CONTAINER_H
#define RINGGATE_BASE_CONTAINER_H

#include <stddef.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
