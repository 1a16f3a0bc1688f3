// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_item_test.c: items become messages and blocks; wrong ones are named.
#include <stdio.h>

#include "openai_responses_desk.h"

static int read(struct desk *d, const char *items)
{
    static char buffer[TEXT_BYTES];
    static char text[TEXT_BYTES];
    snprintf(text, sizeof(text), "{'input':[%s]}", items);
    desk_open(d, 64 << 20);
    return responses__read_request(&d->r, text_in(buffer, text));
}

static void an_assistants_turn_is_one_message(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(
        read(&d, "{'role':'user','content':'q'},"
                 "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'a'},"
                 "{'type':'summary_text','text':'b'}],'encrypted_content':'XYZ'},"
                 "{'type':'message','role':'assistant','content':[{'type':'output_text','text':"
                 "'t','annotations':[]}]},"
                 "{'type':'function_call','id':'fc_1','call_id':'c1','name':'f','arguments':"
                 "'{\\'k\\':1}'},"
                 "{'type':'custom_tool_call','call_id':'c2','name':'g','input':'raw'},"
                 "{'type':'function_call_output','call_id':'c1','output':'r1'},"
                 "{'type':'custom_tool_call_output','call_id':'c2','output':[{'type':'input_text',"
                 "'text':'r2'}]},"
                 "{'role':'user','content':'p'},{'role':'user','content':'s'}"),
        0);
    const struct canon_message *m = d.r.messages;
    assert_int_equal(m->role, CANON_USER);
    m = m->next;
    assert_int_equal(m->role, CANON_ASSISTANT);
    assert_false(m->plain);
    const struct canon_block *b = m->blocks;
    assert_int_equal(b->kind, CANON_THINKING);
    expect_text(b->text, "'a\\n\\nb'");
    expect_text(b->signature, "'openai:rs_1:XYZ'");
    b = b->next;
    assert_int_equal(b->kind, CANON_TEXT);
    assert_int_equal(b->citations.len, 0);
    b = b->next;
    assert_int_equal(b->kind, CANON_TOOL_CALL);
    expect_text(b->id, "'c1'");
    expect_text(b->arguments, "'{\\'k\\':1}'");
    assert_true(b->arguments_quoted);
    b = b->next;
    assert_int_equal(b->tool, CANON_TOOL_CUSTOM);
    expect_text(b->arguments, "'raw'");
    assert_null(b->next);
    m = m->next;
    assert_int_equal(m->role, CANON_TOOL);
    expect_text(m->blocks->id, "'c1'");
    expect_text(m->blocks->content->text, "'r1'");
    expect_text(m->blocks->next->content->text, "'r2'");
    m = m->next;
    assert_int_equal(m->role, CANON_USER);
    assert_true(m->plain);
    assert_int_equal(m->next->role, CANON_USER);
    assert_null(m->next->next);
    desk_close(&d);
}

static void what_is_joined_is_no_plain_text(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'role':'assistant','content':'a'}"), 0);
    assert_true(d.r.messages->plain);
    desk_close(&d);
    assert_int_equal(read(&d, "{'role':'assistant','content':'a'},"
                              "{'role':'assistant','content':'b'}"),
                     0);
    assert_false(d.r.messages->plain);
    assert_null(d.r.messages->next);
    desk_close(&d);
}

static void parts_of_every_kind(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(
        read(&d, "{'role':'user','content':[{'type':'input_text','text':'t','cache_control':{}},"
                 "{'type':'input_image','image_url':'data:image/png;base64,QQ==','detail':'low'},"
                 "{'type':'input_file','filename':'a.pdf','file_data':"
                 "'data:application\\/pdf;base64,QUJD'},"
                 "{'type':'input_file','file_url':'https://a/b.pdf'},"
                 "{'type':'input_file','file_data':'QUJD'},"
                 "{'type':'input_audio','input_audio':{'data':'QQ==','format':'wav'}},"
                 "{'type':'input_hologram','x':1}]}"),
        0);
    const struct canon_block *b = d.r.messages->blocks;
    expect_text(b->cache_control, "{}");
    b = b->next;
    assert_int_equal(b->kind, CANON_IMAGE);
    expect_text(b->url, "'data:image/png;base64,QQ=='");
    expect_text(b->detail, "'low'");
    b = b->next;
    assert_int_equal(b->kind, CANON_FILE);
    expect_text(b->name, "'a.pdf'");
    expect_text(b->media_type, "'application/pdf'");
    expect_text(b->data, "'QUJD'");
    b = b->next;
    expect_text(b->url, "'https://a/b.pdf'");
    b = b->next;
    expect_text(b->media_type, "'application/pdf'");
    expect_text(b->data, "'QUJD'");
    b = b->next;
    assert_int_equal(b->kind, CANON_AUDIO);
    expect_text(b->media_type, "'wav'");
    b = b->next;
    assert_int_equal(b->kind, CANON_OPAQUE);
    expect_text(b->raw, "{'type':'input_hologram','x':1}");
    assert_null(b->next);
    desk_close(&d);
}

static void data_urls_of_files(void **state)
{
    (void)state;
    static const struct {
        const char *data, *type, *bytes, *url;
    } rows[] = {
        {"data:text/plain;base64,QQ==", "'text/plain'", "'QQ=='", ""},
        {"data:;base64,QQ==", "'text/plain'", "'QQ=='", ""}, // RFC 2397
        {"data:text/plain,QQ", "", "", "'data:text/plain,QQ'"},
        {"data:text/plain;base64", "", "", "'data:text/plain;base64'"},
        {"data:a\\;base64,QQ==", "", "", "'data:a\\;base64,QQ=='"},
        {"data:a\\tb;base64,QQ==", "", "", "'data:a\\tb;base64,QQ=='"},
        {"data:a\\u0022b;base64,QQ==", "", "", "'data:a\\u0022b;base64,QQ=='"},
        {"QQ==", "'application/pdf'", "'QQ=='", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char item[512];
        struct desk d;
        snprintf(item, sizeof(item),
                 "{'role':'user','content':[{'type':'input_file','file_data':'%s'}]}",
                 rows[i].data);
        assert_int_equal(read(&d, item), 0);
        expect_text(d.r.messages->blocks->media_type, rows[i].type);
        expect_text(d.r.messages->blocks->data, rows[i].bytes);
        expect_text(d.r.messages->blocks->url, rows[i].url);
        desk_close(&d);
    }
}

static void seals_say_whose_they_are(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text',"
                              "'text':'t'}],'encrypted_content':'claude:SIG=='},"
                              "{'type':'reasoning','summary':[],'encrypted_content':"
                              "'claude-redacted:DATA'},"
                              "{'type':'reasoning','id':'rs_2','summary':[],'content':[{'type':"
                              "'reasoning_text','text':'c'}]},"
                              "{'type':'reasoning','id':'rs_3','summary':[]}"),
                     0);
    const struct canon_block *b = d.r.messages->blocks;
    expect_text(b->signature, "'SIG=='");
    b = b->next;
    assert_int_equal(b->kind, CANON_REDACTED_THINKING);
    expect_text(b->data, "'DATA'");
    b = b->next;
    expect_text(b->text, "'c'");
    assert_int_equal(b->signature.len, 0);
    assert_null(b->next);
    desk_close(&d);
}

static void items_of_others_tools_are_opaque(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'type':'computer_call','id':'x'},"
                              "{'type':'web_search_call','id':'ws_1','action':{'type':'search',"
                              "'query':'q'}},"
                              "{'type':'computer_call_output','call_id':'x','output':{}}"),
                     0);
    const struct canon_block *b = d.r.messages->blocks;
    assert_int_equal(d.r.messages->role, CANON_ASSISTANT);
    assert_int_equal(b->kind, CANON_OPAQUE);
    assert_int_equal(b->next->kind, CANON_WEB_SEARCH);
    expect_text(b->next->text, "'q'");
    assert_int_equal(d.r.messages->next->role, CANON_USER);
    desk_close(&d);
}

static void an_output_that_is_an_object_is_text(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(read(&d, "{'type':'function_call_output','call_id':'c','output':{'a':1}},"
                              "{'type':'function_call_output','call_id':'d','content':'t'}"),
                     0);
    const struct canon_block *b = d.r.messages->blocks;
    expect_text(b->content->text, "'{\\'a\\':1}'");
    expect_text(b->next->content->text, "'t'");
    desk_close(&d);
}

static void wrong_items_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *items, *param;
        int err;
    } rows[] = {
        {"{}", "input[0].type", ERR_MISSING},
        {"{'type':7}", "input[0].type", ERR_BAD_TYPE},
        {"{'role':'robot','content':'x'}", "input[0].role", ERR_BAD_TYPE},
        {"{'role':'user'}", "input[0].content", ERR_MISSING},
        {"{'role':'user','content':{}}", "input[0].content", ERR_BAD_TYPE},
        {"{'role':'user','content':[7]}", "input[0].content[0]", ERR_BAD_TYPE},
        {"{'role':'user','content':[{'text':'x'}]}", "input[0].content[0].type", ERR_MISSING},
        {"{'role':'user','content':'x'},{'role':'user','content':[{'type':'input_text','text':"
         "'x'},{'type':'input_text','text':3}]}",
         "input[1].content[1].text", ERR_BAD_TYPE},
        {"{'role':'user','content':[{'type':'input_image'}]}", "input[0].content[0].image_url",
         ERR_MISSING},
        {"{'role':'user','content':[{'type':'input_file'}]}", "input[0].content[0].file_data",
         ERR_MISSING},
        {"{'role':'user','content':[{'type':'input_audio','input_audio':{'data':'x'}}]}",
         "input[0].content[0].format", ERR_MISSING},
        {"{'type':'function_call','name':'f','arguments':'{}'}", "input[0].call_id", ERR_MISSING},
        {"{'type':'function_call','call_id':'c','name':'f','arguments':{}}", "input[0].arguments",
         ERR_BAD_TYPE},
        {"{'type':'custom_tool_call','call_id':'c','name':'f'}", "input[0].input", ERR_MISSING},
        {"{'type':'function_call_output','call_id':'c'}", "input[0].output", ERR_MISSING},
        {"{'type':'function_call_output','call_id':'c','output':[{'type':'input_text'}]}",
         "input[0].output[0].text", ERR_MISSING},
        {"{'type':'reasoning','summary':'s'}", "input[0].summary", ERR_BAD_TYPE},
        {"{'type':'reasoning','summary':['s']}", "input[0].summary[0]", ERR_BAD_TYPE},
        {"{'type':'reasoning','summary':[{'text':1}]}", "input[0].summary[0].text", ERR_BAD_TYPE},
        {"{'type':'item_reference','id':'msg_1'}", "input", ERR_UNSUPPORTED},
        {"{'id':'msg_1'}", "input", ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        assert_int_equal(read(&d, rows[i].items), rows[i].err);
        expect_refused(&d, rows[i].param);
        desk_close(&d);
    }
}

static void a_million_parts_are_too_many(void **state)
{
    (void)state;
    struct desk d;
    size_t len = 0;
    desk_open(&d, 64 << 20);
    char *text = arena_bytes(&d.arena, CANON_PARTS_MAX * 22 + 64);
    len += (size_t)snprintf(text, 32, "{\"input\":[");
    for (int i = 0; i <= CANON_PARTS_MAX; i++)
        len += (size_t)snprintf(text + len, 32, "%s{\"type\":\"x_call\"}", i > 0 ? "," : "");
    len += (size_t)snprintf(text + len, 32, "]}");
    assert_int_equal(responses__read_request(&d.r, slice_of(text, len)), ERR_LIMIT);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assistants_turn_is_one_message),
        cmocka_unit_test(what_is_joined_is_no_plain_text),
        cmocka_unit_test(parts_of_every_kind),
        cmocka_unit_test(data_urls_of_files),
        cmocka_unit_test(seals_say_whose_they_are),
        cmocka_unit_test(items_of_others_tools_are_opaque),
        cmocka_unit_test(an_output_that_is_an_object_is_text),
        cmocka_unit_test(wrong_items_are_named),
        cmocka_unit_test(a_million_parts_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
