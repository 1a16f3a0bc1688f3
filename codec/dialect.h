// SPDX-License-Identifier: Apache-2.0
//
// dialect.h: one LLM wire format: what it says, and how it is turned into another.
//
// A dialect is a constant row with two halves. The first looks: the names of the members that
// decide where a request goes, and readers that find in an answer or a stream event what the
// gateway must know (usage, the end, an error). That is the whole contract when client and provider
// speak the same dialect: the canonical form is bypassed, the bytes pass, unknown members are never
// touched because nobody takes the text apart.
//
//     request  ──json_scan(members)──► where model, stream, … lie ──json_edit──► upstream
//     event    ──dialect->event────► {kind, usage} ── withhold? splice extra_fields? ──► client
//
// The second half translates, when they speak different ones: to and from the canonical form of
// canon.h, a request, an answer or an event at a time (docs/translation.md has the rules).
//
//     request  ──from.read_request──► canon_request ──to.write_request──► upstream
//     answer   ◄──from.write_answer── canon_answer  ◄──to.read_answer──── upstream
//     event    ◄──from.write_event─── canon_event   ◄──to.read_event───── upstream
//
// A new vendor format is a file with such a row. The looking half takes a slice and gives values;
// it allocates nothing. The translating half takes memory from the arena it is given. Pure.
#ifndef RINGGATE_CODEC_DIALECT_H
#define RINGGATE_CODEC_DIALECT_H

#include "base/slice.h"
#include "codec/canon.h"
#include "codec/canon_stream.h"
#include "codec/json_write.h"
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
    DIALECT_SERVICE_TIER,     // decides what is reserved of a budget
    DIALECT_MEMBER_COUNT
};

// Which counts an event told, where a dialect spreads its usage over several events.
enum dialect_usage_part {
    DIALECT_USAGE_INPUT = 1, // then `input_tokens` is the input that no cache had to do with
    DIALECT_USAGE_OUTPUT = 2,
    DIALECT_USAGE_READ = 4,
    DIALECT_USAGE_WRITE = 8,
    DIALECT_USAGE_WRITE_1H = 16,
    DIALECT_USAGE_SEARCHES = 32,
    DIALECT_USAGE_TIER = 64,
};

// What the provider says it has served the request as.
enum dialect_tier { DIALECT_TIER_DEFAULT, DIALECT_TIER_PRIORITY, DIALECT_TIER_FLEX };

// More tokens than any request can use: stops what a provider invents from making sums wrap.
#define DIALECT_TOKENS_MAX UINT64_C(1000000000000)

struct dialect_usage {
    bool known;
    bool opening;  // told by the message's beginning: what follows will be more
    uint8_t parts; // 0: all of it; else those of dialect_usage_part, the other numbers say nothing
    uint64_t input_tokens, output_tokens, total_tokens;
    uint64_t cached_read_tokens, cached_write_tokens;
    uint64_t cached_write_1h_tokens; // of those written: for an hour, not five minutes
    uint64_t input_audio_tokens, output_audio_tokens;
    uint64_t searches; // of the web
    enum dialect_tier tier;
    double dollars; // what the provider says it costs; 0: nothing
};

enum dialect_event_kind {
    DIALECT_EVENT_OTHER, // comment, unknown: passes
    DIALECT_EVENT_DELTA, // carries content
    DIALECT_EVENT_USAGE, // chat: `choices` is [] and usage is there (withheld when not asked for)
    DIALECT_EVENT_END,   // the terminal event: [DONE], response.completed, message_stop, …
    DIALECT_EVENT_ERROR, // the provider reports an error inside the stream
};

struct dialect_event {
    enum dialect_event_kind kind;
    bool is_object; // data is a JSON object (extra_fields can be spliced)
    struct dialect_usage usage;
};

// The translating half. A function that is NULL says that the dialect has no such thing.
struct dialect_translation {
    // `text` is well-formed JSON (it has been scanned) and an object; r->arena and r->pass_extra
    // are set, everything else is zero. 0; ERR_BAD_TYPE, ERR_MISSING, ERR_UNSUPPORTED with
    // r->refusal naming the member; ERR_LIMIT (too many parts, nested too deeply); ERR_NOMEM.
    int (*read_request)(struct canon_request *r, struct slice text);
    // A request for `model` (unescaped) to w. Errors as above; r->dropped gets what did not cross.
    int (*write_request)(struct canon_request *r, struct slice model, struct json_writer *w);
    // `text` as it came: not known to be JSON. 0; ERR_BAD_JSON and its kin, ERR_UPSTREAM_PROTOCOL
    // when it is no answer of this dialect; ERR_LIMIT; ERR_NOMEM.
    int (*read_answer)(struct canon_answer *a, struct slice text);
    int (*write_answer)(const struct canon_answer *a, const struct canon_context *c,
                        struct json_writer *w);
    // One event in, its canonical events into the sink at once. 0; the sink's error; ERR_BAD_SSE
    // for an event this dialect does not allow (no JSON, a wrong type, out of order); ERR_NOMEM,
    // ERR_LIMIT. Comments, unknown event types and keep-alives give nothing.
    int (*read_event)(struct canon_reader *r, const struct sse_event *event,
                      struct canon_sink *sink);
    // The client's events for a canonical one, appended to w->out. Never called for ERROR: how an
    // error looks is the mount's affair (gateway/error.h). 0, ERR_NOMEM, ERR_LIMIT.
    int (*write_event)(struct canon_writer *w, const struct canon_event *e);
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
    const struct dialect_translation *translation; // NULL: native only
    // What `event` looks for in an object that is no DIALECT_EVENT_DELTA or has usage. NULL: not to
    // be told by a look at the data; every event is asked for.
    const struct sse_marks *marks;
};

extern const struct dialect dialect_openai_chat;
extern const struct dialect dialect_openai_text;
extern const struct dialect dialect_openai_embeddings;
extern const struct dialect dialect_openai_responses;
extern const struct dialect dialect_openai_input_tokens; // a responses request, answered by a count
extern const struct dialect dialect_anthropic_messages;
extern const struct dialect dialect_anthropic_complete;
extern const struct dialect dialect_anthropic_count_tokens;

// A number of tokens as a provider tells it. 0; ERR_BAD_TYPE when it is no integer or more than
// DIALECT_TOKENS_MAX.
int dialect_tokens(struct slice value, uint64_t *ret);

// A `service_tier`, as a JSON literal.
enum dialect_tier dialect_tier(struct slice value);

// Can a request of `client` be sent to a provider that speaks `provider`, and its answer (a stream
// when `stream`) come back?
bool dialect_translates(const struct dialect *client, const struct dialect *provider, bool stream);

// What a stream has told until now, when `told` (known) came last: counts are running sums, so each
// that is told takes the place of the one before. *sum is whole (its parts are 0) before and after.
void dialect_usage_update(struct dialect_usage *sum, const struct dialect_usage *told);

#endif
