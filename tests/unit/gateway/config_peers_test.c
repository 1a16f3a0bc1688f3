// SPDX-License-Identifier: Apache-2.0
//
// config_peers_test.c: balancers and trusted proxies of the `server` section.
#include "base/container.h"
#include "base/err.h"
#include "tests/support/config_support.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void build(struct built *b, const char *server)
{
    char text[1024];
    snprintf(text, sizeof(text), "{\"server\":{%s}}", server);
    built_text(b, text);
}

static void nothing_is_the_default(void **state)
{
    (void)state;
    struct built b;
    build(&b, "");
    assert_int_equal(b.err, 0);
    assert_false(b.config->senders.wanted);
    assert_int_equal(b.config->forwarded.trusted_count, 0);
    built_done(&b);
    build(&b, "\"proxy_protocol\":{\"enabled\":false,\"trusted\":[]}");
    assert_int_equal(b.err, 0);
    assert_false(b.config->senders.wanted);
    built_done(&b);
}

static void balancers(void **state)
{
    (void)state;
    struct built b;
    struct ip ip;
    build(&b, "\"proxy_protocol\":{\"trusted\":[\"10.0.0.0/8\",\"2001:db8::1\"]}");
    assert_int_equal(b.err, 0);
    assert_true(b.config->senders.wanted);
    assert_int_equal(b.config->senders.count, 2);
    assert_true(ip_parse(SLICE("10.1.1.1"), &ip));
    assert_true(ip_nets_have(b.config->senders.from, 2, &ip));
    built_done(&b);
    build(&b, "\"proxy_protocol\":{\"enabled\":true}");
    assert_true(b.config->senders.wanted && b.config->senders.count == 0);
    assert_true(built_warning(&b, "server.proxy_protocol: without \"trusted\" whoever reaches the "
                                  "port says who he is"));
    built_done(&b);
}

static void proxies(void **state)
{
    (void)state;
    struct built b;
    build(&b, "\"trusted_proxies\":[\"10.0.0.1\"],\"forwarded_header\":\"forwarded\"");
    assert_int_equal(b.err, 0);
    assert_int_equal(b.config->forwarded.trusted_count, 1);
    assert_true(b.config->forwarded.standard);
    built_done(&b);
}

static void mistakes(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"\"proxy_protocol\":{\"trusted\":[\"10.0.0.0/33\"]}",
         "server.proxy_protocol.trusted[0]: expected an address or a network such as 10.0.0.0/8"},
        {"\"proxy_protocol\":{\"trusted\":[]}",
         "server.proxy_protocol.trusted: names nobody: leave it out to accept headers from "
         "everywhere"},
        {"\"trusted_proxies\":[\"10.0.0.1\",\"lb.test\"]",
         "server.trusted_proxies[1]: expected an address or a network such as 10.0.0.0/8"},
        {"\"forwarded_header\":\"x-real-ip\"",
         "server.forwarded_header: expected one of \"x-forwarded-for\", \"forwarded\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        build(&b, rows[i][0]);
        if (b.err != ERR_CONFIG || !built_error(&b, rows[i][1]))
            fail_msg("%s: %.*s", rows[i][0], SLICE_ARG(buf_slice(&b.report.errors)));
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_the_default),
        cmocka_unit_test(balancers),
        cmocka_unit_test(proxies),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
