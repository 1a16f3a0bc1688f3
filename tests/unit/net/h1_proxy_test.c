// SPDX-License-Identifier: Apache-2.0
//
// Connections that begin with a PROXY header, over loopback.
#include "toy.h"

#define HEADER "PROXY TCP4 192.0.2.7 192.0.2.1 51000 443\r\n"
#define GET    "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"

static void start(struct toy *toy, const char *from, unsigned header_ms)
{
    struct proxy_senders senders = {.wanted = true, .count = from ? 1 : 0};
    struct net_options o = {.senders = &senders, .proxy_header_ms = header_ms};
    if (from)
        assert_true(ip_net_parse(slice_str(from), &senders.from[0]));
    toy_start(toy, &o, NULL, 0);
}

static uint64_t failures(struct toy *toy, enum proxy_failure why)
{
    return counter_get(&toy->core.stats.proxy_failures[why]);
}

static void the_client_is_who_the_header_says(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, "127.0.0.0/8", 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, HEADER GET); // in one packet
    client_until(&toy, &c, "HTTP/1.1 200 OK");
    assert_string_equal(toy.peer, "192.0.2.7");
    client_say(&toy, &c, GET); // and for the connection's life
    toy_until(&toy, client_count(&c, "HTTP/1.1 200 OK") == 2);
    assert_string_equal(toy.peer, "192.0.2.7");
    toy_stop_one(&toy, &c);
}

static void a_header_byte_by_byte(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, NULL, 0);
    client_open(&c, toy.port);
    for (const char *p = HEADER GET; *p; p++) {
        client_send(&toy, &c, p, 1);
        toy_turn(&toy);
    }
    client_until(&toy, &c, "HTTP/1.1 200 OK");
    assert_string_equal(toy.peer, "192.0.2.7");
    toy_stop_one(&toy, &c);
}

static void version_2_and_local(void **state)
{
    (void)state;
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24"
                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
                             "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                             "\xc7\x38\x01\xbb" GET;
    static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00" GET;
    struct toy toy;
    struct toy_client c;
    start(&toy, NULL, 0);
    client_open(&c, toy.port);
    client_send(&toy, &c, v2, sizeof(v2) - 1);
    client_until(&toy, &c, "HTTP/1.1 200 OK");
    assert_string_equal(toy.peer, "2001:db8::7");
    client_close(&c);
    client_open(&c, toy.port);
    client_send(&toy, &c, local, sizeof(local) - 1);
    client_until(&toy, &c, "HTTP/1.1 200 OK");
    assert_string_equal(toy.peer, "127.0.0.1");
    toy_stop_one(&toy, &c);
}

static void anything_else_ends_the_connection(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, NULL, 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, GET);
    client_until_eof(&toy, &c);
    assert_int_equal(c.len, 0); // nothing is said to whoever this is
    assert_int_equal(failures(&toy, PROXY_FAILURE_MALFORMED), 1);
    assert_int_equal(toy.ended, 0);
    client_close(&c);
    client_open(&c, toy.port);
    client_say(&toy, &c, "PROXY ");
    toy_turn(&toy);
    shutdown(c.fd, SHUT_WR);
    client_until_eof(&toy, &c);
    assert_int_equal(failures(&toy, PROXY_FAILURE_CLOSED), 1);
    toy_stop_one(&toy, &c);
}

static void strangers_are_closed(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, "10.0.0.0/8", 0);
    client_open(&c, toy.port);
    client_until_eof(&toy, &c);
    assert_int_equal(failures(&toy, PROXY_FAILURE_STRANGER), 1);
    toy_stop_one(&toy, &c);
}

static void a_header_that_does_not_come(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, NULL, 20);
    client_open(&c, toy.port);
    client_until_eof(&toy, &c);
    assert_int_equal(failures(&toy, PROXY_FAILURE_TIMEOUT), 1);
    toy_stop_one(&toy, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_who_the_header_says),
        cmocka_unit_test(a_header_byte_by_byte),
        cmocka_unit_test(version_2_and_local),
        cmocka_unit_test(anything_else_ends_the_connection),
        cmocka_unit_test(strangers_are_closed),
        cmocka_unit_test(a_header_that_does_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
