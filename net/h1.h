// SPDX-License-Identifier: Apache-2.0
//
// h1.h: HTTP/1.1 heads and body framing as bytes in, values out.
//
// No I/O. Strict where leniency is how requests are smuggled (RFC 9112): a bare CR, a bare LF as
// line end, white space before a colon, obs-fold, a control byte in a name or value, several or
// malformed Content-Length, Content-Length beside Transfer-Encoding, any transfer coding but a
// single final `chunked`, chunk sizes with signs, spaces, 0x or more than 15 digits: refused, and
// the connection closes. Answers of providers are read by the same rules but for two: a missing
// reason phrase is fine, and several equal Content-Length values count as one.
#ifndef RINGGATE_NET_H1_H
#define RINGGATE_NET_H1_H

#include "net/http.h"

// Length of a head with its blank line, when it is all there: > 0. ERR_MORE; ERR_HEAD_TOO_LARGE
// past `bytes_max`; ERR_BAD_HEAD for a bare CR or LF. *resume (0 at first) saves rescanning.
// Empty lines before a request line are counted into the head (at most one, RFC 9112 2.2).
ptrdiff_t h1_head_end(struct slice bytes, size_t bytes_max, size_t *resume);

// `head` is what h1_head_end measured, in memory that outlives *ret; fields are allocated from
// `arena`. ERR_BAD_HEAD, ERR_BAD_HEADER, ERR_BAD_LENGTH, ERR_BAD_CODING, ERR_BAD_METHOD,
// ERR_BAD_VERSION, ERR_BAD_HOST, ERR_BAD_EXPECT, ERR_HEAD_TOO_LARGE (fields), ERR_NOMEM.
int h1_parse_request(struct slice head, struct arena *arena, struct http_head *ret);
// Errors as above, all of which the caller reports as ERR_UPSTREAM_PROTOCOL.
int h1_parse_answer(struct slice head, struct arena *arena, struct http_head *ret);

enum h1_framing { H1_NO_BODY, H1_LENGTH, H1_CHUNKED, H1_UNTIL_CLOSE };

// How the body of this message is framed (RFC 9112 6.3). `method` is the request's.
enum h1_framing h1_request_framing(const struct http_head *request);
enum h1_framing h1_answer_framing(const struct http_head *answer, enum http_method method);

// Takes a body out of its framing.
struct h1_body {
    enum h1_framing framing;
    uint64_t left;          // of the length, or of the current chunk
    unsigned state;         // private
    unsigned line_bytes;    // private: of the current chunk-size line
    unsigned trailer_bytes; // of trailers and chunk extensions, the whole body
    bool complete;
};
void h1_body_init(struct h1_body *b, enum h1_framing framing, uint64_t length);
// Takes the next run of body bytes off the front of *in: 0 with *ret_span (may be empty at the end:
// then b->complete), ERR_MORE when *in is used up, ERR_BAD_CHUNK. Trailers are checked and dropped.
// Bytes behind a complete body stay in *in.
int h1_body_next(struct h1_body *b, struct slice *in, struct slice *ret_span);

// Writes a chunk-size line ("1f4\r\n") into `out` (at least 18 bytes); returns its length.
size_t h1_chunk_line(char *out, size_t chunk_bytes);

#endif
