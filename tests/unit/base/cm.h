// SPDX-License-Identifier: Apache-2.0
//
// cm.h: cmocka, with the headers it forgets to include.
#ifndef RINGGATE_TESTS_UNIT_BASE_CM_H
#define RINGGATE_TESTS_UNIT_BASE_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"

#define assert_slice(s, literal)                                                                   \
    do {                                                                                           \
        struct slice got_ = (s);                                                                   \
        assert_int_equal(got_.len, sizeof(literal) - 1);                                           \
        if (got_.len > 0)                                                                          \
            assert_memory_equal(got_.ptr, (literal), got_.len);                                    \
    } while (0)

#endif
