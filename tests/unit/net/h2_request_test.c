// SPDX-License-Identifier: Apache-2.0
//
// h2_request_test.c: heads become neutral messages, bodies are stored within their bounds.
#include "toy_h2_client.h"

static struct h2_client client;

static void a_head_looks_like_http1(void **state)
{
    (void)state;
    struct block_pool blocks;
    struct h2_field fields[] = {{SLICE("cookie"), SLICE("a=b")},
                                {SLICE("x-one"), SLICE("1")},
                                {SLICE("cookie"), SLICE("c=d")},
                                {SLICE("cookie"), SLICE("e=f")},
                                {SLICE("expect"), SLICE("100-Continue")}};
    struct h2_exchange x = {0};
    block_pool_init(&blocks, 4);
    arena_init(&x.stream.arena, &blocks, 1u << 20);
    x.h2.head = (struct h2_head){.method = SLICE("POST"),
                                 .scheme = SLICE("https"),
                                 .authority = SLICE("a:1"),
                                 .path = SLICE("/p?q=1?2"),
                                 .fields = fields,
                                 .count = 5,
                                 .content_length = 7};
    assert_int_equal(h2_request__head(&x), 0);
    const struct http_head *r = &x.stream.request;
    assert_int_equal(r->method, HTTP_POST);
    assert_true(slice_eq(r->target, SLICE("/p?q=1?2")) && slice_eq(r->path, SLICE("/p")));
    assert_true(slice_eq(r->query, SLICE("q=1?2")));
    assert_int_equal(r->content_length, 7);
    assert_true(r->expect_continue);
    assert_int_equal(r->count, 4);
    assert_true(slice_eq(http_head_get(r, HTTP_N_COOKIE)->value, SLICE("a=b; c=d; e=f")));
    assert_true(slice_eq(http_head_get(r, HTTP_N_HOST)->value, SLICE("a:1")));
    x.h2.head.method = SLICE("post"); // methods are case-sensitive
    assert_int_equal(h2_request__head(&x), ERR_BAD_METHOD);
    arena_done(&x.stream.arena);
    block_pool_done(&blocks);
}

static void bodies_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16384, 65535, 65536, 200000, 3000000};
    char digits[24];
    struct toy toy;
    h2c_start(&toy, &client);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (int announced = 0; announced < 2; announced++) {
            client.left = sizes[i];
            (void)snprintf(digits, sizeof(digits), "%zu", sizes[i]);
            int32_t id = h2c_ask(&client, "POST", "/echo", true,
                                 announced ? "content-length" : NULL, digits);
            h2c_until(&toy, &client, h2_seen(&client, id)->closed);
            assert_int_equal(h2_seen(&client, id)->status, 200);
            assert_int_equal(h2_seen(&client, id)->bytes, sizes[i]);
            assert_int_equal(h2_seen(&client, id)->text[0], sizes[i] ? 'b' : 0);
        }
    }
    toy_until(&toy, toy.ended == 2 * ARRAY_LEN(sizes));
    assert_int_equal(atomic_load(&toy.shared->body_bytes), 0);
    h2c_stop(&toy, &client);
}

static void a_body_nobody_reads_yet_stops_at_its_window(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    client.left = 1000000;
    int32_t late = h2c_ask(&client, "POST", "/late", true, NULL, NULL);
    h2c_until(&toy, &client, atomic_load(&toy.shared->body_bytes) == H2_STREAM_WINDOW);
    for (int i = 0; i < 20; i++) {
        h2c_pump(&toy, &client);
        toy_turn(&toy);
    }
    assert_int_equal(atomic_load(&toy.shared->body_bytes), H2_STREAM_WINDOW);
    // Another stream of the same connection is not held up.
    int32_t other = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, other)->closed);
    toy.go = true;
    struct h2_stream *s = container_of(h2c_conn(&toy)->server.streams.next, struct h2_stream, link);
    fiber_wake(container_of(s, struct h2_exchange, h2)->stream.fiber);
    h2c_until(&toy, &client, h2_seen(&client, late)->closed);
    assert_int_equal(h2_seen(&client, late)->bytes, 1000000);
    h2c_stop(&toy, &client);
}

static void a_reader_widens_the_window(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    client.endless = true;
    int32_t late = h2c_ask(&client, "POST", "/late", true, NULL, NULL);
    int32_t read = h2c_ask(&client, "POST", "/echo", true, NULL, NULL);
    h2c_until(&toy, &client,
              nghttp2_session_get_stream_remote_window_size(client.session, read) ==
                  LIMIT_H2_BODY_WINDOW);
    assert_int_equal(nghttp2_session_get_stream_remote_window_size(client.session, late),
                     H2_STREAM_WINDOW);
    h2c_stop(&toy, &client);
}

static void too_large_is_413(void **state)
{
    (void)state;
    struct toy toy;
    for (int announced = 0; announced < 2; announced++) {
        h2c_start(&toy, &client);
        client.left = 1001;
        int32_t id =
            h2c_ask(&client, "POST", "/small", true, announced ? "content-length" : NULL, "1001");
        h2c_until(&toy, &client, h2_seen(&client, id)->status != 0);
        assert_int_equal(h2_seen(&client, id)->status, 413);
        h2c_until(&toy, &client, h2_seen(&client, id)->closed);
        assert_string_equal(h2_seen(&client, id)->text, "BODY_TOO_LARGE");
        h2c_stop(&toy, &client);
    }
}

static void a_body_that_falls_silent_is_408(void **state)
{
    (void)state;
    struct toy toy;
    struct net_options o = {.body_ms = 20};
    toy_start(&toy, &o, NULL, 0);
    h2c_open(&client, toy.port, 65535, false);
    client.left = 10;
    client.endless = true;
    int32_t id = h2c_ask(&client, "POST", "/echo", true, NULL, NULL);
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 408);
    int32_t other = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, other)->closed);
    h2c_stop(&toy, &client);
}

static void who_expects_100_gets_it_when_the_body_is_read(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    client.left = 0;
    client.endless = true; // nothing, until we are told
    int32_t id = h2c_ask(&client, "POST", "/echo", true, "expect", "100-continue");
    h2c_until(&toy, &client, h2_seen(&client, id)->status == 100);
    client.left = 5;
    client.endless = false;
    assert_int_equal(nghttp2_session_resume_data(client.session, id), 0);
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 200);
    assert_int_equal(h2_seen(&client, id)->interim, 100);
    assert_string_equal(h2_seen(&client, id)->text, "bbbbb");
    h2c_stop(&toy, &client);
}

static void the_process_holds_no_more_than_it_may(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    atomic_fetch_add(&toy.shared->body_bytes, LIMIT_BODY_IN_FLIGHT);
    client.left = 5;
    int32_t id = h2c_ask(&client, "POST", "/echo", true, NULL, NULL);
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 503);
    atomic_fetch_sub(&toy.shared->body_bytes, LIMIT_BODY_IN_FLIGHT);
    h2c_stop(&toy, &client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_looks_like_http1),
        cmocka_unit_test(bodies_of_any_size),
        cmocka_unit_test(a_body_nobody_reads_yet_stops_at_its_window),
        cmocka_unit_test(a_reader_widens_the_window),
        cmocka_unit_test(too_large_is_413),
        cmocka_unit_test(a_body_that_falls_silent_is_408),
        cmocka_unit_test(who_expects_100_gets_it_when_the_body_is_read),
        cmocka_unit_test(the_process_holds_no_more_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
