// SPDX-License-Identifier: Apache-2.0
//
// cors_test.c: which origins are let in, and what an answer then says.
#include "tests/unit/gateway/fixture.h"

static const struct origin_case {
    const char *entry;
    const char *origin;
    bool allowed;
} origin_cases[] = {
    {"https://a.com", "https://a.com", true},
    {"https://a.com", "https://a.com.evil.com", false},
    {"https://a.com", "https://A.com", false},
    {"https://*.a.com", "https://x.a.com", true},
    {"https://*.a.com", "https://.a.com", false},
    {"https://*.a.com", "https://..a.com", false},
    {"https://*.a.com", "https://x.y.a.com", false},
    {"https://*.a.com", "https://x.a.com/evil", false},
    {"https://*.a.com", "https://evil.com", false},
    {"https://*x.*.com", "https://axbx.c.com", true},
    {"https://*x.*.com", "https://axb.c.com", false},
    {"https://a.com", "http://localhost:3000", true},
    {"https://a.com", "https://127.0.0.1:1", true},
    {"https://a.com", "http://0.0.0.0:8080", true},
    {"https://a.com", "https://0.0.0.0:8080", false},
    {"https://a.com", "http://localhost", false},
    {"https://a.com", "http://localhost:3000.evil.com", false},
    {"https://a.com", "http://localhost.evil.com:80", false},
    {"https://a.com", "null", false},
    {"*", "null", true},
    {"*", "https://evil.com", true},
};

static void origins_are_matched(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(origin_cases); i++) {
        struct slice entry = slice_str(origin_cases[i].entry);
        struct config c = {.allowed_origins = &entry, .allowed_origin_count = 1};
        bool by_star;
        bool ok = gateway_origin_allowed(&c, slice_str(origin_cases[i].origin), &by_star);
        if (ok != origin_cases[i].allowed)
            fail_msg("%s against %s", origin_cases[i].origin, origin_cases[i].entry);
        assert_int_equal(by_star, ok && slice_eq(entry, SLICE("*")));
    }
}

static void a_foreign_or_absent_origin_gets_no_field(void **state)
{
    (void)state;
    struct slice entry = SLICE("https://a.com");
    struct http_field out[GATEWAY_CORS_FIELDS];
    struct fake *f = fake_open();
    f->config.allowed_origins = &entry;
    f->config.allowed_origin_count = 1;
    assert_int_equal(gateway_cors_fields(&f->x, out), 0);
    fake_field(f, "Origin", "https://b.com");
    assert_int_equal(gateway_cors_fields(&f->x, out), 0);
    f->stream.request.fields[0].value = entry;
    assert_int_equal(gateway_cors_fields(&f->x, out), 6);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_matched),
        cmocka_unit_test(a_foreign_or_absent_origin_gets_no_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
