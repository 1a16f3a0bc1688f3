// SPDX-License-Identifier: Apache-2.0
//
// openai_internal.h: what the translating halves of the OpenAI dialects share.
//
//     openai_read.c          members, paths of refusals, usage, errors
//     openai_chat_read.c     a chat request is read: parameters, tools
//     openai_chat_history.c  … and its messages
//     openai_chat_write.c    a chat request is written: parameters, tools
//     openai_chat_turns.c    … and its messages
//     openai_chat_answer.c   a provider's answer is read
//     openai_chat_reply.c    … and a client's written
//     openai_chat_events.c   a provider's chunks become canonical events
//     openai_chat_chunks.c   canonical events become a client's chunks
//     openai_text.c          text completions, with the chunks of chat
//
// Private to codec.
#ifndef RINGGATE_CODEC_OPENAI_INTERNAL_H
#define RINGGATE_CODEC_OPENAI_INTERNAL_H

#include "codec/dialect.h"
#include "codec/json_scan.h"
#include "codec/literal.h"

// ---- Members -----------------------------------------------------------------------------------

#define TYPE_BIT(type) (1u << (type))
enum openai_types {
    ANY_STRING = TYPE_BIT(JSON_STRING),
    ANY_NUMBER = TYPE_BIT(JSON_NUMBER),
    ANY_BOOL = TYPE_BIT(JSON_TRUE) | TYPE_BIT(JSON_FALSE),
    ANY_ARRAY = TYPE_BIT(JSON_ARRAY),
    ANY_OBJECT = TYPE_BIT(JSON_OBJECT),
};

// Where the members `names` of an object lie, in one walk; null is absent, of two with one name the
// last counts. What is in no name goes to `extra` when that is given.
struct openai_pick {
    const struct slice *names;
    unsigned count;
    struct json_member *member; // `count` of them
};
void openai__pick(struct slice object, const struct openai_pick *pick);
// The same for a part of a request; unknown members are counted and linked behind *extra.
// 0, ERR_LIMIT, ERR_NOMEM.
int openai__pick_extra(struct canon_request *r, struct slice object, const struct openai_pick *pick,
                       struct canon_member **extra);
// A member's name without quotes and escapes; in the arena when it has any. ERR_NOMEM.
int openai__name(struct arena *arena, struct slice key, struct slice *ret);

// The string `m` holds, unless it is absent, empty or something else: then absent.
struct slice openai__text(const struct json_member *m);
// Its content unescaped, in the arena or in the text; empty when it is no string. ERR_NOMEM.
int openai__plain(struct arena *arena, const struct json_member *m, struct slice *ret);

// ---- Refusals ----------------------------------------------------------------------------------

// Where one is in a request, on the stack: `messages[3].content[0]`; written only for a refusal.
struct openai_path {
    const struct openai_path *up;
    struct slice name; // absent: an index
    size_t index;
};

// ERR_MISSING when a required member is absent, ERR_BAD_TYPE when its type is none of `types`; the
// refusal names `path`.`name`.
int openai__expect(struct canon_request *r, const struct openai_path *path, struct slice name,
                   const struct json_member *m, unsigned types, bool required);
int openai__refuse(struct canon_request *r, int err, const struct openai_path *path,
                   struct slice name, const char *what);

// ---- Shared values -----------------------------------------------------------------------------

// Replaces the counts that `object` names.
void openai__read_usage(struct slice object, struct canon_usage *usage);
void openai__write_usage(struct json_writer *w, const struct canon_usage *usage);
enum canon_stop openai__read_stop(struct slice literal);
struct slice openai__write_stop(enum canon_stop stop); // for chat
// The literal `"call_…"` for a call that the provider gave no id: unique within the answer `id`.
struct slice openai__make_call_id(struct arena *arena, struct slice id, unsigned number);
// `value` is what stands at "error". ERR_NOMEM.
int openai__read_error(struct arena *arena, const struct json_member *value,
                       struct canon_error *ret);

// ---- Requests ----------------------------------------------------------------------------------

// A top-level member of a request: a parameter that crosses by name (read is NULL), or one with a
// reader.
struct openai_member {
    struct slice name;
    unsigned types; // what it may be; 0: the gateway's own, no part of the canonical form
    enum canon_param param;
    int (*read)(struct canon_request *r, const struct json_member *m);
};
// Reads every member of `text` by the table (64 rows at most); the others become r->extra.
int openai__read_members(struct canon_request *r, struct slice text,
                         const struct openai_member *table, size_t count);
int openai__read_stream(struct canon_request *r, const struct json_member *m);
int openai__read_limit(struct canon_request *r, const struct json_member *m);
int openai__read_stops(struct canon_request *r, const struct json_member *m);
int openai__read_messages(struct canon_request *r, const struct json_member *m);

// The array. ERR_UNSUPPORTED, ERR_NOMEM.
int openai__write_messages(struct canon_request *r, struct json_writer *w);
// A parameter that the written dialect has under a name.
struct openai_param {
    enum canon_param param;
    struct slice name;
};
// Members of streams, then those nobody knows: written when it is their own dialect or allowed,
// never over one that is written or the gateway's; else reported.
void openai__write_rest(struct canon_request *r, const struct dialect *to, struct json_writer *w,
                        const struct openai_param *params, size_t params_count);
// Unknown members of a part, when they are chat's own.
void openai__write_extra(const struct canon_request *r, const struct canon_member *extra,
                         struct json_writer *w);

int openai_chat__read_request(struct canon_request *r, struct slice text);
int openai_chat__write_request(struct canon_request *r, struct slice model, struct json_writer *w);

int openai_text__read_request(struct canon_request *r, struct slice text);
int openai_text__write_request(struct canon_request *r, struct slice model, struct json_writer *w);

// ---- Answers -----------------------------------------------------------------------------------

// The members of an answer or a chunk that every dialect of OpenAI's has.
enum openai_frame {
    FRAME_ID,
    FRAME_MODEL,
    FRAME_CREATED,
    FRAME_CHOICES,
    FRAME_USAGE,
    FRAME_SERVICE_TIER,
    FRAME_FINGERPRINT,
    FRAME_ERROR,
    FRAME_OBJECT,
    FRAME_COUNT
};
extern const struct slice openai__frame_names[FRAME_COUNT];
// Does it report an error? Then *ret is the member that holds it (or the whole, as an object).
bool openai__is_error(const struct json_scanner *frame, struct json_member *ret);

// Reads the frame of an answer and finds its first choice. Errors as read_answer.
int openai__read_frame(struct canon_answer *a, struct slice text, struct slice *ret_choice);
void openai__write_frame(const struct canon_answer *a, const struct canon_context *c,
                         struct json_writer *w, struct slice prefix, struct slice object);

// What an assistant's message says, and a chunk's delta.
enum openai_said {
    SAID_CONTENT,
    SAID_REFUSAL,
    SAID_CALLS,
    SAID_FUNCTION_CALL,
    SAID_REASONING,
    SAID_REASONING_CONTENT,
    SAID_DETAILS,
    SAID_ANNOTATIONS,
    SAID_COUNT
};
extern const struct slice openai__said_names[SAID_COUNT];

// An element of `reasoning_details`.
enum openai_detail {
    DETAIL_TYPE,
    DETAIL_TEXT,
    DETAIL_SUMMARY,
    DETAIL_SIGNATURE,
    DETAIL_DATA,
    DETAIL_INDEX,
    DETAIL_COUNT
};
extern const struct slice openai__detail_names[DETAIL_COUNT];

// `reasoning_details` of a message, in pieces or whole, behind *tail. ERR_LIMIT, ERR_NOMEM.
int openai__read_details(struct arena *arena, unsigned *parts, struct slice array,
                         struct canon_block ***tail);
// One call of `tool_calls`; its members by name.
enum openai_call { CALL_INDEX, CALL_ID, CALL_TYPE, CALL_FUNCTION, CALL_CUSTOM, CALL_COUNT };
enum openai_called { CALLED_NAME, CALLED_ARGUMENTS, CALLED_INPUT, CALLED_COUNT };
extern const struct slice openai__call_names[CALL_COUNT];
extern const struct slice openai__called_names[CALLED_COUNT];
void openai__write_calls(struct json_writer *w, const struct canon_block *blocks);
// The texts of one kind as one string, nothing between them.
void openai__write_joined(struct json_writer *w, const struct canon_block *blocks,
                          enum canon_block_kind kind);
// Tool arguments as a string, whatever they were.
void openai__write_arguments(struct json_writer *w, const struct canon_block *call);

int openai_chat__read_answer(struct canon_answer *a, struct slice text);
int openai_chat__write_answer(const struct canon_answer *a, const struct canon_context *c,
                              struct json_writer *w);

int openai_text__read_answer(struct canon_answer *a, struct slice text);
int openai_text__write_answer(const struct canon_answer *a, const struct canon_context *c,
                              struct json_writer *w);

// ---- Streams -----------------------------------------------------------------------------------

// For chat and text: which one is the reader's dialect.
int openai__read_event(struct canon_reader *r, const struct sse_event *event,
                       struct canon_sink *sink);
int openai__write_event(struct canon_writer *w, const struct canon_event *e);

#endif
