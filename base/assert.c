// SPDX-License-Identifier: Apache-2.0
//
// assert.c: the last words of a program that found itself wrong.
//
// One line with write(2), no stdio and no allocation: the heap may be what is broken. A line that
// is too long is cut.
#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void assert_failed(const char *file, int line, const char *expr)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "%s:%d: assertion failed: %s\n", file, line, expr);
    if (len > (int)sizeof(text) - 1)
        len = (int)sizeof(text) - 1;
    if (len > 0 && write(STDERR_FILENO, text, (size_t)len) < 0)
        abort(); // nobody can be told; the core file still can
    abort();
}
