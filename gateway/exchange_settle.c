// SPDX-License-Identifier: Apache-2.0
//
// exchange_settle.c: an exchange's states and the one place where its outcome is counted.

#include "base/assert.h"
#include "base/err.h"
#include "gateway/admission.h"
#include "gateway/exchange.h"

// ---- States ----------------------------------------------------------------------------------

// Bit n: may follow state n.
static const unsigned predecessors[EXCHANGE_STATE_COUNT] = {
    [EXCHANGE_READING] = 0,
    [EXCHANGE_ROUTED] = 1u << EXCHANGE_READING,
    [EXCHANGE_TRYING] = 1u << EXCHANGE_ROUTED | 1u << EXCHANGE_TRYING,
    // READING and ROUTED: an answer of our own.
    [EXCHANGE_COMMITTED] = 1u << EXCHANGE_READING | 1u << EXCHANGE_ROUTED | 1u << EXCHANGE_TRYING,
    [EXCHANGE_FAILED] = 1u << EXCHANGE_READING | 1u << EXCHANGE_ROUTED | 1u << EXCHANGE_TRYING,
    // READING, ROUTED, TRYING: the client has left.
    [EXCHANGE_SETTLED] = 1u << EXCHANGE_READING | 1u << EXCHANGE_ROUTED | 1u << EXCHANGE_TRYING |
                         1u << EXCHANGE_COMMITTED | 1u << EXCHANGE_FAILED,
};

void exchange_set_state(struct exchange *x, enum exchange_state to)
{
    ASSERT(to < EXCHANGE_STATE_COUNT);
    ASSERT(predecessors[to] & 1u << x->state);
    x->state = to;
}

// ---- Settling --------------------------------------------------------------------------------

static double seconds_since(struct mono now, struct mono then)
{
    return then.ns > 0 ? (double)mono_diff_ns(now, then) / (double)NS_PER_S : 0;
}

void exchange_settle(struct exchange *x)
{
    struct mono now = ring_now_fresh(x->core->net.ring);
    bool relayed = x->state == EXCHANGE_COMMITTED && x->dialect && x->target_count > 0;

    exchange_set_state(x, EXCHANGE_SETTLED);
    if (relayed || x->sent)
        admission_settle(x, &x->charge);
    else
        admission_release(x);
    record_close(x, x->failure.message.len > 0 && (x->broken || !relayed) ? &x->failure : NULL);
    if (relayed)
        metrics_upstream(x, !x->broken, x->status, seconds_since(now, x->upstream_started));
    metrics_http(x, seconds_since(now, x->started), x->body.len, x->answer_bytes);
}
