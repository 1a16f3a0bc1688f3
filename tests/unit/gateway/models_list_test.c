// SPDX-License-Identifier: Apache-2.0
//
// models_list_test.c: the query of a list, and what is written of many lists.

#include "base/container.h"
#include "base/err.h"
#include "gateway/models.h"
#include "tests/support/config_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka wants the four above.
#include <cmocka.h>

static const char text[] =
    "{\"providers\":{"
    "\"openai\":{\"keys\":[{\"name\":\"a\",\"value\":\"sk-a\",\"models\":[\"*\"],\"weight\":1,"
    "\"blacklisted_models\":[\"gpt-bad\"],\"aliases\":{\"fast\":\"gpt-4o-mini\"}}]},"
    "\"groq\":{\"keys\":[{\"name\":\"g\",\"value\":\"gk\",\"models\":[\"llama-3\"],\"weight\":1}]}}"
    "}";

static struct built built;

static int set_up(void **state)
{
    (void)state;
    built_text(&built, text);
    return built.err;
}

static int tear_down(void **state)
{
    (void)state;
    built_done(&built);
    return 0;
}

static void queries(void **state)
{
    static const struct {
        const char *query;
        const char *provider;
        uint64_t size, offset;
        int rc;
    } cases[] = {
        {"", "", 0, 0, 0},
        {"provider=openai&page_size=2&page_token=4", "openai", 2, 4, 0},
        {"page_size=&unknown=1&&x", "", 0, 0, 0},
        {"page_size=two", "", 0, 0, ERR_BAD_TYPE},
        {"page_token=-1", "", 0, 0, ERR_BAD_TYPE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct models_query q;
        struct slice param = SLICE_EMPTY;
        assert_int_equal(models_query_parse(slice_str(cases[i].query), &q, &param), cases[i].rc);
        if (cases[i].rc)
            continue;
        assert_true(slice_eq(q.provider, slice_str(cases[i].provider)));
        assert_int_equal(q.page_size, cases[i].size);
        assert_int_equal(q.offset, cases[i].offset);
    }
}

static void check(enum mount mount, struct models_query query, const char *want)
{
    struct models_source sources[2] = {
        {.provider = built_provider(&built, "openai"),
         .text = {SLICE("{\"data\":[{\"id\":\"gpt-x\",\"object\":\"model\",\"owned_by\":\"o\","
                        "\"name\":\"X\",\"gone\":null},{\"id\":\"gpt-bad\"},{\"id\":\"gpt-x\"}]}")},
         .texts = 1},
        {.provider = built_provider(&built, "groq")}, // no list of its own
    };
    const uint64_t seed[2] = {1, 2};
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(models_write(mount, sources, 2, &query, seed, 3, &out), 0);
    buf_add_char(&out, '\0');
    assert_string_equal(out.ptr, want);
    buf_done(&out);
}

#define FAST  "{\"id\":\"openai/fast\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openai\""
#define LLAMA "{\"id\":\"groq/llama-3\",\"object\":\"model\",\"created\":0,\"owned_by\":\"groq\"}"
#define GPT   "{\"id\":\"openai/gpt-x\",\"object\":\"model\",\"owned_by\":\"o\""

static void lists_are_merged_and_filtered(void **state)
{
    (void)state;
    check(MOUNT_UNIFIED, (struct models_query){0},
          "{\"object\":\"list\",\"data\":[" GPT ",\"name\":\"X\"}," FAST
          ",\"deployment\":\"gpt-4o-mini\"}," LLAMA
          "],\"extra_fields\":{\"request_type\":\"list_models\",\"latency\":3}}");
    check(MOUNT_OPENAI, (struct models_query){0},
          "{\"object\":\"list\",\"data\":[" GPT "}," FAST "}," LLAMA "]}");
}

static void pages_follow_each_other(void **state)
{
    (void)state;
    check(MOUNT_UNIFIED, (struct models_query){.page_size = 1},
          "{\"object\":\"list\",\"data\":[" GPT ",\"name\":\"X\"}],"
          "\"extra_fields\":{\"request_type\":\"list_models\",\"latency\":3},"
          "\"next_page_token\":\"1\"}");
    check(MOUNT_UNIFIED, (struct models_query){.page_size = 2, .offset = 2},
          "{\"object\":\"list\",\"data\":[" LLAMA
          "],\"extra_fields\":{\"request_type\":\"list_models\",\"latency\":3}}");
    check(MOUNT_UNIFIED, (struct models_query){.page_size = 2, .offset = 9},
          "{\"object\":\"list\",\"data\":[],"
          "\"extra_fields\":{\"request_type\":\"list_models\",\"latency\":3}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries),
        cmocka_unit_test(lists_are_merged_and_filtered),
        cmocka_unit_test(pages_follow_each_other),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
