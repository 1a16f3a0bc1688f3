// SPDX-License-Identifier: Apache-2.0
//
// gateway.h: one core's share of the gateway, and the process that the cores make up.
//
// A `struct gateway_core` embeds the network core's server callbacks, holds the current snapshot,
// the core's metrics and log. `struct gateway` is the process: cores, routes, limiters, start time.
// There is no global: a stream leads to its core, a core to its gateway.
#ifndef RINGGATE_GATEWAY_GATEWAY_H
#define RINGGATE_GATEWAY_GATEWAY_H

#include "base/log.h"
#include "gateway/config.h"
#include "gateway/credential.h"
#include "gateway/metrics.h"
#include "gateway/pricing_sync.h"
#include "gateway/route.h"
#include "net/core.h"

struct catalog;
struct estimates;
struct limiters;
struct record_link;
struct sessions;
struct store;
struct store_ring;
struct work_pool;

struct handover_area;

struct gateway {
    struct net_shared net;
    struct gateway_core *core[CORES_MAX];
    unsigned cores;
    struct route_table routes;
    struct limiters *limiters;
    struct ledger_place ledger; // its ledger is NULL as long as nothing is limited
    struct catalog *catalog;    // what models cost; core 0's, once cores run
    struct pricing_sync prices;
    struct estimates *estimates; // NULL: no model is known to have answered
    struct sessions *sessions;   // NULL: none are known
    struct work_pool *work; // for what would hold a loop too long; NULL: done on it all the same
    const char *version;    // RINGGATE_VERSION
    struct store *store;    // NULL: no records are kept
    struct wall started;
    _Atomic bool draining;            // /health answers 503
    const struct handover_area *area; // what several processes count together; NULL: nothing
};

// Random bytes fetched at once, so that an identifier costs a sixteenth of a system call.
#define GATEWAY_RANDOM_BYTES 256

struct gateway_core {
    struct gateway *gateway;
    unsigned index;
    struct net_core net;
    struct net_server server; // container_of leads back here
    struct config *config;    // current snapshot
    struct metrics metrics;
    struct store_ring *records; // NULL: none are kept
    size_t kept_bytes;          // for them, by exchanges that last (kept.h)
    struct record_link *live;   // the open ones (record.h)
    uint64_t records_begun;
    int64_t refusals_second; // of the process's clock: when so many
    unsigned refusals;       // targets were refused
    struct credentials credentials;
    struct log log;
    struct ring_hook log_hook; // writes the log's filled half at the end of a turn
    struct ring_op log_write;
    struct slice log_left; // of the half being written
    unsigned char random[GATEWAY_RANDOM_BYTES];
    unsigned random_left;
};

static inline struct gateway_core *gateway_core_of(struct http_stream *s)
{
    return container_of(s->core, struct gateway_core, net);
}

// The server callbacks of every core: a fiber is spawned on exchange_fiber, counted for hand-over
// (net_load_begin and _end stand around it), or the request is refused with 503.
void gateway_on_request(struct net_server *server, struct http_stream *s);
struct slice gateway_refusal(struct net_server *server, int err);

struct exchange;

// What exchange_fiber calls once `stream`, `core`, `config`, `request_id` and `started` of the
// exchange are set: finds the route, sets x->route (NULL stays for an unknown path) and answers
// OPTIONS (200, or 403 for a foreign origin), 404 and 405 itself; everything else is the route's
// serve_await. Settled at its return, or the client is gone.
void gateway_serve_await(struct exchange *x, struct fiber *self);

// The client's x-request-id when it is short printable ASCII, else a new UUID v4. Lies in the
// stream's arena or head; empty only without memory.
struct slice gateway_request_id(struct http_stream *s);

// Cross-origin fields for this request's answer: none without an Origin or for one that is not
// allowed. Every answer carries them, so whoever writes an answer head appends them. `out` has room
// for GATEWAY_CORS_FIELDS; returns how many were written. Values lie in the arena or are static.
#define GATEWAY_CORS_FIELDS 6
unsigned gateway_cors_fields(struct exchange *x, struct http_field *out);

// May a page of this origin read answers? *ret_by_star: only because an entry is a bare `*`.
bool gateway_origin_allowed(const struct config *c, struct slice origin, bool *ret_by_star);

// One line for a finished exchange (method, path, status, duration, peer, agent, id), at info, from
// 400 at warn, from 500 at error; none for /health. The query is left out: it may hold secrets.
// exchange_fiber calls it before http_end.
void gateway_access_log(const struct exchange *x);

#endif
