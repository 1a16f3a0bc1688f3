// SPDX-License-Identifier: Apache-2.0
//
// quota.c: the limits of one virtual key and what has been used of them.
//
//     {"virtual_key_name":"search","is_active":true,
//      "budgets":[{"id":…,"max_limit":…,"reset_duration":…,"current_usage":…,"last_reset":…}],
//      "rate_limit":{"id":…,"request_max_limit":…,"request_current_usage":…,…}}
#include "admin/quota.h"

#include "base/buf.h"
#include "base/civil.h"
#include "gateway/error.h"
#include "gateway/identify.h"
#include "providers/price.h"

// The limits of one owner, with room.
#define QUOTA_BYTES_MAX (256 * 1024)

static void add_time(struct buf *b, uint64_t seconds)
{
    char text[CIVIL_TEXT_BYTES];
    struct wall at = {.ns = (int64_t)seconds * NS_PER_S};
    buf_add_json(b, civil_text(at, 0, text));
}

static void add_text(struct buf *b, const char *name, struct slice value)
{
    buf_printf(b, "\"%s\":", name);
    buf_add_json(b, value);
}

// "" for a budget, else the half of a rate limit.
static void add_use(struct buf *b, const char *half, const struct governance_limit *l, uint64_t now)
{
    struct ledger_view v = {0};
    bool money = l->unit == GOVERNANCE_MONEY;
    if (l->ledger.counter)
        v = ledger_view(&l->ledger, now);
    if (money)
        buf_printf(b, "\"max_limit\":%.12g,\"current_usage\":%.12g",
                   (double)l->ledger.max / (double)PRICE_DOLLAR,
                   (double)v.used / (double)PRICE_DOLLAR);
    else
        buf_printf(b, "\"%smax_limit\":%lld,\"%scurrent_usage\":%lld", half,
                   (long long)l->ledger.max, half, (long long)v.used);
    buf_printf(b, ",\"%sreset_duration\":", half);
    buf_add_json(b, l->period);
    if (v.window > 0) {
        buf_printf(b, ",\"%slast_reset\":", half);
        add_time(b, v.window);
    }
}

static void add_budgets(struct buf *b, const struct governance_owner *owner, uint64_t now)
{
    for (unsigned i = 0; i < owner->budget_count; i++) {
        const struct governance_limit *l = owner->budgets[i];
        buf_add(b, i > 0 ? SLICE(",{") : SLICE("{"));
        add_text(b, "id", l->id);
        buf_add_char(b, ',');
        add_use(b, "", l, now);
        buf_printf(b, ",\"calendar_aligned\":%s}", l->ledger.period.calendar ? "true" : "false");
    }
}

static void add_quota(struct buf *b, const struct virtual_key *key, uint64_t now)
{
    const struct governance_owner *owner = &key->owner;
    buf_add_char(b, '{');
    add_text(b, "virtual_key_name", key->name);
    buf_printf(b, ",\"is_active\":%s,\"budgets\":[", key->active ? "true" : "false");
    add_budgets(b, owner, now);
    buf_add_char(b, ']');
    if (owner->rate_count > 0) {
        buf_add(b, SLICE(",\"rate_limit\":{"));
        add_text(b, "id", owner->rates[0]->id);
        for (unsigned i = 0; i < owner->rate_count; i++) {
            buf_add_char(b, ',');
            add_use(b, owner->rates[i]->unit == GOVERNANCE_TOKENS ? "token_" : "request_",
                    owner->rates[i], now);
        }
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

void quota_await(struct exchange *x, struct fiber *self)
{
    struct slice value = identify_value(&x->stream->request);
    const struct virtual_key *key = governance_find_key(&x->config->governance, value);
    struct buf body;

    if (key == NULL) {
        json_answer_await(x, self, 401,
                          value.len > 0 ? SLICE("{\"error\":\"virtual key not found\"}")
                                        : SLICE("{\"error\":\"virtual key required\"}"));
        return;
    }
    buf_init(&body, QUOTA_BYTES_MAX);
    add_quota(&body, key, (uint64_t)(ring_wall(x->core->net.ring).ns / NS_PER_S));
    if (body.err == 0)
        json_answer_await(x, self, 200, buf_slice(&body));
    else
        error_reply_await(x, self, body.err, SLICE_EMPTY, SLICE_EMPTY);
    buf_done(&body);
}
