// SPDX-License-Identifier: Apache-2.0
//
// exchange_test.c: the road of an inference through its targets, and how a fiber ends.
//
// Reading a body and trying a target are replaced: a script says what each of them finds.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/attempt.h"
#include "tests/support/config_support.h"

static const struct route v1 = {
    .path = "/v1/chat/completions", .mount = MOUNT_UNIFIED, .operation = OP_CHAT};
static const char providers[] =
    "{\"providers\":{"
    "\"openai\":{\"keys\":[{\"name\":\"a\",\"value\":\"sk\",\"models\":[\"*\"],\"weight\":1}]},"
    "\"groq\":{\"keys\":[{\"name\":\"b\",\"value\":\"gk\",\"models\":[\"*\"],\"weight\":1}]},"
    "\"mine\":{\"network_config\":{\"base_url\":\"http://127.0.0.1:1\"},"
    "\"custom_provider_config\":{\"base_provider_type\":\"openai\",\"is_key_less\":true}}}}";
static struct built built;

static struct {
    const char *model, *fallbacks; // what the body says
    int read_err;
    char tried[256];       // "provider/model " of each target tried
    const char *served_by; // provider that answers; NULL: nobody
    bool leaves;           // the client, while a target is tried
} script;

int exchange_read_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    (void)self;
    x->dialect = &dialect_openai_chat;
    if (script.read_err) {
        failure_of(ret, script.read_err, SLICE_EMPTY, SLICE_EMPTY);
        return script.read_err;
    }
    x->model_requested = slice_str(script.model);
    x->scan = arena_zalloc(&x->stream->arena, sizeof(*x->scan));
    assert_non_null(x->scan);
    if (script.fallbacks)
        x->scan->member[DIALECT_FALLBACKS] =
            (struct json_member){.type = JSON_ARRAY, .value = slice_str(script.fallbacks)};
    return 0;
}

enum outcome target_try_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    const struct target *t = &x->target[x->target_index];
    size_t len = strlen(script.tried);
    (void)self;
    snprintf(script.tried + len, sizeof(script.tried) - len, "%.*s/%.*s ",
             SLICE_ARG(t->provider->name), SLICE_ARG(t->model));
    assert_int_equal(x->state, EXCHANGE_ROUTED);
    if (script.leaves)
        return OUTCOME_GONE;
    if (script.served_by && slice_eq(t->provider->name, slice_str(script.served_by))) {
        json_answer_await(x, self, 200, SLICE("{}"));
        return OUTCOME_SERVED;
    }
    failure_of(ret, ERR_UPSTREAM_CLOSED, t->provider->name, SLICE_EMPTY);
    ret->status = 502;
    return OUTCOME_FAILED;
}

static struct fake *open_chat(const char *model, const char *fallbacks)
{
    struct fake *f = fake_open();
    memset(&script, 0, sizeof(script));
    script.model = model;
    script.fallbacks = fallbacks;
    f->x.route = &v1;
    f->stream.request.method = HTTP_POST;
    built_text(&built, providers);
    assert_int_equal(built.err, 0);
    f->x.config = built.config;
    f->core.config = built.config;
    return f;
}

static void close_chat(struct fake *f)
{
    fake_close(f);
    built_done(&built);
}

static void serve(struct fake *f, struct fiber *self)
{
    serve_inference_await(&f->x, self);
}

static void fallbacks_are_tried_in_order(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", "[\"nobody/x\",{\"provider\":\"groq\","
                                           "\"model\":\"l\\u0061\"},\"mine/m\"]");
    script.served_by = "mine";
    fake_run(f, serve);
    assert_string_equal(script.tried, "openai/a groq/la mine/m ");
    assert_int_equal(f->status, 200);
    close_chat(f);
}

static void the_first_that_answers_is_the_last_asked(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", "[\"groq/b\",\"mine/m\"]");
    script.served_by = "groq";
    fake_run(f, serve);
    assert_string_equal(script.tried, "openai/a groq/b ");
    assert_int_equal(f->answers, 1);
    close_chat(f);
}

static void the_primarys_failure_is_told(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", "[\"groq/b\"]");
    fake_run(f, serve);
    assert_string_equal(script.tried, "openai/a groq/b ");
    assert_int_equal(f->status, 502);
    assert_non_null(strstr(text_of_buf(&f->body), "\"message\":\"openai\""));
    assert_int_equal(f->x.target_index, 0);
    close_chat(f);
}

static void a_model_that_leads_nowhere_is_400(void **state)
{
    static const char *const cases[][2] = {
        {"anthropic/claude", "provider \\\"anthropic\\\" is not configured"},
        {"who-knows", "no configured provider lists model \\\"who-knows\\\""},
        {"openai/", "`model` is empty"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake *f = open_chat(cases[i][0], "[\"groq/b\"]");
        fake_run(f, serve);
        assert_string_equal(script.tried, "");
        assert_int_equal(f->status, 400);
        if (!strstr(text_of_buf(&f->body), cases[i][1]))
            fail_msg("%s: %s", cases[i][0], text_of_buf(&f->body));
        assert_non_null(strstr(text_of_buf(&f->body), "\"param\":\"model\""));
        close_chat(f);
    }
}

static void a_client_that_left_is_told_nothing(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", "[\"groq/b\"]");
    script.leaves = true;
    fake_run(f, serve);
    assert_string_equal(script.tried, "openai/a ");
    assert_int_equal(f->answers, 0);
    fake_again(f);
    script.read_err = ERR_CLIENT_GONE;
    fake_run(f, serve);
    assert_int_equal(f->answers, 0);
    script.read_err = ERR_BAD_JSON;
    f->stream.gone = true;
    fake_run(f, serve);
    assert_int_equal(f->answers, 0);
    close_chat(f);
}

static void a_bad_body_is_refused_unrouted(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", NULL);
    script.read_err = ERR_BAD_JSON;
    fake_run(f, serve);
    assert_int_equal(f->status, 400);
    assert_string_equal(script.tried, "");
    close_chat(f);
}

static void an_upgrade_is_426(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", NULL);
    f->stream.request.method = HTTP_GET;
    fake_run(f, serve);
    assert_int_equal(f->status, 405);
    fake_again(f);
    fake_field(f, "Upgrade", "websocket");
    fake_run(f, serve);
    assert_int_equal(f->status, 426);
    close_chat(f);
}

static void probe(struct fake *f, struct fiber *self)
{
    serve_probe_await(&f->x, self);
}

static void a_probe_is_answered_without_a_body(void **state)
{
    (void)state;
    struct fake *f = open_chat("openai/a", NULL);
    fake_run(f, probe);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->body.len, 0);
    assert_true(f->last);
    close_chat(f);
}

static void required_fields_come_before_the_body(void **state)
{
    (void)state;
    struct slice required = SLICE("x-team");
    struct fake *f = open_chat("openai/a", NULL);
    built.config->required_headers = &required;
    built.config->required_header_count = 1;
    script.read_err = ERR_BAD_JSON; // not reached
    fake_run(f, serve);
    assert_int_equal(f->status, 400);
    assert_non_null(strstr(text_of_buf(&f->body), "missing required headers: x-team"));
    close_chat(f);
}

// ---- The fiber -------------------------------------------------------------------------------

static unsigned running; // exchanges counted on the snapshot while one is served

static void serve_ok_await(struct exchange *x, struct fiber *self)
{
    running = x->config->core[0].exchanges;
    assert_int_equal(x->state, EXCHANGE_READING);
    json_answer_await(x, self, 200, SLICE("{}"));
}

static void serve_left_await(struct exchange *x, struct fiber *self)
{
    (void)self;
    exchange_set_state(x, EXCHANGE_COMMITTED);
    x->stream->gone = true;
}

static const struct route rows[] = {
    {.path = "/ok", .methods = 1u << HTTP_GET, .serve_await = serve_ok_await},
    {.path = "/left", .methods = 1u << HTTP_GET, .serve_await = serve_left_await},
};

static void run_fiber(struct fake *f, struct fiber *self)
{
    exchange_fiber(self, &f->stream);
}

static struct fake *open_rows(const char *path)
{
    struct fake *f = open_chat("openai/a", NULL);
    assert_int_equal(route_table_add(&f->gateway.routes, rows, ARRAY_LEN(rows)), 0);
    f->stream.request.method = HTTP_GET;
    f->stream.request.path = slice_str(path);
    f->stream.request.target = slice_str(path);
    f->stream.started = ring_now(f->ring);
    return f;
}

static void a_fiber_serves_counts_and_ends_once(void **state)
{
    (void)state;
    struct fake *f = open_rows("/ok");
    fake_field(f, "x-request-id", "mine");
    fake_run(f, run_fiber);
    assert_int_equal(running, 1);
    assert_int_equal(built.config->core[0].exchanges, 0);
    assert_int_equal(f->status, 200);
    assert_int_equal(f->settled, 1);
    assert_int_equal(f->ends, 1);
    struct slice line = log_take(&f->core.log);
    assert_true(slice_find(line, SLICE("\"path\":\"/ok\",\"status\":200")) > 0);
    assert_true(slice_find(line, SLICE("mine")) > 0);
    log_written(&f->core.log);
    close_chat(f);
}

static void a_client_that_left_is_settled_as_499(void **state)
{
    (void)state;
    struct fake *f = open_rows("/left");
    fake_run(f, run_fiber);
    assert_int_equal(f->answers, 0);
    assert_int_equal(f->settled, 1);
    assert_int_equal(f->ends, 1);
    struct slice line = log_take(&f->core.log);
    assert_true(slice_find(line, SLICE("\"path\":\"/left\",\"status\":499")) > 0);
    log_written(&f->core.log);
    close_chat(f);
}

// Without memory for an exchange nothing can be answered; the connection is given back all the
// same.
static void a_fiber_without_memory_ends_the_stream(void **state)
{
    (void)state;
    struct fake *f = open_rows("/ok");
    arena_done(&f->stream.arena);
    arena_init(&f->stream.arena, &f->blocks, 64);
    fake_run(f, run_fiber);
    assert_int_equal(f->ends, 1);
    assert_int_equal(f->answers, 0);
    assert_int_equal(built.config->core[0].exchanges, 0);
    close_chat(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fallbacks_are_tried_in_order),
        cmocka_unit_test(the_first_that_answers_is_the_last_asked),
        cmocka_unit_test(the_primarys_failure_is_told),
        cmocka_unit_test(a_model_that_leads_nowhere_is_400),
        cmocka_unit_test(a_client_that_left_is_told_nothing),
        cmocka_unit_test(a_bad_body_is_refused_unrouted),
        cmocka_unit_test(an_upgrade_is_426),
        cmocka_unit_test(a_probe_is_answered_without_a_body),
        cmocka_unit_test(required_fields_come_before_the_body),
        cmocka_unit_test(a_fiber_serves_counts_and_ends_once),
        cmocka_unit_test(a_client_that_left_is_settled_as_499),
        cmocka_unit_test(a_fiber_without_memory_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
