// SPDX-License-Identifier: Apache-2.0
//
// attempt.c: the loop over keys and attempts of one target; exchange.c calls it for each target.
//
// The pure parts (verdict, back-off, Retry-After) come first and are tested alone. An attempt owns
// a slot of its provider from limiter_enter_await to limiter_leave and nothing else outlives it.

#include "gateway/attempt.h"
#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "gateway/admission.h"
#include "gateway/credential.h"
#include "gateway/decode.h"
#include "gateway/error.h"
#include "gateway/limiter.h"
#include "gateway/plan.h"
#include "gateway/raw.h"
#include "gateway/relay.h"
#include "gateway/request.h"
#include "gateway/session.h"
#include "gateway/target.h"
#include "gateway/translate.h"

// ---- Verdict and waiting: pure ---------------------------------------------------------------

static bool says_slow_down(const struct failure *f)
{
    return provider_is_rate_limit(f->message) || provider_is_rate_limit(f->type) ||
           provider_is_rate_limit(f->code);
}

enum verdict attempt_verdict(const struct failure *f)
{
    if (f->err != 0)
        return err_retryable(f->err) ? VERDICT_SAME_KEY : VERDICT_GIVE_UP;
    if (f->status == 429 || says_slow_down(f))
        return VERDICT_NEXT_KEY;
    switch (f->status) {
    case 500:
    case 502:
    case 503:
    case 504:
        return VERDICT_SAME_KEY;
    default:
        return VERDICT_GIVE_UP;
    }
}

int64_t attempt_backoff_ms(unsigned initial_ms, unsigned max_ms, unsigned n, double unit)
{
    ASSERT(unit >= 0 && unit < 1);
    double wait = (double)initial_ms;

    for (unsigned i = 0; i < n && wait < max_ms; i++)
        wait *= 2;
    if (wait > max_ms)
        wait = max_ms;
    wait *= 0.8 + 0.4 * unit;
    return wait > max_ms ? (int64_t)max_ms : (int64_t)wait;
}

static bool is_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return s.len > 0;
}

int64_t attempt_retry_after_ms(struct slice value, struct wall now)
{
    uint64_t seconds;
    struct wall date;

    if (value.len == 0)
        return -1;
    if (is_digits(value)) {
        if (slice_to_u64(value, &seconds) != 0)
            seconds = UINT64_MAX; // too many digits: a long time, not no time
        return seconds < INT32_MAX ? (int64_t)seconds * 1000 : (int64_t)INT32_MAX * 1000;
    }
    if (civil_parse_http(value, &date) != 0)
        return -1;
    int64_t ms = date.ns / NS_PER_MS - now.ns / NS_PER_MS;
    return ms > 0 ? ms : 0;
}

// ---- What went wrong -------------------------------------------------------------------------

static enum outcome fail(struct exchange *x, struct failure *ret, int err, struct slice text)
{
    if (relay_client_left(x, err))
        return OUTCOME_GONE;
    failure_of(ret, err, text, SLICE_EMPTY);
    return OUTCOME_FAILED;
}

// The provider's answer with an error status. Its head outlives the connection in the arena.
static enum outcome refused_await(struct exchange *x, struct fiber *self, struct upstream *u,
                                  int64_t *budget_ns, struct failure *ret)
{
    struct arena *arena = &x->stream->arena;
    struct gathered g = {0};
    struct http_head *head = arena_alloc(arena, sizeof(*head));

    // A body that breaks off still leaves the status and what came of it.
    int rc = gathered_fill_await(x, self, x->answer, budget_ns, ERROR_BODY_BYTES_MAX, &g);
    if (relay_client_left(x, rc))
        return OUTCOME_GONE;
    if (u->head.status < 400) {
        failure_of(ret, ERR_UPSTREAM_PROTOCOL,
                   arena_printf(arena, "provider answered with status %u", u->head.status),
                   SLICE_EMPTY);
        return OUTCOME_FAILED;
    }
    if (head)
        *head = u->head;
    failure_of_answer(ret, arena, u->head.status, slice_of(g.ptr, rc == 0 ? g.len : 0), head);
    ret->foreign = x->translated != NULL;
    const struct http_field *after = http_head_get(&u->head, HTTP_N_RETRY_AFTER);
    if (after && ret->retry_after_ms < 0) // the finer one of the two counts
        ret->retry_after_ms = attempt_retry_after_ms(after->value, ring_wall(x->core->net.ring));
    return OUTCOME_FAILED;
}

// ---- One attempt -----------------------------------------------------------------------------

// The slot is held.
static enum outcome call_await(struct exchange *x, struct fiber *self, const struct request *r,
                               struct failure *ret)
{
    const struct config_provider *provider = x->target[x->target_index].provider;
    struct net_core *net = &x->core->net;
    struct upstream_call call = {
        .origin = r->origin,
        .method = HTTP_POST,
        .iov = r->iov,
        .iov_count = r->iov_count,
        .arena = &x->stream->arena,
    };
    struct upstream *u = NULL;
    struct decoder *decoder = NULL;
    int64_t budget_ns = (int64_t)provider->request_timeout_ms * NS_PER_MS;
    enum outcome outcome;

    x->upstream_started = ring_now(net->ring);
    x->sent = true;
    fiber_set_deadline(self, (struct mono){.ns = x->upstream_started.ns + budget_ns});
    int rc = upstream_call_await(net, self, &call, &u);
    fiber_set_deadline(self, MONO_NEVER);
    if (rc) {
        enum outcome left =
            fail(x, ret, rc == ERR_DEADLINE ? ERR_UPSTREAM_TIMEOUT : rc, SLICE_EMPTY);
        x->sent = left == OUTCOME_GONE;
        return left;
    }
    budget_ns -= mono_diff_ns(ring_now(net->ring), x->upstream_started);
    if (budget_ns < 1)
        budget_ns = 1;
    rc = decoder_new(&x->stream->arena, self, u, &decoder);
    x->decoder = decoder;
    x->answer = decoder ? decoder_body(decoder) : &u->body;
    if (rc)
        outcome = fail(x, ret, rc, SLICE_EMPTY);
    else if (u->head.status < 200 || u->head.status > 299)
        outcome = refused_await(x, self, u, &budget_ns, ret);
    else if (x->stream_wanted && relay_is_events(u) && !relay_is_coded(u))
        outcome = relay_stream_await(x, self, u, &budget_ns, ret);
    else
        outcome = relay_answer_await(x, self, u, &budget_ns, ret);
    decoder_free(decoder);
    x->decoder = NULL;
    x->answer = NULL;
    upstream_end(net, u);
    x->sent = x->sent && outcome != OUTCOME_FAILED;
    return outcome;
}

// With x->key: a request, a slot, a call.
static enum outcome attempt_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    const struct target *t = &x->target[x->target_index];
    struct request *r = arena_alloc(&x->stream->early, sizeof(*r));

    int rc = credential_take_await(x, self, t->provider, x->key, ret);
    if (rc == 0 && x->translated)
        rc = translate_write_await(x, self, t, ret);
    if (rc)
        return relay_client_left(x, rc) ? OUTCOME_GONE : OUTCOME_FAILED;
    rc = r ? request_build(x, t, r) : ERR_NOMEM;
    if (rc == 0 && x->raw)
        rc = raw_keep_request(x, r);
    if (rc)
        return fail(x, ret, rc, SLICE_EMPTY);
    rc = limiter_enter_await(t->provider->limiter, self, x->config->drop_excess_requests);
    if (rc)
        return fail(x, ret, rc, SLICE_EMPTY);
    enum outcome outcome = call_await(x, self, r, ret);
    limiter_leave(t->provider->limiter, self);
    if (outcome == OUTCOME_FAILED && ret->status == 401)
        credential_forget(x->core, x->key);
    return outcome;
}

// ---- Keys ------------------------------------------------------------------------------------

// The client's choice of a key; it holds for the primary only.
static struct key_pin pin_of(const struct exchange *x)
{
    const struct http_head *request = &x->stream->request;
    const struct http_field *id = http_head_get(request, HTTP_N_X_BF_API_KEY_ID);
    const struct http_field *name = http_head_get(request, HTTP_N_X_BF_API_KEY);
    const struct governance_grant *grant =
        x->virtual_key ? governance_grant(x->virtual_key, x->target[x->target_index].provider)
                       : NULL;
    struct key_pin pin = {.lent = grant ? grant->keys : NULL};

    if (x->target_index > 0)
        return pin;
    if (id)
        pin.id = id->value;
    if (name)
        pin.name = name->value;
    return pin;
}

static int choose_key(struct exchange *x, uint64_t *used, struct failure *ret)
{
    const struct target *t = &x->target[x->target_index];
    struct arena *a = &x->stream->arena;
    struct key_pin pin = pin_of(x);
    struct slice asked = pin.id.len > 0 ? pin.id : pin.name;
    struct slice text;

    if (credential_is_callers(x, t->provider)) {
        x->key = NULL;
        x->model_sent = t->model;
        return 0;
    }
    switch (session_key_choose(x, t, &pin, used)) {
    case KEY_FOUND:
    case KEY_NOT_NEEDED:
        return 0;
    case KEY_PIN_UNKNOWN:
        text = arena_printf(a, "no key found with %s \"%.*s\" for provider: %.*s",
                            pin.id.len > 0 ? "id" : "name", SLICE_ARG(asked),
                            SLICE_ARG(t->provider->name));
        break;
    case KEY_NONE:
    default:
        text = arena_printf(a, "no keys found that support model: %.*s",
                            SLICE_ARG(slice_take(t->model, 256)));
        break;
    }
    failure_of(ret, ERR_BAD_TYPE, text.ptr ? text : SLICE_EMPTY, SLICE("model"));
    return ERR_NOT_FOUND;
}

// ---- A target --------------------------------------------------------------------------------

// Refusals that need no provider: the operation, the second look at the body.
static int prepare_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    const struct target *t = &x->target[x->target_index];
    struct arena *a = &x->stream->arena;

    if (plan_target(x, t) != 0) {
        struct slice name = operation_name(x->route->operation, x->stream_wanted);
        struct slice text = arena_printf(a, "%.*s is not supported by %.*s provider",
                                         SLICE_ARG(name), SLICE_ARG(t->provider->name));
        failure_of(ret, ERR_BAD_TYPE, text, SLICE_EMPTY);
        ret->type = SLICE("unsupported_operation");
        return ERR_UNSUPPORTED;
    }
    x->translated = NULL;
    if (x->dialect != x->upstream_dialect)
        return translate_begin_await(x, self, ret);
    int rc = request_scan_await(x, self, t);
    if (rc == ERR_DUPLICATE) {
        struct slice name = x->edit_scan->names[x->edit_scan->error_name];
        failure_of(
            ret, rc,
            arena_printf(a, "invalid request: `%.*s` occurs more than once", SLICE_ARG(name)),
            name);
    } else if (rc) {
        failure_of(ret, rc, SLICE_EMPTY, SLICE_EMPTY);
    }
    return rc;
}

// Before attempt n + 1. False: the provider asks for more time than a request has.
static bool wait_ms(struct exchange *x, const struct failure *f, int64_t *ret_ms)
{
    const struct config_provider *p = x->target[x->target_index].provider;
    int64_t ms = attempt_backoff_ms(p->backoff_initial_ms, p->backoff_max_ms, x->attempt,
                                    prng_unit(&x->core->net.prng));
    if (f->retry_after_ms > p->request_timeout_ms)
        return false;
    *ret_ms = f->retry_after_ms > ms ? f->retry_after_ms : ms;
    return true;
}

static enum outcome retry_loop_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    const struct config_provider *provider = x->target[x->target_index].provider;
    uint64_t used = 0;
    int64_t ms;

    if (choose_key(x, &used, ret) != 0)
        return OUTCOME_FAILED;
    for (x->attempt = 0;; x->attempt++) {
        exchange_set_state(x, EXCHANGE_TRYING);
        ret->retry_after_ms = -1;
        enum outcome outcome = attempt_await(x, self, ret);
        if (outcome != OUTCOME_FAILED)
            return outcome;
        enum verdict verdict = attempt_verdict(ret);
        if (verdict == VERDICT_GIVE_UP || x->attempt >= provider->max_retries ||
            !wait_ms(x, ret, &ms))
            return OUTCOME_FAILED;
        struct mono now = ring_now(x->core->net.ring);
        int rc = fiber_sleep_await(self, mono_add_ms(now, ms));
        if (rc)
            return fail(x, ret, rc, SLICE_EMPTY);
        x->retries++;
        if (verdict == VERDICT_NEXT_KEY && choose_key(x, &used, ret) != 0)
            return OUTCOME_FAILED;
    }
}

enum outcome target_try_await(struct exchange *x, struct fiber *self, struct failure *ret)
{
    x->key = NULL;
    x->model_sent = x->target[x->target_index].model;
    x->upstream_started = ring_now(x->core->net.ring);
    raw_decide(x);

    x->sent = false;
    x->attempt = 0;
    int rc = admission_allow(x, &x->target[x->target_index], ret);
    if (rc == 0)
        rc = prepare_await(x, self, ret);
    if (rc && relay_client_left(x, rc))
        return OUTCOME_GONE;
    if (rc == 0)
        rc = admission_take(x, ret);
    if (rc) {
        record_refuse(x, ret);
        return OUTCOME_FAILED;
    }
    if (record_open(x) != 0) {
        admission_release(x);
        failure_of(ret, ERR_OVERLOAD, SLICE("what the request costs could not be recorded"),
                   SLICE_EMPTY);
        return OUTCOME_FAILED;
    }
    enum outcome outcome = retry_loop_await(x, self, ret);
    if (outcome == OUTCOME_FAILED) {
        admission_release(x);
        record_close(x, ret);
    }
    if (outcome == OUTCOME_FAILED)
        metrics_upstream(x, false, ret->status,
                         (double)mono_diff_ns(ring_now(x->core->net.ring), x->upstream_started) /
                             (double)NS_PER_S);
    return outcome;
}
