// SPDX-License-Identifier: Apache-2.0
//
// exchange_read_test.c: bodies that are refused, each with the member it names, and what is kept of
// those that are not.
#include "tests/unit/gateway/fixture.h"

#include "tests/support/packer.h"

static const struct route routes[] = {
    {.path = "/v1/chat/completions", .mount = MOUNT_UNIFIED, .operation = OP_CHAT},
    {.path = "/openai/v1/chat/completions", .mount = MOUNT_OPENAI, .operation = OP_CHAT},
    {.path = "/v1/embeddings", .mount = MOUNT_UNIFIED, .operation = OP_EMBEDDING},
    {.path = "/v1/responses", .mount = MOUNT_UNIFIED, .operation = OP_RESPONSES},
    {.path = "/anthropic/v1/messages", .mount = MOUNT_ANTHROPIC, .operation = OP_MESSAGES},
    {.path = "/anthropic/v1/complete", .mount = MOUNT_ANTHROPIC, .operation = OP_COMPLETE},
    {.path = "/a", .mount = MOUNT_ANTHROPIC, .operation = OP_COUNT_TOKENS},
    {.path = "/b", .mount = MOUNT_UNIFIED, .operation = OP_INPUT_TOKENS},
};
enum { V1, OPENAI, EMBEDDINGS, RESPONSES, ANTHROPIC, COMPLETE, COUNT, INPUT };

static struct failure failure;
static int result;

static void read_body(struct fake *f, struct fiber *self)
{
    failure = (struct failure){.retry_after_ms = -1};
    result = exchange_read_await(&f->x, self, &failure);
}

static struct fake *read_text(unsigned route, struct slice text)
{
    struct fake *f = fake_open();
    f->x.route = &routes[route];
    f->config.body_bytes_max = 1 << 20;
    f->request_body = text;
    fake_run(f, read_body);
    return f;
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct refused {
    unsigned route;
    const char *text;
    int err;
    const char *param;
    const char *message; // how it begins
} refused[] = {
    {V1, "", ERR_BAD_JSON, "", "invalid request format: the body is empty"},
    {V1, " []", ERR_BAD_JSON, "", "invalid request format: the body must be a JSON object"},
    {V1, "{\"model\":}", ERR_BAD_JSON, "", "invalid request format: "},
    {V1, "{\"a\":\"\xff\"}", ERR_BAD_UTF8, "", "invalid request format: "},
    {OPENAI, "{\"model\":}", ERR_BAD_JSON, "", "Invalid JSON"},
    {V1, "{\"model\":\"a\",\"mod\\u0065l\":\"b\"," MESSAGES "}", ERR_DUPLICATE, "model",
     "invalid request: `model` occurs more than once"},
    {V1, "{\"model\":\"a\",\"MODEL\":\"b\"," MESSAGES "}", ERR_DUPLICATE, "model", ""},
    {V1, "{" MESSAGES "}", ERR_MISSING, "model", "invalid request: `model` is required"},
    {V1, "{\"model\":7," MESSAGES "}", ERR_BAD_TYPE, "model",
     "invalid request: `model` must be a string"},
    {V1, "{\"model\":\" \\t\"," MESSAGES "}", ERR_MISSING, "model",
     "invalid request: `model` must not be empty"},
    {V1, "{\"model\":\"a\"}", ERR_MISSING, "messages", "invalid request: `messages` is required"},
    {V1, "{\"model\":\"a\",\"messages\":\"hi\"}", ERR_BAD_TYPE, "messages",
     "invalid request: `messages` must be an array"},
    {V1, "{\"model\":\"a\",\"messages\":[ \n]}", ERR_BAD_TYPE, "messages",
     "invalid request: `messages` must not be empty"},
    {EMBEDDINGS, "{\"model\":\"a\"}", ERR_MISSING, "input", "invalid request: `input` is required"},
    {RESPONSES, "{\"model\":\"a\",\"input\":1}", ERR_BAD_TYPE, "input",
     "invalid request: `input` must be a string or an array"},
    {ANTHROPIC, "nonsense", ERR_BAD_JSON, "", "Invalid JSON"},
    {ANTHROPIC, "{\"model\":\"a\",\"messages\":\"hi\"}", ERR_BAD_TYPE, "messages",
     "invalid request: `messages` must be an array"},
    {COMPLETE, "{\"model\":\"a\",\"prompt\":[\"hi\"]}", ERR_BAD_TYPE, "prompt",
     "invalid request: `prompt` must be a string"},
    {COUNT, "{\"model\":\"a\"}", ERR_MISSING, "messages",
     "invalid request: `messages` is required"},
    {INPUT, "{\"model\":\"a\"}", ERR_MISSING, "input", "invalid request: `input` is required"},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"stream\":\"yes\"}", ERR_BAD_TYPE, "stream",
     "invalid request: `stream` must be a boolean"},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"stream_options\":[]}", ERR_BAD_TYPE, "stream_options",
     "invalid request: `stream_options` must be an object"},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"fallbacks\":{}}", ERR_BAD_TYPE, "fallbacks",
     "invalid request: `fallbacks` must be an array"},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"fallbacks\":[\"b\",\"\"]}", ERR_BAD_TYPE, "fallbacks",
     "invalid request: `fallbacks` must hold strings"},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"fallbacks\":[{\"provider\":\"b\"}]}", ERR_BAD_TYPE,
     "fallbacks", "invalid request: `fallbacks` must hold strings"},
};

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct refused *r = &refused[i];
        struct fake *f = read_text(r->route, slice_str(r->text));
        if (result != r->err || !slice_eq(failure.param, slice_str(r->param)) ||
            !slice_starts(failure.message, slice_str(r->message)))
            fail_msg("%s: %s, `%.*s`: %.*s", r->text, err_name(result), SLICE_ARG(failure.param),
                     SLICE_ARG(failure.message));
        assert_int_equal(failure.status, 400);
        fake_close(f);
    }
}

static void fallbacks_are_counted(void **state)
{
    (void)state;
    struct buf text;
    for (unsigned count = FALLBACKS_MAX; count <= FALLBACKS_MAX + 1; count++) {
        buf_init(&text, 4096);
        buf_add(&text, SLICE("{\"model\":\"a\"," MESSAGES ",\"fallbacks\":[\"x/y\""));
        for (unsigned i = 1; i < count; i++)
            buf_add(&text, SLICE(",{\"provider\":\"p\",\"model\":\"m\"}"));
        buf_add(&text, SLICE("]}"));
        struct fake *f = read_text(V1, buf_slice(&text));
        assert_int_equal(result, count > FALLBACKS_MAX ? ERR_BAD_TYPE : 0);
        fake_close(f);
        buf_done(&text);
    }
}

static const struct kept_member {
    unsigned route;
    const char *text;
    const char *model;
    bool stream, usage;
} kept[] = {
    {V1, "{\"model\":\"op\\u0065nai/a\"," MESSAGES "}", "openai/a", false, false},
    {OPENAI, "{\"model\":\"a\"," MESSAGES ",\"stream\":true}", "a", true, false},
    {V1, "{\"model\":\"a\"," MESSAGES ",\"stream\":null,\"stream_options\":null}", "a", false,
     false},
    {V1,
     "{\"model\":\"a\"," MESSAGES
     ",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"fallbacks\":null}",
     "a", true, true},
    {V1,
     "{\"model\":\"a\"," MESSAGES ",\"stream\":false,\"stream_options\":{\"include_usage\":false}}",
     "a", false, false},
    // Embeddings are never streamed.
    {EMBEDDINGS, "{\"model\":\"a\",\"input\":\"x\",\"stream\":true}", "a", false, false},
    {RESPONSES, "{\"model\":\"a\",\"input\":[{}],\"unknown\":{\"model\":1}}", "a", false, false},
    {ANTHROPIC, "{\"model\":\"a\"," MESSAGES ",\"stream\":true}", "a", true, false},
    {COMPLETE, "{\"model\":\"a\",\"prompt\":\"hi\",\"stream\":true}", "a", true, false},
    {COUNT, "{\"model\":\"a\"," MESSAGES ",\"stream\":true}", "a", false, false},
    {INPUT, "{\"model\":\"a\",\"input\":\"hi\"}", "a", false, false},
};

static void routing_members_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        struct fake *f = read_text(kept[i].route, slice_str(kept[i].text));
        if (result != 0)
            fail_msg("%s: %.*s", kept[i].text, SLICE_ARG(failure.message));
        assert_true(slice_eq(f->x.model_requested, slice_str(kept[i].model)));
        assert_int_equal(f->x.stream_wanted, kept[i].stream);
        assert_int_equal(f->x.usage_wanted, kept[i].usage);
        fake_close(f);
    }
}

// The body is given back at commit; the model's name is needed after it.
static void the_models_name_outlives_the_body(void **state)
{
    (void)state;
    char text[] = "{\"model\":\"keep\"," MESSAGES "}";
    struct fake *f = read_text(V1, slice_str(text));
    memset(text, 'x', sizeof(text) - 1);
    assert_true(slice_eq(f->x.model_requested, SLICE("keep")));
    fake_close(f);
}

// An Azure client names the deployment in the path; its body may say anything about the model.
static void a_deployment_in_the_path_is_the_model(void **state)
{
    static const char *const bodies[] = {
        "{" MESSAGES "}",
        "{\"model\":\"other\"," MESSAGES "}",
        "{\"model\":null," MESSAGES "}",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct fake *f = fake_open();
        f->x.route = &routes[V1];
        f->x.route_part = SLICE("groq%2Fllama 3");
        f->config.body_bytes_max = 1 << 20;
        f->request_body = slice_str(bodies[i]);
        fake_run(f, read_body);
        assert_int_equal(result, 0);
        assert_true(slice_eq(f->x.model_requested, SLICE("groq/llama 3")));
        f->x.route_part = SLICE("%20");
        fake_run(f, read_body);
        assert_int_equal(result, ERR_MISSING);
        fake_close(f);
    }
}

static void coded_bodies_are_read_as_what_they_stand_for(void **state)
{
    (void)state;
    char packed[4096];
    struct fake *f = fake_open();
    struct slice text = SLICE("{\"model\":\"packed\"," MESSAGES "}");
    f->x.route = &routes[V1];
    f->config.body_bytes_max = 1 << 20;
    fake_field(f, "Content-Encoding", "gzip");
    f->request_body = slice_of(packed, pack(PACK_GZIP, text, packed, sizeof(packed)));
    fake_run(f, read_body);
    assert_int_equal(result, 0);
    assert_true(slice_eq(f->x.body, text));
    assert_true(slice_eq(f->x.model_requested, SLICE("packed")));
    f->request_body = text;
    fake_run(f, read_body);
    assert_int_equal(result, ERR_BAD_PACKED);
    assert_int_equal(failure.status, 400);
    f->stream.request.fields[0].value = SLICE("Identity");
    fake_run(f, read_body);
    assert_int_equal(result, 0);
    f->stream.request.fields[0].value = SLICE("compress");
    fake_run(f, read_body);
    assert_int_equal(result, ERR_UNSUPPORTED);
    assert_int_equal(failure.status, 415);
    fake_close(f);
}

static void errors_of_the_stream_pass(void **state)
{
    (void)state;
    struct fake *f = read_text(V1, SLICE("{}"));
    f->config.body_bytes_max = 1;
    fake_run(f, read_body);
    assert_int_equal(result, ERR_BODY_TOO_LARGE);
    assert_int_equal(failure.status, 413);
    f->body_err = ERR_CLIENT_GONE;
    fake_run(f, read_body);
    assert_int_equal(result, ERR_CLIENT_GONE);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(fallbacks_are_counted),
        cmocka_unit_test(routing_members_are_kept),
        cmocka_unit_test(the_models_name_outlives_the_body),
        cmocka_unit_test(a_deployment_in_the_path_is_the_model),
        cmocka_unit_test(coded_bodies_are_read_as_what_they_stand_for),
        cmocka_unit_test(errors_of_the_stream_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
