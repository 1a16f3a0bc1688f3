// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_history_test.c: the messages of a chat request, right and wrong ones.
#include "tests/unit/codec/openai_desk.h"
#include <stdlib.h>

static void expect_messages(const char *messages, const char *want)
{
    struct desk d;
    char text[4096];
    snprintf(text, sizeof(text), "{'messages':[%s]}", messages);
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, &dialect_openai_chat, text), 0);
    describe_messages(&d);
    expect_said(&d, want);
    desk_close(&d);
}

static void refused(const char *messages, int err, const char *param)
{
    char text[4096];
    snprintf(text, sizeof(text), "{'messages':[%s]}", messages);
    expect_refused(&dialect_openai_chat, text, err, param);
}

static void roles_and_texts(void **state)
{
    (void)state;
    expect_messages("{'role':'system','content':'a'},{'content':'b','role':'developer'},"
                    "{'role':'user','content':[{'type':'text','text':'c'}],'name':'n'},"
                    "{'role':'assistant','content':''},{'role':'user','content':null},"
                    "{'role':'user'}",
                    "system={text:'a'} developer={text:'b'} user@'n'{text:'c'} "
                    "assistant={text:''} user{} user{}");
}

static void parts_of_every_kind(void **state)
{
    (void)state;
    expect_messages("{'role':'user','content':["
                    "{'type':'image_url','image_url':{'url':'https://x','detail':'low'}},"
                    "{'type':'image_url','image_url':'https://y'},"
                    "{'type':'image_url','image_url':{'url':'data:image/png;base64,QQ=='}},"
                    "{'type':'input_audio','input_audio':{'data':'QQ==','format':'wav'}}]}",
                    "user{image url:'https://x' detail:'low' image url:'https://y' "
                    "image type:'image/png' data:'QQ==' audio type:'wav' data:'QQ=='}");
    expect_messages("{'role':'user','content':["
                    "{'type':'file','file':{'filename':'a','file_data':'data:a/b;base64,QQ=='}},"
                    "{'type':'file','file':{'file_id':'f'}},"
                    "{'type':'file','file':{'file_data':'QQ=='}},"
                    "{'type':'file','file':{'file_data':'QQ==','file_type':'text\\/csv'}}]}",
                    "user{file name:'a' type:'a/b' data:'QQ==' file file:'f' "
                    "file type:'application/pdf' data:'QQ==' file type:'text/csv' data:'QQ=='}");
    expect_messages("{'role':'user','content':["
                    "{'type':'text','text':'','cache_control':{'type':'ephemeral'}},"
                    "{'type':'refusal','refusal':'no'},{'type':'video','video':1}]}",
                    "user{text:'' cache:{'type':'ephemeral'} refusal:'no' "
                    "opaque raw:{'type':'video','video':1}}");
}

static void what_an_assistant_did_is_put_in_order(void **state)
{
    (void)state;
    expect_messages("{'role':'assistant','tool_calls':[{'id':'c1','type':'function','function':"
                    "{'name':'f','arguments':'{}'}},{'id':'c2','type':'custom','custom':"
                    "{'name':'g','input':'x'}},{'id':'c3','function':{'name':'h'}}],"
                    "'refusal':'no','content':'a','reasoning':'t'}",
                    "assistant={think:'t' text:'a' refusal:'no' call id:'c1' name:'f' args:'{}' "
                    "call id:'c2' name:'g' custom args:'x' call id:'c3' name:'h' args:''}");
    expect_messages("{'role':'assistant','content':null,'reasoning_content':'t','tool_calls':null}",
                    "assistant{think:'t'}");
}

static void thoughts_are_joined_by_index(void **state)
{
    (void)state;
    expect_messages(
        "{'role':'assistant','reasoning':'abc','reasoning_details':["
        "{'index':0,'type':'reasoning.text','text':'a'},{'index':0,'type':'reasoning.text','text':"
        "'b\\n'},{'index':0,'type':'reasoning.text','text':'c','signature':'s'},"
        "{'index':0,'type':'reasoning.text','text':'d'},"
        "{'index':1,'type':'reasoning.encrypted','data':'e'},"
        "{'index':1,'type':'reasoning.text','signature':'z'},"
        "{'type':'reasoning.text','text':'x'},{'type':'reasoning.text','text':'y'},"
        "{'type':'reasoning.summary','summary':'u'}]}",
        "assistant{think:'ab\\nc' sig:'s' think:'d' sealed data:'e' think:'' sig:'z' think:'x' "
        "think:'y' think:'u'}");
    // What details do not say, the plain member does.
    expect_messages("{'role':'assistant','reasoning':'a','reasoning_details':[7,{},"
                    "{'type':'reasoning.encrypted'},{'type':'reasoning.text','text':''}]}",
                    "assistant{think:'a'}");
}

static void results_and_functions_of_old(void **state)
{
    (void)state;
    expect_messages("{'role':'tool','tool_call_id':'c1','content':'ok'},"
                    "{'role':'tool','tool_call_id':'c2','content':[{'type':'text','text':'a'},"
                    "{'type':'image_url','image_url':{'url':'u'}}]}",
                    "tool={result id:'c1' (text:'ok')} tool{result id:'c2' (text:'a' image "
                    "url:'u')}");
    expect_messages("{'role':'assistant','content':null,'function_call':{'name':'f','arguments':"
                    "'{}'}},{'role':'function','name':'f','content':'1'},"
                    "{'role':'assistant','function_call':{'name':'g','arguments':'{}'}},"
                    "{'role':'function','name':'g','content':'2'}",
                    "assistant{call id:'call_0' name:'f' args:'{}'} tool={result id:'call_0' "
                    "(text:'1')} assistant{call id:'call_1' name:'g' args:'{}'} "
                    "tool={result id:'call_1' (text:'2')}");
    expect_messages("{'role':'function','name':'f','content':'1'}",
                    "tool={result id:'call_0' (text:'1')}");
}

static void unknown_members_stay_with_their_part(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, &dialect_openai_chat,
                               "{'messages':[{'role':'user','w':1,'content':[{'type':'text',"
                               "'text':'a','z':[2]}]}]}"),
                     0);
    assert_slice(d.r.messages->extra->name, "w");
    assert_slice(d.r.messages->blocks->extra->value, "[2]");
    desk_close(&d);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
#define USER(part)      "{'role':'user','content':[" part "]}"
#define ASSISTANT(with) "{'role':'assistant','content':'a'," with "}"
    static const struct {
        const char *messages, *param;
    } cases[] = {
        {"7", "messages[0]"},
        {"{'role':7}", "messages[0].role"},
        {"{'role':'user','content':'a'},{'role':'human'}", "messages[1].role"},
        {"{'role':'user','name':7}", "messages[0].name"},
        {"{'role':'user','content':7}", "messages[0].content"},
        {"{'role':'user','content':{}}", "messages[0].content"},
        {USER("7"), "messages[0].content[0]"},
        {USER("{'type':7}"), "messages[0].content[0].type"},
        {USER("{'type':'text','text':'a'},{'type':'text','text':7}"),
         "messages[0].content[1].text"},
        {USER("{'type':'refusal','refusal':7}"), "messages[0].content[0].refusal"},
        {USER("{'type':'image_url','image_url':7}"), "messages[0].content[0].image_url"},
        {USER("{'type':'image_url','image_url':{'url':7}}"),
         "messages[0].content[0].image_url.url"},
        {USER("{'type':'image_url','image_url':{'url':'u','detail':7}}"),
         "messages[0].content[0].image_url.detail"},
        {USER("{'type':'input_audio','input_audio':7}"), "messages[0].content[0].input_audio"},
        {USER("{'type':'input_audio','input_audio':{'data':7}}"),
         "messages[0].content[0].input_audio.data"},
        {USER("{'type':'input_audio','input_audio':{'data':'','format':7}}"),
         "messages[0].content[0].input_audio.format"},
        {USER("{'type':'file','file':7}"), "messages[0].content[0].file"},
        {USER("{'type':'file','file':{'file_id':7}}"), "messages[0].content[0].file.file_id"},
        {USER("{'type':'file','file':{'file_data':'data:a/b,QQ=='}}"),
         "messages[0].content[0].file.file_data"},
        {USER("{'type':'file','file':{'file_data':'QQ==','file_type':'a*b'}}"),
         "messages[0].content[0].file.file_type"},
        {USER("{'type':'file','file':{'file_data':7}}"), "messages[0].content[0].file.file_data"},
        {ASSISTANT("'refusal':7"), "messages[0].refusal"},
        {ASSISTANT("'reasoning_details':{}"), "messages[0].reasoning_details"},
        {ASSISTANT("'tool_calls':{}"), "messages[0].tool_calls"},
        {ASSISTANT("'tool_calls':[7]"), "messages[0].tool_calls[0]"},
        {ASSISTANT("'tool_calls':[{'id':7}]"), "messages[0].tool_calls[0].id"},
        {ASSISTANT("'tool_calls':[{'id':'c','function':7}]"), "messages[0].tool_calls[0].function"},
        {ASSISTANT("'tool_calls':[{'id':'c','function':{'name':7}}]"),
         "messages[0].tool_calls[0].function.name"},
        {ASSISTANT("'tool_calls':[{'id':'c','function':{'name':'f','arguments':{}}}]"),
         "messages[0].tool_calls[0].function.arguments"},
        {ASSISTANT("'tool_calls':[{'id':'c','type':'custom','custom':{'name':'f','input':{}}}]"),
         "messages[0].tool_calls[0].custom.input"},
        {ASSISTANT("'function_call':7"), "messages[0].function_call"},
        {"{'role':'tool','tool_call_id':7}", "messages[0].tool_call_id"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].messages, ERR_BAD_TYPE, cases[i].param);
    refused("{}", ERR_MISSING, "messages[0].role");
    refused(USER("{}"), ERR_MISSING, "messages[0].content[0].type");
    refused(USER("{'type':'text'}"), ERR_MISSING, "messages[0].content[0].text");
    refused(USER("{'type':'image_url','image_url':{}}"), ERR_MISSING,
            "messages[0].content[0].image_url.url");
    refused(USER("{'type':'file','file':{}}"), ERR_MISSING, "messages[0].content[0].file.file_id");
    refused("{'role':'tool','content':'a'}", ERR_MISSING, "messages[0].tool_call_id");
    refused(ASSISTANT("'tool_calls':[{}]"), ERR_MISSING, "messages[0].tool_calls[0].id");
    refused(ASSISTANT("'tool_calls':[{'id':'c'}]"), ERR_MISSING,
            "messages[0].tool_calls[0].function");
}

// Stops a small text of many parts from becoming large.
static void parts_are_limited(void **state)
{
    (void)state;
    static const char part[] = ",{\"type\":\"text\",\"text\":\"\"}";
    size_t size = (CANON_PARTS_MAX + 4) * sizeof(part);
    struct desk d;
    char *text = malloc(size);
    size_t len = (size_t)snprintf(text, size, "{\"messages\":[{\"role\":\"user\",\"content\":[");
    for (unsigned i = 0; i < CANON_PARTS_MAX; i++)
        len += (size_t)snprintf(text + len, size - len, "%s", i == 0 ? part + 1 : part);
    len += (size_t)snprintf(text + len, size - len, "]}]}");
    desk_open(&d, 64 << 20);
    assert_int_equal(openai_chat__read_request(&d.r, slice_of(text, len)), ERR_LIMIT);
    desk_close(&d);
    free(text);
}

static int read_much(struct desk *d)
{
    return openai_chat__read_request(
        &d->r,
        SLICE("{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"image_url\","
              "\"image_url\":{\"url\":\"data:a/b;base64,QQ==\"}}],\"reasoning_details\":["
              "{\"index\":0,\"text\":\"a\"},{\"index\":0,\"text\":\"b\"}],\"function_call\":"
              "{\"name\":\"f\"},\"refusal\":\"r\"},{\"role\":\"tool\",\"tool_call_id\":\"c\","
              "\"content\":\"a\"},{\"role\":\"function\",\"content\":\"a\"}]}"));
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roles_and_texts),
        cmocka_unit_test(parts_of_every_kind),
        cmocka_unit_test(what_an_assistant_did_is_put_in_order),
        cmocka_unit_test(thoughts_are_joined_by_index),
        cmocka_unit_test(results_and_functions_of_old),
        cmocka_unit_test(unknown_members_stay_with_their_part),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(parts_are_limited),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
