// SPDX-License-Identifier: Apache-2.0
//
// toy_h2_client.h: a client of toy.h's server that speaks HTTP/2 by nghttp2 over its loopback
// socket.
//
// It notes what came, by stream. `window` is what it announces for its streams; `greedy` makes the
// connection's window as large as can be; `lazy` stops it from giving windows back.
#ifndef RINGGATE_TESTS_NET_TOY_H2_CLIENT_H
#define RINGGATE_TESTS_NET_TOY_H2_CLIENT_H

#include "toy.h"

#include "net/h2_internal.h"
#include "net/page.h"
#include "net/upstream_internal.h"
#include <nghttp2/nghttp2.h>

#define H2_CLIENT_STREAMS 600

struct h2_seen {
    unsigned status, interim;
    size_t bytes, fields;
    bool closed;
    uint32_t code;
    char text[256]; // the body's beginning, NUL-terminated
    char head[512]; // "name: value|…"
};

struct h2_client {
    struct toy_client sock;
    nghttp2_session *session;
    struct h2_seen seen[H2_CLIENT_STREAMS]; // by stream / 2
    int goaway;                             // its last code, -1: none
    size_t left;                            // body bytes to send
    bool endless;                           // and then nothing, without an end
};

static inline struct h2_seen *h2_seen(struct h2_client *c, int32_t stream)
{
    ASSERT(stream / 2 < H2_CLIENT_STREAMS);
    return &c->seen[stream / 2];
}

static inline int h2c_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user)
{
    struct h2_seen *s = h2_seen(user, frame->hd.stream_id);
    uint64_t status = 0;
    (void)session;
    (void)flags;
    if (slice_eq(slice_of(name, name_len), SLICE(":status"))) {
        ASSERT(slice_to_u64(slice_of(value, value_len), &status) == 0);
        s->interim = s->status ? s->status : s->interim;
        s->status = (unsigned)status;
        return 0;
    }
    size_t at = strlen(s->head);
    (void)snprintf(s->head + at, sizeof(s->head) - at, "%.*s: %.*s|", (int)name_len, name,
                   (int)value_len, value);
    s->fields++;
    return 0;
}

static inline int h2c_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                           size_t len, void *user)
{
    struct h2_seen *s = h2_seen(user, id);
    (void)session;
    (void)flags;
    for (size_t i = 0; i < len && s->bytes + i + 1 < sizeof(s->text); i++)
        s->text[s->bytes + i] = (char)data[i];
    s->bytes += len;
    return 0;
}

static inline int h2c_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)session;
    h2_seen(user, id)->closed = true;
    h2_seen(user, id)->code = code;
    return 0;
}

static inline int h2c_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_client *c = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        c->goaway = (int)frame->goaway.error_code;
    return 0;
}

static inline ssize_t h2c_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                               uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_client *c = user;
    size_t n = c->left < room ? c->left : room;
    (void)session;
    (void)id;
    (void)source;
    if (n == 0 && c->endless)
        return NGHTTP2_ERR_DEFERRED;
    memset(out, 'b', n);
    c->left -= n;
    if (c->left == 0 && !c->endless)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static inline void h2c_open(struct h2_client *c, unsigned port, uint32_t window, bool lazy)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    memset(c, 0, sizeof(*c));
    c->goaway = -1;
    client_open(&c->sock, port);
    ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, h2c_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, h2c_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, h2c_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, h2c_frame);
    nghttp2_option_set_no_auto_window_update(option, lazy);
    ASSERT(nghttp2_session_client_new2(&c->session, callbacks, c, option) == 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    ASSERT(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &e, 1) == 0);
    ASSERT(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, INT32_MAX) == 0);
}

static inline void h2c_done(struct h2_client *c)
{
    nghttp2_session_del(c->session);
    client_close(&c->sock);
}

static inline nghttp2_nv h2c_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

// `extra` NULL, or one field more.
static inline int32_t h2c_ask(struct h2_client *c, const char *method, const char *path, bool body,
                              const char *name, const char *value)
{
    nghttp2_nv head[] = {h2c_nv(":method", method), h2c_nv(":scheme", "http"),
                         h2c_nv(":authority", "a"), h2c_nv(":path", path),
                         h2c_nv(name ? name : "x", value ? value : "")};
    nghttp2_data_provider data = {.read_callback = h2c_body};
    int32_t id =
        nghttp2_submit_request(c->session, NULL, head, name ? 5 : 4, body ? &data : NULL, NULL);
    ASSERT(id > 0);
    return id;
}

static inline int32_t h2c_get(struct h2_client *c, const char *path)
{
    return h2c_ask(c, "GET", path, false, NULL, NULL);
}

// Sends what there is to send, reads what has come.
static inline void h2c_pump(struct toy *toy, struct h2_client *c)
{
    const uint8_t *out;
    ssize_t n;
    while (!c->sock.eof && (n = nghttp2_session_mem_send(c->session, &out)) > 0)
        client_send(toy, &c->sock, out, (size_t)n);
    client_poll(&c->sock);
    if (c->sock.len > 0)
        (void)nghttp2_session_mem_recv(c->session, (const uint8_t *)c->sock.in, c->sock.len);
    client_forget(&c->sock);
}

#define h2c_until(toy, c, condition) toy_until(toy, (h2c_pump(toy, c), (condition)))

static inline struct h2_conn *h2c_conn(struct toy *toy)
{
    struct h1_conn *c = container_of(toy->core.connections.next, struct h1_conn, link);
    ASSERT(c->h2);
    return c->h2;
}

static inline void h2c_start(struct toy *toy, struct h2_client *c)
{
    toy_start(toy, NULL, NULL, 0);
    h2c_open(c, toy->port, 65535, false);
}

static inline void h2c_stop(struct toy *toy, struct h2_client *c)
{
    h2c_done(c);
    toy_stop(toy);
}

#endif
