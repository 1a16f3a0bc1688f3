// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_chunks_test.c: the chunks a client of chat or of text completions gets.
#include "tests/unit/codec/openai_desk.h"

static int put(struct stream_desk *s, struct canon_event e)
{
    return s->writer.dialect->translation->write_event(&s->writer, &e);
}

#define PUT(s, ...) assert_int_equal(put(s, (struct canon_event){__VA_ARGS__}), 0)

static void start(struct stream_desk *s)
{
    PUT(s, .kind = CANON_START, .id = SLICE("\"x\""), .model = SLICE("\"m\""), .created_s = 5);
}

static void block(struct stream_desk *s, unsigned index, enum canon_block_kind kind,
                  enum canon_delta_kind delta, struct slice text)
{
    PUT(s, .kind = CANON_BLOCK_START, .index = index, .block = kind);
    PUT(s, .kind = CANON_BLOCK_DELTA, .index = index, .block = kind, .delta = delta, .text = text);
    PUT(s, .kind = CANON_BLOCK_STOP, .index = index, .block = kind);
}

static void expect(struct stream_desk *s, const char *want)
{
    expect_written(&s->d, want);
    stream_close(s);
}

#define FRAME "data: {'id':'x','object':'chat.completion.chunk','created':5,'model':'m','choices':"
#define CHUNK(delta)                                                                               \
    FRAME "[{'index':0,'delta':" delta ",'logprobs':null,'finish_reason':null}]}\n\n"
#define FINISH(reason)                                                                             \
    FRAME "[{'index':0,'delta':{},'logprobs':null,'finish_reason':'" reason "'}]}\n\n"
#define FIRST CHUNK("{'role':'assistant','content':''}")
#define DONE  "data: [DONE]\n\n"

static void a_text(void **state)
{
    (void)state;
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    start(&s);
    block(&s, 0, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"a\\n\""));
    block(&s, 1, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"\""));
    block(&s, 2, CANON_TEXT, CANON_DELTA_CITATION, SLICE("{\"url\":\"u\"}"));
    block(&s, 3, CANON_REFUSAL, CANON_DELTA_TEXT, SLICE("\"no\""));
    block(&s, 4, CANON_WEB_SEARCH, CANON_DELTA_TEXT, SLICE("\"q\""));
    block(&s, 5, CANON_TEXT, CANON_DELTA_LOGPROBS, SLICE("[{}]"));
    PUT(&s, .kind = CANON_STOP, .stop = CANON_STOP_LENGTH);
    PUT(&s, .kind = CANON_END);
    expect(&s, FIRST CHUNK("{'content':'a\\n'}") CHUNK("{'refusal':'no'}") FRAME
           "[{'index':0,'delta':{},'logprobs':{'content':[{}],'refusal':null},"
           "'finish_reason':null}]}\n\n" FINISH("length") DONE);
}

static void thoughts_are_counted(void **state)
{
    (void)state;
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    start(&s);
    PUT(&s, .kind = CANON_BLOCK_START, .block = CANON_THINKING);
    PUT(&s, .kind = CANON_BLOCK_DELTA, .block = CANON_THINKING, .text = SLICE("\"a\""));
    PUT(&s, .kind = CANON_BLOCK_DELTA, .block = CANON_THINKING, .delta = CANON_DELTA_SIGNATURE,
        .text = SLICE("\"s\""));
    PUT(&s, .kind = CANON_BLOCK_STOP, .block = CANON_THINKING);
    block(&s, 1, CANON_REDACTED_THINKING, CANON_DELTA_DATA, SLICE("\"d\""));
    block(&s, 2, CANON_THINKING, CANON_DELTA_TEXT, SLICE("\"b\""));
    expect(
        &s,
        FIRST CHUNK("{'reasoning':'a','reasoning_details':[{'index':0,'type':'reasoning.text',"
                    "'text':'a'}]}")
            CHUNK("{'reasoning_details':[{'index':0,'type':'reasoning.text','signature':'s'}]}")
                CHUNK("{'reasoning_details':[{'index':1,'type':'reasoning.encrypted','data':'d'}]}")
                    CHUNK(
                        "{'reasoning':'b','reasoning_details':[{'index':2,'type':'reasoning.text',"
                        "'text':'b'}]}"));
}

static void call(struct stream_desk *s, unsigned index, enum canon_tool_kind tool,
                 struct slice arguments)
{
    PUT(s, .kind = CANON_BLOCK_START, .index = index, .block = CANON_TOOL_CALL, .tool = tool,
        .id = SLICE("\"c\""), .name = SLICE("\"f\""));
    if (arguments.len > 0)
        PUT(s, .kind = CANON_BLOCK_DELTA, .index = index, .block = CANON_TOOL_CALL, .tool = tool,
            .text = arguments);
    PUT(s, .kind = CANON_BLOCK_STOP, .index = index, .block = CANON_TOOL_CALL, .tool = tool);
}

static void calls_are_counted(void **state)
{
    (void)state;
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    start(&s);
    block(&s, 0, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"a\""));
    call(&s, 1, CANON_TOOL_FUNCTION, SLICE("\"{\\\"a\\\":\""));
    call(&s, 2, CANON_TOOL_FUNCTION, SLICE_EMPTY);
    call(&s, 3, CANON_TOOL_CUSTOM, SLICE("\"q\""));
    call(&s, 4, CANON_TOOL_CUSTOM, SLICE_EMPTY);
    PUT(&s, .kind = CANON_STOP, .stop = CANON_STOP_TOOL);
#define BEGIN(n)                                                                                   \
    CHUNK("{'tool_calls':[{'index':" n ",'id':'c','type':'function','function':{'name':'f',"       \
          "'arguments':''}}]}")
#define BEGIN_CUSTOM(n)                                                                            \
    CHUNK("{'tool_calls':[{'index':" n ",'id':'c','type':'custom','custom':{'name':'f',"           \
          "'input':''}}]}")
    expect(&s, FIRST CHUNK("{'content':'a'}") BEGIN("0")
                   CHUNK("{'tool_calls':[{'index':0,'function':{'arguments':'{\\'a\\':'}}]}")
           // No arguments are an empty object.
           BEGIN("1") CHUNK("{'tool_calls':[{'index':1,'function':{'arguments':'{}'}}]}")
               BEGIN_CUSTOM("2") CHUNK("{'tool_calls':[{'index':2,'custom':{'input':'q'}}]}")
                   BEGIN_CUSTOM("3") FINISH("tool_calls"));
}

static void usage_is_written_last_when_told(void **state)
{
    (void)state;
    struct canon_usage first = {.known = true,
                                .input_tokens = 9,
                                .output_tokens = 1,
                                .cached_known = true,
                                .cached_read_tokens = 3,
                                .reasoning_known = true,
                                .reasoning_tokens = 1};
    struct canon_usage last = {.known = true, .input_tokens = 9, .output_tokens = 4};
    struct canon_usage unknown = {.known = false};
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    PUT(&s, .kind = CANON_START, .id = SLICE("\"x\""), .model = SLICE("\"m\""), .created_s = 5,
        .usage = first);
    PUT(&s, .kind = CANON_USAGE, .usage = last);
    PUT(&s, .kind = CANON_STOP, .stop = CANON_STOP_END);
    PUT(&s, .kind = CANON_USAGE, .usage = unknown);
    PUT(&s, .kind = CANON_END);
    expect(&s, FIRST FINISH("stop") FRAME
           "[],'usage':{'prompt_tokens':9,'completion_tokens':4,'total_tokens':13,"
           "'prompt_tokens_details':{'cached_tokens':3},"
           "'completion_tokens_details':{'reasoning_tokens':1}}}\n\n" DONE);
}

static void what_the_provider_left_out_is_made(void **state)
{
    (void)state;
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    PUT(&s, .kind = CANON_START, .system_fingerprint = SLICE("\"fp\""),
        .service_tier = SLICE("\"flex\""));
    PUT(&s, .kind = CANON_END); // no reason was given
#define MADE                                                                                       \
    "data: {'id':'chatcmpl-req-1','object':'chat.completion.chunk','created':7,"                   \
    "'model':'sent-model','service_tier':'flex','system_fingerprint':'fp','choices':[{'index':0,"  \
    "'delta':"
    expect(&s,
           MADE "{'role':'assistant','content':''},'logprobs':null,'finish_reason':null}]}\n\n" MADE
                "{},'logprobs':null,'finish_reason':'stop'}]}\n\n" DONE);
}

static void text_completions_have_only_text(void **state)
{
    (void)state;
    struct canon_usage usage = {.known = true, .input_tokens = 1, .output_tokens = 2};
    struct stream_desk s;
    stream_open(&s, &dialect_openai_text);
    PUT(&s, .kind = CANON_START, .model = SLICE("\"m\""), .created_s = 5);
    block(&s, 0, CANON_THINKING, CANON_DELTA_TEXT, SLICE("\"t\""));
    block(&s, 1, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"a\""));
    block(&s, 2, CANON_TEXT, CANON_DELTA_LOGPROBS, SLICE("{}"));
    call(&s, 3, CANON_TOOL_FUNCTION, SLICE_EMPTY);
    PUT(&s, .kind = CANON_STOP, .stop = CANON_STOP_TOOL);
    PUT(&s, .kind = CANON_USAGE, .usage = usage);
    PUT(&s, .kind = CANON_END);
#define TEXT_FRAME                                                                                 \
    "data: {'id':'cmpl-req-1','object':'text_completion','created':5,'model':'m','choices':"
    expect(&s, TEXT_FRAME
           "[{'index':0,'text':'a','logprobs':null,'finish_reason':null}]}\n\n" TEXT_FRAME
           "[{'index':0,'text':'','logprobs':null,'finish_reason':'stop'}]}\n\n" TEXT_FRAME
           "[],'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}}\n\n" DONE);
}

static int write_much(struct desk *d)
{
    struct canon_writer w = {.dialect = &dialect_openai_chat,
                             .arena = &d->arena,
                             .context = {.model = SLICE("m"), .id = SLICE("r")},
                             .out = &d->w};
    static const struct canon_event events[] = {
        {.kind = CANON_START},
        {.kind = CANON_BLOCK_START},
        {.kind = CANON_BLOCK_DELTA, .text = SLICE("\"a\"")},
        {.kind = CANON_BLOCK_STOP},
        {.kind = CANON_STOP, .stop = CANON_STOP_END},
        {.kind = CANON_END},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && rc == 0; i++)
        rc = openai__write_event(&w, &events[i]);
    return rc;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(write_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text),
        cmocka_unit_test(thoughts_are_counted),
        cmocka_unit_test(calls_are_counted),
        cmocka_unit_test(usage_is_written_last_when_told),
        cmocka_unit_test(what_the_provider_left_out_is_made),
        cmocka_unit_test(text_completions_have_only_text),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
