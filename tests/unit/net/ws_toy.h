// SPDX-License-Identifier: Apache-2.0
//
// ws_toy.h: the toy as a WebSocket's server, and a client that writes frames byte by byte.
//
//     /echo    each message back               /quiet   reads, says nothing
//     /bye     closes with 1000 "bye"          /push    writes 64 kB messages until it cannot
//     /wait    reads only after toy->go        /two     two fibers write, one reads
//
// What a handshake lacks is answered with its status.
#ifndef RINGGATE_TESTS_NET_WS_TOY_H
#define RINGGATE_TESTS_NET_WS_TOY_H

#include "toy.h"

#include "net/ws.h"

#define WS_TOY_HEAD(path)                                                                          \
    "GET " path " HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
// RFC 6455 1.3 has the key and what it becomes.
#define WS_TOY_101                                                                                 \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// What the last socket of the toy's ended with.
struct ws_toy {
    struct toy toy;
    struct ws_options options;
    struct ws *ws; // of the last one, while it lives
    int err;
    unsigned code;
    char reason[128];
    unsigned messages;
    unsigned writers;
    size_t pushed;
};

static inline int ws_toy_echo_await(struct ws_toy *t, struct ws *ws, struct fiber *self)
{
    struct buf text;
    enum ws_opcode opcode;
    int rc = 0;
    buf_init(&text, 64u << 20);
    while (!rc) {
        buf_reset(&text);
        rc = ws_message_await(ws, self, &text, &opcode);
        struct slice all = buf_slice(&text);
        if (!rc)
            rc = ws_send_await(ws, self, opcode, &all, 1);
        t->messages += !rc;
    }
    buf_done(&text);
    return rc;
}

static inline int ws_toy_quiet_await(struct ws_toy *t, struct ws *ws, struct fiber *self)
{
    struct ws_piece piece;
    int rc;
    while (!(rc = ws_next_await(ws, self, &piece)))
        t->messages += piece.last;
    return rc;
}

static inline int ws_toy_push_await(struct ws_toy *t, struct ws *ws, struct fiber *self)
{
    static const char block[65536];
    struct slice all = slice_of(block, sizeof(block));
    int rc;
    while (!(rc = ws_send_await(ws, self, WS_BINARY, &all, 1)))
        t->pushed += all.len;
    return rc;
}

static inline void ws_toy_writer(struct fiber *self, void *arg)
{
    struct ws_toy *t = arg;
    char text[3001];
    memset(text, 'a' + (int)t->writers, sizeof(text) - 1);
    struct slice spans[3] = {slice_of(text, 1000), slice_of(text, 1500), slice_of(text, 500)};
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(ws_send_await(t->ws, self, WS_TEXT, spans, 3), 0);
    t->writers++;
}

static inline int ws_toy_two_await(struct ws_toy *t, struct ws *ws, struct fiber *self)
{
    struct fiber *f;
    assert_int_equal(fiber_spawn(t->toy.fibers, ws_toy_writer, t, &f), 0);
    ws_toy_writer(self, t);
    while (t->writers < 2)
        (void)fiber_sleep_await(self, mono_add_ms(ring_now(t->toy.ring), 1));
    return ws_close_await(ws, self, WS_CODE_NORMAL, SLICE_EMPTY);
}

static inline int ws_toy_path_await(struct ws_toy *t, struct http_stream *s, struct ws *ws,
                                    struct fiber *self)
{
    struct slice path = s->request.path;
    if (slice_eq(path, SLICE("/bye")))
        return ws_close_await(ws, self, WS_CODE_NORMAL, SLICE("bye"));
    if (slice_eq(path, SLICE("/push")))
        return ws_toy_push_await(t, ws, self);
    if (slice_eq(path, SLICE("/two")))
        return ws_toy_two_await(t, ws, self);
    while (slice_eq(path, SLICE("/wait")) && !t->toy.go) {
        int rc = fiber_sleep_await(self, mono_add_ms(ring_now(t->toy.ring), 1));
        if (rc)
            return rc;
    }
    return slice_eq(path, SLICE("/quiet")) ? ws_toy_quiet_await(t, ws, self)
                                           : ws_toy_echo_await(t, ws, self);
}

static inline int ws_toy_accept_await(struct ws_toy *t, struct http_stream *s, struct fiber *self)
{
    static const struct slice protocols[] = {{.ptr = "realtime", .len = 8}};
    struct ws_request request;
    struct ws *ws = NULL;
    int rc = ws_request_check(&s->request, protocols, 1, &request);
    if (rc) {
        struct http_answer a = {.status = (unsigned)err_http_status(rc), .content_length = 0};
        (void)http_answer_await(s, self, &a, NULL, 0, true);
        return rc;
    }
    rc = ws_accept_await(s, self, &request, &t->options, &ws);
    if (rc)
        return rc;
    t->ws = ws;
    rc = ws_toy_path_await(t, s, ws, self);
    struct slice reason;
    t->code = ws_code(ws, &reason);
    (void)snprintf(t->reason, sizeof(t->reason), "%.*s", SLICE_ARG(reason));
    ws_end(ws);
    t->ws = NULL;
    return rc;
}

static inline void ws_toy_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct ws_toy *t = container_of(s->core->server, struct ws_toy, toy.server);
    net_load_begin(s->core);
    t->err = ws_toy_accept_await(t, s, self);
    t->toy.ended++;
    net_load_end(s->core);
    http_end(s);
}

static inline void ws_toy_on_request(struct net_server *server, struct http_stream *s)
{
    (void)server;
    int rc = fiber_spawn(s->core->fibers, ws_toy_fiber, s, &s->fiber);
    if (rc)
        http_refuse(s, rc);
}

static inline void ws_toy_start_with(struct ws_toy *t, const struct net_options *options)
{
    struct ws_options keep = t->options;
    *t = (struct ws_toy){.options = keep};
    toy_start(&t->toy, options, NULL, 0);
    t->toy.server.on_request = ws_toy_on_request;
}

// A socket on `path`, opened.
static inline void ws_toy_open(struct ws_toy *t, struct toy_client *c, const char *path)
{
    char head[512];
    int n = snprintf(head, sizeof(head), WS_TOY_HEAD("%s"), path);
    assert_in_range(n, 1, sizeof(head) - 1);
    client_open(c, t->toy.port);
    client_say(&t->toy, c, head);
    client_until(&t->toy, c, WS_TOY_101);
    assert_memory_equal(c->in, WS_TOY_101, strlen(WS_TOY_101));
    c->len -= strlen(WS_TOY_101);
    memmove(c->in, c->in + strlen(WS_TOY_101), c->len + 1);
}

static inline void ws_toy_start(struct ws_toy *t, struct toy_client *c, const char *path)
{
    ws_toy_start_with(t, NULL);
    ws_toy_open(t, c, path);
}

static inline void ws_toy_stop(struct ws_toy *t, struct toy_client *c)
{
    toy_stop_one(&t->toy, c);
}

// A masked frame. `first` is its first byte.
static inline size_t ws_toy_frame(char *out, unsigned first, const void *payload, size_t len)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t n = ws_frame_head(out, first & 15, (first & 128) != 0, len, key);
    if (len > 0)
        memcpy(out + n, payload, len);
    (void)ws_mask(out + n, len, key, 0);
    return n + len;
}

static inline void ws_toy_say(struct ws_toy *t, struct toy_client *c, unsigned first,
                              const void *payload, size_t len)
{
    char *frame = malloc(len + WS_HEAD_BYTES);
    client_send(&t->toy, c, frame, ws_toy_frame(frame, first, payload, len));
    free(frame);
}

#define ws_toy_text(t, c, text) ws_toy_say(t, c, 0x81, text, strlen(text))

// Exactly these bytes have come and no others.
#define ws_toy_expect(t, c, bytes)                                                                 \
    do {                                                                                           \
        const size_t n_ = sizeof(bytes) - 1;                                                       \
        toy_until(&(t)->toy, (client_poll(c), (c)->len >= n_));                                    \
        assert_memory_equal((c)->in, bytes, n_);                                                   \
        assert_int_equal((c)->len, n_);                                                            \
        client_forget(c);                                                                          \
    } while (0)

#endif
