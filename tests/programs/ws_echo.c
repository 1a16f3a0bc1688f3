// SPDX-License-Identifier: Apache-2.0
//
// ws_echo.c: WebSockets of net/ws.h, for other people's implementations to talk to.
//
//     ws_echo serve        prints its port, echoes every message; until its standard input ends
//     ws_echo visit PORT   opens ws://127.0.0.1:PORT/, sends messages of many sizes, compares what
//                          comes back, closes with 1000; prints "same" and the peer's close code
#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/core.h"
#include "net/sockets.h"
#include "net/ws.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MESSAGE_BYTES_MAX ((size_t)16 << 20)

struct echo {
    struct net_server server;
    struct net_shared shared;
    struct net_core core;
    struct ring *ring;
    struct fiber_sched *fibers;
    struct log log;
    struct ring_op input;
    bool over;
    unsigned port; // to visit
    int err;
};

// ---- Serving ---------------------------------------------------------------------------------

static int echo_await(struct ws *ws, struct fiber *self)
{
    struct buf text;
    enum ws_opcode opcode;
    int rc = 0;
    buf_init(&text, MESSAGE_BYTES_MAX);
    while (rc == 0) {
        buf_reset(&text);
        rc = ws_message_await(ws, self, &text, &opcode);
        struct slice all = buf_slice(&text);
        if (rc == 0)
            rc = ws_send_await(ws, self, opcode, &all, 1);
    }
    buf_done(&text);
    return rc;
}

static void serve_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct ws_request request;
    struct ws *ws = NULL;
    net_load_begin(s->core);
    int rc = ws_request_check(&s->request, NULL, 0, &request);
    if (rc) {
        struct http_answer a = {.status = (unsigned)err_http_status(rc),
                                .fields = &ws_version_field,
                                .count = 1,
                                .content_length = 0};
        (void)http_answer_await(s, self, &a, NULL, 0, true);
    } else if (ws_accept_await(s, self, &request, NULL, &ws) == 0) {
        (void)echo_await(ws, self);
        ws_end(ws);
    }
    net_load_end(s->core);
    http_end(s);
}

static void on_request(struct net_server *server, struct http_stream *s)
{
    (void)server;
    int rc = fiber_spawn(s->core->fibers, serve_fiber, s, &s->fiber);
    if (rc)
        http_refuse(s, rc);
}

static struct slice refusal(struct net_server *server, int err)
{
    (void)server;
    return slice_str(err_name(err));
}

static void on_input(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    (void)event;
    container_of(op, struct echo, input)->over = true;
}

static void listen_on(struct echo *e)
{
    static struct net_sockets sockets;
    struct net_want want = {.wanted = true, .host = "127.0.0.1"};
    unsigned port = 0;
    ASSERT(net_sockets_open(&sockets, NET_ROLE_MAIN, &want, 1, &port) == 0);
    ASSERT(net_listen(&e->core, &sockets) == 0);
    printf("%u\n", port);
    (void)fflush(stdout);
    ring_poll(e->ring, &e->input, on_input, STDIN_FILENO, 1 /* POLLIN, or its end */);
}

// ---- Visiting --------------------------------------------------------------------------------

static int compare_await(struct ws *ws, struct fiber *self, size_t len, char *text)
{
    struct slice spans[2] = {slice_of(text, len / 3), slice_of(text + len / 3, len - len / 3)};
    enum ws_opcode opcode;
    struct buf got;
    buf_init(&got, MESSAGE_BYTES_MAX);
    int rc = ws_send_await(ws, self, len % 2 ? WS_TEXT : WS_BINARY, spans, 2);
    if (rc == 0)
        rc = ws_message_await(ws, self, &got, &opcode);
    if (rc == 0 && !slice_eq(buf_slice(&got), slice_of(text, len)))
        rc = ERR_BAD_FRAME;
    buf_done(&got);
    return rc;
}

static int talk_await(struct ws *ws, struct fiber *self)
{
    static const size_t lengths[] = {0,     1,     2,     125,   126,   127,   128,    4095,
                                     16384, 16447, 65535, 65536, 65537, 99999, 131072, 1 << 20};
    char *text = malloc(1 << 20);
    int rc = text ? 0 : ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < 1 << 20; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(lengths); i++)
        rc = compare_await(ws, self, lengths[i], text);
    free(text);
    if (rc == 0)
        rc = ws_close_await(ws, self, WS_CODE_NORMAL, SLICE("done"));
    return rc;
}

static void visit_fiber(struct fiber *self, void *arg)
{
    struct echo *e = arg;
    struct origin_options o = {.host = SLICE("127.0.0.1"), .port = e->port};
    struct upstream *refused = NULL;
    struct arena arena;
    struct ws_dial dial = {.target = SLICE("/"), .arena = &arena};
    struct ws *ws = NULL;
    arena_init(&arena, &e->core.blocks, 1 << 20);
    e->err = origin_new(&o, &dial.origin);
    if (e->err == 0)
        e->err = ws_connect_await(&e->core, self, &dial, &ws, &refused);
    if (e->err == 0)
        e->err = talk_await(ws, self);
    if (e->err == 0)
        printf("same %u\n", ws_code(ws, NULL));
    ws_end(ws);
    upstream_end(&e->core, refused);
    origin_put(dial.origin);
    arena_done(&arena);
    e->over = true;
}

// ---- A core ----------------------------------------------------------------------------------

int main(int argc, char **argv)
{
    static struct echo e = {.server = {.on_request = on_request, .refusal = refusal}};
    const struct net_options options = {0};
    const char *reason = NULL;
    bool visits = argc == 3 && strcmp(argv[1], "visit") == 0;
    if (!visits && (argc != 2 || strcmp(argv[1], "serve") != 0)) {
        fprintf(stderr, "usage: ws_echo serve | visit PORT\n");
        return EXIT_FAILURE;
    }
    e.shared.cores = 1;
    ASSERT(ring_new(&RING_OPTIONS_DEFAULT, &e.ring, &reason) == 0);
    ASSERT(fiber_sched_new(e.ring, &FIBER_OPTIONS_DEFAULT, &e.fibers) == 0);
    ASSERT(log_init(&e.log, LOG_ERROR, LOG_JSON) == 0);
    ASSERT(net_core_init(&e.core, 0, &e.shared, e.ring, e.fibers, &e.log, &e.server, &options) ==
           0);
    if (visits) {
        struct fiber *f;
        e.port = (unsigned)strtoul(argv[2], NULL, 10);
        ASSERT(fiber_spawn(e.fibers, visit_fiber, &e, &f) == 0);
    } else {
        listen_on(&e);
    }
    while (!e.over)
        (void)ring_turn(e.ring, MONO_NEVER);
    net_abort(&e.core);
    while (!net_idle(&e.core) || fiber_live(e.fibers) > 0)
        (void)ring_turn(e.ring, mono_add_ms(clock_mono(), 5));
    (void)ring_turn(e.ring, clock_mono()); // the closes
    net_core_done(&e.core);
    fiber_sched_free(e.fibers);
    ring_free(e.ring);
    log_done(&e.log);
    if (e.err)
        fprintf(stderr, "ws_echo: %s\n", err_text(e.err));
    return e.err ? EXIT_FAILURE : EXIT_SUCCESS;
}
