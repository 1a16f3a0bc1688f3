// SPDX-License-Identifier: Apache-2.0
//
// route_table_test.c: exact paths, one trailing slash, no duplicates; paths with a part that names.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
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
    struct slice part;
    uint64_t seed[2] = {1, 2};
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, rows, 3), 0);
    assert_ptr_equal(route_find(&t, SLICE("/v1/models"), &part), &rows[0]);
    assert_ptr_equal(route_find(&t, SLICE("/v1/models/"), &part), &rows[0]);
    assert_ptr_equal(route_find(&t, SLICE("/"), &part), &rows[2]);
    assert_null(route_find(&t, SLICE("/v1/models//"), &part));
    assert_null(route_find(&t, SLICE("/v1/Models"), &part));
    assert_null(route_find(&t, SLICE("/v1/model"), &part));
    assert_null(route_find(&t, SLICE("/v1/modelsx"), &part));
    assert_null(route_find(&t, SLICE_EMPTY, &part));
    assert_null(route_find(&t, SLICE("*"), &part));
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

static const struct route wild[] = {
    {.path = "/d/{id}/chat/completions", .methods = 1u << HTTP_POST, .serve_await = serve},
    {.path = "/d/{id}/completions", .methods = 1u << HTTP_POST, .serve_await = serve},
    {.path = "/d/a/completions", .methods = 1u << HTTP_POST, .serve_await = serve},
};

static void a_part_of_a_path_is_given(void **state)
{
    static const struct {
        const char *path;
        int row; // -1: none
        const char *part;
    } cases[] = {
        {"/d/gpt-4o/chat/completions", 0, "gpt-4o"},
        {"/d/gpt-4o/completions/", 1, "gpt-4o"},
        {"/d/groq/llama%2F3/chat/completions", 0, "groq/llama%2F3"},
        {"/d/a/completions", 2, ""},
        {"/d//completions", -1, ""},
        {"/d/completions", -1, ""},
        {"/d//x/completions", -1, ""},
        {"/d/x//completions", -1, ""},
        {"/d/x/embeddings", -1, ""},
        {"/e/x/completions", -1, ""},
    };
    struct route_table t;
    uint64_t seed[2] = {1, 2};
    (void)state;
    assert_int_equal(route_table_init(&t, seed), 0);
    assert_int_equal(route_table_add(&t, wild, 3), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct slice part = SLICE("?");
        const struct route *row = route_find(&t, slice_str(cases[i].path), &part);
        assert_ptr_equal(row, cases[i].row < 0 ? NULL : &wild[cases[i].row]);
        assert_true(slice_eq(part, slice_str(cases[i].part)));
    }
    route_table_done(&t);
}

static void escapes_are_decoded(void **state)
{
    static const char *const cases[][2] = {
        {"plain", "plain"}, {"a%2Fb%2fc", "a/b/c"}, {"%", "%"},
        {"%4", "%4"},       {"%zz%41", "%zzA"},     {"a+b", "a+b"},
    };
    struct block_pool pool;
    struct arena arena;
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_true(slice_eq(route_decode(&arena, slice_str(cases[i][0])), slice_str(cases[i][1])));
    arena_done(&arena);
    arena_init(&arena, &pool, 0);
    assert_null(route_decode(&arena, SLICE("x")).ptr);
    arena_done(&arena);
    block_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_matched_exactly),
        cmocka_unit_test(a_path_has_one_row),
        cmocka_unit_test(a_part_of_a_path_is_given),
        cmocka_unit_test(escapes_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
