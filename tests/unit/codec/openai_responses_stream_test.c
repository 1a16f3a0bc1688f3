// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_stream_test.c: canonical events become a client's stream; limits and memory.
#include <stdio.h>

#include "openai_responses_desk.h"

struct stream {
    struct desk d;
    struct canon_writer w;
    unsigned seen;     // bytes compared so far
    unsigned sequence; // of the next event
};

static void stream_open(struct stream *s, size_t bytes_max, const char *request)
{
    static char buffer[TEXT_BYTES];
    memset(s, 0, sizeof(*s));
    desk_open(&s->d, bytes_max);
    s->w = (struct canon_writer){
        .dialect = &dialect_openai_responses,
        .arena = &s->d.arena,
        .context = {.now_s = 9,
                    .model = SLICE("m"),
                    .id = SLICE("r"),
                    .request = text_in(buffer, request)},
        .out = &s->d.w,
    };
}

static int put(struct stream *s, struct canon_event e)
{
    return responses__write_event(&s->w, &e);
}

static int put_start(struct stream *s)
{
    return put(s, (struct canon_event){.kind = CANON_START, .id = SLICE("\"msg_01\"")});
}

static int put_block(struct stream *s, enum canon_block_kind block)
{
    return put(s, (struct canon_event){.kind = CANON_BLOCK_START,
                                       .block = block,
                                       .id = SLICE("\"c\""),
                                       .name = SLICE("\"f\"")});
}

static int put_delta(struct stream *s, enum canon_block_kind block, enum canon_delta_kind delta,
                     struct slice text)
{
    return put(s, (struct canon_event){
                      .kind = CANON_BLOCK_DELTA, .block = block, .delta = delta, .text = text});
}

static int put_stop(struct stream *s, enum canon_block_kind block)
{
    return put(s, (struct canon_event){.kind = CANON_BLOCK_STOP, .block = block});
}

// What was written since the last time, a line an event: its type without "response.", then its
// members. That types and sequence numbers are right is seen to here.
static void expect(struct stream *s, const char *events)
{
    char text[TEXT_BYTES];
    size_t len = 0;
    struct slice got;
    assert_int_equal(json_writer_done(&s->d.w, &got), 0);
    struct slice rest = slice_skip(got, s->seen);
    s->seen = (unsigned)got.len;
    while (rest.len > 0) {
        struct json_scanner scan;
        assert_true(slice_starts(rest, SLICE("event: ")));
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice type = slice_take(slice_skip(rest, 7), (size_t)end - 7);
        rest = slice_skip(rest, (size_t)end + 1);
        assert_true(slice_starts(rest, SLICE("data: ")));
        end = slice_find(rest, SLICE("\n\n"));
        assert_true(end > 0);
        struct slice data = slice_take(slice_skip(rest, 6), (size_t)end - 6);
        rest = slice_skip(rest, (size_t)end + 2);
        assert_int_equal(json_scan(&scan, data, NULL, 0, 0), 0);
        assert_true(slice_eq(literal_inner(json_object_get(data, SLICE("type")).value), type));
        char head[128];
        int head_len = snprintf(head, sizeof(head), "{\"type\":\"%.*s\",\"sequence_number\":%u",
                                SLICE_ARG(type), s->sequence++);
        assert_true(slice_starts(data, slice_of(head, (size_t)head_len)));
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s%.*s\n",
                                SLICE_ARG(slice_skip(type, sizeof("response.") - 1)),
                                SLICE_ARG(slice_skip(data, (size_t)head_len)));
    }
    expect_text(slice_of(text, len), events);
}

#define FRAME(status, details)                                                                     \
    "{'id':'resp_01','object':'response','created_at':9,'status':" status ",'error':null,"         \
    "'incomplete_details':" details ",'instructions':null,'metadata':{},'model':'m','output':["
#define FRAME_RUNNING    FRAME("'in_progress'", "null")
#define FRAME_COMPLETED  FRAME("'completed'", "null")
#define FRAME_INCOMPLETE FRAME("'incomplete'", "{'reason':'max_output_tokens'}")
#define FRAME_END                                                                                  \
    "],'parallel_tool_calls':true,'temperature':null,'tool_choice':'auto','tools':[],'top_p':"     \
    "null,"

static void begin(struct stream *s)
{
    stream_open(s, 64 << 20, "{}");
    assert_int_equal(put_start(s), 0);
    expect(s, "created,'response':" FRAME_RUNNING FRAME_END "'usage':null}}\n"
              "in_progress,'response':" FRAME_RUNNING FRAME_END "'usage':null}}\n");
}

static void texts_are_parts_of_one_message(void **state)
{
    (void)state;
    struct stream s;
    begin(&s);
    assert_int_equal(put_block(&s, CANON_TEXT), 0);
    assert_int_equal(
        put_delta(&s, CANON_TEXT, CANON_DELTA_CITATION, SLICE("{\"url\":\"u\",\"title\":\"t\"}")),
        0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_CITATION, SLICE("{\"page\":1}")), 0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"a\\n\"")), 0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"\"")), 0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_TEXT, SLICE("\"b\"")), 0);
    assert_int_equal(put_stop(&s, CANON_TEXT), 0);
#define OF   "'item_id':'msg_01_0','output_index':0,'content_index':0"
#define NOTE "{'type':'url_citation','start_index':0,'end_index':3,'title':'t','url':'u'}"
#define PART "{'type':'output_text','text':'a\\nb','annotations':[" NOTE "],'logprobs':[]}"
    expect(&s, "output_item.added,'output_index':0,'item':{'id':'msg_01_0','type':"
               "'message','status':'in_progress','role':'assistant','content':[]}}\n"
               "content_part.added," OF ",'part':{'type':'output_text','text':'',"
               "'annotations':[],'logprobs':[]}}\n"
               "output_text.delta," OF ",'delta':'a\\n','logprobs':[]}\n"
               "output_text.delta," OF ",'delta':'b','logprobs':[]}\n"
               "output_text.annotation.added," OF ",'annotation_index':0,'annotation':" NOTE "}\n"
               "output_text.done," OF ",'text':'a\\nb','logprobs':[]}\n"
               "content_part.done," OF ",'part':" PART "}\n");
    assert_int_equal(put_block(&s, CANON_REFUSAL), 0);
    assert_int_equal(put_delta(&s, CANON_REFUSAL, CANON_DELTA_TEXT, SLICE("\"no\"")), 0);
    assert_int_equal(put_stop(&s, CANON_REFUSAL), 0);
#undef OF
#define OF "'item_id':'msg_01_0','output_index':0,'content_index':1"
    expect(&s, "content_part.added," OF ",'part':{'type':'refusal','refusal':''}}\n"
               "refusal.delta," OF ",'delta':'no'}\n"
               "refusal.done," OF ",'refusal':'no'}\n"
               "content_part.done," OF ",'part':{'type':'refusal','refusal':'no'}}\n");
    assert_int_equal(put(&s, (struct canon_event){.kind = CANON_STOP, .stop = CANON_STOP_LENGTH}),
                     0);
    assert_int_equal(put(&s, (struct canon_event){.kind = CANON_USAGE,
                                                  .usage = {.known = true, .input_tokens = 2}}),
                     0);
    assert_int_equal(put(&s, (struct canon_event){.kind = CANON_END}), 0);
#define ITEM                                                                                       \
    "{'id':'msg_01_0','type':'message','status':'completed','role':'assistant','content':[" PART   \
    ",{'type':'refusal','refusal':'no'}]}"
    expect(&s, "output_item.done,'output_index':0,'item':" ITEM "}\n"
               "incomplete,'response':" FRAME_INCOMPLETE ITEM FRAME_END
               "'usage':{'input_tokens':2,'input_tokens_details':{'cache_write_tokens':0,"
               "'cached_tokens':0},'output_tokens':0,'output_tokens_details':{'reasoning_tokens':0}"
               ",'total_tokens':2}}}\n");
    desk_close(&s.d);
#undef OF
#undef PART
#undef ITEM
}

static void calls(void **state)
{
    (void)state;
    struct stream s;
    begin(&s);
    assert_int_equal(put_block(&s, CANON_TOOL_CALL), 0);
    assert_int_equal(put_delta(&s, CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE("\"{\\\"a\\\"\"")), 0);
    assert_int_equal(put_delta(&s, CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE("\":1}\"")), 0);
    assert_int_equal(put_stop(&s, CANON_TOOL_CALL), 0);
    assert_int_equal(put_block(&s, CANON_TOOL_CALL), 0);
    assert_int_equal(put_stop(&s, CANON_TOOL_CALL), 0);
    assert_int_equal(put(&s, (struct canon_event){.kind = CANON_END}), 0);
#define CALL_0  "{'id':'fc_01_0','type':'function_call',"
#define CALL_1  "{'id':'fc_01_1','type':'function_call',"
#define RUNNING "'status':'in_progress','call_id':'c','name':'f','arguments':''}"
#define DONE    "'status':'completed','call_id':'c','name':'f','arguments':'"
    expect(&s, "output_item.added,'output_index':0,'item':" CALL_0 RUNNING "}\n"
               "function_call_arguments.delta,'item_id':'fc_01_0','output_index':0,"
               "'delta':'{\\'a\\''}\n"
               "function_call_arguments.delta,'item_id':'fc_01_0','output_index':0,'delta':':1}'}\n"
               "function_call_arguments.done,'item_id':'fc_01_0','output_index':0,"
               "'arguments':'{\\'a\\':1}'}\n"
               "output_item.done,'output_index':0,'item':" CALL_0 DONE "{\\'a\\':1}'}}\n"
               "output_item.added,'output_index':1,'item':" CALL_1 RUNNING "}\n"
               "function_call_arguments.delta,'item_id':'fc_01_1','output_index':1,'delta':'{}'}\n"
               "function_call_arguments.done,'item_id':'fc_01_1','output_index':1,"
               "'arguments':'{}'}\n"
               "output_item.done,'output_index':1,'item':" CALL_1 DONE "{}'}}\n"
               "completed,'response':" FRAME_COMPLETED CALL_0 DONE "{\\'a\\':1}'}," CALL_1 DONE
               "{}'}" FRAME_END "'usage':null}}\n");
    desk_close(&s.d);
}

static void a_custom_tool_taken_for_a_function(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s, 64 << 20, "{'tools':[{'type':'custom','name':'f'}]}");
    assert_int_equal(put_start(&s), 0);
    s.seen = (unsigned)s.d.w.len;
    s.sequence = 2;
    assert_int_equal(put_block(&s, CANON_TOOL_CALL), 0);
    assert_int_equal(
        put_delta(&s, CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE("\"{\\\"input\\\": \"")), 0);
    assert_int_equal(put_delta(&s, CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE("\"\\\"x\\\\n\\\"}\"")),
                     0);
    assert_int_equal(put_stop(&s, CANON_TOOL_CALL), 0);
#define CUSTOM "{'id':'ctc_01_0','type':'custom_tool_call','call_id':'c','name':'f','input':'"
    expect(&s,
           "output_item.added,'output_index':0,'item':" CUSTOM "'}}\n"
           "custom_tool_call_input.delta,'item_id':'ctc_01_0','output_index':0,'delta':'x\\n'}\n"
           "custom_tool_call_input.done,'item_id':'ctc_01_0','output_index':0,'input':'x\\n'}\n"
           "output_item.done,'output_index':0,'item':" CUSTOM "x\\n'}}\n");
    desk_close(&s.d);
}

static void what_is_repeated_stays_on_its_line(void **state)
{
    (void)state;
    struct stream s;
    stream_open(&s, 64 << 20, "{'metadata':{\n'a':\r\n'b'}}");
    assert_int_equal(put_start(&s), 0);
    struct slice got;
    assert_int_equal(json_writer_done(&s.d.w, &got), 0);
    assert_true(slice_find(got, SLICE("\"metadata\":{\"a\":\"b\"}")) > 0);
    desk_close(&s.d);
}

static void a_custom_tools_own_call(void **state)
{
    (void)state;
    struct stream s;
    begin(&s);
    assert_int_equal(put(&s, (struct canon_event){.kind = CANON_BLOCK_START,
                                                  .block = CANON_TOOL_CALL,
                                                  .tool = CANON_TOOL_CUSTOM,
                                                  .id = SLICE("\"c\""),
                                                  .name = SLICE("\"f\"")}),
                     0);
    assert_int_equal(put_delta(&s, CANON_TOOL_CALL, CANON_DELTA_TEXT, SLICE("\"x\"")), 0);
    assert_int_equal(put_stop(&s, CANON_TOOL_CALL), 0);
    expect(&s, "output_item.added,'output_index':0,'item':" CUSTOM "'}}\n"
               "custom_tool_call_input.delta,'item_id':'ctc_01_0','output_index':0,'delta':'x'}\n"
               "custom_tool_call_input.done,'item_id':'ctc_01_0','output_index':0,'input':'x'}\n"
               "output_item.done,'output_index':0,'item':" CUSTOM "x'}}\n");
    desk_close(&s.d);
}

static void thoughts_and_searches(void **state)
{
    (void)state;
    struct stream s;
    begin(&s);
    assert_int_equal(put_block(&s, CANON_THINKING), 0);
    assert_int_equal(put_delta(&s, CANON_THINKING, CANON_DELTA_TEXT, SLICE("\"t\"")), 0);
    assert_int_equal(put_delta(&s, CANON_THINKING, CANON_DELTA_SIGNATURE, SLICE("\"S\"")), 0);
    assert_int_equal(put_stop(&s, CANON_THINKING), 0);
#define OF "'item_id':'rs_01_0','output_index':0,'summary_index':0"
    expect(&s, "output_item.added,'output_index':0,'item':{'id':'rs_01_0','type':"
               "'reasoning','summary':[]}}\n"
               "reasoning_summary_part.added," OF ",'part':{'type':'summary_text','text':"
               "''}}\n"
               "reasoning_summary_text.delta," OF ",'delta':'t'}\n"
               "reasoning_summary_text.done," OF ",'text':'t'}\n"
               "reasoning_summary_part.done," OF ",'part':{'type':'summary_text','text':"
               "'t'}}\n"
               "output_item.done,'output_index':0,'item':{'id':'rs_01_0','type':"
               "'reasoning','summary':[{'type':'summary_text','"
               "text':'t'}],'encrypted_content':"
               "'claude:S'}}\n");
    assert_int_equal(put_block(&s, CANON_REDACTED_THINKING), 0);
    assert_int_equal(put_delta(&s, CANON_REDACTED_THINKING, CANON_DELTA_DATA, SLICE("\"D\"")), 0);
    assert_int_equal(put_stop(&s, CANON_REDACTED_THINKING), 0);
    expect(&s, "output_item.added,'output_index':1,'item':{'id':'rs_01_1','type':"
               "'reasoning','summary':[]}}\n"
               "output_item.done,'output_index':1,'item':{'id':'rs_01_1','type':"
               "'reasoning','summary':[],'encrypted_content':'claude-redacted:D'}}\n");
    assert_int_equal(put_block(&s, CANON_WEB_SEARCH), 0);
    assert_int_equal(put_delta(&s, CANON_WEB_SEARCH, CANON_DELTA_TEXT, SLICE("\"q\"")), 0);
    assert_int_equal(put_stop(&s, CANON_WEB_SEARCH), 0);
    expect(&s, "output_item.added,'output_index':2,'item':{'id':'ws_01_2','type':"
               "'web_search_call','status':'in_progress','action':{'type':'search'}}}\n"
               "web_search_call.in_progress,'item_id':'ws_01_2','output_index':2}\n"
               "web_search_call.searching,'item_id':'ws_01_2','output_index':2}\n"
               "web_search_call.completed,'item_id':'ws_01_2','output_index':2}\n"
               "output_item.done,'output_index':2,'item':{'id':'ws_01_2','type':"
               "'web_search_call','status':'completed','action':{'"
               "type':'search','query':'q'}}}\n");
    assert_int_equal(put_block(&s, CANON_IMAGE), 0);
    assert_int_equal(put_stop(&s, CANON_IMAGE), 0);
    expect(&s, "");
    desk_close(&s.d);
#undef OF
}

static void log_probabilities_of_both_shapes(void **state)
{
    (void)state;
    struct stream s;
    begin(&s);
    assert_int_equal(put_block(&s, CANON_TEXT), 0);
    s.seen = (unsigned)s.d.w.len;
    s.sequence = 4;
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_LOGPROBS, SLICE("[{\"token\":\"a\"}]")),
                     0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_LOGPROBS,
                               SLICE("{\"content\":[{\"token\":\"b\"}],\"refusal\":null}")),
                     0);
    assert_int_equal(put_delta(&s, CANON_TEXT, CANON_DELTA_LOGPROBS, SLICE("{\"content\":null}")),
                     0);
    assert_int_equal(put_stop(&s, CANON_TEXT), 0);
#define OF "'item_id':'msg_01_0','output_index':0,'content_index':0"
    expect(&s, "output_text.delta," OF ",'delta':'','logprobs':[{'token':'a'}]}\n"
               "output_text.delta," OF ",'delta':'','logprobs':[{'token':'b'}]}\n"
               "output_text.done," OF ",'text':'','logprobs':[{'token':'a'},{'token':'b'}]"
               "}\n"
               "content_part.done," OF ",'part':{'type':'output_text','text':'',"
               "'annotations':[],'logprobs':[{'token':'a'"
               "},{'token':'b'}]}}\n");
    desk_close(&s.d);
#undef OF
}

static void what_is_repeated_has_a_ceiling(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20 };
    struct stream s;
    int rc = 0;
    unsigned pieces = 0;
    stream_open(&s, (size_t)1 << 30, "{}");
    char *piece = arena_large(&s.d.arena, PIECE + 2);
    memset(piece, 'x', PIECE + 2);
    piece[0] = piece[PIECE + 1] = '"';
    assert_int_equal(put_start(&s), 0);
    assert_int_equal(put_block(&s, CANON_THINKING), 0);
    for (; rc == 0; pieces++) {
        rc = put_delta(&s, CANON_THINKING, CANON_DELTA_TEXT, slice_of(piece, PIECE + 2));
        s.d.w.len = 0; // sent
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(pieces, CANON_REPEAT_BYTES_MAX / PIECE + 1);
    desk_close(&s.d);
}

// Every kind of event, in an arena of so many bytes.
static int play_all(size_t bytes_max)
{
    static const enum canon_block_kind kinds[] = {CANON_TEXT, CANON_THINKING, CANON_TOOL_CALL,
                                                  CANON_WEB_SEARCH, CANON_REFUSAL};
    struct stream s;
    stream_open(&s, bytes_max, "{'tools':[{'type':'custom','name':'f'}],'top_p':1}");
    int rc = put_start(&s);
    for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        rc = put_block(&s, kinds[i]);
        if (rc == 0)
            rc = put_delta(&s, kinds[i], CANON_DELTA_TEXT, SLICE("\"{\\\"input\\\":\\\"i\\\"}\""));
        if (rc == 0 && kinds[i] == CANON_THINKING)
            rc = put_delta(&s, kinds[i], CANON_DELTA_SIGNATURE, SLICE("\"s\""));
        if (rc == 0 && kinds[i] == CANON_TEXT)
            rc = put_delta(&s, kinds[i], CANON_DELTA_CITATION, SLICE("{\"url\":\"u\"}"));
        if (rc == 0)
            rc = put_stop(&s, kinds[i]);
    }
    if (rc == 0)
        rc = put(&s, (struct canon_event){.kind = CANON_END});
    desk_close(&s.d);
    return rc;
}

static void every_refused_allocation_is_survived(void **state)
{
    (void)state;
    unsigned failures = 0;
    int rc = ERR_NOMEM;
    for (size_t bytes = 0; rc; bytes += 512, failures++) {
        rc = play_all(bytes);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_parts_of_one_message),
        cmocka_unit_test(calls),
        cmocka_unit_test(a_custom_tool_taken_for_a_function),
        cmocka_unit_test(what_is_repeated_stays_on_its_line),
        cmocka_unit_test(a_custom_tools_own_call),
        cmocka_unit_test(thoughts_and_searches),
        cmocka_unit_test(log_probabilities_of_both_shapes),
        cmocka_unit_test(what_is_repeated_has_a_ceiling),
        cmocka_unit_test(every_refused_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
