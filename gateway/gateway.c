// SPDX-License-Identifier: Apache-2.0
//
// gateway.c: from a request's head to whoever serves it.
//
// on_request runs on the loop and does the least: one fiber for the exchange, or a static 503 when
// none can be had. Everything else happens on that fiber, because every answer, a 404 included, may
// have to wait for a slow client.
//
//   on_request ─► fiber ─► exchange_fiber ─► gateway_serve_await ─┬─ OPTIONS   200 or 403
//                  │                                              ├─ host      421
//                  │                                              ├─ no route  404
//                  └ counted for hand-over                        ├─ method    405 + Allow
//                                                                 └─ route->serve_await
#include "gateway/gateway.h"

#include "base/assert.h"
#include "base/err.h"
#include "gateway/error.h"
#include "gateway/exchange.h"
#include "gateway/host.h"

// A client's request id beyond this is replaced: it is stored and logged.
#define REQUEST_ID_BYTES_MAX 128
#define UUID_BYTES           36
// Bytes of a path that is unknown, quoted back in the message.
#define PATH_QUOTED_MAX 512

// ---- Requests come in ------------------------------------------------------------------------

static void serve_fiber(struct fiber *self, void *arg)
{
    struct http_stream *s = arg;
    struct net_core *core = s->core; // the stream is gone when the exchange returns
    net_load_begin(core);
    exchange_fiber(self, s);
    net_load_end(core);
}

void gateway_on_request(struct net_server *server, struct http_stream *s)
{
    ASSERT(server == s->core->server && s->fiber == NULL);
    struct fiber *fiber = NULL;
    int rc = fiber_spawn(s->core->fibers, serve_fiber, s, &fiber);
    if (rc < 0) {
        counter_add(&s->core->stats.shed[NET_SHED_REQUESTS], 1);
        http_refuse(s, ERR_OVERLOAD);
        return;
    }
    s->fiber = fiber;
}

#define REFUSAL(bifrost, status, text)                                                             \
    "{\"is_bifrost_error\":" bifrost ",\"status_code\":" #status ",\"error\":{\"message\":\"" text \
    "\"},\"extra_fields\":{}}"

struct slice gateway_refusal(struct net_server *server, int err)
{
    static const char *const bodies[ERR_COUNT] = {
#define X(name, text, status, retry)                                                               \
    [ERR__INDEX_##name] =                                                                          \
        (status) >= 500 ? REFUSAL("true", status, text) : REFUSAL("false", status, text),
        ERR_MAP(X)
#undef X
    };
    (void)server;
    ASSERT(err < 0 && -err < ERR_COUNT && bodies[-err] != NULL);
    return slice_str(bodies[-err]);
}

// ---- Identifiers -----------------------------------------------------------------------------

static bool take_random(struct gateway_core *core, unsigned char out[16])
{
    if (core->random_left < 16) {
        if (random_bytes(core->random, sizeof(core->random)) < 0)
            return false;
        core->random_left = sizeof(core->random);
    }
    core->random_left -= 16;
    memcpy(out, &core->random[core->random_left], 16);
    return true;
}

// RFC 9562 §5.4.
static void format_uuid(unsigned char bytes[16], char out[UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    for (unsigned i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        out[at++] = digits[bytes[i] >> 4];
        out[at++] = digits[bytes[i] & 15];
    }
}

static bool usable_id(struct slice id)
{
    if (id.len == 0 || id.len > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] <= ' ' || id.ptr[i] > '~')
            return false;
    }
    return true;
}

struct slice gateway_request_id(struct http_stream *s)
{
    const struct http_field *given = http_head_get(&s->request, HTTP_N_X_REQUEST_ID);
    if (given != NULL && usable_id(given->value))
        return given->value;
    unsigned char bytes[16];
    char *out = arena_bytes(&s->arena, UUID_BYTES);
    if (out == NULL || !take_random(gateway_core_of(s), bytes))
        return SLICE_EMPTY;
    format_uuid(bytes, out);
    return slice_of(out, UUID_BYTES);
}

// ---- Serving ---------------------------------------------------------------------------------

static unsigned methods_of(const struct route *route)
{
    unsigned methods = route->methods | 1u << HTTP_OPTIONS;
    // RFC 9110 §9.3.2: what can be got can be asked for its head.
    if ((methods & 1u << HTTP_GET) != 0)
        methods |= 1u << HTTP_HEAD;
    return methods;
}

static struct slice method_list(struct arena *arena, unsigned methods)
{
    struct slice list = SLICE("");
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
        if ((methods & 1u << m) == 0)
            continue;
        struct slice name = http_method_name((enum http_method)m);
        list = arena_printf(arena, "%.*s%s%.*s", SLICE_ARG(list), list.len > 0 ? ", " : "",
                            SLICE_ARG(name));
        if (list.ptr == NULL)
            return SLICE_EMPTY;
    }
    return list;
}

static void preflight_await(struct exchange *x, struct fiber *self)
{
    const struct http_field *origin = http_head_get(&x->stream->request, HTTP_N_ORIGIN);
    bool by_star;
    // Without an origin it is no page's question, and there is nothing to refuse.
    if (origin == NULL || gateway_origin_allowed(x->config, origin->value, &by_star)) {
        typed_answer_await(x, self, 200, SLICE("text/plain; charset=utf-8"), SLICE_EMPTY);
        return;
    }
    struct failure f;
    failure_of(&f, ERR_BAD_HEADER, SLICE("origin not allowed"), SLICE_EMPTY);
    f.status = 403;
    f.type = SLICE("permission_error");
    error_answer_await(x, self, &f);
}

static void unknown_route_await(struct exchange *x, struct fiber *self)
{
    struct slice path = slice_take(x->stream->request.path, PATH_QUOTED_MAX);
    struct slice text = arena_printf(&x->stream->arena, "Route not found: %.*s", SLICE_ARG(path));
    error_reply_await(x, self, ERR_NOT_FOUND, text, SLICE_EMPTY);
}

static void wrong_method_await(struct exchange *x, struct fiber *self)
{
    struct slice list = method_list(&x->stream->arena, methods_of(x->route));
    struct http_field allow = {.id = HTTP_N_OTHER, .name = SLICE("allow"), .value = list};
    struct failure f;
    failure_of(&f, ERR_BAD_METHOD, SLICE_EMPTY, SLICE_EMPTY);
    error_answer_with_await(x, self, &f, &allow, 1);
}

// No word of the host it named: a page that rebinds names learns nothing here.
static void foreign_host_await(struct exchange *x, struct fiber *self)
{
    error_reply_await(x, self, ERR_FOREIGN_HOST,
                      SLICE("this host is not served here: see server.allowed_hosts"), SLICE_EMPTY);
}

void gateway_serve_await(struct exchange *x, struct fiber *self)
{
    ASSERT(x->state == EXCHANGE_READING && x->config != NULL);
    const struct http_head *head = &x->stream->request;
    x->route = route_find(&x->core->gateway->routes, head->path, &x->route_part);
    if (!host_is_served(x->config, head))
        foreign_host_await(x, self);
    else if (head->method == HTTP_OPTIONS)
        preflight_await(x, self);
    else if (x->route == NULL)
        unknown_route_await(x, self);
    else if ((methods_of(x->route) & 1u << head->method) == 0)
        wrong_method_await(x, self);
    else
        x->route->serve_await(x, self);
    // An answer that was begun and could not be written, for want of memory, is not tried again:
    // the connection ends without one.
    bool begun = x->state >= EXCHANGE_COMMITTED;
    if (!x->stream->answered && !x->stream->gone && !begun)
        error_reply_await(x, self, ERR_SYSTEM, SLICE("the request was not served"), SLICE_EMPTY);
}

// ---- The access log --------------------------------------------------------------------------

static enum log_level level_of(unsigned status)
{
    if (status >= 500)
        return LOG_ERROR;
    return status >= 400 ? LOG_WARN : LOG_INFO;
}

// What a failed inference request adds to its line; a 404 or a refused preflight adds nothing.
static unsigned failure_fields(const struct exchange *x, struct log_field *field)
{
    bool failed = x->broken || x->status >= 400;
    if (!failed || x->route == NULL || x->route->mount == MOUNT_NONE)
        return 0;
    const struct failure *f = &x->failure;
    unsigned n = 0;
    if (x->target_count > 0)
        field[n++] = LOG_S("provider", x->target[x->target_index].provider->name);
    field[n++] = LOG_S("model", x->model_requested);
    field[n++] = LOG_N("retries", x->retries);
    field[n++] = LOG_S("cause", slice_str(err_name(f->err)));
    field[n++] = LOG_S("error", f->message.len > 0 ? f->message : slice_str(err_text(f->err)));
    return n;
}

// A request is one line, a failed one too: after its retries and fallbacks.
void gateway_access_log(const struct exchange *x)
{
    const struct http_head *head = &x->stream->request;
    struct gateway_core *core = x->core;
    enum log_level level = x->broken ? LOG_ERROR : level_of(x->status);
    if (level < core->log.level || slice_starts(head->path, SLICE("/health")))
        return;
    const struct http_field *agent = http_head_get(head, HTTP_N_USER_AGENT);
    struct mono now = ring_now_fresh(core->net.ring);
    struct log_field field[12] = {
        LOG_S("method", http_method_name(head->method)),
        LOG_S("path", head->path),
        LOG_N("status", x->status),
        LOG_N("duration_ms", mono_diff_ns(now, x->started) / NS_PER_MS),
        LOG_S("remote_addr", x->from.client),
        LOG_S("user_agent", agent != NULL ? agent->value : SLICE_EMPTY),
        LOG_S("request_id", x->request_id),
    };
    unsigned n = 7 + failure_fields(x, field + 7);
    ASSERT(n <= ARRAY_LEN(field));
    log_line(&core->log, ring_wall(core->net.ring), level,
             n > 7 ? SLICE("request failed") : SLICE("request"), field, n);
}
