// SPDX-License-Identifier: Apache-2.0
//
// splice_test.c: what /v1 adds to an answer, byte for byte.

#include "base/container.h"
#include "base/err.h"
#include "base/prng.h"
#include "gateway/relay.h"
#include "gateway/splice.h"
#include "gateway/translate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the four above.
#include <cmocka.h>

#define MEMBER "\"extra_fields\":{\"latency\":5}"

static void whole_answers(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"{\"id\":\"x\"}", "{\"id\":\"x\"," MEMBER "}"},
        {"{}", "{" MEMBER "}"},
        {" { \"a\" : 1.50e3 } \n", " { \"a\" : 1.50e3 ," MEMBER "} \n"},
        {"{\"extra_fields\":{\"old\":[1]},\"b\":2}", "{" MEMBER ",\"b\":2}"},
        {"{\"usage\":{\"prompt_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":7}}}",
         "{\"usage\":{\"prompt_tokens\":9,\"prompt_tokens_details\":{\"cached_tokens\":7,"
         "\"cached_read_tokens\":7}}," MEMBER "}"},
        {"{\"usage\":{\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":3 }}}",
         "{\"usage\":{\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":3 ,"
         "\"cached_read_tokens\":0,\"cached_write_tokens\":3}}," MEMBER "}"},
        {"{\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":7,\"cached_read_tokens\":6}}}",
         "{\"usage\":{\"prompt_tokens_details\":{\"cached_tokens\":7,\"cached_read_tokens\":6}}"
         "," MEMBER "}"},
        {"{\"usage\":{\"prompt_tokens_details\":null}}",
         "{\"usage\":{\"prompt_tokens_details\":null}," MEMBER "}"},
        {"{\"response\":{\"usage\":{\"input_tokens_details\":{\"cached_tokens\":4}}}}",
         "{\"response\":{\"usage\":{\"input_tokens_details\":{\"cached_tokens\":4,"
         "\"cached_read_tokens\":4}}}," MEMBER "}"},
    };
    struct block_pool pool;
    (void)state;
    block_pool_init(&pool, 8);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct iovec piece[JSON_PIECES_MAX];
        unsigned count = 0;
        size_t bytes = 0, at = 0;
        char got[512];
        arena_init(&arena, &pool, 1 << 20);
        assert_int_equal(
            splice_object(&arena, slice_str(cases[i].text), SLICE(MEMBER), piece, &count, &bytes),
            0);
        for (unsigned k = 0; k < count; k++) {
            memcpy(got + at, piece[k].iov_base, piece[k].iov_len);
            at += piece[k].iov_len;
        }
        got[at] = '\0';
        assert_int_equal(at, bytes);
        assert_string_equal(got, cases[i].want);
        arena_done(&arena);
    }
    block_pool_done(&pool);
}

static void what_is_no_object_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "[1]",
                                        "null",
                                        "{\"a\":1",
                                        "{\"a\":1}x",
                                        "<html>",
                                        "{\"extra_fields\":1,\"extra_fields\":2}"};
    struct block_pool pool;
    struct arena arena;
    struct iovec piece[JSON_PIECES_MAX];
    unsigned count;
    size_t bytes;
    (void)state;
    block_pool_init(&pool, 8);
    arena_init(&arena, &pool, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_not_equal(
            splice_object(&arena, slice_str(texts[i]), SLICE(MEMBER), piece, &count, &bytes), 0);
    arena_done(&arena);
    block_pool_done(&pool);
}

// Feeds `text` in random spans and gathers what comes out.
static size_t through_hold(struct prng *prng, struct slice text, char *out)
{
    struct hold hold;
    struct slice span[4], got[8];
    size_t at = 0, len = 0;

    hold_init(&hold);
    while (at < text.len) {
        unsigned count = 1 + (unsigned)prng_below(prng, 4);
        for (unsigned i = 0; i < count; i++) {
            size_t n = (size_t)prng_below(prng, 9);
            span[i] = slice_take(slice_skip(text, at), n);
            at += span[i].len;
        }
        unsigned n = hold_feed(&hold, span, count, got);
        assert_true(n <= count + 1);
        for (unsigned i = 0; i < n; i++) {
            memcpy(out + len, got[i].ptr, got[i].len);
            len += got[i].len;
        }
    }
    unsigned n = hold_end(&hold, SLICE(MEMBER), got);
    for (unsigned i = 0; i < n; i++) {
        memcpy(out + len, got[i].ptr, got[i].len);
        len += got[i].len;
    }
    return len;
}

static void large_bodies_get_it_before_the_last_brace(void **state)
{
    static const struct {
        const char *text;
        const char *want;
    } cases[] = {
        {"{\"a\":{\"b\":{}}} \n", "{\"a\":{\"b\":{}}," MEMBER "} \n"},
        {" {\"a\":[{},{ } ,{}]}", " {\"a\":[{},{ } ,{}]," MEMBER "}"},
        {"{\"a\":\"}\"}", "{\"a\":\"}\"," MEMBER "}"},
        {"[{\"a\":1}]", "[{\"a\":1}]"},
        {"{\"cut\":{\"off\":1", "{\"cut\":{\"off\":1"},
        {"plain } text }", "plain } text }"},
    };
    struct prng prng;
    char got[4096];
    (void)state;
    prng_seed(&prng, 11);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned round = 0; round < 2000; round++) {
            size_t len = through_hold(&prng, slice_str(cases[i].text), got);
            if (!slice_eq(slice_of(got, len), slice_str(cases[i].want)))
                fail_msg("%s became %.*s", cases[i].text, (int)len, got);
        }
    }
}

// More white space than can be held: nothing is lost, nothing is added.
static void a_long_blank_tail_passes(void **state)
{
    struct prng prng;
    char text[256], got[512];
    (void)state;
    prng_seed(&prng, 12);
    memcpy(text, "{\"a\":1}", 7);
    memset(text + 7, ' ', sizeof(text) - 7);
    for (unsigned round = 0; round < 500; round++) {
        size_t len = through_hold(&prng, slice_of(text, sizeof(text)), got);
        assert_int_equal(len, sizeof(text));
        assert_memory_equal(got, text, len);
    }
}

static void usage_is_found_in_a_tail(void **state)
{
    static const struct {
        const char *tail;
        uint64_t total; // 0: not found
    } cases[] = {
        {"0.1]}],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}", 3},
        {"], \"usage\" : {\"total_tokens\":4,\"x\":{\"y\":\"}\"}}\n}", 4},
        {"\"content\":\"\\\"usage\\\":{\\\"total_tokens\\\":9}\"}", 0},
        {"\"usage\":null}", 0},
        {"{\"x\\\"usage\":{\"total_tokens\":9}}", 0},
        {"\"usage\":{\"total_tokens\":5", 0},
        {"\"usage\":{\"total_tokens\":5},\"usage\":null}", 5},
        {"", 0},
        {"\"usage\"", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dialect_usage u;
        relay_usage_of_tail(&dialect_openai_embeddings, slice_str(cases[i].tail), &u);
        if (u.known != (cases[i].total > 0) || u.total_tokens != cases[i].total)
            fail_msg("%s: %d %llu", cases[i].tail, u.known, (unsigned long long)u.total_tokens);
    }
}

// What stands in extra_fields of an answer, by how it came about.
static void the_member_says_who_served_and_what_was_dropped(void **state)
{
    struct config_provider provider = {.name = SLICE("anthropic")};
    struct route route = {.mount = MOUNT_UNIFIED, .operation = OP_CHAT};
    struct translated translated = {.dropped = SLICE("[\"seed\"]")};
    struct http_stream stream = {0};
    struct exchange x = {.stream = &stream, .route = &route, .target_count = 1};
    struct block_pool pool;
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&stream.arena, &pool, 1 << 16);
    x.target[0] = (struct target){.provider = &provider, .model = SLICE("claude\"x")};
    x.model_sent = x.target[0].model;
    assert_true(slice_eq(splice_member(&x, 7, SLICE_EMPTY),
                         SLICE("\"extra_fields\":{\"request_type\":\"chat_completion\","
                               "\"provider\":\"anthropic\",\"model_requested\":\"claude\\\"x\","
                               "\"latency\":7}")));
    x.model_sent = SLICE("other");
    x.translated = &translated;
    x.stream_wanted = true;
    assert_true(slice_eq(splice_member(&x, 7, SLICE_EMPTY),
                         SLICE("\"extra_fields\":{\"request_type\":\"chat_completion_stream\","
                               "\"provider\":\"anthropic\",\"model_requested\":\"claude\\\"x\","
                               "\"model_deployment\":\"other\",\"dropped_params\":[\"seed\"],"
                               "\"latency\":7}")));
    arena_done(&stream.arena);
    block_pool_done(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_member_says_who_served_and_what_was_dropped),
        cmocka_unit_test(whole_answers),
        cmocka_unit_test(what_is_no_object_is_refused),
        cmocka_unit_test(large_bodies_get_it_before_the_last_brace),
        cmocka_unit_test(a_long_blank_tail_passes),
        cmocka_unit_test(usage_is_found_in_a_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
