// SPDX-License-Identifier: Apache-2.0
//
// search_text.h: what of a content a person's search looks at.
//
// People look for what was said, and bodies say it in JSON: `"` and line ends are escaped, clients
// differ in what else they escape, and a stream says a sentence in ten events. So a search reads
//
//     the request and a whole answer    with the escapes of their strings resolved
//     a stream                          what it said, its events' pieces joined; then the events
//
// Whatever dialect it is: the members that say something (`content`, `text`, `arguments`, …) have
// the same few names in all of them. Pure; any thread.
#ifndef RINGGATE_ADMIN_SEARCH_TEXT_H
#define RINGGATE_ADMIN_SEARCH_TEXT_H

#include "base/buf.h"
#include "base/slice.h"
#include <stdbool.h>

// A stream unfolded; stops a small value that says the same a million times.
#define SEARCH_TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)

// To the end of `out`; where that is full, the search ends.
void search_text(struct slice request, struct slice answer, bool answer_folded, struct buf *out);

#endif
