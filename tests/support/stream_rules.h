// SPDX-License-Identifier: Apache-2.0
//
// stream_rules.h: is this event stream one that a client of its dialect may see?
//
// Three validators, written from the vendors' documentation of their streams and from nothing here:
// they know no canonical form and no dialect row. What they ask is order and agreement (who comes
// first, what may follow what, that a `done` repeats its deltas), not the shape of an event: that
// is tests/golden/check_types.py's affair. Each is stricter than a client need be where the
// gateway's own streams are (docs/translation.md, Streams): one message_delta, blocks one behind
// the other, one choice.
//
//   chat        platform.openai.com/docs/api-reference/chat/streaming
//   responses   platform.openai.com/docs/api-reference/responses-streaming
//   messages    platform.claude.com/docs/en/build-with-claude/streaming
#ifndef RINGGATE_TESTS_SUPPORT_STREAM_RULES_H
#define RINGGATE_TESTS_SUPPORT_STREAM_RULES_H

#include "base/slice.h"

struct stream_verdict {
    size_t event;  // which one, from 0
    char why[192]; // the rule it breaks
};

// True when `text`, whole SSE events, is legal. `whole` asks that it ends as it must; without it a
// stream may stop behind any event (one that broke off, before the error event).
typedef bool (*stream_rules_fn)(struct slice text, bool whole, struct stream_verdict *ret);

bool stream_rules_chat(struct slice text, bool whole, struct stream_verdict *ret);
bool stream_rules_responses(struct slice text, bool whole, struct stream_verdict *ret);
bool stream_rules_messages(struct slice text, bool whole, struct stream_verdict *ret);

#endif
