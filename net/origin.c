// SPDX-License-Identifier: Apache-2.0
//
// origin.c: where a provider is, immutable and counted.
//
// The key is what makes two connections interchangeable and nothing else: scheme, host in lower
// case, port, the identity of the TLS context, that of the proxy, and the versions wanted. Limits
// are not part of it, so a reload that changes a limit keeps the connections.
//
//     key        "https api.openai.com 443 identity"   with a proxy " via " and its digest behind
//     authority  "api.openai.com"  "localhost:8080"  "[::1]:8080"
//
// One allocation at set-up holds the struct and its three texts. Any thread may take and give
// references.
#include "base/assert.h"
#include "base/err.h"
#include "net/limits.h"
#include "net/upstream_internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

// A host of 253 bytes is the longest DNS knows; an identity is a digest or a name.
#define ORIGIN_TEXT_MAX 1024

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static bool is_default_port(const struct origin_options *o)
{
    return o->port == (o->tls ? 443 : 80);
}

static struct slice host_lower(struct slice host, char *out)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return slice_of(out, host.len);
}

static struct slice print(char *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, ORIGIN_TEXT_MAX, format, args);
    va_end(args);
    ASSERT(n > 0 && n < ORIGIN_TEXT_MAX);
    return slice_of(out, (size_t)n);
}

// Host, authority and key, each in a third of o->text.
static void write_texts(struct origin *o, const struct origin_options *options)
{
    bool v6 = slice_find_char(options->host, ':') >= 0;
    char port[16] = "";
    char *authority = o->text + ORIGIN_TEXT_MAX, *key = authority + ORIGIN_TEXT_MAX;
    if (!is_default_port(options))
        snprintf(port, sizeof(port), ":%u", options->port);
    o->host = host_lower(options->host, o->text);
    o->authority = print(authority, v6 ? "[%.*s]%s" : "%.*s%s", SLICE_ARG(o->host), port);
    static const char *const versions[] = {
        [ORIGIN_HTTP1] = "", [ORIGIN_HTTP_ANY] = " any", [ORIGIN_HTTP2] = " h2"};
    struct slice via = o->proxy ? o->proxy->identity : SLICE("");
    o->key = print(key, "%s %.*s %u %.*s%s%s%.*s", options->tls ? "https" : "http",
                   SLICE_ARG(o->host), options->port, SLICE_ARG(options->identity),
                   versions[o->http], o->proxy ? " via " : "", SLICE_ARG(via));
}

int origin_new(const struct origin_options *options, struct origin **ret)
{
    struct origin *o = NULL;
    if (options->host.len == 0 || options->host.len > 253 || options->identity.len > 512)
        return ERR_CONFIG;
    if (options->port == 0 || options->port > 65535 || (options->tls && !options->tls_context))
        return ERR_CONFIG;
    o = calloc(1, sizeof(*o) + 3 * ORIGIN_TEXT_MAX);
    if (!o)
        return ERR_NOMEM;
    atomic_init(&o->refs, 1);
    o->tls = options->tls ? tls_context_get(options->tls_context) : NULL;
    o->proxy = options->proxy ? proxy_get(options->proxy) : NULL;
    o->refuse_private = options->refuse_private;
    o->port = options->port;
    o->http = options->tls || options->http == ORIGIN_HTTP2 ? options->http : ORIGIN_HTTP1;
    o->connect_ms = or_default(options->connect_ms, LIMIT_CONNECT_MS);
    o->idle_ms = or_default(options->idle_ms, LIMIT_UPSTREAM_IDLE_MS);
    o->age_ms = or_default(options->age_ms, LIMIT_UPSTREAM_AGE_MS);
    o->idle_max = or_default(options->idle_max, LIMIT_UPSTREAM_IDLE);
    o->conns_max = or_default(options->conns_max, UINT32_MAX);
    write_texts(o, options);
    *ret = o;
    return 0;
}

struct origin *origin_get(struct origin *o)
{
    unsigned before = atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return o;
}

void origin_put(struct origin *o)
{
    if (!o)
        return;
    unsigned before = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before > 1)
        return;
    tls_context_put(o->tls);
    proxy_put(o->proxy);
    free(o);
}

struct slice origin_authority(const struct origin *o)
{
    return o->authority;
}
