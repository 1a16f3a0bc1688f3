// SPDX-License-Identifier: Apache-2.0
//
// canon_stream.h: a provider's events turned into a client's, one at a time.
//
// A stream of one dialect becomes a stream of another by two state machines in a row. Each event of
// the provider is read into canonical events, and each of those is written at once: whatever a
// provider's event says is with the client before the provider's next one is looked at. A tool's
// argument delta goes out as a delta; nothing is gathered but what a terminal event must repeat.
//
//     provider's event ──► canon_reader ──canon_event…──► canon_writer ──► client's events, as text
//
// The writer's text is whole SSE events in the client's dialect, so what follows behind (the event
// filter: withheld usage, extra_fields, the end) does not know that there was a translation.
//
//   reader   IDLE ──first event──► OPEN ──terminal event──► ENDED      any ──error──► FAILED
//   writer   follows the order of canon.h and asserts it
//
// Both live in the stream's memory and own nothing but what their arena holds.
#ifndef RINGGATE_CODEC_CANON_STREAM_H
#define RINGGATE_CODEC_CANON_STREAM_H

#include "codec/canon.h"
#include "codec/json_write.h"
#include "codec/sse.h"

// What a dialect remembers of a stream; each asserts that its own struct fits.
#define CANON_STATE_BYTES 448
// What a terminal event repeats (responses: all of the output); stops a stream from filling memory
// through the gateway. Past it ERR_LIMIT.
#define CANON_REPEAT_BYTES_MAX (16 * 1024 * 1024)

struct canon_reader {
    const struct dialect *dialect;
    struct arena *arena; // as long as the stream
    _Alignas(16) unsigned char state[CANON_STATE_BYTES];
};

struct canon_writer {
    const struct dialect *dialect;
    struct arena *arena; // as long as the stream
    struct canon_context context;
    struct json_writer *out; // whole events; given anew for each call
    _Alignas(16) unsigned char state[CANON_STATE_BYTES];
};

struct canon_translator {
    struct canon_sink sink;
    struct canon_reader reader;
    struct canon_writer writer;
    bool ended;               // END has passed
    struct canon_error error; // of the ERROR event
    bool failed;
};

// Both dialects translate streams (see dialect_translates). Borrows the arena.
void canon_translator_init(struct canon_translator *t, const struct dialect *from,
                           const struct dialect *to, struct arena *arena,
                           const struct canon_context *context);

// One event of the provider; what the client gets for it is appended to `out` (maybe nothing).
// 0; ERR_BAD_SSE when the event is not what its dialect allows; ERR_UPSTREAM_PROTOCOL when the
// provider reported an error: t->error holds it and nothing was written for it; ERR_NOMEM;
// ERR_LIMIT. After an error it is not called again.
int canon_translate(struct canon_translator *t, const struct sse_event *event,
                    struct json_writer *out);

// ---- For the dialects --------------------------------------------------------------------------

// `event: type` (none when `type` is empty) and the start of a data line; then JSON is written;
// then the blank line.
void canon_event_open(struct json_writer *out, struct slice type);
void canon_event_close(struct json_writer *out);

#endif
