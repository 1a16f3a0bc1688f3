// SPDX-License-Identifier: Apache-2.0
//
// config_prices_test.c: pricing overrides as a file has them, and what is wrong with them.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void built_with(struct built *b, const char *override)
{
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "{\"version\":2,\"providers\":{\"openai\":{\"keys\":[{\"name\":\"k\",\"id\":"
                     "\"k-1\",\"value\":\"s\",\"models\":[\"*\"]}]}},\"governance\":{"
                     "\"virtual_keys\":[{\"id\":\"v\",\"name\":\"V\",\"value\":\"sk-bf-v\"}],"
                     "\"pricing_overrides\":[{\"id\":\"o\",\"name\":\"n\",%s}]}}",
                     override);
    assert_in_range(n, 1, sizeof text - 1);
    built_text(b, text);
}

#define TYPES ",\"request_types\":[\"chat_completion\"]"

static void test_an_override(void **state)
{
    (void)state;
    struct built b;
    built_with(&b, "\"scope_kind\":\"virtual_key_provider_key\",\"match_type\":\"wildcard\","
                   "\"pattern\":\"gpt-4o*\",\"virtual_key_id\":\"v\",\"provider_key_name\":\"k\","
                   "\"request_types\":[\"chat_completion\",\"rerank\"],"
                   "\"pricing_patch\":{\"input_cost_per_token\":2e-6,"
                   "\"output_cost_per_token\":0,\"output_cost_per_pixel\":1}");
    assert_int_equal(b.err, 0);
    const struct config_price *p = &b.config->prices[0];
    assert_int_equal(b.config->price_count, 1);
    assert_ptr_equal(p->key, &b.config->governance.keys[0]);
    assert_true(slice_eq(p->key_id, SLICE("k-1")));
    assert_null(p->provider);
    assert_int_equal(p->operations, 1u << OP_CHAT);
    assert_true(p->wildcard && slice_eq(p->pattern, SLICE("gpt-4o")));
    assert_int_equal(p->patch.rate[PRICE_INPUT], 2000000);
    assert_int_equal(p->patch.rate[PRICE_OUTPUT], PRICE_ABSENT); // a zero sets nothing
    built_done(&b);
}

static void test_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *override, *error;
    } rows[] = {
        {"\"scope_kind\":\"virtual_key\",\"match_type\":\"exact\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":\"{}\"",
         "governance.pricing_overrides[0].virtual_key_id: names no virtual key"},
        {"\"scope_kind\":\"provider\",\"match_type\":\"exact\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":\"{}\"",
         "governance.pricing_overrides[0].provider_id: names no configured provider"},
        {"\"scope_kind\":\"provider_key\",\"match_type\":\"exact\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":\"{}\"",
         "governance.pricing_overrides[0].provider_key_name: names no key of a provider"},
        {"\"scope_kind\":\"global\",\"match_type\":\"wildcard\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":\"{}\"",
         "governance.pricing_overrides[0].pattern: a wildcard ends in *"},
        {"\"scope_kind\":\"global\",\"match_type\":\"exact\",\"pattern\":\"m\","
         "\"request_types\":[],\"pricing_patch\":\"{}\"",
         "governance.pricing_overrides[0].request_types: must name at least one type of request"},
        {"\"scope_kind\":\"global\",\"match_type\":\"exact\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":\"cheap\"",
         "governance.pricing_overrides[0].pricing_patch: expected a JSON object, or its text in a "
         "string"},
        {"\"scope_kind\":\"global\",\"match_type\":\"exact\",\"pattern\":\"m\"" TYPES
         ",\"pricing_patch\":{\"input_cost_per_token\":-1}",
         "governance.pricing_overrides[0].pricing_patch: \"input_cost_per_token\" is no price"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_with(&b, rows[i].override);
        assert_int_equal(b.err, ERR_CONFIG);
        assert_true(built_error(&b, rows[i].error));
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_override),
        cmocka_unit_test(test_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
