// SPDX-License-Identifier: Apache-2.0
//
// core_test.c: drain, abort, the date line.
#include "toy.h"

static void drain_closes_idle_and_finishes_running(void **state)
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
    assert_false(net_idle(&toy.core));
    for (int i = 0; i < 200; i++) {
        client_until_eof(&toy, &idle[i]);
        assert_int_equal(idle[i].error, 0);
        client_close(&idle[i]);
    }
    client_say(&toy, &busy, "cd");
    client_until_eof(&toy, &busy);
    assert_non_null(strstr(busy.in, "Connection: close\r\n"));
    assert_non_null(strstr(busy.in, "\r\n\r\nabcd"));
    client_close(&busy);
    toy_until(&toy, net_idle(&toy.core));
    // Nobody listens any more.
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)toy.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), -1);
    (void)close(fd);
    toy_stop(&toy);
}

static void drain_ends_a_connection_that_was_promised_more(void **state)
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
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0);
    assert_null(strstr(c.in, "Connection: close"));
    assert_non_null(strstr(c.in, "\r\n0\r\n\r\n"));
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
        cmocka_unit_test(drain_closes_idle_and_finishes_running),
        cmocka_unit_test(drain_ends_a_connection_that_was_promised_more),
        cmocka_unit_test(abort_resets_what_runs),
        cmocka_unit_test(load_weighs_exchanges_and_connections),
        cmocka_unit_test(date_is_rfc_9110),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
