// SPDX-License-Identifier: Apache-2.0
//
// canon_collect_test.c: streams become the answers they would have been; broken ones become none.
#include "codec/canon_collect.h"

#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct desk {
    struct block_pool pool;
    struct arena arena;
    struct canon_answer a;
    struct canon_collector c;
    struct dialect_usage usage;
};

static int collect(struct desk *d, const struct dialect *from, const char *text, size_t bytes_max)
{
    memset(d, 0, sizeof(*d));
    block_pool_init(&d->pool, 0);
    arena_init(&d->arena, &d->pool, bytes_max);
    d->a = (struct canon_answer){.arena = &d->arena, .from = from};
    canon_collector_init(&d->c, &d->a);
    return canon_collect(&d->c, slice_str(text), &d->usage);
}

static void desk_close(struct desk *d)
{
    arena_done(&d->arena);
    block_pool_done(&d->pool);
}

#define BYTES ((size_t)16 << 20)

// The stream's answer as `to` writes it.
static void gives(const struct dialect *from, const char *text, const struct dialect *to,
                  const char *want)
{
    const struct canon_context context = {.now_s = 7, .model = SLICE("m"), .id = SLICE("req-1")};
    struct json_writer w;
    struct slice got;
    struct desk d;

    assert_int_equal(collect(&d, from, text, BYTES), 0);
    json_writer_init(&w, &d.arena, 0);
    assert_int_equal(to->translation->write_answer(&d.a, &context, &w), 0);
    assert_int_equal(json_writer_done(&w, &got), 0);
    if (!slice_eq(got, slice_str(want)))
        fail_msg("got:\n%.*s\nwant:\n%s", SLICE_ARG(got), want);
    desk_close(&d);
}

#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define START                                                                                      \
    EVENT("message_start",                                                                         \
          ",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"  \
          "\"claude-x\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{"    \
          "\"input_tokens\":5,\"output_tokens\":1}}")
#define BLOCK(index, block)                                                                        \
    EVENT("content_block_start", ",\"index\":" index ",\"content_block\":{" block "}")
#define DELTA(index, delta)                                                                        \
    EVENT("content_block_delta", ",\"index\":" index ",\"delta\":{" delta "}")
#define STOP(index) EVENT("content_block_stop", ",\"index\":" index)
#define END(reason)                                                                                \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason                                 \
                           "\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}")           \
    EVENT("message_stop", "")

#define THOUGHT                                                                                    \
    BLOCK("0", "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"")                       \
    DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"I \\u00e9\"")                           \
    DELTA("0", "\"type\":\"thinking_delta\",\"thinking\":\"think\"")                               \
    DELTA("0", "\"type\":\"signature_delta\",\"signature\":\"sig\"") STOP("0")
#define SEALED BLOCK("1", "\"type\":\"redacted_thinking\",\"data\":\"seal\"") STOP("1")
#define TEXT                                                                                       \
    BLOCK("2", "\"type\":\"text\",\"text\":\"\"")                                                  \
    DELTA("2", "\"type\":\"text_delta\",\"text\":\"a\\n\"")                                        \
    DELTA("2",                                                                                     \
          "\"type\":\"citations_delta\",\"citation\":{\"type\":\"web_search_result_location\","    \
          "\"url\":\"u\",\"title\":\"t\",\"encrypted_index\":\"e\",\"cited_text\":\"c\"}")         \
    DELTA("2", "\"type\":\"text_delta\",\"text\":\"b\"") STOP("2")
#define CALL                                                                                       \
    BLOCK("3", "\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}")             \
    DELTA("3", "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"")                   \
    DELTA("3", "\"type\":\"input_json_delta\",\"partial_json\":\"1}\"") STOP("3")

static void every_kind_of_block_is_collected(void **state)
{
    (void)state;
    gives(&dialect_anthropic_messages, START THOUGHT SEALED TEXT CALL END("tool_use"),
          &dialect_openai_chat,
          "{\"id\":\"msg_1\",\"object\":\"chat.completion\",\"created\":7,\"model\":\"claude-x\","
          "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"a\\nb\","
          "\"refusal\":null,\"reasoning\":\"I \\u00e9think\",\"reasoning_details\":[{\"index\":0,"
          "\"type\":\"reasoning.text\",\"text\":\"I \\u00e9think\",\"signature\":\"sig\"},"
          "{\"index\":1,\"type\":\"reasoning.encrypted\",\"data\":\"seal\"}],"
          "\"tool_calls\":[{\"id\":\"toolu_1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
          "\"arguments\":\"{\\\"a\\\":1}\"}}],\"annotations\":[{\"type\":\"url_citation\","
          "\"url_citation\":{\"start_index\":0,\"end_index\":3,\"title\":\"t\",\"url\":\"u\"}}]},"
          "\"logprobs\":null,\"finish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":5,"
          "\"completion_tokens\":9,\"total_tokens\":14}}");
}

#define CHUNK(delta, reason)                                                                       \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":3,\"model\":\"g\","     \
    "\"choices\":[{\"index\":0,\"delta\":{" delta "},\"finish_reason\":" reason "}]}\n\n"

static void a_chat_whose_end_has_no_blank_line(void **state)
{
    (void)state;
    gives(&dialect_openai_chat,
          CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null")
              CHUNK("\"content\":\"a\"", "null") CHUNK("\"content\":\"b\"", "null")
                  CHUNK("", "\"length\"") "data: [DONE]\n",
          &dialect_anthropic_messages,
          "{\"id\":\"msg_c1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"g\","
          "\"content\":["
          "{\"type\":\"text\",\"text\":\"ab\"}],\"stop_reason\":\"max_tokens\",\"stop_sequence\":"
          "null,"
          "\"usage\":{\"input_tokens\":0,\"output_tokens\":0}}");
}

static void usage_is_as_the_provider_told_it(void **state)
{
    (void)state;
    struct desk d;
    assert_int_equal(collect(&d, &dialect_anthropic_messages, START TEXT END("end_turn"), BYTES),
                     0);
    assert_true(d.usage.known);
    assert_int_equal(d.usage.input_tokens, 5);
    assert_int_equal(d.usage.output_tokens, 9);
    desk_close(&d);
}

static void what_is_not_whole_is_no_answer(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int err;
    } cases[] = {
        {"", ERR_UPSTREAM_TRUNCATED},
        {": nothing\n\n", ERR_UPSTREAM_TRUNCATED},
        {START TEXT, ERR_UPSTREAM_TRUNCATED},
        {START "data: {", ERR_BAD_SSE},
        {START DELTA("0", "\"type\":\"text_delta\",\"text\":\"a\""), ERR_BAD_SSE},
        {START EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}"),
         ERR_UPSTREAM_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct desk d;
        int rc = collect(&d, &dialect_anthropic_messages, cases[i].text, BYTES);
        if (rc != cases[i].err)
            fail_msg("%zu: %s", i, err_name(rc));
        assert_int_equal(d.c.failed, i == ARRAY_LEN(cases) - 1);
        if (d.c.failed)
            assert_true(slice_eq(d.c.error.message, SLICE("Busy")));
        desk_close(&d);
    }
}

static void little_memory_is_told(void **state)
{
    (void)state;
    for (size_t ceiling = 0;; ceiling += BLOCK_BYTES) {
        struct desk d;
        int rc = collect(&d, &dialect_anthropic_messages, START THOUGHT TEXT CALL END("tool_use"),
                         ceiling);
        desk_close(&d);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
        assert_true(ceiling < BYTES);
    }
}

// A stream that broke off: what it had said, the open block included.
static void broken_ones_have_said_something(void **state)
{
    struct desk d;
    (void)state;
    int rc = collect(
        &d, &dialect_openai_chat,
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n",
        BYTES);
    assert_int_equal(rc, ERR_UPSTREAM_TRUNCATED);
    assert_int_equal(canon_collector_break(&d.c), 0);
    assert_non_null(d.a.blocks);
    assert_true(slice_eq(d.a.blocks->text, SLICE("\"ab\"")));
    assert_int_equal(canon_collector_break(&d.c), 0); // nothing is open
    desk_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_ones_have_said_something),
        cmocka_unit_test(every_kind_of_block_is_collected),
        cmocka_unit_test(a_chat_whose_end_has_no_blank_line),
        cmocka_unit_test(usage_is_as_the_provider_told_it),
        cmocka_unit_test(what_is_not_whole_is_no_answer),
        cmocka_unit_test(little_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
