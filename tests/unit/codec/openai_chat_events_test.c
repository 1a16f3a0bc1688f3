// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_events_test.c: what vendors really send becomes canonical events in canonical order.
#include "tests/unit/codec/openai_desk.h"

#define START "start('x','m',1)"

// Feeds the deltas, then [DONE]; all must be taken.
static void expect_deltas(const char *const *deltas, const char *want)
{
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    for (; *deltas; deltas++)
        assert_int_equal(stream_delta(&s, *deltas), 0);
    assert_int_equal(stream_feed(&s, "[DONE]"), 0);
    expect_said(&s.d, want);
    stream_close(&s);
}

#define EXPECT(want, ...) expect_deltas((const char *const[]){__VA_ARGS__, NULL}, want)

// The first ones are taken, the last one is malformed.
static void expect_malformed(const char *const *deltas)
{
    struct stream_desk s;
    stream_open(&s, &dialect_openai_chat);
    for (; deltas[1]; deltas++)
        assert_int_equal(stream_delta(&s, *deltas), 0);
    assert_int_equal(stream_delta(&s, *deltas), ERR_BAD_SSE);
    stream_close(&s);
}

#define MALFORMED(...) expect_malformed((const char *const[]){__VA_ARGS__, NULL})

static void texts_open_a_block_when_they_say_something(void **state)
{
    (void)state;
    EXPECT(START " [0 text 'a' 'b'] stop:end end", "{'role':'assistant','content':''}",
           "{'role':'assistant','content':'a'}", "{'role':'assistant','content':null}",
           "{'content':'b'}", "{}");
    EXPECT(START " [0 refusal 'no'] stop:end end", "{'content':null,'refusal':null}",
           "{'refusal':'no'}");
    EXPECT(START " [0 text 'a' 'b'] stop:end end",
           "{'content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]}");
    EXPECT(START " [0 text 'a' cite:{'type':'url_citation'}] stop:end end", "{'content':'a'}",
           "{'annotations':[{'type':'url_citation'}]}");
}

static void thoughts_have_three_names(void **state)
{
    (void)state;
    EXPECT(START " [0 think 'a' 'b'] [1 text 'c'] stop:end end", "{'reasoning':'a'}",
           "{'reasoning_content':'b','content':''}", "{'content':'c'}");
    EXPECT(START " [0 think 'a' 'b' sig:'s'] [1 sealed data:'d'] [2 text 'c'] stop:end end",
           "{'reasoning':'a','reasoning_details':[{'type':'reasoning.text','text':'a','index':0}]}",
           "{'reasoning_details':[{'type':'reasoning.text','text':'b','index':0}]}",
           "{'reasoning_details':[{'type':'reasoning.text','signature':'s','index':0}]}",
           "{'reasoning_details':[{'type':'reasoning.encrypted','data':'d','index':1}]}",
           "{'content':'c'}");
    EXPECT(START " [0 think 'a'] [1 think 'b'] stop:end end",
           "{'reasoning_details':[{'type':'reasoning.summary','summary':'a','index':0},"
           "{'type':'reasoning.summary','summary':'b','index':1}]}");
    EXPECT(START " [0 think 'a' sig:'s'] [1 think 'b'] stop:end end",
           "{'reasoning_details':[{'type':'reasoning.text','text':'a','signature':'s'}]}",
           "{'reasoning':'b'}");
    // Details that say nothing do not hide what does.
    EXPECT(START " [0 think 'a' 'b'] stop:end end", "{'reasoning':'a','reasoning_details':[7]}",
           "{'reasoning_details':[{'type':'reasoning.text','text':''}],'reasoning':'b'}");
    EXPECT(START " [0 think 'a' 'b'] [1 think 'c'] stop:end end",
           "{'reasoning_details':[{'index':0,'text':'a'}]}", "{'reasoning':'b'}",
           "{'reasoning_details':[{'index':1,'text':'c'}]}");
    EXPECT(START " [0 think 'a'] [1 text 'x'] [2 think 'b' 'c'] stop:end end",
           "{'reasoning_details':[{'index':0,'text':'a'}]}", "{'content':'x'}",
           "{'reasoning_details':[{'index':1,'text':'b'}]}",
           "{'reasoning_details':[{'index':1,'text':'c'}]}");
}

#define CALL(index, id, name, arguments)                                                           \
    "{'index':" index ",'id':" id ",'type':'function','function':{'name':" name                    \
    ",'arguments':" arguments "}}"
#define CALLS(...) "{'tool_calls':[" __VA_ARGS__ "]}"

static void calls_come_in_pieces_or_whole(void **state)
{
    (void)state;
    EXPECT(START " [0 call 'c1' 'f' '{' '}'] stop:tool end",
           CALLS("{'index':0,'id':'c1','type':'function','function':{'name':'f','arguments':''}}"),
           CALLS("{'index':0,'function':{'arguments':'{'}}"),
           CALLS("{'index':0,'function':{'arguments':'}'}}"));
    EXPECT(START " [0 text 'a'] [1 call 'c1' 'f' '{}'] [2 call 'c2' 'g' '{}'] stop:tool end",
           "{'content':'a'}",
           CALLS(CALL("0", "'c1'", "'f'", "'{}'") "," CALL("1", "'c2'", "'g'", "'{}'")));
    // All with index 0.
    EXPECT(START " [0 call 'c1' 'f' '{}'] [1 call 'c2' 'f' '{}'] stop:tool end",
           CALLS(CALL("0", "'c1'", "'f'", "'{}'")), CALLS(CALL("0", "'c2'", "'f'", "'{}'")));
    // Without an index: a name begins another one.
    EXPECT(START " [0 call 'c1' 'f' '{' '}'] [1 call 'c2' 'g' '{}'] stop:tool end",
           CALLS("{'id':'c1','function':{'name':'f','arguments':'{'}}"),
           CALLS("{'function':{'arguments':'}'}}"),
           CALLS("{'id':'c2','function':{'name':'g','arguments':'{}'}}"));
    // Id and name in every piece.
    EXPECT(START " [0 call 'c1' 'f' '{' '}'] stop:tool end", CALLS(CALL("0", "'c1'", "'f'", "'{'")),
           CALLS(CALL("0", "'c1'", "'f'", "'}'")));
    // Another id in every piece, the name in the first only.
    EXPECT(START " [0 call 'c1' 'f' '{' '}'] stop:tool end", CALLS(CALL("0", "'c1'", "'f'", "'{'")),
           CALLS(CALL("0", "'c2'", "null", "'}'")));
    // Free-form input.
    EXPECT(START " [0 call custom 'c1' 'q' 'SEL' 'ECT'] stop:tool end",
           CALLS("{'index':0,'id':'c1','type':'custom','custom':{'name':'q','input':'SEL'}}"),
           CALLS("{'index':0,'custom':{'input':'ECT'}}"));
    // An empty content between the pieces closes nothing.
    EXPECT(START " [0 call 'c1' 'f' '{' '}'] stop:tool end",
           "{'content':null,'tool_calls':[" CALL("0", "'c1'", "'f'", "'{'") "]}",
           "{'content':'','tool_calls':[{'index':0,'function':{'arguments':'}'}}]}");
}

static void calls_without_identifiers_get_one(void **state)
{
    (void)state;
    // Until later.
    EXPECT(START " [0 call 'c1' 'f' '{}'] stop:tool end", CALLS(CALL("0", "null", "'f'", "''")),
           CALLS("{'index':0,'id':'c1'}"), CALLS("{'index':0,'function':{'arguments':'{}'}}"));
    EXPECT(START " [0 call 'c1' 'f'] stop:tool end", CALLS("{'index':0,'id':'c1'}"),
           CALLS("{'index':0,'function':{'name':'f'}}"));
    // At all; one that comes behind the arguments is too late.
    EXPECT(START " [0 call 'call_x_0' 'f' '{}' ' '] [1 call 'call_x_1' 'g' '{}'] stop:tool end",
           CALLS(CALL("0", "''", "'f'", "'{}'")), CALLS(CALL("0", "'late'", "''", "' '")),
           CALLS(CALL("1", "null", "'g'", "'{}'")));
    EXPECT(START " [0 call 'call_x_0' 'f'] stop:tool end", CALLS(CALL("0", "null", "'f'", "''")));
    // The kind of old.
    EXPECT(START " [0 call 'call_x_0' 'f' '{' '}'] stop:tool end",
           "{'function_call':{'name':'f','arguments':'{'}}", "{'function_call':{'arguments':'}'}}");
}

static void closed_calls_stay_closed(void **state)
{
    (void)state;
    MALFORMED(CALLS(CALL("0", "'c1'", "'f'", "'{'")), CALLS(CALL("1", "'c2'", "'g'", "'{'")),
              CALLS("{'index':0,'function':{'arguments':'}'}}"));
    MALFORMED(CALLS(CALL("0", "'c1'", "'f'", "'{'")), CALLS(CALL("1", "'c2'", "'g'", "'{'")),
              CALLS(CALL("0", "'c1'", "'f'", "'}'")));
    MALFORMED(CALLS(CALL("0", "'c1'", "'f'", "'{'")), "{'content':'a'}",
              CALLS("{'index':0,'function':{'arguments':'}'}}"));
    MALFORMED(CALLS("{'index':0,'function':{'arguments':'{}'}}"));
    MALFORMED(CALLS("{'index':0,'id':'c1'}"), CALLS("{'index':0,'function':{'arguments':'{}'}}"));
    MALFORMED(CALLS("{'index':0,'id':'c1'}"), "{'content':'a'}");
}

static void wrong_types_are_malformed(void **state)
{
    (void)state;
    MALFORMED("7");
    MALFORMED("{'content':7}");
    MALFORMED("{'tool_calls':{}}");
    MALFORMED("{'tool_calls':[7]}");
    MALFORMED(CALLS("{'index':'0','id':'c1'}"));
    MALFORMED(CALLS("{'index':0,'id':7}"));
    MALFORMED(CALLS("{'index':0,'id':'c1','function':7}"));
    MALFORMED(CALLS("{'index':0,'id':'c1','function':{'name':7}}"));
    MALFORMED(CALLS("{'index':0,'id':'c1','function':{'name':'f','arguments':{}}}"));
    static const char *const events[] = {
        "x",
        "[]",
        "{",
        "7",
        "{'choices':{}}",
        "{'choices':[7]}",
        "{'choices':[{'delta':[]}]}",
        "{'choices':[{'finish_reason':7}]}",
        "{'choices':[],'choices':[]}",
    };
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct stream_desk s;
        stream_open(&s, &dialect_openai_chat);
        assert_int_equal(stream_feed(&s, events[i]), ERR_BAD_SSE);
        stream_close(&s);
    }
}

// The events, then what they gave; all are taken.
static void expect_events(const struct dialect *dialect, const char *const *events,
                          const char *want)
{
    struct stream_desk s;
    stream_open(&s, dialect);
    for (; *events; events++)
        assert_int_equal(stream_feed(&s, *events), 0);
    expect_said(&s.d, want);
    stream_close(&s);
}

#define EVENTS(want, ...)                                                                          \
    expect_events(&dialect_openai_chat, (const char *const[]){__VA_ARGS__, NULL}, want)

#define PIECE(text)    "{'choices':[{'index':0,'delta':{'content':'" text "'}}]}"
#define FINISH(reason) "{'choices':[{'index':0,'delta':{},'finish_reason':'" reason "'}]}"

static void the_end_comes_in_order(void **state)
{
    (void)state;
    EVENTS("start(,,0) stop:end end", "[DONE]");
    EVENTS("start(,,0) stop:end end", " [DONE] ", "[DONE]", PIECE("a"));
    EVENTS("start(,,0) [0 text 'a'] stop:end end", PIECE("a"), "[DONE]");
    // The reason closes the block at once, and may be given again.
    EVENTS("start(,,0) [0 text 'a']", PIECE("a"), FINISH("length"));
    EVENTS("start(,,0) [0 text 'a'] stop:length end", PIECE("a"), FINISH("length"),
           FINISH("length"), "[DONE]");
    // With every piece.
    EVENTS("start(,,0) [0 text 'a'] [1 text 'b'] stop:end end",
           "{'choices':[{'delta':{'content':'a'},'finish_reason':'stop'}]}",
           "{'choices':[{'delta':{'content':'b'},'finish_reason':'stop'}]}", "[DONE]");
}

static void reasons_are_known_or_the_end(void **state)
{
    (void)state;
    EVENTS("start(,,0) stop:length end", FINISH("length"), "[DONE]");
    EVENTS("start(,,0) stop:filter end", FINISH("content_filter"), "[DONE]");
    EVENTS("start(,,0) stop:tool end", FINISH("tool_calls"), "[DONE]");
    EVENTS("start(,,0) stop:tool end", FINISH("function_call"), "[DONE]");
    EVENTS("start(,,0) stop:end end", FINISH("eos"), "[DONE]");
    EVENTS("start(,,0) stop:end end", FINISH(""), "[DONE]");
}

static void usage_comes_anywhere_and_the_last_counts(void **state)
{
    (void)state;
    EVENTS("start(,,0) [0 text 'a' usage:5/1] usage:5/2 stop:end end",
           "{'choices':[{'delta':{'content':'a'}}],'usage':{'prompt_tokens':5,"
           "'completion_tokens':1}}",
           "{'choices':[{'delta':{},'finish_reason':'stop'}],'usage':{'completion_tokens':2}}",
           "[DONE]");
    EVENTS("start(,,0) [0 text 'a'] usage:5/1 stop:end end", PIECE("a"), FINISH("stop"),
           "{'choices':[],'usage':{'prompt_tokens':5,'completion_tokens':1}}", "[DONE]");
    EVENTS("start(,,0) usage:5/1", "{'usage':{'prompt_tokens':5,'completion_tokens':1}}");
    EVENTS("start(,,0)", "{'choices':[{}],'usage':null}");
    EVENTS("start(,,0)", "{'choices':[{}],'usage':{'cost':0.1}}");
}

static void what_says_nothing_gives_nothing(void **state)
{
    (void)state;
    EVENTS("", "", " ", "{}", "{'type':'ping'}", "{'choices':null}");
    // Azure's first chunk has neither id nor model; the answer's come with the next.
    EVENTS("start('x',,0)", "{'choices':[],'id':'','model':'','prompt_filter_results':[{}]}",
           "{'id':'x','choices':[{'delta':{'role':'assistant'}}]}");
    // Other answers than the first.
    EVENTS("start(,,0)", "{'choices':[{'index':1,'delta':{'content':'b'}}]}");
    EVENTS("start(,,0)", "{'choices':[{'index':0}]}");

    struct stream_desk s;
    struct sse_event comment = {.raw = SLICE(": hi\n\n")};
    stream_open(&s, &dialect_openai_chat);
    assert_int_equal(openai__read_event(&s.reader, &comment, &s.sink), 0);
    expect_said(&s.d, "");
    stream_close(&s);
}

static void errors_end_the_stream(void **state)
{
    (void)state;
    struct stream_desk s;
    static const struct {
        const char *data;
        const char *want;
    } errors[] = {
        {"{'error':{'message':'a\\nb','type':'server_error','code':null,'param':null}}",
         " error:0/server_error//a\nb"},
        {"{'error':{'code':502,'message':'m'},'choices':[{'delta':{'content':'x'}}]}",
         " error:502///m"},
        {"{'error':{'code':'rate_limit','message':'m'}}", " error:0//rate_limit/m"},
        {"{'error':{'code':7}}", " error:0///"},
        {"{'error':'overloaded'}", " error:0///overloaded"},
        {"{'object':'error','message':'m','type':'T','code':400}", " error:400/T//m"},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        stream_open(&s, &dialect_openai_chat);
        assert_int_equal(stream_feed(&s, errors[i].data), 0);
        expect_said(&s.d, errors[i].want);
        assert_int_equal(stream_feed(&s, "[DONE]"), ERR_BAD_SSE);
        stream_close(&s);
    }
    // Named so, the data is the error.
    struct sse_event named = {.type = SLICE("error"), .has_data = true};
    stream_open(&s, &dialect_openai_chat);
    named.data = quoted(&s.d, "{'message':'m','type':'t'}");
    assert_int_equal(openai__read_event(&s.reader, &named, &s.sink), 0);
    expect_said(&s.d, " error:0/t//m");
    stream_close(&s);
    // None.
    EVENTS("start(,,0) [0 text 'a'", "{'error':null,'choices':[{'delta':{'content':'a'}}]}");
}

static void texts_of_text_completions_are_pieces(void **state)
{
    (void)state;
    expect_events(&dialect_openai_text,
                  (const char *const[]){
                      "{'id':'x','choices':[{'text':'a','index':0,'logprobs':{'tokens':[]}}]}",
                      "{'id':'x','choices':[{'text':'','index':0,'finish_reason':'length'}]}",
                      "{'id':'x','choices':[],'usage':{'prompt_tokens':5}}", "[DONE]", NULL},
                  "start('x',,0) [0 text 'a' logprobs:{'tokens':[]}] usage:5/0 stop:length end");
}

// Stops a provider from opening blocks without end.
static void blocks_are_limited(void **state)
{
    (void)state;
    struct stream_desk s;
    char text[128];
    stream_open(&s, &dialect_openai_chat);
    int rc = 0;
    unsigned n = 0;
    for (; rc == 0 && n <= CANON_STREAM_BLOCKS_MAX; n++) {
        snprintf(text, sizeof(text),
                 "{'tool_calls':[{'index':%u,'id':'c%u','function':{'name':'f'}}]}", n, n);
        rc = stream_delta(&s, text);
        s.d.len = 0;
    }
    assert_int_equal(rc, ERR_LIMIT);
    assert_int_equal(n, CANON_STREAM_BLOCKS_MAX + 1);
    stream_close(&s);
}

static int read_two_calls(struct desk *d)
{
    static const char *const events[] = {
        "{\"id\":\"x\",\"choices\":[{\"delta\":{\"reasoning_details\":[{\"index\":0,\"text\":\"a\"}"
        "],"
        "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"c\",\"function\":"
        "{\"name\":\"g\"}}]}}]}",
        "[DONE]",
        "{\"error\":{\"message\":\"\\u0041\"}}",
    };
    struct stream_desk s = {.sink.take = take_event};
    s.reader = (struct canon_reader){.dialect = &dialect_openai_chat, .arena = &d->arena};
    int rc = 0;
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        struct sse_event event = {.data = slice_str(events[i]), .has_data = true};
        rc = openai__read_event(&s.reader, &event, &s.sink);
    }
    return rc;
}

static int read_an_error(struct desk *d)
{
    struct sse_event event = {.data = SLICE("{\"error\":{\"message\":\"\\u0041\"}}"),
                              .has_data = true};
    struct stream_desk s = {.sink.take = take_event};
    s.reader = (struct canon_reader){.dialect = &dialect_openai_chat, .arena = &d->arena};
    return openai__read_event(&s.reader, &event, &s.sink);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_two_calls);
    starve(read_an_error);
}

struct refusing_sink {
    struct canon_sink sink;
    unsigned left; // events taken before one is refused
    bool refused;
};

static int take_some(struct canon_sink *self, const struct canon_event *e)
{
    struct refusing_sink *r = (struct refusing_sink *)self;
    (void)e;
    assert_false(r->refused);
    r->refused = r->left == 0;
    return r->left-- == 0 ? ERR_LIMIT : 0;
}

// Whichever event is refused, none is given behind it.
static void the_sink_may_refuse(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{'choices':[{'delta':{'reasoning_details':[{'text':'a','signature':'s'},"
        "{'type':'reasoning.encrypted','data':'d'}],'content':'b','refusal':'c',"
        "'annotations':[{}],'tool_calls':[{'index':0,'id':'c','function':{'name':'f','arguments':"
        "'{'}},{'index':1,'id':'d','function':{'name':'f'}}]}}],'usage':{'prompt_tokens':1}}",
        "{'choices':[{'delta':{'content':[{'text':'b'},{'text':'c'}]},'logprobs':{},"
        "'finish_reason':'stop'},{'index':0,'delta':{'content':'d'}}]}",
        "{'choices':[{'delta':{'content':'d','annotations':[{},{}]}}]}",
        "[DONE]",
    };
    enum { EVENTS_OF_ALL = 34 };
    for (unsigned taken = 0; taken <= EVENTS_OF_ALL; taken++) {
        struct refusing_sink some = {.sink.take = take_some, .left = taken};
        struct stream_desk s;
        int rc = 0;
        stream_open(&s, &dialect_openai_chat);
        for (size_t i = 0; i < sizeof(events) / sizeof(events[0]) && rc == 0; i++) {
            struct sse_event event = {.data = quoted(&s.d, events[i]), .has_data = true};
            rc = openai__read_event(&s.reader, &event, &some.sink);
        }
        assert_int_equal(rc, taken < EVENTS_OF_ALL ? ERR_LIMIT : 0);
        stream_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_open_a_block_when_they_say_something),
        cmocka_unit_test(thoughts_have_three_names),
        cmocka_unit_test(calls_come_in_pieces_or_whole),
        cmocka_unit_test(calls_without_identifiers_get_one),
        cmocka_unit_test(closed_calls_stay_closed),
        cmocka_unit_test(wrong_types_are_malformed),
        cmocka_unit_test(the_end_comes_in_order),
        cmocka_unit_test(reasons_are_known_or_the_end),
        cmocka_unit_test(usage_comes_anywhere_and_the_last_counts),
        cmocka_unit_test(what_says_nothing_gives_nothing),
        cmocka_unit_test(errors_end_the_stream),
        cmocka_unit_test(texts_of_text_completions_are_pieces),
        cmocka_unit_test(blocks_are_limited),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(the_sink_may_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
