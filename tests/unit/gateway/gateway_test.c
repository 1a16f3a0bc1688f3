// SPDX-License-Identifier: Apache-2.0
//
// gateway_test.c: which requests are answered before any route, identifiers, the access log.
#include "tests/unit/gateway/fixture.h"

// The exchange is not under test; on_request only needs its name.
void exchange_fiber(struct fiber *self, void *stream)
{
    (void)self;
    struct fake *f = fake_of(stream);
    f->settled++;
}

static void serve_ok_await(struct exchange *x, struct fiber *self)
{
    json_answer_await(x, self, 200, SLICE("{}"));
}

static void serve_nothing_await(struct exchange *x, struct fiber *self)
{
    (void)x;
    (void)self;
}

// As without memory for the answer's head.
static void serve_half_await(struct exchange *x, struct fiber *self)
{
    (void)self;
    exchange_set_state(x, EXCHANGE_COMMITTED);
}

static const struct route rows[] = {
    {.path = "/get", .methods = 1u << HTTP_GET, .serve_await = serve_ok_await},
    {.path = "/v1/post",
     .methods = 1u << HTTP_POST,
     .mount = MOUNT_UNIFIED,
     .serve_await = serve_ok_await},
    {.path = "/half", .methods = 1u << HTTP_GET, .serve_await = serve_half_await},
    {.path = "/nothing", .methods = 1u << HTTP_GET, .serve_await = serve_nothing_await},
};

static void serve(struct fake *f, struct fiber *self)
{
    gateway_serve_await(&f->x, self);
}

static struct fake *open_rows(void)
{
    struct fake *f = fake_open();
    assert_int_equal(route_table_add(&f->gateway.routes, rows, ARRAY_LEN(rows)), 0);
    return f;
}

static void ask(struct fake *f, enum http_method method, const char *path)
{
    f->stream.request.method = method;
    f->stream.request.path = slice_str(path);
    f->stream.request.target = slice_str(path);
    fake_run(f, serve);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->settled, 1);
}

static void known_paths_are_served(void **state)
{
    (void)state;
    struct fake *f = open_rows();
    ask(f, HTTP_GET, "/get");
    assert_int_equal(f->status, 200);
    assert_string_equal(f->x.route->path, "/get");
    fake_again(f);
    ask(f, HTTP_HEAD, "/get/");
    assert_int_equal(f->status, 200);
    fake_close(f);
}

static void unknown_path_is_named(void **state)
{
    (void)state;
    struct fake *f = open_rows();
    ask(f, HTTP_GET, "/no\"pe");
    assert_int_equal(f->status, 404);
    ASSERT_TEXT(&f->body, "{\"is_bifrost_error\":false,\"status_code\":404,\"error\":{"
                          "\"type\":\"not_found_error\","
                          "\"message\":\"Route not found: /no\\\"pe\"},\"extra_fields\":{}}");
    fake_close(f);
}

static void wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    struct fake *f = open_rows();
    ask(f, HTTP_DELETE, "/get");
    assert_int_equal(f->status, 405);
    assert_non_null(strstr(text_of_buf(&f->head), "allow: GET, HEAD, OPTIONS\n"));
    fake_again(f);
    ask(f, HTTP_GET, "/v1/post");
    assert_int_equal(f->status, 405);
    assert_non_null(strstr(text_of_buf(&f->head), "allow: POST, OPTIONS\n"));
    fake_close(f);
}

static void a_route_that_does_not_answer_is_500(void **state)
{
    (void)state;
    struct fake *f = open_rows();
    ask(f, HTTP_GET, "/nothing");
    assert_int_equal(f->status, 500);
    fake_close(f);
}

static void an_answer_that_was_begun_is_not_begun_again(void **state)
{
    (void)state;
    struct fake *f = open_rows();
    f->stream.request.method = HTTP_GET;
    f->stream.request.path = SLICE("/half");
    f->stream.request.target = SLICE("/half");
    fake_run(f, serve);
    assert_int_equal(f->answers, 0);
    assert_int_equal(f->settled, 0); // exchange_fiber does, and closes
    fake_close(f);
}

// ---- Origins ---------------------------------------------------------------------------------

static void preflight_is_answered_for_any_path(void **state)
{
    (void)state;
    struct slice entry = SLICE("https://a.com"), header = SLICE("X-Mine");
    struct fake *f = open_rows();
    f->config.allowed_origins = &entry;
    f->config.allowed_origin_count = 1;
    f->config.allowed_headers = &header;
    f->config.allowed_header_count = 1;
    fake_field(f, "Origin", "https://a.com");
    ask(f, HTTP_OPTIONS, "/whatever");
    assert_int_equal(f->status, 200);
    ASSERT_TEXT(&f->head,
                "content-type: text/plain; charset=utf-8\n"
                "access-control-allow-origin: https://a.com\n"
                "access-control-allow-methods: GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD\n"
                "access-control-allow-headers: Content-Type, Authorization, X-Requested-With, "
                "X-Stainless-Timeout, X-Mine\n"
                "access-control-allow-credentials: true\n"
                "access-control-max-age: 86400\n"
                "vary: Origin\n");
    fake_again(f);
    fake_field(f, "Origin", "https://b.com");
    ask(f, HTTP_OPTIONS, "/get");
    assert_int_equal(f->status, 403);
    assert_null(strstr(text_of_buf(&f->head), "access-control"));
    fake_close(f);
}

static void bare_star_gives_credentials_to_inference_only(void **state)
{
    (void)state;
    struct slice entry = SLICE("*");
    struct fake *f = open_rows();
    f->config.allowed_origins = &entry;
    f->config.allowed_origin_count = 1;
    fake_field(f, "Origin", "https://b.com");
    ask(f, HTTP_GET, "/get");
    const char *head = text_of_buf(&f->head);
    assert_non_null(strstr(head, "access-control-allow-origin: https://b.com\n"));
    assert_null(strstr(head, "credentials"));
    fake_again(f);
    fake_field(f, "Origin", "https://b.com");
    ask(f, HTTP_POST, "/v1/post");
    assert_non_null(strstr(text_of_buf(&f->head), "allow-credentials: true\n"));
    fake_close(f);
}

// ---- Identifiers, refusals, the log -----------------------------------------------------------

static void request_ids_are_taken_or_made(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct slice first = gateway_request_id(&f->stream);
    assert_int_equal(first.len, 36);
    assert_int_equal(first.ptr[14], '4');
    assert_non_null(strchr("89ab", first.ptr[19]));
    for (unsigned i = 0; i < 40; i++) // past one filling of the random bytes
        assert_false(slice_eq(gateway_request_id(&f->stream), first));
    fake_field(f, "X-Request-Id", "mine-1");
    assert_true(slice_eq(gateway_request_id(&f->stream), SLICE("mine-1")));
    f->stream.request.fields[0].value = SLICE("no spaces");
    assert_int_equal(gateway_request_id(&f->stream).len, 36);
    fake_close(f);
}

static void refusals_are_static_envelopes(void **state)
{
    (void)state;
    struct slice s = gateway_refusal(NULL, ERR_HEAD_TOO_LARGE);
    static const char text[] = "{\"is_bifrost_error\":false,\"status_code\":431,\"error\":{"
                               "\"message\":\"request head too large\"},\"extra_fields\":{}}";
    assert_int_equal(s.len, sizeof(text) - 1);
    assert_memory_equal(s.ptr, text, s.len);
    for (int err = 1; err < ERR_COUNT; err++)
        assert_true(gateway_refusal(NULL, -err).len > 0);
}

static void access_log_leaves_out_health_and_queries(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    f->stream.request.method = HTTP_GET;
    f->stream.request.path = SLICE("/health");
    f->x.status = 200;
    gateway_access_log(&f->x);
    assert_int_equal(log_take(&f->core.log).len, 0);
    f->stream.request.path = SLICE("/v1/models");
    f->stream.request.target = SLICE("/v1/models?key=secret");
    f->x.status = 404;
    gateway_access_log(&f->x);
    struct slice line = log_take(&f->core.log);
    assert_true(slice_starts(line, SLICE("{\"level\":\"warn\"")));
    assert_true(slice_find(line, SLICE("\"path\":\"/v1/models\",\"status\":404")) > 0);
    assert_true(slice_find(line, SLICE("secret")) < 0);
    log_written(&f->core.log);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_paths_are_served),
        cmocka_unit_test(unknown_path_is_named),
        cmocka_unit_test(wrong_method_names_the_right_ones),
        cmocka_unit_test(a_route_that_does_not_answer_is_500),
        cmocka_unit_test(an_answer_that_was_begun_is_not_begun_again),
        cmocka_unit_test(preflight_is_answered_for_any_path),
        cmocka_unit_test(bare_star_gives_credentials_to_inference_only),
        cmocka_unit_test(request_ids_are_taken_or_made),
        cmocka_unit_test(refusals_are_static_envelopes),
        cmocka_unit_test(access_log_leaves_out_health_and_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
