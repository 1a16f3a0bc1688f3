// SPDX-License-Identifier: Apache-2.0
//
// http_test.c: names of fields and methods.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/net_internal.h"
#include <ctype.h>

static void every_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned t = 1; t < HTTP_NAME_COUNT; t++) {
        struct slice name = http_name_text((enum http_name)t);
        char copy[64];
        assert_int_equal(http_name_find(name), t);
        for (size_t i = 0; i < name.len; i++)
            copy[i] = (char)toupper(name.ptr[i]);
        assert_int_equal(http_name_find(slice_of(copy, name.len)), t);
        copy[name.len - 1] = '!';
        assert_int_equal(http_name_find(slice_of(copy, name.len)), HTTP_N_OTHER);
        assert_int_equal(http_name_find(slice_take(name, name.len - 1)), HTTP_N_OTHER);
    }
    assert_int_equal(http_name_find(SLICE_EMPTY), HTTP_N_OTHER);
    assert_int_equal(http_name_find(SLICE("content\rtype")), HTTP_N_OTHER);
    assert_int_equal(http_name_find(SLICE("a-name-longer-than-any-of-ours")), HTTP_N_OTHER);
}

static void methods_round_trip(void **state)
{
    (void)state;
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
        assert_int_equal(http__method_find(http_method_name((enum http_method)m)), m);
    assert_int_equal(http__method_find(SLICE("get")), HTTP_METHOD_COUNT);
    assert_int_equal(http__method_find(SLICE("CONNECT")), HTTP_METHOD_COUNT);
}

static void tokens_are_rfc_9110(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c;
        bool tchar = c < 128 && c > 0 && (isalnum((int)c) || strchr("!#$%&'*+-.^_`|~", (int)c));
        assert_int_equal(http__is_token(slice_of(&byte, 1)), tchar);
    }
    assert_false(http__is_token(SLICE_EMPTY));
}

static void values_hold_no_control_byte_anywhere(void **state)
{
    (void)state;
    char value[24];
    for (size_t at = 0; at < sizeof(value); at++) {
        for (unsigned c = 0; c < 256; c++) {
            memset(value, 'v', sizeof(value));
            value[at] = (char)c;
            bool fine = (c >= 0x20 && c != 0x7f) || c == '\t';
            assert_int_equal(http__is_value(slice_of(value, sizeof(value))), fine);
            memset(value, 0x80, sizeof(value)); // and beside bytes that borrow
            value[at] = (char)c;
            assert_int_equal(http__is_value(slice_of(value, sizeof(value))), fine);
        }
    }
}

static void fields_are_found_in_a_head(void **state)
{
    (void)state;
    struct http_field f[] = {{HTTP_N_OTHER, SLICE("X-Custom"), SLICE("1")},
                             {HTTP_N_HOST, SLICE("Host"), SLICE("a")},
                             {HTTP_N_HOST, SLICE("Host"), SLICE("b")}};
    struct http_head h = {.fields = f, .count = 3};
    assert_ptr_equal(http_head_get(&h, HTTP_N_HOST), &f[1]);
    assert_null(http_head_get(&h, HTTP_N_COOKIE));
    assert_ptr_equal(http_head_find(&h, SLICE("x-custom")), &f[0]);
    assert_null(http_head_find(&h, SLICE("x-customs")));
}

// RFC 3986 3.2.2, 3.2.3; RFC 9110 4.2.1 (an empty host is invalid), 4.2.4 (so is user information).
static void hosts_are_taken_out_of_authorities(void **state)
{
    static const struct {
        struct slice authority, host; // no host: refused
    } rows[] = {
        {SLICE("a"), SLICE("a")},
        {SLICE("a:"), SLICE("a")},
        {SLICE("a:0"), SLICE("a")},
        {SLICE("EXAMPLE.com:65535"), SLICE("EXAMPLE.com")},
        {SLICE("127.0.0.1:8080"), SLICE("127.0.0.1")},
        {SLICE("[::1]"), SLICE("[::1]")},
        {SLICE("[::ffff:1.2.3.4]:80"), SLICE("[::ffff:1.2.3.4]")},
        {SLICE("a%2eb"), SLICE("a%2eb")},
        {SLICE(""), {0}},
        {SLICE(":80"), {0}},
        {SLICE("a:65536"), {0}},
        {SLICE("a:000080"), {0}},
        {SLICE("a:+1"), {0}},
        {SLICE("a:x"), {0}},
        {SLICE("a:1:2"), {0}},
        {SLICE("::1"), {0}},
        {SLICE("[]"), {0}},
        {SLICE("[::1"), {0}},
        {SLICE("[::1]a"), {0}},
        {SLICE("[::1%25eth0]"), {0}},
        {SLICE("a]"), {0}},
        {SLICE("u@a"), {0}},
        {SLICE("a/b"), {0}},
        {SLICE("a,b"), {0}},
        {SLICE("a b"), {0}},
        {SLICE("a\0b"), {0}},
        {SLICE("\xc3\xa4"), {0}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice host = SLICE_EMPTY;
        bool good = http_authority_host(rows[i].authority, &host);
        assert_int_equal(good, rows[i].host.ptr != NULL);
        assert_true(!good || slice_eq(host, rows[i].host));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_in_any_case),
        cmocka_unit_test(methods_round_trip),
        cmocka_unit_test(tokens_are_rfc_9110),
        cmocka_unit_test(values_hold_no_control_byte_anywhere),
        cmocka_unit_test(fields_are_found_in_a_head),
        cmocka_unit_test(hosts_are_taken_out_of_authorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
