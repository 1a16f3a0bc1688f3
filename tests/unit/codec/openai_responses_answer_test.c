// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_answer_test.c: whole answers and counts, both ways.
#include <stdio.h>

#include "openai_responses_desk.h"

static int read(struct desk *d, const char *quoted)
{
    static char buffer[TEXT_BYTES];
    desk_open(d, 64 << 20);
    return dialect_openai_responses.translation->read_answer(&d->a, text_in(buffer, quoted));
}

static const struct canon_context context = {
    .now_s = 1700000000,
    .model = SLICE("m\"x"),
    .id = SLICE("req-0123"),
};

// ---- Reading -----------------------------------------------------------------------------------

static void items_become_blocks(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(
        read(
            &d,
            "{'id':'resp_1','object':'response','created_at':1741476542.5,'status':'completed',"
            "'error':null,'incomplete_details':null,'model':'gpt-x','service_tier':'default',"
            "'output':["
            "{'id':'rs_1','type':'reasoning','summary':[],'encrypted_content':'g'},"
            "{'id':'ws_1','type':'web_search_call','status':'completed','action':{'type':'search',"
            "'query':'q'}},"
            "{'id':'msg_1','type':'message','status':'completed','role':'assistant','content':["
            "{'type':'output_text','text':'a','annotations':[{'type':'url_citation','url':'u'}]},"
            "{'type':'output_text','text':'b','annotations':[],'logprobs':[{'token':'b'}]}]},"
            "{'id':'fc_1','type':'function_call','status':'completed','call_id':'c','name':'f',"
            "'arguments':'{}'},"
            "{'id':'ig_1','type':'image_generation_call','result':'x'}],"
            "'usage':{'input_tokens':10,'input_tokens_details':{'cached_tokens':4},"
            "'output_tokens':7,'output_tokens_details':{'reasoning_tokens':3},'total_tokens':17}}"),
        0);
    expect_text(d.a.id, "'resp_1'");
    expect_text(d.a.model, "'gpt-x'");
    expect_text(d.a.service_tier, "'default'");
    expect_text(d.a.logprobs, "[{'token':'b'}]");
    assert_int_equal(d.a.created_s, 1741476542);
    assert_int_equal(d.a.stop, CANON_STOP_TOOL);
    assert_true(d.a.usage.known && d.a.usage.cached_known && d.a.usage.reasoning_known);
    assert_int_equal(d.a.usage.input_tokens, 10);
    assert_int_equal(d.a.usage.output_tokens, 7);
    assert_int_equal(d.a.usage.cached_read_tokens, 4);
    assert_int_equal(d.a.usage.reasoning_tokens, 3);
    static const enum canon_block_kind kinds[] = {CANON_THINKING, CANON_WEB_SEARCH, CANON_TEXT,
                                                  CANON_TEXT,     CANON_TOOL_CALL,  CANON_OPAQUE};
    const struct canon_block *b = d.a.blocks;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++, b = b->next) {
        assert_int_equal(b->kind, kinds[i]);
        if (i == 0)
            expect_text(b->signature, "'openai:rs_1:g'");
        if (i == 2)
            assert_ptr_equal(b->citations_of, &dialect_openai_responses);
    }
    assert_null(b);
    desk_close(&d);
}

static void why_it_ended(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum canon_stop stop;
    } rows[] = {
        {"{'status':'completed','output':[]}", CANON_STOP_END},
        {"{'output':[]}", CANON_STOP_END},
        {"{'status':'incomplete','incomplete_details':{'reason':'max_output_tokens'},'output':[]}",
         CANON_STOP_LENGTH},
        {"{'status':'incomplete','incomplete_details':{'reason':'content_filter'},'output':[]}",
         CANON_STOP_FILTER},
        {"{'status':'incomplete','incomplete_details':null,'output':[]}", CANON_STOP_LENGTH},
        {"{'status':'completed','output':[{'type':'message','role':'assistant','content':"
         "[{'type':'refusal','refusal':'no'}]}]}",
         CANON_STOP_FILTER},
        {"{'status':'completed','output':[{'type':'custom_tool_call','call_id':'c','name':'f',"
         "'input':''}]}",
         CANON_STOP_TOOL},
        {"{'status':'incomplete','incomplete_details':{'reason':'max_output_tokens'},'output':"
         "[{'type':'function_call','call_id':'c','name':'f','arguments':''}]}",
         CANON_STOP_LENGTH},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        assert_int_equal(read(&d, rows[i].text), 0);
        assert_int_equal(d.a.stop, rows[i].stop);
        assert_false(d.a.usage.known);
        desk_close(&d);
    }
}

static void what_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        {"", ERR_BAD_JSON},
        {"{'output':[]", ERR_BAD_JSON},
        {"[]", ERR_BAD_TYPE},
        {"{}", ERR_UPSTREAM_PROTOCOL},
        {"{'output':{}}", ERR_UPSTREAM_PROTOCOL},
        {"{'output':[7]}", ERR_UPSTREAM_PROTOCOL},
        {"{'output':[{}]}", ERR_UPSTREAM_PROTOCOL},
        {"{'output':[{'type':'message','role':'assistant','content':[{'type':'output_text'}]}]}",
         ERR_UPSTREAM_PROTOCOL},
        {"{'output':[{'type':'function_call','call_id':'c','name':'f','arguments':{}}]}",
         ERR_UPSTREAM_PROTOCOL},
        {"{'status':'failed','output':[]}", ERR_UPSTREAM_PROTOCOL},
        {"{'error':{'code':'server_error','message':'m'},'output':[]}", ERR_UPSTREAM_PROTOCOL},
        {"{'output':[],'output':[]}", ERR_DUPLICATE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct desk d;
        int rc = read(&d, rows[i].text);
        if (i == 2)
            assert_true(rc < 0);
        else
            assert_int_equal(rc, rows[i].err);
        desk_close(&d);
    }
}

// ---- Writing -----------------------------------------------------------------------------------

static void add(struct desk *d, struct canon_block block)
{
    struct canon_block **tail = &d->a.blocks;
    struct canon_block *b;
    while (*tail)
        tail = &(*tail)->next;
    assert_int_equal(canon_add_block(&d->arena, &d->a.parts, &tail, &b), 0);
    *b = block;
}

static void an_empty_answer_has_every_member(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(responses__write_answer(&d.a, &context, &d.w), 0);
    expect_written(&d, "{'id':'resp_req-0123','object':'response','created_at':1700000000,"
                       "'status':'completed','error':null,'incomplete_details':null,"
                       "'instructions':null,'metadata':{},'model':'m\\'x','output':[],"
                       "'parallel_tool_calls':true,'temperature':null,'tool_choice':'auto',"
                       "'tools':[],'top_p':null,'usage':null}");
    desk_close(&d);
}

static void the_request_is_repeated(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    struct canon_context c = context;
    struct desk d;
    desk_open(&d, 1 << 20);
    c.request = text_in(buffer, " {'top_p':0.9,'tools':[{'type':'custom','name':'c'}],'input':'x',"
                                "'tool_choice':'none','temperature':0.10,'metadata':{'a':'b'},"
                                "'parallel_tool_calls':false,'instructions':'i','user':'u'}");
    d.a.id = SLICE("\"chatcmpl-9\"");
    d.a.model = SLICE("\"gpt\"");
    d.a.created_s = 5;
    d.a.stop = CANON_STOP_LENGTH;
    assert_int_equal(responses__write_answer(&d.a, &c, &d.w), 0);
    expect_written(&d, "{'id':'resp_9','object':'response','created_at':5,"
                       "'status':'incomplete','error':null,"
                       "'incomplete_details':{'reason':'max_output_tokens'},"
                       "'instructions':'i','metadata':{'a':'b'},'model':'gpt','output':[],"
                       "'parallel_tool_calls':false,'temperature':0.10,'tool_choice':'none',"
                       "'tools':[{'type':'custom','name':'c'}],'top_p':0.9,'usage':null}");
    desk_close(&d);
}

#define HEAD                                                                                       \
    "{'id':'resp_01','object':'response','created_at':1700000000,'status':'%s','error':null,"      \
    "'incomplete_details':%s,'instructions':null,'metadata':{},'model':'m','output':["
#define TAIL                                                                                       \
    "],'parallel_tool_calls':true,'temperature':null,'tool_choice':'auto','tools':[],'top_p':"     \
    "null,"

static void blocks_become_items(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    struct desk d;
    desk_open(&d, 1 << 20);
    d.a.id = SLICE("\"msg_01\"");
    d.a.model = SLICE("\"m\"");
    d.a.stop = CANON_STOP_FILTER;
    d.a.usage = (struct canon_usage){.known = true,
                                     .input_tokens = 10,
                                     .output_tokens = 5,
                                     .cached_read_tokens = 2,
                                     .reasoning_tokens = 1};
    add(&d, (struct canon_block){
                .kind = CANON_THINKING, .text = SLICE("\"w\""), .signature = SLICE("\"S\"")});
    add(&d, (struct canon_block){.kind = CANON_REDACTED_THINKING, .data = SLICE("\"D\"")});
    add(&d, (struct canon_block){.kind = CANON_WEB_SEARCH, .text = SLICE("\"q\"")});
    add(&d, (struct canon_block){
                .kind = CANON_TEXT,
                .text = SLICE("\"\\u00e9\\ud83d\\ude00x\xc3\xa9\\n\""),
                .citations = SLICE("[{\"type\":\"char_location\"},{\"type\":"
                                   "\"web_search_result_location\",\"url\":\"u\",\"title\":\"t\"},"
                                   "{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":1,"
                                   "\"end_index\":2,\"title\":\"k\",\"url\":\"v\"}}]")});
    add(&d, (struct canon_block){.kind = CANON_REFUSAL, .text = SLICE("\"no\"")});
    add(&d, (struct canon_block){.kind = CANON_TOOL_CALL,
                                 .id = SLICE("\"c\""),
                                 .name = SLICE("\"f\""),
                                 .arguments = SLICE("{\"a\": 1}")});
    add(&d, (struct canon_block){.kind = CANON_TOOL_CALL,
                                 .tool = CANON_TOOL_CUSTOM,
                                 .id = SLICE("\"d\""),
                                 .name = SLICE("\"g\""),
                                 .arguments = SLICE("\"raw\""),
                                 .arguments_quoted = true});
    add(&d, (struct canon_block){.kind = CANON_OPAQUE, .raw = SLICE("{}")});
    add(&d, (struct canon_block){
                .kind = CANON_TOOL_CALL, .id = SLICE("\"e\""), .name = SLICE("\"h\"")});
    assert_int_equal(responses__write_answer(&d.a, &context, &d.w), 0);
    snprintf(text, sizeof(text),
             HEAD "{'id':'rs_01_0','type':'reasoning','summary':[{'type':'summary_text','text':"
                  "'w'}],'encrypted_content':'claude:S'},"
                  "{'id':'rs_01_1','type':'reasoning','summary':[],'encrypted_content':"
                  "'claude-redacted:D'},"
                  "{'id':'ws_01_2','type':'web_search_call','status':'completed','action':{'type':"
                  "'search','query':'q'}},"
                  "{'id':'msg_01_3','type':'message','status':'completed','role':'assistant',"
                  "'content':[{'type':'output_text','text':'\\u00e9\\ud83d\\ude00x\xc3\xa9\\n',"
                  "'annotations':[{'type':'url_citation','start_index':0,'end_index':5,'title':'t',"
                  "'url':'u'},{'type':'url_citation','start_index':1,'end_index':2,'title':'k',"
                  "'url':'v'}],'logprobs':[]},{'type':'refusal','refusal':'no'}]},"
                  "{'id':'fc_01_4','type':'function_call','status':'completed','call_id':'c',"
                  "'name':'f','arguments':'{\\'a\\': 1}'},"
                  "{'id':'ctc_01_5','type':'custom_tool_call','call_id':'d','name':'g','input':"
                  "'raw'},"
                  "{'id':'fc_01_6','type':'function_call','status':'completed','call_id':'e',"
                  "'name':'h','arguments':'{}'}" TAIL
                  "'usage':{'input_tokens':10,'input_tokens_details':{'cache_write_tokens':0,'"
                  "cached_tokens':2},"
                  "'output_tokens':5,'output_tokens_details':{'reasoning_tokens':1},"
                  "'total_tokens':15}}",
             "incomplete", "{'reason':'content_filter'}");
    expect_written(&d, text);
    desk_close(&d);
}

static void what_chat_adds_crosses(void **state)
{
    (void)state;
    struct dialect chat = {.name = SLICE("openai_chat")};
    char text[TEXT_BYTES];
    struct desk d;
    for (int other = 0; other < 2; other++) {
        desk_open(&d, 1 << 20);
        if (other)
            chat.name = SLICE("anthropic_messages");
        d.a.from = &chat;
        d.a.id = SLICE("\"c-01\"");
        d.a.model = SLICE("\"m\"");
        d.a.service_tier = SLICE("\"flex\"");
        d.a.logprobs = SLICE("{\"content\":[{\"token\":\"a\"}],\"refusal\":null}");
        add(&d, (struct canon_block){.kind = CANON_TEXT, .text = SLICE("\"a\"")});
        add(&d, (struct canon_block){.kind = CANON_TEXT, .text = SLICE("\"b\"")});
        assert_int_equal(responses__write_answer(&d.a, &context, &d.w), 0);
        snprintf(text, sizeof(text),
                 HEAD "{'id':'msg_01_0','type':'message','status':'completed','role':'assistant',"
                      "'content':[{'type':'output_text','text':'a','annotations':[],'logprobs':"
                      "[{'token':'a'}]},{'type':'output_text','text':'b','annotations':[],"
                      "'logprobs':[]}]}" TAIL "'usage':null%s}",
                 "completed", "null", other ? "" : ",'service_tier':'flex'");
        expect_written(&d, text);
        desk_close(&d);
    }
}

static void texts_around_what_is_left_out_are_neighbours(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    struct desk d;
    desk_open(&d, 1 << 20);
    d.a.id = SLICE("\"c-01\"");
    d.a.model = SLICE("\"m\"");
    add(&d, (struct canon_block){.kind = CANON_TEXT, .text = SLICE("\"a\"")});
    add(&d, (struct canon_block){.kind = CANON_OPAQUE, .raw = SLICE("{}")});
    add(&d, (struct canon_block){.kind = CANON_TEXT, .text = SLICE("\"b\"")});
    assert_int_equal(responses__write_answer(&d.a, &context, &d.w), 0);
    snprintf(text, sizeof(text),
             HEAD "{'id':'msg_01_0','type':'message','status':'completed','role':'assistant',"
                  "'content':[{'type':'output_text','text':'a','annotations':[],'logprobs':[]},"
                  "{'type':'output_text','text':'b','annotations':[],'logprobs':[]}]}" TAIL
                  "'usage':null}",
             "completed", "null");
    expect_written(&d, text);
    desk_close(&d);
}

static void a_custom_tools_call_comes_back_as_one(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    static const struct {
        struct slice arguments;
        bool quoted;
        const char *input;
    } rows[] = {
        {SLICE("{\"input\": \"a\\n\"}"), false, "a\\n"},
        {SLICE("\"{\\\"input\\\":\\\"a\\\\n\\\"}\""), true, "a\\n"},
        {SLICE("{\"x\":1}"), false, "{\\'x\\':1}"},
        {SLICE("\"free\""), true, "free"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct canon_context c = context;
        char text[TEXT_BYTES];
        struct desk d;
        struct slice got;
        desk_open(&d, 1 << 20);
        c.request = text_in(buffer, "{'tools':[7,{'type':'function','name':'c'},"
                                    "{'type':'custom','name':'c'}]}");
        d.a.id = SLICE("\"msg_01\"");
        add(&d, (struct canon_block){.kind = CANON_TOOL_CALL,
                                     .id = SLICE("\"t\""),
                                     .name = SLICE("\"c\""),
                                     .arguments = rows[i].arguments,
                                     .arguments_quoted = rows[i].quoted});
        assert_int_equal(responses__write_answer(&d.a, &c, &d.w), 0);
        assert_int_equal(json_writer_done(&d.w, &got), 0);
        snprintf(text, sizeof(text),
                 "[{'id':'ctc_01_0','type':'custom_tool_call','call_id':'t','name':'c','input':"
                 "'%s'}]",
                 rows[i].input);
        expect_text(json_object_get(got, SLICE("output")).value, text);
        desk_close(&d);
    }
}

static void every_refused_allocation_is_survived(void **state)
{
    (void)state;
    unsigned failures = 0;
    int rc = ERR_NOMEM;
    for (size_t bytes = 0; rc; bytes += 256, failures++) {
        static char buffer[TEXT_BYTES];
        struct desk d;
        desk_open(&d, bytes);
        rc = responses__read_answer(
            &d.a,
            text_in(buffer, "{'output':[{'type':'message','role':'assistant','content':"
                            "[{'type':'output_text','text':'a','annotations':[{'url':'u'}]}]},"
                            "{'type':'reasoning','summary':[{'text':'b'}]}]}"));
        if (rc == 0)
            rc = responses__write_answer(&d.a, &context, &d.w);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        desk_close(&d);
    }
    assert_true(failures > 1);
}

// ---- Counts ------------------------------------------------------------------------------------

static void counts(void **state)
{
    (void)state;
    static char buffer[TEXT_BYTES];
    struct dialect_usage usage;
    struct desk d;
    const struct dialect *row = &dialect_openai_input_tokens;
    desk_open(&d, 1 << 20);
    struct slice text = text_in(buffer, "{'object':'response.input_tokens','input_tokens':11}");
    assert_int_equal(row->translation->read_answer(&d.a, text), 0);
    assert_int_equal(d.a.usage.input_tokens, 11);
    assert_int_equal(row->translation->write_answer(&d.a, &context, &d.w), 0);
    expect_written(&d, "{'object':'response.input_tokens','input_tokens':11}");
    row->answer_usage(text, &usage); // nobody bills a count
    assert_false(usage.known);
    static const char *const bad[] = {"{}", "{'input_tokens':'11'}", "{'input_tokens':-1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text = text_in(buffer, bad[i]);
        assert_int_equal(row->translation->read_answer(&d.a, text), ERR_UPSTREAM_PROTOCOL);
        row->answer_usage(text, &usage);
        assert_false(usage.known);
    }
    assert_int_equal(row->translation->read_answer(&d.a, SLICE("{")), ERR_BAD_JSON);
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_blocks),
        cmocka_unit_test(why_it_ended),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(an_empty_answer_has_every_member),
        cmocka_unit_test(the_request_is_repeated),
        cmocka_unit_test(blocks_become_items),
        cmocka_unit_test(what_chat_adds_crosses),
        cmocka_unit_test(texts_around_what_is_left_out_are_neighbours),
        cmocka_unit_test(a_custom_tools_call_comes_back_as_one),
        cmocka_unit_test(every_refused_allocation_is_survived),
        cmocka_unit_test(counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
