// SPDX-License-Identifier: Apache-2.0
//
// model_rules.h: what some models refuse, as far as their names tell it.
//
// A catalogue knows each model's parameters; a handful of rules needs none, because a vendor states
// them for a family whose names begin alike. They serve client.compat: should_drop_params,
// should_convert_params. A model that no rule names is left alone.
//
// Pure; any thread.
#ifndef RINGGATE_PROVIDERS_MODEL_RULES_H
#define RINGGATE_PROVIDERS_MODEL_RULES_H

#include "providers/provider.h"

// Of one rule; what a scan must find for it.
#define MODEL_REFUSED_MAX 7

// Has this vendor rules at all?
bool model_has_rules(const struct provider_row *row);
// The top-level members that this model answers 400 to; *ret_count 0: nothing is known of it.
const struct slice *model_refused(const struct provider_row *row, struct slice model,
                                  unsigned *ret_count);
// The members of all of its rules.
const struct slice *model_refused_ever(unsigned *ret_count);
// Does it know the limit of tokens of a chat as max_completion_tokens only?
bool model_wants_new_limit(const struct provider_row *row, struct slice model);

#endif
