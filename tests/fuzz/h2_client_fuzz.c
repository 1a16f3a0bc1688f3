// SPDX-License-Identifier: Apache-2.0
//
// h2_client_fuzz.c: any bytes as what a provider sends on an HTTP/2 connection.
//
// The first byte says how the owner behaves and into what steps the rest is cut. Before each step
// it submits as many requests as there is room for, up to so many; some are reset, some let go of.
// Whatever comes, the session's memory stays within its bound, an output is never larger than its
// room, a stream has at most one head, nothing behind its end and one close, and only a message
// with on_end has the length it announced.
#include "base/assert.h"
#include "h2/h2.h"
#include "h2_fuzz.h"
#include <stdint.h>

#define STREAMS 32

enum { SETTLED = 1, RESET = 2, DETACH = 4, CONSUME = 8, BODY = 16, PING = 32 };

struct ask {
    struct h2_stream s;
    struct arena arena;
    bool open, head, whole;
    uint64_t bytes;
};

struct owner {
    struct h2_session client;
    struct block_pool blocks;
    struct ask ask[STREAMS];
    unsigned submitted, open;
    unsigned mode;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct owner *owner_of(struct h2_session *h)
{
    return container_of(h, struct owner, client);
}

static struct ask *ask_of(struct h2_stream *s)
{
    return container_of(s, struct ask, s);
}

static void end(struct owner *o, struct ask *a)
{
    ASSERT(a->open && !a->s.session && o->open > 0);
    a->open = false;
    arena_done(&a->arena);
    o->open--;
}

static void on_head(struct h2_session *h, struct h2_stream *s, int err)
{
    struct owner *o = owner_of(h);
    struct ask *a = ask_of(s);
    ASSERT(a->open && !a->head);
    a->head = true;
    ASSERT(err || (s->head.status >= 200 && s->head.status <= 999));
    for (unsigned i = 0; i < s->head.count; i++)
        ASSERT(s->head.fields[i].name.len > 0 && s->head.fields[i].name.ptr[0] != ':');
    if (o->mode & RESET && s->id % 3 == 0)
        h2_stream_reset(s, H2_CANCEL);
    if (o->mode & DETACH && s->id % 5 == 0) {
        h2_stream_reset(s, H2_CANCEL);
        h2_stream_detach(s);
        end(o, a);
    }
}

static void on_data(struct h2_session *h, struct h2_stream *s, struct slice bytes)
{
    struct ask *a = ask_of(s);
    volatile char sum = 0;
    ASSERT(a->open && a->head && !a->whole);
    for (size_t i = 0; i < bytes.len; i++)
        sum = (char)(sum + bytes.ptr[i]);
    a->bytes += bytes.len;
    if (owner_of(h)->mode & CONSUME)
        h2_stream_consume(s, bytes.len);
    else
        ASSERT(a->bytes <= H2_CLIENT_STREAM_WINDOW);
}

static void on_end(struct h2_session *h, struct h2_stream *s)
{
    struct ask *a = ask_of(s);
    ASSERT(a->open && a->head && !a->whole && s->session == h);
    a->whole = true;
    // 204 and 304 may announce what they do not have.
    if (s->head.content_length >= 0 && s->head.status != 204 && s->head.status != 304)
        ASSERT((uint64_t)s->head.content_length == a->bytes);
}

static void on_taken(struct h2_session *h, struct h2_stream *s)
{
    ASSERT(s->session == h && s->ready == 0);
}

static void on_close(struct h2_session *h, struct h2_stream *s, uint32_t code)
{
    (void)code;
    end(owner_of(h), ask_of(s));
}

static const struct h2_events events = {.on_head = on_head,
                                        .on_data = on_data,
                                        .on_end = on_end,
                                        .on_lend = h2_fuzz_on_lend,
                                        .on_taken = on_taken,
                                        .on_close = on_close};

static void submit(struct owner *o)
{
    static char large[3000];
    static const struct slice body[] = {{"0123456789", 10}, {large, sizeof(large)}};
    static const struct h2_field fields[] = {{{"authorization", 13}, {"Bearer k", 8}}};
    const struct h2_request r = {.method = SLICE("POST"),
                                 .scheme = SLICE("https"),
                                 .authority = SLICE("a"),
                                 .path = SLICE("/"),
                                 .fields = fields,
                                 .count = 1};
    while (o->submitted < STREAMS && h2_client_room(&o->client) > 0) {
        struct ask *a = &o->ask[o->submitted++];
        a->open = true;
        o->open++;
        arena_init(&a->arena, &o->blocks, 1 << 20);
        a->s.arena = &a->arena;
        ASSERT(h2_client_submit(&o->client, &a->s, &r, body, o->mode & BODY ? 2 : 0) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct owner owner;
    static const char settings[9] = {0, 0, 0, 4};
    const struct h2_options options = {0};
    struct mono now = {.ns = NS_PER_S};
    struct owner *o = &owner;
    if (size < 1)
        return 0;
    *o = (struct owner){.mode = data[0] & 0x3f};
    size_t step = data[0] & 0x40 ? 7 : data[0] & 0x80 ? 100 : size;
    struct slice in = slice_of(data + 1, size - 1);
    block_pool_init(&o->blocks, 16);
    ASSERT(h2_client_init(&o->client, &events, &options) == 0);
    if (o->mode & SETTLED)
        (void)h2_session_feed(&o->client, now, slice_of(settings, sizeof(settings)));
    while (in.len > 0) {
        submit(o);
        h2_fuzz_output(&o->client, now);
        (void)h2_session_feed(&o->client, now, slice_take(in, step));
        in = slice_skip(in, step);
        ASSERT(o->client.memory.bytes <= H2_MEMORY_MAX);
        now = mono_add_ms(now, 3);
        if (o->mode & PING && in.len % 2)
            h2_client_ping(&o->client);
        h2_fuzz_output(&o->client, now);
    }
    h2_session_done(&o->client);
    for (unsigned i = 0; i < STREAMS; i++) {
        if (o->ask[i].open)
            end(o, &o->ask[i]);
    }
    ASSERT(o->open == 0);
    block_pool_done(&o->blocks);
    return 0;
}
