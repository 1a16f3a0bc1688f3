// SPDX-License-Identifier: Apache-2.0
//
// golden.h: the files of tests/golden, and when two texts are equal (tests/golden/README.md).
//
// Memory is malloc's and the test's; texts live until golden_done.
#ifndef RINGGATE_TESTS_SUPPORT_GOLDEN_H
#define RINGGATE_TESTS_SUPPORT_GOLDEN_H

#include "base/buf.h"
#include "codec/dialect.h"
#include "tests/support/stream_rules.h"

enum golden_file {
    GOLDEN_REQUEST_CLIENT,
    GOLDEN_REQUEST_PROVIDER,
    GOLDEN_ANSWER_PROVIDER,
    GOLDEN_ANSWER_CLIENT,
    GOLDEN_STREAM_PROVIDER,
    GOLDEN_STREAM_CLIENT,
    GOLDEN_DROPPED,
    GOLDEN_REFUSED,
    GOLDEN_BROKEN,
    GOLDEN_VERBATIM,
    GOLDEN_KEEPS_THOUGHTS,
    GOLDEN_FILE_COUNT
};

// One side of a pair.
struct golden_side {
    const char *name; // as docs/translation.md calls it
    const struct dialect *dialect;
    stream_rules_fn rules; // NULL: its streams have no validator
};

struct golden_case {
    char *name; // "chat-messages/text"
    struct golden_side client, provider;
    char model[128]; // what the provider is asked for; "test-model" when it is asked nothing
    struct slice file[GOLDEN_FILE_COUNT]; // ptr NULL: there is none
};

struct golden {
    struct golden_case *cases; // sorted by name
    size_t count;
    size_t pairs;
};

// Reads all below `folder`. Asserts on what cannot be read or names no dialect.
void golden_read(struct golden *g, const char *folder);
void golden_done(struct golden *g);
// Can this case's requests and answers be translated, or (`stream`) its requests and streams?
bool golden_translates(const struct golden_case *c, bool stream);

// What differs, in words and with the path to it.
struct golden_diff {
    char text[512];
};

// Equal values, members of objects in any order but in a tool's or a format's schema, numbers
// spelt alike.
bool golden_same_json(struct slice expected, struct slice got, struct golden_diff *ret);
// Equal event by event.
bool golden_same_stream(struct slice expected, struct slice got, struct golden_diff *ret);

#endif
