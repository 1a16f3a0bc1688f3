// SPDX-License-Identifier: Apache-2.0
//
// toy_h2.h: a server session and its clients in memory, for tests: nghttp2's own client, and frames
// written by hand for what no client of good faith would send.
//
// Both ends write what happened to them into a log; a test compares it:
//
//     server   "open 1|head 1 POST /a|data 1 5|end 1|taken 1|close 1 0|"
//     client   "head 1 200|data 1 2|close 1 0|" and "reset 1 8|goaway 3 11|"
//
// The owner answers nothing by itself but when `echo` is set: then every whole request with 200 and
// its own body.
#ifndef RINGGATE_TESTS_H2_TOY_H2_H
#define RINGGATE_TESTS_H2_TOY_H2_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/err.h"
#include "h2/h2_internal.h"
#include <stdio.h>
#include <stdlib.h>

#define TOY_STREAMS 512
#define TOY_OUTPUT  16384
#define TOY_IOV     64

struct toy_stream {
    struct h2_stream s;
    struct arena arena;
    struct buf body;
    struct slice answer; // what `spans` of the answer points at
    bool used, closed;   // closed: freed with the next output, which may point into its body
    int head_err;
};

struct toy_h2 {
    struct h2_session server;
    struct h2_counts counts;
    struct block_pool blocks;
    struct toy_stream stream[TOY_STREAMS];
    struct mono now;
    struct buf log;    // the server's
    struct buf wire;   // what the server sent, until the client reads it
    struct buf sent;   // what the client sent, all of it
    unsigned outputs;  // that were not empty
    unsigned borrowed; // entries of outputs that point outside `bytes`
    unsigned lent;     // on_lend
    int fed;           // the last h2_session_feed
    bool echo, refuse, consume;
    nghttp2_session *client; // NULL: by hand
    struct buf client_log;
};

static inline struct toy_h2 *toy_of(struct h2_session *h)
{
    return container_of(h, struct toy_h2, server);
}

static inline struct toy_stream *toy_stream(struct toy_h2 *t, int32_t id)
{
    for (unsigned i = 0; i < TOY_STREAMS; i++) {
        if (t->stream[i].used && !t->stream[i].closed && t->stream[i].s.id == id)
            return &t->stream[i];
    }
    return NULL;
}

static inline struct h2_stream *toy_on_open(struct h2_session *h)
{
    struct toy_h2 *t = toy_of(h);
    if (t->refuse)
        return NULL;
    for (unsigned i = 0; i < TOY_STREAMS; i++) {
        struct toy_stream *x = &t->stream[i];
        if (x->used)
            continue;
        *x = (struct toy_stream){.used = true};
        arena_init(&x->arena, &t->blocks, 4u << 20);
        buf_init(&x->body, 16u << 20);
        x->s.arena = &x->arena;
        return &x->s;
    }
    return NULL;
}

static inline void toy_on_head(struct h2_session *h, struct h2_stream *s, int err)
{
    struct toy_h2 *t = toy_of(h);
    container_of(s, struct toy_stream, s)->head_err = err;
    buf_printf(&t->log, "head %d ", s->id);
    if (err)
        buf_printf(&t->log, "%s|", err_name(err));
    else
        buf_printf(&t->log, "%.*s %.*s|", SLICE_ARG(s->head.method), SLICE_ARG(s->head.path));
}

static inline void toy_on_data(struct h2_session *h, struct h2_stream *s, struct slice bytes)
{
    struct toy_h2 *t = toy_of(h);
    struct toy_stream *x = container_of(s, struct toy_stream, s);
    buf_add(&x->body, bytes);
    if (t->consume)
        h2_stream_consume(s, bytes.len);
}

static inline void toy_on_end(struct h2_session *h, struct h2_stream *s)
{
    struct toy_h2 *t = toy_of(h);
    struct toy_stream *x = container_of(s, struct toy_stream, s);
    buf_printf(&t->log, "end %d %zu|", s->id, x->body.len);
    if (!t->echo)
        return;
    x->answer = buf_slice(&x->body);
    assert_int_equal(h2_stream_answer(s, 200, NULL, 0, &x->answer, 1, true), 0);
}

static inline void toy_on_lend(struct h2_session *h, struct h2_stream *s)
{
    toy_of(h)->lent++;
    assert_true(s->session == h);
}

static inline void toy_on_taken(struct h2_session *h, struct h2_stream *s)
{
    buf_printf(&toy_of(h)->log, "taken %d|", s->id);
}

static inline void toy_free_stream(struct toy_stream *x)
{
    arena_done(&x->arena);
    buf_done(&x->body);
    x->used = x->closed = false;
}

static inline void toy_on_close(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    buf_printf(&toy_of(h)->log, "close %d %u|", s->id, code);
    assert_null(s->session);
    container_of(s, struct toy_stream, s)->closed = true;
}

static const struct h2_events toy_events = {
    .on_open = toy_on_open,
    .on_head = toy_on_head,
    .on_data = toy_on_data,
    .on_end = toy_on_end,
    .on_lend = toy_on_lend,
    .on_taken = toy_on_taken,
    .on_close = toy_on_close,
};

// ---- nghttp2's client ------------------------------------------------------------------------

static inline int toy_client_header(nghttp2_session *session, const nghttp2_frame *frame,
                                    const uint8_t *name, size_t name_len, const uint8_t *value,
                                    size_t value_len, uint8_t flags, void *user)
{
    struct toy_h2 *t = user;
    (void)session;
    (void)flags;
    if (slice_eq(slice_of(name, name_len), SLICE(":status")))
        buf_printf(&t->client_log, "head %d %.*s|", frame->hd.stream_id, (int)value_len, value);
    else
        buf_printf(&t->client_log, "%.*s: %.*s|", (int)name_len, name, (int)value_len, value);
    return 0;
}

static inline int toy_client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct toy_h2 *t = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_DATA)
        buf_printf(&t->client_log, "data %d %zu|", frame->hd.stream_id, frame->hd.length);
    else if (frame->hd.type == NGHTTP2_RST_STREAM)
        buf_printf(&t->client_log, "reset %d %u|", frame->hd.stream_id,
                   frame->rst_stream.error_code);
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        buf_printf(&t->client_log, "goaway %d %u|", frame->goaway.last_stream_id,
                   frame->goaway.error_code);
    return 0;
}

static inline int toy_client_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct toy_h2 *t = user;
    (void)session;
    buf_printf(&t->client_log, "close %d %u|", id, code);
    return 0;
}

// Body of a request: `left` bytes of 'x'.
struct toy_body {
    size_t left;
};

static inline ssize_t toy_client_body(nghttp2_session *session, int32_t id, uint8_t *out,
                                      size_t room, uint32_t *flags, nghttp2_data_source *source,
                                      void *user)
{
    struct toy_body *body = source->ptr;
    size_t n = body->left < room ? body->left : room;
    (void)session;
    (void)id;
    (void)user;
    memset(out, 'x', n);
    body->left -= n;
    if (body->left == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

#define NV(n, v)                                                                                   \
    {                                                                                              \
        (uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE                 \
    }

// A request of the client; `body` NULL: without.
static inline int32_t toy_request(struct toy_h2 *t, const char *method, const char *path,
                                  struct toy_body *body)
{
    nghttp2_nv head[] = {NV(":method", method), NV(":scheme", "http"), NV(":authority", "a"),
                         NV(":path", path)};
    nghttp2_data_provider data = {.source = {.ptr = body}, .read_callback = toy_client_body};
    int32_t id =
        nghttp2_submit_request(t->client, NULL, head, ARRAY_LEN(head), body ? &data : NULL, NULL);
    assert_true(id > 0);
    return id;
}

// ---- Both ------------------------------------------------------------------------------------

static inline void toy_open(struct toy_h2 *t, const struct h2_options *o, bool client)
{
    struct h2_options options = o ? *o : (struct h2_options){0};
    memset(t, 0, sizeof(*t));
    t->now = (struct mono){.ns = NS_PER_S};
    block_pool_init(&t->blocks, 64);
    buf_init(&t->log, 1u << 20);
    buf_init(&t->client_log, 8u << 20);
    buf_init(&t->wire, 64u << 20);
    buf_init(&t->sent, 64u << 20);
    options.counts = &t->counts;
    assert_int_equal(h2_server_init(&t->server, &toy_events, &options), 0);
    if (!client)
        return;
    nghttp2_session_callbacks *callbacks = NULL;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, toy_client_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, toy_client_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, toy_client_close);
    assert_int_equal(nghttp2_session_client_new(&t->client, callbacks, t), 0);
    nghttp2_session_callbacks_del(callbacks);
    assert_int_equal(nghttp2_submit_settings(t->client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static inline void toy_close(struct toy_h2 *t)
{
    // What a client can make nghttp2 hold is bounded, whatever a test did.
    assert_true(t->server.memory.bytes <= H2_MEMORY_MAX);
    h2_session_done(&t->server);
    for (unsigned i = 0; i < TOY_STREAMS; i++) {
        if (t->stream[i].used)
            toy_free_stream(&t->stream[i]);
    }
    nghttp2_session_del(t->client);
    buf_done(&t->log);
    buf_done(&t->client_log);
    buf_done(&t->wire);
    buf_done(&t->sent);
    block_pool_done(&t->blocks);
}

static inline int toy_feed(struct toy_h2 *t, const void *bytes, size_t len)
{
    buf_add(&t->sent, slice_of(bytes, len));
    t->fed = h2_session_feed(&t->server, t->now, slice_of(bytes, len));
    return t->fed;
}

// One output of the server, appended to `wire`. Its length.
static inline size_t toy_output(struct toy_h2 *t)
{
    char bytes[TOY_OUTPUT];
    struct iovec iov[TOY_IOV];
    struct h2_output out = {
        .bytes = bytes, .bytes_max = sizeof(bytes), .iov = iov, .iov_max = TOY_IOV};
    size_t total = 0;
    assert_int_equal(h2_session_output(&t->server, t->now, &out), 0);
    for (unsigned i = 0; i < out.count; i++) {
        const char *base = iov[i].iov_base;
        t->borrowed += base < bytes || base >= bytes + sizeof(bytes);
        buf_add(&t->wire, slice_of(base, iov[i].iov_len));
        total += iov[i].iov_len;
    }
    assert_int_equal(total, out.total);
    for (unsigned i = 0; i < TOY_STREAMS; i++) {
        if (t->stream[i].used && t->stream[i].closed)
            toy_free_stream(&t->stream[i]);
    }
    t->outputs += total > 0;
    return total;
}

// Everything the server has to say, to the client if there is one.
static inline void toy_drain(struct toy_h2 *t)
{
    while (toy_output(t) > 0)
        ;
    if (!t->client)
        return;
    assert_int_equal(nghttp2_session_mem_recv(t->client, (const uint8_t *)t->wire.ptr, t->wire.len),
                     (ssize_t)t->wire.len);
    buf_reset(&t->wire);
}

// Until neither end has anything to say.
static inline void toy_pump(struct toy_h2 *t)
{
    for (;;) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(t->client, &bytes);
        assert_true(n >= 0);
        if (n > 0)
            (void)toy_feed(t, bytes, (size_t)n);
        size_t before = t->outputs;
        toy_drain(t);
        if (n == 0 && t->outputs == before)
            return;
    }
}

static inline const char *toy_text(struct buf *b)
{
    buf_add_char(b, '\0');
    b->len--;
    return b->ptr;
}

#define assert_server(t, text) assert_string_equal(toy_text(&(t)->log), (text))
#define assert_client(t, text) assert_string_equal(toy_text(&(t)->client_log), (text))

// The client's view without what comes at the start of every connection.
static inline void toy_start(struct toy_h2 *t, const struct h2_options *o)
{
    toy_open(t, o, true);
    toy_pump(t);
    buf_reset(&t->client_log);
    buf_reset(&t->log);
}

// ---- Frames by hand --------------------------------------------------------------------------

static inline int toy_frame(struct toy_h2 *t, unsigned type, unsigned flags, unsigned id,
                            const void *payload, size_t len)
{
    char head[9] = {(char)(len >> 16), (char)(len >> 8), (char)len,       (char)type, (char)flags,
                    (char)(id >> 24),  (char)(id >> 16), (char)(id >> 8), (char)id};
    int rc = toy_feed(t, head, sizeof(head));
    return rc || len == 0 ? rc : toy_feed(t, payload, len);
}

// Preface and empty SETTINGS, by hand.
static inline void toy_start_raw(struct toy_h2 *t, const struct h2_options *o)
{
    toy_open(t, o, false);
    assert_int_equal(toy_feed(t, H2_PREFACE.ptr, H2_PREFACE.len), 0);
    assert_int_equal(toy_frame(t, NGHTTP2_SETTINGS, 0, 0, NULL, 0), 0);
    toy_drain(t);
    assert_int_equal(toy_frame(t, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0), 0);
    buf_reset(&t->wire);
}

// A literal field without indexing and without Huffman (RFC 7541 6.2.2), names and values < 127.
static inline size_t toy_literal(char *out, const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value);
    ASSERT(n < 127 && v < 127);
    out[0] = 0;
    out[1] = (char)n;
    memcpy(out + 2, name, n);
    out[2 + n] = (char)v;
    memcpy(out + 3 + n, value, v);
    return 3 + n + v;
}

// A block from name, value, name, value, …, NULL.
static inline size_t toy_block(char *out, const char *const *pairs)
{
    size_t n = 0;
    for (; *pairs; pairs += 2)
        n += toy_literal(out + n, pairs[0], pairs[1]);
    return n;
}

#define GET_PAIRS ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"

static inline int toy_get(struct toy_h2 *t, unsigned id, unsigned flags)
{
    char block[256];
    size_t n = toy_block(block, (const char *const[]){GET_PAIRS, NULL});
    return toy_frame(t, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | flags, id, block, n);
}

struct toy_seen {
    unsigned type, flags, id;
    const char *payload;
    size_t len;
};

// The n-th frame of this type in what the server sent; false when there is none.
static inline bool toy_saw(const struct toy_h2 *t, unsigned type, unsigned n, struct toy_seen *ret)
{
    const unsigned char *p = (const unsigned char *)t->wire.ptr, *end = p + t->wire.len;
    *ret = (struct toy_seen){.payload = ""};
    while (end - p >= 9) {
        size_t len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        *ret = (struct toy_seen){.type = p[3],
                                 .flags = p[4],
                                 .id = (unsigned)p[5] << 24 | (unsigned)p[6] << 16 |
                                       (unsigned)p[7] << 8 | p[8],
                                 .payload = (const char *)p + 9,
                                 .len = len};
        p += 9 + len;
        if (ret->type == type && n-- == 0)
            return true;
    }
    return false;
}

static inline unsigned toy_u32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (unsigned)u[0] << 24 | (unsigned)u[1] << 16 | (unsigned)u[2] << 8 | u[3];
}

// The connection ended with GOAWAY of this code.
static inline void assert_goaway(struct toy_h2 *t, unsigned code)
{
    struct toy_seen seen;
    toy_drain(t);
    assert_true(toy_saw(t, NGHTTP2_GOAWAY, 0, &seen));
    assert_int_equal(toy_u32(seen.payload + 4), code);
    assert_true(h2_session_over(&t->server));
    assert_false(h2_session_wants_output(&t->server));
    assert_int_equal(toy_frame(t, NGHTTP2_PING, 0, 0, "12345678", 8), 0); // dropped
}

static inline void assert_reset(struct toy_h2 *t, unsigned id, unsigned code)
{
    struct toy_seen seen;
    toy_drain(t);
    assert_true(toy_saw(t, NGHTTP2_RST_STREAM, 0, &seen));
    assert_int_equal(seen.id, id);
    assert_int_equal(toy_u32(seen.payload), code);
}

static inline uint64_t toy_hits(const struct toy_h2 *t, unsigned limit)
{
    return counter_get(&t->counts.hit[limit]);
}

#endif
