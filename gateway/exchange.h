// SPDX-License-Identifier: Apache-2.0
//
// exchange.h: the life of one request.
//
// An exchange is a fiber over one client stream. It reads straight down:
//
//   read body → scan → route (provider, model, key) → for each target: for each attempt: enter the
//   provider's queue → call → relay → settle → record
//
//   ┌─────────┐ body, scan ┌────────┐ target chosen ┌────────┐ first whole event ┌───────────┐
//   │ READING │ ─────────► │ ROUTED │ ────────────► │ TRYING │ ────────────────► │ COMMITTED │
//   └─────────┘            └────────┘               └────────┘  or whole body    └───────────┘
//        │ bad input           │ no target            │   ▲ │                          │
//        │                     │         retry, next  └───┘ │ all failed               │ relayed
//        │                     │         key, fallback      ▼                          ▼
//        └─────────────────────┴──────────────────────► ┌────────┐               ┌─────────┐
//                                                       │ FAILED │ ────────────► │ SETTLED │ ► ends
//                                                       └────────┘  error sent   └─────────┘
//
//   READING    nothing has gone upstream; the exchange owns the request's bytes
//   ROUTED     provider, model and operation are known; the snapshot is pinned
//   TRYING     an attempt is or may be upstream; the client has seen no byte of an answer, so
//              retry and fallback are possible
//   COMMITTED  the first whole upstream event or body is ready: the client gets a head now; from
//              here errors are events, no retry happens, the request's bytes have been given back
//   FAILED     the client gets one plain HTTP error, the primary's
//   SETTLED    outcome, usage and latencies are counted, exactly once, before the last byte of the
//              answer is submitted; settling never awaits
//
// An answer of our own (/health, a list of models) goes READING or ROUTED → COMMITTED → SETTLED.
//
// A client that leaves cancels the fiber in any state: the upstream connection is closed at once,
// the exchange settles with 499 and ends.
//
// Ownership: the stream's arena holds what lives as long as the exchange. Its `early` arena holds
// the request's body, its scan and the attempts' requests, and is given back at commit: a stream
// of events that waits for its provider owns one block.
#ifndef RINGGATE_GATEWAY_EXCHANGE_H
#define RINGGATE_GATEWAY_EXCHANGE_H

#include "base/clock.h"
#include "codec/json_scan.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/record.h"
#include "gateway/route.h"
#include "net/http.h"

// Fallbacks a request may name; stops one request from becoming hundreds.
#define FALLBACKS_MAX 16
// Keys tried or excluded in one target.
#define KEYS_TRIED_MAX 64

enum exchange_state {
    EXCHANGE_READING,
    EXCHANGE_ROUTED,
    EXCHANGE_TRYING,
    EXCHANGE_COMMITTED,
    EXCHANGE_FAILED,
    EXCHANGE_SETTLED,
    EXCHANGE_STATE_COUNT
};

// A provider and a model to ask for; the primary or a fallback.
struct target {
    const struct config_provider *provider;
    struct slice model; // without the provider's prefix, before aliases
};

// What a client or provider said that a client is to be told. Texts lie in the arena or are static.
struct failure {
    int err;           // enum err; 0 when the provider answered with an error status
    unsigned status;   // HTTP status for the client
    bool from_gateway; // is_bifrost_error
    bool foreign;      // said in another dialect than the client's: `raw` does not pass
    struct slice type, code, message, param;
    struct slice raw; // the provider's body, when it was JSON (drop-in routes pass it on)
    struct slice content_type;
    const struct http_head *head; // the provider's, for its headers; may be NULL
    int64_t retry_after_ms;       // -1: not given
};

struct usage {
    bool known; // all of it: what a stream told before it broke off is not
    uint64_t input_tokens, output_tokens, total_tokens;
    uint64_t cached_read_tokens, cached_write_tokens;
    uint64_t cached_write_1h_tokens, input_audio_tokens, output_audio_tokens, searches;
    enum price_tier tier; // of the service
    double dollars;       // that the provider says it costs; 0: nothing
};

// What an exchange cost, once it is settled (admission.h).
struct charge {
    bool estimated;  // no usage came: what was reserved stands
    bool cost_known; // there is a price, or the provider said it
    int64_t cost;    // 10⁻¹² dollars
};

struct admission;
struct decoder;
struct dialect;
struct translated;
struct translation;
struct upstream_series;

struct exchange {
    struct http_stream *stream;
    struct gateway_core *core;
    struct config *config;
    const struct route *route; // NULL: no such path
    struct slice route_part;   // of the path: what stands for the route's `{id}`, as written
    enum exchange_state state;
    struct slice request_id;               // x-request-id, or a UUID
    const struct virtual_key *virtual_key; // NULL: nobody's
    struct forwarded from;                 // the client, past trusted proxies

    // READING
    const struct dialect *dialect; // of the route's operation
    struct slice body;
    struct json_scanner *scan; // of the body; gone with it at commit
    bool stream_wanted;
    bool usage_wanted;            // stream_options.include_usage was true
    struct slice model_requested; // as the client wrote it, unescaped

    // ROUTED, TRYING
    struct target target[1 + FALLBACKS_MAX];
    unsigned target_count;
    unsigned target_index; // 0: the primary
    unsigned attempt;      // of this target, 0-based
    const struct config_key *key;
    // What stands in for the key's value in this attempt: an Entra token or the caller's own OAuth
    // bearer, as `authorization` carries it. Empty: the key's.
    struct slice credential;
    struct slice model_sent;    // alias resolved
    enum operation upstream_op; // the provider's endpoint (plan.h), and what is spoken there
    const struct dialect *upstream_dialect;
    // When that is not what the client speaks (translate.h); else NULL. The first goes at commit.
    struct translation *translation;
    struct translated *translated;
    // When client.compat dropped something of the request: all that was dropped of it, as
    // `"top_p","seed"` and `top_p, seed`.
    struct slice shed, shed_list;
    struct json_scanner *edit_scan; // with the members a provider's edits need, or NULL
    const struct config_provider *edit_scan_of;

    struct admission *admission; // of the current target (admission.h)
    bool sent;                   // its provider was asked, and has not refused
    unsigned raw;                // bits of enum raw: what of it the client is shown (raw.h)
    struct slice raw_request;    // kept for that

    struct body *answer; // of the attempt that is being relayed: the provider's, or its decoder's
    struct decoder *decoder; // or NULL

    struct record record; // of the current target

    // the outcome
    struct failure failure; // of the primary, when all failed
    struct usage usage;
    struct charge charge;
    unsigned status;       // what the client got
    uint64_t answer_bytes; // of the body sent to it
    struct mono started, upstream_started, first_event;
    uint64_t chunks;  // events relayed
    unsigned retries; // in all
    bool broken;      // the answer ended with a failure after it had been committed

    // metrics.c: the series of the current target and key, found once
    struct upstream_series *series;
    const struct config_key *series_key;
    unsigned series_target;
};

// The fiber of every request: pins the snapshot, serves the route, ends the stream.
void exchange_fiber(struct fiber *self, void *stream);
// Sets the state; asserts the legal predecessor.
void exchange_set_state(struct exchange *x, enum exchange_state to);

// The one way to count an outcome; exactly once. Never parks.
void exchange_settle(struct exchange *x);

// Walks a scan that has begun to its end; the loop runs after each JSON_SCAN_TURN_BYTES. Returns
// what json_scan_step returns, or an interruption.
int exchange_scan_await(struct exchange *x, struct fiber *self, struct json_scanner *scan);
// Reads the body, checks it and fills the exchange's READING members. 0; or an error with *ret
// filled, unless the client has left (ERR_CLIENT_GONE, ERR_CANCELLED).
int exchange_read_await(struct exchange *x, struct fiber *self, struct failure *ret);

// Serve functions of the inference routes.
void serve_inference_await(struct exchange *x, struct fiber *self);
void serve_models_await(struct exchange *x, struct fiber *self);
// 200 without a body: SDKs ask whether there is anybody.
void serve_probe_await(struct exchange *x, struct fiber *self);

#endif
