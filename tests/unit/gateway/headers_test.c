// SPDX-License-Identifier: Apache-2.0
//
// headers_test.c: which fields go up and come down, whoever asks for what.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/headers.h"
#include "gateway/translate.h"

static const struct provider_row bearer = {.auth = AUTH_BEARER};
static const struct provider_row claude = {.auth = AUTH_X_API_KEY, .anthropic = true};
static struct config_provider provider = {.name = {"groq", 4}, .row = &bearer};
static struct config_provider anthropic = {.name = {"anthropic", 9}, .row = &claude};
static struct config_key key = {.auth_value = {"Bearer sk-real", 14}};

static struct fake *open_post(void)
{
    static const struct route route = {.operation = OP_CHAT};
    struct fake *f = fake_open();
    provider.row = provider_find(SLICE("groq"));
    f->x.route = &route;
    f->stream.request.method = HTTP_POST;
    f->x.target[0] = (struct target){.provider = &provider};
    f->x.target_count = 1;
    f->x.key = &key;
    return f;
}

// "name: value\n" lines of what goes up.
static const char *up(struct fake *f)
{
    struct http_field out[HEADERS_MAX];
    unsigned n = headers_up(&f->x, &f->x.target[0], out, HEADERS_MAX);
    buf_reset(&f->head);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&f->head, "%.*s: %.*s\n", SLICE_ARG(out[i].name), SLICE_ARG(out[i].value));
    return text_of_buf(&f->head);
}

static const char *down(struct fake *f, const struct http_head *head)
{
    struct http_field out[HEADERS_MAX];
    unsigned n = headers_down(&f->x, head, out, HEADERS_MAX);
    buf_reset(&f->head);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&f->head, "%.*s: %.*s\n", SLICE_ARG(out[i].name), SLICE_ARG(out[i].value));
    return text_of_buf(&f->head);
}

static void own_fields_go_up(void **state)
{
    (void)state;
    struct fake *f = open_post();
    assert_string_equal(up(f), "authorization: Bearer sk-real\n"
                               "content-type: application/json\n"
                               "accept: application/json\n"
                               "accept-encoding: identity\n"
                               "user-agent: ringgate\n");
    f->x.stream_wanted = true;
    assert_non_null(strstr(up(f), "accept: text/event-stream\n"));
    f->x.stream_wanted = false;
    fake_field(f, "Accept", "text/csv");
    assert_non_null(strstr(up(f), "accept: text/csv\n"));
    f->x.key = NULL;
    f->stream.request.method = HTTP_GET;
    assert_string_equal(up(f), "accept: application/json\n"
                               "accept-encoding: identity\n"
                               "user-agent: ringgate\n");
    fake_close(f);
}

static struct fake *open_messages(void)
{
    static struct config_key plain = {.auth_value = {"sk-real", 7}};
    struct fake *f = open_post();
    f->x.key = &plain;
    f->x.target[0].provider = &anthropic;
    f->x.upstream_op = OP_MESSAGES;
    f->x.dialect = &dialect_anthropic_messages;
    f->x.upstream_dialect = &dialect_anthropic_messages;
    return f;
}

static void anthropic_is_told_in_its_own_fields(void **state)
{
    (void)state;
    struct fake *f = open_messages();
    assert_string_equal(up(f), "x-api-key: sk-real\n"
                               "anthropic-version: 2023-06-01\n"
                               "content-type: application/json\n"
                               "accept: application/json\n"
                               "accept-encoding: identity\n"
                               "user-agent: ringgate\n");
    f->x.key = NULL;
    f->x.upstream_op = OP_LIST_MODELS;
    assert_non_null(strstr(up(f), "anthropic-version: 2023-06-01\n"));
    fake_close(f);
}

static void anthropics_fields_pass_between_its_speakers(void **state)
{
    (void)state;
    struct fake *f = open_messages();
    fake_field(f, "Anthropic-Version", "2099-01-01");
    fake_field(f, "anthropic-beta", "a,b");
    fake_field(f, "anthropic-beta", "c");
    fake_field(f, "anthropic-dangerous-direct-browser-access", "true");
    fake_field(f, "anthropic-organization", "not-asked-for");
    fake_field(f, "x-api-key", "the-clients");
    assert_string_equal(up(f), "x-api-key: sk-real\n"
                               "Anthropic-Version: 2099-01-01\n"
                               "anthropic-beta: a,b\n"
                               "anthropic-beta: c\n"
                               "anthropic-dangerous-direct-browser-access: true\n"
                               "content-type: application/json\n"
                               "accept: application/json\n"
                               "accept-encoding: identity\n"
                               "user-agent: ringgate\n");
    // The operator's word counts.
    static struct config_header extra = {.name = {"anthropic-version", 17}, .value = {"own", 3}};
    anthropic.extra_headers = &extra;
    anthropic.extra_header_count = 1;
    assert_null(strstr(up(f), "2099-01-01"));
    assert_non_null(strstr(up(f), "anthropic-version: own\n"));
    anthropic.extra_header_count = 0;
    fake_close(f);
}

static void what_is_translated_is_described_by_the_gateway(void **state)
{
    (void)state;
    struct fake *f = open_messages();
    fake_field(f, "anthropic-version", "2099-01-01");
    fake_field(f, "anthropic-beta", "a");
    f->x.dialect = &dialect_openai_chat;
    assert_null(strstr(up(f), "anthropic-beta"));
    assert_non_null(strstr(up(f), "anthropic-version: 2023-06-01\n"));
    f->x.upstream_dialect = &dialect_openai_chat;
    f->x.upstream_op = OP_CHAT;
    f->x.target[0].provider = &provider;
    assert_null(strstr(up(f), "anthropic"));
    fake_close(f);
}

static void what_was_dropped_is_reported_on_drop_ins(void **state)
{
    static const struct route v1 = {.mount = MOUNT_UNIFIED}, openai = {.mount = MOUNT_OPENAI};
    struct translated translated = {.dropped_list = SLICE("seed, top_k")};
    struct http_head head = {.status = 200};
    (void)state;
    struct fake *f = open_messages();
    f->x.route = &openai;
    assert_null(strstr(down(f, &head), "dropped"));
    f->x.translated = &translated;
    assert_non_null(strstr(down(f, &head), "x-bf-dropped-params: seed, top_k\n"));
    f->x.route = &v1; // there it stands in extra_fields
    assert_null(strstr(down(f, &head), "dropped"));
    fake_close(f);
}

static void a_translated_request_brings_the_betas_it_needs(void **state)
{
    struct translated translated = {0};
    struct translation translation = {.betas = SLICE("mcp-client-2025-11-20")};
    (void)state;
    struct fake *f = open_messages();
    f->x.dialect = &dialect_openai_responses;
    f->x.translated = &translated;
    f->x.translation = &translation;
    assert_non_null(strstr(up(f), "anthropic-beta: mcp-client-2025-11-20\n"));
    fake_close(f);
}

static const char *const secrets[] = {
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-bf-api-key",
    "x-bf-vk",
    "cookie",
    "host",
    "content-length",
    "connection",
    "proxy-authorization",
    "expect",
    "transfer-encoding",
    "te",
    "upgrade",
    "accept-encoding",
    "x-request-id",
};

static void no_secret_of_the_client_goes_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        struct slice listed = slice_str(secrets[i]);
        char hidden[64];
        struct fake *f = open_post();
        snprintf(hidden, sizeof(hidden), "x-bf-eh-%s", secrets[i]);
        // Plainly, behind the prefix, and with an operator who lists it.
        f->config.header_allow = &listed;
        f->config.header_allow_count = 1;
        fake_field(f, secrets[i], "stolen");
        fake_field(f, hidden, "stolen");
        if (strstr(up(f), "stolen"))
            fail_msg("%s went up: %s", secrets[i], text_of_buf(&f->head));
        fake_close(f);
    }
}

static void clients_add_what_is_allowed(void **state)
{
    (void)state;
    struct slice allow[] = {SLICE("X-Tag"), SLICE("X-Denied")};
    struct slice deny = SLICE("x-denied");
    struct fake *f = open_post();
    fake_field(f, "X-Plain", "1");
    fake_field(f, "x-bf-eh-X-Free", "2");
    fake_field(f, "x-bf-eh-", "3");
    fake_field(f, "x-tag", "4");
    fake_field(f, "x-bf-eh-x-denied", "5");
    f->config.header_deny = &deny;
    f->config.header_deny_count = 1;
    const char *text = up(f);
    assert_null(strstr(text, "X-Plain"));
    assert_non_null(strstr(text, "\nX-Free: 2\n"));
    assert_null(strstr(text, ": 3\n"));
    assert_null(strstr(text, "x-tag"));
    assert_null(strstr(text, "x-denied"));
    // With a list the prefix is held to it too, and listed names need no prefix.
    f->config.header_allow = allow;
    f->config.header_allow_count = 2;
    text = up(f);
    assert_null(strstr(text, "X-Free"));
    assert_non_null(strstr(text, "\nx-tag: 4\n"));
    assert_null(strstr(text, "x-denied"));
    fake_close(f);
}

static void the_operators_fields_win(void **state)
{
    (void)state;
    struct config_header extra[] = {{.name = SLICE("Authorization"), .value = SLICE("Other")},
                                    {.name = SLICE("X-Org"), .value = SLICE("ours")}};
    struct config_provider p = {.name = SLICE("p"),
                                .row = &bearer,
                                .extra_headers = extra,
                                .extra_header_count = ARRAY_LEN(extra)};
    struct fake *f = open_post();
    f->x.target[0].provider = &p;
    fake_field(f, "x-bf-eh-x-org", "theirs");
    const char *text = up(f);
    assert_true(slice_starts(slice_str(text), SLICE("Authorization: Other\nX-Org: ours\n")));
    assert_null(strstr(text, "sk-real"));
    assert_null(strstr(text, "theirs"));
    fake_close(f);
}

static void anthropic_is_told_its_version_and_its_betas(void **state)
{
    (void)state;
    struct config_beta betas[] = {{SLICE("context-1m-"), false}};
    struct config_provider p = {.name = SLICE("p"), .betas = betas, .beta_count = 1};
    struct config_key own = {.auth_value = SLICE("sk-ant-real")};
    struct fake *f = open_post();
    p.row = provider_find(SLICE("anthropic"));
    f->x.target[0].provider = &p;
    f->x.key = &own;
    f->x.upstream_op = OP_MESSAGES;
    fake_field(f, "x-bf-eh-anthropic-beta", "a-1, context-1m-2025-08-07, b-2");
    assert_true(slice_starts(slice_str(up(f)), SLICE("x-api-key: sk-ant-real\n"
                                                     "anthropic-beta: a-1,b-2\n")));
    assert_non_null(strstr(up(f), "\nanthropic-version: 2023-06-01\n"));
    assert_null(strstr(up(f), "authorization"));
    fake_field(f, "x-bf-eh-anthropic-version", "2026-10-21");
    assert_non_null(strstr(up(f), "\nanthropic-version: 2026-10-21\n"));
    assert_null(strstr(up(f), "2023-06-01"));
    f->x.credential = SLICE("Bearer sk-ant-oat01-mine");
    assert_non_null(strstr(up(f), "authorization: Bearer sk-ant-oat01-mine\n"));
    assert_null(strstr(up(f), "sk-ant-real"));
    fake_close(f);
}

static void too_many_fields_stay_behind(void **state)
{
    (void)state;
    struct http_field out[4];
    struct fake *f = open_post();
    for (unsigned i = 0; i < 20; i++)
        fake_field(f, "x-bf-eh-x-many", "1");
    assert_int_equal(headers_up(&f->x, &f->x.target[0], out, 4), 4);
    fake_close(f);
}

static void front_door_fields_stay_with_the_provider(void **state)
{
    (void)state;
    struct http_field fields[] = {
        {.name = SLICE("X-RateLimit-Remaining"), .value = SLICE("5")},
        {.name = SLICE("Set-Cookie"), .value = SLICE("a=b")},
        {.name = SLICE("Strict-Transport-Security"), .value = SLICE("max-age=1")},
        {.name = SLICE("Transfer-Encoding"), .value = SLICE("chunked")},
        {.name = SLICE("Access-Control-Allow-Origin"), .value = SLICE("*")},
        {.name = SLICE("x-bf-provider"), .value = SLICE("forged")},
        {.id = HTTP_N_CONNECTION,
         .name = SLICE("Connection"),
         .value = SLICE("keep-alive , X-Hop,x-last")},
        {.name = SLICE("x-hop"), .value = SLICE("1")},
        {.name = SLICE("X-Last"), .value = SLICE("1")},
        {.name = SLICE("x-hop-not"), .value = SLICE("1")},
    };
    struct http_head head = {.status = 200, .fields = fields, .count = ARRAY_LEN(fields)};
    struct fake *f = open_post();
    f->x.request_id = SLICE("id-1");
    f->x.model_sent = SLICE("llama");
    assert_string_equal(down(f, &head), "x-bf-provider: groq\nx-bf-model: llama\n"
                                        "x-bf-request-id: id-1\n"
                                        "X-RateLimit-Remaining: 5\nx-hop-not: 1\n");
    // A client's text that is no field value is not made one.
    (void)state;
    f->x.model_sent = SLICE("a\r\nX-Evil: 1");
    assert_null(strstr(down(f, &head), "x-bf-model"));
    assert_string_equal(down(f, NULL), "x-bf-request-id: id-1\n");
    fake_close(f);
}

static void a_missing_field_is_named(void **state)
{
    (void)state;
    struct slice required[] = {SLICE("x-team"), SLICE("x-user")};
    struct fake *f = open_post();
    assert_int_equal(headers_missing(&f->config, &f->stream.request).len, 0);
    f->config.required_headers = required;
    f->config.required_header_count = 2;
    fake_field(f, "X-Team", "a");
    assert_true(slice_eq(headers_missing(&f->config, &f->stream.request), SLICE("x-user")));
    fake_field(f, "X-USER", "b");
    assert_int_equal(headers_missing(&f->config, &f->stream.request).len, 0);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_fields_go_up),
        cmocka_unit_test(anthropic_is_told_in_its_own_fields),
        cmocka_unit_test(anthropics_fields_pass_between_its_speakers),
        cmocka_unit_test(what_is_translated_is_described_by_the_gateway),
        cmocka_unit_test(what_was_dropped_is_reported_on_drop_ins),
        cmocka_unit_test(a_translated_request_brings_the_betas_it_needs),
        cmocka_unit_test(no_secret_of_the_client_goes_up),
        cmocka_unit_test(clients_add_what_is_allowed),
        cmocka_unit_test(the_operators_fields_win),
        cmocka_unit_test(anthropic_is_told_its_version_and_its_betas),
        cmocka_unit_test(too_many_fields_stay_behind),
        cmocka_unit_test(front_door_fields_stay_with_the_provider),
        cmocka_unit_test(a_missing_field_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
