// SPDX-License-Identifier: Apache-2.0
//
// h1_chunked_fuzz.c: any bytes as a chunked body, whole and cut into pieces.
//
// The first byte is the length of the pieces. Both runs must give the same result, the same body
// (compared by length and a running sum) and leave the same bytes behind.
#include "base/assert.h"
#include "base/err.h"
#include "net/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int result;
    size_t bytes, taken;
    uint64_t sum;
};

static struct outcome run(struct slice wire, size_t piece)
{
    struct outcome o = {.result = ERR_MORE};
    struct h1_body body;
    h1_body_init(&body, H1_CHUNKED, 0);
    while (o.result == ERR_MORE && o.taken < wire.len) {
        struct slice in = slice_take(slice_skip(wire, o.taken), piece), span;
        size_t before = in.len;
        while ((o.result = h1_body_next(&body, &in, &span)) == 0) {
            for (size_t i = 0; i < span.len; i++)
                o.sum = o.sum * 31 + (unsigned char)span.ptr[i];
            o.bytes += span.len;
            if (body.complete)
                break;
        }
        o.taken += before - in.len;
    }
    ASSERT(o.result == 0 || o.result == ERR_MORE || o.result == ERR_BAD_CHUNK);
    ASSERT(o.bytes <= o.taken);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice wire = slice_of(data + 1, size - 1);
    struct outcome whole = run(wire, wire.len), parts = run(wire, 1u + data[0] % 17u);
    ASSERT(whole.result == parts.result && whole.taken == parts.taken);
    ASSERT(whole.bytes == parts.bytes && whole.sum == parts.sum);
    return 0;
}
