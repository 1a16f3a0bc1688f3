// SPDX-License-Identifier: Apache-2.0
//
// route.c: the inference paths.
//
// Each operation of OpenAI's stands on the unified mount, twice on the OpenAI one, whose SDKs are
// pointed at /openai/v1 or at /openai, and on the frameworks'. GET on a responses path is let in to
// be told 426: clients that prefer a WebSocket fall back at once on that status. Anthropic's SDK
// and Claude Code are pointed at /anthropic, which some of them probe with HEAD.
//
// Azure's SDK names the deployment in the path and says /openai itself, behind our /openai. The
// longer tails come first: a deployment's name may hold slashes.

#include "gateway/route.h"
#include "base/container.h"
#include "gateway/exchange.h"

#define POST (1u << HTTP_POST)
#define GET  (1u << HTTP_GET)

#define OPENAI(prefix, mount)                                                                      \
    {prefix "/chat/completions", POST, (mount), OP_CHAT, serve_inference_await},                   \
        {prefix "/completions", POST, (mount), OP_TEXT, serve_inference_await},                    \
        {prefix "/embeddings", POST, (mount), OP_EMBEDDING, serve_inference_await},                \
        {prefix "/responses", POST | GET, (mount), OP_RESPONSES, serve_inference_await},           \
        {prefix "/responses/input_tokens", POST, (mount), OP_INPUT_TOKENS, serve_inference_await}, \
    {                                                                                              \
        prefix "/models", GET, (mount), OP_LIST_MODELS, serve_models_await                         \
    }
#define MESSAGES(path)                                                                             \
    {                                                                                              \
        path, POST, MOUNT_ANTHROPIC, OP_MESSAGES, serve_inference_await                            \
    }
#define COUNT_TOKENS(path)                                                                         \
    {                                                                                              \
        path, POST, MOUNT_ANTHROPIC, OP_COUNT_TOKENS, serve_inference_await                        \
    }
#define DEPLOYMENT(tail, methods, op, serve)                                                       \
    {                                                                                              \
        "/openai/openai/deployments/{id}" tail, (methods), MOUNT_AZURE, (op), (serve)              \
    }

const struct route gateway_routes[] = {
    OPENAI("/v1", MOUNT_UNIFIED),
    OPENAI("/openai/v1", MOUNT_OPENAI),
    OPENAI("/openai", MOUNT_OPENAI),
    OPENAI("/litellm/v1", MOUNT_OPENAI),
    OPENAI("/langchain/v1", MOUNT_OPENAI),
    OPENAI("/pydanticai/v1", MOUNT_OPENAI),
    DEPLOYMENT("/chat/completions", POST, OP_CHAT, serve_inference_await),
    DEPLOYMENT("/completions", POST, OP_TEXT, serve_inference_await),
    DEPLOYMENT("/embeddings", POST, OP_EMBEDDING, serve_inference_await),
    DEPLOYMENT("/responses", POST | GET, OP_RESPONSES, serve_inference_await),
    DEPLOYMENT("/models", GET, OP_LIST_MODELS, serve_models_await),
    {"/anthropic", GET, MOUNT_ANTHROPIC, OP_MESSAGES, serve_probe_await},
    MESSAGES("/anthropic/v1/messages"),
    MESSAGES("/anthropic/messages"),
    {"/anthropic/v1/complete", POST, MOUNT_ANTHROPIC, OP_COMPLETE, serve_inference_await},
    COUNT_TOKENS("/anthropic/v1/messages/count_tokens"),
    {"/anthropic/v1/models", GET, MOUNT_ANTHROPIC, OP_LIST_MODELS, serve_models_await},
    MESSAGES("/litellm/anthropic/v1/messages"),
    MESSAGES("/langchain/anthropic/v1/messages"),
    COUNT_TOKENS("/langchain/anthropic/v1/messages/count_tokens"),
    MESSAGES("/pydanticai/anthropic/v1/messages"),
};
const unsigned gateway_route_count = ARRAY_LEN(gateway_routes);
