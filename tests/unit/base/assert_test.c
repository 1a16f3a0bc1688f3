// SPDX-License-Identifier: Apache-2.0
//
// assert_test.c: a failed ASSERT says where, and is the end; a true one costs one evaluation.
#include "tests/unit/base/cm.h"

#include "base/assert.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void true_is_silent(void **state)
{
    (void)state;
    int n = 0;
    ASSERT(++n == 1);
    assert_int_equal(n, 1);
}

static void false_names_the_place_and_aborts(void **state)
{
    (void)state;
    int fds[2];
    char text[600] = "";
    int status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(fds[1], STDERR_FILENO);
        assert_failed("net/conn.c", 42, "state == OPEN");
    }
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "net/conn.c:42: assertion failed: state == OPEN\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_is_silent),
        cmocka_unit_test(false_names_the_place_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
