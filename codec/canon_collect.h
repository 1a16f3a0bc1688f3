// SPDX-License-Identifier: Apache-2.0
//
// canon_collect.h: a stream brought together into the answer it would have been.
//
// Some providers stream whatever they are asked for. A client that wants a whole answer in another
// dialect gets one: the reader's events are collected, block by block, and the answer is written
// like any other. Log probabilities do not come along: each dialect cuts them its own way.
//
//     provider's events ──► canon_reader ──canon_event…──► canon_collector ──► canon_answer
//
// Owns nothing but what the answer's arena holds.
#ifndef RINGGATE_CODEC_CANON_COLLECT_H
#define RINGGATE_CODEC_CANON_COLLECT_H

#include "codec/canon.h"
#include "codec/json_write.h"

struct dialect_usage;

struct canon_collector {
    struct canon_sink sink; // given to the reader
    struct canon_answer *answer;
    struct canon_block **tail;
    struct canon_block *block; // the open one
    struct json_writer text, signature, citations;
    bool signed_, cited;
    bool ended;               // END has passed: the answer is whole
    bool failed;              // the provider reported an error
    struct canon_error error; // that one; in the answer's arena
};

// Borrows the answer, which is empty but for its arena, and whose `from` is set.
void canon_collector_init(struct canon_collector *c, struct canon_answer *answer);
// All events of `text`, a body that has ended, as `answer->from` reads them. 0: the answer is
// whole; ERR_UPSTREAM_TRUNCATED; ERR_BAD_SSE; ERR_UPSTREAM_PROTOCOL with c->failed; ERR_LIMIT;
// ERR_NOMEM. *usage becomes what the stream told.
int canon_collect(struct canon_collector *c, struct slice text, struct dialect_usage *usage);
// After an error: the answer becomes what had been said until then. 0 or ERR_NOMEM.
int canon_collector_break(struct canon_collector *c);

#endif
