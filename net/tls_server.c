// SPDX-License-Identifier: Apache-2.0
//
// tls_server.c: a listener's context: certificates by name, who may connect, what is resumed.
//
// Every certificate has an SSL_CTX of its own that holds nothing but it. Sessions begin on the
// first; when a ClientHello has been read and names somebody else, BoringSSL is given the other's.
//
//     ClientHello "b.test" ─► by_name: "b.test"? ─ no ─► "*.test"? ─ no ─► the first certificate
//                                   └─ yes ─► its SSL_CTX
//
// A session is resumed only under the rules it was made under: the id context is a digest of who
// may connect and with which versions, so a ticket from before client certificates were asked for
// does not pass a listener that asks for them. A new certificate does not end sessions: its names
// say who we are, and that the client knows already.
//
// Renegotiation does not exist on BoringSSL's server side, 0-RTT is off by its default (a request
// that may be replayed is somebody's money), and of TLS 1.2 only forward-secret AEAD suites are
// offered.
#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "net/tls_internal.h"
#include "net/tls_ticket.h"
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

// RFC 1035: the longest name.
#define NAME_BYTES_MAX 255
// A client's certificate chain as one message: what an unknown peer may make us hold and parse.
#define CLIENT_CHAIN_BYTES_MAX (32 * 1024)

#define SUITES_1_2                                                                                 \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

// ---- Names -----------------------------------------------------------------------------------

// Lower case, without the dot of a rooted name. False: longer than a name can be.
static bool fold(struct slice name, char out[NAME_BYTES_MAX + 1], size_t *ret_len)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++)
        out[i] = (char)(name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? name.ptr[i] + 32 : name.ptr[i]);
    *ret_len = name.len;
    return true;
}

static struct tls_identity *identity_for(const struct tls_context *c, struct slice asked)
{
    char name[NAME_BYTES_MAX + 1];
    size_t len = 0;
    if (!fold(asked, name, &len))
        return NULL;
    struct tls_identity *found = map_get(&c->by_name, slice_of(name, len));
    if (found)
        return found;
    // A wildcard stands for exactly one label (RFC 6125 6.4.3).
    const char *dot = memchr(name, '.', len);
    if (!dot || dot == name)
        return NULL;
    char *star = name + (dot - name) - 1;
    *star = '*';
    return map_get(&c->by_name, slice_of(star, len - (size_t)(star - name)));
}

static enum ssl_select_cert_result_t on_hello(const SSL_CLIENT_HELLO *hello)
{
    struct tls *t = SSL_get_app_data(hello->ssl);
    const struct tls_context *c = t->context;
    const char *name = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
    t->hello = true;
    if (c->identity_count < 2 || !name)
        return ssl_select_cert_success;
    struct tls_identity *identity = identity_for(c, slice_str(name));
    if (identity && identity != c->identity)
        (void)SSL_set_SSL_CTX(hello->ssl, identity->ctx);
    return ssl_select_cert_success;
}

static struct slice dns_name(const GENERAL_NAME *n)
{
    if (n->type != GEN_DNS)
        return SLICE_EMPTY;
    return slice_of((const char *)ASN1_STRING_get0_data(n->d.dNSName),
                    (size_t)ASN1_STRING_length(n->d.dNSName));
}

static int put_names(struct tls_context *c, struct tls_identity *identity,
                     const GENERAL_NAMES *list)
{
    char *at = identity->names;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        char name[NAME_BYTES_MAX + 1];
        size_t len = 0;
        if (!fold(dns_name(sk_GENERAL_NAME_value(list, i)), name, &len) ||
            map_get(&c->by_name, slice_of(name, len)))
            continue; // the first certificate with a name keeps it
        memcpy(at, name, len);
        if (map_put(&c->by_name, slice_of(at, len), identity))
            return ERR_NOMEM;
        at += len;
    }
    return 0;
}

// Room for every DNS name of the list.
static char *names_new(const GENERAL_NAMES *list)
{
    size_t bytes = 1;
    for (size_t i = 0; i < sk_GENERAL_NAME_num(list); i++)
        bytes += dns_name(sk_GENERAL_NAME_value(list, i)).len;
    return malloc(bytes);
}

// Takes the certificate's DNS names into the map.
static int take_names(struct tls_context *c, struct tls_identity *identity, X509 *leaf)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    if (!list)
        return 0;
    identity->names = names_new(list);
    int rc = identity->names ? put_names(c, identity, list) : ERR_NOMEM;
    GENERAL_NAMES_free(list);
    return rc;
}

// ---- Certificates ----------------------------------------------------------------------------

static BIO *bio_of(struct slice pem)
{
    return BIO_new_mem_buf(pem.ptr, (ossl_ssize_t)pem.len);
}

// The chain behind the leaf. False when something of it is malformed.
static bool take_chain(SSL_CTX *ctx, BIO *bio)
{
    X509 *cert = NULL;
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        int added = SSL_CTX_add1_chain_cert(ctx, cert);
        X509_free(cert);
        if (!added)
            return false;
    }
    uint32_t last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

// NULL, or what is wrong.
static const char *use_certificate(SSL_CTX *ctx, struct slice pem, X509 **ret_leaf)
{
    BIO *bio = bio_of(pem);
    X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    const char *reason = NULL;
    if (!leaf)
        reason = "holds no certificate in PEM";
    else if (!SSL_CTX_use_certificate(ctx, leaf))
        reason = "its certificate has a kind of key that TLS cannot use";
    else if (!take_chain(ctx, bio))
        reason = "something behind the first certificate is none";
    ERR_clear_error();
    BIO_free(bio);
    *ret_leaf = leaf;
    return reason;
}

static int no_password(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static const char *use_key(SSL_CTX *ctx, struct slice pem)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    const char *reason = NULL;
    if (!key)
        reason = "holds no private key in PEM, or one under a password";
    else if (!SSL_CTX_use_PrivateKey(ctx, key) || !SSL_CTX_check_private_key(ctx))
        reason = "does not belong to the certificate";
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    return reason;
}

static int take_identity(struct tls_context *c, const struct tls_certificate *from,
                         struct tls_complaint *ret_complaint)
{
    struct tls_identity *identity = &c->identity[c->identity_count];
    X509 *leaf = NULL;
    int rc = 0;
    ret_complaint->certificate = c->identity_count;
    identity->ctx = c->identity_count == 0 ? c->ctx : SSL_CTX_new(TLS_method());
    if (!identity->ctx)
        return ERR_NOMEM;
    c->identity_count++;
    ret_complaint->part = TLS_PART_CERT;
    ret_complaint->reason = use_certificate(identity->ctx, from->cert_pem, &leaf);
    if (!ret_complaint->reason) {
        ret_complaint->part = TLS_PART_KEY;
        ret_complaint->reason = use_key(identity->ctx, from->key_pem);
    }
    if (ret_complaint->reason)
        rc = ERR_TLS;
    else
        rc = take_names(c, identity, leaf);
    X509_free(leaf);
    return rc;
}

void tls__identities_free(struct tls_context *c)
{
    map_done(&c->by_name);
    for (unsigned i = 0; i < c->identity_count; i++) {
        if (i > 0)
            SSL_CTX_free(c->identity[i].ctx);
        free(c->identity[i].names);
    }
    free(c->identity);
}

// ---- Who may connect -------------------------------------------------------------------------

// Clients are told which authorities we take, so that those with several certificates choose well.
static bool name_authorities(SSL_CTX *ctx, struct slice pem)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    BIO *bio = bio_of(pem);
    X509 *cert = NULL;
    bool good = names && bio;
    while (good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
        good = name && sk_X509_NAME_push(names, name);
        if (!good)
            X509_NAME_free(name);
        X509_free(cert);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (good)
        SSL_CTX_set_client_CA_list(ctx, names); // takes it
    else
        sk_X509_NAME_pop_free(names, X509_NAME_free);
    return good;
}

static int ask_clients(struct tls_context *c, const struct tls_listener_options *o,
                       struct tls_complaint *ret_complaint)
{
    int mode = SSL_VERIFY_PEER;
    if (o->client_auth == TLS_CLIENT_NONE)
        return 0;
    if (o->client_auth == TLS_CLIENT_REQUIRE)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    ret_complaint->part = TLS_PART_CLIENT_CA;
    if (tls__trust_pem(c->ctx, o->client_ca_pem) <= 0) {
        ret_complaint->reason = "holds no certificate in PEM, or something beside it";
        return ERR_TLS;
    }
    if (!name_authorities(c->ctx, o->client_ca_pem))
        return ERR_NOMEM;
    SSL_CTX_set_verify(c->ctx, mode, NULL);
    SSL_CTX_set_max_cert_list(c->ctx, CLIENT_CHAIN_BYTES_MAX);
    // Verified once; a chain kept for each connection and in each ticket is of no further use.
    SSL_CTX_set_retain_only_sha256_of_client_certs(c->ctx, 1);
    return 0;
}

static void add_to_digest(SHA256_CTX *sha, struct slice s)
{
    uint64_t len = s.len;
    SHA256_Update(sha, &len, sizeof(len));
    if (s.len > 0)
        SHA256_Update(sha, s.ptr, s.len);
}

// The rules a session is made under, then everything.
static void digest(struct tls_context *c, const struct tls_listener_options *o,
                   uint8_t ret_rules[TLS_DIGEST_BYTES])
{
    SHA256_CTX sha;
    char rules[] = {(char)o->only_1_3, (char)o->client_auth};
    SHA256_Init(&sha);
    add_to_digest(&sha, slice_of(rules, sizeof(rules)));
    add_to_digest(&sha, o->client_auth != TLS_CLIENT_NONE ? o->client_ca_pem : SLICE_EMPTY);
    SHA256_Final(ret_rules, &sha);
    SHA256_Init(&sha);
    add_to_digest(&sha, slice_of((char *)ret_rules, TLS_DIGEST_BYTES));
    for (unsigned i = 0; i < o->count; i++) {
        add_to_digest(&sha, o->certificates[i].cert_pem);
        add_to_digest(&sha, o->certificates[i].key_pem);
    }
    SHA256_Final(c->digest, &sha);
}

bool tls_context_same(const struct tls_context *a, const struct tls_context *b)
{
    return CRYPTO_memcmp(a->digest, b->digest, TLS_DIGEST_BYTES) == 0;
}

// ---- Making ----------------------------------------------------------------------------------

static int set_up(struct tls_context *c, const struct tls_listener_options *o)
{
    uint8_t rules[TLS_DIGEST_BYTES];
    digest(c, o, rules);
    if (o->only_1_3 && !SSL_CTX_set_min_proto_version(c->ctx, TLS1_3_VERSION))
        return ERR_NOMEM;
    if (!SSL_CTX_set_strict_cipher_list(c->ctx, SUITES_1_2) ||
        !SSL_CTX_set_session_id_context(c->ctx, rules, sizeof(rules)))
        return ERR_NOMEM;
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(c->ctx, TLS_TICKET_ROTATE_S);
    SSL_CTX_set_session_psk_dhe_timeout(c->ctx, TLS_TICKET_ROTATE_S);
    SSL_CTX_set_ticket_aead_method(c->ctx, &tls__ticket_method);
    SSL_CTX_set_select_certificate_cb(c->ctx, on_hello);
    SSL_CTX_set_alpn_select_cb(c->ctx, tls__choose_alpn, NULL);
    return 0;
}

int tls_context_listener_new(const struct tls_listener_options *o, struct tls_context **ret,
                             struct tls_complaint *ret_complaint)
{
    uint64_t seed[2];
    ASSERT(o->count > 0 && o->count <= TLS_CERTIFICATES_MAX);
    struct tls_context *c = tls__context_new(true);
    if (!c)
        return ERR_NOMEM;
    c->identity = calloc(o->count, sizeof(*c->identity));
    int rc = c->identity ? random_bytes(seed, sizeof(seed)) : ERR_NOMEM;
    if (rc == 0) {
        map_init(&c->by_name, seed);
        rc = set_up(c, o);
    }
    *ret_complaint = (struct tls_complaint){0};
    for (unsigned i = 0; i < o->count && rc == 0; i++)
        rc = take_identity(c, &o->certificates[i], ret_complaint);
    if (rc == 0)
        rc = ask_clients(c, o, ret_complaint);
    ERR_clear_error();
    if (rc == 0)
        *ret = c;
    else
        tls_context_put(c);
    return rc;
}
