// SPDX-License-Identifier: Apache-2.0
//
// search_text_test.c: what was said is one text, however many events said it and however a client
// spells its characters.
#include "tests/unit/base/cm.h"

#include "admin/search_text.h"
#include "base/container.h"
#include "base/fold.h"
#include <stdio.h>

static void expect(struct slice request, struct slice answer, bool folded, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    search_text(request, answer, folded, &b);
    assert_int_equal(b.err, 0);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("got  %.*s\nwant %s", SLICE_ARG(buf_slice(&b)), want);
    buf_done(&b);
}

static void escapes_are_resolved(void **state)
{
    (void)state;
    expect(SLICE("{\"a\":\"caf\\u00e9 \\\"x\\\"\\n\\ud83d\\ude00\"}"), SLICE("{\"b\":\"c\\/d\"}"),
           false, "{\"a\":\"café \"x\"\n😀\"}\n{\"b\":\"c/d\"}");
    // What is no escape stays, at the end too.
    expect(SLICE("a\\qb\\u12"), SLICE("\\"), false, "a\\qb\\u12\n\\");
    expect(SLICE_EMPTY, SLICE_EMPTY, false, "\n");
}

static void expect_said(const char *const *events, size_t count, const char *want)
{
    char folded[4096], all[8192];
    struct fold fold = {0};
    size_t len = 0;
    int n = snprintf(all, sizeof(all), "\n%s\n", want);
    for (size_t i = 0; i < count; i++) {
        len += fold_add(&fold, slice_str(events[i]), folded + len);
        n += snprintf(all + n, sizeof(all) - (size_t)n, "%s", events[i]);
    }
    expect(SLICE_EMPTY, slice_of(folded, len), true, all);
}

static void a_stream_is_one_text(void **state)
{
    (void)state;
    static const char *const chat[] = {
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"Mount Ev\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\": \"erest is "
        "\\\"high\\\"\"},\"x\":\"y\"}]}\n\n",
        "data: [DONE]\n\n"};
    expect_said(chat, ARRAY_LEN(chat), "Mount Everest is \"high\"");
    static const char *const messages[] = {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":"
        "\"text_delta\",\"text\":\"one \"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":"
        "\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n"};
    expect_said(messages, ARRAY_LEN(messages), "one {\"a\":");
    static const char *const responses[] = {
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
        "\"item_id\":\"m\",\"delta\":\"Hel\"}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
        "\"item_id\":\"m\",\"delta\":\"lo\"}\n\n"};
    expect_said(responses, ARRAY_LEN(responses), "Hello");
}

// A provider may send anything.
static void broken_events_say_nothing(void **state)
{
    (void)state;
    static const char *const broken[] = {"data: {\"content\":\"never en\n\n",
                                         "data: {\"content\":\"ends in \\\n\n", "data: \"\n\n"};
    expect_said(broken, ARRAY_LEN(broken), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(a_stream_is_one_text),
        cmocka_unit_test(broken_events_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
