// SPDX-License-Identifier: Apache-2.0
//
// Every way to remove some members of a small object, to replace others and to append, in four
// styles of white space; the result is compared with a text written from the members that should
// be left.
#include "codec/json_edit.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

enum { MEMBERS_MAX = 5, TEXT_MAX = 1024 };

static const struct slice names[MEMBERS_MAX] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}, {"e", 1}};
static const char *const values[MEMBERS_MAX] = {"1.50e1", "\"x,}\\\"\"", "[1, {\"a\":2} ]", "{}",
                                                "null"};

// What stands after '{', before ':', after ':', before ',', after ',' and around it all.
static const char *const spaces[][6] = {
    {"", "", "", "", "", ""},
    {" ", " ", " ", " ", " ", " "},
    {"\n  ", "", " ", "", "\n  ", "\n"},
    {"", "\t", "", "\r\n", "", ""},
};

struct out {
    char text[TEXT_MAX];
    size_t len;
};

static void put(struct out *o, const char *s)
{
    o->len += (size_t)snprintf(o->text + o->len, TEXT_MAX - o->len, "%s", s);
    assert_true(o->len < TEXT_MAX);
}

// An object of the members in `mask`; those in `replaced` have the value "new".
static struct out build(unsigned mask, unsigned replaced, unsigned appended,
                        const char *const space[6])
{
    struct out o = {.len = 0};
    put(&o, space[5]);
    put(&o, "{");
    put(&o, space[0]);
    bool first = true;
    for (unsigned i = 0; i < MEMBERS_MAX + appended; i++) {
        if (i < MEMBERS_MAX && !(mask >> i & 1))
            continue;
        if (!first) {
            put(&o, space[3]);
            put(&o, ",");
            put(&o, space[4]);
        }
        first = false;
        put(&o, "\"");
        put(&o, i < MEMBERS_MAX ? names[i].ptr : "z");
        put(&o, "\"");
        put(&o, space[1]);
        put(&o, ":");
        put(&o, space[2]);
        put(&o, i >= MEMBERS_MAX ? "[0]" : replaced >> i & 1 ? "\"new\"" : values[i]);
    }
    put(&o, space[3]);
    put(&o, "}");
    put(&o, space[5]);
    return o;
}

static struct out join(const struct json_edit *e)
{
    struct iovec pieces[JSON_PIECES_MAX];
    size_t bytes;
    unsigned count = json_edit_pieces(e, pieces, &bytes);
    assert_true(count <= JSON_PIECES_MAX);
    struct out o = {.len = 0};
    for (unsigned i = 0; i < count; i++) {
        assert_true(pieces[i].iov_len > 0 && o.len + pieces[i].iov_len < TEXT_MAX);
        memcpy(o.text + o.len, pieces[i].iov_base, pieces[i].iov_len);
        o.len += pieces[i].iov_len;
    }
    assert_int_equal(o.len, bytes);
    return o;
}

static char *minified(const struct out *o)
{
    yyjson_doc *doc = yyjson_read(o->text, o->len, YYJSON_READ_NUMBER_AS_RAW);
    if (doc == NULL)
        fail_msg("not JSON: %.*s", (int)o->len, o->text);
    char *text = yyjson_write(doc, YYJSON_WRITE_NOFLAG, NULL);
    yyjson_doc_free(doc);
    return text;
}

static void check(unsigned members, unsigned removed, unsigned replaced, unsigned appended,
                  unsigned style)
{
    unsigned all = (1U << members) - 1;
    struct out before = build(all, 0, 0, spaces[style]);
    struct json_scanner s;
    assert_int_equal(json_scan(&s, slice_of(before.text, before.len), names, MEMBERS_MAX, 0), 0);
    struct json_edit e;
    json_edit_begin(&e, &s);
    for (unsigned i = 0; i < MEMBERS_MAX; i++) { // the last first: order must not matter
        unsigned k = style & 1 ? i : MEMBERS_MAX - 1 - i;
        if (replaced >> k & 1)
            json_edit_replace(&e, &s.member[k], SLICE("\"new\""));
        if (removed >> k & 1)
            json_edit_remove(&e, &s.member[k]);
    }
    for (unsigned i = 0; i < appended; i++)
        json_edit_append(&e, SLICE("\"z\":[0]"));
    struct out after = join(&e);
    struct out expected = build(all & ~removed, replaced, appended, spaces[style]);
    char *got = minified(&after);
    char *want = minified(&expected);
    assert_string_equal(got, want);
    free(got);
    free(want);
    if (style == 0)
        assert_true(after.len == expected.len && memcmp(after.text, expected.text, after.len) == 0);
    for (unsigned i = 0; i < members; i++) // what was not edited is there as it was spelled
        if (!((removed | replaced) >> i & 1))
            assert_non_null(memmem(
                after.text, after.len, s.member[i].key.ptr,
                (size_t)(s.member[i].value.ptr + s.member[i].value.len - s.member[i].key.ptr)));
}

static void test_every_combination(void **state)
{
    (void)state;
    for (unsigned members = 0; members <= MEMBERS_MAX; members++)
        for (unsigned removed = 0; removed < 1U << members; removed++)
            for (unsigned replaced = 0; replaced < 1U << members; replaced++)
                for (unsigned appended = 0; appended < 3; appended++)
                    for (unsigned style = 0; style < ARRAY_LEN(spaces); style++)
                        check(members, removed, replaced, appended, style);
}

static struct json_scanner scanned(const char *text)
{
    struct json_scanner s;
    assert_int_equal(json_scan(&s, slice_str(text), names, MEMBERS_MAX, 0), 0);
    return s;
}

static void assert_result(const struct json_edit *e, const char *expected)
{
    struct out o = join(e);
    assert_int_equal(o.len, strlen(expected));
    assert_memory_equal(o.text, expected, o.len);
}

static void test_no_edit_is_the_text_itself(void **state)
{
    (void)state;
    const char *text = " {\"a\":1}\n";
    struct json_scanner s = scanned(text);
    struct json_edit e;
    json_edit_begin(&e, &s);
    json_edit_remove(&e, &s.member[1]); // absent: nothing happens
    struct iovec pieces[JSON_PIECES_MAX];
    size_t bytes;
    assert_int_equal(json_edit_pieces(&e, pieces, &bytes), 1);
    assert_ptr_equal(pieces[0].iov_base, text);
    assert_int_equal(bytes, strlen(text));
}

static void test_untouched_bytes_are_not_copied(void **state)
{
    (void)state;
    const char *text = "{\"a\":1,\"messages\":[ 1.0 ],\"b\":2}";
    struct json_scanner s = scanned(text);
    struct json_edit e;
    json_edit_begin(&e, &s);
    json_edit_replace(&e, &s.member[0], SLICE("7"));
    json_edit_remove(&e, &s.member[1]);
    struct iovec pieces[JSON_PIECES_MAX];
    size_t bytes;
    assert_int_equal(json_edit_pieces(&e, pieces, &bytes), 4);
    assert_ptr_equal(pieces[0].iov_base, text);
    assert_ptr_equal(pieces[2].iov_base, text + 6);
    assert_int_equal(pieces[2].iov_len, 19);
    assert_ptr_equal(pieces[3].iov_base, text + strlen(text) - 1);
}

static void test_rename(void **state)
{
    (void)state;
    struct json_scanner s = scanned("{\"a\" : 1,\"b\":2}");
    struct json_edit e;
    json_edit_begin(&e, &s);
    json_edit_rename(&e, &s.member[0], SLICE("\"max_completion_tokens\""));
    json_edit_replace(&e, &s.member[0], SLICE("9"));
    assert_result(&e, "{\"max_completion_tokens\" : 9,\"b\":2}");
}

static void test_a_later_edit_of_the_same_counts(void **state)
{
    (void)state;
    struct json_scanner s = scanned("{\"a\":1,\"b\":2}");
    struct json_edit e;
    json_edit_begin(&e, &s);
    json_edit_replace(&e, &s.member[0], SLICE("8"));
    json_edit_replace(&e, &s.member[0], SLICE("9"));
    assert_result(&e, "{\"a\":9,\"b\":2}");
    json_edit_rename(&e, &s.member[0], SLICE("\"x\""));
    json_edit_remove(&e, &s.member[0]);
    json_edit_remove(&e, &s.member[0]);
    json_edit_rename(&e, &s.member[0], SLICE("\"y\"")); // it has gone
    assert_result(&e, "{\"b\":2}");
}

static void test_members_inside_a_member(void **state)
{
    (void)state;
    struct json_scanner s = scanned("{\"a\":{\"b\":1,\"c\":2},\"d\":0}");
    struct json_edit e;
    struct json_member inner = json_object_get(s.member[0].value, SLICE("c"));
    json_edit_begin(&e, &s);
    json_edit_replace(&e, &inner, SLICE("true"));
    assert_result(&e, "{\"a\":{\"b\":1,\"c\":true},\"d\":0}");
    json_edit_replace(&e, &s.member[0], SLICE("{}"));
    assert_result(&e, "{\"a\":{},\"d\":0}");
    json_edit_remove(&e, &s.member[0]);
    assert_result(&e, "{\"d\":0}");
}

static void test_as_many_edits_as_there_may_be(void **state)
{
    (void)state;
    struct json_scanner s = scanned("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}");
    struct json_edit e;
    json_edit_begin(&e, &s);
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        json_edit_rename(&e, &s.member[i], SLICE("\"r\""));
        json_edit_replace(&e, &s.member[i], SLICE("0"));
    }
    for (unsigned i = 2 * MEMBERS_MAX; i < JSON_EDITS_MAX; i++)
        json_edit_append(&e, SLICE("\"z\":1"));
    assert_result(&e, "{\"r\":0,\"r\":0,\"r\":0,\"r\":0,\"r\":0,"
                      "\"z\":1,\"z\":1,\"z\":1,\"z\":1,\"z\":1,\"z\":1}");
    s = scanned("{}");
    json_edit_begin(&e, &s);
    for (unsigned i = 0; i < JSON_EDITS_MAX; i++)
        json_edit_append(&e, SLICE("\"z\":1"));
    struct out o = join(&e);
    free(minified(&o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_no_edit_is_the_text_itself),
        cmocka_unit_test(test_untouched_bytes_are_not_copied),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_a_later_edit_of_the_same_counts),
        cmocka_unit_test(test_members_inside_a_member),
        cmocka_unit_test(test_as_many_edits_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
