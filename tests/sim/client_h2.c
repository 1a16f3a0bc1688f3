// SPDX-License-Identifier: Apache-2.0
//
// client_h2.c: see client_h2.h. nghttp2 speaks; what to ask and what to think of it is here.
#include "tests/sim/client_h2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void step(struct client_h2 *c);

static void on_wake(void *arg)
{
    struct client_h2 *c = arg;
    c->wake = NULL;
    step(c);
}

static void wake_after(struct client_h2 *c, int64_t ns)
{
    if (!c->wake)
        c->wake = sim_after(ns, on_wake, c);
}

static struct h2_ask *ask_of(struct client_h2 *c, int32_t stream)
{
    for (unsigned i = 0; i < CLIENT_H2_STREAMS; i++) {
        if (c->ask[i].stream == stream)
            return &c->ask[i];
    }
    return NULL;
}

static void ask_free(struct client_h2 *c, struct h2_ask *a)
{
    c->story->request[a->request].over = true;
    text_free(&a->out);
    text_free(&a->body);
    *a = (struct h2_ask){0};
    c->asked--;
}

// ---- What comes ------------------------------------------------------------------------------

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    struct h2_ask *a = ask_of(user, frame->hd.stream_id);
    (void)session, (void)flags, (void)value_len;
    if (a && name_len == 7 && memcmp(name, ":status", 7) == 0)
        a->status = (unsigned)strtoul((const char *)value, NULL, 10);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *user)
{
    struct h2_ask *a = ask_of(user, stream);
    (void)session, (void)flags;
    if (a)
        text_add(&a->body, data, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client_h2 *c = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        sim_trace("client %u is told to go: code %u, last stream %d", c->number,
                  frame->goaway.error_code, frame->goaway.last_stream_id);
        SIM_HOLDS(frame->goaway.error_code == 0 || c->may_be_lost, "client %u: GOAWAY with code %u",
                  c->number, frame->goaway.error_code);
        c->last = frame->goaway.last_stream_id;
    }
    bool carries = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    struct h2_ask *a = carries ? ask_of(c, frame->hd.stream_id) : NULL;
    if (a && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        a->ended = true;
    return 0;
}

static int on_closed(nghttp2_session *session, int32_t stream, uint32_t code, void *user)
{
    struct client_h2 *c = user;
    struct h2_ask *a = ask_of(c, stream);
    (void)session;
    if (!a)
        return 0; // reset by us
    sim_trace("client %u: request %u, status %u, %zu bytes%s", c->number, a->request, a->status,
              a->body.len, a->ended ? "" : ", cut");
    SIM_HOLDS(a->status > 0 || code == NGHTTP2_REFUSED_STREAM || c->may_be_lost,
              "client %u: request %u is reset with code %u, without an answer", c->number,
              a->request, code);
    if (a->status > 0)
        story_judge(c->story, a->request, a->status, &a->body, a->ended);
    else
        c->story->count.unanswered++;
    ask_free(c, a);
    return 0;
}

// ---- What goes -------------------------------------------------------------------------------

static ssize_t read_body(nghttp2_session *session, int32_t stream, uint8_t *out, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct h2_ask *a = ask_of(user, stream);
    (void)session, (void)source;
    SIM_HOLDS(a, "a body without a request");
    size_t n = a->out.len - a->out_at < room ? a->out.len - a->out_at : room;
    memcpy(out, a->out.ptr + a->out_at, n);
    a->out_at += n;
    if (a->out_at == a->out.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void on_reset(void *arg)
{
    struct client_h2 *c = arg;
    struct h2_ask *a = NULL;
    c->reset = NULL;
    for (unsigned i = 0; i < CLIENT_H2_STREAMS; i++)
        a = c->ask[i].stream > 0 ? &c->ask[i] : a;
    if (!c->end || !a)
        return;
    sim_trace("client %u resets request %u", c->number, a->request);
    (void)nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL);
    c->story->count.abandoned++;
    ask_free(c, a);
    step(c);
}

static void ask(struct client_h2 *c)
{
    unsigned request = story_ask(c->story, false);
    struct story_request *r = &c->story->request[request];
    struct h2_ask *a = ask_of(c, 0);
    if (r->kind == STORY_MALFORMED)
        r->kind = STORY_HEALTH; // HTTP/2 has malformations of its own
    bool get = r->kind == STORY_HEALTH;
    nghttp2_nv head[] = {field(":method", get ? "GET" : "POST"), field(":scheme", "http"),
                         field(":authority", "sim"), field(":path", story_path(c->story, request)),
                         field("content-type", "application/json")};
    nghttp2_data_provider data = {.read_callback = read_body};
    a->request = request;
    if (!get)
        story_request_body(c->story, request, &a->out);
    a->stream = nghttp2_submit_request(c->session, NULL, head, 5, get ? NULL : &data, NULL);
    SIM_HOLDS(a->stream > 0, "nghttp2 does not ask");
    c->asked++;
    c->left--;
    sim_trace("client %u asks request %u (kind %d, %u letters) on stream %d", c->number, request,
              (int)r->kind, r->padding, a->stream);
    if (!c->reset && sim_chance(c->resets))
        c->reset =
            sim_after((int64_t)sim_below(sim_chance(500) ? 4000000000 : 5000000), on_reset, c);
}

// ---- Connections -----------------------------------------------------------------------------

static void on_change(struct wire_end *end)
{
    step(end->actor);
}

static void connect(struct client_h2 *c)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->window};
    c->end = wire_dial(c->port, on_change, c);
    if (!c->end) {
        wake_after(c, 10 * NS_PER_MS);
        return;
    }
    SIM_HOLDS(nghttp2_session_callbacks_new(&callbacks) == 0, "nghttp2");
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_closed);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    SIM_HOLDS(nghttp2_session_client_new(&c->session, callbacks, c) == 0, "nghttp2");
    nghttp2_session_callbacks_del(callbacks);
    SIM_HOLDS(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &e, 1) == 0, "nghttp2");
    c->last = -1;
}

static void hang_up(struct client_h2 *c, bool reset)
{
    wire_hang_up(c->end, reset);
    c->end = NULL;
    nghttp2_session_del(c->session);
    c->session = NULL;
    c->out.len = c->out_at = 0;
    sim_drop(&c->reset);
}

// The connection has ended under these.
static void lost(struct client_h2 *c)
{
    bool struck = c->end->struck || c->may_be_lost;
    for (unsigned i = 0; i < CLIENT_H2_STREAMS; i++) {
        struct h2_ask *a = &c->ask[i];
        if (a->stream == 0)
            continue;
        bool told = c->last >= 0 && a->stream > c->last;
        SIM_HOLDS(a->status > 0 || struck || told, "client %u: request %u gets no answer at all",
                  c->number, a->request);
        if (a->status > 0)
            story_judge(c->story, a->request, a->status, &a->body, false);
        else
            c->story->count.unanswered++;
        ask_free(c, a);
    }
    hang_up(c, false);
    wake_after(c, sim_delay());
}

// ---- Steps -----------------------------------------------------------------------------------

static void say(struct client_h2 *c)
{
    const uint8_t *bytes;
    for (;;) {
        while (c->out_at < c->out.len) {
            long n = wire_send(c->end, c->out.ptr + c->out_at, c->out.len - c->out_at);
            if (n < 0)
                return;
            c->out_at += (size_t)n;
        }
        c->out.len = c->out_at = 0;
        ssize_t n = nghttp2_session_mem_send(c->session, &bytes);
        SIM_HOLDS(n >= 0, "nghttp2: %s", nghttp2_strerror((int)n));
        if (n == 0)
            return;
        text_add(&c->out, bytes, (size_t)n);
    }
}

// False: the connection is over.
static bool hear(struct client_h2 *c)
{
    uint8_t bytes[16384];
    size_t most = c->read_most > 0 ? c->read_most : sizeof(bytes);
    while (sim.now_ns >= c->reads_at) {
        long n = wire_recv(c->end, bytes, most);
        if (n == -EAGAIN)
            return true;
        if (n <= 0) {
            lost(c);
            return false;
        }
        ssize_t used = nghttp2_session_mem_recv(c->session, bytes, (size_t)n);
        SIM_HOLDS(used == n, "client %u does not understand HTTP/2 frames: %s", c->number,
                  used < 0 ? nghttp2_strerror((int)used) : "not all");
        if (c->read_most > 0)
            c->reads_at = sim.now_ns + (int64_t)sim_below(2 * (uint64_t)NS_PER_MS);
    }
    wake_after(c, c->reads_at - sim.now_ns);
    return true;
}

static void step(struct client_h2 *c)
{
    if (!c->end && !c->done && (c->left == 0 || c->closing))
        c->done = true;
    if (!c->end && c->done)
        return;
    if (!c->end)
        connect(c);
    if (!c->end)
        return;
    while (c->left > 0 && !c->closing && c->last < 0 && c->asked < c->at_once && !sim_chance(300))
        ask(c);
    say(c);
    if (!hear(c))
        return;
    say(c); // windows, acknowledgements
    if (c->asked > 0)
        return;
    bool over = c->left == 0 || c->closing;
    if (over && !c->done) {
        c->done = true;
        if (sim_chance(500))
            hang_up(c, sim_chance(200));
    } else if (!over && c->last >= 0) {
        hang_up(c, false);
        wake_after(c, sim_delay());
    } else if (!over) {
        wake_after(c, 1 + sim_delay());
    }
}

void client_h2_begin(struct client_h2 *c, struct story *story, unsigned number, unsigned port)
{
    static const uint32_t windows[] = {100, 5000, 65535, 1 << 20};
    *c = (struct client_h2){.story = story, .number = number, .port = port, .last = -1};
    c->left = (unsigned)sim_between(1, 10);
    c->at_once = (unsigned)sim_between(1, CLIENT_H2_STREAMS);
    c->resets = sim_chance(400) ? (unsigned)sim_below(600) : 0;
    c->window = windows[sim_below(4)];
    c->read_most = sim_chance(200) ? (size_t)sim_between(1, 500) : 0;
    wake_after(c, (int64_t)sim_below(sim_chance(500) ? 1000000 : 3000000000));
}

void client_h2_no_more(struct client_h2 *c)
{
    c->closing = true;
    if (!c->end && !c->done) {
        c->done = true;
        sim_drop(&c->wake);
    }
}

void client_h2_end(struct client_h2 *c)
{
    for (unsigned i = 0; i < CLIENT_H2_STREAMS; i++) {
        if (c->ask[i].stream > 0) {
            c->story->count.abandoned++;
            ask_free(c, &c->ask[i]);
        }
    }
    if (c->end)
        hang_up(c, true);
    sim_drop(&c->wake);
    text_free(&c->out);
}
