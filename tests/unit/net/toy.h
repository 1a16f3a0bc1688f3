// SPDX-License-Identifier: Apache-2.0
//
// toy.h: a small server on one real ring and clients on loopback sockets, for tests.
//
// Server and client share the thread: a test writes to a socket, then turns the ring until it has
// read what it waits for. Nothing sleeps; every wait ends at WAIT_MS, where the test fails. The
// toy answers by path:
//
//     /echo     the body, with its length       /stream   the body in three chunks
//     /none     404 at once, body unread        /small    reads at most 1000 bytes
//     /hang     parks until cancelled           /flood    writes until it cannot
//     /half     five bytes of ten               /fields   what a hostile provider would send
//     /refuse   http_refuse(ERR_OVERLOAD)       /late     reads the body only after toy->go
//     /pause    ends its answer after toy->go   /remade   a copy of the body, which has gone back
#ifndef RINGGATE_TESTS_NET_TOY_H
#define RINGGATE_TESTS_NET_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/err.h"
#include "net/core.h"
#include "net/limits.h"
#include "net/net_internal.h"
#include "net/sockets.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS        10000
#define TOY_BODY_BYTES (8u << 20)

struct toy {
    struct net_server server;
    struct net_shared own_shared;
    struct net_shared *shared;
    struct ring *ring;
    struct fiber_sched *fibers;
    struct log log;
    struct net_core core;
    unsigned port, plain_port;
    bool go;
    int last_error; // with which the last exchange ended
    unsigned ended; // exchanges
    unsigned cancelled;
    size_t flooded;
    char peer[48];
};

struct toy_client {
    int fd;
    char *in; // NUL-terminated
    size_t len, cap;
    bool eof;
    int error; // errno of a failed receive
};

// What is sent before or without reading the body. ERR_NOT_FOUND: not one of these.
static inline int toy_unread_await(struct toy *toy, struct http_stream *s, struct fiber *self)
{
    static const struct http_field hostile[] = {
        {HTTP_N_OTHER, {"x-good", 6}, {"1", 1}},
        {HTTP_N_OTHER, {"x-split", 7}, {"a\r\nx-evil: 1", 12}},
        {HTTP_N_OTHER, {"x-nul", 5}, {"a\0b", 3}},
        {HTTP_N_OTHER, {"x bad", 5}, {"1", 1}},
        {HTTP_N_OTHER, {"Content-Length", 14}, {"999", 3}},
        {HTTP_N_TRANSFER_ENCODING, {"Transfer-Encoding", 17}, {"gzip", 4}},
        {HTTP_N_CONNECTION, {"Connection", 10}, {"x-hop", 5}},
        {HTTP_N_KEEP_ALIVE, {"Keep-Alive", 10}, {"timeout=1", 9}},
    };
    static const char block[65536];
    struct http_answer a = {.status = 200, .content_length = -1};
    struct slice path = s->request.path, body = SLICE("12345");
    int rc = 0;
    if (slice_eq(path, SLICE("/none"))) {
        a.status = 404;
        body = SLICE("nothing here");
        a.content_length = (int64_t)body.len;
        return http_answer_await(s, self, &a, &body, 1, true);
    }
    if (slice_eq(path, SLICE("/hang"))) {
        while (!(rc = fiber_park_await(self)))
            ;
        toy->cancelled++;
        return rc;
    }
    if (slice_eq(path, SLICE("/flood"))) {
        body = slice_of(block, sizeof(block));
        for (rc = http_answer_await(s, self, &a, NULL, 0, false); !rc; toy->flooded += body.len)
            rc = http_write_await(s, self, &body, 1, false);
        return rc;
    }
    if (slice_eq(path, SLICE("/pause"))) {
        rc = http_answer_await(s, self, &a, &body, 1, false);
        while (!rc && !toy->go)
            rc = fiber_park_await(self);
        return rc ? rc : http_write_await(s, self, NULL, 0, true);
    }
    if (slice_eq(path, SLICE("/half"))) {
        a.content_length = 10;
        return http_answer_await(s, self, &a, &body, 1, false);
    }
    if (slice_eq(path, SLICE("/fields"))) {
        a.fields = hostile;
        a.count = ARRAY_LEN(hostile);
        a.content_length = 0;
        return http_answer_await(s, self, &a, NULL, 0, true);
    }
    return ERR_NOT_FOUND;
}

static inline int toy_stream_await(struct http_stream *s, struct fiber *self, struct slice body)
{
    struct http_answer a = {.status = 200, .content_length = -1};
    size_t third = body.len / 3;
    struct slice part[3] = {slice_take(body, third), slice_take(slice_skip(body, third), third),
                            slice_skip(body, 2 * third)};
    int rc = http_answer_await(s, self, &a, &part[0], 1, false);
    if (!rc)
        rc = http_write_await(s, self, &part[1], 1, false);
    return rc ? rc : http_write_await(s, self, &part[2], 1, true);
}

// Another text in place of the body, as inflating makes one.
static inline struct slice toy_remade(struct http_stream *s, struct slice body)
{
    char *copy = arena_large(&s->early, body.len);
    size_t before = s->early.bytes, counted = s->body_bytes;
    assert_non_null(copy);
    memcpy(copy, body.ptr, body.len);
    assert_int_equal(http_count_body(s, body.len), 0);
    http_release_body(s, body);
    // A small one lies among others and was not counted.
    bool large = body.len > LIMIT_SMALL_BODY_BYTES;
    assert_int_equal(s->body_bytes, body.len);
    assert_int_equal(counted, large ? body.len : 0);
    assert_true(large ? before - s->early.bytes >= body.len : before == s->early.bytes);
    return slice_of(copy, body.len);
}

static inline int toy_read_await(struct toy *toy, struct http_stream *s, struct fiber *self)
{
    static const struct http_field type[] = {
        {HTTP_N_CONTENT_TYPE, {"content-type", 12}, {"text/plain", 10}}};
    struct http_answer a = {.status = 200, .fields = type, .count = 1};
    struct slice path = s->request.path, body = SLICE_EMPTY;
    size_t max = slice_eq(path, SLICE("/small")) ? 1000 : TOY_BODY_BYTES;
    int rc = 0;
    while (slice_eq(path, SLICE("/late")) && !toy->go && !rc)
        rc = fiber_park_await(self);
    if (!rc)
        rc = http_read_body_await(s, self, max, &body);
    if (!rc && slice_eq(path, SLICE("/stream")))
        return toy_stream_await(s, self, body);
    if (!rc && slice_eq(path, SLICE("/remade")))
        body = toy_remade(s, body);
    if (rc == ERR_CLIENT_GONE) {
        toy->cancelled++;
        return rc;
    }
    if (rc) {
        a.status = (unsigned)err_http_status(rc);
        body = slice_str(err_name(rc));
    }
    a.content_length = (int64_t)body.len;
    int sent = http_answer_await(s, self, &a, &body, 1, true);
    return rc ? rc : sent;
}

static inline void toy_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct net_core *core = s->core;
    struct toy *toy = container_of(core->server, struct toy, server);
    memcpy(toy->peer, s->peer, sizeof(toy->peer));
    net_load_begin(core);
    int rc = toy_unread_await(toy, s, self);
    if (rc == ERR_NOT_FOUND)
        rc = toy_read_await(toy, s, self);
    if (rc)
        toy->last_error = rc;
    toy->ended++;
    net_load_end(core);
    http_end(s);
}

static inline void toy_on_request(struct net_server *server, struct http_stream *s)
{
    (void)server;
    if (slice_eq(s->request.path, SLICE("/refuse"))) {
        http_refuse(s, ERR_OVERLOAD);
        return;
    }
    int rc = fiber_spawn(s->core->fibers, toy_fiber, s, &s->fiber);
    if (rc)
        http_refuse(s, rc);
}

static struct slice toy_refusal(struct net_server *server, int err)
{
    (void)server;
    return slice_str(err_name(err));
}

// Opens and takes this core's sockets. A set of its own: those that would be others' are closed.
static inline void toy_listen(struct toy *toy, const char *host, bool plain)
{
    static struct net_sockets sockets;
    struct net_want want = {.wanted = true, .host = host};
    unsigned cores = toy->core.index + 1;
    sockets.count = 0;
    ASSERT(net_sockets_open(&sockets, NET_ROLE_MAIN, &want, cores, &toy->port) == 0);
    if (plain)
        ASSERT(net_sockets_open(&sockets, NET_ROLE_PLAIN, &want, cores, &toy->plain_port) == 0);
    ASSERT(net_listen(&toy->core, &sockets) == 0);
    for (unsigned i = 0; i < sockets.count; i++) {
        if (sockets.socket[i].nth % toy->shared->cores != toy->core.index)
            (void)close(sockets.socket[i].fd);
    }
}

// `shared` NULL: a core of its own.
static inline void toy_start_on(struct toy *toy, const struct net_options *options,
                                struct net_shared *shared, unsigned index, const char *host,
                                bool plain)
{
    static const struct net_options none = {0};
    const char *reason = NULL;
    *toy = (struct toy){.server = {.on_request = toy_on_request, .refusal = toy_refusal}};
    toy->shared = shared ? shared : &toy->own_shared;
    if (!shared)
        toy->own_shared.cores = 1;
    struct ring_options ring_options = RING_OPTIONS_DEFAULT;
    ring_options.only_6_1 = getenv("RINGGATE_RING_FEATURES") != NULL;
    ASSERT(ring_new(&ring_options, &toy->ring, &reason) == 0);
    ASSERT(fiber_sched_new(toy->ring, &FIBER_OPTIONS_DEFAULT, &toy->fibers) == 0);
    ASSERT(log_init(&toy->log, LOG_ERROR, LOG_JSON) == 0);
    ASSERT(net_core_init(&toy->core, index, toy->shared, toy->ring, toy->fibers, &toy->log,
                         &toy->server, options ? options : &none) == 0);
    toy_listen(toy, host, plain);
}

static inline void toy_start(struct toy *toy, const struct net_options *options,
                             struct net_shared *shared, unsigned index)
{
    toy_start_on(toy, options, shared, index, "127.0.0.1", false);
}

static inline void toy_turn(struct toy *toy)
{
    (void)ring_turn(toy->ring, mono_add_ms(clock_mono(), 5));
}

// Turns until `condition` holds.
#define toy_until(toy, condition)                                                                  \
    do {                                                                                           \
        struct mono until_ = mono_add_ms(clock_mono(), WAIT_MS);                                   \
        while (!(condition) && mono_before(clock_mono(), until_))                                  \
            toy_turn(toy);                                                                         \
        assert_true(condition);                                                                    \
    } while (0)

static inline void toy_stop(struct toy *toy)
{
    net_abort(&toy->core);
    struct mono until = mono_add_ms(clock_mono(), WAIT_MS);
    while ((!net_idle(&toy->core) || fiber_live(toy->fibers) > 0) &&
           mono_before(clock_mono(), until))
        toy_turn(toy);
    ASSERT(net_idle(&toy->core));
    ASSERT(toy->core.blocks.live_count == 0);
    ASSERT(atomic_load(&toy->shared->body_bytes) == 0);
    toy_turn(toy); // the closes
    net_core_done(&toy->core);
    fiber_sched_free(toy->fibers);
    ring_free(toy->ring);
    log_done(&toy->log);
}

static inline void client_open(struct toy_client *c, unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    *c = (struct toy_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ASSERT(c->fd >= 0);
    ASSERT(connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    ASSERT(setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    c->cap = 4096;
    c->in = calloc(1, c->cap);
}

static inline void client_close(struct toy_client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    free(c->in);
    *c = (struct toy_client){.fd = -1};
}

// As much as the socket takes now.
static inline size_t client_write(struct toy_client *c, const void *data, size_t size)
{
    ssize_t n = send(c->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? 0 : (size_t)n;
}

static inline void client_send(struct toy *toy, struct toy_client *c, const void *data, size_t size)
{
    const char *p = data;
    struct mono until = mono_add_ms(clock_mono(), WAIT_MS);
    while (size > 0 && mono_before(clock_mono(), until)) {
        size_t n = client_write(c, p, size);
        p += n;
        size -= n;
        if (size > 0)
            toy_turn(toy);
    }
    assert_int_equal(size, 0);
}

static inline void client_say(struct toy *toy, struct toy_client *c, const char *text)
{
    client_send(toy, c, text, strlen(text));
}

static inline void client_poll(struct toy_client *c)
{
    while (!c->eof) {
        if (c->cap - c->len < 65536) {
            c->cap = c->cap * 2 + 65536;
            c->in = realloc(c->in, c->cap);
            ASSERT(c->in);
        }
        ssize_t n = recv(c->fd, c->in + c->len, c->cap - c->len - 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        c->eof = n <= 0;
        c->error = n < 0 ? errno : 0;
        c->len += n > 0 ? (size_t)n : 0;
        c->in[c->len] = '\0';
    }
}

static inline bool client_has(struct toy_client *c, const char *needle)
{
    client_poll(c);
    return memmem(c->in, c->len, needle, strlen(needle)) != NULL;
}

static inline unsigned client_count(struct toy_client *c, const char *needle)
{
    unsigned n = 0;
    client_poll(c);
    for (const char *p = c->in; (p = strstr(p, needle)); p += strlen(needle))
        n++;
    return n;
}

#define client_until(toy, c, needle) toy_until(toy, client_has(c, needle))
#define client_until_eof(toy, c)     toy_until(toy, (client_poll(c), (c)->eof))

// A core of its own and one client, as most tests want it.
static inline void toy_start_one(struct toy *toy, struct toy_client *c)
{
    toy_start(toy, NULL, NULL, 0);
    client_open(c, toy->port);
}

static inline void toy_stop_one(struct toy *toy, struct toy_client *c)
{
    client_close(c);
    toy_stop(toy);
}

static inline void client_forget(struct toy_client *c)
{
    c->len = 0;
    c->in[0] = '\0';
}

#endif
