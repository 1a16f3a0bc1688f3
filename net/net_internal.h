// SPDX-License-Identifier: Apache-2.0
//
// net_internal.h: what the files of this folder share, above all a client's HTTP/1 connection.
//
//     h1_conn.c     its states, receives, timers, end
//     h1_request.c  heads become streams; bodies are stored
//     h1_answer.c   answers and refusals are written
//     h1_upgrade.c  bytes of a client that speaks something else now
//     h2_conn.c     what is there more when HTTP/2 is spoken (h2_internal.h)
//     h1_tls.c      handshake and records, where there is TLS
//     h1_proxy.c    the header of a load balancer, where one is wanted
//     core.c        a core's memory, drain
//     trim.c        gives back what of it stands unused
//     listen.c      sockets that accept, hand-over
//
// States of a connection (h1_conn.c has the one setter; every arrow names its function):
//
//              first bytes           head parsed: begin_request
//   ┌──────┐ ─────────────► ┌──────┐ ─────────────────────────► ┌───────┐
//   │ IDLE │                │ HEAD │                            │ SERVE │ ──┐ http_end, keep-alive,
//   └──────┘ ◄──┐           └──────┘                            └───────┘   │ body not all here
//      │        │ http_end,    │ malformed, too slow    http_refuse │  │    ▼
//      │        │ keep-alive   ▼                                    │  │  ┌───────┐
//      │        │           ┌────────┐ ◄────────────────────────────┘  │  │ DRAIN │ ─► IDLE
//      │        └────────── │ REFUSE │      http_end, no keep-alive,   │  └───────┘
//      │          (SERVE)   └────────┘      input may still come       │      │ too slow, FIN
//      │                        │ sent                                 │      │
//      │                        ▼                                      │      │
//      │                    ┌────────┐ ◄───────────────────────────────┤      │
//      │                    │ LINGER │                                 │      │
//      │                    └────────┘                                 │ half-sent, gone, or
//      │ FIN, idle too long     │ FIN, 2 s, bytes                      │ nothing left to read
//      ▼                        ▼                                      ▼      ▼
//   ┌─────────────────────────────────────────────────────────────────────────────┐
//   │ CLOSING: both operations are being cancelled; their final events are awaited │ ─► CLOSED
//   └─────────────────────────────────────────────────────────────────────────────┘
//
//   PROXY      (of balancers only, in front of all; drawn in h1_proxy.c) to HANDSHAKE, IDLE,
//   CLOSING HANDSHAKE  (TLS only, in front of IDLE; drawn in h1_tls.c) to IDLE, REFUSE, LINGER,
//   CLOSING
//
//   IDLE    no buffer, no arena block, no fiber; a multishot receive is armed
//   HEAD    part of a head lies in `held`; the head's deadline runs
//   SERVE   the stream is the server's; only http_end or http_refuse leave this state
//   H2      (from HEAD, by the client preface) an h2_conn has the socket; to LINGER or CLOSING
//   DRAIN   the answer is out; what is left of the request's body is dropped, bounded
//   REFUSE  a refusal is being sent by the loop; input is dropped
//   LINGER  our side is shut; input is dropped so that no reset overtakes the answer
//   CLOSING nothing is submitted any more
//   CLOSED  freed by the task that ends the turn
#ifndef RINGGATE_NET_NET_INTERNAL_H
#define RINGGATE_NET_NET_INTERNAL_H

#include "base/buf.h"
#include "net/core.h"
#include "net/h1.h"
#include "net/limits.h"
#include "net/pace.h"

// ---- Names and characters (http.c) -----------------------------------------------------------

// RFC 9110 tchar in lower case; 0 for every other byte.
extern const uint8_t http__token_lower[256];

// On every answer, refusals and relayed ones too: what a provider or a client wrote into a JSON
// text is nothing for a browser to take for a page.
#define HTTP__SNIFF_NAME  SLICE("x-content-type-options")
#define HTTP__SNIFF_VALUE SLICE("nosniff")

// In an answer: framing, hop-by-hop fields (RFC 9110 7.6.1, RFC 9113 8.2.2) and what else is net's
// to write; and what would break a head, which is nobody's.
bool http__is_nets(const struct http_field *f);
bool http__is_token(struct slice s); // not empty, tchar only
bool http__is_value(struct slice s); // no control byte but tab
// In lower case; where it lies when it is so already. A token's. ptr NULL: no memory.
struct slice http__lower_name(struct arena *arena, struct slice name);
// HTTP_METHOD_COUNT when it is none of ours.
enum http_method http__method_find(struct slice name);
void http__forget_body(struct http_stream *s); // it is no longer in flight; `early` has been freed

// ---- A client's connection -------------------------------------------------------------------

enum conn_state {
    CONN_PROXY,
    CONN_HANDSHAKE,
    CONN_IDLE,
    CONN_HEAD,
    CONN_SERVE,
    CONN_H2,
    CONN_DRAIN,
    CONN_REFUSE,
    CONN_LINGER,
    CONN_CLOSING,
    CONN_CLOSED,
    CONN_STATE_COUNT,
};

// From here on a body is received in place: below it, cancelling and re-arming the multishot
// receive costs more than the copy.
#define RECEIVE_INTO_MIN (32 * 1024)
// What one receive in place may copy: a socket can hold megabytes, and a turn has 1 ms.
#define RECEIVE_INTO_MAX (512 * 1024)

// Which receive is armed, or should be.
enum conn_receive {
    RECEIVE_NONE,
    RECEIVE_MULTI, // multishot into the core's client_bufs
    RECEIVE_ONE,   // one receive into them: the last request was large, so the next may be
    RECEIVE_INTO,  // one receive straight into the body
};

enum conn_answer { ANSWER_NONE, ANSWER_OPEN, ANSWER_COMPLETE };

// How the answer under way is framed.
enum conn_answer_framing {
    ANSWER_NO_BODY, // HEAD, 204, 304
    ANSWER_LENGTH,
    ANSWER_CHUNKED,
    ANSWER_UNTIL_CLOSE, // HTTP/1.0
};

struct h2_conn;

struct h1_conn {
    struct http_stream stream;
    struct list link; // in core->connections
    struct ring_op recv;
    struct ring_op send;
    struct ring_timer timer; // fires at or before `deadline`, then aims again
    struct mono deadline;    // of the current state; MONO_NEVER
    struct ring_bufs_waiter starved;
    struct ring_task task;  // next input, or the end of the connection; HANDSHAKE: see h1_tls.c
    struct ring_loan loan;  // the next request's bytes, until this turn's tasks
    struct buf held;        // bytes nobody could take yet
    size_t held_at;         // taken from its front
    size_t held_counted;    // its part of shared->body_bytes
    size_t scan;            // h1_head_end's resume
    struct h1_body framing; // of the request
    char *body;             // where the request body goes; NULL: not yet known
    size_t body_len;
    size_t body_cap;
    size_t body_max;      // chunked: what the reader allows
    struct fiber *reader; // in read_body_await
    struct fiber_wait sent;
    int64_t answer_left; // of ANSWER_LENGTH
    struct h2_conn *h2;  // in H2, and from there until the end
    struct tls *tls;     // NULL: plain, or nothing has come yet
    int fd;
    int body_err;     // why the body cannot be read; sticky
    uint32_t dropped; // bytes read and dropped in REFUSE and LINGER; before: of the ClientHello
    struct admit_slots address; // where its client's address is counted
    struct pace pace;           // of the head, body or send that `deadline` is for
    uint8_t state;
    uint8_t armed;
    uint8_t answer;
    uint8_t answer_framing;
    uint8_t tls_failure; // enum tls_failure, should the handshake end now
    bool secure;         // TLS
    bool answer_last;    // the send in flight completes the answer
    bool keep;           // another request may follow
    bool turned_away;    // there is no room for it: 503
    bool spoken;         // a head has been read: the client preface can come no more
    bool direct;         // the body is received in place
    bool large;          // this connection sends large bodies
    bool fin;            // the client will send nothing more
    bool torn;           // a send failed half-way: nothing may follow it
    bool body_large;     // `body` came from arena_large
    bool upgraded;       // its bytes are the server's, both ways (h1_upgrade.c)
};

// Takes the descriptor. ERR_NOMEM, ERR_LIMIT: its address has too many (then the caller still owns
// it).
int h1_conn__open(struct net_core *core, int fd, bool secure);
// The same, but its request is answered with 503, and it is gone within LIMIT_LINGER_MS (twice that
// when it has to shake hands first).
int h1_conn__turn_away(struct net_core *core, int fd, bool secure);
// Ends an idle connection; a busy one ends with its answer, which says so if it has not begun.
void h1_conn__drain(struct h1_conn *c);
// The core drains: whoever reads an upgraded connection looks at it.
void h1_conn__tell_drain(struct h1_conn *c);
// Resets it; a running exchange is cancelled and its http_end closes.
void h1_conn__abort(struct h1_conn *c);

// For the files of the connection.
void h1_conn__set_state(struct h1_conn *c, enum conn_state next);
void h1_conn__close(struct h1_conn *c, bool reset);
void h1_conn__closed_send(struct h1_conn *c); // in CLOSING, the send or the last exchange has ended
void h1_conn__linger(struct h1_conn *c);
void h1_conn__next(struct h1_conn *c);  // IDLE, or the bytes already here
void h1_conn__serve(struct h1_conn *c); // it is a client's: HANDSHAKE or IDLE
// Counts it under its address. ERR_LIMIT: not even a refusal can be afforded.
int h1_conn__enter(struct h1_conn *c);
void h1_conn__aim(struct h1_conn *c);         // arms the receive the state wants
void h1_conn__receive_now(struct h1_conn *c); // a large body's bytes that are here already
void h1_conn__feed_held(struct h1_conn *c);   // offers what is held
void h1_conn__deadline(struct h1_conn *c, unsigned ms);
void h1_conn__gone(struct h1_conn *c);                   // the client left while served
void h1_conn__fin(struct h1_conn *c);                    // the client will send nothing more
void h1_conn__offer(struct h1_conn *c, struct slice in); // bytes for the state, in order
void h1_conn__hold(struct h1_conn *c, struct slice in);  // behind what is held
struct buf h1_conn__take_held(struct h1_conn *c);        // all of it; the caller frees it
void h1_conn__drop(struct h1_conn *c, struct slice *in); // counted against LIMIT_LINGER_BYTES

static inline void net__count_shed(struct net_core *core, enum net_shed why)
{
    counter_add(&core->stats.shed[why], 1);
}

// How many beyond `max` are told so.
static inline uint64_t net__turned_away_max(uint64_t max)
{
    return max < LIMIT_TURNED_AWAY_SHARE ? 1 : max / LIMIT_TURNED_AWAY_SHARE;
}

// The core holds all that it may: the newest request goes.
static inline bool net__sheds_request(struct net_core *core)
{
    if (!admit_is_full(core))
        return false;
    net__count_shed(core, NET_SHED_MEMORY);
    return true;
}

static inline size_t h1_conn__held(const struct h1_conn *c)
{
    return c->held.len - c->held_at;
}

// A head from the front of *in: IDLE or HEAD → SERVE or REFUSE. False when more bytes are needed.
bool h1_request__take_head(struct h1_conn *c, struct slice *in);
// Body bytes from the front of *in, into the body (SERVE) or nowhere (DRAIN).
void h1_request__take_body(struct h1_conn *c, struct slice *in);
void h1_request__discard(struct h1_conn *c, struct slice *in);
// `n` bytes have been received at the end of the body.
void h1_request__received(struct h1_conn *c, size_t n);
void h1_request__fail(struct h1_conn *c, int err);
// Ready for the next request; gives the exchange's memory back.
void h1_request__reset(struct h1_conn *c);
// Of a request in either version: nobody relays its body, it is read whole.
extern const struct body_ops h1_request__body_ops;
int h1_request__read_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                           struct slice *ret_body);
void h1_request__drop(struct http_stream *s);

// The answer of a connection the request of which cannot be served. Loop-driven; then LINGER.
void h1_answer__refuse(struct h1_conn *c, int err);
int h1_answer__continue_await(struct h1_conn *c, struct fiber *self); // 100 Continue
int h1_answer__begin_await(struct http_stream *s, struct fiber *self,
                           const struct http_answer *answer, const struct slice *spans,
                           unsigned count, bool last);
// The head of a 101; what is written behind it has no framing.
int h1_answer__upgrade_await(struct h1_conn *c, struct fiber *self, struct slice head);
int h1_answer__write_await(struct http_stream *s, struct fiber *self, const struct slice *spans,
                           unsigned count, bool last);

// ---- h1_upgrade.c ----------------------------------------------------------------------------

int h1_upgrade__await(struct http_stream *s, struct fiber *self, struct slice head);
// A send that is in flight ends, and nothing follows it.
void h1_upgrade__tear(struct http_stream *s);

// The state H2. Begins it: HEAD → H2, or closed for want of memory (false).
bool h2_conn__begin(struct h1_conn *c);
void h2_conn__take(struct h1_conn *c, struct slice *in); // all of it
void h2_conn__fin(struct h1_conn *c);
void h2_conn__on_deadline(struct h1_conn *c);
// The socket is closing: exchanges are cancelled. It may be freed when none is left.
void h2_conn__lost(struct h1_conn *c);
bool h2_conn__is_empty(const struct h1_conn *c);
void h2_conn__free(struct h1_conn *c); // without h2: nothing
// PROXY begins: waits for the header, or closes what comes from elsewhere.
void h1_proxy__begin(struct h1_conn *c);
void h1_proxy__take(struct h1_conn *c, struct slice in);           // bytes, in PROXY
void h1_proxy__abandon(struct h1_conn *c, enum proxy_failure why); // PROXY → closed, counted
// Bytes as they came from the socket of a `secure` connection, in any state.
void h1_tls__take(struct h1_conn *c, struct slice in);
// Sends the session's output from the loop; then REFUSE lingers, HANDSHAKE goes on. True: a send is
// in flight.
bool h1_tls__flush(struct h1_conn *c);
void h1_tls__notify(struct h1_conn *c);  // close_notify, if none has left and the socket takes it
void h1_tls__abandon(struct h1_conn *c); // HANDSHAKE ends without success: counted

// ---- Cores -----------------------------------------------------------------------------------

void net__load_add(struct net_core *c, int weight);
// Something will be free before long: gives back what then stands unused.
void net__trim_soon(struct net_core *c);
// "Date: …\r\n" of this second.
struct slice net__date(struct net_core *c);
void net__listen_stop(struct net_core *c); // stops accepting, closes the sockets
bool net__listen_idle(const struct net_core *c);
void net__listen_done(struct net_core *c);

bool net__proxy_wanted(const struct net_core *c, bool secure); // of a new connection: h1_proxy.c
int net__tls_init(struct net_core *c, const struct net_options *o); // h1_tls.c
void net__tls_done(struct net_core *c);

// The half that faces the providers (upstream.c).
int upstream__core_init(struct net_core *c);        // resolver, pools; 0, ERR_NOMEM, ERR_SYSTEM
void upstream__core_drain(struct net_core *c);      // closes idle connections and pools none
bool upstream__core_idle(const struct net_core *c); // no connection is left
void upstream__core_done(struct net_core *c);       // idle; half-built is fine

void net__h2_begin_init(struct net_core *c); // h2_begin.c
void net__h2_begin_done(struct net_core *c);
void net__h2_drain(struct net_core *c); // GOAWAY to every HTTP/2 client, some at a time

#endif
