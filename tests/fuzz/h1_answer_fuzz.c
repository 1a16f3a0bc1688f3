// SPDX-License-Identifier: Apache-2.0
//
// h1_answer_fuzz.c: any bytes as the head of an HTTP/1 answer; head_check.h says what is asked of
// it.
#include "net/h1.h"
#include "tests/support/head_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    head_check(h1_parse_answer, data, size);
    return 0;
}
