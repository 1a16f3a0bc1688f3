// SPDX-License-Identifier: Apache-2.0
//
// client_h2.h: scripted clients over HTTP/2: several requests at once on one connection, some of
// them reset, through windows that may be small. They judge what they get as those of client.h do;
// what a GOAWAY or REFUSED_STREAM says was not looked at is no answer that was owed.
#ifndef RINGGATE_TESTS_SIM_CLIENT_H2_H
#define RINGGATE_TESTS_SIM_CLIENT_H2_H

#include "tests/sim/story.h"
#include "tests/sim/wire.h"
#include <nghttp2/nghttp2.h>

#define CLIENT_H2_STREAMS 8

struct h2_ask {
    int32_t stream; // 0: free
    unsigned request;
    unsigned status;
    struct text out, body;
    size_t out_at;
    bool ended; // END_STREAM has come
};

struct client_h2 {
    struct story *story;
    unsigned number, port;
    struct wire_end *end;
    nghttp2_session *session;
    struct h2_ask ask[CLIENT_H2_STREAMS];
    unsigned asked;   // now
    unsigned at_once; // most
    unsigned left;    // to be asked
    unsigned resets;  // chance that a request is reset before its answer, in 1,000
    uint32_t window;  // of its streams
    size_t read_most; // at once; 0: all there is
    int32_t last;     // of a GOAWAY; -1: none has come
    bool closing, done, may_be_lost;
    struct text out;
    size_t out_at;
    struct sim_event *wake, *reset;
    int64_t reads_at;
};

void client_h2_begin(struct client_h2 *c, struct story *story, unsigned number, unsigned port);
void client_h2_no_more(struct client_h2 *c);
void client_h2_end(struct client_h2 *c);

#endif
