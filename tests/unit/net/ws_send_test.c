// SPDX-License-Identifier: Apache-2.0
//
// ws_send_test.c: a WebSocket as the client of a provider: one that follows a script, and our own
// server, in clear text, over TLS, and behind an HTTP proxy.
#include "ws_toy.h"

#include "net/upstream_internal.h"
#include "tests/support/toy_pair.h"
#include "tests/support/toy_world.h"

// ---- A client's fiber -------------------------------------------------------------------------

struct visitor {
    struct net_core *core;
    struct origin *origin;
    struct ws_options options;
    void (*talk)(struct visitor *v, struct ws *ws, struct fiber *self);
    struct slice target;
    // What came of it.
    int rc;
    unsigned status; // of an answer that is no 101
    char text[128];  // its body, or what the test keeps here
    bool done;
};

static void read_refusal(struct visitor *v, struct upstream *up, struct fiber *self)
{
    struct body_part part;
    size_t n = 0;
    bool last = false;
    v->status = up->head.status;
    while (!last && body_pull_await(&up->body, self, &part) == 0) {
        for (unsigned i = 0; i < part.count && n + part.span[i].len < sizeof(v->text); i++) {
            memcpy(v->text + n, part.span[i].ptr, part.span[i].len);
            n += part.span[i].len;
        }
        last = part.last;
        body_put(&up->body, &part);
    }
    upstream_end(v->core, up);
}

static void visitor_fiber(struct fiber *self, void *arg)
{
    static const struct slice protocols[] = {{.ptr = "other", .len = 5},
                                             {.ptr = "realtime", .len = 8}};
    static const struct http_field fields[] = {
        {HTTP_N_AUTHORIZATION, {"Authorization", 13}, {"Bearer x", 8}},
        {HTTP_N_OTHER, {"Sec-WebSocket-Extensions", 24}, {"permessage-deflate", 18}},
        {HTTP_N_CONNECTION, {"Connection", 10}, {"close", 5}},
    };
    struct visitor *v = arg;
    struct arena arena;
    struct ws *ws = NULL;
    struct upstream *up = NULL;
    arena_init(&arena, &v->core->blocks, 1 << 20);
    const struct ws_dial dial = {
        .origin = v->origin,
        .target = v->target.len > 0 ? v->target : SLICE("/echo"),
        .fields = fields,
        .count = ARRAY_LEN(fields),
        .protocols = protocols,
        .protocol_count = ARRAY_LEN(protocols),
        .arena = &arena,
        .options = &v->options,
    };
    v->rc = ws_connect_await(v->core, self, &dial, &ws, &up);
    if (v->rc == ERR_WS_REFUSED)
        read_refusal(v, up, self);
    else if (v->rc == 0)
        v->talk(v, ws, self);
    ws_end(ws);
    arena_done(&arena);
    v->done = true;
}

static int say_await(struct ws *ws, struct fiber *self, const char *text)
{
    struct slice s = slice_str(text);
    return ws_send_await(ws, self, WS_TEXT, &s, 1);
}

static void expect(struct ws *ws, struct fiber *self, const char *text)
{
    struct buf got;
    enum ws_opcode opcode;
    buf_init(&got, 1 << 20);
    assert_int_equal(ws_message_await(ws, self, &got, &opcode), 0);
    assert_int_equal(opcode, WS_TEXT);
    assert_true(slice_eq(buf_slice(&got), slice_str(text)));
    buf_done(&got);
}

// ---- Against our own server -------------------------------------------------------------------

#define LONG_BYTES ((size_t)3 << 20)

// Long enough for many pages, none of which is a multiple of the key.
static void talk_long(struct ws *ws, struct fiber *self)
{
    char *text = malloc(LONG_BYTES);
    struct slice spans[5];
    struct buf got;
    enum ws_opcode opcode;
    for (size_t i = 0; i < LONG_BYTES; i++)
        text[i] = (char)('a' + i % 23);
    size_t at = 0, cuts[] = {1, 16382, 100003, 7};
    for (size_t i = 0; i < 4; at += cuts[i++])
        spans[i] = slice_of(text + at, cuts[i]);
    spans[4] = slice_of(text + at, LONG_BYTES - at);
    buf_init(&got, 2 * LONG_BYTES);
    assert_int_equal(ws_send_await(ws, self, WS_BINARY, spans, 5), 0);
    assert_int_equal(ws_message_await(ws, self, &got, &opcode), 0);
    assert_int_equal(opcode, WS_BINARY);
    assert_true(slice_eq(buf_slice(&got), slice_of(text, LONG_BYTES)));
    buf_done(&got);
    free(text);
}

static void talk_echo(struct visitor *v, struct ws *ws, struct fiber *self)
{
    struct slice reason;
    assert_true(slice_eq(ws_protocol(ws), SLICE("realtime")));
    assert_int_equal(say_await(ws, self, "hello"), 0);
    assert_int_equal(say_await(ws, self, ""), 0);
    expect(ws, self, "hello");
    expect(ws, self, "");
    talk_long(ws, self);
    v->rc = ws_close_await(ws, self, 4321, SLICE("enough"));
    assert_int_equal(ws_code(ws, &reason), 4321);
    assert_int_equal(say_await(ws, self, "late"), ERR_WS_CLOSED);
    struct ws_piece piece;
    assert_int_equal(ws_next_await(ws, self, &piece), ERR_WS_CLOSED);
}

static void talk_until_away(struct visitor *v, struct ws *ws, struct fiber *self)
{
    struct ws_piece piece;
    v->rc = ws_next_await(ws, self, &piece);
    assert_int_equal(ws_code(ws, NULL), 1001);
}

static void visit(struct ws_toy *t, struct visitor *v, struct origin_options o)
{
    struct fiber *f;
    o.host = o.host.len > 0 ? o.host : SLICE("127.0.0.1");
    o.port = t->toy.port;
    assert_int_equal(origin_new(&o, &v->origin), 0);
    v->core = &t->toy.core;
    assert_int_equal(fiber_spawn(t->toy.fibers, visitor_fiber, v, &f), 0);
}

static void in_clear_text(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct visitor v = {.talk = talk_echo};
    ws_toy_start_with(&t, NULL);
    visit(&t, &v, (struct origin_options){0});
    toy_until(&t.toy, v.done && t.toy.ended == 1);
    assert_int_equal(v.rc, 0);
    assert_int_equal(t.err, ERR_WS_CLOSED);
    assert_int_equal(t.code, 4321);
    assert_string_equal(t.reason, "enough");
    toy_stop(&t.toy);
    origin_put(v.origin);
}

// An origin that would rather have HTTP/2 gets HTTP/1.1, the only one that has WebSockets here.
static void over_tls(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct toy_cert cert;
    toy_cert_make(&cert, "127.0.0.1");
    struct tls_context *server = toy_listener_context(&cert);
    struct tls_context *trust = toy_client_context(cert.ca_pem, true);
    struct net_options o = {.tls = server};
    for (int http = ORIGIN_HTTP1; http <= ORIGIN_HTTP_ANY; http++) {
        struct visitor v = {.talk = talk_echo};
        ws_toy_start_with(&t, &o);
        visit(&t, &v,
              (struct origin_options){
                  .tls = true, .tls_context = trust, .http = (enum origin_http)http});
        toy_until(&t.toy, v.done && t.toy.ended == 1);
        assert_int_equal(v.rc, 0);
        assert_int_equal(t.code, 4321);
        toy_stop(&t.toy);
        origin_put(v.origin);
    }
    tls_context_put(server);
    tls_context_put(trust);
    toy_cert_done(&cert);
}

static void enforced_http2_has_none(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct visitor v = {.talk = talk_echo};
    ws_toy_start_with(&t, NULL);
    visit(&t, &v, (struct origin_options){.http = ORIGIN_HTTP2});
    toy_until(&t.toy, v.done);
    assert_int_equal(v.rc, ERR_UNSUPPORTED);
    toy_stop(&t.toy);
    origin_put(v.origin);
}

static void a_server_that_drains_tells_its_client(void **state)
{
    (void)state;
    struct ws_toy t = {0};
    struct visitor v = {.talk = talk_until_away};
    ws_toy_start_with(&t, NULL);
    visit(&t, &v, (struct origin_options){0});
    toy_until(&t.toy, t.ws != NULL);
    net_drain(&t.toy.core);
    toy_until(&t.toy, v.done && t.toy.ended == 1);
    assert_int_equal(v.rc, ERR_WS_CLOSED);
    assert_int_equal(t.err, ERR_WS_CLOSED);
    toy_stop(&t.toy);
    origin_put(v.origin);
}

// ---- Against a script -------------------------------------------------------------------------

// Reads the request to its blank line, answers as RFC 6455 says. False: it is not what we should
// send.
static bool shake(struct toy_conn *c)
{
    char head[2048];
    size_t n = 0;
    while (n < sizeof(head) - 1 && toy_read_exactly(c, head + n, 1)) {
        head[++n] = '\0';
        if (n > 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    const char *key = strstr(head, "Sec-WebSocket-Key: ");
    char accept[WS_ACCEPT_BYTES], answer[256];
    if (!key || strncmp(head, "GET /echo HTTP/1.1\r\n", 20) != 0 ||
        !strstr(head, "Connection: Upgrade\r\n") || strstr(head, "close") ||
        !strstr(head, "Authorization: Bearer x\r\n") || strstr(head, "deflate") ||
        !strstr(head, "Sec-WebSocket-Protocol: other, realtime\r\n"))
        return false;
    ws_accept_key(slice_of(key + 19, WS_KEY_BYTES), accept);
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                       "Sec-WebSocket-Accept: %.*s\r\n\r\n",
                       WS_ACCEPT_BYTES, accept);
    return toy_send(c, answer, (size_t)len);
}

struct bytes {
    const char *ptr;
    size_t len;
};

static void script_shake_and_say(struct toy_conn *c, void *arg)
{
    const struct bytes *b = arg;
    if (shake(c) && toy_send(c, b->ptr, b->len))
        toy_reach(c->provider, 1);
    (void)toy_gone(c);
}

static void script_shake_and_leave(struct toy_conn *c, void *arg)
{
    const struct bytes *b = arg;
    if (shake(c))
        (void)toy_send(c, b->ptr, b->len);
}

static void talk_one(struct visitor *v, struct ws *ws, struct fiber *self)
{
    struct buf got;
    enum ws_opcode opcode;
    buf_init(&got, 64);
    v->rc = ws_message_await(ws, self, &got, &opcode);
    if (v->rc == 0)
        v->rc = ws_message_await(ws, self, &got, &opcode);
    buf_done(&got);
}

static void visit_script(toy_script script, void *arg, struct visitor *v)
{
    struct toy_world w;
    toy_world_open(&w, script, arg, NULL);
    v->core = &w.t.core;
    v->origin = w.origin;
    toy_core_run(&w.t, visitor_fiber, v);
    toy_until_idle(&w.t);
    assert_int_equal(w.t.core.upstream->pages.live, 0);
    toy_world_close(&w);
}

static void what_a_provider_may_not_do(void **state)
{
    (void)state;
    struct row {
        struct bytes say;
        int rc;
    };
    static const struct row rows[] = {
        {{"\x81\x82\0\0\0\0hi", 8}, ERR_BAD_FRAME}, // a mask
        {{"\x81\x02\xc3\x28", 4}, ERR_BAD_FRAME},
        {{"\x81\x02hi\x88\x02\x03\xe8", 8}, ERR_WS_CLOSED},
        {{"\x81\x41", 2}, ERR_UPSTREAM_IDLE}, // a head, and then silence
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct visitor v = {.talk = talk_one, .options = {.ping_ms = 20, .pong_ms = 20}};
        visit_script(script_shake_and_say, (void *)(uintptr_t)&rows[i].say, &v);
        assert_int_equal(v.rc, rows[i].rc);
    }
}

static void a_message_larger_than_its_reader_wants(void **state)
{
    (void)state;
    struct bytes say = {"\x81\x41"
                        "01234567890123456789012345678901234567890123456789012345678901234",
                        67};
    struct visitor v = {.talk = talk_one};
    visit_script(script_shake_and_say, &say, &v);
    assert_int_equal(v.rc, ERR_LIMIT);
}

static void a_provider_that_leaves(void **state)
{
    (void)state;
    static const struct bytes rows[] = {{"", 0}, {"\x81\x05hel", 5}, {"\x81\x02hi", 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct visitor v = {.talk = talk_one};
        visit_script(script_shake_and_leave, (void *)(uintptr_t)&rows[i], &v);
        assert_int_equal(v.rc, ERR_UPSTREAM_CLOSED);
    }
}

static void an_answer_that_is_no_101(void **state)
{
    (void)state;
    struct visitor v = {.talk = talk_one};
    visit_script(toy_script_say_and_close,
                 "HTTP/1.1 401 No\r\nContent-Length: 12\r\n\r\n{\"error\":\"\"}", &v);
    assert_int_equal(v.rc, ERR_WS_REFUSED);
    assert_int_equal(v.status, 401);
    assert_string_equal(v.text, "{\"error\":\"\"}");
}

static void a_101_that_is_none(void **state)
{
    (void)state;
    struct visitor v = {.talk = talk_one};
    visit_script(toy_script_say_and_close,
                 "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                 &v);
    assert_int_equal(v.rc, ERR_UPSTREAM_PROTOCOL);
}

// Its own request asked for none: a 101 stays what it was.
static void a_101_nobody_asked_for(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_say_and_close,
                   "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_UPSTREAM_PROTOCOL);
    toy_ask_done(&a);
    toy_world_close(&w);
}

// A provider that does not read: the writer's own deadline ends it, and nothing can follow the half
// of a frame.
static void talk_flood(struct visitor *v, struct ws *ws, struct fiber *self)
{
    static const char block[1 << 20];
    struct slice s = slice_of(block, sizeof(block));
    int rc = 0;
    fiber_set_deadline(self, mono_add_ms(ring_now(fiber_ring(self)), 100));
    while (!rc)
        rc = ws_send_await(ws, self, WS_BINARY, &s, 1);
    assert_int_equal(rc, ERR_DEADLINE);
    fiber_set_deadline(self, MONO_NEVER);
    struct ws_piece piece;
    assert_int_equal(say_await(ws, self, "x"), ERR_UPSTREAM_CLOSED);
    v->rc = ws_next_await(ws, self, &piece);
}

static void a_frame_that_was_cut_is_not_followed(void **state)
{
    (void)state;
    struct bytes none = {"", 0};
    struct visitor v = {.talk = talk_flood};
    visit_script(script_shake_and_say, &none, &v);
    assert_int_equal(v.rc, ERR_UPSTREAM_CLOSED);
}

// ---- Behind an HTTP proxy ---------------------------------------------------------------------

// Proxy and provider in one: consents, then a session begins in the tunnel.
static void script_tunnel(struct toy_conn *c, void *arg)
{
    static const char connect[] = "CONNECT provider.test:443 HTTP/1.1\r\n"
                                  "Host: provider.test:443\r\n\r\n";
    const struct toy_pair *tls = arg;
    char head[sizeof(connect) - 1], frame[2 + 4 + 5]; // its head, the key, "hello"
    struct tls *inner = NULL;
    ASSERT(toy_read_exactly(c, head, sizeof(head)) && memcmp(head, connect, sizeof(head)) == 0);
    ASSERT(toy_say(c, "HTTP/1.1 200 OK\r\n\r\n"));
    int rc = c->tls ? tls_new_inside(tls->server_context, SLICE_EMPTY, c->tls, &inner)
                    : tls_new(tls->server_context, SLICE_EMPTY, &inner);
    ASSERT(rc == 0);
    c->tls = inner;
    ASSERT(shake(c));
    ASSERT(toy_read_exactly(c, frame, sizeof(frame)) && memcmp(frame, "\x81\x85", 2) == 0);
    ASSERT(toy_say(c, "\x81\x02hi"));
    (void)toy_gone(c);
}

static void talk_once(struct visitor *v, struct ws *ws, struct fiber *self)
{
    (void)v;
    assert_int_equal(say_await(ws, self, "hello"), 0);
    expect(ws, self, "hi");
}

// Returns how many connections the proxy saw.
static unsigned visit_behind_proxy(bool secure_proxy, bool secure_provider, struct visitor *v)
{
    struct toy_core t;
    struct toy_provider p;
    struct toy_pair tls; // without sessions
    toy_pair_open(&tls, "127.0.0.1,provider.test");
    toy_core_open(&t, 16, 16384);
    toy_provider_open(&p, script_tunnel, &tls, secure_proxy ? tls.server_context : NULL);
    struct proxy_options po = {.type = PROXY_HTTP,
                               .tls = secure_proxy ? tls.client_context : NULL,
                               .host = SLICE("127.0.0.1"),
                               .port = p.port};
    struct origin_options oo = {.tls = secure_provider,
                                .host = SLICE("provider.test"),
                                .port = secure_provider ? 443 : 80,
                                .tls_context = secure_provider ? tls.client_context : NULL};
    assert_int_equal(proxy_new(&po, &oo.proxy), 0);
    assert_int_equal(origin_new(&oo, &v->origin), 0);
    v->core = &t.core;
    toy_core_run(&t, visitor_fiber, v);
    toy_until_idle(&t);
    assert_int_equal(t.core.upstream->pages.live, 0);
    toy_core_close(&t);
    origin_put(v->origin);
    proxy_put(oo.proxy);
    toy_provider_close(&p);
    toy_pair_close(&tls);
    return p.count;
}

static void in_a_tunnel(void **state)
{
    (void)state;
    for (int secure_proxy = 0; secure_proxy < 2; secure_proxy++) {
        struct visitor v = {.talk = talk_once};
        assert_int_equal(visit_behind_proxy(secure_proxy, true, &v), 1);
        assert_int_equal(v.rc, 0);
    }
}

// A proxy that relays takes `Upgrade` off a request, as it must (RFC 9110 7.8): nothing is asked.
static void a_proxy_that_relays_has_none(void **state)
{
    (void)state;
    for (int secure_proxy = 0; secure_proxy < 2; secure_proxy++) {
        struct visitor v = {.talk = talk_once};
        assert_int_equal(visit_behind_proxy(secure_proxy, false, &v), 0);
        assert_int_equal(v.rc, ERR_UNSUPPORTED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_clear_text),
        cmocka_unit_test(over_tls),
        cmocka_unit_test(enforced_http2_has_none),
        cmocka_unit_test(a_server_that_drains_tells_its_client),
        cmocka_unit_test(what_a_provider_may_not_do),
        cmocka_unit_test(a_message_larger_than_its_reader_wants),
        cmocka_unit_test(a_provider_that_leaves),
        cmocka_unit_test(an_answer_that_is_no_101),
        cmocka_unit_test(a_101_that_is_none),
        cmocka_unit_test(a_101_nobody_asked_for),
        cmocka_unit_test(a_frame_that_was_cut_is_not_followed),
        cmocka_unit_test(in_a_tunnel),
        cmocka_unit_test(a_proxy_that_relays_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
