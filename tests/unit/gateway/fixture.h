// SPDX-License-Identifier: Apache-2.0
//
// fixture.h: an exchange without a network: a stream that keeps what it was answered, on a real
// fiber of a real ring.
//
// The exchange's own verbs are replaced by the two below, which only keep the state: what is under
// test is what stands around the exchange. With FIXTURE_REAL_EXCHANGE they are the real ones.
#ifndef RINGGATE_TESTS_UNIT_GATEWAY_FIXTURE_H
#define RINGGATE_TESTS_UNIT_GATEWAY_FIXTURE_H

#include "tests/unit/ring/fixture.h"

#include "base/buf.h"
#include "base/err.h"
#include "gateway/error.h"
#include "gateway/exchange.h"
#include "gateway/gateway.h"
#include <stdio.h>

#define FAKE_FIELDS_MAX 64

struct fake {
    struct http_stream stream;
    struct block_pool blocks;
    struct ring *ring;
    struct fiber_sched *sched;
    struct gateway gateway;
    struct gateway_core core;
    struct config config;
    struct exchange x;
    struct http_field fields[FAKE_FIELDS_MAX]; // of the request
    struct slice request_body;
    int body_err; // reading the body fails with it
    // What the client got.
    unsigned answers;
    unsigned status;
    int64_t length;
    bool last;
    struct buf head; // "name: value\n" lines
    struct buf body;
    unsigned settled;
    unsigned ends; // http_end
    void (*run)(struct fake *f, struct fiber *self);
    bool ended;
};

static inline struct fake *fake_of(struct http_stream *s)
{
    return container_of(s, struct fake, stream);
}

static int fake_answer_await(struct http_stream *s, struct fiber *self,
                             const struct http_answer *answer, const struct slice *spans,
                             unsigned count, bool last)
{
    struct fake *f = fake_of(s);
    (void)self;
    assert_int_equal(f->settled, 1); // before the last byte
    f->answers++;
    f->status = answer->status;
    f->length = answer->content_length;
    f->last = last;
    s->answered = true;
    for (unsigned i = 0; i < answer->count; i++)
        buf_printf(&f->head, "%.*s: %.*s\n", SLICE_ARG(answer->fields[i].name),
                   SLICE_ARG(answer->fields[i].value));
    for (unsigned i = 0; i < count; i++)
        buf_add(&f->body, spans[i]);
    return 0;
}

static int fake_read_body_await(struct http_stream *s, struct fiber *self, size_t bytes_max,
                                struct slice *ret)
{
    struct fake *f = fake_of(s);
    (void)self;
    if (f->body_err)
        return f->body_err;
    if (f->request_body.len > bytes_max)
        return ERR_BODY_TOO_LARGE;
    *ret = f->request_body;
    return 0;
}

static void fake_end(struct http_stream *s)
{
    fake_of(s)->ends++;
}

static const struct http_stream_ops fake_ops = {
    .read_body_await = fake_read_body_await,
    .answer_await = fake_answer_await,
    .end = fake_end,
};

#ifndef FIXTURE_REAL_EXCHANGE
void exchange_set_state(struct exchange *x, enum exchange_state to)
{
    x->state = to;
}

void exchange_settle(struct exchange *x)
{
    fake_of(x->stream)->settled++;
    x->state = EXCHANGE_SETTLED;
}
#endif

static inline struct fake *fake_open(void)
{
    struct fake *f = aligned_alloc(64, (sizeof(*f) + 63) / 64 * 64);
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    uint64_t seed[2] = {1, 2};
    assert_non_null(f);
    memset(f, 0, sizeof(*f));
    f->ring = ring_open(false, 64, 0);
    assert_int_equal(fiber_sched_new(f->ring, &options, &f->sched), 0);
    block_pool_init(&f->blocks, 16);
    arena_init(&f->stream.arena, &f->blocks, 1 << 20);
    arena_init(&f->stream.early, &f->blocks, 1 << 20);
    f->core.gateway = &f->gateway;
    f->core.config = &f->config;
    f->core.net.ring = f->ring;
    f->core.net.fibers = f->sched;
    f->core.net.shared = &f->gateway.net;
    f->gateway.core[0] = &f->core;
    f->gateway.cores = 1;
    f->gateway.version = "1.2.3";
    assert_int_equal(route_table_init(&f->gateway.routes, seed), 0);
    assert_int_equal(metrics_init(&f->core.metrics, seed), 0);
    assert_int_equal(log_init(&f->core.log, LOG_INFO, LOG_JSON), 0);
    f->stream.ops = &fake_ops;
    f->stream.core = &f->core.net;
    f->stream.request.fields = f->fields;
    f->x.stream = &f->stream;
    f->x.core = &f->core;
    f->x.config = &f->config;
    buf_init(&f->head, 1 << 20);
    buf_init(&f->body, 1 << 28);
    return f;
}

static inline void fake_close(struct fake *f)
{
    WAIT_FOR(f->ring, fiber_live(f->sched) == 0);
    buf_done(&f->head);
    buf_done(&f->body);
    log_done(&f->core.log);
    metrics_done(&f->core.metrics);
    route_table_done(&f->gateway.routes);
    arena_done(&f->stream.arena);
    arena_done(&f->stream.early);
    block_pool_done(&f->blocks);
    fiber_sched_free(f->sched);
    ring_free(f->ring);
    free(f);
}

static inline void fake_field(struct fake *f, const char *name, const char *value)
{
    struct http_head *h = &f->stream.request;
    assert_true(h->count < FAKE_FIELDS_MAX);
    h->fields[h->count++] = (struct http_field){
        .id = http_name_find(slice_str(name)), .name = slice_str(name), .value = slice_str(value)};
}

// Ready for another request on the same core.
static inline void fake_again(struct fake *f)
{
    buf_reset(&f->head);
    buf_reset(&f->body);
    f->answers = 0;
    f->settled = 0;
    f->stream.answered = false;
    f->stream.request.count = 0;
    f->x.state = EXCHANGE_READING;
}

static inline void fake_fiber(struct fiber *self, void *arg)
{
    struct fake *f = arg;
    f->run(f, self);
    f->ended = true;
}

// Runs `run` on a fiber to its end.
static inline void fake_run(struct fake *f, void (*run)(struct fake *, struct fiber *))
{
    struct fiber *fiber;
    f->run = run;
    f->ended = false;
    assert_int_equal(fiber_spawn(f->sched, fake_fiber, f, &fiber), 0);
    WAIT_FOR(f->ring, f->ended);
}

static inline const char *text_of_buf(struct buf *b)
{
    buf_add_char(b, '\0');
    assert_int_equal(b->err, 0);
    b->len--;
    return b->ptr;
}

#define ASSERT_TEXT(b, expected) assert_string_equal(text_of_buf(b), (expected))

#endif
