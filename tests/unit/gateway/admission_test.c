// SPDX-License-Identifier: Apache-2.0
//
// admission_test.c: what is reserved, given back and charged, gate by gate.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/admission.h"
#include "gateway/estimate.h"
#include "providers/catalog.h"
#include "tests/support/config_support.h"
#include <stdlib.h>
#include <unistd.h>

// A millionth of a dollar a token in, ten out.
static const char sheet[] = "{\"openai/m\":{\"provider\":\"openai\",\"mode\":\"chat\","
                            "\"input_cost_per_token\":1e-6,\"output_cost_per_token\":1e-5,"
                            "\"input_cost_per_token_priority\":2e-6,"
                            "\"output_cost_per_token_priority\":3e-5}}";
#define MICRO INT64_C(1000000)

static const char text[] =
    "{\"version\":2,\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"value\":\"s\","
    "\"models\":[\"*\"]}]}},\"governance\":{"
    "\"budgets\":[{\"id\":\"b\",\"max_limit\":0.01,\"reset_duration\":\"1d\","
    "\"virtual_key_id\":\"v\"}],"
    "\"rate_limits\":[{\"id\":\"r\",\"request_max_limit\":3,\"request_reset_duration\":\"1d\","
    "\"token_max_limit\":1000,\"token_reset_duration\":\"1d\"}],"
    "\"virtual_keys\":[{\"id\":\"v\",\"name\":\"V\",\"value\":\"sk-bf-v\",\"rate_limit_id\":\"r\","
    "\"provider_configs\":[{\"provider\":\"openai\",\"allowed_models\":[\"m\",\"n\"],"
    "\"key_ids\":[\"*\"]}]}]}}";

static struct built built;
static struct fake *fake;
static struct catalog *catalog;
static struct json_scanner scan;
static char folder[64], shared[80], file[96];
static const struct route route = {.operation = OP_CHAT};
// 29 bytes: 10 tokens.
static const char body[] = "{\"model\":\"m\",\"max_tokens\":50}";

static int set_up(void **state)
{
    const char *reason;
    (void)state;
    snprintf(folder, sizeof folder, "/dev/shm/ringgate-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(shared, sizeof shared, "%s/shared", folder);
    snprintf(file, sizeof file, "%s/ledger", shared);
    fake = fake_open();
    fake->gateway.ledger.folder = shared;
    if (catalog_new(slice_of(sheet, sizeof sheet - 1), &catalog, &reason) != 0)
        return -1;
    struct config_source source = {
        .environment = built_environment, .catalog = catalog, .ledger = &fake->gateway.ledger};
    config_report_init(&built.report);
    built.err =
        config_build_text(slice_str(text), &source, &built.limiters, &built.report, &built.config);
    if (built.err)
        return built.err;
    struct exchange *x = &fake->x;
    x->config = built.config;
    x->route = &route;
    x->virtual_key = governance_find_key(&built.config->governance, SLICE("sk-bf-v"));
    x->target[0] = (struct target){built_provider(&built, "openai"), SLICE("m")};
    x->target_count = 1;
    x->body = slice_str(body);
    x->dialect = &dialect_openai_chat;
    x->scan = &scan;
    json_scan_begin(&scan, x->body, x->dialect->members, DIALECT_MEMBER_COUNT, 0);
    return json_scan_step(&scan, SIZE_MAX);
}

static int tear_down(void **state)
{
    (void)state;
    ledger_close(fake->gateway.ledger.ledger);
    fake_close(fake);
    built_done(&built);
    catalog_put(catalog);
    unlink(file);
    rmdir(shared);
    return rmdir(folder);
}

static void assert_committed(int64_t requests, int64_t tokens, int64_t micro)
{
    const struct governance_owner *o = &fake->x.virtual_key->owner;
    const struct governance_limit *limits[] = {o->rates[0], o->rates[1], o->budgets[0]};
    const int64_t expected[] = {requests, tokens, micro * MICRO};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            ledger_view(&limits[i]->ledger, (uint64_t)(ring_wall(fake->ring).ns / NS_PER_S))
                .committed,
            expected[i]);
}

static void what_is_reserved_is_the_estimate(void **state)
{
    struct failure f;
    (void)state;
    assert_int_equal(admission_take(&fake->x, &f), 0);
    assert_committed(1, 10 + 50, 10 + 500);
    admission_release(&fake->x);
    assert_committed(0, 0, 0);
    admission_release(&fake->x); // once is enough
    assert_committed(0, 0, 0);
}

static void what_is_charged_is_the_usage(void **state)
{
    struct failure f;
    struct charge c;
    (void)state;
    assert_int_equal(admission_take(&fake->x, &f), 0);
    fake->x.usage = (struct usage){.known = true, .input_tokens = 7, .output_tokens = 3};
    admission_settle(&fake->x, &c);
    assert_true(c.cost_known && !c.estimated);
    assert_int_equal(c.cost, (7 + 30) * MICRO);
    assert_committed(1, 10, 37);
    admission_release(&fake->x); // there is nothing left to give back
    assert_committed(1, 10, 37);
}

static void without_usage_the_reservation_stands(void **state)
{
    struct failure f;
    struct charge c;
    (void)state;
    assert_int_equal(admission_take(&fake->x, &f), 0);
    admission_settle(&fake->x, &c);
    assert_true(c.cost_known && c.estimated);
    assert_int_equal(c.cost, 510 * MICRO);
    assert_committed(1, 60, 510);
}

static void a_refusal_gives_back_what_came_before_it(void **state)
{
    struct failure f;
    (void)state;
    // The budget is the last gate: 0.01 dollars are 1,000 tokens out, but the tokens are fewer.
    static const char large[] = "{\"model\":\"m\",\"max_tokens\":990}";
    fake->x.body = slice_str(large);
    json_scan_begin(&scan, fake->x.body, fake->x.dialect->members, DIALECT_MEMBER_COUNT, 0);
    assert_int_equal(json_scan_step(&scan, SIZE_MAX), 0);
    assert_int_equal(admission_take(&fake->x, &f), ERR_LIMIT);
    assert_int_equal(f.status, 429);
    assert_true(slice_eq(f.type, SLICE("token_limited")));
    assert_committed(0, 0, 0);
}

static void a_model_without_a_price(void **state)
{
    struct failure f;
    struct charge c;
    (void)state;
    fake->x.target[0].model = SLICE("n");
    assert_int_equal(admission_take(&fake->x, &f), ERR_LIMIT);
    assert_int_equal(f.status, 402);
    assert_true(slice_eq(f.param, SLICE("model")));
    assert_committed(0, 0, 0);
    built.config->allow_unpriced = true;
    assert_int_equal(admission_take(&fake->x, &f), 0);
    assert_committed(1, 60, 0);
    admission_settle(&fake->x, &c);
    assert_false(c.cost_known);
    assert_int_equal(c.cost, 0);
}

static void counting_is_free(void **state)
{
    static const struct route count = {.operation = OP_COUNT_TOKENS};
    struct failure f;
    struct charge c;
    (void)state;
    fake->x.route = &count;
    assert_int_equal(admission_take(&fake->x, &f), 0);
    assert_committed(1, 0, 0);
    admission_settle(&fake->x, &c);
    assert_true(c.cost_known && !c.estimated);
    assert_int_equal(c.cost, 0);
    assert_committed(1, 0, 0);
}

static void without_a_limit_the_model_is_known_by_what_it_answered(void **state)
{
    static const char open[] = "{\"model\":\"m\",\"max_tokens\":null}";
    struct failure f;
    struct charge c;
    (void)state;
    fake->gateway.estimates = estimates_new();
    fake->x.body = slice_str(open);
    json_scan_begin(&scan, fake->x.body, fake->x.dialect->members, DIALECT_MEMBER_COUNT, 0);
    assert_int_equal(json_scan_step(&scan, SIZE_MAX), 0);
    assert_int_equal(admission_take(&fake->x, &f), ERR_LIMIT); // 1,024 to begin with
    estimate_learn(fake->gateway.estimates, SLICE("openai"), SLICE("m"), 100);
    assert_int_equal(admission_take(&fake->x, &f), 0);
    assert_in_range(fake->x.admission->output_tokens, 100, 150);
    fake->x.usage = (struct usage){.known = true, .input_tokens = 1, .output_tokens = 1};
    admission_settle(&fake->x, &c);
    estimates_free(fake->gateway.estimates);
}

// Reserved as what is asked for when that is dearer; charged as what was served.
static void a_service_tier_that_is_asked_for(void **state)
{
    static const struct {
        const char *body; // 54 to 56 bytes: 19 tokens
        int64_t reserved;
    } rows[] = {
        {"{\"model\":\"m\",\"max_tokens\":10,\"service_tier\":\"priority\"}", 2 * 19 + 30 * 10},
        {"{\"model\":\"m\",\"max_tokens\":10,\"service_tier\":\"flex\"     }", 19 + 10 * 10},
        {"{\"model\":\"m\",\"max_tokens\":10,\"service_tier\":null       }", 19 + 10 * 10},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct failure f;
        fake->x.body = slice_str(rows[i].body);
        assert_in_range(fake->x.body.len, 54, 56);
        json_scan_begin(&scan, fake->x.body, fake->x.dialect->members, DIALECT_MEMBER_COUNT, 0);
        assert_int_equal(json_scan_step(&scan, SIZE_MAX), 0);
        assert_int_equal(admission_take(&fake->x, &f), 0);
        assert_committed(1, 19 + 10, rows[i].reserved);
        admission_release(&fake->x);
    }
    struct failure f;
    struct charge c;
    fake->x.body = slice_str(rows[0].body);
    json_scan_begin(&scan, fake->x.body, fake->x.dialect->members, DIALECT_MEMBER_COUNT, 0);
    assert_int_equal(json_scan_step(&scan, SIZE_MAX), 0);
    assert_int_equal(admission_take(&fake->x, &f), 0);
    admission_settle(&fake->x, &c); // without usage
    assert_true(c.estimated && c.cost == rows[0].reserved * MICRO);
    assert_int_equal(admission_take(&fake->x, &f), 0);
    fake->x.usage = (struct usage){.known = true, .input_tokens = 7, .output_tokens = 3};
    admission_settle(&fake->x, &c);
    assert_int_equal(c.cost, (7 + 30) * MICRO); // it was served as usual
}

static void what_may_not_be_used(void **state)
{
    struct failure f;
    struct target t = fake->x.target[0];
    (void)state;
    assert_int_equal(admission_allow(&fake->x, &t, &f), 0);
    t.model = SLICE("other");
    assert_int_equal(admission_allow(&fake->x, &t, &f), ERR_LIMIT);
    assert_int_equal(f.status, 403);
    assert_true(slice_eq(f.type, SLICE("model_blocked")));
    fake->x.virtual_key = NULL;
    assert_int_equal(admission_allow(&fake->x, &t, &f), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_reserved_is_the_estimate),
        TEST(what_is_charged_is_the_usage),
        TEST(without_usage_the_reservation_stands),
        TEST(a_refusal_gives_back_what_came_before_it),
        TEST(a_model_without_a_price),
        TEST(counting_is_free),
        TEST(without_a_limit_the_model_is_known_by_what_it_answered),
        TEST(a_service_tier_that_is_asked_for),
        TEST(what_may_not_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
