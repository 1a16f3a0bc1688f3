// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_input_test.c: messages and blocks become items.
#include <stdio.h>

#include "openai_responses_desk.h"

static int write_message(struct desk *d, enum canon_role role, const struct canon_block *blocks,
                         size_t count)
{
    desk_open(d, 64 << 20);
    struct canon_message **messages = &d->r.messages;
    struct canon_message *m;
    assert_int_equal(canon_add_message(&d->r, &messages, &m), 0);
    m->role = role;
    struct canon_block **tail = &m->blocks;
    for (size_t i = 0; i < count; i++) {
        struct canon_block *b;
        assert_int_equal(canon_add_block(&d->arena, &d->r.parts, &tail, &b), 0);
        *b = blocks[i];
        b->next = NULL;
    }
    return responses__write_input(&d->r, &d->w);
}

#define TEXT(t)                                                                                    \
    {                                                                                              \
        .kind = CANON_TEXT, .text = SLICE("\"" t "\"")                                             \
    }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OPAQUE(t)                                                                                  \
    {                                                                                              \
        .kind = CANON_OPAQUE, .raw = SLICE("{\"type\":\"" t "\"}")                                 \
    }

static void an_assistants_message_is_a_run_of_items(void **state)
{
    (void)state;
    const struct canon_block blocks[] = {
        {.kind = CANON_THINKING,
         .text = SLICE("\"why\""),
         .signature = SLICE("\"openai:rs_1:gAA\"")},
        {.kind = CANON_THINKING, .text = SLICE("\"other\""), .signature = SLICE("\"EqQ\"")},
        TEXT("a"),
        {.kind = CANON_REFUSAL, .text = SLICE("\"no\"")},
        {.kind = CANON_TOOL_CALL,
         .id = SLICE("\"t1\""),
         .name = SLICE("\"f\""),
         .arguments = SLICE("{ \"k\": \"v\"}")},
        {.kind = CANON_TOOL_CALL,
         .id = SLICE("\"t2\""),
         .name = SLICE("\"f\""),
         .arguments = SLICE("\"{}\""),
         .arguments_quoted = true},
        TEXT("b"),
        {.kind = CANON_REDACTED_THINKING, .data = SLICE("\"D\"")},
        OPAQUE("server_tool_use"),
    };
    struct desk d;
    assert_int_equal(write_message(&d, CANON_ASSISTANT, blocks, COUNT(blocks)), 0);
    expect_written(
        &d, "[{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'why'}],"
            "'encrypted_content':'gAA'},"
            "{'type':'message','role':'assistant','content':'a'},"
            "{'type':'message','role':'assistant','content':'no'},"
            "{'type':'function_call','call_id':'t1','name':'f','arguments':'{ \\'k\\': \\'v\\'}'},"
            "{'type':'function_call','call_id':'t2','name':'f','arguments':'{}'},"
            "{'type':'message','role':'assistant','content':'b'}]");
    expect_dropped(&d, "reasoning,server_tool_use");
    desk_close(&d);
}

static void a_users_parts(void **state)
{
    (void)state;
    const struct canon_block blocks[] = {
        TEXT("t"),
        {.kind = CANON_IMAGE, .url = SLICE("\"https://a/b.png\"")},
        {.kind = CANON_IMAGE,
         .media_type = SLICE("\"image/png\""),
         .data = SLICE("\"QQ==\""),
         .detail = SLICE("\"low\"")},
        {.kind = CANON_FILE,
         .name = SLICE("\"a.pdf\""),
         .media_type = SLICE("\"application/pdf\""),
         .data = SLICE("\"QUJD\"")},
        {.kind = CANON_FILE, .url = SLICE("\"https://a/b.pdf\"")},
        {.kind = CANON_FILE, .url = SLICE("\"data:application/pdf;base64,QQ==\"")},
        {.kind = CANON_FILE, .file_id = SLICE("\"file-1\"")},
        {.kind = CANON_FILE, .text = SLICE("\"M\\u00e9!\"")}, // 4d c3 a9 21
        {.kind = CANON_AUDIO, .data = SLICE("\"QQ==\""), .media_type = SLICE("\"audio/wav\"")},
    };
    struct desk d;
    assert_int_equal(write_message(&d, CANON_USER, blocks, COUNT(blocks)), 0);
    expect_written(
        &d,
        "[{'type':'message','role':'user','content':[{'type':'input_text','text':'t'},"
        "{'type':'input_image','image_url':'https://a/b.png','detail':'auto'},"
        "{'type':'input_image','image_url':'data:image/png;base64,QQ==','detail':'low'},"
        "{'type':'input_file','filename':'a.pdf','file_data':'data:application/pdf;base64,QUJD'},"
        "{'type':'input_file','file_url':'https://a/b.pdf'},"
        "{'type':'input_file','file_data':'data:application/pdf;base64,QQ=='},"
        "{'type':'input_file','file_id':'file-1'},"
        "{'type':'input_file','file_data':'data:text/plain;base64,TcOpIQ=='},"
        "{'type':'input_audio','input_audio':{'data':'QQ==','format':'wav'}}]}]");
    desk_close(&d);
}

static void lone_texts_are_strings_unless_they_are_cached(void **state)
{
    (void)state;
    const struct canon_block lone[] = {TEXT("a")};
    const struct canon_block cached[] = {
        {.kind = CANON_TEXT, .text = SLICE("\"a\""), .cache_control = SLICE("{}")}};
    struct desk d;
    assert_int_equal(write_message(&d, CANON_DEVELOPER, lone, 1), 0);
    expect_written(&d, "[{'type':'message','role':'developer','content':'a'}]");
    desk_close(&d);
    assert_int_equal(write_message(&d, CANON_SYSTEM, cached, 1), 0);
    expect_written(&d, "[{'type':'message','role':'system','content':[{'type':'input_text',"
                       "'text':'a'}]}]");
    desk_close(&d);
}

static void a_message_of_nothing_is_left_out(void **state)
{
    (void)state;
    const struct canon_block blocks[] = {OPAQUE("x"), OPAQUE("y")};
    struct desk d;
    assert_int_equal(write_message(&d, CANON_USER, blocks, 2), 0);
    expect_written(&d, "[]");
    expect_dropped(&d, "x,y");
    desk_close(&d);
    assert_int_equal(write_message(&d, CANON_USER, blocks, 0), 0);
    expect_written(&d, "[]");
    desk_close(&d);
}

static void what_is_left_may_be_a_lone_text(void **state)
{
    (void)state;
    const struct canon_block blocks[] = {OPAQUE("x"), TEXT("a"), OPAQUE("y")};
    struct desk d;
    assert_int_equal(write_message(&d, CANON_USER, blocks, 3), 0);
    expect_written(&d, "[{'type':'message','role':'user','content':'a'}]");
    expect_dropped(&d, "x,y");
    desk_close(&d);
}

static void own_parts_come_out_where_they_were(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    static const char text[] =
        "[{'type':'message','role':'user','content':[{'type':'input_text','text':'a'},"
        "{'type':'input_hologram'}]},{'type':'computer_call'}]";
    char request[TEXT_BYTES];
    struct desk d;
    desk_open(&d, 64 << 20);
    snprintf(request, sizeof(request), "{'input':%s}", text);
    assert_int_equal(responses__read_request(&d.r, text_in(buffer, request)), 0);
    assert_int_equal(responses__write_input(&d.r, &d.w), 0);
    expect_written(&d, text);
    desk_close(&d);
}

static void results_are_text_or_parts(void **state)
{
    (void)state;
    struct canon_block texts[] = {TEXT("a"), TEXT("b")};
    struct canon_block mixed[] = {TEXT("a"), {.kind = CANON_IMAGE, .url = SLICE("\"u\"")}};
    texts[0].next = &texts[1];
    mixed[0].next = &mixed[1];
    const struct canon_block results[] = {
        {.kind = CANON_TOOL_RESULT, .id = SLICE("\"1\""), .content = texts, .is_error = true},
        {.kind = CANON_TOOL_RESULT, .id = SLICE("\"2\""), .content = mixed},
        {.kind = CANON_TOOL_RESULT, .id = SLICE("\"3\"")},
    };
    struct desk d;
    assert_int_equal(write_message(&d, CANON_TOOL, results, 3), 0);
    expect_written(&d, "[{'type':'function_call_output','call_id':'1','output':'ab'},"
                       "{'type':'function_call_output','call_id':'2','output':[{'type':"
                       "'input_text','text':'a'},{'type':'input_image','image_url':'u','detail':"
                       "'auto'}]},"
                       "{'type':'function_call_output','call_id':'3','output':''}]");
    desk_close(&d);
}

static void a_custom_call_gets_a_custom_output(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    static const char text[] =
        "[{'type':'custom_tool_call','call_id':'c','name':'g','input':'raw'},"
        "{'type':'function_call','call_id':'d','name':'f','arguments':'{}'},"
        "{'type':'custom_tool_call_output','call_id':'c','output':'x'},"
        "{'type':'function_call_output','call_id':'d','output':'y'}]";
    char request[TEXT_BYTES];
    struct desk d;
    desk_open(&d, 64 << 20);
    snprintf(request, sizeof(request), "{'input':%s}", text);
    assert_int_equal(responses__read_request(&d.r, text_in(buffer, request)), 0);
    assert_int_equal(responses__write_input(&d.r, &d.w), 0);
    expect_written(&d, text);
    desk_close(&d);
}

static void custom_calls_have_a_ceiling(void **state)
{
    (void)state;
    static struct canon_block calls[1025];
    struct desk d;
    for (size_t i = 0; i < 1025; i++)
        calls[i] = (struct canon_block){.kind = CANON_TOOL_CALL,
                                        .tool = CANON_TOOL_CUSTOM,
                                        .id = SLICE("\"c\""),
                                        .name = SLICE("\"g\""),
                                        .arguments = SLICE("\"\""),
                                        .arguments_quoted = true};
    assert_int_equal(write_message(&d, CANON_ASSISTANT, calls, 1024), 0);
    desk_close(&d);
    assert_int_equal(write_message(&d, CANON_ASSISTANT, calls, 1025), ERR_LIMIT);
    desk_close(&d);
}

static void a_prompt_is_a_string(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    d.r.prompt = SLICE("\"Once\"");
    assert_int_equal(responses__write_input(&d.r, &d.w), 0);
    expect_written(&d, "'Once'");
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_assistants_message_is_a_run_of_items),
        cmocka_unit_test(a_users_parts),
        cmocka_unit_test(lone_texts_are_strings_unless_they_are_cached),
        cmocka_unit_test(a_message_of_nothing_is_left_out),
        cmocka_unit_test(what_is_left_may_be_a_lone_text),
        cmocka_unit_test(own_parts_come_out_where_they_were),
        cmocka_unit_test(results_are_text_or_parts),
        cmocka_unit_test(a_custom_call_gets_a_custom_output),
        cmocka_unit_test(custom_calls_have_a_ceiling),
        cmocka_unit_test(a_prompt_is_a_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
