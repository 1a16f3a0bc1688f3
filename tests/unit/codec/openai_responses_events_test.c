// SPDX-License-Identifier: Apache-2.0
//
// openai_responses_events_test.c: a provider's stream becomes canonical events, shown as one line
// of text: +kind begins a block, -kind ends it, what stands between are its deltas.
#include <stdio.h>

#include "openai_responses_desk.h"

struct tape {
    struct canon_sink sink;
    char text[TEXT_BYTES];
    size_t len;
    int refuse; // what take answers
};

static const char *const kinds[CANON_BLOCK_KIND_COUNT] = {"text",   "refusal", "image",    "file",
                                                          "audio",  "think",   "redacted", "call",
                                                          "result", "search",  "opaque"};

static void print(struct tape *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(struct tape *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    t->len += (size_t)vsnprintf(t->text + t->len, sizeof(t->text) - t->len, format, args);
    va_end(args);
    assert_true(t->len < sizeof(t->text));
}

static void print_block(struct tape *t, const struct canon_event *e)
{
    static const char *const deltas[] = {"", "sig=", "data=", "cite=", "log="};
    if (e->kind == CANON_BLOCK_START)
        print(t, "+%s%s%u(%.*s,%.*s) ", kinds[e->block], e->tool == CANON_TOOL_CUSTOM ? "!" : "",
              e->index, SLICE_ARG(e->id), SLICE_ARG(e->name));
    else if (e->kind == CANON_BLOCK_DELTA)
        print(t, "%s%.*s ", deltas[e->delta], SLICE_ARG(e->text));
    else
        print(t, "-%s%u ", kinds[e->block], e->index);
}

static int take(struct canon_sink *sink, const struct canon_event *e)
{
    struct tape *t = (struct tape *)sink;
    switch (e->kind) {
    case CANON_START:
        print(t, "START(%.*s,%.*s,%u) ", SLICE_ARG(e->id), SLICE_ARG(e->model),
              (unsigned)e->created_s);
        break;
    case CANON_STOP:
        print(t, "STOP%d ", (int)e->stop);
        break;
    case CANON_USAGE:
        print(t, "USAGE(%u,%u,%u,%u) ", (unsigned)e->usage.input_tokens,
              (unsigned)e->usage.cached_read_tokens, (unsigned)e->usage.output_tokens,
              (unsigned)e->usage.reasoning_tokens);
        break;
    case CANON_END:
        print(t, "END ");
        break;
    case CANON_ERROR:
        print(t, "ERROR(%u,%.*s,%.*s,%.*s,%.*s) ", e->error.status, SLICE_ARG(e->error.type),
              SLICE_ARG(e->error.code), SLICE_ARG(e->error.message), SLICE_ARG(e->error.param));
        break;
    default:
        print_block(t, e);
        break;
    }
    return t->refuse;
}

// Events separated by line feeds, each the data of one; 0 or the first error.
static int play_within(struct tape *t, const char *events, size_t bytes_max, int refuse)
{
    static char buffer[TEXT_BYTES];
    struct canon_reader r = {.dialect = &dialect_openai_responses};
    struct desk d;
    int rc = 0;
    desk_open(&d, bytes_max);
    r.arena = &d.arena;
    memset(t, 0, sizeof(*t));
    t->sink.take = take;
    t->refuse = refuse;
    struct slice rest = text_in(buffer, events);
    while (rc == 0 && rest.len > 0) {
        ptrdiff_t end = slice_find_char(rest, '\n');
        struct slice line = end < 0 ? rest : slice_take(rest, (size_t)end);
        struct sse_event event = {.data = line, .has_data = true};
        rc = responses__read_event(&r, &event, &t->sink);
        rest = end < 0 ? SLICE_EMPTY : slice_skip(rest, (size_t)end + 1);
    }
    desk_close(&d);
    return rc;
}

static int play(struct tape *t, const char *events)
{
    return play_within(t, events, 1 << 20, 0);
}

static void expect(const char *events, const char *canonical)
{
    char buffer[TEXT_BYTES];
    struct tape t;
    text_in(buffer, canonical);
    assert_int_equal(play(&t, events), 0);
    assert_string_equal(t.text, buffer);
}

#define CREATED                                                                                    \
    "{'type':'response.created','sequence_number':0,'response':{'id':'resp_1','created_at':7,"     \
    "'model':'m','status':'in_progress','output':[],'usage':null}}\n"
#define STARTED "START('resp_1','m',7) "
#define COMPLETED                                                                                  \
    "{'type':'response.completed','response':{'status':'completed','incomplete_details':null,"     \
    "'usage':{'input_tokens':5,'input_tokens_details':{'cached_tokens':2},'output_tokens':3,"      \
    "'output_tokens_details':{'reasoning_tokens':1}}}}\n"
#define AT(o)      "'output_index':" #o
#define IN(o, c)   "'output_index':" #o ",'content_index':" #c
#define TEXT(p, t) "{'type':'response.output_text.delta'," p ",'delta':'" t "','logprobs':[]}\n"

static void a_text_in_pieces(void **state)
{
    (void)state;
    expect(
        CREATED
        "{'type':'response.in_progress','response':{'id':'resp_1'}}\n"
        "{'type':'response.output_item.added'," AT(
            0) ",'item':{'id':'msg_1','type':"
               "'message','status':'in_progress','content':[]}}\n"
               "{'type':'response.content_part.added'," IN(
                   0,
                   0) ",'part':{'type':"
                      "'output_text','text':''}}\n" TEXT(IN(0, 0), "a\\n") TEXT(IN(0, 0), "")
                          TEXT(IN(0, 0), "b") "{'type':'response.output_text.annotation.added'," IN(
                              0, 0) ",'annotation':{'url':'u'}}\n"
                                    "{'type':'response.output_text.done'," IN(
                                        0,
                                        0) ",'text':'a\\nb'}\n"
                                           "{'type':'response.content_part.done'," IN(
                                               0,
                                               0) ",'part':{}}\n" TEXT(IN(0, 1),
                                                                       "c") "{'type':'response."
                                                                            "output_item.done'"
                                                                            "," AT(0) ",'item':{"
                                                                                      "'type':'"
                                                                                      "message'}"
                                                                                      "}"
                                                                                      "\n" COMPLETED
                                                                                      "[DONE]\n",
        STARTED "+text0(,) 'a\\n' 'b' cite={'url':'u'} -text0 +text1(,) 'c' -text1 "
                "STOP1 USAGE(5,2,3,1) END ");
}

static void calls_one_after_another(void **state)
{
    (void)state;
    expect(
        CREATED "{'type':'response.output_item.added'," AT(
            0) ",'item':{'type':'function_call',"
               "'call_id':'c1','name':'f','arguments':''}}\n"
               "{'type':'response.function_call_arguments.delta'," AT(
                   0) ",'delta':'{',"
                      "'obfuscation':'x'}\n"
                      "{'type':'response.function_call_arguments.delta'," AT(
                          0) ",'delta':'}'}\n"
                             "{'type':'response.function_call_arguments.done'," AT(
                                 0) ",'arguments':'{}'}\n"
                                    "{'type':'response.output_item.done'," AT(
                                        0) ",'item':{'type':'function_call',"
                                           "'arguments':'{}'}}\n"
                                           "{'type':'response.output_item.added'," AT(
                                               1) ",'item':{'type':"
                                                  "'custom_tool_call','call_id':'c2','name':'g','"
                                                  "input':''}}\n"
                                                  "{'type':'response.custom_tool_call_input.delta'"
                                                  "," AT(1) ",'delta':'raw'}\n"
                                                            "{'type':'response.custom_tool_call_"
                                                            "input.done'," AT(
                                                                1) ",'input':'raw'}\n"
                                                                   "{'type':'response.output_item."
                                                                   "added'," AT(
                                                                       2) ",'item':{'type':'"
                                                                          "function_call',"
                                                                          "'call_id':'c3','name':'"
                                                                          "h'}}\n" COMPLETED,
        STARTED "+call0('c1','f') '{' '}' -call0 +call!1('c2','g') 'raw' -call1 "
                "+call2('c3','h') -call2 STOP4 USAGE(5,2,3,1) END ");
}

static void what_had_no_pieces_is_given_whole(void **state)
{
    (void)state;
    expect(CREATED "{'type':'response.output_text.done'," IN(
               0, 0) ",'text':'all'}\n"
                     "{'type':'response.refusal.done'," IN(
                         0, 1) ",'refusal':'no'}\n"
                               "{'type':'response.output_item.added'," AT(
                                   1) ",'item':{'type':'function_call',"
                                      "'call_id':'c1','name':'f'}}\n"
                                      "{'type':'response.function_call_arguments.done'," AT(
                                          1) ",'arguments':'{}'}\n"
                                             "{'type':'response.output_item.added'," AT(
                                                 2) ",'item':{'type':'function_call',"
                                                    "'call_id':'c2','name':'f'}}\n"
                                                    "{'type':'response.output_item.done'," AT(
                                                        2) ",'item':{'type':'function_call',"
                                                           "'arguments':'[]'}}\n" COMPLETED,
           STARTED "+text0(,) 'all' -text0 +refusal1(,) 'no' -refusal1 +call2('c1','f') '{}' "
                   "-call2 +call3('c2','f') '[]' -call3 STOP5 USAGE(5,2,3,1) END ");
}

#define THOUGHT(o, s, t)                                                                           \
    "{'type':'response.reasoning_summary_text.delta'," AT(o) ",'summary_index':" #s ",'delta':'" t \
                                                             "'}\n"

static void thoughts_and_their_seals(void **state)
{
    (void)state;
    expect(
        CREATED "{'type':'response.output_item.added'," AT(
            0) ",'item':{'type':'reasoning',"
               "'summary':[]}}\n"
               "{'type':'response.reasoning_summary_part.added'," AT(
                   0) ",'summary_index':0}\n" THOUGHT(0, 0, "a") THOUGHT(0, 0, "b")
                   THOUGHT(0, 1, "c") "{'type':'response.reasoning_text.delta'," IN(
                       0,
                       0) ",'delta':'hidden'}\n"
                          "{'type':'response.output_item.done'," AT(
                              0) ",'item':{'id':'rs_1','type':"
                                 "'reasoning','encrypted_content':'g'}}\n"
                                 "{'type':'response.output_item.done'," AT(
                                     1) ",'item':{'id':'rs_2','type':"
                                        "'reasoning','summary':[]}}\n"
                                        "{'type':'response.output_item.done'," AT(
                                            2) ",'item':{'id':'rs_3','type':"
                                               "'reasoning','encrypted_content':'h'}}\n"
                                               "{'type':'response.output_item.done'," AT(
                                                   3) ",'item':{'id':'rs_4','type':"
                                                      "'reasoning','encrypted_content':'claude-"
                                                      "redacted:D'}}\n"
                                                      "{'type':'response.reasoning_text.delta'," IN(
                                                          4, 0) ",'delta':'t'}\n"
                                                                "{'type':'response.reasoning_text."
                                                                "delta'," IN(
                                                                    4,
                                                                    1) ",'delta':'u'}\n" COMPLETED,
        STARTED "+think0(,) 'a' 'b' '\\n\\n' 'c' sig='openai:rs_1:g' -think0 "
                "+think1(,) sig='openai:rs_3:h' -think1 +redacted2(,) data='D' -redacted2 "
                "+think3(,) 't' '\\n\\n' 'u' -think3 STOP1 USAGE(5,2,3,1) END ");
}

static void searches_and_unknown_items(void **state)
{
    (void)state;
    expect(CREATED "{'type':'response.output_item.added'," AT(
               0) ",'item':{'id':'ws_1','type':"
                  "'web_search_call'}}\n"
                  "{'type':'response.web_search_call.searching'," AT(
                      0) "}\n"
                         "{'type':'response.output_item.done'," AT(
                             0) ",'item':{'id':'ws_1','type':"
                                "'web_search_call','action':{'type':'search','query':'q'}}}\n"
                                "{'type':'response.output_item.added'," AT(
                                    1) ",'item':{'type':'mcp_call'}}\n"
                                       "{'type':'response.mcp_call_arguments.delta'," AT(
                                           1) ",'delta':7}\n"
                                              "{'type':'response.output_item.done'," AT(
                                                  1) ",'item':{'type':'mcp_call'}}\n"
                                                     "{'type':'keepalive'}\n" COMPLETED,
           STARTED "+search0('ws_1',) 'q' -search0 STOP1 USAGE(5,2,3,1) END ");
}

static void log_probabilities_follow_their_text(void **state)
{
    (void)state;
    expect(CREATED "{'type':'response.output_text.delta'," IN(0, 0) ",'delta':'a','logprobs':"
                                                                    "[{'token':'a'}]}\n" COMPLETED,
           STARTED "+text0(,) 'a' log=[{'token':'a'}] -text0 STOP1 USAGE(5,2,3,1) END ");
}

static void why_it_ended(void **state)
{
    (void)state;
    expect("{'type':'response.incomplete','response':{'id':'r','status':'incomplete',"
           "'incomplete_details':{'reason':'max_output_tokens'}}}",
           "START('r',,0) STOP3 END ");
    expect("{'type':'response.incomplete','response':{'incomplete_details':{'reason':"
           "'content_filter'}}}",
           "START(,,0) STOP5 END ");
}

static void indices_may_be_left_out(void **state)
{
    (void)state;
    expect(CREATED "{'type':'response.output_text.delta','delta':'a'}\n"
                   "{'type':'response.output_text.delta','delta':'b'}\n"
                   "{'type':'response.output_item.added','item':{'type':'function_call','call_id':"
                   "'c','name':'f'}}\n"
                   "{'type':'response.function_call_arguments.delta','delta':'{}'}\n" COMPLETED,
           STARTED "+text0(,) 'a' 'b' -text0 +call1('c','f') '{}' -call1 STOP4 USAGE(5,2,3,1) "
                   "END ");
}

static void errors_end_it(void **state)
{
    (void)state;
    expect(CREATED "{'type':'error','code':'c','message':'m\\u0021','param':null}\n" COMPLETED,
           STARTED "ERROR(0,c,c,m!,) ");
    expect("{'type':'error','error':{'type':'t','code':null,'message':'m','param':'p'}}",
           "ERROR(0,t,,m,p) ");
    expect("{'type':'response.failed','response':{'error':{'code':'rate_limit_exceeded','message':"
           "'m'}}}",
           "ERROR(429,rate_limit_exceeded,rate_limit_exceeded,m,) ");
    expect("{'type':'response.failed','response':{'error':{'code':'server_error'}}}",
           "ERROR(500,server_error,server_error,,) ");
    expect("{'type':'response.failed'}", "ERROR(0,,,,) ");
    expect("{'error':{'message':'bare'}}", "ERROR(0,,,bare,) ");
}

static void the_event_line_counts_when_the_data_has_no_type(void **state)
{
    (void)state;
    struct tape t = {.sink.take = take};
    struct canon_reader r = {.dialect = &dialect_openai_responses};
    struct desk d;
    desk_open(&d, 1 << 20);
    r.arena = &d.arena;
    struct sse_event event = {.type = SLICE("response.output_text.delta"),
                              .data = SLICE("{\"delta\":\"a\"}"),
                              .has_data = true};
    assert_int_equal(responses__read_event(&r, &event, &t.sink), 0);
    event = (struct sse_event){.raw = SLICE(": ping\n\n")};
    assert_int_equal(responses__read_event(&r, &event, &t.sink), 0);
    assert_string_equal(t.text, "START(,,0) +text0(,) \"a\" ");
    desk_close(&d);
}

static void what_is_not_allowed(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "nothing",
        "[]",
        "{'type':'response.created'",
        "{'type':'error','type':'error'}",
        "{'type':'response.output_text.delta'}",
        "{'type':'response.output_text.delta','delta':7}",
        "{'type':'response.output_text.delta','delta':'a','output_index':'0'}",
        "{'type':'response.output_text.delta','delta':'a','output_index':-1}",
        "{'type':'response.output_text.delta','delta':'a','output_index':4294967295}",
        "{'type':'response.refusal.delta','delta':[]}",
        "{'type':'response.reasoning_summary_text.delta','delta':{}}",
        "{'type':'response.function_call_arguments.delta','output_index':3,'delta':'{'}",
        "{'type':'response.output_item.added','item':'x'}",
        "{'type':'response.output_item.added','item':{'type':'function_call','name':'f'}}",
        "{'type':'response.output_item.added','item':{'type':'function_call','call_id':'c'}}",
        "{'type':'response.completed'}",
        "{'type':'response.completed','response':[]}",
        TEXT(IN(1, 0), "a") TEXT(IN(0, 0), "b"),
        TEXT(IN(0, 1), "a") TEXT(IN(0, 0), "b"),
        TEXT(IN(0, 0), "a") "{'type':'response.content_part.done'}\n" TEXT(IN(0, 0), "b"),
        TEXT(IN(1, 0), "a") "{'type':'response.output_item.added','output_index':1,'item':{'type':"
                            "'function_call','call_id':'c','name':'f'}}",
    };
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct tape t;
        assert_int_equal(play(&t, streams[i]), ERR_BAD_SSE);
    }
}

static void blocks_have_a_ceiling(void **state)
{
    (void)state;
    struct tape t = {.sink.take = take};
    struct canon_reader r = {.dialect = &dialect_openai_responses};
    struct desk d;
    int rc = 0;
    unsigned i = 0;
    desk_open(&d, 1 << 20);
    r.arena = &d.arena;
    for (; rc == 0; i++) {
        char data[128];
        t.len = 0;
        int len = snprintf(data, sizeof(data),
                           "{\"type\":\"response.output_text.delta\",\"output_index\":%u,"
                           "\"content_index\":0,\"delta\":\"a\"}",
                           i);
        struct sse_event event = {.data = slice_of(data, (size_t)len), .has_data = true};
        rc = responses__read_event(&r, &event, &t.sink);
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(i, CANON_STREAM_BLOCKS_MAX + 1);
    desk_close(&d);
}

static void a_refusing_sink_and_no_memory(void **state)
{
    (void)state;
    struct tape t;
    assert_int_equal(play_within(&t, CREATED, 1 << 20, ERR_NOMEM), ERR_NOMEM);
    assert_int_equal(play_within(&t, "{'type':'error','message':'m'}", 0, 0), ERR_NOMEM);
    assert_int_equal(play_within(&t,
                                 "{'type':'response.output_item.done','item':{'type':'reasoning',"
                                 "'encrypted_content':'e'}}",
                                 0, 0),
                     ERR_NOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_in_pieces),
        cmocka_unit_test(calls_one_after_another),
        cmocka_unit_test(what_had_no_pieces_is_given_whole),
        cmocka_unit_test(thoughts_and_their_seals),
        cmocka_unit_test(searches_and_unknown_items),
        cmocka_unit_test(log_probabilities_follow_their_text),
        cmocka_unit_test(why_it_ended),
        cmocka_unit_test(indices_may_be_left_out),
        cmocka_unit_test(errors_end_it),
        cmocka_unit_test(the_event_line_counts_when_the_data_has_no_type),
        cmocka_unit_test(what_is_not_allowed),
        cmocka_unit_test(blocks_have_a_ceiling),
        cmocka_unit_test(a_refusing_sink_and_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
