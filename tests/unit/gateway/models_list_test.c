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
        enum mount mount;
        const char *query;
        const char *provider;
        uint64_t size, offset;
        const char *after, *before;
        int rc;
    } cases[] = {
        {MOUNT_UNIFIED, "", "", 0, 0, "", "", 0},
        {MOUNT_UNIFIED, "provider=openai&page_size=2&page_token=4", "openai", 2, 4, "", "", 0},
        {MOUNT_UNIFIED, "page_size=&unknown=1&&x", "", 0, 0, "", "", 0},
        {MOUNT_UNIFIED, "page_size=two", "", 0, 0, "", "", ERR_BAD_TYPE},
        {MOUNT_UNIFIED, "page_token=-1", "", 0, 0, "", "", ERR_BAD_TYPE},
        {MOUNT_OPENAI, "limit=3&after_id=a", "", 0, 0, "", "", 0},
        {MOUNT_ANTHROPIC, "page_size=3", "", MODELS_LIMIT_DEFAULT, 0, "", "", 0},
        {MOUNT_ANTHROPIC, "limit=3&after_id=openai%2Fa%2", "", 3, 0, "openai/a%2", "", 0},
        {MOUNT_ANTHROPIC, "before_id=a/b&limit=1000", "", 1000, 0, "", "a/b", 0},
        {MOUNT_ANTHROPIC, "limit=0", "", 0, 0, "", "", ERR_BAD_TYPE},
        {MOUNT_ANTHROPIC, "limit=1001", "", 0, 0, "", "", ERR_BAD_TYPE},
    };
    struct block_pool pool;
    struct arena arena;
    (void)state;
    block_pool_init(&pool, 0);
    arena_init(&arena, &pool, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct models_query q;
        struct slice param = SLICE_EMPTY;
        assert_int_equal(
            models_query_parse(cases[i].mount, slice_str(cases[i].query), &arena, &q, &param),
            cases[i].rc);
        if (cases[i].rc)
            continue;
        assert_true(slice_eq(q.provider, slice_str(cases[i].provider)));
        assert_int_equal(q.page_size, cases[i].size);
        assert_int_equal(q.offset, cases[i].offset);
        assert_true(slice_eq(q.after_id, slice_str(cases[i].after)));
        assert_true(slice_eq(q.before_id, slice_str(cases[i].before)));
    }
    arena_done(&arena);
    block_pool_done(&pool);
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

#define ONE(id, name, time)                                                                        \
    "{\"type\":\"model\",\"id\":\"" id "\",\"display_name\":\"" name "\",\"created_at\":\"" time   \
    "\"}"
#define EPOCH "1970-01-01T00:00:00Z"
#define A     ONE("openai/gpt-x", "gpt-x", EPOCH)
#define B     ONE("openai/fast", "fast", EPOCH)
#define C     ONE("groq/llama-3", "llama-3", EPOCH)
#define ENDS(more, first, last)                                                                    \
    "],\"has_more\":" more ",\"first_id\":\"" first "\",\"last_id\":\"" last "\"}"

static void anthropics_pages_are_told_by_a_neighbour(void **state)
{
    static const struct {
        uint64_t limit;
        const char *after, *before, *want;
    } cases[] = {
        {20, "", "", "{\"data\":[" A "," B "," C ENDS("false", "openai/gpt-x", "groq/llama-3")},
        {2, "", "", "{\"data\":[" A "," B ENDS("true", "openai/gpt-x", "openai/fast")},
        {1, "openai/gpt-x", "", "{\"data\":[" B ENDS("true", "openai/fast", "openai/fast")},
        {1, "openai/fast", "", "{\"data\":[" C ENDS("false", "groq/llama-3", "groq/llama-3")},
        {1, "", "groq/llama-3", "{\"data\":[" B ENDS("true", "openai/fast", "openai/fast")},
        {5, "", "groq/llama-3", "{\"data\":[" A "," B ENDS("false", "openai/gpt-x", "openai/fast")},
        {5, "groq/llama-3", "",
         "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}"},
        {5, "", "openai/gpt-x",
         "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check(MOUNT_ANTHROPIC,
              (struct models_query){.page_size = cases[i].limit,
                                    .after_id = slice_str(cases[i].after),
                                    .before_id = slice_str(cases[i].before)},
              cases[i].want);

    const uint64_t seed[2] = {1, 2};
    struct models_source none = {.provider = built_provider(&built, "groq")};
    struct models_query query = {.after_id = SLICE("groq/who")};
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(models_write(MOUNT_ANTHROPIC, &none, 1, &query, seed, 3, &out), ERR_NOT_FOUND);
    buf_done(&out);
}

// Each API's list can be told on the other's mount.
static void a_list_is_told_in_the_mounts_words(void **state)
{
    static const char claude[] =
        "{\"data\":[{\"type\":\"model\",\"id\":\"claude-x\",\"display_name\":\"Claude X\","
        "\"created_at\":\"2001-09-09T01:46:40Z\"},{\"id\":\"gpt\",\"created\":1000000000}]}";
    static const struct {
        enum mount mount;
        const char *want; // what the answer holds
    } cases[] = {
        {MOUNT_ANTHROPIC, "\"openai/claude-x\",\"display_name\":\"Claude X\","
                          "\"created_at\":\"2001-09-09T01:46:40Z\"}"},
        {MOUNT_ANTHROPIC,
         "\"openai/gpt\",\"display_name\":\"gpt\",\"created_at\":\"2001-09-09T01:46:40Z\"}"},
        {MOUNT_OPENAI, "{\"id\":\"openai/claude-x\",\"object\":\"model\",\"created\":1000000000,"
                       "\"owned_by\":\"openai\"}"},
    };
    struct models_source source = {
        .provider = built_provider(&built, "openai"), .text = {slice_str(claude)}, .texts = 1};
    const uint64_t seed[2] = {1, 2};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct models_query query = {0};
        struct buf out;
        buf_init(&out, 1 << 16);
        assert_int_equal(models_write(cases[i].mount, &source, 1, &query, seed, 3, &out), 0);
        if (slice_find(buf_slice(&out), slice_str(cases[i].want)) < 0)
            fail_msg("%.*s", (int)out.len, out.ptr);
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries),
        cmocka_unit_test(lists_are_merged_and_filtered),
        cmocka_unit_test(pages_follow_each_other),
        cmocka_unit_test(anthropics_pages_are_told_by_a_neighbour),
        cmocka_unit_test(a_list_is_told_in_the_mounts_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
