// SPDX-License-Identifier: Apache-2.0
//
// admission.h: one target's way through the gates, and what it is charged in the end.
//
//   ┌──────┐ take: every gate has room ┌──────────┐ settle: usage, or the estimate ┌─────────┐
//   │ NONE │ ────────────────────────► │ RESERVED │ ─────────────────────────────► │ CHARGED │
//   └──────┘                           └──────────┘                                └─────────┘
//      ▲  ▲ a gate refuses: 402, 429        │ release: the provider refused, or was not asked
//      │  └── what was reserved goes back   │
//      └────────────────────────────────────┘
//
// CHARGED happens in exchange_settle, exactly once, before the last byte of the answer. A request
// whose provider was asked and whose usage never came (the client left, the stream broke off) is
// charged what was reserved: `estimated` says so. One that a provider refused costs nothing.
//
// Own core; nothing parks.
#ifndef RINGGATE_GATEWAY_ADMISSION_H
#define RINGGATE_GATEWAY_ADMISSION_H

#include "gateway/exchange.h"
#include "providers/price.h"

enum admission_state { ADMISSION_NONE, ADMISSION_RESERVED, ADMISSION_CHARGED };

struct admission {
    enum admission_state state;
    bool priced;
    struct price price;                   // when it is
    uint64_t input_tokens, output_tokens; // the estimate
    enum price_tier tier;                 // and what it is reserved as
    unsigned count;
    struct admission_gate {
        struct governance_gate gate;
        int64_t reserved;
        int64_t actual;  // once charged
        uint64_t window; // that it went into
    } gates[];
};

// May x->virtual_key use this target at all? 0, or ERR_NOT_FOUND with *ret: 403.
int admission_allow(struct exchange *x, const struct target *target, struct failure *ret);
// Reserves for x->target[x->target_index]; x->admission is set. 0; ERR_LIMIT with *ret: 402 or 429;
// ERR_NOMEM with *ret.
int admission_take(struct exchange *x, struct failure *ret);
// The target came to nothing. Without a reservation nothing happens.
void admission_release(struct exchange *x);
// Charges x->usage to every gate. Without a reservation it only tells the cost.
void admission_settle(struct exchange *x, struct charge *ret);

#endif
