// SPDX-License-Identifier: Apache-2.0
//
// ws_test.c: a WebSocket as the server of a client that writes its frames by hand.
#include "ws_toy.h"

#include "net/h2_internal.h"

// Waits for the toy's exchange and says how it ended.
#define ENDED(t, error)                                                                            \
    do {                                                                                           \
        toy_until(&(t)->toy, (t)->toy.ended == 1);                                                 \
        assert_int_equal((t)->err, error);                                                         \
    } while (0)

static void messages_come_back_and_a_close_is_answered(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/echo");
    ws_toy_text(&t, &c, "hello");
    ws_toy_expect(&t, &c, "\x81\x05hello");
    ws_toy_say(&t, &c, 0x82, "\0\xff", 2);
    ws_toy_expect(&t, &c, "\x82\x02\0\xff");
    ws_toy_text(&t, &c, "");
    ws_toy_expect(&t, &c, "\x81\0");
    ws_toy_say(&t, &c, 0x88,
               "\x03\xe8"
               "done",
               6);
    client_until_eof(&t.toy, &c);
    assert_int_equal(c.error, 0); // a FIN
    ws_toy_expect(&t, &c, "\x88\x02\x03\xe8");
    ENDED(&t, ERR_WS_CLOSED);
    assert_int_equal(t.code, 1000);
    assert_string_equal(t.reason, "done");
    ws_toy_stop(&t, &c);
}

static void fragments_with_a_ping_between(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/echo");
    ws_toy_say(&t, &c, 0x01, "one ", 4);
    ws_toy_say(&t, &c, 0x89, "?", 1);
    ws_toy_expect(&t, &c, "\x8a\x01?"); // answered before the message is whole
    ws_toy_say(&t, &c, 0x00, "two ", 4);
    ws_toy_say(&t, &c, 0x8a, "unasked", 7);
    ws_toy_say(&t, &c, 0x80, "three", 5);
    ws_toy_expect(&t, &c, "\x81\x0done two three");
    ws_toy_stop(&t, &c);
}

static void frames_may_come_byte_by_byte(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    char frame[64];
    ws_toy_start(&t, &c, "/echo");
    size_t n = ws_toy_frame(frame, 0x81, "abc", 3);
    for (size_t i = 0; i < n; i++) {
        client_send(&t.toy, &c, frame + i, 1);
        toy_turn(&t.toy);
    }
    ws_toy_expect(&t, &c,
                  "\x81\x03"
                  "abc");
    ws_toy_stop(&t, &c);
}

// Frames right behind the request, before the 101 can have come.
static void what_came_with_the_request_is_read(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    char all[1024];
    ws_toy_start_with(&t, NULL);
    client_open(&c, t.toy.port);
    size_t n = strlen(WS_TOY_HEAD("/echo"));
    memcpy(all, WS_TOY_HEAD("/echo"), n);
    n += ws_toy_frame(all + n, 0x81, "early", 5);
    client_send(&t.toy, &c, all, n);
    ws_toy_expect(&t, &c,
                  WS_TOY_101 "\x81\x05"
                             "early");
    ws_toy_stop(&t, &c);
}

static void a_long_message_is_one_frame(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    size_t len = 3u << 20;
    char *text = malloc(len);
    memset(text, 'y', len);
    ws_toy_start(&t, &c, "/echo");
    ws_toy_say(&t, &c, 0x81, text, len);
    toy_until(&t.toy, (client_poll(&c), c.len >= len + 10));
    assert_memory_equal(c.in, "\x81\x7f\0\0\0\0\0\x30\0\0", 10);
    assert_int_equal(c.len, len + 10);
    assert_memory_equal(c.in + 10, text, len);
    ws_toy_stop(&t, &c);
    free(text);
}

static void a_violation_is_told_and_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *close;
    } rows[] = {
        {"\x81\x01x", 3, "\x88\x02\x03\xea"},                // no mask
        {"\xc1\x80\0\0\0\0", 6, "\x88\x02\x03\xea"},         // a reserved bit
        {"\x83\x80\0\0\0\0", 6, "\x88\x02\x03\xea"},         // an unknown opcode
        {"\x80\x80\0\0\0\0", 6, "\x88\x02\x03\xea"},         // nothing to continue
        {"\x88\x82\0\0\0\0\x03\xed", 8, "\x88\x02\x03\xea"}, // 1005 in a close
        {"\x81\x81\0\0\0\0\xff", 7, "\x88\x02\x03\xef"},     // no UTF-8
        {"\x82\xfe\x04\x01\0\0\0\0", 8, "\x88\x02\x03\xf1"}, // 1025 bytes
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ws_toy t = {.options.limits.message_bytes = 1024,
                           .options.limits.frame_bytes = 1024};
        struct toy_client c;
        ws_toy_start(&t, &c, "/echo");
        client_send(&t.toy, &c, rows[i].bytes, rows[i].len);
        client_until_eof(&t.toy, &c);
        assert_int_equal(c.error, 0);
        assert_int_equal(c.len, 4);
        assert_memory_equal(c.in, rows[i].close, 4);
        ENDED(&t, ERR_BAD_FRAME);
        ws_toy_stop(&t, &c);
    }
}

static void our_close_waits_for_theirs(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/bye");
    ws_toy_expect(&t, &c,
                  "\x88\x05\x03\xe8"
                  "bye");
    ws_toy_text(&t, &c, "this crossed it"); // dropped
    ws_toy_say(&t, &c, 0x89, "", 0);        // not answered: nothing follows a close
    assert_int_equal(t.toy.ended, 0);
    ws_toy_say(&t, &c, 0x88, "\x0f\xa0", 2);
    client_until_eof(&t.toy, &c);
    assert_int_equal(c.len, 0);
    ENDED(&t, 0);
    assert_int_equal(t.code, 4000);
    ws_toy_stop(&t, &c);
}

static void whoever_does_not_close_has_its_time(void **state)
{
    (void)state;
    struct ws_toy t = {.options.close_ms = 20};
    struct toy_client c;
    ws_toy_start(&t, &c, "/bye");
    ENDED(&t, 0);
    assert_int_equal(t.code, WS_CODE_ABNORMAL);
    client_until_eof(&t.toy, &c);
    ws_toy_stop(&t, &c);
}

static void a_peer_that_leaves_without_a_close(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct ws_toy t = {0};
        struct toy_client c;
        ws_toy_start(&t, &c, "/echo");
        if (how == 1)
            client_send(&t.toy, &c, "\x81\x85\0\0\0\0he", 8); // half a frame
        if (how == 2) {
            struct linger none = {.l_onoff = 1};
            assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
        }
        client_close(&c);
        ENDED(&t, ERR_CLIENT_GONE);
        assert_int_equal(t.code, WS_CODE_ABNORMAL);
        toy_stop(&t.toy);
    }
}

// What was sent before the FIN counts: a close, a message.
static void a_close_and_a_fin_at_once(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/quiet");
    ws_toy_text(&t, &c, "last words");
    ws_toy_say(&t, &c, 0x88, "\x03\xe9", 2);
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    ENDED(&t, ERR_WS_CLOSED);
    assert_int_equal(t.messages, 1);
    assert_int_equal(t.code, 1001);
    ws_toy_stop(&t, &c);
}

static void silence_is_asked_about(void **state)
{
    (void)state;
    struct ws_toy t = {.options = {.ping_ms = 20, .pong_ms = 20}};
    struct toy_client c;
    ws_toy_start(&t, &c, "/quiet");
    ws_toy_expect(&t, &c, "\x89\0");
    ws_toy_say(&t, &c, 0x8a, "", 0);
    ws_toy_expect(&t, &c, "\x89\0"); // there it was; and silent again
    ENDED(&t, ERR_CLIENT_TIMEOUT);
    ws_toy_stop(&t, &c);
}

static void a_server_that_does_not_read_is_not_sent_more(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    static char block[65536];
    char frame[65536 + WS_HEAD_BYTES];
    size_t size = ws_toy_frame(frame, 0x82, block, sizeof(block)), at = 0, quiet = 0, sent = 0;
    ws_toy_start(&t, &c, "/wait");
    while (quiet < 20 && sent < (256u << 20)) {
        size_t n = client_write(&c, frame + at, size - at);
        sent += n;
        at = (at + n) % size;
        quiet = n ? 0 : quiet + 1;
        toy_turn(&t.toy);
    }
    assert_int_equal(quiet, 20);
    struct h1_conn *conn = container_of(t.toy.core.connections.next, struct h1_conn, link);
    assert_true(h1_conn__held(conn) <= LIMIT_PIPELINE_BYTES + (1u << 20));
    assert_int_equal(conn->armed, RECEIVE_NONE);
    t.toy.go = true;
    if (at > 0)
        client_send(&t.toy, &c, frame + at, size - at);
    ws_toy_say(&t, &c, 0x88, "", 0);
    toy_until(&t.toy, (client_poll(&c), client_forget(&c), t.toy.ended == 1));
    assert_int_equal(t.err, ERR_WS_CLOSED);
    assert_int_equal(t.code, WS_CODE_NONE);
    assert_int_equal(t.messages, (sent + size - 1) / size);
    ws_toy_stop(&t, &c);
}

static void a_client_that_never_reads_is_gone_in_time(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    struct net_options o = {.send_ms = 40};
    ws_toy_start_with(&t, &o);
    ws_toy_open(&t, &c, "/push");
    ENDED(&t, ERR_CLIENT_GONE);
    assert_true(t.pushed > 0);
    assert_int_equal(t.code, WS_CODE_ABNORMAL);
    ws_toy_stop(&t, &c);
}

static void an_abort_ends_it(void **state)
{
    (void)state;
    static const char *const paths[] = {"/quiet", "/wait", "/bye"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct ws_toy t = {0};
        struct toy_client c;
        ws_toy_start(&t, &c, paths[i]);
        ws_toy_say(&t, &c, 0x01, "x", 1);
        net_abort(&t.toy.core);
        toy_until(&t.toy, t.toy.ended == 1);
        assert_int_equal(t.err, ERR_CLIENT_GONE);
        ws_toy_stop(&t, &c);
    }
}

static void a_drain_says_that_we_go_away(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/quiet");
    net_drain(&t.toy.core);
    ws_toy_expect(&t, &c, "\x88\x02\x03\xe9");
    ws_toy_say(&t, &c, 0x88, "\x03\xe9", 2);
    ENDED(&t, ERR_WS_CLOSED);
    client_until_eof(&t.toy, &c);
    ws_toy_stop(&t, &c);
}

// Whoever never stops writing is told as well, between two of its messages.
static void a_busy_peer_is_told_as_well(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    char one[64], many[64 * 400];
    size_t n = 0, k = ws_toy_frame(one, 0x81, "0123456789", 10), at = 0;
    for (unsigned i = 0; i < 400; i++, n += k)
        memcpy(many + n, one, k);
    ws_toy_start(&t, &c, "/echo");
    bool told = false;
    for (unsigned turns = 0; turns < 5000 && !told; turns++) {
        size_t sent;
        while ((sent = client_write(&c, many + at, n - at)) > 0)
            at = (at + sent) % n;
        toy_turn(&t.toy);
        client_poll(&c);
        told = c.len >= 4 && memmem(c.in, c.len, "\x88\x02\x03\xe9", 4) != NULL;
        client_forget(&c);
        if (t.messages > 400)
            net_drain(&t.toy.core);
    }
    assert_true(told);
    net_abort(&t.toy.core);
    toy_until(&t.toy, t.toy.ended == 1);
    ws_toy_stop(&t, &c);
}

static struct closing {
    int rc;
    bool done;
} closing;

static void closer(struct fiber *self, void *arg)
{
    struct ws_toy *t = arg;
    closing.rc = ws_close_await(t->ws, self, WS_CODE_NORMAL, SLICE_EMPTY);
    closing.done = true;
}

// A writer is stuck, because the peer does not read: the close has its time all the same, and with
// it the writer.
static void a_close_does_not_wait_for_a_stuck_writer(void **state)
{
    (void)state;
    struct ws_toy t = {.options.close_ms = 20};
    struct toy_client c;
    struct fiber *f;
    size_t last = 1;
    ws_toy_start_with(&t, NULL); // a minute for what is sent
    ws_toy_open(&t, &c, "/push");
    for (unsigned same = 0; same < 50; last = t.pushed) {
        toy_turn(&t.toy);
        same = t.pushed == last ? same + 1 : 0;
    }
    closing = (struct closing){0};
    assert_int_equal(fiber_spawn(t.toy.fibers, closer, &t, &f), 0);
    toy_until(&t.toy, closing.done && t.toy.ended == 1);
    assert_int_equal(closing.rc, 0);
    assert_int_equal(t.err, ERR_CLIENT_GONE);
    ws_toy_stop(&t, &c);
}

// 3,000 letters a frame, never mixed.
static void two_fibers_write_whole_frames(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start(&t, &c, "/two");
    size_t frame = 4 + 3000;
    toy_until(&t.toy, (client_poll(&c), c.len >= 100 * frame + 4));
    unsigned of[2] = {0};
    for (size_t i = 0; i < 100; i++) {
        const char *p = c.in + i * frame;
        assert_memory_equal(p, "\x81\x7e\x0b\xb8", 4);
        for (size_t k = 5; k < frame; k++)
            assert_int_equal(p[k], p[4]);
        of[p[4] - 'a']++;
    }
    assert_int_equal(of[0] + of[1], 100);
    assert_memory_equal(c.in + 100 * frame, "\x88\x02\x03\xe8", 4);
    ws_toy_say(&t, &c, 0x88, "\x03\xe8", 2);
    ENDED(&t, 0);
    ws_toy_stop(&t, &c);
}

// A thousand pings at once, unread answers: bounded, and the messages between them come through.
static void a_flood_of_pings(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    char all[1000 * 12];
    size_t n = 0;
    ws_toy_start(&t, &c, "/echo");
    for (unsigned i = 0; i < 1000; i++)
        n += ws_toy_frame(all + n, 0x89, "p", 1);
    client_send(&t.toy, &c, all, n);
    ws_toy_text(&t, &c, "through");
    client_until(&t.toy, &c, "through");
    assert_true(c.len <= 1000 * 3 + 9);
    ws_toy_stop(&t, &c);
}

// Pings whose answers nobody reads: they are not received any more, and then the peer is gone.
static void a_flood_of_pings_that_reads_nothing(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    struct net_options o = {.send_ms = 40};
    static char all[1000 * 131];
    char payload[125] = {0};
    size_t n = 0, at = 0;
    for (unsigned i = 0; i < 1000; i++)
        n += ws_toy_frame(all + n, 0x89, payload, sizeof(payload));
    ws_toy_start_with(&t, &o);
    ws_toy_open(&t, &c, "/quiet");
    toy_until(&t.toy, (at = (at + client_write(&c, all + at, n - at)) % n, t.toy.ended == 1));
    assert_int_equal(t.err, ERR_CLIENT_GONE);
    ws_toy_stop(&t, &c);
}

static void what_is_no_handshake_is_answered(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_client c;
    ws_toy_start_with(&t, NULL);
    client_open(&c, t.toy.port);
    client_say(&t.toy, &c,
               "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n");
    client_until(&t.toy, &c, "HTTP/1.1 426 ");
    client_until(&t.toy, &c, "\r\n\r\n");
    client_forget(&c);
    client_say(&t.toy, &c, WS_TOY_HEAD("/echo")); // on the same connection
    client_until(&t.toy, &c, WS_TOY_101);
    ws_toy_stop(&t, &c);
}

static void http2_has_none(void **state)
{
    (void)state;
    assert_int_equal(h2_stream_ops.upgrade_await(NULL, NULL, SLICE_EMPTY), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_back_and_a_close_is_answered),
        cmocka_unit_test(fragments_with_a_ping_between),
        cmocka_unit_test(frames_may_come_byte_by_byte),
        cmocka_unit_test(what_came_with_the_request_is_read),
        cmocka_unit_test(a_long_message_is_one_frame),
        cmocka_unit_test(a_violation_is_told_and_ends_it),
        cmocka_unit_test(our_close_waits_for_theirs),
        cmocka_unit_test(whoever_does_not_close_has_its_time),
        cmocka_unit_test(a_peer_that_leaves_without_a_close),
        cmocka_unit_test(a_close_and_a_fin_at_once),
        cmocka_unit_test(silence_is_asked_about),
        cmocka_unit_test(a_server_that_does_not_read_is_not_sent_more),
        cmocka_unit_test(a_client_that_never_reads_is_gone_in_time),
        cmocka_unit_test(an_abort_ends_it),
        cmocka_unit_test(a_drain_says_that_we_go_away),
        cmocka_unit_test(a_busy_peer_is_told_as_well),
        cmocka_unit_test(a_close_does_not_wait_for_a_stuck_writer),
        cmocka_unit_test(two_fibers_write_whole_frames),
        cmocka_unit_test(a_flood_of_pings),
        cmocka_unit_test(a_flood_of_pings_that_reads_nothing),
        cmocka_unit_test(what_is_no_handshake_is_answered),
        cmocka_unit_test(http2_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
