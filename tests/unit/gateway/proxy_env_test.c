// SPDX-License-Identifier: Apache-2.0
//
// The environment's proxies, after the rules of golang.org/x/net/http/httpproxy.
#include "gateway/proxy_env.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void no_proxy(void **state)
{
    (void)state;
    static const struct {
        const char *no_proxy, *host;
        unsigned port;
        bool direct;
    } rows[] = {
        {"", "example.com", 443, false},
        {"", "localhost", 443, true},
        {"", "LOCALHOST", 443, true},
        {"", "localhost.example.com", 443, false},
        {"", "127.0.0.1", 80, true},
        {"", "127.2.3.4", 80, true},
        {"", "::1", 80, true},
        {"", "10.0.0.1", 80, false},
        {"*", "example.com", 443, true},
        {"a.com, * ,b.com", "10.0.0.1", 443, true},
        {"example.com", "example.com", 443, true},
        {"example.com", "EXAMPLE.com", 443, true},
        {"Example.COM", "www.example.com", 443, true},
        {"example.com", "notexample.com", 443, false},
        {"example.com", "example.com.evil.test", 443, false},
        {".example.com", "example.com", 443, false},
        {".example.com", "www.example.com", 443, true},
        {"*.example.com", "www.example.com", 443, true},
        {"*.example.com", "example.com", 443, false},
        {"example.com:443", "example.com", 443, true},
        {"example.com:443", "example.com", 80, false},
        {"example.com:443", "a.example.com", 443, true},
        {":443", "example.com", 443, false}, // a port without a host
        {"10.1.2.3", "10.1.2.3", 80, true},
        {"10.1.2.3", "10.1.2.4", 80, false},
        {"10.1.2.3:80", "10.1.2.3", 80, true},
        {"10.1.2.3:80", "10.1.2.3", 81, false},
        {"10.0.0.0/8", "10.9.9.9", 80, true},
        {"10.0.0.0/8", "11.0.0.1", 80, false},
        {"10.0.0.0/8", "ten.example.com", 80, false}, // not resolved
        {"2001:db8::/32", "2001:db8::5", 80, true},
        {"2001:db8::5", "2001:db8::5", 80, true},
        {"[2001:db8::5]:80", "2001:db8::5", 80, true},
        {"[2001:db8::5]:80", "2001:db8::5", 81, false},
        {"[2001:db8::5]", "2001:db8::5", 81, true},
        {" , ,,example.com , ", "example.com", 1, true},
        {"example.com other.com", "example.com", 1, false}, // spaces separate nothing
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool direct =
            proxy_env_is_direct(slice_str(rows[i].no_proxy), slice_str(rows[i].host), rows[i].port);
        if (direct != rows[i].direct)
            fail_msg("%s:%u with \"%s\"", rows[i].host, rows[i].port, rows[i].no_proxy);
    }
}

// ---- Variables ---------------------------------------------------------------------------------

static const char *const (*set)[2]; // pairs, ended by NULL

static const char *look_up(const char *name)
{
    for (size_t i = 0; set[i][0] != NULL; i++) {
        if (strcmp(set[i][0], name) == 0)
            return set[i][1];
    }
    return NULL;
}

static void assert_found(bool tls, const char *host, const char *expected)
{
    struct proxy_env found = proxy_env_find(look_up, tls, slice_str(host), tls ? 443 : 80);
    if (!slice_eq(found.proxy, slice_str(expected)))
        fail_msg("%s %s: %.*s", tls ? "https" : "http", host, SLICE_ARG(found.proxy));
}

static void each_scheme_has_its_own(void **state)
{
    (void)state;
    static const char *const both[][2] = {
        {"HTTP_PROXY", "http://a"}, {"HTTPS_PROXY", "http://b"}, {"NO_PROXY", "in.test"}, {NULL}};
    set = both;
    assert_found(false, "example.com", "http://a");
    assert_found(true, "example.com", "http://b");
    assert_found(true, "in.test", "");
    assert_found(false, "localhost", "");
    static const char *const one[][2] = {{"HTTP_PROXY", "http://a"}, {NULL}};
    set = one;
    assert_found(true, "example.com", ""); // http's is not https'
}

static void lower_case_and_all(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"HTTP_PROXY", ""},
                                          {"http_proxy", "http://low"},
                                          {"ALL_PROXY", "socks5://all"},
                                          {"no_proxy", "in.test"},
                                          {NULL}};
    set = rows;
    assert_found(false, "example.com", "http://low");
    assert_found(true, "example.com", "socks5://all");
    assert_found(true, "in.test", "");
    assert_string_equal(proxy_env_find(look_up, true, SLICE("example.com"), 443).variable,
                        "ALL_PROXY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_proxy),
        cmocka_unit_test(each_scheme_has_its_own),
        cmocka_unit_test(lower_case_and_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
