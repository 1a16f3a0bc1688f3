// SPDX-License-Identifier: Apache-2.0
//
// config_providers_test.c: a provider's defaults, paths, patience, headers, and its mistakes.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KEYS                 "\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}]"
#define PROVIDER(name, more) "{\"providers\":{\"" name "\":{" KEYS more "}}}"
#define NETWORK(members)     PROVIDER("openai", ",\"network_config\":{" members "}")
#define CUSTOM(url, members)                                                                       \
    PROVIDER("mine", ",\"network_config\":{" url "},\"custom_provider_config\":{" members "}")

static void assert_text(struct slice s, const char *expected)
{
    if (!slice_eq(s, slice_str(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

static void defaults_are_bifrosts(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, PROVIDER("openai", ""));
    assert_int_equal(b.err, 0);
    assert_int_equal(b.report.warnings.len, 0);
    const struct config_provider *p = built_provider(&b, "openai");
    assert_non_null(p);
    assert_int_equal(p->request_timeout_ms, 30000);
    assert_int_equal(p->stream_idle_ms, 60000);
    assert_int_equal(p->max_retries, 0);
    assert_int_equal(p->backoff_initial_ms, 500);
    assert_int_equal(p->backoff_max_ms, 5000);
    assert_int_equal(b.limiters.asked[0].concurrency, 1000);
    assert_int_equal(b.limiters.asked[0].buffer_size, 5000);
    assert_false(p->custom || p->key_less || p->disable_store);
    assert_text(origin_authority(p->origin), "api.openai.com");
    assert_text(p->path[OP_CHAT], "/v1/chat/completions");
    assert_int_equal(p->allowed & 0xffff, (1u << OPERATION_COUNT) - 1);
    assert_int_equal(b.config->version, 2);
    assert_int_equal(b.config->body_bytes_max, 100 * 1024 * 1024);
    assert_int_equal(b.config->head_bytes_max, 65536);
    assert_int_equal(b.config->allowed_origin_count, 1);
    assert_text(b.config->allowed_origins[0], "*");
    assert_false(b.config->drop_excess_requests);
    built_done(&b);
}

static void numbers_are_taken(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, NETWORK("\"default_request_timeout_in_seconds\":7,\"max_retries\":3,"
                           "\"retry_backoff_initial\":\"250ms\",\"retry_backoff_max\":2000,"
                           "\"stream_idle_timeout_in_seconds\":11"));
    assert_int_equal(b.err, 0);
    const struct config_provider *p = built_provider(&b, "openai");
    assert_int_equal(p->request_timeout_ms, 7000);
    assert_int_equal(p->max_retries, 3);
    assert_int_equal(p->backoff_initial_ms, 250);
    assert_int_equal(p->backoff_max_ms, 2000);
    assert_int_equal(p->stream_idle_ms, 11000);
    built_done(&b);
}

static void zero_and_null_are_defaults(void **state)
{
    (void)state;
    struct built b;
    built_text(&b,
               NETWORK("\"default_request_timeout_in_seconds\":0,\"retry_backoff_initial\":\"0s\","
                       "\"retry_backoff_max\":null,\"base_url\":null,\"extra_headers\":null"));
    assert_int_equal(b.err, 0);
    const struct config_provider *p = built_provider(&b, "openai");
    assert_int_equal(p->request_timeout_ms, 30000);
    assert_int_equal(p->backoff_initial_ms, 500);
    assert_int_equal(p->backoff_max_ms, 5000);
    built_done(&b);
}

// ---- Paths --------------------------------------------------------------------------------------

static void base_urls_and_paths_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *text, *provider, *authority, *path;
    } rows[] = {
        {NETWORK("\"base_url\":\"https://h/v1\""), "openai", "h", "/v1/chat/completions"},
        {NETWORK("\"base_url\":\"https://h/v1/\""), "openai", "h", "/v1/chat/completions"},
        {NETWORK("\"base_url\":\"http://h:8080/a/b\""), "openai", "h:8080",
         "/a/b/v1/chat/completions"},
        {NETWORK("\"base_url\":\"http://h/a/v1\""), "openai", "h", "/a/v1/chat/completions"},
        {NETWORK("\"base_url\":\"http://h/av1\""), "openai", "h", "/av1/v1/chat/completions"},
        {NETWORK("\"base_url\":\"env.TEST_URL\""), "openai", "127.0.0.1:9000",
         "/v1/chat/completions"},
        {NETWORK("\"base_url\":{\"env_var\":\"TEST_URL\",\"from_env\":true,\"value\":\"\"}"),
         "openai", "127.0.0.1:9000", "/v1/chat/completions"},
        {PROVIDER("groq", ""), "groq", "api.groq.com", "/openai/v1/chat/completions"},
        {PROVIDER("perplexity", ""), "perplexity", "api.perplexity.ai", "/chat/completions"},
        {PROVIDER("perplexity", ",\"network_config\":{\"base_url\":\"http://h/v1\"}"), "perplexity",
         "h", "/v1/chat/completions"},
        {CUSTOM("\"base_url\":\"http://[::1]:1/x\"", "\"base_provider_type\":\"openai\""), "mine",
         "[::1]:1", "/x/v1/chat/completions"},
        {CUSTOM("\"base_url\":\"http://h/v1\"",
                "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
                "\"chat_completion\":\"/chat\"}"),
         "mine", "h", "/v1/chat"},
        {CUSTOM("\"base_url\":\"http://h/v1\"",
                "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
                "\"chat_completion_stream\":\"/v1/c?x=1\"}"),
         "mine", "h", "/v1/c?x=1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_text(&b, rows[i].text);
        if (b.err != 0)
            fail_msg("%.*s", SLICE_ARG(buf_slice(&b.report.errors)));
        const struct config_provider *p = built_provider(&b, rows[i].provider);
        assert_text(origin_authority(p->origin), rows[i].authority);
        assert_text(p->path[OP_CHAT], rows[i].path);
        built_done(&b);
    }
}

static void whole_urls_replace_the_place(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, CUSTOM("\"base_url\":\"http://h/v1\"",
                          "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
                          "\"embedding\":\"https://other:444/e\",\"responses\":\"http://root\"}"));
    assert_int_equal(b.err, 0);
    const struct config_provider *p = built_provider(&b, "mine");
    assert_text(origin_authority(p->path_origin[OP_EMBEDDING]), "other:444");
    assert_text(p->path[OP_EMBEDDING], "/e");
    assert_text(p->path[OP_RESPONSES], "/");
    assert_null(p->path_origin[OP_CHAT]);
    built_done(&b);

    // with all of them elsewhere no base_url is needed
    built_text(&b, CUSTOM("", "\"base_provider_type\":\"openai\",\"allowed_requests\":{"
                              "\"chat_completion\":true},\"request_path_overrides\":{"
                              "\"chat_completion\":\"http://h/c\"}"));
    assert_int_equal(b.err, 0);
    assert_null(built_provider(&b, "mine")->origin);
    built_done(&b);
}

static void only_allowed_requests_are_allowed(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, CUSTOM("\"base_url\":\"http://h\"",
                          "\"base_provider_type\":\"openai\",\"is_key_less\":true,"
                          "\"allowed_requests\":{\"chat_completion\":true,\"embedding\":true,"
                          "\"responses_stream\":true,\"speech\":true,\"text_completion\":false}"));
    assert_int_equal(b.err, 0);
    const struct config_provider *p = built_provider(&b, "mine");
    assert_true(p->custom && p->key_less);
    // What Anthropic calls messages is a request of the type `responses`.
    assert_int_equal(p->allowed, 1u << OP_CHAT | 1u << OP_EMBEDDING | 1u << (16 + OP_RESPONSES) |
                                     1u << (16 + OP_MESSAGES));
    built_done(&b);
}

// Types of requests are allowed; which of the vendor's endpoints serves one is another matter.
static void vendors_without_an_operation_have_no_path(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, PROVIDER("mistral", ""));
    const struct config_provider *p = built_provider(&b, "mistral");
    assert_int_equal(p->allowed & 0xffff, (1u << OPERATION_COUNT) - 1);
    assert_int_equal(p->allowed >> 16, 1u << OP_CHAT | 1u << OP_TEXT | 1u << OP_RESPONSES |
                                           1u << OP_MESSAGES | 1u << OP_COMPLETE);
    assert_true(p->path[OP_CHAT].len > 0);
    assert_int_equal(p->path[OP_RESPONSES].len, 0);
    built_done(&b);
}

static void a_keyless_provider_needs_no_keys(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{\"mine\":{\"network_config\":{\"base_url\":\"http://h\"},"
                   "\"custom_provider_config\":{\"base_provider_type\":\"openai\","
                   "\"is_key_less\":true}}}}");
    assert_int_equal(b.err, 0);
    assert_int_equal(built_provider(&b, "mine")->key_count, 0);
    built_done(&b);
}

// ---- Headers and switches -----------------------------------------------------------------------

static void extra_headers_are_taken_in_order(void **state)
{
    (void)state;
    struct built b;
    built_text(
        &b,
        NETWORK("\"extra_headers\":{\"X-One\":\"1\",\"x-no\":null,\"x-two\":\"env.TEST_KEY\"}"));
    assert_int_equal(b.err, 0);
    const struct config_provider *p = built_provider(&b, "openai");
    assert_int_equal(p->extra_header_count, 2);
    assert_text(p->extra_headers[0].name, "X-One");
    assert_text(p->extra_headers[0].value, "1");
    assert_text(p->extra_headers[1].value, "sk-test-secret");
    built_done(&b);
}

static void store_is_disabled_in_either_place(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, PROVIDER("openai", ",\"openai_config\":{\"disable_store\":true}"));
    assert_true(built_provider(&b, "openai")->disable_store);
    built_done(&b);
    built_text(
        &b, "{\"providers\":{\"openai\":{" KEYS "},\"groq\":{" KEYS "}},\"governance\":{"
            "\"providers\":[{\"name\":\"openai\",\"openai_config\":{\"disable_store\":true}}]}}");
    assert_int_equal(b.err, 0);
    assert_true(built_provider(&b, "openai")->disable_store);
    assert_false(built_provider(&b, "groq")->disable_store);
    built_done(&b);
}

// ---- Mistakes -----------------------------------------------------------------------------------

static const struct {
    const char *text, *line;
} mistakes[] = {
    {NETWORK("\"retry_backoff_initial\":6000"),
     "providers.openai.network_config.retry_backoff_initial: more than retry_backoff_max"},
    {PROVIDER("openai", ",\"concurrency_and_buffer_size\":{\"concurrency\":10,\"buffer_size\":9}"),
     "providers.openai.concurrency_and_buffer_size.concurrency: 10 is more than buffer_size "
     "(9)"},
    {PROVIDER("openai", ",\"concurrency_and_buffer_size\":{\"concurrency\":6000}"),
     "providers.openai.concurrency_and_buffer_size.concurrency: 6000 is more than buffer_size "
     "(5000)"},
    {NETWORK("\"extra_headers\":{\"x a\":\"1\"}"),
     "providers.openai.network_config.extra_headers.\"x a\": not the name of a header"},
    {NETWORK("\"extra_headers\":{\"Content-Length\":\"1\"}"),
     "providers.openai.network_config.extra_headers.Content-Length: this header is the "
     "gateway's "
     "own"},
    {NETWORK("\"extra_headers\":{\"x-a\":\"1\\r\\nx-b: 2\"}"),
     "providers.openai.network_config.extra_headers.x-a: holds characters that cannot be sent "
     "in "
     "a header"},
    {NETWORK("\"extra_headers\":{\"x-a\":\"env.NOT_SET\"}"),
     "providers.openai.network_config.extra_headers.x-a: environment variable NOT_SET is not "
     "set"},
    {NETWORK("\"base_url\":\"env.NOT_SET\""),
     "providers.openai.network_config.base_url: environment variable NOT_SET is not set"},
    {CUSTOM("", "\"base_provider_type\":\"openai\""),
     "providers.mine.network_config.base_url: missing; a custom provider needs it"},
    {CUSTOM("\"base_url\":\"http://h\"", ""),
     "providers.mine.custom_provider_config.base_provider_type: missing"},
    {CUSTOM("\"base_url\":\"http://h\"", "\"base_provider_type\":\"cohere\""),
     "providers.mine.custom_provider_config.base_provider_type: not served yet; \"openai\" and "
     "\"anthropic\" are"},
    {CUSTOM("\"base_url\":\"http://h\"", "\"base_provider_type\":\"acme\""),
     "providers.mine.custom_provider_config.base_provider_type: unknown provider type"},
    {PROVIDER("groq", ",\"custom_provider_config\":{\"base_provider_type\":\"openai\"}"),
     "providers.groq.custom_provider_config: a custom provider may not have a vendor's name"},
    {PROVIDER("anthropic", ",\"custom_provider_config\":{\"base_provider_type\":\"openai\"}"),
     "providers.anthropic.custom_provider_config: a custom provider may not have a vendor's "
     "name"},
    {PROVIDER("a/b", ",\"custom_provider_config\":{\"base_provider_type\":\"openai\"}"),
     "providers.\"a/b\": a provider's name has no spaces and no /, and 1 to 128 bytes"},
    {CUSTOM("\"base_url\":\"http://h\"",
            "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
            "\"chat_completion\":\"chat\"}"),
     "providers.mine.custom_provider_config.request_path_overrides.chat_completion: expected a "
     "path that begins with / or a whole URL"},
    {CUSTOM("\"base_url\":\"http://h\"",
            "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
            "\"chat_completion\":\"/a\",\"chat_completion_stream\":\"/b\"}"),
     "providers.mine.custom_provider_config.request_path_overrides.chat_completion_stream: "
     "differs from chat_completion; one path serves both"},
    {CUSTOM("\"base_url\":\"http://h\"",
            "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
            "\"embedding\":\"/a b\"}"),
     "providers.mine.custom_provider_config.request_path_overrides.embedding: expected a path "
     "that begins with / or a whole URL"},
};

static void mistakes_are_said_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct built b;
        built_text(&b, mistakes[i].text);
        if (b.err != ERR_CONFIG)
            fail_msg("accepted: %s", mistakes[i].text);
        if (!built_error(&b, mistakes[i].line))
            fail_msg("not said for: %s", mistakes[i].text);
        built_done(&b);
    }
}

static void unserved_overrides_warn(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, CUSTOM("\"base_url\":\"http://h\"",
                          "\"base_provider_type\":\"openai\",\"request_path_overrides\":{"
                          "\"speech\":\"/s\"}"));
    assert_int_equal(b.err, 0);
    assert_true(built_warning(&b, "providers.mine.custom_provider_config.request_path_overrides."
                                  "speech: not served yet: ignored"));
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_bifrosts),
        cmocka_unit_test(numbers_are_taken),
        cmocka_unit_test(zero_and_null_are_defaults),
        cmocka_unit_test(base_urls_and_paths_are_joined),
        cmocka_unit_test(whole_urls_replace_the_place),
        cmocka_unit_test(only_allowed_requests_are_allowed),
        cmocka_unit_test(vendors_without_an_operation_have_no_path),
        cmocka_unit_test(a_keyless_provider_needs_no_keys),
        cmocka_unit_test(extra_headers_are_taken_in_order),
        cmocka_unit_test(store_is_disabled_in_either_place),
        cmocka_unit_test(mistakes_are_said_with_their_place),
        cmocka_unit_test(unserved_overrides_warn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
