// SPDX-License-Identifier: Apache-2.0
//
// host.c: names compared; addresses are names here, as browsers write them.
#include "gateway/host.h"

#include "base/container.h"
#include "gateway/config.h"
#include "net/http.h"
#include <arpa/inet.h>
#include <netinet/in.h>

bool host_is_loopback(struct slice host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr four;
    if (slice_ieq(host, SLICE("localhost")) || slice_eq(host, SLICE("::1")))
        return true;
    if (host.len == 0 || host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &four) == 1 && ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool matches(struct slice entry, struct slice host)
{
    if (!slice_starts(entry, SLICE("*.")))
        return slice_ieq(entry, host);
    struct slice below = slice_skip(entry, 1); // ".a.com"
    return host.len > below.len && slice_ieq(slice_skip(host, host.len - below.len), below);
}

bool host_is_served(const struct config *c, const struct http_head *request)
{
    static const struct slice ours[] = {{"localhost", 9}, {"127.0.0.1", 9}, {"[::1]", 5}};
    struct slice host;
    if (!c->check_host)
        return true;
    if (!http_head_host(request, &host))
        return request->minor == 0;
    if (host.len > 1 && host.ptr[host.len - 1] == '.') // the root, as DNS writes it
        host.len--;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        if (slice_ieq(host, ours[i]))
            return true;
    }
    for (unsigned i = 0; i < c->allowed_host_count; i++) {
        if (matches(c->allowed_hosts[i], host))
            return true;
    }
    return false;
}
