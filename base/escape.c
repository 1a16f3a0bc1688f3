// SPDX-License-Identifier: Apache-2.0
//
// escape.c: runs of plain bytes, and one step for everything else.
//
// Callers copy a plain run whole and come here only for the characters between, so ordinary text
// costs a table look-up a byte. UTF-8 is checked by the table of RFC 3629 §4: overlong forms,
// surrogates and what lies beyond U+10FFFF are refused.
#include "base/escape.h"
#include "base/assert.h"
#include "base/container.h"

size_t escape_plain(struct slice s)
{
    size_t n = 0;
    while (n < s.len) {
        unsigned char c = (unsigned char)s.ptr[n];
        if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            break;
        n++;
    }
    return n;
}

// One row for each form of RFC 3629 §4: lead bytes, length, and what the second byte may be.
struct utf8_form {
    unsigned char lead_min, lead_max, len, second_min, second_max;
};

static const struct utf8_form utf8_forms[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

// Length of the multi-byte character `s` begins with, or 0 when it is none.
static size_t utf8_len(struct slice s)
{
    unsigned char lead = (unsigned char)s.ptr[0];
    for (size_t i = 0; i < ARRAY_LEN(utf8_forms); i++) {
        const struct utf8_form *f = &utf8_forms[i];
        if (lead < f->lead_min || lead > f->lead_max)
            continue;
        if (s.len < f->len)
            return 0;
        unsigned char second = (unsigned char)s.ptr[1];
        if (second < f->second_min || second > f->second_max)
            return 0;
        for (size_t k = 2; k < f->len; k++) {
            if (((unsigned char)s.ptr[k] & 0xc0) != 0x80)
                return 0;
        }
        return f->len;
    }
    return 0;
}

static size_t write_u(char *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    memcpy(out, "\\u00", 4);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

static size_t write_ascii(char *out, unsigned char c)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(names); i += 2) {
        if ((unsigned char)names[i] == c) {
            out[0] = '\\';
            out[1] = names[i + 1];
            return 2;
        }
    }
    if (c < 0x20 || c == 0x7f)
        return write_u(out, c);
    out[0] = (char)c;
    return 1;
}

size_t escape_step(struct slice *s, char *out)
{
    ASSERT(s->len > 0);
    unsigned char c = (unsigned char)s->ptr[0];
    if (c < 0x80) {
        *s = slice_skip(*s, 1);
        return write_ascii(out, c);
    }
    size_t len = utf8_len(*s);
    if (len == 0) {
        *s = slice_skip(*s, 1);
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    unsigned char second = (unsigned char)s->ptr[1];
    if (c == 0xc2 && second < 0xa0) { // U+0080 to U+009F
        *s = slice_skip(*s, 2);
        return write_u(out, second);
    }
    memcpy(out, s->ptr, len);
    *s = slice_skip(*s, len);
    return len;
}
