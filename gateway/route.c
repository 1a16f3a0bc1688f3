// SPDX-License-Identifier: Apache-2.0
//
// route.c: the inference paths.
//
// Each operation stands on the unified mount and twice on the OpenAI one, whose SDKs are pointed at
// /openai/v1 or at /openai. GET on a responses path is let in to be told 426: clients that prefer a
// WebSocket fall back at once on that status.

#include "gateway/route.h"
#include "base/container.h"
#include "gateway/exchange.h"

#define POST (1u << HTTP_POST)
#define GET  (1u << HTTP_GET)

#define ON_ALL_MOUNTS(tail, methods, op, serve)                                                    \
    {"/v1" tail, (methods), MOUNT_UNIFIED, (op), (serve)},                                         \
        {"/openai/v1" tail, (methods), MOUNT_OPENAI, (op), (serve)},                               \
    {                                                                                              \
        "/openai" tail, (methods), MOUNT_OPENAI, (op), (serve)                                     \
    }

const struct route gateway_routes[] = {
    ON_ALL_MOUNTS("/chat/completions", POST, OP_CHAT, serve_inference_await),
    ON_ALL_MOUNTS("/completions", POST, OP_TEXT, serve_inference_await),
    ON_ALL_MOUNTS("/embeddings", POST, OP_EMBEDDING, serve_inference_await),
    ON_ALL_MOUNTS("/responses", POST | GET, OP_RESPONSES, serve_inference_await),
    ON_ALL_MOUNTS("/models", GET, OP_LIST_MODELS, serve_models_await),
};
const unsigned gateway_route_count = ARRAY_LEN(gateway_routes);
