// SPDX-License-Identifier: Apache-2.0
//
// json_value.c: short values, read where they lie.
//
// What follows a scan: a string without its escapes, an integer, the elements of `fallbacks`, the
// members of `usage`. The texts are known to be well-formed, so skipping a value is a matter of
// quotes and brackets; still, nothing here reads outside its slice or loops for ever on a text
// that is not, it answers "no more" or ERR_BAD_TYPE (the fuzz target feeds it such texts).
//
// Skipping does not recurse: inside a container only the depth counts, whatever the brackets'
// kinds, because the scan has matched them. Who reads a nested text skips each value once a level
// around it, so long ones are skipped by the group (json_lanes.h); short ones, and what is less
// than a group at a text's end, by the byte.
#include "base/assert.h"
#include "base/err.h"
#include "codec/json_lanes.h"
#include "codec/json_scan.h"
#include "codec/json_token.h"

// Sixteens in which the end of a string is looked for before it counts as long.
#define SHORT_LOOKS 2
// Bytes before the end of the text from which on a container is skipped by the group.
#define LONG_CONTAINER (4 * JSON_LANES)

static int hex_digit(char c)
{
    if (json__is_digit(c))
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The code unit of `\uXXXX` at `p`, or -1.
static int32_t code_unit(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static unsigned unicode_escape(const char *p, const char *end, uint32_t *ret_code)
{
    int32_t high = code_unit(p, end);
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF))
        return 0;
    if (high < 0xD800 || high > 0xDBFF) {
        *ret_code = (uint32_t)high;
        return 6;
    }
    int32_t low = code_unit(p + 6, end);
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *ret_code = 0x10000 + (((uint32_t)high - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    return 12;
}

unsigned json__escape(const char *p, const char *end, uint32_t *ret_code)
{
    ASSERT(p < end && *p == '\\');
    if (end - p < 2)
        return 0;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
        *ret_code = (uint32_t)p[1];
        return 2;
    case 'b':
        *ret_code = '\b';
        return 2;
    case 'f':
        *ret_code = '\f';
        return 2;
    case 'n':
        *ret_code = '\n';
        return 2;
    case 'r':
        *ret_code = '\r';
        return 2;
    case 't':
        *ret_code = '\t';
        return 2;
    case 'u':
        return unicode_escape(p, end, ret_code);
    default:
        return 0;
    }
}

// Writes a Unicode scalar value as UTF-8; returns the bytes written, at most 4.
static unsigned put_utf8(char *out, uint32_t code)
{
    ASSERT(code <= 0x10FFFF);
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    unsigned tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    out[0] = (char)(lead[tail] | code >> (6 * tail));
    for (unsigned i = 1; i <= tail; i++)
        out[i] = (char)(0x80 | (code >> (6 * (tail - i)) & 0x3F));
    return tail + 1;
}

int json_unescape(struct slice value, char *out, struct slice *ret)
{
    if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"')
        return ERR_BAD_TYPE;
    struct slice inner = slice_of(value.ptr + 1, value.len - 2);
    const char *end = inner.ptr + inner.len;
    const char *p = inner.len == 0 ? NULL : memchr(inner.ptr, '\\', inner.len);
    if (p == NULL) {
        *ret = inner;
        return 0;
    }
    size_t len = (size_t)(p - inner.ptr);
    memcpy(out, inner.ptr, len);
    while (p < end) {
        uint32_t code;
        unsigned taken = json__escape(p, end, &code);
        if (taken == 0)
            return ERR_BAD_TYPE;
        len += put_utf8(out + len, code);
        p += taken;
        const char *next = p < end ? memchr(p, '\\', (size_t)(end - p)) : NULL;
        size_t run = (size_t)((next ? next : end) - p);
        memcpy(out + len, p, run);
        len += run;
        p += run;
    }
    ASSERT(len < value.len);
    *ret = slice_of(out, len);
    return 0;
}

void json_unescape_all(struct slice text, struct buf *out)
{
    char utf8[4];
    uint32_t code;

    while (text.len > 0) {
        const char *next = memchr(text.ptr, '\\', text.len);
        size_t run = next ? (size_t)(next - text.ptr) : text.len;
        buf_add(out, slice_take(text, run));
        text = slice_skip(text, run);
        if (text.len == 0)
            return;
        unsigned taken = json__escape(text.ptr, text.ptr + text.len, &code);
        if (taken > 0)
            buf_add(out, slice_of(utf8, put_utf8(utf8, code)));
        else
            buf_add_char(out, '\\');
        text = slice_skip(text, taken > 0 ? taken : 1);
    }
}

int json_u64(struct slice value, uint64_t *ret)
{
    if (value.len > 1 && value.ptr[0] == '0')
        return ERR_BAD_TYPE;
    return slice_to_u64(value, ret);
}

// From inside a string past its closing quote; NULL when it does not close.
static const char *skip_string_rest(const char *p, const char *end)
{
    while ((p = lanes_find2(p, end, '"', '\\')) < end) {
        if (*p == '"')
            return p + 1;
        if (end - p < 2)
            return NULL;
        p += 2;
    }
    return NULL;
}

// Past the closing quote of the string that opens at `p`; NULL when it does not close.
static const char *skip_string(const char *p, const char *end)
{
    ASSERT(p < end && *p == '"');
    p++;
    for (int look = 0; look < SHORT_LOOKS && end - p >= JSON_LANES; look++, p += LANES_BYTES) {
        unsigned first = lanes_first(lanes_eq2(lanes_load(p), '"', '\\'));
        if (first < LANES_BYTES && p[first] == '"')
            return p + first + 1;
        if (first < LANES_BYTES)
            break;
    }
    return skip_string_rest(end - p >= JSON_LANES ? json_lanes_quote(p, end) : p, end);
}

// `p` is behind the opening bracket.
static const char *skip_container(const char *p, const char *end)
{
    size_t depth = 1;
    bool in_string = false;
    if (end - p >= LONG_CONTAINER) {
        p = json_lanes_close(p, end, &depth, &in_string);
        if (depth == 0)
            return p;
        if (in_string && (p = skip_string_rest(p, end)) == NULL)
            return NULL;
    }
    while (p < end) {
        switch (*p) {
        case '"':
            p = skip_string(p, end);
            if (p == NULL)
                return NULL;
            continue;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0)
                return p + 1;
            break;
        default:
            break;
        }
        p++;
    }
    return NULL;
}

// Past the value that begins at `p`; NULL when none does.
static const char *skip_value(const char *p, const char *end, enum json_type *ret_type)
{
    enum json_type type = p < end ? json__type_of(*p) : JSON_NONE;
    *ret_type = type;
    if (type == JSON_NONE)
        return NULL;
    if (type == JSON_STRING)
        return skip_string(p, end);
    if (type == JSON_OBJECT || type == JSON_ARRAY)
        return skip_container(p + 1, end);
    while (p < end && *p != ',' && *p != '}' && *p != ']' && !json__is_space(*p))
        p++;
    return p;
}

// Where the next element or member begins: behind the opening bracket at the start, later behind
// the comma at `position`. NULL at the end.
static const char *next_begin(struct slice value, size_t position, char opening)
{
    if (position >= value.len || value.ptr[position] != (position == 0 ? opening : ','))
        return NULL;
    return json__skip_space(value.ptr + position + 1, value.ptr + value.len);
}

bool json_array_next(struct slice value, size_t *position, enum json_type *ret_type,
                     struct slice *ret_element)
{
    const char *p = next_begin(value, *position, '[');
    if (p == NULL)
        return false;
    const char *end = value.ptr + value.len;
    enum json_type type;
    const char *past = skip_value(p, end, &type);
    if (past == NULL)
        return false;
    *ret_type = type;
    *ret_element = slice_of(p, (size_t)(past - p));
    *position = (size_t)(json__skip_space(past, end) - value.ptr);
    return true;
}

bool json_object_next(struct slice value, size_t *position, struct json_member *ret_member)
{
    const char *p = next_begin(value, *position, '{');
    if (p == NULL)
        return false;
    const char *end = value.ptr + value.len;
    if (p >= end || *p != '"')
        return false;
    struct json_member m = {.comma_before = *position == 0 ? -1 : (ptrdiff_t)*position,
                            .comma_after = -1};
    const char *past = skip_string(p, end);
    if (past == NULL)
        return false;
    m.key = slice_of(p, (size_t)(past - p));
    p = json__skip_space(past, end);
    if (p >= end || *p != ':')
        return false;
    p = json__skip_space(p + 1, end);
    past = skip_value(p, end, &m.type);
    if (past == NULL)
        return false;
    m.value = slice_of(p, (size_t)(past - p));
    p = json__skip_space(past, end);
    if (p < end && *p == ',')
        m.comma_after = p - value.ptr;
    *position = (size_t)(p - value.ptr);
    *ret_member = m;
    return true;
}

// Does `key` (with its quotes) spell `name`, escapes resolved?
static bool key_spells(struct slice key, struct slice name)
{
    char buffer[6 * JSON_NAME_BYTES_MAX + 2];
    struct slice plain;
    if (key.len > 6 * name.len + 2 || json_unescape(key, buffer, &plain) != 0)
        return false;
    return slice_eq(plain, name);
}

struct json_member json_object_get(struct slice value, struct slice name)
{
    ASSERT(name.len <= JSON_NAME_BYTES_MAX);
    struct json_member found = {.type = JSON_NONE, .comma_before = -1, .comma_after = -1};
    struct json_member m;
    for (size_t position = 0; json_object_next(value, &position, &m);)
        if (key_spells(m.key, name))
            found = m;
    return found;
}
