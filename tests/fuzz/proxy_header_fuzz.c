// SPDX-License-Identifier: Apache-2.0
//
// proxy_header_fuzz.c: any bytes as a PROXY header. A result once given does not change with what
// comes behind it, and nothing longer than the bounds is waited for.
#include "net/proxy_header.h"

#include "base/assert.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    struct proxy_header whole, part;
    ptrdiff_t n = proxy_header_parse(all, &whole);
    ASSERT(n == ERR_MORE || n == ERR_BAD_HEAD || (n > 0 && (size_t)n <= size));
    ASSERT(n <= PROXY_HEADER_BYTES_MAX);
    ASSERT(n != ERR_MORE || size < PROXY_HEADER_BYTES_MAX);
    for (size_t cut = 0; cut < size && cut < 300; cut++) {
        ptrdiff_t m = proxy_header_parse(slice_take(all, cut), &part);
        if (m == ERR_MORE)
            continue;
        ASSERT(m == n);
        if (m > 0)
            ASSERT(part.has_source == whole.has_source);
    }
    return 0;
}
