// SPDX-License-Identifier: Apache-2.0
//
// load.h: an open-loop HTTP client: it asks at its own pace, whatever the server does.
//
// A closed loop (wrk) waits for an answer before it asks again, so a stall hides the requests that
// would have come meanwhile. Here each request has a due time; its latency counts from then, also
// when it had to wait for a free connection. Rate 0 is a closed loop: every connection asks again
// as soon as it is answered (for saturation with streams, which wrk does not count by events).
//
// With `tls` every connection is TLS and its handshake over before the clock starts. With
// `handshakes` there is no request at all: each connection shakes hands, is closed and made anew
// (shake.c), never with a ticket.
//
// With `unique` no two requests are alike, as no two turns of a client are: wherever the body holds
// LOAD_MARK, its sixteen digits become a number that no request had before, of this run or another.
// Each connection has a copy of the request for that, made before the clock starts.
//
// One thread, one ring, connections made before the clock starts.
#ifndef RINGGATE_BENCH_LOAD_LOAD_H
#define RINGGATE_BENCH_LOAD_LOAD_H

#include "base/list.h"
#include "net/h1.h"
#include "ring/ring.h"

// Log-linear: 32 steps an octave, so a quantile is off by 3 % at most.
#define QUANTILE_STEPS   32
#define QUANTILE_OCTAVES 40

#define LOAD_MARK        "#0000000000000000"
#define LOAD_MARK_DIGITS 16
#define LOAD_MARKS_MAX   1024 // of a body; more would be a mistake

struct quantiles {
    uint64_t bucket[QUANTILE_STEPS * QUANTILE_OCTAVES];
    uint64_t count;
};

void quantiles_add(struct quantiles *q, int64_t ns);
double quantiles_at(const struct quantiles *q, double fraction); // microseconds

struct load_options {
    const char *host; // numeric IPv4
    unsigned port;
    unsigned connections;
    double rate; // requests a second; 0: closed loop
    double seconds;
    double warmup; // seconds, not counted
    const char *path;
    const char *body_file; // NULL: GET
    const char *header;    // one more; NULL: none
    bool tls;
    bool handshakes;
    bool unique;
};

struct load {
    struct load_options options;
    struct ring *ring;
    struct ring_bufs *bufs;
    struct slice request;
    unsigned marks;                // in it
    uint32_t mark[LOAD_MARKS_MAX]; // where the digits of each begin
    uint64_t number;               // of the next request
    struct list idle;              // connections without a request
    struct load_conn *conns;
    struct tls_context *tls; // of a client that takes any certificate; NULL: plain
    struct mono begin;       // counting starts
    struct mono end;
    double due_ns; // of the next request, since the epoch of `begin`
    double interval_ns;
    unsigned open;
    bool over;
    // counted
    uint64_t requests, errors, bytes, events;
    struct quantiles latency, first;
};

int load_init(struct load *l); // connects; 0 or a negative enum err
void load_run(struct load *l);
// Shakes hands for as long as the options say; requests are the handshakes. 0 or ERR_NOMEM.
int load_shake(struct load *l);

#endif
