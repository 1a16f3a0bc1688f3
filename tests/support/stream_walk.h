// SPDX-License-Identifier: Apache-2.0
//
// stream_walk.h: what the validators of stream_rules.h share; theirs alone.
#ifndef RINGGATE_TESTS_SUPPORT_STREAM_WALK_H
#define RINGGATE_TESTS_SUPPORT_STREAM_WALK_H

#include "base/buf.h"
#include "tests/support/stream_rules.h"

#include <yyjson.h>

// A test's stream is small; one that is not is a mistake of the test.
#define STREAM_TEXT_MAX ((size_t)1 << 20)

struct stream_event {
    struct slice type; // of the event line
    bool marker;       // [DONE]
    yyjson_val *data;  // an object, unless it is the marker
    const char *name;  // the data's own type; "" without
};

struct stream_walk {
    bool named; // events bear their names, as the data does
    bool (*step)(struct stream_walk *w, const struct stream_event *e);
    struct stream_verdict *verdict;
    bool ended; // the last event has passed
};

bool stream_walk(struct stream_walk *w, struct slice text, bool whole);
// Says why, and returns false.
bool stream_broke(struct stream_walk *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// A member's text; "" when there is none.
const char *stream_str(yyjson_val *object, const char *name);
bool stream_null(yyjson_val *object, const char *name); // null or absent
// Appends a string; compares one with what was put together.
void stream_add(struct buf *text, yyjson_val *piece);
bool stream_text_is(const struct buf *text, yyjson_val *value);

#endif
