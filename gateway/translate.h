// SPDX-License-Identifier: Apache-2.0
//
// translate.h: a request whose provider speaks another dialect than its client.
//
// The client's body is read into the canonical form once, however many providers are tried; for
// each attempt it is written anew, because the model's name depends on the key. Answers come back
// the same way, whole or event by event (docs/translation.md has the rules, codec/ the dialects).
//
//   body ──read once──► canonical form ──write──► text ──the row's edits──► provider
//   client ◄──write── canonical form ◄──read── its answer, or each of its events
//
// Two lifetimes. `struct translation` is what a retry needs, and goes at commit with the body.
// `struct translated` is what the answer needs: it lies in the stream's arena and says, by being
// there, that this target is translated.
//
// Bodies, answers and events above TRANSLATE_TURN_BYTES are worked on by another thread
// (ring/work.h), in memory of their own: no loop is held by them. So are the events that may repeat
// a stream that has become that long.
#ifndef RINGGATE_GATEWAY_TRANSLATE_H
#define RINGGATE_GATEWAY_TRANSLATE_H

#include "codec/dialect.h"
#include "codec/json_edit.h"
#include "gateway/exchange.h"

// What is translated on the loop: about half a millisecond's worth.
#define TRANSLATE_TURN_BYTES ((size_t)256 * 1024)
// An answer must be whole before a word of it can be translated. Past it ERR_UPSTREAM_FOREIGN.
#define TRANSLATE_ANSWER_BYTES_MAX ((size_t)32 * 1024 * 1024)
// Memory of one answer or stream under translation; the text, its parts and what is written.
#define TRANSLATE_BYTES_MAX ((size_t)352 * 1024 * 1024)
// The names of a dropped_params report, in a header field.
#define TRANSLATE_REPORT_BYTES_MAX 1024

struct translated {
    struct canon_context context;
    struct slice dropped;      // JSON: ["seed","top_k"]; empty: everything crossed
    struct slice dropped_list; // seed, top_k
};

struct translation {
    struct block_pool blocks; // of a large body, which a worker may take along
    struct arena source;      // the canonical form
    struct arena text;        // what was written last, and its scan
    bool large;
    bool read;
    struct canon_request request;
    struct slice repeated;            // what an answer repeats of the request, as one; or empty
    struct canon_member *dropped_end; // the last name the reader could not take

    // What `written` was written for.
    const struct config_provider *provider;
    const struct dialect *to;
    struct slice model;
    struct slice written;
    struct slice betas; // what of it Anthropic must be told in a header
    // Of the written text, when the provider's edits need one.
    struct json_scanner *scan;
};

// Makes x->translated for the target that was planned, and reads the client's body if that has not
// been done. 0; an interruption; or an error with *ret filled (a 400 that names the member).
int translate_begin_await(struct exchange *x, struct fiber *self, struct failure *ret);
// Writes for x->model_sent and the target: x->translation->written. Errors as above.
int translate_write_await(struct exchange *x, struct fiber *self, const struct target *target,
                          struct failure *ret);
// Gives back what only a retry needs. Nothing to give is fine.
void translate_drop(struct exchange *x);

// A provider's whole answer, turned into the client's.
struct translate_answer {
    struct slice text;   // the provider's
    struct slice member; // extra_fields to put in, or empty
    const struct dialect *from, *to;
    struct canon_context context;
    struct block_pool blocks; // of a large one
    struct arena arena;
    struct slice whole; // the client's, without `member`
    bool events;        // `text` is a stream of them: collected into the answer it would have been
    struct dialect_usage usage; // as the provider told it
    struct canon_error error;   // of a stream that reported one
    bool failed;
    int err;
    struct iovec piece[JSON_PIECES_MAX]; // the client's, when err is 0
    unsigned count;
    size_t bytes;
};
// `a` is zeroed but for text, member and events. 0; ERR_UPSTREAM_PROTOCOL when it is no answer of
// its dialect; ERR_UPSTREAM_FOREIGN; ERR_NOMEM; an interruption. translate_answer_done in any case.
int translate_answer_await(struct exchange *x, struct fiber *self, struct translate_answer *a);
void translate_answer_done(struct translate_answer *a);
// The failure that an error of translate_answer_await stands for; its texts are copied into `keep`.
void translate_answer_failure(const struct translate_answer *a, struct arena *keep, int err,
                              struct failure *ret);

// A provider's stream, turned into the client's: see canon_stream.h. Lies in the stream's arena.
struct translate_stream {
    struct canon_translator translator;
    struct sse_splitter out;    // of the translated text
    struct arena memory;        // of both machines
    struct arena texts;         // of one pull
    struct block_pool *pool;    // of both arenas
    bool repeats;               // the client's dialect says at the end what the stream has said
    uint64_t said;              // bytes of text until now
    struct json_writer writer;  // into texts
    struct dialect_usage usage; // as the provider told it
    const struct dialect *from;
};
// NULL without memory.
struct translate_stream *translate_stream_new(struct exchange *x);
void translate_stream_done(struct translate_stream *s); // NULL is fine
// Is this event more than a turn's worth? Then whoever calls translate_event for it is a worker,
// and translate_stream_move has been called before.
bool translate_is_long(const struct translate_stream *s, const struct sse_event *event);
// The stream's memory comes from `pool` (keep_max 0) from here on.
void translate_stream_move(struct translate_stream *s, struct block_pool *pool);
// One event of the provider; *ret_text are whole events for the client, maybe none. They live until
// translate_stream_rest. Errors are those of canon_translate. After the end nothing comes out.
int translate_event(struct translate_stream *s, const struct sse_event *event,
                    struct slice *ret_text);
// What the pull's texts held is no longer used.
void translate_stream_rest(struct translate_stream *s);
// The failure that an error of translate_event stands for; its texts are copied into `keep`.
void translate_failure(const struct translate_stream *s, struct arena *keep, int err,
                       struct failure *ret);

#endif
