// SPDX-License-Identifier: Apache-2.0
//
// head_check.c: see head_check.h.
#include "tests/support/head_check.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/net_internal.h"

void head_check(head_parse_fn parse, const uint8_t *data, size_t size)
{
    if (size < 2)
        return;
    struct slice bytes = slice_of(data + 1, size - 1);
    size_t cut = data[0] % bytes.len, resume = 0;
    ptrdiff_t whole = h1_head_end(bytes, 4096, &resume);
    resume = 0;
    ptrdiff_t parts = h1_head_end(slice_take(bytes, cut), 4096, &resume);
    if (parts == ERR_MORE)
        parts = h1_head_end(bytes, 4096, &resume);
    ASSERT(parts == whole);
    struct block_pool pool;
    struct arena arena;
    struct http_head head;
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 20);
    // Also heads that h1_head_end did not bless: the parser trusts nobody.
    struct slice text = whole > 0 ? slice_take(bytes, (size_t)whole) : bytes;
    if (parse(text, &arena, &head) == 0) {
        ASSERT(head.count <= LIMIT_HEAD_FIELDS && head.minor <= 1);
        ASSERT(!(head.chunked && head.content_length >= 0) && head.content_length >= -1);
        ASSERT(!(head.chunked && head.minor == 0));
        for (unsigned i = 0; i < head.count; i++) {
            ASSERT(http__is_token(head.fields[i].name) && http__is_value(head.fields[i].value));
            ASSERT(head.fields[i].id == http_name_find(head.fields[i].name));
        }
    }
    arena_done(&arena);
    block_pool_done(&pool);
}
