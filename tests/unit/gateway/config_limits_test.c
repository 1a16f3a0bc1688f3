// SPDX-License-Identifier: Apache-2.0
//
// config_limits_test.c: budgets and rate limits as a file has them.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void built_all(struct built *b, const char *governance)
{
    char text[2048];
    int n =
        snprintf(text, sizeof text,
                 "{\"version\":2,\"providers\":{},\"governance\":{%s,\"virtual_keys\":[{"
                 "\"id\":\"vk\",\"name\":\"V\",\"value\":\"sk-bf-v\"%s}]}}",
                 governance, strstr(governance, "rate_limits") ? ",\"rate_limit_id\":\"r\"" : "");
    assert_in_range(n, 1, sizeof text - 1);
    built_text(b, text);
}

static void test_a_budget(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"budgets\":[{\"id\":\"b\",\"max_limit\":75.5,\"reset_duration\":\"1M\","
                  "\"calendar_aligned\":true,\"virtual_key_id\":\"vk\"}]");
    assert_int_equal(b.err, 0);
    const struct governance_owner *o = &b.config->governance.keys[0].owner;
    assert_int_equal(o->budget_count, 1);
    const struct governance_limit *l = o->budgets[0];
    assert_int_equal(l->unit, GOVERNANCE_MONEY);
    assert_int_equal(l->ledger.max, INT64_C(75500000000000)); // 10⁻¹² dollars
    assert_true(slice_eq(l->id, SLICE("b")) && slice_eq(l->counter, SLICE("budget/b")));
    assert_true(slice_eq(l->period, SLICE("1M")));
    assert_true(l->ledger.period.calendar && l->ledger.period.unit == 'M');
    assert_null(l->ledger.counter); // nobody gave a ledger
    built_done(&b);
}

static void test_a_rate_limit_is_two(void **state)
{
    (void)state;
    struct built b;
    built_all(&b, "\"rate_limits\":[{\"id\":\"r\",\"token_max_limit\":500,"
                  "\"token_reset_duration\":\"1h\",\"request_max_limit\":12,"
                  "\"request_reset_duration\":\"1m\"}]");
    assert_int_equal(b.err, 0);
    const struct governance_owner *o = &b.config->governance.keys[0].owner;
    assert_int_equal(o->rate_count, 2);
    assert_int_equal(o->rates[0]->unit, GOVERNANCE_REQUESTS);
    assert_int_equal(o->rates[0]->ledger.max, 12);
    assert_true(slice_eq(o->rates[0]->counter, SLICE("requests/r")));
    assert_int_equal(o->rates[1]->unit, GOVERNANCE_TOKENS);
    assert_int_equal(o->rates[1]->ledger.max, 500);
    assert_int_equal(period_seconds(&o->rates[1]->ledger.period), 3600);
    assert_true(slice_eq(o->rates[1]->counter, SLICE("tokens/r")));
    built_done(&b);
    built_all(&b, "\"rate_limits\":[{\"id\":\"r\"}]");
    assert_int_equal(b.err, 0);
    assert_true(built_warning(&b, "governance.rate_limits[0]: limits neither requests nor tokens"));
    built_done(&b);
}

static void test_a_limit_that_nobody_owns(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"providers\":{},\"governance\":{\"budgets\":[{\"id\":\"b\",\"max_limit\":1,"
                   "\"reset_duration\":\"1d\"}],\"rate_limits\":[{\"id\":\"r\","
                   "\"token_max_limit\":5,\"token_reset_duration\":\"1h\"}]}}");
    assert_int_equal(b.err, 0);
    assert_true(built_warning(&b, "governance.budgets[0]: limits nobody: no owner names it"));
    assert_true(built_warning(&b, "governance.rate_limits[0]: limits nobody: no owner names it"));
    built_done(&b);
}

#define TEN   "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static void test_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *governance, *error;
    } rows[] = {
        {"\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"often\"}]",
         "governance.budgets[0].reset_duration: not a time such as 30s, 5m, 1h, 1d, 1w, 1M or 1Y"},
        {"\"budgets\":[{\"id\":\"b\",\"max_limit\":1e12,\"reset_duration\":\"1d\"}]",
         "governance.budgets[0].max_limit: must be 0 to 9000000 dollars"},
        {"\"budgets\":[{\"id\":\"\",\"max_limit\":1,\"reset_duration\":\"1d\"}]",
         "governance.budgets[0].id: must have 1 to 100 bytes"},
        {"\"budgets\":[{\"id\":\"" FIFTY FIFTY "x\",\"max_limit\":1,\"reset_duration\":\"1d\"}]",
         "governance.budgets[0].id: must have 1 to 100 bytes"},
        {"\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1d\"},"
         "{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1d\"}]",
         "governance.budgets[1].id: is the id of another budget"},
        {"\"rate_limits\":[{\"id\":\"r\",\"request_max_limit\":1}]",
         "governance.rate_limits[0].request_reset_duration: not a time such as 30s, 5m, 1h, 1d, "
         "1w, 1M or 1Y"},
        {"\"rate_limits\":[{\"id\":\"r\"},{\"id\":\"r\"}]",
         "governance.rate_limits[1].id: is the id of another rate limit"},
        {"\"budgets\":[{\"id\":\"b\",\"max_limit\":1,\"reset_duration\":\"1d\","
         "\"last_reset\":\"2026-13-01\"}]",
         "governance.budgets[0].last_reset: not a time as RFC 3339 has it"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_all(&b, rows[i].governance);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(built_error(&b, rows[i].error));
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_budget),
        cmocka_unit_test(test_a_rate_limit_is_two),
        cmocka_unit_test(test_a_limit_that_nobody_owns),
        cmocka_unit_test(test_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
