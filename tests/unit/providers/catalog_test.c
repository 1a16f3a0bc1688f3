// SPDX-License-Identifier: Apache-2.0
//
// catalog_test.c: what a datasheet says is found, and what makes no sense does no harm.
#include "providers/catalog.h"

#include "base/buf.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct catalog *read(const char *text)
{
    struct catalog *c = NULL;
    const char *reason = NULL;
    assert_int_equal(catalog_new(slice_str(text), &c, &reason), 0);
    return c;
}

static int64_t input_rate(const struct catalog *c, const char *vendor, const char *model,
                          enum operation op)
{
    const struct catalog_model *m = catalog_find(c, slice_str(vendor), slice_str(model), op);
    return m == NULL ? -2 : m->price.rate[PRICE_INPUT] / 1000000;
}

#define ROW(name, provider, mode, rate)                                                            \
    "\"" name "\":{\"provider\":\"" provider "\",\"mode\":\"" mode                                 \
    "\",\"input_cost_per_token\":" rate "}"

// clang-format off
static const char sheet[] = "{"
    ROW("openai/gpt-x", "openai", "chat", "1e-6") ","
    ROW("gpt-y", "openai", "responses", "2e-6") ","
    ROW("azure/gpt-x", "azure", "chat", "3e-6") ","
    ROW("vertex/gemini-z", "vertex", "chat", "4e-6") ","
    ROW("vertex_ai/claude-v", "vertex_ai-anthropic_models", "chat", "5e-6") ","
    ROW("bedrock/anthropic.claude-b", "bedrock_converse", "chat", "6e-6") ","
    ROW("openrouter/meta/llama-9", "openrouter", "chat", "7e-6") ","
    ROW("emb", "openai", "embedding", "8e-6") "}";

static const char poor_sheet[] = "{"
    ROW("openai/good", "openai", "chat", "1e-6") ","
    ROW("openai/good", "openai", "chat", "9e-6") ","
    ROW("openai/minus", "openai", "chat", "-1") ","
    ROW("openai/huge", "openai", "chat", "1e9") ","
    "\"openai/no-mode\":{\"provider\":\"openai\"},"
    "\"no-provider\":{\"mode\":\"chat\"},"
    "\"openai/number\":5,"
    "\"openai/\":{\"provider\":\"openai\",\"mode\":\"chat\"}}";
// clang-format on

static void test_looking_up(void **state)
{
    (void)state;
    struct catalog *c = read(sheet);
    static const struct {
        const char *vendor, *model;
        enum operation op;
        int64_t millionths; // -2: not found
    } rows[] = {
        {"openai", "gpt-x", OP_CHAT, 1},
        {"openai", "gpt-x", OP_RESPONSES, 1}, // by its chat
        {"openai", "gpt-x", OP_MESSAGES, 1},
        {"openai", "gpt-y", OP_CHAT, 2},
        {"openai", "gpt-x", OP_EMBEDDING, -2},
        {"openai", "gpt-q", OP_CHAT, -2},
        {"openai", "GPT-x", OP_CHAT, -2},
        {"azure", "gpt-x", OP_CHAT, 3},
        {"gemini", "gemini-z", OP_CHAT, 4},
        {"vertex", "claude-v", OP_CHAT, 5},
        {"vertex", "anthropic/claude-v", OP_MESSAGES, 5},
        {"bedrock", "claude-b", OP_CHAT, 6},
        {"bedrock", "anthropic.claude-b", OP_CHAT, 6},
        {"openrouter", "meta/llama-9", OP_CHAT, 7},
        {"openai", "emb", OP_EMBEDDING, 8},
        {"openai", "emb", OP_CHAT, -2},
        {"openai", "", OP_CHAT, -2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(input_rate(c, rows[i].vendor, rows[i].model, rows[i].op),
                         rows[i].millionths);
    assert_int_equal(catalog_count(c), 8);
    assert_int_equal(catalog_skipped(c), 0);
    char name[2 * CATALOG_NAME_BYTES_MAX];
    memset(name, 'x', sizeof name);
    assert_null(catalog_find(c, SLICE("openai"), slice_of(name, sizeof name), OP_CHAT));
    catalog_put(c);
}

static void test_a_row(void **state)
{
    (void)state;
    struct catalog *c = read("{\"openai/a\":{\"provider\":\"openai\",\"mode\":\"chat\","
                             "\"base_model\":\"b\",\"max_input_tokens\":7,"
                             "\"max_output_tokens\":8,\"output_cost_per_token\":0.5,"
                             "\"supports_vision\":true,\"metadata\":{\"x\":1},\"source\":\"y\"}}");
    const struct catalog_model *m = catalog_at(c, 0);
    assert_true(slice_eq(m->provider, SLICE("openai")) && slice_eq(m->model, SLICE("a")));
    assert_true(slice_eq(m->mode, SLICE("chat")) && slice_eq(m->base_model, SLICE("b")));
    assert_int_equal(m->max_input_tokens, 7);
    assert_int_equal(m->max_output_tokens, 8);
    assert_int_equal(m->price.rate[PRICE_OUTPUT], PRICE_DOLLAR / 2);
    assert_int_equal(m->price.rate[PRICE_INPUT], PRICE_ABSENT);
    assert_null(catalog_at(c, 1));
    catalog_put(c);
}

static void test_rows_that_make_no_sense_are_skipped(void **state)
{
    (void)state;
    struct catalog *c = read(poor_sheet);
    assert_int_equal(catalog_count(c), 1);
    assert_int_equal(catalog_skipped(c), 7);
    assert_int_equal(input_rate(c, "openai", "good", OP_CHAT), 1);
    catalog_put(c);
}

static void test_as_many_models_as_may_be(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        struct catalog *c = NULL;
        const char *reason = NULL;
        struct buf text;
        buf_init(&text, CATALOG_BYTES_MAX);
        for (unsigned i = 0; i < CATALOG_MODELS_MAX + more; i++)
            buf_printf(&text, "%s\"v/%u\":{\"mode\":\"chat\",\"input_cost_per_token\":%ue-6}",
                       i > 0 ? "," : "{", i, i % 1000);
        buf_add(&text, SLICE("}"));
        assert_int_equal(catalog_new(buf_slice(&text), &c, &reason), more ? ERR_LIMIT : 0);
        if (more) {
            assert_string_equal(reason, "too many models");
        } else {
            assert_int_equal(catalog_count(c), CATALOG_MODELS_MAX);
            assert_int_equal(catalog_skipped(c), 0);
            assert_int_equal(input_rate(c, "v", "99999", OP_CHAT), 999);
        }
        catalog_put(c);
        buf_done(&text);
    }
}

static void test_texts_that_are_no_datasheet(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } rows[] = {
        {"", ERR_BAD_JSON},   {"<html>", ERR_BAD_JSON},    {"[]", ERR_BAD_TYPE},
        {"{}", ERR_BAD_TYPE}, {"{\"a\":1}", ERR_BAD_TYPE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct catalog *c = NULL;
        const char *reason = NULL;
        assert_int_equal(catalog_new(slice_str(rows[i].text), &c, &reason), rows[i].rc);
        assert_null(c);
        assert_non_null(reason);
    }
    char *large = calloc(1, CATALOG_BYTES_MAX + 1);
    struct catalog *c = NULL;
    const char *reason = NULL;
    assert_int_equal(catalog_new(slice_of(large, CATALOG_BYTES_MAX + 1), &c, &reason), ERR_LIMIT);
    free(large);
    catalog_put(NULL);
}

// By how much of the web is read: the middle one stands for all, else the one that is there.
static void test_what_a_search_costs(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t millionths; // -1: no rate
    } rows[] = {
        {"0.01", 10000},
        {"{\"search_context_size_low\":0.03,\"search_context_size_medium\":0.035,"
         "\"search_context_size_high\":0.05}",
         35000},
        {"{\"search_context_size_low\":0.03,\"search_context_size_high\":0.05}", 30000},
        {"{\"search_context_size_high\":0.05}", 50000},
        {"{}", -1},
        {"\"0.01\"", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"m\":{\"provider\":\"openai\",\"mode\":\"chat\",\"input_cost_per_token\":1e-6,"
                 "\"search_context_cost_per_query\":%s}}",
                 rows[i].value);
        struct catalog *c = read(text);
        int64_t rate = catalog_at(c, 0)->price.rate[PRICE_SEARCH];
        assert_int_equal(rate == PRICE_ABSENT ? -1 : rate / 1000000, rows[i].millionths);
        catalog_put(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looking_up),
        cmocka_unit_test(test_a_row),
        cmocka_unit_test(test_rows_that_make_no_sense_are_skipped),
        cmocka_unit_test(test_as_many_models_as_may_be),
        cmocka_unit_test(test_what_a_search_costs),
        cmocka_unit_test(test_texts_that_are_no_datasheet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
