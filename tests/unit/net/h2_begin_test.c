// SPDX-License-Identifier: Apache-2.0
//
// h2_begin_test.c: which requests begin, and how many at once. Reads are handed to the connection
// by the test, so that what comes together is known.
#include "toy_h2_client.h"

#define CLIENTS 6
#define EACH    40

static struct h2_client clients[CLIENTS];

// What the client has to say, appended.
static void note(struct h2_client *c, struct buf *out)
{
    const uint8_t *bytes;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
        buf_add(out, slice_of(bytes, (size_t)n));
}

static void read_at_once(struct h2_conn *h, struct buf *bytes)
{
    struct slice in = slice_of(bytes->ptr, bytes->len);
    h2_conn__take(h->conn, &in);
    assert_int_equal(in.len, 0);
    buf_done(bytes);
}

static void take_back(struct h2_client *c, int32_t id)
{
    assert_int_equal(nghttp2_submit_rst_stream(c->session, 0, id, NGHTTP2_CANCEL), 0);
}

// One more connection that has said hello; the toy's newest.
static struct h2_conn *connect_one(struct toy *toy, struct h2_client *c)
{
    h2c_open(c, toy->port, 65535, false);
    int32_t id = h2c_get(c, "/none");
    h2c_until(toy, c, h2_seen(c, id)->closed);
    struct h1_conn *conn = container_of(toy->core.connections.prev, struct h1_conn, link);
    ASSERT(conn->h2);
    return conn->h2;
}

// A toy with one connection, and what is to be its next read.
static struct h2_conn *start_one(struct toy *toy, struct buf *read)
{
    toy_start(toy, NULL, NULL, 0);
    buf_init(read, 1 << 20);
    return connect_one(toy, &clients[0]);
}

// So many requests that are taken back, in the one read.
static void ask_in_vain(unsigned count, struct buf *read)
{
    for (unsigned i = 0; i < count; i++) {
        int32_t id = h2c_get(&clients[0], "/hang");
        note(&clients[0], read);
        take_back(&clients[0], id);
        note(&clients[0], read);
    }
}

static void what_is_taken_back_in_the_same_read_never_begins(void **state)
{
    (void)state;
    struct toy toy;
    struct buf read;
    struct h2_conn *h = start_one(&toy, &read);
    unsigned ended = toy.ended;
    ask_in_vain(100, &read);
    int32_t kept = h2c_get(&clients[0], "/none");
    note(&clients[0], &read);
    read_at_once(h, &read);
    assert_int_equal(fiber_live(toy.fibers), 1);
    assert_int_equal(counter_get(&toy.core.stats.h2_taken_back), 100);
    h2c_until(&toy, &clients[0], h2_seen(&clients[0], kept)->closed);
    assert_int_equal(h2_seen(&clients[0], kept)->status, 404);
    assert_int_equal(toy.ended, ended + 1);
    h2c_stop(&toy, &clients[0]);
}

static void nothing_of_a_rapid_reset_begins(void **state)
{
    (void)state;
    struct toy toy;
    struct buf read;
    struct h2_conn *h = start_one(&toy, &read);
    unsigned ended = toy.ended;
    ask_in_vain(300, &read); // 256 are allowed
    read_at_once(h, &read);
    assert_int_equal(fiber_live(toy.fibers), 0);
    h2c_until(&toy, &clients[0], clients[0].sock.eof);
    assert_int_equal(clients[0].goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_int_equal(toy.ended, ended);
    assert_int_equal(counter_get(&toy.core.stats.h2.hit[H2_RATE_RESET]), 1);
    h2c_stop(&toy, &clients[0]);
}

// The first share begins with the read, and what is taken back before its turn has come does not.
static void a_burst_begins_in_shares(void **state)
{
    (void)state;
    struct toy toy;
    struct buf read;
    int32_t id = 0;
    struct h2_conn *h = start_one(&toy, &read);
    for (unsigned i = 0; i < EACH; i++)
        id = h2c_get(&clients[0], "/hang");
    note(&clients[0], &read);
    read_at_once(h, &read);
    assert_int_equal(fiber_live(toy.fibers), H2_BEGUN_A_READ);
    take_back(&clients[0], id);
    note(&clients[0], &read);
    read_at_once(h, &read);
    assert_int_equal(fiber_live(toy.fibers), H2_BEGUN_A_READ); // the others wait before it
    assert_int_equal(counter_get(&toy.core.stats.h2_taken_back), 1);
    toy_until(&toy, fiber_live(toy.fibers) == EACH - 1);
    assert_true(list_empty(&toy.core.h2_begin.waiting));
    h2c_stop(&toy, &clients[0]);
}

static unsigned waiting_of(const struct h2_conn *h)
{
    unsigned n = 0;
    for (const struct list *l = h->arrived.next; l != &h->arrived; l = l->next)
        n++;
    return n;
}

static void a_turn_has_its_bound_and_everybody_a_share(void **state)
{
    (void)state;
    struct toy toy;
    struct h2_conn *h[CLIENTS];
    struct buf read;
    unsigned turns = 0;
    toy_start(&toy, NULL, NULL, 0);
    for (unsigned c = 0; c < CLIENTS; c++)
        h[c] = connect_one(&toy, &clients[c]);
    for (unsigned c = 0; c < CLIENTS; c++) {
        buf_init(&read, 1 << 20);
        for (unsigned i = 0; i < EACH; i++)
            (void)h2c_get(&clients[c], "/hang");
        note(&clients[c], &read);
        read_at_once(h[c], &read);
    }
    unsigned before = fiber_live(toy.fibers);
    assert_int_equal(before, H2_BEGUN_A_TURN);
    assert_int_equal(waiting_of(h[CLIENTS - 1]), EACH); // came too late for this turn
    for (; fiber_live(toy.fibers) < CLIENTS * EACH && turns < 20; turns++) {
        before = fiber_live(toy.fibers);
        toy_turn(&toy);
        assert_true(fiber_live(toy.fibers) <= before + H2_BEGUN_A_TURN);
        if (turns == 2) // one to end the first, one for the four that were first, one for these
            assert_true(waiting_of(h[CLIENTS - 1]) < EACH);
    }
    assert_int_equal(fiber_live(toy.fibers), CLIENTS * EACH);
    for (unsigned c = 1; c < CLIENTS; c++)
        h2c_done(&clients[c]);
    h2c_stop(&toy, &clients[0]);
}

static void bodies_come_while_requests_wait(void **state)
{
    (void)state;
    struct toy toy;
    struct buf read;
    int32_t id[EACH];
    struct h2_conn *h = start_one(&toy, &read);
    for (unsigned i = 0; i < EACH; i++) {
        clients[0].left = 100 + i;
        id[i] = h2c_ask(&clients[0], "POST", "/echo", true, NULL, NULL);
        note(&clients[0], &read);
    }
    read_at_once(h, &read);
    assert_true(waiting_of(h) > 0);
    for (unsigned i = 0; i < EACH; i++) {
        h2c_until(&toy, &clients[0], h2_seen(&clients[0], id[i])->closed);
        assert_int_equal(h2_seen(&clients[0], id[i])->status, 200);
        assert_int_equal(h2_seen(&clients[0], id[i])->bytes, 100 + i);
    }
    h2c_stop(&toy, &clients[0]);
}

static void a_connection_is_lost_while_requests_wait(void **state)
{
    (void)state;
    struct toy toy;
    struct buf read;
    struct h2_conn *h = start_one(&toy, &read);
    for (unsigned i = 0; i < 2 * EACH; i++) {
        clients[0].left = 100;
        (void)h2c_ask(&clients[0], "POST", "/hang", true, NULL, NULL);
        note(&clients[0], &read);
    }
    read_at_once(h, &read);
    h1_conn__abort(h->conn);
    assert_true(list_empty(&toy.core.h2_begin.waiting));
    toy_until(&toy, list_empty(&toy.core.connections));
    assert_int_equal(toy.cancelled, H2_BEGUN_A_READ);
    h2c_stop(&toy, &clients[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_back_in_the_same_read_never_begins),
        cmocka_unit_test(nothing_of_a_rapid_reset_begins),
        cmocka_unit_test(a_burst_begins_in_shares),
        cmocka_unit_test(a_turn_has_its_bound_and_everybody_a_share),
        cmocka_unit_test(bodies_come_while_requests_wait),
        cmocka_unit_test(a_connection_is_lost_while_requests_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
