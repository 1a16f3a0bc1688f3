// SPDX-License-Identifier: Apache-2.0
//
// ws_handshake_test.c: the opening handshake by the example of RFC 6455 1.3, and its refusals.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/h1.h"
#include "net/ws_handshake.h"

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define GOOD                                                                                       \
    "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " KEY              \
    "\r\nSec-WebSocket-Version: 13\r\n"

struct world {
    struct block_pool pool;
    struct arena arena;
    struct http_head head;
};

static void world_open(struct world *w)
{
    *w = (struct world){0};
    block_pool_init(&w->pool, 0);
    arena_init(&w->arena, &w->pool, 1 << 20);
}

static void world_close(struct world *w)
{
    arena_done(&w->arena);
    block_pool_done(&w->pool);
}

static const struct slice known[] = {{"v2", 2}, {"v1", 2}};

static int request(struct world *w, const char *line, const char *fields, struct ws_request *ret)
{
    struct slice text = arena_printf(&w->arena, "%s\r\n%s\r\n", line, fields);
    assert_int_equal(h1_parse_request(text, &w->arena, &w->head), 0);
    return ws_request_check(&w->head, known, 2, ret);
}

static int answer(struct world *w, const char *line, const char *fields, struct slice *ret)
{
    struct slice text = arena_printf(&w->arena, "%s\r\n%s\r\n", line, fields);
    assert_int_equal(h1_parse_answer(text, &w->arena, &w->head), 0);
    return ws_answer_check(&w->head, slice_str(KEY), known, 2, ret);
}

static void the_accept_key_is_the_rfcs(void **state)
{
    char out[WS_ACCEPT_BYTES];
    (void)state;
    ws_accept_key(slice_str(KEY), out);
    assert_memory_equal(out, ACCEPT, WS_ACCEPT_BYTES);
}

static void a_good_request_is_answered(void **state)
{
    struct world w;
    struct ws_request r;
    (void)state;
    world_open(&w);
    assert_int_equal(request(&w, "GET /x HTTP/1.1", GOOD "Origin: https://b\r\n", &r), 0);
    assert_true(ws_is_asked(&w.head));
    assert_true(slice_eq(r.origin, SLICE("https://b")));
    assert_int_equal(r.protocol.len, 0);
    assert_true(slice_eq(ws_answer_write(&r, &w.arena),
                         SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n")));
    world_close(&w);
}

static void the_clients_order_chooses_the_subprotocol(void **state)
{
    struct world w;
    struct ws_request r;
    (void)state;
    world_open(&w);
    assert_int_equal(request(&w, "GET / HTTP/1.1",
                             GOOD "Sec-WebSocket-Protocol: V1, x\r\n"
                                  "Sec-WebSocket-Protocol: v1 , v2\r\n",
                             &r),
                     0);
    assert_true(slice_eq(r.protocol, SLICE("v1"))); // V1 is another one
    struct slice text = ws_answer_write(&r, &w.arena);
    assert_true(slice_find(text, SLICE("\r\nSec-WebSocket-Protocol: v1\r\n\r\n")) > 0);
    world_close(&w);
}

static void lists_and_letter_case_are_understood(void **state)
{
    struct world w;
    struct ws_request r;
    (void)state;
    world_open(&w);
    assert_int_equal(request(&w, "GET / HTTP/1.1",
                             "Host: a\r\nupgrade: foo, WebSocket\r\nconnection: keep-alive, "
                             "upgrade\r\nsec-websocket-key: " KEY
                             "\r\nsec-websocket-version: 13\r\n",
                             &r),
                     0);
    world_close(&w);
}

#define WITHOUT_KEY "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

static const struct {
    const char *line, *fields;
    int rc;
} refused[] = {
    {"POST / HTTP/1.1", GOOD, ERR_BAD_HEADER},
    {"GET / HTTP/1.0", GOOD, ERR_BAD_HEADER},
    {"GET / HTTP/1.1", GOOD "Content-Length: 1\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1", GOOD "Sec-WebSocket-Key: " KEY "\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1", GOOD "Sec-WebSocket-Version: 13\r\n", ERR_WS_VERSION},
    {"GET / HTTP/1.1", "Host: a\r\nConnection: Upgrade\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1", "Host: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\nConnection: close\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1", WITHOUT_KEY, ERR_WS_VERSION},
    {"GET / HTTP/1.1", WITHOUT_KEY "Sec-WebSocket-Version: 8\r\n", ERR_WS_VERSION},
    {"GET / HTTP/1.1", WITHOUT_KEY "Sec-WebSocket-Version: 13\r\n", ERR_BAD_HEADER},
    {"GET / HTTP/1.1",
     WITHOUT_KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",
     ERR_BAD_HEADER},
    {"GET / HTTP/1.1", // 18 bytes
     WITHOUT_KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZTEy\r\n",
     ERR_BAD_HEADER},
    {"GET / HTTP/1.1",
     WITHOUT_KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ!!\r\n",
     ERR_BAD_HEADER},
};

static void bad_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct world w;
        struct ws_request r;
        world_open(&w);
        int rc = request(&w, refused[i].line, refused[i].fields, &r);
        if (rc != refused[i].rc)
            print_error("row %zu: %d\n", i, rc);
        assert_int_equal(rc, refused[i].rc);
        world_close(&w);
    }
    assert_int_equal(err_http_status(ERR_WS_VERSION), 426);
    assert_int_equal(err_http_status(ERR_BAD_HEADER), 400);
}

#define SWITCH "HTTP/1.1 101 Switching Protocols"
#define HALF   "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define RIGHT  HALF "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static const struct {
    const char *line, *fields;
    int rc;
} answers[] = {
    {SWITCH, RIGHT, 0},
    {SWITCH, RIGHT "Sec-WebSocket-Protocol: v1\r\n", 0},
    {"HTTP/1.1 200 OK", RIGHT, ERR_UPSTREAM_PROTOCOL},
    {SWITCH, HALF, ERR_UPSTREAM_PROTOCOL},
    {SWITCH, HALF "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, RIGHT "Sec-WebSocket-Accept: " ACCEPT "\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, "Upgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, RIGHT "Sec-WebSocket-Extensions: permessage-deflate\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, RIGHT "Sec-WebSocket-Protocol: v3\r\n", ERR_UPSTREAM_PROTOCOL},
    {SWITCH, RIGHT "Sec-WebSocket-Protocol: v1\r\nSec-WebSocket-Protocol: v2\r\n",
     ERR_UPSTREAM_PROTOCOL},
};

static void answers_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct world w;
        struct slice protocol = SLICE_EMPTY;
        world_open(&w);
        int rc = answer(&w, answers[i].line, answers[i].fields, &protocol);
        if (rc != answers[i].rc)
            print_error("row %zu: %d\n", i, rc);
        assert_int_equal(rc, answers[i].rc);
        assert_true(slice_eq(protocol, i == 1 ? SLICE("v1") : SLICE_EMPTY));
        world_close(&w);
    }
}

static void keys_are_fresh_and_whole(void **state)
{
    char a[WS_KEY_BYTES], b[WS_KEY_BYTES];
    (void)state;
    assert_int_equal(ws_key_make(a), 0);
    assert_int_equal(ws_key_make(b), 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_equal(a + 22, "==", 2); // 16 bytes in base64
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_key_is_the_rfcs),
        cmocka_unit_test(a_good_request_is_answered),
        cmocka_unit_test(the_clients_order_chooses_the_subprotocol),
        cmocka_unit_test(lists_and_letter_case_are_understood),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(answers_are_checked),
        cmocka_unit_test(keys_are_fresh_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
