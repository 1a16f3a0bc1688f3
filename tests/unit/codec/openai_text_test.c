// SPDX-License-Identifier: Apache-2.0
//
// openai_text_test.c: text completions, requests and answers.
#include "tests/unit/codec/openai_desk.h"

#define TEXT (&dialect_openai_text)
#define CHAT (&dialect_openai_chat)

static int rewrite(struct desk *d, const struct dialect *from, const struct dialect *to,
                   const char *text)
{
    int rc = desk_read(d, TEXT, text);
    d->r.from = from;
    return rc ? rc : to->translation->write_request(&d->r, SLICE("m"), &d->w);
}

static void written(const struct dialect *from, const struct dialect *to, const char *text,
                    const char *want)
{
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(rewrite(&d, from, to, text), 0);
    expect_written(&d, want);
    desk_close(&d);
}

static void prompts_stay_prompts(void **state)
{
    (void)state;
    written(TEXT, TEXT,
            "{'prompt':'a\\n','model':'x','user':'u','max_tokens':5,'stop':'b','logprobs':2,"
            "'echo':true,'n':2,'best_of':3,'suffix':'s','stream':true,'zeal':1}",
            "{'model':'m','prompt':'a\\n','max_tokens':5,'stop':'b','logprobs':2,'n':2,'user':'u',"
            "'suffix':'s','echo':true,'best_of':3,'stream':true,"
            "'stream_options':{'include_usage':true},'zeal':1}");
#define ALL                                                                                        \
    "'max_tokens':5,'temperature':1,'top_p':2,'stop':['a'],'seed':4,'frequency_penalty':5,"        \
    "'presence_penalty':6,'logit_bias':{},'logprobs':7,'n':8,'user':'u','suffix':'s','echo':true," \
    "'best_of':9"
    written(TEXT, TEXT, "{'prompt':'a'," ALL "}", "{'model':'m','prompt':'a'," ALL "}");
    written(TEXT, TEXT, "{'prompt':['a']}", "{'model':'m','prompt':'a'}");
    written(TEXT, TEXT, "{'prompt':['a','b']}", "{'model':'m','prompt':['a','b']}");
    written(TEXT, TEXT, "{'prompt':[1,2]}", "{'model':'m','prompt':[1,2]}");
    written(TEXT, TEXT, "{'prompt':[[1]]}", "{'model':'m','prompt':[[1]]}");
}

static void prompts_become_one_message(void **state)
{
    (void)state;
    written(TEXT, CHAT,
            "{'prompt':'a','max_tokens':5,'logprobs':2,'n':1,'best_of':1,'echo':false,"
            "'suffix':''}",
            "{'model':'m','messages':[{'role':'user','content':'a'}],'max_completion_tokens':5,"
            "'logprobs':true,'top_logprobs':2,'n':1}");
}

static void unknown_members_are_not_another_dialects(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(rewrite(&d, TEXT, CHAT, "{'prompt':'a','zeal':1}"), 0);
    expect_written(&d, "{'model':'m','messages':[{'role':'user','content':'a'}]}");
    describe_dropped(&d);
    expect_said(&d, "zeal");
    desk_close(&d);
}

static void what_a_chat_cannot_complete_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *param;
    } cases[] = {
        {"{'prompt':['a','b']}", "prompt"},
        {"{'prompt':[1]}", "prompt"},
        {"{'prompt':[]}", "prompt"},
        {"{'prompt':'a','n':2}", "n"},
        {"{'prompt':'a','best_of':2}", "best_of"},
        {"{'prompt':'a','echo':true}", "echo"},
        {"{'prompt':'a','suffix':'s'}", "suffix"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct desk d;
        desk_open(&d, 1 << 20);
        assert_int_equal(rewrite(&d, TEXT, CHAT, cases[i].text), ERR_UNSUPPORTED);
        say(&d, d.r.refusal.param);
        expect_said(&d, cases[i].param);
        desk_close(&d);
    }
    // A conversation cannot be completed.
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_rewrite(&d, CHAT, TEXT, "{'messages':[]}"), ERR_UNSUPPORTED);
    assert_slice(d.r.refusal.param, "messages");
    desk_close(&d);
}

static void foreign_parameters_are_dropped(void **state)
{
    (void)state;
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(desk_read(&d, TEXT, "{'prompt':'a','zeal':1}"), 0);
    d.r.from = &dialect_openai_responses;
    d.r.param[CANON_P_TOP_K] = SLICE("5");
    assert_int_equal(openai_text__write_request(&d.r, SLICE("m"), &d.w), 0);
    expect_written(&d, "{'model':'m','prompt':'a'}");
    describe_dropped(&d);
    expect_said(&d, "top_k,zeal");
    desk_close(&d);
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    expect_refused(TEXT, "{}", ERR_MISSING, "prompt");
    expect_refused(TEXT, "{'prompt':null}", ERR_MISSING, "prompt");
    expect_refused(TEXT, "{'prompt':7}", ERR_BAD_TYPE, "prompt");
    expect_refused(TEXT, "{'prompt':'a','max_tokens':'5'}", ERR_BAD_TYPE, "max_tokens");
    expect_refused(TEXT, "{'prompt':'a','stop':[7]}", ERR_BAD_TYPE, "stop[0]");
    expect_refused(TEXT, "{'prompt':'a','echo':1}", ERR_BAD_TYPE, "echo");
    expect_refused(TEXT, "{'prompt':'a','logprobs':true}", ERR_BAD_TYPE, "logprobs");
    expect_refused(TEXT, "{'prompt':'a','suffix':1}", ERR_BAD_TYPE, "suffix");
}

static int read_answer(struct desk *d, const char *text)
{
    return TEXT->translation->read_answer(&d->a, quoted(d, text));
}

static void answers_are_one_text(void **state)
{
    (void)state;
    static const struct canon_context context = {
        .now_s = 7, .model = SLICE("sent"), .id = SLICE("req-1")};
    struct desk d;
    desk_open(&d, 1 << 20);
    assert_int_equal(read_answer(&d, "{'id':'x','object':'text_completion','created':5,'model':'m',"
                                     "'choices':[{'text':'a\\n','index':0,'finish_reason':"
                                     "'length'}],'usage':{'prompt_tokens':1,"
                                     "'completion_tokens':2}}"),
                     0);
    assert_true(d.a.from == TEXT);
    describe_blocks(&d, d.a.blocks);
    expect_said(&d, "text:'a\\n'");
    struct canon_block more = {.kind = CANON_TEXT, .text = SLICE("\"b\"")};
    struct canon_block thought = {.kind = CANON_THINKING, .text = SLICE("\"t\""), .next = &more};
    d.a.blocks->next = &thought;
    assert_int_equal(openai_text__write_answer(&d.a, &context, &d.w), 0);
    expect_written(&d, "{'id':'x','object':'text_completion','created':5,'model':'m','choices':["
                       "{'index':0,'text':'a\\nb','logprobs':null,'finish_reason':'length'}],"
                       "'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}}");
    desk_close(&d);

    desk_open(&d, 1 << 20);
    d.a.stop = CANON_STOP_TOOL;
    assert_int_equal(openai_text__write_answer(&d.a, &context, &d.w), 0);
    expect_written(&d, "{'id':'cmpl-req-1','object':'text_completion','created':7,'model':'sent',"
                       "'choices':[{'index':0,'text':'','logprobs':null,'finish_reason':'stop'}]}");
    desk_close(&d);
}

static void what_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"x", ERR_BAD_JSON},
        {"{'choices':[]}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[{}]}", ERR_UPSTREAM_PROTOCOL},
        {"{'choices':[{'text':null}]}", ERR_UPSTREAM_PROTOCOL},
        {"{'error':'e','choices':[{'text':'a'}]}", ERR_UPSTREAM_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct desk d;
        desk_open(&d, 1 << 20);
        assert_int_equal(read_answer(&d, cases[i].text), cases[i].err);
        desk_close(&d);
    }
}

static int read_and_write(struct desk *d)
{
    int rc = openai_text__read_request(&d->r, SLICE("{\"prompt\":\"a\",\"\\u0041\":1}"));
    if (rc == 0)
        rc = openai_text__write_request(&d->r, SLICE("m"), &d->w);
    if (rc == 0)
        rc = openai_text__read_answer(&d->a, SLICE("{\"choices\":[{\"text\":\"a\"}]}"));
    return rc;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    starve(read_and_write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_stay_prompts),
        cmocka_unit_test(prompts_become_one_message),
        cmocka_unit_test(unknown_members_are_not_another_dialects),
        cmocka_unit_test(what_a_chat_cannot_complete_is_refused),
        cmocka_unit_test(foreign_parameters_are_dropped),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(answers_are_one_text),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
