// SPDX-License-Identifier: Apache-2.0
//
// config_encryption_test.c: where the store's key comes from, and what a reload may not change.
#include "tests/support/config_support.h"

#include "base/err.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *variables(const char *name)
{
    return strcmp(name, "BIFROST_ENCRYPTION_KEY") == 0 ? "of the environment"
           : strcmp(name, "MY_KEY") == 0               ? "of my own variable"
                                                       : NULL;
}

static int build(const char *text, const struct slice *now, struct built *b)
{
    const struct config_source source = {.environment = variables, .encryption_key = now};
    memset(b, 0, sizeof(*b));
    config_report_init(&b->report);
    b->err = config_build_text(slice_str(text), &source, NULL, &b->report, &b->config);
    return b->err;
}

static bool speaks_of_it(const struct buf *lines)
{
    return slice_find(buf_slice(lines), SLICE("encryption_key")) >= 0;
}

static void the_file_wins_over_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key;
    } rows[] = {
        {"{\"providers\":{}}", "of the environment"},
        {"{\"providers\":{},\"encryption_key\":\"\"}", "of the environment"},
        {"{\"providers\":{},\"encryption_key\":\"written in the file\"}", "written in the file"},
        {"{\"providers\":{},\"encryption_key\":\"env.MY_KEY\"}", "of my own variable"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct built b;
        assert_int_equal(build(rows[i].text, NULL, &b), 0);
        assert_true(slice_eq(b.config->encryption_key, slice_str(rows[i].key)));
        assert_false(speaks_of_it(&b.report.warnings));
        built_done(&b);
    }
    struct built b;
    built_text(&b, "{\"providers\":{}}"); // its environment has none
    assert_int_equal(b.config->encryption_key.len, 0);
    built_done(&b);
}

static void what_is_refused_and_what_is_said(void **state)
{
    (void)state;
    struct built b;
    build("{\"providers\":{},\"encryption_key\":\"env.NOT_THERE\"}", NULL, &b);
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(built_error(&b, "encryption_key: environment variable NOT_THERE is not set"));
    built_done(&b);
    build("{\"providers\":{},\"encryption_key\":7}", NULL, &b);
    assert_int_equal(b.err, ERR_CONFIG);
    built_done(&b);
    build("{\"providers\":{},\"encryption_key\":\"fifteen bytes !\"}", NULL, &b);
    assert_int_equal(b.err, 0);
    assert_true(
        built_warning(&b, "encryption_key: shorter than 16 bytes: it can be found by trying"));
    built_done(&b);
    char text[STORE_KEY_BYTES_MAX + 100];
    for (int more = 0; more < 2; more++) {
        snprintf(text, sizeof(text), "{\"providers\":{},\"encryption_key\":\"%0*d\"}",
                 STORE_KEY_BYTES_MAX + more, 0);
        assert_int_equal(build(text, NULL, &b), more ? ERR_CONFIG : 0);
        built_done(&b);
    }
}

static void a_reload_does_not_change_it(void **state)
{
    (void)state;
    const struct slice none = SLICE_EMPTY, now = SLICE("of the environment");
    const struct slice other = SLICE("the one in use now");
    struct built b;
    assert_int_equal(build("{\"providers\":{}}", &now, &b), 0);
    assert_false(speaks_of_it(&b.report.warnings));
    built_done(&b);
    assert_int_equal(build("{\"providers\":{}}", &other, &b), ERR_CONFIG);
    assert_true(built_error(
        &b, "encryption_key: not the one the store is open with, which cannot be changed"));
    built_done(&b);
    assert_int_equal(build("{\"providers\":{}}", &none, &b), 0);
    assert_true(built_warning(
        &b, "encryption_key: the store was opened without one: that needs a restart"));
    built_done(&b);
    const struct config_source source = {.environment = built_environment, .encryption_key = &now};
    config_report_init(&b.report);
    assert_int_equal(
        config_build_text(SLICE("{\"providers\":{}}"), &source, NULL, &b.report, &b.config),
        ERR_CONFIG);
    assert_true(built_error(
        &b, "encryption_key: is missing: the store is open with one, which cannot be changed"));
    config_report_done(&b.report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_wins_over_the_environment),
        cmocka_unit_test(what_is_refused_and_what_is_said),
        cmocka_unit_test(a_reload_does_not_change_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
