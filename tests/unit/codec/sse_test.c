// SPDX-License-Identifier: Apache-2.0
//
// Streams cut everywhere: the events and the bytes must not depend on it.
#include "codec/sse.h"

#include "base/container.h"
#include "base/err.h"
#include "base/prng.h"
#include "tests/support/sse_model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_slice(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

static struct sse_splitter fed(const char *span)
{
    struct sse_splitter s;
    sse_init(&s);
    sse_feed(&s, slice_str(span));
    return s;
}

static void test_an_event_in_the_span_is_a_slice_of_it(void **state)
{
    (void)state;
    const char *span = "event: a\ndata: 1\n\ndata:2\n\nda";
    struct sse_splitter s = fed(span);
    struct sse_event event;
    assert_int_equal(sse_next(&s, &event), 0);
    assert_ptr_equal(event.raw.ptr, span);
    assert_slice(event.raw, "event: a\ndata: 1\n\n");
    assert_slice(event.type, "a");
    assert_slice(event.data, "1");
    assert_true(event.has_data);
    assert_int_equal(sse_next(&s, &event), 0);
    assert_ptr_equal(event.raw.ptr, span + 18);
    assert_slice(event.data, "2");
    assert_int_equal(event.type.len, 0);
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_true(sse_partial(&s));
    sse_done(&s);
}

static void test_an_event_cut_in_two_is_gathered(void **state)
{
    (void)state;
    struct sse_splitter s = fed("data: one\n\ndata: t");
    struct sse_event event;
    assert_int_equal(sse_next(&s, &event), 0);
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_true(sse_partial(&s));
    sse_feed(&s, SLICE("wo\n\ndata: three\n\n"));
    assert_int_equal(sse_next(&s, &event), 0);
    assert_slice(event.raw, "data: two\n\n");
    assert_slice(event.data, "two");
    assert_true(s.in.len > 0);
    assert_int_equal(sse_next(&s, &event), 0);
    assert_slice(event.data, "three");
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_false(sse_partial(&s));
    sse_done(&s);
}

static void test_an_event_given_from_the_carry_is_not_partial(void **state)
{
    (void)state;
    struct sse_splitter s = fed("data: x\n");
    struct sse_event event;
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_true(sse_partial(&s));
    sse_feed(&s, SLICE("\n"));
    assert_int_equal(sse_next(&s, &event), 0);
    assert_false(sse_partial(&s));
    sse_done(&s);
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *type;
        const char *data;
        bool has_data;
    } rows[] = {
        {"data: x\n\n", "", "x", true},
        {"data:x\n\n", "", "x", true},
        {"data:  x \n\n", "", " x ", true},
        {"data\n\n", "", "", true},
        {"data:\n\n", "", "", true},
        {"data:\ndata:\n\n", "", "\n", true},
        {"data: a\ndata: b\ndata: c\n\n", "", "a\nb\nc", true},
        {"data: a\rdata\r\ndata:c\n\n", "", "a\n\nc", true},
        {"data: {\"a\":\"b: c\"}\n\n", "", "{\"a\":\"b: c\"}", true},
        {": keep-alive\n\n", "", "", false},
        {":\n\n", "", "", false},
        {"\n", "", "", false},
        {"event: a\nevent: b\n\n", "b", "", false},
        {"event: a\nevent\n\n", "", "", false},
        {"id: 1\nretry: 2\nfoo\nDATA: x\n data: y\ndatax: z\n\n", "", "", false},
        {"event:message_start\ndata: {}\n:c\n\n", "message_start", "{}", true},
        {"\xEF\xBB\xBF"
         "data: x\n\n",
         "", "x", true},
        {"data: \xEF\xBB\xBFx\n\n", "", "\xEF\xBB\xBFx", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sse_splitter s = fed(rows[i].event);
        struct sse_event event;
        assert_int_equal(sse_next(&s, &event), 0);
        assert_slice(event.raw, rows[i].event);
        assert_slice(event.type, rows[i].type);
        assert_slice(event.data, rows[i].data);
        assert_int_equal(event.has_data, rows[i].has_data);
        assert_int_equal(sse_next(&s, &event), ERR_MORE);
        sse_done(&s);
    }
}

static void test_only_the_first_event_has_a_byte_order_mark(void **state)
{
    (void)state;
    struct sse_splitter s = fed("\n\xEF\xBB\xBF"
                                "data: x\n\n");
    struct sse_event event;
    assert_int_equal(sse_next(&s, &event), 0);
    assert_int_equal(sse_next(&s, &event), 0);
    assert_false(event.has_data);
    sse_done(&s);
}

static void test_a_cr_at_the_end_of_a_span_does_not_wait(void **state)
{
    (void)state;
    struct sse_splitter s = fed("data: 1\r\n\r");
    struct sse_event event;
    assert_int_equal(sse_next(&s, &event), 0);
    assert_slice(event.raw, "data: 1\r\n\r");
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_false(sse_partial(&s));
    sse_feed(&s, SLICE("\n"));
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_false(sse_partial(&s)); // a stream may end here
    assert_true(sse_owes_lf(&s));
    sse_feed(&s, SLICE("data: 2\r\r"));
    assert_int_equal(sse_next(&s, &event), 0);
    assert_slice(event.raw, "\ndata: 2\r\r");
    assert_true(sse_begins_with_owed_lf(event.raw));
    assert_slice(event.data, "2");
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_false(sse_owes_lf(&s));
    sse_feed(&s, SLICE("\r")); // no LF: a blank line of its own
    assert_int_equal(sse_next(&s, &event), 0);
    assert_slice(event.raw, "\r");
    sse_done(&s);
}

static const char *const streams[] = {
    "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n",
    "data: 1\r\n\r\nevent: x\r\ndata: 2\r\ndata: 3\r\n\r\n: c\r\n\r\n",
    "data: 1\r\revent: x\rdata: 2\rdata\r\r\r\r",
    "\xEF\xBB\xBF"
    "data: 1\n\r\ndata:2\r\n\ndata: 3\r\r\n\n\r\n\r",
    "\n\n\r\r\n\r\ndata\n\n",
    "event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: ping\ndata: {}\n\npartial: "
    "x\n",
    ":\r\n\r\n:\r\ndata:\r\n\r\n\r\n",
    "\xEF\xBB\xBF\n\ndata: x",
    "data: a\r\n",
    "\r",
};

struct cut {
    size_t at;
    size_t second;
};

static size_t cut_at(void *state, size_t position)
{
    const struct cut *cut = state;
    if (position < cut->at)
        return cut->at - position;
    return position < cut->second ? cut->second - position : SIZE_MAX;
}

static void check_cut(struct slice stream, const struct sse_list *model,
                      size_t (*next_cut)(void *, size_t), void *state)
{
    struct sse_list list = sse_collect(stream, next_cut, state, NULL);
    sse_list_same(model, &list);
    sse_list_done(&list);
    list = sse_collect(stream, next_cut, state, &sse_model_marks);
    sse_list_same(model, &list);
    sse_list_done(&list);
}

static void test_every_cut_gives_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        struct slice stream = slice_str(streams[i]);
        struct sse_list model = sse_model(stream);
        for (size_t at = 0; at <= stream.len; at++) {
            for (size_t second = at; second <= stream.len; second++) {
                struct cut cut = {at, second};
                check_cut(stream, &model, cut_at, &cut);
            }
        }
        sse_list_done(&model);
    }
}

static size_t cut_random(void *state, size_t position)
{
    (void)position;
    return 1 + prng_below(state, prng_below(state, 4) == 0 ? 60 : 4);
}

static void test_random_streams_and_cuts(void **state)
{
    (void)state;
    static const char *const words[] = {"data:",
                                        "data: ",
                                        "event:",
                                        ":",
                                        "x",
                                        "{\"a\":1}",
                                        "\n",
                                        "\n",
                                        "\r\n",
                                        "\r",
                                        "\n\n",
                                        "data",
                                        "\xEF\xBB\xBF",
                                        "data: {\"a\":\"and this is longer\"}\n\n",
                                        "data: {\"u\":1}\n\n"};
    struct prng prng;
    prng_seed(&prng, 20261120);
    for (int round = 0; round < 10000; round++) {
        char text[2048];
        char *p = text;
        unsigned count = (unsigned)prng_below(&prng, 50);
        for (unsigned i = 0; i < count; i++)
            p = stpcpy(p, words[prng_below(&prng, ARRAY_LEN(words))]);
        struct slice stream = slice_of(text, (size_t)(p - text));
        struct sse_list model = sse_model(stream);
        check_cut(stream, &model, cut_random, &prng);
        sse_list_done(&model);
    }
}

static bool is_b(struct slice data)
{
    return slice_eq(data, SLICE("{\"u\":2,\"b\":1}"));
}

static void test_a_run_ends_where_an_event_is_not_plain(void **state)
{
    (void)state;
    static const struct sse_marks marks = {.letter = {'x', 'u'}, .special = is_b};
    static const char *const others[] = {"data: [DONE]\n\n",
                                         "data: {\"u\":2,\"b\":1}\n\n",
                                         "data:{\"a\":1}\n\n",
                                         "data: {\"a\":1} \n\n",
                                         "data: {\"a\":1}\r\n\r\n",
                                         "data: {\"a\":1}\r\r",
                                         "event: a\ndata: {}\n\n",
                                         ": comment\n\n",
                                         "\n",
                                         "data: {\"a\":\ndata: 1}\n\n",
                                         "data: {\"a\":1}\n",
                                         "data: {",
                                         "data: {\"a\":1}\nid: 7\n\n"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        char text[256];
        // The first event is never one of a run: a byte order mark may stand before it.
        size_t n = (size_t)snprintf(text, sizeof(text), "%s%s%s%s", "data: {}\n\n",
                                    "data: {\"u\":1,\"b\":1}\n\n", "data: {}\n\n", others[i]);
        struct sse_splitter s = fed(text);
        struct sse_event event;
        struct slice raw;
        assert_int_equal(sse_next_run(&s, &marks, &raw), 0);
        assert_int_equal(sse_next(&s, &event), 0);
        assert_int_equal(sse_next_run(&s, &marks, &raw), 2);
        assert_ptr_equal(raw.ptr, text + 10);
        assert_int_equal(raw.len, n - 10 - strlen(others[i]));
        assert_int_equal(sse_next_run(&s, &marks, &raw), 0);
        while (sse_next(&s, &event) == 0)
            ;
        sse_done(&s);
    }
}

static void test_an_event_has_a_limit(void **state)
{
    (void)state;
    size_t len = SSE_EVENT_BYTES_MAX;
    char *text = malloc(len + 1);
    memset(text, 'a', len + 1);
    memcpy(text, "data: ", 6);
    memcpy(text + len - 2, "\n\n", 2);
    struct sse_splitter s;
    struct sse_event event;
    sse_init(&s);
    sse_feed(&s, slice_of(text, len));
    assert_int_equal(sse_next(&s, &event), 0);
    assert_int_equal(event.data.len, len - 8);
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    // One byte more, whole and in pieces.
    memcpy(text + len - 2, "a\n\n", 3);
    sse_feed(&s, slice_of(text, len + 1));
    assert_int_equal(sse_next(&s, &event), ERR_BAD_SSE);
    assert_int_equal(sse_next(&s, &event), ERR_BAD_SSE);
    sse_done(&s);
    sse_init(&s);
    sse_feed(&s, slice_of(text, len / 2));
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    sse_feed(&s, slice_of(text + len / 2, len / 2 + 1));
    assert_int_equal(sse_next(&s, &event), ERR_BAD_SSE);
    sse_done(&s);
    free(text);
}

static void test_memory_of_a_large_event_is_given_back(void **state)
{
    (void)state;
    size_t len = 4 * SSE_KEEP_BYTES;
    char *text = malloc(len);
    memset(text, 'a', len);
    memcpy(text, "data: b\ndata: ", 14);
    struct sse_splitter s;
    struct sse_event event;
    sse_init(&s);
    sse_feed(&s, slice_of(text, len));
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    sse_feed(&s, SLICE("\n\n"));
    assert_int_equal(sse_next(&s, &event), 0);
    assert_true(event.data.len > 3 * SSE_KEEP_BYTES);
    assert_int_equal(sse_next(&s, &event), ERR_MORE);
    assert_int_equal(s.carry.cap, 0);
    assert_int_equal(s.joined.cap, 0);
    sse_done(&s);
    sse_done(NULL);
    free(text);
}

static void test_done_marker(void **state)
{
    (void)state;
    assert_true(sse_is_done_marker(SLICE("[DONE]")));
    assert_false(sse_is_done_marker(SLICE("[DONE] ")));
    assert_false(sse_is_done_marker(SLICE_EMPTY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_event_in_the_span_is_a_slice_of_it),
        cmocka_unit_test(test_an_event_cut_in_two_is_gathered),
        cmocka_unit_test(test_an_event_given_from_the_carry_is_not_partial),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_only_the_first_event_has_a_byte_order_mark),
        cmocka_unit_test(test_a_cr_at_the_end_of_a_span_does_not_wait),
        cmocka_unit_test(test_every_cut_gives_the_same),
        cmocka_unit_test(test_random_streams_and_cuts),
        cmocka_unit_test(test_a_run_ends_where_an_event_is_not_plain),
        cmocka_unit_test(test_an_event_has_a_limit),
        cmocka_unit_test(test_memory_of_a_large_event_is_given_back),
        cmocka_unit_test(test_done_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
