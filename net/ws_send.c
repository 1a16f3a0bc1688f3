// SPDX-License-Identifier: Apache-2.0
//
// ws_send.c: frames of a WebSocket on their way out.
//
// Whoever writes has the turn until its frame is out; the others wait in a line. A pong is never
// waited for by the reader: when somebody has the turn it is his to send behind his frame, and a
// newer ping replaces one that was not answered (RFC 6455 5.5.3). So two peers that both write and
// read in one fiber each do not hold each other up over control frames.
//
//     server   [head] [span] [span] …          as they lie
//     client   [head ‖ masked bytes] page by page, each a copy
#include "base/assert.h"
#include "base/err.h"
#include "base/prng.h"
#include "net/net_internal.h"
#include "net/page.h"
#include "net/upstream_internal.h"
#include "net/ws_internal.h"

#define SPANS_A_SEND 32

// ---- The turn --------------------------------------------------------------------------------

struct turn {
    struct list link;
    struct fiber *fiber;
    bool mine;
};

static int turn_await(struct ws *w, struct fiber *self)
{
    struct turn t = {.fiber = self};
    int rc = 0;
    if (!w->writing) {
        w->writing = true;
        return 0;
    }
    list_push_back(&w->waiting, &t.link);
    while (!t.mine && !rc)
        rc = fiber_park_await(self);
    if (t.mine)
        return 0; // an interruption is seen at the next park
    list_remove(&t.link);
    return rc;
}

static void turn_over(struct ws *w)
{
    struct list *l = list_pop_front(&w->waiting);
    if (!l) {
        w->writing = false;
        return;
    }
    struct turn *t = container_of(l, struct turn, link);
    t->mine = true;
    fiber_wake(t->fiber);
}

// ---- Bytes -----------------------------------------------------------------------------------

// LIMIT_SEND_MS, and what so many bytes take at the least rate.
static struct mono send_until(const struct ws *w, size_t bytes)
{
    uint64_t ms = LIMIT_SEND_MS + (uint64_t)bytes * 1000 / LIMIT_SEND_RATE;
    return mono_add_ms(ring_now(w->core->ring), (int64_t)ms);
}

static int send_up_await(struct ws *w, struct fiber *self, const struct slice *spans,
                         unsigned count)
{
    struct iovec iov[SPANS_A_SEND];
    size_t bytes = 0;
    ASSERT(count <= SPANS_A_SEND);
    for (unsigned i = 0; i < count; i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)spans[i].ptr, spans[i].len};
        bytes += spans[i].len;
    }
    struct mono before = fiber_deadline(self);
    fiber_set_deadline(self, mono_min(before, send_until(w, bytes)));
    int rc = upstream_write_await(w->up, self, iov, count);
    fiber_set_deadline(self, before);
    return rc == ERR_DEADLINE && !fiber_interrupted(self) ? ERR_UPSTREAM_TIMEOUT : rc;
}

// In one's turn. What was cut is never followed.
static int transmit_await(struct ws *w, struct fiber *self, const struct slice *spans,
                          unsigned count, bool last)
{
    ASSERT(w->writing);
    if (w->torn)
        return ws__over(w, ws__lost(w));
    int rc = w->stream ? http_write_await(w->stream, self, spans, count, last)
                       : send_up_await(w, self, spans, count);
    if (rc) {
        w->torn = true;
        (void)ws__over(w, fiber_interrupted(self) ? ws__lost(w) : rc);
        body_wake(w->body);
    }
    return rc;
}

static int mask_key(struct ws *w, const uint8_t **ret)
{
    if (w->keys_left == 0) {
        int rc = random_bytes(w->keys, sizeof(w->keys));
        if (rc)
            return rc;
        w->keys_left = WS_KEYS;
    }
    *ret = w->keys[--w->keys_left];
    return 0;
}

static int plain_await(struct ws *w, struct fiber *self, struct slice head,
                       const struct slice *spans, unsigned count)
{
    struct slice run[SPANS_A_SEND];
    unsigned n = 1;
    int rc = 0;
    run[0] = head;
    do {
        while (n < SPANS_A_SEND && count > 0) {
            run[n++] = *spans++;
            count--;
        }
        rc = transmit_await(w, self, run, n, false);
        n = 0;
    } while (rc == 0 && count > 0);
    return rc;
}

static int masked_await(struct ws *w, struct fiber *self, struct slice head,
                        const struct slice *spans, unsigned count, const uint8_t *key)
{
    struct page_pool *pool = &w->core->upstream->pages;
    struct page *page = page_get(pool);
    unsigned phase = 0;
    int rc = 0;
    if (!page)
        return ERR_NOMEM;
    memcpy(page->data, head.ptr, head.len);
    page->used = (uint32_t)head.len;
    for (unsigned i = 0; i < count && rc == 0; i++) {
        struct slice left = spans[i];
        while (left.len > 0 && rc == 0) {
            size_t n = left.len < page_room(page) ? left.len : page_room(page);
            char *to = page->data + page->used;
            memcpy(to, left.ptr, n);
            phase = ws_mask(to, n, key, phase);
            page->used += (uint32_t)n;
            left = slice_skip(left, n);
            if (page_room(page) > 0)
                continue;
            struct slice full = page_bytes(page);
            rc = transmit_await(w, self, &full, 1, false);
            page->used = 0;
        }
    }
    if (rc == 0 && page->used > 0) {
        struct slice rest = page_bytes(page);
        rc = transmit_await(w, self, &rest, 1, false);
    }
    page_put(pool, page);
    return rc;
}

// ---- Frames, in one's turn -------------------------------------------------------------------

static int message_await(struct ws *w, struct fiber *self, enum ws_opcode opcode,
                         const struct slice *spans, unsigned count)
{
    char head[WS_HEAD_BYTES];
    const uint8_t *key = NULL;
    uint64_t length = 0;
    int rc = w->up ? mask_key(w, &key) : 0;
    if (rc)
        return rc;
    for (unsigned i = 0; i < count; i++)
        length += spans[i].len;
    struct slice first = slice_of(head, ws_frame_head(head, opcode, true, length, key));
    return key ? masked_await(w, self, first, spans, count, key)
               : plain_await(w, self, first, spans, count);
}

static int control_await(struct ws *w, struct fiber *self, enum ws_opcode opcode,
                         struct slice payload)
{
    char frame[WS_HEAD_BYTES + WS_CONTROL_BYTES];
    const uint8_t *key = NULL;
    int rc = w->up ? mask_key(w, &key) : 0;
    if (rc)
        return rc;
    struct slice all = slice_of(frame, ws_frame_control(frame, opcode, payload, key));
    return transmit_await(w, self, &all, 1, opcode == WS_CLOSE);
}

static int due_await(struct ws *w, struct fiber *self)
{
    int rc = 0;
    while (rc == 0 && w->pong_due && w->state == WS_OPEN) {
        char payload[WS_CONTROL_BYTES];
        struct slice s = slice_of(payload, w->pong_len);
        memcpy(payload, w->pong, w->pong_len);
        w->pong_due = false;
        rc = control_await(w, self, WS_PONG, s);
    }
    return rc;
}

// Takes the turn for one frame and what is due behind it. ERR_WS_CLOSED: nothing may be said any
// more.
static int begin_await(struct ws *w, struct fiber *self)
{
    int rc = turn_await(w, self);
    if (rc)
        return rc;
    rc = fiber_interrupted(self);
    if (rc == 0 && w->state != WS_OPEN)
        rc = w->err ? w->err : ERR_WS_CLOSED;
    if (rc)
        turn_over(w);
    return rc;
}

static int end_await(struct ws *w, struct fiber *self, int rc)
{
    if (rc == 0)
        rc = due_await(w, self);
    turn_over(w);
    return rc;
}

// ---- What the others ask for -----------------------------------------------------------------

int ws_send_await(struct ws *w, struct fiber *self, enum ws_opcode opcode,
                  const struct slice *spans, unsigned count)
{
    ASSERT(opcode == WS_TEXT || opcode == WS_BINARY);
    int rc = begin_await(w, self);
    return rc ? rc : end_await(w, self, message_await(w, self, opcode, spans, count));
}

int ws__ping_await(struct ws *w, struct fiber *self)
{
    int rc = begin_await(w, self);
    return rc ? rc : end_await(w, self, control_await(w, self, WS_PING, SLICE_EMPTY));
}

int ws__pong_await(struct ws *w, struct fiber *self, struct slice payload)
{
    if (w->state != WS_OPEN)
        return 0;
    memcpy(w->pong, payload.ptr, payload.len);
    w->pong_len = (uint8_t)payload.len;
    w->pong_due = true;
    if (w->writing)
        return 0;
    int rc = begin_await(w, self);
    return rc ? rc : end_await(w, self, 0);
}

// Nothing may follow; whoever is stuck in a send is let go.
static void tear(struct ws *w)
{
    w->torn = true;
    if (w->writing && w->stream)
        h1_upgrade__tear(w->stream);
    else if (w->writing)
        upstream__tear(w->up);
}

static int close_await(struct ws *w, struct fiber *self, unsigned code, struct slice reason)
{
    char payload[WS_CONTROL_BYTES];
    int rc = turn_await(w, self);
    if (rc)
        return rc;
    if (w->state == WS_OPEN) {
        w->state = WS_CLOSING;
        struct slice s = slice_of(payload, ws_close_payload(payload, code, reason));
        rc = control_await(w, self, WS_CLOSE, s);
    } else if (w->state == WS_CLOSED) {
        rc = w->err;
    }
    turn_over(w);
    return rc;
}

int ws__send_close_await(struct ws *w, struct fiber *self, unsigned code, struct slice reason)
{
    struct mono before = fiber_deadline(self);
    w->patience = mono_add_ms(ring_now(w->core->ring), w->close_ms);
    fiber_set_deadline(self, mono_min(before, w->patience));
    int rc = close_await(w, self, code, reason);
    fiber_set_deadline(self, before);
    if (rc != ERR_DEADLINE || fiber_interrupted(self))
        return rc;
    tear(w);
    return ws__over(w, ERR_WS_CLOSED);
}
