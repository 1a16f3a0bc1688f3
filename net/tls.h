// SPDX-License-Identifier: Apache-2.0
//
// tls.h: TLS as bytes in, bytes out, over BoringSSL. No I/O.
//
// One `struct tls` is one connection's session in either role. Ciphertext is given as a span and
// read in place through a BIO over that span (a memory BIO would move its remainder at each read);
// what must be sent is appended to an output chain the caller drains. The owner does the I/O.
//
//     received span ──► tls_feed ──► tls_read ──► plaintext (caller's memory)
//     plaintext iovecs ──► tls_write ──► tls_output ──► one send ──► tls_output_sent
//
// Client contexts verify chain and name against the system's bundle plus an optional PEM, offer TLS
// 1.2 and 1.3, and keep sessions per context for resumption (thread-safe). Key material is never
// logged.
//
// A listener's context holds one certificate or several, chosen by the name a client asks for
// (exact names before wildcards, the first certificate when nothing fits), and who may connect at
// all. It keeps no session: tickets are sealed with the core's keys (net/tls_ticket.h).
//
// Contexts are immutable and reference-counted, made off the data path, shared by the cores.
#ifndef RINGGATE_NET_TLS_H
#define RINGGATE_NET_TLS_H

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct page_pool;
struct tls;
struct tls_context;
struct tls_tickets;

struct tls_client_options {
    struct slice ca_cert_pem; // beside the system bundle; may be empty
    bool insecure_skip_verify;
};

// 0; ERR_TLS with a readable *ret_reason (static); ERR_NOMEM.
int tls_context_client_new(const struct tls_client_options *o, struct tls_context **ret,
                           const char **ret_reason);
int tls_context_server_new(const char *cert_file, const char *key_file, struct tls_context **ret,
                           const char **ret_reason);

enum tls_client_auth {
    TLS_CLIENT_NONE,
    TLS_CLIENT_REQUEST, // one that is shown must be good, none at all is fine
    TLS_CLIENT_REQUIRE,
};

// Of one listener. A list that asks for more is a mistake; each is some kilobytes.
#define TLS_CERTIFICATES_MAX 256

// PEM texts. A certificate is its leaf and, behind it, the chain.
struct tls_certificate {
    struct slice cert_pem, key_pem;
};

struct tls_listener_options {
    const struct tls_certificate *certificates; // the first one is the default
    unsigned count;
    bool only_1_3; // else from 1.2 on
    enum tls_client_auth client_auth;
    struct slice client_ca_pem; // with client_auth
};

// What is wrong with a listener's options, for who must name the place in a file.
enum tls_part { TLS_PART_CERT, TLS_PART_KEY, TLS_PART_CLIENT_CA };
struct tls_complaint {
    enum tls_part part;
    unsigned certificate; // its index, unless it is the client CA
    const char *reason;   // static
};

// 0; ERR_TLS with *ret_complaint; ERR_NOMEM.
int tls_context_listener_new(const struct tls_listener_options *o, struct tls_context **ret,
                             struct tls_complaint *ret_complaint);
// Were two listeners' contexts made of the same options?
bool tls_context_same(const struct tls_context *a, const struct tls_context *b);
struct tls_context *tls_context_get(struct tls_context *c);
void tls_context_put(struct tls_context *c); // NULL is fine
// The CA bundle that was found, or NULL; probed where distributions keep it.
const char *tls_ca_bundle(void);

// `server_name` (client: SNI and the name verified; an address is verified as one) is copied.
int tls_new(struct tls_context *c, struct slice server_name, struct tls **ret);
// A session inside another one: what it sends and receives are the bytes of `below`, whose
// handshake is done. The socket's bytes are still fed to, and taken from, this one. Takes `below`
// when it succeeds. Client's side.
int tls_new_inside(struct tls_context *c, struct slice server_name, struct tls *below,
                   struct tls **ret);
void tls_free(struct tls *t); // and those below; NULL is fine
// Output pages come from and go back to `pages` (of the session's core; net/page.h). Before the
// first output; without it they are the allocator's.
void tls_set_pages(struct tls *t, struct page_pool *pages);
// A listener's session seals its tickets with these (of the session's core). Without them it has
// none. Before the first byte.
void tls_set_tickets(struct tls *t, const struct tls_tickets *tickets);

// A client's session offers HTTP/2 before HTTP/1.1; without it HTTP/1.1 alone. Before the
// handshake. 0 or ERR_NOMEM.
int tls_offer_h2(struct tls *t);
bool tls_chose_h2(const struct tls *t); // by ALPN; after the handshake

// The next ciphertext; the previous span must be used up. Borrowed until tls_unfed is empty.
void tls_feed(struct tls *t, struct slice ciphertext);
struct slice tls_unfed(const struct tls *t);
// The same, and takes it away: the span is the caller's again.
struct slice tls_unfeed(struct tls *t);

// 0 done, ERR_MORE (send tls_output, feed more), ERR_TLS, ERR_TLS_VERIFY (also: the client showed
// no certificate).
int tls_handshake(struct tls *t);
bool tls_ready(const struct tls *t);
// A server has read the whole ClientHello: what follows is bounded by BoringSSL, message by
// message.
bool tls_said_hello(const struct tls *t);
bool tls_resumed(const struct tls *t);
// Plaintext into `out`: > 0 bytes, 0 at close_notify, ERR_MORE, ERR_TLS.
ptrdiff_t tls_read(struct tls *t, void *out, size_t size);
// All of it, sealed and appended to the output. 0, ERR_NOMEM, ERR_TLS.
int tls_write(struct tls *t, const struct iovec *iov, unsigned count);
void tls_close_notify(struct tls *t); // once; later calls do nothing
// What must be sent now (contiguous). After the send: tls_output_sent frees it. While a send of it
// is in flight further tls_write calls append behind without moving it.
struct slice tls_output(struct tls *t);
void tls_output_sent(struct tls *t, size_t bytes);
// The same for one sendmsg: up to `max` runs in order; returns how many.
unsigned tls_output_iov(struct tls *t, struct iovec *iov, unsigned max);
// Gives back every buffer the session can do without while idle.
void tls_idle(struct tls *t);

#endif
