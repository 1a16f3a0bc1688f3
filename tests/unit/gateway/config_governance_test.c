// SPDX-License-Identifier: Apache-2.0
//
// config_governance_test.c: what a file says about keys, teams and customers, and names that lead
// nowhere.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define HEAD                                                                                       \
    "{\"version\":2,\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"id\":\"k-1\","          \
    "\"value\":\"s\",\"models\":[\"*\"]},{\"name\":\"l\",\"id\":\"k-2\",\"value\":\"s\","          \
    "\"models\":[\"*\"]}]}},\"governance\":{"
#define TAIL "}}"
#define VK   "\"id\":\"vk\",\"name\":\"V\",\"value\":\"sk-bf-v\""

static void built_all(struct built *b, const char *governance)
{
    char text[4096];
    int n = snprintf(text, sizeof text, HEAD "%s" TAIL, governance);
    assert_in_range(n, 1, sizeof text - 1);
    built_text(b, text);
}

static void test_a_key(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"virtual_keys\":[{\"id\":\"vk\",\"name\":\"V\",\"value\":\"env.TEST_KEY\","
                  "\"is_active\":false,\"expires_at\":\"2026-01-02T03:04:05+01:00\","
                  "\"provider_configs\":[{\"provider\":\"openai\",\"weight\":0.5,"
                  "\"allowed_models\":[\"*\"],\"key_ids\":[\"k-2\"]}]}]");
    assert_int_equal(b.err, 0);
    const struct virtual_key *k =
        governance_find_key(&b.config->governance, SLICE("sk-test-secret"));
    assert_non_null(k);
    assert_true(slice_eq(k->id, SLICE("vk")) && slice_eq(k->name, SLICE("V")));
    assert_false(k->active);
    assert_int_equal(k->expires.ns / NS_PER_S, 1767319445); // date -d 2026-01-02T02:04:05Z +%s
    assert_int_equal(k->grant_count, 1);
    const struct governance_grant *g = &k->grants[0];
    assert_true(g->weighted && g->all_models && !g->no_models);
    assert_true(g->weight > 0.49 && g->weight < 0.51);
    assert_true(!g->keys[0] && g->keys[1]);
    assert_false(b.config->governance.enforced);
    built_done(&b);
}

// Deny by default.
static void test_what_is_not_said_is_not_lent(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"virtual_keys\":[{" VK ",\"provider_configs\":[{\"provider\":\"openai\"}]}]");
    assert_int_equal(b.err, 0);
    const struct governance_grant *g = &b.config->governance.keys[0].grants[0];
    assert_false(g->all_models || g->weighted);
    assert_int_equal(g->model_count, 0);
    assert_true(g->keys && !g->keys[0] && !g->keys[1]);
    built_done(&b);
}

static void test_enforcement(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"client\":{\"enforce_auth_on_inference\":true},\"providers\":{}}");
    assert_true(b.config->governance.enforced);
    built_done(&b);
    built_text(&b, "{\"client\":{\"enforce_governance_header\":true},\"providers\":{}}");
    assert_true(b.config->governance.enforced);
    built_done(&b);
}

static void test_owners_lie_above_each_other(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"customers\":[{\"id\":\"c\",\"name\":\"C\",\"budgets\":[{\"id\":\"x\","
                  "\"max_limit\":2,\"reset_duration\":\"1w\"}],\"calendar_aligned\":true}],"
                  "\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"customer_id\":\"c\"}],"
                  "\"virtual_keys\":[{" VK ",\"team_id\":\"t\"}]");
    assert_int_equal(b.err, 0);
    const struct governance_owner *team = b.config->governance.keys[0].owner.above;
    assert_true(team->level == GOVERNANCE_TEAM && slice_eq(team->name, SLICE("T")));
    const struct governance_owner *customer = team->above;
    assert_true(customer->level == GOVERNANCE_CUSTOMER && slice_eq(customer->id, SLICE("c")));
    assert_null(customer->above);
    assert_int_equal(customer->budget_count, 1);
    assert_true(customer->budgets[0]->ledger.period.calendar);
    assert_true(built_warning(&b, "governance.virtual_keys[0]: has no provider_configs: it may use "
                                  "no provider"));
    built_done(&b);
}

static void test_a_business_unit_has_teams(void **state)
{
    (void)state;
    static const char *const links[][2] = {
        {",\"team_ids\":[\"t\"]", ""},
        {"", ",\"business_unit_id\":\"u\""},
        {",\"team_ids\":[\"t\"]", ",\"business_unit_id\":\"u\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        struct built b;
        char text[1024];
        snprintf(text, sizeof text,
                 "\"business_units\":[{\"id\":\"u\",\"name\":\"U\"%s}],\"teams\":[{\"id\":\"t\","
                 "\"name\":\"T\"%s},{\"id\":\"s\",\"name\":\"S\"}]",
                 links[i][0], links[i][1]);
        built_all(&b, text);
        assert_int_equal(b.err, 0);
        const struct governance *g = &b.config->governance;
        assert_true(g->teams[0].unit && slice_eq(g->teams[0].unit->name, SLICE("U")));
        assert_int_equal(g->teams[0].unit->level, GOVERNANCE_BUSINESS_UNIT);
        assert_null(g->teams[1].unit);
        built_done(&b);
    }
}

#define DISAGREE                                                                                   \
    "governance.rate_limits[0]: its owners disagree about calendar_aligned: it is one counter, "   \
    "and counts by the calendar for all of them"

// One counter cannot have two windows: one owner who wants the calendar's gives it to all.
static void test_a_limit_of_two_owners(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"rate_limits\":[{\"id\":\"r\",\"request_max_limit\":1,"
                  "\"request_reset_duration\":\"1d\"}],\"teams\":["
                  "{\"id\":\"t\",\"name\":\"T\",\"rate_limit_id\":\"r\"},"
                  "{\"id\":\"u\",\"name\":\"U\",\"rate_limit_id\":\"r\","
                  "\"calendar_aligned\":true}]");
    assert_int_equal(b.err, 0);
    const struct governance *g = &b.config->governance;
    assert_ptr_equal(g->teams[0].rates[0], g->teams[1].rates[0]);
    assert_true(g->teams[0].rates[0]->ledger.period.calendar);
    assert_true(built_warning(&b, DISAGREE));
    built_done(&b);
}

#define TWO_TEAMS(period, limit, t, u)                                                             \
    "\"rate_limits\":[{\"id\":\"r\",\"request_max_limit\":1,\"request_reset_duration\":\"" period  \
    "\"" limit "}],\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"rate_limit_id\":\"r\"" t              \
    "},{\"id\":\"u\",\"name\":\"U\",\"rate_limit_id\":\"r\"" u "}]"
#define ALIGNED ",\"calendar_aligned\":true"

static void test_owners_that_disagree_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *governance;
        bool told, calendar;
    } rows[] = {
        {TWO_TEAMS("1d", "", ALIGNED, ""), true, true},
        {TWO_TEAMS("1d", "", "", ""), false, false},
        {TWO_TEAMS("1d", "", ALIGNED, ALIGNED), false, true},
        {TWO_TEAMS("1d", ALIGNED, ALIGNED, ""), false, true}, // it says so itself
        {TWO_TEAMS("1h", "", ALIGNED, ""), false, true},      // hours know no calendar
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_all(&b, rows[i].governance);
        assert_int_equal(b.err, 0);
        const struct governance *g = &b.config->governance;
        if (built_warning(&b, DISAGREE) != rows[i].told ||
            g->teams[0].rates[0]->ledger.period.calendar != rows[i].calendar)
            fail_msg("row %zu", i);
        built_done(&b);
    }
}

// A model's limits that are a virtual key's begin when the key's do.
static void test_a_keys_model_counts_as_the_key_does(void **state)
{
    (void)state;
    struct built b;
    built_all(
        &b,
        "\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1M\"},"
        "{\"id\":\"c\",\"max_limit\":1,\"reset_duration\":\"1M\"}],\"virtual_keys\":[{" VK ALIGNED
        "}],\"model_configs\":[{\"id\":\"m\",\"model_name\":\"x\",\"scope\":"
        "\"virtual_key\",\"scope_id\":\"vk\",\"budget_ids\":[\"b\"]},"
        "{\"id\":\"n\",\"model_name\":\"y\",\"budget_ids\":[\"c\"]}]");
    assert_int_equal(b.err, 0);
    struct map *by_name = &b.config->governance.model_by_name;
    const struct governance_model *x = map_get(by_name, SLICE("x"));
    const struct governance_model *y = map_get(by_name, SLICE("y"));
    assert_true(x->owner.budgets[0]->ledger.period.calendar);
    assert_false(y->owner.budgets[0]->ledger.period.calendar);
    built_done(&b);
}

static void test_names_that_lead_nowhere(void **state)
{
    (void)state;
    static const struct {
        const char *governance, *error;
    } rows[] = {
        {"\"virtual_keys\":[{" VK ",\"team_id\":\"t\"}]",
         "governance.virtual_keys[0].team_id: names no team"},
        {"\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"business_unit_id\":\"u\"}]",
         "governance.teams[0].business_unit_id: names no business unit"},
        {"\"business_units\":[{\"id\":\"u\",\"name\":\"U\",\"team_ids\":[\"t\"]}]",
         "governance.business_units[0].team_ids[0]: names no team"},
        {"\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"business_unit_id\":\"u\"}],"
         "\"business_units\":[{\"id\":\"u\",\"name\":\"U\"},"
         "{\"id\":\"w\",\"name\":\"W\",\"team_ids\":[\"t\"]}]",
         "governance.business_units[1].team_ids[0]: names another business unit's team"},
        {"\"virtual_keys\":[{" VK ",\"customer_id\":\"t\"}]",
         "governance.virtual_keys[0].customer_id: names no customer"},
        {"\"virtual_keys\":[{" VK ",\"rate_limit_id\":\"t\"}]",
         "governance.virtual_keys[0].rate_limit_id: names no rate limit"},
        {"\"virtual_keys\":[{" VK ",\"provider_configs\":[{\"provider\":\"openai\","
         "\"key_ids\":[\"k-9\"]}]}]",
         "governance.virtual_keys[0].provider_configs[0].key_ids[0]: is the id of no key of the "
         "provider"},
        {"\"virtual_keys\":[{" VK ",\"provider_configs\":[{\"provider\":\"openai\"},"
         "{\"provider\":\"openai\"}]}]",
         "governance.virtual_keys[0].provider_configs[1].provider: stands here twice"},
        {"\"virtual_keys\":[{" VK "},{\"id\":\"w\",\"name\":\"W\",\"value\":\"sk-bf-v\"}]",
         "governance.virtual_keys[1].value: is the value of another virtual key"},
        {"\"virtual_keys\":[{" VK "},{\"id\":\"vk\",\"name\":\"W\",\"value\":\"sk-bf-w\"}]",
         "governance.virtual_keys[1].id: stands here twice"},
        {"\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"customer_id\":\"x\"}]",
         "governance.teams[0].customer_id: names no customer"},
        {"\"teams\":[{\"id\":\"t\",\"name\":\"T\",\"budget_id\":\"x\"}]",
         "governance.teams[0].budget_id: names no budget"},
        {"\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1d\","
         "\"virtual_key_id\":\"no\"}]",
         "governance.budgets[0].virtual_key_id: names nothing of this file"},
        {"\"teams\":[{\"id\":\"t\",\"name\":\"T\"}],\"customers\":[{\"id\":\"c\",\"name\":\"C\"}],"
         "\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1d\",\"team_id\":\"t\","
         "\"customer_id\":\"c\"}]",
         "governance.budgets[0]: names more than one owner"},
        {"\"model_configs\":[{\"id\":\"m\",\"model_name\":\"x\",\"scope\":\"virtual_key\","
         "\"scope_id\":\"no\"}]",
         "governance.model_configs[0].scope_id: names no virtual key"},
        {"\"model_configs\":[{\"id\":\"m\",\"model_name\":\"\"}]",
         "governance.model_configs[0].model_name: must not be empty"},
        {"\"virtual_keys\":[{" VK ",\"expires_at\":\"tomorrow\"}]",
         "governance.virtual_keys[0].expires_at: not a time as RFC 3339 has it"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_all(&b, rows[i].governance);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(built_error(&b, rows[i].error));
        built_done(&b);
    }
}

static void test_more_limits_than_a_request_can_meet(void **state)
{
    (void)state;
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof text, HEAD "\"budgets\":[");
    for (unsigned i = 0; i <= GOVERNANCE_LIMITS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "%s{\"id\":\"b%u\",\"max_limit\":1,\"reset_duration\":\"1d\","
                                "\"virtual_key_id\":\"vk\"}",
                                i > 0 ? "," : "", i);
    snprintf(text + len, sizeof text - len, "],\"virtual_keys\":[{" VK "}]" TAIL);
    struct built b;
    built_text(&b, text);
    assert_int_equal(b.err, ERR_CONFIG);
    assert_true(built_error(&b, "governance: a request could meet more than 32 limits"));
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key),
        cmocka_unit_test(test_what_is_not_said_is_not_lent),
        cmocka_unit_test(test_enforcement),
        cmocka_unit_test(test_owners_lie_above_each_other),
        cmocka_unit_test(test_a_business_unit_has_teams),
        cmocka_unit_test(test_a_limit_of_two_owners),
        cmocka_unit_test(test_owners_that_disagree_are_told),
        cmocka_unit_test(test_a_keys_model_counts_as_the_key_does),
        cmocka_unit_test(test_names_that_lead_nowhere),
        cmocka_unit_test(test_more_limits_than_a_request_can_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
