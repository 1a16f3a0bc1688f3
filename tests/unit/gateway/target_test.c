// SPDX-License-Identifier: Apache-2.0
//
// target_test.c: model strings and the draw among keys.

#include "base/container.h"
#include "gateway/target.h"
#include "tests/support/config_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the four above.
#include <cmocka.h>

static const char text[] =
    "{\"providers\":{"
    "\"openai\":{\"keys\":["
    "{\"name\":\"a\",\"id\":\"id-a\",\"value\":\"sk-a\",\"models\":[\"*\"],\"weight\":3},"
    "{\"name\":\"b\",\"id\":\"id-b\",\"value\":\"sk-b\",\"models\":[\"gpt-x\"],\"weight\":1,"
    "\"aliases\":{\"fast\":\"gpt-4o-mini\"}},"
    "{\"name\":\"spare\",\"value\":\"sk-c\",\"models\":[\"*\"],\"weight\":0},"
    "{\"name\":\"off\",\"value\":\"sk-d\",\"models\":[\"*\"],\"weight\":9,\"enabled\":false}]},"
    "\"groq\":{\"keys\":[{\"name\":\"g\",\"value\":\"gk\",\"models\":[\"llama-3\",\"meta/"
    "llama-4\"],"
    "\"weight\":0},{\"name\":\"h\",\"value\":\"hk\",\"models\":[\"llama-3\"],\"weight\":0}]},"
    "\"mine\":{\"network_config\":{\"base_url\":\"http://127.0.0.1:1\"},"
    "\"custom_provider_config\":{\"base_provider_type\":\"openai\",\"is_key_less\":true,"
    "\"allowed_requests\":{\"chat_completion\":true}}}}}";

static struct built built;

static int set_up(void **state)
{
    (void)state;
    built_text(&built, text);
    return built.err;
}

static int tear_down(void **state)
{
    (void)state;
    built_done(&built);
    return 0;
}

static void models_lead_to_providers(void **state)
{
    static const struct {
        enum mount mount;
        const char *model;
        enum target_result result;
        const char *provider; // served by, or at fault
        const char *rest;
    } cases[] = {
        {MOUNT_UNIFIED, "openai/gpt-4o", TARGET_OK, "openai", "gpt-4o"},
        {MOUNT_UNIFIED, "  openai/gpt-4o ", TARGET_OK, "openai", "gpt-4o"},
        {MOUNT_UNIFIED, "openai/a/b", TARGET_OK, "openai", "a/b"},
        {MOUNT_UNIFIED, "mine/x", TARGET_OK, "mine", "x"},
        {MOUNT_UNIFIED, "gpt-x", TARGET_OK, "openai", "gpt-x"},
        {MOUNT_UNIFIED, "fast", TARGET_OK, "openai", "fast"},
        {MOUNT_UNIFIED, "llama-3", TARGET_OK, "groq", "llama-3"},
        {MOUNT_UNIFIED, "meta/llama-4", TARGET_OK, "groq", "meta/llama-4"},
        {MOUNT_UNIFIED, "anthropic/claude", TARGET_UNCONFIGURED, "anthropic", ""},
        {MOUNT_UNIFIED, "nobody/x", TARGET_UNRESOLVED, "", ""},
        {MOUNT_UNIFIED, "who-knows", TARGET_UNRESOLVED, "", ""},
        {MOUNT_UNIFIED, "/gpt", TARGET_UNRESOLVED, "", ""},
        {MOUNT_UNIFIED, "openai/", TARGET_EMPTY, "", ""},
        {MOUNT_UNIFIED, " \t", TARGET_EMPTY, "", ""},
        {MOUNT_OPENAI, "gpt-4o", TARGET_OK, "openai", "gpt-4o"},
        {MOUNT_OPENAI, "groq/llama-3", TARGET_OK, "groq", "llama-3"},
        {MOUNT_OPENAI, "anthropic/claude", TARGET_OK, "openai", "anthropic/claude"},
        {MOUNT_ANTHROPIC, "groq/llama-3", TARGET_OK, "groq", "llama-3"},
        {MOUNT_ANTHROPIC, "claude", TARGET_UNCONFIGURED, "anthropic", ""},
        {MOUNT_AZURE, "my-gpt", TARGET_UNCONFIGURED, "azure", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct target t = {0};
        struct slice at_fault;
        enum target_result r =
            target_resolve(built.config, cases[i].mount, slice_str(cases[i].model), &t, &at_fault);
        struct slice who = r == TARGET_OK ? t.provider->name : at_fault;
        if (r != cases[i].result || !slice_eq(who, slice_str(cases[i].provider)) ||
            !slice_eq(t.model, slice_str(cases[i].rest)))
            fail_msg("case %zu: %s gave %d %.*s", i, cases[i].model, r, SLICE_ARG(who));
    }
}

static void what_a_provider_has_and_allows(void **state)
{
    const struct config_provider *openai = built_provider(&built, "openai");
    const struct config_provider *mine = built_provider(&built, "mine");
    (void)state;
    assert_true(target_has(openai, OP_CHAT, true, SLICE("m")));
    assert_true(target_has(openai, OP_RESPONSES, true, SLICE("m")));
    assert_true(target_has(openai, OP_TEXT, true, SLICE("m")));
    assert_false(target_has(openai, OP_MESSAGES, true, SLICE("m")));
    assert_true(target_allows(openai, OP_MESSAGES, true)); // another endpoint may serve it
    assert_true(target_has(mine, OP_CHAT, true, SLICE("m")));
    assert_true(target_allows(mine, OP_CHAT, false));
    assert_false(target_allows(mine, OP_CHAT, true));
    assert_false(target_allows(mine, OP_EMBEDDING, false));
}

static const struct config_key *choose(const char *provider, const char *model, struct prng *prng,
                                       uint64_t *used, struct slice *ret_model)
{
    const struct config_key *key = NULL;
    enum key_result r = key_choose(built_provider(&built, provider), slice_str(model), NULL, prng,
                                   used, &key, ret_model);
    return r == KEY_FOUND ? key : NULL;
}

static void keys_are_drawn_by_weight(void **state)
{
    struct prng prng;
    struct slice model;
    unsigned a = 0, b = 0;
    (void)state;
    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t used = 0;
        const struct config_key *key = choose("openai", "gpt-x", &prng, &used, &model);
        a += slice_eq(key->name, SLICE("a"));
        b += slice_eq(key->name, SLICE("b"));
    }
    assert_int_equal(a + b, 10000); // never the spare, never the one that is off
    assert_in_range(b, 2300, 2700);
}

static void all_zero_weights_are_uniform(void **state)
{
    struct prng prng;
    struct slice model;
    unsigned g = 0;
    (void)state;
    prng_seed(&prng, 2);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t used = 0;
        g += slice_eq(choose("groq", "llama-3", &prng, &used, &model)->name, SLICE("g"));
    }
    assert_in_range(g, 4700, 5300);
}

static void used_keys_come_back_when_all_were_used(void **state)
{
    struct prng prng;
    struct slice model;
    uint64_t used = 0;
    (void)state;
    prng_seed(&prng, 3);
    const struct config_key *first = choose("groq", "llama-3", &prng, &used, &model);
    const struct config_key *second = choose("groq", "llama-3", &prng, &used, &model);
    assert_ptr_not_equal(first, second);
    assert_non_null(choose("groq", "llama-3", &prng, &used, &model));
    assert_int_equal(__builtin_popcountll(used), 1);
    // The spare is no reserve: with every weighted key used, they come back.
    used = 3;
    assert_false(slice_eq(choose("openai", "gpt-x", &prng, &used, &model)->name, SLICE("spare")));
}

static void aliases_are_resolved_by_the_key(void **state)
{
    struct prng prng;
    struct slice model;
    uint64_t used = 0;
    (void)state;
    prng_seed(&prng, 4);
    for (;;) {
        const struct config_key *key = choose("openai", "FAST", &prng, &used, &model);
        if (!slice_eq(key->name, SLICE("b")))
            continue;
        assert_true(slice_eq(model, SLICE("gpt-4o-mini")));
        break;
    }
    assert_null(choose("groq", "gpt-x", &prng, &used, &model));
}

static void pins(void **state)
{
    const struct config_provider *p = built_provider(&built, "openai");
    const struct config_key *key = NULL;
    struct prng prng;
    struct slice model;
    uint64_t used = 0;
    struct key_pin by_name = {.name = SLICE("spare")};
    struct key_pin both = {.id = SLICE("id-b"), .name = SLICE("a")};
    struct key_pin off = {.name = SLICE("off")};
    (void)state;
    prng_seed(&prng, 5);
    assert_int_equal(key_choose(p, SLICE("gpt-x"), &by_name, &prng, &used, &key, &model),
                     KEY_FOUND);
    assert_true(slice_eq(key->name, SLICE("spare")));
    assert_int_equal(key_choose(p, SLICE("gpt-x"), &both, &prng, &used, &key, &model), KEY_FOUND);
    assert_true(slice_eq(key->name, SLICE("b"))); // the id wins
    assert_int_equal(key_choose(p, SLICE("gpt-y"), &both, &prng, &used, &key, &model), KEY_NONE);
    assert_int_equal(key_choose(p, SLICE("gpt-x"), &off, &prng, &used, &key, &model),
                     KEY_PIN_UNKNOWN);
    assert_int_equal(key_choose(built_provider(&built, "mine"), SLICE("m"), &by_name, &prng, &used,
                                &key, &model),
                     KEY_NOT_NEEDED);
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_lead_to_providers),
        cmocka_unit_test(what_a_provider_has_and_allows),
        cmocka_unit_test(keys_are_drawn_by_weight),
        cmocka_unit_test(all_zero_weights_are_uniform),
        cmocka_unit_test(used_keys_come_back_when_all_were_used),
        cmocka_unit_test(aliases_are_resolved_by_the_key),
        cmocka_unit_test(pins),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
