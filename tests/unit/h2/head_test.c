// SPDX-License-Identifier: Apache-2.0
//
// head_test.c: which request heads are well-formed (RFC 9113 8.1 to 8.3). Each row is put to head.c
// alone, and on the wire to the whole session: what one of the two layers would let pass must not
// hide what the other does.
#include "toy_h2.h"

static struct toy_h2 toy;

enum { BAD = 0, OK = 1, WHOLE = 2 };

struct row {
    const char *what;
    int expected;
    const char *pairs[16];
};

#define REST ":scheme", "http", ":path", "/", ":authority", "a"

static const struct row rows[] = {
    {"a request", OK, {GET_PAIRS}},
    {"https", OK, {":method", "GET", ":scheme", "https", ":path", "/", ":authority", "a"}},
    {"host instead of :authority",
     OK,
     {":method", "GET", ":scheme", "http", ":path", "/", "host", "a"}},
    {"both, equal but for case", OK, {GET_PAIRS, "host", "A"}},
    {"both, different", BAD, {GET_PAIRS, "host", "b"}},
    {"neither", BAD, {":method", "GET", ":scheme", "http", ":path", "/"}},
    {"two hosts", BAD, {GET_PAIRS, "host", "a", "host", "a"}},
    {"empty host", BAD, {":method", "GET", ":scheme", "http", ":path", "/", "host", ""}},
    {"user information",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@a"}},
    {"two authorities in one",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a,b"}},
    {"no method", BAD, {REST}},
    {"empty method", BAD, {":method", "", REST}},
    {"method with a space", BAD, {":method", "GET /x", REST}},
    {"no scheme", BAD, {":method", "GET", ":path", "/", ":authority", "a"}},
    {"another scheme", BAD, {":method", "GET", ":scheme", "ftp", ":path", "/", ":authority", "a"}},
    {"no path", BAD, {":method", "GET", ":scheme", "http", ":authority", "a"}},
    {"empty path", BAD, {":method", "GET", ":scheme", "http", ":path", "", ":authority", "a"}},
    {"path without slash",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "x", ":authority", "a"}},
    {"path with a line end",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "/\r\nx: y", ":authority", "a"}},
    {"path with a space",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1", ":authority", "a"}},
    {"path with a fragment",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "/#x", ":authority", "a"}},
    {"asterisk with OPTIONS",
     OK,
     {":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "a"}},
    {"asterisk with GET",
     BAD,
     {":method", "GET", ":scheme", "http", ":path", "*", ":authority", "a"}},
    {"query with braces",
     OK,
     {":method", "GET", ":scheme", "http", ":path", "/?q={}", ":authority", "a"}},
    {"method twice", BAD, {":method", "GET", ":method", "GET", REST}},
    {"path twice", BAD, {GET_PAIRS, ":path", "/"}},
    {"pseudo-field of an answer", BAD, {GET_PAIRS, ":status", "200"}},
    {"unknown pseudo-field", BAD, {GET_PAIRS, ":x", "1"}},
    {":protocol", BAD, {GET_PAIRS, ":protocol", "websocket"}},
    {"pseudo-field behind others",
     BAD,
     {":method", "GET", "x", "1", ":scheme", "http", ":path", "/", ":authority", "a"}},
    {"CONNECT", OK, {":method", "CONNECT", ":authority", "a:1"}},
    {"CONNECT with a path",
     BAD,
     {":method", "CONNECT", ":scheme", "http", ":authority", "a:1", ":path", "/"}},
    {"upper case in a name", BAD, {GET_PAIRS, "X-a", "1"}},
    {"space in a name", BAD, {GET_PAIRS, "x a", "1"}},
    {"colon in a name", BAD, {GET_PAIRS, "x:a", "1"}},
    {"line end in a name", BAD, {GET_PAIRS, "x\r\ny", "1"}},
    {"no name", BAD, {GET_PAIRS, "", "1"}},
    {"line end in a value", BAD, {GET_PAIRS, "x", "1\r\ny: 2"}},
    {"control byte in a value", BAD, {GET_PAIRS, "x", "1\x01"}},
    {"space before a value", BAD, {GET_PAIRS, "x", " 1"}},
    {"tab behind a value", BAD, {GET_PAIRS, "x", "1\t"}},
    {"tab inside a value", OK, {GET_PAIRS, "x", "1\t2"}},
    {"empty value", OK, {GET_PAIRS, "x", ""}},
    {"bytes above ASCII", OK, {GET_PAIRS, "x", "\xc3\xa9"}},
    {"connection", BAD, {GET_PAIRS, "connection", "close"}},
    {"keep-alive", BAD, {GET_PAIRS, "keep-alive", "1"}},
    {"proxy-connection", BAD, {GET_PAIRS, "proxy-connection", "close"}},
    {"upgrade", BAD, {GET_PAIRS, "upgrade", "h2c"}},
    {"H2.TE", BAD, {GET_PAIRS, "transfer-encoding", "chunked"}},
    {"te: trailers", OK, {GET_PAIRS, "te", "trailers"}},
    {"te: gzip", BAD, {GET_PAIRS, "te", "gzip"}},
    {"a length", OK, {GET_PAIRS, "content-length", "5"}},
    {"a length, twice", BAD, {GET_PAIRS, "content-length", "5", "content-length", "5"}},
    {"a length with a sign", BAD, {GET_PAIRS, "content-length", "+5"}},
    {"a list of lengths", BAD, {GET_PAIRS, "content-length", "5, 5"}},
    {"a length beyond 63 bits", BAD, {GET_PAIRS, "content-length", "9223372036854775808"}},
    {"a length, and no body", BAD | WHOLE, {GET_PAIRS, "content-length", "5"}},
    {"no length, no body", OK | WHOLE, {GET_PAIRS, "content-length", "0"}},
};

static void head_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        toy_open(&toy, NULL, false);
        struct arena arena;
        arena_init(&arena, &toy.blocks, 1u << 20);
        struct h2_stream s = {.session = &toy.server, .arena = &arena};
        s.head.content_length = -1;
        s.head.whole = (r->expected & WHOLE) != 0;
        for (const char *const *p = r->pairs; *p; p += 2)
            h2__head_add(&s, slice_str(p[0]), slice_str(p[1]));
        if (h2__head_finish(&s) != (r->expected & OK))
            fail_msg("%s", r->what);
        arena_done(&arena);
        toy_close(&toy);
    }
}

static void head_on_the_wire(void **state)
{
    (void)state;
    char block[512];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        toy_start_raw(&toy, NULL);
        unsigned end = r->expected & WHOLE ? NGHTTP2_FLAG_END_STREAM : 0;
        size_t n = toy_block(block, r->pairs);
        (void)toy_frame(&toy, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | end, 1, block, n);
        toy_drain(&toy);
        bool passed = strncmp(toy_text(&toy.log), "head 1 ", 7) == 0;
        if (passed != (bool)(r->expected & OK))
            fail_msg("%s: %s", r->what, toy.log.ptr);
        struct toy_seen seen;
        if (!passed && !toy_saw(&toy, NGHTTP2_RST_STREAM, 0, &seen))
            fail_msg("%s: not reset", r->what);
        if (!passed)
            assert_int_equal(toy_u32(seen.payload), H2_PROTOCOL_ERROR);
        toy_close(&toy);
    }
}

static void a_nul_byte_is_no_end(void **state)
{
    (void)state;
    struct arena arena;
    toy_open(&toy, NULL, false);
    arena_init(&arena, &toy.blocks, 1u << 20);
    struct h2_stream s = {.session = &toy.server, .arena = &arena};
    h2__head_add(&s, SLICE("x"), slice_of("a\0b", 3));
    assert_true(s.malformed);
    s.malformed = false;
    h2__head_add(&s, slice_of("x\0", 2), SLICE("a"));
    assert_true(s.malformed);
    arena_done(&arena);
    toy_close(&toy);
}

static void without_memory_the_owner_hears_so(void **state)
{
    (void)state;
    struct arena arena;
    toy_open(&toy, NULL, false);
    arena_init(&arena, &toy.blocks, BLOCK_BYTES);
    struct h2_stream s = {.session = &toy.server, .arena = &arena};
    for (int i = 0; i < 100; i++)
        h2__head_add(&s, SLICE("x"), SLICE("0123456789012345678901234567890123456789"));
    assert_int_equal(s.head_err, ERR_NOMEM);
    assert_true(h2__head_finish(&s));
    arena_done(&arena);
    toy_close(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_alone),
        cmocka_unit_test(head_on_the_wire),
        cmocka_unit_test(a_nul_byte_is_no_end),
        cmocka_unit_test(without_memory_the_owner_hears_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
