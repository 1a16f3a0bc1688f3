// SPDX-License-Identifier: Apache-2.0
//
// tls_ticket.c: see tls_ticket.h. BoringSSL gives a session's bytes and takes the sealed ones; what
// does not open is ignored, and the handshake is a full one.
#include "net/tls_ticket.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "net/tls_internal.h"
#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define NONCE_BYTES  12
#define TAG_BYTES    16
#define PREFIX_BYTES (TLS_TICKET_NAME_BYTES + NONCE_BYTES)

struct seal {
    uint8_t name[TLS_TICKET_NAME_BYTES];
    EVP_AEAD_CTX aead;
    bool set;
};

struct tls_tickets {
    struct seal current, previous;
};

int tls_ticket_key_make(struct tls_ticket_key *ret)
{
    return random_bytes(ret, sizeof(*ret));
}

static void seal_done(struct seal *s)
{
    if (s->set)
        EVP_AEAD_CTX_cleanup(&s->aead);
    OPENSSL_cleanse(s, sizeof(*s));
}

static bool seal_init(struct seal *s, const struct tls_ticket_key *key)
{
    memcpy(s->name, key->name, sizeof(s->name));
    s->set = EVP_AEAD_CTX_init(&s->aead, EVP_aead_aes_128_gcm(), key->secret, sizeof(key->secret),
                               TAG_BYTES, NULL) == 1;
    return s->set;
}

struct tls_tickets *tls_tickets_new(const struct tls_ticket_key *key)
{
    struct tls_tickets *t = calloc(1, sizeof(*t));
    if (!t || seal_init(&t->current, key))
        return t;
    free(t);
    return NULL;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (!t)
        return;
    seal_done(&t->current);
    seal_done(&t->previous);
    free(t);
}

void tls_tickets_rotate(struct tls_tickets *t, const struct tls_ticket_key *key)
{
    struct seal next = {0};
    if (memcmp(t->current.name, key->name, sizeof(key->name)) == 0)
        return;
    bool made = seal_init(&next, key);
    ASSERT(made); // the key's length is right, and nothing else is asked for
    seal_done(&t->previous);
    // An AES-GCM context holds no pointer to itself; BoringSSL only asks that both are not used.
    t->previous = t->current;
    t->current = next;
    OPENSSL_cleanse(&next, sizeof(next));
}

// ---- What BoringSSL asks ---------------------------------------------------------------------

static const struct tls_tickets *tickets_of(SSL *ssl)
{
    const struct tls *t = SSL_get_app_data(ssl);
    return t->tickets;
}

static size_t max_overhead(SSL *ssl)
{
    (void)ssl;
    return PREFIX_BYTES + TAG_BYTES;
}

static int seal(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out_len, const uint8_t *in,
                size_t in_len)
{
    const struct tls_tickets *t = tickets_of(ssl);
    size_t len = 0;
    if (!t || max_out_len < in_len + PREFIX_BYTES + TAG_BYTES)
        return 0;
    uint8_t nonce[NONCE_BYTES];
    if (!RAND_bytes(nonce, sizeof(nonce)))
        return 0;
    memmove(out + PREFIX_BYTES, in, in_len); // `in` may be `out`
    memcpy(out, t->current.name, TLS_TICKET_NAME_BYTES);
    memcpy(out + TLS_TICKET_NAME_BYTES, nonce, sizeof(nonce));
    if (!EVP_AEAD_CTX_seal(&t->current.aead, out + PREFIX_BYTES, &len, max_out_len - PREFIX_BYTES,
                           nonce, sizeof(nonce), out + PREFIX_BYTES, in_len, out,
                           TLS_TICKET_NAME_BYTES))
        return 0;
    *out_len = PREFIX_BYTES + len;
    return 1;
}

static const struct seal *find(const struct tls_tickets *t, const uint8_t *name)
{
    if (memcmp(t->current.name, name, TLS_TICKET_NAME_BYTES) == 0)
        return &t->current;
    if (t->previous.set && memcmp(t->previous.name, name, TLS_TICKET_NAME_BYTES) == 0)
        return &t->previous;
    return NULL;
}

static enum ssl_ticket_aead_result_t open(SSL *ssl, uint8_t *out, size_t *out_len,
                                          size_t max_out_len, const uint8_t *in, size_t in_len)
{
    const struct tls_tickets *t = tickets_of(ssl);
    const struct seal *key = t && in_len > PREFIX_BYTES ? find(t, in) : NULL;
    if (!key)
        return ssl_ticket_aead_ignore_ticket;
    uint8_t name[TLS_TICKET_NAME_BYTES], nonce[NONCE_BYTES];
    memcpy(name, in, sizeof(name));
    memcpy(nonce, in + sizeof(name), sizeof(nonce));
    size_t sealed = in_len - PREFIX_BYTES;
    if (sealed > max_out_len)
        return ssl_ticket_aead_ignore_ticket;
    memmove(out, in + PREFIX_BYTES, sealed); // `in` may be `out`
    if (EVP_AEAD_CTX_open(&key->aead, out, out_len, max_out_len, nonce, sizeof(nonce), out, sealed,
                          name, sizeof(name)))
        return ssl_ticket_aead_success;
    ERR_clear_error();
    return ssl_ticket_aead_ignore_ticket;
}

const SSL_TICKET_AEAD_METHOD tls__ticket_method = {
    .max_overhead = max_overhead,
    .seal = seal,
    .open = open,
};
