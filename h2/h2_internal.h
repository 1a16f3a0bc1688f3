// SPDX-License-Identifier: Apache-2.0
//
// h2_internal.h: what the files of this folder know of each other.
//
//     server.c   the session of either end: frames become events; limits; the end
//     client.c   what a client's has more: requests, room for them, heads of answers
//     answer.c   messages become frames, frames an output
//     head.c     a head, field by field
//     memory.c   nghttp2's memory, counted and bounded
//     limit.c    rates
#ifndef RINGGATE_H2_H2_INTERNAL_H
#define RINGGATE_H2_H2_INTERNAL_H

#include "h2/h2.h"
#include <nghttp2/nghttp2.h>

// ---- server.c --------------------------------------------------------------------------------

void h2__count(struct h2_session *h, unsigned limit);
// A bound was passed: counted, and the connection ends with ENHANCE_YOUR_CALM. For callbacks of
// nghttp2: returns what stops them.
int h2__calm(struct h2_session *h, unsigned limit);
// Counts one against its rate: 0, or h2__calm's.
int h2__rate(struct h2_session *h, enum h2_rate_name name);
void h2__close(struct h2_session *h, struct h2_stream *s, uint32_t code); // with on_close

// A session of either end; h->client says which.
int h2__init(struct h2_session *h, const struct h2_events *events, const struct h2_options *options,
             bool client);

// ---- client.c --------------------------------------------------------------------------------

// A HEADERS frame has ended for a stream in HEAD; `whole`: with END_STREAM.
void h2__client_head(struct h2_session *h, struct h2_stream *s, bool whole);
// The stream's HEADERS did not get out, for a reason of nghttp2's.
void h2__client_unsent(struct h2_session *h, int32_t id, int error);

// ---- answer.c --------------------------------------------------------------------------------

void h2__answer_callbacks(nghttp2_session_callbacks *callbacks);
void h2__begin_writing(struct h2_stream *s, const struct slice *spans, unsigned count, bool last);
void h2__stop_writing(struct h2_stream *s);
nghttp2_nv h2__pair(struct slice name, struct slice value);
// Of what is ready, for the stream that is the session's user data of it.
ssize_t h2__read_length(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user);

// ---- head.c ----------------------------------------------------------------------------------

// One field of a head, a request's or (of a client's session) an answer's; what is wrong is
// remembered in the stream.
void h2__head_add(struct h2_stream *s, struct slice name, struct slice value);
// All have come. False: malformed.
bool h2__head_finish(struct h2_stream *s);
bool h2__answer_head_finish(struct h2_stream *s);

// ---- memory.c --------------------------------------------------------------------------------

nghttp2_mem h2__memory(struct h2_memory *m);
void h2__memory_done(struct h2_memory *m); // the session has been deleted
// Gives pages back to the kernel, which are then read as zeros: those of the buffer for one frame,
// with `frame` (nothing in it is needed), and those of the table that hold zeros anyway.
void h2__memory_rest(struct h2_memory *m, bool frame);

#endif
