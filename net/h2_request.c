// SPDX-License-Identifier: Apache-2.0
//
// h2_request.c: an HTTP/2 request becomes the neutral message, its body one run of memory.
//
// The head was checked by h2/. Here it takes the form HTTP/1 would have given it, so that nobody
// above can tell: host is a field, crumbs of a cookie are one field again (RFC 9113 8.2.3).
//
// A body lies in the early arena, as with HTTP/1: its whole length at once when that is known and
// moderate or a reader has come, else memory that doubles. Until a reader comes the stream's window
// is not given back, so at most H2_STREAM_WINDOW bytes of it arrive; a reader gives it back and
// widens it for what is long (LIMIT_H2_BODY_WINDOW: a window is what a sender may have under way,
// so a narrow one makes far clients slow). Every byte counts against shared->body_bytes from its
// arrival: unlike HTTP/1, one connection can have a hundred small bodies waiting.
#include "base/assert.h"
#include "base/err.h"
#include "net/h2_internal.h"
#include "net/limits.h"

#define EAGER_BODY_BYTES   (1024 * 1024)
#define UNKNOWN_BODY_BYTES (16 * 1024)

// ---- Head ------------------------------------------------------------------------------------

static void set_target(struct http_head *r, struct slice path)
{
    r->target = path;
    ptrdiff_t mark = slice_find_char(path, '?');
    r->path = mark < 0 ? path : slice_take(path, (size_t)mark);
    r->query = mark < 0 ? slice_of(path.ptr + path.len, 0) : slice_skip(path, (size_t)mark + 1);
}

static bool is_cookie(const struct h2_field *f)
{
    return slice_eq(f->name, SLICE("cookie"));
}

// "a=b" and "c=d" → "a=b; c=d", in one field, in memory taken once. ptr NULL: none.
static struct slice join_cookies(struct h2_exchange *x, const struct h2_head *h)
{
    size_t len = 0;
    for (unsigned i = 0; i < h->count; i++)
        len += is_cookie(&h->fields[i]) ? h->fields[i].value.len + 2 : 0;
    char *joined = arena_bytes(&x->stream.arena, len);
    if (!joined)
        return SLICE_EMPTY;
    char *at = joined;
    for (unsigned i = 0; i < h->count; i++) {
        struct slice crumb = h->fields[i].value;
        if (!is_cookie(&h->fields[i]))
            continue;
        if (at > joined) {
            memcpy(at, "; ", 2);
            at += 2;
        }
        if (crumb.len > 0)
            memcpy(at, crumb.ptr, crumb.len);
        at += crumb.len;
    }
    return slice_of(joined, (size_t)(at - joined));
}

static int add_fields(struct h2_exchange *x, const struct h2_head *h, struct http_head *r)
{
    bool host = false, cookie = false;
    for (unsigned i = 0; i < h->count; i++) {
        struct http_field f = {http_name_find(h->fields[i].name), h->fields[i].name,
                               h->fields[i].value};
        if (f.id == HTTP_N_COOKIE) {
            if (cookie)
                continue;
            cookie = true;
            f.value = join_cookies(x, h);
            if (!f.value.ptr)
                return ERR_NOMEM;
        }
        host |= f.id == HTTP_N_HOST;
        r->fields[r->count++] = f;
    }
    if (!host)
        r->fields[r->count++] = (struct http_field){HTTP_N_HOST, SLICE("host"), h->authority};
    return 0;
}

static int note_expect(struct http_head *r)
{
    const struct http_field *expect = http_head_get(r, HTTP_N_EXPECT);
    if (!expect)
        return 0;
    r->expect_continue = slice_ieq(expect->value, SLICE("100-continue"));
    return r->expect_continue ? 0 : ERR_BAD_EXPECT;
}

int h2_request__head(struct h2_exchange *x)
{
    const struct h2_head *h = &x->h2.head;
    struct http_head *r = &x->stream.request;
    *r = (struct http_head){.content_length = h->content_length, .minor = 1};
    r->method = http__method_find(h->method);
    if (r->method == HTTP_METHOD_COUNT) {
        r->method = HTTP_GET; // a refusal is written for it
        return ERR_BAD_METHOD;
    }
    r->fields = arena_alloc(&x->stream.arena, (h->count + 1) * sizeof(*r->fields));
    if (!r->fields)
        return ERR_NOMEM;
    struct slice host;
    if (!http_authority_host(h->authority, &host))
        return ERR_BAD_HOST;
    set_target(r, h->path);
    int rc = add_fields(x, h, r);
    return rc ? rc : note_expect(r);
}

// ---- Body ------------------------------------------------------------------------------------

static void count_back(struct h2_exchange *x)
{
    if (x->body_count > 0)
        admit_bytes_sub(x->stream.core, x->body_count);
    x->body_count = 0;
}

static int count(struct h2_exchange *x, size_t n)
{
    admit_bytes_add(x->stream.core, n);
    x->body_count += n;
    return net__sheds_request(x->stream.core) ? ERR_OVERLOAD : 0;
}

void h2_request__fail(struct h2_exchange *x, int err)
{
    ASSERT(err < 0);
    if (x->body_err)
        return;
    x->body_err = err;
    if (x->reader)
        fiber_wake(x->reader);
}

// What is asked for next when `need` bytes must fit: never less, and never more than is allowed.
static size_t next_cap(const struct h2_exchange *x, size_t need)
{
    int64_t announced = x->stream.request.content_length;
    size_t cap = x->body_cap ? x->body_cap * 2 : UNKNOWN_BODY_BYTES;
    size_t max = x->reading ? x->body_max : SIZE_MAX;
    if (announced >= 0) {
        max = (size_t)announced; // h2/ lets no more of it through
        if (x->reading || max <= EAGER_BODY_BYTES)
            cap = max;
    }
    if (cap < need)
        cap = need;
    return cap < max ? cap : max;
}

static int make_room(struct h2_exchange *x, size_t more)
{
    size_t need = x->body_len + more;
    if (need <= x->body_cap)
        return 0;
    if (x->reading && need > x->body_max)
        return ERR_BODY_TOO_LARGE;
    size_t cap = next_cap(x, need);
    ASSERT(cap >= need);
    char *larger = arena_large(&x->stream.early, cap);
    if (!larger)
        return ERR_NOMEM;
    if (x->body) {
        memcpy(larger, x->body, x->body_len);
        arena_drop_large(&x->stream.early, x->body);
    }
    x->body = larger;
    x->body_cap = cap;
    return 0;
}

void h2_request__data(struct h2_exchange *x, struct slice bytes)
{
    if (x->body_err || (!x->served && !list_linked(&x->arrived)))
        return; // dropped, and its window not given back
    int rc = make_room(x, bytes.len);
    if (!rc)
        rc = count(x, bytes.len);
    if (rc) {
        h2_request__fail(x, rc);
        return;
    }
    memcpy(x->body + x->body_len, bytes.ptr, bytes.len);
    x->body_len += bytes.len;
    if (x->reading)
        h2_stream_consume(&x->h2, bytes.len);
    else
        x->unread += bytes.len;
    pace_note(&x->pace, bytes.len);
}

void h2_request__end(struct h2_exchange *x)
{
    x->whole = true;
    if (x->reader)
        fiber_wake(x->reader);
}

static void on_window(struct ring *ring, struct ring_timer *timer)
{
    struct h2_exchange *x = container_of(timer, struct h2_exchange, timer);
    struct net_core *core = x->stream.core;
    unsigned ms = core->options.body_ms;
    if (pace_kept(&x->pace, core->options.body_rate, ms)) {
        ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), ms), on_window);
        return;
    }
    counter_add(&core->stats.timeouts, 1);
    net__count_shed(core, NET_SHED_SLOW_BODY);
    h2_request__fail(x, ERR_CLIENT_TIMEOUT);
}

static void begin_read(struct h2_exchange *x, size_t bytes_max)
{
    int64_t announced = x->stream.request.content_length;
    x->reading = true;
    x->body_max = bytes_max;
    h2_stream_consume(&x->h2, x->unread);
    x->unread = 0;
    if (announced < 0 || announced > H2_STREAM_WINDOW)
        h2_stream_widen(&x->h2, LIMIT_H2_BODY_WINDOW);
    if (x->stream.request.expect_continue && x->body_len == 0)
        (void)h2_stream_interim(&x->h2, 100); // without memory the client goes on by itself
    x->stream.request.expect_continue = false;
    h2_conn__want_output(x->conn);
}

static void wait_for_body_await(struct h2_exchange *x, struct fiber *self)
{
    struct ring *ring = x->stream.core->ring;
    int rc = 0;
    x->reader = self;
    pace_begin(&x->pace);
    ring_timer_set(ring, &x->timer, mono_add_ms(ring_now(ring), x->stream.core->options.body_ms),
                   on_window);
    while (!rc && !x->whole && !x->body_err)
        rc = fiber_park_await(self);
    if (rc)
        h2_request__fail(x, rc);
    ring_timer_clear(ring, &x->timer);
    x->reader = NULL;
}

int h2_request__read_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                           struct slice *ret_body)
{
    struct h2_exchange *x = container_of(s, struct h2_exchange, stream);
    ASSERT(x->served && !x->reader);
    int rc = s->gone ? ERR_CLIENT_GONE : fiber_interrupted(self);
    if (rc)
        return rc;
    if (s->request.content_length > 0 && (uint64_t)s->request.content_length > bytes_max)
        h2_request__fail(x, ERR_BODY_TOO_LARGE);
    if (!x->body_err && x->body_len > bytes_max)
        h2_request__fail(x, ERR_BODY_TOO_LARGE);
    if (!x->body_err && !x->whole) {
        begin_read(x, bytes_max);
        wait_for_body_await(x, self);
    }
    if (x->body_err)
        return s->gone ? ERR_CLIENT_GONE : x->body_err;
    *ret_body = slice_of(x->body, x->body_len);
    return 0;
}

static void free_body(struct h2_exchange *x)
{
    struct http_stream *s = &x->stream;
    arena_done(&s->early);
    arena_init(&s->early, &s->core->blocks, LIMIT_EXCHANGE_BYTES);
    x->body = NULL;
    x->body_len = x->body_cap = 0;
    count_back(x);
}

void h2_request__drop(struct http_stream *s)
{
    struct h2_exchange *x = container_of(s, struct h2_exchange, stream);
    ASSERT(x->served && !x->reader);
    if (!x->whole)
        h2_request__fail(x, ERR_CANCELLED); // what still comes is dropped
    free_body(x);
}

void h2_request__free(struct h2_exchange *x)
{
    ASSERT(!x->reader);
    ring_timer_clear(x->stream.core->ring, &x->timer);
    count_back(x);
    arena_done(&x->stream.arena);
    arena_done(&x->stream.early);
}
