// SPDX-License-Identifier: Apache-2.0
//
// h1_test.c: heads that are accepted and heads that are refused, a row each.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/h1.h"
#include "net/limits.h"
#include <stdio.h>
#include <stdlib.h>

#define L(text)                                                                                    \
    {                                                                                              \
        .ptr = (text), .len = sizeof(text) - 1                                                     \
    }
#define H "Host: a\r\n"

struct row {
    struct slice head;
    int result; // of h1_head_end when it fails, else of the parser
};

static const struct row requests[] = {
    {L("GET / HTTP/1.1\r\n" H "\r\n"), 0},
    {L("\r\nGET / HTTP/1.1\r\n" H "\r\n"), 0},
    {L("GET /a?b=c|d{e} HTTP/1.1\r\n" H "\r\n"), 0},
    {L("GET http://a.b:80/x?y HTTP/1.1\r\n" H "\r\n"), 0},
    {L("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 0},
    {L("GET / HTTP/1.0\r\n\r\n"), 0},
    {L("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 0},
    {L("GET / HTTP/1.1\r\nHost: [::1]:80\r\nX: \t \r\nY:z\r\n\r\n"), 0},
    {L("GET / HTTP/1.1\r\n" H "X: \xc3\xa4\ttab\r\n\r\n"), 0},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), 0},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 0042\r\n\r\n"), 0},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"), 0},
    {L("POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n"), 0},
    {L("POST / HTTP/1.0\r\nExpect: whatever\r\nContent-Length: 1\r\n\r\n"), 0},
    // Lines.
    {L("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("\nGET / HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1\r\nHost: a\n\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1\r\nHost: a\r\n\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1\r\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("\x16\x03\x01\x02"), ERR_BAD_HEAD},
    // Request line.
    {L("GET  / HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /  HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.1 \r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET\t/\tHTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /\r\n\r\n"), ERR_BAD_HEAD},
    {L("GET / http/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET / HTTP/1.2\r\n" H "\r\n"), ERR_BAD_VERSION},
    {L("GET / HTTP/0.9\r\n" H "\r\n"), ERR_BAD_VERSION},
    {L("PRI * HTTP/2.0\r\n\r\n"), ERR_BAD_VERSION},
    {L("GET / HTTP/1.10\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("get / HTTP/1.1\r\n" H "\r\n"), ERR_BAD_METHOD},
    {L("CONNECT a:80 HTTP/1.1\r\n" H "\r\n"), ERR_BAD_METHOD},
    {L("G(T / HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET * HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET a HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET ftp://a/ HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET http:/// HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET http://u@h/ HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /a#b HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /a\\b HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /\"a HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /?<a HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /\x7f HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    {L("GET /\0 HTTP/1.1\r\n" H "\r\n"), ERR_BAD_HEAD},
    // Fields.
    {L("GET / HTTP/1.1\r\n" H "X : 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X\t: 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H " X: 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n X: 1\r\n" H "\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X: 1\r\n\t2\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H ": 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X(Y: 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X\0: 1\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X: a\x01 b\r\n\r\n"), ERR_BAD_HEADER},
    {L("GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n"), ERR_BAD_HEADER},
    // Host.
    {L("GET / HTTP/1.1\r\n\r\n"), ERR_BAD_HOST},
    {L("GET / HTTP/1.1\r\n" H H "\r\n"), ERR_BAD_HOST},
    {L("GET / HTTP/1.0\r\n" H H "\r\n"), ERR_BAD_HOST},
    {L("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), ERR_BAD_HOST},
    {L("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), ERR_BAD_HOST},
    {L("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ERR_BAD_HOST},
    // Lengths and codings: CL.CL, CL.TE, TE.CL, TE.TE and their disguises.
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1,\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: x\r\nContent-Length: 1\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_LENGTH},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"), ERR_BAD_CODING},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
       "chunked\r\n\r\n"),
     ERR_BAD_HEADER},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), ERR_BAD_HEADER},
    {L("POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"), ERR_BAD_EXPECT},
};

static const struct row answers[] = {
    {L("HTTP/1.1 200 OK\r\n\r\n"), 0},
    {L("HTTP/1.1 200 \r\n\r\n"), 0},
    {L("HTTP/1.1 200\r\n\r\n"), 0},
    {L("HTTP/1.0 529 Over loaded\r\n\r\n"), 0},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"), 0},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"), 0},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n"), ERR_BAD_LENGTH},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n"), ERR_BAD_LENGTH},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), ERR_BAD_LENGTH},
    {L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
     ERR_BAD_LENGTH},
    {L("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), ERR_BAD_CODING},
    {L("HTTP/1.1 2000 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1 20 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1 099 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1 600 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1  200 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1 200 O\x01K\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/2.0 200 OK\r\n\r\n"), ERR_BAD_VERSION},
    {L("\r\nHTTP/1.1 200 OK\r\n\r\n"), ERR_BAD_HEAD},
    {L("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n"), ERR_BAD_HEADER},
};

typedef int (*parse_fn)(struct slice, struct arena *, struct http_head *);

// Every cut of the head must give the same end, and the parser the row's result.
static void check(const struct row *row, parse_fn parse)
{
    struct block_pool pool;
    struct arena arena;
    struct http_head head;
    size_t resume = 0;
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 20);
    ptrdiff_t whole = h1_head_end(row->head, LIMIT_HEAD_BYTES, &resume);
    for (size_t cut = 1; cut < row->head.len; cut++) {
        resume = 0;
        ptrdiff_t n = h1_head_end(slice_take(row->head, cut), LIMIT_HEAD_BYTES, &resume);
        if (n == ERR_MORE)
            n = h1_head_end(row->head, LIMIT_HEAD_BYTES, &resume);
        if (n != whole)
            fail_msg("cut %zu of: %.*s", cut, SLICE_ARG(row->head));
    }
    char *exact = malloc(row->head.len); // so that reading past it is seen
    memcpy(exact, row->head.ptr, row->head.len);
    int rc = whole < 0 ? (int)whole : parse(slice_of(exact, (size_t)whole), &arena, &head);
    if (rc != row->result)
        fail_msg("%s instead of %s for: %.*s", err_name(rc), err_name(row->result),
                 SLICE_ARG(row->head));
    free(exact);
    arena_done(&arena);
    block_pool_done(&pool);
}

static void requests_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        check(&requests[i], h1_parse_request);
}

static void answers_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        check(&answers[i], h1_parse_answer);
}

#define EQ(slice, text) assert_true(slice_eq((slice), SLICE(text)))

static void request_is_taken_apart(void **state)
{
    (void)state;
    struct block_pool pool;
    struct arena arena;
    struct http_head h;
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 20);
    assert_int_equal(h1_parse_request(SLICE("POST http://h:1/p/q?x=1?y HTTP/1.1\r\nHOST: h:1\r\n"
                                            "content-length:  12 \r\nX-One:\ta b\t\r\n"
                                            "Connection: x, Close\r\n\r\n"),
                                      &arena, &h),
                     0);
    assert_int_equal(h.method, HTTP_POST);
    EQ(h.target, "http://h:1/p/q?x=1?y");
    EQ(h.path, "/p/q");
    EQ(h.query, "x=1?y");
    assert_int_equal(h.count, 4);
    assert_int_equal(h.content_length, 12);
    assert_true(h.close && !h.chunked && !h.expect_continue);
    assert_int_equal(h.fields[0].id, HTTP_N_HOST);
    EQ(h.fields[0].name, "HOST");
    assert_int_equal(h.fields[2].id, HTTP_N_OTHER);
    EQ(h.fields[2].value, "a b");
    assert_int_equal(h1_request_framing(&h), H1_LENGTH);
    assert_int_equal(h1_parse_request(SLICE("GET http://h?q HTTP/1.0\r\n\r\n"), &arena, &h), 0);
    EQ(h.path, "/");
    EQ(h.query, "q");
    assert_true(h.close);
    assert_int_equal(h.content_length, -1);
    assert_int_equal(h1_request_framing(&h), H1_NO_BODY);
    assert_int_equal(
        h1_parse_request(SLICE("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), &arena, &h), 0);
    assert_false(h.close);
    arena_done(&arena);
    block_pool_done(&pool);
}

static void answer_framing_follows_rfc_9112(void **state)
{
    (void)state;
    struct http_head h = {.status = 200, .content_length = -1};
    assert_int_equal(h1_answer_framing(&h, HTTP_GET), H1_UNTIL_CLOSE);
    h.chunked = true;
    assert_int_equal(h1_answer_framing(&h, HTTP_GET), H1_CHUNKED);
    assert_int_equal(h1_answer_framing(&h, HTTP_HEAD), H1_NO_BODY);
    h.chunked = false;
    h.content_length = 0;
    assert_int_equal(h1_answer_framing(&h, HTTP_GET), H1_LENGTH);
    h.content_length = 7;
    for (unsigned i = 0; i < 3; i++) {
        h.status = (unsigned[]){204, 304, 101}[i];
        assert_int_equal(h1_answer_framing(&h, HTTP_GET), H1_NO_BODY);
    }
}

static void heads_are_bounded(void **state)
{
    (void)state;
    static char many[LIMIT_HEAD_FIELDS * 8 + 128];
    struct block_pool pool;
    struct arena arena;
    struct http_head h;
    size_t resume = 0;
    struct slice head = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(h1_head_end(head, head.len, &resume), head.len);
    resume = 0;
    assert_int_equal(h1_head_end(head, head.len - 1, &resume), ERR_HEAD_TOO_LARGE);
    resume = 0;
    assert_int_equal(h1_head_end(slice_take(head, 10), 10, &resume), ERR_HEAD_TOO_LARGE);
    block_pool_init(&pool, 4);
    arena_init(&arena, &pool, 1 << 20);
    for (unsigned extra = 0; extra < 2; extra++) {
        int n = snprintf(many, sizeof(many), "GET / HTTP/1.1\r\nHost: a\r\n");
        for (unsigned i = 1; i < LIMIT_HEAD_FIELDS + extra; i++)
            n += snprintf(many + n, sizeof(many) - (size_t)n, "x: y\r\n");
        n += snprintf(many + n, sizeof(many) - (size_t)n, "\r\n");
        assert_int_equal(h1_parse_request(slice_of(many, (size_t)n), &arena, &h),
                         extra ? ERR_HEAD_TOO_LARGE : 0);
    }
    arena_done(&arena);
    block_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_judged),    cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(request_is_taken_apart), cmocka_unit_test(answer_framing_follows_rfc_9112),
        cmocka_unit_test(heads_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
