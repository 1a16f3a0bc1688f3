// SPDX-License-Identifier: Apache-2.0
//
// models.c: asks the providers for their lists, each on a fiber of its own, and answers.
//
// The fibers work in the exchange's memory, so the exchange outlives them whatever happens: when
// the client leaves they are cancelled and joined. Lists do not take a provider's slots.

#include "gateway/models.h"
#include "base/assert.h"
#include "base/err.h"
#include "gateway/admission.h"
#include "gateway/credential.h"
#include "gateway/decode.h"
#include "gateway/error.h"
#include "gateway/headers.h"
#include "gateway/identify.h"
#include "gateway/relay.h"
#include "gateway/request.h"
#include "gateway/target.h"

// How long one look at fibers that have been cancelled may take before it is repeated.
#define JOIN_MS 1000

// One provider being asked, by a fiber of its own.
struct ask {
    struct exchange *x;
    struct target target;
    struct models_source *source;
    struct fiber *fiber; // NULL: asked by the exchange's own fiber
    bool done;
    int err; // 0 when at least one server gave a list
    struct failure failure;
};

// ---- Asking ----------------------------------------------------------------------------------

// An object, or the bare array some servers send; what is no JSON is no list.
static bool looks_like_list(struct slice text)
{
    static const struct slice names[] = {SLICE("data"), SLICE("models")};
    struct json_scanner scan;
    if (json_scan(&scan, text, names, ARRAY_LEN(names), JSON_SCAN_ANY_VALUE) != 0)
        return false;
    return scan.type == JSON_ARRAY ||
           (scan.type == JSON_OBJECT &&
            (scan.member[0].type == JSON_ARRAY || scan.member[1].type == JSON_ARRAY));
}

// A 2xx list into the source; anything else into the ask's failure.
static int take_list_await(struct ask *a, struct fiber *self, struct upstream *u,
                           int64_t *budget_ns)
{
    struct exchange *x = a->x;
    struct gathered g = {0};
    struct decoder *decoder;

    int rc = decoder_new(&x->stream->arena, self, u, &decoder);
    struct body *body = decoder ? decoder_body(decoder) : &u->body;
    if (rc == 0)
        rc = gathered_fill_await(x, self, body, budget_ns, MODELS_BYTES_MAX, &g);
    decoder_free(decoder);
    if (rc == 0 && !g.last)
        rc = ERR_UPSTREAM_TOO_LARGE;
    if (rc)
        return rc;
    if (u->head.status < 200 || u->head.status > 299) {
        failure_of_answer(&a->failure, &x->stream->arena,
                          u->head.status < 400 ? 502 : u->head.status, slice_of(g.ptr, g.len),
                          NULL);
        return ERR_UPSTREAM_PROTOCOL;
    }
    if (!looks_like_list(slice_of(g.ptr, g.len)))
        return ERR_UPSTREAM_PROTOCOL;
    a->source->text[a->source->texts++] = slice_of(g.ptr, g.len);
    return 0;
}

static int ask_key_await(struct ask *a, struct fiber *self, const struct config_key *key)
{
    struct exchange *x = a->x;
    struct net_core *net = &x->core->net;
    struct request *r = arena_alloc(&x->stream->arena, sizeof(*r));
    struct slice base, path;
    struct upstream *u = NULL;
    int64_t budget_ns = (int64_t)a->target.provider->request_timeout_ms * NS_PER_MS;
    struct mono begin = ring_now(net->ring);

    struct origin *origin = request_origin(a->target.provider, key, OP_LIST_MODELS, &base, &path);
    path = arena_printf(&x->stream->arena, "%.*s%.*s", SLICE_ARG(base), SLICE_ARG(path));
    if (!r || !path.ptr)
        return ERR_NOMEM;
    if (!origin)
        return ERR_CONFIG;
    int rc = credential_take_await(x, self, a->target.provider, key, &a->failure);
    if (rc)
        return rc;
    // For the head; nothing parks before it is written.
    x->key = key;
    path = request_expand(x, &a->target, path);
    rc = request_build_get(x, &a->target, origin, path, r);
    x->key = NULL;
    x->credential = SLICE_EMPTY;
    if (rc)
        return rc;
    struct upstream_call call = {.origin = r->origin,
                                 .method = HTTP_GET,
                                 .iov = r->iov,
                                 .iov_count = r->iov_count,
                                 .arena = &x->stream->arena};
    fiber_set_deadline(self, (struct mono){.ns = begin.ns + budget_ns});
    rc = upstream_call_await(net, self, &call, &u);
    fiber_set_deadline(self, MONO_NEVER);
    if (rc)
        return rc == ERR_DEADLINE ? ERR_UPSTREAM_TIMEOUT : rc;
    budget_ns -= mono_diff_ns(ring_now(net->ring), begin);
    rc = take_list_await(a, self, u, &budget_ns);
    upstream_end(net, u);
    return rc;
}

// Keys of one server give one list: the first that gets an answer is enough. Keys with a server
// each are all asked.
static void ask_await(struct ask *a, struct fiber *self)
{
    const struct config_provider *p = a->target.provider;
    unsigned asked = 0;

    a->err = 0;
    if (!target_has(p, OP_LIST_MODELS, false, SLICE_EMPTY) ||
        !target_allows(p, OP_LIST_MODELS, false))
        return;
    if (p->key_less)
        a->err = ask_key_await(a, self, NULL);
    for (unsigned i = 0; i < p->key_count && !p->key_less && asked < MODELS_ASKS_MAX; i++) {
        const struct config_key *key = &p->keys[i];
        if (!key->enabled || (key->value.len == 0 && !p->row->key_optional))
            continue;
        if (a->source->grant && a->source->grant->keys && !a->source->grant->keys[i])
            continue;
        asked++;
        a->err = ask_key_await(a, self, key);
        if (a->err == ERR_CLIENT_GONE || a->err == ERR_CANCELLED)
            return;
        if (a->err == 0 && !p->row->url_per_key)
            break;
    }
    if (a->source->texts > 0)
        a->err = 0;
    if (a->err && a->failure.status == 0)
        failure_of(&a->failure, a->err, SLICE_EMPTY, SLICE_EMPTY);
}

static void ask_fiber(struct fiber *self, void *arg)
{
    struct ask *a = arg;
    ask_await(a, self);
    a->done = true;
}

// Until every fiber has ended, also when the client leaves: they use the exchange's memory.
static int join_all_await(struct exchange *x, struct fiber *self, struct ask *asks, unsigned count)
{
    int reason = 0;

    for (unsigned i = 0; i < count && reason == 0; i++)
        while (asks[i].fiber && !asks[i].done && reason == 0)
            reason = fiber_join_await(self, asks[i].fiber);
    for (unsigned i = 0; i < count && reason != 0; i++)
        if (asks[i].fiber && !asks[i].done)
            fiber_cancel(asks[i].fiber, ERR_CANCELLED);
    for (unsigned i = 0; i < count && reason != 0; i++) {
        while (asks[i].fiber && !asks[i].done) {
            fiber_shield(self, mono_add_ms(ring_now(x->core->net.ring), JOIN_MS));
            (void)fiber_join_await(self, asks[i].fiber);
            fiber_unshield(self);
        }
    }
    return reason;
}

static int ask_all_await(struct exchange *x, struct fiber *self, struct ask *asks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (fiber_spawn(x->core->net.fibers, ask_fiber, &asks[i], &asks[i].fiber) != 0) {
            asks[i].fiber = NULL;
            ask_await(&asks[i], self);
        }
    }
    return join_all_await(x, self, asks, count);
}

// ---- Serving ---------------------------------------------------------------------------------

static void answer_await(struct exchange *x, struct fiber *self, struct ask *asks,
                         struct models_source *sources, unsigned count,
                         const struct models_query *query)
{
    uint64_t seed[2] = {prng_next(&x->core->net.prng), prng_next(&x->core->net.prng)};
    struct buf page;
    unsigned good = 0;
    int rc;

    buf_init(&page, MODELS_PAGE_BYTES_MAX);
    for (unsigned i = 0; i < count; i++)
        if (asks[i].err == 0)
            sources[good++] = sources[i];
    if (good == 0 && count > 0) {
        x->failure = asks[0].failure;
        error_answer_await(x, self, &x->failure);
        goto out;
    }
    int64_t latency_ms = mono_diff_ns(ring_now(x->core->net.ring), x->upstream_started) / NS_PER_MS;
    rc = models_write(x->route->mount, sources, good, query, seed, latency_ms, &page);
    if (rc == ERR_NOT_FOUND)
        error_reply_await(x, self, ERR_BAD_TYPE, SLICE("after_id or before_id is no model here"),
                          SLICE_EMPTY);
    else if (rc)
        error_reply_await(x, self, rc, SLICE_EMPTY, SLICE_EMPTY);
    else
        json_answer_await(x, self, 200, buf_slice(&page));
out:
    buf_done(&page);
}

static const struct slice invalid_query = SLICE("invalid query parameter");

void serve_models_await(struct exchange *x, struct fiber *self)
{
    const struct config *config = x->config;
    struct arena *a = &x->stream->arena;
    struct models_query query;
    struct slice param = headers_missing(config, &x->stream->request);
    unsigned count = 0;

    if (param.len > 0) {
        headers_refuse_await(x, self, param);
        return;
    }
    if (identify(x, &x->failure) != 0) {
        error_answer_await(x, self, &x->failure);
        return;
    }
    int rc = models_query_parse(x->route->mount, x->stream->request.query, a, &query, &param);
    if (rc) {
        error_reply_await(x, self, rc, rc == ERR_NOMEM ? SLICE_EMPTY : invalid_query, param);
        return;
    }
    struct ask *asks = arena_zalloc(a, config->provider_count * sizeof(*asks));
    struct models_source *sources = arena_zalloc(a, config->provider_count * sizeof(*sources));
    if (!asks || !sources) {
        error_reply_await(x, self, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
        return;
    }
    for (unsigned i = 0; i < config->provider_count; i++) {
        const struct config_provider *p = &config->providers[i];
        if (query.provider.len > 0 && !slice_eq(p->name, query.provider))
            continue;
        const struct governance_grant *grant =
            x->virtual_key ? governance_grant(x->virtual_key, p) : NULL;
        if (x->virtual_key && !grant) {
            if (query.provider.len > 0) {
                struct target t = {.provider = p};
                admission_allow(x, &t, &x->failure);
                error_answer_await(x, self, &x->failure);
                return;
            }
            continue;
        }
        sources[count].provider = p;
        sources[count].grant = grant;
        asks[count] = (struct ask){.x = x, .target.provider = p, .source = &sources[count]};
        count++;
    }
    if (count == 0 && query.provider.len > 0) {
        error_reply_await(x, self, ERR_BAD_TYPE, SLICE("provider is not configured"),
                          SLICE("provider"));
        return;
    }
    x->upstream_op = OP_LIST_MODELS;
    x->upstream_started = ring_now(x->core->net.ring);
    if (ask_all_await(x, self, asks, count) == 0)
        answer_await(x, self, asks, sources, count, &query);
}
