// SPDX-License-Identifier: Apache-2.0
//
// host_test.c: which names are served, and where they are looked at.
#include "base/container.h"
#include "gateway/config.h"
#include "gateway/host.h"
#include "net/http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void loopback_is_this_machine_only(void **state)
{
    (void)state;
    static const char *const yes[] = {"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1"};
    static const char *const no[] = {"",          "0.0.0.0",           "::",
                                     "128.0.0.1", "10.0.0.1",          "127.evil.example",
                                     "::2",       "localhost.example", "127.0.0.1.evil.example"};
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(host_is_loopback(slice_str(yes[i])));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(host_is_loopback(slice_str(no[i])));
}

static struct slice list[] = {SLICE("gw.example"), SLICE("*.in.example"), SLICE("10.0.0.1")};

static bool served(const char *host, const char *target, unsigned minor)
{
    struct config c = {.check_host = true, .allowed_hosts = list, .allowed_host_count = 3};
    struct http_field f = {HTTP_N_HOST, SLICE("Host"), slice_str(host ? host : "")};
    struct http_head h = {.target = slice_str(target), .minor = minor, .fields = &f};
    h.count = host != NULL;
    return host_is_served(&c, &h);
}

static void names_are_those_of_the_machine_and_the_list(void **state)
{
    (void)state;
    static const char *const yes[] = {
        "localhost",    "localhost:8080", "LOCALHOST", "localhost.", "127.0.0.1",
        "127.0.0.1:80", "[::1]",          "[::1]:80",  "gw.example", "GW.example:443",
        "a.in.example", "a.b.in.example", "10.0.0.1",
    };
    static const char *const no[] = {
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "in.example",
        ".in.example.x",
        "xin.example",
        "a.gw.example",
        "gw.example.evil",
        "",
        "localhost:evil",
    };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_true(served(yes[i], "/health", 1));
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_false(served(no[i], "/health", 1));
}

static void the_target_wins_over_host(void **state)
{
    (void)state;
    assert_true(served("evil.example", "http://localhost:1/health", 1));
    assert_true(served("evil.example", "http://localhost?x", 1));
    assert_false(served("localhost", "http://evil.example/health", 1));
    assert_false(served("localhost", "https://evil.example", 1));
    assert_true(served("localhost", "*", 1));
}

static void without_a_host_only_http_1_0_is(void **state)
{
    (void)state;
    assert_true(served(NULL, "/", 0));
    assert_false(served(NULL, "/", 1));
    struct config c = {.check_host = false};
    struct http_head h = {.target = SLICE("/"), .minor = 1};
    assert_true(host_is_served(&c, &h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_is_this_machine_only),
        cmocka_unit_test(names_are_those_of_the_machine_and_the_list),
        cmocka_unit_test(the_target_wins_over_host),
        cmocka_unit_test(without_a_host_only_http_1_0_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
