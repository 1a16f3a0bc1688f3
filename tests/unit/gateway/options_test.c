// SPDX-License-Identifier: Apache-2.0
//
// options_test.c: flags in all spellings, the environment below them, and what is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "base/err.h"
#include "gateway/options.h"
#include <string.h>

static const char *nothing(const char *name)
{
    (void)name;
    return NULL;
}

static const char *some(const char *name)
{
    static const char *const pairs[][2] = {
        {"BIFROST_HOST", "0.0.0.0"}, {"LOG_LEVEL", "warn"}, {"HOME", "/home/me"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (strcmp(name, pairs[i][0]) == 0)
            return pairs[i][1];
    }
    return NULL;
}

static const char *wrong_level(const char *name)
{
    return strcmp(name, "LOG_LEVEL") == 0 ? "loud" : NULL;
}

#define PARSE(o, environment, ...)                                                                 \
    parse((o), (environment), (char *const[]){(char *)"ringgate", __VA_ARGS__},                    \
          (int)(sizeof((char *const[]){(char *)"ringgate", __VA_ARGS__}) / sizeof(char *)))

static char error[OPTIONS_ERROR_BYTES];

static int parse(struct options *o, options_getenv_fn environment, char *const *argv, int argc)
{
    return options_parse(o, argc, argv, environment, error);
}

static void defaults_come_from_the_environment(void **state)
{
    (void)state;
    struct options o;
    char *const argv[] = {(char *)"ringgate"};
    assert_int_equal(parse(&o, nothing, argv, 1), 0);
    assert_string_equal(o.host, "localhost");
    assert_int_equal(o.port, 8080);
    assert_int_equal(o.log_level, LOG_INFO);
    assert_int_equal(o.log_style, LOG_JSON);
    assert_int_equal(parse(&o, some, argv, 1), 0);
    assert_string_equal(o.host, "0.0.0.0");
    assert_string_equal(o.app_dir, "/home/me/.config/bifrost");
    assert_int_equal(o.log_level, LOG_WARN);
}

static void flags_stand_above_it_in_any_spelling(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(PARSE(&o, some, "-port", "9000", "--host=::1", "-app-dir=/x", "--log-level",
                           "debug", "-log-style", "pretty", "--cores=3", "-busy-poll-us=50",
                           "--requests-max=9", "--ring-features=6.1", "--check-config",
                           "-allow-unenforced"),
                     0);
    assert_int_equal(o.port, 9000);
    assert_string_equal(o.host, "::1");
    assert_string_equal(o.app_dir, "/x");
    assert_int_equal(o.log_level, LOG_DEBUG);
    assert_int_equal(o.log_style, LOG_PRETTY);
    assert_int_equal(o.cores, 3);
    assert_int_equal(o.busy_poll_us, 50);
    assert_int_equal(o.requests_max, 9);
    assert_true(o.only_6_1 && o.check_config && o.allow_unenforced);
    assert_false(o.version || o.help);
}

static void what_is_not_understood_is_named(void **state)
{
    (void)state;
    struct options o = {.port = 7};
    static const char *const cases[][2] = {
        {"-prot", "-prot: unknown flag (see ringgate -help)"},
        {"port", "port: unknown flag (see ringgate -help)"},
        {"-", "-: unknown flag (see ringgate -help)"},
        {"", ": unknown flag (see ringgate -help)"},
        {"-port", "-port: a value is missing (see ringgate -help)"},
        {"-port=x", "-port=x: value not understood (see ringgate -help)"},
        {"-port=65536", "-port=65536: value not understood (see ringgate -help)"},
        {"--cores=0", "--cores=0: value not understood (see ringgate -help)"},
        {"--requests-max=0", "--requests-max=0: value not understood (see ringgate -help)"},
        {"-help=1", "-help=1: this flag takes no value (see ringgate -help)"},
        {"-log-style=xml", "-log-style=xml: value not understood (see ringgate -help)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(PARSE(&o, nothing, (char *)cases[i][0]), ERR_CONFIG);
        assert_string_equal(error, cases[i][1]);
        assert_int_equal(o.port, 7);
    }
    char *const argv[] = {(char *)"ringgate"};
    assert_int_equal(parse(&o, wrong_level, argv, 1), ERR_CONFIG);
    assert_string_equal(error, "LOG_LEVEL=loud: value not understood");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_environment),
        cmocka_unit_test(flags_stand_above_it_in_any_spelling),
        cmocka_unit_test(what_is_not_understood_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
