// SPDX-License-Identifier: Apache-2.0
//
// governance_test.c: which gates a request meets and in which order, and which models a grant
// allows.
#include "tests/support/config_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OPENAI                                                                                     \
    "\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"s\",\"models\":[\"*\"]}]},"  \
    "\"groq\":{\"keys\":[{\"name\":\"k\",\"value\":\"s\",\"models\":[\"*\"]}]}}"
#define RATE(id)                                                                                   \
    "{\"id\":\"" id "\",\"request_max_limit\":1,\"request_reset_duration\":\"1h\","                \
    "\"token_max_limit\":1,\"token_reset_duration\":\"1h\"}"
#define BUDGET(id, owner) "{\"id\":\"" id "\",\"max_limit\":1,\"reset_duration\":\"1d\"" owner "}"

static const char text[] = "{\"version\":2," OPENAI ",\"governance\":{"
                           "\"rate_limits\":[" RATE("rp") "," RATE("rm") "," RATE("rg") "," RATE(
                               "rv") "," RATE("rt") "," //
    RATE("rc") "," RATE("ru") "," RATE("rkm") "],"
                                              "\"budgets\":[" BUDGET("bp", "") "," BUDGET(
                                                  "bm", "") "," BUDGET("ball", "") ","            //
    BUDGET("bg", ",\"provider_config_id\":1") "," BUDGET("bv1", ",\"virtual_key_id\":\"vk\"") "," //
    BUDGET("bv2", ",\"virtual_key_id\":\"vk\"") "," BUDGET("bt", ",\"team_id\":\"t\"") ","        //
    BUDGET("bu", "") "," BUDGET("bc", ",\"customer_id\":\"c\"") "," BUDGET(
        "bkm", ",\"model_config_id\":\"km\"") "],"
                                              "\"customers\":[{\"id\":\"c\",\"name\":\"C\",\"rate_"
                                              "limit_id\":\"rc\"}],"
                                              "\"business_units\":[{\"id\":\"u\",\"name\":"
                                              "\"U\",\"budget_id\":\"bu\",\"rate_limit_id\":"
                                              "\"ru\",\"team_ids\":[\"t\"]}],"
                                              "\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"customer_"
                                              "id\":\"c\",\"rate_limit_id\":\"rt\"}],"
                                              "\"providers\":[{\"name\":\"openai\",\"budget_id\":"
                                              "\"bp\",\"rate_limit_id\":\"rp\"}],"
                                              "\"model_configs\":["
                                              "{\"id\":\"m\",\"model_name\":\"a\",\"rate_limit_"
                                              "id\":\"rm\",\"budget_ids\":[\"bm\"]},"
                                              "{\"id\":\"all\",\"model_name\":\"*\",\"provider\":"
                                              "\"groq\",\"budget_ids\":[\"ball\"]},"
                                              "{\"id\":\"km\",\"model_name\":\"a\",\"scope\":"
                                              "\"virtual_key\",\"scope_id\":\"vk\","
                                              "\"rate_limit_id\":\"rkm\"}],"
                                              "\"virtual_keys\":[{\"id\":\"vk\",\"name\":\"V\","
                                              "\"value\":\"sk-bf-v\",\"team_id\":\"t\","
                                              "\"rate_limit_id\":\"rv\",\"provider_configs\":[{"
                                              "\"id\":1,\"provider\":\"openai\","
                                              "\"allowed_models\":[\"a\",\"b\"],\"blacklisted_"
                                              "models\":[\"B\",\"d\"],"
                                              "\"rate_limit_id\":\"rg\"}]}]}}";

static struct built built;

static int set_up(void **state)
{
    (void)state;
    built_text(&built, text);
    if (built.err)
        fprintf(stderr, "%.*s", (int)built.report.errors.len, built.report.errors.ptr);
    return built.err;
}

static int tear_down(void **state)
{
    (void)state;
    built_done(&built);
    return 0;
}

// The gates' limits in their order: "r:rp t:rp m:bp …".
static const char *gates(const struct virtual_key *key, const char *provider, const char *model)
{
    static char out[1024];
    static const char unit[] = {'r', 't', 'm'};
    struct governance_gate gate[GOVERNANCE_LIMITS_MAX];
    unsigned n = governance_gates(&built.config->governance, key, built_provider(&built, provider),
                                  slice_str(model), gate);
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%c:%.*s", i > 0 ? " " : "",
                                unit[gate[i].limit->unit], SLICE_ARG(gate[i].limit->id));
    return out;
}

static void gates_stand_in_order(void **state)
{
    (void)state;
    const struct virtual_key *vk = governance_find_key(&built.config->governance, SLICE("sk-bf-v"));
    assert_non_null(vk);
    assert_string_equal(gates(NULL, "openai", "z"), "r:rp t:rp m:bp");
    assert_string_equal(gates(NULL, "openai", "a"), "r:rp t:rp m:bp r:rm t:rm m:bm");
    assert_string_equal(gates(NULL, "groq", "z"), "m:ball");
    // Provider, model; the key's rate limits; budgets upwards; the key's models; rates from above.
    assert_string_equal(gates(vk, "openai", "a"),
                        "r:rp t:rp m:bp r:rm t:rm m:bm r:rg t:rg r:rv t:rv m:bg m:bv1 m:bv2 m:bt "
                        "m:bu m:bc r:rkm t:rkm m:bkm r:rc t:rc r:ru t:ru r:rt t:rt");
    assert_string_equal(gates(vk, "groq", "z"),
                        "m:ball r:rv t:rv m:bv1 m:bv2 m:bt m:bu m:bc r:rc t:rc r:ru t:ru "
                        "r:rt t:rt");
}

static void keys_are_found_by_their_value(void **state)
{
    (void)state;
    const struct governance *g = &built.config->governance;
    assert_null(governance_find_key(g, SLICE("sk-bf-w")));
    assert_null(governance_find_key(g, SLICE("SK-BF-V")));
    assert_null(governance_find_key(g, SLICE_EMPTY));
}

static void what_a_grant_allows(void **state)
{
    (void)state;
    const struct virtual_key *vk = governance_find_key(&built.config->governance, SLICE("sk-bf-v"));
    const struct governance_grant *grant = governance_grant(vk, built_provider(&built, "openai"));
    assert_non_null(grant);
    assert_null(governance_grant(vk, built_provider(&built, "groq")));
    assert_true(governance_allows_model(grant, SLICE("a"), SLICE_EMPTY));
    assert_true(governance_allows_model(grant, SLICE("A"), SLICE_EMPTY));
    assert_true(governance_allows_model(grant, SLICE("a-2024"), SLICE("a")));
    assert_false(governance_allows_model(grant, SLICE("b"), SLICE_EMPTY)); // the blacklist wins
    assert_false(governance_allows_model(grant, SLICE("c"), SLICE_EMPTY));
    assert_false(governance_allows_model(grant, SLICE("a"), SLICE("d")));
    struct governance_grant all = {.all_models = true},
                            none = {.all_models = true, .no_models = true};
    assert_true(governance_allows_model(&all, SLICE("x"), SLICE_EMPTY));
    assert_false(governance_allows_model(&none, SLICE("x"), SLICE_EMPTY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gates_stand_in_order),
        cmocka_unit_test(keys_are_found_by_their_value),
        cmocka_unit_test(what_a_grant_allows),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
