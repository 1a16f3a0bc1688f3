// SPDX-License-Identifier: Apache-2.0
//
// stream_rules_test.c: validators that find nothing prove nothing. For each dialect a legal stream,
// and for each rule an edit of it that breaks this rule and is refused for it.
#include "tests/support/stream_rules.h"

#include "base/buf.h"
#include "tests/unit/base/cm.h"

struct edit {
    const char *from, *to; // the first occurrence; `from` NULL: `to` stands in front of all
    const char *why;       // part of what the verdict must say
};

static struct slice edited(struct buf *b, const char *text, const struct edit *e)
{
    const char *at = e->from ? strstr(text, e->from) : text;
    assert_non_null(at);
    buf_add(b, slice_of(text, (size_t)(at - text)));
    buf_add(b, slice_str(e->to));
    buf_add(b, slice_str(at + (e->from ? strlen(e->from) : 0)));
    return buf_slice(b);
}

static void all_refused(stream_rules_fn rules, const char *legal, const struct edit *edits,
                        size_t count)
{
    struct stream_verdict verdict;
    if (!rules(slice_str(legal), true, &verdict))
        fail_msg("event %zu: %s", verdict.event, verdict.why);
    for (size_t i = 0; i < count; i++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        struct slice text = edited(&b, legal, &edits[i]);
        if (rules(text, true, &verdict))
            fail_msg("edit %zu is taken; it should be: %s", i, edits[i].why);
        if (!strstr(verdict.why, edits[i].why))
            fail_msg("edit %zu: '%s' instead of '%s'", i, verdict.why, edits[i].why);
        buf_done(&b);
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- Chat ---------------------------------------------------------------------------------------

#define FRAME                                                                                      \
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\","
#define CHUNK(delta, finish)                                                                       \
    FRAME "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define CALL(index, rest) CHUNK("{\"tool_calls\":[{\"index\":" index "," rest "}]}", "null")
#define HEAD(index, id, name)                                                                      \
    CALL(index, "\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\"}")
#define CALL_A             HEAD("0", "a", "f")
#define CALL_B             HEAD("1", "b", "g")
#define PIECE(index, text) CALL(index, "\"function\":{\"arguments\":\"" text "\"}")
#define ROLE               CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define TEXT               CHUNK("{\"content\":\"x\"}", "null")
#define FINISH             CHUNK("{}", "\"tool_calls\"")
#define USAGE              FRAME "\"choices\":[],\"usage\":{\"total_tokens\":2}}\n\n"
#define DONE               "data: [DONE]\n\n"
#define CHAT                                                                                       \
    ": hello\n\n" ROLE TEXT CALL_A PIECE("0", "{\\\"a\\\"") PIECE("0", ":1}")                      \
        CALL_B PIECE("1", "{}") FINISH USAGE DONE

static void chat_rules(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        {ROLE, TEXT, "the role is in the first chunk"},
        {TEXT, ROLE, "the role is in the first chunk"},
        {"data: {\"id\"", "event: x\ndata: {\"id\"", "an event line"},
        {TEXT, "data: {\"id\":\n\n", "no object"},
        {TEXT, "event: x\n\n", "without data"},
        {"chat.completion.chunk", "chat.completion", "no chunk"},
        {"\"created\":1", "\"created\":0", "without id, model or time"},
        {"\"id\":\"c\"", "\"id\":\"d\"", "differ from the first"},
        {"\"model\":\"m\"", "\"model\":\"n\"", "differ from the first"},
        {"\"created\":1", "\"created\":2", "differ from the first"},
        {"\"choices\":[{", "\"choices\":[{},{", "one or none"},
        {"\"index\":0,\"delta\"", "\"index\":1,\"delta\"", "not the first"},
        {"\"index\":0,\"id\"", "\"id\"", "without index"},
        {CALL_A, CALL("0", "\"id\":\"a\",\"function\":{\"name\":\"f\"}"), "without id, type"},
        {CALL_A, PIECE("0", "{"), "without id, type"},
        {CALL_B, CALL_A, "a call begins twice"},
        {CALL_B, CALL_B PIECE("0", " "), "not the last"},
        {CALL_B, CALL("2", "\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\"}"),
         "not the last"},
        {":1}", ":1", "arguments that are no object"},
        {PIECE("1", "{}"), "", "arguments that are no object"},
        {CALL_A PIECE("0", "{\\\"a\\\"") PIECE("0", ":1}") CALL_B PIECE("1", "{}"), "",
         "tool_calls without a call"},
        {FINISH, FINISH TEXT, "behind finish_reason"},
        {FINISH, FINISH FINISH, "behind finish_reason"},
        {FINISH, "", "behind finish_reason"},
        {FINISH USAGE, "", "[DONE] before finish_reason"},
        {USAGE, USAGE USAGE, "usage comes once"},
        {FINISH USAGE, USAGE FINISH, "usage comes once"},
        {"\"finish_reason\":null}]", "\"finish_reason\":null}],\"usage\":{}", "beside a choice"},
        {",\"usage\":{\"total_tokens\":2}", "", "without usage"},
        {DONE, "", "does not end"},
        {DONE, DONE DONE, "behind [DONE]"},
        {DONE, "data: [DONE]", "half an event"},
    };
    all_refused(stream_rules_chat, CHAT, edits, COUNT(edits));
    struct stream_verdict verdict;
    assert_true(stream_rules_chat(SLICE(ROLE TEXT FINISH), false, &verdict) == false);
    assert_true(stream_rules_chat(SLICE(ROLE TEXT), false, &verdict));
    assert_true(stream_rules_chat(SLICE(""), false, &verdict));
    assert_false(stream_rules_chat(SLICE(""), true, &verdict));
    assert_true(stream_rules_chat(
        SLICE(ROLE CALL_A PIECE("0", "{\\\"a") CHUNK("{}", "\"length\"") DONE), true, &verdict));
}

// ---- Messages -----------------------------------------------------------------------------------

#define EVENT(name, rest) "event: " name "\ndata: {\"type\":\"" name "\"" rest "}\n\n"
#define START                                                                                      \
    EVENT("message_start", ",\"message\":{\"content\":[],\"stop_reason\":null,\"usage\":{}}")
#define BEGIN(index, block)                                                                        \
    EVENT("content_block_start", ",\"index\":" index ",\"content_block\":{" block "}")
#define DELTA(index, delta)                                                                        \
    EVENT("content_block_delta", ",\"index\":" index ",\"delta\":{" delta "}")
#define STOP(index) EVENT("content_block_stop", ",\"index\":" index)
#define ENDING(reason)                                                                             \
    EVENT("message_delta",                                                                         \
          ",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{\"output_tokens\":1}")
#define LAST        EVENT("message_stop", "")
#define PING        EVENT("ping", "")
#define THINK       "\"type\":\"thinking_delta\",\"thinking\":\"t\""
#define SIGN        "\"type\":\"signature_delta\",\"signature\":\"s\""
#define SAY         "\"type\":\"text_delta\",\"text\":\"t\""
#define INPUT(text) "\"type\":\"input_json_delta\",\"partial_json\":\"" text "\""
#define TOOL        "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}"
#define MESSAGES                                                                                   \
    START PING BEGIN("0", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")            \
        DELTA("0", THINK) DELTA("0", SIGN) STOP("0") BEGIN("1", "\"type\":\"text\",\"text\":\"\"") \
            DELTA("1", SAY) PING DELTA("1", SAY) STOP("1") BEGIN("2", TOOL)                        \
                DELTA("2", INPUT("{\\\"a\\\"")) DELTA("2", INPUT(":1}")) STOP("2")                 \
                    ENDING("tool_use") LAST

static void messages_rules(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        {START, "", "does not begin with message_start"},
        {START, PING START, "does not begin with message_start"},
        {START, START START, "message_start twice"},
        {"\"content\":[]", "\"content\":[1]", "starts with content"},
        {"\"stop_reason\":null", "\"stop_reason\":\"end_turn\"", "a stop_reason"},
        {"event: ping", "event: pong", "the event line says pong"},
        {"event: ping\n", "", "the event line says"},
        {PING, EVENT("error", ""), "an event named error"},
        {PING, DONE, "[DONE]"},
        {STOP("0"), "", "a block begins in another"},
        {"\"index\":0", "\"index\":1", "rise by one"},
        {"\"index\":1", "\"index\":2", "rise by one"},
        {"\"text\":\"\"", "\"text\":\"t\"", "a block that starts with content"},
        {"\"input\":{}", "\"input\":{\"a\":1}", "a block that starts with content"},
        {DELTA("1", SAY), DELTA("0", SAY), "not open"},
        {DELTA("0", SIGN) STOP("0"), STOP("0") DELTA("0", SIGN), "not open"},
        {DELTA("1", SAY), DELTA("1", THINK), "a thinking_delta in a text block"},
        {DELTA("0", THINK), DELTA("0", SAY), "a text_delta in a thinking block"},
        {DELTA("1", SAY), DELTA("1", INPUT("")), "input_json_delta in a text block"},
        {DELTA("0", SIGN), DELTA("0", SIGN) DELTA("0", THINK), "behind its signature"},
        {STOP("0"), STOP("0") STOP("0"), "stops that is not open"},
        {STOP("0"), STOP("1"), "stops that is not open"},
        {":\":1}", ":\":1", "an input that is no object"},
        {ENDING("tool_use"), "", "before message_delta"},
        {ENDING("tool_use"), ENDING("tool_use") ENDING("tool_use"), "message_delta twice"},
        {STOP("2") ENDING("tool_use"), ENDING("tool_use") STOP("2"), "or in a block"},
        {"\"stop_reason\":\"tool_use\"", "\"stop_reason\":null", "without stop_reason"},
        {"\"output_tokens\":1", "\"input_tokens\":1", "or output_tokens"},
        {ENDING("tool_use") LAST, LAST ENDING("tool_use"), "before message_delta"},
        {LAST, "", "does not end"},
        {LAST, LAST PING, "behind message_stop"},
        {LAST, BEGIN("3", TOOL) LAST, "behind message_delta"},
    };
    all_refused(stream_rules_messages, MESSAGES, edits, COUNT(edits));
    struct stream_verdict verdict;
    assert_true(stream_rules_messages(
        SLICE(START BEGIN("0", TOOL) STOP("0") ENDING("tool_use") LAST), true, &verdict));
    assert_true(stream_rules_messages(
        SLICE(START BEGIN("0", TOOL) DELTA("0", INPUT("{")) STOP("0") ENDING("max_tokens") LAST),
        true, &verdict));
    assert_true(stream_rules_messages(SLICE(START BEGIN("0", TOOL)), false, &verdict));
}

// ---- Responses ----------------------------------------------------------------------------------

#define R(name, number, rest)                                                                      \
    "event: response." name "\ndata: {\"type\":\"response." name "\",\"sequence_number\":" number  \
    "" rest "}\n\n"
#define RESPONSE(status, output) ",\"response\":{\"status\":\"" status "\",\"output\":[" output "]}"
#define ITEM(output, item)       ",\"output_index\":" output ",\"item\":{" item "}"
#define IN(output, id)           ",\"output_index\":" output ",\"item_id\":\"" id "\""
#define AT(part)                 ",\"content_index\":" part
#define SUM(part)                ",\"summary_index\":" part
#define THOUGHT                                                                                    \
    "\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[{\"type\":\"summary_text\",\"text\":"       \
    "\"hm\"}]"
#define SAID     "\"type\":\"output_text\",\"text\":\"ab\",\"annotations\":[1]"
#define MESSAGE  "\"type\":\"message\",\"id\":\"msg\",\"content\":[{" SAID "}]"
#define FUNCTION "\"type\":\"function_call\",\"id\":\"fc\",\"arguments\":\"{}\""
#define R0       R("created", "0", RESPONSE("in_progress", ""))
#define R1       R("in_progress", "1", RESPONSE("in_progress", ""))
#define R2                                                                                         \
    R("output_item.added", "2", ITEM("0", "\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[]"))
#define R3                                                                                         \
    R("reasoning_summary_part.added", "3",                                                         \
      IN("0", "rs") SUM("0") ",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}")
#define R4 R("reasoning_summary_text.delta", "4", IN("0", "rs") SUM("0") ",\"delta\":\"hm\"")
#define R5 R("reasoning_summary_text.done", "5", IN("0", "rs") SUM("0") ",\"text\":\"hm\"")
#define R6                                                                                         \
    R("reasoning_summary_part.done", "6",                                                          \
      IN("0", "rs") SUM("0") ",\"part\":{\"type\":\"summary_text\",\"text\":\"hm\"}")
#define R7 R("output_item.done", "7", ITEM("0", THOUGHT))
#define R8                                                                                         \
    R("output_item.added", "8", ITEM("1", "\"type\":\"message\",\"id\":\"msg\",\"content\":[]"))
#define R9                                                                                         \
    R("content_part.added", "9",                                                                   \
      IN("1", "msg") AT("0") ",\"part\":{\"type\":\"output_text\",\"text\":\"\"}")
#define R10 R("output_text.delta", "10", IN("1", "msg") AT("0") ",\"delta\":\"a\"")
#define R11 R("output_text.delta", "11", IN("1", "msg") AT("0") ",\"delta\":\"b\"")
#define R12                                                                                        \
    R("output_text.annotation.added", "12", IN("1", "msg") AT("0") ",\"annotation_index\":0")
#define R13 R("output_text.done", "13", IN("1", "msg") AT("0") ",\"text\":\"ab\"")
#define R14 R("content_part.done", "14", IN("1", "msg") AT("0") ",\"part\":{" SAID "}")
#define R15 R("output_item.done", "15", ITEM("1", MESSAGE))
#define R16                                                                                        \
    R("output_item.added", "16",                                                                   \
      ITEM("2", "\"type\":\"function_call\",\"id\":\"fc\",\"arguments\":\"\""))
#define R17 R("function_call_arguments.delta", "17", IN("2", "fc") ",\"delta\":\"{}\"")
#define R18 R("function_call_arguments.done", "18", IN("2", "fc") ",\"arguments\":\"{}\"")
#define R19 R("output_item.done", "19", ITEM("2", FUNCTION))
#define R20                                                                                        \
    R("completed", "20", RESPONSE("completed", "{" THOUGHT "},{" MESSAGE "},{" FUNCTION "}"))
#define RESPONSES R0 R1 R2 R3 R4 R5 R6 R7 R8 R9 R10 R11 R12 R13 R14 R15 R16 R17 R18 R19 R20

static void responses_rules(void **state)
{
    (void)state;
    static const struct edit edits[] = {
        {R0, "", "sequence_number"},
        {"\"sequence_number\":4", "\"sequence_number\":5", "sequence_number"},
        {",\"sequence_number\":9", "", "sequence_number"},
        {R0 R1, R("in_progress", "0", "") R("created", "1", RESPONSE("in_progress", "")),
         "not the second"},
        {R1, R("created", "1", RESPONSE("in_progress", "")), "response.created twice"},
        {R1, R("output_item.added", "1", ITEM("0", "\"type\":\"reasoning\",\"id\":\"rs\"")),
         "does not begin with"},
        {"\"status\":\"in_progress\"", "\"status\":\"queued\"", "created with a status"},
        {"\"output\":[]", "\"output\":[{}]", "created with a status or output"},
        {R7, R("output_item.added", "7", ITEM("1", "\"type\":\"message\",\"id\":\"x\"")),
         "an item begins in another"},
        {R8, R("output_item.added", "8", ITEM("2", "\"type\":\"message\",\"id\":\"msg\"")),
         "item indices"},
        {R8, R("output_item.added", "8", ITEM("1", MESSAGE)), "begins with content"},
        {"\"id\":\"rs\",\"summary\":[]", "\"summary\":[]", "without an id"},
        {R3, R("content_part.added", "3", IN("0", "rs") AT("0")), "without such an item"},
        {R9, R("content_part.added", "9", IN("0", "msg") AT("0")), "of another item"},
        {R9, R("content_part.added", "9", IN("1", "rs") AT("0")), "of another item"},
        {R9, R("content_part.added", "9", IN("1", "msg") AT("1")), "part indices"},
        {R9, R("output_text.delta", "9", IN("1", "msg") AT("0")), "without such a part"},
        {R10, R("content_part.added", "10", IN("1", "msg") AT("1")), "a part begins in another"},
        {R10, R("output_text.delta", "10", IN("1", "msg") AT("1")), "of another part"},
        {R10, R("refusal.delta", "10", IN("1", "msg") AT("0")), "without such a part"},
        {"\"type\":\"output_text\",\"text\":\"\"", "\"type\":\"output_text\",\"text\":\"a\"",
         "begins with text"},
        {R14, R("output_text.delta", "14", IN("1", "msg") AT("0")), "behind its done"},
        {R14, R("output_text.done", "14", IN("1", "msg") AT("0") ",\"text\":\"ab\""), "done twice"},
        {"\"annotation_index\":0", "\"annotation_index\":1", "annotations do not rise"},
        {"\"delta\":\"b\"", "\"delta\":\"c\"", "a done text is not"},
        {"\"delta\":\"hm\"", "\"delta\":\"h\"", "a done text is not"},
        {R13, R("content_part.done", "13", IN("1", "msg") AT("0")), "before its text"},
        {"\"part\":{" SAID, "\"part\":{\"type\":\"output_text\",\"text\":\"a\"",
         "a done part is not"},
        {"\"part\":{" SAID, "\"part\":{\"type\":\"output_text\",\"text\":\"ab\"",
         "other annotations"},
        {R14, R("output_item.done", "14", ITEM("1", MESSAGE)), "before what is in it"},
        {R17, R("output_item.done", "17", ITEM("2", FUNCTION)), "before what is in it"},
        {R15, R("output_item.done", "15", ITEM("1", FUNCTION)), "another item is done"},
        {"\"delta\":\"{}\"", "\"delta\":\"{\"", "done arguments are not"},
        {R19, R("function_call_arguments.done", "19", IN("2", "fc")), "done twice"},
        {R19, R("function_call_arguments.delta", "19", IN("2", "fc")), "behind its done"},
        {"\"item\":{" FUNCTION, "\"item\":{\"type\":\"function_call\",\"id\":\"fc\"",
         "a done item is not"},
        {R19, R("completed", "19", RESPONSE("completed", "")), "it ends in an item"},
        {"\"status\":\"completed\"", "\"status\":\"incomplete\"", "another status"},
        {",{" FUNCTION "}]", "]", "the whole response is not"},
        {"},{" MESSAGE, "},{\"type\":\"message\",\"id\":\"msg\"", "the whole response is not"},
        {R20, "", "does not end"},
        {R20, R20 R("output_item.done", "21", ""), "behind the terminal"},
        {R20, R20 DONE, "behind the terminal"},
        {R20, DONE, "[DONE]"},
        {R20, R("audio.delta", "20", ""), "an event named response.audio.delta"},
    };
    all_refused(stream_rules_responses, RESPONSES, edits, COUNT(edits));
    struct stream_verdict verdict;
    assert_true(stream_rules_responses(SLICE(R0 R1 R2 R3), false, &verdict));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_rules),
        cmocka_unit_test(messages_rules),
        cmocka_unit_test(responses_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
