// SPDX-License-Identifier: Apache-2.0
//
// row_test.c: a row as bytes and back, what is no row, and how each kind is told.
#include "tests/unit/base/cm.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/container.h"
#include "base/err.h"
#include "gateway/row.h"
#include "store/store.h"

// 2023-11-14 22:13:20 UTC.
#define T0_NS INT64_C(1700000000000000000)

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

static struct slice written(const struct row *row)
{
    struct slice bytes = SLICE_EMPTY;
    assert_int_equal(row_write(row, &arena, &bytes), 0);
    return bytes;
}

static void same(const struct row *a, const struct row *b)
{
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->retries, b->retries);
    assert_int_equal(a->fallback, b->fallback);
    assert_int_equal(a->total_tokens, b->total_tokens);
    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        assert_true(slice_eq(a->text[i], b->text[i]));
    assert_int_equal(a->headers, b->headers);
    for (unsigned i = 0; i < a->headers; i++) {
        assert_true(slice_eq(a->header[i].name, b->header[i].name));
        assert_true(slice_eq(a->header[i].value, b->header[i].value));
    }
}

// Every member has something to say, each another thing.
static void make_full(struct row *row)
{
    static const char *const texts[ROW_TEXT_COUNT] = {"r-1",  "k",    "V",   "openai_chat",
                                                      "type", "code", "why", "param"};
    row_init(row);
    row->state = ROW_ERROR;
    row->flags = ROW_FLAGS;
    row->retries = 2;
    row->fallback = 1;
    row->total_tokens = UINT64_C(1) << 40;
    for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
        row->text[i] = slice_str(texts[i]);
    row->header[row->headers++] = (struct row_header){SLICE("team"), SLICE("red")};
    row->header[row->headers++] = (struct row_header){SLICE("none"), SLICE("")};
}

static void the_bytes_are_as_they_are_drawn(void **state)
{
    static const unsigned char drawn[] = {
        1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0,   0,   0,   0,   0,   0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 'r', '1', 'k', 'a', 'b',
    };
    struct row row;
    (void)state;
    row_init(&row);
    row.text[ROW_REQUEST_ID] = SLICE("r1");
    row.text[ROW_KEY_NAME] = SLICE("k");
    row.header[row.headers++] = (struct row_header){SLICE("a"), SLICE("b")};
    struct slice bytes = written(&row);
    assert_int_equal(bytes.len, sizeof drawn);
    assert_memory_equal(bytes.ptr, drawn, sizeof drawn);
}

static void what_is_written_is_read(void **state)
{
    struct row row, again;
    (void)state;
    make_full(&row);
    assert_int_equal(row_read(written(&row), &again), 0);
    same(&row, &again);
    row_init(&row);
    struct slice least = written(&row);
    assert_int_equal(least.len, ROW_HEAD_BYTES);
    assert_int_equal(row_read(least, &again), 0);
    same(&row, &again);
}

// The longest row: what is at the bound stays, what is beyond it is cut there.
static void texts_are_bounded(void **state)
{
    static char longest[ROW_TEXT_BYTES_MAX + 1];
    struct row row, again;
    (void)state;
    memset(longest, 'x', sizeof longest);
    for (size_t len = ROW_TEXT_BYTES_MAX - 1; len <= sizeof longest; len++) {
        struct slice text = slice_of(longest, len);
        size_t kept = len < ROW_TEXT_BYTES_MAX ? len : ROW_TEXT_BYTES_MAX;
        row_init(&row);
        for (unsigned i = 0; i < ROW_TEXT_COUNT; i++)
            row.text[i] = text;
        while (row.headers < ROW_HEADERS_MAX)
            row.header[row.headers++] = (struct row_header){text, text};
        struct slice bytes = written(&row);
        assert_int_equal(bytes.len,
                         ROW_HEAD_BYTES + ROW_TEXT_COUNT * kept + ROW_HEADERS_MAX * (4 + 2 * kept));
        assert_true(bytes.len <= STORE_ROW_BYTES_MAX);
        assert_int_equal(row_read(bytes, &again), 0);
        assert_int_equal(again.headers, ROW_HEADERS_MAX);
        assert_int_equal(again.text[ROW_ERROR_PARAM].len, kept);
        assert_int_equal(again.header[ROW_HEADERS_MAX - 1].value.len, kept);
    }
}

static void without_memory_there_is_none(void **state)
{
    struct slice bytes = SLICE("as before");
    struct row row;
    (void)state;
    arena.bytes_max = 0;
    make_full(&row);
    assert_int_equal(row_write(&row, &arena, &bytes), ERR_NOMEM);
    assert_slice(bytes, "as before");
}

static void refuses(struct slice bytes, int err)
{
    struct row row;
    memset(&row, 0x5a, sizeof row);
    struct row before = row;
    assert_int_equal(row_read(bytes, &row), err);
    assert_memory_equal(&row, &before, sizeof row);
}

static void what_is_no_row_is_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned char byte;
        int err;
    } cases[] = {
        {0, 0, ERR_UNSUPPORTED},
        {0, ROW_VERSION + 1, ERR_UNSUPPORTED},
        {0, '{', ERR_UNSUPPORTED},
        {1, ROW_PROCESSING, ERR_UNSUPPORTED},
        {1, 255, ERR_UNSUPPORTED},
        {2, ROW_FLAGS + 1, ERR_UNSUPPORTED},
        {3, 1, ERR_BAD_LENGTH},                   // one header less than there is
        {3, 3, ERR_BAD_LENGTH},                   // and one more
        {3, ROW_HEADERS_MAX + 1, ERR_BAD_LENGTH}, // more than there can be
        {12, 2, ERR_BAD_LENGTH},                  // of three bytes of the request's id
        {13, 255, ERR_BAD_LENGTH},
        {28, 1, ERR_UNSUPPORTED},
        {41, 255, ERR_BAD_LENGTH}, // of a header's name
    };
    struct row row;
    (void)state;
    make_full(&row);
    struct slice good = written(&row);
    char bytes[256] = {0};
    assert_true(good.len < sizeof bytes);
    for (size_t len = 0; len < good.len; len++)
        refuses(slice_take(good, len), ERR_BAD_LENGTH);
    memcpy(bytes, good.ptr, good.len);
    refuses(slice_of(bytes, good.len + 1), ERR_BAD_LENGTH);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(bytes, good.ptr, good.len);
        bytes[cases[i].at] = (char)cases[i].byte;
        refuses(slice_of(bytes, good.len), cases[i].err);
    }
}

// All of it is there, and a length is beyond the bound.
static void a_text_beyond_its_bound_is_none(void **state)
{
    static char bytes[ROW_HEAD_BYTES + ROW_TEXT_BYTES_MAX + 1];
    struct row row;
    uint16_t len = ROW_TEXT_BYTES_MAX;
    (void)state;
    bytes[0] = ROW_VERSION;
    memcpy(bytes + 12, &len, sizeof len);
    assert_int_equal(row_read(slice_of(bytes, sizeof bytes - 1), &row), 0);
    len++;
    memcpy(bytes + 12, &len, sizeof len);
    refuses(slice_of(bytes, sizeof bytes), ERR_BAD_LENGTH);
}

// ---- Told ------------------------------------------------------------------------------------

static const struct store_facts facts = {
    .time.ns = T0_NS,
    .word = {[STORE_WORD_PROVIDER] = SLICE("openai"),
             [STORE_WORD_MODEL] = SLICE("gpt-4o"),
             [STORE_WORD_KEY] = SLICE("id-k"),
             [STORE_WORD_VIRTUAL_KEY] = SLICE("v"),
             [STORE_WORD_OBJECT] = SLICE("chat_completion")},
    .status = 502,
    .streamed = true,
    .usage_known = true,
    .latency_ms = 1500,
    .input_tokens = 9,
    .output_tokens = 2,
    .cached_read_tokens = 4,
    .cost = INT64_C(42500000),
};

static void tells(const struct row *row, const struct store_facts *f, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_char(&b, '{');
    row_tell(row, f, &b);
    assert_int_equal(b.err, 0);
    if (!slice_eq(buf_slice(&b), slice_str(want)))
        fail_msg("got  %.*s\nwant %s", SLICE_ARG(buf_slice(&b)), want);
    buf_done(&b);
}

#define WHO                                                                                        \
    "\"selected_key_id\":\"id-k\",\"selected_key_name\":\"k\",\"virtual_key_id\":\"v\","           \
    "\"virtual_key_name\":\"V\",\"stream\":true,"

static void all_that_can_be_said(void **state)
{
    struct store_facts f = facts;
    struct row row;
    (void)state;
    make_full(&row);
    f.cost_estimated = true;
    tells(&row, &f,
          "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"status\":\"error\","
          "\"object\":\"chat_completion\",\"timestamp\":\"2023-11-14T22:13:18.500000Z\","
          "\"created_at\":\"2023-11-14T22:13:20.000000Z\",\"number_of_retries\":2,"
          "\"fallback_index\":1,\"parent_request_id\":\"r-1\",\"latency\":1500,\"cost\":4.25e-05,"
          "\"cost_estimated\":true," WHO
          "\"token_usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,"
          "\"total_tokens\":1099511627776,\"prompt_tokens_details\":{\"cached_read_tokens\":4,"
          "\"cached_write_tokens\":0}},\"error_details\":{\"is_bifrost_error\":true,"
          "\"status_code\":502,\"error\":{\"type\":\"type\",\"code\":\"code\",\"message\":\"why\","
          "\"param\":\"param\"}},\"dialect\":\"openai_chat\",\"metadata\":{\"request_id\":\"r-1\","
          "\"team\":\"red\",\"none\":\"\"}");
}

// Neither what the facts have of tokens and a cost that do not count, nor what an error would say.
static void what_is_not_known_is_left_out(void **state)
{
    struct row row;
    (void)state;
    row_init(&row);
    row.text[ROW_ERROR_MESSAGE] = SLICE("why");
    struct store_facts none = {.time.ns = T0_NS, .cost = 1, .input_tokens = 1};
    tells(&row, &none,
          "{\"status\":\"success\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\","
          "\"created_at\":\"2023-11-14T22:13:20.000000Z\",\"number_of_retries\":0,"
          "\"fallback_index\":0,\"latency\":0,\"stream\":false,\"metadata\":{\"request_id\":\"\"}");
    row.state = ROW_ERROR;
    row.text[ROW_ERROR_MESSAGE] = SLICE_EMPTY;
    tells(&row, &none,
          "{\"status\":\"error\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\","
          "\"created_at\":\"2023-11-14T22:13:20.000000Z\",\"number_of_retries\":0,"
          "\"fallback_index\":0,\"latency\":0,\"stream\":false,\"error_details\":{"
          "\"is_bifrost_error\":false,\"status_code\":0,\"error\":{}},"
          "\"metadata\":{\"request_id\":\"\"}");
}

// It has begun when its facts say, and took no time yet.
static void one_that_has_not_ended(void **state)
{
    struct row row;
    (void)state;
    make_full(&row);
    row.state = ROW_PROCESSING;
    row.flags = 0;
    row.fallback = 0;
    tells(&row, &facts,
          "{\"provider\":\"openai\",\"model\":\"gpt-4o\",\"status\":\"processing\","
          "\"object\":\"chat_completion\",\"timestamp\":\"2023-11-14T22:13:20.000000Z\","
          "\"created_at\":\"2023-11-14T22:13:20.000000Z\",\"number_of_retries\":2,"
          "\"fallback_index\":0," WHO
          "\"dialect\":\"openai_chat\",\"metadata\":{\"request_id\":\"r-1\",\"team\":\"red\","
          "\"none\":\"\"}");
}

// Whether it was written or not.
static void what_is_told_is_bounded(void **state)
{
    static char longest[4 * ROW_TEXT_BYTES_MAX];
    struct row row, again;
    struct buf b;
    (void)state;
    memset(longest, 'x', sizeof longest);
    row_init(&row);
    row.text[ROW_KEY_NAME] = slice_of(longest, sizeof longest);
    row.header[row.headers++] = (struct row_header){row.text[ROW_KEY_NAME], row.text[ROW_KEY_NAME]};
    assert_int_equal(row_read(written(&row), &again), 0);
    buf_init(&b, 1 << 20);
    buf_add_char(&b, '{');
    row_tell(&row, &facts, &b);
    assert_true(b.len < sizeof longest);
    buf_add_char(&b, '\0');
    tells(&again, &facts, b.ptr);
    buf_done(&b);
}

static void any_byte_may_stand_in_a_text(void **state)
{
    struct store_facts f = {.time.ns = T0_NS, .word[STORE_WORD_MODEL] = SLICE("m\"\n")};
    struct row row;
    (void)state;
    row_init(&row);
    row.text[ROW_KEY_NAME] = SLICE("\\");
    row.text[ROW_DIALECT] = SLICE("\xff");
    row.header[row.headers++] = (struct row_header){SLICE("\",\"id\":\""), SLICE("{")};
    row.header[row.headers++] = (struct row_header){SLICE(""), SLICE("\"")};
    tells(&row, &f,
          "{\"model\":\"m\\\"\\n\",\"status\":\"success\","
          "\"timestamp\":\"2023-11-14T22:13:20.000000Z\","
          "\"created_at\":\"2023-11-14T22:13:20.000000Z\",\"number_of_retries\":0,"
          "\"fallback_index\":0,\"latency\":0,\"selected_key_name\":\"\\\\\",\"stream\":false,"
          "\"dialect\":\"\xef\xbf\xbd\",\"metadata\":{\"request_id\":\"\","
          "\"\\\",\\\"id\\\":\\\"\":\"{\",\"\":\"\\\"\"}");
}

// Behind an id as at an object's begin.
static void members_have_their_commas(void **state)
{
    struct row row;
    struct buf b;
    (void)state;
    row_init(&row);
    buf_init(&b, 1 << 10);
    buf_add(&b, SLICE("{\"id\":1"));
    row_tell(&row, &facts, &b);
    assert_true(slice_starts(buf_slice(&b), SLICE("{\"id\":1,\"provider\":\"openai\",")));
    buf_done(&b);
    buf_init(&b, 100); // no room: it says so, and no more than that
    row_tell(&row, &facts, &b);
    assert_int_equal(b.err, ERR_LIMIT);
    buf_done(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_bytes_are_as_they_are_drawn),
        TEST(what_is_written_is_read),
        TEST(texts_are_bounded),
        TEST(without_memory_there_is_none),
        TEST(what_is_no_row_is_refused),
        TEST(a_text_beyond_its_bound_is_none),
        TEST(all_that_can_be_said),
        TEST(what_is_not_known_is_left_out),
        TEST(one_that_has_not_ended),
        TEST(what_is_told_is_bounded),
        TEST(any_byte_may_stand_in_a_text),
        TEST(members_have_their_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
