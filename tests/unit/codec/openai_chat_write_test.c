// SPDX-License-Identifier: Apache-2.0
//
// openai_chat_write_test.c: what a provider of chat gets, and what it does not.
//
// Requests come from a chat text and are said to be another dialect's where that matters.
#include "tests/unit/codec/openai_desk.h"

#define OTHER         (&dialect_openai_responses)
#define CHAT          (&dialect_openai_chat)
#define WITH(members) "{'messages':[]," members "}"
#define BEGIN         "{'model':'m','messages':[]"

static void parameters_keep_their_order_and_spelling(void **state)
{
    (void)state;
    expect_rewritten(OTHER,
                     WITH("'verbosity':'low','user':'u','stop':['a'],'top_p':0.90,"
                          "'temperature':1.50,'max_tokens':5,'seed':7,'store':true,'stream':true,"
                          "'prediction':{'type':'content'},'n':2,'metadata':{'b':1,'a':2}"),
                     BEGIN ",'max_completion_tokens':5,'temperature':1.50,'top_p':0.90,"
                           "'stop':['a'],'seed':7,'n':2,'user':'u','metadata':{'b':1,'a':2},"
                           "'store':true,'verbosity':'low','prediction':{'type':'content'},"
                           "'stream':true,'stream_options':{'include_usage':true}}");
#define ALL                                                                                        \
    "'max_completion_tokens':5,'temperature':1,'top_p':2,'top_k':3,'stop':'a','seed':4,"           \
    "'frequency_penalty':5,'presence_penalty':6,'logit_bias':{},'logprobs':true,"                  \
    "'top_logprobs':7,'n':8,'user':'u','metadata':{},'service_tier':'auto','store':false,"         \
    "'prompt_cache_key':'k','prompt_cache_retention':'24h','safety_identifier':'s',"               \
    "'verbosity':'low','modalities':['text'],'audio':{},'prediction':{},'web_search_options':{}"
    expect_rewritten(CHAT, WITH(ALL), BEGIN "," ALL "}");
    expect_rewritten(CHAT, WITH("'top_k':4"), BEGIN ",'top_k':4}");
    expect_rewritten(OTHER, WITH("'top_k':4"), BEGIN "}|top_k");
    // The number of tokens alone asks for them elsewhere.
    expect_rewritten(OTHER, WITH("'top_logprobs':2"), BEGIN ",'logprobs':true,'top_logprobs':2}");
    expect_rewritten(OTHER, WITH("'logprobs':false"), BEGIN ",'logprobs':false}");
}

static void tools_and_choices(void **state)
{
    (void)state;
#define F                                                                                          \
    "{'type':'function','function':{'name':'f','description':'d','parameters':{},'strict':true}}"
    expect_rewritten(OTHER,
                     WITH("'tools':[" F "],'tool_choice':'required',"
                          "'parallel_tool_calls':false"),
                     BEGIN ",'tools':[" F "],'tool_choice':'required',"
                           "'parallel_tool_calls':false}");
    expect_rewritten(OTHER,
                     WITH("'tools':[" F "],'tool_choice':{'type':'function','function':"
                          "{'name':'f'}}"),
                     BEGIN ",'tools':[" F "],'tool_choice':{'type':'function','function':"
                           "{'name':'f'}}}");
    // A flat grammar goes one level deeper, a deep one stays.
    expect_rewritten(OTHER,
                     WITH("'tools':[{'type':'custom','custom':{'name':'c','format':"
                          "{'type':'grammar','syntax':'lark','definition':'s'}}}]"),
                     BEGIN ",'tools':[{'type':'custom','custom':{'name':'c','format':"
                           "{'type':'grammar','grammar':{'definition':'s','syntax':'lark'}}}}]}");
    expect_rewritten(OTHER,
                     WITH("'tools':[{'type':'custom','custom':{'name':'c','format':"
                          "{'type':'grammar','grammar':{'syntax':'lark'}}}}]"),
                     BEGIN ",'tools':[{'type':'custom','custom':{'name':'c','format':"
                           "{'type':'grammar','grammar':{'syntax':'lark'}}}}]}");
}

static void tools_that_do_not_cross_take_the_choice_along(void **state)
{
    (void)state;
    expect_rewritten(OTHER,
                     WITH("'tools':[{'type':'browser'}],'tool_choice':'auto',"
                          "'parallel_tool_calls':true"),
                     BEGIN "}|tools");
    expect_rewritten(OTHER, WITH("'tools':[{'type':'browser'}],'tool_choice':'required'"),
                     BEGIN "}|tools,tool_choice");
    expect_rewritten(OTHER, WITH("'tools':[" F "],'tool_choice':{'type':'allowed_tools'}"),
                     BEGIN ",'tools':[" F "]}|tool_choice");
    // Its own dialect's.
    expect_rewritten(CHAT,
                     WITH("'tools':[{'type':'browser','z':1}],'tool_choice':"
                          "{'type':'allowed_tools'}"),
                     BEGIN ",'tools':[{'type':'browser','z':1}],'tool_choice':"
                           "{'type':'allowed_tools'}}");
    // A choice without any tool is the client's own mistake, and the provider's to tell.
    expect_rewritten(OTHER, WITH("'tool_choice':'required'"), BEGIN ",'tool_choice':'required'}");
}

static void a_search_is_an_option(void **state)
{
    (void)state;
    expect_rewritten(OTHER, WITH("'web_search_options':{'search_context_size':'low'}"),
                     BEGIN ",'web_search_options':{}}");
    expect_rewritten(OTHER,
                     WITH("'web_search_options':{'user_location':{'type':'approximate',"
                          "'approximate':{'city':'P','region':null}}}"),
                     BEGIN ",'web_search_options':{'user_location':{'type':'approximate',"
                           "'approximate':{'city':'P'}}}}");
    expect_rewritten(CHAT, WITH("'web_search_options':{'search_context_size':'low'}"),
                     BEGIN ",'web_search_options':{'search_context_size':'low'}}");
}

static void formats(void **state)
{
    (void)state;
    expect_rewritten(OTHER, WITH("'response_format':{'type':'json_object'}"),
                     BEGIN ",'response_format':{'type':'json_object'}}");
    expect_rewritten(OTHER,
                     WITH("'response_format':{'type':'json_schema','json_schema':{"
                          "'schema':{'b':1,'a':2},'strict':true,'description':'d'}}"),
                     BEGIN ",'response_format':{'type':'json_schema','json_schema':{"
                           "'name':'response','description':'d','schema':{'b':1,'a':2},"
                           "'strict':true}}}");
}

static void expect_effort(enum canon_reasoning_kind kind, const char *effort, uint64_t budget,
                          const char *max_tokens, const char *want)
{
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, CHAT, "{'messages':[]}"), 0);
    d.r.reasoning.kind = kind;
    d.r.reasoning.effort = quoted(&d, effort);
    d.r.reasoning.budget = budget;
    d.r.param[CANON_P_MAX_TOKENS] = slice_str(max_tokens);
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    struct slice got;
    assert_int_equal(json_writer_done(&d.w, &got), 0);
    struct json_member m = json_object_get(got, SLICE("reasoning_effort"));
    say(&d, m.value);
    expect_said(&d, want);
    desk_close(&d);
}

static void reasoning_is_an_effort(void **state)
{
    (void)state;
    expect_effort(CANON_REASONING_UNSET, "", 0, "", "");
    expect_effort(CANON_REASONING_EFFORT, "'low'", 0, "", "'low'");
    expect_effort(CANON_REASONING_EFFORT, "'none'", 0, "", "'none'");
    expect_effort(CANON_REASONING_EFFORT, "'max'", 0, "", "'xhigh'");
    expect_effort(CANON_REASONING_OFF, "", 0, "", "");
    expect_effort(CANON_REASONING_OFF, "'none'", 0, "", "'none'");
    expect_effort(CANON_REASONING_ADAPTIVE, "", 0, "", "");
    expect_effort(CANON_REASONING_ADAPTIVE, "'max'", 0, "", "'xhigh'");
    // Shares of max_tokens − 1024: 0.2875 is low, 0.6125 medium; unset counts as 4096.
    expect_effort(CANON_REASONING_BUDGET, "", 1024 + 2875, "11024", "'low'");
    expect_effort(CANON_REASONING_BUDGET, "", 1024 + 2876, "11024", "'medium'");
    expect_effort(CANON_REASONING_BUDGET, "", 1024 + 6126, "11024", "'high'");
    expect_effort(CANON_REASONING_BUDGET, "", 4096, "", "'high'");
    expect_effort(CANON_REASONING_BUDGET, "", 1024, "", "'low'");
}

static void expect_param(enum canon_param param, const char *value, int err, const char *said)
{
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, CHAT, "{'messages':[]}"), 0);
    d.r.from = OTHER;
    d.r.param[param] = quoted(&d, value);
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), err);
    if (err)
        say(&d, d.r.refusal.param);
    else
        describe_dropped(&d);
    expect_said(&d, said);
    desk_close(&d);
}

static void what_chat_has_no_place_for(void **state)
{
    (void)state;
    expect_param(CANON_P_PREVIOUS_RESPONSE_ID, "'r'", ERR_UNSUPPORTED, "previous_response_id");
    expect_param(CANON_P_CONVERSATION, "{}", ERR_UNSUPPORTED, "conversation");
    expect_param(CANON_P_PROMPT_TEMPLATE, "{}", ERR_UNSUPPORTED, "prompt");
    expect_param(CANON_P_BACKGROUND, "true", ERR_UNSUPPORTED, "background");
    expect_param(CANON_P_BACKGROUND, "false", 0, "");
    expect_param(CANON_P_MCP_SERVERS, "[]", 0, "mcp_servers");
    expect_param(CANON_P_CONTAINER, "'c'", 0, "container");
    expect_param(CANON_P_CONTEXT_MANAGEMENT, "{}", 0, "context_management");
    expect_param(CANON_P_INCLUDE, "[]", 0, "");
    expect_param(CANON_P_TRUNCATION, "'auto'", 0, "");
    expect_param(CANON_P_MAX_TOOL_CALLS, "3", 0, "");
    expect_param(CANON_P_CACHE_CONTROL, "{}", 0, "");
    expect_param(CANON_P_SUFFIX, "'s'", ERR_UNSUPPORTED, "suffix");
    expect_param(CANON_P_SUFFIX, "''", 0, "");
    expect_param(CANON_P_ECHO, "true", ERR_UNSUPPORTED, "echo");
    expect_param(CANON_P_ECHO, "false", 0, "");
    expect_param(CANON_P_BEST_OF, "2", ERR_UNSUPPORTED, "best_of");
    expect_param(CANON_P_BEST_OF, "1", 0, "");
}

static void unknown_members_pass_when_allowed(void **state)
{
    (void)state;
    static const char text[] = "{'messages':[],'x\\n':[1],'y':2,'max_completion_tokens':5}";
    expect_rewritten(OTHER, text, BEGIN ",'max_completion_tokens':5}|x\n,y");
    expect_rewritten(CHAT, text, BEGIN ",'max_completion_tokens':5,'x\\n':[1],'y':2}");

    // Never over one that is written, and never one of the gateway's.
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, CHAT, WITH("'max_tokens':5")), 0);
    d.r.from = OTHER;
    d.r.pass_extra = true;
    static const char *const names[] = {"max_tokens", "max_completion_tokens",
                                        "seed",       "model",
                                        "messages",   "stream",
                                        "tools",      "other",
                                        "fallbacks",  "reasoning_effort"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(canon_add_member(&d.arena, &d.r.extra, slice_str(names[i]), SLICE("1")),
                         0);
    assert_int_equal(openai_chat__write_request(&d.r, SLICE("m"), &d.w), 0);
    expect_written(&d, BEGIN ",'max_completion_tokens':5,'seed':1,'other':1}");
    describe_dropped(&d);
    expect_said(&d, "max_tokens,max_completion_tokens,model,messages,stream,tools,fallbacks,"
                    "reasoning_effort");
    desk_close(&d);
}

static int write_much(struct desk *d)
{
    int rc = openai_chat__read_request(
        &d->r, SLICE("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"stream\":true,"
                     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}"));
    return rc ? rc : openai_chat__write_request(&d->r, SLICE("m"), &d->w);
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(write_much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_keep_their_order_and_spelling),
        cmocka_unit_test(tools_and_choices),
        cmocka_unit_test(tools_that_do_not_cross_take_the_choice_along),
        cmocka_unit_test(a_search_is_an_option),
        cmocka_unit_test(formats),
        cmocka_unit_test(reasoning_is_an_effort),
        cmocka_unit_test(what_chat_has_no_place_for),
        cmocka_unit_test(unknown_members_pass_when_allowed),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
