// SPDX-License-Identifier: Apache-2.0
//
// cors.c: which web pages may read our answers.
//
// An origin is allowed when it is a local one (a developer's page on any port), equals an entry of
// client.allowed_origins, matches an entry with `*` (each stands for one label: `https://*.a.com`
// is `https://x.a.com`, never `https://x.y.a.com`), or when an entry is just `*`. The answer names
// the origin itself, not `*`, because browsers refuse `*` together with credentials.
//
// One step stricter than Bifrost: an origin that only a bare `*` lets in gets no
// Allow-Credentials outside the inference routes. There a cookie could one day open the management
// API to any page.
#include "gateway/gateway.h"

#include "base/assert.h"
#include "gateway/exchange.h"

// Configured header names that fit the answer's field; the rest is left out.
#define ALLOW_HEADERS_BYTES_MAX 4096

static bool local_origin(struct slice origin)
{
    static const struct slice prefixes[] = {
        {"http://localhost:", 17},  {"https://localhost:", 18}, {"http://127.0.0.1:", 17},
        {"https://127.0.0.1:", 18}, {"http://0.0.0.0:", 15},
    };
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        uint64_t port;
        if (slice_starts(origin, prefixes[i]))
            return slice_to_u64(slice_skip(origin, prefixes[i].len), &port) == 0 && port <= 65535;
    }
    return false;
}

// `*` in the pattern stands for one or more characters other than '.' and '/'. The shortest match
// of each star is tried first and only the last one is lengthened: two stars in one label can
// trade characters, and a '.' between them fixes both.
static bool pattern_matches(struct slice pattern, struct slice text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_end = 0;
    while (t < text.len) {
        bool label = text.ptr[t] != '.' && text.ptr[t] != '/';
        if (p < pattern.len && pattern.ptr[p] == '*' && label) {
            star = p++;
            star_end = ++t;
        } else if (p < pattern.len && pattern.ptr[p] != '*' && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX && text.ptr[star_end] != '.' && text.ptr[star_end] != '/') {
            p = star + 1;
            t = ++star_end;
        } else {
            return false;
        }
    }
    return p == pattern.len;
}

bool gateway_origin_allowed(const struct config *c, struct slice origin, bool *ret_by_star)
{
    bool star = false;
    *ret_by_star = false;
    if (local_origin(origin))
        return true;
    for (unsigned i = 0; i < c->allowed_origin_count; i++) {
        struct slice entry = c->allowed_origins[i];
        if (slice_eq(entry, SLICE("*")))
            star = true;
        else if (slice_find_char(entry, '*') >= 0 ? pattern_matches(entry, origin)
                                                  : slice_eq(entry, origin))
            return true;
    }
    *ret_by_star = star;
    return star;
}

static struct slice allow_headers(struct exchange *x)
{
    const struct config *c = x->config;
    struct slice list = SLICE("Content-Type, Authorization, X-Requested-With, X-Stainless-Timeout");
    size_t room = ALLOW_HEADERS_BYTES_MAX;
    if (c->allowed_header_count == 0)
        return list;
    char *out = arena_bytes(&x->stream->arena, room);
    if (out == NULL)
        return list;
    memcpy(out, list.ptr, list.len);
    size_t len = list.len;
    for (unsigned i = 0; i < c->allowed_header_count; i++) {
        struct slice name = c->allowed_headers[i];
        if (name.len == 0 || name.len + 2 > room - len)
            continue;
        memcpy(out + len, ", ", 2);
        memcpy(out + len + 2, name.ptr, name.len);
        len += 2 + name.len;
    }
    return slice_of(out, len);
}

static struct http_field field(struct slice name, struct slice value)
{
    return (struct http_field){.id = HTTP_N_OTHER, .name = name, .value = value};
}

unsigned gateway_cors_fields(struct exchange *x, struct http_field *out)
{
    const struct http_field *origin = http_head_get(&x->stream->request, HTTP_N_ORIGIN);
    bool by_star;
    unsigned n = 0;
    if (origin == NULL || !gateway_origin_allowed(x->config, origin->value, &by_star))
        return 0;
    bool inference = x->route != NULL && x->route->mount != MOUNT_NONE;
    out[n++] = field(SLICE("access-control-allow-origin"), origin->value);
    out[n++] = field(SLICE("access-control-allow-methods"),
                     SLICE("GET, POST, PUT, DELETE, PATCH, OPTIONS, HEAD"));
    out[n++] = field(SLICE("access-control-allow-headers"), allow_headers(x));
    if (!by_star || inference)
        out[n++] = field(SLICE("access-control-allow-credentials"), SLICE("true"));
    out[n++] = field(SLICE("access-control-max-age"), SLICE("86400"));
    out[n++] = field(SLICE("vary"), SLICE("Origin"));
    ASSERT(n <= GATEWAY_CORS_FIELDS);
    return n;
}
