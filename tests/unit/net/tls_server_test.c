// SPDX-License-Identifier: Apache-2.0
//
// A listener's context: which certificate, which version, which client.
#include "base/container.h"
#include "base/err.h"
#include "net/tls_internal.h"
#include "net/tls_ticket.h"
#include "tests/support/toy_pair.h"
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct tls_certificate pem_of(const struct toy_cert *c)
{
    return (struct tls_certificate){slice_str(c->cert_pem), slice_str(c->key_pem)};
}

static struct tls_context *listener(const struct tls_listener_options *o)
{
    struct tls_context *c = NULL;
    struct tls_complaint complaint;
    assert_int_equal(tls_context_listener_new(o, &c, &complaint), 0);
    return c;
}

// The result of a handshake of a client that trusts `ca` and asks for `name`.
static int handshake(struct tls_context *server, struct tls_context *client, const char *name)
{
    struct toy_pair p = {.client_context = client, .server_context = server};
    toy_pair_connect(&p, name);
    int rc = toy_handshake(&p, SIZE_MAX);
    tls_free(p.client);
    tls_free(p.server);
    return rc;
}

// The text of the certificate the server shows to who asks for `name`.
static void shown_for(struct tls_context *server, struct tls_context *client, const char *name,
                      char *out, size_t size)
{
    struct toy_pair p = {.client_context = client, .server_context = server};
    toy_pair_connect(&p, name);
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    X509 *cert = SSL_get_peer_certificate(p.client->ssl);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509(bio, cert), 1);
    int n = BIO_read(bio, out, (int)size - 1);
    out[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    X509_free(cert);
    tls_free(p.client);
    tls_free(p.server);
}

static void names_choose_the_certificate(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned shown;
    } cases[] = {
        {"one.test", 0},        {"two.test", 1},      {"TWO.test", 1},  {"a.star.test", 1},
        {"exact.star.test", 2}, {"b.a.star.test", 0}, {"star.test", 0}, {"nobody.test", 0},
        {"shared.test", 1},     {"127.0.0.1", 0},
    };
    struct toy_cert cert[3];
    struct tls_certificate pem[3];
    toy_cert_make(&cert[0], "one.test");
    toy_cert_make(&cert[1], "two.test,*.star.test,shared.test");
    toy_cert_make(&cert[2], "exact.star.test,shared.test");
    for (unsigned i = 0; i < 3; i++)
        pem[i] = pem_of(&cert[i]);
    struct tls_context *client = toy_client_context("", true);
    struct tls_context *server =
        listener(&(struct tls_listener_options){.certificates = pem, .count = 3});
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[2048];
        shown_for(server, client, cases[i].name, text, sizeof(text));
        assert_string_equal(text, cert[cases[i].shown].cert_pem);
    }
    tls_context_put(server);
    tls_context_put(client);
    for (unsigned i = 0; i < 3; i++)
        toy_cert_done(&cert[i]);
}

static void versions_have_a_floor(void **state)
{
    (void)state;
    struct toy_cert cert;
    toy_cert_make(&cert, TOY_NAME);
    struct tls_certificate pem = pem_of(&cert);
    struct tls_context *old = toy_client_context(cert.ca_pem, false);
    struct tls_context *older = toy_client_context(cert.ca_pem, false);
    assert_int_equal(SSL_CTX_set_max_proto_version(old->ctx, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(older->ctx, TLS1_1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(older->ctx, TLS1_1_VERSION), 1);
    struct tls_listener_options o = {.certificates = &pem, .count = 1};
    struct tls_context *server = listener(&o);
    assert_int_equal(handshake(server, old, TOY_NAME), 0);
    assert_int_equal(handshake(server, older, TOY_NAME), ERR_TLS);
    tls_context_put(server);
    o.only_1_3 = true;
    server = listener(&o);
    assert_int_equal(handshake(server, old, TOY_NAME), ERR_TLS);
    tls_context_put(server);
    tls_context_put(old);
    tls_context_put(older);
    toy_cert_done(&cert);
}

// The client shows `shown`, or nothing; the server's result.
static int with_client_cert(struct tls_context *server, const struct toy_cert *trusted,
                            const struct toy_cert *shown)
{
    struct tls_context *client = toy_client_context(trusted->ca_pem, false);
    if (shown) {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(client->ctx, shown->cert_file), 1);
        assert_int_equal(
            SSL_CTX_use_PrivateKey_file(client->ctx, shown->key_file, SSL_FILETYPE_PEM), 1);
    }
    struct toy_pair p = {.client_context = client, .server_context = server};
    toy_pair_connect(&p, TOY_NAME);
    (void)toy_handshake(&p, SIZE_MAX);
    int rc = tls_handshake(p.server);
    tls_free(p.client);
    tls_free(p.server);
    tls_context_put(client);
    return rc;
}

static void clients_are_asked_for_certificates(void **state)
{
    (void)state;
    struct toy_cert cert, friend, stranger;
    toy_cert_make(&cert, TOY_NAME);
    toy_cert_make(&friend, "friend.test");
    toy_cert_make(&stranger, "stranger.test");
    struct tls_certificate pem = pem_of(&cert);
    struct tls_listener_options o = {.certificates = &pem,
                                     .count = 1,
                                     .client_auth = TLS_CLIENT_REQUEST,
                                     .client_ca_pem = slice_str(friend.ca_pem)};
    struct tls_context *server = listener(&o);
    assert_int_equal(with_client_cert(server, &cert, NULL), 0);
    assert_int_equal(with_client_cert(server, &cert, &friend), 0);
    assert_int_equal(with_client_cert(server, &cert, &stranger), ERR_TLS_VERIFY);
    tls_context_put(server);
    o.client_auth = TLS_CLIENT_REQUIRE;
    server = listener(&o);
    assert_int_equal(with_client_cert(server, &cert, NULL), ERR_TLS_VERIFY);
    assert_int_equal(with_client_cert(server, &cert, &friend), 0);
    assert_int_equal(with_client_cert(server, &cert, &stranger), ERR_TLS_VERIFY);
    tls_context_put(server);
    toy_cert_done(&cert);
    toy_cert_done(&friend);
    toy_cert_done(&stranger);
}

// A ticket from a listener that asked for nothing must not pass one that asks.
static void a_session_is_resumed_under_its_own_rules_only(void **state)
{
    (void)state;
    struct toy_pair p;
    struct tls_ticket_key key;
    assert_int_equal(tls_ticket_key_make(&key), 0);
    struct tls_tickets *tickets = tls_tickets_new(&key);
    toy_pair_listen(&p, TOY_NAME);
    struct tls_context *open = p.server_context;
    struct tls_certificate pem = pem_of(&p.cert);
    struct tls_listener_options o = {.certificates = &pem,
                                     .count = 1,
                                     .client_auth = TLS_CLIENT_REQUEST,
                                     .client_ca_pem = slice_str(p.cert.ca_pem)};
    struct tls_context *asking = listener(&o);
    struct tls_context *servers[] = {open, asking, open};
    for (unsigned i = 0; i < 3; i++) {
        p.server_context = servers[i];
        toy_pair_connect(&p, TOY_NAME);
        tls_set_tickets(p.server, tickets);
        assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
        assert_int_equal(tls_resumed(p.server), i == 2); // the second of the first one's tickets
        if (i == 0)
            toy_bring_tickets(&p);
    }
    assert_false(tls_context_same(open, asking));
    tls_context_put(asking);
    asking = toy_listener_context(&p.cert);
    assert_true(tls_context_same(open, asking));
    tls_context_put(asking);
    tls_tickets_free(tickets);
    toy_pair_close(&p);
}

static void complaints_name_the_part(void **state)
{
    (void)state;
    struct toy_cert cert, other;
    toy_cert_make(&cert, TOY_NAME);
    toy_cert_make(&other, "other.test");
    struct tls_certificate good = pem_of(&cert), pem[2] = {good, good};
    struct tls_listener_options o = {.certificates = pem, .count = 2};
    struct tls_complaint complaint = {0};
    struct tls_context *c = NULL;
    pem[1].cert_pem =
        SLICE("-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n");
    assert_int_equal(tls_context_listener_new(&o, &c, &complaint), ERR_TLS);
    assert_int_equal(complaint.part, TLS_PART_CERT);
    assert_int_equal(complaint.certificate, 1);
    pem[1].cert_pem = SLICE("");
    assert_int_equal(tls_context_listener_new(&o, &c, &complaint), ERR_TLS);
    assert_int_equal(complaint.part, TLS_PART_CERT);
    pem[1] = good;
    pem[0].key_pem = slice_str(other.key_pem);
    assert_int_equal(tls_context_listener_new(&o, &c, &complaint), ERR_TLS);
    assert_int_equal(complaint.part, TLS_PART_KEY);
    assert_int_equal(complaint.certificate, 0);
    assert_string_equal(complaint.reason, "does not belong to the certificate");
    pem[0].key_pem = SLICE("nothing");
    assert_int_equal(tls_context_listener_new(&o, &c, &complaint), ERR_TLS);
    assert_int_equal(complaint.part, TLS_PART_KEY);
    pem[0] = good;
    o.client_auth = TLS_CLIENT_REQUIRE;
    o.client_ca_pem = SLICE("nothing");
    assert_int_equal(tls_context_listener_new(&o, &c, &complaint), ERR_TLS);
    assert_int_equal(complaint.part, TLS_PART_CLIENT_CA);
    assert_null(c);
    toy_cert_done(&cert);
    toy_cert_done(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_choose_the_certificate),
        cmocka_unit_test(versions_have_a_floor),
        cmocka_unit_test(clients_are_asked_for_certificates),
        cmocka_unit_test(a_session_is_resumed_under_its_own_rules_only),
        cmocka_unit_test(complaints_name_the_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
