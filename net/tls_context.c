// SPDX-License-Identifier: Apache-2.0
//
// tls_context.c: what the sessions of one identity share: trust, certificate, tickets.
//
// A context is made at configuration time, off the data path (reading the CA bundle costs some
// 10 ms) and is immutable from then on but for the tickets, which have a lock of their own. The
// lock is held for a few pointer moves, once or twice a handshake.
//
// A ticket is kept under the name it was verified for and only within its context, so one made
// without verification can never open a connection that asks for it.
//
// Memory here is the allocator's: contexts and names are set-up, tickets belong to BoringSSL.
#include "base/assert.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

// What a client offers, unless tls_offer_h2 adds to it.
#define ALPN_HTTP1 "\x08http/1.1"
// What a server chooses from, most wanted first.
#define ALPN_SERVER "\x02h2\x08http/1.1"

// ---- Tickets ---------------------------------------------------------------------------------

static struct tls_sessions *sessions_find(const struct tls_context *c, struct slice name)
{
    for (struct tls_sessions *s = c->names; s; s = s->next) {
        if (slice_eq(slice_of(s->name, s->name_len), name))
            return s;
    }
    return NULL;
}

static struct tls_sessions *sessions_add(struct tls_context *c, struct slice name)
{
    struct tls_sessions *s = NULL;
    if (c->names_count == TLS_NAMES_MAX)
        return NULL;
    s = calloc(1, sizeof(*s) + name.len);
    if (!s)
        return NULL;
    s->name_len = name.len;
    memcpy(s->name, name.ptr, name.len);
    s->next = c->names;
    c->names = s;
    c->names_count++;
    return s;
}

static void sessions_free(struct tls_sessions *s)
{
    while (s) {
        struct tls_sessions *next = s->next;
        for (unsigned i = 0; i < s->count; i++)
            SSL_SESSION_free(s->session[i]);
        free(s);
        s = next;
    }
}

void tls__session_keep(struct tls_context *c, struct slice name, SSL_SESSION *session)
{
    SSL_SESSION *drop = session;
    ASSERT(!c->server);
    pthread_mutex_lock(&c->lock);
    struct tls_sessions *s = sessions_find(c, name);
    if (!s)
        s = sessions_add(c, name);
    if (s) {
        drop = NULL;
        if (s->count == TLS_SESSIONS_PER_NAME) {
            drop = s->session[0];
            memmove(s->session, s->session + 1, sizeof(s->session) - sizeof(s->session[0]));
            s->count--;
        }
        s->session[s->count++] = session;
    }
    pthread_mutex_unlock(&c->lock);
    SSL_SESSION_free(drop);
}

SSL_SESSION *tls__session_find(struct tls_context *c, struct slice name)
{
    SSL_SESSION *found = NULL;
    pthread_mutex_lock(&c->lock);
    struct tls_sessions *s = sessions_find(c, name);
    if (s && s->count > 0) {
        found = s->session[s->count - 1];
        if (SSL_SESSION_should_be_single_use(found))
            s->count--;
        else
            SSL_SESSION_up_ref(found);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = SSL_get_app_data(ssl);
    tls__session_keep(t->context, slice_of(t->name, t->name_len), session);
    return 1; // the reference is ours now
}

// ---- Trust -----------------------------------------------------------------------------------

const char *tls_ca_bundle(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
        "/etc/pki/tls/certs/ca-bundle.crt",                  // older RHEL
        "/etc/ssl/ca-bundle.pem",                            // SUSE
        "/var/lib/ca-certificates/ca-bundle.pem",            // SUSE, newer
        "/etc/ssl/cert.pem",                                 // Alpine, BSD
    };
    const char *named = getenv("SSL_CERT_FILE");
    if (named && named[0])
        return access(named, R_OK) == 0 ? named : NULL;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
    }
    return NULL;
}

// Every certificate of the text. How many, or -1 when one is malformed.
int tls__trust_pem(SSL_CTX *ctx, struct slice pem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = BIO_new_mem_buf(pem.ptr, (ossl_ssize_t)pem.len);
    X509 *cert = NULL;
    int count = 0;
    if (!bio)
        return -1;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        int added = X509_STORE_add_cert(store, cert);
        X509_free(cert);
        if (!added) {
            count = -1;
            break;
        }
        count++;
    }
    uint32_t last = ERR_peek_last_error();
    if (ERR_GET_LIB(last) != ERR_LIB_PEM || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        count = -1;
    ERR_clear_error();
    BIO_free(bio);
    return count;
}

static int trust(struct tls_context *c, const struct tls_client_options *o, const char **ret_reason)
{
    const char *bundle = NULL;
    c->verify = !o->insecure_skip_verify;
    if (!c->verify) {
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
    bundle = tls_ca_bundle();
    if (!bundle && o->ca_cert_pem.len == 0) {
        *ret_reason = "no CA bundle found: set SSL_CERT_FILE or give ca_cert_pem";
        return ERR_TLS;
    }
    if (bundle && !SSL_CTX_load_verify_locations(c->ctx, bundle, NULL)) {
        *ret_reason = "the system's CA bundle cannot be read";
        return ERR_TLS;
    }
    if (o->ca_cert_pem.len > 0 && tls__trust_pem(c->ctx, o->ca_cert_pem) <= 0) {
        *ret_reason = "ca_cert_pem holds no valid certificate";
        return ERR_TLS;
    }
    return 0;
}

// ---- Contexts --------------------------------------------------------------------------------

struct tls_context *tls__context_new(bool server)
{
    struct tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    c->server = server;
    c->ctx = SSL_CTX_new(TLS_method());
    c->method = tls__method_new();
    if (!c->ctx || !c->method || !SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION)) {
        tls_context_put(c);
        return NULL;
    }
    return c;
}

int tls_context_client_new(const struct tls_client_options *o, struct tls_context **ret,
                           const char **ret_reason)
{
    struct tls_context *c = tls__context_new(false);
    int rc = 0;
    if (!c)
        return ERR_NOMEM;
    rc = trust(c, o, ret_reason);
    ERR_clear_error();
    if (rc != 0)
        goto out;
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, on_new_session);
    if (SSL_CTX_set_alpn_protos(c->ctx, (const uint8_t *)ALPN_HTTP1, sizeof(ALPN_HTTP1) - 1)) {
        rc = ERR_NOMEM;
        goto out;
    }
    *ret = c;
    return 0;
out:
    tls_context_put(c);
    return rc;
}

int tls__choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
                     unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    int rc = SSL_select_next_proto((uint8_t **)out, out_len, (const uint8_t *)ALPN_SERVER,
                                   sizeof(ALPN_SERVER) - 1, in, in_len);
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int tls_context_server_new(const char *cert_file, const char *key_file, struct tls_context **ret,
                           const char **ret_reason)
{
    struct tls_context *c = tls__context_new(true);
    if (!c)
        return ERR_NOMEM;
    *ret_reason = NULL;
    if (!SSL_CTX_use_certificate_chain_file(c->ctx, cert_file))
        *ret_reason = "the certificate file cannot be read";
    else if (!SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM))
        *ret_reason = "the key file cannot be read or does not belong to the certificate";
    ERR_clear_error();
    if (*ret_reason) {
        tls_context_put(c);
        return ERR_TLS;
    }
    SSL_CTX_set_alpn_select_cb(c->ctx, tls__choose_alpn, NULL);
    *ret = c;
    return 0;
}

struct tls_context *tls_context_get(struct tls_context *c)
{
    unsigned before = atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return c;
}

void tls_context_put(struct tls_context *c)
{
    if (!c)
        return;
    unsigned before = atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    sessions_free(c->names);
    tls__identities_free(c);
    SSL_CTX_free(c->ctx);
    BIO_meth_free(c->method);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
