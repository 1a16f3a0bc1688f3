// SPDX-License-Identifier: Apache-2.0
//
// config_listener_test.c: server.tls: members, files, and what is said about them.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include "tests/support/toy_cert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// Builds {"server":{"tls":…}}; `format` has two %s for a certificate's path and its key's.
static void build(struct built *b, const struct toy_cert *c, const char *format)
{
    char tls[8192], text[8400];
    int n = snprintf(tls, sizeof(tls), format, c->cert_file, c->key_file);
    assert_true(n > 0 && (size_t)n < sizeof(tls));
    snprintf(text, sizeof(text), "{\"server\":{\"tls\":%s}}", tls);
    built_text(b, text);
}

#define PAIR "\"cert_file\":\"%s\",\"key_file\":\"%s\""

static void absent_means_plain(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{\"server\":{}}", "{\"server\":{\"tls\":null}}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct built b;
        built_text(&b, texts[i]);
        assert_int_equal(b.err, 0);
        assert_null(b.config->tls);
        built_done(&b);
    }
}

static void members_are_taken(void **state)
{
    (void)state;
    struct toy_cert c;
    struct built b;
    toy_cert_make(&c, "a.test");
    build(&b, &c, "{" PAIR "}");
    assert_int_equal(b.err, 0);
    const struct config_listener *l = b.config->tls;
    assert_non_null(l->context);
    assert_false(l->only_1_3 || l->plain || l->listed);
    assert_int_equal(l->client_auth, TLS_CLIENT_NONE);
    assert_int_equal(l->count, 1);
    assert_true(slice_eq(l->certificates[0].cert, slice_str(c.cert_file)));
    assert_true(slice_eq(l->certificates[0].key, slice_str(c.key_file)));
    built_done(&b);
    // The certificate is its own authority here: any certificate in PEM will do.
    char file[64], format[512];
    snprintf(file, sizeof(file), "%s", c.cert_file);
    snprintf(format, sizeof(format),
             "{\"certificates\":[{" PAIR "}],\"min_version\":\"1.3\",\"client_auth\":\"require\","
             "\"client_ca_file\":\"%s\",\"plain_port\":8081}",
             "%s", "%s", file);
    build(&b, &c, format);
    assert_int_equal(b.err, 0);
    l = b.config->tls;
    assert_true(l->only_1_3 && l->plain && l->listed);
    assert_int_equal(l->plain_port, 8081);
    assert_int_equal(l->client_auth, TLS_CLIENT_REQUIRE);
    built_done(&b);
    build(&b, &c,
          "{" PAIR ",\"plain_port\":0,\"client_auth\":\"request\",\"client_ca_file\":"
          "{\"env_var\":\"TEST_EMPTY\"}}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(
        built_error(&b, "server.tls.client_ca_file: environment variable TEST_EMPTY is not set"));
    built_done(&b);
    toy_cert_done(&c);
}

static void mistakes_are_named_at_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *tls, *line;
    } cases[] = {
        {"{}", "server.tls.cert_file: missing"},
        {"{\"cert_file\":\"%s\"}", "server.tls.key_file: missing"},
        {"{" PAIR ",\"certificates\":[]}",
         "server.tls.certificates: beside cert_file and key_file: give one or the other"},
        {"{\"certificates\":[]}", "server.tls.certificates: expected 1 to 256 certificates"},
        {"{\"certificates\":[{" PAIR "},{\"cert_file\":\"/nonexistent\"}]}",
         "server.tls.certificates[1].key_file: missing"},
        {"{\"certificates\":[{" PAIR "},{\"cert_file\":\"/nonexistent\",\"key_file\":\"/dev/null\"}"
         "]}",
         "server.tls.certificates[1].cert_file: cannot be read: No such file or directory"},
        {"{\"cert_file\":\"%s\",\"key_file\":\"/dev/null\"}",
         "server.tls.key_file: holds no private key in PEM, or one under a password"},
        {"{\"cert_file\":\"/dev/null\",\"key_file\":\"/dev/null\"}",
         "server.tls.cert_file: holds no certificate in PEM"},
        {"{" PAIR ",\"client_auth\":\"require\"}", "server.tls.client_ca_file: missing"},
        {"{" PAIR ",\"client_auth\":\"require\",\"client_ca_file\":\"/dev/null\"}",
         "server.tls.client_ca_file: holds no certificate in PEM, or something beside it"},
        {"{" PAIR ",\"client_ca_file\":\"/dev/null\"}",
         "server.tls.client_ca_file: means nothing while client_auth is \"none\""},
        {"{" PAIR ",\"min_version\":\"1.1\"}",
         "server.tls.min_version: expected one of \"1.2\", \"1.3\""},
        {"{" PAIR ",\"plain_port\":65536}",
         "server.tls.plain_port: expected an integer from 0 to 65535"},
        {"{" PAIR ",\"cert_flie\":1}",
         "server.tls.cert_flie: unknown member (did you mean \"cert_file\"?)"},
    };
    struct toy_cert c;
    toy_cert_make(&c, "a.test");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct built b;
        build(&b, &c, cases[i].tls);
        assert_int_equal(b.err, ERR_CONFIG);
        if (!built_error(&b, cases[i].line))
            fail_msg("%s\nsays\n%.*s", cases[i].tls, SLICE_ARG(buf_slice(&b.report.errors)));
        built_done(&b);
    }
    toy_cert_done(&c);
}

// Text in the place of a path; what is wrong with it is said without a word of it.
static void a_member_may_be_the_text_itself(void **state)
{
    (void)state;
    struct toy_cert c, other;
    struct config_report report;
    struct tls_context *context = NULL;
    toy_cert_make(&c, "a.test");
    toy_cert_make(&other, "b.test");
    struct config_certificate pair = {slice_str(c.cert_pem), slice_str(c.key_pem)};
    struct config_listener l = {.certificates = &pair, .count = 1};
    config_report_init(&report);
    assert_int_equal(config_listener_context(&l, &report, &context), 0);
    tls_context_put(context);
    pair.key = slice_str(other.key_pem);
    assert_int_equal(config_listener_context(&l, &report, &context), ERR_CONFIG);
    assert_true(slice_eq(buf_slice(&report.errors),
                         SLICE("config.json: server.tls.key_file: does not belong to the "
                               "certificate\n")));
    config_report_done(&report);
    toy_cert_done(&c);
    toy_cert_done(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_means_plain),
        cmocka_unit_test(members_are_taken),
        cmocka_unit_test(mistakes_are_named_at_their_place),
        cmocka_unit_test(a_member_may_be_the_text_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
