// SPDX-License-Identifier: Apache-2.0
//
// identify.h: whose request it is, from its head alone.
//
// A virtual key comes as x-bf-vk, or in the field that the client's own SDK puts its key in, where
// it is told apart by its prefix sk-bf- (letter case does not count). The first one found counts:
//
//     x-bf-vk · authorization: Bearer · x-api-key · x-goog-api-key · api-key
//
// Whoever brings none is nobody, and is served unless client.enforce_auth_on_inference asks for
// one. A key that is unknown, inactive or expired is refused before anything is read.
#ifndef RINGGATE_GATEWAY_IDENTIFY_H
#define RINGGATE_GATEWAY_IDENTIFY_H

#include "gateway/exchange.h"

// The value of the virtual key in a head; empty: none.
struct slice identify_value(const struct http_head *request);
// Sets x->virtual_key. 0; ERR_LIMIT with *ret: 401 or 403.
int identify(struct exchange *x, struct failure *ret);

#endif
