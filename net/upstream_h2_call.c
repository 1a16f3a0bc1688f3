// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2_call.c: one call over HTTP/2, from its request to the end of its answer.
//
// The request comes as the bytes of HTTP/1.1 (upstream.h); its head is read again here and goes out
// as fields: names in lower case, `host` as :authority, nothing that speaks of a connection. Its
// body goes from where it lies into frames, as fast as the provider's windows allow.
//
// An answer that begins before the request is all sent is met as over HTTP/1 (upstream.c): sending
// goes on, unless the provider has refused, has ended its answer, or goes on with it without
// reading us. What is stopped is this stream alone.
//
// A call is asked again, once, when the provider cannot have looked at it: it said so
// (REFUSED_STREAM, or a GOAWAY with a lower id), or the connection, used before, was lost without a
// byte received since. The second time goes to another connection where there can be one.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"

static struct upstream_h2_call *call_of(struct h2_stream *s)
{
    return container_of(s, struct upstream_h2_call, stream);
}

static void wake(struct upstream_h2_call *x)
{
    if (x->caller)
        fiber_wake(x->caller);
    body_wake(&x->up.body);
}

// ---- The request -----------------------------------------------------------------------------

// RFC 9113 8.2.2; and `host` is :authority.
static bool stays_behind(enum http_name id)
{
    switch (id) {
    case HTTP_N_CONNECTION:
    case HTTP_N_HOST:
    case HTTP_N_KEEP_ALIVE:
    case HTTP_N_PROXY_CONNECTION:
    case HTTP_N_TE:
    case HTTP_N_TRAILER:
    case HTTP_N_TRANSFER_ENCODING:
    case HTTP_N_UPGRADE:
        return true;
    default:
        return false;
    }
}

static int make_request(const struct upstream_call *call, struct h2_request *ret)
{
    struct http_head head = {0};
    size_t resume = 0;
    struct slice text = slice_of(call->iov[0].iov_base, call->iov[0].iov_len);
    ASSERT(h1_head_end(text, text.len, &resume) == (ptrdiff_t)text.len); // whole and alone
    int rc = h1_parse_request(text, call->arena, &head);
    if (rc != 0)
        return rc;
    struct h2_field *fields = arena_alloc(call->arena, (head.count + 1) * sizeof(*fields));
    unsigned count = 0;
    if (!fields)
        return ERR_NOMEM;
    for (unsigned i = 0; i < head.count; i++) {
        if (stays_behind(head.fields[i].id))
            continue;
        struct slice name = http__lower_name(call->arena, head.fields[i].name);
        if (!name.ptr)
            return ERR_NOMEM;
        fields[count++] = (struct h2_field){name, head.fields[i].value};
    }
    *ret = (struct h2_request){.method = http_method_name(head.method),
                               .scheme = call->origin->tls ? SLICE("https") : SLICE("http"),
                               .authority = origin_authority(call->origin),
                               .path = head.target,
                               .fields = fields,
                               .count = count};
    return 0;
}

static int submit(struct upstream_h2 *h, const struct upstream_call *call,
                  struct upstream_h2_call *x)
{
    struct h2_request request;
    unsigned count = call->iov_count - 1;
    struct slice *spans = arena_alloc(call->arena, (count + 1) * sizeof(*spans));
    int rc = spans ? make_request(call, &request) : ERR_NOMEM;
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < count; i++)
        spans[i] = slice_of(call->iov[i + 1].iov_base, call->iov[i + 1].iov_len);
    x->stream.arena = call->arena;
    x->received_before = h->received;
    return h2_client_submit(&h->session, &x->stream, &request, spans, count);
}

// ---- Events ----------------------------------------------------------------------------------

static int take_head(struct upstream_h2_call *x)
{
    const struct h2_head *from = &x->stream.head;
    struct http_head *to = &x->up.head;
    *to = (struct http_head){
        .status = from->status, .minor = 1, .count = from->count, .content_length = -1};
    to->content_length = from->content_length;
    to->fields = arena_alloc(x->stream.arena, (from->count + 1) * sizeof(*to->fields));
    if (!to->fields)
        return ERR_NOMEM;
    for (unsigned i = 0; i < from->count; i++)
        to->fields[i] = (struct http_field){http_name_find(from->fields[i].name),
                                            from->fields[i].name, from->fields[i].value};
    return 0;
}

static void on_head(struct h2_session *session, struct h2_stream *s, int err)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    if (err == ERR_HEAD_TOO_LARGE)
        x->err = ERR_UPSTREAM_TOO_LARGE;
    else
        x->err = err ? err : take_head(x);
    x->head_done = x->err == 0;
    wake(x);
}

// A page with room at the end of what has arrived.
static struct page *tail(struct upstream_h2_call *x)
{
    if (x->last && page_room(x->last) > 0)
        return x->last;
    struct page *page = page_get(&x->side->pages);
    if (!page)
        return NULL;
    if (x->last)
        x->last->next = page;
    else
        x->first = page;
    x->last = page;
    return page;
}

static void on_data(struct h2_session *session, struct h2_stream *s, struct slice bytes)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    while (bytes.len > 0 && x->err == 0) {
        struct page *page = tail(x);
        if (!page) {
            x->err = ERR_NOMEM;
            h2_stream_reset(s, H2_CANCEL);
            break;
        }
        size_t n = bytes.len < page_room(page) ? bytes.len : page_room(page);
        memcpy(page->data + page->used, bytes.ptr, n);
        page->used += (uint32_t)n;
        x->bytes += n;
        bytes = slice_skip(bytes, n);
    }
    wake(x);
}

static void on_end(struct h2_session *session, struct h2_stream *s)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    x->whole = x->err == 0;
    wake(x);
}

static void on_lend(struct h2_session *session, struct h2_stream *s)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    if (list_linked(&x->lent))
        return;
    fiber_wait_begin(&x->returned);
    list_push_back(&x->h2->lent, &x->lent);
}

static void on_taken(struct h2_session *session, struct h2_stream *s)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    x->taken = true;
    wake(x);
}

static void on_close(struct h2_session *session, struct h2_stream *s, uint32_t code)
{
    struct upstream_h2_call *x = call_of(s);
    (void)session;
    if (!x->whole && x->err == 0) {
        bool untouched = !x->head_done && s->interim == 0 && !s->malformed;
        x->again = untouched && code == H2_REFUSED_STREAM;
        if (x->again)
            counter_add(&x->side->core->stats.upstream_h2_refused, 1);
        if (x->head_done)
            x->err = ERR_UPSTREAM_TRUNCATED;
        else
            x->err = s->malformed ? ERR_UPSTREAM_PROTOCOL : ERR_UPSTREAM_CLOSED;
    }
    wake(x);
}

const struct h2_events upstream_h2__events = {.on_head = on_head,
                                              .on_data = on_data,
                                              .on_end = on_end,
                                              .on_lend = on_lend,
                                              .on_taken = on_taken,
                                              .on_close = on_close};

void upstream_h2__call_lost(struct upstream_h2_call *x, bool nonsense)
{
    const struct upstream_h2 *h = x->h2;
    h2_stream_detach(&x->stream);
    x->h2 = NULL;
    if (!x->whole && x->err == 0) {
        x->again = !x->head_done && x->up.reused && !nonsense && x->received_before == h->received;
        if (x->head_done)
            x->err = ERR_UPSTREAM_TRUNCATED;
        else
            x->err = nonsense ? ERR_UPSTREAM_PROTOCOL : ERR_UPSTREAM_CLOSED;
    }
    wake(x);
}

// ---- The body --------------------------------------------------------------------------------

static int take(struct body *b, struct body_part *ret)
{
    struct upstream_h2_call *x = container_of(b, struct upstream_h2_call, up.body);
    ASSERT(!x->part_out);
    for (struct page *page = x->first; page; page = page->next) {
        ASSERT(ret->count < BODY_SPANS_MAX);
        ret->span[ret->count++] = page_bytes(page);
    }
    ret->bytes = x->bytes;
    ret->last = x->whole;
    if (ret->count == 0 && !ret->last)
        return x->err != 0 ? x->err : ERR_MORE;
    ret->memory = x->first;
    x->first = x->last = NULL;
    x->part_bytes = x->bytes;
    x->bytes = 0;
    x->part_out = true;
    return 0;
}

static void put(struct body *b, struct body_part *part)
{
    struct upstream_h2_call *x = container_of(b, struct upstream_h2_call, up.body);
    page_put_all(&x->side->pages, part->memory);
    x->part_out = false;
    h2_stream_consume(&x->stream, x->part_bytes);
    x->part_bytes = 0;
    if (x->h2 && h2_session_wants_output(&x->h2->session))
        upstream_h2__want_output(x->h2);
}

static const struct body_ops body_ops = {.take = take, .put = put};

// ---- Waiting ---------------------------------------------------------------------------------

static int head_await(struct upstream_h2_call *x, struct fiber *self)
{
    while (!x->head_done) {
        if (x->err != 0)
            return x->err;
        int rc = fiber_park_await(self);
        if (rc != 0)
            return rc;
    }
    return 0;
}

// The answer has begun and the request is not all sent: is sending on worth it?
static bool sending_is_vain(const struct upstream_h2_call *x)
{
    return x->up.head.status >= 300 || x->err != 0 || x->whole || x->stalled ||
           x->bytes >= H2_CLIENT_STREAM_WINDOW;
}

static void on_watch(struct ring *ring, struct ring_timer *timer)
{
    struct upstream_h2_call *x = container_of(timer, struct upstream_h2_call, timer);
    x->stalled = x->watched == x->stream.ready;
    x->watched = x->stream.ready;
    if (x->stalled)
        wake(x);
    else
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), LIMIT_UPSTREAM_STALL_MS), on_watch);
}

// Until nothing of the request is left to take, or nobody wants it.
static int sent_await(struct upstream_h2_call *x, struct fiber *self)
{
    struct ring *ring = x->side->core->ring;
    int rc = 0;
    while (rc == 0 && !x->taken && !sending_is_vain(x)) {
        if (x->bytes > 0 && !ring_timer_is_set(&x->timer)) {
            x->watched = x->stream.ready;
            ring_timer_set(ring, &x->timer, mono_add_ms(ring_now(ring), LIMIT_UPSTREAM_STALL_MS),
                           on_watch);
        }
        rc = fiber_park_await(self);
    }
    ring_timer_clear(ring, &x->timer);
    if (rc == 0 && !x->taken && x->stream.session)
        h2_stream_unwrite(&x->stream);
    return rc;
}

static void drop(struct upstream_h2_call *x)
{
    page_put_all(&x->side->pages, x->first);
    x->first = x->last = NULL;
    x->bytes = 0;
}

// Its memory goes; its stream, if there still is one, is reset.
static void leave(struct upstream_h2_call *x)
{
    struct upstream_h2 *h = x->h2;
    bool given_up = x->stream.session != NULL && !x->whole;
    ASSERT(!x->part_out && !list_linked(&x->lent));
    h2_stream_reset(&x->stream, H2_CANCEL);
    h2_stream_detach(&x->stream);
    drop(x);
    if (h) {
        list_remove(&x->link);
        h->calls_count--;
        upstream_h2__left(h, given_up);
    }
    net__trim_soon(x->side->core);
    pool_put(&x->side->h2_calls, x);
}

// One attempt on a connection with room. After an error the call is gone; *ret_again says whether
// it may be asked again.
static int attempt_await(struct upstream_h2 *h, struct fiber *self,
                         const struct upstream_call *call, struct upstream_h2_call **ret,
                         bool *ret_again)
{
    struct upstream_core *side = h->conn->side;
    struct upstream_h2_call *x = pool_get(&side->h2_calls);
    int rc = 0;
    if (!x) {
        upstream_h2__left(h, false);
        return ERR_LIMIT;
    }
    x->side = side;
    x->h2 = h;
    x->up.body.ops = &body_ops;
    x->up.h2 = true;
    x->up.reused = h->used;
    list_init(&x->lent);
    list_push_back(&h->calls, &x->link);
    h->calls_count++;
    h->idle_at = MONO_NEVER;
    if (h->used)
        counter_add(&side->core->stats.upstream_reuses, 1);
    h->used = true;
    rc = submit(h, call, x);
    if (rc == 0) {
        upstream_h2__want_output(h);
        x->caller = self;
        rc = head_await(x, self);
        if (rc == 0)
            rc = sent_await(x, self);
        x->caller = NULL;
    }
    if (rc != 0 && x->stream.session)
        h2_stream_unwrite(&x->stream);
    if (list_linked(&x->lent)) // ends with the send, at the latest when the connection is lost
        (void)fiber_wait_shielded_await(&x->returned, self);
    *ret_again = rc != 0 && rc == x->err && x->again;
    if (rc != 0)
        leave(x);
    else
        *ret = x;
    return rc;
}

// ALPN has chosen HTTP/1.1: the connection, in SEND, takes this call all the same.
static int h1_attempt_await(struct upstream_conn *u, struct fiber *self,
                            const struct upstream_call *call, struct upstream **ret)
{
    int rc = upstream__exchange_await(u, self, call);
    if (rc != 0) {
        upstream_conn__close(u);
        return rc;
    }
    upstream_conn__set_state(u, UPSTREAM_BODY);
    *ret = &u->up;
    return 0;
}

// A connection of the caller's own making. 0: *ret_h2, with a place on it whatever the provider's
// limit will be; or *ret_h1.
static int open_await(struct origin_pool *pool, struct fiber *self,
                      const struct upstream_call *call, struct upstream_h2 **ret_h2,
                      struct upstream_conn **ret_h1)
{
    struct upstream_conn *u = upstream_conn__new(pool);
    if (!u) {
        pool->h2_opening--;
        origin_pool__slot_free(pool);
        return ERR_LIMIT;
    }
    int rc = upstream_conn__open_await(u, self, call->origin);
    bool agreed = rc == 0 && (!call->origin->tls || tls_chose_h2(u->tls));
    if (rc == 0 && !agreed && call->origin->http == ORIGIN_HTTP_ANY) {
        pool->http1 = true;
        *ret_h1 = u;
    } else if (rc == 0 && !agreed) {
        rc = ERR_UPSTREAM_VERSION;
    } else if (rc == 0) {
        *ret_h2 = upstream_h2__begin(u);
        rc = *ret_h2 ? 0 : ERR_NOMEM;
        if (rc == 0) {
            (*ret_h2)->promised++; // before anybody else's
            if ((*ret_h2)->opening)
                return 0;
        }
    }
    // An opener that has left says nothing about the provider.
    upstream_h2__opened(pool, rc != 0 && fiber_interrupted(self) != 0 ? 0 : rc);
    if (rc != 0)
        upstream_conn__close(u);
    return rc;
}

// With a place: the call, once. *ret_again: it may be asked again, or was not asked at all.
static int use_place_await(struct upstream_h2 *h, struct fiber *self,
                           const struct upstream_call *call, struct upstream **ret, bool *ret_again)
{
    struct upstream_h2_call *x = NULL;
    h->promised--;
    int rc = attempt_await(h, self, call, &x, ret_again);
    if (rc == 0)
        *ret = &x->up;
    return rc;
}

int upstream_h2__call_await(struct origin_pool *pool, struct fiber *self,
                            const struct upstream_call *call, struct upstream **ret)
{
    struct upstream_core *side = pool->side;
    const struct upstream_h2 *avoid = NULL;
    for (;;) {
        struct upstream_h2_place place = {0};
        struct upstream_conn *plain = NULL;
        int rc = upstream_h2__place_await(pool, self, avoid, &place);
        if (rc == 0 && place.open)
            rc = open_await(pool, self, call, &place.h2, &plain);
        if (rc != 0)
            return rc;
        if (plain)
            return h1_attempt_await(plain, self, call, ret);
        if (!place.h2)
            return ERR_UNSUPPORTED;
        if (place.h2->lost || h2_client_is_ending(&place.h2->session)) {
            upstream_h2__give_back(place.h2); // ended while its place was on the way here
        } else {
            bool again = false;
            rc = use_place_await(place.h2, self, call, ret, &again);
            if (rc == 0 || !again || avoid)
                return rc;
            avoid = place.h2; // compared, never looked at
            counter_add(&side->core->stats.upstream_retries, 1);
        }
        pool = origin_pool__find(side, call->origin); // it may have gone meanwhile
        if (!pool)
            return ERR_NOMEM;
    }
}

void upstream_h2__end(struct upstream *up)
{
    leave(container_of(up, struct upstream_h2_call, up));
}
