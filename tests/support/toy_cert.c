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

static FILE *temp_open(char *path, size_t size)
{
    snprintf(path, size, "/tmp/ringgate-test-XXXXXX");
    int fd = mkstemp(path);
    ASSERT(fd >= 0);
    return fdopen(fd, "w");
}

static void write_leaf(struct toy_cert *c, X509 *leaf, EVP_PKEY *key)
{
    FILE *f = temp_open(c->cert_file, sizeof(c->cert_file));
    ASSERT(f && PEM_write_X509(f, leaf));
    fclose(f);
    f = temp_open(c->key_file, sizeof(c->key_file));
    ASSERT(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
}

void toy_cert_make(struct toy_cert *c, const char *name)
{
    char alt[300];
    EVP_PKEY *ca_key = key_new(), *key = key_new();
    X509 *ca = cert_new(ca_key, "toy authority", 1, NULL);
    X509 *leaf = cert_new(key, "toy", 2, ca);
    bool address = name[0] >= '0' && name[0] <= '9';
    extend(ca, NID_basic_constraints, "critical,CA:TRUE");
    ASSERT(X509_sign(ca, ca_key, EVP_sha256()));
    snprintf(alt, sizeof(alt), "%s:%s", address ? "IP" : "DNS", name);
    extend(leaf, NID_subject_alt_name, alt);
    ASSERT(X509_sign(leaf, ca_key, EVP_sha256()));
    BIO *bio = BIO_new(BIO_s_mem());
    ASSERT(bio && PEM_write_bio_X509(bio, ca));
    int n = BIO_read(bio, c->ca_pem, sizeof(c->ca_pem) - 1);
    ASSERT(n > 0);
    c->ca_pem[n] = '\0';
    BIO_free(bio);
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
