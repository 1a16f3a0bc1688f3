// SPDX-License-Identifier: Apache-2.0
//
// route.h: which path is served by what, a row each.
//
// The rows of the gateway stand in route.c, those of the management API in admin; main puts them
// together. A path is matched exactly after a trailing slash is dropped; `methods` is a bit set. A
// known path with another method is 405 with Allow, an unknown path 404 "Route not found: <path>".
//
// A row whose path holds `{id}` matches any one or more segments there:
//
//     /openai/openai/deployments/{id}/chat/completions
//     /openai/openai/deployments/groq/llama-3/chat/completions     the part is groq/llama-3
//
// Such rows are tried when no exact one matches, in their order.
#ifndef RINGGATE_GATEWAY_ROUTE_H
#define RINGGATE_GATEWAY_ROUTE_H

#include "base/arena.h"
#include "base/map.h"
#include "gateway/mount.h"
#include "net/http.h"
#include "providers/provider.h"

struct exchange;
struct fiber;

// Rows with `{id}`; stops a growing list from being searched for every unknown path.
#define ROUTE_PATTERNS_MAX 32

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
    const struct route *pattern[ROUTE_PATTERNS_MAX];
    unsigned patterns;
};

int route_table_init(struct route_table *t, const uint64_t seed[2]);
void route_table_done(struct route_table *t);
int route_table_add(struct route_table *t, const struct route *rows, unsigned count); // borrows
// The traits of a route's mount; of no route's: those of MOUNT_NONE.
static inline const struct mount_traits *route_mount(const struct route *route)
{
    return &mount_traits[route ? route->mount : MOUNT_NONE];
}

// NULL: no such path. *ret_part is what stands in the path for `{id}`, as written; else empty.
const struct route *route_find(const struct route_table *t, struct slice path,
                               struct slice *ret_part);

// A part of a path or query with its %xx decoded, in the arena; ptr NULL without memory. What is no
// such escape stays as it is.
struct slice route_decode(struct arena *arena, struct slice text);

// The gateway's own rows (inference).
extern const struct route gateway_routes[];
extern const unsigned gateway_route_count;

#endif
