// SPDX-License-Identifier: Apache-2.0
//
// canon.h: chat-like work as no vendor writes it: what translation goes through.
//
// When client and provider speak different dialects, the client's dialect reads the request into
// this form and the provider's writes it; answers and events come back the same way. The form is
// wide enough for what any two of the dialects share and no wider.
//
//     client's text ──read──► canon_request ──write──► provider's text
//     client's text ◄─write── canon_answer  ◄──read─── provider's text
//     client's events ◄─write── canon_event ◄──read─── provider's events, one in, its events out
//
// It is made of slices of the source text, not of copies: a `text` is the string literal as it was
// written, quotes and escapes included, because a literal means the same in every dialect; a schema
// or a number is its own text, so member order and spelling survive. A value is taken out of its
// literal only where it changes its kind (tool arguments: a string in one dialect, an object in the
// other). Absent is length 0. All slices of a request live as long as its source text and arena.
//
// What cannot cross. Three fates, decided by the writing dialect, listed in docs/translation.md:
//   carried   the target has a member for it, perhaps by another name
//   dropped   it has none and the answer stays right without it: reported in `dropped`
//   refused   leaving it out would change what the client gets: ERR_UNSUPPORTED or ERR_BAD_TYPE
//   with
//             the member named in `refusal` (a 400)
// Unknown members travel: top-level ones in `extra`, those of a block with the block. They come out
// when the target is the source's own dialect, or when the request allows it (pass_extra).
//
// An answer has one choice: a request for several is refused by a dialect that cannot ask for them.
// Usage is what the provider said; nothing here counts anything.
//
// Pure; the arena's core.
#ifndef RINGGATE_CODEC_CANON_H
#define RINGGATE_CODEC_CANON_H

#include "base/arena.h"

// Blocks in all of one request or answer, messages, tools: stop a small text of a million empty
// objects from becoming forty times its size in memory. ERR_LIMIT, a 400.
#define CANON_PARTS_MAX 65536
// Tool results inside tool results and the like.
#define CANON_NESTING_MAX 8
// Names in one report of what did not cross.
#define CANON_DROPPED_MAX 64
// Content blocks open or counted in one stream.
#define CANON_STREAM_BLOCKS_MAX 1024

struct dialect;

// ---- Content ---------------------------------------------------------------------------------

// A member nobody here knows, as it was written.
struct canon_member {
    struct canon_member *next;
    struct slice name; // unescaped
    struct slice value;
};

enum canon_block_kind {
    CANON_TEXT,
    CANON_REFUSAL,
    CANON_IMAGE,
    CANON_FILE, // a document: PDF, plain text
    CANON_AUDIO,
    CANON_THINKING,
    CANON_REDACTED_THINKING,
    CANON_TOOL_CALL,
    CANON_TOOL_RESULT,
    CANON_WEB_SEARCH, // a search the provider made itself; `text` is the query
    CANON_OPAQUE,     // only its own dialect knows what it is: `raw`
    CANON_BLOCK_KIND_COUNT
};

enum canon_tool_kind {
    CANON_TOOL_FUNCTION,
    CANON_TOOL_CUSTOM,     // free-form input
    CANON_TOOL_WEB_SEARCH, // run by the provider
    CANON_TOOL_OPAQUE,     // another server tool: `raw`, only its own dialect carries it
};

// Every member is JSON text, literals with their quotes; which ones a kind uses is said behind it.
struct canon_block {
    struct canon_block *next;
    enum canon_block_kind kind;
    // TEXT, REFUSAL: the text. THINKING: the thought ("" when hidden). FILE: inline plain text.
    struct slice text;
    struct slice id;   // TOOL_CALL, TOOL_RESULT: the call's. WEB_SEARCH: the item's
    struct slice name; // TOOL_CALL. FILE: its name
    // TOOL_CALL: what the model wrote, an object's text, or a literal that holds it as a string.
    struct slice arguments;
    bool arguments_quoted;
    enum canon_tool_kind tool; // TOOL_CALL: FUNCTION or CUSTOM (then `arguments` is a literal)
    struct slice signature;    // THINKING, TEXT-less reasoning: what lets it be sent back
    // IMAGE, FILE, AUDIO, REDACTED_THINKING: one of url, data (base64 literal), file_id.
    struct slice url, data, file_id;
    struct slice media_type; // with `data`; a literal ("image/png")
    struct slice detail;     // IMAGE
    struct slice cache_control;
    struct slice citations; // TEXT: what the source attaches, in its own shape
    const struct dialect *citations_of;
    struct canon_block *content; // TOOL_RESULT
    bool is_error;               // TOOL_RESULT
    struct slice raw;            // OPAQUE: the whole object
    struct canon_member *extra;
};

enum canon_role {
    CANON_SYSTEM,
    CANON_DEVELOPER,
    CANON_USER,
    CANON_ASSISTANT,
    CANON_TOOL, // holds TOOL_RESULT blocks only
};

struct canon_message {
    struct canon_message *next;
    enum canon_role role;
    struct slice name;
    struct canon_block *blocks;
    bool plain; // the content was a bare string in the source
    struct canon_member *extra;
};

// ---- Request ---------------------------------------------------------------------------------

struct canon_tool {
    struct canon_tool *next;
    enum canon_tool_kind kind;
    struct slice name, description;
    struct slice parameters; // the schema's text
    struct slice strict;
    struct slice cache_control;
    struct slice allowed_domains, user_location, max_uses; // WEB_SEARCH
    struct slice format;                                   // CUSTOM: grammar
    struct slice raw;                                      // OPAQUE
    struct canon_member *extra;
};

enum canon_choice_kind {
    CANON_CHOICE_UNSET,
    CANON_CHOICE_AUTO,
    CANON_CHOICE_NONE,
    CANON_CHOICE_REQUIRED,
    CANON_CHOICE_TOOL, // `name`
    CANON_CHOICE_OPAQUE,
};

enum canon_format_kind {
    CANON_FORMAT_UNSET,
    CANON_FORMAT_TEXT,
    CANON_FORMAT_JSON_OBJECT,
    CANON_FORMAT_JSON_SCHEMA,
};

enum canon_reasoning_kind {
    CANON_REASONING_UNSET,
    CANON_REASONING_OFF,
    CANON_REASONING_EFFORT,   // `effort`
    CANON_REASONING_BUDGET,   // `budget` tokens
    CANON_REASONING_ADAPTIVE, // the model decides; `effort` may be given
};

// Members that cross by name alone, in the order in which they are written; which dialect calls one
// what is in the dialect's table.
enum canon_param {
    CANON_P_MAX_TOKENS,
    CANON_P_TEMPERATURE,
    CANON_P_TOP_P,
    CANON_P_TOP_K,
    CANON_P_STOP,
    CANON_P_SEED,
    CANON_P_FREQUENCY_PENALTY,
    CANON_P_PRESENCE_PENALTY,
    CANON_P_LOGIT_BIAS,
    CANON_P_LOGPROBS,
    CANON_P_TOP_LOGPROBS,
    CANON_P_N,
    CANON_P_USER,
    CANON_P_METADATA,
    CANON_P_SERVICE_TIER,
    CANON_P_STORE,
    CANON_P_PARALLEL_TOOL_CALLS,
    CANON_P_PROMPT_CACHE_KEY,
    CANON_P_PROMPT_CACHE_RETENTION,
    CANON_P_SAFETY_IDENTIFIER,
    CANON_P_VERBOSITY,
    CANON_P_MODALITIES,
    CANON_P_AUDIO,
    CANON_P_PREDICTION,
    CANON_P_WEB_SEARCH_OPTIONS,
    CANON_P_PREVIOUS_RESPONSE_ID,
    CANON_P_CONVERSATION,
    CANON_P_INCLUDE,
    CANON_P_TRUNCATION,
    CANON_P_BACKGROUND,
    CANON_P_MAX_TOOL_CALLS,
    CANON_P_PROMPT_TEMPLATE,
    CANON_P_CONTEXT_MANAGEMENT,
    CANON_P_MCP_SERVERS,
    CANON_P_CONTAINER,
    CANON_P_CACHE_CONTROL,
    CANON_P_SUFFIX,
    CANON_P_ECHO,
    CANON_P_BEST_OF,
    CANON_PARAM_COUNT
};

// Why a request cannot be translated; texts in the arena or static.
struct canon_refusal {
    struct slice param;
    struct slice message;
};

struct canon_request {
    struct arena *arena;        // of everything below
    const struct dialect *from; // who read it
    unsigned parts;             // counted against CANON_PARTS_MAX
    struct canon_message *messages;
    struct slice prompt; // text completions: a literal; then there are no messages
    struct canon_tool *tools;
    struct {
        enum canon_choice_kind kind;
        struct slice name; // literal
        struct slice raw;  // OPAQUE
    } tool_choice;
    struct {
        enum canon_format_kind kind;
        struct slice name, description, schema, strict;
    } format;
    struct {
        enum canon_reasoning_kind kind;
        struct slice effort; // literal
        uint64_t budget;
        struct slice summary; // literal: auto, concise, detailed
    } reasoning;
    struct slice param[CANON_PARAM_COUNT]; // values; STOP is an array of literals or one literal
    struct canon_member *extra;            // top-level members nobody knows
    struct canon_member *inner; // members inside others that only the source knows, by their paths
    bool pass_extra;            // x-bf-passthrough-extra-params: true
    bool keep_thoughts;         // the provider's chat takes thoughts of the history back
    bool stream;

    // Written by the writing dialect.
    struct canon_member *dropped; // names of the source that did not cross (value empty)
    struct canon_refusal refusal;
};

// ---- Answer ----------------------------------------------------------------------------------

enum canon_stop {
    CANON_STOP_UNSET,
    CANON_STOP_END,      // end_turn, stop, completed
    CANON_STOP_SEQUENCE, // stop_sequence
    CANON_STOP_LENGTH,   // max_tokens, length, incomplete: max_output_tokens
    CANON_STOP_TOOL,     // tool_use, tool_calls
    CANON_STOP_FILTER,   // content_filter, refusal
    CANON_STOP_PAUSE,    // pause_turn
    CANON_STOP_CONTEXT,  // model_context_window_exceeded
    CANON_STOP_COUNT
};

struct canon_usage {
    bool known;
    uint64_t input_tokens; // all of the prompt, cached parts included
    uint64_t output_tokens;
    uint64_t cached_read_tokens, cached_write_tokens;
    uint64_t reasoning_tokens;
    bool cached_known, reasoning_known; // the provider said something about them
};

struct canon_answer {
    struct arena *arena;
    const struct dialect *from;
    unsigned parts;
    struct slice id, model; // literals
    uint64_t created_s;     // 0: not given
    struct canon_block *blocks;
    enum canon_stop stop;
    struct slice stop_sequence; // literal
    struct slice service_tier, system_fingerprint, logprobs;
    struct canon_usage usage;
};

// What a writer of answers and events knows beside them.
struct canon_context {
    uint64_t now_s;       // wall clock, for `created`
    struct slice model;   // as sent to the provider; used when it names none
    struct slice id;      // ASCII, of this request; used when the provider gives none
    struct slice request; // the client's request text, for members an answer repeats; or empty
};

// ---- Stream ----------------------------------------------------------------------------------

// In this order, and no other:
//
//   START ( BLOCK_START BLOCK_DELTA* BLOCK_STOP )* [STOP] [USAGE] END
//
// Blocks do not overlap and count from 0. USAGE may come anywhere behind START, several times: the
// last one counts. ERROR may come anywhere and is the last.
enum canon_event_kind {
    CANON_START,       // id, model, created_s, usage when known
    CANON_BLOCK_START, // index, block; TOOL_CALL: id, name
    CANON_BLOCK_DELTA, // index, block, delta
    CANON_BLOCK_STOP,  // index, block
    CANON_STOP,        // stop, stop_sequence
    CANON_USAGE,       // usage
    CANON_END,
    CANON_ERROR, // error
};

enum canon_delta_kind {
    // Of TEXT, REFUSAL, THINKING; of TOOL_CALL: a piece of the arguments' text; of WEB_SEARCH: the
    // query, whole.
    CANON_DELTA_TEXT,
    CANON_DELTA_SIGNATURE,
    CANON_DELTA_DATA,     // REDACTED_THINKING, whole
    CANON_DELTA_CITATION, // one citation or annotation, in the source's shape
    CANON_DELTA_LOGPROBS, // of TEXT, in the source's shape
};

struct canon_error {
    unsigned status; // HTTP status it stands for; 0 when the provider does not say
    struct slice type, code, message, param; // unescaped, in the arena
};

struct canon_event {
    enum canon_event_kind kind;
    unsigned index;
    enum canon_block_kind block;
    enum canon_tool_kind tool;
    enum canon_delta_kind delta;
    struct slice text;     // the delta: a literal, or the citation's text
    struct slice id, name; // literals
    struct slice model;
    struct slice service_tier, system_fingerprint;
    uint64_t created_s;
    enum canon_stop stop;
    struct slice stop_sequence;
    struct canon_usage usage;
    struct canon_error error;
};

// Who takes the events of a reader: embed it. Slices of an event live during the call.
struct canon_sink {
    int (*take)(struct canon_sink *self, const struct canon_event *event);
};

// ---- Shared by the dialects (canon.c) -----------------------------------------------------------

// Allocate, count and link behind *tail, which moves. ERR_NOMEM or ERR_LIMIT.
int canon_add_message(struct canon_request *r, struct canon_message ***tail,
                      struct canon_message **ret);
int canon_add_tool(struct canon_request *r, struct canon_tool ***tail, struct canon_tool **ret);
int canon_add_block(struct arena *arena, unsigned *parts, struct canon_block ***tail,
                    struct canon_block **ret);
int canon_add_member(struct arena *arena, struct canon_member **list, struct slice name,
                     struct slice value);

// Notes that the member `name` of the source did not cross; once each. Never fails: without memory
// the report is shorter.
void canon_drop(struct canon_request *r, struct slice name);
// Notes the member `name` (unescaped) inside `of` for canon_drop_inner; what no report would hold
// is left out. 0 or ERR_NOMEM.
int canon_note_inner(struct canon_request *r, struct slice of, struct slice name);
// What the source noted did not cross: by writers of another dialect, behind all else.
void canon_drop_inner(struct canon_request *r);
// Sets the refusal and returns `err`.
int canon_refuse(struct canon_request *r, int err, struct slice param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Tokens to think with, for an effort (bifrost §4.6): 1024 + share × (max_tokens − 1024), shares
// minimal 0.025, low 0.15, medium 0.425, high 0.8, xhigh 0.95. 0 when max_tokens leaves no room or
// the effort is unknown.
uint64_t canon_budget_of_effort(struct slice effort, uint64_t max_tokens);
// The effort ("low", "medium", "high") nearest to a budget.
struct slice canon_effort_of_budget(uint64_t budget, uint64_t max_tokens);

#endif
