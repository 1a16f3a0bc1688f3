// SPDX-License-Identifier: Apache-2.0
//
// chunk.c: the road every machine has, and which one to take.
#include "store/chunk_road.h"

_Static_assert(CHUNK_SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 asks for as much");

void chunk_any(const unsigned char *secret, struct slice text, struct chunk *ret)
{
    *ret = chunk__take(secret, text);
}

chunk_fn chunk_road(void)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return chunk_wide;
#endif
    return chunk_any;
}
