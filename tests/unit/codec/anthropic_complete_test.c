// SPDX-License-Identifier: Apache-2.0
//
// anthropic_complete_test.c: text completions of both kinds, one made from the other.
#include "tests/unit/codec/anthropic_desk.h"

#define T anthropic__complete_translation

static const struct canon_context context = {.model = {"m-1", 3}, .id = {"req-01", 6}};

// ---- Requests ----------------------------------------------------------------------------------

static void the_wrapping_is_taken_off_a_single_turn(void **state)
{
    static const char *const prompts[][2] = {
        {"\"\\n\\nHuman: Hi \\u00e9\\n\\nAssistant:\"", "\"Hi \\u00e9\""},
        {"\"\\n\\nHuman:Hi\\n\\nAssistant:\"", "\"Hi\""},
        {"\"\\n\\nHuman:\\n\\nAssistant:\"", "\"\""},
        // No wrapping, half of one, one with words put into Claude's mouth, a conversation.
        {"\"Hi\"", "\"Hi\""},
        {"\"\\n\\nHuman: Hi\"", "\"\\n\\nHuman: Hi\""},
        {"\"\\n\\nHuman: Hi\\n\\nAssistant: So\"", "\"\\n\\nHuman: Hi\\n\\nAssistant: So\""},
        {"\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant:\"",
         "\"\\n\\nHuman: a\\n\\nAssistant: b\\n\\nHuman: c\\n\\nAssistant:\""},
        // The backslash of a mark may belong to the escape before it: "…\\" and "n".
        {"\"\\n\\nHuman: Hi\\\\n\\nAssistant:\"", "\"\\n\\nHuman: Hi\\\\n\\nAssistant:\""},
        {"\"\\n\\nHuman: a\\\\n\\nHuman:\\n\\nAssistant:\"", "\"a\\\\n\\nHuman:\""},
        {"\"\\n\\nHuman: a\\\\\\n\\nAssistant:\"", "\"a\\\\\""},
        {"\"\"", "\"\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
        struct desk d;
        char text[256];
        desk_open(&d, DESK_BYTES);
        snprintf(text, sizeof(text), "{\"prompt\":%s}", prompts[i][0]);
        assert_int_equal(T.read_request(&d.r, slice_str(text)), 0);
        same(d.r.prompt, prompts[i][1]);
        assert_null(d.r.messages);
        desk_close(&d);
    }
}

static void parameters_are_read(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(
        T.read_request(&d.r, SLICE("{\"model\":\"m\",\"prompt\":\"p\",\"max_tokens_to_sample\":9,"
                                   "\"stop_sequences\":[\"E\"],\"temperature\":0.5,\"top_p\":0.9,"
                                   "\"top_k\":3,\"metadata\":{\"user_id\":\"u\"},\"stream\":true,"
                                   "\"zeal\":1}")),
        0);
    same(d.r.param[CANON_P_MAX_TOKENS], "9");
    same(d.r.param[CANON_P_STOP], "[\"E\"]");
    same(d.r.param[CANON_P_TEMPERATURE], "0.5");
    same(d.r.param[CANON_P_TOP_P], "0.9");
    same(d.r.param[CANON_P_TOP_K], "3");
    same(d.r.param[CANON_P_USER], "\"u\"");
    assert_true(d.r.stream);
    same(d.r.extra->name, "zeal");
    assert_ptr_equal(d.r.from, &dialect_anthropic_complete);
    desk_close(&d);
}

static const struct {
    const char *text;
    int err;
    const char *param;
} bad[] = {
    {"{}", ERR_MISSING, "prompt"},
    {"{\"prompt\":[\"a\"]}", ERR_BAD_TYPE, "prompt"},
    {"{\"prompt\":\"\",\"max_tokens_to_sample\":\"1\"}", ERR_BAD_TYPE, "max_tokens_to_sample"},
    {"{\"prompt\":\"\",\"stop_sequences\":\"E\"}", ERR_BAD_TYPE, "stop_sequences"},
    {"{\"prompt\":\"\",\"metadata\":{\"user_id\":1}}", ERR_BAD_TYPE, "metadata.user_id"},
    {"{\"prompt\":\"\",\"stream\":1}", ERR_BAD_TYPE, "stream"},
};

static void badly_typed_members_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct desk d;
        desk_open(&d, DESK_BYTES);
        assert_int_equal(T.read_request(&d.r, slice_str(bad[i].text)), bad[i].err);
        same(d.r.refusal.param, bad[i].param);
        desk_close(&d);
    }
}

static void write(struct desk *d, const char *want, const char *dropped)
{
    assert_int_equal(T.write_request(&d->r, SLICE("claude-2"), &d->w), 0);
    same(desk_text(d), want);
    same(desk_dropped(d), dropped);
    desk_close(d);
}

static void as_text(struct desk *d, const char *prompt)
{
    desk_open(d, DESK_BYTES);
    d->r.from = &dialect_openai_text;
    d->r.prompt = slice_str(prompt);
}

static void requests_are_written(void **state)
{
    struct desk d;
    (void)state;
    as_text(&d, "\"Hi \\\"x\\\"\"");
    write(&d,
          "{\"model\":\"claude-2\",\"prompt\":\"\\n\\nHuman: Hi \\\"x\\\"\\n\\nAssistant:\","
          "\"max_tokens_to_sample\":4096}",
          "");
    as_text(&d, "\"\\n\\nHuman: a\\n\\nAssistant: b\"");
    write(&d,
          "{\"model\":\"claude-2\",\"prompt\":\"\\n\\nHuman: a\\n\\nAssistant: b\","
          "\"max_tokens_to_sample\":4096}",
          "");
    as_text(&d, "\"p\"");
    d.r.param[CANON_P_MAX_TOKENS] = SLICE("9");
    d.r.param[CANON_P_TEMPERATURE] = SLICE("1.5");
    d.r.param[CANON_P_TOP_P] = SLICE("0.9");
    d.r.param[CANON_P_STOP] = SLICE("\"E\"");
    d.r.param[CANON_P_USER] = SLICE("\"u\"");
    d.r.param[CANON_P_SEED] = SLICE("1");
    d.r.param[CANON_P_LOGIT_BIAS] = SLICE("{}");
    d.r.param[CANON_P_N] = SLICE("1");
    d.r.stream = true;
    assert_int_equal(canon_add_member(&d.arena, &d.r.extra, SLICE("zeal"), SLICE("1")), 0);
    write(&d,
          "{\"model\":\"claude-2\",\"prompt\":\"\\n\\nHuman: p\\n\\nAssistant:\","
          "\"max_tokens_to_sample\":9,\"temperature\":1,\"top_p\":0.9,\"stop_sequences\":[\"E\"],"
          "\"metadata\":{\"user_id\":\"u\"},\"stream\":true}",
          "seed logit_bias zeal");
    as_text(&d, "\"p\"");
    d.r.pass_extra = true;
    assert_int_equal(canon_add_member(&d.arena, &d.r.extra, SLICE("zeal"), SLICE("1")), 0);
    assert_int_equal(canon_add_member(&d.arena, &d.r.extra, SLICE("prompt"), SLICE("1")), 0);
    write(&d,
          "{\"model\":\"claude-2\",\"prompt\":\"\\n\\nHuman: p\\n\\nAssistant:\","
          "\"max_tokens_to_sample\":4096,\"zeal\":1}",
          "prompt");
}

static void what_it_cannot_do_is_refused(void **state)
{
    static const struct {
        enum canon_param param;
        const char *value, *name;
    } refused[] = {
        {CANON_P_N, "2", "n"},
        {CANON_P_BEST_OF, "3", "best_of"},
        {CANON_P_SUFFIX, "\"s\"", "suffix"},
        {CANON_P_ECHO, "true", "echo"},
    };
    struct desk d;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        as_text(&d, "\"p\"");
        d.r.param[refused[i].param] = slice_str(refused[i].value);
        assert_int_equal(T.write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
        same(d.r.refusal.param, refused[i].name);
        desk_close(&d);
    }
    as_text(&d, "[\"a\"]");
    assert_int_equal(T.write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
    same(d.r.refusal.param, "prompt");
    desk_close(&d);
    // A conversation of messages is no text.
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_request(&d.r, SLICE(USER("\"x\""))), 0);
    assert_int_equal(T.write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
    same(d.r.refusal.param, "messages");
    desk_close(&d);
}

// ---- Answers -----------------------------------------------------------------------------------

static void answers_are_read(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(
        T.read_answer(&d.a,
                      SLICE("{\"type\":\"completion\",\"id\":\"compl_1\",\"completion\":"
                            "\" Hi\",\"stop_reason\":\"max_tokens\",\"model\":\"claude-2\"}")),
        0);
    same(d.a.id, "\"compl_1\"");
    same(d.a.model, "\"claude-2\"");
    same(d.a.blocks->text, "\" Hi\"");
    assert_int_equal(d.a.stop, CANON_STOP_LENGTH);
    assert_false(d.a.usage.known);
    desk_close(&d);
    desk_open(&d, DESK_BYTES);
    assert_int_equal(
        T.read_answer(&d.a, SLICE("{\"completion\":\"\",\"stop_reason\":\"stop_sequence\"}")), 0);
    assert_int_equal(d.a.stop, CANON_STOP_END);
    assert_int_equal(T.read_answer(&d.a, SLICE("{\"completion\":7}")), ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(T.read_answer(&d.a, SLICE("{}")), ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(T.read_answer(&d.a, SLICE("[")), ERR_BAD_JSON);
    desk_close(&d);
}

static void answers_are_written(void **state)
{
    struct desk d;
    struct canon_block second = {.kind = CANON_TEXT, .text = SLICE("\"b\\n\"")};
    struct canon_block thought = {.next = &second, .kind = CANON_THINKING, .text = SLICE("\"t\"")};
    struct canon_block first = {.next = &thought, .kind = CANON_TEXT, .text = SLICE("\"a\"")};
    (void)state;
    desk_open(&d, DESK_BYTES);
    d.a.blocks = &first;
    d.a.stop = CANON_STOP_LENGTH;
    d.a.id = SLICE("\"cmpl-1\"");
    d.a.model = SLICE("\"gpt\"");
    assert_int_equal(T.write_answer(&d.a, &context, &d.w), 0);
    same(desk_text(&d), "{\"type\":\"completion\",\"completion\":\"ab\\n\",\"id\":\"compl_1\","
                        "\"stop_reason\":\"max_tokens\",\"model\":\"gpt\"}");
    desk_close(&d);
    desk_open(&d, DESK_BYTES);
    assert_int_equal(T.write_answer(&d.a, &context, &d.w), 0);
    same(desk_text(&d), "{\"type\":\"completion\",\"completion\":\"\",\"id\":\"compl_req-01\","
                        "\"stop_reason\":\"stop_sequence\",\"model\":\"m-1\"}");
    desk_close(&d);
}

// ---- Streams: through both, read here and written here ------------------------------------------

struct stream {
    struct desk desk;
    struct canon_translator t;
};

static void stream_open(struct stream *s, size_t bytes_max)
{
    desk_open(&s->desk, bytes_max);
    canon_translator_init(&s->t, &dialect_anthropic_complete, &dialect_anthropic_complete,
                          &s->desk.arena, &context);
}

static int feed(struct stream *s, const char *type, const char *data)
{
    const struct sse_event event = {
        .type = slice_str(type), .data = slice_str(data), .has_data = data != NULL};
    return canon_translate(&s->t, &event, &s->desk.w);
}

#define EVENT(text, reason)                                                                        \
    "event: completion\ndata: {\"type\":\"completion\",\"completion\":\"" text                     \
    "\",\"id\":\"compl_c\",\"stop_reason\":" reason ",\"model\":\"m\"}\n\n"
#define PIECE(text, reason)                                                                        \
    "{\"type\":\"completion\",\"id\":\"c\",\"completion\":\"" text "\",\"stop_reason\":" reason    \
    ",\"model\":\"m\"}"

static void a_stream_goes_through(void **state)
{
    struct stream s;
    (void)state;
    stream_open(&s, DESK_BYTES);
    assert_int_equal(feed(&s, "", NULL), 0);
    assert_int_equal(feed(&s, "ping", "{}"), 0);
    assert_int_equal(feed(&s, "completion", PIECE(" Hi\\n", "null")), 0);
    assert_int_equal(feed(&s, "", PIECE("", "null")), 0);
    assert_int_equal(feed(&s, "", PIECE(" you", "null")), 0);
    assert_int_equal(feed(&s, "completion", PIECE("!", "\"max_tokens\"")), 0);
    assert_true(s.t.ended);
    assert_int_equal(feed(&s, "", "[DONE]"), 0);
    assert_int_equal(feed(&s, "ping", "{}"), 0);
    same(desk_text(&s.desk), EVENT(" Hi\\n", "null") EVENT(" you", "null") EVENT("!", "null")
                                 EVENT("", "\"max_tokens\""));
    assert_int_equal(feed(&s, "completion", PIECE("", "null")), ERR_BAD_SSE);
    desk_close(&s.desk);
}

static void malformed_streams(void **state)
{
    static const char *const data[] = {"{", "{}", "{\"completion\":7}", "[DONE]",
                                       "{\"completion\":\"\",\"completion\":\"\"}"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(data); i++) {
        struct stream s;
        stream_open(&s, DESK_BYTES);
        assert_int_equal(feed(&s, i % 2 ? "" : "completion", data[i]), ERR_BAD_SSE);
        desk_close(&s.desk);
    }
}

static void errors_end_a_stream(void **state)
{
    static const char *const types[] = {"error", ""};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        struct stream s;
        stream_open(&s, DESK_BYTES);
        assert_int_equal(
            feed(&s, types[i], "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}"),
            ERR_UPSTREAM_PROTOCOL);
        assert_int_equal(s.t.error.status, 529);
        same(s.t.error.message, "Busy");
        desk_close(&s.desk);
    }
}

static int whole_stream(struct desk *d)
{
    struct stream s;
    canon_translator_init(&s.t, &dialect_anthropic_complete, &dialect_anthropic_complete, &d->arena,
                          &context);
    s.desk = *d;
    const struct sse_event event = {.data = SLICE(PIECE("text", "null")), .has_data = true};
    int rc = 0;
    while (rc == 0 && d->w.len < (size_t)3 * BLOCK_BYTES)
        rc = canon_translate(&s.t, &event, &d->w);
    return rc;
}

static int whole_request(struct desk *d)
{
    int rc = T.read_request(&d->r, SLICE("{\"prompt\":\"\\n\\nHuman: a\\n\\nAssistant:\"}"));
    return rc ? rc : T.write_request(&d->r, SLICE("m"), &d->w);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    check_memory(whole_stream);
    check_memory(whole_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wrapping_is_taken_off_a_single_turn),
        cmocka_unit_test(parameters_are_read),
        cmocka_unit_test(badly_typed_members_are_named),
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(what_it_cannot_do_is_refused),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(answers_are_written),
        cmocka_unit_test(a_stream_goes_through),
        cmocka_unit_test(malformed_streams),
        cmocka_unit_test(errors_end_a_stream),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
