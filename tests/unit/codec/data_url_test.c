// SPDX-License-Identifier: Apache-2.0
//
// data_url_test.c: what is a data: URL and what is an address, and text on its way into one.
#include "codec/data_url.h"
#include "tests/unit/codec/openai_desk.h"

static void plain_ones_are_taken_apart(void **state)
{
    struct slice type, data;
    (void)state;
    assert_true(data_url_split(SLICE("data:image/png;base64,QQ=="), &type, &data));
    assert_slice(type, "image/png");
    assert_slice(data, "QQ==");
    assert_true(data_url_split(SLICE("DATA:text/plain;charset=utf-8;BASE64,QQ"), &type, &data));
    assert_slice(type, "text/plain");
    assert_slice(data, "QQ");
    assert_true(data_url_split(SLICE("data:;base64,"), &type, &data));
    assert_slice(type, "text/plain"); // RFC 2397
    assert_false(data_url_split(SLICE("data:text/plain,hello"), &type, &data));
    assert_false(data_url_split(SLICE("data:text/plain;base64"), &type, &data));
    assert_false(data_url_split(SLICE("data:,x"), &type, &data));
    assert_false(data_url_split(SLICE("data:a b;base64,QQ"), &type, &data));
    assert_false(data_url_split(SLICE("https://example.com/a,b"), &type, &data));
}

static void expect_url(const char *url, const char *type, const char *data)
{
    struct desk d;
    struct slice got_type, got_data;
    desk_open(&d, 1 << 20);
    assert_int_equal(data_url_read(&d.arena, quoted(&d, url), &got_type, &got_data), 0);
    say(&d, got_type);
    expect_said(&d, type);
    say(&d, got_data);
    expect_said(&d, data);
    desk_close(&d);
}

static void data_urls_are_taken_apart(void **state)
{
    (void)state;
    expect_url("'data:image/png;base64,QUFB'", "'image/png'", "'QUFB'");
    expect_url("'data:image\\/png;base64,QU\\/B'", "'image/png'", "'QU\\/B'");
    expect_url("'DATA:image/png;charset=x;BASE64,'", "'image/png'", "''");
    expect_url("'data:;base64,QUFB'", "'text/plain'", "'QUFB'");
    // Everything else is an address.
    expect_url("'https://example.com/a,b'", "", "");
    expect_url("'data:image/png,abc'", "", "");
    expect_url("'data:image/png;base64'", "", "");
    expect_url("'data:a b;base64,QUFB'", "", "");
    expect_url("'data:\\u0000;base64,QUFB'", "", "");
    expect_url("'data:base64,QUFB'", "", "");
    expect_url("''", "", "");
}

static void expect_text_url(const char *text, const char *url)
{
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(data_url_write_text(&d.w, quoted(&d, text)), 0);
    expect_written(&d, url);
    desk_close(&d);
}

// RFC 4648 section 10.
static void plain_text_becomes_base64(void **state)
{
    (void)state;
    expect_text_url("''", "'data:text/plain;base64,'");
    expect_text_url("'f'", "'data:text/plain;base64,Zg=='");
    expect_text_url("'fo'", "'data:text/plain;base64,Zm8='");
    expect_text_url("'foo'", "'data:text/plain;base64,Zm9v'");
    expect_text_url("'foob'", "'data:text/plain;base64,Zm9vYg=='");
    expect_text_url("'\\u00ff\\n'", "'data:text/plain;base64,w78K'");
}

// Stops a type from being a place to hide a megabyte in.
static void a_long_head_is_no_url(void **state)
{
    (void)state;
    char text[2 * DATA_URL_HEAD_BYTES_MAX];
    struct slice type, data;
    struct desk d;
    desk_open(&d, 1 << 20);
    for (size_t head = DATA_URL_HEAD_BYTES_MAX - 1; head <= DATA_URL_HEAD_BYTES_MAX; head++) {
        bool fits = head < DATA_URL_HEAD_BYTES_MAX;
        memset(text, 'a', sizeof(text));
        memcpy(text, "\"data:", 6);
        memcpy(text + 1 + head - 7, ";base64,QQ==\"", 13);
        struct slice literal = slice_of(text, 1 + head - 7 + 13);
        assert_int_equal(data_url_split(literal_inner(literal), &type, &data), fits);
        assert_int_equal(data_url_read(&d.arena, literal, &type, &data), 0);
        assert_int_equal(data.len, fits ? 6 : 0);
    }
    desk_close(&d);
}

static void one_is_put_together(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    data_url_write(&d.w, SLICE("\"image/png\""), SLICE("\"QQ==\""));
    expect_written(&d, "'data:image/png;base64,QQ=='");
    desk_close(&d);
}

static void a_type_is_one(void **state)
{
    (void)state;
    struct slice type;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(data_url_read_type(&d.arena, SLICE("\"a\\/b\""), &type), 0);
    assert_slice(type, "\"a/b\"");
    assert_int_equal(data_url_read_type(&d.arena, SLICE("\"a b\""), &type), ERR_BAD_TYPE);
    assert_int_equal(data_url_read_type(&d.arena, SLICE("\"\""), &type), ERR_BAD_TYPE);
    desk_close(&d);
}

static int read_and_write(struct desk *d)
{
    struct slice type, data;
    int rc = data_url_read(&d->arena, SLICE("\"data:a/b;base64,QUFB\""), &type, &data);
    if (rc == 0)
        rc = data_url_read_type(&d->arena, SLICE("\"a\\/b\""), &type);
    if (rc == 0)
        rc = data_url_write_text(&d->w, SLICE("\"\\u0041\""));
    return rc ? rc : d->w.err;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_and_write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_ones_are_taken_apart), cmocka_unit_test(data_urls_are_taken_apart),
        cmocka_unit_test(plain_text_becomes_base64),  cmocka_unit_test(a_long_head_is_no_url),
        cmocka_unit_test(one_is_put_together),        cmocka_unit_test(a_type_is_one),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
