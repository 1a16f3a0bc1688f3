// SPDX-License-Identifier: Apache-2.0
//
// data_url.h: `data:<type>;base64,<data>` (RFC 2397), in which OpenAI's formats carry what
// Anthropic's keep in two members.
//
// Only base64 counts: what is written in percent signs no vendor takes. Parameters of the type
// (`;charset=utf-8`) are left out; a URL without a type means text/plain. The type must look like
// one (RFC 6838 section 4.2), so that it can be written into a literal as it is.
//
// Pure but for the arena; its core only.
#ifndef RINGGATE_CODEC_DATA_URL_H
#define RINGGATE_CODEC_DATA_URL_H

#include "codec/json_write.h"

// What stands before the comma, escapes included: a longer one is no data: URL. Stops a type from
// being a place to hide a megabyte in.
#define DATA_URL_HEAD_BYTES_MAX 256

// Without escapes and quotes, in both directions. False: it is something else, nothing is set.
bool data_url_split(struct slice plain, struct slice *ret_type, struct slice *ret_data);
// The same of a literal, into two literals. 0, also when it is something else (then both are
// absent); ERR_NOMEM.
int data_url_read(struct arena *arena, struct slice literal, struct slice *ret_type,
                  struct slice *ret_data);
// A media type as it is spelt without escapes, a literal; ERR_BAD_TYPE when it is none, ERR_NOMEM.
int data_url_read_type(struct arena *arena, struct slice literal, struct slice *ret);

// Writes one. `type` and `data` are literals.
void data_url_write(struct json_writer *w, struct slice type, struct slice data);
// One of plain text, which becomes base64 (RFC 4648 section 4). `text` is a literal. 0, ERR_NOMEM,
// or what json_unescape says of a literal that is none.
int data_url_write_text(struct json_writer *w, struct slice text);

#endif
