// SPDX-License-Identifier: Apache-2.0
//
// upstream_inbox.c over loopback: bytes nobody has taken: full parts, credit, loans that go back.
// What runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TINY 2000

static void script_tiny_chunks(struct toy_conn *c, void *arg)
{
    size_t size = TINY * 6 + 128;
    char *text = malloc(size);
    size_t len =
        (size_t)snprintf(text, size, "HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    (void)arg;
    for (unsigned i = 0; i < TINY; i++)
        len += (size_t)snprintf(text + len, size - len, "1\r\n%c\r\n", 'a' + (int)(i % 26));
    len += (size_t)snprintf(text + len, size - len, "0\r\n\r\n");
    while (toy_read_request(c) >= 0 && toy_send(c, text, len)) {
    }
    free(text);
}

static void many_tiny_chunks_come_in_full_parts(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_tiny_chunks, NULL, NULL);
    for (unsigned n = 0; n < 2; n++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        assert_int_equal(a.body_rc, 0);
        assert_int_equal(a.body_len, TINY);
        assert_true(a.parts <= TINY / BODY_SPANS_MAX + 16); // and a few for how it arrived
        for (unsigned i = 0; i < TINY; i++)
            assert_int_equal(a.body[i], 'a' + (int)(i % 26));
        assert_int_equal(a.reused, n > 0);
        toy_ask_done(&a);
    }
    toy_world_close(&w);
}

// ---- Reading ahead ---------------------------------------------------------------------------

#define AHEAD "4\r\nhell\r\n1;x=y\r\no\r\n0\r\nTrailer: 1\r\n\r\n"

struct ahead {
    struct toy_world w;
    size_t cut; // so much of the body comes first
};

static void script_ahead(struct toy_conn *c, void *arg)
{
    struct ahead *a = arg;
    (void)toy_read_request(c);
    toy_say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    toy_send(c, AHEAD, a->cut);
    toy_await(c->provider, 0, 1);
    toy_send(c, AHEAD + a->cut, sizeof(AHEAD) - 1 - a->cut);
    toy_gone(c);
}

static void ahead_fiber(struct fiber *self, void *arg)
{
    static const struct iovec request = {(void *)(uintptr_t)TOY_REQUEST, sizeof(TOY_REQUEST) - 1};
    struct ahead *a = arg;
    struct net_core *core = &a->w.t.core;
    struct arena arena;
    struct upstream *up = NULL;
    struct upstream_call call = {.origin = a->w.origin,
                                 .method = HTTP_POST,
                                 .iov = &request,
                                 .iov_count = 1,
                                 .arena = &arena};
    arena_init(&arena, &core->blocks, 1 << 20);
    ASSERT(upstream_call_await(core, self, &call, &up) == 0);
    struct upstream_conn *u = container_of(up, struct upstream_conn, up);
    while (u->inbox.bytes < a->cut)
        ASSERT(body_wait_await(&up->body, self) == 0);
    ASSERT(!upstream_inbox__is_whole(u));
    toy_reach(&a->w.p, 0);
    while (u->inbox.bytes < sizeof(AHEAD) - 1)
        ASSERT(body_wait_await(&up->body, self) == 0);
    ASSERT(upstream_inbox__is_whole(u));
    ASSERT(!u->framing.complete && u->inbox.bytes == sizeof(AHEAD) - 1); // nothing was taken
    ASSERT(upstream_inbox__spill(u) == 0);
    ASSERT(upstream_inbox__is_whole(u)); // in pages too
    upstream_end(core, up);
    arena_done(&arena);
}

static void a_chunked_body_is_whole_with_its_last_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof(AHEAD) - 1; cut++) {
        struct ahead a = {.cut = cut};
        toy_world_open(&a.w, script_ahead, &a, NULL);
        toy_core_run(&a.w.t, ahead_fiber, &a);
        toy_world_close(&a.w);
    }
}

// ---- Credit ----------------------------------------------------------------------------------

#define FLOOD_BYTES ((size_t)64 << 20)

// Sends until the socket takes no more: says so, then goes on to the end.
static void script_flood(struct toy_conn *c, void *arg)
{
    static char block[65536];
    size_t left = FLOOD_BYTES;
    bool said = false;
    (void)arg;
    toy_read_request(c);
    toy_say(c, "HTTP/1.1 200 TOY_OK\r\nContent-Length: 67108864\r\n\r\n");
    while (left > 0) {
        ssize_t n = send(c->fd, block, sizeof(block) < left ? sizeof(block) : left,
                         MSG_NOSIGNAL | (said ? 0 : MSG_DONTWAIT));
        if (n > 0) {
            left -= (size_t)n;
        } else if (said) {
            return;
        } else {
            struct timeval patience = {.tv_usec = 20000}; // a full buffer that stays full
            setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
            n = send(c->fd, block, left < sizeof(block) ? left : sizeof(block), MSG_NOSIGNAL);
            if (n > 0) {
                left -= (size_t)n;
                continue;
            }
            patience.tv_usec = 0;
            setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
            said = true;
            toy_reach(c->provider, 0);
        }
    }
}

struct stall {
    struct toy_ask *ask;
    struct toy_world *w;
    size_t held_max;
    bool blocked;
    struct ring_mail mail;
};

static void on_blocked(struct ring *ring, struct ring_mail *mail)
{
    (void)ring;
    container_of(mail, struct stall, mail)->blocked = true;
}

static void *wait_blocked(void *arg)
{
    struct stall *s = arg;
    toy_await(&s->w->p, 0, 1);
    ring_mail_send(NULL, s->w->t.ring, &s->mail, on_blocked);
    return NULL;
}

static void stalled_fiber(struct fiber *self, void *arg)
{
    struct stall *s = arg;
    struct net_core *core = &s->w->t.core;
    struct arena arena;
    struct upstream *up = NULL;
    struct iovec iov = {TOY_REQUEST, sizeof(TOY_REQUEST) - 1};
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {
        .origin = s->w->origin, .method = HTTP_POST, .iov = &iov, .iov_count = 1, .arena = &arena};
    ASSERT(upstream_call_await(core, self, &call, &up) == 0);
    struct upstream_conn *u = container_of(up, struct upstream_conn, up);
    while (!s->blocked || !u->paused) { // pulls nothing until the provider is stuck
        s->held_max = u->inbox.bytes > s->held_max ? u->inbox.bytes : s->held_max;
        toy_core_yield_await(self);
    }
    struct body_part part;
    size_t got = 0;
    do {
        ASSERT(body_pull_await(&up->body, self, &part) == 0);
        got += part.bytes;
        body_put(&up->body, &part);
    } while (!part.last);
    ASSERT(got == FLOOD_BYTES);
    upstream_end(core, up);
    arena_done(&arena);
}

static void a_consumer_that_stops_stops_the_provider(void **state)
{
    (void)state;
    struct toy_world w;
    pthread_t thread;
    // More buffers than the flood needs: running out of them must not be what stops it.
    toy_world_open_sized(&w, script_flood, NULL, NULL, 512);
    struct stall s = {.w = &w};
    pthread_create(&thread, NULL, wait_blocked, &s);
    toy_core_run(&w.t, stalled_fiber, &s);
    pthread_join(thread, NULL);
    // Credit, and what the socket held when the receive was cancelled.
    assert_true(s.held_max >= BODY_CREDIT_BYTES);
    assert_true(s.held_max <= BODY_CREDIT_BYTES + 512 * 16384);
    toy_world_close(&w);
}

// Eight readers hold a part each, of a group of sixteen buffers; the ninth is served all the same.
struct hold {
    struct toy_world *w;
    unsigned *holding;
    bool *free;
};

static void script_big(struct toy_conn *c, void *arg)
{
    static char block[32768];
    (void)arg;
    while (toy_read_request(c) >= 0) {
        toy_say(c, "HTTP/1.1 200 TOY_OK\r\nContent-Length: 32768\r\n\r\n");
        toy_send(c, block, sizeof(block));
    }
}

static void hold_fiber(struct fiber *self, void *arg)
{
    struct hold *h = arg;
    struct net_core *core = &h->w->t.core;
    struct arena arena;
    struct upstream *up = NULL;
    struct iovec iov = {TOY_REQUEST, sizeof(TOY_REQUEST) - 1};
    size_t got = 0;
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {
        .origin = h->w->origin, .method = HTTP_POST, .iov = &iov, .iov_count = 1, .arena = &arena};
    ASSERT(upstream_call_await(core, self, &call, &up) == 0);
    struct body_part part;
    ASSERT(body_pull_await(&up->body, self, &part) == 0);
    ++*h->holding;
    while (!*h->free)
        toy_core_yield_await(self);
    for (;;) {
        got += part.bytes;
        bool last = part.last;
        body_put(&up->body, &part);
        if (last)
            break;
        ASSERT(body_pull_await(&up->body, self, &part) == 0);
    }
    ASSERT(got == 32768);
    upstream_end(core, up);
    arena_done(&arena);
}

static void held_parts_do_not_starve_others(void **state)
{
    (void)state;
    struct toy_world w;
    unsigned holding = 0;
    bool free_all = false;
    toy_world_open(&w, script_big, NULL, NULL);
    struct hold h = {&w, &holding, &free_all};
    for (unsigned i = 0; i < 40; i++)
        toy_core_spawn(&w.t, hold_fiber, &h);
    while (holding < 40)
        ring_turn(w.t.ring, MONO_NEVER);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_core_spawn(&w.t, toy_ask_fiber, &a);
    toy_core_until(&w.t, &a.done);
    assert_int_equal(a.body_len, 32768);
    free_all = true;
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    toy_ask_done(&a);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_tiny_chunks_come_in_full_parts),
        cmocka_unit_test(a_chunked_body_is_whole_with_its_last_byte),
        cmocka_unit_test(a_consumer_that_stops_stops_the_provider),
        cmocka_unit_test(held_parts_do_not_starve_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
