// SPDX-License-Identifier: Apache-2.0
//
// dialect_anthropic_test.c: what the rows read out of events and answers.

#include "tests/unit/codec/dialect_desk.h"

#define MESSAGES &dialect_anthropic_messages
#define COMPLETE &dialect_anthropic_complete
#define COUNT    &dialect_anthropic_count_tokens

#define ANY_INPUT  (DIALECT_USAGE_INPUT | DIALECT_USAGE_READ | DIALECT_USAGE_WRITE)
#define EVERYTHING (ANY_INPUT | DIALECT_USAGE_OUTPUT)

static const struct event_case event_cases[] = {
    {MESSAGES, "", NULL, DIALECT_EVENT_OTHER, false, 0},
    {MESSAGES, "ping", "{\"type\":\"ping\"}", DIALECT_EVENT_OTHER, true, 0},
    {MESSAGES, "message_start",
     "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":25,"
     "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}",
     DIALECT_EVENT_DELTA, true, EVERYTHING},
    {MESSAGES, "message_start", "{\"message\":{\"usage\":{\"input_tokens\":null}}}",
     DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "message_start", "{\"message\":{\"usage\":7}}", DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "message_start", "{\"message\":{}}", DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "message_start", "{\"message\":[}", DIALECT_EVENT_DELTA, false, 0},
    {MESSAGES, "content_block_start", "{\"type\":\"content_block_start\"}", DIALECT_EVENT_DELTA,
     true, 0},
    // The word inside content decides nothing.
    {MESSAGES, "content_block_delta", "{\"delta\":{\"text\":\"message_stop\"}}",
     DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "content_block_stop", "{\"index\":0}", DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "message_delta",
     "{\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_"
     "tokens\":"
     "15}}",
     DIALECT_EVENT_DELTA, true, DIALECT_USAGE_OUTPUT},
    {MESSAGES, "message_delta",
     "{\"delta\":{},\"usage\":{\"input_tokens\":10682,\"cache_creation_input_tokens\":null,"
     "\"output_tokens\":510,\"server_tool_use\":{\"web_search_requests\":1}}}",
     DIALECT_EVENT_DELTA, true,
     DIALECT_USAGE_INPUT | DIALECT_USAGE_OUTPUT | DIALECT_USAGE_SEARCHES},
    {MESSAGES, "message_delta", "{\"delta\":{},\"usage\":null}", DIALECT_EVENT_DELTA, true, 0},
    {MESSAGES, "message_stop", "{\"type\":\"message_stop\"}", DIALECT_EVENT_END, true, 0},
    {MESSAGES, "error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
     DIALECT_EVENT_ERROR, true, 0},
    {MESSAGES, "some_day", "{\"type\":\"some_day\"}", DIALECT_EVENT_OTHER, true, 0},
    {MESSAGES, "message_stop", "hello", DIALECT_EVENT_OTHER, false, 0},
    // Without the line the data says what it is.
    {MESSAGES, "", " {\"type\" : \"message_stop\"} ", DIALECT_EVENT_END, true, 0},
    {MESSAGES, "", "{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":1}}",
     DIALECT_EVENT_DELTA, true, DIALECT_USAGE_OUTPUT},
    {MESSAGES, "", "{\"type\":\"error\",\"error\":{}}", DIALECT_EVENT_ERROR, true, 0},
    {MESSAGES, "", "{\"error\":{\"message\":\"m\"}}", DIALECT_EVENT_ERROR, true, 0},
    {MESSAGES, "", "{\"type\":\"ping\"}", DIALECT_EVENT_OTHER, true, 0},
    {MESSAGES, "", "{\"type\":7}", DIALECT_EVENT_OTHER, true, 0},
    {MESSAGES, "", "{\"type\":\"message_stop\"]}", DIALECT_EVENT_OTHER, false, 0},

    {COMPLETE, "completion", "{\"completion\":\" Hi\",\"stop_reason\":null}", DIALECT_EVENT_DELTA,
     true, 0},
    {COMPLETE, "completion", "{\"completion\":\"\",\"stop_reason\":\"stop_sequence\"}",
     DIALECT_EVENT_END, true, 0},
    {COMPLETE, "", "{\"type\":\"completion\",\"completion\":\"\",\"stop_reason\":\"max_tokens\"}",
     DIALECT_EVENT_END, true, 0},
    {COMPLETE, "completion", "{\"completion\":\"\\\"stop_reason\\\":\\\"x\\\"\"}",
     DIALECT_EVENT_DELTA, true, 0},
    {COMPLETE, "completion", "{\"completion\":}", DIALECT_EVENT_DELTA, false, 0},
    {COMPLETE, "ping", "{}", DIALECT_EVENT_OTHER, true, 0},
    {COMPLETE, "error", "{\"error\":{\"type\":\"overloaded_error\"}}", DIALECT_EVENT_ERROR, true,
     0},
    {COMPLETE, "", NULL, DIALECT_EVENT_OTHER, false, 0},

    {COUNT, "", "{\"input_tokens\":7}", DIALECT_EVENT_OTHER, true, 0},
    {COUNT, "", NULL, DIALECT_EVENT_OTHER, false, 0},
};

static uint64_t parts_of(const struct dialect_usage *usage)
{
    return usage->parts;
}

static void events_are_what_they_say(void **state)
{
    (void)state;
    check_events(event_cases, ARRAY_LEN(event_cases), parts_of);
}

static void usage_of_an_answer(void **state)
{
    (void)state;
    struct dialect_usage u;
    dialect_anthropic_messages.answer_usage(
        SLICE("{\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":6,"
              "\"cache_creation_input_tokens\":2,\"output_tokens\":4,\"cache_creation\":"
              "{\"ephemeral_5m_input_tokens\":2},\"service_tier\":\"standard\"}}"),
        &u);
    assert_true(u.known);
    assert_int_equal(u.parts, 0);
    assert_int_equal(u.input_tokens, 18);
    assert_int_equal(u.output_tokens, 4);
    assert_int_equal(u.total_tokens, 22);
    assert_int_equal(u.cached_read_tokens, 6);
    assert_int_equal(u.cached_write_tokens, 2);
    assert_int_equal(u.cached_write_1h_tokens, 0);
    assert_int_equal(u.tier, DIALECT_TIER_DEFAULT);
    dialect_anthropic_messages.answer_usage(
        SLICE("{\"usage\":{\"cache_creation\":{\"ephemeral_5m_input_tokens\":3,"
              "\"ephemeral_1h_input_tokens\":4},\"input_tokens\":10,"
              "\"cache_creation_input_tokens\":7,\"output_tokens\":4,\"server_tool_use\":"
              "{\"web_search_requests\":2},\"service_tier\":\"priority\"}}"),
        &u);
    assert_int_equal(u.input_tokens, 17);
    assert_int_equal(u.cached_write_tokens, 7);
    assert_int_equal(u.cached_write_1h_tokens, 4);
    assert_int_equal(u.searches, 2);
    assert_int_equal(u.tier, DIALECT_TIER_PRIORITY);
}

// The beginning says what was written and as what it is served, the end how often was searched.
static void what_is_told_once_stays(void **state)
{
    (void)state;
    struct dialect_usage sum = {0};
    static const char *const events[][2] = {
        {"message_start",
         "{\"message\":{\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":9,"
         "\"cache_creation\":{\"ephemeral_1h_input_tokens\":9},\"service_tier\":\"priority\","
         "\"output_tokens\":1}}}"},
        {"message_delta", "{\"usage\":{\"output_tokens\":30,\"server_tool_use\":"
                          "{\"web_search_requests\":1}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        struct sse_event event = {
            .type = slice_str(events[i][0]), .data = slice_str(events[i][1]), .has_data = true};
        struct dialect_event d;
        dialect_anthropic_messages.event(&event, &d);
        dialect_usage_update(&sum, &d.usage);
    }
    assert_int_equal(sum.input_tokens, 14);
    assert_int_equal(sum.output_tokens, 30);
    assert_int_equal(sum.cached_write_1h_tokens, 9);
    assert_int_equal(sum.searches, 1);
    assert_int_equal(sum.tier, DIALECT_TIER_PRIORITY);
}

static void usage_is_never_invented(void **state)
{
    static const char *const texts[] = {
        "{\"usage\":null}",
        "{}",
        "{\"usage\":{}}",
        "{\"usage\":{\"service_tier\":\"priority\",\"cache_creation\":"
        "{\"ephemeral_1h_input_tokens\":4}}}",
        "{\"usage\":{\"input_tokens\":\"7\"}}",
        "not json",
        "{\"usage",
        "",
        "{\"usage\":{\"input_tokens\":1.5}}",
    };
    // A count is no usage, and completions have none.
    static const char *const count[] = {"{\"input_tokens\":7}"};
    static const char *const completion[] = {"{\"completion\":\" Hi\"}"};
    (void)state;
    check_no_usage(MESSAGES, texts, ARRAY_LEN(texts));
    check_no_usage(COUNT, count, 1);
    check_no_usage(COMPLETE, completion, 1);
}

static void every_row_names_every_member_once(void **state)
{
    static const struct dialect *const rows[] = {MESSAGES, COMPLETE, COUNT};
    (void)state;
    check_members(rows, ARRAY_LEN(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_what_they_say),
        cmocka_unit_test(usage_of_an_answer),
        cmocka_unit_test(what_is_told_once_stays),
        cmocka_unit_test(usage_is_never_invented),
        cmocka_unit_test(every_row_names_every_member_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
