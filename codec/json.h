// SPDX-License-Identifier: Apache-2.0
//
// json.h: documents, for where a document is needed: configuration, management, translation.
//
// The one door to yyjson. Reading is strict (no comments, no trailing commas, no BOM, no
// infinities) and bounded in size and depth (JSON_DEPTH_MAX: what walks a document may recurse);
// duplicate members are found by json_check_object, which configuration uses.
// Writing goes through yyjson's mutable documents or, for small fixed shapes, buf_add_json.
#ifndef RINGGATE_CODEC_JSON_H
#define RINGGATE_CODEC_JSON_H

#include "base/slice.h"
#include <yyjson.h>

// One text; a document takes up to sixteen times as much, which a hostile text must not choose.
#define JSON_PARSE_BYTES_MAX (128 * 1024 * 1024)

// Parses a whole text. 0 and a document to free with yyjson_doc_free; ERR_BAD_JSON, ERR_BAD_UTF8 or
// ERR_BAD_DEPTH with the byte offset and a static sentence in *ret_at / *ret_reason (either may be
// NULL); ERR_LIMIT past JSON_PARSE_BYTES_MAX; ERR_NOMEM. Any thread.
int json_parse(struct slice text, yyjson_doc **ret_doc, size_t *ret_at, const char **ret_reason);

// The string value as a slice of the document; empty when `v` is NULL or no string.
struct slice json_str(yyjson_val *v);

// 0, or ERR_DUPLICATE with the name (a slice of the document) when a member of `object` occurs
// twice; objects inside it are not looked at. ERR_BAD_TYPE when it is NULL or no object; ERR_NOMEM
// or ERR_SYSTEM (no randomness for the map that large objects need).
int json_check_object(yyjson_val *object, struct slice *ret_name);

#endif
