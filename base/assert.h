// SPDX-License-Identifier: Apache-2.0
//
// assert.h: ASSERT stays on in every build.
//
// It states what this program believes about itself. A peer's mistake, a full disk or a refused
// allocation never asserts: those are errors and are returned. About two a function, both sides of
// a boundary.
#ifndef RINGGATE_BASE_ASSERT_H
#define RINGGATE_BASE_ASSERT_H

// Prints `file:line: expr` on standard error and aborts. Any thread.
void assert_failed(const char *file, int line, const char *expr) __attribute__((noreturn, cold));

#define ASSERT(expr)                                                                               \
    (__builtin_expect(!!(expr), 1) ? (void)0 : assert_failed(__FILE__, __LINE__, #expr))

#endif
