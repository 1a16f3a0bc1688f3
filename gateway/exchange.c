// SPDX-License-Identifier: Apache-2.0
//
// exchange.c: the fiber of a request and the road of an inference through its targets.
//
// gateway.c decides which route serves; serve_inference_await below is what most of them name.

#include "gateway/exchange.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "gateway/attempt.h"
#include "gateway/error.h"
#include "gateway/headers.h"
#include "gateway/identify.h"
#include "gateway/target.h"
#include "gateway/translate.h"
#include "gateway/weigh.h"

// ---- The fiber -------------------------------------------------------------------------------

// The client has left: what it got was nothing, or not all.
static void settle_gone(struct exchange *x)
{
    x->broken = x->state == EXCHANGE_COMMITTED;
    if (x->failure.message.len == 0)
        failure_of(&x->failure, ERR_CLIENT_GONE, SLICE_EMPTY, SLICE_EMPTY);
    x->status = (unsigned)err_http_status(ERR_CLIENT_GONE);
    exchange_settle(x);
}

void exchange_fiber(struct fiber *self, void *stream)
{
    struct http_stream *s = stream;
    struct gateway_core *core = gateway_core_of(s);
    struct exchange *x = arena_zalloc(&s->arena, sizeof(*x));

    if (!x)
        goto out; // an answer needs memory too: the connection ends unanswered
    x->stream = s;
    x->core = core;
    x->config = core->config;
    x->state = EXCHANGE_READING;
    x->started = s->started;
    x->failure.retry_after_ms = -1;
    x->request_id = gateway_request_id(s);
    x->from = forwarded_read(&x->config->forwarded, &s->request, slice_str(s->peer), &s->arena);

    unsigned index = core->index;
    struct config *config = x->config;
    config_exchange_begin(config, index);
    gateway_serve_await(x, self);
    if (x->state != EXCHANGE_SETTLED)
        settle_gone(x);
    gateway_access_log(x);
    translate_drop(x);
    config_exchange_end(config, index);
out:
    http_end(s);
}

// ---- Inference -------------------------------------------------------------------------------

static struct failure *failure_format(struct exchange *x, int err, struct slice text,
                                      struct slice param)
{
    // Without memory for the sentence the list's own must do.
    failure_of(&x->failure, err, text.ptr ? text : SLICE_EMPTY, param);
    return &x->failure;
}

// What the client is told about a model string that leads nowhere.
static void explain_target(struct exchange *x, enum target_result result, struct slice provider)
{
    struct arena *a = &x->stream->arena;
    struct slice model = slice_take(x->model_requested, 256);
    struct slice text = SLICE_EMPTY;

    switch (result) {
    case TARGET_OK:
        ASSERT(result != TARGET_OK);
        break;
    case TARGET_EMPTY:
        text = SLICE("could not auto resolve a model: `model` is empty");
        break;
    case TARGET_UNCONFIGURED:
        text = arena_printf(a, "provider \"%.*s\" is not configured (model \"%.*s\")",
                            SLICE_ARG(provider), SLICE_ARG(model));
        break;
    case TARGET_UNRESOLVED:
        text = arena_printf(a,
                            "could not auto resolve a provider for the request: no configured "
                            "provider lists model \"%.*s\"; use provider/model",
                            SLICE_ARG(model));
        break;
    }
    failure_format(x, ERR_BAD_TYPE, text, SLICE("model"));
}

// `element` is one entry of `fallbacks`, checked when the body was read.
static struct slice fallback_model(struct exchange *x, enum json_type type, struct slice element)
{
    struct arena *a = &x->stream->arena;
    struct json_member provider = {0};
    struct slice text[2] = {SLICE_EMPTY, SLICE_EMPTY};
    struct slice value = element;

    if (type == JSON_OBJECT) {
        provider = json_object_get(element, SLICE("provider"));
        value = json_object_get(element, SLICE("model")).value;
        char *out = arena_bytes(a, provider.value.len);
        if (!out || json_unescape(provider.value, out, &text[0]) != 0)
            return SLICE_EMPTY;
    }
    char *out = arena_bytes(a, value.len);
    if (!out || json_unescape(value, out, &text[1]) != 0)
        return SLICE_EMPTY;
    if (type == JSON_STRING)
        return arena_copy(a, text[1]); // outlives the body
    return arena_printf(a, "%.*s/%.*s", SLICE_ARG(text[0]), SLICE_ARG(text[1]));
}

// A fallback nobody here can serve is skipped.
static void add_fallbacks(struct exchange *x)
{
    const struct json_member *m = &x->scan->member[DIALECT_FALLBACKS];
    enum json_type type;
    struct slice element, ignored;
    size_t at = 0;

    while (m->type == JSON_ARRAY && x->target_count < 1 + FALLBACKS_MAX &&
           json_array_next(m->value, &at, &type, &element)) {
        struct slice model = fallback_model(x, type, element);
        if (target_resolve(x->config, x->route->mount, model, &x->target[x->target_count],
                           &ignored) == TARGET_OK)
            x->target_count++;
    }
}

static int route(struct exchange *x)
{
    struct slice provider;
    bool own = x->scan->member[DIALECT_FALLBACKS].type != JSON_ARRAY;
    x->target_count = weigh_targets(x, own);
    if (x->target_count == 0) {
        enum target_result result = target_resolve(x->config, x->route->mount, x->model_requested,
                                                   &x->target[0], &provider);
        if (result != TARGET_OK) {
            explain_target(x, result, provider);
            return ERR_NOT_FOUND;
        }
        x->target_count = 1;
    }
    x->model_sent = x->target[0].model;
    add_fallbacks(x);
    exchange_set_state(x, EXCHANGE_ROUTED);
    return 0;
}

// Each target in turn; the first failure is the one the client hears of.
static enum outcome try_targets_await(struct exchange *x, struct fiber *self)
{
    for (unsigned i = 0; i < x->target_count; i++) {
        struct failure failure = {.retry_after_ms = -1};
        x->target_index = i;
        enum outcome outcome = target_try_await(x, self, &failure);
        if (outcome != OUTCOME_FAILED)
            return outcome;
        if (i == 0)
            x->failure = failure;
    }
    x->target_index = 0;
    return OUTCOME_FAILED;
}

// Codex asks for a WebSocket first and falls back at once on 426, slowly on anything else.
static void refuse_upgrade_await(struct exchange *x, struct fiber *self)
{
    failure_of(&x->failure, ERR_BAD_METHOD,
               SLICE("WebSocket is not served on this path: send the request by POST"),
               SLICE_EMPTY);
    x->failure.status = http_head_get(&x->stream->request, HTTP_N_UPGRADE) ? 426 : 405;
    error_answer_await(x, self, &x->failure);
}

void serve_probe_await(struct exchange *x, struct fiber *self)
{
    typed_answer_await(x, self, 200, SLICE("text/plain; charset=utf-8"), SLICE_EMPTY);
}

void serve_inference_await(struct exchange *x, struct fiber *self)
{
    struct slice missing = headers_missing(x->config, &x->stream->request);

    if (x->stream->request.method != HTTP_POST) {
        refuse_upgrade_await(x, self);
        return;
    }
    if (missing.len > 0) {
        headers_refuse_await(x, self, missing);
        return;
    }
    if (identify(x, &x->failure) != 0) {
        error_answer_await(x, self, &x->failure);
        return;
    }
    int rc = exchange_read_await(x, self, &x->failure);
    if (rc == 0)
        rc = route(x);
    if (rc != 0) {
        if (rc != ERR_CLIENT_GONE && rc != ERR_CANCELLED && !x->stream->gone)
            error_answer_await(x, self, &x->failure);
        return;
    }
    if (try_targets_await(x, self) == OUTCOME_FAILED)
        error_answer_await(x, self, &x->failure);
}
