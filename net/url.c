// SPDX-License-Identifier: Apache-2.0
//
// url.c: the base URL of a provider, as configuration writes it.
//
//     https://[2001:db8::1]:8443/v1/
//     └ tls    └ host        └ port └ path "/v1"
//
// Strict: what cannot belong to a base URL (user names, a query, a fragment, white space, an empty
// host, port 0) is ERR_CONFIG, because a URL that is read differently from how it was meant sends
// somebody's key to somebody else's host.
#include "base/err.h"
#include "net/upstream.h"
#include <arpa/inet.h>

#define PORT_MAX 65535

static bool is_host_char(char c, bool bracketed)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.')
        return true;
    return bracketed ? c == ':' : c == '-' || c == '_';
}

static bool is_v6(struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_path(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\')
            return false;
    }
    return true;
}

// Takes the host off the front of *rest.
static int take_host(struct slice *rest, struct slice *ret_host)
{
    bool bracketed = rest->len > 0 && rest->ptr[0] == '[';
    size_t start = bracketed ? 1 : 0, i = start;
    while (i < rest->len && is_host_char(rest->ptr[i], bracketed))
        i++;
    if (i == start)
        return ERR_CONFIG;
    *ret_host = slice_of(rest->ptr + start, i - start);
    if (bracketed) {
        if (i == rest->len || rest->ptr[i] != ']' || !is_v6(*ret_host))
            return ERR_CONFIG;
        i++;
    }
    *rest = slice_skip(*rest, i);
    return 0;
}

// Takes ":port" off the front of *rest when it is there.
static int take_port(struct slice *rest, unsigned *port)
{
    uint64_t value = 0;
    size_t i = 1;
    if (rest->len == 0 || rest->ptr[0] != ':')
        return 0;
    while (i < rest->len && rest->ptr[i] != '/')
        i++;
    if (slice_to_u64(slice_of(rest->ptr + 1, i - 1), &value) != 0)
        return ERR_CONFIG;
    if (value == 0 || value > PORT_MAX)
        return ERR_CONFIG;
    *port = (unsigned)value;
    *rest = slice_skip(*rest, i);
    return 0;
}

int url_parse(struct slice text, struct url *ret)
{
    struct url url = {.port = 80};
    struct slice rest = text;
    if (slice_istarts(text, SLICE("https://"))) {
        url.tls = true;
        url.port = 443;
        rest = slice_skip(text, 8);
    } else if (slice_istarts(text, SLICE("http://"))) {
        rest = slice_skip(text, 7);
    } else {
        return ERR_CONFIG;
    }
    if (take_host(&rest, &url.host) != 0 || take_port(&rest, &url.port) != 0)
        return ERR_CONFIG;
    if (rest.len > 0 && rest.ptr[0] != '/')
        return ERR_CONFIG;
    if (!is_path(rest))
        return ERR_CONFIG;
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    url.path = rest;
    *ret = url;
    return 0;
}
