// SPDX-License-Identifier: Apache-2.0
//
// h1_conn_test.c: connections from first byte to close, over loopback.
#include "toy.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(n)   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " #n "\r\n\r\n"

static void idle_connection_is_small(void **state)
{
    (void)state;
    printf("struct h1_conn: %zu bytes\n", sizeof(struct h1_conn));
    assert_true(sizeof(struct h1_conn) <= 744);
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, POST(3) "abc");
    client_until(&toy, &c, "\r\n\r\nabc");
    toy_until(&toy, toy.ended == 1);
    toy_turn(&toy);
    // Idle again: neither a block nor held bytes nor a fiber.
    assert_int_equal(toy.core.blocks.live_count, 0);
    assert_int_equal(fiber_live(toy.fibers), 0);
    toy_stop_one(&toy, &c);
}

static void keep_alive_serves_many(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    for (int i = 0; i < 50; i++) {
        client_forget(&c);
        client_say(&toy, &c, POST(5) "hello");
        client_until(&toy, &c, "\r\n\r\nhello");
    }
    assert_string_equal(toy.peer, "127.0.0.1");
    assert_int_equal(counter_get(&toy.core.stats.requests), 50);
    assert_int_equal(counter_get(&toy.core.stats.accepted), 1);
    assert_null(strstr(c.in, "Connection:"));
    assert_non_null(strstr(c.in, "Date: "));
    assert_non_null(strstr(c.in, "Content-Length: 5\r\n"));
    client_close(&c);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
    toy_stop(&toy);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    char all[16384], want[64];
    size_t n = 0;
    toy_start_one(&toy, &c);
    for (int i = 10; i < 60; i++)
        n += (size_t)snprintf(all + n, sizeof(all) - n, POST(7) "body-%02d", i);
    client_send(&toy, &c, all, n);
    client_until(&toy, &c, "body-59");
    const char *p = c.in;
    for (int i = 10; i < 60; i++) {
        (void)snprintf(want, sizeof(want), "\r\n\r\nbody-%02d", i);
        p = strstr(p, want);
        assert_non_null(p);
    }
    toy_stop_one(&toy, &c);
}

static void head_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    const char *text = POST(4) "wxyz" GET("/none");
    toy_start_one(&toy, &c);
    for (const char *p = text; *p; p++) {
        client_send(&toy, &c, p, 1);
        toy_turn(&toy);
    }
    client_until(&toy, &c, "nothing here");
    assert_non_null(strstr(c.in, "\r\n\r\nwxyz"));
    toy_stop_one(&toy, &c);
}

static void pipeline_behind_a_hanging_request_is_bounded(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    static char junk[65536];
    toy_start_one(&toy, &c);
    client_say(&toy, &c, GET("/hang"));
    toy_until(&toy, fiber_live(toy.fibers) == 1);
    memset(junk, 'x', sizeof(junk));
    size_t sent = 0, quiet = 0;
    while (quiet < 20 && sent < (256u << 20)) { // until the socket is full
        size_t n = client_write(&c, junk, sizeof(junk));
        sent += n;
        quiet = n ? 0 : quiet + 1;
        toy_turn(&toy);
    }
    assert_true(quiet == 20);
    struct h1_conn *conn = container_of(toy.core.connections.next, struct h1_conn, link);
    assert_true(h1_conn__held(conn) >= LIMIT_PIPELINE_BYTES);
    assert_true(h1_conn__held(conn) <= LIMIT_PIPELINE_BYTES + (1u << 20));
    assert_int_equal(conn->armed, RECEIVE_NONE);
    assert_null(conn->loan.bufs); // no buffer of the group is pinned
    toy_stop_one(&toy, &c);
}

static void slow_head_gets_408(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct net_options o = {.head_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, "GET / HT");
    client_until_eof(&toy, &c);
    assert_non_null(strstr(c.in, "HTTP/1.1 408 Request Timeout\r\n"));
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    assert_non_null(strstr(c.in, "\r\n\r\nCLIENT_TIMEOUT"));
    assert_int_equal(counter_get(&toy.core.stats.timeouts), 1);
    toy_stop_one(&toy, &c);
}

static void idle_connection_is_closed_in_time(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct net_options o = {.idle_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, POST(1) "a");
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0);
    assert_int_equal(client_count(&c, "HTTP/1.1"), 1); // served, then closed in silence
    toy_stop_one(&toy, &c);
}

static void malformed_head_is_refused_and_the_client_can_read_it(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", "417"},
        {"GET / HTTP/1.1\nHost: a\n\n", "400"},
        {"\x16\x03\x01", "400"},
    };
    struct toy toy;
    struct toy_client c;
    char want[32];
    toy_start(&toy, NULL, NULL, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        client_open(&c, toy.port);
        client_say(&toy, &c, cases[i].request);
        client_say(&toy, &c, "and more that nobody reads");
        client_until_eof(&toy, &c);
        (void)snprintf(want, sizeof(want), "HTTP/1.1 %s ", cases[i].status);
        assert_memory_equal(c.in, want, strlen(want));
        assert_int_equal(client_count(&c, "HTTP/1.1 "), 1);
        assert_int_equal(c.error, 0);
        client_close(&c);
    }
    assert_int_equal(toy.ended, 0);
    toy_stop(&toy);
}

static void large_head_gets_431(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    static char big[80000];
    toy_start_one(&toy, &c);
    memset(big, 'a', sizeof(big));
    client_say(&toy, &c, "GET / HTTP/1.1\r\nx: ");
    client_send(&toy, &c, big, sizeof(big));
    client_until(&toy, &c, "HTTP/1.1 431 ");
    toy_stop_one(&toy, &c);
}

static void client_that_leaves_cancels_the_fiber(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start(&toy, NULL, NULL, 0);
    for (int how = 0; how < 3; how++) {
        client_open(&c, toy.port);
        client_say(&toy, &c, GET("/hang"));
        toy_until(&toy, fiber_live(toy.fibers) == 1);
        if (how == 0)
            (void)shutdown(c.fd, SHUT_WR); // half-closed counts as gone
        if (how == 1) {
            struct linger hard = {.l_onoff = 1};
            (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        }
        if (how > 0)
            client_close(&c);
        toy_until(&toy, toy.cancelled == (unsigned)how + 1);
        assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
        toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
        client_close(&c);
    }
    toy_stop(&toy);
}

static void http_1_0_closes_unless_asked(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /stream HTTP/1.0\r\nContent-Length: 6\r\n\r\nabcdef");
    client_until_eof(&toy, &c);
    assert_null(strstr(c.in, "chunked"));
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    assert_non_null(strstr(c.in, "\r\n\r\nabcdef"));
    client_close(&c);
    client_open(&c, toy.port);
    const char *again =
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi";
    client_say(&toy, &c, again);
    client_until(&toy, &c, "\r\n\r\nhi");
    assert_non_null(strstr(c.in, "Connection: keep-alive\r\n"));
    client_say(&toy, &c, again);
    toy_until(&toy, client_count(&c, "\r\n\r\nhi") == 2);
    toy_stop_one(&toy, &c);
}

static void connection_close_is_obeyed(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/echo"));
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0);
    assert_int_equal(client_count(&c, "HTTP/1.1 200"), 1);
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    toy_stop_one(&toy, &c);
}

static void unread_small_body_is_drained_and_the_connection_kept(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    static char body[30000];
    memset(body, 'b', sizeof(body));
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    client_until(&toy, &c, "nothing here");
    assert_null(strstr(c.in, "Connection: close"));
    client_send(&toy, &c, body, sizeof(body));
    client_say(&toy, &c, POST(2) "ok");
    client_until(&toy, &c, "\r\n\r\nok");
    toy_stop_one(&toy, &c);
}

static void unread_large_body_closes_and_the_answer_arrives(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    static char body[300000];
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
    client_until(&toy, &c, "nothing here"); // and the client goes on sending all the same
    toy_turn(&toy);
    client_send(&toy, &c, body, sizeof(body));
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0); // not reset: the answer could be read
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    assert_non_null(strstr(c.in, "nothing here"));
    toy_stop_one(&toy, &c);
}

static void refusal_needs_no_fiber(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, GET("/refuse"));
    client_until_eof(&toy, &c);
    assert_non_null(strstr(c.in, "HTTP/1.1 503 "));
    assert_non_null(strstr(c.in, "\r\n\r\nOVERLOAD"));
    client_close(&c);
    client_open(&c, toy.port);
    client_say(&toy, &c, "HEAD /refuse HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until_eof(&toy, &c);
    assert_non_null(strstr(c.in, "Content-Length: 8\r\n\r\n"));
    assert_null(strstr(c.in, "OVERLOAD"));
    toy_stop_one(&toy, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connection_is_small),
        cmocka_unit_test(keep_alive_serves_many),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(head_may_come_byte_by_byte),
        cmocka_unit_test(pipeline_behind_a_hanging_request_is_bounded),
        cmocka_unit_test(slow_head_gets_408),
        cmocka_unit_test(idle_connection_is_closed_in_time),
        cmocka_unit_test(malformed_head_is_refused_and_the_client_can_read_it),
        cmocka_unit_test(large_head_gets_431),
        cmocka_unit_test(client_that_leaves_cancels_the_fiber),
        cmocka_unit_test(http_1_0_closes_unless_asked),
        cmocka_unit_test(connection_close_is_obeyed),
        cmocka_unit_test(unread_small_body_is_drained_and_the_connection_kept),
        cmocka_unit_test(unread_large_body_closes_and_the_answer_arrives),
        cmocka_unit_test(refusal_needs_no_fiber),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
