// SPDX-License-Identifier: Apache-2.0
//
// toy_world.c: see toy_world.h.
#include "tests/support/toy_world.h"

#include "base/assert.h"
#include "net/upstream_internal.h"
#include <stdio.h>
#include <stdlib.h>

void toy_world_open(struct toy_world *w, toy_script script, void *arg,
                    const struct origin_options *options)
{
    toy_world_open_sized(w, script, arg, options, 16);
}

void toy_world_open_sized(struct toy_world *w, toy_script script, void *arg,
                          const struct origin_options *options, unsigned bufs)
{
    struct origin_options o = options ? *options : (struct origin_options){0};
    toy_core_open(&w->t, bufs, 16384);
    toy_provider_open(&w->p, script, arg, NULL);
    if (o.host.len == 0)
        o.host = SLICE("127.0.0.1");
    o.port = w->p.port;
    ASSERT(origin_new(&o, &w->origin) == 0);
}

void toy_world_close(struct toy_world *w)
{
    toy_core_close(&w->t);
    origin_put(w->origin);
    toy_provider_close(&w->p);
}

void toy_assert_body(const struct toy_ask *a, const char *expected)
{
    ASSERT(a->rc == 0);
    ASSERT(a->body_rc == 0);
    ASSERT(slice_eq(slice_of(a->body, a->body_len), slice_str(expected)));
}

char *toy_large_request(size_t body, size_t *ret_len)
{
    size_t size = body + 128;
    char *text = malloc(size);
    ASSERT(text);
    int n = snprintf(text, size, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", body);
    ASSERT(n > 0 && (size_t)n < 128);
    memset(text + n, 'b', body);
    *ret_len = (size_t)n + body;
    return text;
}

void toy_until_idle(struct toy_core *t)
{
    while (!upstream__core_idle(&t->core))
        ring_turn(t->ring, MONO_NEVER);
    ring_turn(t->ring, ring_now(t->ring));
}

void toy_script_ok(struct toy_conn *c, void *answer)
{
    while (toy_read_request(c) >= 0 && toy_say(c, answer ? answer : TOY_OK)) {
    }
}

void toy_script_say_and_close(struct toy_conn *c, void *answer)
{
    if (toy_read_request(c) >= 0)
        toy_say(c, answer);
}

void toy_script_silent(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_gone(c);
    toy_reach(c->provider, 1);
}
