// SPDX-License-Identifier: Apache-2.0
//
// beta_test.c: which beta names go to whom, and which a translated body needs.
#include "gateway/beta.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

static void assert_filtered(const char *vendor, struct config_beta *betas, unsigned count,
                            const char *value, const char *expected)
{
    struct config_provider p = {
        .row = provider_find(slice_str(vendor)), .betas = betas, .beta_count = count};
    struct slice got = beta_filter(&arena, &p, slice_str(value));
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(got), expected);
}

static void anthropic_takes_every_name(void **state)
{
    (void)state;
    assert_filtered("anthropic", NULL, 0, "a-1, claude-code-20250219,x",
                    "a-1, claude-code-20250219,x");
    assert_filtered("anthropic", NULL, 0, "a, ,b", "a,b");
    assert_filtered("anthropic", NULL, 0, "", "");
}

static void a_host_takes_what_it_knows(void **state)
{
    (void)state;
    assert_filtered("azure", NULL, 0,
                    "context-1m-2025-08-07, oauth-2025-04-20,files-api-2025-04-14",
                    "context-1m-2025-08-07,files-api-2025-04-14");
    assert_filtered("azure", NULL, 0, "oauth-2025-04-20", "");
}

static void an_override_has_the_last_word(void **state)
{
    (void)state;
    struct config_beta betas[] = {{SLICE("context-1m-"), false}, {SLICE("oauth-"), true}};
    assert_filtered("anthropic", betas, 2, "context-1m-2025-08-07,oauth-2025-04-20,z",
                    "oauth-2025-04-20,z");
    assert_filtered("azure", betas, 2, "context-1m-2025-08-07,oauth-2025-04-20,z",
                    "oauth-2025-04-20");
}

static void assert_needed(const char *text, const char *expected)
{
    struct slice got = beta_needed(&arena, slice_str(text));
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(got), expected);
}

static void members_need_features(void **state)
{
    (void)state;
    assert_needed("{\"model\":\"m\",\"messages\":[]}", "");
    assert_needed("{\"mcp_servers\":[]}", "mcp-client-2025-11-20");
    assert_needed(
        "{\"messages\":[{\"mcp_servers\":1}],\"context_management\":{},\"mcp_servers\":[]}",
        "mcp-client-2025-11-20,context-management-2025-06-27");
    assert_needed("{\"messages\":[{\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]}",
                  "files-api-2025-04-14");
    assert_needed("{\"context_management\":{},\"m\":{\"type\":\"file\",\"file_id\":\"f\"}}",
                  "context-management-2025-06-27,files-api-2025-04-14");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(anthropic_takes_every_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_host_takes_what_it_knows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_override_has_the_last_word, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_need_features, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
