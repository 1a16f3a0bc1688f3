// SPDX-License-Identifier: Apache-2.0
//
// weigh.h: a virtual key's own choice of a provider for a bare model.
//
// The providers of the key that have a weight, allow the model, may serve it and have room left
// draw for it; the others stand behind as fallbacks, the heaviest first, unless the request names
// fallbacks of its own. A model whose provider the client wrote is not drawn for.
//
// Who may serve a model: a provider whose keys or whose grant list it, or that the catalogue says
// has it; only when there is none of these, those whose keys serve anything.
#ifndef RINGGATE_GATEWAY_WEIGH_H
#define RINGGATE_GATEWAY_WEIGH_H

#include "gateway/exchange.h"

// Fills x->target from the first; `fallbacks`: those too. Returns how many; 0: nothing to draw for.
unsigned weigh_targets(struct exchange *x, bool fallbacks);

#endif
