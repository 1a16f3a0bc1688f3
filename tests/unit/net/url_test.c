// SPDX-License-Identifier: Apache-2.0
//
// Base URLs as configuration writes them: what is read, and what is refused.
#include "base/err.h"
#include "net/upstream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct row {
    const char *text;
    bool tls;
    const char *host;
    unsigned port;
    const char *path;
};

static const struct row good[] = {
    {"https://api.openai.com", true, "api.openai.com", 443, ""},
    {"https://api.openai.com/", true, "api.openai.com", 443, ""},
    {"https://api.openai.com/v1", true, "api.openai.com", 443, "/v1"},
    {"https://api.openai.com/v1/", true, "api.openai.com", 443, "/v1"},
    {"HTTP://Localhost:8080/a/b//", false, "Localhost", 8080, "/a/b"},
    {"http://[::1]:65535", false, "::1", 65535, ""},
    {"https://[2001:db8::7]/x", true, "2001:db8::7", 443, "/x"},
    {"http://10.0.0.1:1", false, "10.0.0.1", 1, ""},
    {"http://my_host-1.internal", false, "my_host-1.internal", 80, ""},
};

static const char *const bad[] = {
    "",
    "api.openai.com",
    "ftp://host",
    "https://",
    "https:///path",
    "https://host:",
    "https://host:0",
    "https://host:65536",
    "https://host:18446744073709551617",
    "https://host:44x",
    "https://host:-1",
    "https://user@host",
    "https://user:pass@host",
    "https://host?query",
    "https://host/path?query",
    "https://host/path#part",
    "https://host/a b",
    "https://host/a\r\nb",
    "https://ho st",
    "https://[::1",
    "https://[]",
    "https://[::1]x",
    "https://[host]",
    "https://host\\@evil",
    "https://host/\\evil",
};

static void url_reads_what_it_should(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct row *r = &good[i];
        struct url url;
        assert_int_equal(url_parse(slice_str(r->text), &url), 0);
        assert_int_equal(url.tls, r->tls);
        assert_int_equal(url.port, r->port);
        assert_true(slice_eq(url.host, slice_str(r->host)));
        assert_true(slice_eq(url.path, slice_str(r->path)));
    }
}

static void url_refuses_the_rest_and_sets_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct url url = {.port = 99};
        assert_int_equal(url_parse(slice_str(bad[i]), &url), ERR_CONFIG);
        assert_int_equal(url.port, 99);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_reads_what_it_should),
        cmocka_unit_test(url_refuses_the_rest_and_sets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
