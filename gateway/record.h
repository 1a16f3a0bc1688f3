// SPDX-License-Identifier: Apache-2.0
//
// record.h: what remains of a target that was tried: one row, put into the core's ring.
//
//   ┌──────┐ open: a place in the ring ┌──────┐ close: answered, failed, client left ┌────────┐
//   │ NONE │ ────────────────────────► │ OPEN │ ───────────────────────────────────► │ QUEUED │
//   └──────┘  none: 503                └──────┘   store_put_record, exactly once     └────────┘
//      ▲                                                                                 │
//      └──────────────────────────── the next target, a fallback ────────────────────────┘
//
// Retries of a target are counted in its row. A target that was refused (a limit, a model that the
// key may not use) has a row without content; a request that names no target leaves none. Closing
// never parks and makes no system call: the row (row.h) is written into the stream's arena and
// copied from there.
//
// Content is what the client asked and the answer in the client's dialect. What is answered whole
// is copied into the ring from where it lies; what passes (a stream, a large answer) is kept as it
// does (kept.h), from the commit on.
//
// Own core.
#ifndef RINGGATE_GATEWAY_RECORD_H
#define RINGGATE_GATEWAY_RECORD_H

#include "base/clock.h"
#include "base/slice.h"
#include "gateway/kept.h"
#include "store/store.h"
#include <stdbool.h>

struct buf;
struct exchange;
struct failure;
struct gateway_core;
struct store_facts;

// Rows of refused targets in a second of a core: who is refused costs nothing else, and must not
// fill the disk. Later ones leave none.
#define RECORD_REFUSALS_MAX 100

// A core's open records form a list, the newest first; one that walks it through several turns of
// the loop leaves a mark in it.
struct record_link {
    struct record_link *next, *prev;
    bool mark; // of no record
};

struct record {
    struct record_link link; // while it is open
    uint64_t serial;         // of its core's records
    bool open;
    bool bare;  // without content, whatever is said
    bool keeps; // the answer passes and is kept
    bool cut;   // not all of the content is there
    struct mono started;
    struct slice request, answer; // content; empty: not kept
    struct store_early early;     // its request, in the ring already
    struct kept kept;
};

// For the target whose gates have been passed. 0; ERR_LIMIT: the ring has no room.
int record_open(struct exchange *x);
// For a target that was not admitted, or for which no request could be made: a row at once.
void record_refuse(struct exchange *x, const struct failure *failure);
// The request's body when content is kept, to be asked for before it is given back.
struct slice record_request(const struct exchange *x);
// Both live until the record is closed, which follows at once.
void record_content(struct exchange *x, struct slice request, struct slice answer);
// An answer that will pass begins: the request's body, which goes with the commit, is copied.
void record_commit(struct exchange *x);
// What passes, as it came: an event with data, a run of them (kept.h), a span of no stream. Long
// ones too: what is copied is bounded.
void record_event(struct exchange *x, struct slice raw);
void record_run(struct exchange *x, struct slice raw);
void record_span(struct exchange *x, struct slice span);
// `failure` NULL: the target has answered. Without an open record nothing happens.
void record_close(struct exchange *x, const struct failure *failure);

// ---- Open ones, from their core --------------------------------------------------------------

// What is known by now: its words; `time` is when it began, `latency_ms` since then.
void record_describe(const struct exchange *x, struct store_facts *ret);
// Its row as row_tell tells it, with the status `processing`.
void record_tell(const struct exchange *x, struct buf *out);
// Puts a mark in front of all, behind `after`, or takes it out again.
void record_mark(struct gateway_core *core, struct record_link *mark, struct record_link *after);
void record_unmark(struct gateway_core *core, struct record_link *mark);

#endif
