// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_write_test.c: what a provider of responses gets, member by member.
#include <stdio.h>

#include "openai_responses_desk.h"

static const struct dialect messages_row = {.name = SLICE("anthropic_messages")};
static const struct dialect chat_row = {.name = SLICE("openai_chat")};

static struct canon_block hello_text = {.kind = CANON_TEXT, .text = SLICE("\"Hi\"")};
static struct canon_message hello = {.role = CANON_USER, .blocks = &hello_text};

static void begin(struct desk *d, const struct dialect *from)
{
    desk_open(d, 64 << 20);
    d->r.from = from;
    d->r.messages = &hello;
}

#define HELLO "'input':[{'type':'message','role':'user','content':'Hi'}]"

static void expect_request(struct desk *d, const char *rest)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof(text), "{'model':'gpt-x'," HELLO "%s}", rest);
    assert_int_equal(responses__write_request(&d->r, SLICE("gpt-x"), &d->w), 0);
    expect_written(d, text);
}

static void a_small_request_is_small(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &chat_row);
    expect_request(&d, ",'store':false");
    expect_dropped(&d, "");
    desk_close(&d);
}

static void what_was_meant_for_messages_says_so(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &messages_row);
    struct canon_tool strict = {.name = SLICE("\"s\""), .strict = SLICE("true")};
    struct canon_tool tool = {.next = &strict, .name = SLICE("\"f\""), .parameters = SLICE("{}")};
    d.r.tools = &tool;
    d.r.stream = true;
    d.r.reasoning.kind = CANON_REASONING_ADAPTIVE;
    d.r.reasoning.effort = SLICE("\"max\"");
    d.r.param[CANON_P_MAX_TOKENS] = SLICE("8");
    d.r.param[CANON_P_STOP] = SLICE("[\"a\"]");
    d.r.param[CANON_P_TOP_K] = SLICE("3");
    expect_request(&d, ",'tools':[{'type':'function','name':'f','parameters':{},'strict':false},"
                       "{'type':'function','name':'s','parameters':{'type':'object',"
                       "'properties':{}},'strict':true}],"
                       "'reasoning':{'effort':'xhigh','summary':'auto'},"
                       "'include':['reasoning.encrypted_content'],"
                       "'max_output_tokens':16,'store':false,'stream':true");
    expect_dropped(&d, "top_k,stop_sequences");
    desk_close(&d);
}

static void tools_of_every_kind(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &chat_row);
    struct canon_tool opaque = {.kind = CANON_TOOL_OPAQUE, .raw = SLICE("{\"type\":\"mcp\"}")};
    struct canon_tool search = {.next = &opaque,
                                .kind = CANON_TOOL_WEB_SEARCH,
                                .allowed_domains = SLICE("[\"a.org\"]"),
                                .user_location = SLICE("{}")};
    struct canon_tool custom = {
        .next = &search,
        .kind = CANON_TOOL_CUSTOM,
        .name = SLICE("\"c\""),
        .format = SLICE("{\"type\":\"grammar\",\"grammar\":{\"definition\":\"d\",\"syntax\":\"l\"}"
                        "}")};
    d.r.tools = &custom;
    d.r.param[CANON_P_PARALLEL_TOOL_CALLS] = SLICE("false");
    expect_request(&d, ",'tools':[{'type':'custom','name':'c','format':{'type':'grammar',"
                       "'syntax':'l','definition':'d'}},{'type':'web_search','filters':"
                       "{'allowed_domains':['a.org']},'user_location':{}}],"
                       "'parallel_tool_calls':false,'store':false");
    expect_dropped(&d, "tools");
    desk_close(&d);
}

static void a_function_without_parameters_has_none(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &chat_row);
    struct canon_tool tool = {.name = SLICE("\"f\"")};
    d.r.tools = &tool;
    d.r.param[CANON_P_STORE] = SLICE("true");
    expect_request(&d, ",'tools':[{'type':'function','name':'f','parameters':{'type':'object',"
                       "'properties':{}},'strict':false}],'store':true");
    desk_close(&d);
}

static void choices(void **state)
{
    (void)state;
    static const struct {
        enum canon_choice_kind kind;
        const char *text, *dropped;
    } rows[] = {
        {CANON_CHOICE_AUTO, ",'tool_choice':'auto','store':false", ""},
        {CANON_CHOICE_NONE, ",'tool_choice':'none','store':false", ""},
        {CANON_CHOICE_REQUIRED, ",'tool_choice':'required','store':false", ""},
        {CANON_CHOICE_TOOL, ",'tool_choice':{'type':'function','name':'f'},'store':false", ""},
        {CANON_CHOICE_OPAQUE, ",'store':false", "tool_choice"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        begin(&d, &chat_row);
        d.r.tool_choice.kind = rows[i].kind;
        d.r.tool_choice.name = SLICE("\"f\"");
        expect_request(&d, rows[i].text);
        expect_dropped(&d, rows[i].dropped);
        desk_close(&d);
    }
}

static void formats(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &chat_row);
    d.r.format.kind = CANON_FORMAT_JSON_SCHEMA;
    d.r.format.schema = SLICE("{ \"b\": 1}");
    d.r.format.strict = SLICE("true");
    d.r.param[CANON_P_VERBOSITY] = SLICE("\"low\"");
    expect_request(&d, ",'text':{'format':{'type':'json_schema','name':'response','schema':"
                       "{ 'b': 1},'strict':true},'verbosity':'low'},'store':false");
    desk_close(&d);
    begin(&d, &chat_row);
    d.r.format.kind = CANON_FORMAT_JSON_OBJECT;
    expect_request(&d, ",'text':{'format':{'type':'json_object'}},'store':false");
    desk_close(&d);
}

static void reasoning_of_every_kind(void **state)
{
    (void)state;
    static const struct {
        const struct dialect *from;
        enum canon_reasoning_kind kind;
        const char *effort;
        uint64_t budget;
        const char *text;
    } rows[] = {
        {&chat_row, CANON_REASONING_EFFORT, "\"low\"", 0,
         ",'reasoning':{'effort':'low'},'store':false"},
        {&chat_row, CANON_REASONING_EFFORT, "\"none\"", 0,
         ",'reasoning':{'effort':'none'},'store':false"},
        {&chat_row, CANON_REASONING_OFF, "", 0, ",'store':false"},
        // 4096 tokens when unset: 2000 is (2000 - 1024) / 3072 = 0.3177 of what may be thought.
        {&chat_row, CANON_REASONING_BUDGET, "", 2000,
         ",'reasoning':{'effort':'medium','summary':'auto'},'store':false"},
        {&chat_row, CANON_REASONING_ADAPTIVE, "", 0,
         ",'reasoning':{'summary':'auto'},'store':false"},
        {&messages_row, CANON_REASONING_EFFORT, "\"low\"", 0,
         ",'reasoning':{'effort':'low','summary':'auto'},'include':"
         "['reasoning.encrypted_content'],'store':false"},
        {&messages_row, CANON_REASONING_OFF, "", 0, ",'store':false"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        begin(&d, rows[i].from);
        d.r.reasoning.kind = rows[i].kind;
        d.r.reasoning.effort = slice_str(rows[i].effort);
        d.r.reasoning.budget = rows[i].budget;
        expect_request(&d, rows[i].text);
        desk_close(&d);
    }
}

static void parameters_stand_in_their_order(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &chat_row);
    d.r.param[CANON_P_USER] = SLICE("\"u\"");
    d.r.param[CANON_P_TEMPERATURE] = SLICE("0.10");
    d.r.param[CANON_P_MAX_TOKENS] = SLICE("100");
    d.r.param[CANON_P_SEED] = SLICE("1");
    d.r.param[CANON_P_LOGPROBS] = SLICE("true");
    d.r.param[CANON_P_TOP_LOGPROBS] = SLICE("2");
    d.r.param[CANON_P_N] = SLICE("1");
    d.r.param[CANON_P_MODALITIES] = SLICE("[\"text\"]");
    d.r.param[CANON_P_STOP] = SLICE("\"a\"");
    expect_request(&d, ",'include':['message.output_text.logprobs'],'max_output_tokens':100,"
                       "'temperature':0.10,'top_logprobs':2,'user':'u','store':false");
    expect_dropped(&d, "stop,seed");
    desk_close(&d);
}

static void what_changes_the_answer_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum canon_param param;
        struct slice value;
        const char *name;
    } rows[] = {
        {CANON_P_N, SLICE("2"), "n"},
        {CANON_P_MODALITIES, SLICE("[\"text\",\"audio\"]"), "modalities"},
        {CANON_P_AUDIO, SLICE("{}"), "audio"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        begin(&d, &chat_row);
        d.r.param[rows[i].param] = rows[i].value;
        assert_int_equal(responses__write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
        expect_refused(&d, rows[i].name);
        desk_close(&d);
    }
}

static void unknown_members_pass_when_they_may(void **state)
{
    (void)state;
    struct desk d;
    for (int pass = 0; pass < 2; pass++) {
        begin(&d, &chat_row);
        d.r.pass_extra = pass;
        d.r.param[CANON_P_TEMPERATURE] = SLICE("1");
        canon_add_member(&d.arena, &d.r.extra, SLICE("zeta"), SLICE("[1]"));
        canon_add_member(&d.arena, &d.r.extra, SLICE("temperature"), SLICE("2"));
        canon_add_member(&d.arena, &d.r.extra, SLICE("fallbacks"), SLICE("[]"));
        canon_add_member(&d.arena, &d.r.extra, SLICE("truncation"), SLICE("\"auto\""));
        canon_add_member(&d.arena, &d.r.extra, SLICE("q\"q"), SLICE("0"));
        expect_request(
            &d, pass ? ",'temperature':1,'store':false,'zeta':[1],'truncation':'auto','q\\'q':0"
                     : ",'temperature':1,'store':false");
        expect_dropped(&d, pass ? "temperature,fallbacks"
                                : "zeta,temperature,fallbacks,truncation,q\"q");
        desk_close(&d);
    }
}

static void a_count_is_asked_for_with_less(void **state)
{
    (void)state;
    struct desk d;
    begin(&d, &messages_row);
    d.r.param[CANON_P_MAX_TOKENS] = SLICE("100");
    d.r.param[CANON_P_TEMPERATURE] = SLICE("1");
    d.r.param[CANON_P_TRUNCATION] = SLICE("\"auto\"");
    d.r.reasoning.kind = CANON_REASONING_EFFORT;
    d.r.reasoning.effort = SLICE("\"low\"");
    assert_int_equal(
        dialect_openai_input_tokens.translation->write_request(&d.r, SLICE("gpt-x"), &d.w), 0);
    expect_written(&d, "{'model':'gpt-x'," HELLO
                       ",'reasoning':{'effort':'low','summary':'auto'},'truncation':'auto'}");
    desk_close(&d);
}

static void its_own_members_come_out_as_they_went_in(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    static const char text[] =
        "{'model':'gpt-x',"
        "'input':[{'type':'message','role':'user','content':'Hi'},"
        "{'type':'computer_call','id':'cc'},"
        "{'type':'reasoning','id':'rs_1','summary':[],'encrypted_content':'e'}],"
        "'tools':[{'type':'mcp','x':1}],'tool_choice':{'type':'mcp'},"
        "'include':['reasoning.encrypted_content'],'previous_response_id':'resp_0',"
        "'conversation':'c','truncation':'auto','background':true,'max_tool_calls':3,"
        "'context_management':[]}";
    struct desk d;
    desk_open(&d, 64 << 20);
    assert_int_equal(responses__read_request(&d.r, text_in(buffer, text)), 0);
    assert_int_equal(responses__write_request(&d.r, SLICE("gpt-x"), &d.w), 0);
    expect_written(&d, text);
    expect_dropped(&d, "");
    desk_close(&d);
}

static void every_refused_allocation_is_survived(void **state)
{
    (void)state;
    int rc = ERR_NOMEM;
    unsigned failures = 0;
    for (size_t bytes = 0; rc; bytes += 256, failures++) {
        struct desk d;
        begin(&d, &chat_row);
        d.arena.bytes_max = bytes;
        d.r.param[CANON_P_SEED] = SLICE("1");
        rc = responses__write_request(&d.r, SLICE("m"), &d.w);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        desk_close(&d);
    }
    assert_true(failures > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_request_is_small),
        cmocka_unit_test(what_was_meant_for_messages_says_so),
        cmocka_unit_test(tools_of_every_kind),
        cmocka_unit_test(a_function_without_parameters_has_none),
        cmocka_unit_test(choices),
        cmocka_unit_test(formats),
        cmocka_unit_test(reasoning_of_every_kind),
        cmocka_unit_test(parameters_stand_in_their_order),
        cmocka_unit_test(what_changes_the_answer_is_refused),
        cmocka_unit_test(unknown_members_pass_when_they_may),
        cmocka_unit_test(a_count_is_asked_for_with_less),
        cmocka_unit_test(its_own_members_come_out_as_they_went_in),
        cmocka_unit_test(every_refused_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
