// SPDX-License-Identifier: Apache-2.0
//
// anthropic_write_test.c: tools, thinking and the rest of a request for Claude, but its parameters.
#include "tests/unit/codec/anthropic_desk.h"

#define CHAT      &dialect_openai_chat
#define RESPONSES &dialect_openai_responses

#define ASKS(members) "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define GETS_MAX(max, members)                                                                     \
    "{\"model\":\"claude\",\"max_tokens\":" max                                                    \
    ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define GETS(members) GETS_MAX("4096", members)
#define F_TOOL                                                                                     \
    ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]"
#define F ",\"tools\":[{\"name\":\"f\"}]"

#define TWEAK(function, statement)                                                                 \
    static void function(struct canon_request *r)                                                  \
    {                                                                                              \
        statement;                                                                                 \
    }

TWEAK(previous, r->param[CANON_P_PREVIOUS_RESPONSE_ID] = SLICE("\"r\""))
TWEAK(json_object_form, r->format.kind = CANON_FORMAT_JSON_OBJECT)
TWEAK(pass, r->pass_extra = true)
TWEAK(serial, r->param[CANON_P_PARALLEL_TOOL_CALLS] = SLICE("false"))
TWEAK(parallel, r->param[CANON_P_PARALLEL_TOOL_CALLS] = SLICE("true"))
TWEAK(odd_limit, r->param[CANON_P_MAX_TOKENS] = SLICE("1e3"))

static void loud(struct canon_request *r)
{
    static const enum canon_param params[] = {
        CANON_P_PREDICTION, CANON_P_METADATA,          CANON_P_TOP_LOGPROBS,
        CANON_P_LOGPROBS,   CANON_P_PRESENCE_PENALTY,  CANON_P_LOGIT_BIAS,
        CANON_P_SEED,       CANON_P_FREQUENCY_PENALTY,
    };
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        r->param[params[i]] = SLICE("1");
}

static void search_options(struct canon_request *r)
{
    r->param[CANON_P_WEB_SEARCH_OPTIONS] =
        SLICE("{\"user_location\":{\"type\":\"approximate\",\"approximate\":{\"type\":\"x\","
              "\"city\":\"Paris\"}}}");
}

static void effort(struct canon_request *r, struct slice value)
{
    r->reasoning.kind = CANON_REASONING_EFFORT;
    r->reasoning.effort = value;
}

TWEAK(effort_medium, effort(r, SLICE("\"medium\"")))
TWEAK(effort_low, effort(r, SLICE("\"low\"")))
TWEAK(effort_none, effort(r, SLICE("\"none\"")))
TWEAK(effort_unknown, effort(r, SLICE("\"wild\"")))

TWEAK(effort_max, effort(r, SLICE("\"max\"")))

static void search_and_think(struct canon_request *r)
{
    effort(r, SLICE("\"high\""));
    r->param[CANON_P_WEB_SEARCH_OPTIONS] = SLICE("{}");
}

static void budget(struct canon_request *r, uint64_t tokens)
{
    r->reasoning.kind = CANON_REASONING_BUDGET;
    r->reasoning.budget = tokens;
}

TWEAK(budget_1023, budget(r, 1023))
TWEAK(budget_1024, budget(r, 1024))
TWEAK(budget_2000, budget(r, 2000))
TWEAK(budget_any, budget(r, UINT64_MAX))
TWEAK(budget_huge, budget(r, UINT64_MAX - 1))

static void custom_tool(struct canon_request *r)
{
    r->tools->kind = CANON_TOOL_CUSTOM;
}

static const struct request_case cases[] = {
    // The form of the answer, the limit.
    {ASKS(), CHAT, json_object_form, GETS(), "response_format"},
    {ASKS(), RESPONSES, json_object_form, GETS(), "text"},
    {ASKS(",\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"b\":1,\"a\":2}}"), CHAT, NULL,
     GETS(
         ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"b\":1,\"a\":2}}}"),
     NULL},
    {ASKS(), CHAT, odd_limit, NULL, "max_tokens"},
    // Unknown members: last; never over one that was written.
    {ASKS(",\"zeal\":1,\"speed\":\"fast\""), CHAT, NULL, GETS(), "zeal speed"},
    {ASKS(",\"\":1"), CHAT, NULL, GETS(), "\"\""},
    {ASKS(",\"\":1"), CHAT, pass, GETS(",\"\":1"), NULL},
    {ASKS(",\"zeal\":1,\"sp\\u0065ed\":\"fast\""), CHAT, pass,
     GETS(",\"zeal\":1,\"speed\":\"fast\""), NULL},
    {ASKS(",\"thinking\":{\"type\":\"between_tools\"}"), CHAT, pass,
     GETS(",\"thinking\":{\"type\":\"between_tools\"}"), NULL},
    {ASKS(",\"thinking\":{\"type\":\"between_tools\"}"), CHAT, NULL, GETS(), "thinking"},
    {ASKS(",\"inference_geo\":\"us\""), NULL, NULL, GETS(",\"inference_geo\":\"us\""), NULL},
    // Tools.
    {ASKS(F), CHAT, NULL, GETS(F_TOOL), NULL},
    {ASKS(",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"b\":1.0,\"a\":2},"
          "\"strict\":true,\"cache_control\":{},\"defer_loading\":true}]"),
     CHAT, NULL,
     GETS(",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"b\":1.0,\"a\":2},"
          "\"strict\":true,\"cache_control\":{}}]"),
     NULL},
    {ASKS(",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"strict\":false,\"defer_loading\":true}"
          "]"),
     NULL, NULL, GETS(",\"tools\":[{\"name\":\"f\",\"input_schema\":{},\"defer_loading\":true}]"),
     NULL},
    {ASKS(",\"tools\":[{\"name\":\"f\",\"description\":\"d\"}]"), CHAT, custom_tool,
     GETS(",\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
          "\"properties\":{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"]}}]"),
     NULL},
    {ASKS(",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}],\"tool_choice\":{\"type\":"
          "\"any\"}"),
     CHAT, NULL, GETS(), "tools"},
    {ASKS(",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"), NULL, NULL,
     GETS(",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"), NULL},
    {ASKS(",\"tools\":[{\"type\":\"web_search_20260209\",\"name\":\"web_search\",\"max_uses\":3,"
          "\"allowed_domains\":[\"a\"],\"user_location\":{\"type\":\"approximate\",\"city\":"
          "\"Oslo\"}}]"),
     RESPONSES, NULL,
     GETS(",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_uses\":3,"
          "\"allowed_domains\":[\"a\"],\"user_location\":{\"type\":\"approximate\",\"city\":"
          "\"Oslo\"}}]"),
     NULL},
    {ASKS(F), CHAT, search_options,
     GETS(",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}},"
          "{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"user_location\":{\"type\":"
          "\"approximate\",\"city\":\"Paris\"}}]"),
     NULL},
    {ASKS(F ",\"tool_choice\":{\"type\":\"any\"}"), CHAT, serial,
     GETS(F_TOOL ",\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}"), NULL},
    {ASKS(F ",\"tool_choice\":{\"type\":\"none\"}"), CHAT, serial,
     GETS(F_TOOL ",\"tool_choice\":{\"type\":\"none\"}"), NULL},
    {ASKS(F), CHAT, serial,
     GETS(F_TOOL ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"), NULL},
    {ASKS(F), CHAT, parallel, GETS(F_TOOL), NULL},
    {ASKS(F ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}"), CHAT, NULL,
     GETS(F_TOOL ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}"), NULL},
    {ASKS(F ",\"tool_choice\":{\"type\":\"allowed_tools\"}"), CHAT, NULL, GETS(F_TOOL),
     "tool_choice"},
    {ASKS(F ",\"tool_choice\":{\"type\":\"of_tomorrow\"}"), NULL, NULL,
     GETS(F_TOOL ",\"tool_choice\":{\"type\":\"of_tomorrow\"}"), NULL},
    // Thinking. 1024 + 0.425 x (5024 - 1024) = 2724; 1024 + 0.15 x 3072 = 1484.8.
    {ASKS(",\"max_tokens\":5024,\"temperature\":0.2,\"top_p\":0.5,\"top_k\":5"), CHAT,
     effort_medium, GETS_MAX("5024", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2724}"),
     "temperature top_p top_k"},
    {ASKS(), CHAT, effort_low,
     GETS_MAX("5580", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1484}"), NULL},
    {ASKS(",\"max_tokens\":1024,\"temperature\":0.2"), CHAT, effort_low,
     GETS_MAX("1024", ",\"temperature\":0.2"), "reasoning_effort"},
    {ASKS(",\"max_tokens\":1024"), RESPONSES, effort_low, GETS_MAX("1024", ""), "reasoning"},
    {ASKS(), CHAT, effort_unknown, GETS(), "reasoning_effort"},
    {ASKS(",\"temperature\":0.2"), CHAT, effort_none,
     GETS(",\"thinking\":{\"type\":\"disabled\"},\"temperature\":0.2"), NULL},
    {ASKS(), CHAT, budget_2000,
     GETS_MAX("6096", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"), NULL},
    {ASKS(), CHAT, budget_1023, NULL, "reasoning.max_tokens"},
    {ASKS(), NULL, budget_1023, NULL, "thinking.budget_tokens"},
    {ASKS(",\"max_tokens\":8000"), CHAT, budget_any,
     GETS_MAX("8000", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"), NULL},
    {ASKS(), CHAT, budget_huge, NULL, "reasoning.max_tokens"},
    // Claude wants the budget below the limit; the limit is the client's.
    {ASKS(",\"max_tokens\":1024"), CHAT, budget_1024, NULL, "reasoning.max_tokens"},
    {ASKS(",\"max_tokens\":1025"), CHAT, budget_1024,
     GETS_MAX("1025", ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}"), NULL},
    {ASKS(",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}"), NULL,
     NULL, GETS(",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}"),
     NULL},
    {ASKS(",\"output_config\":{\"effort\":\"low\"}"), NULL, NULL,
     GETS(",\"output_config\":{\"effort\":\"low\"}"), NULL},
};

static void requests_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_request(&cases[i], anthropic__write_request);
}

#define NEWER(name, max, members)                                                                  \
    "{\"model\":\"claude-" name "\",\"max_tokens\":" max                                           \
    ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]" members "}"
#define SUMMARIZED ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"}"

// What the golden files do not show of models that measure their own thinking.
static void newer_models_measure_themselves(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        struct request_case c;
    } newer[] = {
        {"claude-opus-4-6",
         {ASKS(",\"max_tokens\":900"), CHAT, effort_max,
          NEWER("opus-4-6", "900",
                ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"max\"}"),
          NULL}},
        // 1024 + 0.95 x 3072 and 4096.
        {"claude-opus-5",
         {ASKS(), RESPONSES, effort_max,
          NEWER("opus-5", "8038", SUMMARIZED ",\"output_config\":{\"effort\":\"max\"}"), NULL}},
        {"claude-opus-4-6",
         {ASKS(), CHAT, effort_unknown, NEWER("opus-4-6", "4096", ""), "reasoning_effort"}},
        {"claude-opus-4-7", {ASKS(), CHAT, budget_1023, NULL, "reasoning.max_tokens"}},
        {"claude-opus-4-7",
         {ASKS(",\"max_tokens\":1024"), CHAT, budget_1024, NULL, "reasoning.max_tokens"}},
        {"claude-opus-4-7",
         {ASKS(), CHAT, budget_any,
          NEWER("opus-4-7", "5120", SUMMARIZED ",\"output_config\":{\"effort\":\"low\"}"), NULL}},
        // Its own dialect knows what it says.
        {"claude-opus-4-7",
         {ASKS(",\"temperature\":1,\"thinking\":{\"type\":\"disabled\"}"), NULL, NULL,
          NEWER("opus-4-7", "4096", ",\"thinking\":{\"type\":\"disabled\"},\"temperature\":1"),
          NULL}},
        {"claude-opus-4-7",
         {ASKS(F ",\"tool_choice\":{\"type\":\"any\"}"), NULL, budget_2000,
          NEWER("opus-4-7", "6096",
                F_TOOL ",\"tool_choice\":{\"type\":\"any\"},\"thinking\":{\"type\":\"enabled\","
                       "\"budget_tokens\":2000}"),
          NULL}},
        // A tool that does not cross forces nobody; a search that does, does.
        {"claude-opus-4-6",
         {ASKS(",\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"}],\"tool_choice\":{"
               "\"type\":\"any\"}"),
          CHAT, effort_low,
          NEWER("opus-4-6", "5580",
                ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"low\"}"),
          "tools"}},
        {"claude-opus-4-6",
         {ASKS(",\"tool_choice\":{\"type\":\"any\"}"), CHAT, search_and_think,
          NEWER("opus-4-6", "4096",
                ",\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}],"
                "\"tool_choice\":{\"type\":\"any\"}"),
          "reasoning_effort"}},
    };

    for (size_t i = 0; i < ARRAY_LEN(newer); i++)
        check_request_for(newer[i].model, &newer[i].c, anthropic__write_request);
}

static const struct request_case counts[] = {
    {ASKS(",\"max_tokens\":7,\"stream\":true,\"temperature\":1,\"metadata\":{\"user_id\":\"u\"},"
          "\"stop_sequences\":[],\"system\":\"s\",\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],"
          "\"cache_control\":{},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"),
     CHAT, NULL,
     "{\"model\":\"claude\",\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
     "\"tools\":[{\"name\":\"f\",\"input_schema\":{}}],\"thinking\":{\"type\":\"enabled\","
     "\"budget_tokens\":2000},\"cache_control\":{}}",
     NULL},
    {ASKS(), RESPONSES, loud,
     "{\"model\":\"claude\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", NULL},
    {ASKS(), RESPONSES, previous, NULL, "previous_response_id"},
    {ASKS(",\"zeal\":1"), RESPONSES, NULL,
     "{\"model\":\"claude\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "zeal"},
};

static void counting_asks_for_less(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        check_request(&counts[i], anthropic__write_count_request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_written),
        cmocka_unit_test(newer_models_measure_themselves),
        cmocka_unit_test(counting_asks_for_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
