// SPDX-License-Identifier: Apache-2.0
//
// config_limits.c: budgets and rate limits, read into a pool by their ids; whoever owns one then
// takes it from there.
//
// A budget is one limit, a rate limit up to two: requests and tokens. Their counters are made in
// the ledger when the snapshot is built; one that is new begins with what the file says has been
// used.
#include "gateway/config_limits.h"

#include "base/assert.h"
#include "base/civil.h"
#include "base/err.h"
#include "providers/price.h"
#include "store/store.h"
#include <stdio.h>

_Static_assert(CONFIG_LIMIT_ID_BYTES_MAX + 16 <= STORE_WORD_BYTES_MAX, "a counter has a word");

// 9 million dollars fit; what is more is no limit.
#define BUDGET_DOLLARS_MAX 9000000

void config__limits_init(struct config__limits *l, const uint64_t seed[2])
{
    map_init(&l->budgets, seed);
    map_init(&l->rates, seed);
    map_init(&l->owned, seed);
}

void config__limits_done(struct config__limits *l)
{
    map_done(&l->budgets);
    map_done(&l->rates);
    map_done(&l->owned);
}

// ---- Values ----------------------------------------------------------------------------------

bool config__time(struct config_builder *b, const struct config_path *up, yyjson_val *object,
                  const char *member, struct wall *ret)
{
    struct slice text = json_str(config__get(object, member));
    *ret = (struct wall){0};
    if (text.len == 0)
        return false;
    if (civil_parse(text, ret) == 0)
        return true;
    config__error(b, &CONFIG_MEMBER(up, member), "not a time as RFC 3339 has it");
    return false;
}

static bool read_period(struct config_builder *b, const struct config_path *up, yyjson_val *object,
                        const char *member, struct governance_limit *limit)
{
    struct slice text = json_str(config__get(object, member));
    if (period_parse(text, &limit->ledger.period) != 0) {
        config__error(b, &CONFIG_MEMBER(up, member),
                      "not a time such as 30s, 5m, 1h, 1d, 1w, 1M or 1Y");
        return false;
    }
    limit->ledger.period.calendar = config__bool(object, "calendar_aligned", false);
    limit->period = config__copy(b, text);
    return true;
}

// The limit's counter in the ledger, with what the file says has been used when it is new.
static void attach(struct config_builder *b, const struct config_path *at, const char *kind,
                   struct governance_limit *limit, int64_t used, struct wall since)
{
    char text[64 + CONFIG_LIMIT_ID_BYTES_MAX];
    int n = snprintf(text, sizeof text, "%s/%.*s", kind, SLICE_ARG(limit->id));
    ASSERT(n > 0 && (size_t)n < sizeof text);
    limit->counter = config__copy(b, slice_of(text, (size_t)n));
    struct ledger_place *place = b->source->ledger;
    const char *reason = NULL;
    if (place == NULL || config__failed(b))
        return;
    if (ledger_place_open(place, &reason) != 0) {
        config__error(b, NULL, "the folder of the counters, %s, %s", place->folder, reason);
        return;
    }
    int rc = ledger_counter(place->ledger, limit->counter, &limit->ledger.counter);
    if (rc != 0) {
        config__error(b, at, "no counter is left (%s)", err_text(rc));
        return;
    }
    uint64_t now = (uint64_t)(clock_wall().ns / NS_PER_S);
    if (used > 0 && ledger_is_new(limit->ledger.counter))
        ledger_set(limit->ledger.counter, used,
                   since.ns > 0 ? (uint64_t)(since.ns / NS_PER_S) : now);
}

// An integer that may be left out; beyond what a counter holds it is no limit.
static int64_t count_of(yyjson_val *value)
{
    uint64_t n = yyjson_get_uint(value);
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

// ---- Budgets ---------------------------------------------------------------------------------

static bool read_id(struct config_builder *b, const struct config_path *at, yyjson_val *object,
                    struct slice *ret)
{
    struct slice id = json_str(config__get(object, "id"));
    if (id.len == 0 || id.len > CONFIG_LIMIT_ID_BYTES_MAX) {
        config__error(b, &CONFIG_MEMBER(at, "id"), "must have 1 to %d bytes",
                      CONFIG_LIMIT_ID_BYTES_MAX);
        return false;
    }
    *ret = config__copy(b, id);
    return true;
}

struct governance_limit *config__budget(struct config_builder *b, struct config__limits *l,
                                        const struct config_path *at, yyjson_val *object)
{
    struct governance_limit *limit = config__alloc(b, 1, sizeof *limit);
    struct wall since;
    if (limit == NULL || !read_id(b, at, object, &limit->id) ||
        !read_period(b, at, object, "reset_duration", limit))
        return NULL;
    double dollars = yyjson_get_num(config__get(object, "max_limit"));
    double used = yyjson_get_num(config__get(object, "current_usage"));
    if (!(dollars >= 0 && dollars <= BUDGET_DOLLARS_MAX)) {
        config__error(b, &CONFIG_MEMBER(at, "max_limit"), "must be 0 to %d dollars",
                      BUDGET_DOLLARS_MAX);
        return NULL;
    }
    limit->unit = GOVERNANCE_MONEY;
    limit->ledger.max = (int64_t)(dollars * (double)PRICE_DOLLAR + 0.5);
    config__time(b, at, object, "last_reset", &since);
    if (map_get(&l->budgets, limit->id) != NULL) {
        config__error(b, &CONFIG_MEMBER(at, "id"), "is the id of another budget");
        return NULL;
    }
    attach(b, at, "budget", limit, used > 0 ? price_of_dollars(used) : 0, since);
    if (map_put(&l->budgets, limit->id, limit) != 0)
        b->no_memory = true;
    return limit;
}

// ---- Rate limits -----------------------------------------------------------------------------

static const struct {
    enum governance_unit unit;
    const char *kind;
    const char *max, *period, *used, *since;
} halves[] = {
    {GOVERNANCE_REQUESTS, "requests", "request_max_limit", "request_reset_duration",
     "request_current_usage", "request_last_reset"},
    {GOVERNANCE_TOKENS, "tokens", "token_max_limit", "token_reset_duration", "token_current_usage",
     "token_last_reset"},
};

static void read_half(struct config_builder *b, const struct config_path *at, yyjson_val *object,
                      unsigned half, struct slice id, struct config__rate *rate)
{
    yyjson_val *max = config__get(object, halves[half].max);
    struct governance_limit *limit = config__alloc(b, 1, sizeof *limit);
    struct wall since;
    if (max == NULL || limit == NULL)
        return;
    limit->id = id;
    limit->unit = halves[half].unit;
    limit->ledger.max = count_of(max);
    if (!read_period(b, at, object, halves[half].period, limit))
        return;
    config__time(b, at, object, halves[half].since, &since);
    attach(b, at, halves[half].kind, limit, count_of(config__get(object, halves[half].used)),
           since);
    rate->half[rate->count++] = limit;
}

static void read_rate(struct config_builder *b, struct config__limits *l,
                      const struct config_path *at, yyjson_val *object)
{
    struct config__rate *rate = config__alloc(b, 1, sizeof *rate);
    struct slice id;
    if (rate == NULL || !read_id(b, at, object, &id))
        return;
    if (map_get(&l->rates, id) != NULL) {
        config__error(b, &CONFIG_MEMBER(at, "id"), "is the id of another rate limit");
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(halves); i++)
        read_half(b, at, object, i, id, rate);
    if (rate->count == 0)
        config__warn(b, at, "limits neither requests nor tokens");
    if (map_put(&l->rates, id, rate) != 0)
        b->no_memory = true;
}

// ---- All -------------------------------------------------------------------------------------

void config__load_limits(struct config_builder *b, struct config__limits *l,
                         const struct config_path *up, yyjson_val *governance)
{
    struct config_path budgets = CONFIG_MEMBER(up, "budgets");
    struct config_path rates = CONFIG_MEMBER(up, "rate_limits");
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(config__get(governance, "budgets"), i, n, v)
    {
        config__budget(b, l, &CONFIG_ELEMENT(&budgets, i), v);
    }
    yyjson_arr_foreach(config__get(governance, "rate_limits"), i, n, v)
    {
        read_rate(b, l, &CONFIG_ELEMENT(&rates, i), v);
    }
}

// One more owner of the limit.
static void note_owned(struct config_builder *b, struct config__limits *l,
                       struct governance_limit *limit)
{
    struct config__owned *owned = map_get(&l->owned, limit->counter);
    if (owned == NULL) {
        owned = config__alloc(b, 1, sizeof *owned);
        if (owned == NULL)
            return;
        owned->limit = limit;
        if (map_put(&l->owned, limit->counter, owned) != 0)
            b->no_memory = true;
    }
    owned->owners++;
}

void config__own_budget(struct config_builder *b, struct config__limits *l,
                        struct governance_owner *owner, struct governance_limit *limit)
{
    const struct governance_limit **list =
        config__alloc(b, owner->budget_count + 1, sizeof(struct governance_limit *));
    if (list == NULL)
        return;
    if (owner->budget_count > 0)
        memcpy(list, owner->budgets, owner->budget_count * sizeof *list);
    list[owner->budget_count++] = limit;
    owner->budgets = list;
    note_owned(b, l, limit);
}

void config__own_budget_id(struct config_builder *b, struct config__limits *l,
                           const struct config_path *at, struct slice id,
                           struct governance_owner *owner)
{
    struct governance_limit *limit = map_get(&l->budgets, id);
    if (limit == NULL)
        config__error(b, at, "names no budget");
    else
        config__own_budget(b, l, owner, limit);
}

void config__own_rate(struct config_builder *b, struct config__limits *l,
                      const struct config_path *up, yyjson_val *object,
                      struct governance_owner *owner)
{
    struct slice id = json_str(config__get(object, "rate_limit_id"));
    if (id.len == 0)
        return;
    const struct config__rate *rate = map_get(&l->rates, id);
    if (rate == NULL) {
        config__error(b, &CONFIG_MEMBER(up, "rate_limit_id"), "names no rate limit");
        return;
    }
    owner->rates = config__alloc(b, rate->count, sizeof *owner->rates);
    for (unsigned i = 0; owner->rates != NULL && i < rate->count; i++) {
        owner->rates[owner->rate_count++] = rate->half[i];
        note_owned(b, l, rate->half[i]);
    }
}

static void speak_of(struct config_builder *b, const struct config__limits *l,
                     const struct config_path *at, const struct governance_limit *limit)
{
    const struct config__owned *owned = map_get(&l->owned, limit->counter);
    if (owned == NULL)
        config__warn(b, at, "limits nobody: no owner names it");
    else if (owned->aligned > 0 && owned->aligned < owned->owners && !owned->itself &&
             period_knows_calendar(&limit->ledger.period))
        config__warn(b, at,
                     "its owners disagree about calendar_aligned: it is one counter, and counts by "
                     "the calendar for all of them");
}

void config__speak_of_limits(struct config_builder *b, const struct config__limits *l,
                             const struct config_path *up, yyjson_val *governance)
{
    struct config_path rates = CONFIG_MEMBER(up, "rate_limits");
    struct config_path budgets = CONFIG_MEMBER(up, "budgets");
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(config__get(governance, "budgets"), i, n, v)
    {
        const struct governance_limit *limit = map_get(&l->budgets, json_str(config__get(v, "id")));
        if (limit != NULL)
            speak_of(b, l, &CONFIG_ELEMENT(&budgets, i), limit);
    }
    yyjson_arr_foreach(config__get(governance, "rate_limits"), i, n, v)
    {
        const struct config__rate *rate = map_get(&l->rates, json_str(config__get(v, "id")));
        if (rate != NULL && rate->count > 0)
            speak_of(b, l, &CONFIG_ELEMENT(&rates, i), rate->half[0]);
    }
}

static void align(struct config__limits *l, const struct governance_limit *limit)
{
    struct config__owned *owned = map_get(&l->owned, limit->counter);
    if (owned == NULL)
        return; // there was no memory for it
    owned->itself |= owned->aligned == 0 && limit->ledger.period.calendar;
    owned->aligned++;
    owned->limit->ledger.period.calendar = true;
}

void config__align(struct config__limits *l, const struct governance_owner *owner)
{
    for (unsigned i = 0; i < owner->rate_count; i++)
        align(l, owner->rates[i]);
    for (unsigned i = 0; i < owner->budget_count; i++)
        align(l, owner->budgets[i]);
}
