// SPDX-License-Identifier: Apache-2.0
//
// shared_dir_test.c: a folder of our own, or none.
#include "gateway/shared_dir.h"

#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char place[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(place, sizeof place, "/tmp/ringgate-test-XXXXXX");
    return mkdtemp(place) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(place);
}

static void test_names(void **state)
{
    (void)state;
    char a[SHARED_DIR_BYTES], b[SHARED_DIR_BYTES];
    char dotted[80], start[32];
    assert_int_equal(shared_dir_name("/x/y", place, a), 0);
    assert_string_equal(a, "/x/y");
    assert_int_equal(shared_dir_name(NULL, place, a), 0);
    snprintf(start, sizeof start, "/dev/shm/ringgate-%u-", (unsigned)geteuid());
    assert_int_equal(strncmp(a, start, strlen(start)), 0);
    snprintf(dotted, sizeof dotted, "%s/.", place); // another name of the same folder
    assert_int_equal(shared_dir_name("", dotted, b), 0);
    assert_string_equal(a, b);
    assert_int_equal(shared_dir_name(NULL, "/tmp", b), 0);
    assert_string_not_equal(a, b);
    assert_int_equal(shared_dir_name(NULL, "/nowhere/at/all", b), 0); // not made yet
    char *far = malloc(2 * SHARED_DIR_BYTES);
    memset(far, 'x', 2 * SHARED_DIR_BYTES);
    far[2 * SHARED_DIR_BYTES - 1] = '\0';
    assert_int_equal(shared_dir_name(far, place, b), ERR_LIMIT);
    free(far);
}

static void test_making(void **state)
{
    (void)state;
    char name[96];
    const char *reason;
    struct stat st;
    snprintf(name, sizeof name, "%s/shared", place);
    assert_int_equal(shared_dir_make(name, &reason), 0);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(shared_dir_make(name, &reason), 0); // it may be there
    assert_int_equal(chmod(name, 0777), 0);
    assert_int_equal(shared_dir_make(name, &reason), ERR_SYSTEM);
    rmdir(name);
    assert_int_equal(symlink("/tmp", name), 0); // laid there by somebody else
    assert_int_equal(shared_dir_make(name, &reason), ERR_SYSTEM);
    unlink(name);
    assert_int_equal(shared_dir_make("/nowhere/shared", &reason), ERR_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_making, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
