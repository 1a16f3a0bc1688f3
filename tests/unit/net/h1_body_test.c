// SPDX-License-Identifier: Apache-2.0
//
// h1_body_test.c: bodies out of their framing, cut at every position.
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

struct row {
    struct slice wire;
    int result; // 0: complete, ERR_MORE or ERR_BAD_CHUNK
    const char *body;
    size_t behind; // bytes left behind a complete body
};

static const struct row chunked[] = {
    {L("0\r\n\r\n"), 0, "", 0},
    {L("3\r\nabc\r\n0\r\n\r\n"), 0, "abc", 0},
    {L("3\r\nabc\r\n0\r\n\r\nGET /"), 0, "abc", 5},
    {L("000000000000003\r\nabc\r\n0\r\n\r\n"), 0, "abc", 0},
    {L("a\r\n0123456789\r\nB\r\nabcdefghijk\r\n00\r\n\r\n"), 0, "0123456789abcdefghijk", 0},
    {L("3;x=y;z=\"q\"\r\nabc\r\n0;last\r\n\r\n"), 0, "abc", 0},
    {L("3\r\nabc\r\n0\r\nX-T: 1\r\ny:\r\n\r\n!"), 0, "abc", 1},
    {L("3\r\n\r\n\n\r\n0\r\n\r\n"), 0, "\r\n\n", 0},
    {L(""), ERR_MORE, "", 0},
    {L("3\r\nab"), ERR_MORE, "ab", 0},
    {L("3\r\nabc\r\n0\r\n"), ERR_MORE, "abc", 0},
    {L("\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3\r\nabc\n0\r\n\r\n"), ERR_BAD_CHUNK, "abc", 0},
    {L("3\r\nabcd\r\n"), ERR_BAD_CHUNK, "abc", 0},
    {L("3\r\nabc\rx"), ERR_BAD_CHUNK, "abc", 0},
    {L("3\rxabc"), ERR_BAD_CHUNK, "", 0},
    {L("+3\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("-3\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0x3\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L(" 3\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3 \r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3\t;x\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3g\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L(";x\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0000000000000003\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("10000000000000000\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3;a\nb\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3;a\rb\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("3;a\x01\r\nabc\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\n X: 1\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\nX : 1\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\nX\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\n: 1\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\nX: 1\r\n 2\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\nX: a\nY: b\r\n\r\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\n\n"), ERR_BAD_CHUNK, "", 0},
    {L("0\r\n\rx"), ERR_BAD_CHUNK, "", 0},
};

// Feeds `wire` in pieces that end at `a` and `b`; gives the result and what the body was.
static int run(struct h1_body *body, struct slice wire, size_t a, size_t b, char *out,
               size_t *ret_len, size_t *ret_behind)
{
    size_t ends[3] = {a, b, wire.len}, at = 0;
    int rc = ERR_MORE;
    *ret_len = 0;
    for (unsigned i = 0; i < 3 && rc == ERR_MORE; i++) {
        struct slice in = slice_take(slice_skip(wire, at), ends[i] - at), span;
        size_t before = in.len;
        while (!(rc = h1_body_next(body, &in, &span))) {
            if (span.len)
                memcpy(out + *ret_len, span.ptr, span.len);
            *ret_len += span.len;
            if (body->complete)
                break;
        }
        at += before - in.len;
        if (rc == ERR_MORE)
            assert_int_equal(in.len, 0);
    }
    *ret_behind = wire.len - at;
    return rc;
}

static void chunked_at_every_cut(void **state)
{
    (void)state;
    char out[128];
    for (size_t i = 0; i < ARRAY_LEN(chunked); i++) {
        const struct row *row = &chunked[i];
        for (size_t a = 0; a <= row->wire.len; a++) {
            for (size_t b = a; b <= row->wire.len; b++) {
                struct h1_body body;
                size_t len, behind;
                h1_body_init(&body, H1_CHUNKED, 0);
                int rc = run(&body, row->wire, a, b, out, &len, &behind);
                if (rc != row->result)
                    fail_msg("%s at %zu, %zu of: %s", err_name(rc), a, b, row->wire.ptr);
                assert_int_equal(len, strlen(row->body));
                assert_memory_equal(out, row->body, len);
                if (rc == 0)
                    assert_int_equal(behind, row->behind);
            }
        }
    }
}

static void known_length_at_every_cut(void **state)
{
    (void)state;
    struct slice wire = SLICE("0123456789GET /");
    char out[32];
    for (size_t a = 0; a <= wire.len; a++) {
        for (size_t b = a; b <= wire.len; b++) {
            struct h1_body body;
            size_t len, behind;
            h1_body_init(&body, H1_LENGTH, 10);
            assert_int_equal(run(&body, wire, a, b, out, &len, &behind), 0);
            assert_int_equal(len, 10);
            assert_int_equal(behind, 5);
        }
    }
}

static void no_body_is_complete_at_once(void **state)
{
    (void)state;
    struct h1_body body;
    struct slice in = SLICE("next"), span;
    h1_body_init(&body, H1_NO_BODY, 0);
    assert_true(body.complete);
    assert_int_equal(h1_body_next(&body, &in, &span), 0);
    assert_int_equal(span.len, 0);
    assert_int_equal(in.len, 4);
    h1_body_init(&body, H1_LENGTH, 0);
    assert_true(body.complete);
    h1_body_init(&body, H1_UNTIL_CLOSE, 0);
    assert_int_equal(h1_body_next(&body, &in, &span), 0);
    assert_int_equal(span.len, 4);
    assert_false(body.complete);
    assert_int_equal(h1_body_next(&body, &in, &span), ERR_MORE);
}

// One byte at a time, as an attacker would spread it.
static int feed(struct h1_body *body, const char *text, unsigned times)
{
    int rc = ERR_MORE;
    for (unsigned i = 0; i < times && (rc == ERR_MORE || rc == 0); i++) {
        struct slice in = slice_str(text), span;
        do
            rc = h1_body_next(body, &in, &span);
        while (rc == 0 && !body->complete);
    }
    return rc;
}

static void extensions_and_trailers_are_bounded(void **state)
{
    (void)state;
    struct h1_body body;
    h1_body_init(&body, H1_CHUNKED, 0);
    assert_int_equal(feed(&body, "1;", 1), ERR_MORE);
    assert_int_equal(feed(&body, "x", LIMIT_CHUNK_LINE_BYTES - 1), ERR_MORE);
    assert_int_equal(feed(&body, "x", 1), ERR_BAD_CHUNK);
    // Short lines, many of them.
    h1_body_init(&body, H1_CHUNKED, 0);
    assert_int_equal(feed(&body, "1;0123456789\r\nz\r\n", LIMIT_TRAILER_BYTES / 10), ERR_MORE);
    assert_int_equal(feed(&body, "1;0123456789\r\nz\r\n", 1), ERR_BAD_CHUNK);
    h1_body_init(&body, H1_CHUNKED, 0);
    assert_int_equal(feed(&body, "0\r\n", 1), ERR_MORE);
    assert_int_equal(feed(&body, "a: b\r\n", 2000), ERR_BAD_CHUNK);
}

static void chunk_lines_are_hexadecimal(void **state)
{
    (void)state;
    char out[18];
    assert_int_equal(h1_chunk_line(out, 500), 5);
    assert_memory_equal(out, "1f4\r\n", 5);
    assert_int_equal(h1_chunk_line(out, SIZE_MAX), 18);
    assert_memory_equal(out, "ffffffffffffffff\r\n", 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunked_at_every_cut),
        cmocka_unit_test(known_length_at_every_cut),
        cmocka_unit_test(no_body_is_complete_at_once),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(chunk_lines_are_hexadecimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
