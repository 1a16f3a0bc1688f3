// SPDX-License-Identifier: Apache-2.0
//
// route_table_test.c: exact paths, one trailing slash, no duplicates.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "gateway/route.h"

static void serve(struct exchange *x, struct fiber *self)
{
    (void)x;
    (void)self;
}

static const struct route rows[] = {
    {.path = "/v1/models", .methods = 1u << HTTP_GET, .serve_await = serve},
    {.path = "/health", .methods = 1u << HTTP_GET, .serve_await = serve},
    {.path = "/", .methods = 1u << HTTP_GET, .serve_await = serve},
};

static void paths_are_matched_exactly(void **state)
{
    (void)state;
    struct route_table t;
    uint64_t seed[2] = {1, 2};
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, rows, 3), 0);
    assert_ptr_equal(route_find(&t, SLICE("/v1/models")), &rows[0]);
    assert_ptr_equal(route_find(&t, SLICE("/v1/models/")), &rows[0]);
    assert_ptr_equal(route_find(&t, SLICE("/")), &rows[2]);
    assert_null(route_find(&t, SLICE("/v1/models//")));
    assert_null(route_find(&t, SLICE("/v1/Models")));
    assert_null(route_find(&t, SLICE("/v1/model")));
    assert_null(route_find(&t, SLICE("/v1/modelsx")));
    assert_null(route_find(&t, SLICE_EMPTY));
    assert_null(route_find(&t, SLICE("*")));
    route_table_done(&t);
}

static void a_path_has_one_row(void **state)
{
    (void)state;
    struct route_table t;
    uint64_t seed[2] = {1, 2};
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, rows, 3), 0);
    assert_int_equal(route_table_add(&t, &rows[1], 1), ERR_DUPLICATE);
    route_table_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_matched_exactly),
        cmocka_unit_test(a_path_has_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
