// SPDX-License-Identifier: Apache-2.0
//
// anthropic_stream_test.c: the client's events for canonical ones.
#include "tests/unit/codec/anthropic_desk.h"

struct pen {
    struct desk desk;
    struct canon_writer writer;
};

static void pen_open(struct pen *p, size_t bytes_max)
{
    memset(p, 0, sizeof(*p));
    desk_open(&p->desk, bytes_max);
    p->writer.arena = &p->desk.arena;
    p->writer.out = &p->desk.w;
    p->writer.context = (struct canon_context){.model = SLICE("m-1"), .id = SLICE("req-01")};
}

static int put(struct pen *p, struct canon_event e)
{
    return anthropic__write_event(&p->writer, &e);
}

// What was written since the last time.
static void wrote(struct pen *p, const char *want)
{
    same(desk_text(&p->desk), want);
    p->desk.w.len = 0;
}

static int start(struct pen *p)
{
    return put(p, (struct canon_event){.kind = CANON_START});
}

static int open_block(struct pen *p, enum canon_block_kind block)
{
    return put(p, (struct canon_event){.kind = CANON_BLOCK_START, .block = block});
}

static int delta(struct pen *p, enum canon_block_kind block, enum canon_delta_kind kind,
                 const char *text)
{
    return put(
        p, (struct canon_event){
               .kind = CANON_BLOCK_DELTA, .block = block, .delta = kind, .text = slice_str(text)});
}

static int shut(struct pen *p, enum canon_block_kind block)
{
    return put(p, (struct canon_event){.kind = CANON_BLOCK_STOP, .block = block});
}

#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define STARTED(id, model, usage)                                                                  \
    EVENT("message_start",                                                                         \
          ",\"message\":{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\","           \
          "\"model\":\"" model "\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"    \
          "\"usage\":{" usage "}}")
#define NO_USAGE      "\"input_tokens\":0,\"output_tokens\":0"
#define OPENED(i, b)  EVENT("content_block_start", ",\"index\":" i ",\"content_block\":" b)
#define DELTAED(i, d) EVENT("content_block_delta", ",\"index\":" i ",\"delta\":" d)
#define SHUTTED(i)    EVENT("content_block_stop", ",\"index\":" i)
#define ENDED(stop, usage)                                                                         \
    EVENT("message_delta", ",\"delta\":{" stop "},\"usage\":{" usage "}")                          \
    EVENT("message_stop", "")
#define TEXT_BLOCK "{\"type\":\"text\",\"text\":\"\"}"

static void a_stream_of_text(void **state)
{
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    put(&p, (struct canon_event){.kind = CANON_START,
                                 .id = SLICE("\"chatcmpl-9\""),
                                 .model = SLICE("\"gpt\""),
                                 .usage = {.known = true, .input_tokens = 5}});
    wrote(&p, STARTED("msg_9", "gpt", "\"input_tokens\":5,\"output_tokens\":0"));
    open_block(&p, CANON_TEXT);
    wrote(&p, OPENED("0", TEXT_BLOCK));
    delta(&p, CANON_TEXT, CANON_DELTA_TEXT, "\"a\\n\"");
    wrote(&p, DELTAED("0", "{\"type\":\"text_delta\",\"text\":\"a\\n\"}"));
    delta(&p, CANON_TEXT, CANON_DELTA_TEXT, "\"\"");
    delta(&p, CANON_TEXT, CANON_DELTA_CITATION, "{\"url\":\"u\"}");
    delta(&p, CANON_TEXT, CANON_DELTA_LOGPROBS, "[]");
    wrote(&p, "");
    shut(&p, CANON_TEXT);
    wrote(&p, SHUTTED("0"));
    put(&p, (struct canon_event){.kind = CANON_STOP, .stop = CANON_STOP_LENGTH});
    put(&p, (struct canon_event){.kind = CANON_USAGE,
                                 .usage = {.known = true, .input_tokens = 7, .output_tokens = 2}});
    wrote(&p, "");
    put(&p, (struct canon_event){.kind = CANON_END});
    wrote(&p, ENDED("\"stop_reason\":\"max_tokens\",\"stop_sequence\":null",
                    "\"input_tokens\":7,\"output_tokens\":2"));
    desk_close(&p.desk);
}

static void nothing_told_is_nothing_said(void **state)
{
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    wrote(&p, STARTED("msg_req-01", "m-1", NO_USAGE));
    put(&p, (struct canon_event){.kind = CANON_END});
    wrote(&p, ENDED("\"stop_reason\":\"end_turn\",\"stop_sequence\":null", NO_USAGE));
    desk_close(&p.desk);
}

static void thoughts(void **state)
{
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    p.desk.w.len = 0;
    open_block(&p, CANON_THINKING);
    delta(&p, CANON_THINKING, CANON_DELTA_TEXT, "\"t\"");
    delta(&p, CANON_THINKING, CANON_DELTA_SIGNATURE, "\"s\"");
    shut(&p, CANON_THINKING);
    wrote(&p,
          OPENED("0", "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
              DELTAED("0", "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}")
                  DELTAED("0", "{\"type\":\"signature_delta\",\"signature\":\"s\"}") SHUTTED("0"));
    open_block(&p, CANON_REDACTED_THINKING);
    wrote(&p, "");
    delta(&p, CANON_REDACTED_THINKING, CANON_DELTA_DATA, "\"r\"");
    shut(&p, CANON_REDACTED_THINKING);
    wrote(&p, OPENED("1", "{\"type\":\"redacted_thinking\",\"data\":\"r\"}") SHUTTED("1"));
    // One without data is nothing.
    open_block(&p, CANON_REDACTED_THINKING);
    shut(&p, CANON_REDACTED_THINKING);
    wrote(&p, "");
    desk_close(&p.desk);
}

static void what_has_no_place_takes_no_index(void **state)
{
    static const enum canon_block_kind kinds[] = {CANON_WEB_SEARCH, CANON_OPAQUE, CANON_AUDIO,
                                                  CANON_IMAGE, CANON_FILE};
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    p.desk.w.len = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        open_block(&p, kinds[i]);
        delta(&p, kinds[i], CANON_DELTA_TEXT, "\"q\"");
        delta(&p, kinds[i], CANON_DELTA_DATA, "\"q\"");
        shut(&p, kinds[i]);
    }
    wrote(&p, "");
    open_block(&p, CANON_TEXT);
    wrote(&p, OPENED("0", TEXT_BLOCK));
    desk_close(&p.desk);
}

static void call(struct pen *p, enum canon_tool_kind tool)
{
    put(p, (struct canon_event){.kind = CANON_BLOCK_START,
                                .block = CANON_TOOL_CALL,
                                .tool = tool,
                                .id = SLICE("\"i\""),
                                .name = SLICE("\"f\"")});
}

#define CALL_BLOCK     "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{}}"
#define INPUT(i, text) DELTAED(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" text "\"}")

static void calls(void **state)
{
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    p.desk.w.len = 0;
    call(&p, CANON_TOOL_FUNCTION);
    delta(&p, CANON_TOOL_CALL, CANON_DELTA_TEXT, "\"{\\\"a\\\":\"");
    delta(&p, CANON_TOOL_CALL, CANON_DELTA_TEXT, "\"1}\"");
    shut(&p, CANON_TOOL_CALL);
    wrote(&p, OPENED("0", CALL_BLOCK) INPUT("0", "{\\\"a\\\":") INPUT("0", "1}") SHUTTED("0"));
    // No arguments: none are made up.
    call(&p, CANON_TOOL_FUNCTION);
    shut(&p, CANON_TOOL_CALL);
    wrote(&p, OPENED("1", CALL_BLOCK) SHUTTED("1"));
    // Free text inside an object: {"input":"a\"b\n"}.
    call(&p, CANON_TOOL_CUSTOM);
    delta(&p, CANON_TOOL_CALL, CANON_DELTA_TEXT, "\"a\\\"b\"");
    delta(&p, CANON_TOOL_CALL, CANON_DELTA_TEXT, "\"\\n\"");
    shut(&p, CANON_TOOL_CALL);
    wrote(&p, OPENED("2", CALL_BLOCK) INPUT("2", "{\\\"input\\\":\\\"") INPUT("2", "a\\\\\\\"b")
                  INPUT("2", "\\\\n") INPUT("2", "\\\"}") SHUTTED("2"));
    desk_close(&p.desk);
}

static void a_refusal_is_a_text_and_an_end(void **state)
{
    struct pen p;
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    p.desk.w.len = 0;
    open_block(&p, CANON_REFUSAL);
    delta(&p, CANON_REFUSAL, CANON_DELTA_TEXT, "\"no\"");
    shut(&p, CANON_REFUSAL);
    put(&p, (struct canon_event){.kind = CANON_STOP, .stop = CANON_STOP_END});
    put(&p, (struct canon_event){.kind = CANON_END});
    wrote(&p,
          OPENED("0", TEXT_BLOCK) DELTAED("0", "{\"type\":\"text_delta\",\"text\":\"no\"}")
              SHUTTED("0") ENDED("\"stop_reason\":\"refusal\",\"stop_sequence\":null", NO_USAGE));
    desk_close(&p.desk);
}

// The text of a stop sequence lives only during its event.
static void a_stop_sequence_is_kept(void **state)
{
    struct pen p;
    char text[] = "\"END\"";
    (void)state;
    pen_open(&p, DESK_BYTES);
    start(&p);
    p.desk.w.len = 0;
    put(&p, (struct canon_event){
                .kind = CANON_STOP, .stop = CANON_STOP_SEQUENCE, .stop_sequence = slice_str(text)});
    memset(text, '#', sizeof(text) - 1);
    put(&p, (struct canon_event){.kind = CANON_END});
    wrote(&p, ENDED("\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\"", NO_USAGE));
    desk_close(&p.desk);
}

static int whole_stream(struct desk *d)
{
    struct pen p = {.desk = *d};
    p.writer.arena = &d->arena;
    p.writer.out = &d->w;
    int rc = start(&p);
    for (unsigned i = 0; rc == 0 && d->w.len < (size_t)4 * BLOCK_BYTES; i++) {
        call(&p, CANON_TOOL_CUSTOM);
        rc = delta(&p, CANON_TOOL_CALL, CANON_DELTA_TEXT, "\"a\"");
        if (rc == 0)
            rc = shut(&p, CANON_TOOL_CALL);
    }
    if (rc == 0)
        rc = put(&p, (struct canon_event){.kind = CANON_STOP, .stop_sequence = SLICE("\"x\"")});
    return rc ? rc : put(&p, (struct canon_event){.kind = CANON_END});
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    check_memory(whole_stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_text),
        cmocka_unit_test(nothing_told_is_nothing_said),
        cmocka_unit_test(thoughts),
        cmocka_unit_test(what_has_no_place_takes_no_index),
        cmocka_unit_test(calls),
        cmocka_unit_test(a_refusal_is_a_text_and_an_end),
        cmocka_unit_test(a_stop_sequence_is_kept),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
