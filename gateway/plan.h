// SPDX-License-Identifier: Apache-2.0
//
// plan.h: which of a provider's endpoints a request goes to.
//
// What the client speaks is the first choice: then the bytes pass (docs/relay.md). A provider that
// does not have that endpoint is asked at another one, whose dialect the request is translated to;
// docs/translation.md has the order. The configuration speaks of types of requests, not of
// endpoints: allowed_requests must allow the client's type, and an endpoint of an allowed type is
// preferred.
//
//     client's operation ──tries──► first that the provider has and that translates
//
// Two features of Bifrost's compat plugin widen the choice, by client.compat or, for one request,
// by the header x-bf-compat (`true`, or a JSON list of their names, or ["*"]):
//
//   convert_text_to_chat       a text completion may become a chat where there is no other way
//   convert_chat_to_responses  a chat with a model that has only a responses endpoint goes there
//
// Pure; the exchange's core.
#ifndef RINGGATE_GATEWAY_PLAN_H
#define RINGGATE_GATEWAY_PLAN_H

#include "gateway/exchange.h"

// What an operation speaks; NULL: it has no body.
const struct dialect *plan_dialect(enum operation op);

// Sets x->upstream_op and x->upstream_dialect for the target. 0, or ERR_UNSUPPORTED: no way.
int plan_target(struct exchange *x, const struct target *target);

// Is the feature on, by client.compat or for this request?
bool plan_enabled(const struct exchange *x, enum compat feature);
// The features that a value of x-bf-compat names, as bits of enum compat.
unsigned plan_compat(struct slice value);

#endif
