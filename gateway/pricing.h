// SPDX-License-Identifier: Apache-2.0
//
// pricing.h: the price of a model as an exchange sees it: the catalogue of its snapshot, with what
// the configuration says otherwise.
//
// Own core; nothing parks.
#ifndef RINGGATE_GATEWAY_PRICING_H
#define RINGGATE_GATEWAY_PRICING_H

#include "gateway/exchange.h"
#include "providers/catalog.h"

// By the alias's model, else by the name that the client used. NULL: nobody knows it.
const struct price *pricing_find(const struct exchange *x, const struct target *target);
// What the catalogue says `model` is a version of; empty: nothing.
struct slice pricing_base_model(const struct config *c, const struct config_provider *provider,
                                struct slice model, enum operation op);

// Has the catalogue this model for this provider?
bool pricing_knows(const struct config *c, const struct config_provider *provider,
                   struct slice model, enum operation op);

#endif
