// SPDX-License-Identifier: Apache-2.0
//
// sse_fuzz.c: any stream, cut anywhere, against the model.
//
// Input: four bytes from which the cuts come, then the stream. Whole, byte by byte and cut at
// random, by runs and one by one, it must give the model's events, and the raw bytes put together
// must be the stream.
#include "base/prng.h"
#include "tests/support/sse_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t cut_whole(void *state, size_t position)
{
    (void)state;
    (void)position;
    return SIZE_MAX;
}

static size_t cut_bytes(void *state, size_t position)
{
    (void)state;
    (void)position;
    return 1;
}

static size_t cut_random(void *state, size_t position)
{
    (void)position;
    return 1 + prng_below(state, prng_below(state, 4) == 0 ? 100 : 6);
}

static void check(struct slice stream, const struct sse_list *model,
                  size_t (*next_cut)(void *, size_t), void *state)
{
    struct sse_list list = sse_collect(stream, next_cut, state, NULL);
    sse_list_same(model, &list);
    sse_list_done(&list);
    list = sse_collect(stream, next_cut, state, &sse_model_marks);
    sse_list_same(model, &list);
    sse_list_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct prng prng;
    prng_seed(&prng,
              (uint64_t)data[0] << 24 | (uint64_t)data[1] << 16 | (uint64_t)data[2] << 8 | data[3]);
    struct slice stream = slice_of(data + 4, size - 4);
    struct sse_list model = sse_model(stream);
    check(stream, &model, cut_whole, NULL);
    check(stream, &model, cut_bytes, NULL);
    for (int i = 0; i < 4; i++)
        check(stream, &model, cut_random, &prng);
    sse_list_done(&model);
    return 0;
}
