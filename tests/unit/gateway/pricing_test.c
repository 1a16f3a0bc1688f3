// SPDX-License-Identifier: Apache-2.0
//
// pricing_test.c: prices by the name that goes up, by an alias, by the vendor behind a name.
#include "tests/support/config_support.h"

#include "gateway/pricing.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char sheet[] =
    "{\"openai/gpt-x\":{\"provider\":\"openai\",\"mode\":\"chat\",\"input_cost_per_token\":1e-6},"
    "\"openai/gpt-x-1\":{\"provider\":\"openai\",\"mode\":\"chat\",\"base_model\":\"gpt-x\","
    "\"input_cost_per_token\":2e-6},"
    "\"openai/free\":{\"provider\":\"openai\",\"mode\":\"chat\"},"
    "\"mine/gpt-x\":{\"provider\":\"mine\",\"mode\":\"chat\",\"input_cost_per_token\":3e-6}}";

#define OVERRIDE(scope, match, pattern, more, rate)                                                \
    "{\"id\":\"" scope pattern "\",\"name\":\"n\",\"scope_kind\":\"" scope                         \
    "\",\"match_type\":\"" match "\",\"pattern\":\"" pattern                                       \
    "\",\"request_types\":[\"chat_completion_stream\"]" more                                       \
    ",\"pricing_patch\":\"{\\\"input_cost_per_token\\\":" rate "}\"}"

// clang-format off
static const char text[] =
    "{\"version\":2,\"governance\":{\"virtual_keys\":[{\"id\":\"v\",\"name\":\"V\",\"value\":\"sk-"
    "bf-v\"}],\"pricing_overrides\":["
    OVERRIDE("global", "wildcard", "o-*", "", "1e-6") ","
    OVERRIDE("global", "wildcard", "o-long-*", "", "2e-6") ","
    OVERRIDE("global", "exact", "o-long-1", "", "3e-6") ","
    OVERRIDE("provider", "wildcard", "o-p*", ",\"provider_id\":\"openai\"", "4e-6") ","
    OVERRIDE("provider_key", "wildcard", "o-p*", ",\"provider_key_name\":\"a\"", "5e-6") ","
    OVERRIDE("virtual_key", "wildcard", "o-p*", ",\"virtual_key_id\":\"v\"", "6e-6") "]},"
    "\"providers\":{\"openai\":{\"keys\":[{\"name\":\"a\",\"value\":\"s\",\"models\":[\"*\"],"
    "\"aliases\":{\"fast\":\"gpt-x-1\"}}]},"
    "\"mine\":{\"network_config\":{\"base_url\":\"http://127.0.0.1:1\"},"
    "\"custom_provider_config\":{\"base_provider_type\":\"openai\",\"is_key_less\":true}}}}";
// clang-format on

static struct built built;
static struct catalog *catalog;

static int set_up(void **state)
{
    const char *reason;
    (void)state;
    built_text(&built, text);
    if (built.err || catalog_new(slice_of(sheet, sizeof sheet - 1), &catalog, &reason) != 0)
        return -1;
    built.config->catalog = catalog_get(catalog);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    built_done(&built);
    catalog_put(catalog);
    return 0;
}

// In millionths of a dollar for a token; -1: no price.
static int64_t rate_of(const struct virtual_key *vk, const struct config_key *key,
                       const char *provider, const char *model)
{
    static const struct route route = {.operation = OP_CHAT};
    struct exchange x = {.config = built.config, .route = &route, .virtual_key = vk, .key = key};
    struct target t = {.provider = built_provider(&built, provider), .model = slice_str(model)};
    struct price p;
    x.model_sent = t.model;
    return pricing_find(&x, &t, &p) ? p.rate[PRICE_INPUT] / 1000000 : -1;
}

static int64_t rate(const char *provider, const char *model)
{
    return rate_of(NULL, NULL, provider, model);
}

static void test_prices(void **state)
{
    (void)state;
    assert_int_equal(rate("openai", "gpt-x"), 1);
    assert_int_equal(rate("openai", "fast"), 2); // what the alias stands for
    assert_int_equal(rate("openai", "nobody"), -1);
    assert_int_equal(rate("openai", "free"), -1); // a row without prices is none
    assert_int_equal(rate("mine", "gpt-x"), 3);   // its own
    assert_int_equal(rate("mine", "gpt-x-1"), 2); // its vendor's
}

static void test_the_narrowest_override_counts(void **state)
{
    (void)state;
    const struct virtual_key *vk = governance_find_key(&built.config->governance, SLICE("sk-bf-v"));
    const struct config_key *key = &built_provider(&built, "openai")->keys[0];
    assert_int_equal(rate("openai", "o-1"), 1); // the catalogue does not know it
    assert_int_equal(rate("openai", "o-long-2"), 2);
    assert_int_equal(rate("openai", "o-long-1"), 3);
    assert_int_equal(rate("mine", "o-p"), 1);
    assert_int_equal(rate("openai", "o-p"), 4);
    assert_int_equal(rate_of(NULL, key, "openai", "o-p"), 5);
    assert_int_equal(rate_of(vk, key, "openai", "o-p"), 6);
    assert_int_equal(rate_of(vk, NULL, "mine", "o-p"), 6);
}

static void test_what_a_model_is_a_version_of(void **state)
{
    (void)state;
    const struct config_provider *p = built_provider(&built, "openai");
    assert_true(
        slice_eq(pricing_base_model(built.config, p, SLICE("gpt-x-1"), OP_CHAT), SLICE("gpt-x")));
    assert_int_equal(pricing_base_model(built.config, p, SLICE("gpt-x"), OP_CHAT).len, 0);
    assert_int_equal(pricing_base_model(built.config, p, SLICE("none"), OP_CHAT).len, 0);
    assert_true(pricing_knows(built.config, p, SLICE("free"), OP_CHAT));
    assert_false(pricing_knows(built.config, p, SLICE("none"), OP_CHAT));
    struct config bare = {0};
    assert_false(pricing_knows(&bare, p, SLICE("gpt-x"), OP_CHAT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_the_narrowest_override_counts),
        cmocka_unit_test(test_what_a_model_is_a_version_of),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
