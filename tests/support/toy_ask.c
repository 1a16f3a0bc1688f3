// SPDX-License-Identifier: Apache-2.0
//
// toy_ask.c: see toy_ask.h. The request's memory is given back as soon as the call is over, so
// AddressSanitizer sees whoever still reads it.
#include "tests/support/toy_ask.h"

#include "base/assert.h"
#include <stdlib.h>

static void pull(struct toy_ask *a, struct fiber *self, struct upstream *up)
{
    struct body_part part;
    do {
        a->body_rc = body_pull_await(&up->body, self, &part);
        if (a->body_rc != 0)
            return;
        if (part.bytes > 0)
            a->body = realloc(a->body, a->body_len + part.bytes);
        ASSERT(a->body || part.bytes == 0);
        for (unsigned i = 0; i < part.count; i++) {
            memcpy(a->body + a->body_len, part.span[i].ptr, part.span[i].len);
            a->body_len += part.span[i].len;
        }
        a->parts++;
        body_put(&up->body, &part);
    } while (!part.last && !a->leave);
}

void toy_ask_fiber(struct fiber *self, void *ask)
{
    struct toy_ask *a = ask;
    struct net_core *core = &a->t->core;
    struct arena arena;
    struct upstream *up = NULL;
    size_t len = a->request ? a->request_len : sizeof(TOY_REQUEST) - 1;
    unsigned n = a->apart ? 2 : a->iovs ? a->iovs : 1;
    struct iovec *iov = calloc(n, sizeof(*iov));
    char *copy = malloc(len);
    ASSERT(iov && copy);
    memcpy(copy, a->request ? a->request : TOY_REQUEST, len);
    for (unsigned i = 0; i < n; i++) {
        size_t from = len * i / n, to = len * (i + 1) / n;
        iov[i] = (struct iovec){copy + from, to - from};
    }
    if (a->apart) {
        char *end = memmem(copy, len, "\r\n\r\n", 4);
        ASSERT(end);
        size_t head = (size_t)(end + 4 - copy);
        iov[0] = (struct iovec){copy, head};
        iov[1] = (struct iovec){copy + head, len - head};
    }
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {.origin = a->origin,
                                 .method = a->method ? a->method : HTTP_POST,
                                 .iov = iov,
                                 .iov_count = n,
                                 .arena = &arena};
    if (a->deadline_ms)
        fiber_set_deadline(self, mono_add_ms(ring_now(core->ring), a->deadline_ms));
    a->rc = upstream_call_await(core, self, &call, &up);
    free(iov);
    free(copy);
    if (a->rc == 0) {
        a->status = up->head.status;
        a->reused = up->reused;
        pull(a, self, up);
        upstream_end(core, up);
    }
    a->done = true;
    arena_done(&arena);
}

void toy_ask(struct toy_ask *a)
{
    toy_core_run(a->t, toy_ask_fiber, a);
}

void toy_ask_done(struct toy_ask *a)
{
    free(a->body);
    a->body = NULL;
    a->body_len = 0;
}
