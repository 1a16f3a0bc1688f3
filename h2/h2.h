// SPDX-License-Identifier: Apache-2.0
//
// h2.h: one end of an HTTP/2 connection: bytes in, bytes out, events by callback.
//
// No I/O, no clock, no threads. nghttp2 does the framing, HPACK and the windows; this folder makes
// of it what we need of either end: heads that are checked whole, bodies that are never copied
// beyond their framing, and a bound for everything the peer can make us do.
//
//     received bytes ──► h2_session_feed ──► on_open, on_head, on_data, on_end, on_close
//                                                  │ the owner answers, now or later
//     h2_stream_answer, h2_stream_write ◄──────────┘
//             │
//             └─► h2_session_output ──► iovecs for one send ──► on_taken: give me more
//
// A server's streams begin with on_open, a client's with h2_client_submit; from there on both ends
// are the same: a head comes, then a body, and what is said in return is taken bit by bit.
//
// The owner embeds `struct h2_session` in its connection and `struct h2_stream` in its exchange,
// and finds itself by container_of. A stream (a client's begins in HEAD when it is submitted, and
// 1xx heads leave it there):
//
//              on_open                on_head                    on_end
//    (idle) ───────────► ┌──────┐ ───────────────► ┌──────┐ ──────────────► ┌───────┐
//                        │ HEAD │                  │ BODY │                 │ WHOLE │
//                        └──────┘                  └──────┘                 └───────┘
//                            │ malformed: reset        │ h2_stream_answer …     │
//                            ▼                         ▼                        ▼
//                        ┌──────────────────────────────────────────────────────────┐
//                        │ ENDED: on_close was the stream's last event              │
//                        └──────────────────────────────────────────────────────────┘
//
//   HEAD    fields arrive; nothing is known yet, the owner has lent an arena
//   BODY    the head is checked and complete; data events may come
//   WHOLE   the message is complete and has the length it announced
//   ENDED   session is NULL; reached by both ends complete, a reset from either side, or
//           h2_stream_detach (then without an event)
//
// A connection (a client's goes from OPEN straight to over; h2_client_room says whether it takes
// another stream: not beyond the peer's limit, and none after its GOAWAY):
//
//    ┌──────┐ h2_session_shutdown ┌────────┐ ping answered, or again ┌──────┐ no stream left
//    │ OPEN │ ─────────────────► │ NOTICE │ ──────────────────────► │ LAST │ ──────────┐
//    └──────┘                    └────────┘                         └──────┘           ▼
//       │ a limit, bad frames: GOAWAY, at once                              ┌──────────────┐
//       └─────────────────────────────────────────────────────────────────► │ over         │
//                                                                           └──────────────┘
//
//   OPEN    streams come and go
//   NOTICE  GOAWAY with the greatest id is out: the client opens no more, those on their way come
//   LAST    GOAWAY with the last stream that is served is out
//   over    nothing that arrives matters; send what h2_session_output still gives, then close
//
// Windows: what arrives of the connection's is given back at once, so that one stream that is not
// read never stops another; a stream's is given back when the owner has pulled (h2_stream_consume).
// So a client can park H2_STREAM_WINDOW bytes a stream with us and no more, a provider
// H2_CLIENT_STREAM_WINDOW.
//
// Limits stand in one table, limit.h, each with the abuse it stops; every hit is counted.
//
// Malformed requests (RFC 9113 8.1.1) are reset with PROTOCOL_ERROR: nghttp2 checks them, and
// head.c checks them again by the rules of the HTTP/1 reader, so that what passes here means the
// same wherever it is sent on. Priorities of either scheme are ignored: streams with bytes ready
// take turns.
#ifndef RINGGATE_H2_H2_H
#define RINGGATE_H2_H2_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/slice.h"
#include "h2/limit.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct nghttp2_session;
struct h2_session;
struct h2_stream;

// What a client's connection begins with (RFC 9113 3.4).
#define H2_PREFACE SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// RFC 9113 7.
enum h2_code {
    H2_NO_ERROR = 0x0,
    H2_PROTOCOL_ERROR = 0x1,
    H2_INTERNAL_ERROR = 0x2,
    H2_FLOW_CONTROL_ERROR = 0x3,
    H2_STREAM_CLOSED = 0x5,
    H2_FRAME_SIZE_ERROR = 0x6,
    H2_REFUSED_STREAM = 0x7,
    H2_CANCEL = 0x8,
    H2_ENHANCE_YOUR_CALM = 0xb,
};

struct h2_field {
    struct slice name; // lower case
    struct slice value;
};

// A message's head, checked. Everything lies in the stream's arena.
struct h2_head {
    unsigned status; // an answer's, which has none of the four
    struct slice method;
    struct slice scheme;     // "http" or "https"; empty with CONNECT
    struct slice authority;  // of :authority, or of host
    struct slice path;       // begins with '/', or is "*"; empty with CONNECT
    struct h2_field *fields; // regular ones in the order received, `host` among them if it came
    unsigned count;
    int64_t content_length; // -1: not given
    bool whole;             // no body follows
};

enum h2_stream_state { H2_STREAM_HEAD, H2_STREAM_BODY, H2_STREAM_WHOLE, H2_STREAM_ENDED };

// Embedded in the owner's exchange; zeroed before it is returned by on_open or submitted. Owners
// read `id`, `head`, `session`, `ready` and `malformed`; the rest is private.
struct h2_stream {
    struct h2_session *session; // NULL: closed, or detached
    struct list link;           // in session->streams
    struct list writing;        // in session->writing, while bytes wait to be taken
    struct arena *arena;        // set by on_open, or before submitting: where the head goes
    struct h2_head head;
    int32_t id;
    uint32_t head_bytes; // as RFC 9113 6.5.2 counts them
    unsigned fields_cap;
    uint8_t state;
    uint8_t interim;                    // 1xx heads that came
    bool malformed, regular, host_seen; // what head.c knows so far; reset for it
    bool resetting;                     // a reset is on its way: nothing of it is an event any more
    int head_err;                       // ERR_HEAD_TOO_LARGE, ERR_NOMEM
    // The answer.
    const struct slice *spans;
    unsigned spans_count;
    size_t offset;        // in the first span
    size_t ready;         // bytes not taken yet
    struct mono deadline; // for taking them, or enough of them
    size_t mark;          // how many were ready when it was set
    bool answered, last, deferred;
};

// Called from h2_session_feed, _output, _expire and _reset. A callee may answer, write, consume,
// reset or detach, but not feed, output or done.
struct h2_events {
    // A request begins. Returns its stream, `arena` set, or NULL: it is refused. (Servers.)
    struct h2_stream *(*on_open)(struct h2_session *h);
    // The head is complete: err 0 and stream->head, or ERR_HEAD_TOO_LARGE or ERR_NOMEM: answer
    // it so. A client's stream is reset after the call when there was one.
    void (*on_head)(struct h2_session *h, struct h2_stream *s, int err);
    // Bytes of the body, borrowed for the call.
    void (*on_data)(struct h2_session *h, struct h2_stream *s, struct slice bytes);
    void (*on_end)(struct h2_session *h, struct h2_stream *s); // the message is complete
    // The output being filled points into the owner's spans: they must not change before it has
    // been sent. May come several times for one output.
    void (*on_lend)(struct h2_session *h, struct h2_stream *s);
    // All bytes of the last h2_stream_answer or _write have been taken into an output.
    void (*on_taken)(struct h2_session *h, struct h2_stream *s);
    // The stream's end, its last event. H2_NO_ERROR when both sides were complete, else the code
    // of the reset, whoever sent it. A client's that was never looked at, because the peer said so
    // or because it did not get out: H2_REFUSED_STREAM. A peer may also reset with H2_NO_ERROR:
    // only a stream that had on_end is complete.
    void (*on_close)(struct h2_session *h, struct h2_stream *s, uint32_t code);
};

enum h2_session_state { H2_OPEN, H2_NOTICE, H2_LAST, H2_OVER };

struct h2_options {
    unsigned streams_max;     // at once; 0: H2_STREAMS_MAX
    unsigned head_bytes_max;  // 0: H2_HEAD_BYTES_MAX
    unsigned head_fields_max; // 0: H2_HEAD_FIELDS_MAX
    // In each window of so long write_rate bytes a second of a write must be taken, and one at
    // least; else its stream is reset. 0: never.
    unsigned write_ms, write_rate;
    struct h2_counts *counts; // where hits are counted; of one core
};

// How far back it is known which streams were opened.
#define H2_OPENED_IDS 256

struct h2_memory {
    size_t bytes, max;
    void *kept;   // what was freed after a refused growth, see memory.c
    bool refused; // a growth, and nothing has been freed since
    // Whose pages an idle session can do without: its buffer for one frame, its table of streams.
    char *frame, *table;
    size_t frame_bytes, table_bytes;
};

struct h2_session {
    const struct h2_events *events;
    struct nghttp2_session *ng;
    struct h2_counts *counts;
    struct h2_memory memory; // what the session holds
    struct h2_options options;
    struct list streams; // struct h2_stream, link
    struct list writing; // by deadline, nearest first
    struct mono now;
    struct h2_output *out; // during h2_session_output
    struct slice pending;  // the rest of a frame that did not fit into the last output
    struct h2_rate rate[H2_RATE_COUNT];
    int32_t id_next;                     // no stream at or above it has been opened
    uint64_t opened[H2_OPENED_IDS / 64]; // which of those before it were
    unsigned continuations;              // of the block that is being received
    uint32_t block_bytes;                // its fields, decompressed
    unsigned streams_open;               // in `streams`
    uint8_t state;
    bool client;    // our end is
    bool settled;   // a client's: the peer's SETTINGS have come
    bool paused;    // nghttp2 stopped after a DATA frame because we asked it to
    bool head_open; // HEADERS without END_HEADERS: see h2_session_head_open
};

// 0 or ERR_NOMEM. Our SETTINGS are in the first output. Zeroed memory may be done.
int h2_server_init(struct h2_session *h, const struct h2_events *events,
                   const struct h2_options *options);
int h2_client_init(struct h2_session *h, const struct h2_events *events,
                   const struct h2_options *options);
// Detaches every stream without an event. NULL is fine.
void h2_session_done(struct h2_session *h);

// All of `bytes`, the preface included. 0; or the connection is over: ERR_BAD_HEAD (not HTTP/2 at
// all), ERR_LIMIT, ERR_NOMEM. An over connection drops what it is fed.
int h2_session_feed(struct h2_session *h, struct mono now, struct slice bytes);
// Nothing that arrives matters any more.
bool h2_session_over(const struct h2_session *h);
// A head has begun and is not complete: its patience is the owner's (slowloris).
bool h2_session_head_open(const struct h2_session *h);

// Where an output goes. Frames and small data are written into `bytes`; longer data is pointed at.
struct h2_output {
    char *bytes;
    size_t bytes_max; // at least H2_OUTPUT_BYTES_MIN
    struct iovec *iov;
    unsigned iov_max; // at least H2_OUTPUT_IOV_MIN
    size_t used;      // these three begin as 0
    unsigned count;
    size_t total;
};
#define H2_OUTPUT_BYTES_MIN 4096
#define H2_OUTPUT_IOV_MIN   8
// Data runs up to this length are copied: an iovec costs the kernel as much.
#define H2_COPY_MAX 1024

// Fills *out with what may be sent now, in order. 0 or ERR_NOMEM (the connection is over).
int h2_session_output(struct h2_session *h, struct mono now, struct h2_output *out);
bool h2_session_wants_output(const struct h2_session *h);

// When h2_session_expire has something to do; MONO_NEVER.
struct mono h2_session_deadline(const struct h2_session *h);
// Resets the streams whose writes the client has not made room for in time (H2_CANCEL).
void h2_session_expire(struct h2_session *h, struct mono now);

// Gives memory back that a silent connection does without. May be called at any time; costs two
// system calls, and the next frames a page fault each.
void h2_session_rest(struct h2_session *h);

// Begins a server's graceful close; again: does not wait for the ping.
void h2_session_shutdown(struct h2_session *h);
// Ends the connection with this code after what is queued; it is over.
void h2_session_terminate(struct h2_session *h, enum h2_code code);

// ---- Clients ---------------------------------------------------------------------------------

// How many streams may be submitted now: within the peer's limit and ours (options->streams_max);
// one until the peer has said what its limit is; none once it has said GOAWAY.
unsigned h2_client_room(const struct h2_session *h);
// No stream will ever be submitted again: close when the last one has ended.
bool h2_client_is_ending(const struct h2_session *h);
// How many streams the peer allows at once, and we; 0: not known yet.
unsigned h2_client_limit(const struct h2_session *h);
// Asks the peer whether it is there; its answer is bytes like any other.
void h2_client_ping(struct h2_session *h);

struct h2_request {
    struct slice method, scheme, authority, path;
    const struct h2_field *fields; // lower case, none that speaks of a connection
    unsigned count;
};

// Opens a stream: the whole request. `s` is zeroed but for its arena. The head is copied; spans are
// borrowed until on_taken (but see on_lend), which comes also when there are none. 0 or ERR_NOMEM.
int h2_client_submit(struct h2_session *h, struct h2_stream *s, const struct h2_request *request,
                     const struct slice *spans, unsigned count);

// ---- Streams ---------------------------------------------------------------------------------

// Gives `bytes` of the stream's window back. Closed: nothing.
void h2_stream_consume(struct h2_stream *s, size_t bytes);
// Lets the client send up to this far ahead of consumption from now on; never lowers it.
void h2_stream_widen(struct h2_stream *s, size_t window);

// An interim head, e.g. 100. 0 or ERR_NOMEM.
int h2_stream_interim(struct h2_stream *s, unsigned status);
// The answer's head and its first bytes; `last`: the answer is complete with them. Fields are
// copied, their names are lower case; spans are borrowed until on_taken (but see on_lend), which
// comes also when there are none. 0, ERR_NOMEM, ERR_CLIENT_GONE (closed).
int h2_stream_answer(struct h2_stream *s, unsigned status, const struct h2_field *fields,
                     unsigned count, const struct slice *spans, unsigned spans_count, bool last);
// Further bytes, after on_taken. 0 or ERR_CLIENT_GONE.
int h2_stream_write(struct h2_stream *s, const struct slice *spans, unsigned count, bool last);
// Takes back what has not been taken yet: spans are the owner's again. What was taken before went
// out, so only a reset can follow.
void h2_stream_unwrite(struct h2_stream *s);
// Ends the stream; on_close follows with an output. Closed: nothing.
void h2_stream_reset(struct h2_stream *s, enum h2_code code);
// The owner lets go: no event any more. A stream that is not complete should be reset before.
void h2_stream_detach(struct h2_stream *s);

#endif
