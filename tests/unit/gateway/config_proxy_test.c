// SPDX-License-Identifier: Apache-2.0
//
// config_proxy_test.c: proxy_config becomes a part of origins, or an error at its place.
#include "base/container.h"
#include "base/err.h"
#include "gateway/config_build.h"
#include "net/upstream_internal.h"
#include "tests/support/config_support.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define KEYS "\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}]"

static void build(struct built *b, const char *proxy)
{
    char text[2048];
    snprintf(text, sizeof(text), "{\"providers\":{\"openai\":{" KEYS ",\"proxy_config\":%s}}}",
             proxy);
    built_text(b, text);
}

static const struct proxy *proxy_of(const struct built *b)
{
    if (b->err != 0)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&b->report.errors)));
    return b->config->providers[0].origin->proxy;
}

static void urls_of_proxies(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        enum proxy_type type;
        const char *host;
        unsigned port;
        const char *username, *password;
    } rows[] = {
        {"{\"type\":\"http\",\"url\":\"http://p.test:3128\"}", PROXY_HTTP, "p.test", 3128, "", ""},
        {"{\"type\":\"http\",\"url\":\"http://p.test/\"}", PROXY_HTTP, "p.test", 80, "", ""},
        {"{\"type\":\"http\",\"url\":\"https://p.test\"}", PROXY_HTTP, "p.test", 443, "", ""},
        {"{\"type\":\"http\",\"url\":\"https://u:p@[::1]:3129\"}", PROXY_HTTP, "::1", 3129, "u",
         "p"},
        {"{\"type\":\"http\",\"url\":\"p.test:3128\"}", PROXY_HTTP, "p.test", 3128, "", ""},
        {"{\"type\":\"socks5\",\"url\":\"socks5://p.test\"}", PROXY_SOCKS5, "p.test", 1080, "", ""},
        {"{\"type\":\"socks5\",\"url\":\"socks5h://[::1]:9\"}", PROXY_SOCKS5, "::1", 9, "", ""},
        {"{\"type\":\"socks5\",\"url\":\"[::1]\"}", PROXY_SOCKS5, "::1", 1080, "", ""},
        {"{\"type\":\"http\",\"url\":\"http://u%40x:p%3Aw@p.test:1\"}", PROXY_HTTP, "p.test", 1,
         "u@x", "p:w"},
        {"{\"type\":\"http\",\"url\":\"http://u@p.test:1\"}", PROXY_HTTP, "p.test", 1, "u", ""},
        {"{\"type\":\"http\",\"url\":\"http://u:p@p.test:1\",\"username\":\"v\"}", PROXY_HTTP,
         "p.test", 1, "v", ""},
        {"{\"type\":\"http\",\"url\":\"http://p.test:1\",\"username\":\"u\",\"password\":"
         "{\"env_var\":\"TEST_KEY\"}}",
         PROXY_HTTP, "p.test", 1, "u", "sk-test-secret"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        build(&b, rows[i].config);
        const struct proxy *p = proxy_of(&b);
        assert_non_null(p);
        assert_int_equal(p->type, rows[i].type);
        assert_int_equal(p->port, rows[i].port);
        assert_int_equal(p->tls != NULL, strstr(rows[i].config, "https://") != NULL);
        assert_true(slice_eq(p->host, slice_str(rows[i].host)));
        assert_true(slice_eq(p->username, slice_str(rows[i].username)));
        assert_true(slice_eq(p->password, slice_str(rows[i].password)));
        built_done(&b);
    }
}

static void no_proxy_at_all(void **state)
{
    (void)state;
    struct built b;
    build(&b, "{\"type\":\"none\",\"url\":\"http://p.test\"}");
    assert_null(proxy_of(&b));
    built_done(&b);
}

static void what_is_refused(void **state)
{
    (void)state;
#define AT    "providers.openai.proxy_config"
#define SHAPE AT ".url: expected a proxy such as http://host:port or socks5://host:port"
    static const char *const rows[][2] = {
        {"{\"type\":\"http\"}", AT ".url: missing; this type needs it"},
        {"{\"type\":\"http\",\"url\":\"\"}", SHAPE},
        {"{\"type\":\"http\",\"url\":\"ftp://p.test\"}", SHAPE},
        {"{\"type\":\"http\",\"url\":\"http://p.test/path\"}", SHAPE},
        {"{\"type\":\"http\",\"url\":\"http://:3128\"}", SHAPE},
        {"{\"type\":\"http\",\"url\":\"http://a b\"}", SHAPE},
        {"{\"type\":\"socks5\",\"url\":\"https://p.test:443\"}",
         AT ".url: the scheme belongs to another type of proxy"},
        {"{\"type\":\"http\",\"url\":\"https://p.test/path\"}", SHAPE},
        {"{\"type\":\"http\",\"url\":\"socks5://p.test\"}",
         AT ".url: the scheme belongs to another type of proxy"},
        {"{\"type\":\"socks5\",\"url\":\"http://p.test\"}",
         AT ".url: the scheme belongs to another type of proxy"},
        {"{\"type\":\"http\",\"url\":\"http://u%4@p.test\"}",
         AT ".url: the credentials hold a bad escape"},
        {"{\"type\":\"http\",\"url\":\"http://169.254.1.1:80\"}",
         AT ": a link-local or metadata address is never a proxy"},
        {"{\"type\":\"http\",\"url\":\"http://u%0d%0aX:p@p.test\"}",
         AT ": credentials no proxy can be given: too long, no user name, or with characters that "
            "are not allowed"},
        {"{\"type\":\"http\",\"url\":\"http://p.test\",\"password\":\"x\"}",
         AT ": credentials no proxy can be given: too long, no user name, or with characters that "
            "are not allowed"},
        {"{\"type\":\"http\",\"url\":\"env.NOT_SET\"}",
         AT ".url: environment variable NOT_SET is not set"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        build(&b, rows[i][0]);
        if (b.err != ERR_CONFIG || !built_error(&b, rows[i][1]))
            fail_msg("%s: %.*s", rows[i][0], SLICE_ARG(buf_slice(&b.report.errors)));
        built_done(&b);
    }
}

static const char *with_proxies(const char *name)
{
    if (strcmp(name, "HTTPS_PROXY") == 0)
        return "http://u:p@secure.test:3128";
    if (strcmp(name, "HTTP_PROXY") == 0)
        return "socks5://plain.test";
    return strcmp(name, "NO_PROXY") == 0 ? "api.groq.com" : NULL;
}

static const char *with_nonsense(const char *name)
{
    return strcmp(name, "HTTPS_PROXY") == 0 ? "ftp://p.test" : NULL;
}

static void each_origin_asks_the_environment(void **state)
{
    (void)state;
    static const char text[] =
        "{\"providers\":{\"openai\":{" KEYS ",\"proxy_config\":{\"type\":\"environment\"}},"
        "\"groq\":{" KEYS ",\"proxy_config\":{\"type\":\"environment\"}},"
        "\"xai\":{" KEYS ",\"network_config\":{\"base_url\":\"http://x.test\"},"
        "\"proxy_config\":{\"type\":\"environment\"}},"
        "\"mistral\":{" KEYS "}}}";
    struct config_source source = {.environment = with_proxies};
    struct limiters limiters = {.count = 0};
    struct config_report report;
    struct config *c = NULL;
    config_report_init(&report);
    assert_int_equal(config_build_text(slice_str(text), &source, &limiters, &report, &c), 0);
    const struct proxy *p = c->providers[0].origin->proxy;
    assert_true(p && p->type == PROXY_HTTP && slice_eq(p->host, SLICE("secure.test")));
    assert_true(slice_eq(p->username, SLICE("u")) && p->port == 3128);
    assert_null(c->providers[1].origin->proxy); // NO_PROXY
    p = c->providers[2].origin->proxy;
    assert_true(p && p->type == PROXY_SOCKS5 && slice_eq(p->host, SLICE("plain.test")));
    assert_null(c->providers[3].origin->proxy); // did not ask
    config_free(c);
    source.environment = with_nonsense;
    c = NULL;
    assert_int_equal(config_build_text(slice_str(text), &source, &limiters, &report, &c),
                     ERR_CONFIG);
    assert_true(slice_find(buf_slice(&report.errors),
                           SLICE("its proxy is in HTTPS_PROXY: expected a proxy such as")) >= 0);
    config_report_done(&report);
}

static void private_networks_when_false_is_written(void **state)
{
    (void)state;
    static const struct {
        const char *network;
        bool refuse;
    } rows[] = {{"{}", false},
                {"{\"allow_private_network\":true}", false},
                {"{\"allow_private_network\":false}", true}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        struct built b;
        snprintf(text, sizeof(text),
                 "{\"providers\":{\"openai\":{" KEYS ",\"network_config\":%s}}}", rows[i].network);
        built_text(&b, text);
        assert_int_equal(b.err, 0);
        assert_int_equal(b.config->providers[0].origin->refuse_private, rows[i].refuse);
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_of_proxies),
        cmocka_unit_test(no_proxy_at_all),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(each_origin_asks_the_environment),
        cmocka_unit_test(private_networks_when_false_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
