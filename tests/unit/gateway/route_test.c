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

static const struct {
    const char *tail;
    unsigned methods;
    enum operation operation;
} expected[] = {
    {"/chat/completions", 1u << HTTP_POST, OP_CHAT},
    {"/completions", 1u << HTTP_POST, OP_TEXT},
    {"/embeddings", 1u << HTTP_POST, OP_EMBEDDING},
    {"/responses", 1u << HTTP_POST | 1u << HTTP_GET, OP_RESPONSES},
    {"/models", 1u << HTTP_GET, OP_LIST_MODELS},
};

static void every_operation_stands_on_every_mount(void **state)
{
    static const struct {
        const char *prefix;
        enum mount mount;
    } mounts[] = {{"/v1", MOUNT_UNIFIED}, {"/openai/v1", MOUNT_OPENAI}, {"/openai", MOUNT_OPENAI}};
    struct route_table t;
    uint64_t seed[2] = {1, 2};
    (void)state;
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, gateway_routes, gateway_route_count), 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        for (size_t m = 0; m < ARRAY_LEN(mounts); m++) {
            char path[64];
            snprintf(path, sizeof(path), "%s%s", mounts[m].prefix, expected[i].tail);
            const struct route *r = route_find(&t, slice_str(path));
            assert_non_null(r);
            assert_int_equal(r->mount, mounts[m].mount);
            assert_int_equal(r->operation, expected[i].operation);
            assert_int_equal(r->methods, expected[i].methods);
            assert_true(r->serve_await == (r->operation == OP_LIST_MODELS ? serve_models_await
                                                                          : serve_inference_await));
        }
    }
    assert_int_equal(gateway_route_count, ARRAY_LEN(expected) * ARRAY_LEN(mounts));
    route_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_operation_stands_on_every_mount)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
