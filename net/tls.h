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

struct tls_client_options {
    struct slice ca_cert_pem; // beside the system bundle; may be empty
    bool insecure_skip_verify;
};

// 0; ERR_TLS with a readable *ret_reason (static); ERR_NOMEM.
int tls_context_client_new(const struct tls_client_options *o, struct tls_context **ret,
                           const char **ret_reason);
int tls_context_server_new(const char *cert_file, const char *key_file, struct tls_context **ret,
                           const char **ret_reason);
struct tls_context *tls_context_get(struct tls_context *c);
void tls_context_put(struct tls_context *c); // NULL is fine
// The CA bundle that was found, or NULL; probed where distributions keep it.
const char *tls_ca_bundle(void);

// `server_name` (client: SNI and the name verified; an address is verified as one) is copied.
int tls_new(struct tls_context *c, struct slice server_name, struct tls **ret);
void tls_free(struct tls *t); // NULL is fine
// Output pages come from and go back to `pages` (of the session's core; net/page.h). Before the
// first output; without it they are the allocator's.
void tls_set_pages(struct tls *t, struct page_pool *pages);

// The next ciphertext; the previous span must be used up. Borrowed until tls_unfed is empty.
void tls_feed(struct tls *t, struct slice ciphertext);
struct slice tls_unfed(const struct tls *t);

// 0 done, ERR_MORE (send tls_output, feed more), ERR_TLS, ERR_TLS_VERIFY.
int tls_handshake(struct tls *t);
bool tls_ready(const struct tls *t);
bool tls_resumed(const struct tls *t);
// Plaintext into `out`: > 0 bytes, 0 at close_notify, ERR_MORE, ERR_TLS.
ptrdiff_t tls_read(struct tls *t, void *out, size_t size);
// All of it, sealed and appended to the output. 0, ERR_NOMEM, ERR_TLS.
int tls_write(struct tls *t, const struct iovec *iov, unsigned count);
void tls_close_notify(struct tls *t);
// What must be sent now (contiguous). After the send: tls_output_sent frees it. While a send of it
// is in flight further tls_write calls append behind without moving it.
struct slice tls_output(struct tls *t);
void tls_output_sent(struct tls *t, size_t bytes);
// The same for one sendmsg: up to `max` runs in order; returns how many.
unsigned tls_output_iov(struct tls *t, struct iovec *iov, unsigned max);
// Gives back every buffer the session can do without while idle.
void tls_idle(struct tls *t);

#endif
