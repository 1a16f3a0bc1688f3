// SPDX-License-Identifier: Apache-2.0
//
// notify_test.c: what arrives at a socket like systemd's, and that its absence harms nobody.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "gateway/notify.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// A datagram socket with this name, '@' for one without a file; named in the environment.
static int listen_as(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *heard(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void check(int fd)
{
    int64_t us = 0;
    notify_ready();
    assert_string_equal(heard(fd), "READY=1");
    int64_t before = clock_mono().ns / 1000;
    notify_reloading();
    int64_t after = clock_mono().ns / 1000;
    assert_int_equal(sscanf(heard(fd), "RELOADING=1\nMONOTONIC_USEC=%" SCNd64, &us), 1);
    assert_in_range(us, before, after);
    notify_stopping();
    assert_string_equal(heard(fd), "STOPPING=1");
    notify_replaced(4711);
    assert_string_equal(heard(fd), "READY=1\nMAINPID=4711");
    assert_string_equal(heard(fd), "");
    close(fd);
}

static void a_path_and_a_name_without_a_file_are_told(void **state)
{
    char name[64];
    (void)state;
    snprintf(name, sizeof(name), "/tmp/ringgate-notify-%d", (int)getpid());
    check(listen_as(name));
    unlink(name);
    snprintf(name, sizeof(name), "@ringgate-notify-%d", (int)getpid());
    check(listen_as(name));
}

static void nobody_need_listen(void **state)
{
    char longest[200];
    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    const char *const names[] = {"",      "/",        "@", "relative", "/tmp/nobody/listens",
                                 longest, "vsock:2:1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready();
    }
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_a_name_without_a_file_are_told),
        cmocka_unit_test(nobody_need_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
