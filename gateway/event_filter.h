// SPDX-License-Identifier: Apache-2.0
//
// event_filter.h: what becomes of one stream event on its way to the client. No I/O.
//
// An event goes out as the bytes it came as, but for two cases: on a drop-in route the one event
// that carries usage nobody asked for is withheld; on /v1 a JSON event gets `extra_fields` before
// its closing brace. The filter writes slices into a `struct gather`, the vector of one send.
// Events that lie side by side in memory become one slice:
//
//     span    │ event │ event │ usage │ [DONE] │
//     gather  └───── slice 0 ────┘     └slice 1┘          (drop-in, usage withheld)
//
// An event that was cut by a span's end lies in the splitter's carry, which the next call of the
// splitter reuses: it is copied into the gather's scratch, or, when it is too big for that, the
// caller sends it before it goes on.
//
// Comments and other blocks without data are no events. In front of the first event they are kept,
// because forwarding one would commit the client to a provider that has said nothing yet, and leave
// with it; behind it they pass like any other bytes.
#ifndef RINGGATE_GATEWAY_EVENT_FILTER_H
#define RINGGATE_GATEWAY_EVENT_FILTER_H

#include "base/arena.h"
#include "codec/dialect.h"

// With the scratch it fits one block of an arena; about what net sends at once (net/h1_answer.c).
#define GATHER_SLICES  112
#define GATHER_SCRATCH 2048
// Comments kept for the first event. A provider that only ever comments (its queue is long) would
// fill memory: what does not fit is dropped, a block at a time.
#define COMMENTS_KEPT_BYTES 1024

struct gather {
    unsigned count;
    size_t bytes;
    size_t used; // of the scratch
    struct slice slice[GATHER_SLICES];
    char scratch[GATHER_SCRATCH];
};

void gather_reset(struct gather *g);
// Joined to the last slice when it follows it in memory. There is room (see event_filter_add).
void gather_add(struct gather *g, struct slice s);

struct event_filter {
    const struct dialect *dialect;
    struct arena *arena; // for the rare event whose inside is edited
    bool withhold;       // the usage event, which the client did not ask for
    struct slice prefix; // splice_prefix on /v1; empty: nothing is spliced

    // What of the attempt is shown in extra_fields (raw.h).
    bool raw_response;
    struct slice raw_request;       // in the event that tells usage or ends the stream
    const struct sse_event *source; // the provider's, of which the event was made; NULL: itself

    bool committed; // bytes have gone out: an error event passes like any other

    char *kept; // comments in front of the first event, in `arena`; or NULL
    size_t kept_bytes;

    // what the stream has said so far
    uint64_t index;             // of the next chunk
    uint64_t events;            // with data
    bool ended;                 // the terminal event has passed
    bool failed;                // the provider reported an error
    bool withheld;              // the last event went nowhere
    struct dialect_usage usage; // as far as it was told
};

enum event_verdict {
    EVENT_PASSED,   // its slices are in the gather
    EVENT_WITHHELD, // it goes nowhere
    EVENT_KEPT,     // no event, and none has been seen yet: nothing was added
    EVENT_FULL,     // send the gather, reset it, add again
    EVENT_URGENT,   // passed, and to be sent before the splitter is asked again
    EVENT_REFUSED,  // an error event before commit: nothing was added
    EVENT_NOMEM,
};

// `span` is what the splitter was fed with; latency_ms goes into extra_fields.
enum event_verdict event_filter_add(struct event_filter *f, struct gather *g,
                                    const struct sse_event *event, struct slice span,
                                    int64_t latency_ms);

// Before the splitter is asked for an event: what of its span is a run of events that pass as they
// are and say nothing goes into the gather as one slice, *ret_raw. Returns how many events; 0: ask
// for one.
unsigned event_filter_add_run(struct event_filter *f, struct gather *g, struct sse_splitter *from,
                              struct slice *ret_raw);

#endif
