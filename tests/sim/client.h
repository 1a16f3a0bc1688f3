// SPDX-License-Identifier: Apache-2.0
//
// client.h: scripted clients over HTTP/1.1. Each asks so many requests, one connection after the
// other, in a manner of its own: some send ahead, some read slowly or not at all, some leave.
//
// A client judges what it gets as a careful program would: by the framing first, then the body. An
// answer that is complete by its framing must be right; one that is not is a failure that shows.
#ifndef RINGGATE_TESTS_SIM_CLIENT_H
#define RINGGATE_TESTS_SIM_CLIENT_H

#include "tests/sim/story.h"
#include "tests/sim/wire.h"

#define CLIENT_PIPELINE_MAX 4

enum client_part { CLIENT_HEAD, CLIENT_LENGTH, CLIENT_CHUNK, CLIENT_CHUNK_DATA, CLIENT_UNTIL_END };

struct client {
    struct story *story;
    unsigned number, port;
    struct wire_end *end;
    unsigned left;     // requests to be asked
    unsigned pipeline; // asked at once
    unsigned leaves;   // chance to leave before an answer, in 1,000
    size_t read_most;  // at once; 0: all there is
    int64_t read_pause_ns;
    bool deaf;    // stops reading in the middle, for minutes
    bool large;   // asks with large bodies
    bool closing; // does not connect again: the gateway is on its way down
    bool done;
    bool may_be_lost; // this connection may end without an answer: the gateway is aborting
    // This connection.
    unsigned asked[CLIENT_PIPELINE_MAX];
    unsigned asked_count;
    struct text out, in, body;
    size_t out_at;
    enum client_part part;
    unsigned status;
    size_t wanted; // bytes of the body, or of this chunk
    bool last_chunk;
    bool was_deaf;
    bool last;  // the answer says that no other follows
    bool began; // a byte of the answer is here
    struct sim_event *wake, *leave;
    int64_t reads_at;
};

void client_begin(struct client *c, struct story *story, unsigned number, unsigned port);
void client_no_more(struct client *c); // asks nothing new
void client_hang_up(struct client *c); // if it is connected
void client_end(struct client *c);

#endif
