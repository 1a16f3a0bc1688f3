// SPDX-License-Identifier: Apache-2.0
//
// h1_request.c: received bytes become a request and its body.
//
// A head that lies whole in one loan is copied once, into the exchange's arena, and parsed there.
// Its body goes to one of three places, decided when the head is known:
//
//   length ≤ LIMIT_SMALL_BODY_BYTES   memory of the early arena; stored as it arrives
//   length ≤ EAGER_BODY_BYTES         a large block of its own, at once: what one turn's receives
//                                     bring before the reader runs is then copied once, not twice
//   longer, or chunked                nowhere until http_read_body_await; what comes earlier is
//   held,
//                                     and past LIMIT_PIPELINE_BYTES the socket is not read
//
// Once a reader waits and much of a known length is missing, the multishot receive gives way to
// single receives straight into the body (RECEIVE_INTO): no loan, no copy; what is there already is
// received at once, so that it is walked and sent on while it is warm. A connection that has
// sent such a body is received from singly from then on (RECEIVE_ONE).
//
// Only bytes of large bodies count against shared->body_bytes, and only when they have arrived: a
// client that announces 100 MB and sends nothing must not be able to refuse everybody else.
// Small ones are bounded by the number of connections.
//
// A body that could not be read (`body_err`) is never read again, and its connection closes after
// the answer: where the next request would begin is unknown.
#include "base/assert.h"
#include "base/err.h"
#include "h2/h2.h"
#include "net/limits.h"
#include "net/net_internal.h"

// Up to this length memory for a body is taken when its head is parsed. Untouched pages cost
// nothing.
#define EAGER_BODY_BYTES (1024 * 1024)
// First memory for a chunked body; doubled as it fills.
#define CHUNKED_BODY_BYTES (16 * 1024)

static int pull_take(struct body *b, struct body_part *ret)
{
    (void)b;
    (void)ret;
    return ERR_UNSUPPORTED; // nobody relays request bodies: they are read whole
}

static void pull_put(struct body *b, struct body_part *part)
{
    (void)b;
    (void)part;
}

const struct body_ops h1_request__body_ops = {.take = pull_take, .put = pull_put};

static void free_early(struct http_stream *s)
{
    arena_done(&s->early);
    arena_init(&s->early, &s->core->blocks, LIMIT_EXCHANGE_BYTES);
}

void h1_request__fail(struct h1_conn *c, int err)
{
    ASSERT(err < 0);
    if (c->body_err)
        return;
    c->body_err = err;
    c->keep = false;
    if (c->reader)
        fiber_wake(c->reader);
}

// Room for `more` bytes behind those of a chunked body.
static int grow(struct h1_conn *c, size_t more)
{
    if (more > c->body_max - c->body_len)
        return ERR_BODY_TOO_LARGE;
    size_t cap = c->body_cap * 2;
    if (cap < c->body_len + more)
        cap = c->body_len + more;
    if (cap > c->body_max)
        cap = c->body_max;
    char *larger = arena_large(&c->stream.early, cap);
    if (!larger)
        return ERR_NOMEM;
    memcpy(larger, c->body, c->body_len);
    arena_drop_large(&c->stream.early, c->body);
    c->body = larger;
    c->body_cap = cap;
    return 0;
}

static int append(struct h1_conn *c, struct slice span)
{
    int rc = 0;
    if (span.len > c->body_cap - c->body_len) {
        ASSERT(c->framing.framing == H1_CHUNKED); // a known length has its memory
        rc = grow(c, span.len);
    }
    if (!rc && c->body_large)
        rc = http_count_body(&c->stream, span.len);
    if (rc)
        return rc;
    if (span.len > 0)
        memcpy(c->body + c->body_len, span.ptr, span.len);
    c->body_len += span.len;
    return 0;
}

void h1_request__take_body(struct h1_conn *c, struct slice *in)
{
    if (!c->body || c->body_err || c->framing.complete)
        return;
    while (!c->framing.complete) {
        struct slice span;
        int rc = h1_body_next(&c->framing, in, &span);
        if (rc == ERR_MORE)
            break;
        if (!rc)
            rc = append(c, span);
        if (rc) {
            h1_request__fail(c, rc);
            return;
        }
    }
    if (c->reader && c->framing.complete)
        fiber_wake(c->reader);
}

void h1_request__received(struct h1_conn *c, size_t n)
{
    ASSERT(c->framing.framing == H1_LENGTH && n <= c->body_cap - c->body_len);
    struct slice in = slice_of(c->body + c->body_len, n), span;
    int rc = h1_body_next(&c->framing, &in, &span);
    ASSERT(rc == 0 && in.len == 0);
    c->body_len += n;
    rc = http_count_body(&c->stream, n);
    if (rc)
        h1_request__fail(c, rc);
    else if (c->framing.complete && c->reader)
        fiber_wake(c->reader);
}

void h1_request__discard(struct h1_conn *c, struct slice *in)
{
    struct slice span;
    while (!c->framing.complete) {
        int rc = h1_body_next(&c->framing, in, &span);
        ASSERT(rc == 0 || rc == ERR_MORE); // only known lengths are drained
        if (rc)
            return;
    }
}

// Memory for a body of known length, now or (NULL) when it is read.
static int place_body(struct h1_conn *c, size_t length)
{
    struct arena *arena = &c->stream.early;
    c->body_large = length > LIMIT_SMALL_BODY_BYTES;
    c->body = c->body_large ? arena_large(arena, length) : arena_bytes(arena, length);
    if (!c->body)
        return ERR_NOMEM;
    c->body_cap = length;
    return 0;
}

static int parse(struct h1_conn *c, struct slice bytes)
{
    struct http_stream *s = &c->stream;
    struct slice head = arena_copy(&s->arena, bytes);
    if (!head.ptr)
        return ERR_NOMEM;
    int rc = h1_parse_request(head, &s->arena, &s->request);
    if (rc)
        return rc;
    enum h1_framing framing = h1_request_framing(&s->request);
    uint64_t length = framing == H1_LENGTH ? (uint64_t)s->request.content_length : 0;
    h1_body_init(&c->framing, framing, length);
    c->large = length >= RECEIVE_INTO_MIN;
    if (framing == H1_LENGTH && length <= EAGER_BODY_BYTES)
        return place_body(c, (size_t)length);
    return 0;
}

// The client preface of HTTP/2, or its beginning: more than "P", which other methods share.
static bool is_preface(struct slice in)
{
    return in.len > 1 &&
           slice_starts(slice_take(in, H2_PREFACE.len), slice_take(H2_PREFACE, in.len));
}

static void wait_for_head(struct h1_conn *c)
{
    if (c->deadline.ns != 0)
        return;
    pace_begin(&c->pace);
    h1_conn__deadline(c, c->stream.core->options.head_ms);
}

bool h1_request__take_head(struct h1_conn *c, struct slice *in)
{
    struct net_core *core = c->stream.core;
    if (c->state == CONN_IDLE) {
        h1_conn__set_state(c, CONN_HEAD);
        if (!c->turned_away) // whose time runs already
            c->deadline = (struct mono){0};
    }
    if (!c->spoken && is_preface(*in)) {
        if (in->len >= H2_PREFACE.len)
            return h2_conn__begin(c);
        wait_for_head(c);
        return false;
    }
    ptrdiff_t n = h1_head_end(*in, core->options.head_bytes_max, &c->scan);
    if (n == ERR_MORE) {
        wait_for_head(c);
        return false;
    }
    c->scan = 0;
    c->spoken = true;
    int rc = n < 0 ? (int)n : parse(c, slice_take(*in, (size_t)n));
    if (rc) {
        counter_add(&core->stats.bad_requests, 1);
        h1_answer__refuse(c, rc);
        return true;
    }
    *in = slice_skip(*in, (size_t)n);
    h1_conn__set_state(c, CONN_SERVE);
    c->deadline = MONO_NEVER;
    c->keep = !c->stream.request.close;
    c->stream.started = ring_now(core->ring);
    counter_add(&core->stats.requests, 1);
    if (c->turned_away || net__sheds_request(core)) {
        h1_answer__refuse(c, ERR_OVERLOAD);
        return true;
    }
    h1_request__take_body(c, in);
    core->server->on_request(core->server, &c->stream);
    return true;
}

void h1_request__reset(struct h1_conn *c)
{
    struct http_stream *s = &c->stream;
    ASSERT(!c->reader && !ring_op_busy(&c->send));
    http__forget_body(s);
    arena_done(&s->arena);
    arena_init(&s->arena, &s->core->blocks, LIMIT_EXCHANGE_BYTES);
    free_early(s);
    s->request = (struct http_head){.content_length = -1};
    s->body = (struct body){.ops = &h1_request__body_ops};
    s->fiber = NULL;
    s->answered = false;
    c->body = NULL;
    c->body_len = c->body_cap = c->body_max = 0;
    c->body_large = c->direct = c->torn = c->answer_last = false;
    c->body_err = 0;
    c->answer = ANSWER_NONE;
}

// The first read: memory for what has none yet, and what was held meanwhile goes there.
static int begin_read(struct h1_conn *c, size_t bytes_max)
{
    if (!c->body && c->framing.framing == H1_CHUNKED) {
        c->body_max = bytes_max;
        c->body_large = true;
        c->body_cap = bytes_max < CHUNKED_BODY_BYTES ? bytes_max : CHUNKED_BODY_BYTES;
        c->body = arena_large(&c->stream.early, c->body_cap);
        if (!c->body)
            return ERR_NOMEM;
    } else if (!c->body) {
        int rc = place_body(c, (size_t)c->stream.request.content_length);
        if (rc)
            return rc;
    }
    h1_conn__feed_held(c);
    return 0;
}

// Until the body is complete or cannot become so. The kernel holds none of its memory on return.
static int wait_for_body_await(struct h1_conn *c, struct fiber *self)
{
    int rc = 0;
    c->reader = self;
    pace_begin(&c->pace);
    h1_conn__deadline(c, c->stream.core->options.body_ms);
    h1_conn__receive_now(c);
    h1_conn__aim(c);
    while (!rc && !c->framing.complete && !c->body_err)
        rc = fiber_park_await(self);
    if (rc)
        h1_request__fail(c, rc);
    c->deadline = MONO_NEVER;
    h1_conn__aim(c); // cancels a receive into the body, or goes back to multishot
    if (c->armed == RECEIVE_INTO) {
        fiber_shield(self, MONO_NEVER); // a cancelled operation ends
        while (c->armed == RECEIVE_INTO)
            (void)fiber_park_await(self);
        fiber_unshield(self);
    }
    c->reader = NULL;
    return c->body_err;
}

int h1_request__read_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                           struct slice *ret_body)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ASSERT(c->state == CONN_SERVE && !c->reader);
    int rc = s->gone ? ERR_CLIENT_GONE : fiber_interrupted(self);
    if (rc)
        return rc;
    if (s->request.content_length > 0 && (uint64_t)s->request.content_length > bytes_max)
        h1_request__fail(c, ERR_BODY_TOO_LARGE);
    if (!c->body_err && !c->framing.complete) {
        rc = begin_read(c, bytes_max);
        if (rc)
            h1_request__fail(c, rc);
        if (!c->body_err && !c->framing.complete && s->request.expect_continue &&
            c->body_len == 0 && h1_conn__held(c) == 0) {
            rc = h1_answer__continue_await(c, self);
            if (rc)
                return rc;
        }
        s->request.expect_continue = false;
        if (!c->body_err && !c->framing.complete)
            (void)wait_for_body_await(c, self);
    }
    if (!c->body_err && c->body_len > bytes_max)
        h1_request__fail(c, ERR_BODY_TOO_LARGE);
    if (c->body_err)
        return s->gone ? ERR_CLIENT_GONE : c->body_err;
    s->body_alone = c->body_large;
    *ret_body = slice_of(c->body, c->body_len);
    return 0;
}

void h1_request__drop(struct http_stream *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    ASSERT(c->state == CONN_SERVE && !c->reader);
    if (!c->framing.complete)
        return; // the rest is dropped when the answer is out
    free_early(s);
    c->body = NULL;
    c->body_len = c->body_cap = 0;
    c->body_large = false;
    http__forget_body(s);
}
