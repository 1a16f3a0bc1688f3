// SPDX-License-Identifier: Apache-2.0
//
// guard_test.c: who may manage. What is answered to others is test_pricing.py's.
#include "admin/guard.h"

#include "gateway/exchange.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_loopback_or_the_setting(void **state)
{
    (void)state;
    static struct config c;
    static struct exchange x;
    x.config = &c;
    assert_false(admin_open(&x));
    c.on_loopback = true;
    assert_true(admin_open(&x));
    c.on_loopback = false;
    c.allow_open_management = true;
    assert_true(admin_open(&x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_loopback_or_the_setting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
