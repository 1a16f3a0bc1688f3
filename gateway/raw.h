// SPDX-License-Identifier: Apache-2.0
//
// raw.h: what went to the provider and what came from it, shown to the client that asks.
//
// On /v1 `extra_fields` may hold `raw_request`, the body that was sent, and `raw_response`, the
// answer or, in streams, the provider's event that a chunk was made of. A provider's configuration
// says whether (send_back_raw_request, send_back_raw_response); a request's x-bf-send-back-raw-*
// overrides it in either direction, unless client.allow_per_request_raw_override is false. Bodies
// only: what opens the provider's door is in the head, which is never shown.
//
//   whole answer   both
//   stream         raw_response in each chunk; raw_request in the one that tells usage or ends it
//
// Errors show neither: what a provider says in one may repeat its key.
#ifndef RINGGATE_GATEWAY_RAW_H
#define RINGGATE_GATEWAY_RAW_H

#include "gateway/exchange.h"

struct request;

// Of either text; a longer one is left out. A stream holds its request until it ends, and each
// chunk of an answer that shows itself goes out twice.
#define RAW_BYTES_MAX ((size_t)256 * 1024)

// Sets x->raw for the current target.
void raw_decide(struct exchange *x);
// Keeps the body of the attempt that is about to be made, when it will be shown. 0 or ERR_NOMEM.
int raw_keep_request(struct exchange *x, const struct request *r);

// `,"raw_request":…,"raw_response":…`, or as much of it as there is (each empty or too long: left
// out). A response that is no JSON object becomes a string; in an event (`one_line`) line ends
// between its tokens become spaces. Empty but not NULL: nothing to say; ptr NULL without memory.
struct slice raw_members(struct arena *arena, struct slice request, struct slice response,
                         bool one_line);

#endif
