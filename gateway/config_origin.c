// SPDX-License-Identifier: Apache-2.0
//
// config_origin.c: from a URL in the file to an origin and a path.
//
// Origins with the same TLS settings share one context: reading the system's certificates takes
// milliseconds, and sessions are resumed per context. Most files make one context, files without
// an https URL none.
//
// Some addresses are never a provider: link-local ones and the clouds' metadata services give
// credentials to whoever asks from inside. Here the host as it is written is looked at, so that the
// mistake has a place in the file; what a name resolves to is looked at when it is dialled
// (net/dial.c).
#include "gateway/config_build.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "net/ip.h"
#include "net/limits.h"
#include "net/tls.h"
#include <arpa/inet.h>
#include <openssl/sha.h>
#include <stdlib.h>

// A URL longer than this is a mistake.
#define URL_BYTES_MAX 2048

// ---- TLS contexts -------------------------------------------------------------------------------

static struct slice identity_of(struct config_builder *b, const struct config_network *network)
{
    if (network->insecure)
        return SLICE("insecure");
    if (network->ca_cert_pem.len == 0)
        return SLICE("");
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)network->ca_cert_pem.ptr, network->ca_cert_pem.len, digest);
    static const char hex[] = "0123456789abcdef";
    char text[2 * sizeof(digest)];
    for (size_t i = 0; i < sizeof(digest); i++) {
        text[2 * i] = hex[digest[i] >> 4];
        text[2 * i + 1] = hex[digest[i] & 15];
    }
    return config__copy(b, slice_of(text, sizeof(text)));
}

struct config_tls *config__tls_for(struct config_builder *b, const struct config_path *path,
                                   const struct config_network *network)
{
    for (struct config_tls *t = b->tls; t != NULL; t = t->next) {
        if (t->insecure == network->insecure && slice_eq(t->ca_cert_pem, network->ca_cert_pem))
            return t;
    }
    struct config_tls *t = config__alloc(b, 1, sizeof(*t));
    if (t == NULL)
        return NULL;
    struct tls_client_options options = {
        .ca_cert_pem = network->ca_cert_pem,
        .insecure_skip_verify = network->insecure,
    };
    const char *reason = "TLS could not be set up";
    int err = tls_context_client_new(&options, &t->context, &reason);
    if (err == ERR_NOMEM)
        b->no_memory = true;
    else if (err != 0)
        config__error(b, path, "%s", reason);
    if (err != 0)
        return NULL;
    t->insecure = network->insecure;
    t->ca_cert_pem = network->ca_cert_pem;
    t->identity = identity_of(b, network);
    t->next = b->tls;
    b->tls = t;
    return t;
}

void config__tls_done(struct config_builder *b)
{
    for (; b->tls != NULL; b->tls = b->tls->next)
        tls_context_put(b->tls->context);
}

// ---- Addresses that are refused -----------------------------------------------------------------

bool config__is_forbidden(struct slice host)
{
    char text[INET6_ADDRSTRLEN + 16];
    struct in_addr four;
    struct ip ip;
    if (ip_is_metadata_name(host))
        return true;
    if (host.len == 0 || host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    // inet_aton also knows 0xa9fea9fe and 2852039166, as resolvers do.
    if (inet_aton(text, &four) != 0)
        ip = ip_of_v4((const uint8_t *)&four.s_addr);
    else if (!ip_parse(host, &ip))
        return false;
    enum ip_place place = ip_place(&ip);
    return place == IP_LINK_LOCAL || place == IP_METADATA;
}

// ---- Origins ------------------------------------------------------------------------------------

bool config__origin(struct config_builder *b, const struct config_path *path,
                    const struct config_network *network, struct slice text, struct origin **ret,
                    struct slice *ret_path)
{
    ASSERT(ret != NULL && *ret == NULL);
    struct url url;
    if (text.len > URL_BYTES_MAX || url_parse(text, &url) != 0) {
        config__error(b, path, "expected a URL such as https://host:port/path");
        return false;
    }
    if (config__is_forbidden(url.host)) {
        config__error(b, path, "a link-local or metadata address is never a provider");
        return false;
    }
    struct config_tls *tls = url.tls ? config__tls_for(b, path, network) : NULL;
    struct proxy *proxy = NULL;
    if ((url.tls && tls == NULL) || !config__proxy_of(b, path, network, &url, &proxy))
        return false;
    struct origin_options options = {
        .tls = url.tls,
        .host = url.host,
        .port = url.port,
        .http = network->http,
        .tls_context = tls != NULL ? tls->context : NULL,
        .identity = tls != NULL ? tls->identity : SLICE(""),
        .proxy = proxy,
        .refuse_private = network->refuse_private,
        .connect_ms = network->connect_ms,
        .idle_ms = network->idle_ms,
        .age_ms = LIMIT_UPSTREAM_AGE_MS,
        .conns_max = network->conns_max,
        .idle_max = LIMIT_UPSTREAM_IDLE,
    };
    int err = origin_new(&options, ret);
    proxy_put(proxy);
    if (err == ERR_NOMEM)
        b->no_memory = true;
    else if (err != 0)
        config__error(b, path, "%s", err_text(err));
    *ret_path = config__copy(b, url.path);
    return err == 0;
}

struct slice config__without_v1(struct slice base)
{
    bool has = base.len >= 3 && slice_eq(slice_skip(base, base.len - 3), SLICE("/v1"));
    return has ? slice_take(base, base.len - 3) : base;
}

struct slice config__join(struct config_builder *b, struct slice base, struct slice path)
{
    ASSERT(path.len > 0 && path.ptr[0] == '/');
    if (slice_starts(path, SLICE("/v1/")))
        base = config__without_v1(base);
    if (base.len == 0)
        return config__copy(b, path);
    struct slice joined =
        arena_printf(&b->config->memory, "%.*s%.*s", SLICE_ARG(base), SLICE_ARG(path));
    if (joined.ptr == NULL) {
        b->no_memory = true;
        return SLICE("/");
    }
    return joined;
}
