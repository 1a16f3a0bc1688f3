// SPDX-License-Identifier: Apache-2.0
//
// tls_internal.h: what tls.c (one session) and tls_context.c (what sessions share) know of each
// other. Nothing else includes it.
#ifndef RINGGATE_NET_TLS_INTERNAL_H
#define RINGGATE_NET_TLS_INTERNAL_H

#include "base/map.h"
#include "net/page.h"
#include "net/tls.h"
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

// Tickets kept per server name. TLS 1.3 tickets are used once each and servers send two a
// handshake, so a burst of new connections finds as many as there are cores to open them.
#define TLS_SESSIONS_PER_NAME 8
// Names a context remembers sessions for. A context belongs to one configured provider identity,
// so more can only come from a mistake; bounds what a long-lived context holds.
#define TLS_NAMES_MAX 64

struct tls_sessions {
    struct tls_sessions *next;
    SSL_SESSION *session[TLS_SESSIONS_PER_NAME]; // oldest first
    unsigned count;
    size_t name_len;
    char name[];
};

#define TLS_DIGEST_BYTES 32

// One certificate of a listener and the names it is for.
struct tls_identity {
    SSL_CTX *ctx; // the certificate and its key; everything else is the first one's
    char *names;  // of the certificate, lower case, one after the other
};

struct tls_context {
    _Atomic unsigned refs;
    SSL_CTX *ctx;
    BIO_METHOD *method; // the BIO over spans
    bool server;
    bool verify;
    pthread_mutex_t lock; // of what follows; taken once or twice a handshake, never per record
    struct tls_sessions *names;
    unsigned names_count;

    // Of a listener. identity[0].ctx is `ctx`.
    struct tls_identity *identity;
    unsigned identity_count;
    struct map by_name; // "a.test", "*.b.test" → struct tls_identity
    uint8_t digest[TLS_DIGEST_BYTES];
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    struct tls *below;       // whose bytes are this one's records; NULL: the socket's are
    struct slice in;         // ciphertext not read yet
    struct page_pool *pages; // NULL: the allocator
    struct page *out_first;
    struct page *out_last;
    int err;     // sticky; 0 while fine
    bool closed; // close_notify was read
    bool nomem;  // the output could not grow
    bool hello;  // a server's: the ClientHello was read
    const struct tls_tickets *tickets;
    size_t name_len;
    char name[];
};

// Keeps `session` (takes the reference) for later connections to `name`.
void tls__session_keep(struct tls_context *c, struct slice name, SSL_SESSION *session);
// The newest one, with a reference for the caller; NULL when there is none.
SSL_SESSION *tls__session_find(struct tls_context *c, struct slice name);
// Makes the part of a context that both roles have. NULL without memory.
struct tls_context *tls__context_new(bool server);
int tls__choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                     unsigned in_len, void *arg);
// Adds a PEM text's certificates to the trust of `ctx`: how many, or < 0 when something of it is
// none.
int tls__trust_pem(SSL_CTX *ctx, struct slice pem);
extern const SSL_TICKET_AEAD_METHOD tls__ticket_method; // tls_ticket.c
void tls__identities_free(struct tls_context *c);
// Fills the method's functions; tls.c owns them.
BIO_METHOD *tls__method_new(void);

#endif
