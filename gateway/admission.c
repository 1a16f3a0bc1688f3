// SPDX-License-Identifier: Apache-2.0
//
// admission.c: gates taken, given back, charged. attempt.c takes, exchange_settle.c charges.

#include "gateway/admission.h"
#include "base/assert.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "gateway/error.h"
#include "gateway/estimate.h"
#include "gateway/pricing.h"

static uint64_t now_s(const struct exchange *x)
{
    return (uint64_t)(ring_wall(x->core->net.ring).ns / NS_PER_S);
}

// ---- What has no room --------------------------------------------------------------------------

static const char *const levels[GOVERNANCE_LEVEL_COUNT] = {
    [GOVERNANCE_PROVIDER] = "provider",
    [GOVERNANCE_MODEL] = "model",
    [GOVERNANCE_KEY_PROVIDER] = "provider config",
    [GOVERNANCE_KEY] = "virtual key",
    [GOVERNANCE_TEAM] = "team",
    [GOVERNANCE_BUSINESS_UNIT] = "business unit",
    [GOVERNANCE_CUSTOMER] = "customer",
    [GOVERNANCE_KEY_MODEL] = "virtual key model",
};

static bool is_full(const struct governance_limit *l, int64_t amount, uint64_t now)
{
    return amount > l->ledger.max - ledger_view(&l->ledger, now).committed;
}

static struct slice use_of(struct arena *a, const struct governance_limit *l, uint64_t now)
{
    return arena_printf(a, "%lld of %lld %s", (long long)ledger_view(&l->ledger, now).committed,
                        (long long)l->ledger.max,
                        l->unit == GOVERNANCE_TOKENS ? "tokens" : "requests");
}

// `other` is the rate limit's other half when that is full too, else NULL.
static int refuse_gate(struct exchange *x, const struct governance_gate *g,
                       const struct governance_limit *other, uint64_t now, struct failure *ret)
{
    const struct governance_limit *l = g->limit;
    struct arena *a = &x->stream->arena;
    const char *level = levels[g->owner->level];
    double dollar = (double)PRICE_DOLLAR;

    if (l->unit == GOVERNANCE_MONEY)
        return failure_refuse(
            ret, 402, SLICE("budget_exceeded"),
            arena_printf(a,
                         "%s budget exceeded: %.6f of %.6f dollars are used or reserved "
                         "(per %.*s)",
                         level, (double)ledger_view(&l->ledger, now).committed / dollar,
                         (double)l->ledger.max / dollar, SLICE_ARG(l->period)),
            SLICE_EMPTY);
    struct slice use = use_of(a, l, now);
    if (other)
        return failure_refuse(
            ret, 429, SLICE("rate_limited"),
            arena_printf(a,
                         "%s rate limit exceeded: %.*s (per %.*s) and %.*s (per %.*s) "
                         "are used or reserved",
                         level, SLICE_ARG(use), SLICE_ARG(l->period),
                         SLICE_ARG(use_of(a, other, now)), SLICE_ARG(other->period)),
            SLICE_EMPTY);
    bool tokens = l->unit == GOVERNANCE_TOKENS;
    return failure_refuse(
        ret, 429, tokens ? SLICE("token_limited") : SLICE("request_limited"),
        arena_printf(a, "%s rate limit exceeded: %.*s are used or reserved (per %.*s)", level,
                     SLICE_ARG(use), SLICE_ARG(l->period)),
        SLICE_EMPTY);
}

// The tokens of the rate limit whose requests stand at `gates[i]`: they follow at once.
static const struct governance_limit *tokens_of(const struct governance_gate *gates, unsigned i,
                                                unsigned count)
{
    bool theirs = i + 1 < count && gates[i].limit->unit == GOVERNANCE_REQUESTS &&
                  gates[i + 1].owner == gates[i].owner &&
                  gates[i + 1].limit->unit == GOVERNANCE_TOKENS;
    return theirs ? gates[i + 1].limit : NULL;
}

// ---- May it at all? --------------------------------------------------------------------------

// What the key may not use is told behind what the provider and the model have left for anybody.
static int refuse_key(struct exchange *x, const struct target *target, const char *type,
                      struct slice text, struct failure *ret)
{
    struct governance_gate gate[GOVERNANCE_LIMITS_MAX];
    uint64_t now = now_s(x);
    unsigned count = 0;

    if (x->core->gateway->ledger.ledger)
        count =
            governance_gates(&x->config->governance, NULL, target->provider, target->model, gate);
    for (unsigned i = 0; i < count; i++) {
        const struct governance_limit *tokens = tokens_of(gate, i, count);
        if (is_full(gate[i].limit, 1, now))
            return refuse_gate(x, &gate[i], tokens && is_full(tokens, 1, now) ? tokens : NULL, now,
                               ret);
    }
    return failure_refuse(ret, 403, slice_str(type), text, SLICE("model"));
}

int admission_allow(struct exchange *x, const struct target *target, struct failure *ret)
{
    const struct virtual_key *key = x->virtual_key;
    struct arena *a = &x->stream->arena;

    if (!key)
        return 0;
    const struct governance_grant *grant = governance_grant(key, target->provider);
    if (!grant)
        return refuse_key(x, target, "provider_blocked",
                          arena_printf(a, "virtual key %.*s may not use provider %.*s",
                                       SLICE_ARG(key->name), SLICE_ARG(target->provider->name)),
                          ret);
    struct slice base =
        pricing_base_model(x->config, target->provider, target->model, x->route->operation);
    // A name on the list may be lent for what it stands for; what is on the blacklist may not.
    struct slice alias = governance_alias_of(target->provider, target->model);
    if (!governance_allows_model(grant, target->model, base) ||
        (alias.len > 0 && governance_refuses_model(grant, alias)))
        return refuse_key(
            x, target, "model_blocked",
            arena_printf(a, "virtual key %.*s may not use model %.*s of provider %.*s",
                         SLICE_ARG(key->name), SLICE_ARG(slice_take(target->model, 256)),
                         SLICE_ARG(target->provider->name)),
            ret);
    return 0;
}

// ---- How much --------------------------------------------------------------------------------

// The request's own limit for the answer; 0: none.
static uint64_t output_limit(const struct exchange *x)
{
    static const enum dialect_member members[] = {DIALECT_TOKENS_LIMIT, DIALECT_TOKENS_LIMIT_OLD};
    uint64_t limit;

    for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
        const struct json_member *m = &x->scan->member[members[i]];
        if (m->type == JSON_NUMBER && json_u64(m->value, &limit) == 0 && limit > 0)
            return limit < DIALECT_TOKENS_MAX ? limit : DIALECT_TOKENS_MAX;
    }
    return 0;
}

static bool counts_only(enum operation op)
{
    return op == OP_COUNT_TOKENS || op == OP_INPUT_TOKENS;
}

static void estimate(struct exchange *x, const struct target *t, struct admission *a)
{
    enum operation op = x->route->operation;
    struct estimates *e = x->core->gateway->estimates;

    if (counts_only(op))
        return; // free of charge, at every vendor
    // Flex is cheaper, but may be served as usual.
    const struct json_member *tier = &x->scan->member[DIALECT_SERVICE_TIER];
    if (tier->type == JSON_STRING && dialect_tier(tier->value) == DIALECT_TIER_PRIORITY)
        a->tier = PRICE_TIER_PRIORITY;
    a->input_tokens = estimate_input(x->body.len);
    if (op == OP_EMBEDDING)
        return;
    a->output_tokens = output_limit(x);
    if (a->output_tokens == 0)
        a->output_tokens =
            e ? estimate_output(e, t->provider->name, t->model) : ESTIMATE_OUTPUT_DEFAULT;
}

static struct price_use estimated_use(const struct admission *a)
{
    return (struct price_use){
        .input_tokens = a->input_tokens, .output_tokens = a->output_tokens, .tier = a->tier};
}

static int64_t amount_of(const struct admission *a, enum governance_unit unit)
{
    struct price_use use = estimated_use(a);

    switch (unit) {
    case GOVERNANCE_REQUESTS:
        return 1;
    case GOVERNANCE_TOKENS:
        return (int64_t)(a->input_tokens + a->output_tokens);
    case GOVERNANCE_MONEY:
        return a->priced ? price_cost(&a->price, &use) : 0;
    }
    return 0;
}

// ---- Taking ----------------------------------------------------------------------------------

static int refuse_unpriced(struct exchange *x, const struct target *t, struct failure *ret)
{
    return failure_refuse(
        ret, 402, SLICE("budget_exceeded"),
        arena_printf(&x->stream->arena,
                     "model %.*s of provider %.*s has no price, so no budget can pay for "
                     "it (server.allow_unpriced lets it pass)",
                     SLICE_ARG(slice_take(t->model, 256)), SLICE_ARG(t->provider->name)),
        SLICE("model"));
}

static void give_back(struct exchange *x, unsigned count)
{
    struct admission *a = x->admission;
    for (unsigned i = count; i > 0; i--)
        ledger_release(x->core->gateway->ledger.ledger, &a->gates[i - 1].gate.limit->ledger,
                       a->gates[i - 1].reserved);
}

// The gate at `i` has no room.
static int refuse_taking(struct exchange *x, unsigned i, uint64_t now, struct failure *ret)
{
    const struct admission *a = x->admission;
    const struct governance_gate pair[2] = {
        a->gates[i].gate, i + 1 < a->count ? a->gates[i + 1].gate : (struct governance_gate){0}};
    const struct governance_limit *tokens = tokens_of(pair, 0, i + 1 < a->count ? 2 : 1);
    bool both = tokens && is_full(tokens, amount_of(a, GOVERNANCE_TOKENS), now);
    return refuse_gate(x, &pair[0], both ? tokens : NULL, now, ret);
}

static int take_gates(struct exchange *x, const struct target *t, struct failure *ret)
{
    struct admission *a = x->admission;
    uint64_t now = now_s(x);

    for (unsigned i = 0; i < a->count; i++) {
        struct admission_gate *g = &a->gates[i];
        int rc = 0;
        bool money = g->gate.limit->unit == GOVERNANCE_MONEY;
        g->reserved = amount_of(a, g->gate.limit->unit);
        if (money && !a->priced && !x->config->allow_unpriced && a->input_tokens > 0)
            rc = refuse_unpriced(x, t, ret);
        else if (!ledger_reserve(x->core->gateway->ledger.ledger, &g->gate.limit->ledger,
                                 g->reserved, now))
            rc = refuse_taking(x, i, now, ret);
        if (rc) {
            give_back(x, i);
            return rc;
        }
    }
    return 0;
}

static bool has_budget(const struct admission *a)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->gates[i].gate.limit->unit == GOVERNANCE_MONEY)
            return true;
    return false;
}

int admission_take(struct exchange *x, struct failure *ret)
{
    const struct target *t = &x->target[x->target_index];
    struct governance_gate gate[GOVERNANCE_LIMITS_MAX];
    unsigned count = 0;

    ASSERT(!x->admission || x->admission->state != ADMISSION_RESERVED);
    if (x->core->gateway->ledger.ledger)
        count =
            governance_gates(&x->config->governance, x->virtual_key, t->provider, t->model, gate);
    struct admission *a = arena_zalloc(&x->stream->arena, sizeof(*a) + count * sizeof(a->gates[0]));
    if (!a) {
        failure_of(ret, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
        return ERR_NOMEM;
    }
    a->count = count;
    for (unsigned i = 0; i < count; i++)
        a->gates[i].gate = gate[i];
    if (has_budget(a)) // others hear of the price when they are charged
        a->priced = pricing_find(x, t, &a->price);
    estimate(x, t, a);
    x->admission = a;
    int rc = take_gates(x, t, ret);
    if (rc == 0)
        a->state = ADMISSION_RESERVED;
    return rc;
}

void admission_release(struct exchange *x)
{
    struct admission *a = x->admission;

    if (!a || a->state != ADMISSION_RESERVED)
        return;
    a->state = ADMISSION_NONE;
    give_back(x, a->count);
}

// ---- Charging --------------------------------------------------------------------------------

static int64_t actual_of(const struct exchange *x, const struct admission_gate *g,
                         const struct charge *c)
{
    if (c->estimated)
        return g->reserved;
    switch (g->gate.limit->unit) {
    case GOVERNANCE_REQUESTS:
        return 1;
    case GOVERNANCE_TOKENS:
        return (int64_t)(x->usage.input_tokens + x->usage.output_tokens);
    case GOVERNANCE_MONEY:
        return c->cost;
    }
    return 0;
}

static void find_cost(const struct exchange *x, const struct admission *a, struct charge *ret)
{
    struct price_use use = {
        .input_tokens = x->usage.input_tokens,
        .output_tokens = x->usage.output_tokens,
        .cached_read_tokens = x->usage.cached_read_tokens,
        .cached_write_tokens = x->usage.cached_write_tokens,
        .cached_write_1h_tokens = x->usage.cached_write_1h_tokens,
        .input_audio_tokens = x->usage.input_audio_tokens,
        .output_audio_tokens = x->usage.output_audio_tokens,
        .searches = x->usage.searches,
        .tier = x->usage.tier,
    };

    if (counts_only(x->route->operation)) {
        *ret = (struct charge){.cost_known = true};
        return;
    }
    ret->estimated = !x->usage.known;
    if (ret->estimated)
        use = estimated_use(a);
    bool said = x->usage.known && x->usage.dollars > 0;
    ret->cost_known = a->priced || said;
    if (said)
        ret->cost = price_of_dollars(x->usage.dollars);
    else if (a->priced)
        ret->cost = price_cost(&a->price, &use);
}

void admission_settle(struct exchange *x, struct charge *ret)
{
    struct admission *a = x->admission;
    uint64_t now = now_s(x);

    *ret = (struct charge){0};
    if (!a || a->state != ADMISSION_RESERVED)
        return;
    a->state = ADMISSION_CHARGED;
    if (!a->priced || x->key) // by the alias of the key that served
        a->priced = pricing_find(x, &x->target[x->target_index], &a->price);
    find_cost(x, a, ret);
    for (unsigned i = 0; i < a->count; i++) {
        struct admission_gate *g = &a->gates[i];
        g->actual = actual_of(x, g, ret);
        g->window = ledger_settle(x->core->gateway->ledger.ledger, &g->gate.limit->ledger,
                                  g->reserved, g->actual, now);
        if (!x->record.open)
            ledger_unrecorded(&g->gate.limit->ledger, g->actual);
    }
    if (x->usage.known && x->core->gateway->estimates && !counts_only(x->route->operation))
        estimate_learn(x->core->gateway->estimates, x->target[x->target_index].provider->name,
                       x->target[x->target_index].model, x->usage.output_tokens);
}
