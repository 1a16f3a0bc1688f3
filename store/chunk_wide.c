// SPDX-License-Identifier: Apache-2.0
//
// chunk_wide.c: the road of AVX2, for which CMakeLists.txt has this file compiled.
#include "store/chunk_road.h"

#ifdef __x86_64__
void chunk_wide(const unsigned char *secret, struct slice text, struct chunk *ret)
{
    *ret = chunk__take(secret, text);
}
#endif
