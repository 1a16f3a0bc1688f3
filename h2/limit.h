// SPDX-License-Identifier: Apache-2.0
//
// limit.h: what an HTTP/2 peer may make us do, how often, and the abuse each bound stops. Clients
// are meant first; a provider that is hostile, or broken, is held to the same but where it says so.
//
// Two kinds. Sizes are constants. Frames that cost us more than their sender have a rate: `burst`
// of them at once and `per_second` after that, measured by when the next one would be due (GCRA:
// one word a rate, no timer). Whoever exceeds a rate gets GOAWAY with ENHANCE_YOUR_CALM and is
// disconnected; every hit of every bound is counted for /metrics under its label.
//
//     due: |----|----|----|        now        due - now ≤ burst × interval: allowed
//                                   ▲
//          each frame moves due one interval on, never from before now
#ifndef RINGGATE_H2_LIMIT_H
#define RINGGATE_H2_LIMIT_H

#include "base/clock.h"
#include "base/stats.h"
#include <stdbool.h>

// Streams at once. More than any client assumes before it has read our SETTINGS (100), so a burst
// at the start is not refused. REFUSED_STREAM.
#define H2_STREAMS_MAX 128
// A head that fills memory, as RFC 9113 6.5.2 counts. 431. One that goes on for four times as much
// once decompressed is an HPACK bomb: GOAWAY.
#define H2_HEAD_BYTES_MAX  65536
#define H2_HEAD_BOMB       4
#define H2_HEAD_FIELDS_MAX 128
// CONTINUATION frames behind one HEADERS (CERT VU#421644: a block that never ends). GOAWAY.
#define H2_CONTINUATIONS_MAX 6
// Body bytes a client may send on a stream nobody reads.
#define H2_STREAM_WINDOW 65535
// And on all streams before we have seen them; given back on receipt.
#define H2_CONNECTION_WINDOW (1024 * 1024)
// Streams we open on one connection to a provider, if it allows as many: more share the fate of one
// TCP connection and its losses.
#define H2_CLIENT_STREAMS_MAX 128
// Body bytes a provider may send on a stream whose client does not read: what stalling costs us.
#define H2_CLIENT_STREAM_WINDOW (128 * 1024)
// Interim heads of one answer: a provider that sends 103 for ever. PROTOCOL_ERROR.
#define H2_INTERIM_MAX 8
// What nghttp2 may hold for one connection, all of it: the bound behind every other. GOAWAY or
// closed.
#define H2_MEMORY_MAX (2 * 1024 * 1024)

// X(name, label, burst, per_second)
//
//   SETTINGS      each is applied to every stream and acknowledged (CVE-2019-9515)
//   PING          each is answered (CVE-2019-9512); a frame of ours earns a provider one
//   RESET         requests opened and taken back at once (rapid reset, CVE-2023-44487); of a
//   provider
//                 only those of streams that have ended
//   PROVOKED      the same by the back door: frames that oblige us to reset (CVE-2025-8671)
//   REFUSED       streams beyond H2_STREAMS_MAX, each a head to decompress
//   EMPTY_DATA    frames without content that end nothing (CVE-2019-9518)
//   WINDOW        updates of a few bytes each (CVE-2019-9517); a DATA frame of ours earns two
//   PRIORITY      a tree to be shuffled (CVE-2019-9513); ignored, but still read
//   OTHER         frames nobody knows, and GOAWAY again and again
#define H2_RATE_MAP(X)                                                                             \
    X(SETTINGS, "settings", 32, 1)                                                                 \
    X(PING, "ping", 64, 4)                                                                         \
    X(RESET, "reset", 256, 32)                                                                     \
    X(PROVOKED, "provoked_reset", 64, 4)                                                           \
    X(REFUSED, "refused_stream", 1024, 64)                                                         \
    X(EMPTY_DATA, "empty_data", 64, 8)                                                             \
    X(WINDOW, "window_update", 4096, 256)                                                          \
    X(PRIORITY, "priority", 256, 16)                                                               \
    X(OTHER, "other_frame", 64, 4)

enum h2_rate_name {
#define X(name, label, burst, per_second) H2_RATE_##name,
    H2_RATE_MAP(X)
#undef X
        H2_RATE_COUNT
};

// Bounds that are counted: the rates, then these. X(name, label)
#define H2_SIZE_MAP(X)                                                                             \
    X(CONTINUATION, "continuation")                                                                \
    X(HEAD, "head_too_large")                                                                      \
    X(BOMB, "hpack_bomb")                                                                          \
    X(MEMORY, "memory")                                                                            \
    X(STALLED, "stalled_write")                                                                    \
    X(INTERIM, "interim")

enum h2_limit {
    H2_LIMIT__BEFORE = H2_RATE_COUNT - 1,
#define X(name, label) H2_LIMIT_##name,
    H2_SIZE_MAP(X)
#undef X
        H2_LIMIT_COUNT
};

// Of one core; any thread reads.
struct h2_counts {
    struct counter streams;             // opened
    struct counter malformed;           // messages that were
    struct counter hit[H2_LIMIT_COUNT]; // by enum h2_rate_name, then enum h2_limit
};

const char *h2_limit_label(unsigned limit); // below H2_LIMIT_COUNT

// Zeroed memory is a rate nobody has used.
struct h2_rate {
    int64_t due; // ns
};

// One more. False: too many.
bool h2_rate_take(struct h2_rate *r, enum h2_rate_name name, struct mono now);
// Gives `n` back, never beyond the burst.
void h2_rate_earn(struct h2_rate *r, enum h2_rate_name name, unsigned n);

#endif
