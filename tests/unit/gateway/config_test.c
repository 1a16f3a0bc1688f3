// SPDX-License-Identifier: Apache-2.0
//
// config_test.c: a snapshot from file or environment, looked at, published, retired, freed.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// ---- Life ---------------------------------------------------------------------------------------

static struct config *published(unsigned cores)
{
    struct built b;
    built_text(&b, "{\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\","
                   "\"models\":[\"*\"]}]}}}");
    assert_int_equal(b.err, 0);
    config_report_done(&b.report);
    config_publish(b.config, cores);
    return b.config;
}

// Freeing too early is a use after free, too late a leak: both are the sanitizer's to see.
static void the_last_core_frees(void **state)
{
    (void)state;
    struct config *c = published(3);
    config_retire(c, 0);
    config_retire(c, 2);
    assert_int_equal(atomic_load(&c->cores), 1);
    assert_true(config_provider(c, SLICE("openai")) != NULL);
    config_retire(c, 1);
}

static void exchanges_keep_it_alive(void **state)
{
    (void)state;
    struct config *c = published(2);
    config_exchange_begin(c, 0);
    config_exchange_begin(c, 0);
    config_exchange_begin(c, 1);
    config_exchange_end(c, 1); // not retired yet: nothing happens
    assert_int_equal(atomic_load(&c->cores), 2);
    config_retire(c, 1);
    assert_int_equal(atomic_load(&c->cores), 1);
    config_retire(c, 0);
    assert_int_equal(atomic_load(&c->cores), 1);
    config_exchange_end(c, 0);
    assert_int_equal(atomic_load(&c->cores), 1);
    config_exchange_end(c, 0);
}

static void cores_do_not_share_lines(void **state)
{
    (void)state;
    struct config *c = published(1);
    assert_int_equal((uintptr_t)&c->core[0] % 64, 0);
    assert_int_equal((uintptr_t)&c->core[1] - (uintptr_t)&c->core[0], 64);
    config_retire(c, 0);
}

// ---- Limiters -----------------------------------------------------------------------------------

static void limiters_get_their_numbers(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{"
                   "\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}],"
                   "\"concurrency_and_buffer_size\":{\"concurrency\":7,\"buffer_size\":9}},"
                   "\"groq\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]}]}}}");
    assert_int_equal(b.err, 0);
    assert_int_equal(b.limiters.count, 2);
    assert_string_equal(b.limiters.asked[0].name, "openai");
    assert_int_equal(b.limiters.asked[0].concurrency, 7);
    assert_int_equal(b.limiters.asked[0].buffer_size, 9);
    assert_int_equal(b.limiters.asked[1].concurrency, 1000);
    assert_int_equal(b.limiters.asked[1].buffer_size, 5000);
    assert_ptr_equal(b.config->providers[1].limiter, &b.limiters.asked[1]);
    built_done(&b);
}

static void a_refused_file_leaves_limiters_alone(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{"
                   "\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\"}]},"
                   "\"groq\":{\"keys\":[{\"name\":\"\"}]}}}");
    assert_int_equal(b.err, ERR_CONFIG);
    assert_int_equal(b.limiters.count, 0);
    built_done(&b);
}

// ---- Models -------------------------------------------------------------------------------------

#define TWO_PROVIDERS                                                                              \
    "{\"providers\":{"                                                                             \
    "\"openai\":{\"keys\":[{\"name\":\"all\",\"value\":\"v\",\"models\":[\"*\"],"                  \
    "\"blacklisted_models\":[\"o1\"],\"aliases\":{\"Fast\":\"gpt-4o-mini\"}},"                     \
    "{\"name\":\"off\",\"value\":\"v\",\"enabled\":false,\"models\":[\"secret\"]}]},"              \
    "\"groq\":{\"keys\":[{\"name\":\"some\",\"value\":\"v\",\"models\":[\"llama\",\"x\"],"         \
    "\"blacklisted_models\":[\"x\"]}]},"                                                           \
    "\"xai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"llama\",\"grok\"]},"         \
    "{\"name\":\"shut\",\"value\":\"v\",\"models\":[\"*\"],\"blacklisted_models\":[\"*\"]}]}}}"

static void keys_serve_what_they_list(void **state)
{
    (void)state;
    static const struct {
        unsigned provider, key;
        const char *model;
        const char *sent; // NULL: not served
    } rows[] = {
        {0, 0, "gpt-4o", "gpt-4o"}, {0, 0, "o1", NULL},       {0, 0, "fAST", "gpt-4o-mini"},
        {0, 1, "secret", NULL},     {1, 0, "llama", "llama"}, {1, 0, "Llama", NULL},
        {1, 0, "x", NULL},          {1, 0, "gpt-4o", NULL},   {2, 1, "grok", NULL},
        {1, 0, "*", NULL},
    };
    struct built b;
    built_text(&b, TWO_PROVIDERS);
    assert_int_equal(b.err, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct config_key *k = &b.config->providers[rows[i].provider].keys[rows[i].key];
        struct slice sent = SLICE("untouched");
        bool served = config_key_serves(k, slice_str(rows[i].model), &sent);
        if (served != (rows[i].sent != NULL))
            fail_msg("row %zu", i);
        if (!slice_eq(sent, slice_str(served ? rows[i].sent : "untouched")))
            fail_msg("row %zu sends %.*s", i, SLICE_ARG(sent));
    }
    built_done(&b);
}

static void a_bare_model_finds_the_first_that_names_it(void **state)
{
    (void)state;
    static const struct {
        const char *model, *provider;
    } rows[] = {
        {"llama", "groq"},  {"grok", "xai"},
        {"fast", "openai"}, {"gpt-4o", NULL}, // admitted by "*", not named
        {"secret", NULL},                     // its key is disabled
        {"x", NULL},                          // blacklisted
        {"*", NULL},
    };
    struct built b;
    built_text(&b, TWO_PROVIDERS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct config_provider *p =
            config_provider_of_model(b.config, slice_str(rows[i].model));
        assert_true((p != NULL) == (rows[i].provider != NULL));
        if (p != NULL)
            assert_true(slice_eq(p->name, slice_str(rows[i].provider)));
    }
    assert_null(config_provider(b.config, SLICE("OpenAI")));
    assert_ptr_equal(config_provider(b.config, SLICE("groq")), &b.config->providers[1]);
    assert_int_equal(b.config->providers[1].index, 1);
    built_done(&b);
}

// ---- File and environment -----------------------------------------------------------------------

static const char *two_keys(const char *name)
{
    if (strcmp(name, "OPENAI_KEY") == 0)
        return "sk-from-env";
    if (strcmp(name, "MISTRAL_API_KEY") == 0)
        return "m-key";
    return strcmp(name, "GROQ_API_KEY") == 0 ? "" : NULL;
}

static const char *no_variables(const char *name)
{
    (void)name;
    return NULL;
}

static char *folder_with(const char *text)
{
    char *folder = strdup("/tmp/config_test.XXXXXX");
    assert_non_null(mkdtemp(folder));
    char name[256];
    snprintf(name, sizeof(name), "%s/config.json", folder);
    if (text != NULL) {
        FILE *f = fopen(name, "w");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    return folder;
}

static void remove_folder(char *folder)
{
    char name[256];
    snprintf(name, sizeof(name), "%s/config.json", folder);
    unlink(name);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
}

static void without_a_file_the_environment_counts(void **state)
{
    (void)state;
    char *folder = folder_with(NULL);
    struct config_source source = {.app_dir = folder, .environment = two_keys};
    struct config_report report;
    struct config *c = NULL;
    config_report_init(&report);
    assert_int_equal(config_build(&source, NULL, &report, &c), 0);
    assert_int_equal(report.errors.len, 0);
    assert_int_equal(report.warnings.len, 0);
    assert_int_equal(c->provider_count, 2);
    assert_true(slice_eq(c->providers[0].name, SLICE("openai")));
    assert_true(slice_eq(c->providers[1].name, SLICE("mistral")));
    const struct config_key *k = &c->providers[0].keys[0];
    assert_true(slice_eq(k->name, SLICE("OPENAI_KEY_auto_detected")));
    assert_true(slice_eq(k->auth_value, SLICE("Bearer sk-from-env")));
    assert_true(k->all_models && k->enabled);
    assert_true(k->weight == 1);
    assert_null(c->providers[0].limiter);
    config_free(c);

    source.environment = no_variables;
    c = NULL;
    assert_int_equal(config_build(&source, NULL, &report, &c), 0);
    assert_int_equal(c->provider_count, 0);
    assert_true(slice_find(buf_slice(&report.warnings), SLICE("no config.json")) >= 0);
    config_free(c);
    config_report_done(&report);
    remove_folder(folder);
}

static void a_file_wins_over_the_environment(void **state)
{
    (void)state;
    char *folder = folder_with("{\"client\":{\"drop_excess_requests\":true}}");
    struct config_source source = {.app_dir = folder, .environment = two_keys};
    struct config_report report;
    struct config *c = NULL;
    config_report_init(&report);
    assert_int_equal(config_build(&source, NULL, &report, &c), 0);
    assert_int_equal(c->provider_count, 0);
    assert_true(c->drop_excess_requests);
    config_free(c);
    config_report_done(&report);
    remove_folder(folder);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    char *folder = folder_with(NULL);
    char name[256];
    snprintf(name, sizeof(name), "%s/config.json", folder);
    char *inner = strdup(name);
    assert_non_null(inner);
    struct config_source source = {.app_dir = folder, .environment = two_keys};
    struct config_report report;
    struct config *c = NULL;
    config_report_init(&report);
    assert_int_equal(symlink("/dev", inner), 0); // a folder by that name
    assert_int_equal(config_build(&source, NULL, &report, &c), ERR_CONFIG);
    assert_true(slice_starts(buf_slice(&report.errors), SLICE("config.json: cannot be read: ")));
    assert_null(c);
    config_report_done(&report);
    free(inner);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_core_frees),
        cmocka_unit_test(exchanges_keep_it_alive),
        cmocka_unit_test(cores_do_not_share_lines),
        cmocka_unit_test(limiters_get_their_numbers),
        cmocka_unit_test(a_refused_file_leaves_limiters_alone),
        cmocka_unit_test(keys_serve_what_they_list),
        cmocka_unit_test(a_bare_model_finds_the_first_that_names_it),
        cmocka_unit_test(without_a_file_the_environment_counts),
        cmocka_unit_test(a_file_wins_over_the_environment),
        cmocka_unit_test(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
