// SPDX-License-Identifier: Apache-2.0
//
// h2_server_fuzz.c: any bytes as what a client sends on an HTTP/2 connection.
//
// The first byte says how the owner behaves and into what steps the rest is cut. It answers,
// resets, lets go, or waits; whatever comes, the session's memory stays within its bound, an output
// is never larger than its room, and every stream that was opened is closed or detached exactly
// once.
#include "base/assert.h"
#include "h2/h2.h"
#include "h2_fuzz.h"
#include <stdint.h>

#define STREAMS 256

enum { ANSWER = 1, RESET = 2, DETACH = 4, CONSUME = 8, SHUTDOWN = 16, PREFACE = 32 };

struct exchange {
    struct h2_stream s;
    struct arena arena;
    bool used;
};

struct owner {
    struct h2_session server;
    struct block_pool blocks;
    struct exchange exchange[STREAMS];
    unsigned open;
    unsigned mode;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct owner *owner_of(struct h2_session *h)
{
    return container_of(h, struct owner, server);
}

static void end(struct owner *o, struct h2_stream *s)
{
    struct exchange *x = container_of(s, struct exchange, s);
    ASSERT(x->used && !s->session && o->open > 0);
    arena_done(&x->arena);
    x->used = false;
    o->open--;
}

static struct h2_stream *on_open(struct h2_session *h)
{
    struct owner *o = owner_of(h);
    for (unsigned i = 0; i < STREAMS; i++) {
        struct exchange *x = &o->exchange[i];
        if (x->used)
            continue;
        *x = (struct exchange){.used = true};
        arena_init(&x->arena, &o->blocks, 1 << 20);
        x->s.arena = &x->arena;
        o->open++;
        return &x->s;
    }
    return NULL;
}

static void on_head(struct h2_session *h, struct h2_stream *s, int err)
{
    struct owner *o = owner_of(h);
    static const struct slice body = {"0123456789", 10};
    ASSERT(err || (s->head.method.len > 0 && s->head.authority.len > 0));
    for (unsigned i = 0; i < s->head.count; i++)
        ASSERT(s->head.fields[i].name.len > 0 && s->head.fields[i].name.ptr[0] != ':');
    if (o->mode & ANSWER)
        (void)h2_stream_answer(s, 200, s->head.fields, s->head.count, &body, 1, s->id % 4 == 1);
    if (o->mode & RESET && s->id % 3 == 0)
        h2_stream_reset(s, H2_CANCEL);
    if (o->mode & DETACH && s->id % 5 == 0) {
        h2_stream_reset(s, H2_INTERNAL_ERROR);
        h2_stream_detach(s);
        end(o, s);
    }
}

static void on_data(struct h2_session *h, struct h2_stream *s, struct slice bytes)
{
    volatile char sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum = (char)(sum + bytes.ptr[i]);
    if (owner_of(h)->mode & CONSUME)
        h2_stream_consume(s, bytes.len);
}

static void on_end(struct h2_session *h, struct h2_stream *s)
{
    ASSERT(s->session == h);
}

static void on_taken(struct h2_session *h, struct h2_stream *s)
{
    static const struct slice more = {"more", 4};
    if (owner_of(h)->mode & ANSWER && !s->last)
        (void)h2_stream_write(s, &more, 1, true);
}

static void on_close(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    (void)code;
    end(owner_of(h), s);
}

static const struct h2_events events = {on_open,         on_head,  on_data, on_end,
                                        h2_fuzz_on_lend, on_taken, on_close};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct owner owner;
    const struct h2_options options = {.streams_max = 100, .write_ms = 50};
    struct mono now = {.ns = NS_PER_S};
    struct owner *o = &owner;
    if (size < 1)
        return 0;
    *o = (struct owner){.mode = data[0] & 0x3f};
    size_t step = data[0] & 0x40 ? 7 : data[0] & 0x80 ? 100 : size;
    struct slice in = slice_of(data + 1, size - 1);
    block_pool_init(&o->blocks, 16);
    ASSERT(h2_server_init(&o->server, &events, &options) == 0);
    if (o->mode & PREFACE)
        (void)h2_session_feed(&o->server, now, H2_PREFACE);
    while (in.len > 0) {
        (void)h2_session_feed(&o->server, now, slice_take(in, step));
        in = slice_skip(in, step);
        ASSERT(o->server.memory.bytes <= H2_MEMORY_MAX);
        now = mono_add_ms(now, 3);
        h2_session_expire(&o->server, now);
        h2_fuzz_output(&o->server, now);
    }
    if (o->mode & SHUTDOWN) {
        h2_session_shutdown(&o->server);
        h2_session_shutdown(&o->server);
        h2_fuzz_output(&o->server, now);
    }
    h2_session_done(&o->server);
    for (unsigned i = 0; i < STREAMS; i++) {
        if (o->exchange[i].used)
            end(o, &o->exchange[i].s);
    }
    ASSERT(o->open == 0);
    block_pool_done(&o->blocks);
    return 0;
}
