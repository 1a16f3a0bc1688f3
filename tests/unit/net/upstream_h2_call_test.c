// SPDX-License-Identifier: Apache-2.0
//
// upstream_h2_call.c over loopback: a call and every way it ends. What runs on a fiber uses ASSERT:
// cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_h2.h"
#include "tests/unit/net/toy_h2_provider.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

// What this turn has to say is on the wire, and no page is held any more.
static void send_all(struct toy_world *w)
{
    ring_turn(w->t.ring, ring_now(w->t.ring));
    while (w->t.core.upstream->pages.live > 0)
        ring_turn(w->t.ring, MONO_NEVER);
}

static void a_connection_carries_call_after_call(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, toy_h2_script_ok, NULL, (struct origin_options){0});
    for (unsigned i = 0; i < 5; i++) {
        struct toy_ask a = toy_h2_ask(&w);
        toy_ask(&a);
        toy_assert_body(&a, "hello");
        assert_int_equal(a.status, 200);
        assert_int_equal(a.reused, i > 0);
        send_all(&w); // asserts that nothing is kept
        toy_ask_done(&a);
    }
    assert_int_equal(toy_stat(&w, upstream_connects), 1);
    assert_int_equal(toy_stat(&w, upstream_h2_connections), 1);
    assert_int_equal(toy_stat(&w, upstream_reuses), 4);
    assert_int_equal(toy_stat(&w, upstream_h2.streams), 5);
    toy_world_close(&w);
}

static void a_get_has_no_body(void **state)
{
    (void)state;
    struct toy_world w;
    static const char get[] = "GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n";
    toy_h2_world(&w, toy_h2_script_ok, NULL, (struct origin_options){0});
    struct toy_ask a = toy_h2_ask(&w);
    a.request = get;
    a.request_len = sizeof(get) - 1;
    a.deadline_ms = 300; // the script waits for DATA, which must not come
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_DEADLINE);
    assert_int_equal(toy_stat(&w, upstream_h2.streams), 1);
    toy_world_close(&w);
}

// ---- Endings ---------------------------------------------------------------------------------

enum how {
    RESET_EARLY,
    RESET_IN_BODY,
    NO_ERROR_IN_BODY,
    SHORT,
    BAD_HEAD,
    CLOSED_EARLY,
    CLOSED_IN_BODY,
    GARBAGE,
    TOO_LARGE
};

static void say_large_head(struct toy_conn *c, unsigned stream)
{
    static const char start[] = F_200 "\x00\x01k\x7f\xc1\xb7\x02"; // a field of 40,000 bytes
    static char block[3 * 16384] = "";
    memset(block, 'v', sizeof(block));
    memcpy(block, start, 8);
    memcpy(block + 8 + 40000, start + 1, 7);
    toy_h2_send(c, F_HEADERS, 0, stream, block, 16384);
    toy_h2_send(c, 9, 0, stream, block + 16384, 16384);
    toy_h2_send(c, 9, 0, stream, block + 32768, 8 + 40000 + 7 - 32768);
    for (unsigned left = 40000; left > 0;) {
        unsigned n = left < 16384 ? left : 16384;
        left -= n;
        memset(block, 'v', n);
        toy_h2_send(c, 9, left ? 0 : F_END_HEADERS, stream, block, n);
    }
}

static void script_ending(struct toy_conn *c, void *arg)
{
    enum how how = (enum how)(uintptr_t)arg;
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    if (how == RESET_IN_BODY || how == NO_ERROR_IN_BODY || how == CLOSED_IN_BODY) {
        toy_h2_head(c, s);
        toy_h2_send(c, F_DATA, 0, s, "hel", 3);
    }
    if (how == SHORT) {
        toy_h2_send(c, F_HEADERS, F_END_HEADERS, s, F_200 "\x0f\x0d\x01\x35", 5);
        toy_h2_send(c, F_DATA, F_END_STREAM, s, "hel", 3);
    }
    if (how == RESET_EARLY || how == RESET_IN_BODY || how == NO_ERROR_IN_BODY)
        toy_h2_code(c, F_RESET, s, how == NO_ERROR_IN_BODY ? 0 : 2);
    if (how == BAD_HEAD)
        toy_h2_send(c, F_HEADERS, F_END_HEADERS, s, "\x00\x01k\x01v", 5);
    if (how == GARBAGE)
        toy_say(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
    if (how == TOO_LARGE)
        say_large_head(c, s);
    if (how != CLOSED_EARLY && how != CLOSED_IN_BODY)
        toy_gone(c);
}

static void every_ending_has_its_error(void **state)
{
    (void)state;
    static const struct {
        enum how how;
        int rc, body_rc;
        bool lives; // the connection
    } rows[] = {
        {RESET_EARLY, ERR_UPSTREAM_CLOSED, 0, true},
        {RESET_IN_BODY, 0, ERR_UPSTREAM_TRUNCATED, true},
        {NO_ERROR_IN_BODY, 0, ERR_UPSTREAM_TRUNCATED, true},
        {SHORT, 0, ERR_UPSTREAM_TRUNCATED, true},
        {BAD_HEAD, ERR_UPSTREAM_PROTOCOL, 0, true},
        {CLOSED_EARLY, ERR_UPSTREAM_CLOSED, 0, false},
        {CLOSED_IN_BODY, 0, ERR_UPSTREAM_TRUNCATED, false},
        {GARBAGE, ERR_UPSTREAM_PROTOCOL, 0, false},
        {TOO_LARGE, ERR_UPSTREAM_TOO_LARGE, 0, true},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct toy_world w;
        toy_h2_world(&w, script_ending, (void *)(uintptr_t)rows[i].how, (struct origin_options){0});
        struct toy_ask a = toy_h2_ask(&w);
        toy_ask(&a);
        assert_int_equal(a.rc, rows[i].rc);
        assert_int_equal(a.body_rc, rows[i].body_rc);
        assert_int_equal(toy_stat(&w, upstream_retries), 0);
        assert_int_equal(toy_stat(&w, upstream_connects), 1);
        if (rows[i].lives)
            assert_false(upstream__core_idle(&w.t.core));
        else
            toy_until_idle(&w.t);
        toy_ask_done(&a);
        toy_world_close(&w);
    }
}

// ---- Asked again -----------------------------------------------------------------------------

// The first connections say no; who comes later is answered.
static void script_refuse(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    if (c->index < (unsigned)(uintptr_t)arg)
        toy_h2_code(c, F_RESET, s, H2_REFUSED_STREAM);
    else
        toy_h2_ok(c, s);
    toy_gone(c);
}

static void a_refused_call_is_asked_again_elsewhere_once(void **state)
{
    (void)state;
    for (unsigned refusals = 1; refusals <= 2; refusals++) {
        struct toy_world w;
        toy_h2_world(&w, script_refuse, (void *)(uintptr_t)refusals, (struct origin_options){0});
        struct toy_ask a = toy_h2_ask(&w);
        toy_ask(&a);
        assert_int_equal(a.rc, refusals == 1 ? 0 : ERR_UPSTREAM_CLOSED);
        assert_int_equal(toy_stat(&w, upstream_connects), 2);
        assert_int_equal(toy_stat(&w, upstream_retries), 1);
        assert_int_equal(toy_stat(&w, upstream_h2_refused), refusals);
        toy_ask_done(&a);
        toy_world_close(&w);
    }
}

static void where_there_can_be_no_other_it_is_asked_again_there(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_refuse, (void *)(uintptr_t)1, (struct origin_options){.conns_max = 1});
    struct toy_ask a = toy_h2_ask(&w);
    a.deadline_ms = 300; // the script answers one request a connection
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_DEADLINE);
    assert_int_equal(toy_stat(&w, upstream_connects), 1);
    assert_int_equal(toy_stat(&w, upstream_h2.streams), 2);
    toy_world_close(&w);
}

// The first connection answers once and is lost with the next request.
static void script_die_when_reused(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    bool speaks = arg != NULL;
    toy_h2_ok(c, s);
    s = toy_h2_request(c);
    if (c->index > 0)
        toy_h2_ok(c, s);
    else if (speaks)
        toy_h2_send(c, F_WINDOW, 0, 0, "\0\0\0\1", 4);
    if (c->index > 0)
        toy_gone(c);
}

static void a_loss_without_a_byte_is_silent_one_with_a_byte_is_not(void **state)
{
    (void)state;
    for (unsigned speaks = 0; speaks < 2; speaks++) {
        struct toy_world w;
        toy_h2_world(&w, script_die_when_reused, speaks ? &w : NULL, (struct origin_options){0});
        struct toy_ask a = toy_h2_ask(&w), b = a;
        toy_ask(&a);
        toy_ask(&b);
        assert_int_equal(a.rc, 0);
        assert_int_equal(b.rc, speaks ? ERR_UPSTREAM_CLOSED : 0);
        assert_int_equal(toy_stat(&w, upstream_retries), speaks ? 0 : 1);
        toy_ask_done(&a);
        toy_ask_done(&b);
        toy_world_close(&w);
    }
}

// ---- Requests that meet an early answer ------------------------------------------------------

#define LARGE_BYTES ((size_t)1 << 20)

// Reads no body, so its window stays at 64 kB.
static void script_answer_at_once(struct toy_conn *c, void *head)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_await(c, F_HEADERS, 0) : 0;
    toy_h2_send(c, F_HEADERS, F_END_HEADERS, s, head, 1);
    toy_h2_send(c, F_DATA, 0, s, "hello", 5);
    if (*(const char *)head != *F_200) { // a refusal is complete
        toy_h2_send(c, F_DATA, F_END_STREAM, s, NULL, 0);
    } else {
        toy_await(c->provider, 0, 1);
        toy_h2_send(c, F_DATA, F_END_STREAM, s, NULL, 0);
    }
    if (toy_h2_await(c, F_RESET, 0))
        toy_reach(c->provider, 1);
    toy_gone(c);
}

static void an_early_refusal_ends_the_sending_and_not_the_connection(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_answer_at_once, F_404, (struct origin_options){0});
    struct toy_ask a = toy_h2_ask(&w);
    a.request = toy_large_request(LARGE_BYTES, &a.request_len);
    toy_ask(&a);
    toy_assert_body(&a, "hello");
    assert_int_equal(a.status, 404);
    send_all(&w);
    toy_await(&w.p, 1, 1); // the stream was reset
    assert_false(upstream__core_idle(&w.t.core));
    free((void *)(uintptr_t)a.request);
    toy_ask_done(&a);
    toy_world_close(&w);
}

static void release_when_called(void *arg)
{
    toy_reach(arg, 0);
}

struct stalled {
    struct toy_ask ask;
    struct toy_provider *p;
};

static void stalled_fiber(struct fiber *self, void *arg)
{
    struct stalled *s = arg;
    struct net_core *core = &s->ask.t->core;
    struct arena arena;
    struct upstream *up = NULL;
    size_t head = (size_t)((char *)memmem(s->ask.request, 256, "\r\n\r\n", 4) + 4 -
                           (const char *)s->ask.request);
    struct iovec iov[] = {
        {(void *)(uintptr_t)s->ask.request, head},
        {(char *)(uintptr_t)s->ask.request + head, s->ask.request_len - head},
    };
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {
        .origin = s->ask.origin, .method = HTTP_POST, .iov = iov, .iov_count = 2, .arena = &arena};
    s->ask.rc = upstream_call_await(core, self, &call, &up);
    release_when_called(s->p); // the caller has the head though the request is not sent
    if (s->ask.rc == 0) {
        struct body_part part;
        do {
            ASSERT(body_pull_await(&up->body, self, &part) == 0);
            s->ask.body_len += part.bytes;
            body_put(&up->body, &part);
        } while (!part.last);
        upstream_end(core, up);
    }
    arena_done(&arena);
}

static void an_answer_is_not_kept_waiting_for_a_request_nobody_reads(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_answer_at_once, F_200, (struct origin_options){0});
    struct stalled s = {.ask = toy_h2_ask(&w), .p = &w.p};
    s.ask.request = toy_large_request(LARGE_BYTES, &s.ask.request_len);
    toy_core_run(&w.t, stalled_fiber, &s);
    assert_int_equal(s.ask.rc, 0);
    assert_int_equal(s.ask.body_len, 5);
    send_all(&w);
    toy_await(&w.p, 1, 1);
    free((void *)(uintptr_t)s.ask.request);
    toy_world_close(&w);
}

// ---- Leaving, memory -------------------------------------------------------------------------

static void script_stream(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    (void)arg;
    toy_h2_head(c, s);
    toy_h2_send(c, F_DATA, 0, s, "hello", 5);
    if (toy_h2_await(c, F_RESET, 0) == s)
        toy_reach(c->provider, 0);
    s = toy_h2_request(c);
    toy_h2_ok(c, s);
    toy_gone(c);
}

static void a_call_that_is_left_is_reset_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_stream, NULL, (struct origin_options){0});
    struct toy_ask a = toy_h2_ask(&w), b = a;
    a.leave = true;
    toy_ask(&a);
    assert_int_equal(a.body_len, 5);
    toy_ask(&b);
    toy_await(&w.p, 0, 1);
    toy_assert_body(&b, "hello");
    assert_true(b.reused);
    toy_ask_done(&a);
    toy_ask_done(&b);
    toy_world_close(&w);
}

// The body of an answer finds no page: its stream is reset, nothing else notices.
static void script_two_parts(struct toy_conn *c, void *arg)
{
    unsigned s = toy_h2_start(c, 0) ? toy_h2_request(c) : 0;
    (void)arg;
    toy_h2_head(c, s);
    toy_h2_send(c, F_DATA, 0, s, "hel", 3);
    toy_await(c->provider, 0, 1);
    toy_h2_send(c, F_DATA, F_END_STREAM, s, "lo", 2);
    while ((s = toy_h2_request(c)) && toy_h2_ok(c, s))
        ;
}

static void starved_fiber(struct fiber *self, void *arg)
{
    struct stalled *s = arg;
    struct net_core *core = &s->ask.t->core;
    struct page_pool *pages = &core->upstream->pages;
    struct arena arena;
    struct upstream *up = NULL;
    struct body_part part;
    struct iovec iov[] = {{(char *)(uintptr_t)TOY_REQUEST, sizeof(TOY_REQUEST) - 3},
                          {(char *)(uintptr_t) "{}", 2}};
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {
        .origin = s->ask.origin, .method = HTTP_POST, .iov = iov, .iov_count = 2, .arena = &arena};
    ASSERT(upstream_call_await(core, self, &call, &up) == 0);
    ASSERT(body_pull_await(&up->body, self, &part) == 0 && part.bytes == 3);
    body_put(&up->body, &part);
    while (pages->live > 0) // of a send in flight
        toy_core_yield_await(self);
    unsigned before = pages->live_max;
    pages->live_max = 0;
    release_when_called(s->p);
    s->ask.body_rc = body_pull_await(&up->body, self, &part);
    pages->live_max = before;
    upstream_end(core, up);
    arena_done(&arena);
}

static void without_pages_a_call_ends_and_the_connection_goes_on(void **state)
{
    (void)state;
    struct toy_world w;
    toy_h2_world(&w, script_two_parts, NULL, (struct origin_options){0});
    struct stalled s = {.ask = toy_h2_ask(&w), .p = &w.p};
    toy_core_run(&w.t, starved_fiber, &s);
    assert_int_equal(s.ask.body_rc, ERR_NOMEM);
    struct toy_ask a = toy_h2_ask(&w);
    toy_ask(&a);
    toy_assert_body(&a, "hello");
    assert_true(a.reused);
    toy_ask_done(&a);
    toy_world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_carries_call_after_call),
        cmocka_unit_test(a_get_has_no_body),
        cmocka_unit_test(every_ending_has_its_error),
        cmocka_unit_test(a_refused_call_is_asked_again_elsewhere_once),
        cmocka_unit_test(where_there_can_be_no_other_it_is_asked_again_there),
        cmocka_unit_test(a_loss_without_a_byte_is_silent_one_with_a_byte_is_not),
        cmocka_unit_test(an_early_refusal_ends_the_sending_and_not_the_connection),
        cmocka_unit_test(an_answer_is_not_kept_waiting_for_a_request_nobody_reads),
        cmocka_unit_test(a_call_that_is_left_is_reset_and_the_connection_goes_on),
        cmocka_unit_test(without_pages_a_call_ends_and_the_connection_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
