// SPDX-License-Identifier: Apache-2.0
//
// attempt.h: asking one provider until it answers or there is no point in asking on.
//
//   choose key ─► enter the provider's queue ─► call ─► status
//        ▲                                               │ 2xx: relay (relay.h)
//        │                                               │ else: failure
//        │   back-off, slot given back                   ▼
//        └────────────────── verdict ◄────────────────────
//             SAME_KEY: network, 500 502 503 504      GIVE_UP: everything else
//             NEXT_KEY: 429, or a text that says "slow down"
//
// At most 1 + max_retries attempts. A provider's Retry-After lengthens the back-off; one that asks
// for more than the request's own time ends the target instead. Once an answer has been committed
// to the client there are no more attempts.
#ifndef RINGGATE_GATEWAY_ATTEMPT_H
#define RINGGATE_GATEWAY_ATTEMPT_H

#include "gateway/exchange.h"

// An error body is read this far and no further; the rest closes the connection.
#define ERROR_BODY_BYTES_MAX (1024 * 1024)

enum outcome {
    OUTCOME_SERVED, // answered, whole or broken after commit; settled
    OUTCOME_FAILED, // the client has seen nothing; the failure says why
    OUTCOME_GONE,   // the client has left, or the process ends
};

// Tries x->target[x->target_index]. *ret_failure is filled when it failed.
enum outcome target_try_await(struct exchange *x, struct fiber *self, struct failure *ret_failure);

enum verdict { VERDICT_SAME_KEY, VERDICT_NEXT_KEY, VERDICT_GIVE_UP };

// Is it worth asking again, and with which key? Pure.
enum verdict attempt_verdict(const struct failure *f);

// How long to wait before attempt `n` + 1: initial·2ⁿ, at most `max`, times 0.8 to 1.2 by `unit` in
// [0, 1), at most `max`. Pure.
int64_t attempt_backoff_ms(unsigned initial_ms, unsigned max_ms, unsigned n, double unit);

// Retry-After as milliseconds from `now`: seconds, or a date (RFC 9110 10.2.3). -1 when it is
// neither. Pure.
int64_t attempt_retry_after_ms(struct slice value, struct wall now);

#endif
