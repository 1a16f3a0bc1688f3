// SPDX-License-Identifier: Apache-2.0
//
// models.h: one list of models out of many providers'.
//
//   GET /models ─┬─ fiber ─► provider A ─► text ─┐
//                ├─ fiber ─► provider B ─► text ─┼─► merge, filter by keys, add aliases ─► page
//                └─ fiber ─► provider C ✗        ┘
//
// A provider that fails is left out; when all fail the first failure is the answer. A provider
// without a list of its own contributes what its keys name. Not a hot path: documents are parsed.
#ifndef RINGGATE_GATEWAY_MODELS_H
#define RINGGATE_GATEWAY_MODELS_H

#include "base/buf.h"
#include "gateway/exchange.h"

// One provider's list; a provider that sends more is cut off and counts as failed.
#define MODELS_BYTES_MAX (8u * 1024 * 1024)
// Models of one answer; stops lists from multiplying.
#define MODELS_MAX 20000
// The page we answer with.
#define MODELS_PAGE_BYTES_MAX (64u * 1024 * 1024)
// Servers asked for one provider (ollama and its kind have one for each key).
#define MODELS_ASKS_MAX 16

// What one provider said: a text for each server asked, when it has a list at all.
struct models_source {
    const struct config_provider *provider;
    const struct governance_grant *grant; // of whom is asking; NULL: everything may be seen
    struct slice text[MODELS_ASKS_MAX];
    unsigned texts;
};

struct models_query {
    struct slice provider;            // empty: all
    uint64_t page_size;               // 0: everything
    uint64_t offset;                  // from page_token
    struct slice after_id, before_id; // Anthropic's pages: behind this model, or before it
};

// A page of the Anthropic API, when the client does not say, and the longest.
#define MODELS_LIMIT_DEFAULT 20
#define MODELS_LIMIT_MAX     1000

// Reads the query string: page_size and page_token; on an Anthropic mount limit, after_id and
// before_id, decoded in the arena. 0, ERR_NOMEM, or ERR_BAD_TYPE with the parameter at fault. Pure.
int models_query_parse(enum mount mount, struct slice query, struct arena *arena,
                       struct models_query *ret, struct slice *ret_param);

// Writes the answer of a mount: `data` from the sources, in their order. 0, ERR_NOMEM (buf's), or
// ERR_NOT_FOUND when there is no model after_id or before_id.
int models_write(enum mount mount, const struct models_source *sources, unsigned count,
                 const struct models_query *query, const uint64_t seed[2], int64_t latency_ms,
                 struct buf *out);

#endif
