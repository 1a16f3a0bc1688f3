// SPDX-License-Identifier: Apache-2.0
//
// anthropic_read_test.c: a request's members, well and badly typed.
#include "tests/unit/codec/anthropic_desk.h"

#define WITH(members) "{\"model\":\"m\",\"messages\":[]," members "}"

static const struct {
    const char *text;
    int err;
    const char *param;
} bad[] = {
    {"{}", ERR_MISSING, "messages"},
    {"{\"messages\":null}", ERR_MISSING, "messages"},
    {"{\"messages\":{}}", ERR_BAD_TYPE, "messages"},
    {WITH("\"system\":7"), ERR_BAD_TYPE, "system"},
    {WITH("\"max_tokens\":\"7\""), ERR_BAD_TYPE, "max_tokens"},
    {WITH("\"stream\":\"true\""), ERR_BAD_TYPE, "stream"},
    {WITH("\"temperature\":\"1\""), ERR_BAD_TYPE, "temperature"},
    {WITH("\"top_p\":[]"), ERR_BAD_TYPE, "top_p"},
    {WITH("\"top_k\":{}"), ERR_BAD_TYPE, "top_k"},
    {WITH("\"stop_sequences\":\"x\""), ERR_BAD_TYPE, "stop_sequences"},
    {WITH("\"metadata\":[]"), ERR_BAD_TYPE, "metadata"},
    {WITH("\"metadata\":{\"user_id\":7}"), ERR_BAD_TYPE, "metadata.user_id"},
    {WITH("\"service_tier\":7"), ERR_BAD_TYPE, "service_tier"},
    {WITH("\"mcp_servers\":{}"), ERR_BAD_TYPE, "mcp_servers"},
    {WITH("\"container\":7"), ERR_BAD_TYPE, "container"},
    {WITH("\"context_management\":[]"), ERR_BAD_TYPE, "context_management"},
    {WITH("\"cache_control\":7"), ERR_BAD_TYPE, "cache_control"},
    {WITH("\"tools\":{}"), ERR_BAD_TYPE, "tools"},
    {WITH("\"tools\":[7]"), ERR_BAD_TYPE, "tools[0]"},
    {WITH("\"tools\":[{\"type\":7}]"), ERR_BAD_TYPE, "tools[0].type"},
    {WITH("\"tools\":[{\"name\":\"f\"},{}]"), ERR_MISSING, "tools[1].name"},
    {WITH("\"tools\":[{\"name\":\"f\",\"input_schema\":\"{}\"}]"), ERR_BAD_TYPE,
     "tools[0].input_schema"},
    {WITH("\"tools\":[{\"type\":\"web_search_20250305\",\"max_uses\":\"3\"}]"), ERR_BAD_TYPE,
     "tools[0].max_uses"},
    {WITH("\"tool_choice\":\"auto\""), ERR_BAD_TYPE, "tool_choice"},
    {WITH("\"tool_choice\":{}"), ERR_MISSING, "tool_choice.type"},
    {WITH("\"tool_choice\":{\"type\":\"tool\"}"), ERR_MISSING, "tool_choice.name"},
    {WITH("\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":1}"), ERR_BAD_TYPE,
     "tool_choice.disable_parallel_tool_use"},
    {WITH("\"thinking\":true"), ERR_BAD_TYPE, "thinking"},
    {WITH("\"thinking\":{}"), ERR_MISSING, "thinking.type"},
    {WITH("\"thinking\":{\"type\":\"enabled\"}"), ERR_MISSING, "thinking.budget_tokens"},
    {WITH("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1.5}"), ERR_BAD_TYPE,
     "thinking.budget_tokens"},
    {WITH("\"output_config\":[]"), ERR_BAD_TYPE, "output_config"},
    {WITH("\"output_config\":{\"effort\":7}"), ERR_BAD_TYPE, "output_config.effort"},
    {WITH("\"output_config\":{\"format\":{}}"), ERR_MISSING, "output_config.format.type"},
    {WITH("\"output_config\":{\"format\":{\"type\":\"json_schema\"}}"), ERR_MISSING,
     "output_config.format.schema"},
    {WITH("\"output_format\":{\"type\":\"grammar\",\"schema\":{}}"), ERR_UNSUPPORTED,
     "output_format.type"},
};

static void badly_typed_members_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct desk d;
        desk_open(&d, DESK_BYTES);
        int rc = anthropic__read_request(&d.r, slice_str(bad[i].text));
        if (rc != bad[i].err)
            fail_msg("%s: %s", bad[i].text, err_name(rc));
        same(d.r.refusal.param, bad[i].param);
        desk_close(&d);
    }
}

static void read(struct desk *d, const char *text)
{
    desk_open(d, DESK_BYTES);
    assert_int_equal(anthropic__read_request(&d->r, slice_str(text)), 0);
}

static void parameters_have_their_places(void **state)
{
    struct desk d;
    (void)state;
    read(&d,
         " {\"model\":\"m\",\"fallbacks\":[],\"max_tokens\":300,\"messages\":[],\"temperature\":"
         "0.30,\"top_p\":0.8,\"top_k\":40,\"stop_sequences\":[\"END\"],\"metadata\":"
         "{\"user_id\":\"u\"},\"service_tier\":\"standard_only\",\"container\":\"c\","
         "\"mcp_servers\":[],\"context_management\":{},\"cache_control\":{},\"stream\":true,"
         "\"stream_options\":{},\"inference_geo\":\"us\",\"speed\":null}\n");
    static const struct {
        enum canon_param param;
        const char *value;
    } want[] = {
        {CANON_P_MAX_TOKENS, "300"},
        {CANON_P_TEMPERATURE, "0.30"},
        {CANON_P_TOP_P, "0.8"},
        {CANON_P_TOP_K, "40"},
        {CANON_P_STOP, "[\"END\"]"},
        {CANON_P_USER, "\"u\""},
        {CANON_P_SERVICE_TIER, "\"default\""},
        {CANON_P_CONTAINER, "\"c\""},
        {CANON_P_MCP_SERVERS, "[]"},
        {CANON_P_CONTEXT_MANAGEMENT, "{}"},
        {CANON_P_CACHE_CONTROL, "{}"},
    };
    unsigned set = 0;
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        same(d.r.param[want[i].param], want[i].value);
    for (size_t i = 0; i < CANON_PARAM_COUNT; i++)
        set += d.r.param[i].len > 0;
    assert_int_equal(set, ARRAY_LEN(want));
    assert_true(d.r.stream);
    assert_ptr_equal(d.r.from, &dialect_anthropic_messages);
    same(d.r.extra->name, "stream_options");
    same(d.r.extra->next->name, "inference_geo");
    assert_null(d.r.extra->next->next);
    desk_close(&d);
}

static void members_inside_others_are_noted(void **state)
{
    static const char *const want[] = {
        "thinking.display",
        "thinking.zeal",
        "output_config.task_budget",
        "metadata.te\"am",
    };
    struct desk d;
    (void)state;
    // Read in the order of the table, each object in its own; null is absent, escapes are resolved.
    read(&d, "{\"messages\":[],\"metadata\":{\"user_id\":\"u\",\"te\\\"am\":1},"
             "\"output_config\":{\"task_budget\":{},\"effort\":\"low\",\"x\":null},"
             "\"thinking\":{\"display\":\"omitted\",\"t\\u0079pe\":\"adaptive\",\"zeal\":1}}");
    const struct canon_member *m = d.r.inner;
    for (size_t i = 0; i < ARRAY_LEN(want); i++, m = m->next) {
        assert_non_null(m);
        same(m->name, want[i]);
    }
    assert_null(m);
    assert_null(d.r.dropped);
    desk_close(&d);
    // A kind of tomorrow is unknown as a whole.
    read(&d, "{\"messages\":[],\"thinking\":{\"type\":\"between\",\"zeal\":1}}");
    assert_null(d.r.inner);
    same(d.r.extra->name, "thinking");
    desk_close(&d);
}

static void system_comes_before_messages(void **state)
{
    struct desk d;
    (void)state;
    read(&d, "{\"messages\":[{\"role\":\"user\",\"content\":\"u\"},"
             "{\"role\":\"system\",\"content\":\"later\"}],\"system\":\"first\"}");
    const struct canon_message *m = d.r.messages;
    assert_int_equal(m->role, CANON_SYSTEM);
    assert_true(m->plain);
    same(m->blocks->text, "\"first\"");
    assert_int_equal(m->next->role, CANON_USER);
    assert_int_equal(m->next->next->role, CANON_SYSTEM);
    desk_close(&d);
    read(&d, "{\"messages\":[],\"system\":[]}");
    assert_null(d.r.messages);
    desk_close(&d);
}

static void tools_are_of_four_kinds(void **state)
{
    struct desk d;
    (void)state;
    read(&d, WITH("\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"b\":1,"
                  "\"a\":1e1},\"strict\":true,\"defer_loading\":true},"
                  "{\"type\":\"custom\",\"name\":\"g\",\"cache_control\":{}},"
                  "{\"type\":\"web_search_20260209\",\"name\":\"web_search\",\"max_uses\":3,"
                  "\"allowed_domains\":[\"a\"],\"blocked_domains\":[\"b\"],\"user_location\":{}},"
                  "{\"type\":\"bash_20250124\",\"name\":\"bash\"}]"));
    const struct canon_tool *t = d.r.tools;
    assert_int_equal(t->kind, CANON_TOOL_FUNCTION);
    same(t->parameters, "{\"b\":1,\"a\":1e1}");
    same(t->strict, "true");
    same(t->extra->name, "defer_loading");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_FUNCTION);
    same(t->name, "\"g\"");
    same(t->cache_control, "{}");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_WEB_SEARCH);
    same(t->max_uses, "3");
    same(t->allowed_domains, "[\"a\"]");
    same(t->extra->name, "blocked_domains");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_OPAQUE);
    same(t->raw, "{\"type\":\"bash_20250124\",\"name\":\"bash\"}");
    assert_null(t->next);
    desk_close(&d);
}

static const struct {
    const char *text;
    enum canon_choice_kind kind;
    const char *serial;
} choice_cases[] = {
    {WITH("\"tool_choice\":{\"type\":\"auto\"}"), CANON_CHOICE_AUTO, ""},
    {WITH("\"tool_choice\":{\"type\":\"none\"}"), CANON_CHOICE_NONE, ""},
    {WITH("\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}"),
     CANON_CHOICE_REQUIRED, "false"},
    {WITH("\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":false}"),
     CANON_CHOICE_TOOL, ""},
    {WITH("\"tool_choice\":{\"type\":\"of_tomorrow\"}"), CANON_CHOICE_OPAQUE, ""},
    {WITH("\"tool_choice\":null"), CANON_CHOICE_UNSET, ""},
};

static void choices(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(choice_cases); i++) {
        struct desk d;
        read(&d, choice_cases[i].text);
        assert_int_equal(d.r.tool_choice.kind, choice_cases[i].kind);
        same(d.r.param[CANON_P_PARALLEL_TOOL_CALLS], choice_cases[i].serial);
        desk_close(&d);
    }
}

static const struct {
    const char *text;
    enum canon_reasoning_kind kind;
    const char *effort;
    uint64_t budget;
} thoughts[] = {
    {WITH("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"), CANON_REASONING_BUDGET, "",
     2000},
    {WITH("\"thinking\":{\"type\":\"disabled\"}"), CANON_REASONING_OFF, "", 0},
    {WITH("\"thinking\":{\"type\":\"adaptive\"}"), CANON_REASONING_ADAPTIVE, "", 0},
    {WITH("\"output_config\":{\"effort\":\"max\"},\"thinking\":{\"type\":\"adaptive\"}"),
     CANON_REASONING_ADAPTIVE, "\"xhigh\"", 0},
    {WITH("\"output_config\":{\"effort\":\"low\"}"), CANON_REASONING_EFFORT, "\"low\"", 0},
    {WITH("\"output_config\":{\"effort\":\"low\"},\"thinking\":{\"type\":\"disabled\"}"),
     CANON_REASONING_OFF, "\"low\"", 0},
    {WITH("\"thinking\":{\"type\":\"of_tomorrow\"}"), CANON_REASONING_UNSET, "", 0},
};

static void thinking_and_effort_are_one(void **state)
{
    struct desk d;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(thoughts); i++) {
        read(&d, thoughts[i].text);
        assert_int_equal(d.r.reasoning.kind, thoughts[i].kind);
        assert_int_equal(d.r.reasoning.budget, thoughts[i].budget);
        same(d.r.reasoning.effort, thoughts[i].effort);
        // What is not known is not lost: it is reported by who writes the request.
        assert_int_equal(d.r.extra != NULL, i == ARRAY_LEN(thoughts) - 1);
        desk_close(&d);
    }
}

static void the_form_of_the_answer_has_two_names(void **state)
{
    static const char *const texts[] = {
        WITH("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}}"),
        WITH("\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"a\":1}}"),
    };
    struct desk d;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        read(&d, texts[i]);
        assert_int_equal(d.r.format.kind, CANON_FORMAT_JSON_SCHEMA);
        same(d.r.format.schema, "{\"a\":1}");
        desk_close(&d);
    }
}

static int read_large(struct desk *d)
{
    return anthropic__read_request(
        &d->r,
        SLICE("{\"x\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
              "\"text\":\"a\"},{\"type\":\"tool_result\",\"tool_use_id\":\"i\",\"content\":"
              "\"b\"},{\"type\":\"text\",\"text\":\"c\",\"y\\n\":1}]},{\"role\":\"user\","
              "\"content\":\"d\"},{\"role\":\"user\",\"content\":[{\"type\":\"a\"},{\"type\":"
              "\"b\"},{\"type\":\"c\"},{\"type\":\"d\"},{\"type\":\"e\"},{\"type\":\"f\"}]}],"
              "\"system\":\"e\",\"tools\":[{\"name\":\"f\"},{\"name\":\"f\"},{\"name\":"
              "\"f\"},{\"name\":\"f\"},{\"name\":\"f\"},{\"name\":\"f\"}]}"));
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    check_memory(read_large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(badly_typed_members_are_named),
        cmocka_unit_test(parameters_have_their_places),
        cmocka_unit_test(members_inside_others_are_noted),
        cmocka_unit_test(system_comes_before_messages),
        cmocka_unit_test(tools_are_of_four_kinds),
        cmocka_unit_test(choices),
        cmocka_unit_test(thinking_and_effort_are_one),
        cmocka_unit_test(the_form_of_the_answer_has_two_names),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
