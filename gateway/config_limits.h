// SPDX-License-Identifier: Apache-2.0
//
// config_limits.h: budgets and rate limits while a snapshot is built: found by id, taken by owners.
//
// One thread, off the data path, as config_build.h.
#ifndef RINGGATE_GATEWAY_CONFIG_LIMITS_H
#define RINGGATE_GATEWAY_CONFIG_LIMITS_H

#include "gateway/config_build.h"
#include "gateway/governance.h"

// An id comes from a file or from the management API and goes into keys of the store.
#define CONFIG_LIMIT_ID_BYTES_MAX 100

// A rate limit: requests, tokens, or both.
struct config__rate {
    struct governance_limit *half[2];
    unsigned count;
};

// A limit that has an owner. It is one counter, with one window: when one of several owners wants
// the calendar's, all get it.
struct config__owned {
    struct governance_limit *limit;
    unsigned owners, aligned; // and those of them that say calendar_aligned
    bool itself;              // so does the limit, as in old files
};

struct config__limits {
    struct map budgets; // id → struct governance_limit
    struct map rates;   // id → struct config__rate
    struct map owned;   // counter → struct config__owned
};
void config__limits_init(struct config__limits *l, const uint64_t seed[2]);
void config__limits_done(struct config__limits *l);

// governance.budgets and governance.rate_limits; `up` is governance.
void config__load_limits(struct config_builder *b, struct config__limits *l,
                         const struct config_path *up, yyjson_val *governance);
// A budget that stands in its owner; NULL when something was said.
struct governance_limit *config__budget(struct config_builder *b, struct config__limits *l,
                                        const struct config_path *at, yyjson_val *object);

// The owner takes a budget, one by its id, or the rate limit that its `rate_limit_id` names.
void config__own_budget(struct config_builder *b, struct config__limits *l,
                        struct governance_owner *owner, struct governance_limit *limit);
void config__own_budget_id(struct config_builder *b, struct config__limits *l,
                           const struct config_path *at, struct slice id,
                           struct governance_owner *owner);
void config__own_rate(struct config_builder *b, struct config__limits *l,
                      const struct config_path *up, yyjson_val *object,
                      struct governance_owner *owner);
// This owner, which has all its limits, says calendar_aligned: they count by the calendar.
void config__align(struct config__limits *l, const struct governance_owner *owner);
// When all is handed out: speaks about limits that nobody owns, and that owners disagree about.
void config__speak_of_limits(struct config_builder *b, const struct config__limits *l,
                             const struct config_path *up, yyjson_val *governance);

// A time of RFC 3339; false when it is absent or was spoken about.
bool config__time(struct config_builder *b, const struct config_path *up, yyjson_val *object,
                  const char *member, struct wall *ret);

#endif
