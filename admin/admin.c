// SPDX-License-Identifier: Apache-2.0
//
// admin.c: small answers about the process itself (health, version, figures, robots) and their
// rows.
//
// Health answers for this: that a core can take a request from its socket to its answer, which
// answering shows, and that the store, if there is one, takes what must be kept. 503, so that a
// balancer looks away, while the process drains, and when the store writes nothing: its rings will
// be full, and then requests are refused. A full disk is no such thing, for usage has its reserve;
// neither is standing by during an upgrade, when another process drains the rings.
#include "admin/admin.h"
#include "admin/guard.h"
#include "admin/logs.h"
#include "admin/quota.h"

#include "base/container.h"
#include "base/err.h"
#include "gateway/error.h"
#include "gateway/exchange.h"
#include "store/store.h"

// Of /metrics that has not been sent: a part, and what no series says.
#define METRICS_PAGE_BYTES_MAX (4u * 1024 * 1024)
#define GET                    (1u << HTTP_GET)
#define POST                   (1u << HTTP_POST)

#define WITH_STORE(word)                                                                           \
    SLICE("{\"status\":\"ok\",\"components\":{\"gateway\":\"ok\",\"config_store\":\"" word         \
          "\",\"log_store\":\"" word "\"}}")

static void health_await(struct exchange *x, struct fiber *self)
{
    if (atomic_load_explicit(&x->core->gateway->draining, memory_order_relaxed)) {
        error_reply_await(x, self, ERR_OVERLOAD, SLICE("shutting down"), SLICE_EMPTY);
        return;
    }
    struct store *store = x->config->no_store_in_health ? NULL : x->core->gateway->store;
    struct slice body = SLICE("{\"status\":\"ok\",\"components\":{\"gateway\":\"ok\"}}");
    struct store_health health = {.state = STORE_READY, .writing = true};
    if (store) {
        store_health(store, &health);
        body = health.state == STORE_STANDBY ? WITH_STORE("standby") : WITH_STORE("ok");
    }
    if (health.state == STORE_FAILED || (health.state == STORE_READY && !health.writing))
        error_reply_await(x, self, ERR_OVERLOAD, SLICE("the log store cannot be written"),
                          SLICE_EMPTY);
    else
        json_answer_await(x, self, 200, body);
}

#define METRICS_TYPE SLICE("text/plain; version=0.0.4; charset=utf-8")

struct metrics_answer {
    struct metrics_taker taker;
    struct exchange *x;
};

// A page of thousands of series is megabytes: gathered whole, its memory and its send would each be
// a turn that is too long.
static int send_part_await(struct metrics_taker *taker, struct fiber *self, struct buf *page)
{
    struct metrics_answer *a = container_of(taker, struct metrics_answer, taker);
    int rc = part_answer_await(a->x, self, METRICS_TYPE, buf_slice(page), false);
    buf_reset(page);
    return rc;
}

static void metrics_await(struct exchange *x, struct fiber *self)
{
    struct metrics_answer a = {.taker.take_await = send_part_await, .x = x};
    struct buf page;
    buf_init(&page, METRICS_PAGE_BYTES_MAX);
    int rc = metrics_scrape_await(x->core->gateway, x->core, self, &a.taker, &page);
    if (rc == 0 && x->stream->answered)
        (void)part_answer_await(x, self, METRICS_TYPE, buf_slice(&page), true);
    else if (rc == 0)
        typed_answer_await(x, self, 200, METRICS_TYPE, buf_slice(&page));
    else if (!x->stream->gone && !x->stream->answered)
        error_reply_await(x, self, rc, SLICE_EMPTY, SLICE_EMPTY);
    buf_done(&page);
}

static void version_await(struct exchange *x, struct fiber *self)
{
    struct slice body = arena_printf(&x->stream->arena, "\"%s\"", x->core->gateway->version);
    if (body.ptr != NULL)
        json_answer_await(x, self, 200, body);
    else
        error_reply_await(x, self, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
}

// Answers when the fetch has ended.
static void force_sync_await(struct exchange *x, struct fiber *self)
{
    char reason[PRICING_REASON_BYTES] = "";
    if (!admin_open(x)) {
        guard_refuse_await(x, self);
        return;
    }
    if (x->config->pricing.url.len == 0) {
        error_reply_await(x, self, ERR_OVERLOAD, SLICE("framework.pricing.pricing_url is not set"),
                          SLICE_EMPTY);
        return;
    }
    int rc = pricing_sync_await(&x->core->gateway->prices, x->core, self, reason);
    struct slice text = rc == 0 ? SLICE_EMPTY
                                : arena_printf(&x->stream->arena, "pricing sync failed: %s",
                                               reason[0] != '\0' ? reason : err_text(rc));
    if (x->stream->gone)
        return;
    if (rc == 0)
        json_answer_await(x, self, 200,
                          SLICE("{\"status\":\"success\",\"message\":\"pricing sync completed\"}"));
    else
        error_reply_await(x, self, rc == ERR_OVERLOAD ? rc : ERR_SYSTEM, text, SLICE_EMPTY);
}

static void robots_await(struct exchange *x, struct fiber *self)
{
    typed_answer_await(x, self, 200, SLICE("text/plain; charset=utf-8"),
                       SLICE("User-agent: *\nAllow: /\n"));
}

const struct route admin_routes[] = {
    {.path = "/health", .methods = GET, .serve_await = health_await},
    {.path = "/metrics", .methods = GET, .serve_await = metrics_await},
    {.path = "/api/version", .methods = GET, .serve_await = version_await},
    {.path = "/api/governance/virtual-keys/quota", .methods = GET, .serve_await = quota_await},
    {.path = "/api/pricing/force-sync", .methods = POST, .serve_await = force_sync_await},
    {.path = "/api/logs", .methods = GET, .serve_await = logs_search_await},
    {.path = "/api/logs/{id}", .methods = GET, .serve_await = logs_entry_await},
    {.path = "/robots.txt", .methods = GET, .serve_await = robots_await},
};
const unsigned admin_route_count = ARRAY_LEN(admin_routes);
