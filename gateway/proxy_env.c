// SPDX-License-Identifier: Apache-2.0
//
// proxy_env.c: see proxy_env.h.
#include "gateway/proxy_env.h"

#include "net/ip.h"

// ---- NO_PROXY ----------------------------------------------------------------------------------

struct target {
    struct slice host; // without brackets
    unsigned port;
    bool numeric;
    struct ip ip;
};

static struct slice trim(struct slice s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL)
        s = slice_skip(s, 1);
    while (s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL)
        s.len--;
    return s;
}

// "host:port" taken apart; a text with several colons and no brackets is an IPv6 address.
// False: a port without a host, which Go ignores.
static bool split_port(struct slice *entry, struct slice *ret_port)
{
    *ret_port = SLICE_EMPTY;
    struct slice text = *entry;
    ptrdiff_t colon = slice_find_char(text, ':');
    if (text.len > 0 && text.ptr[0] == '[') {
        ptrdiff_t end = slice_find_char(text, ']');
        if (end < 0 || (size_t)end + 1 >= text.len || text.ptr[end + 1] != ':')
            return true; // no port; "[::1]" is read as it stands
        colon = end + 1;
    } else if (colon < 0 || slice_find_char(slice_skip(text, (size_t)colon + 1), ':') >= 0) {
        return true;
    }
    *ret_port = slice_skip(text, (size_t)colon + 1);
    *entry = slice_take(text, (size_t)colon);
    return entry->len > 0;
}

static bool is_port(struct slice text, unsigned port)
{
    uint64_t value;
    return text.len == 0 || (slice_to_u64(text, &value) == 0 && value == port);
}

static bool ends_with(struct slice s, struct slice tail)
{
    return s.len >= tail.len && slice_ieq(slice_skip(s, s.len - tail.len), tail);
}

static bool names(struct slice entry, const struct target *t)
{
    if (slice_starts(entry, SLICE("*.")))
        entry = slice_skip(entry, 1);
    if (entry.len > 0 && entry.ptr[0] == '.')
        return ends_with(t->host, entry);
    if (slice_ieq(t->host, entry))
        return true;
    return t->host.len > entry.len && t->host.ptr[t->host.len - entry.len - 1] == '.' &&
           ends_with(t->host, entry);
}

static bool matches(struct slice entry, const struct target *t)
{
    struct slice port;
    struct ip_net net;
    if (slice_find_char(entry, '/') >= 0 && ip_net_parse(entry, &net))
        return t->numeric && ip_net_has(&net, &t->ip);
    if (!split_port(&entry, &port) || !is_port(port, t->port))
        return false;
    if (ip_net_parse(entry, &net))
        return t->numeric && ip_eq(&net.ip, &t->ip);
    return entry.len > 0 && names(entry, t);
}

bool proxy_env_is_direct(struct slice no_proxy, struct slice host, unsigned port)
{
    struct target t = {.host = host, .port = port};
    t.numeric = ip_parse(host, &t.ip);
    if (slice_ieq(host, SLICE("localhost")) || (t.numeric && ip_is_loopback(&t.ip)))
        return true;
    while (no_proxy.len > 0) {
        ptrdiff_t comma = slice_find_char(no_proxy, ',');
        size_t len = comma < 0 ? no_proxy.len : (size_t)comma;
        struct slice entry = trim(slice_take(no_proxy, len));
        no_proxy = slice_skip(no_proxy, len + 1);
        if (slice_eq(entry, SLICE("*")) || (entry.len > 0 && matches(entry, &t)))
            return true;
    }
    return false;
}

// ---- The variables -----------------------------------------------------------------------------

// The first that is set and not empty.
static const char *first_of(proxy_env_fn environment, const char *const *variables,
                            const char **ret_name)
{
    for (; *variables != NULL; variables++) {
        const char *value = environment(*variables);
        if (value != NULL && *value != '\0') {
            *ret_name = *variables;
            return value;
        }
    }
    return NULL;
}

struct proxy_env proxy_env_find(proxy_env_fn environment, bool tls, struct slice host,
                                unsigned port)
{
    static const char *const https[] = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
                                        NULL};
    static const char *const http[] = {"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", NULL};
    static const char *const none[] = {"NO_PROXY", "no_proxy", NULL};
    struct proxy_env found = {.proxy = SLICE_EMPTY};
    const char *name = NULL;
    const char *value = first_of(environment, tls ? https : http, &found.variable);
    struct slice no_proxy = slice_str(first_of(environment, none, &name));
    if (value != NULL && !proxy_env_is_direct(no_proxy, host, port))
        found.proxy = trim(slice_str(value));
    return found;
}
