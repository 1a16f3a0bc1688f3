// SPDX-License-Identifier: Apache-2.0
//
// store_digest_fuzz.c: any bytes as a digest, with a check that is right and one that is not.
//
// What is read is packed again, and must then be read as the same rows.
#include "base/assert.h"
#include "store/crc.h"
#include "store/digest.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pack_again(const struct digest_view *view)
{
    struct digest_row *rows = calloc(view->rows, sizeof(*rows));
    struct digest_view again;
    struct buf packed;
    ASSERT(rows);
    for (unsigned i = 0; i < view->rows; i++)
        digest_get_row(view, i, &rows[i]);
    buf_init(&packed, DIGEST_BYTES_MAX);
    digest_write(rows, view->rows, &packed);
    ASSERT(packed.err == 0 && digest_read(buf_slice(&packed), &again) == 0);
    ASSERT(again.rows == view->rows);
    for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
        uint64_t column[STORE_DIGEST_ROWS];
        digest_get_column(&again, (enum digest_column)c, column);
        for (unsigned i = 0; i < view->rows; i++)
            ASSERT(column[i] == rows[i].column[c]);
    }
    buf_done(&packed);
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct digest_view view;
    if (digest_read(slice_of(data, size), &view) == 0)
        pack_again(&view);
    if (size < 4)
        return 0;
    uint8_t *mended = malloc(size);
    ASSERT(mended);
    memcpy(mended, data, size - 4);
    uint32_t crc = crc_add(0, mended, size - 4);
    memcpy(mended + size - 4, &crc, sizeof(crc));
    if (digest_read(slice_of(mended, size), &view) == 0)
        pack_again(&view);
    free(mended);
    return 0;
}
