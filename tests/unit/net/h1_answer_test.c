// SPDX-License-Identifier: Apache-2.0
//
// h1_answer_test.c: what answers look like on the wire, and how sends end.
#include "toy.h"

static void streamed_answer_is_chunked(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    for (int i = 0; i < 2; i++) {
        client_forget(&c);
        client_say(
            &toy, &c,
            "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\naaaaabbbbbccccccc");
        client_until(&toy, &c, "\r\n0\r\n\r\n");
        assert_non_null(strstr(c.in, "Transfer-Encoding: chunked\r\n"));
        assert_null(strstr(c.in, "Content-Length"));
        assert_non_null(
            strstr(c.in, "\r\n\r\n5\r\naaaaa\r\n5\r\nbbbbb\r\n7\r\nccccccc\r\n0\r\n\r\n"));
    }
    toy_stop_one(&toy, &c);
}

static void empty_parts_do_not_end_a_chunked_answer(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nz");
    client_until(&toy, &c, "\r\n\r\n1\r\nz\r\n0\r\n\r\n");
    client_say(&toy, &c, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(&toy, &c, "\r\n\r\n0\r\n\r\n");
    toy_stop_one(&toy, &c);
}

static void head_gets_the_head_only(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c,
               "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n"
               "HEAD /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
               "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, client_count(&c, "HTTP/1.1 ") == 3);
    assert_non_null(strstr(c.in, "Content-Length: 12\r\n"));
    assert_null(strstr(c.in, "nothing here"));
    assert_null(strstr(c.in, "abc"));
    toy_stop_one(&toy, &c);
}

static void hostile_fields_are_dropped(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /fields HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(&toy, &c, "\r\n\r\n");
    assert_non_null(strstr(c.in, "x-good: 1\r\n"));
    assert_null(strcasestr(c.in, "x-evil"));
    assert_null(strcasestr(c.in, "x-nul"));
    assert_null(strcasestr(c.in, "x bad"));
    assert_null(strcasestr(c.in, "gzip"));
    assert_null(strcasestr(c.in, "x-hop"));
    assert_null(strcasestr(c.in, "keep-alive"));
    assert_int_equal(client_count(&c, "Content-Length"), 1);
    assert_non_null(strstr(c.in, "Content-Length: 0\r\n"));
    toy_stop_one(&toy, &c);
}

static void half_an_answer_never_looks_whole(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /half HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, ECONNRESET);
    toy_stop_one(&toy, &c);
}

static void client_that_never_reads_is_reset(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct net_options o = {.send_ms = 50};
    toy_start(&toy, &o, NULL, 0);
    client_open(&c, toy.port);
    client_say(&toy, &c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, toy.ended == 1);
    assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 0);
    assert_int_equal(counter_get(&toy.core.stats.timeouts), 1);
    toy_stop_one(&toy, &c);
}

static void client_that_leaves_ends_a_blocked_send(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    toy_start_one(&toy, &c);
    client_say(&toy, &c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, toy.flooded > 0);
    size_t before = 0;
    for (int quiet = 0; quiet < 10; quiet++, toy_turn(&toy)) { // until it is stuck
        if (toy.flooded != before)
            quiet = 0;
        before = toy.flooded;
    }
    client_close(&c);
    toy_until(&toy, toy.ended == 1);
    assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
    toy_stop(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streamed_answer_is_chunked),
        cmocka_unit_test(empty_parts_do_not_end_a_chunked_answer),
        cmocka_unit_test(head_gets_the_head_only),
        cmocka_unit_test(hostile_fields_are_dropped),
        cmocka_unit_test(half_an_answer_never_looks_whole),
        cmocka_unit_test(client_that_never_reads_is_reset),
        cmocka_unit_test(client_that_leaves_ends_a_blocked_send),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
