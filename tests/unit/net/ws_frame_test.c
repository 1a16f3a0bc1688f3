// SPDX-License-Identifier: Apache-2.0
//
// ws_frame_test.c: frames by the examples of RFC 6455 5.7, and what a peer may do wrong.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/ws_frame.h"
#include <stdio.h>
#include <stdlib.h>

// What a stream of frames came to, as one line: "text(Hel" … "lo)", "ping(x)", "close(1000,why)".
struct outcome {
    char log[512];
    int rc;
    unsigned code;
};

static void note(struct outcome *o, struct slice s)
{
    size_t at = strlen(o->log);
    assert_true(at + s.len < sizeof(o->log));
    memcpy(o->log + at, s.ptr, s.len);
    o->log[at + s.len] = '\0';
}

static void note_event(struct outcome *o, const struct ws_event *e)
{
    static const char *const names[] = {"", "ping(", "pong(", "close("};
    char code[16];
    if (e->type == WS_EVENT_DATA && e->first)
        note(o, e->opcode == WS_TEXT ? SLICE("text(") : SLICE("binary("));
    if (e->type != WS_EVENT_DATA)
        note(o, slice_str(names[e->type]));
    if (e->type == WS_EVENT_CLOSE)
        note(o, slice_of(code, (size_t)snprintf(code, sizeof(code), "%u,", e->code)));
    note(o, e->bytes);
    if (e->type != WS_EVENT_DATA || e->last)
        note(o, SLICE(")"));
}

// In pieces of `piece` bytes each, which are copies of their own size: nothing beyond is touched.
static struct outcome read_in(enum ws_role role, const struct ws_limits *limits, struct slice wire,
                              size_t piece)
{
    struct outcome o = {.rc = ERR_MORE};
    struct ws_parser p;
    struct ws_event e;
    ws_parser_init(&p, role, limits);
    while (wire.len > 0 && o.rc == ERR_MORE) {
        struct slice part = slice_take(wire, piece);
        char *copy = malloc(part.len);
        memcpy(copy, part.ptr, part.len);
        struct slice in = slice_of(copy, part.len);
        while ((o.rc = ws_parser_next(&p, &in, &e)) == 0)
            note_event(&o, &e);
        free(copy);
        wire = slice_skip(wire, piece);
    }
    o.code = ws_parser_code(&p);
    return o;
}

#define BYTES(literal) slice_of(literal, sizeof(literal) - 1)

static void expect(enum ws_role role, struct slice wire, const char *log)
{
    for (size_t piece = 1; piece <= wire.len; piece++) {
        struct outcome o = read_in(role, NULL, wire, piece);
        assert_int_equal(o.rc, ERR_MORE);
        assert_string_equal(o.log, log);
    }
}

static void rfc_examples_read(void **state)
{
    (void)state;
    expect(WS_CLIENT, BYTES("\x81\x05Hello"), "text(Hello)");
    expect(WS_SERVER, BYTES("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text(Hello)");
    expect(WS_CLIENT, BYTES("\x01\x03Hel\x80\x02lo"), "text(Hello)");
    expect(WS_CLIENT, BYTES("\x89\x05Hello"), "ping(Hello)");
    expect(WS_SERVER, BYTES("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong(Hello)");
}

static void rfc_long_lengths_read(void **state)
{
    static char wire[10 + 65536];
    struct ws_parser p;
    struct ws_event e;
    (void)state;
    // 256 bytes: 82 7E 0100; 64 KiB: 82 7F 0000000000010000.
    memcpy(wire, "\x82\x7e\x01\x00", 4);
    struct slice in = slice_of(wire, 4 + 256);
    ws_parser_init(&p, WS_CLIENT, NULL);
    assert_int_equal(ws_parser_next(&p, &in, &e), 0);
    assert_int_equal(e.bytes.len, 256);
    assert_true(e.first && e.last && e.opcode == WS_BINARY);
    memcpy(wire, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
    in = slice_of(wire, 10 + 65536);
    assert_int_equal(ws_parser_next(&p, &in, &e), 0);
    assert_int_equal(e.bytes.len, 65536);
    assert_true(e.last && in.len == 0);
}

static void control_frames_stand_between_fragments(void **state)
{
    (void)state;
    expect(WS_CLIENT, BYTES("\x01\x03Hel\x89\x01x\x8a\x00\x80\x02lo\x81\x01!"),
           "text(Helping(x)pong()lo)text(!)");
    expect(WS_CLIENT, BYTES("\x01\x00\x00\x00\x80\x00"), "text()");
}

static void closes_are_read(void **state)
{
    (void)state;
    expect(WS_CLIENT, BYTES("\x88\x00"), "close(1005,)");
    expect(WS_CLIENT, BYTES("\x88\x05\x03\xe8why"), "close(1000,why)");
    expect(WS_CLIENT, BYTES("\x88\x02\x13\x87"), "close(4999,)");
}

// A character over the border of fragments is whole: U+1F600 is f0 9f 98 80.
static void utf8_goes_on_over_fragments(void **state)
{
    (void)state;
    expect(WS_CLIENT, BYTES("\x01\x02\xf0\x9f\x89\x00\x80\x02\x98\x80"),
           "text(\xf0\x9fping()\x98\x80)");
    expect(WS_CLIENT, BYTES("\x82\x02\xff\xfe"), "binary(\xff\xfe)");
}

struct violation {
    const char *what;
    struct slice wire;
    unsigned code;
    enum ws_role role;
};

#define BAD(what, wire, code, role)                                                                \
    {                                                                                              \
        what, {wire, sizeof(wire) - 1}, code, role                                                 \
    }

static const struct violation violations[] = {
    BAD("RSV1 without an extension", "\xc1\x00", 1002, WS_CLIENT),
    BAD("RSV2", "\xa1\x00", 1002, WS_CLIENT),
    BAD("RSV3", "\x91\x00", 1002, WS_CLIENT),
    BAD("RSV1 of a control frame", "\xc9\x00", 1002, WS_CLIENT),
    BAD("opcode 3", "\x83\x00", 1002, WS_CLIENT),
    BAD("opcode 7", "\x87\x00", 1002, WS_CLIENT),
    BAD("opcode 11", "\x8b\x00", 1002, WS_CLIENT),
    BAD("opcode 15", "\x8f\x00", 1002, WS_CLIENT),
    BAD("a client's frame without mask", "\x81\x00", 1002, WS_SERVER),
    BAD("a server's frame with mask", "\x81\x80", 1002, WS_CLIENT),
    BAD("a fragmented ping", "\x09\x00", 1002, WS_CLIENT),
    BAD("a fragmented close", "\x08\x00", 1002, WS_CLIENT),
    BAD("a ping of 126 bytes", "\x89\x7e", 1002, WS_CLIENT),
    BAD("a ping with a 64-bit length", "\x89\x7f", 1002, WS_CLIENT),
    BAD("125 in 16 bits", "\x82\x7e\x00\x7d", 1002, WS_CLIENT),
    BAD("65535 in 64 bits", "\x82\x7f\0\0\0\0\0\0\xff\xff", 1002, WS_CLIENT),
    BAD("the top bit of a length", "\x82\x7f\x80\0\0\0\0\0\0\0", 1002, WS_CLIENT),
    BAD("a length past all bounds", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009, WS_CLIENT),
    BAD("a continuation of nothing", "\x80\x00", 1002, WS_CLIENT),
    BAD("a continuation behind a whole one", "\x81\x01x\x80\x00", 1002, WS_CLIENT),
    BAD("a message inside another", "\x01\x01x\x81\x01y", 1002, WS_CLIENT),
    BAD("a close of one byte", "\x88\x01\x03", 1002, WS_CLIENT),
    BAD("close code 0", "\x88\x02\x00\x00", 1002, WS_CLIENT),
    BAD("close code 999", "\x88\x02\x03\xe7", 1002, WS_CLIENT),
    BAD("close code 1004", "\x88\x02\x03\xec", 1002, WS_CLIENT),
    BAD("close code 1005", "\x88\x02\x03\xed", 1002, WS_CLIENT),
    BAD("close code 1006", "\x88\x02\x03\xee", 1002, WS_CLIENT),
    BAD("close code 1015", "\x88\x02\x03\xf7", 1002, WS_CLIENT),
    BAD("close code 2999", "\x88\x02\x0b\xb7", 1002, WS_CLIENT),
    BAD("close code 5000", "\x88\x02\x13\x88", 1002, WS_CLIENT),
    BAD("a reason that is not UTF-8", "\x88\x03\x03\xe8\xff", 1007, WS_CLIENT),
    BAD("a reason that ends in a character", "\x88\x03\x03\xe8\xc3", 1007, WS_CLIENT),
    BAD("a text that is not UTF-8", "\x81\x01\xff", 1007, WS_CLIENT),
    BAD("its first bad byte, frame not whole",
        "\x81\x7d"
        "a\xff",
        1007, WS_CLIENT),
    BAD("a lone continuation byte", "\x81\x01\x80", 1007, WS_CLIENT),
    BAD("an overlong slash", "\x81\x02\xc0\xaf", 1007, WS_CLIENT),
    BAD("an overlong one of three", "\x81\x03\xe0\x9f\xbf", 1007, WS_CLIENT),
    BAD("a surrogate", "\x81\x03\xed\xa0\x80", 1007, WS_CLIENT),
    BAD("past U+10FFFF", "\x81\x04\xf4\x90\x80\x80", 1007, WS_CLIENT),
    BAD("a text that ends in a character",
        "\x81\x02"
        "a\xc3",
        1007, WS_CLIENT),
    BAD("the same over fragments",
        "\x01\x01\xc3\x80\x01"
        "a",
        1007, WS_CLIENT),
};

static void violations_have_their_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(violations) / sizeof(violations[0]); i++) {
        const struct violation *v = &violations[i];
        for (size_t piece = 1; piece <= v->wire.len; piece++) {
            struct outcome o = read_in(v->role, NULL, v->wire, piece);
            if (o.rc != ERR_BAD_FRAME || o.code != v->code)
                print_error("%s, by %zu: %d, %u\n", v->what, piece, o.rc, o.code);
            assert_int_equal(o.rc, ERR_BAD_FRAME);
            assert_int_equal(o.code, v->code);
        }
    }
}

static void limits_end_in_1009(void **state)
{
    struct ws_limits limits = {.message_bytes = 8, .frame_bytes = 6, .fragments = 3};
    (void)state;
    struct outcome o = read_in(WS_CLIENT, &limits, BYTES("\x82\x07"), 9);
    assert_int_equal(o.code, 1009); // a frame
    o = read_in(WS_CLIENT, &limits,
                BYTES("\x02\x06"
                      "123456\x80\x03"),
                99);
    assert_int_equal(o.code, 1009); // a message
    assert_string_equal(o.log, "binary(123456");
    o = read_in(WS_CLIENT, &limits,
                BYTES("\x02\x06"
                      "123456\x80\x02"
                      "78"),
                99);
    assert_string_equal(o.log, "binary(12345678)"); // as large as it may be
    o = read_in(WS_CLIENT, &limits, BYTES("\x02\x00\x00\x00\x00\x00\x00\x00"), 99);
    assert_int_equal(o.code, 1009); // fragments
}

static void a_failure_stays(void **state)
{
    struct ws_parser p;
    struct ws_event e;
    struct slice bad = BYTES("\x83\x00"), good = BYTES("\x81\x00");
    (void)state;
    ws_parser_init(&p, WS_CLIENT, NULL);
    assert_int_equal(ws_parser_next(&p, &bad, &e), ERR_BAD_FRAME);
    assert_int_equal(ws_parser_next(&p, &good, &e), ERR_BAD_FRAME);
    assert_int_equal(ws_parser_code(&p), 1002);
}

static void masking_is_the_same_in_any_pieces(void **state)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    char whole[64], parts[64];
    (void)state;
    for (size_t cut = 0; cut <= sizeof(whole); cut++) {
        for (size_t i = 0; i < sizeof(whole); i++)
            whole[i] = parts[i] = (char)(i * 7);
        assert_int_equal(ws_mask(whole, sizeof(whole), key, 0), 0);
        unsigned phase = ws_mask(parts, cut, key, 0);
        assert_int_equal(phase, cut % 4);
        (void)ws_mask(parts + cut, sizeof(parts) - cut, key, phase);
        for (size_t i = 0; i < sizeof(whole); i++)
            assert_int_equal((uint8_t)whole[i], (uint8_t)(i * 7) ^ key[i % 4]);
        assert_memory_equal(whole, parts, sizeof(whole));
    }
}

static void heads_are_written_in_the_shortest_form(void **state)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    char out[WS_HEAD_BYTES + WS_CONTROL_BYTES];
    (void)state;
    assert_int_equal(ws_frame_head(out, WS_TEXT, true, 125, NULL), 2);
    assert_memory_equal(out, "\x81\x7d", 2);
    assert_int_equal(ws_frame_head(out, WS_BINARY, false, 126, NULL), 4);
    assert_memory_equal(out, "\x02\x7e\x00\x7e", 4);
    assert_int_equal(ws_frame_head(out, WS_CONTINUATION, true, 65535, NULL), 4);
    assert_memory_equal(out, "\x80\x7e\xff\xff", 4);
    assert_int_equal(ws_frame_head(out, WS_BINARY, true, 65536, NULL), 10);
    assert_memory_equal(out, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
    assert_int_equal(ws_frame_head(out, WS_TEXT, true, 5, key), 6);
    assert_memory_equal(out, "\x81\x85\x37\xfa\x21\x3d", 6);
    assert_int_equal(ws_frame_control(out, WS_PONG, SLICE("Hello"), key), 11);
    assert_memory_equal(out, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
}

static void a_reason_is_cut_between_characters(void **state)
{
    char out[WS_CONTROL_BYTES], reason[200];
    (void)state;
    assert_int_equal(ws_close_payload(out, WS_CODE_NONE, SLICE("x")), 0);
    assert_int_equal(ws_close_payload(out, WS_CODE_AWAY, SLICE("bye")), 5);
    assert_memory_equal(out,
                        "\x03\xe9"
                        "bye",
                        5);
    for (size_t i = 0; i < sizeof(reason); i += 2)
        memcpy(reason + i, "\xc3\xa9", 2);
    // 123 bytes of room, two a character: 61 of them.
    assert_int_equal(ws_close_payload(out, WS_CODE_NORMAL, slice_of(reason, sizeof(reason))), 124);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_examples_read),
        cmocka_unit_test(rfc_long_lengths_read),
        cmocka_unit_test(control_frames_stand_between_fragments),
        cmocka_unit_test(closes_are_read),
        cmocka_unit_test(utf8_goes_on_over_fragments),
        cmocka_unit_test(violations_have_their_codes),
        cmocka_unit_test(limits_end_in_1009),
        cmocka_unit_test(a_failure_stays),
        cmocka_unit_test(masking_is_the_same_in_any_pieces),
        cmocka_unit_test(heads_are_written_in_the_shortest_form),
        cmocka_unit_test(a_reason_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
