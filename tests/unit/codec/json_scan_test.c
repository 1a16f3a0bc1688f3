// SPDX-License-Identifier: Apache-2.0
//
// The rules of json_scan.h, one test each, and the public vectors of JSONTestSuite.
#include "codec/json_scan.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <yyjson.h>

#define VECTORS "../shared/vectors/json"

static const struct slice names[] = {
    {"model", 5}, {"stream", 6}, {"fallbacks", 9}, {"max_tokens", 10}, {"_x", 2}};
enum { MODEL, STREAM, FALLBACKS, MAX_TOKENS, X, NAMES };

static int scan(struct json_scanner *s, const char *text)
{
    return json_scan(s, slice_str(text), names, NAMES, 0);
}

static int scan_any(const void *text, size_t len)
{
    struct json_scanner s;
    return json_scan(&s, slice_of(text, len), NULL, 0, JSON_SCAN_ANY_VALUE);
}

#define ANY(literal) scan_any(literal, sizeof(literal) - 1)

static void assert_slice(struct slice s, const char *expected)
{
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr, expected, s.len);
}

static void test_members_are_slices_of_the_text(void **state)
{
    (void)state;
    const char *text =
        " {\"model\" : \"a\\nb\" , \"x\":[{\"model\":1}],\"stream\":true,\n"
        "\"max_tokens\":-1.5e3 ,\"_x\":{\"stream\":0}, \"fallbacks\": [1, 2]}\r\n\t ";
    struct json_scanner s;
    assert_int_equal(scan(&s, text), 0);
    assert_int_equal(s.type, JSON_OBJECT);
    assert_int_equal(text[s.open], '{');
    assert_int_equal(s.close, strlen(text) - 5);
    assert_false(s.empty);
    assert_slice(s.member[MODEL].key, "\"model\"");
    assert_slice(s.member[MODEL].value, "\"a\\nb\"");
    assert_int_equal(s.member[MODEL].type, JSON_STRING);
    assert_int_equal(s.member[MODEL].comma_before, -1);
    assert_int_equal(s.member[MODEL].comma_after, strchr(text, ',') - text);
    assert_int_equal(s.member[STREAM].type, JSON_TRUE);
    assert_slice(s.member[STREAM].value, "true");
    assert_slice(s.member[MAX_TOKENS].value, "-1.5e3");
    assert_int_equal(s.member[MAX_TOKENS].type, JSON_NUMBER);
    assert_slice(s.member[X].value, "{\"stream\":0}");
    assert_int_equal(s.member[X].type, JSON_OBJECT);
    assert_slice(s.member[FALLBACKS].value, "[1, 2]");
    assert_int_equal(s.member[FALLBACKS].type, JSON_ARRAY);
    assert_int_equal(s.member[FALLBACKS].comma_after, -1);
    assert_int_equal(text[s.member[FALLBACKS].comma_before], ',');
    assert_ptr_equal(s.member[FALLBACKS].value.ptr, strstr(text, "[1, 2]"));
}

static void test_absent_and_empty(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "{ \n}"), 0);
    assert_true(s.empty);
    for (unsigned i = 0; i < NAMES; i++)
        assert_int_equal(s.member[i].type, JSON_NONE);
    assert_int_equal(scan(&s, "{\"a\":{}}"), 0);
    assert_false(s.empty);
    assert_int_equal(scan(&s, "{\"stream\":null,\"model\":false}"), 0);
    assert_int_equal(s.member[STREAM].type, JSON_NULL);
    assert_int_equal(s.member[MODEL].type, JSON_FALSE);
}

static void test_names_are_compared_unescaped(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "{\"mod\\u0065l\":1}"), 0);
    assert_int_equal(s.member[MODEL].type, JSON_NUMBER);
    assert_slice(s.member[MODEL].key, "\"mod\\u0065l\"");
    assert_int_equal(scan(&s, "{\"\\u006d\\u006f\\u0064\\u0065\\u006c\":1}"), 0);
    assert_int_equal(s.member[MODEL].type, JSON_NUMBER);
    assert_int_equal(scan(&s, "{\"\\u005Fx\":1}"), 0);
    assert_int_equal(s.member[X].type, JSON_NUMBER);
}

static void test_a_nul_does_not_end_a_name(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "{\"model\\u0000\":1,\"model\\u0000x\":1}"), 0);
    assert_int_equal(s.member[MODEL].type, JSON_NONE);
    assert_int_equal(scan(&s, "{\"model\\u0000\":1,\"model\":\"a\"}"), 0);
    assert_int_equal(s.member[MODEL].type, JSON_STRING);
}

static void expect_duplicate(const char *text, int name, const char *at)
{
    struct json_scanner s;
    assert_int_equal(scan(&s, text), ERR_DUPLICATE);
    assert_int_equal(s.error_name, name);
    assert_int_equal(s.error_at, strstr(text, at) - text);
}

static void test_a_wanted_member_occurs_once(void **state)
{
    (void)state;
    struct json_scanner s;
    expect_duplicate("{\"model\":1,\"a\":2, \"model\" :3}", MODEL, "\"model\" :");
    expect_duplicate("{\"model\":1,\"Model\":3}", MODEL, "\"Model\"");
    expect_duplicate("{\"STREAM\":1,\"stream\":3}", STREAM, "\"stream\"");
    expect_duplicate("{\"Model\":1,\"mODEL\":3}", MODEL, "\"mODEL\"");
    expect_duplicate("{\"model\":1,\"m\\u006Fdel\":3}", MODEL, "\"m\\u006F");
    expect_duplicate("{\"model\":1,\"\\u004dODEL\":3}", MODEL, "\"\\u004d");
    expect_duplicate("{\"_x\":1,\"_X\":3}", X, "\"_X\"");
    // What Unicode folds into ASCII, raw and escaped.
    expect_duplicate("{\"stream\":1,\"\xC5\xBFtream\":3}", STREAM, "\"\xC5");
    expect_duplicate("{\"stream\":1,\"\\u017fTREAM\":3}", STREAM, "\"\\u017f");
    expect_duplicate("{\"fallbac\xE2\x84\xAAs\":1,\"fallbacks\":3}", FALLBACKS, "\"fallbacks");
    // Elsewhere than at the top, or of no interest.
    assert_int_equal(scan(&s, "{\"model\":1,\"a\":{\"model\":1,\"model\":2},\"a\":[]}"), 0);
}

static void test_a_single_name_in_other_case_is_not_the_member(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "{\"Model\":1,\"\xC5\xBFtream\":true}"), 0);
    assert_int_equal(s.member[MODEL].type, JSON_NONE);
    assert_int_equal(s.member[STREAM].type, JSON_NONE);
}

static void test_long_names_are_no_wanted_names(void **state)
{
    (void)state;
    char text[4096];
    for (size_t len = 0; len < 900; len++) {
        size_t at = (size_t)snprintf(text, sizeof(text), "{\"\\u0061");
        memset(text + at, 'b', len);
        snprintf(text + at + len, sizeof(text) - at - len, "\":1,\"model\":2}");
        struct json_scanner s;
        assert_int_equal(scan(&s, text), 0);
        assert_int_equal(s.member[MODEL].type, JSON_NUMBER);
    }
    // The longest that is still one, every byte an escape.
    char longest[JSON_NAME_BYTES_MAX];
    memset(longest, 'a', sizeof(longest));
    struct slice name = slice_of(longest, sizeof(longest));
    size_t at = (size_t)snprintf(text, sizeof(text), "{\"");
    for (unsigned i = 0; i < JSON_NAME_BYTES_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "\\u0061");
    snprintf(text + at, sizeof(text) - at, "\":1}");
    struct json_scanner s;
    assert_int_equal(json_scan(&s, slice_str(text), &name, 1, 0), 0);
    assert_int_equal(s.member[0].type, JSON_NUMBER);
}

static void test_what_the_top_level_may_be(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "[{}]"), ERR_BAD_JSON);
    assert_int_equal(scan(&s, "\"x\""), ERR_BAD_JSON);
    assert_int_equal(scan(&s, ""), ERR_BAD_JSON);
    assert_int_equal(json_scan(&s, SLICE_EMPTY, NULL, 0, JSON_SCAN_ANY_VALUE), ERR_BAD_JSON);
    assert_int_equal(s.type, JSON_NONE);
    assert_int_equal(ANY(" [ ] "), 0);
    assert_int_equal(ANY("[[],{},[{}] ]"), 0);
    assert_int_equal(ANY("-0"), 0);
    assert_int_equal(ANY("true"), 0);
    assert_int_equal(json_scan(&s, SLICE("[\"model\"]"), names, NAMES, JSON_SCAN_ANY_VALUE), 0);
    assert_int_equal(s.type, JSON_ARRAY);
    assert_int_equal(s.member[MODEL].type, JSON_NONE);
    assert_int_equal(ANY("\xEF\xBB\xBF{}"), ERR_BAD_JSON);
    assert_int_equal(ANY("{} \n{}"), ERR_BAD_JSON);
    assert_int_equal(ANY("{}\0"), ERR_BAD_JSON);
    assert_int_equal(ANY("1 2"), ERR_BAD_JSON);
    assert_int_equal(ANY("{}\v"), ERR_BAD_JSON);
}

static void test_what_is_no_json(void **state)
{
    (void)state;
    static const char *const bad[] = {"{",
                                      "[",
                                      "{\"a\"",
                                      "{\"a\":",
                                      "{\"a\":1",
                                      "{\"a\":1,",
                                      "{\"a\":1,}",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{,}",
                                      "{\"a\" 1}",
                                      "{1:2}",
                                      "{\"a\":1]",
                                      "[1}",
                                      "tru",
                                      "truE",
                                      "nul",
                                      "fals",
                                      "-",
                                      "01",
                                      "-01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "+1",
                                      "1.e5",
                                      "0x1",
                                      "1a",
                                      "NaN",
                                      "Infinity",
                                      "'a'",
                                      "\"a",
                                      "\"\\",
                                      "\"\\u00\"",
                                      "\"\\u00g0\"",
                                      "\"\\x\"",
                                      "\"\\",
                                      "\"a\nb\"",
                                      "\"\x01\"",
                                      "\"\x1f\"",
                                      "[1]]",
                                      "{}}",
                                      "//\n1",
                                      "1e5e5",
                                      "1e5.5",
                                      "1.5.5",
                                      "1e5E",
                                      "/**/1",
                                      "\"\\uD800\"",
                                      "\"\\uDC00\"",
                                      "\"\\uD800a\"",
                                      "\"\\uD800\\n\"",
                                      "\"\\uD800\\uD800\"",
                                      "\"\\uDC00\\uD800\"",
                                      "[\"a\",\n4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (scan_any(bad[i], strlen(bad[i])) != ERR_BAD_JSON)
            fail_msg("accepted: %s", bad[i]);
}

static void test_what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "0",           "-0",      "10",       "1.0",     "1E5",         "1e-05",
        "1.5e+10",     "1e999",   "\"\x7f\"", "\"\\/\"", "\"\\u0000\"", "\"\\uD83D\\uDE00\"",
        "\"\\uFFFF\"", "[1 , 2]", "\t\n\r []"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (scan_any(good[i], strlen(good[i])) != 0)
            fail_msg("refused: %s", good[i]);
}

static void test_utf8_is_well_formed(void **state)
{
    (void)state;
    static const char *const good[] = {"\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "\xF1\x80\x80\x80",
                                       "\xEF\xBB\xBF",
                                       "\xC3\xA9 \xC3\xA9, \xE4\xBD\xA0"};
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC0\xAF",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2\x7F",
                                      "\xC2\xC0",
                                      "\xE0\x80\xAF",
                                      "\xE0\x9F\xBF",
                                      "\xE0\xA0",
                                      "\xE1\x80\x7F",
                                      "\xE1\x7F\x80",
                                      "\xE1\x80\xC0",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF0\x90\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xF8\x88\x80\x80\x80",
                                      "\xFC\x84\x80\x80\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "\xF1\x80\x80\xC0",
                                      "\xF1\x80\x7F\x80",
                                      "\xF1\x7F\x80\x80",
                                      "\xED\xA1\x8C\xED\xBE\xB4"};
    // At every distance from the end and from a wide look, names included.
    for (size_t pad = 0; pad < 70; pad++) {
        for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
            bool is_good = i < ARRAY_LEN(good);
            char text[256];
            int len = snprintf(text, sizeof(text), "[\"%.*s%s%.*s\"]", (int)(pad % 35),
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                               is_good ? good[i] : bad[i - ARRAY_LEN(good)], (int)(pad / 3),
                               "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
            assert_int_equal(scan_any(text, (size_t)len), is_good ? 0 : ERR_BAD_UTF8);
            text[0] = '{';
            snprintf(text + len - 1, sizeof(text) - (size_t)len, ":1}");
            assert_int_equal(scan_any(text, strlen(text)), is_good ? 0 : ERR_BAD_UTF8);
        }
    }
    assert_int_equal(ANY("[\"\xE4\xBD"), ERR_BAD_UTF8);
    assert_int_equal(ANY("[\xC3\xA9]"), ERR_BAD_JSON); // outside a string
}

static void test_control_characters_are_refused_everywhere(void **state)
{
    (void)state;
    char text[100];
    for (size_t at = 1; at < 98; at++) {
        for (char c = 0; c < 0x21; c++) {
            memset(text, 'a', sizeof(text));
            text[0] = text[99] = '"';
            text[at] = c;
            assert_int_equal(scan_any(text, sizeof(text)), c < 0x20 ? ERR_BAD_JSON : 0);
        }
    }
}

// Each in memory of exactly its size, where a sanitizer sees a byte read past it.
static void test_no_prefix_is_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"model\":\"\xE4\xBD\xA0\xE4\xBD\xA0\xF0\x9F\x98\x80\\u00e9\\ud83d\\ude00\\n\xC3\xA9\"}",
        "[-12.25e+10,true,false,null,[{}]]", "{\"\xC3\xA9\\u0061\":0}",
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\t\""};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len = strlen(texts[i]);
        for (size_t n = 0; n <= len; n++) {
            char *text = malloc(n + !n);
            memcpy(text, texts[i], n);
            assert_int_equal(scan_any(text, n) == 0, n == len);
            free(text);
        }
    }
}

static int nest(size_t depth, const char *open, const char *inner, const char *close)
{
    size_t unit = strlen(open);
    size_t len = depth * (unit + strlen(close)) + strlen(inner);
    char *text = malloc(len + 1);
    char *p = text;
    for (size_t i = 0; i < depth; i++)
        p = stpcpy(p, open);
    p = stpcpy(p, inner);
    for (size_t i = 0; i < depth; i++)
        p = stpcpy(p, close);
    int err = scan_any(text, len);
    free(text);
    return err;
}

static void test_depth_has_a_limit(void **state)
{
    (void)state;
    assert_int_equal(nest(JSON_DEPTH_MAX, "[", "", "]"), 0);
    assert_int_equal(nest(JSON_DEPTH_MAX, "[", "[", "]"), ERR_BAD_DEPTH);
    assert_int_equal(nest(JSON_DEPTH_MAX / 2, "{\"a\":[", "1", "]}"), 0);
    assert_int_equal(nest(JSON_DEPTH_MAX / 2, "{\"a\":[", "1", "}]"), ERR_BAD_JSON);
    assert_int_equal(nest(JSON_DEPTH_MAX / 2, "{\"a\":[", "{", "]}"), ERR_BAD_DEPTH);
    assert_int_equal(nest(1000000, "[", "", "]"), ERR_BAD_DEPTH);
    assert_int_equal(nest(1000000, "{\"\":", "1", "}"), ERR_BAD_DEPTH);
}

static void test_errors_say_where(void **state)
{
    (void)state;
    struct json_scanner s;
    assert_int_equal(scan(&s, "{\"a\":tru}"), ERR_BAD_JSON);
    assert_int_equal(s.error_at, 5);
    assert_int_equal(s.error_name, -1);
    assert_int_equal(scan(&s, "{\"a\":\"\xFF\"}"), ERR_BAD_UTF8);
    assert_int_equal(s.error_at, 6);
    assert_int_equal(scan(&s, "{\"a\":[1"), ERR_BAD_JSON);
    assert_int_equal(s.error_at, 7);
    assert_int_equal(json_scan_step(&s, 1), ERR_BAD_JSON); // and says it again
}

// A string value of plain text with `piece` at `at`, behind which `pad` more follow.
static struct slice with_piece(char *out, size_t at, struct slice piece, size_t pad)
{
    char *p = out;
    *p++ = '"';
    memset(p, 'x', at);
    memcpy(p += at, piece.ptr, piece.len);
    memset(p += piece.len, 'x', pad);
    p[pad] = '"';
    return slice_of(out, (size_t)(p + pad + 1 - out));
}

static void test_escapes_in_every_place(void **state)
{
    (void)state;
    char text[512];
    struct json_scanner s;
    for (size_t at = 0; at < 150; at++) {
        for (int c = 0; c < 256; c++) {
            char escape[] = {'\\', (char)c};
            struct slice value = with_piece(text, at, slice_of(escape, 2), 150);
            int err = json_scan(&s, value, NULL, 0, JSON_SCAN_ANY_VALUE);
            if (c != 0 && strchr("\"\\/bfnrt", c) != NULL) {
                assert_int_equal(err, 0);
            } else {
                assert_int_equal(err, ERR_BAD_JSON);
                assert_int_equal(s.error_at, at + 1); // the backslash
            }
        }
        static const struct slice longer[] = {{"\\u0041", 6},
                                              {"\\ud83d\\ude00", 12},
                                              {"\\\\\\u0041\\\\\\\"", 12},
                                              {"\\\\\\\\\\\\\\\\", 8},
                                              {"\\n\xC3\xA9\\n", 6}};
        for (size_t i = 0; i < ARRAY_LEN(longer); i++)
            for (size_t pad = 0; pad < 150; pad += 10) {
                struct slice value = with_piece(text, at, longer[i], pad);
                assert_int_equal(json_scan(&s, value, NULL, 0, JSON_SCAN_ANY_VALUE), 0);
            }
        struct slice open = with_piece(text, at, SLICE("\\\\\\"), 0); // escapes its end
        assert_int_equal(json_scan(&s, open, NULL, 0, JSON_SCAN_ANY_VALUE), ERR_BAD_JSON);
    }
}

static void test_a_long_name_with_escapes_is_the_wanted_one(void **state)
{
    (void)state;
    struct slice wanted = SLICE("a/name/of/forty/letters/with/slashes/in/it");
    struct json_scanner s;
    const char *text = "{\"a\\/name\\/of\\/forty\\/letters\\/with\\/slashes\\/in\\/it\":\"and "
                       "a value that is as long as to fill the groups the name is looked at in\"}";
    assert_int_equal(json_scan(&s, slice_str(text), &wanted, 1, 0), 0);
    assert_int_equal(s.member[0].type, JSON_STRING);
    text =
        "{\"a/name/of/forty/letters/with/slashes/in/it\":\"and a value, but here the name has no "
        "escape: those are \\n all of the value that follows it and to which they belong\"}";
    assert_int_equal(json_scan(&s, slice_str(text), &wanted, 1, 0), 0);
    assert_int_equal(s.member[0].type, JSON_STRING);
}

// Counts steps; asserts that each one moves by about its budget and no more.
static size_t count_steps(const char *text, size_t len, size_t budget)
{
    struct json_scanner s;
    json_scan_begin(&s, slice_of(text, len), names, NAMES, JSON_SCAN_ANY_VALUE);
    size_t steps = 1;
    size_t before = 0;
    for (; json_scan_step(&s, budget) == ERR_MORE; steps++) {
        assert_true(s.at >= before + budget && s.at < before + budget + 128);
        before = s.at;
    }
    assert_int_equal(json_scan_step(&s, budget), 0);
    return steps;
}

static void test_long_tokens_are_walked_in_steps(void **state)
{
    (void)state;
    enum { LEN = 100000 };
    static const char *const fill[] = {"a", "\\n", "\xC3\xA9", "\xE4\xBD\xA0", "\\ud83d\\ude00"};
    char *text = malloc(LEN + 16);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        char *p = text;
        *p++ = '"';
        while (p < text + LEN)
            p = stpcpy(p, fill[i]);
        *p++ = '"';
        assert_in_range(count_steps(text, (size_t)(p - text), 1000), 85, 101);
    }
    memset(text, '7', LEN);
    assert_int_equal(count_steps(text, LEN, 1000), 100);
    memset(text, ' ', LEN);
    text[LEN - 1] = '1';
    assert_int_equal(count_steps(text, LEN, 1000), 100);
    free(text);
}

static void test_steps_of_any_size_agree(void **state)
{
    (void)state;
    const char *text =
        "{ \"mod\\u0065l\" : \"\xC3\xA9\\ud83d\\ude00 x\", \"max_tokens\":-12.50e+3 ,"
        "\"fallbacks\":[1,{\"a\":null},true],\"stream\" :false } ";
    struct json_scanner whole;
    assert_int_equal(scan(&whole, text), 0);
    for (size_t budget = 1; budget < strlen(text) + 2; budget++) {
        struct json_scanner s;
        json_scan_begin(&s, slice_str(text), names, NAMES, 0);
        int err;
        while ((err = json_scan_step(&s, budget)) == ERR_MORE)
            ;
        assert_int_equal(err, 0);
        assert_int_equal(s.close, whole.close);
        for (unsigned i = 0; i < NAMES; i++) {
            assert_int_equal(s.member[i].type, whole.member[i].type);
            if (s.member[i].type == JSON_NONE)
                continue;
            assert_ptr_equal(s.member[i].value.ptr, whole.member[i].value.ptr);
            assert_int_equal(s.member[i].value.len, whole.member[i].value.len);
            assert_int_equal(s.member[i].comma_before, whole.member[i].comma_before);
            assert_int_equal(s.member[i].comma_after, whole.member[i].comma_after);
        }
    }
}

static struct slice read_vector(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), VECTORS "/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    size_t len = fread(bytes, 1, 1 << 20, file);
    assert_true(len < 1 << 20);
    fclose(file);
    char *exact = malloc(len + !len); // so that a read past the end is seen
    memcpy(exact, bytes, len);
    free(bytes);
    return slice_of(exact, len);
}

static bool yyjson_accepts(struct slice text)
{
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len,
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    yyjson_doc_free(doc);
    return doc != NULL;
}

static void test_public_vectors(void **state)
{
    (void)state;
    DIR *folder = opendir(VECTORS);
    if (folder == NULL)
        skip();
    unsigned count[3] = {0};
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '\0' || entry->d_name[1] != '_')
            continue;
        struct slice text = read_vector(entry->d_name);
        bool accepted = scan_any(text.ptr, text.len) == 0;
        char kind = entry->d_name[0];
        bool expected = kind == 'i' ? yyjson_accepts(text) : kind == 'y';
        if (accepted != expected)
            fail_msg("%s: %s", entry->d_name, accepted ? "accepted" : "refused");
        count[kind == 'y' ? 0 : kind == 'n' ? 1 : 2]++;
        free((void *)(uintptr_t)text.ptr);
    }
    closedir(folder);
    assert_true(count[0] > 90 && count[1] > 180 && count[2] > 30);
}

static void assert_same_finds(const char *text)
{
    struct json_scanner a, b;
    int verdict = scan(&a, text);
    assert_int_equal(json_scan_written(&b, slice_str(text), names, NAMES), verdict);
    assert_int_equal(b.error_name, a.error_name);
    assert_int_equal(b.error_at, a.error_at);
    assert_int_equal(b.open, a.open);
    assert_int_equal(b.close, a.close);
    assert_int_equal(b.empty, a.empty);
    for (int i = 0; i < NAMES && verdict == 0; i++) {
        assert_int_equal(b.member[i].type, a.member[i].type);
        assert_ptr_equal(b.member[i].key.ptr, a.member[i].key.ptr);
        assert_int_equal(b.member[i].key.len, a.member[i].key.len);
        assert_ptr_equal(b.member[i].value.ptr, a.member[i].value.ptr);
        assert_int_equal(b.member[i].value.len, a.member[i].value.len);
        assert_int_equal(b.member[i].comma_before, a.member[i].comma_before);
        assert_int_equal(b.member[i].comma_after, a.member[i].comma_after);
    }
}

static void test_a_written_object_is_not_looked_into(void **state)
{
    (void)state;
    assert_same_finds("{}");
    assert_same_finds("{ }");
    assert_same_finds("{\"model\":\"a\"}");
    assert_same_finds("{\"a\":[{\"model\":1}],\"stream\":true,\"_x\":{\"stream\":0} , \"b\":null}");
    assert_same_finds("{\"m\\u006fdel\":1,\"Stream\":[2],\"fallbacks\":[\"}\"]}");
    assert_same_finds("{\"model\":1,\"Model\":2}");
    assert_same_finds("{\"stream\":1,\"\xC5\xBFtream\":3}");

    struct json_scanner s;
    assert_int_equal(json_scan_written(&s, SLICE("{\"model\":{nonsense}}"), names, NAMES), 0);
    assert_slice(s.member[MODEL].value, "{nonsense}");
    static const char *const none[] = {"",    "}",           "{\"\xA0\\ude00\":2}", "[]",
                                       "{",   "{\"model\"}", "{\"model\":1",        "{\"a\":1}x",
                                       " {}", "{\"a\":1,}"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(json_scan_written(&s, slice_str(none[i]), names, NAMES), ERR_BAD_JSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_are_slices_of_the_text),
        cmocka_unit_test(test_absent_and_empty),
        cmocka_unit_test(test_names_are_compared_unescaped),
        cmocka_unit_test(test_a_nul_does_not_end_a_name),
        cmocka_unit_test(test_a_wanted_member_occurs_once),
        cmocka_unit_test(test_a_single_name_in_other_case_is_not_the_member),
        cmocka_unit_test(test_long_names_are_no_wanted_names),
        cmocka_unit_test(test_what_the_top_level_may_be),
        cmocka_unit_test(test_what_is_no_json),
        cmocka_unit_test(test_what_is_json),
        cmocka_unit_test(test_utf8_is_well_formed),
        cmocka_unit_test(test_control_characters_are_refused_everywhere),
        cmocka_unit_test(test_no_prefix_is_json),
        cmocka_unit_test(test_depth_has_a_limit),
        cmocka_unit_test(test_errors_say_where),
        cmocka_unit_test(test_escapes_in_every_place),
        cmocka_unit_test(test_a_long_name_with_escapes_is_the_wanted_one),
        cmocka_unit_test(test_long_tokens_are_walked_in_steps),
        cmocka_unit_test(test_steps_of_any_size_agree),
        cmocka_unit_test(test_public_vectors),
        cmocka_unit_test(test_a_written_object_is_not_looked_into),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
