// SPDX-License-Identifier: Apache-2.0
//
// anthropic_turns_test.c: messages as Claude takes them, whoever wrote the request.
#include "tests/unit/codec/anthropic_desk.h"

#define CHAT      &dialect_openai_chat
#define RESPONSES &dialect_openai_responses

// What the provider gets around its messages.
#define GETS(messages) "{\"model\":\"claude\",\"max_tokens\":4096,\"messages\":" messages "}"
#define ONE(content)   GETS("[{\"role\":\"user\",\"content\":" content "}]")

static struct canon_block *first_block(struct canon_request *r)
{
    return r->messages->blocks;
}

static void be_refusal(struct canon_request *r)
{
    first_block(r)->kind = CANON_REFUSAL;
}

static void be_audio(struct canon_request *r)
{
    first_block(r)->kind = CANON_AUDIO;
}

static void be_search(struct canon_request *r)
{
    first_block(r)->kind = CANON_WEB_SEARCH;
}

// What stands in the text is the arguments, as a string.
static void be_call(struct canon_request *r)
{
    struct canon_block *b = first_block(r);
    b->kind = CANON_TOOL_CALL;
    b->id = SLICE("\"i\"");
    b->name = SLICE("\"f\"");
    b->arguments = b->text;
    b->arguments_quoted = true;
}

static void be_call_without(struct canon_request *r)
{
    be_call(r);
    first_block(r)->arguments = SLICE_EMPTY;
}

static void be_custom_call(struct canon_request *r)
{
    be_call(r);
    first_block(r)->tool = CANON_TOOL_CUSTOM;
}

static void be_image_url(struct canon_request *r)
{
    first_block(r)->kind = CANON_IMAGE;
    first_block(r)->url = first_block(r)->text;
}

static void be_file_url(struct canon_request *r)
{
    be_image_url(r);
    first_block(r)->kind = CANON_FILE;
    first_block(r)->text = SLICE_EMPTY;
}

static void be_plain_file(struct canon_request *r)
{
    first_block(r)->kind = CANON_FILE;
    first_block(r)->data = first_block(r)->text;
    first_block(r)->media_type = SLICE("\"text\\/plain\"");
    first_block(r)->text = SLICE_EMPTY;
}

static void be_untyped_file(struct canon_request *r)
{
    be_plain_file(r);
    first_block(r)->media_type = SLICE_EMPTY;
    first_block(r)->name = SLICE("\"a.pdf\"");
}

static void be_untyped_image(struct canon_request *r)
{
    be_untyped_file(r);
    first_block(r)->kind = CANON_IMAGE;
}

static void be_nothing(struct canon_request *r)
{
    first_block(r)->kind = CANON_IMAGE;
    first_block(r)->text = SLICE_EMPTY;
}

static void be_developer(struct canon_request *r)
{
    r->messages->role = CANON_DEVELOPER;
}

static void pass_extra(struct canon_request *r)
{
    r->pass_extra = true;
}

static void be_prompt(struct canon_request *r)
{
    r->messages = NULL;
    r->prompt = SLICE("\"Once \\u0075pon\"");
}

#define RESULT(id, content)                                                                        \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":" content "}"

static const struct request_case cases[] = {
    // Text: alone a string, literals as they are.
    {USER("\"caf\\u00e9 \\/\""), CHAT, NULL, ONE("\"caf\\u00e9 \\/\""), NULL},
    {USER("[{\"type\":\"text\",\"text\":\"x\"}]"), CHAT, NULL, ONE("\"x\""), NULL},
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\"}}]"), CHAT,
     NULL, ONE("[{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\"}}]"),
     NULL},
    {USER("[{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"text\",\"text\":\"\"}]"), CHAT, NULL,
     ONE("\"x\""), NULL},
    {USER("[{\"type\":\"text\",\"text\":\"\"}]"), CHAT, NULL, GETS("[]"), NULL},
    {USER("[]"), CHAT, NULL, GETS("[]"), NULL},
    {USER("\"I will not\""), CHAT, be_refusal, ONE("\"I will not\""), NULL},
    {USER("\"x\""), CHAT, be_prompt, ONE("\"Once \\u0075pon\""), NULL},
    // Citations and members nobody knows come out at home, or when they are asked for.
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"citations\":[1],\"new\":{}}]"), NULL, NULL,
     ONE("[{\"type\":\"text\",\"text\":\"x\",\"citations\":[1],\"new\":{}}]"), NULL},
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"citations\":[1],\"new\":{}}]"), CHAT, NULL,
     ONE("\"x\""), NULL},
    {USER("[{\"type\":\"text\",\"text\":\"x\",\"ne\\u0077\":{},\"title\":1}]"), CHAT, pass_extra,
     ONE("[{\"type\":\"text\",\"text\":\"x\",\"new\":{}}]"), NULL},
    // Images and files.
    {USER("\"https://example.com/a.png\""), CHAT, be_image_url,
     ONE("[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://example.com/"
         "a.png\"}}]"),
     NULL},
    {USER("\"data:image\\/png;base64,QQ\\/=\""), CHAT, be_image_url,
     ONE("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\","
         "\"data\":\"QQ/=\"}}]"),
     NULL},
    {USER("\"data:image/svg+xml,x\""), CHAT, be_image_url, NULL, "messages"},
    {USER("\"data:;base64,QQ==\""), CHAT, be_image_url, NULL, "messages"},
    {USER("\"https://example.com/b.pdf\""), RESPONSES, be_file_url,
     ONE("[{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"https://example.com/"
         "b.pdf\"}}]"),
     NULL},
    {USER("\"R3LDvG46IDEK\""), CHAT, be_plain_file,
     ONE("[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\","
         "\"data\":\"Gr\xc3\xbcn: 1\\n\"}}]"),
     NULL},
    {USER("\"R3L?\""), CHAT, be_plain_file, NULL, "messages"},
    {USER("\"JVBERi0=\""), CHAT, be_untyped_file,
     ONE("[{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/"
         "pdf\",\"data\":\"JVBERi0=\"},\"title\":\"a.pdf\"}]"),
     NULL},
    {USER("\"JVBERi0=\""), RESPONSES, be_untyped_image, NULL, "input"},
    {USER("\"x\""), CHAT, be_nothing, NULL, "messages"},
    {USER("[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\","
          "\"data\":\"d\"},\"title\":\"T\"}]"),
     CHAT, NULL,
     ONE("[{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\","
         "\"data\":\"d\"},\"title\":\"T\"}]"),
     NULL},
    {USER("[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]"), CHAT, NULL,
     ONE("[{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f\"}}]"), NULL},
    {USER("\"x\""), CHAT, be_audio, NULL, "messages"},
    // Calls: from a string to an object.
    {USER("\" { \\\"a\\\" : 1.0 } \""), CHAT, be_call,
     ONE("[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{ \"a\" : 1.0 }}]"), NULL},
    {USER("\"\""), CHAT, be_call,
     ONE("[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{}}]"), NULL},
    {USER("\"x\""), CHAT, be_call_without,
     ONE("[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{}}]"), NULL},
    {USER("\"{\\\"a\\\":\""), CHAT, be_call, NULL, "messages"},
    {USER("\"[1]\""), RESPONSES, be_call, NULL, "input"},
    {USER("\"SELECT \\\"n\\\"\""), CHAT, be_custom_call,
     ONE("[{\"type\":\"tool_use\",\"id\":\"i\",\"name\":\"f\",\"input\":{\"input\":"
         "\"SELECT \\\"n\\\"\"}}]"),
     NULL},
    // Results of consecutive tool messages share one message, also across one of the system.
    {"{\"messages\":[{\"role\":\"user\",\"content\":[" RESULT(
         "1", "\"a\"") "]},"
                       "{\"role\":\"system\",\"content\":\"s\"},"
                       "{\"role\":\"user\",\"content\":[" RESULT(
                           "2", "[{\"type\":\"text\",\"text\":\"b\"}]") ","
                                                                        "{\"type\":\"text\","
                                                                        "\"text\":\"and\"}]}]}",
     CHAT, NULL,
     "{\"model\":\"claude\",\"max_tokens\":4096,\"system\":\"s\",\"messages\":[{\"role\":\"user\","
     "\"content\":[" RESULT("1", "\"a\"") "," RESULT(
         "2", "\"b\"") "]},"
                       "{\"role\":\"user\",\"content\":\"and\"}]}",
     NULL},
    // Nor does one that is left out.
    {"{\"messages\":[{\"role\":\"user\",\"content\":[" RESULT(
         "1", "\"a\"") "]},"
                       "{\"role\":\"assistant\",\"content\":\"\"},"
                       "{\"role\":\"user\",\"content\":[" RESULT("2", "\"b\"") "]}]}",
     CHAT, NULL, ONE("[" RESULT("1", "\"a\"") "," RESULT("2", "\"b\"") "]"), NULL},
    {USER("[" RESULT("1", "\"\"") "]"), CHAT, NULL, ONE("[" RESULT("1", "\"\"") "]"), NULL},
    {USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}]"), CHAT, NULL,
     ONE("[{\"type\":\"tool_result\",\"tool_use_id\":\"1\"}]"), NULL},
    {USER("[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"is_error\":true,\"content\":[{"
          "\"type\":\"text\",\"text\":\"x\"},{\"type\":\"search_result\"},{\"type\":\"image\","
          "\"source\":{\"type\":\"url\",\"url\":\"u\"}}]}]"),
     CHAT, NULL,
     ONE("[{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":[{\"type\":\"text\","
         "\"text\":\"x\"},{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}],"
         "\"is_error\":true}]"),
     "search_result"},
    // Thoughts: sealed by Claude or left out.
    {USER("[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"Eq\"},{\"type\":"
          "\"redacted_thinking\",\"data\":\"Em\"}]"),
     CHAT, NULL,
     ONE("[{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"Eq\"},{\"type\":"
         "\"redacted_thinking\",\"data\":\"Em\"}]"),
     NULL},
    {USER("[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"\"},{\"type\":\"thinking\","
          "\"thinking\":\"t\",\"signature\":\"openai:rs:g\"},{\"type\":\"redacted_thinking\","
          "\"data\":\"openai:rs:g\"}]"),
     CHAT, NULL, GETS("[]"), "reasoning"},
    // What only its own dialect knows.
    {USER("[{\"type\":\"mcp_tool_use\",\"a\":1}]"), NULL, NULL,
     ONE("[{\"type\":\"mcp_tool_use\",\"a\":1}]"), NULL},
    {USER("[{\"type\":\"mcp_tool_use\",\"a\":1},{\"type\":\"\"}]"), CHAT, NULL, GETS("[]"),
     "mcp_tool_use content"},
    {USER("\"q\""), RESPONSES, be_search, GETS("[]"), "web_search_call"},
    // System messages move; one plain text is a string.
    {USER("\"be kind\""), CHAT, be_developer,
     "{\"model\":\"claude\",\"max_tokens\":4096,\"system\":\"be kind\",\"messages\":[]}", NULL},
    {"{\"messages\":[{\"role\":\"system\",\"content\":\"b\"}],\"system\":\"a\"}", CHAT, NULL,
     "{\"model\":\"claude\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\",\"text\":\"a\"},"
     "{\"type\":\"text\",\"text\":\"b\"}],\"messages\":[]}",
     NULL},
    {"{\"messages\":[],\"system\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{}}]}", CHAT,
     NULL,
     "{\"model\":\"claude\",\"max_tokens\":4096,\"system\":[{\"type\":\"text\",\"text\":\"a\","
     "\"cache_control\":{}}],\"messages\":[]}",
     NULL},
    {"{\"messages\":[],\"system\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"u\"}}"
     "]}",
     CHAT, NULL, NULL, "messages"},
};

static void turns_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_request(&cases[i], anthropic__write_request);
}

static int write_large(struct desk *d)
{
    static const char text[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{"
        "\"type\":\"base64\",\"media_type\":\"text\\/plain\",\"data\":\"QUFB\\/w==\"}},{\"type\":"
        "\"image\",\"source\":{\"type\":\"url\",\"url\":\"data:image\\/png;base64,QQ==\"}}]}]}";
    int rc = anthropic__read_request(&d->r, slice_str(text));
    d->r.from = &dialect_openai_chat;
    while (rc == 0 && d->w.len < (size_t)5 * BLOCK_BYTES)
        rc = anthropic__write_request(&d->r, SLICE("claude"), &d->w);
    return rc;
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    check_memory(write_large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_written),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
