// SPDX-License-Identifier: Apache-2.0
//
// anthropic_answer_test.c: whole answers and counts, both ways; malformed ones.
#include "tests/unit/codec/anthropic_desk.h"

static const struct canon_context context = {
    .now_s = 1700000000, .model = {"m-1", 3}, .id = {"req-01", 6}};

static void a_message_is_read(void **state)
{
    static const char text[] =
        " {\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude\","
        "\"content\":[{\"type\":\"text\",\"text\":\"a\",\"citations\":null},{\"type\":"
        "\"server_tool_use\",\"id\":\"s\",\"name\":\"web_search\",\"input\":{\"query\":\"q\"}},"
        "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"web_fetch\",\"input\":{}},"
        "{\"type\":\"web_search_tool_result\",\"content\":[]},{\"type\":\"tool_use\",\"id\":\"t\","
        "\"name\":\"f\",\"input\":{\"a\":1.50}}],\"stop_reason\":\"stop_sequence\","
        "\"stop_sequence\":\"END\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":"
        "200,\"cache_read_input_tokens\":3000,\"output_tokens\":50,\"output_tokens_details\":{"
        "\"thinking_tokens\":7}},\"container\":null}\n";
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_answer(&d.a, slice_str(text)), 0);
    assert_ptr_equal(d.a.from, &dialect_anthropic_messages);
    same(d.a.id, "\"msg_1\"");
    same(d.a.model, "\"claude\"");
    assert_int_equal(d.a.created_s, 0);
    assert_int_equal(d.a.stop, CANON_STOP_SEQUENCE);
    same(d.a.stop_sequence, "\"END\"");
    assert_int_equal(d.a.usage.input_tokens, 3210);
    assert_int_equal(d.a.usage.output_tokens, 50);
    assert_int_equal(d.a.usage.cached_read_tokens, 3000);
    assert_int_equal(d.a.usage.cached_write_tokens, 200);
    assert_int_equal(d.a.usage.reasoning_tokens, 7);
    assert_true(d.a.usage.known && d.a.usage.cached_known && d.a.usage.reasoning_known);
    const struct canon_block *b = d.a.blocks;
    assert_int_equal(b->kind, CANON_TEXT);
    assert_int_equal(b->citations.len, 0);
    b = b->next;
    assert_int_equal(b->kind, CANON_WEB_SEARCH);
    same(b->text, "\"q\"");
    b = b->next;
    assert_int_equal(b->kind, CANON_OPAQUE);
    b = b->next;
    assert_int_equal(b->kind, CANON_OPAQUE);
    b = b->next;
    assert_int_equal(b->kind, CANON_TOOL_CALL);
    same(b->arguments, "{\"a\":1.50}");
    assert_null(b->next);
    desk_close(&d);
}

static void little_is_needed(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_answer(&d.a, SLICE("{\"content\":[]}")), 0);
    assert_int_equal(d.a.stop, CANON_STOP_UNSET);
    assert_false(d.a.usage.known);
    desk_close(&d);
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_answer(
                         &d.a, SLICE("{\"content\":[],\"stop_reason\":\"of_tomorrow\",\"usage\":{"
                                     "\"input_tokens\":1,\"output_tokens\":2,"
                                     "\"cache_read_input_tokens\":null}}")),
                     0);
    assert_int_equal(d.a.stop, CANON_STOP_END);
    assert_true(d.a.usage.known);
    assert_false(d.a.usage.cached_known);
    assert_false(d.a.usage.reasoning_known);
    desk_close(&d);
}

static const struct {
    const char *text;
    int err;
} bad[] = {
    {"", ERR_BAD_JSON},
    {"[]", ERR_BAD_JSON},
    {"{\"content\":[]", ERR_BAD_JSON},
    {"{\"content\":[\"\xff\"]}", ERR_BAD_UTF8},
    {"{}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":\"x\"}", ERR_UPSTREAM_PROTOCOL},
    {"{\"type\":\"error\",\"content\":[]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"type\":7,\"content\":[]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[7]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":7}]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"text\"}]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"text\",\"text\":7}]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"tool_use\",\"name\":\"f\"}]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":[]}]}",
     ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"thinking\"}]}", ERR_UPSTREAM_PROTOCOL},
    {"{\"content\":[{\"type\":\"redacted_thinking\",\"data\":7}]}", ERR_UPSTREAM_PROTOCOL},
};

static void malformed_answers_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct desk d;
        desk_open(&d, DESK_BYTES);
        int rc = anthropic__read_answer(&d.a, slice_str(bad[i].text));
        if (rc != bad[i].err)
            fail_msg("%s: %s", bad[i].text, err_name(rc));
        desk_close(&d);
    }
}

static void write(struct desk *d, const char *want)
{
    assert_int_equal(anthropic__write_answer(&d->a, &context, &d->w), 0);
    same(desk_text(d), want);
    desk_close(d);
}

static struct canon_block *add(struct desk *d, enum canon_block_kind kind, struct slice text)
{
    struct canon_block **tail = &d->a.blocks;
    struct canon_block *b;
    while (*tail)
        tail = &(*tail)->next;
    assert_int_equal(canon_add_block(&d->arena, &d->a.parts, &tail, &b), 0);
    b->kind = kind;
    b->text = text;
    return b;
}

#define FRAME(id, content, stop)                                                                   \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m-1\","            \
    "\"content\":[" content "]," stop
#define NO_USAGE ",\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}"
#define END_TURN "\"stop_reason\":\"end_turn\",\"stop_sequence\":null"

static void an_empty_answer(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    add(&d, CANON_TEXT, SLICE("\"\""));
    add(&d, CANON_WEB_SEARCH, SLICE("\"q\""));
    add(&d, CANON_OPAQUE, SLICE_EMPTY);
    write(&d, FRAME("msg_req-01", "", END_TURN) NO_USAGE);
}

static void ids_change_their_prefix(void **state)
{
    static const char *const ids[][2] = {
        {"\"chatcmpl-aB\"", "aB"},
        {"\"resp_67_8\"", "67_8"},
        {"\"msg_01\"", "01"},
        {"\"plain\"", "plain"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct desk d;
        char want[256];
        desk_open(&d, DESK_BYTES);
        d.a.id = slice_str(ids[i][0]);
        snprintf(want, sizeof(want), FRAME("msg_%s", "", END_TURN) NO_USAGE, ids[i][1]);
        write(&d, want);
    }
}

static void blocks_are_written(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    add(&d, CANON_THINKING, SLICE("\"t\""))->signature = SLICE("\"s\"");
    add(&d, CANON_THINKING, SLICE_EMPTY);
    add(&d, CANON_REDACTED_THINKING, SLICE_EMPTY)->data = SLICE("\"r\"");
    add(&d, CANON_TEXT, SLICE("\"caf\\u00e9\""))->citations = SLICE("[1]");
    d.a.stop = CANON_STOP_PAUSE;
    d.a.usage = (struct canon_usage){.known = true,
                                     .input_tokens = 2312,
                                     .output_tokens = 20,
                                     .cached_read_tokens = 2000,
                                     .cached_write_tokens = 300,
                                     .cached_known = true,
                                     .reasoning_known = true};
    write(
        &d,
        FRAME(
            "msg_req-01",
            "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},"
            "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"},"
            "{\"type\":\"redacted_thinking\",\"data\":\"r\"},"
            "{\"type\":\"text\",\"text\":\"caf\\u00e9\"}",
            "\"stop_reason\":\"pause_turn\",\"stop_sequence\":null") ",\"usage\":{\"input_tokens\":"
                                                                     "12,\"cache_creation_input_"
                                                                     "tokens\":300,"
                                                                     "\"cache_read_input_tokens\":"
                                                                     "2000,\"output_tokens\":20,"
                                                                     "\"output_tokens_details\":{"
                                                                     "\"thinking_tokens\":0}}}");
}

static void a_call_is_an_object_whatever_it_was(void **state)
{
    static const struct {
        const char *arguments;
        bool quoted;
        enum canon_tool_kind tool;
        const char *input;
    } calls[] = {
        {"\"{\\\"a\\\": 1.0}\"", true, CANON_TOOL_FUNCTION, "{\"a\": 1.0}"},
        {"{\"a\":1}", false, CANON_TOOL_FUNCTION, "{\"a\":1}"},
        {"\"\"", true, CANON_TOOL_FUNCTION, "{}"},
        {"", true, CANON_TOOL_FUNCTION, "{}"},
        {"\"{\\\"a\\\"\"", true, CANON_TOOL_FUNCTION, "{\"input\":\"{\\\"a\\\"\"}"},
        {"\"[1]\"", true, CANON_TOOL_FUNCTION, "{\"input\":\"[1]\"}"},
        {"\"SELECT\\n\"", true, CANON_TOOL_CUSTOM, "{\"input\":\"SELECT\\n\"}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        struct desk d;
        char want[512];
        desk_open(&d, DESK_BYTES);
        struct canon_block *b = add(&d, CANON_TOOL_CALL, SLICE_EMPTY);
        b->id = SLICE("\"i\"");
        b->name = SLICE("\"f\"");
        b->arguments = slice_str(calls[i].arguments);
        b->arguments_quoted = calls[i].quoted;
        b->tool = calls[i].tool;
        d.a.stop = CANON_STOP_TOOL;
        snprintf(want, sizeof(want),
                 FRAME("msg_req-01",
                       "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":%s}",
                       "\"stop_reason\":\"tool_use\",\"stop_sequence\":null") NO_USAGE,
                 calls[i].input);
        write(&d, want);
    }
}

static void ends_have_names(void **state)
{
    static const struct {
        enum canon_stop stop;
        const char *sequence;
        bool refusal;
        const char *reason, *written;
    } ends[] = {
        {CANON_STOP_UNSET, "", false, "end_turn", "null"},
        {CANON_STOP_END, "", false, "end_turn", "null"},
        {CANON_STOP_SEQUENCE, "\"END\"", false, "stop_sequence", "\"END\""},
        {CANON_STOP_SEQUENCE, "", false, "end_turn", "null"},
        {CANON_STOP_LENGTH, "", false, "max_tokens", "null"},
        {CANON_STOP_CONTEXT, "", false, "model_context_window_exceeded", "null"},
        {CANON_STOP_TOOL, "", false, "tool_use", "null"},
        {CANON_STOP_FILTER, "", false, "refusal", "null"},
        {CANON_STOP_END, "", true, "refusal", "null"},
        {CANON_STOP_LENGTH, "", true, "max_tokens", "null"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct desk d;
        char want[512];
        desk_open(&d, DESK_BYTES);
        add(&d, ends[i].refusal ? CANON_REFUSAL : CANON_TEXT, SLICE("\"x\""));
        d.a.stop = ends[i].stop;
        d.a.stop_sequence = slice_str(ends[i].sequence);
        snprintf(want, sizeof(want),
                 FRAME("msg_req-01", "{\"type\":\"text\",\"text\":\"x\"}",
                       "\"stop_reason\":\"%s\",\"stop_sequence\":%s") NO_USAGE,
                 ends[i].reason, ends[i].written);
        write(&d, want);
    }
}

static void counts_go_both_ways(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_count(&d.a, SLICE("{\"input_tokens\":2095}")), 0);
    assert_true(d.a.usage.known);
    assert_int_equal(anthropic__write_count(&d.a, &context, &d.w), 0);
    same(desk_text(&d), "{\"input_tokens\":2095}");
    assert_int_equal(anthropic__read_count(&d.a, SLICE("{}")), ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(anthropic__read_count(&d.a, SLICE("{\"input_tokens\":\"7\"}")),
                     ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(anthropic__read_count(&d.a, SLICE("7")), ERR_BAD_JSON);
    d.a.usage.known = false;
    assert_int_equal(anthropic__write_count(&d.a, &context, &d.w), ERR_UPSTREAM_PROTOCOL);
    desk_close(&d);
}

static int through(struct desk *d)
{
    static const char text[] =
        "{\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}"
        ",{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"},"
        "{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"},{\"type\":\"x\"}]}";
    int rc = anthropic__read_answer(&d->a, slice_str(text));
    if (rc)
        return rc;
    d->a.blocks->arguments = SLICE("\"{\\\"a\\\":1}\"");
    d->a.blocks->arguments_quoted = true;
    while (rc == 0 && d->w.len < (size_t)4 * BLOCK_BYTES)
        rc = anthropic__write_answer(&d->a, &context, &d->w);
    return rc;
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    check_memory(through);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_read),
        cmocka_unit_test(little_is_needed),
        cmocka_unit_test(malformed_answers_are_refused),
        cmocka_unit_test(an_empty_answer),
        cmocka_unit_test(ids_change_their_prefix),
        cmocka_unit_test(blocks_are_written),
        cmocka_unit_test(a_call_is_an_object_whatever_it_was),
        cmocka_unit_test(ends_have_names),
        cmocka_unit_test(counts_go_both_ways),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
