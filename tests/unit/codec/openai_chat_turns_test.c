// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_turns_test.c: canonical messages as chat has them.
#include "tests/unit/codec/openai_desk.h"

#define OTHER (&dialect_openai_responses)
#define CHAT  (&dialect_openai_chat)

static void turn(const struct dialect *from, const char *messages, const char *want)
{
    char text[4096], expected[4096];
    const char *dropped = strchr(want, '|');
    int len = dropped ? (int)(dropped - want) : (int)strlen(want);
    snprintf(text, sizeof(text), "{'messages':[%s]}", messages);
    snprintf(expected, sizeof(expected), "{'model':'m','messages':[%.*s]}%s", len, want,
             dropped ? dropped : "");
    expect_rewritten(from, text, expected);
}

// What comes out as it went in.
static void same(const struct dialect *from, const char *messages)
{
    turn(from, messages, messages);
}

static void contents_are_strings_or_parts(void **state)
{
    (void)state;
    same(OTHER, "{'role':'system','content':'a'},{'role':'developer','content':'b'},"
                "{'role':'user','content':'','name':'n'},"
                "{'role':'assistant','content':'d\\u00e9','name':'e'}");
    turn(OTHER, "{'role':'user','content':[{'type':'text','text':'a'}]}",
         "{'role':'user','content':'a'}");
    same(OTHER, "{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':"
                "'b'}]}");
    turn(OTHER, "{'role':'user','content':[{'type':'text','text':'a','cache_control':{}}]}",
         "{'role':'user','content':[{'type':'text','text':'a'}]}");
    same(CHAT, "{'role':'user','content':[{'type':'text','text':'a','cache_control':{},'x':1}]}");
    same(OTHER, "{'role':'user','content':["
                "{'type':'image_url','image_url':{'url':'u','detail':'low'}},"
                "{'type':'image_url','image_url':{'url':'data:image/png;base64,QQ=='}},"
                "{'type':'file','file':{'filename':'f','file_data':'data:a/b;base64,QQ=='}},"
                "{'type':'file','file':{'file_id':'i'}},"
                "{'type':'input_audio','input_audio':{'data':'QQ==','format':'wav'}}]}");
}

static void an_assistants_deeds_lie_beside_its_content(void **state)
{
    (void)state;
    same(OTHER, "{'role':'assistant','content':null,'refusal':'no'}");
    turn(OTHER,
         "{'role':'assistant','content':'a','tool_calls':[{'id':'c','type':'function','function':"
         "{'name':'f','arguments':'{}'}},{'id':'e','type':'custom','custom':{'name':'g','input':"
         "'x'}}],'reasoning_details':[{'index':0,'type':'reasoning.text','text':'t','signature':"
         "'s'},{'type':'reasoning.encrypted','data':'d'},{'type':'reasoning.text','text':'u'}]}",
         "{'role':'assistant','content':'a','reasoning_details':[{'type':'reasoning.text',"
         "'text':'t','signature':'s'},{'type':'reasoning.encrypted','data':'d'},"
         "{'type':'reasoning.text','text':'u'}],'tool_calls':[{'id':'c','type':'function',"
         "'function':{'name':'f','arguments':'{}'}},{'id':'e','type':'custom','custom':"
         "{'name':'g','input':'x'}}]}");
}

static void several_texts_are_parts_beside_the_deeds(void **state)
{
    (void)state;
    same(OTHER, "{'role':'assistant','content':[{'type':'text','text':'a'},{'type':'text','text':"
                "'b'}],'refusal':'no','reasoning_details':[{'type':'reasoning.text','text':'t'}],"
                "'tool_calls':[{'id':'c','type':'function','function':{'name':'f','arguments':"
                "''}}]}");
}

static void thoughts_stay_with_whom_they_offend(void **state)
{
    (void)state;
    struct desk d;
    struct slice got;
    desk_open(&d, 1 << 20);
    assert_int_equal(
        desk_read(&d, CHAT,
                  "{'model':'m','messages':[{'role':'assistant','content':'a','reasoning':'t'},"
                  "{'role':'assistant','reasoning_details':[{'type':'reasoning.encrypted',"
                  "'data':'d'}]},{'role':'user','content':'b'}]}"),
        0);
    d.r.from = OTHER;
    assert_int_equal(CHAT->translation->write_request(&d.r, SLICE("m"), &d.w), 0);
    assert_int_equal(json_writer_done(&d.w, &got), 0);
    say(&d, got);
    describe_dropped(&d);
    expect_said(&d, "{'model':'m','messages':[{'role':'assistant','content':'a'},{'role':'user',"
                    "'content':'b'}]}reasoning");
    desk_close(&d);
}

static void what_nobody_shares_is_dropped(void **state)
{
    (void)state;
    turn(OTHER,
         "{'role':'user','content':[{'type':'video','v':1}]},{'role':'assistant'},"
         "{'role':'user','content':[{'type':'video'},{'type':'text','text':'a'},"
         "{'type':'zeal'}]}",
         "{'role':'user','content':'a'}|video,zeal");
    same(CHAT, "{'role':'user','content':[{'type':'video','v':1}]}");
}

static void results_hold_text_and_what_else_there_is_follows(void **state)
{
    (void)state;
#define RESULT(id, parts) "{'role':'tool','tool_call_id':'" id "','content':[" parts "]}"
#define TEXT(text)        "{'type':'text','text':'" text "'}"
#define IMAGE(url)        "{'type':'image_url','image_url':{'url':'" url "'}}"
    turn(OTHER, RESULT("c", TEXT("a") "," TEXT("b")),
         "{'role':'tool','tool_call_id':'c','content':'ab'}");
    turn(OTHER, RESULT("c", ""), "{'role':'tool','tool_call_id':'c','content':''}");
    // In front of what the user says, whatever results lie between.
    turn(OTHER,
         RESULT("c", TEXT("a") "," IMAGE("u")) "," RESULT(
             "d",
             IMAGE("v")) ","
                         "{'role':'user','content':'b','name':'n'},{'role':'user','content':'c'}",
         "{'role':'tool','tool_call_id':'c','content':'a'},"
         "{'role':'tool','tool_call_id':'d','content':''},"
         "{'role':'user','content':[" IMAGE("u") "," IMAGE("v") "," TEXT(
             "b") "],'name':'n'},"
                  "{'role':'user','content':'c'}");
    // In a message of its own when somebody else goes on, or nobody.
    turn(OTHER, RESULT("c", IMAGE("u")) ",{'role':'assistant','content':'b'}",
         "{'role':'tool','tool_call_id':'c','content':''},{'role':'user','content':[" IMAGE(
             "u") "]},{'role':'assistant','content':'b'}");
    turn(OTHER, RESULT("c", IMAGE("u") ",{'type':'video'}"),
         "{'role':'tool','tool_call_id':'c','content':''},{'role':'user','content':[" IMAGE(
             "u") "]}|video");
}

static struct canon_block *first_block(struct desk *d, const struct dialect *from)
{
    assert_int_equal(desk_read(d, CHAT,
                               "{'messages':[{'role':'user','content':[{'type':'file','file':"
                               "{'file_id':'f'}}]}]}"),
                     0);
    d->r.from = from;
    return d->r.messages->blocks;
}

static void what_chat_cannot_show_is_refused(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    struct canon_block *b = first_block(&d, OTHER);
    b->url = SLICE("\"https://x\"");
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
    assert_slice(d.r.refusal.param, "input"); // as its client calls it
    desk_close(&d);
    desk_open(&d, 1 << 20);
    first_block(&d, CHAT)->kind = CANON_IMAGE;
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), ERR_UNSUPPORTED);
    assert_slice(d.r.refusal.param, "messages");
    desk_close(&d);
}

static void other_shapes_become_chats(void **state)
{
    (void)state;
    struct desk d;
    // A document of plain text is a file.
    desk_open(&d, 1 << 20);
    struct canon_block *b = first_block(&d, OTHER);
    b->file_id = SLICE_EMPTY;
    b->text = SLICE("\"foo\"");
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    expect_written(&d, "{'model':'m','messages':[{'role':'user','content':[{'type':'file','file':"
                       "{'file_data':'data:text/plain;base64,Zm9v'}}]}]}");
    desk_close(&d);
    // Arguments that are an object become a string.
    desk_open(&d, 1 << 20);
    b = first_block(&d, OTHER);
    d.r.messages->role = CANON_ASSISTANT;
    *b = (struct canon_block){.kind = CANON_TOOL_CALL,
                              .id = SLICE("\"c\""),
                              .name = SLICE("\"f\""),
                              .arguments = SLICE("{\"a\": \"\\n\"}")};
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    struct slice got;
    assert_int_equal(json_writer_done(&d.w, &got), 0);
    assert_true(slice_find(got, SLICE("\"arguments\":\"{\\\"a\\\": \\\"\\\\n\\\"}\"")) > 0);
    desk_close(&d);
    // A search the provider made.
    desk_open(&d, 1 << 20);
    first_block(&d, OTHER)->kind = CANON_WEB_SEARCH;
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    expect_written(&d, "{'model':'m','messages':[]}");
    describe_dropped(&d);
    expect_said(&d, "web_search_call");
    desk_close(&d);
    desk_open(&d, 1 << 20);
    first_block(&d, &dialect_openai_text)->kind = CANON_WEB_SEARCH;
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    describe_dropped(&d);
    expect_said(&d, "server_tool_use");
    desk_close(&d);
    // Results within what a user says come first.
    desk_open(&d, 1 << 20);
    b = first_block(&d, OTHER);
    struct canon_block said = {.kind = CANON_TEXT, .text = SLICE("\"b\"")};
    struct canon_block text = {.kind = CANON_TEXT, .text = SLICE("\"a\"")};
    *b = (struct canon_block){.kind = CANON_TOOL_RESULT, .id = SLICE("\"c\""), .content = &text};
    said.next = b;
    d.r.messages->blocks = &said;
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    expect_written(&d, "{'model':'m','messages':[{'role':'tool','tool_call_id':'c','content':'a'},"
                       "{'role':'user','content':'b'}]}");
    desk_close(&d);
}

static int write_much(struct desk *d)
{
    int rc = openai_chat__read_request(
        &d->r,
        SLICE("{\"messages\":[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":["
              "{\"type\":\"image_url\",\"image_url\":\"u\"},{\"type\":\"\\u0041\"}]},"
              "{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":\"f\"}}]}"
              "]}"));
    if (rc)
        return rc;
    d->r.from = OTHER;
    struct canon_block *file = d->r.messages->next->blocks;
    file->file_id = SLICE_EMPTY;
    file->text = SLICE("\"\\u0041\"");
    return openai_chat__write_request(&d->r, SLICE("m"), &d->w);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(write_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_are_strings_or_parts),
        cmocka_unit_test(an_assistants_deeds_lie_beside_its_content),
        cmocka_unit_test(several_texts_are_parts_beside_the_deeds),
        cmocka_unit_test(thoughts_stay_with_whom_they_offend),
        cmocka_unit_test(what_nobody_shares_is_dropped),
        cmocka_unit_test(results_hold_text_and_what_else_there_is_follows),
        cmocka_unit_test(what_chat_cannot_show_is_refused),
        cmocka_unit_test(other_shapes_become_chats),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
