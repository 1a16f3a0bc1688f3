// SPDX-License-Identifier: Apache-2.0
//
// catalog.h: the models that are known and what they cost.
//
// The text is a datasheet: a JSON object whose members are named "provider/model" (or only by the
// model) and say `provider`, `mode`, rates by the names of price.h, and how many tokens go in and
// out. A small one is built in, so that the usual models have prices without any network; the one
// that framework.pricing names replaces it whole. A row that makes no sense is skipped and counted:
// one typing error must not take all prices away.
//
// Looking up goes from the exact to the near: the mode of the operation, then chat for what is
// answered by chat, then the spellings that vendors of other vendors' models use.
//
// A catalogue is immutable once read, and belongs to whoever keeps it. Reading allocates and takes
// milliseconds: off the data path. Looking up is for any thread.
#ifndef RINGGATE_PROVIDERS_CATALOG_H
#define RINGGATE_PROVIDERS_CATALOG_H

#include "providers/price.h"
#include "providers/provider.h"

// A datasheet; the public ones have two.
#define CATALOG_BYTES_MAX (32 * 1024 * 1024)
// Models; the public ones have three thousand.
#define CATALOG_MODELS_MAX 100000
// A name of a model with its provider and mode; longer ones have no price.
#define CATALOG_NAME_BYTES_MAX 512

struct catalog;

struct catalog_model {
    struct price price;
    struct slice provider, model, mode, base_model; // base_model: empty when it is itself
    uint32_t max_input_tokens, max_output_tokens;   // 0: not said
};

// 0; ERR_BAD_JSON, ERR_BAD_TYPE (no object, or no row of it makes sense), ERR_LIMIT, ERR_NOMEM,
// ERR_SYSTEM (no randomness), with a static sentence in *ret_reason.
int catalog_new(struct slice text, struct catalog **ret, const char **ret_reason);
void catalog_free(struct catalog *c); // NULL is fine
// The datasheet of the program itself.
struct slice catalog_built_in(void);

unsigned catalog_count(const struct catalog *c);
unsigned catalog_skipped(const struct catalog *c); // rows that made no sense
// In the order of the text; NULL past the end.
const struct catalog_model *catalog_at(const struct catalog *c, unsigned index);
// `vendor` is the name of the row that serves (an OpenAI-compatible provider of the user's own has
// its base's). NULL: not known.
const struct catalog_model *catalog_find(const struct catalog *c, struct slice vendor,
                                         struct slice model, enum operation op);

#endif
