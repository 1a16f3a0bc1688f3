// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_internal.h: what the files of the `openai_responses` translation share.
//
//     openai_responses_value.c    members by table, literals joined, sealed reasoning
//     openai_responses_item.c     one item, of a request's `input` or of an answer's `output`
//     openai_responses_request.c  read_request
//     openai_responses_write.c    write_request
//     openai_responses_input.c    … and its `input`
//     openai_responses_answer.c   read_answer, write_answer, counts of input tokens
//     openai_responses_output.c   items and frames as an answer writes them
//     openai_responses_events.c   read_event
//     openai_responses_stream.c   write_event
//
// A response is a list of items where other dialects have messages with blocks: an assistant's turn
// is a run of `message`, `function_call` and `reasoning` items. Reading, such a run is one message;
// writing, a message is such a run.
//
// An object is taken apart by a table of fields: names, the types they may have, whether they must
// be there. `null` counts as absent everywhere, because the official libraries write it for what
// was not set.
#ifndef RINGGATE_CODEC_OPENAI_RESPONSES_INTERNAL_H
#define RINGGATE_CODEC_OPENAI_RESPONSES_INTERNAL_H

#include "codec/canon_stream.h"
#include "codec/json_scan.h"
#include "codec/literal.h"

// ---- Values ----------------------------------------------------------------------------------

enum responses_types {
    RESPONSES_STRING = 1 << JSON_STRING,
    RESPONSES_NUMBER = 1 << JSON_NUMBER,
    RESPONSES_BOOL = 1 << JSON_TRUE | 1 << JSON_FALSE,
    RESPONSES_ARRAY = 1 << JSON_ARRAY,
    RESPONSES_OBJECT = 1 << JSON_OBJECT,
    RESPONSES_ANY =
        RESPONSES_STRING | RESPONSES_NUMBER | RESPONSES_BOOL | RESPONSES_ARRAY | RESPONSES_OBJECT,
    RESPONSES_REQUIRED = 1 << 16,
};

struct responses_field {
    struct slice name;
    unsigned types; // RESPONSES_…
};

// The fields of `object` (of a scanned text): values as text, absent ones empty. Of two with the
// same name the later one counts. 0, or ERR_BAD_TYPE or ERR_MISSING with the field's position in
// *ret_field; `ret` has `count` places and is filled as far as that.
int responses__fields(struct slice object, const struct responses_field *fields, unsigned count,
                      struct slice *ret, unsigned *ret_field);

// Of a value's text.
static inline bool responses__is(struct slice value, char opening)
{
    return value.len > 0 && value.ptr[0] == opening;
}

// A literal whose inside is the pieces in a row. 0 or ERR_NOMEM.
int responses__join(struct arena *arena, const struct slice *pieces, unsigned count,
                    struct slice *ret);

// JSON text as it may stand in a line of an event: line ends, which can only lie between its
// tokens, are left out. 0 or ERR_NOMEM.
int responses__one_line(struct arena *arena, struct slice text, struct slice *ret);

// ---- Sealed reasoning --------------------------------------------------------------------------

// What `encrypted_content` of an item with `id` (literals; the id may be absent) is in canonical
// form. *ret_sealed is the signature, or the data when *ret_redacted. 0 or ERR_NOMEM.
int responses__unseal(struct arena *arena, struct slice id, struct slice encrypted,
                      bool *ret_redacted, struct slice *ret_sealed);
// Is the signature one of OpenAI's? Then *ret_id and *ret_encrypted are the insides of its parts.
bool responses__own_seal(struct slice signature, struct slice *ret_id, struct slice *ret_encrypted);
// Writes the member encrypted_content for a client: the seal as it is brought back later.
void responses__seal(struct json_writer *w, struct slice signature, bool redacted);

// ---- Items -----------------------------------------------------------------------------------

struct responses_items {
    struct arena *arena;
    unsigned *parts;
    struct canon_request *request; // NULL: the items of an answer, all blocks in one list
    struct canon_message **messages;
    struct canon_message *message; // the last one
    struct canon_block **tail;     // where its next block goes
    // Where we are, for a refusal: input[at].list[part].
    const char *input;
    unsigned at;
    const char *list; // NULL: in the item itself
    unsigned part;
    bool in_part;
    // Of an answer.
    bool has_call, has_refusal;
    struct slice logprobs; // of the first text that has them
};

// The item becomes blocks. Errors: those of read_request or, without a request, of read_answer.
int responses__read_item(struct responses_items *x, struct slice item);
// A user message of one plain text, or a system message: `text` is a literal.
int responses__plain_message(struct responses_items *x, enum canon_role role, struct slice text);
// Names what is wrong, `member` may be "".
int responses__bad(const struct responses_items *x, int err, struct slice member);

// ---- Answers ---------------------------------------------------------------------------------

// What an answer repeats of the client's request; values as text, absent ones empty.
enum responses_repeat {
    RESPONSES_R_INSTRUCTIONS,
    RESPONSES_R_METADATA,
    RESPONSES_R_PARALLEL_TOOL_CALLS,
    RESPONSES_R_TEMPERATURE,
    RESPONSES_R_TOOL_CHOICE,
    RESPONSES_R_TOOLS,
    RESPONSES_R_TOP_P,
    RESPONSES_REPEAT_COUNT
};

struct responses_frame {
    struct slice id;    // without "resp_": the inside of a literal
    struct slice model; // a literal
    uint64_t created_s;
    const struct slice *repeat; // RESPONSES_REPEAT_COUNT
};

void responses__repeat(struct slice request, struct slice *ret);
// `id`, `model` are the provider's literals or empty. 0 or ERR_NOMEM.
int responses__frame_init(struct responses_frame *f, struct arena *arena, struct slice id,
                          struct slice model, uint64_t created_s, const struct canon_context *c,
                          const struct slice *repeat);
// The whole response, but for what is between the brackets of `output`. `running`: it has just
// begun, whatever `stop` and `usage` say.
void responses__frame_open(struct json_writer *w, const struct responses_frame *f, bool running,
                           enum canon_stop stop);
// `service_tier` is a literal or empty.
void responses__frame_close(struct json_writer *w, const struct responses_frame *f, bool running,
                            const struct canon_usage *usage, struct slice service_tier);
// "id" of an item.
void responses__item_id(struct json_writer *w, const struct responses_frame *f, const char *prefix,
                        unsigned index);
bool responses__incomplete(enum canon_stop stop);
// One citation in its source's shape as an annotation; false and nothing when it has no URL.
// `length` is the text's in code points.
bool responses__annotation(struct json_writer *w, struct slice citation, uint64_t length);
uint64_t responses__code_points(struct slice inner);

// Has the client declared a custom tool called `name` (a literal)?
bool responses__is_custom(const struct responses_frame *f, struct slice name);
// What a custom tool was told, by a model that knows it as a function of one string `input`:
// `arguments` is the inside of a literal that holds an object's text. *ret is the inside of a
// literal; all of the text when it is no such object. 0 or ERR_NOMEM.
int responses__custom_input(struct arena *arena, struct slice arguments, struct slice *ret);

// Is a block of this kind an item of its own, which ends the message before it? What is neither
// that nor part of a message is left out, and the texts around it are neighbours.
bool responses__is_item(enum canon_block_kind kind);
// The parts of a message and the items, as they are when they begin (`running`) or when all is
// known. Texts are insides of literals.
// `annotations` and `logprobs` come without brackets.
void responses__text_part(struct json_writer *w, struct slice text, struct slice annotations,
                          struct slice logprobs);
void responses__refusal_part(struct json_writer *w, struct slice text);
void responses__message(struct json_writer *w, const struct responses_frame *f, unsigned index,
                        struct slice parts, bool running);

struct responses_call {
    enum canon_tool_kind tool;
    struct slice id, name; // literals
};
void responses__call(struct json_writer *w, const struct responses_frame *f, unsigned index,
                     const struct responses_call *call, struct slice arguments, bool running);
// `signature` is a literal or empty. A search that runs has no query yet.
void responses__thought(struct json_writer *w, const struct responses_frame *f, unsigned index,
                        struct slice text, struct slice signature, bool redacted);
void responses__search(struct json_writer *w, const struct responses_frame *f, unsigned index,
                       struct slice query, bool running);

// ---- The translation's functions ---------------------------------------------------------------

int responses__read_request(struct canon_request *r, struct slice text);
int responses__write_request(struct canon_request *r, struct slice model, struct json_writer *w);
// The array of items. 0, a refusal, ERR_NOMEM, ERR_LIMIT.
int responses__write_input(struct canon_request *r, struct json_writer *w);
int responses__write_count_request(struct canon_request *r, struct slice model,
                                   struct json_writer *w);
int responses__read_answer(struct canon_answer *a, struct slice text);
int responses__write_answer(const struct canon_answer *a, const struct canon_context *c,
                            struct json_writer *w);
int responses__read_count(struct canon_answer *a, struct slice text);
int responses__write_count(const struct canon_answer *a, const struct canon_context *c,
                           struct json_writer *w);
int responses__read_event(struct canon_reader *r, const struct sse_event *event,
                          struct canon_sink *sink);
int responses__write_event(struct canon_writer *w, const struct canon_event *e);
// Seconds; some vendors write a fraction, which is cut off. 0 when it is none.
uint64_t responses__seconds(const struct json_member *m);
void responses__read_usage(struct slice usage, struct canon_usage *ret);
enum canon_stop responses__stop_of(struct slice status, struct slice incomplete_details,
                                   bool has_call, bool has_refusal);

#endif
