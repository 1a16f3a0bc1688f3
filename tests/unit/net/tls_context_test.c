// SPDX-License-Identifier: Apache-2.0
//
// What sessions share: whom they trust, and tickets.
#include "base/err.h"
#include "net/page.h"
#include "tests/support/toy_pair.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_name_signed_by_the_given_authority_is_trusted(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    toy_pair_connect(&p, TOY_NAME);
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    assert_true(tls_ready(p.client));
    assert_false(tls_resumed(p.client));
    toy_pair_connect(&p, TOY_NAME "."); // rooted
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    toy_pair_close(&p);
}

static void another_name_is_not(void **state)
{
    (void)state;
    static const char *const names[] = {"other.test", "provider.test", "10.0.0.1", "a." TOY_NAME};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct toy_pair p;
        toy_pair_open(&p, TOY_NAME);
        toy_pair_connect(&p, names[i]);
        assert_int_equal(toy_handshake(&p, SIZE_MAX), ERR_TLS_VERIFY);
        assert_false(tls_ready(p.client));
        assert_int_equal(tls_handshake(p.client), ERR_TLS_VERIFY); // sticky
        toy_pair_close(&p);
    }
}

static void an_address_is_verified_as_one(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, "10.0.0.1");
    toy_pair_connect(&p, "10.0.0.1");
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    toy_pair_connect(&p, "10.0.0.2");
    assert_int_equal(toy_handshake(&p, SIZE_MAX), ERR_TLS_VERIFY);
    toy_pair_close(&p);
}

static void an_unknown_authority_is_refused(void **state)
{
    (void)state;
    struct toy_pair p;
    struct toy_cert other;
    toy_pair_open(&p, TOY_NAME);
    toy_cert_make(&other, TOY_NAME);
    tls_context_put(p.client_context);
    p.client_context = toy_client_context(other.ca_pem, false);
    toy_pair_connect(&p, TOY_NAME);
    assert_int_equal(toy_handshake(&p, SIZE_MAX), ERR_TLS_VERIFY);
    toy_cert_done(&other);
    toy_pair_close(&p);
}

static void skip_verify_takes_anything(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    tls_context_put(p.client_context);
    p.client_context = toy_client_context("", true);
    toy_pair_connect(&p, "whatever.test");
    assert_int_equal(toy_handshake(&p, SIZE_MAX), 0);
    toy_pair_close(&p);
}

static void contexts_that_cannot_work_say_why(void **state)
{
    (void)state;
    struct tls_context *c = NULL;
    const char *reason = NULL;
    struct tls_client_options o = {.ca_cert_pem = SLICE("no certificate")};
    assert_int_equal(tls_context_client_new(&o, &c, &reason), ERR_TLS);
    assert_non_null(reason);
    reason = NULL;
    assert_int_equal(tls_context_server_new("/nonexistent", "/nonexistent", &c, &reason), ERR_TLS);
    assert_non_null(reason);
    assert_null(c);
    setenv("SSL_CERT_FILE", "/nonexistent", 1);
    assert_null(tls_ca_bundle());
    o.ca_cert_pem = SLICE_EMPTY;
    reason = NULL;
    assert_int_equal(tls_context_client_new(&o, &c, &reason), ERR_TLS);
    assert_non_null(reason);
    setenv("SSL_CERT_FILE", "/etc/passwd", 1); // readable, no certificates
    assert_string_equal(tls_ca_bundle(), "/etc/passwd");
    assert_int_equal(tls_context_client_new(&o, &c, &reason), ERR_TLS);
    unsetenv("SSL_CERT_FILE");
}

static void expect_resumed(struct toy_pair *p, const char *name, bool resumed)
{
    toy_pair_connect(p, name);
    assert_int_equal(toy_handshake(p, SIZE_MAX), 0);
    assert_int_equal(tls_resumed(p->client), resumed);
}

static void tickets_are_used_once_each_per_name_and_context(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    expect_resumed(&p, TOY_NAME, false);
    toy_bring_tickets(&p); // two
    expect_resumed(&p, TOY_NAME, true);
    expect_resumed(&p, TOY_NAME ".", true); // the same name, rooted
    expect_resumed(&p, TOY_NAME, false);    // both are used up
    for (unsigned i = 0; i < 6; i++) {      // more than are kept
        toy_bring_tickets(&p);
        expect_resumed(&p, TOY_NAME, true);
    }
    tls_context_put(p.client_context);
    p.client_context = toy_client_context(p.cert.ca_pem, false);
    expect_resumed(&p, TOY_NAME, false); // tickets stay with their context
    toy_pair_close(&p);
}

static void a_ticket_is_for_its_name_only(void **state)
{
    (void)state;
    struct toy_pair p;
    toy_pair_open(&p, TOY_NAME);
    expect_resumed(&p, TOY_NAME, false);
    toy_bring_tickets(&p);
    toy_pair_connect(&p, "other.test");
    assert_int_equal(toy_handshake(&p, SIZE_MAX), ERR_TLS_VERIFY);
    toy_pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_signed_by_the_given_authority_is_trusted),
        cmocka_unit_test(another_name_is_not),
        cmocka_unit_test(an_address_is_verified_as_one),
        cmocka_unit_test(an_unknown_authority_is_refused),
        cmocka_unit_test(skip_verify_takes_anything),
        cmocka_unit_test(contexts_that_cannot_work_say_why),
        cmocka_unit_test(tickets_are_used_once_each_per_name_and_context),
        cmocka_unit_test(a_ticket_is_for_its_name_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
