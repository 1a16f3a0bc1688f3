// SPDX-License-Identifier: Apache-2.0
//
// json_lanes_test.c: every road of the wide looks that this machine has, against a look at each
// byte.
#include "tests/unit/base/cm.h"

#include "codec/json_lanes.h"

// Where the groups that are looked at end.
static const char *groups_end(const char *p, const char *limit, const char *end)
{
    while (p < limit && end - p >= JSON_LANES)
        p += JSON_LANES;
    return p;
}

// By the words of the header.

static const char *string_by_bytes(const char *p, const char *limit, const char *end, bool *escapes)
{
    const char *last = groups_end(p, limit, end);
    while (p < last) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c >= 0x80 || c == '"')
            break;
        if (c == '\\') {
            if (p + 1 == last || p[1] == 0 || strchr("\"\\/bfnrt", p[1]) == NULL)
                break;
            *escapes = true;
            p++;
        }
        p++;
    }
    return p;
}

static const char *quote_by_bytes(const char *p, const char *end)
{
    const char *last = groups_end(p, end, end);
    for (; p < last && *p != '"'; p++) {
        if (*p != '\\')
            continue;
        if (p + 1 == last)
            break;
        p++;
    }
    return p;
}

// A backslash outside a string, which no JSON has, escapes a quote but no bracket.
static const char *close_by_bytes(const char *p, const char *end, size_t *depth, bool *in_string)
{
    const char *last = groups_end(p, end, end);
    bool escaped = false;
    *depth = 1;
    *in_string = false;
    for (; p < last; p++) {
        if (!*in_string && (*p == '[' || *p == '{'))
            ++*depth;
        else if (!*in_string && (*p == ']' || *p == '}') && --*depth == 0)
            return p + 1;
        else if (*p == '"' && !escaped)
            *in_string = !*in_string;
        escaped = *p == '\\' && !escaped;
    }
    return escaped ? p - 1 : p;
}

typedef const char *(*string_look)(const char *, const char *, const char *, bool *);
typedef const char *(*quote_look)(const char *, const char *);
typedef const char *(*close_look)(const char *, const char *, size_t *, bool *);

struct road {
    string_look string;
    quote_look quote;
    close_look close;
};

static const struct road chosen = {json_lanes_string, json_lanes_quote, json_lanes_close};
static const struct road any = {json_lanes_string_any, json_lanes_quote_any, json_lanes_close_any};
#ifdef __x86_64__
// Not the chosen one where there is more.
static const struct road avx2 = {json_lanes_string_avx2, json_lanes_quote_avx2,
                                 json_lanes_close_avx2};
#endif

static void check_string(const struct road *road, const char *p, const char *limit, const char *end)
{
    bool escapes = false, expected = false;
    const char *past = string_by_bytes(p, limit, end, &expected);
    assert_ptr_equal(road->string(p, limit, end, &escapes), past);
    assert_int_equal(escapes, expected);
}

static void check_container(const struct road *road, const char *p, const char *end)
{
    size_t depth, expected_depth;
    bool in_string, expected;
    const char *past = close_by_bytes(p, end, &expected_depth, &expected);
    assert_ptr_equal(road->close(p, end, &depth, &in_string), past);
    assert_int_equal(depth, expected_depth);
    assert_int_equal(in_string, expected);
}

static void check(const char *p, const char *limit, const char *end)
{
    const struct road *roads[] = {&chosen, &any, NULL};
#ifdef __x86_64__
    roads[2] = lanes_have_avx2() ? &avx2 : NULL;
#endif
    for (int i = 0; i < 3 && roads[i] != NULL; i++) {
        check_string(roads[i], p, limit, end);
        assert_ptr_equal(roads[i]->quote(p, end), quote_by_bytes(p, end));
        check_container(roads[i], p, end);
    }
}

#define TEXT (3 * JSON_LANES + 20)

static void every_byte_in_every_place(void **state)
{
    (void)state;
    char text[TEXT];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < sizeof(text); at++) {
        for (int c = 0; c < 256; c++) {
            text[at] = (char)c;
            check(text, text + sizeof(text), text + sizeof(text));
        }
        text[at] = (char)('a' + at % 26);
    }
}

static void every_byte_behind_backslashes(void **state)
{
    (void)state;
    for (size_t at = JSON_LANES - 9; at <= JSON_LANES + 2; at++) {
        for (size_t run = 1; run <= 2 * JSON_LANES + 2 && at + run < TEXT; run++) {
            char text[TEXT];
            memset(text, 'x', sizeof(text));
            memset(text + at, '\\', run);
            for (int c = 0; c < 256; c++) {
                text[at + run] = (char)c;
                check(text, text + TEXT, text + TEXT);
            }
        }
    }
}

// Plain text for as long as makes the look for plain text alone begin, then something.
static void what_follows_much_plain_text(void **state)
{
    (void)state;
    char text[(JSON_LANES_QUIET + 8) * JSON_LANES];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at + 2 < sizeof(text); at++) {
        static const char *const ends[] = {"\"", "\\n", "\\u", "\xC3", "\n", "]"};
        for (int i = 0; i < 6; i++) {
            memcpy(text + at, ends[i], strlen(ends[i]));
            check(text, text + sizeof(text), text + sizeof(text));
            check(text, text + sizeof(text) - 100, text + sizeof(text));
            memset(text + at, 'x', 2);
        }
    }
}

static void limits_and_lengths(void **state)
{
    (void)state;
    char text[TEXT];
    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at + 1 < TEXT; at++) {
        memcpy(text + at, "\\n", 2);
        for (size_t len = 0; len <= TEXT; len++)
            check(text, text + len / 2, text + len);
        memset(text + at, 'x', 2);
    }
}

static void any_mixture(void **state)
{
    (void)state;
    static const char letters[] = "\"\\\\nu[]{}x/\x1F\xC3 ,:t7yz";
    uint32_t seed = 1;
    for (uint32_t round = 0; round < 20000; round++) {
        char text[TEXT];
        // Of some rounds' texts most is plain, so that they get further than a few bytes.
        size_t plain = round % 8 * 4;
        for (size_t i = 0; i < TEXT; i++) {
            seed = seed * 1664525 + 1013904223;
            size_t n = (seed >> 16) % (sizeof(letters) - 1 + plain);
            text[i] = n < sizeof(letters) - 1 ? letters[n] : 'x';
        }
        check(text, text + TEXT - round % 70, text + TEXT - round % 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_in_every_place),
        cmocka_unit_test(every_byte_behind_backslashes),
        cmocka_unit_test(what_follows_much_plain_text),
        cmocka_unit_test(limits_and_lengths),
        cmocka_unit_test(any_mixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
