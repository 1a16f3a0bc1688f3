// SPDX-License-Identifier: Apache-2.0
//
// governance.h: who may ask for what, and how much of it.
//
// An owner (a provider, a model, a virtual key, one provider of a virtual key, a team, a customer)
// has limits: budgets in money, rate limits in requests and in tokens. A request meets the limits
// of every owner it belongs to. All of it is in the snapshot; what has been used is in the ledger
// (ledger.h), where a budget or a rate limit is one counter, however many owners name it.
//
//   head ──identify──► virtual key, or nobody
//                        │ 401 required, 403 unknown, inactive, expired: nothing is read
//   body ──route──────► targets; a bare model goes by the key's weights
//                        │
//   each target ──allow──► 403: provider, model
//               ──admit──► every limit reserves its estimate, in one order; the first that is
//                        │ passed refuses (402, 429) and all before it are given back
//                        ▼
//               answered: settle(actual) ─── or it came to nothing: release
//
// Deny by default: a virtual key serves the providers, models and keys that it names and no others.
#ifndef RINGGATE_GATEWAY_GOVERNANCE_H
#define RINGGATE_GATEWAY_GOVERNANCE_H

#include "base/clock.h"
#include "base/map.h"
#include "gateway/ledger.h"

struct config;
struct config_provider;
struct exchange;
struct failure;

// Limits that one request meets, all owners together; a file in which some request could meet more
// is refused.
#define GOVERNANCE_LIMITS_MAX 32

// A model that has limits; the file may name no longer one.
#define GOVERNANCE_MODEL_BYTES_MAX 512

enum governance_unit {
    GOVERNANCE_REQUESTS,
    GOVERNANCE_TOKENS,
    GOVERNANCE_MONEY, // 10⁻¹² dollars
};

// In the order in which messages name them.
enum governance_level {
    GOVERNANCE_PROVIDER,
    GOVERNANCE_MODEL,
    GOVERNANCE_KEY_PROVIDER, // one provider of a virtual key
    GOVERNANCE_KEY,
    GOVERNANCE_TEAM,
    GOVERNANCE_BUSINESS_UNIT,
    GOVERNANCE_CUSTOMER,
    GOVERNANCE_KEY_MODEL, // a model of a virtual key
    GOVERNANCE_LEVEL_COUNT
};

struct governance_limit {
    struct ledger_limit ledger; // its counter is NULL without a ledger (--check-config)
    enum governance_unit unit;
    struct slice id;      // of the budget or rate limit, as the file has it
    struct slice counter; // "budget/<id>", "tokens/<id>", "requests/<id>": in ledger and store
    struct slice period;  // "1d", for messages
};

struct governance_owner {
    enum governance_level level;
    struct slice id, name;
    const struct governance_limit **rates; // requests, then tokens
    const struct governance_limit **budgets;
    unsigned rate_count, budget_count;
    const struct governance_owner *above; // a key's team or customer, a team's customer
    const struct governance_owner *unit;  // a team's business unit
};

// One provider of a virtual key.
struct governance_grant {
    const struct config_provider *provider;
    double weight;
    bool weighted;   // false: takes no part in the draw
    bool all_models; // "*"
    bool no_models;  // the blacklist is "*"
    struct slice *models, *blacklist;
    unsigned model_count, blacklist_count;
    const bool *keys; // by the provider's index of keys; NULL: all
    struct governance_owner owner;
};

struct virtual_key {
    struct slice id, name;
    struct slice value; // secret
    bool active;
    struct wall expires; // ns 0: never
    struct governance_grant *grants;
    unsigned grant_count;
    struct governance_owner owner; // `above`: its team or customer
};

// model_configs: limits of one model, or of all ("*").
struct governance_model {
    const struct config_provider *provider; // NULL: of any
    const struct virtual_key *key;          // NULL: whoever asks
    struct governance_owner owner;
    struct governance_model *next; // of the same name
};

struct governance {
    struct virtual_key *keys;
    unsigned key_count;
    struct map key_by_value;
    struct governance_owner *customers, *teams;
    unsigned customer_count, team_count;
    struct governance_owner **provider; // by index; an entry may be NULL; NULL: none has limits
    struct map model_by_name;           // governance_model_name → struct governance_model, a list
    struct governance_model *every_model;
    bool enforced; // a request without a virtual key is refused
};

// NULL: no such key.
const struct virtual_key *governance_find_key(const struct governance *g, struct slice value);
// The key's grant for a provider; NULL: not allowed.
const struct governance_grant *governance_grant(const struct virtual_key *key,
                                                const struct config_provider *provider);
// Does the grant allow this model? `base` is the catalogue's name for what `model` is a version of,
// or empty.
bool governance_allows_model(const struct governance_grant *grant, struct slice model,
                             struct slice base);
// The name by which a model's limits are found, in `space` of GOVERNANCE_MODEL_BYTES_MAX: vendors
// take "GPT-4o" for "gpt-4o", so its limits are the same. Empty: too long to have any.
struct slice governance_model_name(char *space, struct slice name);
// Is it on the grant's blacklist?
bool governance_refuses_model(const struct governance_grant *grant, struct slice model);
// Everything that a request of `key` (NULL: nobody's) for this model at this provider has to pass,
// in the order in which it is tried. Returns how many of GOVERNANCE_LIMITS_MAX.
struct governance_gate {
    const struct governance_limit *limit;
    const struct governance_owner *owner;
};
unsigned governance_gates(const struct governance *g, const struct virtual_key *key,
                          const struct config_provider *provider, struct slice model,
                          struct governance_gate *ret);
// What an alias of one of the provider's keys makes of a client's name; empty: it is no alias.
struct slice governance_alias_of(const struct config_provider *provider, struct slice model);

#endif
