// SPDX-License-Identifier: Apache-2.0
//
// record.h: a finished exchange as bytes: in a ring, and its content in the database.
//
// In a ring (the machine's own numbers; the first byte is the version):
//
//   offset 0   1   01
//          1   1   flags (enum record_flag)
//          2   2   status
//          4   4   number of the record
//          8   8   time, microseconds since 1970
//         16   4   latency, milliseconds
//         20   1   moves
//         21   6   lengths of the words
//         27   1   more flags (enum record_flag, from 256 on)
//         28   4   losses of its ring (spool_losses) when its request was looked at
//         32  40   input, output, cached read, cached written tokens; cost
//         72  12   lengths of row, request and answer
//         84   4   zero
//         88   …   moves: window 8, delta 8, length of the counter's id 1; words; counters' ids;
//                  row; request, shared when a flag says so (share.h); answer
//
// A content, as it lies in a bundle (bundle.h):
//
//   offset 0   1   01
//          1   1   flags: RECORD_CUT and RECORD_FOLDED as they are, and 1 for RECORD_SHARED
//          2   4   length of the request, big-endian
//          6   …   request, answer
#ifndef RINGGATE_STORE_RECORD_H
#define RINGGATE_STORE_RECORD_H

#include "base/slice.h"
#include "store/share.h"
#include "store/spool.h"
#include "store/store.h"

#define RECORD_VERSION       1
#define RECORD_HEAD_BYTES    88
#define RECORD_MOVE_BYTES    17
#define RECORD_CONTENT_BYTES 6

// What a record needs in a ring when nothing but its usage is kept, at most.
#define RECORD_USAGE_BYTES_MAX                                                                     \
    spool_frame_bytes(RECORD_HEAD_BYTES + STORE_WORD_COUNTER * STORE_WORD_BYTES_MAX +              \
                      STORE_MOVES_MAX * (RECORD_MOVE_BYTES + STORE_WORD_BYTES_MAX))

enum record_flag {
    RECORD_STREAMED = 1,
    RECORD_USAGE_KNOWN = 2,
    RECORD_COST_ESTIMATED = 4,
    RECORD_HAS_ROW = 8,       // it came with a row
    RECORD_LOST_CONTENT = 16, // it came with content, for which there was no room
    RECORD_LOST_ROW = 32,     // and with a row
    RECORD_CUT = 64,          // its content was longer than it may be
    RECORD_FOLDED = 128,      // its answer is folded
    RECORD_SHARED = 256,      // its request is in the shared form
    RECORD_EARLY = 512        // only a request, of a record to come: no row, no usage
};

// A record read back: slices point into the bytes it was read from.
struct record_view {
    struct store_record record;
    struct store_id id; // without the ring
    unsigned flags;
    uint32_t losses;
    struct slice payload;
};

// Cuts words and content to their bounds, in place; which flags say so.
unsigned record_trim(struct store_record *record);
// Payload bytes of a trimmed record with as much of it as `kept` says; its request as `recipe`
// says, or as it is when that is NULL.
uint64_t record_bytes(const struct store_record *record, const struct share_recipe *recipe,
                      enum store_kept kept);
// Puts it into the owner's ring, where there is room for it.
void record_put(struct spool *spool, const struct store_record *record,
                const struct share_recipe *recipe, enum store_kept kept, unsigned flags,
                uint32_t number);
// A request alone, under RECORD_EARLY.
uint64_t record_early_bytes(const struct share_recipe *recipe);
void record_put_early(struct spool *spool, uint64_t time_us, const struct share_recipe *recipe,
                      uint32_t losses, uint32_t number);
// 0, or ERR_UNSUPPORTED (a version of the future) or ERR_BAD_LENGTH.
int record_read(struct slice payload, struct record_view *ret);
// What is kept of it as its row: the payload but for its content. In parts: `head`, which is the
// caller's, and the rest of the payload up to the request. record_read reads it again.
void record_row_parts(const struct record_view *view, unsigned char head[RECORD_HEAD_BYTES],
                      struct slice ret_parts[2]);

// What is kept of it as its content. `head` is the caller's.
void record_content_parts(const struct record_view *view, unsigned char head[RECORD_CONTENT_BYTES],
                          struct slice ret_parts[3]);
// 0 or ERR_BAD_LENGTH. *ret_flags are those that are kept.
int record_content_read(struct slice value, struct slice *ret_request, struct slice *ret_answer,
                        unsigned *ret_flags);

#endif
