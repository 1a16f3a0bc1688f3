// SPDX-License-Identifier: Apache-2.0
//
// raw_test.c: who is shown what, and what the members look like.
#include "gateway/raw.h"
#include "gateway/request.h"
#include "tests/unit/gateway/fixture.h"

static void members(const char *request, const char *response, bool one_line, const char *want)
{
    struct block_pool pool;
    struct arena arena;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 1 << 16);
    struct slice got = raw_members(&arena, slice_str(request), slice_str(response), one_line);
    assert_non_null(got.ptr);
    if (!slice_eq(got, slice_str(want)))
        fail_msg("%.*s", SLICE_ARG(got));
    arena_done(&arena);
    block_pool_done(&pool);
}

static void what_is_there_is_said(void **state)
{
    (void)state;
    members("", "", false, "");
    members("{\"a\":1}", "", false, ",\"raw_request\":{\"a\":1}");
    members("", "{\"b\":2}", false, ",\"raw_response\":{\"b\":2}");
    members("{\"a\":1}", "{\"b\":2}", true,
            ",\"raw_request\":{\"a\":1},\"raw_response\":{\"b\":2}");
    // A line end inside an event would end its line.
    members("", "{\n \"b\":2\r\n}", true, ",\"raw_response\":{  \"b\":2  }");
    members("", "{\n \"b\":2\n}", false, ",\"raw_response\":{\n \"b\":2\n}");
    members("", "[DONE]", true, ",\"raw_response\":\"[DONE]\"");
    members("", "<p>\"no\"\n", true, ",\"raw_response\":\"<p>\\\"no\\\"\\n\"");
}

static void what_is_too_long_is_left_out(void **state)
{
    static char text[RAW_BYTES_MAX + 1];
    struct block_pool pool;
    struct arena arena;
    (void)state;
    memset(text, ' ', sizeof(text));
    text[0] = '{';
    text[RAW_BYTES_MAX - 1] = '}';
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 4 * RAW_BYTES_MAX);
    struct slice got = raw_members(&arena, SLICE_EMPTY, slice_of(text, RAW_BYTES_MAX), false);
    assert_int_equal(got.len, RAW_BYTES_MAX + strlen(",\"raw_response\":"));
    got = raw_members(&arena, SLICE_EMPTY, slice_of(text, RAW_BYTES_MAX + 1), false);
    assert_int_equal(got.len, 0);
    assert_non_null(got.ptr);
    arena_done(&arena);
    arena_init(&arena, &pool, 0);
    assert_null(raw_members(&arena, SLICE("{}"), SLICE_EMPTY, false).ptr);
    assert_null(raw_members(&arena, SLICE_EMPTY, SLICE("no object"), false).ptr);
    assert_null(raw_members(&arena, SLICE_EMPTY, SLICE("{\n}"), true).ptr);
    arena_done(&arena);
    block_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_said),
        cmocka_unit_test(what_is_too_long_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
