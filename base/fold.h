// SPDX-License-Identifier: Apache-2.0
//
// fold.h: a run of texts that are much alike, kept as what each differs in.
//
// The events of a stream repeat each other: of 150 bytes a handful is new. A text is kept either
// whole, or as the middle in which it differs from the last whole one, its reference:
//
//     reference   data: {"id":"c1","choices":[{"delta":{"content":" the"}}]}\n\n
//     text        data: {"id":"c1","choices":[{"delta":{"content":" end"}}]}\n\n
//                 └───────────────── before ────────────────────┘end└ after ┘
//
//   whole   length × 2                            the text
//   alike   length of the middle × 2 + 1          before, after, the middle
//
// Numbers are little-endian groups of seven bits, the highest bit of each byte says that there are
// more. What comes out is what went in, byte for byte.
//
// A reference is never longer than FOLD_REFERENCE_BYTES: longer texts are kept whole and change
// nothing. Nothing is allocated. Pure; any thread.
#ifndef RINGGATE_BASE_FOLD_H
#define RINGGATE_BASE_FOLD_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>

// Comparing costs for each text what its reference is long: longer ones are seldom alike.
#define FOLD_REFERENCE_BYTES 1024
// A length and two parts of a reference: what a text may take beyond itself.
#define FOLD_HEAD_BYTES 16

struct fold {
    struct slice reference; // in what was written before
};

// Writes `text` behind all that came before; `out` has room for FOLD_HEAD_BYTES more than it is
// long. What was written stays where it is for as long as texts are added. Returns the bytes taken.
size_t fold_add(struct fold *f, struct slice text, char *out);

// All texts of `folded`, one behind the other, to the end of `out`. 0; ERR_MORE: it was cut in the
// middle of a text, those before are there; ERR_BAD_LENGTH: nobody has written this; ERR_LIMIT,
// ERR_NOMEM.
int fold_read(struct slice folded, struct buf *out);

#endif
