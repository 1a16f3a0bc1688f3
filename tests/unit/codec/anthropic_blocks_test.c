// SPDX-License-Identifier: Apache-2.0
//
// anthropic_blocks_test.c: what content becomes, and what is no content.
#include "base/buf.h"
#include "tests/unit/codec/anthropic_desk.h"

static const struct {
    const char *text;
    int err;
    const char *param;
} bad[] = {
    {"{\"messages\":[7]}", ERR_BAD_TYPE, "messages[0]"},
    {"{\"messages\":[{\"content\":\"x\"}]}", ERR_MISSING, "messages[0].role"},
    {"{\"messages\":[{\"role\":7,\"content\":\"x\"}]}", ERR_BAD_TYPE, "messages[0].role"},
    {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", ERR_BAD_TYPE, "messages[0].role"},
    {"{\"messages\":[{\"role\":\"user\"}]}", ERR_MISSING, "messages[0].content"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":null}]}", ERR_MISSING, "messages[0].content"},
    {USER("7"), ERR_BAD_TYPE, "messages[0].content"},
    {USER("[\"x\"]"), ERR_BAD_TYPE, "messages[0].content[0]"},
    {USER("[{}]"), ERR_MISSING, "messages[0].content[0].type"},
    {USER("[{\"type\":\"text\",\"text\":\"\"},{\"type\":7}]"), ERR_BAD_TYPE,
     "messages[0].content[1].type"},
    {USER("[{\"type\":\"text\"}]"), ERR_MISSING, "messages[0].content[0].text"},
    {USER("[{\"type\":\"text\",\"text\":[]}]"), ERR_BAD_TYPE, "messages[0].content[0].text"},
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":7}]"), ERR_BAD_TYPE,
     "messages[0].content[0].cache_control"},
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"citations\":{}}]"), ERR_BAD_TYPE,
     "messages[0].content[0].citations"},
    {USER("[{\"type\":\"image\"}]"), ERR_MISSING, "messages[0].content[0].source"},
    {USER("[{\"type\":\"image\",\"source\":{}}]"), ERR_MISSING,
     "messages[0].content[0].source.type"},
    {USER("[{\"type\":\"image\",\"source\":{\"type\":\"url\"}}]"), ERR_MISSING,
     "messages[0].content[0].source.url"},
    {USER("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":7}}]"), ERR_BAD_TYPE,
     "messages[0].content[0].source.data"},
    {USER("[{\"type\":\"document\",\"source\":{\"type\":\"file\"}}]"), ERR_MISSING,
     "messages[0].content[0].source.file_id"},
    {USER("[{\"type\":\"document\",\"title\":7,\"source\":{}}]"), ERR_BAD_TYPE,
     "messages[0].content[0].title"},
    {USER("[{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{}}]"), ERR_MISSING,
     "messages[0].content[0].id"},
    {USER("[{\"type\":\"tool_use\",\"id\":\"i\",\"input\":{}}]"), ERR_MISSING,
     "messages[0].content[0].name"},
    {USER("[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":\"{}\"}]"), ERR_BAD_TYPE,
     "messages[0].content[0].input"},
    {USER("[{\"type\":\"tool_result\"}]"), ERR_MISSING, "messages[0].content[0].tool_use_id"},
    {USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"i\",\"content\":{}}]"), ERR_BAD_TYPE,
     "messages[0].content[0].content"},
    {USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"i\",\"is_error\":\"no\"}]"), ERR_BAD_TYPE,
     "messages[0].content[0].is_error"},
    {USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"i\",\"content\":[{\"type\":\"text\"}]}]"),
     ERR_MISSING, "messages[0].content[0].content[0].text"},
    {USER("[{\"type\":\"thinking\",\"signature\":\"s\"}]"), ERR_MISSING,
     "messages[0].content[0].thinking"},
    {USER("[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":7}]"), ERR_BAD_TYPE,
     "messages[0].content[0].signature"},
    {USER("[{\"type\":\"redacted_thinking\"}]"), ERR_MISSING, "messages[0].content[0].data"},
    {"{\"messages\":[],\"system\":[7]}", ERR_BAD_TYPE, "system[0]"},
    {"{\"messages\":[],\"system\":[{\"type\":\"text\"}]}", ERR_MISSING, "system[0].text"},
};

static void what_is_no_content_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct desk d;
        desk_open(&d, DESK_BYTES);
        int rc = anthropic__read_request(&d.r, slice_str(bad[i].text));
        if (rc != bad[i].err)
            fail_msg("%s: %s", bad[i].text, err_name(rc));
        same(d.r.refusal.param, bad[i].param);
        desk_close(&d);
    }
}

static struct canon_block *blocks_of(struct desk *d, const char *text)
{
    assert_int_equal(anthropic__read_request(&d->r, slice_str(text)), 0);
    assert_non_null(d->r.messages);
    return d->r.messages->blocks;
}

static void every_kind_of_block(void **state)
{
    static const enum canon_block_kind kinds[] = {
        CANON_TEXT,      CANON_IMAGE,    CANON_FILE,     CANON_FILE,
        CANON_TOOL_CALL, CANON_THINKING, CANON_THINKING, CANON_REDACTED_THINKING,
        CANON_OPAQUE,    CANON_OPAQUE,   CANON_OPAQUE,   CANON_OPAQUE,
    };
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    const struct canon_block *b = blocks_of(
        &d, USER("[{\"type\":\"text\",\"text\":\"t\",\"citations\":[{\"url\":\"u\"}],\"new\":1},"
                 "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
                 "\"data\":\"QQ==\"},\"cache_control\":{\"type\":\"ephemeral\"}},"
                 "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":"
                 "\"text/plain\",\"data\":\"d\"},\"title\":\"T\",\"context\":\"C\"},"
                 "{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"u\"}},"
                 "{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{ \"a\":1.0 }},"
                 "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"s\"},"
                 "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"\"},"
                 "{\"type\":\"redacted_thinking\",\"data\":\"r\"},"
                 "{\"type\":\"server_tool_use\",\"id\":\"i\",\"name\":\"web_search\",\"input\":"
                 "{\"query\":\"q\"}},"
                 "{\"type\":\"search_result\",\"content\":[]},"
                 "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":\"x\"}},"
                 "{\"type\":\"image\",\"source\":{\"type\":\"of_tomorrow\"}}]"));
    const struct canon_block *all[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++, b = b->next) {
        assert_non_null(b);
        assert_int_equal(b->kind, kinds[i]);
        all[i] = b;
    }
    assert_null(b);
    same(all[0]->citations, "[{\"url\":\"u\"}]");
    assert_ptr_equal(all[0]->citations_of, &dialect_anthropic_messages);
    same(all[0]->extra->name, "new");
    same(all[1]->data, "\"QQ==\"");
    same(all[1]->media_type, "\"image/png\"");
    same(all[1]->cache_control, "{\"type\":\"ephemeral\"}");
    same(all[2]->text, "\"d\"");
    same(all[2]->name, "\"T\"");
    same(all[2]->extra->name, "context");
    same(all[3]->url, "\"u\"");
    same(all[4]->arguments, "{ \"a\":1.0 }");
    assert_false(all[4]->arguments_quoted);
    same(all[5]->signature, "\"s\"");
    assert_int_equal(all[6]->signature.len, 0);
    same(all[7]->data, "\"r\"");
    same(all[9]->raw, "{\"type\":\"search_result\",\"content\":[]}");
    desk_close(&d);
}

static void results_of_tools_come_first(void **state)
{
    struct desk d;
    (void)state;
    desk_open(&d, DESK_BYTES);
    const struct canon_block *b =
        blocks_of(&d, USER("[{\"type\":\"text\",\"text\":\"x\"},"
                           "{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":\"a\"},"
                           "{\"type\":\"tool_result\",\"tool_use_id\":\"2\",\"is_error\":true,"
                           "\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}]"));
    const struct canon_message *m = d.r.messages;
    assert_int_equal(m->role, CANON_TOOL);
    same(b->id, "\"1\"");
    same(b->content->text, "\"a\"");
    same(b->next->id, "\"2\"");
    same(b->next->content->text, "\"b\"");
    assert_true(b->next->is_error);
    assert_null(b->next->next);
    assert_int_equal(m->next->role, CANON_USER);
    same(m->next->blocks->text, "\"x\"");
    assert_null(m->next->next);
    desk_close(&d);
    // Nothing but results: no empty message behind them.
    desk_open(&d, DESK_BYTES);
    blocks_of(&d, USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}]"));
    assert_null(d.r.messages->next);
    assert_null(d.r.messages->blocks->content);
    desk_close(&d);
}

static int read_nested(unsigned levels)
{
    struct desk d;
    desk_open(&d, DESK_BYTES);
    struct slice block = SLICE("{\"type\":\"text\",\"text\":\"x\"}");
    for (unsigned i = 0; i < levels; i++)
        block = arena_printf(&d.arena,
                             "{\"type\":\"tool_result\",\"tool_use_id\":\"i\",\"content\":[%.*s]}",
                             SLICE_ARG(block));
    struct slice text = arena_printf(
        &d.arena, "{\"messages\":[{\"role\":\"user\",\"content\":[%.*s]}]}", SLICE_ARG(block));
    int rc = anthropic__read_request(&d.r, text);
    desk_close(&d);
    return rc;
}

static void nesting_and_number_have_a_limit(void **state)
{
    enum { TOO_MANY = CANON_PARTS_MAX };
    (void)state;
    assert_int_equal(read_nested(CANON_NESTING_MAX), 0);
    assert_int_equal(read_nested(CANON_NESTING_MAX + 1), ERR_LIMIT);

    struct buf text;
    buf_init(&text, (size_t)4 << 20);
    buf_add(&text, SLICE("{\"messages\":[{\"role\":\"user\",\"content\":["));
    for (unsigned i = 0; i < TOO_MANY; i++)
        buf_add(&text, SLICE("{\"type\":\"x\"},"));
    buf_add(&text, SLICE("{\"type\":\"x\"}]}]}"));
    struct desk d;
    desk_open(&d, DESK_BYTES);
    assert_int_equal(anthropic__read_request(&d.r, buf_slice(&text)), ERR_LIMIT);
    desk_close(&d);
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_content_is_named),
        cmocka_unit_test(every_kind_of_block),
        cmocka_unit_test(results_of_tools_come_first),
        cmocka_unit_test(nesting_and_number_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
