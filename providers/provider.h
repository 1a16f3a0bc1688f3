// SPDX-License-Identifier: Apache-2.0
//
// provider.h: who the vendors are, a row each.
//
// A row says what sets one vendor apart: its name in `provider/model`, where it lives, which
// operations it has under which path, and the short list of edits its flavour of the dialect needs.
// Adding an OpenAI-compatible vendor is adding a row (docs/providers.md). Rows are constant; what a
// user configures (keys, base_url, overrides) is in gateway/config.h.
//
// Pure; any thread.
#ifndef RINGGATE_PROVIDERS_PROVIDER_H
#define RINGGATE_PROVIDERS_PROVIDER_H

#include "base/slice.h"

// An endpoint of a vendor, each with one dialect. X(token, name as in extra_fields.request_type and
// allowed_requests, streamed name or NULL, name in messages). Several endpoints may serve one type
// of request: what Anthropic calls messages is a responses request to Bifrost.
#define OPERATION_MAP(X)                                                                           \
    X(CHAT, "chat_completion", "chat_completion_stream", "chat completion")                        \
    X(TEXT, "text_completion", "text_completion_stream", "text completion")                        \
    X(EMBEDDING, "embedding", NULL, "embedding")                                                   \
    X(RESPONSES, "responses", "responses_stream", "responses")                                     \
    X(LIST_MODELS, "list_models", NULL, "list models")                                             \
    X(MESSAGES, "responses", "responses_stream", "messages")                                       \
    X(COMPLETE, "text_completion", "text_completion_stream", "completion")                         \
    X(COUNT_TOKENS, "count_tokens", NULL, "count tokens")                                          \
    X(INPUT_TOKENS, "count_tokens", NULL, "count tokens")

enum operation {
#define X(token, name, stream, text) OP_##token,
    OPERATION_MAP(X)
#undef X
        OPERATION_COUNT
};

// "chat_completion" or "chat_completion_stream".
struct slice operation_name(enum operation op, bool stream);
// Can it be streamed at all?
bool operation_streams(enum operation op);

// An edit of a top-level request member that a vendor needs; applied by splicing (docs/relay.md).
enum provider_edit_kind {
    EDIT_DROP,       // the member goes
    EDIT_RENAME,     // the member is called `to`; dropped when `to` is there already
    EDIT_DROP_LONG,  // a string longer than `limit` characters goes
    EDIT_REASONING,  // {"reasoning":{"effort":e}} becomes `to`: e (minimal → low)
    EDIT_CHOICE_ANY, // a tool_choice object becomes "any"
    EDIT_FLOOR,      // an integer below `limit` becomes `limit`
};

// Edits of one row for one operation. With the model, `fallbacks` and `stream_options` they fit
// JSON_EDITS_MAX (a row this long has no stream_usage).
#define PROVIDER_EDITS_MAX 14

struct provider_edit {
    enum provider_edit_kind kind;
    unsigned operations; // bit set of 1u << enum operation
    struct slice member;
    struct slice to;
    unsigned limit;
};

// How a key travels.
enum provider_auth {
    AUTH_BEARER,    // authorization: Bearer <key>
    AUTH_X_API_KEY, // x-api-key: <key>
    AUTH_AZURE,     // api-key: <key>, at Claude's endpoints x-api-key; or an Entra bearer token
};

// Stands for the model, percent-encoded, and for the key's api_version in a row's path.
#define PROVIDER_PATH_MODEL   SLICE("{model}")
#define PROVIDER_PATH_VERSION SLICE("{api_version}")

// Operations whose dialect is Anthropic's; a vendor that has both kinds (azure) serves Claude by
// these and all other models by the rest.
#define PROVIDER_CLAUDE_OPERATIONS (1u << OP_MESSAGES | 1u << OP_COMPLETE | 1u << OP_COUNT_TOKENS)

struct provider_row {
    struct slice name;
    struct slice base_url; // empty: the user's base_url or the key's own url
    // Appended to the base URL; empty: the vendor does not have the operation.
    struct slice path[OPERATION_COUNT];
    enum provider_auth auth;
    bool path_templates;    // a path holds {model} or {api_version}
    bool by_family;         // Claude and other models have different endpoints
    bool prefers_responses; // what comes as messages goes to its responses rather than to its chat
    bool anthropic;         // Anthropic's own rules: version and beta fields, the caller's OAuth
    // Chat has OpenAI's newer name for the token limit; else what was translated says max_tokens.
    bool max_completion_tokens;
    // Chat takes reasoning_details of an assistant's message back; all others get no thoughts.
    bool keeps_thoughts;
    bool streams_text; // text completions can be streamed
    bool stream_usage; // sends usage only when stream_options.include_usage asks for it
    bool key_optional; // an empty key value is fine
    bool url_per_key;  // each key has a url of its own (ollama, sgl, vllm; azure: an endpoint)
    const struct provider_edit *edits;
    unsigned edit_count;
    const char *environment[2]; // variables with a key, for start without a file
};

// NULL when there is no such vendor served by this build. Names are lower case.
const struct provider_row *provider_find(struct slice name);
// Every name Bifrost knows, also those not served yet: a custom provider may not take one.
bool provider_is_standard(struct slice name);
// Iterates those names; empty past the end.
struct slice provider_standard_at(unsigned index);
// Iterates the rows; NULL past the end.
const struct provider_row *provider_at(unsigned index);

// Does the row have the operation for this model? `claude`: the model is one of Claude's (or, for
// rows that are not by_family, anything).
bool provider_has(const struct provider_row *row, enum operation op, bool claude);
// Is a model, by its name, one of Claude's? Case-insensitive.
bool provider_is_claude(struct slice model);
// The field that carries a key for this operation, lower case.
struct slice provider_auth_field(const struct provider_row *row, enum operation op);

// True when an error text or code says "slow down" in any of the vendors' ways: retries then go to
// the next key. Case-insensitive substring search over a bounded prefix of `text`.
bool provider_is_rate_limit(struct slice text);

#endif
