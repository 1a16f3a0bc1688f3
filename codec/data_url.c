// SPDX-License-Identifier: Apache-2.0
//
// data_url.c: taking apart and putting together. The readers and writers of every dialect call it.
//
// The data is megabytes and is not looked at; what decides stands before the comma.

#include "codec/data_url.h"
#include "base/err.h"
#include "codec/json_scan.h"
#include "codec/literal.h"

#define SCHEME   SLICE("data:")
#define MARKER   SLICE(";base64")
#define FALLBACK SLICE("text/plain")

// ---- Reading -----------------------------------------------------------------------------------

// A media type's characters and the slash: nothing to escape.
static bool is_media_type(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && !memchr("!#$&^_.+-/", c, 10))
            return false;
    }
    return s.len > 0;
}

bool data_url_split(struct slice plain, struct slice *ret_type, struct slice *ret_data)
{
    struct slice head = slice_take(plain, DATA_URL_HEAD_BYTES_MAX);
    ptrdiff_t comma = slice_find_char(head, ',');

    if (!slice_istarts(plain, SCHEME) || comma < 0)
        return false;
    head = slice_skip(slice_take(head, (size_t)comma), SCHEME.len);
    if (head.len < MARKER.len || !slice_ieq(slice_skip(head, head.len - MARKER.len), MARKER))
        return false;
    struct slice type = slice_take(head, (size_t)slice_find_char(head, ';'));
    if (type.len == 0)
        type = FALLBACK;
    if (!is_media_type(type))
        return false;
    *ret_type = type;
    *ret_data = slice_skip(plain, (size_t)comma + 1);
    return true;
}

static struct slice quote(struct arena *arena, struct slice inner)
{
    char *out = arena_bytes(arena, inner.len + 2);
    if (!out)
        return SLICE_EMPTY;
    out[0] = '"';
    if (inner.len > 0)
        memcpy(out + 1, inner.ptr, inner.len);
    out[inner.len + 1] = '"';
    return slice_of(out, inner.len + 2);
}

// Up to the comma and with it, without escapes (some libraries escape the slash).
static struct slice plain_head(struct slice inner, size_t bytes, char *quoted, char *plain)
{
    struct slice head = SLICE_EMPTY;

    quoted[0] = '"';
    memcpy(quoted + 1, inner.ptr, bytes);
    quoted[bytes + 1] = '"';
    return json_unescape(slice_of(quoted, bytes + 2), plain, &head) == 0 ? head : SLICE_EMPTY;
}

int data_url_read(struct arena *arena, struct slice literal, struct slice *ret_type,
                  struct slice *ret_data)
{
    char quoted[DATA_URL_HEAD_BYTES_MAX + 2], plain[DATA_URL_HEAD_BYTES_MAX + 2];
    struct slice inner = literal_inner(literal);
    struct slice type, rest;

    *ret_type = SLICE_EMPTY;
    *ret_data = SLICE_EMPTY;
    ptrdiff_t comma = slice_find_char(slice_take(inner, DATA_URL_HEAD_BYTES_MAX), ',');
    if (!slice_istarts(inner, SCHEME) || comma < 0)
        return 0;
    size_t bytes = (size_t)comma + 1;
    if (!data_url_split(plain_head(inner, bytes, quoted, plain), &type, &rest))
        return 0;
    *ret_type = quote(arena, type);
    *ret_data = quote(arena, slice_skip(inner, bytes));
    return ret_type->len > 0 && ret_data->len > 0 ? 0 : ERR_NOMEM;
}

int data_url_read_type(struct arena *arena, struct slice literal, struct slice *ret)
{
    struct slice type;
    char *out = arena_bytes(arena, literal.len + 1);

    if (!out)
        return ERR_NOMEM;
    if (json_unescape(literal, out, &type) != 0 || !is_media_type(type))
        return ERR_BAD_TYPE;
    *ret = quote(arena, type);
    return ret->len > 0 ? 0 : ERR_NOMEM;
}

// ---- Writing -----------------------------------------------------------------------------------

void data_url_write(struct json_writer *w, struct slice type, struct slice data)
{
    json_string_open(w);
    json_string_inner(w, SCHEME);
    json_string_inner(w, literal_inner(type));
    json_string_inner(w, SLICE(";base64,"));
    json_string_inner(w, literal_inner(data));
    json_string_close(w);
}

// Up to three bytes.
static void encode_group(const unsigned char *from, size_t n, char out[4])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = (uint32_t)from[0] << 16;
    if (n > 1)
        bits |= (uint32_t)from[1] << 8;
    if (n > 2)
        bits |= from[2];
    for (unsigned i = 0; i < 4; i++)
        out[i] = i <= n ? digits[bits >> (18 - 6 * i) & 63] : '=';
}

int data_url_write_text(struct json_writer *w, struct slice text)
{
    struct slice plain;
    char *copy = arena_large(w->arena, text.len + 1);

    if (!copy)
        return ERR_NOMEM;
    int rc = json_unescape(text, copy, &plain);
    if (rc) {
        arena_drop_large(w->arena, copy);
        return rc;
    }
    json_string_open(w);
    json_string_inner(w, SCHEME);
    json_string_inner(w, FALLBACK);
    json_string_inner(w, SLICE(";base64,"));
    while (plain.len > 0) {
        char group[4];
        size_t n = plain.len < 3 ? plain.len : 3;
        encode_group((const unsigned char *)plain.ptr, n, group);
        json_string_inner(w, slice_of(group, 4));
        plain = slice_skip(plain, n);
    }
    json_string_close(w);
    arena_drop_large(w->arena, copy);
    return 0;
}
