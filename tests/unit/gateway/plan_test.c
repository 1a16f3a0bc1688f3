// SPDX-License-Identifier: Apache-2.0
//
// plan_test.c: which endpoint a request goes to, by what the provider has and what is allowed.
#include "tests/unit/gateway/fixture.h"

#include "codec/dialect.h"
#include "gateway/plan.h"

#define HAS(op) [op] = SLICE("/x")

// A vendor has them all; what counts is what the provider was given.
#define HAS_ALL                                                                                    \
    HAS(OP_CHAT), HAS(OP_TEXT), HAS(OP_EMBEDDING), HAS(OP_RESPONSES), HAS(OP_MESSAGES),            \
        HAS(OP_COMPLETE), HAS(OP_COUNT_TOKENS), HAS(OP_INPUT_TOKENS)

static const struct provider_row plain = {.path = {HAS_ALL}, .streams_text = true};
static const struct provider_row preferring = {.path = {HAS_ALL}, .prefers_responses = true};

static struct config_provider chat_only = {.row = &plain, .path = {HAS(OP_CHAT)}};
static struct config_provider text_too = {.row = &plain, .path = {HAS(OP_CHAT), HAS(OP_TEXT)}};
static struct config_provider openai = {
    .row = &preferring, .path = {HAS(OP_CHAT), HAS(OP_RESPONSES), HAS(OP_INPUT_TOKENS)}};
static struct config_provider compatible = {.row = &plain,
                                            .path = {HAS(OP_CHAT), HAS(OP_RESPONSES)}};
static struct config_provider claude = {
    .row = &plain, .path = {HAS(OP_MESSAGES), HAS(OP_COMPLETE), HAS(OP_COUNT_TOKENS)}};
static struct config_provider responses_only = {.row = &plain, .path = {HAS(OP_RESPONSES)}};

enum { NO_WAY = OPERATION_COUNT };

static unsigned plan(struct fake *f, const struct config_provider *p, enum operation op,
                     const char *model)
{
    struct route route = {.operation = op};
    struct target t = {.provider = p, .model = slice_str(model)};
    f->x.route = &route;
    f->x.dialect = plan_dialect(op);
    if (plan_target(&f->x, &t) != 0)
        return NO_WAY;
    assert_ptr_equal(f->x.upstream_dialect, plan_dialect(f->x.upstream_op));
    return f->x.upstream_op;
}

static void the_first_that_a_provider_has_is_taken(void **state)
{
    static const struct {
        enum operation op;
        const struct config_provider *provider;
        unsigned want;
    } cases[] = {
        {OP_CHAT, &openai, OP_CHAT},
        {OP_CHAT, &claude, OP_MESSAGES},
        {OP_CHAT, &responses_only, OP_RESPONSES},
        {OP_TEXT, &text_too, OP_TEXT},
        {OP_TEXT, &claude, OP_COMPLETE},
        {OP_TEXT, &chat_only, NO_WAY},
        {OP_RESPONSES, &openai, OP_RESPONSES},
        {OP_RESPONSES, &claude, OP_MESSAGES},
        {OP_RESPONSES, &chat_only, OP_CHAT},
        {OP_MESSAGES, &claude, OP_MESSAGES},
        {OP_MESSAGES, &openai, OP_RESPONSES},
        {OP_MESSAGES, &compatible, OP_CHAT},
        {OP_MESSAGES, &chat_only, OP_CHAT},
        {OP_MESSAGES, &responses_only, OP_RESPONSES},
        {OP_COMPLETE, &claude, OP_COMPLETE},
        {OP_COMPLETE, &text_too, OP_TEXT},
        {OP_COMPLETE, &chat_only, NO_WAY},
        {OP_COUNT_TOKENS, &claude, OP_COUNT_TOKENS},
        {OP_COUNT_TOKENS, &openai, OP_INPUT_TOKENS},
        {OP_INPUT_TOKENS, &claude, OP_COUNT_TOKENS},
        {OP_INPUT_TOKENS, &chat_only, NO_WAY},
        {OP_EMBEDDING, &openai, NO_WAY},
        {OP_EMBEDDING, &claude, NO_WAY},
    };
    (void)state;
    struct fake *f = fake_open();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        unsigned got = plan(f, cases[i].provider, cases[i].op, "m");
        if (got != cases[i].want)
            fail_msg("case %zu: %u, not %u", i, got, cases[i].want);
    }
    fake_close(f);
}

static void text_becomes_chat_only_when_asked_to(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    f->config.compat = COMPAT_TEXT_TO_CHAT;
    assert_int_equal(plan(f, &chat_only, OP_TEXT, "m"), OP_CHAT);
    assert_int_equal(plan(f, &text_too, OP_TEXT, "m"), OP_TEXT);
    assert_int_equal(plan(f, &chat_only, OP_COMPLETE, "m"), OP_CHAT);
    f->config.compat = 0;
    fake_field(f, "x-bf-compat", "[\"convert_text_to_chat\"]");
    assert_int_equal(plan(f, &chat_only, OP_TEXT, "m"), OP_CHAT);
    f->fields[0].value = SLICE("[\"convert_chat_to_responses\"]");
    assert_int_equal(plan(f, &chat_only, OP_TEXT, "m"), NO_WAY);
    fake_close(f);
}

static void chats_of_responses_models_go_there_when_asked_to(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    assert_int_equal(plan(f, &openai, OP_CHAT, "o3-pro-2025-06-10"), OP_CHAT);
    f->config.compat = COMPAT_CHAT_TO_RESPONSES;
    assert_int_equal(plan(f, &openai, OP_CHAT, "o3-pro-2025-06-10"), OP_RESPONSES);
    assert_int_equal(plan(f, &openai, OP_CHAT, "gpt-4o"), OP_CHAT);
    assert_int_equal(plan(f, &chat_only, OP_CHAT, "o3-pro"), OP_CHAT);
    fake_close(f);
}

static void the_clients_type_must_be_allowed(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct config_provider mine = openai;
    mine.custom = true;
    mine.allowed = 1u << OP_CHAT;
    assert_int_equal(plan(f, &mine, OP_CHAT, "m"), OP_CHAT);
    assert_int_equal(plan(f, &mine, OP_MESSAGES, "m"), NO_WAY);
    f->x.stream_wanted = true;
    assert_int_equal(plan(f, &mine, OP_CHAT, "m"), NO_WAY);
    f->x.stream_wanted = false;
    // Somebody else's server is asked at the endpoint whose type it allows ...
    mine.allowed = 1u << OP_RESPONSES | 1u << OP_MESSAGES;
    assert_int_equal(plan(f, &mine, OP_MESSAGES, "m"), OP_RESPONSES);
    mine.allowed |= 1u << OP_CHAT;
    assert_int_equal(plan(f, &mine, OP_MESSAGES, "m"), OP_CHAT);
    // ... and at any it has when there is none.
    struct config_provider own_claude = claude;
    own_claude.custom = true;
    own_claude.allowed = 1u << OP_CHAT;
    assert_int_equal(plan(f, &own_claude, OP_CHAT, "m"), OP_MESSAGES);
    fake_close(f);
}

static void streams_of_text_need_a_vendor_that_streams_it(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct config_provider p = {.row = &preferring, .path = {HAS(OP_CHAT), HAS(OP_TEXT)}};
    f->x.stream_wanted = true;
    assert_int_equal(plan(f, &p, OP_TEXT, "m"), NO_WAY);
    f->x.stream_wanted = false;
    assert_int_equal(plan(f, &p, OP_TEXT, "m"), OP_TEXT);
    fake_close(f);
}

static void the_header_is_read_as_bifrost_does(void **state)
{
    static const struct {
        const char *value;
        unsigned want;
    } cases[] = {
        {"true", COMPAT_ALL},
        {"TRUE", COMPAT_ALL},
        {"[\"*\"]", COMPAT_ALL},
        {"[\"should_drop_params\",\"convert_text_to_chat\"]",
         COMPAT_DROP_PARAMS | COMPAT_TEXT_TO_CHAT},
        {"[\"should_convert_params\"]", COMPAT_CONVERT_PARAMS},
        {"[\"convert_chat_to_responses\"]", COMPAT_CHAT_TO_RESPONSES},
        {"[]", 0},
        {"[1,null]", 0},
        {"[\"convert_text_to_chat\"", 0},
        {"{\"convert_text_to_chat\":true}", 0},
        {"false", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(plan_compat(slice_str(cases[i].value)), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_a_provider_has_is_taken),
        cmocka_unit_test(text_becomes_chat_only_when_asked_to),
        cmocka_unit_test(chats_of_responses_models_go_there_when_asked_to),
        cmocka_unit_test(the_clients_type_must_be_allowed),
        cmocka_unit_test(streams_of_text_need_a_vendor_that_streams_it),
        cmocka_unit_test(the_header_is_read_as_bifrost_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
