// SPDX-License-Identifier: Apache-2.0
//
// json_scan.h: one walk over a request or an event, without building a document.
//
// The native path needs to know a handful of top-level members (`model`, `stream`, `fallbacks`, …):
// whether the text is well-formed, where each value lies, and nothing else. The scanner checks the
// whole text (RFC 8259 grammar, well-formed UTF-8, depth, lone surrogates in escapes refused as
// yyjson refuses them) and records the wanted members as slices of the text. A 115 kB prompt costs
// a scan, not a parse.
//
// Policy, because two readers that disagree are a way round a budget:
//   - names are compared after unescaping ("mod\u0065l" is `model`);
//   - a wanted member that occurs twice is ERR_DUPLICATE, also when one of them differs only in
//     letter case ("model" and "Model"), also when both differ; a single one that differs in case
//     is not the member and stays untouched. Letter case is that of readers which fold by Unicode
//     (Go's): U+017F counts as an s, U+212A as a k, no other letter folds into ASCII;
//   - a byte order mark is not JSON; the top-level value must be an object (JSON_SCAN_ANY_VALUE
//     lifts that for answers);
//   - bytes after the value other than white space are not JSON.
// Numbers are checked by grammar only: 1e999 is well-formed and keeps its spelling.
//
// The scanner is resumable so that a 100 MB body does not hold the loop: each step looks at about
// `budget` more bytes. It allocates nothing and reads only the text.
//
// Source: RFC 8259. Pure; any thread.
#ifndef RINGGATE_CODEC_JSON_SCAN_H
#define RINGGATE_CODEC_JSON_SCAN_H

#include "base/buf.h"
#include "base/slice.h"

// Containers inside containers; stops a body of a million brackets. The error is ERR_BAD_DEPTH.
#define JSON_DEPTH_MAX 512
// Wanted members in one scan; they fit the scanner without allocation.
#define JSON_WANTS_MAX 25
// A wanted name; bounds the buffer a member's name is unescaped into.
#define JSON_NAME_BYTES_MAX 64
// Bytes a caller on a loop looks at before it yields.
#define JSON_SCAN_TURN_BYTES (256 * 1024)

enum json_type {
    JSON_NONE, // the member is absent
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
    JSON_TYPE_COUNT
};

// A top-level member as it stands in the text.
struct json_member {
    enum json_type type;
    struct slice key;   // with its quotes, as written
    struct slice value; // as written; strings with their quotes
    // Offsets of the commas before and after, or -1: what removal must take along.
    ptrdiff_t comma_before;
    ptrdiff_t comma_after;
};

enum json_scan_flags {
    JSON_SCAN_ANY_VALUE = 1, // the top-level value need not be an object
};

struct json_scanner {
    struct slice text;
    const struct slice *names; // borrowed; `count` of them, lower case ASCII
    unsigned count;
    unsigned flags;
    struct json_member member[JSON_WANTS_MAX];
    enum json_type type; // of the top-level value, from its first byte on
    // After success with an object: offsets of '{' and of its '}' and whether it has members.
    size_t open;
    size_t close;
    bool empty;
    // After failure: where, and for ERR_DUPLICATE which wanted name (index), else -1.
    size_t error_at;
    int error_name;

    // private
    size_t at;
    int error;
    unsigned state;
    unsigned depth;
    int current;      // wanted member whose value is being walked, or -1
    bool odd;         // the name being walked has escapes or bytes outside ASCII
    uint32_t seen;    // wanted members met, letter case ignored
    uint64_t lengths; // bit n: a wanted name has n bytes
    size_t key_at;    // opening quote of the top-level name being walked
    ptrdiff_t comma;  // the last top-level comma, or -1
    uint64_t nesting[JSON_DEPTH_MAX / 64]; // bit set: object
};

// Borrows text and names until the results are no longer used.
void json_scan_begin(struct json_scanner *s, struct slice text, const struct slice *names,
                     unsigned count, unsigned flags);
// 0 when done, ERR_MORE when `budget` (> 0) bytes were walked and there is more to do (call
// again), ERR_BAD_JSON, ERR_BAD_UTF8 (inside a string), ERR_BAD_DEPTH, ERR_DUPLICATE. Called again
// after the end or a failure it says the same again.
int json_scan_step(struct json_scanner *s, size_t budget);
// Begin and step to the end.
int json_scan(struct json_scanner *s, struct slice text, const struct slice *names, unsigned count,
              unsigned flags);
// The same of an object that we have written ourselves, without white space around it: finds its
// members and does not look inside their values. Borrows as json_scan_begin does. 0, ERR_DUPLICATE,
// or ERR_BAD_JSON when its members show that it is none.
int json_scan_written(struct json_scanner *s, struct slice text, const struct slice *names,
                      unsigned count);

// The content of a JSON string `value` (quotes included, as in json_member.value), unescaped. When
// it has no escapes *ret is a slice of `value`; otherwise it is written to `out` (value.len bytes
// are enough). 0 or ERR_BAD_TYPE when it is not a string.
int json_unescape(struct slice value, char *out, struct slice *ret);
// Any text with what looks like an escape of a JSON string resolved, to the end of `out`: to be
// searched, not to be read as JSON again.
void json_unescape_all(struct slice text, struct buf *out);
// The value as a non-negative integer; ERR_BAD_TYPE otherwise ("1.0" and "1e3" are refused).
int json_u64(struct slice value, uint64_t *ret);

// Walks the elements of an array `value` that has been scanned: *position starts at 0; returns
// false at the end. For objects: the members one by one, their commas as offsets in `value`. For
// short values (`fallbacks`).
bool json_array_next(struct slice value, size_t *position, enum json_type *ret_type,
                     struct slice *ret_element);
bool json_object_next(struct slice value, size_t *position, struct json_member *ret_member);
// The member `name` (escapes resolved, letter case kept; at most JSON_NAME_BYTES_MAX) of an object
// value; type JSON_NONE when absent, the last one when it occurs twice, as most readers have it.
// For short objects (`usage`).
struct json_member json_object_get(struct slice value, struct slice name);

#endif
