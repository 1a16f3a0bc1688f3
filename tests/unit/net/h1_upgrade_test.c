// SPDX-License-Identifier: Apache-2.0
//
// h1_upgrade_test.c: a connection that was taken over: bytes as they are, both ways.
#include "toy.h"

#define HEAD "HTTP/1.1 101 Switching Protocols\r\nUpgrade: bytes\r\nConnection: Upgrade\r\n\r\n"

static struct {
    int rc;
    size_t parts;
} seen;

// Every byte back, doubled; "." ends it.
static void double_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct toy *toy = container_of(s->core->server, struct toy, server);
    struct body_part part;
    bool last = false;
    net_load_begin(s->core);
    int rc = http_upgrade_await(s, self, SLICE(HEAD));
    if (rc == ERR_UNSUPPORTED) {
        struct http_answer a = {.status = 501, .content_length = 0};
        (void)http_answer_await(s, self, &a, NULL, 0, true);
    }
    while (rc == 0 && !last) {
        rc = body_pull_await(&s->body, self, &part);
        if (rc)
            break;
        struct slice twice[2] = {part.span[0], part.span[0]};
        last = part.span[0].ptr[part.span[0].len - 1] == '.';
        rc = http_write_await(s, self, twice, 2, last);
        seen.parts++;
        body_put(&s->body, &part);
    }
    seen.rc = rc;
    toy->ended++;
    net_load_end(s->core);
    http_end(s);
}

static void on_request(struct net_server *server, struct http_stream *s)
{
    (void)server;
    ASSERT(fiber_spawn(s->core->fibers, double_fiber, s, &s->fiber) == 0);
}

static void start(struct toy *toy, struct toy_client *c)
{
    toy_start_one(toy, c);
    toy->server.on_request = on_request;
    memset(&seen, 0, sizeof(seen));
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, &c);
    client_say(&toy, &c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nearly");
    client_until(&toy, &c, HEAD "earlyearly");
    client_say(&toy, &c, "GET / HTTP/1.1\r\n\r\n"); // no request any more
    client_until(&toy, &c, "\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    client_say(&toy, &c, ".");
    client_until_eof(&toy, &c);
    assert_int_equal(c.error, 0);
    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.parts, 3);
    assert_int_equal(counter_get(&toy.core.stats.requests), 1);
    toy_stop_one(&toy, &c);
}

// Half-closed: what was sent before is served, and then the client has gone.
static void a_fin_is_no_cancellation(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, &c);
    client_say(&toy, &c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client_until(&toy, &c, HEAD);
    client_say(&toy, &c, "ab");
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    client_until(&toy, &c, HEAD "abab");
    toy_until(&toy, toy.ended == 1);
    assert_int_equal(seen.rc, ERR_CLIENT_GONE);
    toy_stop_one(&toy, &c);
}

static void a_request_with_a_body_stays_one(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    start(&toy, &c);
    client_say(&toy, &c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    client_until(&toy, &c, "HTTP/1.1 501 ");
    assert_int_equal(seen.rc, ERR_UNSUPPORTED);
    toy_stop_one(&toy, &c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(a_fin_is_no_cancellation),
        cmocka_unit_test(a_request_with_a_body_stays_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
