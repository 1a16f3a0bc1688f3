// SPDX-License-Identifier: Apache-2.0
//
// coding.h: one content coding taken off: coded bytes in, text out, a piece at a time.
//
// Both sides need it: decode.c for answers that come compressed although identity was asked for,
// unpack.c for requests that clients compress. Neither sees a library's own numbers.
//
//   name                what it is                                    ends
//   ------------------+---------------------------------------------+-----------------------------
//   gzip, x-gzip      | RFC 1952, several members one behind another | with any member
//   deflate           | RFC 1950, or RFC 1951 without its frame      | once; nothing may follow
//   br                | RFC 7932, windows to 16 MB                   | once; nothing may follow
//   zstd              | RFC 8878, several frames, windows to 8 MB    | with any frame
//
// A step is bounded by what goes in and the room for what comes out, so a caller that takes small
// steps decides how long it computes. Not so br: its decoder fills its whole window before it gives
// anything (row->slow).
#ifndef RINGGATE_GATEWAY_CODING_H
#define RINGGATE_GATEWAY_CODING_H

#include "base/arena.h"
#include "base/slice.h"
#include <stdbool.h>

struct coding;
struct coding_ops;

struct coding_row {
    struct slice name;
    const struct coding_ops *ops;
    bool repeats; // further text may follow its end
    bool slow;    // one step may take milliseconds, whatever it is given
};

// By its name in any letter case; NULL: there is no such coding here.
const struct coding_row *coding_find(struct slice name);

// 0 or ERR_NOMEM. What zlib needs comes from the arena; the others bring their own memory, at most
// a window and tables, which coding_free gives back. Steps of a `slow` one touch nothing else: any
// thread may take them.
int coding_new(struct arena *arena, const struct coding_row *row, struct coding **ret_coding);

// Takes from *in and writes up to `room` (not 0) bytes; *ret_len says how many. Less than `room`:
// all of *in is taken and nothing is held back. Else call again, also without input.
// 0, ERR_BAD_PACKED (it is not what it is called, or something follows its end), ERR_NOMEM.
int coding_step(struct coding *c, struct slice *in, char *out, size_t room, size_t *ret_len);

// The data may end here.
bool coding_is_whole(const struct coding *c);
void coding_free(struct coding *c); // NULL is fine

#endif
