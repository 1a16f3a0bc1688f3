// SPDX-License-Identifier: Apache-2.0
//
// proxy_env.h: which proxy the environment names for an origin.
//
// Bifrost is a Go program, so its rules are Go's (golang.org/x/net/http/httpproxy), and what an
// operator has set up for it holds here: HTTP_PROXY for http, HTTPS_PROXY for https, the names in
// lower case where those in upper case are empty, nothing for localhost and loopback addresses, and
// NO_PROXY, a list by commas of
//
//     *                        everything
//     10.0.0.0/8  10.1.2.3     numeric hosts; the latter also with a port
//     example.com              that name and all below it; also with a port
//     .example.com *.example.com   all below it, not the name itself
//
// One addition: ALL_PROXY stands in where the scheme's own variable is empty. Names are not
// resolved to be compared with networks.
//
// Pure; the environment comes in as a function.
#ifndef RINGGATE_GATEWAY_PROXY_ENV_H
#define RINGGATE_GATEWAY_PROXY_ENV_H

#include "base/slice.h"

typedef const char *(*proxy_env_fn)(const char *name); // NULL: not set

struct proxy_env {
    struct slice proxy;   // empty: none
    const char *variable; // which named it
};

// For "https://host:port" or, not `tls`, http.
struct proxy_env proxy_env_find(proxy_env_fn environment, bool tls, struct slice host,
                                unsigned port);
// Does NO_PROXY's text, or the nature of the host, keep it from every proxy?
bool proxy_env_is_direct(struct slice no_proxy, struct slice host, unsigned port);

#endif
