// SPDX-License-Identifier: Apache-2.0
//
// config_keys_test.c: keys: values and variables, identities, model lists of both versions,
// aliases, places of their own.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PROVIDER(name, keys) "{\"providers\":{\"" name "\":{\"keys\":[" keys "]}}}"
#define KEY(members)         PROVIDER("openai", "{\"name\":\"k\"," members "}")
#define VERSION(n, members)                                                                        \
    "{\"version\":" n                                                                              \
    ",\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\"" members "}]}}}"
#define ALL "\"models\":[\"*\"]"

static void assert_text(struct slice s, const char *expected)
{
    if (!slice_eq(s, slice_str(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

static const struct config_key *first_key(struct built *b, const char *text)
{
    built_text(b, text);
    if (b->err != 0)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&b->report.errors)));
    return &b->config->providers[0].keys[0];
}

static void values_come_in_many_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } rows[] = {
        {KEY("\"value\":\"plain\"," ALL), "plain"},
        {KEY("\"value\":\"env.TEST_KEY\"," ALL), "sk-test-secret"},
        {KEY("\"value\":{\"value\":\"plain\"}," ALL), "plain"},
        {KEY("\"value\":{\"value\":\"env.TEST_KEY\"}," ALL), "sk-test-secret"},
        {KEY("\"value\":{\"value\":\"stale\",\"env_var\":\"env.TEST_KEY\",\"from_env\":true}," ALL),
         "sk-test-secret"},
        {KEY("\"value\":{\"env_var\":\"TEST_KEY\"}," ALL), "sk-test-secret"},
        {KEY("\"value\":{\"ref\":\"env.TEST_KEY\",\"type\":\"env\"}," ALL), "sk-test-secret"},
        {KEY("\"value\":{\"value\":\"plain\",\"env_var\":\"\",\"from_env\":false}," ALL), "plain"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        const struct config_key *k = first_key(&b, rows[i].text);
        char bearer[64];
        snprintf(bearer, sizeof(bearer), "Bearer %s", rows[i].value);
        assert_text(k->value, rows[i].value);
        assert_text(k->auth_value, bearer);
        assert_true(k->enabled);
        assert_true(k->weight == 1);
        built_done(&b);
    }
}

static void an_unset_variable_disables_the_key(void **state)
{
    (void)state;
    struct built b;
    assert_false(first_key(&b, KEY("\"value\":\"env.NOT_SET\"," ALL))->enabled);
    assert_true(built_warning(&b, "providers.openai.keys[0].value: environment variable NOT_SET is "
                                  "not set: the key is disabled"));
    built_done(&b);
    assert_false(first_key(&b, KEY("\"value\":\"env.TEST_EMPTY\"," ALL))->enabled);
    assert_true(built_warning(&b, "providers.openai.keys[0].value: environment variable TEST_EMPTY "
                                  "is not set: the key is disabled"));
    built_done(&b);
    assert_false(first_key(&b, KEY(ALL))->enabled);
    assert_true(built_warning(&b, "providers.openai.keys[0].value: empty: the key is disabled"));
    built_done(&b);
}

static void secrets_are_never_said(void **state)
{
    (void)state;
    static const char *const texts[] = {
        KEY("\"value\":\"sk-hidden\\u0001\""),
        KEY("\"value\":\"env.BAD_KEY\""),
        KEY("\"value\":{\"value\":\"sk-hidden\",\"type\":\"sk-hidden\"}"),
        KEY("\"value\":\"sk-hidden\",\"weight\":\"sk-hidden\""),
        "{\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"sk-hidden\"}],"
        "\"network_config\":{\"base_url\":\"https://u:sk-hidden@h\",\"extra_headers\":{\"x-a\":"
        "\"sk-hidden\\n\"}}}}}",
        "{\"encryption_key\":\"sk-hidden\",\"version\":\"sk-hidden\"}",
        "{\"providers\":{\"openai\":{\"keys\":[{\"value\":\"sk-hidden\"} sk-hidden",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct built b;
        built_text(&b, texts[i]);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(slice_find(buf_slice(&b.report.errors), SLICE("sk-")) < 0);
        assert_true(b.report.warnings.len == 0 ||
                    slice_find(buf_slice(&b.report.warnings), SLICE("sk-")) < 0);
        built_done(&b);
    }
}

static void ids_are_given_or_follow_from_the_name(void **state)
{
    (void)state;
    struct built b;
    assert_text(first_key(&b, KEY("\"id\":\"mine\",\"value\":\"v\"," ALL))->id, "mine");
    built_done(&b);
    const struct config_key *k = first_key(&b, KEY("\"value\":\"v\"," ALL));
    char id[40];
    snprintf(id, sizeof(id), "%.*s", SLICE_ARG(k->id));
    assert_int_equal(k->id.len, 36);
    assert_int_equal(id[14], '5');
    built_done(&b);
    assert_text(first_key(&b, KEY("\"value\":\"other\"," ALL))->id, id); // stable
    built_done(&b);
    k = first_key(&b, PROVIDER("groq", "{\"name\":\"k\",\"value\":\"v\"," ALL "}"));
    assert_false(slice_eq(k->id, slice_str(id)));
    built_done(&b);
}

static void lists_mean_what_the_version_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool all;
        unsigned models, warnings;
    } rows[] = {
        {VERSION("2", ""), false, 0, 1},
        {VERSION("2", ",\"models\":[]"), false, 0, 1},
        {VERSION("2", ",\"models\":[\"*\"]"), true, 1, 0},
        {VERSION("2", ",\"models\":[\"a\",\"b\"]"), false, 2, 0},
        {VERSION("2", ",\"aliases\":{\"a\":\"b\"}"), false, 0, 0},
        {VERSION("2", ",\"models\":[\"*\",\"b\"]"), true, 2, 1},
        {VERSION("1", ""), true, 0, 0},
        {VERSION("1", ",\"models\":[]"), true, 0, 0},
        {VERSION("1", ",\"models\":[\"a\"]"), false, 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        const struct config_key *k = first_key(&b, rows[i].text);
        if (k->all_models != rows[i].all || k->model_count != rows[i].models)
            fail_msg("%s", rows[i].text);
        assert_int_equal(built_lines(&b.report.warnings), rows[i].warnings);
        built_done(&b);
    }
}

static void aliases_are_texts_or_objects(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(
        &b, KEY("\"value\":\"v\",\"aliases\":{\"Fast\":\"gpt-mini\",\"slow\":{\"model_id\":\"gpt\","
                "\"model_name\":\"x\",\"description\":\"y\"},\"off\":null}"));
    assert_int_equal(b.report.warnings.len, 0);
    assert_int_equal(k->alias_count, 2);
    assert_text(k->aliases[0].name, "Fast");
    assert_text(k->aliases[0].model_id, "gpt-mini");
    assert_text(k->aliases[1].model_id, "gpt");
    struct slice model;
    assert_true(config_key_serves(k, SLICE("FAST"), &model));
    assert_text(model, "gpt-mini");
    assert_false(config_key_serves(k, SLICE("gpt-mini"), &model));
    built_done(&b);
}

// ---- Places of their own ------------------------------------------------------------------------

static void keys_have_their_own_place(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(
        &b, PROVIDER("ollama", "{\"name\":\"a\",\"models\":[\"*\"],\"ollama_key_config\":{"
                               "\"url\":\"http://box:11434/v1\"}},"
                               "{\"name\":\"b\",\"models\":[\"*\"],\"ollama_key_config\":{"
                               "\"url\":\"env.TEST_URL\"}}"));
    assert_int_equal(b.report.warnings.len, 0);
    assert_true(k->enabled);
    assert_int_equal(k->auth_value.len, 0);
    assert_text(origin_authority(k->origin), "box:11434");
    assert_text(k->base_path, "");
    assert_text(origin_authority(k[1].origin), "127.0.0.1:9000");
    assert_null(built_provider(&b, "ollama")->origin);
    assert_text(built_provider(&b, "ollama")->path[OP_CHAT], "/v1/chat/completions");
    built_done(&b);
}

static void an_older_file_has_one_place_for_all(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(
        &b, "{\"providers\":{\"ollama\":{\"network_config\":{\"base_url\":\"http://box/x\"}}}}");
    assert_true(k->enabled && k->all_models);
    assert_text(k->name, "ollama");
    assert_text(k->base_path, "/x");
    assert_int_equal(k->id.len, 36);
    built_done(&b);
    k = first_key(&b, "{\"providers\":{\"sgl\":{\"keys\":[{\"name\":\"k\",\"models\":[\"*\"]}],"
                      "\"network_config\":{\"base_url\":\"http://box\"}}}}");
    assert_text(origin_authority(k->origin), "box");
    built_done(&b);
}

static void a_vllm_key_serves_its_model(void **state)
{
    (void)state;
#define VLLM(models)                                                                               \
    PROVIDER("vllm", "{\"name\":\"k\"," models "\"vllm_key_config\":{\"url\":\"http://h\","        \
                     "\"model_name\":\"m\"}}")
    static const struct {
        const char *text;
        unsigned count;
    } rows[] = {
        {VLLM(""), 1},
        {VLLM("\"models\":[\"*\"],"), 1},
        {VLLM("\"models\":[\"a\",\"m\"],"), 1},
        {VLLM("\"models\":[\"a\"],"), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        struct slice model;
        const struct config_key *k = first_key(&b, rows[i].text);
        assert_false(k->all_models);
        assert_int_equal(k->model_count, rows[i].count);
        assert_int_equal(config_key_serves(k, SLICE("m"), &model), rows[i].count);
        assert_false(config_key_serves(k, SLICE("a"), &model));
        built_done(&b);
    }
}

// ---- Mistakes -----------------------------------------------------------------------------------

static void mistakes_are_said_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {PROVIDER("openai", "{\"name\":\"k\",\"value\":\"a\"},{\"name\":\"k\",\"value\":\"b\"}"),
         "providers.openai.keys[1].name: another key of this provider has it"},
        {PROVIDER("openai", "{\"name\":\"k\",\"id\":\"1\"},{\"name\":\"l\",\"id\":\"1\"}"),
         "providers.openai.keys[1].id: another key of this provider has it"},
        {PROVIDER("openai", "{\"name\":\" k\"}"),
         "providers.openai.keys[0].name: may not be empty or begin or end with space"},
        {PROVIDER("openai", "{\"name\":\"\"}"),
         "providers.openai.keys[0].name: may not be empty or begin or end with space"},
        {KEY("\"value\":\"env.BAD_KEY\""),
         "providers.openai.keys[0].value: holds characters that cannot be sent in a header"},
        {KEY("\"value\":\"env.NOT-A-NAME\""),
         "providers.openai.keys[0].value: not the name of an environment variable"},
        {KEY("\"value\":\"env.\""),
         "providers.openai.keys[0].value: not the name of an environment variable"},
        {KEY("\"value\":\"vault.a#b\""),
         "providers.openai.keys[0].value: a vault is not served yet"},
        {KEY("\"value\":{\"ref\":\"x\",\"type\":\"vault\"}"),
         "providers.openai.keys[0].value: a vault is not served yet"},
        {KEY("\"models\":[\"env.NOT_SET\"]"),
         "providers.openai.keys[0].models[0]: environment variable NOT_SET is not set"},
        {KEY("\"aliases\":{\"a\":\"b\",\"A\":\"c\"}"),
         "providers.openai.keys[0].aliases.A: this alias is there already (letter case does not "
         "count)"},
        {KEY("\"aliases\":{\"\":\"b\"}"), "providers.openai.keys[0].aliases.\"\": an alias and its "
                                          "model may not be empty or begin or "
                                          "end with space"},
        {KEY("\"aliases\":{\"a\":\"b \"}"),
         "providers.openai.keys[0].aliases.a: an alias and its model may not be empty or begin or "
         "end with space"},
        {PROVIDER("ollama", "{\"name\":\"k\"}"),
         "providers.ollama.keys[0]: a key of this provider needs ollama_key_config.url"},
        {PROVIDER("ollama", "{\"name\":\"k\",\"ollama_key_config\":{}}"),
         "providers.ollama.keys[0].ollama_key_config.url: missing"},
        {PROVIDER("vllm", "{\"name\":\"k\",\"ollama_key_config\":{\"url\":\"http://h\"}}"),
         "providers.vllm.keys[0]: a key of this provider needs vllm_key_config.url"},
        {PROVIDER("ollama", "{\"name\":\"k\",\"ollama_key_config\":{\"url\":\"box\"}}"),
         "providers.ollama.keys[0].ollama_key_config.url: expected a URL such as "
         "https://host:port/path"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_text(&b, rows[i].text);
        if (b.err != ERR_CONFIG)
            fail_msg("accepted: %s", rows[i].text);
        if (!built_error(&b, rows[i].line))
            fail_msg("not said for: %s", rows[i].text);
        built_done(&b);
    }
}

static void a_place_for_another_vendor_warns(void **state)
{
    (void)state;
    struct built b;
    first_key(&b, KEY("\"value\":\"v\"," ALL ",\"vllm_key_config\":{\"url\":\"http://h\"}"));
    assert_true(built_warning(&b, "providers.openai.keys[0].vllm_key_config: means nothing to this "
                                  "provider: ignored"));
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_many_forms),
        cmocka_unit_test(an_unset_variable_disables_the_key),
        cmocka_unit_test(secrets_are_never_said),
        cmocka_unit_test(ids_are_given_or_follow_from_the_name),
        cmocka_unit_test(lists_mean_what_the_version_says),
        cmocka_unit_test(aliases_are_texts_or_objects),
        cmocka_unit_test(keys_have_their_own_place),
        cmocka_unit_test(an_older_file_has_one_place_for_all),
        cmocka_unit_test(a_vllm_key_serves_its_model),
        cmocka_unit_test(mistakes_are_said_with_their_place),
        cmocka_unit_test(a_place_for_another_vendor_warns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
