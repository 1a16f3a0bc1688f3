// SPDX-License-Identifier: Apache-2.0
//
// config_client_test.c: the members about clients.
#include "tests/support/config_support.h"

#include "base/container.h"
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_list(const struct slice *list, unsigned count, const char *joined)
{
    char text[256];
    size_t len = 0;
    for (unsigned i = 0; i < count; i++) {
        assert_true(len + list[i].len + 1 < sizeof(text));
        memcpy(text + len, list[i].ptr, list[i].len);
        len += list[i].len;
        text[len++] = ' ';
    }
    text[len] = '\0';
    assert_string_equal(text, joined);
}

static void members_are_taken(void **state)
{
    (void)state;
    struct built b;
    built_text(&b,
               "{\"version\":1,\"server\":{\"read_buffer_size\":4096},\"client\":{"
               "\"drop_excess_requests\":true,\"prometheus_labels\":[\"team\",\"env-id\"],"
               "\"allowed_origins\":[\"https://a\",\"https://b\"],\"allowed_headers\":[\"X-One\"],"
               "\"required_headers\":[\"X-Tenant\"],\"max_request_body_size_mb\":20,"
               "\"header_filter_config\":{\"allowlist\":[\"Anthropic-Beta\"],"
               "\"denylist\":[\"cookie\",\"X-Secret\"]},\"initial_pool_size\":200}}");
    assert_int_equal(b.err, 0);
    const struct config *c = b.config;
    assert_int_equal(c->version, 1);
    assert_int_equal(c->head_bytes_max, 4096);
    assert_int_equal(c->body_bytes_max, 20 * 1024 * 1024);
    assert_true(c->drop_excess_requests);
    assert_list(c->prometheus_labels, c->prometheus_label_count, "team env-id ");
    assert_list(c->allowed_origins, c->allowed_origin_count, "https://a https://b ");
    assert_list(c->allowed_headers, c->allowed_header_count, "x-one ");
    assert_list(c->required_headers, c->required_header_count, "x-tenant ");
    assert_list(c->header_allow, c->header_allow_count, "anthropic-beta ");
    assert_list(c->header_deny, c->header_deny_count, "cookie x-secret ");
    assert_int_equal(built_lines(&b.report.warnings), 1); // no provider
    built_done(&b);
}

static void the_way_down_has_defaults_and_zeros(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned delay_ms, timeout_ms, watchdog_ms, upgrade_ms;
    } cases[] = {
        {"{}", 0, 30000, 1000, 60000},
        {"{\"server\":{\"drain_timeout_s\":null}}", 0, 30000, 1000, 60000},
        {"{\"server\":{\"drain_delay_s\":0,\"drain_timeout_s\":0,\"watchdog_ms\":0}}", 0, 0, 0,
         60000},
        {"{\"server\":{\"drain_delay_s\":15,\"drain_timeout_s\":86400,\"watchdog_ms\":250,"
         "\"upgrade_timeout_s\":3600}}",
         15000, 86400000, 250, 3600000},
    };
    struct built b;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        built_text(&b, cases[i].text);
        assert_int_equal(b.err, 0);
        assert_int_equal(b.config->drain_delay_ms, cases[i].delay_ms);
        assert_int_equal(b.config->drain_timeout_ms, cases[i].timeout_ms);
        assert_int_equal(b.config->watchdog_ms, cases[i].watchdog_ms);
        assert_int_equal(b.config->upgrade_timeout_ms, cases[i].upgrade_ms);
        built_done(&b);
    }
    static const char *const wrong[] = {
        "{\"server\":{\"drain_delay_s\":3601}}",      "{\"server\":{\"drain_timeout_s\":-1}}",
        "{\"server\":{\"drain_timeout_s\":\"30s\"}}", "{\"server\":{\"watchdog_ms\":1.5}}",
        "{\"server\":{\"upgrade_timeout_s\":0}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        built_text(&b, wrong[i]);
        assert_int_equal(b.err, ERR_CONFIG);
        built_done(&b);
    }
}

// Content never outlives its row; 0 is for ever.
static void how_long_records_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned row_days, content_days;
        uint64_t bytes_max, free_bytes;
    } rows[] = {
        {"{}", 365, 365, 0, 256 << 20},
        {"{\"client\":{\"log_retention_days\":9}}", 9, 9, 0, 256 << 20},
        {"{\"logs_store\":{\"retention_days\":0,\"content_retention_days\":3}}", 0, 3, 0,
         256 << 20},
        {"{\"logs_store\":{\"retention_days\":2,\"content_retention_days\":3}}", 2, 2, 0,
         256 << 20},
        {"{\"logs_store\":{\"retention_days\":2,\"content_retention_days\":0}}", 2, 2, 0,
         256 << 20},
        {"{\"logs_store\":{\"max_size_gb\":6,\"min_free_mb\":0}}", 365, 365, UINT64_C(6) << 30, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_text(&b, rows[i].text);
        assert_int_equal(b.err, 0);
        const struct config_logging *l = &b.config->logging;
        assert_int_equal(l->row_days, rows[i].row_days);
        assert_int_equal(l->content_days, rows[i].content_days);
        assert_int_equal(l->bytes_max, rows[i].bytes_max);
        assert_int_equal(l->free_bytes, rows[i].free_bytes);
        built_done(&b);
    }
}

static void no_origin_can_be_meant(void **state)
{
    (void)state;
    struct built b;
    built_text(&b, "{\"client\":{\"allowed_origins\":[]}}");
    assert_int_equal(b.config->allowed_origin_count, 0);
    built_done(&b);
}

static void mistakes_are_said_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"{\"client\":{\"required_headers\":[\"ok\",\"x y\"]}}",
         "client.required_headers[1]: not the name of a header"},
        {"{\"client\":{\"allowed_headers\":[\"x:\"]}}",
         "client.allowed_headers[0]: not the name of a header"},
        {"{\"client\":{\"header_filter_config\":{\"denylist\":[\"x\\u0000\"]}}}",
         "client.header_filter_config.denylist[0]: not the name of a header"},
        {"{\"client\":{\"header_filter_config\":{\"allow_list\":[]}}}",
         "client.header_filter_config.allow_list: unknown member (did you mean \"allowlist\"?)"},
        {"{\"client\":{\"prometheus_labels\":[\"1a\"]}}",
         "client.prometheus_labels[0]: not the name of a label"},
        {"{\"client\":{\"prometheus_labels\":[\"a b\"]}}",
         "client.prometheus_labels[0]: not the name of a label"},
        {"{\"client\":{\"required_headers\":{\"x\":\"y\"}}}",
         "client.required_headers: expected an array of strings"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct built b;
        built_text(&b, rows[i].text);
        assert_int_equal(b.err, ERR_CONFIG);
        if (!built_error(&b, rows[i].line))
            fail_msg("not said for: %s", rows[i].text);
        built_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_taken),
        cmocka_unit_test(the_way_down_has_defaults_and_zeros),
        cmocka_unit_test(how_long_records_are_kept),
        cmocka_unit_test(no_origin_can_be_meant),
        cmocka_unit_test(mistakes_are_said_with_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
