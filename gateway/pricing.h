// SPDX-License-Identifier: Apache-2.0
//
// pricing.h: the price of a model as an exchange sees it: the catalogue of its snapshot, with what
// governance.pricing_overrides says otherwise.
//
// Of the overrides that fit one is laid over the catalogue's row, member by member: that of the
// narrowest scope, then an exact name before a pattern, then the longer pattern.
//
//     virtual key and provider and key · virtual key and provider · virtual key · key · provider ·
//     everything
//
// Own core; nothing parks.
#ifndef RINGGATE_GATEWAY_PRICING_H
#define RINGGATE_GATEWAY_PRICING_H

#include "gateway/exchange.h"
#include "providers/catalog.h"

// By the alias's model, else by the name that the client used. False: nobody knows one.
bool pricing_find(const struct exchange *x, const struct target *target, struct price *ret);
// What the catalogue says `model` is a version of; empty: nothing.
struct slice pricing_base_model(const struct config *c, const struct config_provider *provider,
                                struct slice model, enum operation op);
// Has the catalogue this model for this provider?
bool pricing_knows(const struct config *c, const struct config_provider *provider,
                   struct slice model, enum operation op);

#endif
