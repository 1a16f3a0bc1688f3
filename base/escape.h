// SPDX-License-Identifier: Apache-2.0
//
// escape.h: any bytes as the inside of a JSON string.
//
// One routine for everything that writes a string a person or a parser reads: buf_add_json, log
// lines. It escapes what JSON demands and also DEL and the C1 controls, which terminals obey.
// Bytes that are not UTF-8 become U+FFFD, one for each byte refused.
#ifndef RINGGATE_BASE_ESCAPE_H
#define RINGGATE_BASE_ESCAPE_H

#include "base/slice.h"

// The longest a single step writes: \u001b.
#define ESCAPE_STEP_MAX 6

// How many bytes at the start of `s` are plain ASCII that needs no escape. Pure.
size_t escape_plain(struct slice s);
// Takes one character off the front of *s (not empty) and writes its escaped form to `out`, which
// holds ESCAPE_STEP_MAX bytes. Returns how many were written. Pure.
size_t escape_step(struct slice *s, char *out);

#endif
