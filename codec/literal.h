// SPDX-License-Identifier: Apache-2.0
//
// literal.h: string literals looked at where they lie.
//
// Translation copies literals as they are written (canon.h). What it must know of one is little:
// its inside, whether it is empty, whether it spells a word that decides something. All take a
// string literal with its quotes out of a text that has been scanned, or an absent one (length 0).
//
// Pure; any thread.
#ifndef RINGGATE_CODEC_LITERAL_H
#define RINGGATE_CODEC_LITERAL_H

#include "base/slice.h"

// Without the quotes, escapes as written; empty when absent.
static inline struct slice literal_inner(struct slice literal)
{
    return literal.len < 2 ? SLICE_EMPTY : slice_of(literal.ptr + 1, literal.len - 2);
}

// Absent, or "".
static inline bool literal_is_empty(struct slice literal)
{
    return literal.len <= 2;
}

// Does it spell `text` (at most JSON_NAME_BYTES_MAX), escapes resolved? No when it is no string.
bool literal_is(struct slice literal, struct slice text);

// A text without white space around it.
struct slice literal_trim(struct slice text);

#endif
