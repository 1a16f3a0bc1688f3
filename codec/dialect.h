// SPDX-License-Identifier: Apache-2.0
//
// dialect.h: what one LLM wire format says, read without translating it.
//
// A dialect is a constant row: the names of the members that decide where a request goes, and
// readers that find in an answer or a stream event what the gateway must know (usage, the end, an
// error). This is the whole contract when client and provider speak the same dialect: the
// canonical form is bypassed, the bytes pass, and the row only looks. Unknown members are never
// touched because nobody takes the text apart.
//
//     request  ──json_scan(members)──► where model, stream, … lie ──json_edit──► upstream
//     event    ──dialect->event────► {kind, usage} ── withhold? splice extra_fields? ──► client
//
// Readers take a slice and give values; they allocate nothing. Pure; any thread.
#ifndef RINGGATE_CODEC_DIALECT_H
#define RINGGATE_CODEC_DIALECT_H

#include "base/slice.h"
#include "codec/sse.h"

// Positions in a dialect's `members`, equal in all dialects. One that a dialect lacks has the name
// it bears elsewhere: it is found when a client sends it, and passed on.
enum dialect_member {
    DIALECT_MODEL,
    DIALECT_STREAM,
    DIALECT_STREAM_OPTIONS,
    DIALECT_FALLBACKS,
    DIALECT_INPUT,            // the required one: messages, prompt, input
    DIALECT_TOKENS_LIMIT,     // max_completion_tokens, max_output_tokens
    DIALECT_TOKENS_LIMIT_OLD, // max_tokens
    DIALECT_MEMBER_COUNT
};

struct dialect_usage {
    bool known;
    uint64_t input_tokens, output_tokens, total_tokens;
    uint64_t cached_read_tokens, cached_write_tokens;
};

enum dialect_event_kind {
    DIALECT_EVENT_OTHER, // comment, unknown: passes
    DIALECT_EVENT_DELTA, // carries content
    DIALECT_EVENT_USAGE, // chat: `choices` is [] and usage is there (withheld when not asked for)
    DIALECT_EVENT_END,   // the terminal event: [DONE], response.completed/incomplete/failed
    DIALECT_EVENT_ERROR, // the provider reports an error inside the stream
};

struct dialect_event {
    enum dialect_event_kind kind;
    bool is_object; // data is a JSON object (extra_fields can be spliced)
    struct dialect_usage usage;
};

struct dialect {
    struct slice name;           // "openai_chat"
    const struct slice *members; // DIALECT_MEMBER_COUNT names
    bool streams;
    bool usage_option; // include_usage exists here
    bool named_events; // events carry `event:` lines; no [DONE] at the end
    // Usage of a whole answer's text; known = false when there is none.
    void (*answer_usage)(struct slice text, struct dialect_usage *ret);
    void (*event)(const struct sse_event *event, struct dialect_event *ret);
    // What `event` looks for in an object that is no DIALECT_EVENT_DELTA or has usage. NULL: not to
    // be told by a look at the data; every event is asked for.
    const struct sse_marks *marks;
};

extern const struct dialect dialect_openai_chat;
extern const struct dialect dialect_openai_text;
extern const struct dialect dialect_openai_embeddings;
extern const struct dialect dialect_openai_responses;

#endif
