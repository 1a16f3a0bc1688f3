// SPDX-License-Identifier: Apache-2.0
//
// literal.c: words compared as readers compare them. Every dialect's readers call it.

#include "codec/literal.h"
#include "base/assert.h"
#include "codec/json_scan.h"

bool literal_is(struct slice literal, struct slice text)
{
    char buffer[6 * JSON_NAME_BYTES_MAX + 2];
    struct slice plain;

    ASSERT(text.len <= JSON_NAME_BYTES_MAX);
    if (literal.len == text.len + 2 && slice_eq(literal_inner(literal), text))
        return literal.ptr[0] == '"';
    // Each byte takes six at most, \u0061.
    if (literal.len > 6 * text.len + 2 || literal.len > sizeof(buffer))
        return false;
    return json_unescape(literal, buffer, &plain) == 0 && slice_eq(plain, text);
}

struct slice literal_trim(struct slice text)
{
    while (text.len > 0 && (unsigned char)text.ptr[0] <= ' ')
        text = slice_skip(text, 1);
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    return text;
}
