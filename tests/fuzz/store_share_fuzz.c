// SPDX-License-Identifier: Apache-2.0
//
// store_share_fuzz.c: any bytes as the stored form of a text.
//
// Whether it is one must not depend on who asks; what is read is as long as its recipe says, and
// its literals are the end of it. The other records it refers to are made of their offsets.
#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/share.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct asked {
    size_t bytes;
    unsigned times;
    bool short_of; // the last one finds less than it asked for
};

static int other_record(void *arg, struct store_id id, uint32_t offset, uint32_t len,
                        struct buf *out)
{
    struct asked *a = arg;
    ASSERT(len > 0 && len <= STORE_CONTENT_BYTES_MAX);
    ASSERT(offset <= STORE_CONTENT_BYTES_MAX - len);
    a->bytes += len;
    a->times++;
    if (id.number == 404)
        return ERR_NOT_FOUND;
    a->short_of = id.ring == 0xffff;
    for (uint32_t i = a->short_of ? 1 : 0; i < len; i++)
        buf_add_char(out, (char)(offset + i));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice stored = slice_of(data, size), literals = SLICE("untouched");
    struct asked a = {0};
    struct buf out;
    buf_init(&out, STORE_CONTENT_BYTES_MAX);
    int known = share_literals(stored, &literals);
    int err = share_read(stored, other_record, &a, &out);
    if (known < 0) {
        ASSERT(known == ERR_BAD_LENGTH && err == ERR_BAD_LENGTH && a.times == 0);
        ASSERT(slice_eq(literals, SLICE("untouched")));
    } else {
        ASSERT(literals.len + 4 <= size);
        ASSERT(literals.len == 0 || literals.ptr + literals.len == stored.ptr + size);
        ASSERT(err == 0 || err == ERR_NOT_FOUND || (err == ERR_BAD_LENGTH && a.short_of));
    }
    ASSERT(out.len == (err == 0 ? a.bytes + literals.len : 0));
    ASSERT(a.times <= SHARE_ITEMS_MAX && out.len <= STORE_CONTENT_BYTES_MAX);
    buf_done(&out);
    return 0;
}
