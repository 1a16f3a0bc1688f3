// SPDX-License-Identifier: Apache-2.0
//
// error_test.c: the bytes a client reads when a request fails.
#include "tests/unit/gateway/fixture.h"

static const struct route chat_v1 = {
    .path = "/v1/chat/completions", .mount = MOUNT_UNIFIED, .operation = OP_CHAT};
static const struct route chat_openai = {
    .path = "/openai/v1/chat/completions", .mount = MOUNT_OPENAI, .operation = OP_CHAT};
static const struct route responses_v1 = {
    .path = "/v1/responses", .mount = MOUNT_UNIFIED, .operation = OP_RESPONSES};

static const struct route messages = {
    .path = "/anthropic/v1/messages", .mount = MOUNT_ANTHROPIC, .operation = OP_MESSAGES};

static struct config_key key = {.value = {"sk-very-secret", 14}};
static struct config_provider provider = {.name = {"groq", 4}, .keys = &key, .key_count = 1};

static struct fake *open_on(const struct route *route)
{
    struct fake *f = fake_open();
    f->x.route = route;
    f->x.model_requested = SLICE("groq/llama");
    return f;
}

static void aim(struct fake *f)
{
    f->x.target[0] = (struct target){.provider = &provider, .model = SLICE("llama")};
    f->x.target_count = 1;
    f->x.key = &key;
}

static void assert_body(struct fake *f, const struct failure *failure, const char *expected)
{
    struct slice body = error_body(&f->x, failure);
    assert_int_equal(body.len, strlen(expected));
    assert_memory_equal(body.ptr, expected, body.len);
}

static void assert_event(struct fake *f, const struct failure *failure, const char *expected)
{
    struct slice body = error_event(&f->x, failure);
    assert_int_equal(body.len, strlen(expected));
    assert_memory_equal(body.ptr, expected, body.len);
}

// ---- Errors of ours ---------------------------------------------------------------------------

static void own_error_is_an_envelope(void **state)
{
    (void)state;
    struct fake *f = open_on(&chat_v1);
    struct failure e;
    failure_of(&e, ERR_MISSING, SLICE("`model` is missing"), SLICE("model"));
    assert_int_equal(e.status, 400);
    assert_body(f, &e,
                "{\"is_bifrost_error\":false,\"status_code\":400,\"error\":{"
                "\"type\":\"invalid_request_error\",\"message\":\"`model` is missing\","
                "\"param\":\"model\"},\"extra_fields\":{\"model_requested\":\"groq/llama\","
                "\"request_type\":\"chat_completion\"}}");
    fake_close(f);
}

static void own_error_without_a_route_has_empty_extra_fields(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct failure e;
    failure_of(&e, ERR_QUEUE_FULL, SLICE_EMPTY, SLICE_EMPTY);
    assert_body(f, &e,
                "{\"is_bifrost_error\":true,\"status_code\":503,\"error\":{"
                "\"type\":\"overloaded_error\",\"message\":\"request dropped: queue is full\"},"
                "\"extra_fields\":{}}");
    fake_close(f);
}

static void hostile_text_stays_inside_its_string(void **state)
{
    (void)state;
    struct fake *f = open_on(&chat_v1);
    struct failure e;
    f->x.stream_wanted = true;
    f->x.model_requested = SLICE("a\"},\n\xff\x01");
    failure_of(&e, ERR_BAD_TYPE, SLICE("no \"model\"\r\n\r\ndata: x"), SLICE_EMPTY);
    assert_event(f, &e,
                 "data: {\"is_bifrost_error\":false,\"status_code\":400,\"error\":{"
                 "\"type\":\"invalid_request_error\","
                 "\"message\":\"no \\\"model\\\"\\r\\n\\r\\ndata: x\"},"
                 "\"extra_fields\":{\"model_requested\":\"a\\\"},\\n\xef\xbf\xbd\\u0001\","
                 "\"request_type\":\"chat_completion_stream\"}}\n\n");
    fake_close(f);
}

// ---- A provider's errors ----------------------------------------------------------------------

static const struct shape {
    unsigned status;
    const char *type; // content-type
    const char *body;
    const char *kind, *code, *message, *param;
    bool raw;
} shapes[] = {
    {401, "application/json",
     "{\"error\":{\"message\":\"Incorrect key\",\"type\":\"invalid_request_error\","
     "\"param\":null,\"code\":\"invalid_api_key\"}}",
     "invalid_request_error", "invalid_api_key", "Incorrect key", "", true},
    {404, "application/json", " {\"code\":\"not_found\",\"error\":\"The model \\u00e9\"} ", "",
     "not_found", "The model \xc3\xa9", "", true},
    {400, "application/json",
     "{\"message\":\"bad n\",\"type\":\"invalid\",\"param\":\"n\",\"code\":3051}", "invalid",
     "3051", "bad n", "n", true},
    {422, "application/json", "{\"detail\":[{\"loc\":[\"body\"]}]}", "", "",
     "[{\"loc\":[\"body\"]}]", "", true},
    {400, "application/json", "[{\"error\":{\"code\":400,\"message\":\"in a list\"}}]", "", "400",
     "in a list", "", true},
    {429, "application/json", "{}", "", "", "rate limit exceeded", "", true},
    {429, "application/json", "[]", "", "", "rate limit exceeded", "", true},
    {500, "application/json", "\"text\"", "", "", "internal server error", "", true},
    {502, "text/html", "<html>bad</html>", "", "", "bad gateway", "", false},
    {404, "text/plain; charset=utf-8", "404 page not found\n", "", "", "404 page not found", "",
     false},
    {418, "application/json", "", "", "", "provider answered with status 418", "", false},
};

static void assert_slice(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    if (s.len > 0)
        assert_memory_equal(s.ptr, expected, s.len);
}

static void providers_shapes_are_read(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        const struct shape *s = &shapes[i];
        struct http_field type = {
            .id = HTTP_N_CONTENT_TYPE, .name = SLICE("content-type"), .value = slice_str(s->type)};
        struct http_head head = {.fields = &type, .count = 1};
        struct failure e;
        failure_of_answer(&e, &f->stream.arena, s->status, slice_str(s->body), &head);
        assert_int_equal(e.status, s->status);
        assert_int_equal(e.err, 0);
        assert_false(e.from_gateway);
        assert_slice(e.type, s->kind);
        assert_slice(e.code, s->code);
        assert_slice(e.message, s->message);
        assert_slice(e.param, s->param);
        assert_int_equal(e.raw.len > 0, s->raw);
    }
    fake_close(f);
}

static void retry_after_in_milliseconds_is_read(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct http_field fields[2] = {
        {.id = HTTP_N_RETRY_AFTER, .name = SLICE("Retry-After"), .value = SLICE("7")},
        {.id = HTTP_N_OTHER, .name = SLICE("Retry-After-Ms"), .value = SLICE("250")}};
    struct http_head head = {.fields = fields, .count = 2};
    struct failure e;
    failure_of_answer(&e, &f->stream.arena, 429, SLICE("{}"), &head);
    assert_int_equal(e.retry_after_ms, 250);
    head.count = 1; // Retry-After alone is attempt.c's
    failure_of_answer(&e, &f->stream.arena, 429, SLICE("{}"), &head);
    assert_int_equal(e.retry_after_ms, -1);
    fake_close(f);
}

static void provider_error_is_wrapped_on_v1_and_raw_on_openai(void **state)
{
    (void)state;
    static const char raw[] = "{ \"error\" : {\"message\":\"slow\",\"code\":429} }";
    struct fake *f = open_on(&chat_v1);
    struct failure e;
    aim(f);
    failure_of_answer(&e, &f->stream.arena, 429, slice_str(raw), NULL);
    assert_body(f, &e,
                "{\"is_bifrost_error\":false,\"status_code\":429,\"error\":{\"code\":\"429\","
                "\"message\":\"slow\"},\"extra_fields\":{\"provider\":\"groq\","
                "\"model_requested\":\"llama\",\"request_type\":\"chat_completion\"}}");
    f->x.route = &chat_openai;
    assert_body(f, &e, raw);
    fake_close(f);
}

static void key_echoed_by_a_provider_is_cut_out(void **state)
{
    (void)state;
    static const char raw[] = "{\"error\":{\"message\":\"sk-very-secret and sk-very-secret!\"}}";
    struct fake *f = open_on(&chat_openai);
    struct failure e;
    aim(f);
    failure_of_answer(&e, &f->stream.arena, 401, slice_str(raw), NULL);
    assert_body(f, &e,
                "{\"is_bifrost_error\":false,\"status_code\":401,\"error\":{"
                "\"message\":\"[redacted] and [redacted]!\"},\"extra_fields\":{"
                "\"provider\":\"groq\",\"model_requested\":\"llama\","
                "\"request_type\":\"chat_completion\"}}");
    fake_close(f);
}

// ---- Anthropic's envelope ----------------------------------------------------------------------

static void anthropics_errors_have_its_shape_and_types(void **state)
{
    static const struct {
        unsigned status;
        const char *said; // by the provider; NULL: an error of ours
        const char *type;
    } cases[] = {
        {400, NULL, "invalid_request_error"},
        {401, NULL, "authentication_error"},
        {402, NULL, "billing_error"},
        {403, NULL, "permission_error"},
        {404, NULL, "not_found_error"},
        {405, NULL, "invalid_request_error"},
        {413, NULL, "request_too_large"},
        {429, NULL, "rate_limit_error"},
        {500, NULL, "api_error"},
        {502, NULL, "api_error"},
        {503, NULL, "overloaded_error"},
        {504, NULL, "timeout_error"},
        {529, "overloaded_error", "overloaded_error"},
        {400, "billing_error", "billing_error"},
        {400, "insufficient_quota", "invalid_request_error"},
    };
    (void)state;
    struct fake *f = open_on(&messages);
    f->x.request_id = SLICE("r-1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct failure e = {.err = cases[i].said ? 0 : ERR_SYSTEM,
                            .status = cases[i].status,
                            .type =
                                cases[i].said ? slice_str(cases[i].said) : SLICE("server_error"),
                            .message = SLICE("what \"happened\""),
                            .param = SLICE("model")};
        char want[256];
        snprintf(want, sizeof(want),
                 "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":"
                 "\"what \\\"happened\\\"\"},\"request_id\":\"r-1\"}",
                 cases[i].type);
        assert_body(f, &e, want);
    }
    fake_close(f);
}

static void anthropics_error_event_is_named(void **state)
{
    (void)state;
    struct fake *f = open_on(&messages);
    struct failure e;
    failure_of(&e, ERR_UPSTREAM_TRUNCATED, SLICE_EMPTY, SLICE_EMPTY);
    assert_event(f, &e,
                 "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                 "\"message\":\"provider's answer ended early\"}}\n\n");
    fake_close(f);
}

static void an_unknown_path_has_the_envelope_of_its_mount(void **state)
{
    (void)state;
    struct fake *f = open_on(NULL);
    struct failure e;
    failure_of(&e, ERR_NOT_FOUND, SLICE("no"), SLICE_EMPTY);
    f->stream.request.path = SLICE("/anthropic/v1/what");
    assert_body(f, &e,
                "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\","
                "\"message\":\"no\"}}");
    f->stream.request.path = SLICE("/what");
    assert_true(slice_starts(error_body(&f->x, &e), SLICE("{\"is_bifrost_error\"")));
    fake_close(f);
}

// What a provider says in another dialect is told in the client's.
static void a_foreign_error_body_does_not_pass(void **state)
{
    (void)state;
    static const char raw[] =
        "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}";
    struct fake *f = open_on(&messages);
    struct failure e;
    aim(f);
    failure_of_answer(&e, &f->stream.arena, 429, slice_str(raw), NULL);
    assert_body(f, &e, raw);
    f->x.route = &chat_openai;
    e.foreign = true;
    assert_body(f, &e,
                "{\"is_bifrost_error\":false,\"status_code\":429,\"error\":{"
                "\"type\":\"rate_limit_error\",\"message\":\"slow\"},\"extra_fields\":{"
                "\"provider\":\"groq\",\"model_requested\":\"llama\","
                "\"request_type\":\"chat_completion\"}}");
    fake_close(f);
}

// An error told inside a stream has a type, and maybe a status.
static void an_error_without_a_status_gets_one(void **state)
{
    static const struct {
        unsigned said;
        const char *type, *message;
        unsigned want;
    } cases[] = {
        {418, "rate_limit_error", "x", 418},        {0, "overloaded_error", "x", 529},
        {0, "authentication_error", "x", 401},      {0, "rate_limit_error", "x", 429},
        {0, "", "Too Many Requests", 429},          {0, "invalid_request_body", "x", 400},
        {0, "server_error", "something else", 500}, {200, "", "", 500},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct failure f = {.status = cases[i].said,
                            .type = slice_str(cases[i].type),
                            .message = slice_str(cases[i].message)};
        error_complete(&f);
        assert_int_equal(f.status, cases[i].want);
        assert_true(f.message.len > 0);
    }
}

// ---- Events ------------------------------------------------------------------------------------

static void responses_event_is_named_and_numbered(void **state)
{
    (void)state;
    struct fake *f = open_on(&responses_v1);
    struct failure e;
    f->x.chunks = 12;
    failure_of(&e, ERR_UPSTREAM_TRUNCATED, SLICE_EMPTY, SLICE_EMPTY);
    assert_event(f, &e,
                 "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\","
                 "\"message\":\"provider's answer ended early\",\"param\":null,"
                 "\"sequence_number\":12}\n\n");
    fake_close(f);
}

// ---- Answering ---------------------------------------------------------------------------------

static void reply_queue_full(struct fake *f, struct fiber *self)
{
    error_reply_await(&f->x, self, ERR_QUEUE_FULL, SLICE_EMPTY, SLICE_EMPTY);
}

static void error_answer_settles_and_is_whole(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, reply_queue_full);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->status, 503);
    assert_true(f->last);
    assert_int_equal(f->length, f->body.len);
    assert_int_equal(f->x.answer_bytes, f->body.len);
    assert_int_equal(f->x.status, 503);
    ASSERT_TEXT(&f->head, "content-type: application/json\nretry-after: 1\n");
    fake_close(f);
}

static struct http_field upstream_fields[] = {
    {.id = HTTP_N_CONTENT_TYPE, .name = {"content-type", 12}, .value = {"application/json", 16}},
    {.id = HTTP_N_CONTENT_LENGTH, .name = {"content-length", 14}, .value = {"999", 3}},
    {.id = HTTP_N_SET_COOKIE, .name = {"set-cookie", 10}, .value = {"a=b", 3}},
    {.id = HTTP_N_RETRY_AFTER, .name = {"retry-after", 11}, .value = {"3", 1}},
    {.id = HTTP_N_TRANSFER_ENCODING, .name = {"transfer-encoding", 17}, .value = {"chunked", 7}},
};
static struct http_head upstream_head = {.fields = upstream_fields, .count = 5};

static void answer_429(struct fake *f, struct fiber *self)
{
    struct failure e;
    failure_of_answer(&e, &f->stream.arena, 429, SLICE("{\"error\":\"slow\"}"), &upstream_head);
    error_answer_await(&f->x, self, &e);
}

static void provider_fields_pass_filtered(void **state)
{
    (void)state;
    struct fake *f = open_on(&chat_openai);
    aim(f);
    fake_run(f, answer_429);
    assert_int_equal(f->status, 429);
    ASSERT_TEXT(&f->body, "{\"error\":\"slow\"}");
    const char *head = text_of_buf(&f->head);
    assert_non_null(strstr(head, "retry-after: 3\n"));
    assert_non_null(strstr(head, "content-type: application/json\n"));
    assert_null(strstr(head, "set-cookie"));
    assert_null(strstr(head, "content-length"));
    assert_null(strstr(head, "transfer-encoding"));
    const char *type = strstr(head, "content-type");
    assert_null(strstr(type + 1, "content-type"));
    assert_non_null(strstr(head, "x-bf-provider: groq\n"));
    fake_again(f);
    f->x.target[1] = f->x.target[0];
    f->x.target_index = 1; // the fallback failed as well: the error told is not its own
    fake_run(f, answer_429);
    assert_null(strstr(text_of_buf(&f->head), "x-bf-provider"));
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_error_is_an_envelope),
        cmocka_unit_test(own_error_without_a_route_has_empty_extra_fields),
        cmocka_unit_test(hostile_text_stays_inside_its_string),
        cmocka_unit_test(providers_shapes_are_read),
        cmocka_unit_test(retry_after_in_milliseconds_is_read),
        cmocka_unit_test(provider_error_is_wrapped_on_v1_and_raw_on_openai),
        cmocka_unit_test(key_echoed_by_a_provider_is_cut_out),
        cmocka_unit_test(anthropics_errors_have_its_shape_and_types),
        cmocka_unit_test(anthropics_error_event_is_named),
        cmocka_unit_test(an_error_without_a_status_gets_one),
        cmocka_unit_test(an_unknown_path_has_the_envelope_of_its_mount),
        cmocka_unit_test(a_foreign_error_body_does_not_pass),
        cmocka_unit_test(responses_event_is_named_and_numbered),
        cmocka_unit_test(error_answer_settles_and_is_whole),
        cmocka_unit_test(provider_fields_pass_filtered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
