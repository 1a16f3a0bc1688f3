// SPDX-License-Identifier: Apache-2.0
//
// config_providers.c: the `providers` section, or the environment in its place.
//
// A provider is its vendor's row (a custom one: the row of base_provider_type) and what the file
// changes about it: where it lives, under which paths, how patiently and how many at once. Paths
// are joined here, once, so that a request only copies them.
//
// Providers keep the order of the file: a bare model goes to the first that names it.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/limits.h"
#include <stdio.h>
#include <stdlib.h>

// Bifrost's defaults (bifrost-behaviour §1.9).
#define DEFAULT_TIMEOUT_S      30
#define DEFAULT_STREAM_IDLE_S  60
#define DEFAULT_KEEP_ALIVE_S   (LIMIT_UPSTREAM_IDLE_MS / 1000)
#define DEFAULT_BACKOFF_MS     500
#define DEFAULT_BACKOFF_MAX_MS 5000
#define DEFAULT_CONNS          5000
#define DEFAULT_CONCURRENCY    1000
#define DEFAULT_BUFFER         5000
// It is a part of "provider/model" and of metrics' labels.
#define NAME_BYTES_MAX 128

// ---- Operations and paths -----------------------------------------------------------------------

static unsigned operation_bit(enum operation op, bool stream)
{
    return 1u << (op + (stream ? 16 : 0));
}

// All types of requests, or those that allowed_requests says true to. Also of operations that the
// row does not have: another endpoint may serve the type.
static void load_allowed(struct config_provider *p, yyjson_val *custom)
{
    yyjson_val *allowed = config__get(custom, "allowed_requests");
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        enum operation op = (enum operation)i;
        for (unsigned stream = 0; stream < 2; stream++) {
            const char *name = operation_name(op, stream).ptr; // zero-terminated literals
            if (stream && !operation_streams(op))
                continue;
            if (allowed == NULL || config__bool(allowed, name, false))
                p->allowed |= operation_bit(op, stream);
        }
    }
}

static bool is_path(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return false;
    }
    return path.len > 0 && path.ptr[0] == '/';
}

static bool is_url(struct slice text)
{
    return slice_istarts(text, SLICE("https://")) || slice_istarts(text, SLICE("http://"));
}

// The override of an operation, by its plain or its streamed name; empty when there is none. One
// path serves both, so two that differ are an error.
static struct slice override_of(struct config_builder *b, const struct config_path *at,
                                yyjson_val *overrides, enum operation op, const char **ret_name)
{
    const char *names[2] = {operation_name(op, false).ptr, operation_name(op, true).ptr};
    struct slice text[2] = {SLICE(""), SLICE("")};
    struct config_path path = *at;
    for (unsigned i = 0; i < 2; i++) {
        path = CONFIG_MEMBER(at, names[i]);
        config__text_set(b, &path, config__get(overrides, names[i]), &text[i]);
    }
    if (text[0].len > 0 && text[1].len > 0 && !slice_eq(text[0], text[1]))
        config__error(b, &path, "differs from %s; one path serves both", names[0]);
    *ret_name = text[0].len > 0 ? names[0] : names[1];
    return text[0].len > 0 ? text[0] : text[1];
}

static void load_paths(struct config_builder *b, const struct config_path *at,
                       const struct config_network *network, struct config_provider *p,
                       struct slice base_path, yyjson_val *custom)
{
    struct config_path section = CONFIG_MEMBER(at, "custom_provider_config");
    struct config_path path = CONFIG_MEMBER(&section, "request_path_overrides");
    yyjson_val *overrides = config__get(custom, "request_path_overrides");
    for (unsigned i = 0; i < OPERATION_COUNT; i++) {
        enum operation op = (enum operation)i;
        if (p->row->path[op].len == 0)
            continue;
        const char *name;
        struct slice given = override_of(b, &path, overrides, op, &name);
        struct config_path member = CONFIG_MEMBER(&path, name);
        if (given.len == 0) {
            p->path[op] = config__join(b, base_path, p->row->path[op]);
        } else if (is_url(given)) {
            config__origin(b, &member, network, given, &p->path_origin[op], &p->path[op]);
            if (p->path[op].len == 0 || p->path[op].ptr[0] != '/')
                p->path[op] = SLICE("/");
        } else if (is_path(given)) {
            p->path[op] = config__join(b, base_path, given);
        } else {
            config__error(b, &member, "expected a path that begins with / or a whole URL");
        }
    }
}

// Does every allowed operation have a place of its own?
static bool has_all_urls(const struct config_provider *p)
{
    for (unsigned op = 0; op < OPERATION_COUNT; op++) {
        if ((p->allowed & (1u << op | 1u << (op + 16))) != 0 && p->row->path[op].len > 0 &&
            p->path_origin[op] == NULL)
            return false;
    }
    return true;
}

// ---- Headers ------------------------------------------------------------------------------------

static bool is_framing_header(struct slice name)
{
    for (unsigned i = 0; config__framing_headers[i] != NULL; i++) {
        if (slice_ieq(name, slice_str(config__framing_headers[i])))
            return true;
    }
    return false;
}

static bool is_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static void load_headers(struct config_builder *b, const struct config_path *at,
                         struct config_provider *p, yyjson_val *network)
{
    struct config_path section = CONFIG_MEMBER(at, "network_config");
    struct config_path path = CONFIG_MEMBER(&section, "extra_headers");
    yyjson_val *headers = config__get(network, "extra_headers");
    p->extra_headers = config__alloc(b, yyjson_obj_size(headers), sizeof(*p->extra_headers));
    if (p->extra_headers == NULL)
        return;
    yyjson_obj_iter iter = yyjson_obj_iter_with(headers);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path member = {.up = &path, .name = json_str(key)};
        struct config_header *h = &p->extra_headers[p->extra_header_count];
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (yyjson_is_null(value))
            continue;
        h->name = config__copy(b, member.name);
        if (!config__is_token(h->name))
            config__error(b, &member, "not the name of a header");
        else if (is_framing_header(h->name))
            config__error(b, &member, "this header is the gateway's own");
        else if (!config__text_set(b, &member, value, &h->value))
            continue;
        else if (!is_value(h->value))
            config__error(b, &member, "holds characters that cannot be sent in a header");
        else
            p->extra_header_count++;
    }
}

static void load_betas(struct config_builder *b, struct config_provider *p, yyjson_val *network)
{
    yyjson_val *betas = config__get(network, "beta_header_overrides");
    p->betas = config__alloc(b, yyjson_obj_size(betas), sizeof(*p->betas));
    if (p->betas == NULL)
        return;
    yyjson_obj_iter iter = yyjson_obj_iter_with(betas);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (yyjson_is_bool(value))
            p->betas[p->beta_count++] = (struct config_beta){
                .prefix = config__copy(b, json_str(key)),
                .supported = yyjson_get_bool(value),
            };
    }
}

// ---- A provider ---------------------------------------------------------------------------------

static void load_patience(struct config_builder *b, const struct config_path *at,
                          struct config_provider *p, yyjson_val *network)
{
    p->request_timeout_ms =
        1000 * config__uint(network, "default_request_timeout_in_seconds", DEFAULT_TIMEOUT_S);
    p->stream_idle_ms =
        1000 * config__uint(network, "stream_idle_timeout_in_seconds", DEFAULT_STREAM_IDLE_S);
    p->max_retries = config__uint(network, "max_retries", 0);
    p->backoff_initial_ms =
        config__duration_ms(network, "retry_backoff_initial", DEFAULT_BACKOFF_MS);
    p->backoff_max_ms = config__duration_ms(network, "retry_backoff_max", DEFAULT_BACKOFF_MAX_MS);
    if (p->backoff_initial_ms > p->backoff_max_ms) {
        struct config_path section = CONFIG_MEMBER(at, "network_config");
        struct config_path path = CONFIG_MEMBER(&section, "retry_backoff_initial");
        config__error(b, &path, "more than retry_backoff_max");
    }
}

static void load_slots(struct config_builder *b, const struct config_path *at,
                       struct config_slots *slots, yyjson_val *provider)
{
    struct config_path section = CONFIG_MEMBER(at, "concurrency_and_buffer_size");
    yyjson_val *given = config__get(provider, "concurrency_and_buffer_size");
    slots->concurrency = config__uint(given, "concurrency", DEFAULT_CONCURRENCY);
    slots->buffer_size = config__uint(given, "buffer_size", DEFAULT_BUFFER);
    if (slots->concurrency > slots->buffer_size)
        config__error(b, &CONFIG_MEMBER(&section, "concurrency"),
                      "%u is more than buffer_size (%u)", slots->concurrency, slots->buffer_size);
}

static void load_network(struct config_builder *b, const struct config_path *at,
                         const struct config_provider *p, struct config_network *ret,
                         yyjson_val *network)
{
    struct config_path section = CONFIG_MEMBER(at, "network_config");
    struct config_path pem = CONFIG_MEMBER(&section, "ca_cert_pem");
    struct config_path skip = CONFIG_MEMBER(&section, "insecure_skip_verify");
    ret->insecure = config__bool(network, "insecure_skip_verify", false);
    ret->ca_cert_pem = SLICE("");
    config__text_set(b, &pem, config__get(network, "ca_cert_pem"), &ret->ca_cert_pem);
    ret->connect_ms =
        p->request_timeout_ms < LIMIT_CONNECT_MS ? p->request_timeout_ms : LIMIT_CONNECT_MS;
    ret->idle_ms =
        1000 * config__uint(network, "keep_alive_timeout_in_seconds", DEFAULT_KEEP_ALIVE_S);
    ret->conns_max = config__uint(network, "max_conns_per_host", DEFAULT_CONNS);
    if (config__bool(network, "enforce_http2", false))
        ret->http = ORIGIN_HTTP2;
    else if (config__bool(network, "offer_http2", false))
        ret->http = ORIGIN_HTTP_ANY;
    // Whoever writes false means it; whoever writes nothing has written the address.
    ret->refuse_private = !config__bool(network, "allow_private_network", true);
    if (ret->insecure && ret->ca_cert_pem.len > 0)
        config__error(b, &pem, "excludes insecure_skip_verify");
    else if (ret->insecure)
        config__warn(b, &skip, "this provider's certificate is not verified");
}

static void load_place(struct config_builder *b, const struct config_path *at,
                       struct config_provider *p, yyjson_val *provider, yyjson_val *custom)
{
    yyjson_val *section = config__get(provider, "network_config");
    struct config_path network_at = CONFIG_MEMBER(at, "network_config");
    struct config_path url_at = CONFIG_MEMBER(&network_at, "base_url");
    struct config_network network = {0};
    load_network(b, at, p, &network, section);
    config__load_proxy(b, at, &network, provider);
    struct slice url = p->custom ? SLICE("") : p->row->base_url;
    struct slice given = SLICE(""), base_path = SLICE("");
    if (config__text_set(b, &url_at, config__get(section, "base_url"), &given) && given.len > 0)
        url = given;
    if (url.len > 0 && !p->row->url_per_key)
        config__origin(b, &url_at, &network, url, &p->origin, &base_path);
    load_paths(b, at, &network, p, base_path, custom);
    if (p->custom && url.len == 0 && !has_all_urls(p))
        config__error(b, &url_at, "missing; a custom provider needs it");
    config__load_keys(b, at, &network, p, url, provider);
    proxy_put(network.proxy); // its origins have their own references
}

static bool is_provider_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '/')
            return false;
    }
    return name.len > 0 && name.len <= NAME_BYTES_MAX;
}

static unsigned raw_of(yyjson_val *provider)
{
    unsigned raw = config__bool(provider, "send_back_raw_request", false) ? RAW_REQUEST : 0;
    return raw | (config__bool(provider, "send_back_raw_response", false) ? RAW_RESPONSE : 0);
}

// Which row a provider goes by; NULL when that was an error.
static const struct provider_row *row_of(struct config_builder *b, const struct config_path *at,
                                         struct slice name, yyjson_val *custom)
{
    struct config_path section = CONFIG_MEMBER(at, "custom_provider_config");
    struct config_path type = CONFIG_MEMBER(&section, "base_provider_type");
    if (custom == NULL)
        return provider_find(name);
    if (provider_is_standard(name)) {
        config__error(b, &section, "a custom provider may not have a vendor's name");
        return NULL;
    }
    struct slice base = json_str(config__get(custom, "base_provider_type"));
    if (slice_eq(base, SLICE("openai")) || slice_eq(base, SLICE("anthropic")))
        return provider_find(base);
    if (provider_is_standard(base))
        config__error(b, &type, "not served yet; \"openai\" and \"anthropic\" are");
    else
        config__error(b, &type, "unknown provider type");
    return NULL;
}

static void load_provider(struct config_builder *b, const struct config_path *at,
                          struct config_provider *p, struct config_slots *slots,
                          yyjson_val *provider)
{
    yyjson_val *custom = config__get(provider, "custom_provider_config");
    yyjson_val *network = config__get(provider, "network_config");
    p->name = config__copy(b, at->name);
    if (!is_provider_name(p->name))
        config__error(b, at, "a provider's name has no spaces and no /, and 1 to %d bytes",
                      NAME_BYTES_MAX);
    p->row = row_of(b, at, p->name, custom);
    if (p->row == NULL)
        return;
    p->custom = custom != NULL;
    p->key_less = config__bool(custom, "is_key_less", false);
    p->disable_store = config__bool(config__get(provider, "openai_config"), "disable_store", false);
    p->raw = raw_of(provider);
    load_allowed(p, custom);
    load_patience(b, at, p, network);
    load_slots(b, at, slots, provider);
    load_headers(b, at, p, network);
    load_betas(b, p, network);
    load_place(b, at, p, provider, custom);
}

// ---- The section --------------------------------------------------------------------------------

// Was it accepted by the checking step (others are skipped there)?
static bool is_served(struct slice name, yyjson_val *provider)
{
    return yyjson_is_obj(provider) &&
           (provider_find(name) != NULL || config__get(provider, "custom_provider_config") != NULL);
}

// Room for `count` providers.
static bool begin_providers(struct config_builder *b, size_t count)
{
    b->config->providers = config__alloc(b, count, sizeof(*b->config->providers));
    b->slots = config__alloc(b, count, sizeof(*b->slots));
    return b->config->providers != NULL && b->slots != NULL;
}

static struct config_provider *next_provider(struct config_builder *b)
{
    struct config_provider *p = &b->config->providers[b->config->provider_count];
    p->index = b->config->provider_count++;
    return p;
}

static void load_governed(struct config_builder *b, yyjson_val *root)
{
    struct config_path governance = CONFIG_MEMBER(NULL, "governance");
    struct config_path path = CONFIG_MEMBER(&governance, "providers");
    yyjson_val *list = config__get(config__get(root, "governance"), "providers");
    size_t i = 0;
    yyjson_arr_iter iter = yyjson_arr_iter_with(list);
    for (yyjson_val *v; (v = yyjson_arr_iter_next(&iter)) != NULL; i++) {
        struct config_path at = CONFIG_ELEMENT(&path, i);
        struct slice name = json_str(config__get(v, "name"));
        struct config_provider *p = NULL;
        for (unsigned n = 0; n < b->config->provider_count; n++) {
            if (slice_eq(b->config->providers[n].name, name))
                p = &b->config->providers[n];
        }
        if (p == NULL)
            config__warn(b, &at, "names a provider that is not configured: ignored");
        if (p == NULL)
            continue;
        p->disable_store |= config__bool(config__get(v, "openai_config"), "disable_store", false);
        p->raw |= raw_of(v);
    }
}

void config__load_providers(struct config_builder *b, yyjson_val *root)
{
    struct config_path path = CONFIG_MEMBER(NULL, "providers");
    yyjson_val *providers = config__get(root, "providers");
    if (!begin_providers(b, yyjson_obj_size(providers)))
        return;
    yyjson_obj_iter iter = yyjson_obj_iter_with(providers);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&iter)) != NULL;) {
        struct config_path at = {.up = &path, .name = json_str(key)};
        yyjson_val *provider = yyjson_obj_iter_get_val(key);
        if (!is_served(at.name, provider))
            continue;
        struct config_provider *p = next_provider(b);
        load_provider(b, &at, p, &b->slots[p->index], provider);
    }
    load_governed(b, root);
    if (b->config->provider_count == 0)
        config__warn(b, &path, "no provider is configured: every model is unknown");
}

// ---- Without a file -----------------------------------------------------------------------------

static const char *find_variable(struct config_builder *b, const struct provider_row *row,
                                 const char **ret_value)
{
    for (unsigned i = 0; i < ARRAY_LEN(row->environment) && row->environment[i] != NULL; i++) {
        const char *name = row->environment[i];
        const char *value =
            b->source->environment != NULL ? b->source->environment(name) : getenv(name);
        if (value != NULL && *value != '\0') {
            *ret_value = value;
            return name;
        }
    }
    return NULL;
}

// A provider as the file would make it, with one key from `variable`.
static void add_detected(struct config_builder *b, const struct provider_row *row,
                         const char *variable, const char *value)
{
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "{\"keys\":[{\"name\":\"%s_auto_detected\",\"value\":\"env.%s\","
                     "\"weight\":1,\"models\":[\"*\"]}]}",
                     variable, variable);
    ASSERT(n > 0 && (size_t)n < sizeof(text) && value != NULL);
    yyjson_doc *doc;
    if (json_parse(slice_of(text, (size_t)n), &doc, NULL, NULL) != 0) {
        b->no_memory = true;
        return;
    }
    struct config_path path = CONFIG_MEMBER(NULL, "providers");
    struct config_path at = {.up = &path, .name = row->name};
    struct config_provider *p = next_provider(b);
    load_provider(b, &at, p, &b->slots[p->index], yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

void config__load_environment(struct config_builder *b)
{
    unsigned rows = 0;
    while (provider_at(rows) != NULL)
        rows++;
    if (!begin_providers(b, rows))
        return;
    for (unsigned i = 0; i < rows; i++) {
        const char *value = NULL;
        const char *variable = find_variable(b, provider_at(i), &value);
        if (variable != NULL)
            add_detected(b, provider_at(i), variable, value);
    }
    if (b->config->provider_count == 0)
        config__warn(b, NULL,
                     "no config.json and no provider's key in the environment (OPENAI_API_KEY, …)");
}
