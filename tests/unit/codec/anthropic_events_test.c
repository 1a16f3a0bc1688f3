// SPDX-License-Identifier: Apache-2.0
//
// anthropic_events_test.c: which canonical events a provider's stream gives, written a line each.
#include "tests/unit/codec/anthropic_desk.h"

struct listener {
    struct canon_sink sink;
    struct desk desk;
    struct canon_reader reader;
    char text[4096];
    size_t len;
};

static void note(struct listener *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct listener *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof(l->text) - l->len);
    l->len += (size_t)n;
}

static void note_usage(struct listener *l, const struct canon_usage *u)
{
    if (u->known)
        note(l, " %d/%d/%d/%d/%d", (int)u->input_tokens, (int)u->output_tokens,
             u->cached_known ? (int)u->cached_read_tokens : -1, (int)u->cached_write_tokens,
             u->reasoning_known ? (int)u->reasoning_tokens : -1);
}

static int listen(struct canon_sink *self, const struct canon_event *e)
{
    static const char *const names[] = {
        [CANON_START] = "start",     [CANON_BLOCK_START] = "open", [CANON_BLOCK_DELTA] = "delta",
        [CANON_BLOCK_STOP] = "shut", [CANON_STOP] = "stop",        [CANON_USAGE] = "usage",
        [CANON_END] = "end",         [CANON_ERROR] = "error",
    };
    struct listener *l = container_of(self, struct listener, sink);

    note(l, "%s", names[e->kind]);
    if (e->kind == CANON_BLOCK_START || e->kind == CANON_BLOCK_DELTA || e->kind == CANON_BLOCK_STOP)
        note(l, " %u:%d", e->index, (int)e->block);
    if (e->kind == CANON_BLOCK_DELTA)
        note(l, " %d", (int)e->delta);
    if (e->kind == CANON_STOP)
        note(l, " %d", (int)e->stop);
    if (e->kind == CANON_ERROR)
        note(l, " %u %.*s", e->error.status, SLICE_ARG(e->error.type));
    const struct slice texts[] = {e->id,   e->name,          e->model,
                                  e->text, e->stop_sequence, e->error.message};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i].len > 0)
            note(l, " %.*s", SLICE_ARG(texts[i]));
    note_usage(l, &e->usage);
    note(l, "\n");
    return 0;
}

static void listener_open(struct listener *l, size_t bytes_max)
{
    memset(l, 0, sizeof(*l));
    desk_open(&l->desk, bytes_max);
    l->sink.take = listen;
    l->reader.arena = &l->desk.arena;
    l->reader.dialect = &dialect_anthropic_messages;
}

static int hear(struct listener *l, const char *type, const char *data)
{
    const struct sse_event event = {
        .type = slice_str(type), .data = slice_str(data), .has_data = data != NULL};
    return anthropic__read_event(&l->reader, &event, &l->sink);
}

// Events by the type in their data, as `data:` lines alone.
static int hear_all(struct listener *l, const char *const *data)
{
    int rc = 0;
    for (; *data && rc == 0; data++)
        rc = hear(l, "", *data);
    return rc;
}

static void check(const char *const *data, int err, const char *want)
{
    struct listener l;
    listener_open(&l, DESK_BYTES);
    int rc = hear_all(&l, data);
    if (rc != err)
        fail_msg("%s behind\n%s", err_name(rc), l.text);
    same(slice_of(l.text, l.len), want);
    desk_close(&l.desk);
}

#define START                                                                                      \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"c\",\"content\":[],"    \
    "\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":3,\"output_tokens\":1}}}"
#define STARTED "start \"msg_1\" \"c\" 13/1/3/0/-1\n"
#define OPEN(index, block)                                                                         \
    "{\"type\":\"content_block_start\",\"index\":" index ",\"content_block\":" block "}"
#define OPEN_TEXT(index) OPEN(index, "{\"type\":\"text\",\"text\":\"\"}")
#define DELTA(index, delta)                                                                        \
    "{\"type\":\"content_block_delta\",\"index\":" index ",\"delta\":" delta "}"
#define TEXT(index, text) DELTA(index, "{\"type\":\"text_delta\",\"text\":\"" text "\"}")
#define INPUT(index, json)                                                                         \
    DELTA(index, "{\"type\":\"input_json_delta\",\"partial_json\":\"" json "\"}")
#define SHUT(index) "{\"type\":\"content_block_stop\",\"index\":" index "}"
#define MESSAGE_DELTA                                                                              \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}," \
    "\"usage\":{\"output_tokens\":15}}"
#define STOP "{\"type\":\"message_stop\"}"

static void a_stream_of_text(void **state)
{
    (void)state;
    check((const char *const[]){START, "{\"type\":\"ping\"}", OPEN_TEXT("0"), TEXT("0", "a\\n"),
                                TEXT("0", ""), TEXT("0", "b"), SHUT("0"), MESSAGE_DELTA, STOP,
                                NULL},
          0,
          STARTED "open 0:0\ndelta 0:0 0 \"a\\n\"\ndelta 0:0 0 \"b\"\nshut 0:0\nstop 1\n"
                  "usage 13/15/3/0/-1\nend\n");
}

static void lines_name_events_too(void **state)
{
    struct listener l;
    (void)state;
    listener_open(&l, DESK_BYTES);
    assert_int_equal(hear(&l, "", NULL), 0);
    assert_int_equal(hear(&l, "of_tomorrow", "no json"), 0);
    assert_int_equal(hear(&l, "message_start", "{\"message\":{}}"), 0);
    // The line decides.
    assert_int_equal(hear(&l, "content_block_start",
                          "{\"type\":\"message_stop\",\"index\":0,\"content_block\":{\"type\":"
                          "\"text\"}}"),
                     0);
    assert_int_equal(hear(&l, "content_block_stop", "{\"index\":0}"), 0);
    assert_int_equal(hear(&l, "message_stop", "{}"), 0);
    assert_int_equal(hear(&l, "", "[DONE]"), 0);
    assert_int_equal(hear(&l, "ping", "{}"), 0);
    same(slice_of(l.text, l.len), "start\nopen 0:0\nshut 0:0\nend\n");
    desk_close(&l.desk);
}

static void every_kind_of_block(void **state)
{
    (void)state;
    check(
        (const char *const[]){
            START,
            OPEN("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}"),
            DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}"),
            DELTA("0", "{\"type\":\"signature_delta\",\"signature\":\"s\"}"),
            SHUT("0"),
            OPEN("1", "{\"type\":\"redacted_thinking\",\"data\":\"r\"}"),
            SHUT("1"),
            OPEN("2", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\"}"),
            INPUT("2", "{\\\"quer"),
            INPUT("2", "y\\\": \\\"\\\\u00e9 x\\\"}"),
            SHUT("2"),
            OPEN("3", "{\"type\":\"web_search_tool_result\",\"content\":[]}"),
            DELTA("3", "{\"type\":\"text_delta\",\"text\":7}"),
            SHUT("3"),
            OPEN("4", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_fetch\"}"),
            INPUT("4", "{}"),
            SHUT("4"),
            OPEN("5", "{\"type\":\"text\",\"text\":\"early\",\"citations\":[]}"),
            DELTA("5", "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}"),
            DELTA("5", "{\"type\":\"of_tomorrow_delta\",\"x\":1}"),
            SHUT("5"),
            OPEN("6", "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{}}"),
            INPUT("6", ""),
            INPUT("6", "{\\\"a\\\":"),
            INPUT("6", "1}"),
            SHUT("6"),
            OPEN("7", "{\"type\":\"tool_use\",\"id\":\"j\",\"name\":\"g\",\"input\":{\"b\":\"\"}}"),
            SHUT("7"),
            NULL},
        0,
        STARTED "open 0:5\ndelta 0:5 0 \"t\"\ndelta 0:5 1 \"s\"\nshut 0:5\n"
                "open 1:6\ndelta 1:6 2 \"r\"\nshut 1:6\n"
                "open 2:9 \"s\" \"web_search\"\ndelta 2:9 0 \"\\u00e9 x\"\nshut 2:9\n"
                "open 3:0\ndelta 3:0 0 \"early\"\ndelta 3:0 3 {\"url\":\"u\"}\nshut 3:0\n"
                "open 4:7 \"i\" \"f\"\ndelta 4:7 0 \"{\\\"a\\\":\"\ndelta 4:7 0 \"1}\"\nshut 4:7\n"
                "open 5:7 \"j\" \"g\"\ndelta 5:7 0 \"{\\\"b\\\":\\\"\\\"}\"\nshut 5:7\n");
}

static void later_counts_replace_earlier_ones(void **state)
{
    (void)state;
    check(
        (const char *const[]){
            START, "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":5}}",
            "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\","
            "\"stop_sequence\":\"E\"},\"usage\":{\"input_tokens\":12,"
            "\"cache_creation_input_tokens\":2,\"output_tokens\":9,\"output_tokens_details\":{"
            "\"thinking_tokens\":4}}}",
            "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}", STOP, NULL},
        0, STARTED "usage 13/5/3/0/-1\nstop 2 \"E\"\nusage 17/9/3/2/4\nusage 17/9/3/2/4\nend\n");
}

static const struct {
    const char *data[6];
    const char *heard;
} malformed[] = {
    {{"{"}, ""},
    {{"{\"type\":\"message_start\"}"}, ""},
    {{"{\"type\":\"message_start\",\"message\":7}"}, ""},
    {{"{\"type\":\"ping\",\"type\":\"ping\"}"}, ""},
    {{OPEN_TEXT("0")}, ""},
    {{TEXT("0", "x")}, ""},
    {{MESSAGE_DELTA}, ""},
    {{STOP}, ""},
    {{START, START}, STARTED},
    {{START, "{\"type\":\"content_block_start\",\"index\":0}"}, STARTED},
    {{START, OPEN("\"0\"", "{\"type\":\"text\"}")}, STARTED},
    {{START, OPEN("0", "{}")}, STARTED},
    {{START, OPEN("0", "{\"type\":\"tool_use\",\"name\":\"f\"}")}, STARTED},
    {{START, OPEN("0", "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":7}")}, STARTED},
    {{START, TEXT("0", "x")}, STARTED},
    {{START, SHUT("0")}, STARTED},
    {{START, OPEN_TEXT("0"), OPEN_TEXT("1")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), TEXT("1", "x")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), SHUT("1")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), INPUT("0", "{}")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), DELTA("0", "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}")},
     STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), DELTA("0", "{\"type\":\"text_delta\",\"text\":7}")},
     STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), DELTA("0", "{\"type\":\"text_delta\"}")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), DELTA("0", "7")}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), "{\"type\":\"content_block_delta\",\"delta\":{}}"},
     STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), MESSAGE_DELTA}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), STOP}, STARTED "open 0:0\n"},
    {{START, OPEN_TEXT("0"), SHUT("0"), TEXT("0", "x")}, STARTED "open 0:0\nshut 0:0\n"},
    {{START, MESSAGE_DELTA, OPEN_TEXT("0")}, STARTED "stop 1\nusage 13/15/3/0/-1\n"},
};

static void what_is_out_of_order_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        check(malformed[i].data, ERR_BAD_SSE, malformed[i].heard);
}

static void nothing_comes_behind_the_end(void **state)
{
    struct listener l;
    (void)state;
    listener_open(&l, DESK_BYTES);
    assert_int_equal(hear(&l, "message_start", "{\"message\":{}}"), 0);
    assert_int_equal(hear(&l, "message_stop", "{}"), 0);
    assert_int_equal(hear(&l, "message_stop", "{}"), ERR_BAD_SSE);
    assert_int_equal(hear(&l, "message_start", "{\"message\":{}}"), ERR_BAD_SSE);
    desk_close(&l.desk);
}

static void errors_have_a_status(void **state)
{
    static const char *const errors[][2] = {
        {"{\"type\":\"overloaded_error\",\"message\":\"O \\u00e9\"}",
         "error 529 overloaded_error O \xc3\xa9\n"},
        {"{\"type\":\"rate_limit_error\"}", "error 429 rate_limit_error\n"},
        {"{\"type\":\"invalid_request_error\"}", "error 400 invalid_request_error\n"},
        {"{\"type\":\"authentication_error\"}", "error 401 authentication_error\n"},
        {"{\"type\":\"billing_error\"}", "error 402 billing_error\n"},
        {"{\"type\":\"permission_error\"}", "error 403 permission_error\n"},
        {"{\"type\":\"not_found_error\"}", "error 404 not_found_error\n"},
        {"{\"type\":\"request_too_large\"}", "error 413 request_too_large\n"},
        {"{\"type\":\"api_error\"}", "error 500 api_error\n"},
        {"{\"type\":\"timeout_error\"}", "error 504 timeout_error\n"},
        {"{\"type\":\"of_tomorrow\",\"message\":7}", "error 0 of_tomorrow\n"},
        {"7", "error 0 \n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct listener l;
        char data[256];
        listener_open(&l, DESK_BYTES);
        snprintf(data, sizeof(data), "{\"type\":\"error\",\"error\":%s}", errors[i][0]);
        assert_int_equal(hear(&l, "error", data), 0);
        same(slice_of(l.text, l.len), errors[i][1]);
        desk_close(&l.desk);
    }
}

static void blocks_and_queries_have_a_limit(void **state)
{
    struct listener l;
    char data[128];
    (void)state;
    listener_open(&l, DESK_BYTES);
    assert_int_equal(hear(&l, "", START), 0);
    for (unsigned i = 0; i < CANON_STREAM_BLOCKS_MAX; i++) {
        snprintf(data, sizeof(data), OPEN("%u", "{\"type\":\"of_tomorrow\"}"), i);
        assert_int_equal(hear(&l, "", data), 0);
        snprintf(data, sizeof(data), SHUT("%u"), i);
        assert_int_equal(hear(&l, "", data), 0);
    }
    assert_int_equal(hear(&l, "", OPEN("9999", "{\"type\":\"of_tomorrow\"}")), ERR_LIMIT);
    desk_close(&l.desk);

    // A query that is too long is not told; the search is.
    listener_open(&l, DESK_BYTES);
    assert_int_equal(hear(&l, "", START), 0);
    assert_int_equal(
        hear(&l, "",
             OPEN("0", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\"}")),
        0);
    assert_int_equal(hear(&l, "", INPUT("0", "{\\\"query\\\":\\\"")), 0);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(hear(&l, "", INPUT("0", "0123456789")), 0);
    assert_int_equal(hear(&l, "", INPUT("0", "\\\"}")), 0);
    assert_int_equal(hear(&l, "", SHUT("0")), 0);
    same(slice_of(l.text, l.len), STARTED "open 0:9 \"s\" \"web_search\"\nshut 0:9\n");
    desk_close(&l.desk);
}

static int refuse(struct canon_sink *self, const struct canon_event *e)
{
    (void)self;
    return e->kind == CANON_BLOCK_DELTA ? ERR_LIMIT : 0;
}

static void the_sinks_error_is_passed_on(void **state)
{
    struct listener l;
    (void)state;
    listener_open(&l, DESK_BYTES);
    l.sink.take = refuse;
    assert_int_equal(hear_all(&l, (const char *const[]){START, OPEN_TEXT("0"), NULL}), 0);
    assert_int_equal(hear(&l, "", TEXT("0", "x")), ERR_LIMIT);
    desk_close(&l.desk);
}

static void memory_may_run_out(void **state)
{
    struct listener l;
    (void)state;
    listener_open(&l, 0);
    assert_int_equal(hear(&l, "", START), 0);
    assert_int_equal(
        hear(&l, "",
             OPEN("0", "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\"}")),
        ERR_NOMEM);
    desk_close(&l.desk);
    listener_open(&l, 0);
    assert_int_equal(hear(&l, "", START), 0);
    assert_int_equal(
        hear(&l, "",
             OPEN("0", "{\"type\":\"tool_use\",\"id\":\"s\",\"name\":\"f\",\"input\":{\"a\":1}}")),
        ERR_NOMEM);
    assert_int_equal(hear(&l, "error", "{\"error\":{\"type\":\"e\\n\"}}"), ERR_NOMEM);
    desk_close(&l.desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_text),
        cmocka_unit_test(lines_name_events_too),
        cmocka_unit_test(every_kind_of_block),
        cmocka_unit_test(later_counts_replace_earlier_ones),
        cmocka_unit_test(what_is_out_of_order_is_malformed),
        cmocka_unit_test(nothing_comes_behind_the_end),
        cmocka_unit_test(errors_have_a_status),
        cmocka_unit_test(blocks_and_queries_have_a_limit),
        cmocka_unit_test(the_sinks_error_is_passed_on),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
