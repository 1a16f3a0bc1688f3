// SPDX-License-Identifier: Apache-2.0
//
// config_check_test.c: each mistake in a file is said once, with its place; so is what a file asks
// for and does not get.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

// One provider whose object ends in `more`.
#define OPENAI(more)                                                                               \
    "{\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}"    \
    "]" more "}}}"
#define NETWORK(members) OPENAI(",\"network_config\":{" members "}")
#define KEY(members)     "{\"providers\":{\"openai\":{\"keys\":[{" members "}]}}}"
#define KEYED(members)   KEY("\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]," members)
#define CUSTOM(members)                                                                            \
    "{\"providers\":{\"mine\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}],"    \
    "\"network_config\":{\"base_url\":\"http://10.0.0.1\"},\"custom_provider_config\":{" members   \
    "}}}}"

struct row {
    const char *text;
    const char *line;
};

static const struct row errors[] = {
    // the text
    {"", "empty; {} is the smallest configuration"},
    {"[]", "expected an object"},
    {"{\n  \"version\": 2,\n}", NULL},
    // names
    {"{\"provders\":{}}", "provders: unknown member (did you mean \"providers\"?)"},
    {"{\"quite\":1}", "quite: unknown member"},
    {"{\"a\\nb\":1}", "\"a\\nb\": unknown member"},
    {"{\"\":1}", "\"\": unknown member"},
    {KEY("\"nmae\":\"k\""),
     "providers.openai.keys[0].nmae: unknown member (did you mean \"name\"?)"},
    {KEY("\"nmae\":\"k\""), "providers.openai.keys[0].name: missing"},
    {NETWORK("\"max_retires\":1"),
     "providers.openai.network_config.max_retires: unknown member (did you mean \"max_retries\"?)"},
    {"{\"providers\":{\"opnai\":{}}}",
     "providers.opnai: unknown provider (did you mean \"openai\"?)"},
    {"{\"providers\":{\"antropic\":{}}}",
     "providers.antropic: unknown provider (did you mean \"anthropic\"?)"},
    {"{\"providers\":{\"zzzzzzzz\":{}}}",
     "providers.zzzzzzzz: unknown provider; a custom one needs custom_provider_config"},
    {CUSTOM("\"base_provider_type\":\"openai\",\"allowed_requests\":{\"chat_completions\":true}"),
     "providers.mine.custom_provider_config.allowed_requests.chat_completions: unknown member (did "
     "you mean \"chat_completion\"?)"},
    // twice
    {"{\"version\":2,\"version\":1}", "version: occurs twice"},
    {"{\"mcp\":{\"client_configs\":[{\"name\":\"a\",\"name\":\"b\"}]}}",
     "mcp.client_configs[0].name: occurs twice"},
    {KEYED("\"models\":[]"), "providers.openai.keys[0].models: occurs twice"},
    // types and ranges
    {"{\"version\":3}", "version: expected an integer from 1 to 2"},
    {"{\"version\":0}", "version: expected an integer from 1 to 2"},
    {"{\"version\":\"2\"}", "version: expected an integer from 1 to 2"},
    {"{\"client\":[]}", "client: expected an object"},
    {"{\"client\":{\"drop_excess_requests\":1}}",
     "client.drop_excess_requests: expected true or false"},
    {"{\"client\":{\"prometheus_labels\":\"a\"}}",
     "client.prometheus_labels: expected an array of strings"},
    {"{\"client\":{\"prometheus_labels\":[\"a\",\"\"]}}",
     "client.prometheus_labels[1]: expected a string that is not empty"},
    {"{\"client\":{\"max_request_body_size_mb\":-1}}",
     "client.max_request_body_size_mb: expected an integer from 1 to 1048576"},
    {"{\"server\":{\"read_buffer_size\":12}}",
     "server.read_buffer_size: expected an integer from 1024 to 16777216"},
    {"{\"providers\":[]}", "providers: expected an object"},
    {"{\"providers\":{\"openai\":1}}", "providers.openai: expected an object"},
    {"{\"providers\":{\"openai\":{\"keys\":{}}}}",
     "providers.openai.keys: expected an array of objects"},
    {"{\"providers\":{\"openai\":{\"keys\":[1]}}}", "providers.openai.keys[0]: expected an object"},
    {"{\"providers\":{\"openai\":{}}}", "providers.openai.keys: at least one key is needed"},
    {"{\"providers\":{\"openai\":{\"keys\":[]}}}",
     "providers.openai.keys: at least one key is needed"},
    {KEYED("\"weight\":-1"), "providers.openai.keys[0].weight: expected a number >= 0"},
    {KEYED("\"weight\":\"1\""), "providers.openai.keys[0].weight: expected a number >= 0"},
    {KEYED("\"enabled\":\"yes\""), "providers.openai.keys[0].enabled: expected true or false"},
    {KEY("\"name\":5"), "providers.openai.keys[0].name: expected a string"},
    {KEY("\"name\":\"k\",\"value\":7"), "providers.openai.keys[0].value: expected a string"},
    {KEY("\"name\":\"k\",\"value\":{\"val\":\"x\"}"),
     "providers.openai.keys[0].value.val: unknown member (did you mean \"value\"?)"},
    {KEYED("\"aliases\":{\"a\":1}"),
     "providers.openai.keys[0].aliases.a: expected a string or an object"},
    {KEYED("\"aliases\":{\"a\":{}}"), "providers.openai.keys[0].aliases.a.model_id: missing"},
    {NETWORK("\"max_retries\":-1"),
     "providers.openai.network_config.max_retries: expected an integer from 0 to 100"},
    {NETWORK("\"max_retries\":1.5"),
     "providers.openai.network_config.max_retries: expected an integer from 0 to 100"},
    {NETWORK("\"stream_idle_timeout_in_seconds\":4"),
     "providers.openai.network_config.stream_idle_timeout_in_seconds: expected an integer from 5 "
     "to "
     "3600"},
    {NETWORK("\"max_conns_per_host\":10001"),
     "providers.openai.network_config.max_conns_per_host: expected an integer from 1 to 10000"},
    {NETWORK("\"retry_backoff_initial\":99"),
     "providers.openai.network_config.retry_backoff_initial: expected milliseconds from 100 to "
     "3600000, or a duration such as \"500ms\""},
    {NETWORK("\"retry_backoff_max\":\"5 s\""), "providers.openai.network_config.retry_backoff_max: "
                                               "expected milliseconds from 100 to 3600000, "
                                               "or a duration such as \"500ms\""},
    {NETWORK("\"retry_backoff_max\":\"9h\""), "providers.openai.network_config.retry_backoff_max: "
                                              "expected milliseconds from 100 to 3600000, "
                                              "or a duration such as \"500ms\""},
    {NETWORK("\"extra_headers\":{\"x-a\":1}"),
     "providers.openai.network_config.extra_headers.x-a: expected a string"},
    {OPENAI(",\"proxy_config\":{\"type\":\"sock5\"}"),
     "providers.openai.proxy_config.type: expected one of \"none\", \"http\", \"socks5\", "
     "\"environment\""},
    {OPENAI(",\"proxy_config\":{}"), "providers.openai.proxy_config.type: missing"},
    {"{\"plugins\":{}}", "plugins: expected an array of objects"},
    {"{\"governance\":{\"providers\":[{}]}}", "governance.providers[0].name: missing"},
};

static void each_mistake_is_said_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct built b;
        built_text(&b, errors[i].text);
        if (b.err != ERR_CONFIG)
            fail_msg("accepted: %s", errors[i].text);
        if (errors[i].line != NULL && !built_error(&b, errors[i].line))
            fail_msg("not said for: %s", errors[i].text);
        assert_int_equal(b.limiters.count, 0);
        built_done(&b);
    }
}

static void a_syntax_error_has_line_and_column(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\n  \"version\": 2,\n  nope\n}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(
        slice_starts(buf_slice(&b.report.errors), SLICE("config.json: line 3, column 3: ")));
    built_done(&b);
}

static void all_mistakes_are_said_at_once(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"version\":9,\"clint\":{},\"providers\":{\"openai\":{\"keys\":[{}]}}}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_int_equal(built_lines(&b.report.errors), 3);
    built_done(&b);
}

// ---- What is not served -------------------------------------------------------------------------

static const struct row ignored[] = {
    {"{\"mcp\":{\"client_configs\":[]}}", "mcp: not served yet: ignored"},
    {"{\"env_label\":\"x\"}", "env_label: not served yet: ignored"},
    {"{\"config_store\":{\"vault_store\":{\"enabled\":true}}}",
     "config_store.vault_store: not served yet: ignored"},
    {"{\"governance\":{\"complexity_analyzer_config\":{\"x\":1}}}",
     "governance.complexity_analyzer_config: not served yet: ignored"},
    {"{\"framework\":{\"pricing\":{\"mcp_library_sync_interval\":86400}}}",
     "framework.pricing.mcp_library_sync_interval: not served yet: ignored"},
    {"{\"logs_store\":{\"enabled\":true,\"writer\":{\"max_batch_size\":1}}}",
     "logs_store.writer: not served yet: ignored"},
    {"{\"plugins\":[{\"name\":\"otel\",\"enabled\":true,\"config\":{}}]}",
     "plugins[0]: plugins are not served yet: ignored"},
    {"{\"plugins\":[{\"name\":\"governance\",\"enabled\":true,\"config\":{\"is_vk_mandatory\":"
     "false}}]}",
     "plugins[0]: plugins are not served yet: ignored"},
    {"{\"client\":{\"compat\":{\"azure_deepseek\":true}}}",
     "client.compat.azure_deepseek: not served yet: ignored"},
    {"{\"providers\":{\"cohere\":{\"keys\":[{\"nonsense\":1}]}}}",
     "providers.cohere: this provider is not served yet: skipped"},
    {"{\"server\":{\"read_bufer_size\":1}}",
     "server.read_bufer_size: unknown member: ignored (did you mean \"read_buffer_size\"?)"},
    {OPENAI(",\"store_raw_request_response\":true"),
     "providers.openai.store_raw_request_response: not served yet: ignored"},
    {KEYED("\"use_for_batch_api\":true"),
     "providers.openai.keys[0].use_for_batch_api: not served yet: ignored"},
    {"{\"governance\":{\"providers\":[{\"name\":\"nobody\"}]}}",
     "governance.providers[0]: names a provider that is not configured: ignored"},
    {"{}", "providers: no provider is configured: every model is unknown"},
};

static void what_is_not_served_warns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        struct built b;
        built_text(&b, ignored[i].text);
        if (b.err != 0)
            fail_msg("refused: %s", ignored[i].text);
        if (!built_warning(&b, ignored[i].line))
            fail_msg("not said for: %s", ignored[i].text);
        built_done(&b);
    }
}

static void what_asks_for_nothing_is_silent(void **state)
{
    (void)state;
    static const char *const texts[] = {
        OPENAI(",\"send_back_raw_response\":false,\"store_raw_request_response\":null"),
        OPENAI(",\"proxy_config\":{\"type\":\"none\"}"),
        NETWORK("\"enforce_http2\":false,\"max_retries\":0,\"retry_backoff_max\":0"),
        KEYED("\"description\":\"x\",\"use_for_batch_api\":false"),
        "{\"providers\":null,\"client\":{\"enforce_auth_on_inference\":false,"
        "\"initial_pool_size\":300,\"enable_logging\":false},\"governance\":{\"virtual_keys\":[],"
        "\"auth_config\":{\"is_enabled\":false,\"admin_username\":\"root\"}},"
        "\"scim_config\":{\"enabled\":false},\"plugins\":[{\"name\":\"otel\",\"enabled\":false}],"
        "\"$schema\":\"x\",\"source_of_truth\":\"split\",\"logs_store\":{\"enabled\":false}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct built b;
        built_text(&b, texts[i]);
        assert_int_equal(b.err, 0);
        // the last has no provider
        if (built_lines(&b.report.warnings) != (i == ARRAY_LEN(texts) - 1 ? 1 : 0))
            fail_msg("%.*s", SLICE_ARG(buf_slice(&b.report.warnings)));
        built_done(&b);
    }
}

// ---- What restricts access ----------------------------------------------------------------------

static const struct row restricting[] = {
    {"{\"governance\":{\"roles\":[{}]}}", "governance.roles"},
    {"{\"governance\":{\"routing_rules\":[{}]}}", "governance.routing_rules"},
    {"{\"governance\":{\"auth_config\":{\"is_enabled\":true}}}", "governance.auth_config"},
    {"{\"auth_config\":{\"admin_username\":\"a\",\"admin_password\":\"b\"}}", "auth_config"},
    {"{\"guardrails_config\":{\"guardrail_rules\":[]}}", "guardrails_config"},
    {"{\"access_profiles\":[{}]}", "access_profiles"},
    {"{\"scim_config\":{\"enabled\":true}}", "scim_config"},
    {"{\"client\":{\"enforce_scim_auth\":true}}", "client.enforce_scim_auth"},
};

static void what_restricts_is_refused_unless_allowed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(restricting); i++) {
        char line[256];
        struct built b;
        built_text(&b, restricting[i].text);
        snprintf(line, sizeof(line),
                 "%s: this restricts access, which is not enforced yet; --allow-unenforced goes on "
                 "without it",
                 restricting[i].line);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(built_error(&b, line));
        assert_int_equal(built_lines(&b.report.errors), 1);
        built_done(&b);

        built_text_allowing(&b, restricting[i].text);
        snprintf(line, sizeof(line),
                 "%s: this restricts access, which is not enforced yet; going on because "
                 "--allow-unenforced was given",
                 restricting[i].line);
        assert_int_equal(b.err, 0);
        assert_true(built_warning(&b, line));
        built_done(&b);
    }
}

static void a_plugin_that_demands_a_virtual_key_restricts(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"plugins\":[{\"name\":\"governance\",\"enabled\":true,\"config\":{"
                   "\"is_vk_mandatory\":true}}]}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(built_error(&b, "plugins[0]: this plugin restricts access, which is not enforced "
                                "yet; --allow-unenforced goes on without it"));
    built_done(&b);
}

static void deep_and_wide_files_end(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 4 * 1024 * 1024);
    buf_add(&text, SLICE("{\"mcp\":"));
    for (unsigned i = 0; i < 400; i++)
        buf_add(&text, SLICE("[{\"a\":"));
    buf_add_char(&text, '1');
    for (unsigned i = 0; i < 400; i++)
        buf_add(&text, SLICE("}]"));
    buf_add(&text, SLICE("}\0"));
    assert_int_equal(text.err, 0);
    struct built b;
    built_text(&b, text.ptr);
    assert_int_equal(b.err, ERR_CONFIG);
    built_done(&b);

    buf_reset(&text);
    buf_add(&text, SLICE("{\"x\":1"));
    for (unsigned i = 0; i < 20000; i++)
        buf_printf(&text, ",\"m%u\":1", i);
    buf_add(&text, SLICE("}\0"));
    built_text(&b, text.ptr);
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(b.report.errors.len <= 256 * 1024);
    assert_true(b.report.errors.ptr[b.report.errors.len - 1] == '\n');
    built_done(&b);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_said_with_its_place),
        cmocka_unit_test(a_syntax_error_has_line_and_column),
        cmocka_unit_test(all_mistakes_are_said_at_once),
        cmocka_unit_test(what_is_not_served_warns),
        cmocka_unit_test(what_asks_for_nothing_is_silent),
        cmocka_unit_test(what_restricts_is_refused_unless_allowed),
        cmocka_unit_test(a_plugin_that_demands_a_virtual_key_restricts),
        cmocka_unit_test(deep_and_wide_files_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
