// SPDX-License-Identifier: Apache-2.0
//
// route_test.c: the inference paths stand on every mount, each with its operation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "gateway/exchange.h"
#include "gateway/route.h"
#include <stdio.h>

// The rows only name them.
void serve_inference_await(struct exchange *x, struct fiber *self)
{
    (void)x;
    (void)self;
}

void serve_models_await(struct exchange *x, struct fiber *self)
{
    (void)x;
    (void)self;
}

void serve_probe_await(struct exchange *x, struct fiber *self)
{
    (void)x;
    (void)self;
}

static const struct {
    const char *tail;
    unsigned methods;
    enum operation operation;
} expected[] = {
    {"/chat/completions", 1u << HTTP_POST, OP_CHAT},
    {"/completions", 1u << HTTP_POST, OP_TEXT},
    {"/embeddings", 1u << HTTP_POST, OP_EMBEDDING},
    {"/responses", 1u << HTTP_POST | 1u << HTTP_GET, OP_RESPONSES},
    {"/responses/input_tokens", 1u << HTTP_POST, OP_INPUT_TOKENS},
    {"/models", 1u << HTTP_GET, OP_LIST_MODELS},
};

static void every_operation_stands_on_every_mount(void **state)
{
    static const struct {
        const char *prefix;
        enum mount mount;
    } mounts[] = {{"/v1", MOUNT_UNIFIED},          {"/openai/v1", MOUNT_OPENAI},
                  {"/openai", MOUNT_OPENAI},       {"/litellm/v1", MOUNT_OPENAI},
                  {"/langchain/v1", MOUNT_OPENAI}, {"/pydanticai/v1", MOUNT_OPENAI}};
    struct route_table t;
    struct slice part;
    uint64_t seed[2] = {1, 2};
    (void)state;
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, gateway_routes, gateway_route_count), 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        for (size_t m = 0; m < ARRAY_LEN(mounts); m++) {
            char path[64];
            snprintf(path, sizeof(path), "%s%s", mounts[m].prefix, expected[i].tail);
            const struct route *r = route_find(&t, slice_str(path), &part);
            assert_non_null(r);
            assert_int_equal(r->mount, mounts[m].mount);
            assert_int_equal(r->operation, expected[i].operation);
            assert_int_equal(r->methods, expected[i].methods);
            assert_true(r->serve_await == (r->operation == OP_LIST_MODELS ? serve_models_await
                                                                          : serve_inference_await));
        }
    }
    route_table_done(&t);
}

static void other_apis_stand_where_their_sdks_look(void **state)
{
    static const struct {
        const char *path;
        unsigned methods;
        enum mount mount;
        enum operation operation;
        const char *part;
    } cases[] = {
        {"/anthropic/", 1u << HTTP_GET, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/anthropic/v1/messages", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/anthropic/messages", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/anthropic/v1/complete", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_COMPLETE, ""},
        {"/anthropic/v1/messages/count_tokens", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_COUNT_TOKENS,
         ""},
        {"/anthropic/v1/models", 1u << HTTP_GET, MOUNT_ANTHROPIC, OP_LIST_MODELS, ""},
        {"/litellm/anthropic/v1/messages", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/langchain/anthropic/v1/messages", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/langchain/anthropic/v1/messages/count_tokens", 1u << HTTP_POST, MOUNT_ANTHROPIC,
         OP_COUNT_TOKENS, ""},
        {"/pydanticai/anthropic/v1/messages", 1u << HTTP_POST, MOUNT_ANTHROPIC, OP_MESSAGES, ""},
        {"/openai/openai/deployments/my-gpt/chat/completions", 1u << HTTP_POST, MOUNT_AZURE,
         OP_CHAT, "my-gpt"},
        {"/openai/openai/deployments/groq/llama/completions", 1u << HTTP_POST, MOUNT_AZURE, OP_TEXT,
         "groq/llama"},
        {"/openai/openai/deployments/e/embeddings", 1u << HTTP_POST, MOUNT_AZURE, OP_EMBEDDING,
         "e"},
        {"/openai/openai/deployments/r/responses", 1u << HTTP_POST | 1u << HTTP_GET, MOUNT_AZURE,
         OP_RESPONSES, "r"},
        {"/openai/openai/deployments/m/models", 1u << HTTP_GET, MOUNT_AZURE, OP_LIST_MODELS, "m"},
    };
    struct route_table t;
    uint64_t seed[2] = {1, 2};
    (void)state;
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, gateway_routes, gateway_route_count), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice part;
        const struct route *r = route_find(&t, slice_str(cases[i].path), &part);
        if (!r)
            fail_msg("%s", cases[i].path);
        assert_int_equal(r->methods, cases[i].methods);
        assert_int_equal(r->mount, cases[i].mount);
        assert_int_equal(r->operation, cases[i].operation);
        assert_true(slice_eq(part, slice_str(cases[i].part)));
    }
    struct slice part;
    assert_null(route_find(&t, SLICE("/v1/messages"), &part));
    assert_null(route_find(&t, SLICE("/litellm/anthropic/v1/messages/count_tokens"), &part));
    route_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_stands_on_every_mount),
        cmocka_unit_test(other_apis_stand_where_their_sdks_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
