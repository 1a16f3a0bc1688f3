// SPDX-License-Identifier: Apache-2.0
//
// target.h: from a model string to a provider, and from a provider to one of its keys.
//
// "provider/model" is split at the first slash, and only when what stands before it is the name of
// a configured provider; otherwise the whole string is the model ("meta-llama/llama-3" is one). A
// model without a provider belongs to openai on /openai, to anthropic on /anthropic (route.h); on
// /v1 it belongs to the first provider whose keys name it.
//
// A key is chosen by weight among those that serve the model. Aliases are resolved by the key, so
// the name that goes upstream is known only after the choice.
//
// Pure but for the generator of numbers, which belongs to the core.
#ifndef RINGGATE_GATEWAY_TARGET_H
#define RINGGATE_GATEWAY_TARGET_H

#include "base/prng.h"
#include "gateway/exchange.h"

enum target_result {
    TARGET_OK,
    TARGET_EMPTY,        // no model in the string
    TARGET_UNCONFIGURED, // the provider is known but has no configuration
    TARGET_UNRESOLVED,   // nobody is known to serve the bare model
};

// `model` is trimmed. On failure *ret_provider is the provider's name (UNCONFIGURED), else empty.
// The result's slices lie in `model` and in the snapshot.
enum target_result target_resolve(const struct config *config, enum mount mount, struct slice model,
                                  struct target *ret_target, struct slice *ret_provider);

// Has the provider an endpoint for the operation with this model?
bool target_has(const struct config_provider *provider, enum operation op, bool stream,
                struct slice model);
// Does the configuration allow requests of the operation's type (allowed_requests)?
bool target_allows(const struct config_provider *provider, enum operation op, bool stream);

// A key the client asks for by header; both empty: none. The id wins.
struct key_pin {
    struct slice id;
    struct slice name;
    const bool *lent; // by index: the keys a virtual key may use; NULL: all
};

enum key_result {
    KEY_FOUND,
    KEY_NOT_NEEDED, // key-less provider: *ret_key is NULL
    KEY_PIN_UNKNOWN,
    KEY_NONE, // no key serves the model
};

// Chooses among keys not in *used (a bit per key index below KEYS_TRIED_MAX) and marks the choice;
// when every eligible key is in it, it is cleared first. Keys of weight 0 are chosen only when no
// eligible key has a weight. *ret_model is what the provider is to be asked for.
enum key_result key_choose(const struct config_provider *provider, struct slice model,
                           const struct key_pin *pin, struct prng *prng, uint64_t *used,
                           const struct config_key **ret_key, struct slice *ret_model);

#endif
