// SPDX-License-Identifier: Apache-2.0
//
// rows_test.c: what every row must keep, and what sets some of them apart.
#include "providers/provider.h"

#include "base/container.h"
#include "codec/dialect.h"
#include "codec/json_edit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct provider_edit *edit_of(const char *vendor, enum operation op,
                                           const char *member)
{
    const struct provider_row *row = provider_find(slice_str(vendor));
    assert_non_null(row);
    for (unsigned i = 0; i < row->edit_count; i++) {
        const struct provider_edit *e = &row->edits[i];
        if ((e->operations & (1u << op)) != 0 && slice_eq(e->member, slice_str(member)))
            return e;
    }
    return NULL;
}

static void a_row_is_whole(void **state)
{
    (void)state;
    const struct provider_row *row;
    for (unsigned i = 0; (row = provider_at(i)) != NULL; i++) {
        assert_true(row->name.len > 0);
        assert_true(row->path[OP_CHAT].len > 0 || row->path[OP_MESSAGES].len > 0);
        assert_true(row->url_per_key == (row->base_url.len == 0));
        assert_false(row->streams_text && row->path[OP_TEXT].len == 0 &&
                     row->path[OP_COMPLETE].len == 0);
        for (unsigned op = 0; op < OPERATION_COUNT; op++) {
            struct slice path = row->path[op];
            assert_true(path.len == 0 || path.ptr[0] == '/');
            assert_true(row->path_templates || slice_find_char(path, '{') < 0);
        }
        if (row->base_url.len > 0) {
            assert_true(slice_starts(row->base_url, SLICE("https://")));
            assert_true(row->base_url.ptr[row->base_url.len - 1] != '/');
            assert_non_null(row->environment[0]);
        }
        for (unsigned j = 0; j < i; j++)
            assert_false(slice_eq(provider_at(j)->name, row->name));
    }
}

static void edits_fit_one_edit(void **state)
{
    (void)state;
    const struct provider_row *row;
    for (unsigned i = 0; (row = provider_at(i)) != NULL; i++) {
        for (unsigned op = 0; op < OPERATION_COUNT; op++) {
            unsigned count = 0;
            for (unsigned e = 0; e < row->edit_count; e++) {
                const struct provider_edit *edit = &row->edits[e];
                assert_true(edit->operations != 0 && edit->member.len > 0);
                bool renames = edit->kind == EDIT_RENAME || edit->kind == EDIT_REASONING;
                assert_true(renames == (edit->to.len > 0));
                count += (edit->operations >> op) & 1;
            }
            assert_true(count <= PROVIDER_EDITS_MAX);
            // model, fallbacks, stream_options
            assert_true(count + 2 + row->stream_usage <= JSON_EDITS_MAX);
            // and the targets of a rename and of reasoning
            assert_true(count + 2 + DIALECT_MEMBER_COUNT <= JSON_WANTS_MAX);
        }
    }
}

static void openai_is_never_edited(void **state)
{
    (void)state;
    assert_int_equal(provider_find(SLICE("openai"))->edit_count, 0);
}

static void others_lose_openais_own_members(void **state)
{
    (void)state;
    static const char *const members[] = {"prompt_cache_key", "verbosity", "store", "service_tier"};
    const struct provider_row *row;
    for (unsigned i = 0; (row = provider_at(i)) != NULL; i++) {
        // azure is OpenAI's own, hosted; anthropic has no chat.
        if (slice_eq(row->name, SLICE("openai")) || slice_eq(row->name, SLICE("azure")) ||
            row->path[OP_CHAT].len == 0)
            continue;
        for (size_t m = 0; m < ARRAY_LEN(members); m++)
            assert_non_null(edit_of(row->name.ptr, OP_CHAT, members[m]));
        const struct provider_edit *e = edit_of(row->name.ptr, OP_CHAT, "reasoning");
        assert_non_null(e);
        assert_int_equal(e->kind, EDIT_REASONING);
        assert_true(slice_eq(e->to, SLICE("reasoning_effort")));
        assert_null(edit_of(row->name.ptr, OP_RESPONSES, "reasoning"));
    }
    assert_null(edit_of("xai", OP_RESPONSES, "store"));
}

static void vendors_differ_as_documented(void **state)
{
    (void)state;
    const struct provider_row *perplexity = provider_find(SLICE("perplexity"));
    assert_true(slice_eq(perplexity->path[OP_CHAT], SLICE("/chat/completions")));
    assert_int_equal(perplexity->path[OP_LIST_MODELS].len, 0);
    assert_int_equal(edit_of("perplexity", OP_CHAT, "tools")->kind, EDIT_DROP);
    assert_int_equal(edit_of("perplexity", OP_CHAT, "seed")->kind, EDIT_DROP);

    assert_int_equal(edit_of("groq", OP_CHAT, "user")->kind, EDIT_DROP_LONG);
    assert_int_equal(edit_of("groq", OP_CHAT, "user")->limit, 64);
    assert_int_equal(provider_find(SLICE("groq"))->path[OP_TEXT].len, 0);

    const struct provider_edit *tokens = edit_of("mistral", OP_CHAT, "max_completion_tokens");
    assert_int_equal(tokens->kind, EDIT_RENAME);
    assert_true(slice_eq(tokens->to, SLICE("max_tokens")));
    assert_int_equal(edit_of("mistral", OP_CHAT, "tool_choice")->kind, EDIT_CHOICE_ANY);
    assert_false(provider_find(SLICE("mistral"))->stream_usage);
    assert_int_equal(provider_find(SLICE("mistral"))->path[OP_RESPONSES].len, 0);

    const struct provider_row *anthropic = provider_find(SLICE("anthropic"));
    assert_true(slice_eq(anthropic->path[OP_MESSAGES], SLICE("/v1/messages")));
    assert_int_equal(anthropic->auth, AUTH_X_API_KEY);
    assert_int_equal(anthropic->edit_count, 0);
    assert_true(provider_find(SLICE("openai"))->prefers_responses);
    assert_false(provider_find(SLICE("groq"))->prefers_responses);

    assert_true(provider_find(SLICE("openrouter"))->keeps_thoughts);
    assert_false(provider_find(SLICE("openai"))->keeps_thoughts);
    assert_false(provider_find(SLICE("cerebras"))->keeps_thoughts);

    assert_true(provider_find(SLICE("vllm"))->url_per_key);
    assert_true(provider_find(SLICE("vllm"))->key_optional);
    assert_false(provider_find(SLICE("openai"))->key_optional);
    assert_string_equal(provider_find(SLICE("openai"))->environment[1], "OPENAI_KEY");
}

static void azure_serves_claude_by_claudes_endpoints(void **state)
{
    (void)state;
    const struct provider_row *azure = provider_find(SLICE("azure"));
    assert_true(provider_has(azure, OP_CHAT, false));
    assert_false(provider_has(azure, OP_CHAT, true));
    assert_true(provider_has(azure, OP_MESSAGES, true));
    assert_false(provider_has(azure, OP_MESSAGES, false));
    assert_false(provider_has(azure, OP_COMPLETE, true));
    assert_true(provider_has(azure, OP_LIST_MODELS, true));
    assert_true(provider_has(azure, OP_LIST_MODELS, false));
    const struct provider_row *openai = provider_find(SLICE("openai"));
    assert_true(provider_has(openai, OP_CHAT, true)); // whoever calls a model so
    assert_false(provider_has(openai, OP_MESSAGES, true));
    assert_true(provider_is_claude(SLICE("us.anthropic.Claude-sonnet-4")));
    assert_false(provider_is_claude(SLICE("gpt-4o")));
}

static void a_key_travels_in_the_field_of_its_vendor(void **state)
{
    (void)state;
    static const struct {
        struct slice vendor;
        enum operation op;
        struct slice field;
    } rows[] = {
        {SLICE("openai"), OP_CHAT, SLICE("authorization")},
        {SLICE("anthropic"), OP_MESSAGES, SLICE("x-api-key")},
        {SLICE("anthropic"), OP_LIST_MODELS, SLICE("x-api-key")},
        {SLICE("azure"), OP_CHAT, SLICE("api-key")},
        {SLICE("azure"), OP_LIST_MODELS, SLICE("api-key")},
        {SLICE("azure"), OP_MESSAGES, SLICE("x-api-key")},
        {SLICE("azure"), OP_COUNT_TOKENS, SLICE("x-api-key")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(slice_eq(provider_auth_field(provider_find(rows[i].vendor), rows[i].op),
                             rows[i].field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_whole),
        cmocka_unit_test(edits_fit_one_edit),
        cmocka_unit_test(openai_is_never_edited),
        cmocka_unit_test(others_lose_openais_own_members),
        cmocka_unit_test(vendors_differ_as_documented),
        cmocka_unit_test(azure_serves_claude_by_claudes_endpoints),
        cmocka_unit_test(a_key_travels_in_the_field_of_its_vendor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
