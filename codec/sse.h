// SPDX-License-Identifier: Apache-2.0
//
// sse.h: server-sent events, cut out of a byte stream and made.
//
// The splitter is fed spans in arrival order and gives back whole events, each as the exact bytes
// it arrived as (field lines, line endings, the blank line that ends it). An event that lies whole
// in one span is a slice of that span; one cut by a span's end is gathered in the carry buffer.
// Whole events only: what is half there when the stream dies is never shown to a client.
//
//     span ──► │event│event│ev…   ──carry──►   …ent│event│
//
// Lines end in CR LF, LF or CR (WHATWG HTML, 9.2.6). A leading byte order mark belongs to the first
// event's raw bytes and is skipped for its fields. Comment-only events (`: keep-alive`) are events
// with no data. A CR at the very end of a span may be half of CR LF: an event that ends so is given
// out at once and a following lone LF is attached to the next event's raw bytes, so that nothing
// waits and no byte is lost.
//
// Pure; any thread.
#ifndef RINGGATE_CODEC_SSE_H
#define RINGGATE_CODEC_SSE_H

#include "base/buf.h"
#include "base/slice.h"

// One event's raw bytes; stops a provider (or what poses as one) from filling memory with a line.
#define SSE_EVENT_BYTES_MAX (16 * 1024 * 1024)
// A buffer that has grown past this is given back after its event: ten thousand streams that have
// each seen one large event must not keep the memory of it.
#define SSE_KEEP_BYTES (16 * 1024)

struct sse_event {
    struct slice raw;  // all bytes of the event, blank line included
    struct slice type; // value of the last `event:` line; empty when absent
    struct slice data; // value of `data:` lines; several are joined with LF (then a copy)
    bool has_data;
};

// All private.
struct sse_splitter {
    struct buf carry;  // a partial event
    struct buf joined; // data of a multi-line event
    struct slice in;   // what of the span is not given yet
    int error;         // sticky
    bool line_empty;   // nothing of the current line yet
    bool after_cr;     // the last byte scanned is a CR: a LF now belongs to it
    bool carry_given;  // the last event given lay in the carry: drop it on the next call
    bool at_start;     // no event given yet
};

void sse_init(struct sse_splitter *s);
void sse_done(struct sse_splitter *s);
// Gives the next span; the previous one must have been drained (sse_next returned ERR_MORE).
// Borrowed until drained.
void sse_feed(struct sse_splitter *s, struct slice span);
// 0 and an event; ERR_MORE when the span is used up (its tail is in the carry); ERR_BAD_SSE past
// SSE_EVENT_BYTES_MAX; ERR_NOMEM; the last two for ever after. The event's slices live until
// the next call of sse_next or, when they lie in the span, as long as the span.
int sse_next(struct sse_splitter *s, struct sse_event *ret);

// What makes the data of an event more than text that passes. The words of a dialect all begin with
// `"` and one of two letters: while those are not there, nothing is asked.
struct sse_marks {
    char letter[2];
    bool (*special)(struct slice data); // is it, of data that hold such a pair
};
// Before sse_next: the run of plain events at the front of the span, given as one slice of it.
// Plain is an event of one line `data: {…}` and a blank line, ended by LF, that lies whole in the
// span and is not special. Streams are made of little else, and a run costs one look at its bytes.
// Returns how many events it is; 0, and *ret_raw untouched, when the next one is not plain.
unsigned sse_next_run(struct sse_splitter *s, const struct sse_marks *marks, struct slice *ret_raw);

// Asked when the span is drained. True when bytes of an unfinished event are held: a stream that
// ends now ends mid-event. The LF of a CR LF whose event was given with the CR is no such byte.
bool sse_partial(const struct sse_splitter *s);
// True when that LF is held: a stream that ends now still owes it. False in a span not drained.
bool sse_owes_lf(const struct sse_splitter *s);
// Does an event's raw text begin with that LF? (One that is nothing but a LF is a blank line.)
static inline bool sse_begins_with_owed_lf(struct slice raw)
{
    return raw.len > 1 && raw.ptr[0] == '\n';
}

// Is `data` the OpenAI end marker `[DONE]`?
static inline bool sse_is_done_marker(struct slice data)
{
    return slice_eq(data, SLICE("[DONE]"));
}

#endif
