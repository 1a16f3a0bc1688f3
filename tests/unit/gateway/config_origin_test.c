// SPDX-License-Identifier: Apache-2.0
//
// config_origin_test.c: URLs become origins; contexts are shared; some addresses are refused.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include "gateway/config_build.h"
#include "net/limits.h"
#include "net/upstream_internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define KEYS                 "\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}]"
#define PLACE(name, members) "\"" name "\":{" KEYS ",\"network_config\":{" members "}}"

// A certificate as JSON text holds it.
#define PEM                                                                                        \
    "-----BEGIN CERTIFICATE-----\\n"                                                               \
    "MIIDATCCAemgAwIBAgIUUR4+McXFG5lcrImvCimwYxJiXvYwDQYJKoZIhvcNAQEL\\n"                          \
    "BQAwDzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjAxMjM0MjlaGA8yMTI2MTAyNzEy\\n"                          \
    "MzQyOVowDzENMAsGA1UEAwwEdGVzdDCCASIwDQYJKoZIhvcNAQEBBQADggEPADCC\\n"                          \
    "AQoCggEBALTcc4unHPwatcmhbmNR1IqQoh1X3TMfXWMY0MqWTLwCYaECdMRW9FG1\\n"                          \
    "iAETiK18ZFn54UwC9apprBvPu98/etUtplsvQWqqAzLKqrJYg8uJo3r2vJMMBX+S\\n"                          \
    "JlkkLgGlDiNUc5GW0aWFng8mbOtu2dcQf2YK6p9/Z3rLK5MFEqQQI7QCJWzFkKro\\n"                          \
    "oRSESp4U2pfoOZQfSgCIqkZv/zW5Idp8GfLDTxI4npixc/U3KqOqYWK6rx7mC2kF\\n"                          \
    "br+x3ZyfAuMCLOYvw/0IgMpoZJ53CLjZzBogl3p8KND2HDDMtUrgynQsn4nlA4l2\\n"                          \
    "WhBee77g7ncyJL/J7DPCywaBHlmOfCECAwEAAaNTMFEwHQYDVR0OBBYEFMWxwHau\\n"                          \
    "PYvQgKT8N32m7MJjcTQTMB8GA1UdIwQYMBaAFMWxwHauPYvQgKT8N32m7MJjcTQT\\n"                          \
    "MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADggEBABjH2NzoJjq2nZXK\\n"                          \
    "xYqHgB4ZmisUj2pYKPuPfttQQL4xus9U5XUoC3Z+AxjWkjro7OBr9r94gzficsRY\\n"                          \
    "J0T37qhNp17LxeG7W6NL9uK7u96dOFj1mxvWC2lfmXFaqZsd/BXT/0R1hCEyGtes\\n"                          \
    "heAmMTdwQRhBQhP5MWs/odJQWiqxtGk966ShLbxlulhgQSckBgdkypkqfutRWgLu\\n"                          \
    "Mbog5JpIPPTK5PVJ9RyD13wzeI2S1isANYsutz11pKy+pRctlvZsBB/7HyDGqcNg\\n"                          \
    "I38wytsmocY7HVmu/5gX+eFOUaKrJZbOqyv/r7ZjMHWVkE8Nj0OAxElLnq2YvO+K\\n"                          \
    "GMUxCzk=\\n"                                                                                  \
    "-----END CERTIFICATE-----\\n"

static void build_url(struct built *b, const char *url)
{
    char text[512];
    snprintf(text, sizeof(text), "{\"providers\":{" PLACE("openai", "\"base_url\":\"%s\"") "}}",
             url);
    built_text(b, text);
}

static void bad_urls_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "api.openai.com",  "ftp://h",       "https://",      "https://h:0",
        "https://h:70000", "https://u:p@h", "https://h/a?b", "https://h/a#b",
        "https://h/a b",   "//h",           "https://h:x",   "https:// h",
    };
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct built b;
        build_url(&b, urls[i]);
        if (b.err != ERR_CONFIG)
            fail_msg("accepted: %s", urls[i]);
        assert_true(built_error(&b,
                                "providers.openai.network_config.base_url: expected a URL such as "
                                "https://host:port/path"));
        built_done(&b);
    }
}

static void some_addresses_are_never_a_provider(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "http://169.254.169.254/latest",
        "http://169.254.0.1",
        "http://[fe80::1]",
        "http://[febf::1]:80",
        "http://[::ffff:169.254.169.254]",
        "http://[fd00:ec2::254]",
        "http://100.100.100.200",
        "http://0xa9fea9fe",
        "http://2852039166",
        "http://169.254.43518",
    };
    static const char *const fine[] = {
        "http://127.0.0.1",
        "http://10.0.0.1",
        "http://[::1]",
        "http://192.168.1.1",
        "http://169.253.1.1",
        "http://[fd00::1]",
        "http://host-169.254.169.254.example",
    };
    struct built b;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        build_url(&b, refused[i]);
        if (b.err != ERR_CONFIG)
            fail_msg("accepted: %s", refused[i]);
        built_done(&b);
    }
    build_url(&b, refused[0]);
    assert_true(built_error(&b,
                            "providers.openai.network_config.base_url: a link-local or metadata "
                            "address is never a provider"));
    built_done(&b);
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        build_url(&b, fine[i]);
        if (b.err != 0)
            fail_msg("refused: %s", fine[i]);
        built_done(&b);
    }
}

static void equal_settings_share_a_context(void **state)
{
    (void)state;
    struct built b;
    built_text(&b,
               "{\"providers\":{\"openai\":{" KEYS "},\"groq\":{" KEYS
               "}," PLACE("xai", "\"insecure_skip_verify\":true") "," PLACE(
                   "nebius",
                   "\"insecure_skip_verify\":true") "," PLACE("mistral",
                                                              "\"ca_cert_pem\":\"" PEM
                                                              "\"") "," PLACE("cerebras",
                                                                              "\"base_url\":\"http:"
                                                                              "//h\"") "}}");
    if (b.err != 0)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&b.report.errors)));
    const struct origin *o[6];
    for (unsigned i = 0; i < 6; i++)
        o[i] = b.config->providers[i].origin;
    assert_non_null(o[0]->tls);
    assert_ptr_equal(o[0]->tls, o[1]->tls);
    assert_ptr_equal(o[2]->tls, o[3]->tls);
    assert_ptr_not_equal(o[0]->tls, o[2]->tls);
    assert_ptr_not_equal(o[4]->tls, o[0]->tls);
    assert_ptr_not_equal(o[4]->tls, o[2]->tls);
    assert_null(o[5]->tls);
    // and the key tells their connections apart
    assert_true(slice_ifind(o[2]->key, SLICE("insecure")) >= 0);
    assert_true(slice_ifind(o[0]->key, SLICE("insecure")) < 0);
    assert_true(o[4]->key.len > 64);
    assert_true(built_warning(&b,
                              "providers.xai.network_config.insecure_skip_verify: this provider's "
                              "certificate is not verified"));
    built_done(&b);
}

static void certificates_are_read_and_exclude_blindness(void **state)
{
    (void)state;
    struct built b;
    built_text(&b,
               "{\"providers\":{" PLACE("openai", "\"ca_cert_pem\":\"not a certificate\"") "}}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_int_equal(built_lines(&b.report.errors), 1);
    built_done(&b);
    built_text(&b, "{\"providers\":{" PLACE("openai", "\"ca_cert_pem\":\"" PEM
                                                      "\",\"insecure_skip_verify\":true") "}}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(built_error(&b, "providers.openai.network_config.ca_cert_pem: excludes "
                                "insecure_skip_verify"));
    built_done(&b);
}

static void limits_reach_the_origin(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{" PLACE("openai",
                                            "\"max_conns_per_host\":3,"
                                            "\"keep_alive_timeout_in_seconds\":4,\"default_request_"
                                            "timeout_in_seconds\":2") ","
                                                                      "\"groq\":{" KEYS "}}}");
    const struct origin *o = b.config->providers[0].origin;
    assert_int_equal(o->conns_max, 3);
    assert_int_equal(o->idle_ms, 4000);
    assert_int_equal(o->connect_ms, 2000);
    assert_int_equal(o->age_ms, LIMIT_UPSTREAM_AGE_MS);
    o = b.config->providers[1].origin;
    assert_int_equal(o->conns_max, 5000);
    assert_int_equal(o->idle_ms, 30000);
    assert_int_equal(o->connect_ms, LIMIT_CONNECT_MS);
    assert_int_equal(o->idle_max, LIMIT_UPSTREAM_IDLE);
    built_done(&b);
}

// enforce_http2 wins; in clear text there is nothing to choose by.
static void versions_reach_the_origin(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum origin_http secure, plain;
    } rows[] = {
        {"\"max_retries\":0", ORIGIN_HTTP1, ORIGIN_HTTP1},
        {"\"enforce_http2\":false,\"offer_http2\":false", ORIGIN_HTTP1, ORIGIN_HTTP1},
        {"\"offer_http2\":true", ORIGIN_HTTP_ANY, ORIGIN_HTTP1},
        {"\"enforce_http2\":true", ORIGIN_HTTP2, ORIGIN_HTTP2},
        {"\"enforce_http2\":true,\"offer_http2\":true", ORIGIN_HTTP2, ORIGIN_HTTP2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned plain = 0; plain < 2; plain++) {
            struct built b;
            char text[512];
            snprintf(text, sizeof(text),
                     "{\"providers\":{\"openai\":{" KEYS
                     ",\"network_config\":{%s,\"base_url\":\"%s://h\"}}}}",
                     rows[i].text, plain ? "http" : "https");
            built_text(&b, text);
            assert_int_equal(b.err, 0);
            assert_int_equal(b.config->providers[0].origin->http,
                             plain ? rows[i].plain : rows[i].secure);
            built_done(&b);
        }
    }
}

static void a_trailing_v1_goes(void **state)
{
    (void)state;
    assert_int_equal(config__without_v1(SLICE("/v1")).len, 0);
    assert_int_equal(config__without_v1(SLICE("/a/v1")).len, 2);
    assert_int_equal(config__without_v1(SLICE("v1")).len, 2);
    assert_int_equal(config__without_v1(SLICE("")).len, 0);
    assert_int_equal(config__without_v1(SLICE("/v1/a")).len, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_urls_are_refused),
        cmocka_unit_test(some_addresses_are_never_a_provider),
        cmocka_unit_test(equal_settings_share_a_context),
        cmocka_unit_test(certificates_are_read_and_exclude_blindness),
        cmocka_unit_test(limits_reach_the_origin),
        cmocka_unit_test(versions_reach_the_origin),
        cmocka_unit_test(a_trailing_v1_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
