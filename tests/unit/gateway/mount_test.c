// SPDX-License-Identifier: Apache-2.0
//
// mount_test.c: what sets the mounts apart, and where unknown paths belong.
#include "gateway/mount.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above.
#include <cmocka.h>

static void only_v1_is_unified(void **state)
{
    (void)state;
    for (unsigned m = 0; m < MOUNT_COUNT; m++)
        assert_int_equal(mount_traits[m].extra_fields, m == MOUNT_UNIFIED);
}

static void a_drop_in_has_a_native_provider(void **state)
{
    (void)state;
    assert_int_equal(mount_traits[MOUNT_UNIFIED].bare_provider.len, 0);
    assert_true(slice_eq(mount_traits[MOUNT_OPENAI].bare_provider, SLICE("openai")));
    assert_true(slice_eq(mount_traits[MOUNT_AZURE].bare_provider, SLICE("azure")));
    assert_true(slice_eq(mount_traits[MOUNT_ANTHROPIC].bare_provider, SLICE("anthropic")));
}

static void unknown_paths_have_a_mount_too(void **state)
{
    (void)state;
    assert_int_equal(mount_of_path(SLICE("/anthropic")), MOUNT_ANTHROPIC);
    assert_int_equal(mount_of_path(SLICE("/anthropic/v2")), MOUNT_ANTHROPIC);
    assert_int_equal(mount_of_path(SLICE("/pydanticai/anthropic/x")), MOUNT_ANTHROPIC);
    assert_int_equal(mount_of_path(SLICE("/anthropics")), MOUNT_NONE);
    assert_int_equal(mount_of_path(SLICE("/v1/anthropic")), MOUNT_NONE);
    assert_int_equal(mount_of_path(SLICE_EMPTY), MOUNT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_v1_is_unified),
        cmocka_unit_test(a_drop_in_has_a_native_provider),
        cmocka_unit_test(unknown_paths_have_a_mount_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
