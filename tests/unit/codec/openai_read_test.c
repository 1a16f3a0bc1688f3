// SPDX-License-Identifier: Apache-2.0
//
// openai_read_test.c: members, the names of what is wrong, and the small values chat and text
// share.
#include "tests/unit/codec/openai_desk.h"

static void members_are_found_whatever_their_spelling(void **state)
{
    (void)state;
    static const struct slice names[] = {SLICE("a"), SLICE("bc")};
    struct json_member m[2];
    struct desk d;
    desk_open(&d, 1 << 20);
    openai__pick(quoted(&d, "{'x':1,'b\\u0063':2,'a':3,'a':4}"),
                 &(struct openai_pick){names, 2, m});
    assert_slice(m[0].value, "4");
    assert_slice(m[1].value, "2");
    openai__pick(quoted(&d, "{'a':null}"), &(struct openai_pick){names, 2, m});
    assert_int_equal(m[0].type, JSON_NONE);
    assert_int_equal(m[0].value.len, 0);
    assert_int_equal(m[1].type, JSON_NONE);
    desk_close(&d);
}

static void unknown_members_are_kept_and_counted(void **state)
{
    (void)state;
    static const struct slice names[] = {SLICE("a")};
    struct json_member m[1];
    struct canon_member *extra = NULL;
    struct openai_pick pick = {names, 1, m};
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(
        openai__pick_extra(&d.r, quoted(&d, "{'a':1,'x\\n':[2],'':3,'y':null}"), &pick, &extra), 0);
    assert_slice(extra->name, "x\n");
    assert_slice(extra->value, "[2]");
    assert_slice(extra->next->name, "y");
    assert_null(extra->next->next);
    assert_int_equal(d.r.parts, 2);
    d.r.parts = CANON_PARTS_MAX;
    assert_int_equal(openai__pick_extra(&d.r, quoted(&d, "{'x':1}"), &pick, &extra), ERR_LIMIT);
    desk_close(&d);
}

static void refusals_say_where(void **state)
{
    (void)state;
    struct openai_path messages = {.name = SLICE("messages")};
    struct openai_path third = {.up = &messages, .index = 3};
    struct openai_path content = {.up = &third, .name = SLICE("content")};
    struct json_member number = {.type = JSON_NUMBER, .value = SLICE("7")};
    struct json_member none = {.type = JSON_NONE};
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(openai__expect(&d.r, &content, SLICE("url"), &number, ANY_STRING, false),
                     ERR_BAD_TYPE);
    assert_slice(d.r.refusal.param, "messages[3].content.url");
    assert_slice(d.r.refusal.message, "'messages[3].content.url' must be a string");
    assert_int_equal(openai__expect(&d.r, &third, SLICE_EMPTY, &number, ANY_OBJECT, false),
                     ERR_BAD_TYPE);
    assert_slice(d.r.refusal.param, "messages[3]");
    assert_int_equal(openai__expect(&d.r, NULL, SLICE("model"), &none, ANY_STRING, true),
                     ERR_MISSING);
    assert_slice(d.r.refusal.message, "'model' is missing");
    assert_int_equal(openai__expect(&d.r, NULL, SLICE("model"), &none, ANY_STRING, false), 0);
    assert_int_equal(openai__expect(&d.r, NULL, SLICE("n"), &number, ANY_NUMBER, true), 0);
    desk_close(&d);

    desk_open(&d, 0); // no memory to say it with
    assert_int_equal(openai__refuse(&d.r, ERR_UNSUPPORTED, NULL, SLICE("n"), "is"),
                     ERR_UNSUPPORTED);
    assert_true(d.r.refusal.param.len > 0 && d.r.refusal.message.len > 0);
    desk_close(&d);
}

// Stops a refusal from repeating the request.
static void a_long_path_is_cut(void **state)
{
    (void)state;
    struct openai_path path[40];
    struct desk d;
    desk_open(&d, 1 << 20);
    for (size_t i = 0; i < 40; i++)
        path[i] =
            (struct openai_path){.up = i > 0 ? &path[i - 1] : NULL, .name = SLICE("contents")};
    assert_int_equal(openai__refuse(&d.r, ERR_BAD_TYPE, &path[39], SLICE("x"), "is"), ERR_BAD_TYPE);
    assert_true(d.r.refusal.param.len <= 160);
    desk_close(&d);
}

static struct canon_usage usage_of(const char *text)
{
    struct canon_usage usage = {0};
    struct desk d;
    desk_open(&d, 1 << 20);
    openai__read_usage(quoted(&d, text), &usage);
    desk_close(&d);
    return usage;
}

static void usage_has_many_names(void **state)
{
    (void)state;
    struct canon_usage u = usage_of(
        "{'prompt_tokens':9,'completion_tokens':4,'total_tokens':13,'prompt_tokens_details':"
        "{'cached_tokens':3,'cache_write_tokens':2},'completion_tokens_details':"
        "{'reasoning_tokens':1}}");
    assert_true(u.known && u.cached_known && u.reasoning_known);
    assert_int_equal(u.input_tokens, 9);
    assert_int_equal(u.output_tokens, 4);
    assert_int_equal(u.cached_read_tokens, 3);
    assert_int_equal(u.cached_write_tokens, 2);
    assert_int_equal(u.reasoning_tokens, 1);
    u = usage_of("{'prompt_tokens':9,'prompt_cache_hit_tokens':5}");
    assert_true(u.cached_known && u.cached_read_tokens == 5);
    u = usage_of("{'prompt_tokens':9,'prompt_tokens_details':null,'cached_tokens':6}");
    assert_true(u.cached_known && u.cached_read_tokens == 6);
    u = usage_of("{'prompt_tokens':1.5,'completion_tokens':-1,'total_tokens':3}");
    assert_false(u.known);
    u = usage_of("{'prompt_tokens':1,'prompt_tokens_details':[7]}");
    assert_true(u.known && !u.cached_known && !u.reasoning_known);
}

static void usage_is_written_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct canon_usage u = {.known = true, .input_tokens = 9, .output_tokens = 4};
    struct desk d;
    desk_open(&d, 1 << 20);
    openai__write_usage(&d.w, &u);
    u.cached_known = u.reasoning_known = true;
    u.cached_read_tokens = 3;
    openai__write_usage(&d.w, &u);
    u.cached_write_tokens = 2;
    u.reasoning_known = false;
    openai__write_usage(&d.w, &u);
    expect_written(&d, "{'prompt_tokens':9,'completion_tokens':4,'total_tokens':13},"
                       "{'prompt_tokens':9,'completion_tokens':4,'total_tokens':13,"
                       "'prompt_tokens_details':{'cached_tokens':3},"
                       "'completion_tokens_details':{'reasoning_tokens':0}},"
                       "{'prompt_tokens':9,'completion_tokens':4,'total_tokens':13,"
                       "'prompt_tokens_details':{'cached_tokens':3,'cache_write_tokens':2}}");
    desk_close(&d);
}

static void made_identifiers_carry_the_answers(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_slice(openai__make_call_id(&d.arena, SLICE("\"x-1\""), 2), "\"call_x-1_2\"");
    assert_slice(openai__make_call_id(&d.arena, SLICE_EMPTY, 0), "\"call_0\"");
    desk_close(&d);
}

static int read_names(struct desk *d)
{
    struct slice name;
    return openai__name(&d->arena, SLICE("\"\\u0041\""), &name);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_whatever_their_spelling),
        cmocka_unit_test(unknown_members_are_kept_and_counted),
        cmocka_unit_test(refusals_say_where),
        cmocka_unit_test(a_long_path_is_cut),
        cmocka_unit_test(usage_has_many_names),
        cmocka_unit_test(usage_is_written_as_far_as_it_is_known),
        cmocka_unit_test(made_identifiers_carry_the_answers),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
