// SPDX-License-Identifier: Apache-2.0
//
// pricing_sync_test.c: what a start begins with. Fetching is test_pricing.py's.
#include "gateway/pricing_sync.h"

#include "base/container.h"
#include "providers/catalog.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static unsigned models_with(const char *text)
{
    char folder[] = "/tmp/pricing-XXXXXX", name[64];
    static struct pricing_sync s;
    struct catalog *c = NULL;
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/pricing.json", folder);
    if (text != NULL) {
        FILE *f = fopen(name, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
    }
    assert_int_equal(pricing_sync_init(&s, folder, &c), 0);
    unsigned count = catalog_count(c);
    assert_int_equal(s.models, count);
    assert_ptr_equal(catalog_get(c), c);
    catalog_put(c);
    assert_int_equal(catalog_count(c), count); // one reference is left
    catalog_put(c);
    pricing_sync_done(&s);
    unlink(name);
    rmdir(folder);
    return count;
}

static void test_the_stored_copy_else_the_built_in_one(void **state)
{
    (void)state;
    unsigned built_in = models_with(NULL);
    assert_true(built_in > 1);
    assert_int_equal(models_with("{\"x/y\":{\"provider\":\"x\",\"mode\":\"chat\","
                                 "\"input_cost_per_token\":1}}"),
                     1);
    assert_int_equal(models_with("{\"x/y\":{\"prov"), built_in); // half a file
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stored_copy_else_the_built_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
