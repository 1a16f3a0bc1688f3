// SPDX-License-Identifier: Apache-2.0
//
// request_test.c: the bytes that go to a provider, head and body, and the fields that may pass.

#include "base/container.h"
#include "base/err.h"
#include "codec/dialect.h"
#include "gateway/headers.h"
#include "gateway/request.h"
#include "gateway/translate.h"
#include "tests/support/config_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
// cmocka wants the four above.
#include <cmocka.h>

#define KEYS "\"keys\":[{\"name\":\"k\",\"value\":\"sk-1\",\"models\":[\"*\"],\"weight\":1}]"

static const char text[] =
    "{\"client\":{\"header_filter_config\":{\"allowlist\":[\"x-team\",\"x-listed\",\"x-bf-own\","
    "\"cookie2\",\"x-denied\",\"te\",\"x-tenant\"],"
    "\"denylist\":[\"x-denied\"]}},"
    "\"providers\":{"
    "\"openai\":{" KEYS ",\"network_config\":{\"base_url\":\"http://127.0.0.1:9\"}},"
    "\"mistral\":{" KEYS ",\"network_config\":{\"base_url\":\"http://127.0.0.1:9\"}},"
    "\"perplexity\":{" KEYS ",\"network_config\":{\"base_url\":\"http://127.0.0.1:9\"}},"
    "\"anthropic\":{" KEYS ",\"network_config\":{\"base_url\":\"http://127.0.0.1:9/a\"}},"
    "\"groq\":{" KEYS ",\"network_config\":{\"base_url\":\"http://127.0.0.1:9\"}},"
    "\"kept\":{" KEYS ",\"custom_provider_config\":{\"base_provider_type\":\"openai\"},"
    "\"openai_config\":{\"disable_store\":true},"
    "\"network_config\":{\"base_url\":\"http://127.0.0.1:9\","
    "\"extra_headers\":{\"x-tenant\":\"blue\",\"user-agent\":\"custom\"}}}}}";

struct made {
    struct built built;
    struct block_pool pool;
    struct http_stream stream;
    struct exchange x;
    struct route route;
    struct request request;
    char head[2048];
    char body[2048];
};

static struct made made;

static int set_up(void **state)
{
    (void)state;
    built_text(&made.built, text);
    return made.built.err;
}

static int tear_down(void **state)
{
    (void)state;
    built_done(&made.built);
    return 0;
}

static const struct dialect *dialect_of(enum operation op)
{
    return op == OP_CHAT       ? &dialect_openai_chat
           : op == OP_MESSAGES ? &dialect_anthropic_messages
                               : &dialect_openai_responses;
}

// What exchange_read and the choice of a key leave behind.
static void prepare(const char *provider, enum operation op, const char *body, const char *model,
                    bool stream)
{
    struct exchange *x = &made.x;

    memset(x, 0, sizeof(*x));
    memset(&made.stream, 0, sizeof(made.stream));
    block_pool_init(&made.pool, 8);
    arena_init(&made.stream.arena, &made.pool, 1 << 20);
    arena_init(&made.stream.early, &made.pool, 1 << 20);
    made.stream.request.method = HTTP_POST;
    made.route = (struct route){.mount = MOUNT_UNIFIED, .operation = op};
    x->stream = &made.stream;
    x->config = made.built.config;
    x->route = &made.route;
    x->upstream_op = op;
    x->dialect = dialect_of(op);
    x->upstream_dialect = x->dialect;
    x->body = slice_str(body);
    x->target[0].provider = built_provider(&made.built, provider);
    x->target_count = 1;
    x->key = &x->target[0].provider->keys[0];
    x->model_sent = slice_str(model);
    x->stream_wanted = stream;
    x->scan = arena_alloc(&made.stream.early, sizeof(*x->scan));
    assert_non_null(x->scan);
    assert_int_equal(json_scan(x->scan, x->body, x->dialect->members, DIALECT_MEMBER_COUNT, 0), 0);
}

static void build(void)
{
    size_t at = 0;

    assert_int_equal(request_scan_await(&made.x, NULL, &made.x.target[0]), 0);
    assert_int_equal(request_build(&made.x, &made.x.target[0], &made.request), 0);
    assert_true(made.request.iov[0].iov_len < sizeof(made.head));
    memcpy(made.head, made.request.iov[0].iov_base, made.request.iov[0].iov_len);
    made.head[made.request.iov[0].iov_len] = '\0';
    for (unsigned i = 1; i < made.request.iov_count; i++) {
        memcpy(made.body + at, made.request.iov[i].iov_base, made.request.iov[i].iov_len);
        at += made.request.iov[i].iov_len;
    }
    made.body[at] = '\0';
    assert_int_equal(at, made.request.body_bytes);
}

static void finish(void)
{
    arena_done(&made.stream.arena);
    arena_done(&made.stream.early);
    block_pool_done(&made.pool);
}

struct body_case {
    const char *provider;
    const char *body;
    const char *model;
    bool stream;
    const char *want;
};

static void check_bodies(enum operation op, const struct body_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        prepare(cases[i].provider, op, cases[i].body, cases[i].model, cases[i].stream);
        build();
        assert_string_equal(made.body, cases[i].want);
        finish();
    }
}

static void chat_bodies(void **state)
{
    static const struct body_case cases[] = {
        {"openai", "{ \"model\" : \"m\", \"messages\":[1], \"x\":1.50e3 }", "m", false,
         "{ \"model\" : \"m\", \"messages\":[1], \"x\":1.50e3 }"},
        {"openai", "{\"model\":\"openai/m\",\"messages\":[1]}", "m", false,
         "{\"model\":\"m\",\"messages\":[1]}"},
        {"openai", "{\"mod\\u0065l\":\"a\",\"messages\":[1]}", "q\"\\\n", false,
         "{\"mod\\u0065l\":\"q\\\"\\\\\\n\",\"messages\":[1]}"},
        {"openai", "{\"fallbacks\":[\"a/b\"],\"model\":\"m\",\"messages\":[1]}", "m", false,
         "{\"model\":\"m\",\"messages\":[1]}"},
        {"openai", "{\"model\":\"m\",\"messages\":[1],\"fallbacks\":[\"a/b\"]}", "m", false,
         "{\"model\":\"m\",\"messages\":[1]}"},
        // Usage is asked for on behalf of the client; its other options stay.
        {"openai", "{\"model\":\"m\",\"messages\":[1],\"stream\":true}", "m", true,
         "{\"model\":\"m\",\"messages\":[1],\"stream\":true,"
         "\"stream_options\":{\"include_usage\":true}}"},
        {"openai", "{\"model\":\"m\",\"stream_options\":{\"include_obfuscation\":false}}", "m",
         true,
         "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,"
         "\"include_obfuscation\":false}}"},
        {"openai", "{\"model\":\"m\",\"stream_options\":{ }}", "m", true,
         "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true }}"},
        {"openai", "{\"model\":\"m\",\"stream_options\":{\"include_usage\":false,\"z\":1}}", "m",
         true, "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true,\"z\":1}}"},
        {"openai", "{\"model\":\"m\",\"stream_options\":null}", "m", true,
         "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true}}"},
        {"openai", "{\"model\":\"m\",\"stream_options\":{\"a\":1}}", "m", false,
         "{\"model\":\"m\",\"stream_options\":{\"a\":1}}"},
        {"kept", "{\"model\":\"m\",\"store\":true}", "m", false,
         "{\"model\":\"m\",\"store\":false}"},
        {"kept", "{\"model\":\"m\"}", "m", false, "{\"model\":\"m\",\"store\":false}"},
        {"groq",
         "{\"model\":\"m\",\"store\":true,\"reasoning\":{\"effort\":\"minimal\"},\"user\":\"u\"}",
         "m", false, "{\"model\":\"m\",\"user\":\"u\",\"reasoning_effort\":\"low\"}"},
        {"groq",
         "{\"model\":\"m\",\"reasoning\":{\"effort\":\"high\"},\"reasoning_effort\":\"low\"}", "m",
         false, "{\"model\":\"m\",\"reasoning_effort\":\"low\"}"},
    };
    (void)state;
    check_bodies(OP_CHAT, cases, ARRAY_LEN(cases));
}

static void with_compat(unsigned compat, const char *provider, const char *model, const char *body,
                        const char *want, const char *shed)
{
    prepare(provider, OP_CHAT, body, model, false);
    unsigned before = made.built.config->compat;
    made.built.config->compat = compat;
    build();
    made.built.config->compat = before;
    assert_string_equal(made.body, want);
    if (!slice_eq(made.x.shed, slice_str(shed)))
        fail_msg("%.*s", SLICE_ARG(made.x.shed));
    finish();
}

static void what_a_model_refuses_is_dropped_when_asked(void **state)
{
    static const char *const body =
        "{\"model\":\"o3\",\"temperature\":0.5,\"messages\":[1],\"top_p\":1,\"seed\":7}";
    (void)state;
    with_compat(COMPAT_DROP_PARAMS, "openai", "o3", body,
                "{\"model\":\"o3\",\"messages\":[1],\"seed\":7}", "\"temperature\",\"top_p\"");
    with_compat(COMPAT_CONVERT_PARAMS, "openai", "o3", body, body, "");
    with_compat(COMPAT_DROP_PARAMS, "openai", "gpt-4o",
                "{\"model\":\"gpt-4o\",\"temperature\":0.5,\"messages\":[1]}",
                "{\"model\":\"gpt-4o\",\"temperature\":0.5,\"messages\":[1]}", "");
    // Other vendors' models of that name are theirs.
    with_compat(COMPAT_DROP_PARAMS, "groq", "o3", "{\"model\":\"o3\",\"temperature\":0.5}",
                "{\"model\":\"o3\",\"temperature\":0.5}", "");
}

static void the_limit_has_the_name_that_is_known_when_asked(void **state)
{
    static const char *const older = "{\"model\":\"o3\",\"max_tokens\":9}";
    static const char *const newer = "{\"model\":\"m\",\"max_completion_tokens\":9}";
    (void)state;
    with_compat(COMPAT_CONVERT_PARAMS, "openai", "o3", older,
                "{\"model\":\"o3\",\"max_completion_tokens\":9}", "");
    with_compat(COMPAT_DROP_PARAMS, "openai", "o3", older, older, "");
    with_compat(COMPAT_CONVERT_PARAMS, "openai", "m", "{\"model\":\"m\",\"max_tokens\":9}",
                "{\"model\":\"m\",\"max_tokens\":9}", "");
    with_compat(COMPAT_CONVERT_PARAMS, "openai", "o3",
                "{\"model\":\"o3\",\"max_tokens\":9,\"max_completion_tokens\":8}",
                "{\"model\":\"o3\",\"max_tokens\":9,\"max_completion_tokens\":8}", "");
    with_compat(COMPAT_CONVERT_PARAMS, "openai", "m", newer, newer, "");
}

static void long_users_are_dropped_by_characters(void **state)
{
    char body[512], want[512], name[200] = "";
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        memcpy(name + i * 2, "\xc3\xa9", 3); // 128 bytes, 64 characters: just short enough
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"user\":\"%s\"}", name);
    prepare("groq", OP_CHAT, body, "m", false);
    build();
    assert_string_equal(made.body, body);
    finish();
    snprintf(body, sizeof(body), "{\"model\":\"m\",\"user\":\"%sx\"}", name);
    snprintf(want, sizeof(want), "{\"model\":\"m\"}");
    prepare("groq", OP_CHAT, body, "m", false);
    build();
    assert_string_equal(made.body, want);
    finish();
}

static void responses_have_no_usage_option(void **state)
{
    static const struct body_case cases[] = {
        {"openai", "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}", "m", true,
         "{\"model\":\"m\",\"input\":\"x\",\"stream\":true}"},
    };
    (void)state;
    check_bodies(OP_RESPONSES, cases, ARRAY_LEN(cases));
}

static void the_head(void **state)
{
    (void)state;
    prepare("openai", OP_CHAT, "{\"model\":\"m\",\"messages\":[1]}", "m", false);
    build();
    assert_string_equal(made.head, "POST /v1/chat/completions HTTP/1.1\r\n"
                                   "host: 127.0.0.1:9\r\n"
                                   "authorization: Bearer sk-1\r\n"
                                   "content-type: application/json\r\n"
                                   "accept: application/json\r\n"
                                   "accept-encoding: identity\r\n"
                                   "user-agent: ringgate\r\n"
                                   "content-length: 28\r\n\r\n");
    finish();
}

static struct http_field field(const char *name, const char *value)
{
    return (struct http_field){
        .id = http_name_find(slice_str(name)), .name = slice_str(name), .value = slice_str(value)};
}

static void what_clients_may_add(void **state)
{
    struct http_field fields[] = {
        field("Authorization", "Bearer stolen"),
        field("Cookie", "c=1"),
        field("x-bf-eh-X-Team", "red"),
        field("X-Listed", "yes"),
        field("x-unlisted", "no"),
        field("x-bf-eh-x-unlisted", "no"),
        field("x-bf-eh-cookie", "c=2"),
        field("x-bf-eh-x-bf-vk", "sk-bf-1"),
        field("x-bf-eh-host", "evil"),
        field("x-bf-vk", "sk-bf-2"),
        field("x-api-key", "sk-3"),
        field("x-bf-eh-authorization", "Bearer mine"),
        field("x-bf-eh-x-bf-own", "1"),
        field("x-bf-own", "1"),
        field("x-denied", "1"),
        field("x-bf-eh-te", "trailers"),
        field("openai-organization", "org"),
        field("x-bf-eh-x-tenant", "red"),
    };
    (void)state;
    prepare("kept", OP_CHAT, "{\"model\":\"m\"}", "m", false);
    made.stream.request.fields = fields;
    made.stream.request.count = ARRAY_LEN(fields);
    build();
    assert_string_equal(made.head, "POST /v1/chat/completions HTTP/1.1\r\n"
                                   "host: 127.0.0.1:9\r\n"
                                   "x-tenant: blue\r\n"
                                   "user-agent: custom\r\n"
                                   "authorization: Bearer sk-1\r\n"
                                   "X-Team: red\r\n"
                                   "X-Listed: yes\r\n"
                                   "content-type: application/json\r\n"
                                   "accept: application/json\r\n"
                                   "accept-encoding: identity\r\n"
                                   "content-length: 27\r\n\r\n");
    finish();
}

static void what_comes_down(void **state)
{
    struct http_field fields[] = {
        field("Content-Type", "application/json"),
        field("X-Request-Id", "req_1"),
        field("Set-Cookie", "a=b"),
        field("Server", "cloudflare"),
        field("Connection", "close, X-Hop"),
        field("X-Hop", "1"),
        field("alt-svc", "h3"),
        field("x-bf-provider", "liar"),
        field("Access-Control-Allow-Origin", "*"),
        field("x-ratelimit-remaining-tokens", "7"),
        field("transfer-encoding", "chunked"),
        field("content-length", "3"),
    };
    struct http_head head = {.fields = fields, .count = ARRAY_LEN(fields)};
    struct http_field out[HEADERS_MAX];
    char got[1024] = "";
    (void)state;
    prepare("openai", OP_CHAT, "{\"model\":\"m\"}", "m", false);
    made.x.request_id = SLICE("id-1");
    unsigned count = headers_down(&made.x, &head, out, HEADERS_MAX);
    for (unsigned i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s: %.*s\n",
                 SLICE_ARG(out[i].name), SLICE_ARG(out[i].value));
    assert_string_equal(got, "x-bf-provider: openai\nx-bf-model: m\nx-bf-request-id: id-1\n"
                             "Content-Type: application/json\nX-Request-Id: req_1\n"
                             "x-ratelimit-remaining-tokens: 7\n");
    finish();
}

// An Azure client may leave the model out of its body: the path has it.
static void a_model_is_added_where_there_is_none(void **state)
{
    static const struct body_case cases[] = {
        {"openai", "{\"messages\":[1]}", "m\"", false, "{\"messages\":[1],\"model\":\"m\\\"\"}"},
        {"openai", "{\"model\":null,\"messages\":[1]}", "m", false,
         "{\"model\":\"m\",\"messages\":[1]}"},
    };
    (void)state;
    check_bodies(OP_CHAT, cases, ARRAY_LEN(cases));
}

static void messages_pass_and_so_does_their_query(void **state)
{
    static const char body[] = "{\"model\":\"m\", \"max_tokens\":1,\"messages\":[1],\"store\":1}";
    (void)state;
    prepare("anthropic", OP_MESSAGES, body, "m", true);
    made.stream.request.query = SLICE("beta=true");
    build();
    assert_string_equal(made.body, body);
    assert_non_null(strstr(made.head, "POST /a/v1/messages?beta=true HTTP/1.1\r\n"));
    finish();
    // Not when it was said in another dialect, and not to another.
    prepare("anthropic", OP_MESSAGES, body, "m", true);
    made.stream.request.query = SLICE("beta=true");
    made.x.dialect = &dialect_openai_chat;
    build();
    assert_non_null(strstr(made.head, "POST /a/v1/messages HTTP/1.1\r\n"));
    finish();
    prepare("openai", OP_CHAT, "{\"model\":\"m\",\"messages\":[1]}", "m", false);
    made.stream.request.query = SLICE("beta=true");
    build();
    assert_non_null(strstr(made.head, "POST /v1/chat/completions HTTP/1.1\r\n"));
    finish();
}

// A body that was written, as translate_write_await leaves it.
static void prepare_translated(const char *provider, enum operation op, const char *written,
                               struct translation *t, struct translated *d)
{
    struct slice names[JSON_WANTS_MAX];

    prepare(provider, op, "{\"model\":\"p/m\",\"messages\":[],\"input\":1}", "m", true);
    *t = (struct translation){.written = slice_str(written)};
    *d = (struct translated){0};
    made.x.dialect = &dialect_anthropic_messages;
    made.x.translation = t;
    made.x.translated = d;
    unsigned count = request_wanted_names(&made.x, made.x.target[0].provider, names);
    if (count == 0)
        return;
    struct slice *kept = arena_alloc(&made.stream.early, count * sizeof(names[0]));
    t->scan = arena_alloc(&made.stream.early, sizeof(*t->scan));
    memcpy(kept, names, count * sizeof(names[0]));
    assert_int_equal(json_scan(t->scan, t->written, kept, count, 0), 0);
}

#define OPTIONS ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"

static void what_was_written_gets_the_vendors_edits(void **state)
{
    static const struct {
        const char *provider;
        enum operation op;
        const char *written;
        const char *want;
        bool walked;
    } cases[] = {
        {"openai", OP_CHAT, "{\"model\":\"m\",\"max_completion_tokens\":1,\"store\":true" OPTIONS,
         "{\"model\":\"m\",\"max_completion_tokens\":1,\"store\":true" OPTIONS, false},
        {"openai", OP_RESPONSES, "{\"model\":\"m\",\"max_output_tokens\":16}",
         "{\"model\":\"m\",\"max_output_tokens\":16}", false},
        {"groq", OP_CHAT,
         "{\"model\":\"m\",\"max_completion_tokens\":1,\"service_tier\":\"auto\"" OPTIONS,
         "{\"model\":\"m\",\"max_tokens\":1" OPTIONS, true},
        {"mistral", OP_CHAT, "{\"model\":\"m\",\"max_completion_tokens\":1" OPTIONS,
         "{\"model\":\"m\",\"max_tokens\":1,\"stream\":true}", true},
        {"perplexity", OP_CHAT, "{\"model\":\"m\"" OPTIONS, "{\"model\":\"m\",\"stream\":true}",
         true},
        {"kept", OP_CHAT, "{\"model\":\"m\",\"max_completion_tokens\":1}",
         "{\"model\":\"m\",\"max_tokens\":1,\"store\":false}", true},
        {"anthropic", OP_MESSAGES, "{\"model\":\"m\",\"max_tokens\":1}",
         "{\"model\":\"m\",\"max_tokens\":1}", false},
    };
    struct translation t;
    struct translated d;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        prepare_translated(cases[i].provider, cases[i].op, cases[i].written, &t, &d);
        assert_int_equal(t.scan != NULL, cases[i].walked);
        assert_int_equal(request_build(&made.x, &made.x.target[0], &made.request), 0);
        size_t at = 0;
        for (unsigned k = 1; k < made.request.iov_count; k++) {
            memcpy(made.body + at, made.request.iov[k].iov_base, made.request.iov[k].iov_len);
            at += made.request.iov[k].iov_len;
        }
        made.body[at] = '\0';
        assert_string_equal(made.body, cases[i].want);
        assert_int_equal(at, made.request.body_bytes);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_added_where_there_is_none),
        cmocka_unit_test(what_was_written_gets_the_vendors_edits),
        cmocka_unit_test(messages_pass_and_so_does_their_query),
        cmocka_unit_test(chat_bodies),
        cmocka_unit_test(what_a_model_refuses_is_dropped_when_asked),
        cmocka_unit_test(the_limit_has_the_name_that_is_known_when_asked),
        cmocka_unit_test(long_users_are_dropped_by_characters),
        cmocka_unit_test(responses_have_no_usage_option),
        cmocka_unit_test(the_head),
        cmocka_unit_test(what_clients_may_add),
        cmocka_unit_test(what_comes_down),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
