// SPDX-License-Identifier: Apache-2.0
//
// host.h: which names the gateway answers to.
//
// A gateway on loopback is open to every program of its machine, and the user's browser is one. A
// page from anywhere may have its own name resolve to 127.0.0.1 (DNS rebinding): to the browser the
// gateway is then that page's own origin, and no rule about origins helps. What such a request
// cannot have is the right Host. So on loopback only localhost, 127.0.0.1 and [::1] are served, on
// whatever port, and the names in server.allowed_hosts; a reverse proxy on the same machine that
// keeps the client's Host is to be named there. With a list they are checked wherever we listen.
//
// Another name is 421 (RFC 9110 15.5.20): asked for something this server does not answer for.
#ifndef RINGGATE_GATEWAY_HOST_H
#define RINGGATE_GATEWAY_HOST_H

#include "base/slice.h"
#include <stdbool.h>

struct config;
struct http_head;

// Does a listener on `host` (as -host has it) hear this machine only?
bool host_is_loopback(struct slice host);
// A request that names no host is: HTTP/1.0 allows it, and no browser does so.
bool host_is_served(const struct config *c, const struct http_head *request);

#endif
