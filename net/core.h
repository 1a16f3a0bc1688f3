// SPDX-License-Identifier: Apache-2.0
//
// core.h: what one loop thread owns of the network, and how requests come in.
//
// A core is a ring, its fibers, its memory and its connections. Nothing here is shared but the
// `struct net_shared` that all cores point at: the load table (hand-over of accepted connections)
// and the process-wide count of request bytes in flight.
//
// An accepted connection stays on its core unless that core's load is well above the mean (more
// than HANDOVER_FACTOR_PERCENT of it, see listen.c); then its descriptor is mailed to the core with
// the least: a load balancer's few pooled connections must not load one core.
#ifndef RINGGATE_NET_CORE_H
#define RINGGATE_NET_CORE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/prng.h"
#include "base/stats.h"
#include "h2/limit.h"
#include "net/admit.h"
#include "net/http.h"
#include "net/proxy_header.h"
#include "ring/fiber.h"
#include "ring/ring.h"
#include <stdatomic.h>

#define CORES_MAX 256

struct dns;
struct net_core;
struct net_sockets;
struct page;
struct tls_context;
struct tls_ticket_key;
struct tls_tickets;
struct upstream_core;

// One cache line a core.
struct net_load {
    _Atomic uint32_t live; // exchanges and open connections, weighed (exchanges count 16)
    char pad[60];
};

struct net_shared {
    unsigned cores;
    struct net_core *_Atomic core[CORES_MAX]; // set by each core's init
    struct net_load load[CORES_MAX];
    _Atomic uint64_t body_bytes; // request bytes in flight
    struct admit_table addresses;
};

struct net_options {
    // TLS on the sockets of NET_ROLE_MAIN; NULL: plain. All are borrowed for net_core_init; no key:
    // one of its own; the one before it may be NULL.
    struct tls_context *tls;
    const struct tls_ticket_key *ticket_key, *ticket_key_before;
    // Of the sockets of NET_ROLE_MAIN; NULL: no PROXY header.
    const struct proxy_senders *senders;
    unsigned handshake_ms, proxy_header_ms;
    unsigned head_bytes_max;
    unsigned idle_ms, head_ms, body_ms, send_ms; // 0: the defaults of limits.h
    unsigned head_rate, body_rate, send_rate;    // bytes a second; 0: the same
    unsigned connections_max;                    // of the process; 0: what descriptors allow
    unsigned per_address_max;                    // of a client's address; 0: no bound
    uint64_t memory_max;                         // of a core, see admit.h; 0: no bound
};

// Who answers requests; embedded by the gateway's core. Called on the loop, never parks.
struct net_server {
    // A head is complete. The callee spawns a fiber (sets s->fiber) or calls http_refuse.
    void (*on_request)(struct net_server *server, struct http_stream *s);
    // The JSON body for an error found before a route was known (400, 408, 431, 405, …). Static.
    struct slice (*refusal)(struct net_server *server, int err);
};

// Why a TLS handshake with a client came to nothing. X(name, label of its metric)
#define TLS_FAILURE_MAP(X)                                                                         \
    X(CLOSED, "closed")                                                                            \
    X(TIMEOUT, "timeout")                                                                          \
    X(PLAIN, "plain_http")                                                                         \
    X(OVERLOAD, "overload")                                                                        \
    X(HELLO, "client_hello")                                                                       \
    X(CLIENT_CERT, "client_certificate")                                                           \
    X(PROTOCOL, "protocol")

enum tls_failure {
#define X(name, label) TLS_FAILURE_##name,
    TLS_FAILURE_MAP(X)
#undef X
        TLS_FAILURE_COUNT
};

// Why a connection came to nothing that should have begun with a PROXY header.
#define PROXY_FAILURE_MAP(X)                                                                       \
    X(MALFORMED, "malformed")                                                                      \
    X(STRANGER, "untrusted")                                                                       \
    X(TIMEOUT, "timeout")                                                                          \
    X(CLOSED, "closed")

enum proxy_failure {
#define X(name, label) PROXY_FAILURE_##name,
    PROXY_FAILURE_MAP(X)
#undef X
        PROXY_FAILURE_COUNT
};

// Why a client was let down that had broken no rule. X(name, label of its metric)
#define NET_SHED_MAP(X)                                                                            \
    X(SLOW_HEAD, "slow_head")                                                                      \
    X(SLOW_BODY, "slow_body")                                                                      \
    X(SLOW_READ, "slow_read")                                                                      \
    X(DESCRIPTORS, "descriptors")                                                                  \
    X(CONNECTIONS, "connections")                                                                  \
    X(ADDRESS, "address")                                                                          \
    X(MEMORY, "memory")                                                                            \
    X(REQUESTS, "requests")

enum net_shed {
#define X(name, label) NET_SHED_##name,
    NET_SHED_MAP(X)
#undef X
        NET_SHED_COUNT
};

struct net_stats {
    struct counter accepted, handed_over, closed, requests, bad_requests, timeouts;
    struct counter upstream_connects, upstream_reuses, upstream_retries, upstream_handshakes,
        upstream_resumptions;
    struct counter upstream_h2_connections; // to providers, that speak HTTP/2
    struct counter upstream_h2_refused;     // streams that providers never looked at
    struct counter upstream_h2_goaways;     // connections that providers ended
    struct h2_counts upstream_h2;
    struct counter h2_connections;                  // that began with the HTTP/2 preface
    struct counter h2_taken_back;                   // requests that never began
    struct h2_counts h2;                            // streams, and every bound of h2/limit.h
    struct counter tls_handshakes, tls_resumptions; // with clients, resumed ones in both
    struct counter tls_failures[TLS_FAILURE_COUNT];
    struct counter proxy_failures[PROXY_FAILURE_COUNT];
    struct counter shed[NET_SHED_COUNT];
    struct counter loop_turn_ns_max;
    _Atomic uint64_t connections; // open now
};

// A descriptor on its way to another core. Lies in the sender; free again when the receiver has
// taken the descriptor out.
struct net_handover {
    struct ring_mail mail;
    struct net_core *to;
    int fd;
    bool secure;
    _Atomic bool busy;
};

#define NET_HANDOVERS 64

// A socket that accepts.
struct net_acceptor {
    struct ring_op op;
    struct net_core *core;
    int fd;      // -1: closed
    bool secure; // its connections are TLS
};

// What listen.c keeps on a core; private to it.
struct net_listener {
    struct net_acceptor *acceptor; // of this core's sockets
    unsigned sockets;
    bool paused; // no accept is armed until the timer or a freed connection
    struct ring_timer pause;
    uint64_t clients_max; // of the process: its descriptors less a share for providers
    struct net_handover handover[NET_HANDOVERS];
};

// What h1_tls.c keeps on a core; private to it.
struct net_tls {
    struct tls_context *context; // of handshakes that begin now; NULL: there is no TLS
    struct tls_tickets *tickets;
    struct page *plain;   // one record, opened
    unsigned shaking;     // handshakes in progress
    unsigned hellos_left; // in this turn
    struct list waiting;  // tasks of connections whose ClientHello waits for a turn
    struct ring_task task;
    struct ring_hook hook;
};

// What h2_begin.c keeps on a core; private to it.
struct net_h2_begin {
    struct list waiting; // connections with requests that have not begun
    unsigned left;       // that may begin in this turn
    struct ring_task task;
    struct ring_hook hook;
};

struct net_core {
    unsigned index;
    struct net_shared *shared;
    struct ring *ring;
    struct fiber_sched *fibers;
    struct block_pool blocks;
    struct ring_bufs *client_bufs;   // receives from clients
    struct ring_bufs *upstream_bufs; // receives from providers
    struct pool conns;               // connections of clients
    struct pool h2_conns;            // what those have more that speak HTTP/2
    struct pool h2_exchanges;        // their requests
    struct list h2_open;             // those that have not been told to go
    struct ring_timer h2_drain_timer;
    struct net_h2_begin h2_begin;
    struct pool upstreams; // connections to providers
    struct map origins;    // key of origin → struct origin_pool
    struct dns *dns;
    struct upstream_core *upstream; // the rest of the half that faces providers
    struct log *log;
    struct prng prng;
    struct net_server *server;
    struct net_options options;
    struct net_stats stats;
    uint64_t body_bytes;     // this core's part of shared->body_bytes
    struct list connections; // all client connections
    struct net_listener listener;
    struct net_tls tls;
    struct proxy_senders senders; // of connections to the main port that come now
    bool leaving;                 // answers say that they are the last
    bool draining;                // and nothing is accepted any more
    struct ring_timer trim_timer; // see trim.c
    unsigned trim_step;           // the keeper whose turn it is
    char date[40];                // "Date: …\r\n" of this second
    int64_t date_second;
};

// On the core's own thread, ring and fibers already made. 0, ERR_NOMEM, ERR_SYSTEM.
int net_core_init(struct net_core *c, unsigned index, struct net_shared *shared, struct ring *ring,
                  struct fiber_sched *fibers, struct log *log, struct net_server *server,
                  const struct net_options *options);
void net_core_done(struct net_core *c); // no connection, no upstream left; half-built is fine

// Accepts from now on on this core's share of the sockets, which are closed when it stops. The same
// set on every core of the process. 0 or ERR_NOMEM.
int net_listen(struct net_core *c, const struct net_sockets *sockets);
// Asks the kernel anew who waits in the sockets' queues: another process, which shared them, has
// stopped accepting.
void net_listen_anew(struct net_core *c);
// Draining has come so far that none of this core's sockets is open.
bool net_listen_over(const struct net_core *c);
// Of a core that listens with TLS: what handshakes use from now on. Connections keep theirs.
void net_tls_use(struct net_core *c, struct tls_context *context); // takes a reference of its own
// Who must begin with a PROXY header, from now on. Copies. Connections stay what they are.
void net_senders_use(struct net_core *c, const struct proxy_senders *senders);
void net_tls_rotate(struct net_core *c, const struct tls_ticket_key *key); // see tls_ticket.h
// On the way down, each step once or often. Leaving: answers from now on say Connection: close
// (over HTTP/2 GOAWAY comes with them), all else goes on. Draining: nothing is accepted any more
// either; what runs finishes, and a connection without a request waits for one, to be told.
// net_idle says when none is left. Abort: idle ones are closed, what runs is reset.
void net_leave(struct net_core *c);
void net_drain(struct net_core *c);
bool net_idle(const struct net_core *c);
void net_abort(struct net_core *c);

// Answers without a fiber and closes: for refusals when no fiber can be had.
void http_refuse(struct http_stream *s, int err);

// The gateway's exchange begins and ends: what hand-over weighs.
void net_load_begin(struct net_core *c);
void net_load_end(struct net_core *c);

#endif
