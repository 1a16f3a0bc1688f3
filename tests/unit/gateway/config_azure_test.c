// SPDX-License-Identifier: Apache-2.0
//
// config_azure_test.c: azure's keys: endpoint, versions, and who makes a service principal.
#include "tests/support/config_support.h"

#include "base/container.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define AZURE(value, members)                                                                      \
    "{\"providers\":{\"azure\":{\"keys\":[{\"name\":\"k\",\"models\":[\"*\"],\"value\":\"" value   \
    "\",\"aliases\":{\"fast\":{\"model_id\":\"dep-1\",\"api_version\":\"2025-01-01\"},"            \
    "\"prod\":{\"model_id\":\"dep-2\",\"model_family\":\"anthropic\"},\"claude\":\"dep-3\","       \
    "\"not-claude\":{\"model_id\":\"dep-4\",\"model_family\":\"openai\"}},"                        \
    "\"azure_key_config\":{" members "}}]}}}"
#define PLACE "\"endpoint\":\"https://x.openai.azure.com/\""
#define PRINCIPAL                                                                                  \
    PLACE ",\"client_id\":\"me & you\",\"client_secret\":\"s=cret\",\"tenant_id\":\"tenant-1\""

static void assert_text(struct slice s, const char *expected)
{
    if (!slice_eq(s, slice_str(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), expected);
}

static const struct config_key *first_key(struct built *b, const char *text)
{
    built_text(b, text);
    if (b->err != 0)
        fail_msg("%.*s", SLICE_ARG(buf_slice(&b->report.errors)));
    return &b->config->providers[0].keys[0];
}

static void a_key_has_an_endpoint_and_a_version(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(&b, AZURE("v", PLACE));
    assert_text(origin_authority(k->origin), "x.openai.azure.com");
    assert_text(k->base_path, "");
    assert_text(k->api_version, "2024-10-21");
    assert_text(k->auth_value, "v");
    assert_null(k->entra);
    assert_true(k->enabled);
    built_done(&b);
    k = first_key(&b, AZURE("v", PLACE ",\"api_version\":\"2025-04-01-preview\""));
    assert_text(k->api_version, "2025-04-01-preview");
    built_done(&b);
}

static void a_principal_is_a_form_written_once(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(&b, AZURE("", PRINCIPAL));
    assert_non_null(k->entra);
    assert_true(k->enabled);
    assert_text(k->entra->path, "/tenant-1/oauth2/v2.0/token");
    assert_text(origin_authority(k->entra->origin), "login.microsoftonline.com");
    assert_text(k->entra->form,
                "grant_type=client_credentials&client_id=me%20%26%20you&client_secret=s%3Dcret&"
                "scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default");
    assert_true(slice_find(k->entra->identity, SLICE("s=cret")) < 0);
    assert_true(slice_find(k->entra->identity, SLICE("s%3Dcret")) < 0);
    built_done(&b);
    k = first_key(&b, AZURE("", PRINCIPAL ",\"scopes\":[\"a\",\"b\"]"));
    assert_true(slice_find(k->entra->form, SLICE("&scope=a%20b")) > 0);
    built_done(&b);
}

static void a_half_principal_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {AZURE("v", PLACE ",\"client_id\":\"a\",\"tenant_id\":\"t\""),
         "providers.azure.keys[0].azure_key_config: client_id, client_secret and tenant_id go "
         "together"},
        {AZURE("v", PLACE ",\"client_id\":\"a\",\"client_secret\":\"s\",\"tenant_id\":\"../x\""),
         "providers.azure.keys[0].azure_key_config.tenant_id: expected a tenant's id or domain "
         "name"},
        {AZURE("v", PLACE ",\"api_version\":\"1&x=2\""),
         "providers.azure.keys[0].azure_key_config.api_version: expected a version such as "
         "2024-10-21"},
        {"{\"providers\":{\"azure\":{\"keys\":[{\"name\":\"k\",\"value\":\"v\",\"models\":[\"*\"]"
         "}]}}}",
         "providers.azure.keys[0]: a key of this provider needs azure_key_config.endpoint"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_text(&b, rows[i].text);
        if (!built_error(&b, rows[i].line))
            fail_msg("%s:\n%.*s", rows[i].line, SLICE_ARG(buf_slice(&b.report.errors)));
        built_done(&b);
    }
}

static void without_any_credential_the_key_is_disabled(void **state)
{
    (void)state;
    struct built b;
    assert_false(first_key(&b, AZURE("", PLACE))->enabled);
    assert_true(built_warning(&b, "providers.azure.keys[0].azure_key_config: neither a value nor a "
                                  "service principal: the key is disabled"));
    built_done(&b);
}

static void a_family_is_said_or_seen_in_a_name(void **state)
{
    (void)state;
    struct built b;
    const struct config_key *k = first_key(&b, AZURE("v", PLACE));
    const struct config_provider *p = &b.config->providers[0];
    assert_false(config_is_claude(p, SLICE("fast")));
    assert_true(config_is_claude(p, SLICE("prod")));
    assert_true(config_is_claude(p, SLICE("claude")));
    assert_false(config_is_claude(p, SLICE("not-claude")));
    assert_true(config_is_claude(p, SLICE("claude-sonnet-4")));
    assert_false(config_is_claude(p, SLICE("gpt-4o")));
    assert_text(config_key_alias(k, SLICE("FAST"))->api_version, "2025-01-01");
    assert_null(config_key_alias(k, SLICE("gpt-4o")));
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_an_endpoint_and_a_version),
        cmocka_unit_test(a_principal_is_a_form_written_once),
        cmocka_unit_test(a_half_principal_is_an_error),
        cmocka_unit_test(without_any_credential_the_key_is_disabled),
        cmocka_unit_test(a_family_is_said_or_seen_in_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
