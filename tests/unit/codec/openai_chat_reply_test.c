// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_reply_test.c: the chat answer a client gets.
#include "tests/unit/codec/openai_desk.h"

static const struct canon_context context = {
    .now_s = 7, .model = SLICE("sent\"model"), .id = SLICE("req-1")};

#define B(...)               (&(struct canon_block){__VA_ARGS__})
#define TEXT(literal, after) B(.kind = CANON_TEXT, .text = SLICE(literal), .next = (after))

static void expect_answer(const struct canon_answer *answer, const char *want)
{
    struct desk d;
    struct canon_answer a = *answer;
    desk_open(&d, 1 << 20);
    a.arena = &d.arena;
    assert_int_equal(openai_chat__write_answer(&a, &context, &d.w), 0);
    expect_written(&d, want);
    desk_close(&d);
}

#define FRAME(message, reason)                                                                     \
    "{'id':'chatcmpl-req-1','object':'chat.completion','created':7,'model':'sent\\'model',"        \
    "'choices':[{'index':0,'message':{'role':'assistant'," message                                 \
    "},'logprobs':null,'finish_reason':'" reason "'}]"

static void expect_message(struct canon_block *blocks, const char *want)
{
    struct canon_answer a = {.blocks = blocks, .stop = CANON_STOP_END};
    expect_answer(&a, want);
}

static void what_the_provider_left_out_is_made(void **state)
{
    (void)state;
    expect_message(NULL, FRAME("'content':null,'refusal':null", "stop") "}");
    struct canon_answer a = {.id = SLICE("\"x\""),
                             .model = SLICE("\"m\""),
                             .created_s = 5,
                             .stop = CANON_STOP_LENGTH,
                             .logprobs = SLICE("[{}]"),
                             .service_tier = SLICE("\"flex\""),
                             .system_fingerprint = SLICE("\"fp\""),
                             .usage = {.known = true, .input_tokens = 2, .output_tokens = 3}};
    expect_answer(&a, "{'id':'x','object':'chat.completion','created':5,'model':'m','choices':["
                      "{'index':0,'message':{'role':'assistant','content':null,'refusal':null},"
                      "'logprobs':{'content':[{}],'refusal':null},'finish_reason':'length'}],"
                      "'usage':{'prompt_tokens':2,'completion_tokens':3,'total_tokens':5},"
                      "'service_tier':'flex','system_fingerprint':'fp'}");
}

static void texts_are_joined(void **state)
{
    (void)state;
    expect_message(TEXT("\"\"", NULL), FRAME("'content':'','refusal':null", "stop") "}");
    expect_message(TEXT("\"a\\n\"", TEXT("\"b\"", NULL)),
                   FRAME("'content':'a\\nb','refusal':null", "stop") "}");
    expect_message(B(.kind = CANON_REFUSAL, .text = SLICE("\"no\"")),
                   FRAME("'content':null,'refusal':'no'", "stop") "}");
    // Nothing of these is chat's.
    expect_message(B(.kind = CANON_WEB_SEARCH, .next = B(.kind = CANON_OPAQUE)),
                   FRAME("'content':null,'refusal':null", "stop") "}");
}

static void thoughts_lie_beside_the_content(void **state)
{
    (void)state;
    expect_message(B(.kind = CANON_THINKING, .text = SLICE("\"a\""), .signature = SLICE("\"s\""),
                     .next = B(.kind = CANON_REDACTED_THINKING, .data = SLICE("\"d\""),
                               .next = B(.kind = CANON_THINKING, .text = SLICE("\"b\""),
                                         .signature = SLICE("\"\"")))),
                   FRAME("'content':null,'refusal':null,'reasoning':'ab','reasoning_details':["
                         "{'index':0,'type':'reasoning.text','text':'a','signature':'s'},"
                         "{'index':1,'type':'reasoning.encrypted','data':'d'},"
                         "{'index':2,'type':'reasoning.text','text':'b'}]",
                         "stop") "}");
    // Hidden ones have nothing to say, only a seal.
    expect_message(B(.kind = CANON_THINKING, .text = SLICE("\"\""), .signature = SLICE("\"s\"")),
                   FRAME("'content':null,'refusal':null,'reasoning_details':["
                         "{'index':0,'type':'reasoning.text','text':'','signature':'s'}]",
                         "stop") "}");
}

static void calls_have_string_arguments(void **state)
{
    (void)state;
    struct canon_answer a = {
        .stop = CANON_STOP_TOOL,
        .blocks = B(.kind = CANON_TOOL_CALL, .id = SLICE("\"c\""), .name = SLICE("\"f\""),
                    .arguments = SLICE("{\"a\": 1}"),
                    .next = B(.kind = CANON_TOOL_CALL, .id = SLICE("\"e\""), .name = SLICE("\"g\""),
                              .tool = CANON_TOOL_CUSTOM, .arguments = SLICE("\"x\""),
                              .arguments_quoted = true))};
    expect_answer(&a, FRAME("'content':null,'refusal':null,'tool_calls':[{'id':'c','type':"
                            "'function','function':{'name':'f','arguments':'{\\'a\\': 1}'}},"
                            "{'id':'e','type':'custom','custom':{'name':'g','input':'x'}}]",
                            "tool_calls") "}");
}

// "né 🎂. " is six code points however it is spelt.
static void annotations_count_code_points(void **state)
{
    (void)state;
    struct canon_block *cited = TEXT("\"In 1916.\"", NULL);
    cited->citations = SLICE("[{\"type\":\"w\",\"url\":\"u\",\"title\":\"t\"},7,{\"title\":\"x\"},"
                             "{\"url\":\"v\",\"title\":null,\"start_index\":3,\"end_index\":7}]");
#define CITE(from, to, title, url)                                                                 \
    "{'type':'url_citation','url_citation':{'start_index':" from ",'end_index':" to                \
    ",'title':'" title "','url':'" url "'}}"
    static const char *const ends =
        "','refusal':null,'annotations':[" CITE("6", "14", "t", "u") "," CITE(
            "9", "13", "", "v") "]},'logprobs':null,'finish_reason':'stop'}]}";
    char want[1024];
    snprintf(want, sizeof(want), "%s%s%s",
             "{'id':'chatcmpl-req-1','object':'chat.completion',"
             "'created':7,'model':'sent\\'model','choices':[{'index':0,'message':{'role':"
             "'assistant','content':'",
             "né 🎂. In 1916.", ends);
    expect_message(TEXT("\"né 🎂. \"", cited), want);
    snprintf(want, sizeof(want), "%s%s%s",
             "{'id':'chatcmpl-req-1','object':'chat.completion',"
             "'created':7,'model':'sent\\'model','choices':[{'index':0,'message':{'role':"
             "'assistant','content':'",
             "\\nn\\u00e9\\ud83c\\udf82\\u0020.In 1916.", ends);
    expect_message(TEXT("\"\\nn\\u00e9\\ud83c\\udf82\\u0020.\"", cited), want);
    // Chat's own.
    cited->citations = SLICE("[{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":1,"
                             "\"end_index\":2,\"title\":\"t\",\"url\":\"u\"}}]");
    expect_message(cited, FRAME("'content':'In 1916.','refusal':null,'annotations':[" CITE(
                                    "1", "2", "t", "u") "]",
                                "stop") "}");
    cited->citations = SLICE("[{\"title\":\"no address\"}]");
    expect_message(cited, FRAME("'content':'In 1916.','refusal':null", "stop") "}");
}

static void reasons(void **state)
{
    (void)state;
    static const char *const words[CANON_STOP_COUNT] = {
        [CANON_STOP_UNSET] = "stop",      [CANON_STOP_END] = "stop",
        [CANON_STOP_SEQUENCE] = "stop",   [CANON_STOP_LENGTH] = "length",
        [CANON_STOP_TOOL] = "tool_calls", [CANON_STOP_FILTER] = "content_filter",
        [CANON_STOP_PAUSE] = "stop",      [CANON_STOP_CONTEXT] = "length",
    };
    for (unsigned i = 0; i < CANON_STOP_COUNT; i++) {
        struct slice word = openai__write_stop((enum canon_stop)i);
        assert_int_equal(word.len, strlen(words[i]) + 2);
        assert_memory_equal(word.ptr + 1, words[i], word.len - 2);
    }
}

static int write_one(struct desk *d)
{
    return openai_chat__write_answer(&d->a, &context, &d->w);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(write_one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_provider_left_out_is_made),
        cmocka_unit_test(texts_are_joined),
        cmocka_unit_test(thoughts_lie_beside_the_content),
        cmocka_unit_test(calls_have_string_arguments),
        cmocka_unit_test(annotations_count_code_points),
        cmocka_unit_test(reasons),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
