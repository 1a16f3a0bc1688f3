// SPDX-License-Identifier: Apache-2.0
//
// limits.h: every bound of the network face, its default, and the abuse it stops.
//
// One table; `docs/limits.md` shows it. Values a user may set come in through struct net_options.
#ifndef RINGGATE_NET_LIMITS_H
#define RINGGATE_NET_LIMITS_H

// A table: its values stand in one column.
// clang-format off

// A head that never ends. 431. (config: server.read_buffer_size)
#define LIMIT_HEAD_BYTES        65536
// Thousands of tiny fields, each costing a table entry. 431.
#define LIMIT_HEAD_FIELDS       128
// A body that fills memory. 413. (config: client.max_request_body_size_mb)
#define LIMIT_BODY_BYTES        (100u * 1024 * 1024)
// Many large bodies at once: request bytes held by the process. 503.
#define LIMIT_BODY_IN_FLIGHT    (2048u * 1024 * 1024)
// Each of the two arenas of an exchange: its body, twice while a chunked one grows, and what is
// made of it; its head and what answering needs. 503.
#define LIMIT_EXCHANGE_BYTES    (352u * 1024 * 1024)
// Bodies up to this size are copied once beside their head; larger ones are received in place.
#define LIMIT_SMALL_BODY_BYTES  (16 * 1024)
// Trailers and chunk extensions as a second, unbounded head. 400.
#define LIMIT_TRAILER_BYTES     8192
#define LIMIT_CHUNK_LINE_BYTES  256
// Requests pipelined behind a running one, bytes held; beyond it the socket is not read (what the
// kernel delivers until that takes effect counts against LIMIT_BODY_IN_FLIGHT).
#define LIMIT_PIPELINE_BYTES    65536
// Input behind an answer that closes, or behind a refusal: read and dropped this long and this far,
// so that no reset overtakes the answer and no client keeps us reading.
#define LIMIT_LINGER_MS         2000
#define LIMIT_LINGER_BYTES      (1024 * 1024)
// An unread body of known length is drained to keep the connection if no more than this is missing.
#define LIMIT_DRAIN_BYTES       65536
// A head that trickles in (slowloris): in each window of so long LIMIT_HEAD_RATE bytes a second
// must come, see net/pace.h. 408. (config: server.head_timeout_ms, server.head_min_rate)
#define LIMIT_HEAD_MS           10000
#define LIMIT_HEAD_RATE         500
// A body that trickles in (R.U.D.Y.), the same. 408. (config: server.body_timeout_ms,
// server.body_min_rate)
#define LIMIT_BODY_MS           30000
#define LIMIT_BODY_RATE         500
// A client that never reads, or a byte at a time: in each half window of a send that is stuck it
// must take LIMIT_SEND_RATE bytes a second. Reset. (config: server.send_timeout_ms,
// server.send_min_rate)
#define LIMIT_SEND_MS           60000
#define LIMIT_SEND_RATE         500
// A PROXY header that trickles in, or never begins: a balancer sends it with its first packet.
// Closed. (Its size: proxy_header.h.)
#define LIMIT_PROXY_HEADER_MS   5000
// A TLS handshake that trickles in, or never begins. Closed.
#define LIMIT_HANDSHAKE_MS      10000
// TLS handshakes a core has begun and not finished (some 20 kB each): a flood of half-open ones.
// The newest is closed.
#define LIMIT_HANDSHAKES        4096
// Bytes before a ClientHello is whole: one that never ends, in records of one byte. Alert, closed.
#define LIMIT_HELLO_BYTES       (20 * 1024)
// A keep-alive connection without a request. Closed. (config: server.idle_timeout_ms)
#define LIMIT_IDLE_MS           75000
// Connections a core holds; beyond it accepting pauses.
#define LIMIT_CONNECTIONS       65536
// Clients that are told 503 because there is no room, held beyond it: one in so many. The rest are
// closed without a word.
#define LIMIT_TURNED_AWAY_SHARE 12
// What a 503 of ours asks a client to wait before it comes again, seconds.
#define LIMIT_RETRY_AFTER_S     1
// Requests of HTTP/2 clients a core holds, those whose fiber is ending included. REFUSED_STREAM.
// (What one connection may do stands in h2/limit.h.)
#define LIMIT_H2_EXCHANGES      65536
// What a client may send ahead on a stream whose body is being read: bounds what one receive turn
// brings, and how fast a client far away can be. Not sent on before it is read.
#define LIMIT_H2_BODY_WINDOW    (1024 * 1024)
// An answer head of a provider that never ends. 502.
#define LIMIT_ANSWER_HEAD_BYTES 65536
// Idle provider connections a core keeps per origin, how long, and their greatest age. As many as a
// burst's answers may set free in one turn: a smaller number pays a handshake for each of the rest.
#define LIMIT_UPSTREAM_IDLE     1024
// Beyond so many idle ones the rest are a burst's: they are kept this long only.
#define LIMIT_UPSTREAM_WARM       64
#define LIMIT_UPSTREAM_SURPLUS_MS 4000
#define LIMIT_UPSTREAM_IDLE_MS  30000
#define LIMIT_UPSTREAM_AGE_MS   300000
// Connections to providers a core holds. 503.
#define LIMIT_UPSTREAM_CONNECTIONS 65536
// Exchanges waiting for a connection of one origin at its conns_max, on one core. 503.
#define LIMIT_UPSTREAM_WAITERS  8192
// Pages (16 kB) a core holds for TLS records and for bytes slow clients have not taken. 503.
#define LIMIT_UPSTREAM_PAGES    16384
// Calls to providers over HTTP/2 a core has at once. 503. (What a provider may do stands in
// h2/limit.h.)
#define LIMIT_UPSTREAM_CALLS    65536
// A connection of many calls on which one is given up while it has been silent for QUIET: it is
// asked whether it is there, and closed when nothing has come this long after.
#define LIMIT_UPSTREAM_QUIET_MS 500
#define LIMIT_UPSTREAM_PROBE_MS 5000
// A provider whose answer's body has begun and who takes nothing more of the request. The rest is
// not sent, the answer is relayed, the connection not used again.
#define LIMIT_UPSTREAM_STALL_MS 1000
// TCP and TLS set-up towards a provider. 504.
#define LIMIT_CONNECT_MS        10000

// clang-format on

#endif
