// SPDX-License-Identifier: Apache-2.0
//
// mock.h: a provider that answers as it is told, for benchmarks and for `make run` without a key.
//
// One ring a core, no fibers, answers rendered once: the mock must cost less than what is measured
// through it. What a request gets is said in its model name, the one member that every proxy passes
// on: `mock` alone is a default answer; `mock:size=1400,latency_ms=20` a chat answer of 1,400
// bytes after 20 ms; `mock:events=100,event_bytes=150,pace_us=2000` a stream of 100 events 2 ms
// apart; `mock:fault=hangup` a closed connection; `mock:size=1400,prose=1` text that is another in
// every whole answer, as a model's is, where otherwise all have one sentence over and over. Unknown
// words are ignored. The path says in whose shape: chat's, or at /responses and /messages theirs;
// the words mean the same in both.
//
//   ┌─────────┐ head and body whole ┌─────────┐ latency over ┌───────────┐ all sent
//   │ READING │ ──────────────────► │ WAITING │ ───────────► │ ANSWERING │ ────────► READING
//   └─────────┘                     └─────────┘              └───────────┘ ⟲ pace timer
//        │ peer's FIN, error, or a fault that closes
//        ▼
//   ┌─────────┐ no operation in flight
//   │ CLOSING │ ──────────────────────► freed
//   └─────────┘
//
// A connection belongs to its core's thread.
#ifndef RINGGATE_BENCH_MOCK_MOCK_H
#define RINGGATE_BENCH_MOCK_MOCK_H

#include "base/buf.h"
#include "base/pool.h"
#include "base/prng.h"
#include "net/tls.h"
#include "ring/ring.h"

// Larger requests than any benchmark's are refused by closing.
#define MOCK_REQUEST_BYTES_MAX (256u * 1024 * 1024)

// What is answered. A path that no other kind claims is chat's.
enum mock_kind {
    MOCK_CHAT,
    MOCK_MESSAGES,
    MOCK_COUNT_TOKENS,
    MOCK_RESPONSES, // its events have 167 bytes or more
    MOCK_EMBEDDINGS,
    MOCK_MODELS,
    MOCK_KIND_COUNT
};

enum mock_fault {
    MOCK_FAULT_NONE,
    MOCK_FAULT_HANGUP, // close before a byte of the answer
    MOCK_FAULT_CUT,    // close in the middle of the body or of an event
    MOCK_FAULT_STALL,  // never answer
};

// What one request asked for.
struct mock_script {
    enum mock_kind kind;
    unsigned status;
    unsigned size;        // bytes of a whole answer
    unsigned events;      // of a stream that carry text
    unsigned event_bytes; // of each
    unsigned pace_us;     // between events; 0: all at once
    unsigned latency_ms;
    unsigned prose; // 1: a whole answer is made of words, by `seed`
    uint64_t seed;  // given by the connection
    bool stream;
    bool usage; // include_usage was asked for
    enum mock_fault fault;
};

// Reads the request's path and body. Never fails: what is not understood gets the default.
void mock_script_read(struct slice path, struct slice body, struct mock_script *ret);
// Appends a complete answer (head and body), or for a stream its head and what precedes the text.
void mock_answer(const struct mock_script *s, struct buf *out);
// Appends events [from, to) of a stream, each an HTTP chunk; the end of the stream is event number
// `events`: why it ended, usage (chat: when asked for), the terminal event, the last chunk.
void mock_events(const struct mock_script *s, unsigned from, unsigned to, struct buf *out);

struct mock_core {
    struct ring *ring;
    struct ring_bufs *bufs;
    struct pool conns;
    int listener[2]; // plain, TLS; -1: none
    struct ring_op accept[2];
    struct tls_context *tls; // borrowed from main; NULL when plain only
    struct prng prng;
};

// On the core's thread: accepts from now on. 0 or a negative enum err.
int mock_core_start(struct mock_core *c);
size_t mock_conn_bytes(void); // of one connection, for the pool
// A connection that was accepted on listener `tls`.
void mock_conn_open(struct mock_core *c, int fd, bool tls);

#endif
