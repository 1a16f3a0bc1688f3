// SPDX-License-Identifier: Apache-2.0
//
// toy_h2_provider.h: what scripts of a toy provider that speaks HTTP/2 are made of: frames by hand.
// Requests are not decompressed; that is for tests that end in Python.
#ifndef RINGGATE_TESTS_NET_TOY_H2_PROVIDER_H
#define RINGGATE_TESTS_NET_TOY_H2_PROVIDER_H

#include "base/assert.h"
#include "h2/h2.h"
#include "tests/support/toy_world.h"

enum { F_DATA, F_HEADERS, F_PRIORITY, F_RESET, F_SETTINGS, F_PUSH, F_PING, F_GOAWAY, F_WINDOW };
enum { F_END_STREAM = 1, F_ACK = 1, F_END_HEADERS = 4 };

// RFC 7541: ":status: 200", ":status: 404" of the static table.
#define F_200 "\x88"
#define F_404 "\x8d"

struct toy_frame {
    unsigned type, flags, stream;
    size_t len;
    unsigned char payload[16384];
};

static inline bool toy_h2_send(struct toy_conn *c, unsigned type, unsigned flags, unsigned stream,
                               const void *payload, size_t len)
{
    char frame[9 + 16384] = {(char)(len >> 16),    (char)(len >> 8),    (char)len,
                             (char)type,           (char)flags,         (char)(stream >> 24),
                             (char)(stream >> 16), (char)(stream >> 8), (char)stream};
    ASSERT(len <= 16384);
    if (len > 0)
        memcpy(frame + 9, payload, len);
    return toy_send(c, frame, 9 + len);
}

static inline bool toy_h2_code(struct toy_conn *c, unsigned type, unsigned stream, unsigned code)
{
    const char be[4] = {(char)(code >> 24), (char)(code >> 16), (char)(code >> 8), (char)code};
    return toy_h2_send(c, type, 0, stream, be, 4);
}

// The preface, then our SETTINGS, with MAX_CONCURRENT_STREAMS when it is not 0.
static inline bool toy_h2_start(struct toy_conn *c, unsigned streams_max)
{
    char preface[24];
    const char limit[6] = {0, 3, 0, 0, (char)(streams_max >> 8), (char)streams_max};
    if (!toy_read_exactly(c, preface, sizeof(preface)))
        return false;
    ASSERT(slice_eq(slice_of(preface, sizeof(preface)), H2_PREFACE));
    return toy_h2_send(c, F_SETTINGS, 0, 0, limit, streams_max ? 6 : 0);
}

// The next frame; SETTINGS and PING are acknowledged. False: the peer has left.
static inline bool toy_h2_read(struct toy_conn *c, struct toy_frame *f)
{
    unsigned char head[9];
    if (!toy_read_exactly(c, head, sizeof(head)))
        return false;
    f->len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    f->type = head[3];
    f->flags = head[4];
    f->stream =
        (unsigned)head[5] << 24 | (unsigned)head[6] << 16 | (unsigned)head[7] << 8 | head[8];
    ASSERT(f->len <= sizeof(f->payload));
    if (f->len > 0 && !toy_read_exactly(c, f->payload, f->len))
        return false;
    if (f->type == F_SETTINGS && !(f->flags & F_ACK))
        return toy_h2_send(c, F_SETTINGS, F_ACK, 0, NULL, 0);
    if (f->type == F_PING && !(f->flags & F_ACK))
        return toy_h2_send(c, F_PING, F_ACK, 0, f->payload, f->len);
    return true;
}

// Reads on until such a frame; its stream, or 0 when the peer has left.
static inline unsigned toy_h2_await(struct toy_conn *c, unsigned type, unsigned flags)
{
    static _Thread_local struct toy_frame f;
    while (toy_h2_read(c, &f)) {
        if (f.type == type && (f.flags & flags) == flags)
            return f.stream ? f.stream : 1;
    }
    return 0;
}

// A whole request with a body; its stream, or 0.
static inline unsigned toy_h2_request(struct toy_conn *c)
{
    return toy_h2_await(c, F_DATA, F_END_STREAM);
}

static inline bool toy_h2_head(struct toy_conn *c, unsigned stream)
{
    return toy_h2_send(c, F_HEADERS, F_END_HEADERS, stream, F_200, 1);
}

static inline bool toy_h2_ok(struct toy_conn *c, unsigned stream)
{
    return toy_h2_head(c, stream) && toy_h2_send(c, F_DATA, F_END_STREAM, stream, "hello", 5);
}

// Answers every request well, for ever. `arg`: the limit of streams, as a pointer.
static inline void toy_h2_script_ok(struct toy_conn *c, void *arg)
{
    unsigned stream = toy_h2_start(c, (unsigned)(uintptr_t)arg);
    while (stream && (stream = toy_h2_request(c)) && toy_h2_ok(c, stream))
        ;
}

static inline void toy_h2_world(struct toy_world *w, toy_script script, void *arg,
                                struct origin_options options)
{
    options.http = ORIGIN_HTTP2;
    toy_world_open(w, script, arg, &options);
}

static inline struct toy_ask toy_h2_ask(struct toy_world *w)
{
    return (struct toy_ask){.t = &w->t, .origin = w->origin, .apart = true};
}

#define toy_stat(w, name) counter_get(&(w)->t.core.stats.name)

#endif
