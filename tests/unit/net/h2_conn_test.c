// SPDX-License-Identifier: Apache-2.0
//
// h2_conn_test.c: HTTP/2 connections from the preface to their end, over loopback.
#include "toy_h2_client.h"

static struct h2_client client;

static void idle_connection_is_small(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    toy_until(&toy, toy.ended == 1);
    h2c_until(&toy, &client, h2c_conn(&toy)->exchanges == 0);
    toy_turn(&toy);
    printf("struct h2_conn: %zu bytes, h2_exchange: %zu, nghttp2: %zu\n", sizeof(struct h2_conn),
           sizeof(struct h2_exchange), h2c_conn(&toy)->server.memory.bytes);
    assert_true(sizeof(struct h2_conn) <= 560);
    assert_true(sizeof(struct h2_exchange) <= 1024);
    // Neither a block nor a page nor a fiber.
    assert_int_equal(toy.core.blocks.live_count, 0);
    assert_int_equal(toy.core.upstream->pages.live, 0);
    assert_int_equal(fiber_live(toy.fibers), 0);
    assert_int_equal(counter_get(&toy.core.stats.h2_connections), 1);
    assert_string_equal(toy.peer, "127.0.0.1");
    h2c_stop(&toy, &client);
}

static void answers_of_a_turn_leave_in_one_send(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t first = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, first)->closed);
    const uint8_t *out;
    char both[4096];
    size_t len = 0;
    (void)h2c_get(&client, "/none");
    int32_t last = h2c_get(&client, "/none");
    for (ssize_t n; (n = nghttp2_session_mem_send(client.session, &out)) > 0; len += (size_t)n)
        memcpy(both + len, out, (size_t)n);
    client_send(&toy, &client.sock, both, len);
    while (client.sock.len == 0) {
        toy_turn(&toy);
        ssize_t n = recv(client.sock.fd, both, sizeof(both), MSG_DONTWAIT);
        client.sock.len = n > 0 ? (size_t)n : 0;
    }
    // The first bytes that came hold everything.
    (void)nghttp2_session_mem_recv(client.session, (const uint8_t *)both, client.sock.len);
    client_forget(&client.sock);
    assert_true(h2_seen(&client, last)->closed);
    h2c_stop(&toy, &client);
}

static void a_head_that_trickles_ends_the_connection(void **state)
{
    (void)state;
    struct toy toy;
    struct net_options o = {.head_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    h2c_open(&client, toy.port, 65535, false);
    int32_t id = h2c_get(&client, "/none"); // SETTINGS have been acknowledged behind it
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    client_send(&toy, &client.sock, "\0\0\x02\1\1\0\0\0\3\x82\x86", 11); // HEADERS, no end
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(client.goaway, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(counter_get(&toy.core.stats.timeouts), 1);
    h2c_stop(&toy, &client);
}

static void a_preface_that_trickles_is_408(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct net_options o = {.head_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, "PRI * HTTP/2.0\r\n\r\nS");
    client_until(&toy, &c, "HTTP/1.1 408 ");
    client_until_eof(&toy, &c);
    client_close(&c);
    toy_stop(&toy);
}

static void an_idle_connection_says_goodbye(void **state)
{
    (void)state;
    struct toy toy;
    struct net_options o = {.idle_ms = 30};
    toy_start(&toy, &o, NULL, 0);
    h2c_open(&client, toy.port, 65535, false);
    int32_t id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(h2_seen(&client, id)->status, 404);
    assert_int_equal(client.goaway, H2_NO_ERROR);
    assert_int_equal(client.sock.error, 0);
    h2c_stop(&toy, &client);
}

// No byte is taken from the socket: the whole connection is given up.
static void a_client_that_reads_nothing_is_reset(void **state)
{
    (void)state;
    struct toy toy;
    struct net_options o = {.send_ms = 50};
    toy_start(&toy, &o, NULL, 0);
    h2c_open(&client, toy.port, INT32_MAX, true);
    (void)h2c_get(&client, "/flood");
    (void)h2c_get(&client, "/hang");
    const uint8_t *out;
    for (ssize_t n; (n = nghttp2_session_mem_send(client.session, &out)) > 0;)
        client_send(&toy, &client.sock, out, (size_t)n);
    toy_until(&toy, toy.ended == 2);
    assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
    assert_int_equal(toy.cancelled, 1);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
    h2c_stop(&toy, &client);
}

// The socket is read but the stream's window stays closed: only the stream is given up.
static void a_closed_window_is_given_up_alone(void **state)
{
    (void)state;
    struct toy toy;
    struct net_options o = {.send_ms = 50};
    toy_start(&toy, &o, NULL, 0);
    h2c_open(&client, toy.port, 1000, true);
    int32_t id = h2c_get(&client, "/flood");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->code, H2_CANCEL);
    assert_int_equal(h2_seen(&client, id)->bytes, 1000);
    toy_until(&toy, toy.ended == 1);
    assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
    assert_int_equal(counter_get(&toy.core.stats.h2.hit[H2_LIMIT_STALLED]), 1);
    id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 404);
    h2c_stop(&toy, &client);
}

static void draining_lets_streams_finish(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/pause");
    h2c_until(&toy, &client, h2_seen(&client, id)->bytes == 5);
    net_drain(&toy.core);
    h2c_until(&toy, &client, client.goaway == H2_NO_ERROR);
    assert_false(h2_seen(&client, id)->closed);
    toy.go = true;
    struct h2_stream *s = container_of(h2c_conn(&toy)->server.streams.next, struct h2_stream, link);
    fiber_wake(container_of(s, struct h2_exchange, h2)->stream.fiber);
    h2c_until(&toy, &client, client.sock.eof);
    assert_true(h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->code, H2_NO_ERROR);
    toy_until(&toy, net_idle(&toy.core));
    h2c_stop(&toy, &client);
}

static void leaving_is_said_with_an_answer(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    net_leave(&toy.core);
    for (int i = 0; i < 20; i++) {
        h2c_pump(&toy, &client);
        toy_turn(&toy);
    }
    assert_int_equal(client.goaway, -1); // not before
    id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(h2_seen(&client, id)->status, 404);
    assert_int_equal(client.goaway, H2_NO_ERROR);
    h2c_stop(&toy, &client);
}

static void who_begins_while_draining_is_told_at_once(void **state)
{
    (void)state;
    struct toy toy;
    toy_start(&toy, NULL, NULL, 0);
    h2c_open(&client, toy.port, 65535, false);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 1);
    net_drain(&toy.core);
    int32_t id = h2c_get(&client, "/none"); // on its way when it is told
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(h2_seen(&client, id)->status, 404);
    assert_int_equal(client.goaway, H2_NO_ERROR);
    toy_until(&toy, net_idle(&toy.core));
    h2c_stop(&toy, &client);
}

static void who_is_turned_away_hears_503(void **state)
{
    (void)state;
    struct toy toy;
    toy_start(&toy, NULL, NULL, 0);
    toy.core.listener.clients_max = 0;
    h2c_open(&client, toy.port, 65535, false);
    int32_t id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(h2_seen(&client, id)->status, 503);
    assert_int_equal(toy.ended, 0);
    h2c_stop(&toy, &client);
}

static void a_client_that_leaves_cancels_all(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        struct toy toy;
        h2c_start(&toy, &client);
        for (int i = 0; i < 5; i++)
            (void)h2c_get(&client, "/hang");
        h2c_until(&toy, &client, fiber_live(toy.fibers) == 5);
        if (half)
            (void)shutdown(client.sock.fd, SHUT_WR);
        else
            client_close(&client.sock);
        toy_until(&toy, toy.cancelled == 5 && atomic_load(&toy.core.stats.connections) == 0);
        if (half)
            client_close(&client.sock);
        nghttp2_session_del(client.session);
        toy_stop(&toy);
    }
}

static void a_flood_cancels_what_runs_and_closes(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    (void)h2c_get(&client, "/hang");
    h2c_until(&toy, &client, fiber_live(toy.fibers) == 1);
    for (int i = 0; i < 100; i++)
        client_send(&toy, &client.sock, "\0\0\x08\6\0\0\0\0\0ABCDEFGH", 17);
    h2c_until(&toy, &client, client.sock.eof);
    assert_int_equal(client.goaway, H2_ENHANCE_YOUR_CALM);
    assert_int_equal(client.sock.error, 0);
    assert_int_equal(toy.cancelled, 1);
    assert_int_equal(counter_get(&toy.core.stats.h2.hit[H2_RATE_PING]), 1);
    h2c_stop(&toy, &client);
}

static void streams_whose_fibers_linger_are_counted(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    // Fibers end in the turn in which they are cancelled, so none is ever left here; what is
    // bounded is h->exchanges, so that is what is set.
    int32_t id = h2c_get(&client, "/hang");
    h2c_until(&toy, &client, fiber_live(toy.fibers) == 1);
    h2c_conn(&toy)->exchanges += 2 * H2_STREAMS_MAX;
    id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->code, H2_REFUSED_STREAM);
    h2c_conn(&toy)->exchanges -= 2 * H2_STREAMS_MAX;
    h2c_stop(&toy, &client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_connection_is_small),
        cmocka_unit_test(answers_of_a_turn_leave_in_one_send),
        cmocka_unit_test(a_head_that_trickles_ends_the_connection),
        cmocka_unit_test(a_preface_that_trickles_is_408),
        cmocka_unit_test(an_idle_connection_says_goodbye),
        cmocka_unit_test(a_client_that_reads_nothing_is_reset),
        cmocka_unit_test(a_closed_window_is_given_up_alone),
        cmocka_unit_test(draining_lets_streams_finish),
        cmocka_unit_test(leaving_is_said_with_an_answer),
        cmocka_unit_test(who_begins_while_draining_is_told_at_once),
        cmocka_unit_test(who_is_turned_away_hears_503),
        cmocka_unit_test(a_client_that_leaves_cancels_all),
        cmocka_unit_test(a_flood_cancels_what_runs_and_closes),
        cmocka_unit_test(streams_whose_fibers_linger_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
