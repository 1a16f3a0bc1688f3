// SPDX-License-Identifier: Apache-2.0
//
// sse_model.h: server-sent events the slow way, to compare the splitter with.
//
// A stream is cut into lines first and the lines into events, each event copied, as the standard's
// text reads. `sse_collect` runs the splitter over a stream cut at given places and copies what it
// gives into the same form. Memory is the test's: everything is freed by sse_list_done.
#ifndef RINGGATE_TESTS_SUPPORT_SSE_MODEL_H
#define RINGGATE_TESTS_SUPPORT_SSE_MODEL_H

#include "codec/sse.h"

struct sse_list {
    struct buf events; // of every event: type, NUL, data, and whether it has data, then 0xFF
    struct buf raw;    // raw bytes of the events, one after the other, then what is unfinished
    size_t count;
    bool partial;
};

void sse_list_done(struct sse_list *list);
// What a stream holds by the model.
struct sse_list sse_model(struct slice stream);
// What the splitter makes of it; `next_cut(position)` is how many bytes the next span has (> 0).
// With marks it is asked for runs first.
struct sse_list sse_collect(struct slice stream, size_t (*next_cut)(void *state, size_t position),
                            void *state, const struct sse_marks *marks);
// Data that hold `"u"` are special.
extern const struct sse_marks sse_model_marks;
// Asserts that both hold the same events and the same bytes.
void sse_list_same(const struct sse_list *a, const struct sse_list *b);

#endif
