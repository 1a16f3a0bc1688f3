// SPDX-License-Identifier: Apache-2.0
//
// dialect_openai_test.c: what the rows read out of events and answers.

#include "tests/unit/codec/dialect_desk.h"

static const struct event_case event_cases[] = {
    {&dialect_openai_chat, "", NULL, DIALECT_EVENT_OTHER, false, 0},
    {&dialect_openai_chat, "", "[DONE]", DIALECT_EVENT_END, false, 0},
    {&dialect_openai_chat, "", " [DONE] ", DIALECT_EVENT_END, false, 0},
    {&dialect_openai_chat, "", "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}",
     DIALECT_EVENT_DELTA, true, 0},
    {&dialect_openai_chat, "", "{\"choices\":[{}],\"usage\":null}", DIALECT_EVENT_DELTA, true, 0},
    {&dialect_openai_chat, "", "{\"choices\":[],\"usage\":{\"total_tokens\":7}}",
     DIALECT_EVENT_USAGE, true, 7},
    {&dialect_openai_chat, "", "{\"choices\":[ ],\"usage\":{\"total_tokens\":7}}",
     DIALECT_EVENT_USAGE, true, 7},
    // Usage beside content must reach the client: it is no usage event.
    {&dialect_openai_chat, "", "{\"choices\":[{}],\"usage\":{\"total_tokens\":7}}",
     DIALECT_EVENT_DELTA, true, 7},
    // The first event of Azure: choices empty, no usage.
    {&dialect_openai_chat, "", "{\"choices\":[],\"prompt_filter_results\":[]}", DIALECT_EVENT_DELTA,
     true, 0},
    {&dialect_openai_chat, "", "{\"error\":{\"message\":\"m\"}}", DIALECT_EVENT_ERROR, true, 0},
    {&dialect_openai_chat, "", "{\"error\":\"m\"}", DIALECT_EVENT_ERROR, true, 0},
    {&dialect_openai_chat, "", "{\"error\":null,\"choices\":[{}]}", DIALECT_EVENT_DELTA, true, 0},
    {&dialect_openai_chat, "", "{\"object\":\"error\",\"message\":\"m\"}", DIALECT_EVENT_ERROR,
     true, 0},
    {&dialect_openai_chat, "error", "{\"message\":\"m\"}", DIALECT_EVENT_ERROR, true, 0},
    // The word inside content decides nothing.
    {&dialect_openai_chat, "", "{\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\"\"}}]}",
     DIALECT_EVENT_DELTA, true, 0},
    {&dialect_openai_chat, "", "{\"choices\":[],\"usage\":{\"total_tokens\":7}",
     DIALECT_EVENT_DELTA, false, 0},
    {&dialect_openai_chat, "", "hello", DIALECT_EVENT_OTHER, false, 0},
    {&dialect_openai_text, "", "{\"choices\":[],\"usage\":{\"total_tokens\":9}}",
     DIALECT_EVENT_USAGE, true, 9},
    {&dialect_openai_responses, "response.output_text.delta", "{\"delta\":\"x\"}",
     DIALECT_EVENT_DELTA, true, 0},
    {&dialect_openai_responses, "response.completed",
     "{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1,\"output_"
     "tokens\":2,"
     "\"total_tokens\":3}}}",
     DIALECT_EVENT_END, true, 3},
    {&dialect_openai_responses, "", "{\"type\":\"response.completed\",\"response\":{}}",
     DIALECT_EVENT_END, true, 0},
    {&dialect_openai_responses, "response.failed", "{\"response\":{}}", DIALECT_EVENT_END, true, 0},
    {&dialect_openai_responses, "response.incomplete", "{\"response\":{}}", DIALECT_EVENT_END, true,
     0},
    {&dialect_openai_responses, "error", "{\"message\":\"m\"}", DIALECT_EVENT_ERROR, true, 0},
    {&dialect_openai_responses, "", "[DONE]", DIALECT_EVENT_OTHER, false, 0},
};

static uint64_t total_of(const struct dialect_usage *usage)
{
    return usage->total_tokens;
}

static void events_are_what_they_say(void **state)
{
    (void)state;
    check_events(event_cases, ARRAY_LEN(event_cases), total_of);
}

static void usage_of_an_answer(void **state)
{
    (void)state;
    struct dialect_usage u;
    dialect_openai_chat.answer_usage(
        SLICE("{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,"
              "\"total_tokens\":14,\"prompt_tokens_details\":{\"cached_tokens\":6,"
              "\"cache_write_tokens\":2}}}"),
        &u);
    assert_true(u.known);
    assert_int_equal(u.input_tokens, 10);
    assert_int_equal(u.output_tokens, 4);
    assert_int_equal(u.total_tokens, 14);
    assert_int_equal(u.cached_read_tokens, 6);
    assert_int_equal(u.cached_write_tokens, 2);
    dialect_openai_responses.answer_usage(
        SLICE("{\"usage\":{\"input_tokens\":3,\"output_tokens\":5,"
              "\"input_tokens_details\":{\"cached_tokens\":1}}}"),
        &u);
    assert_true(u.known);
    assert_int_equal(u.input_tokens, 3);
    assert_int_equal(u.output_tokens, 5);
    assert_int_equal(u.cached_read_tokens, 1);
}

// Nobody bills a count, and the number of an answer that is one is its content.
static void a_count_is_no_usage(void **state)
{
    static const char *const count[] = {
        "{\"object\":\"response.input_tokens\",\"input_tokens\":11}"};
    (void)state;
    check_no_usage(&dialect_openai_input_tokens, count, 1);
}

static void usage_is_never_invented(void **state)
{
    static const char *const texts[] = {
        "{\"usage\":null}",
        "{}",
        "{\"usage\":{}}",
        "{\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
        "not json",
        "{\"usage\":{\"total_tokens\":\"7\"}}",
        "{\"usage\":{\"total_tokens\":1.5}}",
        "{\"usage\":{\"total_tokens\":7}",
        "",
    };
    (void)state;
    check_no_usage(&dialect_openai_chat, texts, ARRAY_LEN(texts));
}

static void every_row_names_every_member_once(void **state)
{
    static const struct dialect *const rows[] = {&dialect_openai_chat, &dialect_openai_text,
                                                 &dialect_openai_embeddings,
                                                 &dialect_openai_responses};
    (void)state;
    check_members(rows, ARRAY_LEN(rows));
}

// What it is billed by beyond the sums: how it was served, what was audio, what was searched.
static void what_else_an_answer_is_billed_by(void **state)
{
    (void)state;
    static const char chat[] =
        "{\"service_tier\":\"flex\",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,"
        "\"prompt_tokens_details\":{\"audio_tokens\":5},\"completion_tokens_details\":"
        "{\"audio_tokens\":1,\"reasoning_tokens\":1,\"num_search_queries\":3}}}";
    static const char responses[] =
        "{\"type\":\"response.completed\",\"response\":{\"service_tier\":\"priority\","
        "\"usage\":{\"input_tokens\":9,\"output_tokens\":2,\"input_tokens_details\":"
        "{\"cached_tokens\":4},\"output_tokens_details\":{\"reasoning_tokens\":1}}}}";
    struct dialect_usage u;
    dialect_openai_chat.answer_usage(slice_str(chat), &u);
    assert_int_equal(u.tier, DIALECT_TIER_FLEX);
    assert_int_equal(u.input_audio_tokens, 5);
    assert_int_equal(u.output_audio_tokens, 1);
    assert_int_equal(u.searches, 3);
    assert_int_equal(u.output_tokens, 2); // thoughts are part of them
    struct sse_event event = {.data = slice_str(chat), .has_data = true};
    struct dialect_event d;
    dialect_openai_chat.event(&event, &d);
    assert_int_equal(d.usage.tier, DIALECT_TIER_FLEX);
    assert_int_equal(d.usage.searches, 3);
    event.data = slice_str(responses);
    dialect_openai_responses.event(&event, &d);
    assert_int_equal(d.kind, DIALECT_EVENT_END);
    assert_int_equal(d.usage.tier, DIALECT_TIER_PRIORITY);
    assert_int_equal(d.usage.cached_read_tokens, 4);
    // "default" and "auto" are no tier of their own; null is what some vendors write.
    static const char *const usual[] = {
        "{\"service_tier\":\"default\",\"usage\":{\"prompt_tokens\":1}}",
        "{\"service_tier\":null,\"usage\":{\"prompt_tokens\":1}}",
        "{\"service_tier\":7,\"usage\":{\"prompt_tokens\":1}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        dialect_openai_chat.answer_usage(slice_str(usual[i]), &u);
        assert_true(u.known && u.tier == DIALECT_TIER_DEFAULT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_what_they_say),
        cmocka_unit_test(usage_of_an_answer),
        cmocka_unit_test(what_else_an_answer_is_billed_by),
        cmocka_unit_test(a_count_is_no_usage),
        cmocka_unit_test(usage_is_never_invented),
        cmocka_unit_test(every_row_names_every_member_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
