// SPDX-License-Identifier: Apache-2.0
//
// config_known.c: the table behind config_known.h, and nothing else.
//
// Member by member after Bifrost's schema; what newer or older versions add is at the end of each
// list. Ranges are the schema's. A restricting member is one whose absence of effect would let
// someone in, or let someone spend, whom the file says should not.
#include "gateway/config_known.h"

#include <stddef.h>

#define SERVED(member, kind, ...)                                                                  \
    {                                                                                              \
        .name = (member), .type = (kind), __VA_ARGS__                                              \
    }
#define QUIET(member)                                                                              \
    {                                                                                              \
        .name = (member), .standing = STANDING_QUIET                                               \
    }
#define NOT_SERVED(member)                                                                         \
    {                                                                                              \
        .name = (member), .standing = STANDING_NOT_SERVED                                          \
    }
#define RESTRICTS(member)                                                                          \
    {                                                                                              \
        .name = (member), .standing = STANDING_RESTRICTS                                           \
    }
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }
#define OBJECT(of)                                                                                 \
    .object = &(const struct known_object)                                                         \
    {                                                                                              \
        .members = (of)                                                                            \
    }

const char *const config__framing_headers[] = {
    "host",       "content-length", "transfer-encoding",
    "connection", "keep-alive",     "upgrade",
    "te",         "trailer",        "expect",
    NULL,
};

static const struct known_member secret_members[] = {
    SERVED("value", KNOWN_STRING),
    SERVED("ref", KNOWN_STRING),
    SERVED("type", KNOWN_STRING,
           .choices = (const char *const[]){"plain_text", "env", "vault", NULL}),
    SERVED("env_var", KNOWN_STRING),
    SERVED("from_env", KNOWN_BOOL),
    END,
};
const struct known_object config__known_secret = {.members = secret_members};

// ---- client -------------------------------------------------------------------------------------

static const struct known_member header_filter_members[] = {
    SERVED("allowlist", KNOWN_STRINGS),
    SERVED("denylist", KNOWN_STRINGS),
    END,
};

static const struct known_member compat_members[] = {
    SERVED("convert_text_to_chat", KNOWN_BOOL),
    SERVED("convert_chat_to_responses", KNOWN_BOOL),
    // As far as a model's name tells what it takes (providers/model_rules.h).
    SERVED("should_drop_params", KNOWN_BOOL),
    SERVED("should_convert_params", KNOWN_BOOL),
    NOT_SERVED("azure_deepseek"),
    NOT_SERVED("force_reasoning_only_models_to_responses"),
    END,
};

static const struct known_member client_members[] = {
    SERVED("drop_excess_requests", KNOWN_BOOL),
    SERVED("prometheus_labels", KNOWN_STRINGS),
    SERVED("allowed_origins", KNOWN_STRINGS),
    SERVED("allowed_headers", KNOWN_STRINGS),
    SERVED("required_headers", KNOWN_STRINGS),
    SERVED("max_request_body_size_mb", KNOWN_INTEGER_OR_0, .min = 1, .max = 1 << 20),
    SERVED("header_filter_config", KNOWN_OBJECT, OBJECT(header_filter_members)),
    QUIET("initial_pool_size"), // nothing is pooled by count here
    SERVED("enforce_auth_on_inference", KNOWN_BOOL),
    SERVED("enforce_governance_header", KNOWN_BOOL),
    RESTRICTS("enforce_scim_auth"),
    SERVED("enable_logging", KNOWN_BOOL),
    SERVED("disable_content_logging", KNOWN_BOOL),
    SERVED("allow_per_request_content_storage_override", KNOWN_BOOL),
    SERVED("allow_per_request_raw_override", KNOWN_BOOL),
    SERVED("logging_headers", KNOWN_STRINGS),
    SERVED("log_retention_days", KNOWN_INTEGER_OR_0, .min = 1, .max = 36500),
    NOT_SERVED("hide_deleted_virtual_keys_in_filters"),
    SERVED("disable_db_pings_in_health", KNOWN_BOOL),
    NOT_SERVED("dump_errors_in_console_logs"),
    NOT_SERVED("webhook_config"),
    NOT_SERVED("dual_credential_conflict_behavior"),
    NOT_SERVED("allow_direct_keys"),
    NOT_SERVED("whitelisted_routes"),
    NOT_SERVED("async_job_result_ttl"),
    NOT_SERVED("routing_chain_max_depth"),
    SERVED("compat", KNOWN_OBJECT, OBJECT(compat_members)),
    NOT_SERVED("mcp_agent_depth"),
    NOT_SERVED("mcp_tool_execution_timeout"),
    NOT_SERVED("mcp_code_mode_binding_level"),
    NOT_SERVED("mcp_tool_sync_interval"),
    NOT_SERVED("mcp_disable_auto_tool_inject"),
    NOT_SERVED("mcp_enable_temp_token_auth"),
    NOT_SERVED("mcp_external_client_url"),
    NOT_SERVED("mcp_server_auth_mode"),
    NOT_SERVED("oauth2_server_config"),
    NOT_SERVED("retain_content_in_object_storage"),
    NOT_SERVED("hidden_request_types"),
    NOT_SERVED("delete_expired_virtual_keys"),
    END,
};

static const struct known_member certificate_members[] = {
    SERVED("cert_file", KNOWN_SECRET, .required = true),
    SERVED("key_file", KNOWN_SECRET, .required = true),
    END,
};

static const struct known_member tls_members[] = {
    SERVED("cert_file", KNOWN_SECRET),
    SERVED("key_file", KNOWN_SECRET),
    SERVED("certificates", KNOWN_OBJECTS, OBJECT(certificate_members)),
    SERVED("min_version", KNOWN_STRING, .choices = (const char *const[]){"1.2", "1.3", NULL}),
    SERVED("client_ca_file", KNOWN_SECRET),
    SERVED("client_auth", KNOWN_STRING,
           .choices = (const char *const[]){"none", "request", "require", NULL}),
    SERVED("plain_port", KNOWN_INTEGER, .min = 0, .max = 65535),
    END,
};

static const struct known_member proxy_protocol_members[] = {
    SERVED("enabled", KNOWN_BOOL),
    SERVED("trusted", KNOWN_STRINGS),
    END,
};

static const struct known_member server_members[] = {
    SERVED("drain_delay_s", KNOWN_INTEGER, .min = 0, .max = 3600),
    SERVED("drain_timeout_s", KNOWN_INTEGER, .min = 0, .max = 86400),
    SERVED("allow_unpriced", KNOWN_BOOL),
    SERVED("allow_open_management", KNOWN_BOOL),
    SERVED("watchdog_ms", KNOWN_INTEGER, .min = 0, .max = 3600 * 1000),
    SERVED("upgrade_timeout_s", KNOWN_INTEGER, .min = 1, .max = 3600),
    SERVED("read_buffer_size", KNOWN_INTEGER_OR_0, .min = 1024, .max = 16 << 20),
    SERVED("head_timeout_ms", KNOWN_INTEGER, .min = 100, .max = 3600 * 1000),
    SERVED("head_min_rate", KNOWN_INTEGER, .min = 1, .max = 1 << 30),
    SERVED("body_timeout_ms", KNOWN_INTEGER, .min = 100, .max = 3600 * 1000),
    SERVED("body_min_rate", KNOWN_INTEGER, .min = 1, .max = 1 << 30),
    SERVED("send_timeout_ms", KNOWN_INTEGER, .min = 100, .max = 3600 * 1000),
    SERVED("send_min_rate", KNOWN_INTEGER, .min = 1, .max = 1 << 30),
    SERVED("idle_timeout_ms", KNOWN_INTEGER, .min = 100, .max = 24 * 3600 * 1000),
    SERVED("allowed_hosts", KNOWN_STRINGS),
    SERVED("max_connections", KNOWN_INTEGER, .min = 0, .max = 1 << 24),
    SERVED("max_connections_per_address", KNOWN_INTEGER, .min = 0, .max = 1 << 24),
    SERVED("max_memory_per_core_mb", KNOWN_INTEGER, .min = 0, .max = 1 << 24),
    SERVED("tls", KNOWN_OBJECT, OBJECT(tls_members)),
    SERVED("proxy_protocol", KNOWN_OBJECT, OBJECT(proxy_protocol_members)),
    SERVED("trusted_proxies", KNOWN_STRINGS),
    SERVED("forwarded_header", KNOWN_STRING,
           .choices = (const char *const[]){"x-forwarded-for", "forwarded", NULL}),
    END,
};

// ---- providers ----------------------------------------------------------------------------------

// Request types: those served first. `kind` is what the member holds for a served one.
#define REQUEST_TYPES(kind, others)                                                                \
    SERVED("chat_completion", kind), SERVED("chat_completion_stream", kind),                       \
        SERVED("text_completion", kind), SERVED("text_completion_stream", kind),                   \
        SERVED("embedding", kind), SERVED("responses", kind), SERVED("responses_stream", kind),    \
        SERVED("list_models", kind), SERVED("count_tokens", kind), others("compaction"),           \
        others("rerank"), others("ocr"), others("responses_retrieve"), others("responses_delete"), \
        others("responses_cancel"), others("responses_input_items"), others("speech"),             \
        others("speech_stream"), others("transcription"), others("transcription_stream"),          \
        others("image_generation"), others("image_generation_stream"), others("image_edit"),       \
        others("image_edit_stream"), others("image_variation"), others("video_generation"),        \
        others("video_retrieve"), others("video_download"), others("video_delete"),                \
        others("video_list"), others("video_remix"), others("batch_create"), others("batch_list"), \
        others("batch_retrieve"), others("batch_cancel"), others("batch_delete"),                  \
        others("batch_results"), others("file_upload"), others("file_list"),                       \
        others("file_retrieve"), others("file_delete"), others("file_content"),                    \
        others("container_create"), others("container_list"), others("container_retrieve"),        \
        others("container_delete"), others("container_file_create"),                               \
        others("container_file_list"), others("container_file_retrieve"),                          \
        others("container_file_content"), others("container_file_delete"), others("passthrough"),  \
        others("passthrough_stream"), others("websocket_responses"), others("realtime"),           \
        others("cached_content_create"), others("cached_content_list"),                            \
        others("cached_content_retrieve"), others("cached_content_update"),                        \
        others("cached_content_delete")

// A request type that is not served is refused whatever stands here.
static const struct known_member allowed_request_members[] = {
    REQUEST_TYPES(KNOWN_BOOL, QUIET),
    END,
};
static const struct known_member path_override_members[] = {
    REQUEST_TYPES(KNOWN_STRING, NOT_SERVED),
    END,
};

static const struct known_member custom_members[] = {
    SERVED("base_provider_type", KNOWN_STRING, .required = true),
    SERVED("is_key_less", KNOWN_BOOL),
    SERVED("allowed_requests", KNOWN_OBJECT, OBJECT(allowed_request_members)),
    SERVED("request_path_overrides", KNOWN_OBJECT, OBJECT(path_override_members)),
    END,
};

static const struct known_member url_key_members[] = {
    SERVED("url", KNOWN_SECRET, .required = true),
    END,
};
static const struct known_member vllm_key_members[] = {
    SERVED("url", KNOWN_SECRET, .required = true),
    SERVED("model_name", KNOWN_STRING),
    END,
};

// Any of the three that make a service principal wants the other two (config_azure.c).
static const struct known_member azure_key_members[] = {
    SERVED("endpoint", KNOWN_SECRET, .required = true),
    SERVED("client_id", KNOWN_SECRET),
    SERVED("client_secret", KNOWN_SECRET),
    SERVED("tenant_id", KNOWN_SECRET),
    SERVED("scopes", KNOWN_STRINGS),
    SERVED("api_version", KNOWN_STRING),
    END,
};

static const struct known_member alias_members[] = {
    SERVED("model_id", KNOWN_STRING, .required = true),
    SERVED("model_family", KNOWN_STRING),
    SERVED("api_version", KNOWN_STRING),
    SERVED("anthropic_version", KNOWN_STRING),
    // Names for prices and logs, and other vendors' addressing.
    QUIET("model_name"),
    QUIET("description"),
    NOT_SERVED("region"),
    NOT_SERVED("endpoint"),
    NOT_SERVED("project_id"),
    NOT_SERVED("project_number"),
    NOT_SERVED("force_single_region"),
    NOT_SERVED("inference_profile_arn"),
    NOT_SERVED("use_deployments_endpoint"),
    NOT_SERVED("use_anthropic_endpoints"),
    END,
};

static const struct known_member key_members[] = {
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("weight", KNOWN_NUMBER, .min = 0),
    SERVED("value", KNOWN_SECRET),
    SERVED("models", KNOWN_STRINGS),
    SERVED("blacklisted_models", KNOWN_STRINGS),
    SERVED("aliases", KNOWN_ALIASES, OBJECT(alias_members)),
    SERVED("id", KNOWN_STRING),
    SERVED("enabled", KNOWN_BOOL),
    SERVED("ollama_key_config", KNOWN_OBJECT, OBJECT(url_key_members)),
    SERVED("sgl_key_config", KNOWN_OBJECT, OBJECT(url_key_members)),
    SERVED("vllm_key_config", KNOWN_OBJECT, OBJECT(vllm_key_members)),
    SERVED("azure_key_config", KNOWN_OBJECT, OBJECT(azure_key_members)),
    NOT_SERVED("use_for_batch_api"),
    NOT_SERVED("vertex_key_config"),
    NOT_SERVED("bedrock_key_config"),
    NOT_SERVED("bedrock_mantle_key_config"),
    NOT_SERVED("replicate_key_config"),
    QUIET("description"),
    QUIET("config_hash"),
    QUIET("status"),
    END,
};

static const struct known_member network_members[] = {
    SERVED("base_url", KNOWN_SECRET),
    SERVED("extra_headers", KNOWN_SECRET_MAP),
    SERVED("default_request_timeout_in_seconds", KNOWN_INTEGER_OR_0, .min = 1, .max = 86400),
    SERVED("max_retries", KNOWN_INTEGER, .min = 0, .max = 100),
    SERVED("retry_backoff_initial", KNOWN_DURATION, .min = 100, .max = 3600 * 1000),
    SERVED("retry_backoff_max", KNOWN_DURATION, .min = 100, .max = 3600 * 1000),
    SERVED("insecure_skip_verify", KNOWN_BOOL),
    SERVED("ca_cert_pem", KNOWN_SECRET),
    SERVED("stream_idle_timeout_in_seconds", KNOWN_INTEGER_OR_0, .min = 5, .max = 3600),
    SERVED("keep_alive_timeout_in_seconds", KNOWN_INTEGER_OR_0, .min = 1, .max = 3600),
    SERVED("max_conns_per_host", KNOWN_INTEGER_OR_0, .min = 1, .max = 10000),
    SERVED("allow_private_network", KNOWN_BOOL),
    SERVED("enforce_http2", KNOWN_BOOL),
    SERVED("offer_http2", KNOWN_BOOL), // ringgate's own
    SERVED("beta_header_overrides", KNOWN_BOOL_MAP),
    NOT_SERVED("stream_throughput_guard"),
    END,
};

static const struct known_member slots_members[] = {
    SERVED("concurrency", KNOWN_INTEGER_OR_0, .min = 1, .max = 1 << 24),
    SERVED("buffer_size", KNOWN_INTEGER_OR_0, .min = 1, .max = 1 << 24),
    END,
};

static const struct known_member proxy_members[] = {
    SERVED("type", KNOWN_STRING, .required = true,
           .choices = (const char *const[]){"none", "http", "socks5", "environment", NULL}),
    SERVED("url", KNOWN_SECRET),
    SERVED("username", KNOWN_SECRET),
    SERVED("password", KNOWN_SECRET),
    SERVED("ca_cert_pem", KNOWN_SECRET),
    END,
};

static const struct known_member openai_members[] = {
    SERVED("disable_store", KNOWN_BOOL),
    END,
};

static const struct known_member provider_members[] = {
    SERVED("keys", KNOWN_OBJECTS, OBJECT(key_members)),
    SERVED("network_config", KNOWN_OBJECT, OBJECT(network_members)),
    SERVED("concurrency_and_buffer_size", KNOWN_OBJECT, OBJECT(slots_members)),
    SERVED("proxy_config", KNOWN_OBJECT, OBJECT(proxy_members)),
    SERVED("custom_provider_config", KNOWN_OBJECT, OBJECT(custom_members)),
    SERVED("openai_config", KNOWN_OBJECT, OBJECT(openai_members)),
    SERVED("send_back_raw_request", KNOWN_BOOL),
    SERVED("send_back_raw_response", KNOWN_BOOL),
    NOT_SERVED("store_raw_request_response"),
    NOT_SERVED("prompt_cache"),
    NOT_SERVED("pricing_overrides"),
    QUIET("config_hash"),
    END,
};

// ---- governance ---------------------------------------------------------------------------------

static const struct known_member governance_provider_members[] = {
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("openai_config", KNOWN_OBJECT, OBJECT(openai_members)),
    QUIET("id"),
    QUIET("description"),
    SERVED("budget_id", KNOWN_STRING),
    SERVED("rate_limit_id", KNOWN_STRING),
    SERVED("send_back_raw_request", KNOWN_BOOL),
    SERVED("send_back_raw_response", KNOWN_BOOL),
    NOT_SERVED("store_raw_request_response"),
    NOT_SERVED("network_config"),
    NOT_SERVED("proxy_config"),
    NOT_SERVED("custom_provider_config"),
    NOT_SERVED("concurrency_and_buffer_size"),
    END,
};
static const struct known_object governance_provider = {
    .members = governance_provider_members,
    .open = true,
};

static const struct known_member budget_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("max_limit", KNOWN_NUMBER, .required = true),
    SERVED("reset_duration", KNOWN_STRING, .required = true),
    SERVED("current_usage", KNOWN_NUMBER),
    SERVED("last_reset", KNOWN_STRING),
    SERVED("virtual_key_id", KNOWN_STRING),
    SERVED("provider_config_id", KNOWN_INTEGER),
    SERVED("model_config_id", KNOWN_STRING),
    SERVED("customer_id", KNOWN_STRING),
    SERVED("team_id", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    END,
};

static const struct known_member budget_line_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("max_limit", KNOWN_NUMBER, .required = true),
    SERVED("reset_duration", KNOWN_STRING, .required = true),
    SERVED("calendar_aligned", KNOWN_BOOL),
    END,
};

static const struct known_member rate_limit_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("token_max_limit", KNOWN_INTEGER),
    SERVED("token_reset_duration", KNOWN_STRING),
    SERVED("token_current_usage", KNOWN_INTEGER),
    SERVED("token_last_reset", KNOWN_STRING),
    SERVED("request_max_limit", KNOWN_INTEGER),
    SERVED("request_reset_duration", KNOWN_STRING),
    SERVED("request_current_usage", KNOWN_INTEGER),
    SERVED("request_last_reset", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    END,
};

static const struct known_member customer_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("budgets", KNOWN_OBJECTS, OBJECT(budget_line_members)),
    SERVED("budget_id", KNOWN_STRING),
    SERVED("rate_limit_id", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    END,
};

static const struct known_member team_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("customer_id", KNOWN_STRING),
    SERVED("budget_id", KNOWN_STRING),
    SERVED("rate_limit_id", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    QUIET("source_id"),
    SERVED("business_unit_id", KNOWN_STRING),
    QUIET("profile"),
    QUIET("config"),
    QUIET("claims"),
    QUIET("virtual_key_count"),
    END,
};

static const struct known_member business_unit_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("budget_id", KNOWN_STRING),
    SERVED("rate_limit_id", KNOWN_STRING),
    SERVED("team_ids", KNOWN_STRINGS),
    QUIET("profile"),
    QUIET("config"),
    QUIET("claims"),
    END,
};

static const struct known_member grant_members[] = {
    SERVED("provider", KNOWN_STRING, .required = true),
    SERVED("id", KNOWN_INTEGER),
    SERVED("weight", KNOWN_NUMBER),
    SERVED("allowed_models", KNOWN_STRINGS),
    SERVED("blacklisted_models", KNOWN_STRINGS),
    SERVED("key_ids", KNOWN_STRINGS),
    SERVED("rate_limit_id", KNOWN_STRING),
    QUIET("virtual_key_id"),
    END,
};

static const struct known_member virtual_key_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("value", KNOWN_STRING),
    SERVED("is_active", KNOWN_BOOL),
    SERVED("expires_at", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    SERVED("team_id", KNOWN_STRING),
    SERVED("customer_id", KNOWN_STRING),
    SERVED("rate_limit_id", KNOWN_STRING),
    SERVED("provider_configs", KNOWN_OBJECTS, OBJECT(grant_members)),
    QUIET("mcp_configs"), // no tool is served
    QUIET("description"),
    RESTRICTS("access_profile_id"),
    END,
};

static const struct known_member model_config_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("model_name", KNOWN_STRING, .required = true),
    SERVED("provider", KNOWN_STRING),
    SERVED("scope", KNOWN_STRING, .choices = (const char *const[]){"global", "virtual_key", NULL}),
    SERVED("scope_id", KNOWN_STRING),
    SERVED("calendar_aligned", KNOWN_BOOL),
    SERVED("budget_id", KNOWN_STRING),
    SERVED("budget_ids", KNOWN_STRINGS),
    SERVED("rate_limit_id", KNOWN_STRING),
    END,
};

static const struct known_member price_members[] = {
    SERVED("id", KNOWN_STRING, .required = true),
    SERVED("name", KNOWN_STRING, .required = true),
    SERVED("scope_kind", KNOWN_STRING, .required = true,
           .choices =
               (const char *const[]){"global", "provider", "provider_key", "virtual_key",
                                     "virtual_key_provider", "virtual_key_provider_key", NULL}),
    SERVED("match_type", KNOWN_STRING, .required = true,
           .choices = (const char *const[]){"exact", "wildcard", NULL}),
    SERVED("pattern", KNOWN_STRING, .required = true),
    SERVED("request_types", KNOWN_STRINGS, .required = true),
    SERVED("virtual_key_id", KNOWN_STRING),
    SERVED("provider_id", KNOWN_STRING),
    SERVED("provider_key_name", KNOWN_STRING),
    SERVED("pricing_patch", KNOWN_ANY),
    QUIET("config_hash"),
    END,
};

static const struct known_member governance_members[] = {
    SERVED("providers", KNOWN_OBJECTS, .object = &governance_provider),
    SERVED("virtual_keys", KNOWN_OBJECTS, OBJECT(virtual_key_members)),
    SERVED("budgets", KNOWN_OBJECTS, OBJECT(budget_members)),
    SERVED("rate_limits", KNOWN_OBJECTS, OBJECT(rate_limit_members)),
    SERVED("customers", KNOWN_OBJECTS, OBJECT(customer_members)),
    SERVED("teams", KNOWN_OBJECTS, OBJECT(team_members)),
    SERVED("business_units", KNOWN_OBJECTS, OBJECT(business_unit_members)),
    RESTRICTS("roles"),
    RESTRICTS("routing_rules"),
    SERVED("model_configs", KNOWN_OBJECTS, OBJECT(model_config_members)),
    RESTRICTS("auth_config"),
    SERVED("pricing_overrides", KNOWN_OBJECTS, OBJECT(price_members)),
    NOT_SERVED("complexity_analyzer_config"), // read by routing rules only
    END,
};

// ---- the file -----------------------------------------------------------------------------------

static const struct known_object provider_object = {.members = provider_members};
static const struct known_object server_object = {.members = server_members, .open = true};

static const struct known_member pricing_members[] = {
    SERVED("pricing_url", KNOWN_SECRET),
    SERVED("pricing_sync_interval", KNOWN_INTEGER_OR_0, .min = 3600, .max = 366 * 86400),
    NOT_SERVED("model_parameters_url"),
    NOT_SERVED("mcp_library_url"),
    NOT_SERVED("mcp_library_sync_interval"),
    END,
};
static const struct known_member framework_members[] = {
    SERVED("pricing", KNOWN_OBJECT, OBJECT(pricing_members)),
    END,
};

static const struct known_member logs_store_members[] = {
    SERVED("enabled", KNOWN_BOOL),
    SERVED("retention_days", KNOWN_INTEGER, .min = 0, .max = 36500),
    SERVED("content_retention_days", KNOWN_INTEGER, .min = 0, .max = 36500), // these three are ours
    SERVED("max_size_gb", KNOWN_INTEGER, .min = 0, .max = 1 << 20),
    SERVED("min_free_mb", KNOWN_INTEGER, .min = 0, .max = 1 << 30),
    SERVED("type", KNOWN_STRING,
           .choices = (const char *const[]){"sqlite", "postgres", "clickhouse", NULL}),
    NOT_SERVED("config"),
    NOT_SERVED("writer"),
    NOT_SERVED("object_storage"),
    NOT_SERVED("object_storage_exclude_fields"),
    END,
};

static const struct known_member config_store_members[] = {
    SERVED("enabled", KNOWN_BOOL),
    QUIET("type"), // the rows lie in <app-dir>/store, whatever it says
    NOT_SERVED("config"),
    NOT_SERVED("vault_store"),
    END,
};

static const struct known_member root_members[] = {
    SERVED("version", KNOWN_INTEGER, .min = 1, .max = 2),
    SERVED("server", KNOWN_OBJECT, .object = &server_object),
    SERVED("client", KNOWN_OBJECT, OBJECT(client_members)),
    SERVED("providers", KNOWN_PROVIDERS, .object = &provider_object),
    SERVED("governance", KNOWN_OBJECT, OBJECT(governance_members)),
    SERVED("plugins", KNOWN_PLUGINS),
    QUIET("$schema"),
    QUIET("source_of_truth"), // the file is the only one
    RESTRICTS("auth_config"),
    RESTRICTS("guardrails_config"),
    RESTRICTS("access_profiles"),
    RESTRICTS("scim_config"),
    RESTRICTS("saml_config"),
    SERVED("encryption_key", KNOWN_STRING),
    NOT_SERVED("env_label"),
    SERVED("framework", KNOWN_OBJECT, OBJECT(framework_members)),
    NOT_SERVED("webhooks"),
    NOT_SERVED("mcp"),
    NOT_SERVED("vector_store"),
    SERVED("config_store", KNOWN_OBJECT, OBJECT(config_store_members)),
    SERVED("logs_store", KNOWN_OBJECT, OBJECT(logs_store_members)),
    NOT_SERVED("skills_registry"),
    NOT_SERVED("websocket"),
    NOT_SERVED("feature_flags"),
    NOT_SERVED("circuit_breaker_config"),
    NOT_SERVED("alerting"),
    NOT_SERVED("audit_logs"),
    NOT_SERVED("cluster_config"),
    NOT_SERVED("load_balancer_config"),
    NOT_SERVED("large_payload_optimization"),
    END,
};

const struct known_object config__known_root = {.members = root_members};
