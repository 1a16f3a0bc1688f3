// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_answer_test.c: what providers answer, and what is no answer.
#include "tests/unit/codec/openai_desk.h"

static int read_answer(struct desk *d, const char *text)
{
    return dialect_openai_chat.translation->read_answer(&d->a, quoted(d, text));
}

static void expect_message(const char *message, enum canon_stop stop, const char *want)
{
    struct desk d;
    char text[4096];
    snprintf(text, sizeof(text),
             "{'id':'x','choices':[{'index':0,'message':%s,'finish_reason':'stop'}]}", message);
    desk_open(&d, 1 << 20);
    assert_int_equal(read_answer(&d, text), 0);
    assert_int_equal(d.a.stop, stop);
    describe_blocks(&d, d.a.blocks);
    expect_said(&d, want);
    desk_close(&d);
}

static void the_frame_is_read(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(
        read_answer(&d, " {'id':'x','object':'chat.completion','created':12,'model':'m',"
                        "'choices':[{'index':1,'message':7},{'index':0,'message':{'content':'a'},"
                        "'logprobs':{'content':[]},'finish_reason':'length'}],"
                        "'usage':{'prompt_tokens':9,'completion_tokens':4},'service_tier':'flex',"
                        "'system_fingerprint':'fp'} "),
        0);
    assert_true(d.a.from == &dialect_openai_chat);
    assert_slice(d.a.id, "\"x\"");
    assert_slice(d.a.model, "\"m\"");
    assert_int_equal(d.a.created_s, 12);
    assert_int_equal(d.a.stop, CANON_STOP_LENGTH);
    assert_slice(d.a.logprobs, "{\"content\":[]}");
    assert_slice(d.a.service_tier, "\"flex\"");
    assert_slice(d.a.system_fingerprint, "\"fp\"");
    assert_true(d.a.usage.known && d.a.usage.input_tokens == 9);
    desk_close(&d);
    // What vendors leave out, or have odd.
    desk_open(&d, 1 << 20);
    assert_int_equal(
        read_answer(&d, "{'id':'','created':12.5,'choices':[{'message':{}}],'usage':null}"), 0);
    assert_int_equal(d.a.id.len + d.a.model.len + d.a.created_s, 0);
    assert_int_equal(d.a.stop, CANON_STOP_END);
    assert_null(d.a.blocks);
    assert_false(d.a.usage.known);
    desk_close(&d);
}

static void messages_become_blocks(void **state)
{
    (void)state;
    expect_message("{'role':'assistant','content':'a','refusal':null}", CANON_STOP_END, "text:'a'");
    expect_message("{'content':''}", CANON_STOP_END, "text:''");
    expect_message("{'content':null,'refusal':'no'}", CANON_STOP_END, "refusal:'no'");
    expect_message("{'content':[{'type':'text','text':'a'},7,{'type':'x'},{'text':'b'}]}",
                   CANON_STOP_END, "text:'a' text:'b'");
    expect_message("{'content':'a','annotations':[{'type':'url_citation'}]}", CANON_STOP_END,
                   "text:'a' cites:[{'type':'url_citation'}]");
    expect_message("{'content':'a','reasoning_content':'t'}", CANON_STOP_END, "think:'t' text:'a'");
    expect_message("{'content':'a','reasoning':'t','reasoning_details':[{'type':'reasoning.text',"
                   "'text':'t','signature':'s'}]}",
                   CANON_STOP_END, "think:'t' sig:'s' text:'a'");
}

static void calls_end_the_answer(void **state)
{
    (void)state;
    expect_message("{'content':null,'tool_calls':[{'id':'c','type':'function','function':{'name':"
                   "'f','arguments':'{}'}},{'id':'e','type':'custom','custom':{'name':'g',"
                   "'input':'x'}}]}",
                   CANON_STOP_TOOL,
                   "call id:'c' name:'f' args:'{}' call id:'e' name:'g' custom args:'x'");
    expect_message("{'tool_calls':[{'function':{'name':'f','arguments':{'a':1}}},{'id':'',"
                   "'function':{'name':'g'}}]}",
                   CANON_STOP_TOOL,
                   "call id:'call_x_0' name:'f' object:{'a':1} call id:'call_x_1' name:'g' "
                   "args:''");
    expect_message("{'function_call':{'name':'f','arguments':'{}'}}", CANON_STOP_TOOL,
                   "call id:'call_x_0' name:'f' args:'{}'");
    expect_message("{'content':'a','tool_calls':[]}", CANON_STOP_END, "text:'a'");
    expect_message("{'content':'a','tool_calls':null}", CANON_STOP_END, "text:'a'");
}

static void reasons_of_vendors(void **state)
{
    (void)state;
    static const struct {
        const char *reason;
        enum canon_stop stop;
    } cases[] = {
        {"'stop'", CANON_STOP_END},
        {"'length'", CANON_STOP_LENGTH},
        {"'tool_calls'", CANON_STOP_TOOL},
        {"'function_call'", CANON_STOP_TOOL},
        {"'content_filter'", CANON_STOP_FILTER},
        {"'eos'", CANON_STOP_END},
        {"null", CANON_STOP_END},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct desk d;
        char text[256];
        snprintf(text, sizeof(text), "{'choices':[{'message':{'content':'a'},'finish_reason':%s}]}",
                 cases[i].reason);
        desk_open(&d, 1 << 20);
        assert_int_equal(read_answer(&d, text), 0);
        assert_int_equal(d.a.stop, cases[i].stop);
        desk_close(&d);
    }
}

static void what_is_no_answer(void **state)
{
    (void)state;
#define MESSAGE(text) "{'choices':[{'message':" text "}]}"
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"", ERR_BAD_JSON},
        {"x", ERR_BAD_JSON},
        {"[]", ERR_BAD_JSON},
        {"{'choices':", ERR_BAD_JSON},
        {"{'id':'a','id':'b','choices':[]}", ERR_DUPLICATE},
        {"{}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':{}}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[]}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[7]}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[{}]}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[{'message':{},'finish_reason':7}]}", ERR_UPSTREAM_PROTOCOL},
        {"{'error':{'message':'m'},'choices':[{'message':{}}]}", ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("7"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'content':7}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'content':{}}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':{}}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[7]}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[{}]}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[{'function':{}}]}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[{'function':{'name':7}}]}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[{'function':{'name':'f','arguments':7}}]}"),
         ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'tool_calls':[{'custom':{'name':'f','input':{}}}]}"), ERR_UPSTREAM_PROTOCOL},
        {MESSAGE("{'function_call':7}"), ERR_UPSTREAM_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct desk d;
        desk_open(&d, 1 << 20);
        int rc = read_answer(&d, cases[i].text);
        if (rc != cases[i].err)
            print_message("%s\n", cases[i].text);
        assert_int_equal(rc, cases[i].err);
        desk_close(&d);
    }
}

static void blocks_are_limited(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    d.a.parts = CANON_PARTS_MAX;
    assert_int_equal(read_answer(&d, MESSAGE("{'content':'a'}")), ERR_LIMIT);
    desk_close(&d);
}

static int read_much(struct desk *d)
{
    return openai_chat__read_answer(
        &d->a, SLICE("{\"id\":\"x\",\"choices\":[{\"message\":{\"content\":\"a\",\"refusal\":\"b\","
                     "\"reasoning_details\":[{\"index\":0,\"text\":\"a\"},{\"index\":0,\"text\":"
                     "\"b\"}],\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}"));
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frame_is_read),    cmocka_unit_test(messages_become_blocks),
        cmocka_unit_test(calls_end_the_answer), cmocka_unit_test(reasons_of_vendors),
        cmocka_unit_test(what_is_no_answer),    cmocka_unit_test(blocks_are_limited),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
