// SPDX-License-Identifier: Apache-2.0
//
// toy_cert.c: see toy_cert.h. P-256, valid from yesterday for a week.
#include "tests/support/toy_cert.h"

#include "base/assert.h"
#include <openssl/ec_key.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_S 86400L

static EVP_PKEY *key_new(void)
{
    EVP_PKEY *key = EVP_PKEY_new();
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    ASSERT(key && ec && EC_KEY_generate_key(ec) && EVP_PKEY_assign_EC_KEY(key, ec));
    return key;
}

static void extend(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, &context, nid, (char *)value);
    ASSERT(e && X509_add_ext(cert, e, -1));
    X509_EXTENSION_free(e);
}

static X509 *cert_new(EVP_PKEY *key, const char *common, long serial, X509 *issuer)
{
    X509 *x = X509_new();
    ASSERT(x && X509_set_version(x, X509_VERSION_3));
    ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(x), serial));
    X509_NAME *subject = X509_get_subject_name(x);
    ASSERT(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)common, -1, -1,
                                      0));
    ASSERT(X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : subject));
    ASSERT(X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S));
    ASSERT(X509_gmtime_adj(X509_getm_notAfter(x), 7 * DAY_S));
    ASSERT(X509_set_pubkey(x, key));
    return x;
}

static void write_temp(char *path, size_t size, const char *text)
{
    snprintf(path, size, "/tmp/ringgate-test-XXXXXX");
    int fd = mkstemp(path);
    ASSERT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void take_text(BIO *bio, char *out, size_t size)
{
    int n = BIO_read(bio, out, (int)size - 1);
    ASSERT(n > 0 && (size_t)n < size - 1);
    out[n] = '\0';
    BIO_free(bio);
}

static void pem_of(X509 *cert, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    ASSERT(bio && PEM_write_bio_X509(bio, cert));
    take_text(bio, out, size);
}

static void write_leaf(struct toy_cert *c, X509 *leaf, EVP_PKEY *key)
{
    pem_of(leaf, c->cert_pem, sizeof(c->cert_pem));
    BIO *bio = BIO_new(BIO_s_mem());
    ASSERT(bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    take_text(bio, c->key_pem, sizeof(c->key_pem));
    write_temp(c->cert_file, sizeof(c->cert_file), c->cert_pem);
    write_temp(c->key_file, sizeof(c->key_file), c->key_pem);
}

// "DNS:a.test,DNS:*.b.test" of "a.test,*.b.test".
static void alt_names(const char *names, char *out, size_t size)
{
    bool address = names[0] >= '0' && names[0] <= '9';
    size_t n = (size_t)snprintf(out, size, "%s:", address ? "IP" : "DNS");
    for (; *names; names++) {
        ASSERT(n + 8 < size);
        out[n++] = *names;
        if (*names == ',') {
            memcpy(out + n, "DNS:", 4);
            n += 4;
        }
    }
    out[n] = '\0';
}

void toy_cert_make(struct toy_cert *c, const char *name)
{
    char alt[300];
    EVP_PKEY *ca_key = key_new(), *key = key_new();
    X509 *ca = cert_new(ca_key, "toy authority", 1, NULL);
    X509 *leaf = cert_new(key, "toy", 2, ca);
    extend(ca, NID_basic_constraints, "critical,CA:TRUE");
    ASSERT(X509_sign(ca, ca_key, EVP_sha256()));
    alt_names(name, alt, sizeof(alt));
    extend(leaf, NID_subject_alt_name, alt);
    ASSERT(X509_sign(leaf, ca_key, EVP_sha256()));
    pem_of(ca, c->ca_pem, sizeof(c->ca_pem));
    write_leaf(c, leaf, key);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
}

void toy_cert_done(struct toy_cert *c)
{
    unlink(c->cert_file);
    unlink(c->key_file);
}
