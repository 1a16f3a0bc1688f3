// SPDX-License-Identifier: Apache-2.0
//
// beta.h: which values of `anthropic-beta` a provider is told.
//
// Claude's features are switched on by names in one header, a comma list. Anthropic itself takes
// every name. A host of its models (azure) refuses a request for the sake of one it does not know,
// so there only known names go up. `network_config.beta_header_overrides` has the last word for
// either: a prefix of a name, and whether it is supported.
//
// A request that was translated has no header of its own; what its members need is added.
//
// Source: bifrost §4.6; platform.claude.com/docs, "Beta headers". Pure but for the arena.
#ifndef RINGGATE_GATEWAY_BETA_H
#define RINGGATE_GATEWAY_BETA_H

#include "base/arena.h"
#include "gateway/config.h"

// Of a client's list, what this provider may be told; empty when nothing is left. `value` itself
// when all of it may pass, else in the arena (empty without memory).
struct slice beta_filter(struct arena *arena, const struct config_provider *provider,
                         struct slice value);

// The names that the members of a request written for Anthropic need: `text` is its body. Static or
// in the arena; empty: none.
struct slice beta_needed(struct arena *arena, struct slice text);

#endif
