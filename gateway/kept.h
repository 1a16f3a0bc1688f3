// SPDX-License-Identifier: Apache-2.0
//
// kept.h: an answer that passes, kept for its record.
//
//     provider ──► client
//         │  each event, each span: a copy
//         ▼
//     │ 512 B │ 1 kB │ 2 kB │ …   pieces of the exchange's arena ──► joined once, at the end
//
// A stream's events are folded (base/fold.h), because a stream may live for hours and ten thousand
// of them at once: of an event of 150 bytes some ten stay. What is too much is not kept, from the
// first event or byte on that does not fit; what was kept says that it was cut. No allocation an
// event: pieces double.
//
// Own core; the arena's life.
#ifndef RINGGATE_GATEWAY_KEPT_H
#define RINGGATE_GATEWAY_KEPT_H

#include "base/arena.h"
#include "base/fold.h"

// Of one answer, as it is kept: half of what a record may hold, so that a long prompt's end and a
// long answer's end are never the price of each other. A stream of 150-byte events has some 50,000
// of them in it.
#define KEPT_BYTES_MAX ((size_t)512 * 1024)
// Of all that a core's exchanges keep for their records while they last, prompts of streams
// included: a crowd of long streams must not fill memory. Later ones are recorded without.
#define KEPT_CORE_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct kept_piece;

struct kept {
    struct arena *arena;
    size_t *of_core; // what all of its core keep; NULL: it is done
    size_t taken;    // of that, by this one
    size_t bytes;    // kept
    struct kept_piece *first, *last;
    struct fold fold;
    bool folded; // it is events
    bool cut;
};

// Nothing is taken until something is added.
void kept_init(struct kept *k, struct arena *arena, size_t *of_core);
// Gives its part of the core's allowance back; the memory is the arena's.
void kept_done(struct kept *k);
// Takes `bytes` of that for something kept elsewhere in the arena. False: there is no room.
bool kept_reserve(struct kept *k, size_t bytes);

// One event of a stream, or a run of whole ones of two lines each, the second one empty. Streams
// are not mixed with spans.
void kept_event(struct kept *k, struct slice event);
void kept_run(struct kept *k, struct slice run);
// Bytes of an answer that is no stream.
void kept_span(struct kept *k, struct slice span);

// All of it as one. Empty when nothing was kept, or without memory, and then it says `cut`.
struct slice kept_join(struct kept *k);

#endif
