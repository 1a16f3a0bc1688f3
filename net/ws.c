// SPDX-License-Identifier: Apache-2.0
//
// ws.c: a WebSocket: opening, reading, closing. ws_send.c has the other direction.
//
// Reading is a loop of three steps: an event out of the bytes at hand, more bytes out of the body,
// and a wait. The part that is being read stays out until it is used up, and no other is asked for
// until then, which is what bounds what the connection receives.
#include "base/assert.h"
#include "base/err.h"
#include "net/core.h"
#include "net/net_internal.h"
#include "net/ws_internal.h"

// ---- Opening ---------------------------------------------------------------------------------

static unsigned or_default(unsigned value, unsigned absent)
{
    return value > 0 ? value : absent;
}

static struct ws *new_socket(struct net_core *core, struct arena *arena, enum ws_role role,
                             const struct ws_options *o)
{
    static const struct ws_options none;
    struct ws *w = arena_alloc(arena, sizeof(*w));
    if (!w)
        return NULL;
    o = o ? o : &none;
    *w = (struct ws){
        .core = core,
        .code = WS_CODE_ABNORMAL,
        .ping_ms = or_default(o->ping_ms, LIMIT_WS_PING_MS),
        .pong_ms = or_default(o->pong_ms, LIMIT_WS_PONG_MS),
        .close_ms = or_default(o->close_ms, LIMIT_WS_CLOSE_MS),
    };
    list_init(&w->waiting);
    ws_parser_init(&w->parser, role, &o->limits);
    w->patience = mono_add_ms(ring_now(core->ring), w->ping_ms);
    return w;
}

int ws_accept_await(struct http_stream *s, struct fiber *self, const struct ws_request *request,
                    const struct ws_options *options, struct ws **ret)
{
    struct ws *w = new_socket(s->core, &s->arena, WS_SERVER, options);
    struct slice head = ws_answer_write(request, &s->arena);
    if (!w || !head.ptr)
        return ERR_NOMEM;
    w->stream = s;
    w->protocol = request->protocol;
    int rc = http_upgrade_await(s, self, head);
    if (rc)
        return rc;
    w->body = &s->body;
    *ret = w;
    return 0;
}

static bool is_handshakes(const struct http_field *f)
{
    return http__is_nets(f) || slice_ieq(f->name, SLICE("host")) ||
           slice_istarts(f->name, SLICE("sec-websocket-"));
}

static void write_request(const struct ws_dial *d, struct slice key, struct buf *out)
{
    buf_printf(out,
               "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: %.*s\r\nSec-WebSocket-Version: 13\r\n",
               SLICE_ARG(d->target), SLICE_ARG(origin_authority(d->origin)), SLICE_ARG(key));
    for (unsigned i = 0; i < d->protocol_count; i++) {
        buf_add(out, i == 0 ? SLICE("Sec-WebSocket-Protocol: ") : SLICE(", "));
        buf_add(out, d->protocols[i]);
    }
    if (d->protocol_count > 0)
        buf_add(out, SLICE("\r\n"));
    for (unsigned i = 0; i < d->count; i++) {
        if (!is_handshakes(&d->fields[i]))
            buf_printf(out, "%.*s: %.*s\r\n", SLICE_ARG(d->fields[i].name),
                       SLICE_ARG(d->fields[i].value));
    }
    buf_add(out, SLICE("\r\n"));
}

static int ask_await(struct net_core *c, struct fiber *self, const struct ws_dial *d,
                     struct slice key, struct upstream **ret)
{
    struct buf head;
    buf_init(&head, LIMIT_HEAD_BYTES);
    write_request(d, key, &head);
    struct iovec iov = {.iov_base = head.ptr, .iov_len = head.len};
    const struct upstream_call call = {
        .origin = d->origin,
        .method = HTTP_GET,
        .iov = &iov,
        .iov_count = 1,
        .arena = d->arena,
        .upgrade = true,
    };
    int rc = head.err ? head.err : upstream_call_await(c, self, &call, ret);
    buf_done(&head);
    return rc;
}

int ws_connect_await(struct net_core *c, struct fiber *self, const struct ws_dial *d,
                     struct ws **ret, struct upstream **ret_answer)
{
    char key[WS_KEY_BYTES];
    struct upstream *up = NULL;
    struct ws *w = new_socket(c, d->arena, WS_CLIENT, d->options);
    int rc = w ? ws_key_make(key) : ERR_NOMEM;
    if (rc == 0)
        rc = ask_await(c, self, d, slice_of(key, sizeof(key)), &up);
    if (rc)
        return rc;
    if (up->head.status != 101) {
        *ret_answer = up;
        return ERR_WS_REFUSED;
    }
    rc = ws_answer_check(&up->head, slice_of(key, sizeof(key)), d->protocols, d->protocol_count,
                         &w->protocol);
    if (rc) {
        upstream_end(c, up);
        return rc;
    }
    w->up = up;
    w->body = &up->body;
    *ret = w;
    return 0;
}

struct slice ws_protocol(const struct ws *w)
{
    return w->protocol;
}

unsigned ws_code(const struct ws *w, struct slice *ret_reason)
{
    if (ret_reason)
        *ret_reason = slice_of(w->reason, w->reason_len);
    return w->code;
}

// ---- The end ---------------------------------------------------------------------------------

int ws__over(struct ws *w, int err)
{
    w->state = WS_CLOSED;
    w->err = w->err ? w->err : err;
    return w->err;
}

static void put_part(struct ws *w)
{
    w->in = SLICE_EMPTY;
    if (!w->part_out)
        return;
    w->part_out = false;
    body_put(w->body, &w->part);
}

void ws_end(struct ws *w)
{
    if (!w)
        return;
    ASSERT(!w->writing && list_empty(&w->waiting));
    put_part(w);
    (void)ws__over(w, ERR_WS_CLOSED);
    upstream_end(w->core, w->up);
    w->up = NULL;
}

// ---- Bytes -----------------------------------------------------------------------------------

int ws__lost(const struct ws *w)
{
    return w->stream ? ERR_CLIENT_GONE : ERR_UPSTREAM_CLOSED;
}

// The next run into w->in. ERR_MORE: nothing is there.
static int next_run(struct ws *w)
{
    if (w->part_out && w->span < w->part.count) {
        w->in = w->part.span[w->span++];
        return 0;
    }
    bool last = w->part_out && w->part.last;
    put_part(w);
    if (last)
        return ws__over(w, ws__lost(w));
    int rc = body_take(w->body, &w->part);
    if (rc == ERR_MORE)
        return rc;
    if (rc)
        return ws__over(w, rc == ERR_NOMEM ? rc : ws__lost(w));
    w->part_out = true;
    w->span = 0;
    w->asked = false;
    if (w->state == WS_OPEN)
        w->patience = mono_add_ms(ring_now(w->core->ring), w->ping_ms);
    return 0;
}

// ---- Events ----------------------------------------------------------------------------------

static int on_close_await(struct ws *w, struct fiber *self, const struct ws_event *event)
{
    w->code = event->code;
    w->reason_len = (uint8_t)event->bytes.len;
    memcpy(w->reason, event->bytes.ptr, event->bytes.len);
    int rc = 0;
    if (w->state == WS_OPEN)
        rc = ws__send_close_await(w, self, event->code, SLICE_EMPTY);
    (void)ws__over(w, ERR_WS_CLOSED); // behind a close nothing is read
    return rc && fiber_interrupted(self) ? rc : w->err;
}

static int on_violation_await(struct ws *w, struct fiber *self)
{
    if (w->state == WS_OPEN)
        (void)ws__send_close_await(w, self, ws_parser_code(&w->parser), SLICE_EMPTY);
    return ws__over(w, ERR_BAD_FRAME);
}

// The next event of what is here. ERR_MORE: none.
static int next_event(struct ws *w, struct ws_event *ret)
{
    for (;;) {
        int rc =
            w->in.len > 0 || w->parse_again ? ws_parser_next(&w->parser, &w->in, ret) : ERR_MORE;
        w->parse_again = rc == 0;
        if (rc != ERR_MORE)
            return rc;
        rc = next_run(w);
        if (rc)
            return rc;
    }
}

// A piece for the caller: 0. ERR_MORE: nothing is here.
static int step_await(struct ws *w, struct fiber *self, struct ws_piece *ret)
{
    for (;;) {
        struct ws_event event;
        int rc = next_event(w, &event);
        if (rc == ERR_BAD_FRAME)
            return on_violation_await(w, self);
        if (rc)
            return rc;
        switch (event.type) {
        case WS_EVENT_DATA:
            if (w->state != WS_OPEN)
                continue; // ours is out: nobody waits for it
            *ret = (struct ws_piece){event.opcode, event.bytes, event.first, event.last};
            w->in_message = !event.last;
            return 0;
        case WS_EVENT_PING:
            rc = ws__pong_await(w, self, event.bytes);
            if (rc)
                return rc;
            continue;
        case WS_EVENT_PONG:
            continue;
        case WS_EVENT_CLOSE:
            return on_close_await(w, self, &event);
        }
    }
}

// ---- Waiting ---------------------------------------------------------------------------------

// Nothing came for w->patience.
static int on_silence_await(struct ws *w, struct fiber *self)
{
    if (w->state == WS_CLOSING)
        return ws__over(w, ERR_WS_CLOSED); // it had its time
    if (w->writing) {                      // it is being written to, which has bounds of its own
        w->patience = mono_add_ms(ring_now(w->core->ring), w->ping_ms);
        return 0;
    }
    if (w->asked)
        return ws__over(w, w->stream ? ERR_CLIENT_TIMEOUT : ERR_UPSTREAM_IDLE);
    w->asked = true;
    w->patience = mono_add_ms(ring_now(w->core->ring), w->pong_ms);
    return ws__ping_await(w, self);
}

static int wait_await(struct ws *w, struct fiber *self)
{
    struct mono before = fiber_deadline(self);
    fiber_set_deadline(self, mono_min(before, w->patience));
    int rc = body_wait_await(w->body, self);
    fiber_set_deadline(self, before);
    if (rc != ERR_DEADLINE || fiber_interrupted(self))
        return rc;
    return on_silence_await(w, self);
}

// Between two messages, or when nothing comes: a peer that never stops is told as well.
static bool says_goodbye(const struct ws *w, bool silent)
{
    return w->stream && w->core->draining && w->state == WS_OPEN && (silent || !w->in_message);
}

static int next_await(struct ws *w, struct fiber *self, struct ws_piece *ret)
{
    for (;;) {
        if (w->state == WS_CLOSED)
            return w->err;
        bool goodbye = says_goodbye(w, false);
        int rc = goodbye ? ERR_MORE : step_await(w, self, ret);
        if (rc == ERR_MORE && (goodbye || says_goodbye(w, true)))
            rc = ws__send_close_await(w, self, WS_CODE_AWAY, SLICE_EMPTY);
        else if (rc == ERR_MORE)
            rc = wait_await(w, self);
        else
            return rc;
        if (rc)
            return rc;
    }
}

int ws_next_await(struct ws *w, struct fiber *self, struct ws_piece *ret)
{
    int rc = next_await(w, self, ret);
    if (rc && w->state == WS_CLOSED)
        put_part(w);
    return rc;
}

int ws_message_await(struct ws *w, struct fiber *self, struct buf *out, enum ws_opcode *ret_opcode)
{
    struct ws_piece piece;
    do {
        int rc = ws_next_await(w, self, &piece);
        if (rc)
            return rc;
        buf_add(out, piece.bytes);
        if (out->err)
            return out->err;
    } while (!piece.last);
    *ret_opcode = piece.opcode;
    return 0;
}

int ws_close_await(struct ws *w, struct fiber *self, unsigned code, struct slice reason)
{
    struct ws_piece piece;
    int rc = 0;
    if (w->state == WS_OPEN)
        rc = ws__send_close_await(w, self, code, reason);
    while (!rc)
        rc = ws_next_await(w, self, &piece);
    return rc == ERR_WS_CLOSED ? 0 : rc;
}
