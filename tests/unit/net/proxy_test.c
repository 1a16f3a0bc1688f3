// SPDX-License-Identifier: Apache-2.0
//
// What is said to a proxy and what its answers mean: RFC 9110 9.3.6, RFC 1928, RFC 1929.
#include "net/proxy.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct proxy *make(enum proxy_type type, const char *user, const char *password)
{
    struct proxy_options o = {.type = type,
                              .host = SLICE("proxy"),
                              .port = 3128,
                              .username = slice_str(user),
                              .password = slice_str(password)};
    struct proxy *p = NULL;
    assert_int_equal(proxy_new(&o, &p), 0);
    return p;
}

static void assert_says(const struct proxy_talk *t, struct slice expected)
{
    struct slice out = proxy_talk_output(t);
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.ptr, expected.ptr, expected.len);
}

static int hear(struct proxy_talk *t, struct slice s)
{
    proxy_talk_sent(t);
    memcpy(t->in + t->in_len, s.ptr, s.len);
    return proxy_talk_take(t, s.len);
}

static void connect_names_the_provider(void **state)
{
    (void)state;
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_HTTP, "", ""), *known = make(PROXY_HTTP, "Aladdin", "open sesame");
    proxy_talk_begin(t, p, SLICE("api.openai.com"), 443);
    assert_says(t,
                SLICE("CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n"));
    proxy_talk_begin(t, p, SLICE("2001:db8::1"), 8443);
    assert_says(t,
                SLICE("CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n\r\n"));
    proxy_talk_begin(t, known, SLICE("a"), 1); // RFC 7617's example, with another password's length
    assert_says(t, SLICE("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n"
                         "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"));
    proxy_put(p);
    proxy_put(known);
    free(t);
}

static void answers_to_connect(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        int rc;
    } rows[] = {
        {"HTTP/1.1 200 Connection established\r\n\r\n", 0},
        {"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n", 0},
        {"HTTP/1.1 204\r\n\r\n", 0},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 0}, // to be ignored
        {"HTTP/1.1 200 OK\r\n\r\nx", ERR_PROXY_PROTOCOL},
        {"HTTP/1.1 407 Who are you\r\nContent-Length: 5\r\n\r\nhello", ERR_PROXY_AUTH},
        {"HTTP/1.1 403 No\r\n\r\n", ERR_PROXY_REFUSED},
        {"HTTP/1.1 302 Elsewhere\r\nLocation: http://evil\r\n\r\n", ERR_PROXY_REFUSED},
        {"HTTP/1.1 502 Bad\r\n\r\n", ERR_PROXY_UNREACHABLE},
        {"HTTP/1.1 503 Full\r\n\r\n", ERR_PROXY_UNREACHABLE},
        {"HTTP/1.1 100 Continue\r\n\r\n", ERR_PROXY_PROTOCOL},
        {"HTTP/1.1 2000 OK\r\n\r\n", ERR_PROXY_PROTOCOL},
        {"HTTP/1.1 20\r\n\r\n", ERR_PROXY_PROTOCOL},
        {"HTTP/2 200 OK\r\n\r\n", ERR_PROXY_PROTOCOL},
        {"SSH-2.0", ERR_PROXY_PROTOCOL}, // at its first byte
        {"HTTP/1.1 200 OK\r\n", ERR_MORE},
        {"HTT", ERR_MORE},
        {"", ERR_MORE},
    };
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_HTTP, "", "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        proxy_talk_begin(t, p, SLICE("a"), 443);
        int rc = hear(t, slice_str(rows[i].answer));
        if (rc != rows[i].rc)
            fail_msg("%s gives %s", rows[i].answer, err_name(rc));
    }
    // The same, byte by byte.
    proxy_talk_begin(t, p, SLICE("a"), 443);
    struct slice answer = slice_str(rows[0].answer);
    for (size_t i = 0; i + 1 < answer.len; i++)
        assert_int_equal(hear(t, slice_of(answer.ptr + i, 1)), ERR_MORE);
    assert_int_equal(hear(t, slice_of(answer.ptr + answer.len - 1, 1)), 0);
    proxy_put(p);
    free(t);
}

static void a_head_that_never_ends(void **state)
{
    (void)state;
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_HTTP, "", "");
    proxy_talk_begin(t, p, SLICE("a"), 443);
    proxy_talk_sent(t);
    memset(t->in, 'x', sizeof(t->in));
    memcpy(t->in, "HTTP/1.1 200 OK\r\n", 17);
    assert_int_equal(proxy_talk_take(t, sizeof(t->in)), ERR_PROXY_PROTOCOL);
    proxy_put(p);
    free(t);
}

static void socks_without_a_name(void **state)
{
    (void)state;
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_SOCKS5, "", "");
    proxy_talk_begin(t, p, SLICE("a.test"), 0x1234);
    assert_says(t, SLICE("\x05\x01\x00"));
    assert_int_equal(hear(t, SLICE("\x05\x00")), ERR_MORE);
    assert_says(t, SLICE("\x05\x01\x00\x03\x06"
                         "a.test\x12\x34")); // the proxy resolves
    assert_int_equal(hear(t, SLICE("\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38")), 0);
    proxy_talk_begin(t, p, SLICE("10.0.0.1"), 80);
    assert_int_equal(hear(t, SLICE("\x05\x00")), ERR_MORE);
    assert_says(t, SLICE("\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"));
    assert_int_equal(hear(t, SLICE("\x05\x00\x00\x03\x02hi\x04\x38")), 0);
    proxy_talk_begin(t, p, SLICE("::1"), 80);
    assert_int_equal(hear(t, SLICE("\x05\x00")), ERR_MORE);
    assert_says(t, SLICE("\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"));
    assert_int_equal(hear(t, SLICE("\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00")),
                     ERR_MORE);
    assert_int_equal(hear(t, SLICE("\x50")), 0);
    proxy_put(p);
    free(t);
}

static void socks_with_a_name(void **state)
{
    (void)state;
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_SOCKS5, "user", "pass!");
    proxy_talk_begin(t, p, SLICE("a"), 80);
    assert_says(t, SLICE("\x05\x02\x00\x02"));
    assert_int_equal(hear(t, SLICE("\x05\x02")), ERR_MORE);
    assert_says(t, SLICE("\x01\x04user\x05pass!"));
    assert_int_equal(hear(t, SLICE("\x01\x00")), ERR_MORE);
    assert_says(t, SLICE("\x05\x01\x00\x03\x01"
                         "a\x00\x50"));
    proxy_talk_begin(t, p, SLICE("a"), 80);
    assert_int_equal(hear(t, SLICE("\x05\x02")), ERR_MORE);
    assert_int_equal(hear(t, SLICE("\x01\x01")), ERR_PROXY_AUTH);
    proxy_talk_begin(t, p, SLICE("a"), 80); // it does not want to know
    assert_int_equal(hear(t, SLICE("\x05\x00")), ERR_MORE);
    assert_says(t, SLICE("\x05\x01\x00\x03\x01"
                         "a\x00\x50"));
    proxy_put(p);
    free(t);
}

static void socks_refusals(void **state)
{
    (void)state;
    static const struct {
        struct slice first, second; // after the methods; after the request
        int rc;
    } rows[] = {
        {SLICE("\x04\x00"), {0}, ERR_PROXY_PROTOCOL},
        {SLICE("HTTP"), {0}, ERR_PROXY_PROTOCOL},
        {SLICE("\x05\xff"), {0}, ERR_PROXY_AUTH},
        {SLICE("\x05\x02"), {0}, ERR_PROXY_PROTOCOL}, // was not offered
        {SLICE("\x05\x01"), {0}, ERR_PROXY_PROTOCOL},
        {SLICE("\x05\x00\x05"), {0}, ERR_PROXY_PROTOCOL}, // speaks unasked
        {SLICE("\x05\x00"), SLICE("\x05\x01"), ERR_PROXY_UNREACHABLE},
        {SLICE("\x05\x00"), SLICE("\x05\x02"), ERR_PROXY_REFUSED},
        {SLICE("\x05\x00"), SLICE("\x05\x03"), ERR_PROXY_UNREACHABLE},
        {SLICE("\x05\x00"), SLICE("\x05\x04"), ERR_PROXY_UNREACHABLE},
        {SLICE("\x05\x00"), SLICE("\x05\x05"), ERR_PROXY_UNREACHABLE},
        {SLICE("\x05\x00"), SLICE("\x05\x06"), ERR_PROXY_UNREACHABLE},
        {SLICE("\x05\x00"), SLICE("\x05\x07"), ERR_PROXY_REFUSED},
        {SLICE("\x05\x00"), SLICE("\x05\x08"), ERR_PROXY_REFUSED},
        {SLICE("\x05\x00"), SLICE("\x05\x09"), ERR_PROXY_PROTOCOL},
        {SLICE("\x05\x00"), SLICE("\x04\x00\x00\x01\0\0\0\0\0\0"), ERR_PROXY_PROTOCOL},
        {SLICE("\x05\x00"), SLICE("\x05\x00\x00\x02\0\0\0\0\0\0"), ERR_PROXY_PROTOCOL},
        {SLICE("\x05\x00"), SLICE("\x05\x00\x00\x01\0\0\0\0\0\0x"), ERR_PROXY_PROTOCOL},
    };
    struct proxy_talk *t = malloc(sizeof(*t));
    struct proxy *p = make(PROXY_SOCKS5, "", "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        proxy_talk_begin(t, p, SLICE("a"), 80);
        int rc = hear(t, rows[i].first);
        if (rc == ERR_MORE && rows[i].second.len > 0)
            rc = hear(t, rows[i].second);
        if (rc != rows[i].rc)
            fail_msg("row %zu gives %s", i, err_name(rc));
    }
    proxy_put(p);
    free(t);
}

static void identities_differ_and_show_nothing(void **state)
{
    (void)state;
    struct proxy *a = make(PROXY_HTTP, "u", "secret"), *b = make(PROXY_HTTP, "u", "secret"),
                 *c = make(PROXY_HTTP, "u", "secreu"), *d = make(PROXY_SOCKS5, "u", "secret"),
                 *e = make(PROXY_HTTP, "us", "ecret");
    assert_true(slice_eq(a->identity, b->identity));
    assert_false(slice_eq(a->identity, c->identity));
    assert_false(slice_eq(a->identity, d->identity));
    assert_false(slice_eq(a->identity, e->identity));
    assert_true(slice_find(a->identity, SLICE("secret")) < 0);
    struct proxy *all[] = {a, b, c, d, e};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        proxy_put(all[i]);
}

static void what_is_no_proxy(void **state)
{
    (void)state;
    static char long_text[PROXY_USER_BYTES_MAX + 1];
    memset(long_text, 'x', sizeof(long_text));
    struct slice too_long = slice_of(long_text, sizeof(long_text));
    const struct proxy_options rows[] = {
        {.host = SLICE(""), .port = 1},
        {.host = SLICE("a"), .port = 0},
        {.host = SLICE("a"), .port = 65536},
        {.host = SLICE("a"), .port = 1, .password = SLICE("x")},
        {.host = SLICE("a"), .port = 1, .username = SLICE("a:b")},
        {.host = SLICE("a"), .port = 1, .username = too_long},
        {.type = PROXY_SOCKS5,
         .host = SLICE("a"),
         .port = 1,
         .username = SLICE("u"),
         .password = too_long},
    };
    struct proxy *p = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(proxy_new(&rows[i], &p), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connect_names_the_provider),
        cmocka_unit_test(answers_to_connect),
        cmocka_unit_test(a_head_that_never_ends),
        cmocka_unit_test(socks_without_a_name),
        cmocka_unit_test(socks_with_a_name),
        cmocka_unit_test(socks_refusals),
        cmocka_unit_test(identities_differ_and_show_nothing),
        cmocka_unit_test(what_is_no_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
