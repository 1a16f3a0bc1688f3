// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_read_test.c: the parameters and tools of a chat request, right and wrong ones.
#include "tests/unit/codec/openai_desk.h"
#include <stdlib.h>

#define WITH(members) "{'messages':[]," members "}"

static void read_ok(struct desk *d, const char *text)
{
    desk_open(d, 1 << 20);
    assert_int_equal(desk_read(d, &dialect_openai_chat, text), 0);
}

static void refused(const char *text, int err, const char *param)
{
    expect_refused(&dialect_openai_chat, text, err, param);
}

static void parameters_cross_by_name(void **state)
{
    (void)state;
    struct desk d;
    read_ok(&d, WITH("'model':'m','stream':true,'temperature':1.50,'stop':['a'],'n':null,"
                     "'parallel_tool_calls':false,'user':'u','x':{'y':1},'fallbacks':['f'],"
                     "'stream_options':{},'extra_params':{}"));
    assert_true(d.r.from == &dialect_openai_chat);
    assert_true(d.r.stream);
    assert_slice(d.r.param[CANON_P_TEMPERATURE], "1.50");
    assert_slice(d.r.param[CANON_P_STOP], "[\"a\"]");
    assert_slice(d.r.param[CANON_P_PARALLEL_TOOL_CALLS], "false");
    assert_int_equal(d.r.param[CANON_P_N].len, 0);
    assert_slice(d.r.extra->name, "x");
    assert_slice(d.r.extra->value, "{\"y\":1}");
    assert_null(d.r.extra->next);
    desk_close(&d);
}

static void the_newer_limit_counts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        WITH("'max_completion_tokens':5,'max_tokens':9"),
        WITH("'max_tokens':9,'max_completion_tokens':5"),
        WITH("'max_tokens':5,'max_completion_tokens':null"),
        WITH("'max_tokens':5"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct desk d;
        read_ok(&d, texts[i]);
        assert_slice(d.r.param[CANON_P_MAX_TOKENS], "5");
        desk_close(&d);
    }
}

static void expect_reasoning(const char *text, enum canon_reasoning_kind kind, const char *effort,
                             uint64_t budget)
{
    struct desk d;
    read_ok(&d, text);
    assert_int_equal(d.r.reasoning.kind, kind);
    assert_int_equal(d.r.reasoning.budget, budget);
    say(&d, d.r.reasoning.effort);
    expect_said(&d, effort);
    desk_close(&d);
}

static void reasoning_is_an_effort_or_a_budget(void **state)
{
    (void)state;
    expect_reasoning(WITH("'reasoning_effort':'low'"), CANON_REASONING_EFFORT, "'low'", 0);
    expect_reasoning(WITH("'reasoning':{'effort':'high'}"), CANON_REASONING_EFFORT, "'high'", 0);
    expect_reasoning(WITH("'reasoning':{'effort':'high'},'reasoning_effort':'low'"),
                     CANON_REASONING_EFFORT, "'low'", 0);
    expect_reasoning(WITH("'reasoning_effort':'low','reasoning':{'effort':'high'}"),
                     CANON_REASONING_EFFORT, "'low'", 0);
    expect_reasoning(WITH("'reasoning':{'max_tokens':2000}"), CANON_REASONING_BUDGET, "", 2000);
    expect_reasoning(WITH("'reasoning':{'max_tokens':-1}"), CANON_REASONING_BUDGET, "", 1024);
    expect_reasoning(WITH("'reasoning':{}"), CANON_REASONING_UNSET, "", 0);
    expect_reasoning(WITH("'reasoning_effort':null"), CANON_REASONING_UNSET, "", 0);
}

static void formats_are_told_apart(void **state)
{
    (void)state;
    struct desk d;
    read_ok(&d, WITH("'response_format':{'type':'json_schema','json_schema':{'name':'n',"
                     "'schema':{'b':1,'a':2},'strict':true}}"));
    assert_int_equal(d.r.format.kind, CANON_FORMAT_JSON_SCHEMA);
    assert_slice(d.r.format.name, "\"n\"");
    assert_slice(d.r.format.schema, "{\"b\":1,\"a\":2}");
    assert_slice(d.r.format.strict, "true");
    assert_int_equal(d.r.format.description.len, 0);
    desk_close(&d);
    read_ok(&d, WITH("'response_format':{'type':'json_object'}"));
    assert_int_equal(d.r.format.kind, CANON_FORMAT_JSON_OBJECT);
    desk_close(&d);
    read_ok(&d, WITH("'response_format':{'type':'text'}"));
    assert_int_equal(d.r.format.kind, CANON_FORMAT_TEXT);
    desk_close(&d);
}

static void tools_of_every_kind(void **state)
{
    (void)state;
    struct desk d;
    read_ok(&d, WITH("'web_search_options':{'user_location':{'type':'approximate','approximate':"
                     "{'city':'Paris','region':null}}},"
                     "'functions':[{'name':'old'}],"
                     "'tools':[{'type':'function','function':{'name':'f','description':'d',"
                     "'parameters':{},'strict':false,'x':1},'cache_control':{'type':'ephemeral'}},"
                     "{'type':'custom','custom':{'name':'c','format':{'type':'text'}}},"
                     "{'type':'browser','y':2}]"));
    const struct canon_tool *t = d.r.tools;
    assert_slice(t->name, "\"old\"");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_FUNCTION);
    assert_slice(t->name, "\"f\"");
    assert_slice(t->parameters, "{}");
    assert_slice(t->strict, "false");
    assert_slice(t->extra->name, "x");
    assert_slice(t->cache_control, "{\"type\":\"ephemeral\"}");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_CUSTOM);
    assert_slice(t->format, "{\"type\":\"text\"}");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_OPAQUE);
    assert_slice(t->raw, "{\"type\":\"browser\",\"y\":2}");
    t = t->next; // the last one, wherever the option stood
    assert_int_equal(t->kind, CANON_TOOL_WEB_SEARCH);
    assert_slice(t->user_location, "{\"type\":\"approximate\",\"city\":\"Paris\"}");
    assert_int_equal(d.r.param[CANON_P_WEB_SEARCH_OPTIONS].len, 0);
    assert_null(t->next);
    desk_close(&d);
}

static void expect_choice(const char *text, enum canon_choice_kind kind, const char *what)
{
    struct desk d;
    read_ok(&d, text);
    assert_int_equal(d.r.tool_choice.kind, kind);
    say(&d, kind == CANON_CHOICE_OPAQUE ? d.r.tool_choice.raw : d.r.tool_choice.name);
    expect_said(&d, what);
    desk_close(&d);
}

static void choices_of_a_tool(void **state)
{
    (void)state;
    expect_choice(WITH("'tool_choice':'auto'"), CANON_CHOICE_AUTO, "");
    expect_choice(WITH("'tool_choice':'none'"), CANON_CHOICE_NONE, "");
    expect_choice(WITH("'tool_choice':'required'"), CANON_CHOICE_REQUIRED, "");
    expect_choice(WITH("'tool_choice':{'type':'any'}"), CANON_CHOICE_REQUIRED, "");
    expect_choice(WITH("'tool_choice':{'type':'function','function':{'name':'f'}}"),
                  CANON_CHOICE_TOOL, "'f'");
    expect_choice(WITH("'tool_choice':{'type':'custom','custom':{'name':'f'}}"),
                  CANON_CHOICE_OPAQUE, "{'type':'custom','custom':{'name':'f'}}");
    expect_choice(WITH("'tool_choice':{'type':'allowed_tools','allowed_tools':{}}"),
                  CANON_CHOICE_OPAQUE, "{'type':'allowed_tools','allowed_tools':{}}");
    expect_choice(WITH("'function_call':'none'"), CANON_CHOICE_NONE, "");
    expect_choice(WITH("'function_call':{'name':'f'}"), CANON_CHOICE_TOOL, "'f'");
    expect_choice(WITH("'tool_choice':'auto','function_call':{'name':'f'}"), CANON_CHOICE_AUTO, "");
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *param;
    } cases[] = {
        {"{'messages':{}}", "messages"},
        {WITH("'stream':1"), "stream"},
        {WITH("'temperature':'1'"), "temperature"},
        {WITH("'max_tokens':1.5"), "max_tokens"},
        {WITH("'max_completion_tokens':-1"), "max_completion_tokens"},
        {WITH("'stop':7"), "stop"},
        {WITH("'stop':['a',7]"), "stop[1]"},
        {WITH("'user':{}"), "user"},
        {WITH("'metadata':[]"), "metadata"},
        {WITH("'logit_bias':1"), "logit_bias"},
        {WITH("'logprobs':1"), "logprobs"},
        {WITH("'modalities':'text'"), "modalities"},
        {WITH("'reasoning_effort':1"), "reasoning_effort"},
        {WITH("'reasoning':'high'"), "reasoning"},
        {WITH("'reasoning':{'effort':1}"), "reasoning.effort"},
        {WITH("'reasoning':{'summary':1}"), "reasoning.summary"},
        {WITH("'reasoning':{'max_tokens':'1'}"), "reasoning.max_tokens"},
        {WITH("'reasoning':{'max_tokens':-2}"), "reasoning.max_tokens"},
        {WITH("'response_format':'json'"), "response_format"},
        {WITH("'response_format':{'type':1}"), "response_format.type"},
        {WITH("'response_format':{'type':'json_schema','json_schema':1}"),
         "response_format.json_schema"},
        {WITH("'response_format':{'type':'json_schema','json_schema':{'name':1}}"),
         "response_format.json_schema.name"},
        {WITH("'response_format':{'type':'json_schema','json_schema':{'schema':1}}"),
         "response_format.json_schema.schema"},
        {WITH("'response_format':{'type':'json_schema','json_schema':{'strict':1}}"),
         "response_format.json_schema.strict"},
        {WITH("'tools':{}"), "tools"},
        {WITH("'tools':[1]"), "tools[0]"},
        {WITH("'tools':[{'type':1}]"), "tools[0].type"},
        {WITH("'tools':[{'type':'function','function':1}]"), "tools[0].function"},
        {WITH("'tools':[{'type':'function','function':{'name':1}}]"), "tools[0].function.name"},
        {WITH("'tools':[{'type':'function','function':{'name':'f','parameters':1}}]"),
         "tools[0].function.parameters"},
        {WITH("'tools':[{'type':'function','function':{'name':'f','strict':1}}]"),
         "tools[0].function.strict"},
        {WITH("'functions':[{'name':1}]"), "functions[0].name"},
        {WITH("'tool_choice':1"), "tool_choice"},
        {WITH("'tool_choice':'f'"), "tool_choice"},
        {WITH("'tool_choice':{'type':'function','function':{'name':1}}"),
         "tool_choice.function.name"},
        {WITH("'function_call':{'name':1}"), "function_call.name"},
        {WITH("'web_search_options':1"), "web_search_options"},
        {WITH("'temperature':1,'temperature':2"), "temperature"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].text, ERR_BAD_TYPE, cases[i].param);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    refused("{}", ERR_MISSING, "messages");
    refused("{'messages':null}", ERR_MISSING, "messages");
    refused(WITH("'tools':[{}]"), ERR_MISSING, "tools[0].type");
    refused(WITH("'tools':[{'type':'function'}]"), ERR_MISSING, "tools[0].function");
    refused(WITH("'tools':[{'type':'function','function':{}}]"), ERR_MISSING,
            "tools[0].function.name");
    refused(WITH("'tool_choice':{}"), ERR_MISSING, "tool_choice.type");
    refused(WITH("'tool_choice':{'type':'function'}"), ERR_MISSING, "tool_choice.function");
    refused(WITH("'response_format':{}"), ERR_MISSING, "response_format.type");
    refused(WITH("'response_format':{'type':'json_schema'}"), ERR_MISSING,
            "response_format.json_schema");
    refused(WITH("'response_format':{'type':'grammar'}"), ERR_UNSUPPORTED, "response_format.type");
}

// Stops a small text of many members from becoming large, and slow.
static void unknown_members_are_limited(void **state)
{
    (void)state;
    enum { MEMBER_BYTES = 16 };
    size_t size = (CANON_PARTS_MAX + 4) * (size_t)MEMBER_BYTES;
    struct desk d;
    char *text = malloc(size);
    size_t len = (size_t)snprintf(text, size, "{\"messages\":[]");
    for (unsigned i = 0; i <= CANON_PARTS_MAX; i++)
        len += (size_t)snprintf(text + len, size - len, ",\"%x\":0", i);
    len += (size_t)snprintf(text + len, size - len, "}");
    desk_open(&d, 64 << 20);
    assert_int_equal(openai_chat__read_request(&d.r, slice_of(text, len)), ERR_LIMIT);
    desk_close(&d);
    free(text);
}

static int read_much(struct desk *d)
{
    return openai_chat__read_request(
        &d->r,
        SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"x\":1}],\"\\u0041\":1,"
              "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"z\":1}}],"
              "\"web_search_options\":{\"user_location\":{\"approximate\":{\"city\":\"P\"}}}}"));
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_cross_by_name),
        cmocka_unit_test(the_newer_limit_counts),
        cmocka_unit_test(reasoning_is_an_effort_or_a_budget),
        cmocka_unit_test(formats_are_told_apart),
        cmocka_unit_test(tools_of_every_kind),
        cmocka_unit_test(choices_of_a_tool),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(unknown_members_are_limited),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
