// SPDX-License-Identifier: Apache-2.0
//
// relay.h: a provider's good answer on its way to the client.
//
//   whole     all of it is here within WHOLE_BYTES_MAX: edited, known length, one send
//   large     committed at once and forwarded as it comes: own length where nothing is added, else
//             chunked with extra_fields put before the last brace
//   stream    events (relay_stream.c): committed at the first whole event
//
// That is the native relay: the client's dialect on both sides. Where they differ an answer is
// always gathered whole and translated, an event is translated before anything else looks at it.
//
// Until commit an error is a failure that retries may cure. After it the client has a head: a
// broken stream ends with an error event, a broken body with a reset connection, and never looks
// whole.
//
//                 status 2xx
//                     │
//        event stream?├── no ──► gather ──► whole? ──► commit + settle + one send
//                     │             └─ too large ────► commit, send as it comes, settle before the
//                     last └── yes ─► first event ────────► commit, a send for each pull, settle at
//                     the end
//
// Waiting for the provider is bounded by a budget that only waiting spends: a client that reads
// slowly does not use up the provider's time.
#ifndef RINGGATE_GATEWAY_RELAY_H
#define RINGGATE_GATEWAY_RELAY_H

#include "codec/dialect.h"
#include "gateway/attempt.h"
#include "net/upstream.h"

// An answer up to this size is gathered before the client sees its head.
#define WHOLE_BYTES_MAX (64 * 1024)
// The end of a larger answer that is searched for usage.
#define USAGE_TAIL_BYTES 4096
// After the terminal event, for what a provider still sends (the end of its body); then the
// client's stream ends without it.
#define STREAM_END_MS 1000

// Relays what `u` answered. *budget_ns is what is left of the provider's time.
enum outcome relay_answer_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                int64_t *budget_ns, struct failure *ret_failure);
enum outcome relay_stream_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                int64_t *budget_ns, struct failure *ret_failure);

bool relay_is_events(const struct upstream *u);

// ---- Shared by the two, and by who reads an error's body ----------------------------------------

// body_wait_await and body_pull_await within the budget. ERR_UPSTREAM_TIMEOUT when it is spent.
int relay_wait_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns);
int relay_pull_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns,
                     struct body_part *ret);

// A body brought together in exchange memory.
struct gathered {
    char *ptr;
    size_t len;
    size_t cap;
    bool last;
};
// Copies a part to the end. 0 or ERR_NOMEM.
int gathered_add(struct exchange *x, struct gathered *g, const struct body_part *part);
// Pulls until the body has ended or at least `bytes` are there.
int gathered_fill_await(struct exchange *x, struct fiber *self, struct body *b, int64_t *budget_ns,
                        size_t bytes, struct gathered *g);

// Is the answer's body compressed, although we asked for identity? Then nothing in it is looked at.
bool relay_is_coded(const struct upstream *u);
// Is there no client to tell anything any more?
bool relay_client_left(const struct exchange *x, int err);
// The point of no return: the client gets this answer.
void relay_commit(struct exchange *x, struct upstream *u);
// The head of the answer with the provider's fields. `out` has room for HEADERS_MAX.
void relay_head(struct exchange *x, const struct upstream *u, int64_t content_length,
                struct http_field *out, struct http_answer *ret);
void relay_set_usage(struct exchange *x, const struct dialect_usage *usage);
// Milliseconds since the attempt began.
int64_t relay_latency_ms(const struct exchange *x);

// The usage object in the last bytes of an answer: the last member of that name outside strings.
// Not known when it is not whole in there. Pure.
void relay_usage_of_tail(const struct dialect *dialect, struct slice tail,
                         struct dialect_usage *ret);

#endif
