// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_output_test.c: ids, code points, annotations: what answers and streams share.
#include <stdio.h>

#include "openai_responses_desk.h"

static const struct canon_context context = {.now_s = 9, .model = SLICE("m"), .id = SLICE("r-1")};

static void ids_come_from_the_providers(void **state)
{
    (void)state;
    static const struct {
        struct slice id;
        const char *item;
    } rows[] = {
        {SLICE("\"msg_01A_b\""), "'fc_01A_b_7'"},
        {SLICE("\"chatcmpl-x-y\""), "'fc_x-y_7'"},
        {SLICE("\"plain\""), "'fc_plain_7'"},
        {SLICE("\"msg_\""), "'fc_msg__7'"},
        {SLICE("\"resp_6:a:f\""), "'fc_6_a_f_7'"},
        {SLICE("\"\""), "'fc_r-1_7'"},
        {SLICE(""), "'fc_r-1_7'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice repeat[RESPONSES_REPEAT_COUNT];
        struct responses_frame f;
        struct desk d;
        desk_open(&d, 1 << 20);
        responses__repeat(SLICE_EMPTY, repeat);
        assert_int_equal(
            responses__frame_init(&f, &d.arena, rows[i].id, SLICE("\"g\""), 0, &context, repeat),
            0);
        assert_int_equal(f.created_s, 9);
        responses__item_id(&d.w, &f, "fc_", 7);
        expect_written(&d, rows[i].item);
        desk_close(&d);
    }
}

static void code_points_of_a_literal(void **state)
{
    (void)state;
    static const struct {
        struct slice inner;
        uint64_t count;
    } rows[] = {
        {SLICE(""), 0},
        {SLICE("abc"), 3},
        {SLICE("\\n\\\\\\\""), 3},
        {SLICE("\\u0041\\u00e9"), 2},
        {SLICE("\\ud83d\\ude00"), 1},
        {SLICE("\\uD83D\\uDE00x"), 2},
        {SLICE("\xf0\x9f\x98\x80\xc3\xa9"), 2},
        {SLICE("\\ud7ff"), 1},
        {SLICE("\\"), 1},
        {SLICE("\\u12"), 3}, // no escape at all: nothing is read past the end
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(responses__code_points(rows[i].inner), rows[i].count);
}

static void only_what_has_a_url_is_an_annotation(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_false(responses__annotation(&d.w, SLICE("{\"type\":\"page_location\"}"), 3));
    assert_false(responses__annotation(&d.w, SLICE("{\"url\":7}"), 3));
    assert_int_equal(d.w.len, 0);
    assert_true(responses__annotation(&d.w, SLICE("{\"url\":\"u\",\"title\":null}"), 3));
    expect_written(&d, "{'type':'url_citation','start_index':0,'end_index':3,'title':'','url':"
                       "'u'}");
    desk_close(&d);
}

static void which_blocks_are_items(void **state)
{
    (void)state;
    static const enum canon_block_kind kinds[] = {CANON_THINKING, CANON_REDACTED_THINKING,
                                                  CANON_TOOL_CALL, CANON_WEB_SEARCH};
    unsigned count = 0;
    for (enum canon_block_kind k = 0; k < CANON_BLOCK_KIND_COUNT; k++)
        count += responses__is_item(k);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(responses__is_item(kinds[i]));
}

static void which_stops_are_incomplete(void **state)
{
    (void)state;
    for (enum canon_stop s = 0; s < CANON_STOP_COUNT; s++)
        assert_int_equal(responses__incomplete(s), s == CANON_STOP_LENGTH ||
                                                       s == CANON_STOP_CONTEXT ||
                                                       s == CANON_STOP_FILTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_come_from_the_providers),
        cmocka_unit_test(code_points_of_a_literal),
        cmocka_unit_test(only_what_has_a_url_is_an_annotation),
        cmocka_unit_test(which_blocks_are_items),
        cmocka_unit_test(which_stops_are_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
