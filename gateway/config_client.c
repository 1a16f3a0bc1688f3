// SPDX-License-Identifier: Apache-2.0
//
// config_client.c: the members about clients: `server` and `client`.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "net/http.h"
#include "net/limits.h"

#define MIB (1024u * 1024)

// RFC 9110, 5.6.2.
bool config__is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return s.len > 0;
}

static void lower(struct config_builder *b, struct slice *s)
{
    char *copy = arena_bytes(&b->config->memory, s->len);
    if (copy == NULL) {
        b->no_memory = true;
        return;
    }
    for (size_t i = 0; i < s->len; i++)
        copy[i] = s->ptr[i] >= 'A' && s->ptr[i] <= 'Z' ? (char)(s->ptr[i] + 32) : s->ptr[i];
    *s = slice_of(copy, s->len);
}

// A list of header names, made lower case as names on the wire are.
static void load_headers(struct config_builder *b, const struct config_path *up, yyjson_val *object,
                         const char *member, struct slice **ret, unsigned *ret_count)
{
    struct config_path path = CONFIG_MEMBER(up, member);
    config__texts(b, &path, config__get(object, member), ret, ret_count);
    for (unsigned i = 0; i < *ret_count; i++) {
        if (!config__is_token((*ret)[i]))
            config__error(b, &CONFIG_ELEMENT(&path, i), "not the name of a header");
        lower(b, &(*ret)[i]);
    }
}

static bool is_label(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || ((c < '0' || c > '9') && c != '-')))
            return false;
    }
    return name.len > 0;
}

static void load_labels(struct config_builder *b, const struct config_path *up, yyjson_val *client)
{
    struct config_path path = CONFIG_MEMBER(up, "prometheus_labels");
    struct config *c = b->config;
    config__texts(b, &path, config__get(client, "prometheus_labels"), &c->prometheus_labels,
                  &c->prometheus_label_count);
    for (unsigned i = 0; i < c->prometheus_label_count; i++) {
        if (!is_label(c->prometheus_labels[i]))
            config__error(b, &CONFIG_ELEMENT(&path, i), "not the name of a label");
    }
}

static void load_origins(struct config_builder *b, const struct config_path *up, yyjson_val *client)
{
    struct config_path path = CONFIG_MEMBER(up, "allowed_origins");
    struct config *c = b->config;
    yyjson_val *given = config__get(client, "allowed_origins");
    config__texts(b, &path, given, &c->allowed_origins, &c->allowed_origin_count);
    if (given != NULL)
        return;
    c->allowed_origins = config__alloc(b, 1, sizeof(struct slice));
    if (c->allowed_origins == NULL)
        return;
    c->allowed_origins[0] = SLICE("*");
    c->allowed_origin_count = 1;
}

// A number for which 0 is no default.
static unsigned number(yyjson_val *object, const char *member, unsigned absent)
{
    yyjson_val *value = config__get(object, member);
    return value != NULL ? (unsigned)yyjson_get_uint(value) : absent;
}

static void load_limits(struct config_limits *l, yyjson_val *server)
{
    l->head_ms = number(server, "head_timeout_ms", LIMIT_HEAD_MS);
    l->head_rate = number(server, "head_min_rate", LIMIT_HEAD_RATE);
    l->body_ms = number(server, "body_timeout_ms", LIMIT_BODY_MS);
    l->body_rate = number(server, "body_min_rate", LIMIT_BODY_RATE);
    l->send_ms = number(server, "send_timeout_ms", LIMIT_SEND_MS);
    l->send_rate = number(server, "send_min_rate", LIMIT_SEND_RATE);
    l->idle_ms = number(server, "idle_timeout_ms", LIMIT_IDLE_MS);
    l->connections_max = number(server, "max_connections", 0);
    l->per_address_max = number(server, "max_connections_per_address", 0);
    l->memory_mb = number(server, "max_memory_per_core_mb", 0);
}

static void load_hosts(struct config_builder *b, yyjson_val *server)
{
    struct config *c = b->config;
    struct config_path up = CONFIG_MEMBER(NULL, "server");
    struct config_path path = CONFIG_MEMBER(&up, "allowed_hosts");
    config__texts(b, &path, config__get(server, "allowed_hosts"), &c->allowed_hosts,
                  &c->allowed_host_count);
    c->check_host = b->source->on_loopback || c->allowed_host_count > 0;
    for (unsigned i = 0; i < c->allowed_host_count; i++) {
        struct slice given = c->allowed_hosts[i], host;
        bool below = slice_starts(given, SLICE("*."));
        bool good = http_authority_host(below ? slice_skip(given, 2) : given, &host);
        if (slice_eq(given, SLICE("*")))
            c->check_host = false;
        else if (!good || host.len != given.len - (below ? 2 : 0) ||
                 slice_find_char(host, '*') >= 0)
            config__error(b, &CONFIG_ELEMENT(&path, i), "not the name of a host (without a port)");
        lower(b, &c->allowed_hosts[i]);
    }
}

static void load_server(struct config_builder *b, yyjson_val *server)
{
    struct config *c = b->config;
    c->head_bytes_max = config__uint(server, "read_buffer_size", LIMIT_HEAD_BYTES);
    c->drain_delay_ms = 1000 * number(server, "drain_delay_s", 0);
    c->drain_timeout_ms = 1000 * number(server, "drain_timeout_s", CONFIG_DRAIN_TIMEOUT_S);
    load_limits(&c->limits, server);
    load_hosts(b, server);
    c->allow_open_management = config__bool(server, "allow_open_management", false);
    c->watchdog_ms = number(server, "watchdog_ms", CONFIG_WATCHDOG_MS);
    c->upgrade_timeout_ms = 1000 * number(server, "upgrade_timeout_s", CONFIG_UPGRADE_TIMEOUT_S);
}

// Without a word about logs they are kept.
static void load_logging(struct config_builder *b, const struct config_path *up, yyjson_val *root,
                         yyjson_val *client)
{
    struct config_logging *l = &b->config->logging;
    yyjson_val *store = config__get(root, "logs_store");
    l->enabled =
        config__bool(client, "enable_logging", true) && config__bool(store, "enabled", true);
    l->no_content = config__bool(client, "disable_content_logging", false);
    l->content_choice = config__bool(client, "allow_per_request_content_storage_override", false);
    l->row_days = number(store, "retention_days",
                         config__uint(client, "log_retention_days", CONFIG_LOG_DAYS));
    l->content_days = number(store, "content_retention_days", l->row_days);
    if (l->content_days == 0 || (l->row_days > 0 && l->content_days > l->row_days))
        l->content_days = l->row_days;
    l->bytes_max = (uint64_t)number(store, "max_size_gb", 0) << 30;
    l->free_bytes = (uint64_t)number(store, "min_free_mb", CONFIG_LOG_FREE_MB) << 20;
    load_headers(b, up, client, "logging_headers", &l->headers, &l->header_count);
}

void config__load_client(struct config_builder *b, yyjson_val *root)
{
    struct config *c = b->config;
    struct config_path path = CONFIG_MEMBER(NULL, "client");
    struct config_path filter_path = CONFIG_MEMBER(&path, "header_filter_config");
    yyjson_val *client = config__get(root, "client");
    yyjson_val *filter = config__get(client, "header_filter_config");
    c->version = config__uint(root, "version", 2);
    load_server(b, config__get(root, "server"));
    c->body_bytes_max =
        (size_t)MIB * config__uint(client, "max_request_body_size_mb", LIMIT_BODY_BYTES / MIB);
    ASSERT(c->head_bytes_max > 0 && c->body_bytes_max >= MIB);
    c->drop_excess_requests = config__bool(client, "drop_excess_requests", false);
    yyjson_val *compat = config__get(client, "compat");
    if (config__bool(compat, "convert_text_to_chat", false))
        c->compat |= COMPAT_TEXT_TO_CHAT;
    if (config__bool(compat, "convert_chat_to_responses", false))
        c->compat |= COMPAT_CHAT_TO_RESPONSES;
    if (config__bool(compat, "should_drop_params", false))
        c->compat |= COMPAT_DROP_PARAMS;
    if (config__bool(compat, "should_convert_params", false))
        c->compat |= COMPAT_CONVERT_PARAMS;
    c->no_store_in_health = config__bool(client, "disable_db_pings_in_health", false);
    c->no_raw_override = !config__bool(client, "allow_per_request_raw_override", true);
    c->no_stored = config__no_stored(root);
    load_logging(b, &path, root, client);
    load_labels(b, &path, client);
    load_origins(b, &path, client);
    load_headers(b, &path, client, "allowed_headers", &c->allowed_headers,
                 &c->allowed_header_count);
    load_headers(b, &path, client, "required_headers", &c->required_headers,
                 &c->required_header_count);
    load_headers(b, &filter_path, filter, "allowlist", &c->header_allow, &c->header_allow_count);
    load_headers(b, &filter_path, filter, "denylist", &c->header_deny, &c->header_deny_count);
}
