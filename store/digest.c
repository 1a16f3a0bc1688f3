// SPDX-License-Identifier: Apache-2.0
//
// digest.c: packing and unpacking of columns. The least value of the cost is the least as a signed
// number, so that small debts and credits stay small entries; all arithmetic wraps and comes back.
#include "store/digest.h"

#include "base/assert.h"
#include "base/err.h"
#include "store/crc.h"

#define VERSION      1
#define HEAD_BYTES   12
#define COLUMN_BYTES 9
#define CRC_BYTES    4

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "entries are used as they lie");

struct store_id digest_name(const struct digest_row *rows, unsigned count)
{
    ASSERT(count > 0);
    unsigned least = 0;
    for (unsigned i = 1; i < count; i++)
        if (rows[i].column[DIGEST_TIME] < rows[least].column[DIGEST_TIME])
            least = i;
    return digest_id(&rows[least]);
}

static uint64_t bias(unsigned column)
{
    return column == DIGEST_COST ? UINT64_C(1) << 63 : 0;
}

static void measure(const struct digest_row *rows, unsigned count, unsigned column,
                    uint64_t *ret_least, uint64_t *ret_most)
{
    uint64_t flip = bias(column), least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t value = rows[i].column[column] ^ flip;
        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    *ret_least = least ^ flip;
    *ret_most = most ^ flip;
}

static unsigned width_of(uint64_t range)
{
    if (range == 0)
        return 0;
    if (range <= UINT8_MAX)
        return 1;
    if (range <= UINT16_MAX)
        return 2;
    return range <= UINT32_MAX ? 4 : 8;
}

static void add_number(struct buf *out, uint64_t value, unsigned bytes)
{
    buf_add(out, slice_of(&value, bytes));
}

static void add_column(const struct digest_row *rows, unsigned count, unsigned column,
                       uint64_t least, unsigned width, struct buf *out)
{
    char packed[8 * STORE_DIGEST_ROWS];
    if (width == 0)
        return;
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = rows[i].column[column] - least;
        memcpy(packed + (size_t)i * width, &entry, width);
    }
    buf_add(out, slice_of(packed, (size_t)count * width));
}

void digest_write(const struct digest_row *rows, unsigned count, struct buf *out)
{
    ASSERT(count > 0 && count <= STORE_DIGEST_ROWS);
    uint64_t least[DIGEST_COLUMNS], most[DIGEST_COLUMNS];
    unsigned width[DIGEST_COLUMNS];
    size_t begin = out->len;

    for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
        measure(rows, count, c, &least[c], &most[c]);
        width[c] = width_of(most[c] - least[c]);
    }
    add_number(out, VERSION, 1);
    add_number(out, DIGEST_COLUMNS, 1);
    add_number(out, count, 2);
    add_number(out, most[DIGEST_TIME], 8);
    for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
        add_number(out, width[c], 1);
        add_number(out, least[c], 8);
    }
    for (unsigned c = 0; c < DIGEST_COLUMNS; c++)
        add_column(rows, count, c, least[c], width[c], out);
    if (!out->err)
        add_number(out, crc_add(0, out->ptr + begin, out->len - begin), CRC_BYTES);
}

static bool check_whole(struct slice value)
{
    uint32_t crc;
    if (value.len < HEAD_BYTES + CRC_BYTES)
        return false;
    memcpy(&crc, value.ptr + value.len - CRC_BYTES, CRC_BYTES);
    return crc == crc_add(0, value.ptr, value.len - CRC_BYTES);
}

int digest_read(struct slice value, struct digest_view *ret)
{
    struct digest_view view = {.rows = 0};
    uint16_t rows;

    if (value.len < 1)
        return ERR_BAD_LENGTH;
    if (value.ptr[0] != VERSION)
        return ERR_UNSUPPORTED;
    if (!check_whole(value))
        return ERR_BAD_LENGTH;
    unsigned columns = (unsigned char)value.ptr[1];
    memcpy(&rows, value.ptr + 2, sizeof(rows));
    memcpy(&view.time_max, value.ptr + 4, sizeof(view.time_max));
    size_t end = value.len - CRC_BYTES;
    size_t at = HEAD_BYTES + (size_t)columns * COLUMN_BYTES;
    if (rows == 0 || rows > STORE_DIGEST_ROWS || columns <= DIGEST_TIME ||
        columns > DIGEST_COLUMNS_MAX || at > end)
        return ERR_BAD_LENGTH;
    view.rows = rows;
    for (unsigned c = 0; c < columns; c++) {
        const char *head = value.ptr + HEAD_BYTES + (size_t)c * COLUMN_BYTES;
        unsigned width = (unsigned char)head[0];
        if (width > 8 || (width & (width - 1)) || (size_t)rows * width > end - at)
            return ERR_BAD_LENGTH;
        if (c < DIGEST_COLUMNS) {
            view.width[c] = (unsigned char)width;
            view.entries[c] = value.ptr + at;
            memcpy(&view.least[c], head + 1, 8);
        }
        at += (size_t)rows * width;
    }
    if (at != end)
        return ERR_BAD_LENGTH;
    view.time_min = view.least[DIGEST_TIME];
    *ret = view;
    return 0;
}

#define UNPACK(type)                                                                               \
    for (unsigned i = 0; i < view->rows; i++) {                                                    \
        type entry;                                                                                \
        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));                                \
        ret[i] = least + entry;                                                                    \
    }                                                                                              \
    break

void digest_get_column(const struct digest_view *view, enum digest_column column,
                       uint64_t ret[STORE_DIGEST_ROWS])
{
    const char *entries = view->entries[column];
    uint64_t least = view->least[column];
    switch (view->width[column]) {
    case 1:
        UNPACK(uint8_t);
    case 2:
        UNPACK(uint16_t);
    case 4:
        UNPACK(uint32_t);
    case 8:
        UNPACK(uint64_t);
    default:
        for (unsigned i = 0; i < view->rows; i++)
            ret[i] = least;
    }
}

void digest_get_row(const struct digest_view *view, unsigned row, struct digest_row *ret)
{
    ASSERT(row < view->rows);
    for (unsigned c = 0; c < DIGEST_COLUMNS; c++) {
        uint64_t entry = 0;
        unsigned width = view->width[c];
        if (width > 0)
            memcpy(&entry, view->entries[c] + (size_t)row * width, width);
        ret->column[c] = view->least[c] + entry;
    }
}
