// SPDX-License-Identifier: Apache-2.0
//
// h1_request_test.c: request bodies of every size and framing, over loopback.
#include "toy.h"

static char big[3u << 20];

static void fill_big(void)
{
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)('a' + i % 23);
}

// Sends a body of known length in pieces of `piece` and expects it back.
static void echo_length(struct toy *toy, struct toy_client *c, size_t bytes, size_t piece)
{
    char head[128];
    client_forget(c);
    int n = snprintf(head, sizeof(head),
                     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", bytes);
    client_send(toy, c, head, (size_t)n);
    for (size_t at = 0; at < bytes; at += piece) {
        client_send(toy, c, big + at, bytes - at < piece ? bytes - at : piece);
        client_poll(c);
        toy_turn(toy);
    }
    toy_until(toy, client_has(c, "\r\n\r\n") &&
                       c->len >= bytes + (size_t)(strstr(c->in, "\r\n\r\n") - c->in) + 4);
    assert_memory_equal(strstr(c->in, "\r\n\r\n") + 4, big, bytes);
}

static void bodies_of_known_length_arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     4095,   16383,  16384,   16385,   32768,
                                   65536, 115000, 131072, 1048576, 1048577, 3000000};
    struct toy toy;
    struct toy_client c;
    fill_big();
    toy_start_one(&toy, &c);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        echo_length(&toy, &c, sizes[i], sizes[i]); // as it comes
        echo_length(&toy, &c, sizes[i], sizes[i] / 7 + 1);
    }
    assert_int_equal(counter_get(&toy.core.stats.accepted), 1); // one connection all along
    toy_stop_one(&toy, &c);
}

static void large_body_is_received_in_place(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    fill_big();
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    toy_until(&toy, !list_empty(&toy.core.connections));
    struct h1_conn *conn = container_of(toy.core.connections.next, struct h1_conn, link);
    toy_until(&toy, conn->armed == RECEIVE_INTO);
    client_send(&toy, &c, big, 1000000);
    toy_until(&toy, client_has(&c, "\r\n\r\n") && c.len > 1000000);
    toy_until(&toy, conn->state == CONN_IDLE && conn->armed == RECEIVE_ONE);
    client_close(&c); // and its FIN is seen again
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
    toy_stop(&toy);
}

// Is a body that has arrived before its head is seen complete in the turn that sees the head?
static bool is_received_at_once(struct toy *toy, struct toy_client *c, struct h1_conn *conn)
{
    char head[100];
    int len =
        snprintf(head, sizeof(head), "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %u\r\n\r\n",
                 RECEIVE_INTO_MIN);
    toy_until(toy, conn->state == CONN_IDLE && conn->armed == RECEIVE_ONE);
    client_forget(c);
    assert_int_equal(client_write(c, head, (size_t)len), len);
    assert_int_equal(client_write(c, big, RECEIVE_INTO_MIN), RECEIVE_INTO_MIN);
    toy_until(toy, conn->state != CONN_IDLE);
    bool complete = conn->framing.complete;
    toy_until(toy, client_has(c, "\r\n\r\n") && c->len > RECEIVE_INTO_MIN);
    return complete;
}

// From the second large body on, what lies in the socket behind the head needs no operation.
static void what_is_here_of_a_large_body_is_received_at_once(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    static const size_t sizes[] = {RECEIVE_INTO_MIN, RECEIVE_INTO_MIN + 1, 60000, 115000};
    fill_big();
    toy_start(&toy, NULL, NULL, 0);
    client_open(&c, toy.port);
    echo_length(&toy, &c, RECEIVE_INTO_MIN, RECEIVE_INTO_MIN);
    struct h1_conn *conn = container_of(toy.core.connections.next, struct h1_conn, link);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        echo_length(&toy, &c, sizes[i], sizes[i]);
    // Where the turn is young: a busy machine may take a while between two lines.
    bool at_once = false;
    toy_until(&toy, at_once || (at_once = is_received_at_once(&toy, &c, conn)));
    client_close(&c);
    toy_stop(&toy);
}

static void client_that_leaves_inside_a_large_body_is_gone(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc");
    toy_until(&toy, fiber_live(toy.fibers) == 1);
    client_close(&c);
    toy_until(&toy, toy.cancelled == 1);
    toy_stop(&toy);
}

static void chunked_body_is_taken_out_of_its_framing(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    const char *request = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\nx-trailer: 1\r\n\r\n";
    toy_start_one(&toy, &c);
    for (size_t cut = 1; cut < strlen(request); cut++) {
        client_forget(&c);
        client_send(&toy, &c, request, cut);
        toy_turn(&toy);
        client_say(&toy, &c, request + cut);
        client_until(&toy, &c, "\r\n\r\nabc0123456789");
        assert_non_null(strstr(c.in, "Content-Length: 13\r\n"));
    }
    toy_stop_one(&toy, &c);
}

static void long_chunked_body_grows(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    fill_big();
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 20; i++) {
        client_say(&toy, &c, "c350\r\n"); // 50000
        client_send(&toy, &c, big + i * 50000, 50000);
        client_say(&toy, &c, "\r\n");
    }
    client_say(&toy, &c, "0\r\n\r\n");
    toy_until(&toy, client_has(&c, "\r\n\r\n") && c.len > 1000000);
    assert_memory_equal(strstr(c.in, "\r\n\r\n") + 4, big, 1000000);
    toy_stop_one(&toy, &c);
}

static void bad_chunk_gets_400_and_a_close(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c,
               "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n");
    client_until_eof(&toy, &c);
    assert_non_null(strstr(c.in, "HTTP/1.1 400 "));
    assert_non_null(strstr(c.in, "BAD_CHUNK"));
    assert_int_equal(c.error, 0);
    toy_stop_one(&toy, &c);
}

static void too_large_is_said_before_a_byte_is_read(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
    client_until(&toy, &c, "BODY_TOO_LARGE");
    assert_non_null(strstr(c.in, "HTTP/1.1 413 "));
    client_close(&c);
    client_open(&c, toy.port);
    client_say(&toy, &c,
               "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n");
    client_send(&toy, &c, big, 1001);
    client_until(&toy, &c, "BODY_TOO_LARGE");
    toy_stop_one(&toy, &c);
}

static void continue_is_sent_when_the_body_is_read(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(
        &toy, &c,
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_until(&toy, &c, "HTTP/1.1 100 Continue\r\n\r\n");
    client_say(&toy, &c, "abc");
    client_until(&toy, &c, "\r\n\r\nabc");
    client_forget(&c);
    // The body is already here: no 100.
    client_say(
        &toy, &c,
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nxyz");
    client_until(&toy, &c, "\r\n\r\nxyz");
    assert_null(strstr(c.in, "100 Continue"));
    client_forget(&c);
    // A part of it is: none either.
    client_say(
        &toy, &c,
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nu");
    toy_until(&toy, fiber_live(toy.fibers) == 1);
    toy_turn(&toy);
    client_say(&toy, &c, "vw");
    client_until(&toy, &c, "\r\n\r\nuvw");
    assert_null(strstr(c.in, "100 Continue"));
    client_forget(&c);
    // Answered without reading: no 100, and the connection ends.
    client_say(
        &toy, &c,
        "POST /none HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client_until_eof(&toy, &c);
    assert_null(strstr(c.in, "100 Continue"));
    assert_non_null(strstr(c.in, "Connection: close"));
    toy_stop_one(&toy, &c);
}

static void silent_body_times_out(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct net_options o = {.body_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    for (unsigned large = 0; large < 2; large++) {
        client_open(&c, toy.port);
        client_say(&toy, &c,
                   large ? "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nab"
                         : "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab");
        client_until_eof(&toy, &c);
        assert_non_null(strstr(c.in, "HTTP/1.1 408 "));
        assert_non_null(strstr(c.in, "CLIENT_TIMEOUT"));
        client_close(&c);
    }
    toy_stop(&toy);
}

static void overload_is_said_when_too_much_is_in_flight(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start(&toy, NULL, NULL, 0);
    atomic_store(&toy.own_shared.body_bytes, LIMIT_BODY_IN_FLIGHT - 50000u);
    client_open(&c, toy.port);
    client_say(&toy, &c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client_send(&toy, &c, big, 100000);
    client_until(&toy, &c, "OVERLOAD");
    assert_non_null(strstr(c.in, "HTTP/1.1 503 "));
    client_close(&c);
    client_open(&c, toy.port); // a small one still passes
    client_say(&toy, &c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok");
    client_until(&toy, &c, "\r\n\r\nok");
    client_close(&c);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
    assert_int_equal(atomic_load(&toy.own_shared.body_bytes), LIMIT_BODY_IN_FLIGHT - 50000u);
    atomic_store(&toy.own_shared.body_bytes, 0);
    toy_stop(&toy);
}

static void body_that_nobody_reads_yet_is_bounded(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
    size_t sent = 0, quiet = 0;
    while (quiet < 20) { // until neither side moves
        size_t n = client_write(&c, big + sent, 2000000 - sent);
        sent += n;
        quiet = n ? 0 : quiet + 1;
        toy_turn(&toy);
    }
    struct h1_conn *conn = container_of(toy.core.connections.next, struct h1_conn, link);
    assert_in_range(h1_conn__held(conn), LIMIT_PIPELINE_BYTES, 2u << 20);
    assert_int_equal(conn->armed, RECEIVE_NONE);
    assert_true(atomic_load(&toy.own_shared.body_bytes) >= h1_conn__held(conn));
    toy.go = true;
    fiber_wake(conn->stream.fiber);
    client_send(&toy, &c, big + sent, 2000000 - sent);
    toy_until(&toy, client_has(&c, "\r\n\r\n") && c.len > 2000000);
    assert_memory_equal(strstr(c.in, "\r\n\r\n") + 4, big, 2000000);
    toy_stop_one(&toy, &c);
}

// What a compressed body goes through: the memory it was read into, and its count, are given back
// while the exchange goes on with another text.
static void a_body_is_given_back_for_another(void **state)
{
    (void)state;
    static const size_t sizes[] = {100, 16384, 16385, 300000, 2000000};
    struct toy toy;
    struct toy_client c;
    fill_big();
    toy_start_one(&toy, &c);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char head[128];
        client_forget(&c);
        int n =
            snprintf(head, sizeof(head),
                     "POST /remade HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        client_send(&toy, &c, head, (size_t)n);
        client_send(&toy, &c, big, sizes[i]);
        toy_until(&toy, client_has(&c, "\r\n\r\n") && c.len > sizes[i]);
        assert_memory_equal(strstr(c.in, "\r\n\r\n") + 4, big, sizes[i]);
        toy_until(&toy, atomic_load(&toy.own_shared.body_bytes) == 0);
    }
    toy_stop_one(&toy, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_of_known_length_arrive_whole),
        cmocka_unit_test(large_body_is_received_in_place),
        cmocka_unit_test(what_is_here_of_a_large_body_is_received_at_once),
        cmocka_unit_test(client_that_leaves_inside_a_large_body_is_gone),
        cmocka_unit_test(chunked_body_is_taken_out_of_its_framing),
        cmocka_unit_test(long_chunked_body_grows),
        cmocka_unit_test(bad_chunk_gets_400_and_a_close),
        cmocka_unit_test(too_large_is_said_before_a_byte_is_read),
        cmocka_unit_test(continue_is_sent_when_the_body_is_read),
        cmocka_unit_test(silent_body_times_out),
        cmocka_unit_test(overload_is_said_when_too_much_is_in_flight),
        cmocka_unit_test(body_that_nobody_reads_yet_is_bounded),
        cmocka_unit_test(a_body_is_given_back_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
