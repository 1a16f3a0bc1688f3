// SPDX-License-Identifier: Apache-2.0
//
// config_proxy.c: `proxy_config` of a provider, and what it means for one of its origins.
//
//     none         straight
//     http         the url's proxy, for https and http origins
//     socks5       the same; names are resolved by it
//     environment  each origin asks the environment, after Go's rules (proxy_env.h)
//
// A URL is "[scheme://][user:password@]host[:port]"; `username` and `password` win over those in
// it. Reading is strict: a proxy read differently from how it was meant sees somebody's traffic.
// https:// is TLS to the proxy itself, with the provider's trust: the system's authorities and
// those of network_config.
//
// `ca_cert_pem` is Bifrost's: an authority to trust for the proxy and what comes through it (one
// that opens TLS), beside that of network_config.
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/proxy_env.h"
#include <stdlib.h>

#define URL_BYTES_MAX 4096

// What a proxy's URL says.
struct parts {
    enum proxy_type type;
    bool tls;                        // to the proxy itself
    struct slice username, password; // still percent-encoded
    struct url url;                  // host and port
};

static const struct scheme {
    struct slice name;
    enum proxy_type type;
    bool tls;
    unsigned port; // Go's defaults
} schemes[] = {
    {SLICE("http://"), PROXY_HTTP, false, 80},
    {SLICE("https://"), PROXY_HTTP, true, 443},
    {SLICE("socks5://"), PROXY_SOCKS5, false, 1080},
    {SLICE("socks5h://"), PROXY_SOCKS5, false, 1080},
};

static const struct scheme *scheme_of(struct slice text)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (slice_istarts(text, schemes[i].name))
            return &schemes[i];
    }
    return NULL;
}

// NULL, or what is wrong. `otherwise` is the scheme of a text without one.
static const char *read_url(struct config_builder *b, struct slice text, enum proxy_type otherwise,
                            struct parts *ret)
{
    static const char shape[] = "expected a proxy such as http://host:port or socks5://host:port";
    const struct scheme *scheme = scheme_of(text);
    if (text.len == 0 || text.len > URL_BYTES_MAX)
        return shape;
    if (scheme == NULL && slice_find(text, SLICE("://")) >= 0)
        return shape;
    struct slice rest = scheme != NULL ? slice_skip(text, scheme->name.len) : text;
    ret->type = scheme != NULL ? scheme->type : otherwise;
    ret->tls = scheme != NULL && scheme->tls;
    ptrdiff_t at = -1;
    for (size_t i = 0; i < rest.len && rest.ptr[i] != '/'; i++)
        at = rest.ptr[i] == '@' ? (ptrdiff_t)i : at;
    if (at >= 0) {
        struct slice user = slice_take(rest, (size_t)at);
        ptrdiff_t colon = slice_find_char(user, ':');
        ret->username = colon < 0 ? user : slice_take(user, (size_t)colon);
        ret->password = colon < 0 ? SLICE_EMPTY : slice_skip(user, (size_t)colon + 1);
        rest = slice_skip(rest, (size_t)at + 1);
    }
    // Host and port by the one reader there is.
    struct slice url = arena_printf(&b->config->memory, "http://%.*s", SLICE_ARG(rest));
    if (url.ptr == NULL) {
        b->no_memory = true;
        return shape;
    }
    ptrdiff_t bracket = slice_find_char(rest, ']');
    bool has_port = slice_find_char(slice_skip(rest, (size_t)(bracket + 1)), ':') >= 0;
    if (url_parse(url, &ret->url) != 0 || ret->url.path.len > 0)
        return shape;
    if (!has_port)
        ret->url.port = scheme != NULL ? scheme->port : ret->type == PROXY_SOCKS5 ? 1080 : 80;
    return NULL;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Into the snapshot's memory. False: a bad escape.
static bool decode(struct config_builder *b, struct slice *s)
{
    char *out = config__alloc(b, s->len + 1, 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < s->len; i++, n++) {
        out[n] = s->ptr[i];
        if (s->ptr[i] != '%')
            continue;
        int high = i + 2 < s->len ? hex_of(s->ptr[i + 1]) : -1;
        int low = i + 2 < s->len ? hex_of(s->ptr[i + 2]) : -1;
        if (high < 0 || low < 0)
            return false;
        out[n] = (char)(high << 4 | low);
        i += 2;
    }
    *s = out != NULL ? slice_of(out, n) : SLICE_EMPTY;
    return true;
}

// No control byte: it would end a header.
static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

static struct proxy *make(struct config_builder *b, const struct config_path *at,
                          const struct config_network *network, const struct parts *parts)
{
    struct config_tls *tls = parts->tls ? config__tls_for(b, at, network) : NULL;
    if (parts->tls && tls == NULL)
        return NULL;
    struct proxy_options options = {
        .type = parts->type,
        .tls = tls != NULL ? tls->context : NULL,
        .tls_identity = tls != NULL ? tls->identity : SLICE(""),
        .host = parts->url.host,
        .port = parts->url.port,
        .username = parts->username,
        .password = parts->password,
    };
    struct proxy *proxy = NULL;
    if (config__is_forbidden(options.host)) {
        config__error(b, at, "a link-local or metadata address is never a proxy");
        return NULL;
    }
    int err = is_text(options.username) && is_text(options.password) ? proxy_new(&options, &proxy)
                                                                     : ERR_CONFIG;
    if (err == ERR_NOMEM)
        b->no_memory = true;
    else if (err != 0)
        config__error(b, at,
                      "credentials no proxy can be given: too long, no user name, or with "
                      "characters that are not allowed");
    return proxy;
}

static void load_url(struct config_builder *b, const struct config_path *at, yyjson_val *section,
                     enum proxy_type type, struct config_network *network)
{
    struct config_path url_at = CONFIG_MEMBER(at, "url");
    struct config_path user_at = CONFIG_MEMBER(at, "username");
    struct config_path password_at = CONFIG_MEMBER(at, "password");
    struct parts parts = {0};
    struct slice text = SLICE_EMPTY, username = SLICE_EMPTY, password = SLICE_EMPTY;
    yyjson_val *given = config__get(section, "url");
    if (given == NULL) {
        config__error(b, &url_at, "missing; this type needs it");
        return;
    }
    if (!config__text_set(b, &url_at, given, &text))
        return;
    const char *wrong = read_url(b, text, type, &parts);
    if (wrong == NULL && parts.type != type)
        wrong = "the scheme belongs to another type of proxy";
    if (wrong == NULL && (!decode(b, &parts.username) || !decode(b, &parts.password)))
        wrong = "the credentials hold a bad escape";
    if (wrong != NULL) {
        config__error(b, &url_at, "%s", wrong);
        return;
    }
    if (config__text_set(b, &user_at, config__get(section, "username"), &username) &&
        username.len > 0) {
        parts.username = username;
        parts.password = SLICE_EMPTY;
    }
    if (config__text_set(b, &password_at, config__get(section, "password"), &password) &&
        password.len > 0)
        parts.password = password;
    network->proxy = make(b, at, network, &parts);
}

// The authority of `ca_cert_pem`, beside the network's own.
static void load_authority(struct config_builder *b, const struct config_path *path,
                           struct config_network *network, yyjson_val *section)
{
    struct config_path pem_at = CONFIG_MEMBER(path, "ca_cert_pem");
    struct slice pem = SLICE_EMPTY;
    if (!config__text_set(b, &pem_at, config__get(section, "ca_cert_pem"), &pem) || pem.len == 0)
        return;
    if (network->insecure) {
        config__error(b, &pem_at, "excludes insecure_skip_verify");
        return;
    }
    struct slice both = network->ca_cert_pem.len == 0
                            ? pem
                            : arena_printf(&b->config->memory, "%.*s\n%.*s",
                                           SLICE_ARG(network->ca_cert_pem), SLICE_ARG(pem));
    b->no_memory |= both.ptr == NULL;
    network->ca_cert_pem = both;
}

void config__load_proxy(struct config_builder *b, const struct config_path *at,
                        struct config_network *network, yyjson_val *provider)
{
    struct config_path path = CONFIG_MEMBER(at, "proxy_config");
    yyjson_val *section = config__get(provider, "proxy_config");
    struct slice type = json_str(config__get(section, "type"));
    if (type.len == 0 || slice_eq(type, SLICE("none")))
        return;
    load_authority(b, &path, network, section); // the proxy's TLS wants it
    if (slice_eq(type, SLICE("environment")))
        network->proxy_from_environment = true;
    else
        load_url(b, &path, section, slice_eq(type, SLICE("socks5")) ? PROXY_SOCKS5 : PROXY_HTTP,
                 network);
}

static const char *system_environment(const char *name)
{
    return getenv(name);
}

bool config__proxy_of(struct config_builder *b, const struct config_path *at,
                      const struct config_network *network, const struct url *url,
                      struct proxy **ret)
{
    if (!network->proxy_from_environment) {
        *ret = network->proxy ? proxy_get(network->proxy) : NULL;
        return true;
    }
    proxy_env_fn environment = b->source->environment ? b->source->environment : system_environment;
    struct proxy_env found = proxy_env_find(environment, url->tls, url->host, url->port);
    struct parts parts = {0};
    *ret = NULL;
    if (found.proxy.len == 0)
        return true;
    const char *wrong = read_url(b, found.proxy, PROXY_HTTP, &parts);
    if (wrong == NULL && (!decode(b, &parts.username) || !decode(b, &parts.password)))
        wrong = "the credentials hold a bad escape";
    if (wrong != NULL) {
        config__error(b, at, "its proxy is in %s: %s", found.variable, wrong);
        return false;
    }
    *ret = make(b, at, network, &parts);
    return *ret != NULL;
}
