// SPDX-License-Identifier: Apache-2.0
//
// h2_internal.h: what the files of this folder know of each other.
//
//     server.c   the session: frames become events; limits; the end
//     answer.c   answers become frames, frames an output
//     head.c     a request's head, field by field
//     memory.c   nghttp2's memory, counted and bounded
//     limit.c    rates
#ifndef RINGGATE_H2_H2_INTERNAL_H
#define RINGGATE_H2_H2_INTERNAL_H

#include "h2/h2.h"
#include <nghttp2/nghttp2.h>

// ---- server.c --------------------------------------------------------------------------------

void h2__count(struct h2_server *h, unsigned limit);
// A bound was passed: counted, and the connection ends with ENHANCE_YOUR_CALM. For callbacks of
// nghttp2: returns what stops them.
int h2__calm(struct h2_server *h, unsigned limit);
// Counts one against its rate: 0, or h2__calm's.
int h2__rate(struct h2_server *h, enum h2_rate_name name);
void h2__close(struct h2_server *h, struct h2_stream *s, uint32_t code); // with on_close

// ---- answer.c --------------------------------------------------------------------------------

void h2__answer_callbacks(nghttp2_session_callbacks *callbacks);
void h2__stop_writing(struct h2_stream *s);

// ---- head.c ----------------------------------------------------------------------------------

// One field of a request's head; what is wrong is remembered in the stream.
void h2__head_add(struct h2_stream *s, struct slice name, struct slice value);
// All have come. False: malformed.
bool h2__head_finish(struct h2_stream *s);

// ---- memory.c --------------------------------------------------------------------------------

nghttp2_mem h2__memory(struct h2_memory *m);
// Gives pages back to the kernel, which are then read as zeros: those of the buffer for one frame,
// with `frame` (nothing in it is needed), and those of the table that hold zeros anyway.
void h2__memory_rest(struct h2_memory *m, bool frame);

#endif
