// SPDX-License-Identifier: Apache-2.0
//
// h1_upgrade.c: a connection that speaks something else from its 101 on.
//
// It stays in SERVE. What comes from the client gathers in `held`, as bytes behind any request do,
// and so does what bounds it: at LIMIT_PIPELINE_BYTES nothing more is received. A part of the body
// is all of `held`, which goes with it; the next bytes gather in new memory.
//
//     socket ──► held ──take──► part ──put──► freed, the receive armed again
#include "base/assert.h"
#include "base/err.h"
#include "net/net_internal.h"
#include <stdlib.h>

static struct h1_conn *conn_of(struct body *b)
{
    struct http_stream *s = container_of(b, struct http_stream, body);
    return container_of(s, struct h1_conn, stream);
}

static int take(struct body *b, struct body_part *ret)
{
    struct h1_conn *c = conn_of(b);
    size_t at = c->held_at;
    if (h1_conn__held(c) == 0)
        return c->fin || c->stream.gone ? ERR_CLIENT_GONE : ERR_MORE;
    struct buf all = h1_conn__take_held(c);
    ret->memory = all.ptr;
    ret->span[0] = slice_of(all.ptr + at, all.len - at);
    ret->count = 1;
    ret->bytes = ret->span[0].len;
    return 0;
}

static void put(struct body *b, struct body_part *part)
{
    struct h1_conn *c = conn_of(b);
    free(part->memory);
    if (c->state == CONN_SERVE)
        h1_conn__aim(c);
}

static const struct body_ops upgraded_ops = {.take = take, .put = put};

int h1_upgrade__await(struct http_stream *s, struct fiber *self, struct slice head)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    if (!c->framing.complete)
        return ERR_UNSUPPORTED;
    s->body = (struct body){.ops = &upgraded_ops};
    c->upgraded = true;
    return h1_answer__upgrade_await(c, self, head);
}

void h1_upgrade__tear(struct http_stream *s)
{
    struct h1_conn *c = container_of(s, struct h1_conn, stream);
    c->torn = true;
    ring_cancel(s->core->ring, &c->send);
}
