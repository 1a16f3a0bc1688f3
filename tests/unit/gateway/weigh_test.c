// SPDX-License-Identifier: Apache-2.0
//
// weigh_test.c: who draws for a bare model, and who stands behind.
#include "tests/unit/gateway/fixture.h"

#include "base/container.h"
#include "gateway/weigh.h"
#include "tests/support/config_support.h"

#define KEYS(models)                                                                               \
    "\"keys\":[{\"name\":\"k\",\"id\":\"id\",\"value\":\"s\",\"models\":[" models "]}]"

static const char text[] =
    "{\"version\":2,\"providers\":{\"openai\":{" KEYS("\"*\"") "},\"groq\":{" KEYS(
        "\"m\"") "},\"mistral\":{" KEYS("\"m\"") "}},\"governance\":{\"virtual_keys\":["
                                                 "{\"id\":\"v\",\"name\":\"v\",\"value\":\"sk-bf-"
                                                 "v\",\"provider_configs\":["
                                                 "{\"provider\":\"openai\",\"weight\":1,\"allowed_"
                                                 "models\":[\"*\"],\"key_ids\":[\"*\"]},"
                                                 "{\"provider\":\"groq\",\"weight\":2,\"allowed_"
                                                 "models\":[\"*\"],\"key_ids\":[\"*\"]},"
                                                 "{\"provider\":\"mistral\",\"weight\":3,\"allowed_"
                                                 "models\":[\"*\"],\"key_ids\":[\"*\"]}]},"
                                                 "{\"id\":\"w\",\"name\":\"w\",\"value\":\"sk-bf-"
                                                 "w\",\"provider_configs\":["
                                                 "{\"provider\":\"openai\",\"weight\":1,\"allowed_"
                                                 "models\":[\"x\"],\"key_ids\":[]},"
                                                 "{\"provider\":\"groq\",\"allowed_models\":[\"*\"]"
                                                 ",\"key_ids\":[\"*\"]},"
                                                 "{\"provider\":\"mistral\",\"weight\":0,\"allowed_"
                                                 "models\":[\"m\"],\"key_ids\":[\"*\"]}]}]}}";

static struct built built;
static struct fake *fake;
static const struct route route = {.operation = OP_CHAT};

static int set_up(void **state)
{
    (void)state;
    built_text(&built, text);
    if (built.err)
        return built.err;
    fake = fake_open();
    fake->x.config = built.config;
    fake->x.route = &route;
    prng_seed(&fake->core.net.prng, 7);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_close(fake);
    built_done(&built);
    return 0;
}

static unsigned weigh(const char *key, const char *model, bool fallbacks)
{
    fake->x.virtual_key =
        key ? governance_find_key(&built.config->governance, slice_str(key)) : NULL;
    fake->x.model_requested = slice_str(model);
    return weigh_targets(&fake->x, fallbacks);
}

static const char *name(unsigned i)
{
    static char out[3][16];
    snprintf(out[i], sizeof out[i], "%.*s", SLICE_ARG(fake->x.target[i].provider->name));
    return out[i];
}

static void who_lists_a_model_comes_before_who_takes_any(void **state)
{
    unsigned first[2] = {0};
    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        // Not openai, whose key serves anything: two say that they have `m`.
        assert_int_equal(weigh("sk-bf-v", "m", true), 2);
        bool groq = strcmp(name(0), "groq") == 0;
        assert_string_equal(name(1), groq ? "mistral" : "groq");
        first[groq]++;
    }
    assert_in_range(first[1], 100, 240); // two of five
    // Only when nobody lists it.
    assert_int_equal(weigh("sk-bf-v", "q", true), 1);
    assert_string_equal(name(0), "openai");
}

static void who_does_not_draw(void **state)
{
    (void)state;
    assert_int_equal(weigh(NULL, "m", true), 0);
    assert_int_equal(weigh("sk-bf-v", "groq/m", true), 0); // the client has chosen
    assert_int_equal(weigh("sk-bf-v", "  ", true), 0);
    // A prefix that is no provider's is part of the name.
    assert_int_equal(weigh("sk-bf-v", "meta/llama", true), 1);
    assert_true(slice_eq(fake->x.target[0].model, SLICE("meta/llama")));
    // No key lent, no weight, not allowed: what is left has the weight 0.
    assert_int_equal(weigh("sk-bf-w", "m", true), 1);
    assert_string_equal(name(0), "mistral");
    assert_int_equal(weigh("sk-bf-w", "x", true), 0);
}

static void without_fallbacks_one_is_chosen(void **state)
{
    (void)state;
    assert_int_equal(weigh("sk-bf-v", "m", false), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_lists_a_model_comes_before_who_takes_any),
        cmocka_unit_test(who_does_not_draw),
        cmocka_unit_test(without_fallbacks_one_is_chosen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
