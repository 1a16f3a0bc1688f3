// SPDX-License-Identifier: Apache-2.0
//
// anthropic_internal.h: what the translating halves of the Anthropic dialects share.
//
//     anthropic_value.c     members, refusals, literals, base64
//     anthropic_read.c      a request is read: parameters, tools, thinking
//     anthropic_blocks.c    … and its messages; the blocks of answers too
//     anthropic_write.c     a request is written: order, thinking, tools
//     anthropic_params.c    … its parameters
//     anthropic_model.c     … what the model's name says of it
//     anthropic_turns.c     … and its messages
//     anthropic_answer.c    answers both ways, usage, ends, counts
//     anthropic_events.c    a provider's events become canonical events
//     anthropic_stream.c    canonical events become a client's events
//     anthropic_complete.c  the older text completions, all of it
//
// An object is taken apart by a list of names; null counts as absent, of two members with one name
// the last counts. Private to codec.
#ifndef RINGGATE_CODEC_ANTHROPIC_INTERNAL_H
#define RINGGATE_CODEC_ANTHROPIC_INTERNAL_H

#include "codec/dialect.h"
#include "codec/json_scan.h"
#include "codec/literal.h"
#include <limits.h>

// ---- Values ------------------------------------------------------------------------------------

#define ANTHROPIC_TYPE(type) (1u << (type))
enum anthropic_types {
    ANTHROPIC_STRING = ANTHROPIC_TYPE(JSON_STRING),
    ANTHROPIC_NUMBER = ANTHROPIC_TYPE(JSON_NUMBER),
    ANTHROPIC_BOOL = ANTHROPIC_TYPE(JSON_TRUE) | ANTHROPIC_TYPE(JSON_FALSE),
    ANTHROPIC_ARRAY = ANTHROPIC_TYPE(JSON_ARRAY),
    ANTHROPIC_OBJECT = ANTHROPIC_TYPE(JSON_OBJECT),
    ANTHROPIC_ANY =
        ANTHROPIC_STRING | ANTHROPIC_NUMBER | ANTHROPIC_BOOL | ANTHROPIC_ARRAY | ANTHROPIC_OBJECT,
    ANTHROPIC_REQUIRED = 1u << 16,
};

struct anthropic_field {
    struct slice name;
    unsigned types; // anthropic_types
};

// Where one is, on the stack: `messages[3].content[0]`; spelt out only for a refusal.
struct anthropic_path {
    const struct anthropic_path *up;
    struct slice name; // absent: an index
    size_t index;
};

// Who reads: a request (which can be refused) or an answer.
struct anthropic_reader {
    struct arena *arena;
    unsigned *parts;
    struct canon_request *request; // NULL: an answer
};

// The members of `object` by `fields` (`count` of them) into ret; the unknown ones behind *extra,
// when that is given. 0; ERR_BAD_TYPE, ERR_MISSING (refused by the path) or, of an answer,
// ERR_UPSTREAM_PROTOCOL; ERR_LIMIT, ERR_NOMEM.
int anthropic__fields(const struct anthropic_reader *rd, const struct anthropic_path *path,
                      struct slice object, const struct anthropic_field *fields, unsigned count,
                      struct json_member *ret, struct canon_member **extra);
// What is wrong with path.name (the name may be absent). Returns the error to go on with.
int anthropic__bad(const struct anthropic_reader *rd, int err, const struct anthropic_path *path,
                   struct slice name, const char *what);

// A literal's content, in the arena when there are escapes. 0, ERR_BAD_TYPE, ERR_NOMEM.
int anthropic__plain(struct arena *arena, struct slice literal, struct slice *ret);

// 0, ERR_BAD_TYPE for what is no base64, ERR_NOMEM.
int anthropic__base64(struct arena *arena, struct slice data, struct slice *ret);

// ---- Requests ----------------------------------------------------------------------------------

// messages and count_tokens.
bool anthropic__is_family(const struct dialect *d);

int anthropic__read_system(const struct anthropic_reader *rd, const struct json_member *system,
                           struct canon_message ***tail);
int anthropic__read_messages(const struct anthropic_reader *rd, const struct json_member *messages,
                             struct canon_message ***tail);
// The blocks of an array behind *tail.
int anthropic__read_blocks(const struct anthropic_reader *rd, const struct anthropic_path *path,
                           struct slice array, struct canon_block ***tail);

// Writing: the blocks cross when the request came from the family or asked for it.
int anthropic__write_system(struct canon_request *r, struct json_writer *w, bool *ret_written);
int anthropic__write_messages(struct canon_request *r, struct json_writer *w);
void anthropic__write_extra(const struct canon_request *r, struct json_writer *w,
                            const struct canon_member *extra);
// A tool call's `input`, an object, whatever the arguments were. 0; ERR_BAD_TYPE when they are no
// object (nothing was written), ERR_NOMEM.
int anthropic__write_input(struct json_writer *w, struct arena *arena, const struct canon_block *b);
int anthropic__refuse_input(struct canon_request *r, const char *why);
// N, BEST_OF above 1, SUFFIX, ECHO, a prompt of several: what no Anthropic dialect can do.
int anthropic__refuse_several(struct canon_request *r);
void anthropic__write_stop_sequences(struct json_writer *w, struct slice stop);
// At most 1, as written otherwise.
void anthropic__write_temperature(struct json_writer *w, struct slice value);

int anthropic__read_request(struct canon_request *r, struct slice text);
int anthropic__read_count_request(struct canon_request *r, struct slice text);
int anthropic__write_request(struct canon_request *r, struct slice model, struct json_writer *w);
int anthropic__write_count_request(struct canon_request *r, struct slice model,
                                   struct json_writer *w);

// ---- A request that is written -----------------------------------------------------------------

// Members at the top, for what is unknown and must not stand over one that was written.
enum anthropic_top {
    ANTHROPIC_TOP_MODEL,
    ANTHROPIC_TOP_MAX_TOKENS,
    ANTHROPIC_TOP_SYSTEM,
    ANTHROPIC_TOP_MESSAGES,
    ANTHROPIC_TOP_TOOLS,
    ANTHROPIC_TOP_TOOL_CHOICE,
    ANTHROPIC_TOP_THINKING,
    ANTHROPIC_TOP_OUTPUT_CONFIG,
    ANTHROPIC_TOP_TEMPERATURE,
    ANTHROPIC_TOP_TOP_P,
    ANTHROPIC_TOP_TOP_K,
    ANTHROPIC_TOP_STOP_SEQUENCES,
    ANTHROPIC_TOP_METADATA,
    ANTHROPIC_TOP_SERVICE_TIER,
    ANTHROPIC_TOP_CONTEXT_MANAGEMENT,
    ANTHROPIC_TOP_MCP_SERVERS,
    ANTHROPIC_TOP_CONTAINER,
    ANTHROPIC_TOP_CACHE_CONTROL,
    ANTHROPIC_TOP_STREAM,
    ANTHROPIC_TOP_COUNT
};

extern const struct slice anthropic__top_names[ANTHROPIC_TOP_COUNT];

// A version that can be compared, from a model's name: 0 when that tells none.
#define ANTHROPIC_VERSION(major, minor) ((major)*100 + (minor))
#define ANTHROPIC_VERSION_NEWEST        UINT_MAX
unsigned anthropic__version(struct slice model);

// What changed with which.
enum {
    // Measures its thinking by an effort; a budget is still taken.
    ANTHROPIC_ADAPTIVE = ANTHROPIC_VERSION(4, 6),
    // Takes no budget and nothing that shapes sampling, knows the effort xhigh, tells its thoughts
    // only when asked to; `disabled` is refused by some.
    ANTHROPIC_SELF_MEASURED = ANTHROPIC_VERSION(4, 7),
    ANTHROPIC_THINKS_UNASKED = ANTHROPIC_VERSION(5, 0),
    // Refuses a tool_choice that leaves no way but to call.
    ANTHROPIC_UNFORCED = ANTHROPIC_VERSION(5, 1),
};

struct anthropic_writing {
    struct canon_request *r;
    struct json_writer *w;
    unsigned version; // of the model; 0 when the source speaks this dialect: it knows itself
    bool own;         // the source speaks this dialect
    bool counting;    // tokens of the request, not its answer
    bool thinks;
    uint32_t written; // bit n: enum anthropic_top
    bool has_limit;
    uint64_t max_tokens;
    uint64_t budget;     // 0: none; beside an effort: the room it wants
    struct slice effort; // plain, of adaptive thinking
};

// The key of a member at the top.
void anthropic__top_key(struct anthropic_writing *x, enum anthropic_top name);
// Responses, or the counting of their tokens.
bool anthropic__is_from_responses(const struct canon_request *r);
// Every parameter that is set meets its fate. 0 or the refusal.
int anthropic__write_params(struct anthropic_writing *x);

// ---- Answers -----------------------------------------------------------------------------------

// The counts of a usage object inside a text that has been scanned, as parts.
void anthropic__read_usage_parts(struct slice value, struct dialect_usage *ret);
// Brings `usage`, what was told until now, to what the object tells besides.
void anthropic__update_usage(struct slice object, struct canon_usage *usage);
void anthropic__write_usage(struct json_writer *w, const struct canon_usage *usage);
enum canon_stop anthropic__read_stop(struct slice literal);
// stop_reason and stop_sequence.
void anthropic__write_stop(struct json_writer *w, enum canon_stop stop, struct slice sequence,
                           bool refused);
// "id": `prefix` and the provider's id (a literal) without its own, or the request's.
void anthropic__write_id(struct json_writer *w, struct slice prefix, struct slice id,
                         const struct canon_context *c);
// "id", "type", "role" and "model" of a message.
void anthropic__write_frame(struct json_writer *w, struct slice id, struct slice model,
                            const struct canon_context *c);

int anthropic__read_answer(struct canon_answer *a, struct slice text);
int anthropic__write_answer(const struct canon_answer *a, const struct canon_context *c,
                            struct json_writer *w);
int anthropic__read_count(struct canon_answer *a, struct slice text);
int anthropic__write_count(const struct canon_answer *a, const struct canon_context *c,
                           struct json_writer *w);

// ---- Streams -----------------------------------------------------------------------------------

// An event's members, scanned: 0, or ERR_BAD_SSE.
int anthropic__scan_event(struct json_scanner *scan, const struct sse_event *event,
                          const struct slice *names, unsigned count);
// The error of an error event into the sink. `error` is the member of that name.
int anthropic__give_error(struct arena *arena, const struct json_member *error,
                          struct canon_sink *sink);
int anthropic__read_event(struct canon_reader *r, const struct sse_event *event,
                          struct canon_sink *sink);
int anthropic__write_event(struct canon_writer *w, const struct canon_event *e);

extern const struct dialect_translation anthropic__complete_translation;

#endif
