// SPDX-License-Identifier: Apache-2.0
//
// json_write.h: JSON text written straight into memory of an arena.
//
// Translation writes values that mostly exist already as text: a message's content is the same
// string literal in every dialect, a tool's schema must keep its member order and its numbers'
// spelling. So the writer takes text (json_raw) as readily as values, and puts the commas itself.
//
// Growth doubles inside the arena; a writer whose size can be guessed is told so at birth and grows
// never. Errors are sticky: write on, ask json_writer_done once.
//
//     json_object(w);
//     json_key(w, SLICE("role")), json_raw(w, SLICE("\"user\""));
//     json_member(w, SLICE("content"), literal);   // nothing when `literal` is absent
//     json_object_end(w);
//
// Pure but for the arena; its core only.
#ifndef RINGGATE_CODEC_JSON_WRITE_H
#define RINGGATE_CODEC_JSON_WRITE_H

#include "base/arena.h"

struct json_writer {
    struct arena *arena;
    char *ptr;
    size_t len, cap;
    int err;    // ERR_NOMEM; sticky
    bool comma; // the next value or key in this container needs one
};

// `guess`: bytes expected, 0 when unknown. Takes memory at the first byte.
void json_writer_init(struct json_writer *w, struct arena *arena, size_t guess);
// 0 and the text, which lives as long as the arena; ERR_NOMEM.
int json_writer_done(struct json_writer *w, struct slice *ret);

void json_object(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, struct slice name); // plain ASCII, nothing to escape

// A value that is JSON text already. Not absent.
void json_raw(struct json_writer *w, struct slice text);
// A string value of unescaped bytes; what is not UTF-8 becomes U+FFFD.
void json_string(struct json_writer *w, struct slice bytes);
void json_number(struct json_writer *w, uint64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);

// Key and value; nothing at all when `text` is absent (len 0).
void json_member(struct json_writer *w, struct slice name, struct slice text);
void json_member_string(struct json_writer *w, struct slice name, struct slice bytes);
void json_member_number(struct json_writer *w, struct slice name, uint64_t value);

// A string value put together from pieces: json_string_open, then any of the two, then
// json_string_close. `inner` is the inside of a literal (no quotes), copied as it stands.
void json_string_open(struct json_writer *w);
void json_string_inner(struct json_writer *w, struct slice inner);
void json_string_bytes(struct json_writer *w, struct slice bytes); // escaped
void json_string_close(struct json_writer *w);

// `bytes` as a literal of its own, with its quotes; ptr NULL without memory.
struct slice json_literal(struct arena *arena, struct slice bytes);

// Bytes outside JSON: the framing of events. Takes no comma and resets the need for one.
void json_plain(struct json_writer *w, struct slice bytes);

#endif
