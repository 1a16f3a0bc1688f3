// SPDX-License-Identifier: Apache-2.0
//
// content_test.c: what is told of kept texts, and that what cannot be read is only shown.
//
// Whole conversations, every dialect with every other, are in tests/e2e/test_records.py.
#include "tests/unit/base/cm.h"

#include "admin/content.h"
#include "base/arena.h"
#include "base/container.h"
#include "base/err.h"
#include "base/fold.h"
#include "gateway/row.h"

static struct block_pool pool;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    block_pool_done(&pool);
    return 0;
}

// Of a request that was made in this dialect.
static struct slice row_in(const char *dialect)
{
    struct slice bytes = SLICE_EMPTY;
    struct row row;
    row_init(&row);
    row.text[ROW_DIALECT] = slice_str(dialect);
    assert_int_equal(row_write(&row, &arena, &bytes), 0);
    return bytes;
}

static void tells(const struct store_entry *e, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    content_tell(e, &b);
    assert_int_equal(b.err, 0);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("got  %.*s\nwant %s", SLICE_ARG(buf_slice(&b)), want);
    buf_done(&b);
}

// Members as they were written, spacing included; what routed the request is in the row.
static void chat_is_taken_apart(void **state)
{
    struct store_entry e = {
        .row = row_in("openai_chat"),
        .request = SLICE("{\"model\":\"m\",\"messages\":[ 1 ],\"top_p\":1e0,\"tools\":[2],"
                         "\"stream\":false,\"seed\":7}"),
        .answer =
            SLICE("{\"choices\":[{\"message\":{\"role\":\"assistant\",\"tool_calls\":[3]}}]}"),
    };
    (void)state;
    tells(&e,
          ",\"input_history\":[ 1 ],\"tools\":[2],\"params\":{\"top_p\":1e0,\"seed\":7}"
          ",\"output_message\":{\"role\":\"assistant\",\"tool_calls\":[3]},\"tool_calls\":[3]"
          ",\"raw_request\":\"{\\\"model\\\":\\\"m\\\",\\\"messages\\\":[ 1 ],\\\"top_p\\\":1e0,"
          "\\\"tools\\\":[2],\\\"stream\\\":false,\\\"seed\\\":7}\""
          ",\"raw_response\":\"{\\\"choices\\\":[{\\\"message\\\":{\\\"role\\\":\\\"assistant\\\","
          "\\\"tool_calls\\\":[3]}}]}\"");
}

static void a_text_becomes_a_message(void **state)
{
    struct store_entry e = {.row = row_in("openai_responses"),
                            .request = SLICE("{\"input\":\"hi\"}")};
    (void)state;
    tells(&e, ",\"responses_input_history\":[{\"role\":\"user\",\"content\":\"hi\"}]"
              ",\"raw_request\":\"{\\\"input\\\":\\\"hi\\\"}\"");
}

// What is embedded is no message.
static void embeddings_are_numbers(void **state)
{
    struct store_entry e = {
        .row = row_in("openai_embeddings"),
        .request = SLICE("{\"input\":[\"a\"],\"user\":\"u\"}"),
        .answer = SLICE("{\"data\":[{\"embedding\":[0.50,1]},{\"embedding\":[]}]}"),
    };
    (void)state;
    tells(&e, ",\"params\":{\"user\":\"u\"},\"embedding_output\":[[0.50,1],[]]"
              ",\"raw_request\":\"{\\\"input\\\":[\\\"a\\\"],\\\"user\\\":\\\"u\\\"}\""
              ",\"raw_response\":\"{\\\"data\\\":[{\\\"embedding\\\":[0.50,1]},"
              "{\\\"embedding\\\":[]}]}\"");
}

static void what_cannot_be_read_is_shown(void **state)
{
    const struct store_entry cases[] = {
        {.row = row_in("openai_chat"), .answer = SLICE("{\"choices\":[")}, // cut
        {.row = row_in("openai_chat"), .answer = SLICE("nothing")},
        {.row = row_in("openai_chat"), .answer = SLICE("{\"error\":1}")},
        {.row = row_in("openai_chat"), .answer = SLICE("{\"choices\":1}")},
        {.row = row_in("openai_responses"), .answer = SLICE("{\"output\":1}")},
        {.row = row_in("anthropic_messages"), .answer = SLICE("{\"type\":\"error\"}")},
        {.row = row_in("openai_embeddings"),
         .answer = SLICE("{\"data\":[{\"embedding\":\"AA==\"}]}")},
        {.row = row_in("of the future"), .answer = SLICE("{}")},
        {.row = row_in(""), .answer = SLICE("{}")},
        {.row = SLICE("{}"), .answer = SLICE("{}")}, // no row that can be read
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf want;
        buf_init(&want, 1 << 20);
        buf_add(&want, SLICE(",\"raw_response\":"));
        buf_add_json(&want, cases[i].answer);
        buf_add_char(&want, '\0');
        tells(&cases[i], want.ptr);
        buf_done(&want);
    }
}

#define CHUNK(text)                                                                                \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"

// Cut in the middle of its second event: the first counts.
static void a_cut_stream_says_so(void **state)
{
    struct fold f = {0};
    char folded[512];
    struct buf b;
    (void)state;
    size_t first = fold_add(&f, SLICE(CHUNK("one")), folded);
    size_t len = first + fold_add(&f, SLICE(CHUNK("two")), folded + first);
    struct store_entry e = {
        .row = row_in("openai_chat"), .answer = slice_of(folded, len - 1), .answer_folded = true};
    buf_init(&b, 1 << 20);
    content_tell(&e, &b);
    buf_add_char(&b, '\0');
    assert_non_null(
        strstr(b.ptr, ",\"output_message\":{\"role\":\"assistant\",\"content\":\"one\""));
    assert_null(strstr(b.ptr, "two"));
    assert_non_null(strstr(b.ptr, ",\"content_cut\":true"));
    buf_done(&b);
    assert_true(content_weight(&e) > len);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(chat_is_taken_apart),    TEST(a_text_becomes_a_message),
        TEST(embeddings_are_numbers), TEST(what_cannot_be_read_is_shown),
        TEST(a_cut_stream_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
