// SPDX-License-Identifier: Apache-2.0
//
// quota_test.c: a key's limits in the API's words.
#include "tests/unit/gateway/fixture.h"

#include "admin/quota.h"
#include "tests/support/config_support.h"

static const char text[] =
    "{\"version\":2,\"providers\":{},\"governance\":{"
    "\"budgets\":[{\"id\":\"b\",\"max_limit\":75.5,\"reset_duration\":\"1M\","
    "\"calendar_aligned\":true,\"virtual_key_id\":\"v\"}],"
    "\"rate_limits\":[{\"id\":\"r\",\"request_max_limit\":3,\"request_reset_duration\":\"1m\","
    "\"token_max_limit\":9,\"token_reset_duration\":\"1h\"}],"
    "\"virtual_keys\":[{\"id\":\"v\",\"name\":\"V\",\"value\":\"sk-bf-v\",\"is_active\":false,"
    "\"rate_limit_id\":\"r\"}]}}";

static void serve(struct fake *f, struct fiber *self)
{
    quota_await(&f->x, self);
}

static struct fake *ask(struct built *b, const char *value)
{
    struct fake *f = fake_open();
    built_text(b, text);
    assert_int_equal(b->err, 0);
    f->x.config = b->config;
    if (value)
        fake_field(f, "x-bf-vk", value);
    fake_run(f, serve);
    return f;
}

static void the_holder_is_told(void **state)
{
    (void)state;
    struct built b;
    struct fake *f = ask(&b, "sk-bf-v");
    assert_int_equal(f->status, 200);
    // Nothing counts here: there is no ledger.
    ASSERT_TEXT(&f->body,
                "{\"virtual_key_name\":\"V\",\"is_active\":false,\"budgets\":[{\"id\":\"b\","
                "\"max_limit\":75.5,\"current_usage\":0,\"reset_duration\":\"1M\","
                "\"calendar_aligned\":true}],\"rate_limit\":{\"id\":\"r\","
                "\"request_max_limit\":3,\"request_current_usage\":0,"
                "\"request_reset_duration\":\"1m\",\"token_max_limit\":9,"
                "\"token_current_usage\":0,\"token_reset_duration\":\"1h\"}}");
    fake_close(f);
    built_done(&b);
}

static void nobody_else_is(void **state)
{
    (void)state;
    struct built b;
    struct fake *f = ask(&b, "sk-bf-w");
    assert_int_equal(f->status, 401);
    ASSERT_TEXT(&f->body, "{\"error\":\"virtual key not found\"}");
    fake_close(f);
    built_done(&b);
    f = ask(&b, NULL);
    assert_int_equal(f->status, 401);
    ASSERT_TEXT(&f->body, "{\"error\":\"virtual key required\"}");
    fake_close(f);
    built_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_holder_is_told),
        cmocka_unit_test(nobody_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
