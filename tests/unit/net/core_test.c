// SPDX-License-Identifier: Apache-2.0
//
// core_test.c: drain, abort, the date line.
#include "toy.h"

static int connect_to(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = connect(fd, (struct sockaddr *)&address, sizeof(address));
    (void)close(fd);
    return rc;
}

// A pool of idle connections: each may carry one request more, and hears that it is the last.
static void drain_tells_idle_connections_with_their_next_answer(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client idle[200], busy;
    toy_start(&toy, NULL, NULL, 0);
    for (int i = 0; i < 200; i++)
        client_open(&idle[i], toy.port);
    client_open(&busy, toy.port);
    client_say(&toy, &busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    toy_until(&toy, fiber_live(toy.fibers) == 1 && atomic_load(&toy.core.stats.connections) == 201);
    net_drain(&toy.core);
    client_say(&toy, &busy, "cd");
    client_until_eof(&toy, &busy);
    assert_non_null(strstr(busy.in, "Connection: close\r\n"));
    assert_non_null(strstr(busy.in, "\r\n\r\nabcd"));
    client_close(&busy);
    for (int i = 0; i < 200; i++) {
        assert_false(net_idle(&toy.core));
        client_say(&toy, &idle[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        client_until_eof(&toy, &idle[i]);
        assert_int_equal(idle[i].error, 0);
        assert_non_null(strstr(idle[i].in, "HTTP/1.1 200 "));
        assert_non_null(strstr(idle[i].in, "Connection: close\r\n"));
        client_close(&idle[i]);
    }
    toy_until(&toy, net_idle(&toy.core));
    assert_int_equal(connect_to(toy.port), -1); // nobody listens any more
    toy_stop(&toy);
}

static void leaving_accepts_and_says_so(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    net_leave(&toy.core);
    for (int i = 0; i < 2; i++) {
        client_say(&toy, &c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        client_until_eof(&toy, &c);
        assert_non_null(strstr(c.in, "Connection: close\r\n"));
        client_close(&c);
        client_open(&c, toy.port);
    }
    assert_int_equal(counter_get(&toy.core.stats.requests), 2);
    toy_stop_one(&toy, &c);
}

// The head went out before, so the connection stays as it said.
static void a_connection_that_was_promised_more_gets_it(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /pause HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(&toy, &c, "\r\n\r\n");
    net_drain(&toy.core);
    toy_turn(&toy);
    toy.go = true;
    struct h1_conn *conn = container_of(toy.core.connections.next, struct h1_conn, link);
    fiber_wake(conn->stream.fiber);
    client_until(&toy, &c, "\r\n0\r\n\r\n");
    assert_null(strstr(c.in, "Connection: close"));
    client_forget(&c);
    client_say(&toy, &c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0);
    assert_non_null(strstr(c.in, "Connection: close\r\n"));
    toy_until(&toy, net_idle(&toy.core));
    toy_stop_one(&toy, &c);
}

static void abort_closes_what_is_idle(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(&toy, &c, "\r\n\r\n");
    net_drain(&toy.core);
    net_abort(&toy.core);
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0); // no reset: nothing was cut off
    toy_until(&toy, net_idle(&toy.core));
    toy_stop_one(&toy, &c);
}

static void abort_resets_what_runs(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, fiber_live(toy.fibers) == 1);
    net_abort(&toy.core);
    toy_until(&toy, net_idle(&toy.core));
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, ECONNRESET);
    toy_stop_one(&toy, &c);
}

static void load_weighs_exchanges_and_connections(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, atomic_load(&toy.own_shared.load[0].live) == 17);
    client_close(&c);
    toy_until(&toy, atomic_load(&toy.own_shared.load[0].live) == 0);
    toy_stop(&toy);
}

static void date_is_rfc_9110(void **state)
{
    (void)state;
    struct toy toy;
    char day[4], month[4];
    unsigned d, y, h, m, s;
    toy_start(&toy, NULL, NULL, 0);
    struct slice date = net__date(&toy.core);
    assert_int_equal(
        sscanf(date.ptr, "Date: %3s %u %3s %u %u:%u:%u GMT", day, &d, month, &y, &h, &m, &s),
        1); // the comma ends it: the parts are checked below
    assert_int_equal(sscanf(date.ptr + 11, "%u %3s %u %u:%u:%u GMT", &d, month, &y, &h, &m, &s), 6);
    assert_true(d >= 1 && d <= 31 && y >= 2024 && h < 24 && m < 60 && s <= 60);
    assert_memory_equal(date.ptr + 35, "\r\n", 2);
    toy_stop(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drain_tells_idle_connections_with_their_next_answer),
        cmocka_unit_test(leaving_accepts_and_says_so),
        cmocka_unit_test(a_connection_that_was_promised_more_gets_it),
        cmocka_unit_test(abort_closes_what_is_idle),
        cmocka_unit_test(abort_resets_what_runs),
        cmocka_unit_test(load_weighs_exchanges_and_connections),
        cmocka_unit_test(date_is_rfc_9110),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
