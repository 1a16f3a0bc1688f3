// SPDX-License-Identifier: Apache-2.0
//
// json_token.h: the smallest pieces of JSON, shared by the scanner and the readers of short values.
//
// Header only; private to codec.
#ifndef RINGGATE_CODEC_JSON_TOKEN_H
#define RINGGATE_CODEC_JSON_TOKEN_H

#include "codec/json_scan.h"

#include <stdbool.h>
#include <stdint.h>

static inline bool json__is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool json__is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline const char *json__skip_space(const char *p, const char *end)
{
    while (p < end && json__is_space(*p))
        p++;
    return p;
}

// The type of the value that begins with `c`; JSON_NONE when none does.
static inline enum json_type json__type_of(char c)
{
    switch (c) {
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return c == '-' || json__is_digit(c) ? JSON_NUMBER : JSON_NONE;
    }
}

// Reads the escape at `p` (a backslash) into *ret_code, a Unicode scalar value; two \u escapes that
// are a surrogate pair are one. Returns its length in bytes, 0 when it is none: unknown letter, bad
// digits, a surrogate without its partner, cut off by `end`.
unsigned json__escape(const char *p, const char *end, uint32_t *ret_code);

#endif
