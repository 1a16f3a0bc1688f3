// SPDX-License-Identifier: Apache-2.0
//
// route.h: which path is served by what, a row each.
//
// The rows of the gateway stand in route.c, those of the management API in admin; main puts them
// together. A path is matched exactly after a trailing slash is dropped; `methods` is a bit set. A
// known path with another method is 405 with Allow, an unknown path 404 "Route not found: <path>".
#ifndef RINGGATE_GATEWAY_ROUTE_H
#define RINGGATE_GATEWAY_ROUTE_H

#include "base/map.h"
#include "net/http.h"
#include "providers/provider.h"

struct exchange;
struct fiber;

// How a mount speaks: what its bare models mean and how its errors and answers are dressed.
enum mount {
    MOUNT_NONE,    // not an inference route
    MOUNT_UNIFIED, // /v1: extra_fields in answers, usage always, error chunks then [DONE]
    MOUNT_OPENAI,  // /openai: bytes untouched, errors OpenAI-shaped, bare model = openai
};

struct route {
    const char *path; // also the `path` label of the HTTP metrics
    unsigned methods; // 1u << enum http_method
    enum mount mount;
    enum operation operation;
    // Answers the request; the exchange's fiber runs it. Everything it leaves unanswered at its
    // return gets 500.
    void (*serve_await)(struct exchange *x, struct fiber *self);
};

struct route_table {
    struct map by_path;
};

int route_table_init(struct route_table *t, const uint64_t seed[2]);
void route_table_done(struct route_table *t);
int route_table_add(struct route_table *t, const struct route *rows, unsigned count); // borrows
// NULL: no such path.
const struct route *route_find(const struct route_table *t, struct slice path);

// The gateway's own rows (inference).
extern const struct route gateway_routes[];
extern const unsigned gateway_route_count;

#endif
