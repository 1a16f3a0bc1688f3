// SPDX-License-Identifier: Apache-2.0
//
// config_known_test.c: the table is whole, and files as Bifrost's users have them are accepted.
#include "gateway/config_known.h"

#include "base/container.h"
#include "base/err.h"
#include "tests/support/config_support.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(const struct known_object *object, unsigned depth)
{
    assert_true(depth < 8);
    for (const struct known_member *m = object->members; m->name != NULL; m++) {
        bool holds = m->type == KNOWN_OBJECT || m->type == KNOWN_OBJECTS ||
                     m->type == KNOWN_ALIASES || m->type == KNOWN_PROVIDERS;
        if (holds != (m->object != NULL))
            fail_msg("%s", m->name);
        if (m->required && m->standing != STANDING_SERVED)
            fail_msg("%s is required and not served", m->name);
        assert_true(m->max == 0 || m->max > m->min);
        for (const struct known_member *o = object->members; o < m; o++) {
            if (strcmp(o->name, m->name) == 0)
                fail_msg("%s is there twice", m->name);
        }
        if (m->object != NULL)
            check(m->object, depth + 1);
    }
}

static void the_table_is_whole(void **state)
{
    (void)state;
    check(&config__known_root, 0);
    check(&config__known_secret, 0);
}

// Every member the schema has at the root, in client, a provider, its network and a key.
static void the_schemas_members_are_known(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"$schema\":0,\"version\":2,\"source_of_truth\":0,\"encryption_key\":\"\",\"env_label\":"
        "0,"
        "\"server\":{},\"auth_config\":{},\"client\":{},\"framework\":{},\"providers\":{},"
        "\"governance\":{},\"webhooks\":0,\"mcp\":0,\"vector_store\":0,\"config_store\":{},"
        "\"logs_store\":{},\"skills_registry\":0,\"plugins\":[],\"websocket\":0,"
        "\"feature_flags\":0,\"circuit_breaker_config\":0,\"alerting\":0,"
        "\"guardrails_config\":{},\"audit_logs\":0,\"cluster_config\":0,"
        "\"load_balancer_config\":0,\"large_payload_optimization\":0,\"scim_config\":{},"
        "\"access_profiles\":[]}",
        "{\"client\":{\"drop_excess_requests\":false,\"initial_pool_size\":1,\"prometheus_labels\":"
        "[],"
        "\"allowed_origins\":[],\"allowed_headers\":[],\"enable_logging\":true,"
        "\"disable_content_logging\":true,\"allow_per_request_content_storage_override\":true,"
        "\"allow_per_request_raw_override\":true,\"logging_headers\":[\"a\"],"
        "\"log_retention_days\":1,\"hide_deleted_virtual_keys_in_filters\":true,"
        "\"disable_db_pings_in_health\":true,\"dump_errors_in_console_logs\":true,"
        "\"webhook_config\":{},\"enforce_auth_on_inference\":false,"
        "\"enforce_governance_header\":false,\"enforce_scim_auth\":false,"
        "\"dual_credential_conflict_behavior\":\"error\",\"allow_direct_keys\":true,"
        "\"whitelisted_routes\":[\"/\"],\"required_headers\":[],\"max_request_body_size_mb\":1,"
        "\"async_job_result_ttl\":1,\"routing_chain_max_depth\":1,\"compat\":{},"
        "\"header_filter_config\":{\"allowlist\":[],\"denylist\":[]},\"mcp_agent_depth\":1,"
        "\"mcp_tool_execution_timeout\":1,\"mcp_code_mode_binding_level\":\"tool\","
        "\"mcp_tool_sync_interval\":0,\"mcp_disable_auto_tool_inject\":true,"
        "\"mcp_enable_temp_token_auth\":true,\"mcp_external_client_url\":\"x\","
        "\"mcp_server_auth_mode\":\"both\",\"oauth2_server_config\":{}}}",
        "{\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"weight\":0.5,\"value\":\"v\","
        "\"models\":[\"*\"],\"use_for_batch_api\":true,\"aliases\":{\"a\":{\"model_id\":\"m\","
        "\"model_name\":\"n\",\"model_family\":\"openai\",\"description\":\"d\",\"region\":\"r\","
        "\"api_version\":\"v\",\"anthropic_version\":\"v\",\"endpoint\":\"e\",\"project_id\":\"p\","
        "\"project_number\":\"1\",\"force_single_region\":true,\"inference_profile_arn\":\"a\","
        "\"use_deployments_endpoint\":true}},\"bedrock_key_config\":{},"
        "\"azure_key_config\":{\"endpoint\":\"https://h\"},"
        "\"vertex_key_config\":{},\"bedrock_mantle_key_config\":{},\"replicate_key_config\":{}}],"
        "\"network_config\":{\"base_url\":\"https://h\",\"extra_headers\":{},"
        "\"default_request_timeout_in_seconds\":1,\"max_retries\":0,\"retry_backoff_initial\":100,"
        "\"retry_backoff_max\":100,\"enforce_http2\":true,\"insecure_skip_verify\":false,"
        "\"ca_cert_pem\":\"\",\"stream_idle_timeout_in_seconds\":5,"
        "\"keep_alive_timeout_in_seconds\":1,\"max_conns_per_host\":1,"
        "\"beta_header_overrides\":{},\"allow_private_network\":true},"
        "\"concurrency_and_buffer_size\":{\"concurrency\":1,\"buffer_size\":1},"
        "\"proxy_config\":{\"type\":\"none\",\"url\":\"\",\"username\":\"\",\"password\":\"\","
        "\"ca_cert_pem\":\"\"},\"send_back_raw_request\":true,\"send_back_raw_response\":true,"
        "\"store_raw_request_response\":true}}}",
        "{\"governance\":{\"budgets\":[],\"rate_limits\":[],\"customers\":[],\"teams\":[],"
        "\"business_units\":[],\"roles\":[],\"virtual_keys\":[],\"routing_rules\":[],"
        "\"pricing_overrides\":[],\"model_configs\":[],\"providers\":[],\"auth_config\":{},"
        "\"complexity_analyzer_config\":{}}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct built b;
        built_text(&b, texts[i]);
        if (b.err != 0)
            fail_msg("%.*s", SLICE_ARG(buf_slice(&b.report.errors)));
        built_done(&b);
    }
}

// A production file: several vendors, some not served, stores, logging, plugins, governance.
static void a_large_file_is_accepted(void **state)
{
    (void)state;
    static const char text[] =
        "{\"$schema\":\"https://www.getbifrost.ai/"
        "schema\",\"version\":2,\"source_of_truth\":\"split\","
        "\"encryption_key\":\"env.GATEWAY_ENCRYPTION_KEY\",\"client\":{\"initial_pool_size\":200,"
        "\"drop_excess_requests\":true,\"enable_logging\":true,\"disable_content_logging\":false,"
        "\"log_retention_days\":30,\"enforce_auth_on_inference\":true,\"allowed_origins\":[\"*\"],"
        "\"max_request_body_size_mb\":20,\"header_filter_config\":{\"denylist\":[\"cookie\"]},"
        "\"prometheus_labels\":[\"team\",\"environment\"]},\"framework\":{\"pricing\":{"
        "\"pricing_sync_interval\":43200}},\"config_store\":{\"enabled\":true,\"type\":\"sqlite\","
        "\"config\":{\"path\":\"./data/config.db\"}},\"logs_store\":{\"enabled\":true,\"type\":"
        "\"sqlite\",\"config\":{\"path\":\"./data/logs.db\"}},\"providers\":{"
        "\"openai\":{\"keys\":[{\"name\":\"openai-main\",\"value\":\"env.TEST_KEY\",\"weight\":0.7,"
        "\"models\":[\"*\"],\"aliases\":{\"fast\":\"gpt-4o-mini\"}},{\"name\":\"openai-spare\","
        "\"value\":\"env.OPENAI_SPARE\",\"weight\":0.3,\"models\":[\"gpt-4o\"]}],"
        "\"network_config\":{\"default_request_timeout_in_seconds\":60,\"max_retries\":2,"
        "\"retry_backoff_initial\":250,\"retry_backoff_max\":4000},"
        "\"concurrency_and_buffer_size\":{\"concurrency\":50,\"buffer_size\":200}},"
        "\"anthropic\":{\"keys\":[{\"name\":\"a\",\"value\":\"env.ANTHROPIC_API_KEY\",\"weight\":1,"
        "\"models\":[\"*\"]}],\"network_config\":{\"beta_header_overrides\":{\"context-1m-\":true}}"
        "},"
        "\"azure\":{\"keys\":[{\"name\":\"az\",\"value\":\"x\",\"weight\":1,\"models\":[\"*\"],"
        "\"azure_key_config\":{\"endpoint\":\"https://x.openai.azure.com\"}}]},"
        "\"ollama\":{\"keys\":[{\"name\":\"o\",\"weight\":1,\"value\":\"\",\"models\":[\"*\"],"
        "\"ollama_key_config\":{\"url\":\"http://localhost:11434\"}}]},"
        "\"in-house\":{\"keys\":[{\"name\":\"h\",\"value\":\"secret\",\"weight\":1,\"models\":["
        "\"llama-3\"]}],\"network_config\":{\"base_url\":\"http://10.1.2.3:8000/v1\"},"
        "\"custom_provider_config\":{\"base_provider_type\":\"openai\",\"allowed_requests\":{"
        "\"chat_completion\":true,\"chat_completion_stream\":true,\"list_models\":true}}}},"
        "\"governance\":{\"auth_config\":{\"is_enabled\":true,\"admin_username\":\"root\","
        "\"admin_password\":\"env.ADMIN\"},\"virtual_keys\":[{\"id\":\"vk\",\"name\":\"search\","
        "\"provider_configs\":[{\"provider\":\"openai\",\"allowed_models\":[\"*\"]}]}],"
        "\"budgets\":[{\"id\":\"b\",\"max_limit\":75.5,\"reset_duration\":\"1M\"}],"
        "\"pricing_overrides\":[]},\"mcp\":{\"client_configs\":[{\"name\":\"fs\","
        "\"connection_type\":\"stdio\",\"stdio_config\":{\"command\":\"npx\"}}]},"
        "\"plugins\":[{\"enabled\":true,\"name\":\"otel\",\"config\":{\"collector_url\":\"h:4317\"}"
        "},"
        "{\"enabled\":true,\"name\":\"semantic_cache\",\"config\":{\"dimension\":1}}]}";
    struct built b;
    built_text(&b, text);
    assert_int_equal(b.err, ERR_CONFIG);
    assert_int_equal(built_lines(&b.report.errors), 1); // admin
    built_done(&b);

    built_text_allowing(&b, text);
    if (b.err != 0)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&b.report.errors)));
    assert_int_equal(b.config->provider_count, 5);
    assert_int_equal(b.limiters.count, 5);
    assert_true(built_warning(&b,
                              "providers.openai.keys[1].value: environment variable OPENAI_SPARE "
                              "is not set: the key is disabled"));
    assert_int_equal(built_lines(&b.report.warnings), 10);
    const struct config_provider *p = config_provider_of_model(b.config, SLICE("llama-3"));
    assert_true(p != NULL && slice_eq(p->name, SLICE("in-house")));
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_whole),
        cmocka_unit_test(the_schemas_members_are_known),
        cmocka_unit_test(a_large_file_is_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
