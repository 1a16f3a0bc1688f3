// SPDX-License-Identifier: Apache-2.0
//
// fold_fuzz.c: any bytes as folded texts, and any bytes folded.
//
// Read as they are they may be refused and never reach past their end. Cut into texts at each line
// end they are folded, and must come back.
#include "base/assert.h"
#include "base/err.h"
#include "base/fold.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void come_back(struct slice all)
{
    struct fold f = {0};
    struct buf out;
    struct slice rest = all;
    char *place = malloc((all.len + 1) * (FOLD_HEAD_BYTES + 1));
    size_t len = 0;

    ASSERT(place);
    while (rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice text = end < 0 ? rest : slice_take(rest, (size_t)end + 1);
        rest = slice_skip(rest, text.len);
        len += fold_add(&f, text, place + len);
    }
    buf_init(&out, all.len + 1);
    ASSERT(fold_read(slice_of(place, len), &out) == 0);
    ASSERT(slice_eq(buf_slice(&out), all));
    buf_done(&out);
    free(place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    struct buf out;

    buf_init(&out, 1 << 20);
    int rc = fold_read(all, &out);
    ASSERT(rc == 0 || rc == ERR_MORE || rc == ERR_BAD_LENGTH || rc == ERR_LIMIT);
    buf_done(&out);
    come_back(all);
    return 0;
}
