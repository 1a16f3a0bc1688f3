// SPDX-License-Identifier: Apache-2.0
//
// h2_stream.c: the neutral message's operations on an HTTP/2 stream.
//
// A write hands its spans to the session and parks until they are no longer needed: taken into an
// output (copied, or sealed by TLS), or sent, when the output points at them. The states of a
// write:
//
//             h2_stream_write            on_taken, nothing lent
//    (none) ────────────────► WRITING ─────────────────────────────► done
//                                │ on_lend                              ▲
//                                ▼            on_taken      send's end  │
//                              LENT ────────────────────► TAKEN ────────┘
//
// A fiber that is interrupted takes back what was not taken. What the kernel still reads it waits
// for, shielded: that ends with the send, at the latest after send_ms, when the connection is
// reset.
//
// Which endings cancel the fiber: any reset but the one that follows a complete answer, a stalled
// write, the loss of the connection. http_end on an answer that is not complete resets the stream,
// so that it never looks whole; the other streams of the connection do not notice.
#include "base/assert.h"
#include "base/err.h"
#include "net/h2_internal.h"
#include "net/limits.h"

// Date and Content-Length.
#define OWN_FIELDS 3

static struct h2_exchange *exchange_of(struct h2_stream *s)
{
    return container_of(s, struct h2_exchange, h2);
}

static struct h2_exchange *of_stream(struct http_stream *s)
{
    return container_of(s, struct h2_exchange, stream);
}

void h2_stream__gone(struct h2_exchange *x)
{
    if (x->stream.gone || x->complete)
        return;
    x->stream.gone = true;
    h2_request__fail(x, ERR_CLIENT_GONE);
    if (x->stream.fiber)
        fiber_cancel(x->stream.fiber, ERR_CLIENT_GONE);
}

// ---- Answers ---------------------------------------------------------------------------------

// Date and length first, then the fields that may pass. NULL: no memory.
static struct h2_field *make_fields(struct h2_exchange *x, const struct http_answer *a,
                                    unsigned *ret_count)
{
    struct http_stream *s = &x->stream;
    struct h2_field *out = arena_alloc(&s->arena, (a->count + OWN_FIELDS) * sizeof(*out));
    char *digits = arena_bytes(&s->arena, 20);
    unsigned n = 0;
    if (!out || !digits)
        return NULL;
    struct slice date = net__date(s->core); // "Date: …\r\n"
    out[n++] = (struct h2_field){SLICE("date"), slice_of(date.ptr + 6, date.len - 8)};
    out[n++] = (struct h2_field){HTTP__SNIFF_NAME, HTTP__SNIFF_VALUE};
    if (a->content_length >= 0 && a->status != 204)
        out[n++] =
            (struct h2_field){SLICE("content-length"),
                              slice_of(digits, fmt_u64(digits, (uint64_t)a->content_length))};
    for (unsigned i = 0; i < a->count; i++) {
        const struct http_field *f = &a->fields[i];
        if (http__is_nets(f))
            continue;
        struct slice name = http__lower_name(&s->arena, f->name), value = slice_trim(f->value);
        if (!name.ptr)
            return NULL;
        out[n++] = (struct h2_field){name, value};
    }
    *ret_count = n;
    return out;
}

static void count_bytes(struct h2_exchange *x, const struct slice *spans, unsigned count, bool last)
{
    if (x->answer_left < 0)
        return;
    for (unsigned i = 0; i < count; i++) {
        ASSERT(spans[i].len <= (uint64_t)x->answer_left); // more than was announced
        x->answer_left -= (int64_t)spans[i].len;
    }
    ASSERT(!last || x->answer_left == 0); // less than was announced
}

static int may_send(const struct h2_exchange *x, const struct fiber *self)
{
    ASSERT(x->served && !x->writing);
    if (x->stream.gone || x->torn)
        return ERR_CLIENT_GONE;
    return fiber_interrupted(self);
}

// The session has the write; until nothing of it is needed any more.
static int finish_write_await(struct h2_exchange *x, struct fiber *self)
{
    int res = 0;
    h2_conn__want_output(x->conn);
    int rc = fiber_wait_await(&x->written, self, &res);
    if (rc) {
        x->torn = true;
        h2_stream_unwrite(&x->h2);
        if (list_linked(&x->sending)) {
            x->taken = true;
            (void)fiber_wait_shielded_await(&x->written, self);
        }
        rc = x->stream.gone ? ERR_CLIENT_GONE : rc;
    }
    x->writing = false;
    return rc ? rc : res;
}

static void begin_write(struct h2_exchange *x, bool last)
{
    fiber_wait_begin(&x->written);
    x->writing = true;
    x->taken = false;
    x->answer_last = last;
}

static bool ends_stream(const struct h2_exchange *x)
{
    return x->answer_last || x->bodiless;
}

static int answer_await(struct http_stream *s, struct fiber *self, const struct http_answer *a,
                        const struct slice *spans, unsigned count, bool last)
{
    struct h2_exchange *x = of_stream(s);
    ASSERT(!s->answered && a->status >= 200 && a->status <= 999);
    int rc = may_send(x, self);
    if (rc)
        return rc;
    unsigned fields_count = 0;
    struct h2_field *fields = make_fields(x, a, &fields_count);
    if (!fields)
        return ERR_NOMEM;
    x->bodiless = s->request.method == HTTP_HEAD || a->status == 204 || a->status == 304;
    x->answer_left = x->bodiless ? -1 : a->content_length;
    count = x->bodiless ? 0 : count;
    count_bytes(x, spans, count, last);
    begin_write(x, last);
    rc = h2_stream_answer(&x->h2, a->status, fields, fields_count, spans, count, ends_stream(x));
    if (rc) {
        x->writing = false;
        return rc;
    }
    s->answered = true;
    if (s->core->leaving)
        h2_conn__drain(x->conn); // what Connection: close is in HTTP/1
    return finish_write_await(x, self);
}

static int write_await(struct http_stream *s, struct fiber *self, const struct slice *spans,
                       unsigned count, bool last)
{
    struct h2_exchange *x = of_stream(s);
    size_t bytes = 0;
    int rc = may_send(x, self);
    if (rc)
        return rc;
    ASSERT(s->answered);
    for (unsigned i = 0; i < count; i++)
        bytes += spans[i].len;
    if (x->bodiless)
        x->complete |= last;
    if (x->bodiless || (bytes == 0 && !last))
        return 0;
    ASSERT(!x->complete);
    count_bytes(x, spans, count, last);
    begin_write(x, last);
    rc = h2_stream_write(&x->h2, spans, count, last);
    if (rc) {
        x->writing = false;
        return rc;
    }
    return finish_write_await(x, self);
}

static void end(struct http_stream *s)
{
    struct h2_exchange *x = of_stream(s);
    ASSERT(x->served && !x->reader && !x->writing && !list_linked(&x->sending));
    x->served = false;
    s->fiber = NULL;
    if (!x->complete)
        h2_stream_reset(&x->h2, H2_INTERNAL_ERROR);
    h2_stream_detach(&x->h2);
    h2_conn__end_exchange(x);
}

// ---- Refusals --------------------------------------------------------------------------------

// From the loop, with nobody waiting; the exchange ends with its stream.
void h2_stream__refuse(struct http_stream *s, int err)
{
    struct h2_exchange *x = of_stream(s);
    static const struct h2_field json = {{"content-type", 12}, {"application/json", 16}};
    static const struct h2_field allow = {{"allow", 5},
                                          {"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS", 44}};
    char digits[20], seconds[20];
    unsigned status = (unsigned)err_http_status(err);
    ASSERT(!s->fiber && !s->answered);
    x->served = false;
    x->refusal = s->core->server->refusal(s->core->server, err);
    struct slice date = net__date(s->core);
    const struct h2_field fields[] = {
        {SLICE("date"), slice_of(date.ptr + 6, date.len - 8)},
        {HTTP__SNIFF_NAME, HTTP__SNIFF_VALUE},
        {SLICE("content-length"), slice_of(digits, fmt_u64(digits, x->refusal.len))},
        json,
        status == 405 ? allow
                      : (struct h2_field){SLICE("retry-after"),
                                          slice_of(seconds, fmt_u64(seconds, LIMIT_RETRY_AFTER_S))},
    };
    unsigned count = status == 405 || status == 503 ? 5 : 4;
    unsigned spans = s->request.method == HTTP_HEAD ? 0 : 1;
    s->answered = true;
    if (h2_stream_answer(&x->h2, status, fields, count, &x->refusal, spans, true))
        h2_stream_reset(&x->h2, H2_INTERNAL_ERROR);
    h2_conn__want_output(x->conn);
}

// ---- Events ----------------------------------------------------------------------------------

static struct h2_stream *on_open(struct h2_session *server)
{
    struct h2_conn *h = container_of(server, struct h2_conn, server);
    struct net_core *core = h->conn->stream.core;
    // Those whose stream was reset count until their fibers have ended.
    if (h->lost || h->exchanges >= 2 * H2_STREAMS_MAX)
        return NULL;
    struct h2_exchange *x = pool_get(&core->h2_exchanges);
    if (!x)
        return NULL;
    x->conn = h;
    x->answer_left = -1;
    list_init(&x->sending);
    list_init(&x->arrived);
    list_push_back(&h->all, &x->link);
    x->stream.ops = &h2_stream_ops;
    x->stream.core = core;
    x->stream.body = (struct body){.ops = &h1_request__body_ops};
    arena_init(&x->stream.arena, &core->blocks, LIMIT_EXCHANGE_BYTES);
    arena_init(&x->stream.early, &core->blocks, LIMIT_EXCHANGE_BYTES);
    memcpy(x->stream.peer, h->conn->stream.peer, sizeof(x->stream.peer));
    x->h2.arena = &x->stream.arena;
    h->exchanges++;
    h->idle_at = h->rest_at = MONO_NEVER;
    return &x->h2;
}

static void on_head(struct h2_session *server, struct h2_stream *s, int err)
{
    struct h2_exchange *x = exchange_of(s);
    struct net_core *core = x->stream.core;
    (void)server;
    int rc = err ? err : h2_request__head(x);
    if (rc) {
        counter_add(&core->stats.bad_requests, 1);
        h2_stream__refuse(&x->stream, rc);
        return;
    }
    x->stream.started = ring_now(core->ring);
    counter_add(&core->stats.requests, 1);
    if (x->conn->conn->turned_away || net__sheds_request(core)) {
        h2_stream__refuse(&x->stream, ERR_OVERLOAD);
        return;
    }
    h2_begin__add(x);
}

static void on_data(struct h2_session *server, struct h2_stream *s, struct slice bytes)
{
    (void)server;
    h2_request__data(exchange_of(s), bytes);
}

static void on_end(struct h2_session *server, struct h2_stream *s)
{
    (void)server;
    h2_request__end(exchange_of(s));
}

static void on_lend(struct h2_session *server, struct h2_stream *s)
{
    struct h2_exchange *x = exchange_of(s);
    (void)server;
    if (x->served && !list_linked(&x->sending)) // refusals lie in static memory
        list_push_back(&x->conn->sending, &x->sending);
}

static void on_taken(struct h2_session *server, struct h2_stream *s)
{
    struct h2_exchange *x = exchange_of(s);
    (void)server;
    if (!x->served)
        return;
    ASSERT(x->writing);
    x->sealed = ends_stream(x);
    x->complete = x->answer_last;
    if (list_linked(&x->sending))
        x->taken = true;
    else
        fiber_wait_done(&x->written, 0);
}

static void on_close(struct h2_session *server, struct h2_stream *s, uint32_t code)
{
    struct h2_exchange *x = exchange_of(s);
    (void)server;
    if (list_linked(&x->arrived))
        counter_add(&x->stream.core->stats.h2_taken_back, 1);
    if (!x->served)
        h2_conn__end_exchange(x);
    else if (!x->sealed || code != H2_NO_ERROR)
        h2_stream__gone(x);
}

const struct h2_events h2_stream_events = {
    .on_open = on_open,
    .on_head = on_head,
    .on_data = on_data,
    .on_end = on_end,
    .on_lend = on_lend,
    .on_taken = on_taken,
    .on_close = on_close,
};

// RFC 8441 is not offered.
static int upgrade_await(struct http_stream *s, struct fiber *self, struct slice head)
{
    (void)s;
    (void)self;
    (void)head;
    return ERR_UNSUPPORTED;
}

const struct http_stream_ops h2_stream_ops = {
    .read_body_await = h2_request__read_await,
    .drop_body = h2_request__drop,
    .answer_await = answer_await,
    .write_await = write_await,
    .upgrade_await = upgrade_await,
    .end = end,
    .refuse = h2_stream__refuse,
};
