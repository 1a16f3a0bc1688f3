// SPDX-License-Identifier: Apache-2.0
//
// h2_stream_test.c: what the toy answers, on HTTP/2 streams.
#include "toy_h2_client.h"

static struct h2_client client;

static void fields_of_a_hostile_provider_are_dropped(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/fields");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 200);
    assert_int_equal(h2_seen(&client, id)->code, H2_NO_ERROR);
    // Ours, and the one that is fit to be seen.
    assert_int_equal(h2_seen(&client, id)->fields, 4);
    assert_non_null(strstr(h2_seen(&client, id)->head, "x-content-type-options: nosniff|"));
    assert_non_null(strstr(h2_seen(&client, id)->head, "date: "));
    assert_non_null(strstr(h2_seen(&client, id)->head, "content-length: 0|"));
    assert_non_null(strstr(h2_seen(&client, id)->head, "x-good: 1|"));
    h2c_stop(&toy, &client);
}

static void a_stream_has_no_length_and_an_end(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    client.left = 100000;
    int32_t id = h2c_ask(&client, "POST", "/stream", true, NULL, NULL);
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->bytes, 100000);
    assert_null(strstr(h2_seen(&client, id)->head, "content-length"));
    assert_null(strstr(h2_seen(&client, id)->head, "transfer-encoding"));
    h2c_stop(&toy, &client);
}

static void head_gets_no_body(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t one = h2c_ask(&client, "HEAD", "/none", false, NULL, NULL);
    int32_t two = h2c_ask(&client, "HEAD", "/pause", false, NULL, NULL);
    int32_t three = h2c_ask(&client, "HEAD", "/refuse", false, NULL, NULL);
    h2c_until(&toy, &client, h2_seen(&client, one)->closed && h2_seen(&client, two)->closed);
    h2c_until(&toy, &client, h2_seen(&client, three)->closed);
    assert_int_equal(h2_seen(&client, one)->bytes + h2_seen(&client, two)->bytes, 0);
    assert_int_equal(h2_seen(&client, three)->bytes, 0);
    assert_non_null(strstr(h2_seen(&client, one)->head, "content-length: 12|"));
    assert_int_equal(h2_seen(&client, three)->status, 503);
    h2c_stop(&toy, &client);
}

static void half_an_answer_is_reset_alone(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/half");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_int_equal(h2_seen(&client, id)->bytes, 5);
    assert_int_equal(h2_seen(&client, id)->code, H2_INTERNAL_ERROR);
    id = h2c_get(&client, "/none");
    h2c_until(&toy, &client, h2_seen(&client, id)->closed);
    assert_string_equal(h2_seen(&client, id)->text, "nothing here");
    h2c_stop(&toy, &client);
}

static void refusals_are_answers(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/refuse");
    int32_t brew = h2c_ask(&client, "BREW", "/", false, NULL, NULL);
    int32_t tea = h2c_ask(&client, "GET", "/", false, "expect", "tea");
    h2c_until(&toy, &client, h2_seen(&client, tea)->closed && h2_seen(&client, brew)->closed);
    assert_int_equal(h2_seen(&client, id)->status, 503);
    assert_string_equal(h2_seen(&client, id)->text, "OVERLOAD");
    assert_int_equal(h2_seen(&client, brew)->status, 405);
    assert_non_null(strstr(h2_seen(&client, brew)->head, "allow: GET, HEAD, POST"));
    assert_int_equal(h2_seen(&client, tea)->status, 417);
    assert_int_equal(counter_get(&toy.core.stats.bad_requests), 2);
    assert_int_equal(toy.ended, 0);
    h2c_stop(&toy, &client);
}

static void a_reset_cancels_the_fiber_at_once(void **state)
{
    (void)state;
    struct toy toy;
    h2c_start(&toy, &client);
    int32_t id = h2c_get(&client, "/hang"), other = h2c_get(&client, "/pause");
    h2c_until(&toy, &client, fiber_live(toy.fibers) == 2);
    assert_int_equal(nghttp2_submit_rst_stream(client.session, 0, id, NGHTTP2_CANCEL), 0);
    h2c_until(&toy, &client, toy.cancelled == 1);
    assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
    h2c_until(&toy, &client, h2_seen(&client, other)->bytes == 5);
    h2c_stop(&toy, &client);
}

// The fiber's spans are in the kernel's hands, or wait for a window, when it is cancelled.
static void a_reset_in_the_middle_of_a_large_write(void **state)
{
    (void)state;
    for (size_t after = 0; after < 400000; after += 50000) {
        struct toy toy;
        toy_start(&toy, NULL, NULL, 0);
        h2c_open(&client, toy.port, 300000, true);
        int32_t id = h2c_get(&client, "/flood");
        h2c_until(&toy, &client, fiber_live(toy.fibers) == 1); // it has begun
        h2c_until(&toy, &client, h2_seen(&client, id)->bytes >= (after < 300000 ? after : 300000));
        assert_int_equal(nghttp2_submit_rst_stream(client.session, 0, id, NGHTTP2_CANCEL), 0);
        h2c_until(&toy, &client, toy.ended == 1);
        assert_int_equal(toy.last_error, ERR_CLIENT_GONE);
        id = h2c_get(&client, "/none");
        h2c_until(&toy, &client, h2_seen(&client, id)->closed);
        h2c_stop(&toy, &client);
    }
}

// The kernel still reads the fiber's spans: the fiber must not be told that they are its own again.
static void spans_in_flight_keep_their_fiber(void **state)
{
    (void)state;
    struct toy toy;
    const uint8_t *out;
    toy_start(&toy, NULL, NULL, 0);
    h2c_open(&client, toy.port, INT32_MAX, true);
    int32_t id = h2c_get(&client, "/flood");
    for (ssize_t n; (n = nghttp2_session_mem_send(client.session, &out)) > 0;)
        client_send(&toy, &client.sock, out, (size_t)n);
    toy_until(&toy, toy.flooded > 0);
    size_t before = 0;
    for (unsigned quiet = 0; quiet < 20; before = toy.flooded) {
        toy_turn(&toy); // until the socket is full
        quiet = toy.flooded == before ? quiet + 1 : 0;
    }
    struct h2_conn *h = h2c_conn(&toy);
    struct h2_exchange *x = container_of(h->all.next, struct h2_exchange, link);
    assert_true(ring_op_busy(&h->conn->send));
    assert_true(list_linked(&x->sending) && x->writing);
    assert_false(x->written.done);
    h2c_until(&toy, &client, h2_seen(&client, id)->bytes > before && toy.flooded > before);
    h2c_stop(&toy, &client);
}

static void windows_are_back_pressure(void **state)
{
    (void)state;
    struct toy toy;
    toy_start(&toy, NULL, NULL, 0);
    h2c_open(&client, toy.port, 200000, true);
    int32_t id = h2c_get(&client, "/flood");
    h2c_until(&toy, &client, h2_seen(&client, id)->bytes == 200000);
    for (int i = 0; i < 20; i++)
        toy_turn(&toy);
    // Three writes of 64 kB have been taken whole, the fourth waits.
    assert_int_equal(toy.flooded, 3 * 65536);
    assert_int_equal(nghttp2_session_consume(client.session, id, 200000), 0);
    h2c_until(&toy, &client, h2_seen(&client, id)->bytes == 400000);
    h2c_stop(&toy, &client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_of_a_hostile_provider_are_dropped),
        cmocka_unit_test(a_stream_has_no_length_and_an_end),
        cmocka_unit_test(head_gets_no_body),
        cmocka_unit_test(half_an_answer_is_reset_alone),
        cmocka_unit_test(refusals_are_answers),
        cmocka_unit_test(a_reset_cancels_the_fiber_at_once),
        cmocka_unit_test(a_reset_in_the_middle_of_a_large_write),
        cmocka_unit_test(spans_in_flight_keep_their_fiber),
        cmocka_unit_test(windows_are_back_pressure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
