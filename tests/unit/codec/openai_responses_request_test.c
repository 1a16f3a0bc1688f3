// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_request_test.c: the top level of a request: every member's place and type.
#include <stdio.h>

#include "openai_responses_desk.h"

static int read_with(struct desk *d, const char *quoted, size_t bytes_max)
{
    static char buffer[TEXT_BYTES];
    desk_open(d, bytes_max);
    return dialect_openai_responses.translation->read_request(&d->r, text_in(buffer, quoted));
}

static int read(struct desk *d, const char *quoted)
{
    return read_with(d, quoted, 64 << 20);
}

static void a_string_is_one_plain_user_message(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, " {'model':'m','input':'Hi \\u00e9'}"), 0);
    assert_ptr_equal(d.r.from, &dialect_openai_responses);
    assert_int_equal(d.r.messages->role, CANON_USER);
    assert_true(d.r.messages->plain);
    expect_text(d.r.messages->blocks->text, "'Hi \\u00e9'");
    assert_null(d.r.messages->next);
    assert_false(d.r.stream);
    desk_close(&d);
}

static void instructions_stand_first_wherever_they_are_written(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'input':'Hi','stream':true,'instructions':'Be brief'}"), 0);
    assert_int_equal(d.r.messages->role, CANON_SYSTEM);
    expect_text(d.r.messages->blocks->text, "'Be brief'");
    assert_int_equal(d.r.messages->next->role, CANON_USER);
    assert_true(d.r.stream);
    desk_close(&d);
}

static void items_may_be_called_messages(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'messages':[{'role':'user','content':'Hi'}]}"), 0);
    assert_int_equal(d.r.messages->role, CANON_USER);
    desk_close(&d);
    assert_int_equal(read(&d, "{'messages':[{'role':'user','content':7}]}"), ERR_BAD_TYPE);
    expect_refused(&d, "messages[0].content");
    desk_close(&d);
}

static void tools_of_every_kind(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d,
                          "{'input':'x','tools':[{'type':'function','name':'f','description':'d',"
                          "'parameters':{'type':'object'},'strict':true},"
                          "{'type':'custom','name':'c','format':{'type':'text'}},"
                          "{'type':'web_search_2025_08_26','filters':{'allowed_domains':['a.org']},"
                          "'user_location':{'type':'approximate'}},"
                          "{'type':'mcp','server_label':'s','name':7}]}"),
                     0);
    const struct canon_tool *t = d.r.tools;
    assert_int_equal(t->kind, CANON_TOOL_FUNCTION);
    expect_text(t->name, "'f'");
    expect_text(t->description, "'d'");
    expect_text(t->parameters, "{'type':'object'}");
    expect_text(t->strict, "true");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_CUSTOM);
    expect_text(t->format, "{'type':'text'}");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_WEB_SEARCH);
    expect_text(t->allowed_domains, "['a.org']");
    expect_text(t->user_location, "{'type':'approximate'}");
    t = t->next;
    assert_int_equal(t->kind, CANON_TOOL_OPAQUE);
    expect_text(t->raw, "{'type':'mcp','server_label':'s','name':7}");
    assert_null(t->next);
    desk_close(&d);
}

static void choices(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum canon_choice_kind kind;
    } rows[] = {
        {"{'input':'x','tool_choice':'auto'}", CANON_CHOICE_AUTO},
        {"{'input':'x','tool_choice':'none'}", CANON_CHOICE_NONE},
        {"{'input':'x','tool_choice':'required'}", CANON_CHOICE_REQUIRED},
        {"{'input':'x','tool_choice':{'type':'any'}}", CANON_CHOICE_REQUIRED},
        {"{'input':'x','tool_choice':{'type':'function','name':'f'}}", CANON_CHOICE_TOOL},
        {"{'input':'x','tool_choice':{'type':'custom','name':'f'}}", CANON_CHOICE_OPAQUE},
        {"{'input':'x','tool_choice':{'type':'file_search'}}", CANON_CHOICE_OPAQUE},
        {"{'input':'x','tool_choice':null}", CANON_CHOICE_UNSET},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        assert_int_equal(read(&d, rows[i].text), 0);
        assert_int_equal(d.r.tool_choice.kind, rows[i].kind);
        if (rows[i].kind == CANON_CHOICE_TOOL)
            expect_text(d.r.tool_choice.name, "'f'");
        desk_close(&d);
    }
}

static void formats(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'input':'x','text':{'verbosity':'low','format':{'type':"
                              "'json_schema','name':'n','schema':{'a':1},'strict':true}}}"),
                     0);
    assert_int_equal(d.r.format.kind, CANON_FORMAT_JSON_SCHEMA);
    expect_text(d.r.format.name, "'n'");
    expect_text(d.r.format.schema, "{'a':1}");
    expect_text(d.r.format.strict, "true");
    expect_text(d.r.param[CANON_P_VERBOSITY], "'low'");
    desk_close(&d);
    assert_int_equal(read(&d, "{'input':'x','text':{'format':{'type':'json_schema','json_schema':"
                              "{'name':'n','schema':{'a':1},'strict':false}}}}"),
                     0);
    expect_text(d.r.format.name, "'n'");
    expect_text(d.r.format.schema, "{'a':1}");
    expect_text(d.r.format.strict, "false");
    desk_close(&d);
    assert_int_equal(read(&d, "{'input':'x','text':{'format':{'type':'json_object'}}}"), 0);
    assert_int_equal(d.r.format.kind, CANON_FORMAT_JSON_OBJECT);
    desk_close(&d);
}

static void reasoning(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum canon_reasoning_kind kind;
        uint64_t budget;
    } rows[] = {
        {"{'input':'x','reasoning':{'effort':'high','summary':'auto'}}", CANON_REASONING_EFFORT, 0},
        {"{'input':'x','reasoning':{'effort':'none'}}", CANON_REASONING_EFFORT, 0},
        {"{'input':'x','reasoning':{'effort':'low','max_tokens':2000}}", CANON_REASONING_BUDGET,
         2000},
        {"{'input':'x','reasoning':{'max_tokens':-1}}", CANON_REASONING_BUDGET, 1024},
        {"{'input':'x','reasoning':{'summary':'auto'}}", CANON_REASONING_UNSET, 0},
        {"{'input':'x','reasoning':{'effort':null}}", CANON_REASONING_UNSET, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        assert_int_equal(read(&d, rows[i].text), 0);
        assert_int_equal(d.r.reasoning.kind, rows[i].kind);
        assert_int_equal(d.r.reasoning.budget, rows[i].budget);
        desk_close(&d);
    }
}

static void parameters_cross_by_name(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(
        read(&d, "{'input':'x','max_output_tokens':99,'temperature':0.50,'user':'u','store':false,"
                 "'top_p':null,'include':['message.output_text.logprobs'],'background':false,"
                 "'zeta':1,'m\\u0065tadata':{'k':'v'},'al\\u0070ha':[2]}"),
        0);
    expect_text(d.r.param[CANON_P_MAX_TOKENS], "99");
    expect_text(d.r.param[CANON_P_TEMPERATURE], "0.50");
    expect_text(d.r.param[CANON_P_USER], "'u'");
    expect_text(d.r.param[CANON_P_STORE], "false");
    expect_text(d.r.param[CANON_P_LOGPROBS], "true");
    expect_text(d.r.param[CANON_P_METADATA], "{'k':'v'}");
    assert_int_equal(d.r.param[CANON_P_TOP_P].len, 0);
    expect_text(d.r.extra->name, "zeta");
    expect_text(d.r.extra->next->name, "alpha");
    expect_text(d.r.extra->next->value, "[2]");
    desk_close(&d);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *param;
        int err;
    } rows[] = {
        {"{'model':'m'}", "input", ERR_MISSING},
        {"{'input':[]}", "input", ERR_MISSING},
        {"{'input':7}", "input", ERR_BAD_TYPE},
        {"{'input':[7]}", "input[0]", ERR_BAD_TYPE},
        {"{'input':'x','instructions':[]}", "instructions", ERR_BAD_TYPE},
        {"{'input':'x','temperature':'1'}", "temperature", ERR_BAD_TYPE},
        {"{'input':'x','stream':'yes'}", "stream", ERR_BAD_TYPE},
        {"{'input':'x','tools':{}}", "tools", ERR_BAD_TYPE},
        {"{'input':'x','tools':[7]}", "tools", ERR_BAD_TYPE},
        {"{'input':'x','tools':[{'type':'function'}]}", "tools[0].name", ERR_MISSING},
        {"{'input':'x','tools':[{'name':'f'}]}", "tools[0].type", ERR_MISSING},
        {"{'input':'x','tools':[{'type':'function','name':'f','parameters':'p'}]}",
         "tools[0].parameters", ERR_BAD_TYPE},
        {"{'input':'x','tool_choice':'sometimes'}", "tool_choice", ERR_BAD_TYPE},
        {"{'input':'x','tool_choice':{'type':'function'}}", "tool_choice.name", ERR_MISSING},
        {"{'input':'x','tool_choice':{}}", "tool_choice.type", ERR_MISSING},
        {"{'input':'x','text':{'format':'json'}}", "text.format", ERR_BAD_TYPE},
        {"{'input':'x','text':{'format':{'type':'xml'}}}", "text.format.type", ERR_BAD_TYPE},
        {"{'input':'x','text':{'format':{'type':'json_schema'}}}", "text.format.schema",
         ERR_MISSING},
        {"{'input':'x','reasoning':{'effort':3}}", "reasoning.effort", ERR_BAD_TYPE},
        {"{'input':'x','reasoning':{'max_tokens':1.5}}", "reasoning.max_tokens", ERR_BAD_TYPE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        assert_int_equal(read(&d, rows[i].text), rows[i].err);
        expect_refused(&d, rows[i].param);
        desk_close(&d);
    }
}

static void a_template_needs_no_input(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'prompt':{'id':'pmpt_1'}}"), 0);
    expect_text(d.r.param[CANON_P_PROMPT_TEMPLATE], "{'id':'pmpt_1'}");
    desk_close(&d);
}

static void unknown_members_are_counted(void **state)
{
    (void)state;
    struct desk d;
    size_t len = 0;
    desk_open(&d, 64 << 20);
    char *text = arena_bytes(&d.arena, CANON_PARTS_MAX * 8 + 64);
    text[len++] = '{';
    for (int i = 0; i <= CANON_PARTS_MAX; i++, len += 6)
        memcpy(text + len, "\"a\":1,", 6);
    text[len - 1] = '}';
    // Were they not counted, the missing input would be the error.
    assert_int_equal(responses__read_request(&d.r, slice_of(text, len)), ERR_LIMIT);
    desk_close(&d);
}

static void every_refused_allocation_is_survived(void **state)
{
    (void)state;
    static const char text[] =
        "{'input':[{'role':'user','content':[{'type':'input_file','file_data':"
        "'data:application/pdf;base64,QUJD'}]},{'type':'reasoning','id':'rs_1','summary':"
        "[{'type':'summary_text','text':'t'}],'encrypted_content':'e'},"
        "{'type':'function_call_output','call_id':'c','output':{'a':1}}],"
        "'tools':[{'type':'custom','name':'c'}],'m\\u0061x':1,'instructions':'i'}";
    int rc = ERR_NOMEM;
    unsigned failures = 0;
    for (size_t bytes = 0; rc; bytes += 512, failures++) {
        struct desk d;
        rc = read_with(&d, text, bytes);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        desk_close(&d);
    }
    assert_true(failures > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_is_one_plain_user_message),
        cmocka_unit_test(instructions_stand_first_wherever_they_are_written),
        cmocka_unit_test(items_may_be_called_messages),
        cmocka_unit_test(tools_of_every_kind),
        cmocka_unit_test(choices),
        cmocka_unit_test(formats),
        cmocka_unit_test(reasoning),
        cmocka_unit_test(parameters_cross_by_name),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(a_template_needs_no_input),
        cmocka_unit_test(unknown_members_are_counted),
        cmocka_unit_test(every_refused_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
