// SPDX-License-Identifier: Apache-2.0
//
// splice.h: what /v1 adds to an answer, without taking the answer apart.
//
// Two edits, both in docs/relay.md: the member `extra_fields` (one that is there already is
// replaced), and inside the usage's token details the cached counts under the names that the
// unified API gives them. All other bytes pass as they came.
//
//   {"id":"…",…,"usage":{…,"prompt_tokens_details":{"cached_tokens":7            }}            }
//                                                                   ▲              ▲
//                                            ,"cached_read_tokens":7    ,"extra_fields":{…}
//
// Pure but for the arena that holds the inserted text.
#ifndef RINGGATE_GATEWAY_SPLICE_H
#define RINGGATE_GATEWAY_SPLICE_H

#include "codec/json_edit.h"
#include "gateway/exchange.h"

// What stands in every `extra_fields` of this answer: `"extra_fields":{"request_type":…,"latency":`
// up to the number. In the arena; ptr NULL without memory.
struct slice splice_prefix(struct exchange *x);

// A whole answer's member, latency included: `"extra_fields":{…,"latency":12}`. `response` is the
// provider's answer, shown in it when that is wanted (raw.h), or empty.
struct slice splice_member(struct exchange *x, int64_t latency_ms, struct slice response);

// The pieces of `text`, an object, with `member` (`"extra_fields":{…}`) put in or replaced and the
// cached counts added. At most JSON_PIECES_MAX pieces. ERR_BAD_JSON and its kin when the text is no
// object (then pass it as it is), ERR_NOMEM.
int splice_object(struct arena *arena, struct slice text, struct slice member, struct iovec *out,
                  unsigned *ret_count, size_t *ret_bytes);

// A body too large to be gathered, forwarded as it comes: the bytes from the last closing brace on
// are held back until more or the end arrives, so that the member can be put before them.
#define HOLD_BYTES_MAX 64

struct hold {
    char held[HOLD_BYTES_MAX];
    char going[HOLD_BYTES_MAX]; // what was held and may go now
    size_t len;
    bool begun;
    bool object; // the first byte was '{' and the end may still be its brace
};

void hold_init(struct hold *h);
// Takes `spans` and gives what may go out now: at most count + 1 slices, which lie in the spans and
// in `going`, valid until the next call. Nothing is given twice or lost.
unsigned hold_feed(struct hold *h, const struct slice *spans, unsigned count, struct slice *out);
// The body has ended: what is still held, with `member` before it when it is an object's end. At
// most 3 slices.
unsigned hold_end(struct hold *h, struct slice member, struct slice *out);

#endif
