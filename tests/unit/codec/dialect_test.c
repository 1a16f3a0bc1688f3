// SPDX-License-Identifier: Apache-2.0
//
// dialect_test.c: which pairs can be translated, by the functions their rows have; and how usage
// told in parts comes together.
#include "codec/dialect.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int read_request(struct canon_request *r, struct slice text)
{
    (void)r, (void)text;
    return 0;
}

static int write_request(struct canon_request *r, struct slice model, struct json_writer *w)
{
    (void)r, (void)model, (void)w;
    return 0;
}

static int read_answer(struct canon_answer *a, struct slice text)
{
    (void)a, (void)text;
    return 0;
}

static int write_answer(const struct canon_answer *a, const struct canon_context *c,
                        struct json_writer *w)
{
    (void)a, (void)c, (void)w;
    return 0;
}

static int read_event(struct canon_reader *r, const struct sse_event *e, struct canon_sink *sink)
{
    (void)r, (void)e, (void)sink;
    return 0;
}

static int write_event(struct canon_writer *w, const struct canon_event *e)
{
    (void)w, (void)e;
    return 0;
}

static const struct dialect_translation all = {read_request, write_request, read_answer,
                                               write_answer, read_event,    write_event};
static const struct dialect_translation client_whole = {.read_request = read_request,
                                                        .write_answer = write_answer};
static const struct dialect_translation provider_whole = {.write_request = write_request,
                                                          .read_answer = read_answer};

static bool pair(const struct dialect_translation *client,
                 const struct dialect_translation *provider, bool stream)
{
    struct dialect c = {.translation = client};
    struct dialect p = {.translation = provider};
    return dialect_translates(&c, &p, stream);
}

static void a_pair_needs_each_function_on_its_way(void **state)
{
    (void)state;
    assert_true(pair(&all, &all, true));
    assert_true(pair(&all, &all, false));
    assert_true(pair(&client_whole, &provider_whole, false));
    assert_false(pair(&client_whole, &all, true));
    assert_false(pair(&all, &provider_whole, true));
    assert_false(pair(&provider_whole, &all, false));
    assert_false(pair(&all, &client_whole, false));
    assert_false(pair(NULL, &all, false));
    assert_false(pair(&all, NULL, false));
}

static struct dialect_usage part(unsigned parts, uint64_t input, uint64_t output, uint64_t read,
                                 uint64_t written)
{
    return (struct dialect_usage){.known = true,
                                  .parts = (uint8_t)parts,
                                  .input_tokens = input,
                                  .output_tokens = output,
                                  .cached_read_tokens = read,
                                  .cached_write_tokens = written};
}

static void check_sum(const struct dialect_usage *sum, uint64_t input, uint64_t output,
                      uint64_t read, uint64_t written)
{
    assert_true(sum->known);
    assert_int_equal(sum->parts, 0);
    assert_int_equal(sum->input_tokens, input);
    assert_int_equal(sum->output_tokens, output);
    assert_int_equal(sum->cached_read_tokens, read);
    assert_int_equal(sum->cached_write_tokens, written);
}

static void whole_usage_replaces_what_came_before(void **state)
{
    struct dialect_usage sum = part(0, 1, 2, 3, 4);
    struct dialect_usage told = part(0, 10, 20, 0, 0);
    (void)state;
    dialect_usage_update(&sum, &told);
    check_sum(&sum, 10, 20, 0, 0);
}

static void parts_of_usage_come_together(void **state)
{
    enum { INPUT_SIDE = DIALECT_USAGE_INPUT | DIALECT_USAGE_READ | DIALECT_USAGE_WRITE };
    struct dialect_usage sum = {0};
    struct dialect_usage start = part(INPUT_SIDE | DIALECT_USAGE_OUTPUT, 10, 1, 500, 30);
    struct dialect_usage delta = part(DIALECT_USAGE_OUTPUT, 0, 42, 0, 0);
    struct dialect_usage input_again =
        part(DIALECT_USAGE_INPUT | DIALECT_USAGE_OUTPUT, 12, 50, 0, 0);
    struct dialect_usage caches_again = part(DIALECT_USAGE_READ | DIALECT_USAGE_WRITE, 0, 0, 0, 7);
    (void)state;
    dialect_usage_update(&sum, &start);
    check_sum(&sum, 540, 1, 500, 30);
    dialect_usage_update(&sum, &delta);
    check_sum(&sum, 540, 42, 500, 30);
    assert_int_equal(sum.total_tokens, 582);
    dialect_usage_update(&sum, &input_again);
    check_sum(&sum, 542, 50, 500, 30);
    dialect_usage_update(&sum, &caches_again);
    check_sum(&sum, 19, 50, 0, 7);
    assert_int_equal(sum.total_tokens, 69);
}

static void tokens_are_counts_that_can_be_added(void **state)
{
    (void)state;
    uint64_t n = 7;
    assert_int_equal(dialect_tokens(SLICE("0"), &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(dialect_tokens(SLICE("1000000000000"), &n), 0);
    assert_int_equal(n, DIALECT_TOKENS_MAX);
    static const struct slice bad[] = {SLICE("1000000000001"),
                                       SLICE("18446744073709551615"),
                                       SLICE("-1"),
                                       SLICE("1.5"),
                                       SLICE("\"1\""),
                                       SLICE("null")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(dialect_tokens(bad[i], &n), ERR_BAD_TYPE);
    assert_int_equal(n, DIALECT_TOKENS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_counts_that_can_be_added),
        cmocka_unit_test(a_pair_needs_each_function_on_its_way),
        cmocka_unit_test(whole_usage_replaces_what_came_before),
        cmocka_unit_test(parts_of_usage_come_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
