// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_value_test.c: fields by table, joined literals, seals.
#include <stdio.h>

#include "openai_responses_desk.h"

static void fields_by_name_and_type(void **state)
{
    (void)state;
    static const struct responses_field fields[] = {
        {SLICE("a"), RESPONSES_STRING | RESPONSES_REQUIRED},
        {SLICE("bee"), RESPONSES_BOOL | RESPONSES_NUMBER},
    };
    static const struct {
        const char *text, *a, *b;
        int err;
        unsigned field;
    } rows[] = {
        {"{'a':'x','bee':true}", "'x'", "true", 0, 0},
        {"{ 'b\\u0065e' : 3 , 'a' : 'x' }", "'x'", "3", 0, 0},
        {"{'a':'x','a':'y'}", "'y'", "", 0, 0},
        {"{'a':'x','bee':null}", "'x'", "", 0, 0},
        {"{'a':'x','bee':1,'bee':null}", "'x'", "", 0, 0},
        {"{'a':'x','Bee':'?'}", "'x'", "", 0, 0},
        {"{'a':null}", "", "", ERR_MISSING, 0},
        {"{'a':1}", "", "", ERR_BAD_TYPE, 0},
        {"{'a':'x','bee':[]}", "", "", ERR_BAD_TYPE, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[TEXT_BYTES];
        struct slice v[2];
        unsigned field = 0;
        int rc = responses__fields(text_in(buffer, rows[i].text), fields, 2, v, &field);
        assert_int_equal(rc, rows[i].err);
        if (rc) {
            assert_int_equal(field, rows[i].field);
        } else {
            expect_text(v[0], rows[i].a);
            expect_text(v[1], rows[i].b);
        }
    }
}

static void literals_are_joined_by_their_insides(void **state)
{
    (void)state;
    struct desk d;
    struct slice ret;
    desk_open(&d, 1 << 20);
    struct slice pieces[] = {SLICE("a\\n"), SLICE(""), SLICE("b")};
    assert_int_equal(responses__join(&d.arena, pieces, 3, &ret), 0);
    expect_text(ret, "'a\\nb'");
    desk_close(&d);
    desk_open(&d, 0);
    assert_int_equal(responses__join(&d.arena, pieces, 3, &ret), ERR_NOMEM);
    desk_close(&d);
}

static void a_text_of_many_lines_becomes_one(void **state)
{
    (void)state;
    struct desk d;
    struct slice ret;
    struct slice plain = SLICE("{\"a\": \"\\n\"}");
    desk_open(&d, 1 << 20);
    assert_int_equal(responses__one_line(&d.arena, plain, &ret), 0);
    assert_ptr_equal(ret.ptr, plain.ptr);
    assert_int_equal(responses__one_line(&d.arena, SLICE("{\r\n \"a\":\n\"\\n\"\r}"), &ret), 0);
    expect_text(ret, "{ 'a':'\\n'}");
    assert_int_equal(responses__one_line(&d.arena, SLICE_EMPTY, &ret), 0);
    desk_close(&d);
    desk_open(&d, 0);
    assert_int_equal(responses__one_line(&d.arena, SLICE("[\n]"), &ret), ERR_NOMEM);
    desk_close(&d);
}

static void seals_come_back_to_who_made_them(void **state)
{
    (void)state;
    static const struct {
        struct slice id, encrypted, sealed;
        bool redacted;
    } rows[] = {
        {SLICE("\"rs_1\""), SLICE("\"gA:b\""), SLICE("\"openai:rs_1:gA:b\""), false},
        {SLICE(""), SLICE("\"g\""), SLICE("\"openai::g\""), false},
        {SLICE("\"rs_1\""), SLICE("\"claude:S\""), SLICE("\"S\""), false},
        {SLICE("\"rs_1\""), SLICE("\"claude-redacted:D\""), SLICE("\"D\""), true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        struct slice sealed;
        struct slice id;
        struct slice inner;
        bool redacted;
        desk_open(&d, 1 << 20);
        assert_int_equal(
            responses__unseal(&d.arena, rows[i].id, rows[i].encrypted, &redacted, &sealed), 0);
        assert_true(slice_eq(sealed, rows[i].sealed));
        assert_int_equal(redacted, rows[i].redacted);
        json_object(&d.w);
        responses__seal(&d.w, sealed, redacted);
        json_object_end(&d.w);
        struct slice got;
        assert_int_equal(json_writer_done(&d.w, &got), 0);
        assert_true(
            slice_eq(json_object_get(got, SLICE("encrypted_content")).value, rows[i].encrypted));
        bool own = responses__own_seal(sealed, &id, &inner);
        assert_int_equal(own, i < 2);
        if (own)
            assert_true(slice_eq(id, literal_inner(rows[i].id)));
        desk_close(&d);
    }
    struct slice id;
    struct slice inner;
    assert_false(responses__own_seal(SLICE("\"openai:rs_1\""), &id, &inner));
    assert_false(responses__own_seal(SLICE_EMPTY, &id, &inner));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_by_name_and_type),
        cmocka_unit_test(literals_are_joined_by_their_insides),
        cmocka_unit_test(a_text_of_many_lines_becomes_one),
        cmocka_unit_test(seals_come_back_to_who_made_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
