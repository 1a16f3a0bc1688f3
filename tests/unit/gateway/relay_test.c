// SPDX-License-Identifier: Apache-2.0
//
// relay_test.c: usage found in the tail of a large answer, and bodies brought together.
#include "tests/unit/gateway/fixture.h"

#include "gateway/relay.h"

static const struct tail_case {
    const char *tail;
    bool known;
    unsigned input, output;
} tails[] = {
    {",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}", true, 3, 4},
    {"\"usage\" :\n {\"prompt_tokens\":3,\"completion_tokens\":4}", true, 3, 4},
    // The last one counts, and one inside a string is none.
    {"\"usage\":{\"prompt_tokens\":1},\"usage\":{\"prompt_tokens\":2}}", true, 2, 0},
    {"\"usage\":{\"prompt_tokens\":1},\"s\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}", true, 1,
     0},
    {"\"usage\":{\"prompt_tokens\":1},\"x\\\"usage\":{\"prompt_tokens\":9}}", true, 1, 0},
    // Braces and quotes inside strings do not end the object.
    {"\"usage\":{\"x\":\"}\\\"}\",\"prompt_tokens\":5,\"d\":{\"cached\":1}}}", true, 5, 0},
    // Not whole, or no object.
    {"\"usage\":{\"prompt_tokens\":1", false, 0, 0},
    {"\"usage\":null}", false, 0, 0},
    {"\"usage\"", false, 0, 0},
    {"\"usage\":", false, 0, 0},
    {"prompt_tokens\":1}}", false, 0, 0},
    {"", false, 0, 0},
};

static void usage_is_found_in_a_tail(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        // A copy of its own, so that AddressSanitizer sees a look beyond either end.
        size_t len = strlen(tails[i].tail);
        char *copy = malloc(len + 1);
        struct dialect_usage usage = {.known = true, .input_tokens = 99};
        assert_non_null(copy);
        memcpy(copy, tails[i].tail, len);
        relay_usage_of_tail(&dialect_openai_chat, slice_of(copy, len), &usage);
        free(copy);
        if (usage.known != tails[i].known || usage.input_tokens != tails[i].input ||
            usage.output_tokens != tails[i].output)
            fail_msg("%s: known %d, %u in, %u out", tails[i].tail, usage.known,
                     (unsigned)usage.input_tokens, (unsigned)usage.output_tokens);
    }
}

static void a_usage_object_larger_than_a_tail_is_not_read(void **state)
{
    (void)state;
    static char tail[3 * USAGE_TAIL_BYTES];
    static const char head[] = "\"usage\":{\"prompt_tokens\":1,\"pad\":\"";
    struct dialect_usage usage;
    memset(tail, 'x', sizeof(tail));
    memcpy(tail, head, sizeof(head) - 1);
    memcpy(tail + sizeof(tail) - 2, "\"}", 2);
    relay_usage_of_tail(&dialect_openai_chat, slice_of(tail, sizeof(tail)), &usage);
    assert_false(usage.known);
}

static void parts_are_brought_together(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    struct gathered g = {0};
    struct buf expected;
    char piece[3000];
    buf_init(&expected, 1 << 20);
    for (unsigned i = 0; i < 40; i++) {
        memset(piece, 'a' + (int)(i % 26), sizeof(piece));
        struct body_part part = {.count = 2, .bytes = 40 + 71 * i, .last = i == 39};
        part.span[0] = slice_of(piece, 40);
        part.span[1] = slice_of(piece, 71 * i);
        assert_int_equal(gathered_add(&f->x, &g, &part), 0);
        buf_add(&expected, part.span[0]);
        buf_add(&expected, part.span[1]);
        assert_int_equal(g.last, i == 39);
    }
    assert_int_equal(g.len, expected.len);
    assert_memory_equal(g.ptr, expected.ptr, g.len);
    // What the exchange may not have it is not given, and what it has stays.
    struct body_part huge = {.count = 1, .bytes = 2 << 20};
    assert_int_equal(gathered_add(&f->x, &g, &huge), ERR_NOMEM);
    assert_memory_equal(g.ptr, expected.ptr, g.len);
    buf_done(&expected);
    fake_close(f);
}

static void a_client_has_left_however_it_is_said(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    assert_false(relay_client_left(&f->x, 0));
    assert_false(relay_client_left(&f->x, ERR_UPSTREAM_TIMEOUT));
    assert_true(relay_client_left(&f->x, ERR_CLIENT_GONE));
    assert_true(relay_client_left(&f->x, ERR_CANCELLED));
    f->stream.gone = true;
    assert_true(relay_client_left(&f->x, 0));
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage_is_found_in_a_tail),
        cmocka_unit_test(a_usage_object_larger_than_a_tail_is_not_read),
        cmocka_unit_test(parts_are_brought_together),
        cmocka_unit_test(a_client_has_left_however_it_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
