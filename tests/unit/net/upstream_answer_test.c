// SPDX-License-Identifier: Apache-2.0
//
// upstream_answer.c over loopback: how answers end, and that it does not matter where they were
// cut. What runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct ending {
    const char *answer;
    int rc;
    int body_rc;
    const char *body;
};

static const struct ending endings[] = {
    {"", ERR_UPSTREAM_CLOSED, 0, NULL},
    {"HTTP/1.1 200 TOY_OK\r\nConte", ERR_UPSTREAM_TRUNCATED, 0, NULL},
    {TOY_OK_HEAD "hel", 0, ERR_UPSTREAM_TRUNCATED, "hel"},
    {TOY_OK_HEAD, 0, ERR_UPSTREAM_TRUNCATED, ""},
    {"HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 0,
     ERR_UPSTREAM_TRUNCATED, "abc"},
    {"HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 0, ERR_UPSTREAM_TRUNCATED,
     "ab"},
    {"HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", 0,
     ERR_UPSTREAM_TRUNCATED, "abc"},
    {"HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n", 0,
     ERR_UPSTREAM_PROTOCOL, "abc"},
    {"HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nT: "
     "x\r\n\r\n",
     0, 0, "abc"},
    {"HTTP/1.1 200 TOY_OK\r\n\r\nuntil the end", 0, 0, "until the end"},
    {"HTTP/1.0 200 TOY_OK\r\n\r\n", 0, 0, ""},
    {"HTTP/1.1 204 No Content\r\n\r\n", 0, 0, ""},
    {"HTTP/1.1 200 TOY_OK\r\nContent-Length: 0\r\n\r\n", 0, 0, ""},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" TOY_OK, 0, 0,
     "hello"},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", ERR_UPSTREAM_PROTOCOL, 0, NULL},
    {"HTTP/1.1 200 TOY_OK\nContent-Length: 5\n\nhello", ERR_UPSTREAM_PROTOCOL, 0, NULL},
    {"HTTP/1.1 200 TOY_OK\r\nBad Name: x\r\n\r\n", ERR_UPSTREAM_PROTOCOL, 0, NULL},
    {"HTTP/1.1 200 TOY_OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
     ERR_UPSTREAM_PROTOCOL, 0, NULL},
    {"HTTP/1.1 200 TOY_OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
     ERR_UPSTREAM_PROTOCOL, 0, NULL},
    {"ICY 200 TOY_OK\r\n\r\n", ERR_UPSTREAM_PROTOCOL, 0, NULL},
};

static void assert_ending(const struct toy_ask *a, const struct ending *e)
{
    assert_int_equal(a->rc, e->rc);
    if (e->rc != 0)
        return;
    assert_int_equal(a->body_rc, e->body_rc);
    assert_true(slice_eq(slice_of(a->body, a->body_len), slice_str(e->body)));
}

static void each_ending_is_what_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        struct toy_world w;
        toy_world_open(&w, toy_script_say_and_close, (void *)endings[i].answer, NULL);
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        assert_ending(&a, &endings[i]);
        assert_int_equal(counter_get(&w.t.core.stats.upstream_retries), 0);
        toy_ask_done(&a);
        toy_world_close(&w);
    }
}

static void script_reset(struct toy_conn *c, void *arg)
{
    toy_read_request(c);
    toy_say(c, arg);
    toy_await(c->provider, 0, 1);
    toy_reset(c);
}

// The reset comes when the first bytes have been delivered, so they are not lost with it.
static void reset_fiber(struct fiber *self, void *arg)
{
    struct toy_ask *a = arg;
    struct net_core *core = &a->t->core;
    struct arena arena;
    struct upstream *up = NULL;
    struct iovec iov = {TOY_REQUEST, sizeof(TOY_REQUEST) - 1};
    arena_init(&arena, &core->blocks, 1 << 20);
    struct upstream_call call = {
        .origin = a->origin, .method = HTTP_POST, .iov = &iov, .iov_count = 1, .arena = &arena};
    a->rc = upstream_call_await(core, self, &call, &up);
    ASSERT(a->rc == 0);
    struct body_part part;
    ASSERT(body_pull_await(&up->body, self, &part) == 0);
    body_put(&up->body, &part);
    toy_reach((void *)a->request, 0);
    ASSERT(body_pull_await(&up->body, self, &part) == ERR_UPSTREAM_TRUNCATED);
    upstream_end(core, up);
    arena_done(&arena);
}

static void a_reset_is_a_truncation_even_until_close(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_reset, "HTTP/1.1 200 TOY_OK\r\n\r\nabc", NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin, .request = &w.p};
    toy_core_run(&w.t, reset_fiber, &a);
    toy_world_close(&w);
}

static void script_head_only(struct toy_conn *c, void *arg)
{
    (void)arg;
    while (toy_read_request(c) >= 0)
        toy_say(c, TOY_OK_HEAD);
}

static void head_has_no_body(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_head_only, NULL, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct toy_ask a = {.t = &w.t, .origin = w.origin, .method = HTTP_HEAD};
        toy_ask(&a);
        toy_assert_body(&a, "");
        assert_int_equal(a.reused, i > 0);
    }
    toy_world_close(&w);
}

static void script_huge_head(struct toy_conn *c, void *arg)
{
    size_t bytes = *(size_t *)arg;
    char line[1024];
    memset(line, 'x', sizeof(line));
    memcpy(line, "A: ", 3);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    toy_read_request(c);
    toy_say(c, "HTTP/1.1 200 TOY_OK\r\nContent-Length: 2\r\n");
    for (size_t sent = 0; sent < bytes; sent += sizeof(line)) {
        if (!toy_send(c, line, sizeof(line)))
            return;
    }
    toy_say(c, "\r\nok");
}

static void a_huge_head_is_refused_a_large_one_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct toy_world w;
        size_t bytes = i ? (size_t)2 << 20 : 60 * 1024;
        toy_world_open(&w, script_huge_head, &bytes, NULL);
        struct toy_ask a = {.t = &w.t, .origin = w.origin};
        toy_ask(&a);
        assert_int_equal(a.rc, i ? ERR_UPSTREAM_TOO_LARGE : 0);
        if (i == 0)
            toy_assert_body(&a, "ok");
        toy_ask_done(&a);
        toy_world_close(&w);
    }
}

static void script_interim_for_ever(struct toy_conn *c, void *arg)
{
    (void)arg;
    toy_read_request(c);
    while (toy_say(c, "HTTP/1.1 102 Processing\r\n\r\n")) {
    }
}

static void interim_answers_are_bounded(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, script_interim_for_ever, NULL, NULL);
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_UPSTREAM_PROTOCOL);
    toy_world_close(&w);
}

// ---- Cuts ------------------------------------------------------------------------------------

struct cut {
    const char *answer;
    size_t at;
};

static void script_cut(struct toy_conn *c, void *arg)
{
    struct cut *cut = arg;
    size_t len = strlen(cut->answer);
    toy_read_request(c);
    toy_send(c, cut->answer, cut->at);
    toy_await(c->provider, 0, 1);
    toy_send(c, cut->answer + cut->at, len - cut->at);
}

// Lets the first half be read before the second is sent.
static void release_fiber(struct fiber *self, void *arg)
{
    for (unsigned i = 0; i < 3; i++)
        toy_core_yield_await(self);
    toy_reach(arg, 0);
}

static void an_answer_cut_anywhere_is_the_same_answer(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 TOY_OK\r\nA: b\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 TOY_OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "HTTP/1.1 103 Hi\r\n\r\nHTTP/1.1 200\r\n\r\nhello",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        for (size_t at = 0; at <= strlen(answers[i]); at++) {
            struct cut cut = {answers[i], at};
            struct toy_world w;
            toy_world_open(&w, script_cut, &cut, NULL);
            struct toy_ask a = {.t = &w.t, .origin = w.origin};
            toy_core_spawn(&w.t, release_fiber, &w.p);
            toy_ask(&a);
            toy_assert_body(&a, "hello");
            toy_ask_done(&a);
            toy_world_close(&w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ending_is_what_the_table_says),
        cmocka_unit_test(a_reset_is_a_truncation_even_until_close),
        cmocka_unit_test(head_has_no_body),
        cmocka_unit_test(a_huge_head_is_refused_a_large_one_read),
        cmocka_unit_test(interim_answers_are_bounded),
        cmocka_unit_test(an_answer_cut_anywhere_is_the_same_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
