// SPDX-License-Identifier: Apache-2.0
//
// json_write_test.c: commas, pieces, growth, and what happens without memory.
#include "codec/json_write.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct json_writer w;
};

static void desk_open(struct desk *d, size_t bytes_max, size_t guess)
{
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, bytes_max);
    json_writer_init(&d->w, &d->arena, guess);
}

static void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

static void expect(struct desk *d, const char *text)
{
    struct slice got;
    assert_int_equal(json_writer_done(&d->w, &got), 0);
    assert_int_equal(got.len, strlen(text));
    assert_memory_equal(got.ptr, text, got.len);
}

static void commas_stand_between_values_and_nowhere_else(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20, 0);
    json_object(&d.w);
    json_member(&d.w, SLICE("absent"), SLICE_EMPTY);
    json_member(&d.w, SLICE("a"), SLICE("1.50"));
    json_key(&d.w, SLICE("b"));
    json_array(&d.w);
    json_object(&d.w);
    json_object_end(&d.w);
    json_null(&d.w);
    json_bool(&d.w, true);
    json_array(&d.w);
    json_array_end(&d.w);
    json_array_end(&d.w);
    json_member_number(&d.w, SLICE("c"), UINT64_MAX);
    json_member_string(&d.w, SLICE("d"), SLICE("x"));
    json_object_end(&d.w);
    expect(&d, "{\"a\":1.50,\"b\":[{},null,true,[]],\"c\":18446744073709551615,\"d\":\"x\"}");
    desk_close(&d);
}

static void strings_are_escaped_but_pieces_of_literals_are_not(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20, 0);
    json_array(&d.w);
    json_string(&d.w, SLICE("a\"\\\n\x01\xc3\xa9\xff"));
    json_string_open(&d.w);
    json_string_inner(&d.w, SLICE("\\u00e9\\n"));
    json_string_bytes(&d.w, SLICE("\n"));
    json_string_close(&d.w);
    json_array_end(&d.w);
    expect(&d, "[\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\",\"\\u00e9\\n\\n\"]");
    desk_close(&d);
}

static void framing_takes_no_comma(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20, 0);
    for (int i = 0; i < 2; i++) {
        json_plain(&d.w, SLICE("data: "));
        json_object(&d.w);
        json_object_end(&d.w);
        json_plain(&d.w, SLICE("\n\n"));
    }
    expect(&d, "data: {}\n\ndata: {}\n\n");
    desk_close(&d);
}

static void a_text_grows_through_blocks_of_its_own(void **state)
{
    (void)state;
    for (size_t guess = 0; guess <= 70000; guess += 35000) {
        struct desk d;
        desk_open(&d, 1 << 20, guess);
        json_array(&d.w);
        for (int i = 0; i < 9999; i++)
            json_raw(&d.w, SLICE("12345"));
        json_array_end(&d.w);
        struct slice got;
        assert_int_equal(json_writer_done(&d.w, &got), 0);
        assert_int_equal(got.len, 9999 * 6 + 1);
        for (size_t i = 0; i < 9999; i++)
            assert_memory_equal(got.ptr + 1 + i * 6, "12345", 5);
        desk_close(&d);
    }
}

static void without_memory_the_error_stays(void **state)
{
    (void)state;
    struct desk d;
    struct slice got = SLICE("untouched");
    desk_open(&d, 2 * BLOCK_BYTES, 0);
    json_array(&d.w);
    for (int i = 0; i < 9999; i++)
        json_raw(&d.w, SLICE("12345"));
    json_array_end(&d.w);
    assert_int_equal(json_writer_done(&d.w, &got), ERR_NOMEM);
    assert_int_equal(got.len, 9);
    desk_close(&d);
}

static void nothing_written_is_an_empty_text(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20, 0);
    expect(&d, "");
    desk_close(&d);
}

static void a_literal_stands_alone(void **state)
{
    struct block_pool pool;
    struct arena arena;
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 1 << 16);
    assert_true(slice_eq(json_literal(&arena, SLICE("a\"\\\n")), SLICE("\"a\\\"\\\\\\n\"")));
    assert_true(slice_eq(json_literal(&arena, SLICE_EMPTY), SLICE("\"\"")));
    arena_done(&arena);
    arena_init(&arena, &pool, 0);
    assert_null(json_literal(&arena, SLICE("a")).ptr);
    arena_done(&arena);
    block_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_and_nowhere_else),
        cmocka_unit_test(strings_are_escaped_but_pieces_of_literals_are_not),
        cmocka_unit_test(framing_takes_no_comma),
        cmocka_unit_test(a_text_grows_through_blocks_of_its_own),
        cmocka_unit_test(without_memory_the_error_stays),
        cmocka_unit_test(nothing_written_is_an_empty_text),
        cmocka_unit_test(a_literal_stands_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
