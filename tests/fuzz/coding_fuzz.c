// SPDX-License-Identifier: Apache-2.0
//
// coding_fuzz.c: any bytes as each coding's data, cut anywhere.
//
// Input: a byte that chooses the coding, four from which the cuts come, then the data. Taken off in
// steps as large as they may be and in random ones, the text and whether it may end there must be
// the same. When both roads end in errors the text before them may differ: a library that sees more
// at once may notice earlier. zstd's also looks at a frame's declared window only when the frame
// does not lie there whole, so there one road may refuse what the other takes.
#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "gateway/coding.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    int err;
    bool whole;
    size_t len;
    char *text;
};

static size_t cut(struct prng *prng, size_t max)
{
    size_t n = prng ? 1 + prng_below(prng, prng_below(prng, 4) == 0 ? 5000 : 6) : max;
    return n < max ? n : max;
}

static struct result take_off(const struct coding_row *row, struct slice in, struct prng *prng)
{
    struct block_pool blocks;
    struct arena arena;
    struct coding *c = NULL;
    struct result r = {.text = malloc(TEXT_BYTES_MAX)};
    size_t n = 0, room = 1;
    ASSERT(r.text);
    block_pool_init(&blocks, 4);
    arena_init(&arena, &blocks, 1 << 20);
    r.err = coding_new(&arena, row, &c);
    ASSERT(r.err == 0);
    while (r.err == 0 && (in.len > 0 || n == room) && r.len < TEXT_BYTES_MAX) {
        // Room of its own, so that writing past it is seen.
        struct slice piece = slice_take(in, cut(prng, in.len));
        size_t given = piece.len;
        room = cut(prng, TEXT_BYTES_MAX - r.len);
        char *out = malloc(room);
        ASSERT(out);
        r.err = coding_step(c, &piece, out, room, &n);
        if (r.err == 0) {
            ASSERT(n <= room && piece.len <= given && (n == room || piece.len == 0));
            memcpy(r.text + r.len, out, n);
            r.len += n;
            in = slice_skip(in, given - piece.len);
        } else {
            ASSERT(r.err == ERR_BAD_PACKED || r.err == ERR_NOMEM);
        }
        free(out);
    }
    r.whole = coding_is_whole(c);
    coding_free(c);
    arena_done(&arena);
    block_pool_done(&blocks);
    return r;
}

static void same(const struct coding_row *row, const struct result *a, const struct result *b)
{
    size_t len = a->len < b->len ? a->len : b->len;
    ASSERT(memcmp(a->text, b->text, len) == 0);
    if (a->len == TEXT_BYTES_MAX || b->len == TEXT_BYTES_MAX)
        return; // it was not looked at to its end
    if (slice_eq(row->name, SLICE("zstd")) && (a->err || b->err))
        return;
    ASSERT(a->err == b->err);
    if (a->err == 0)
        ASSERT(a->len == b->len && a->whole == b->whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slice names[] = {SLICE("gzip"), SLICE("deflate"), SLICE("br"),
                                         SLICE("zstd")};
    struct prng prng;
    if (size < 5)
        return 0;
    const struct coding_row *row = coding_find(names[data[0] & 3]);
    prng_seed(&prng,
              (uint64_t)data[1] << 24 | (uint64_t)data[2] << 16 | (uint64_t)data[3] << 8 | data[4]);
    struct slice in = slice_of((const char *)data + 5, size - 5);
    struct result at_once = take_off(row, in, NULL);
    for (int i = 0; i < 3; i++) {
        struct result in_steps = take_off(row, in, &prng);
        same(row, &at_once, &in_steps);
        free(in_steps.text);
    }
    free(at_once.text);
    return 0;
}
