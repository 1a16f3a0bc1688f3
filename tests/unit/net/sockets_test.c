// SPDX-License-Identifier: Apache-2.0
//
// sockets_test.c: what is opened, what an inherited descriptor is taken for, and how many an
// address has afterwards.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"
#include "base/err.h"
#include "net/sockets.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct net_sockets set, others;

static struct net_want at(const char *host, unsigned port)
{
    return (struct net_want){.wanted = true, .host = host, .port = port};
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool reuses(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);
    return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &len) == 0 && on == 1;
}

// A socket of somebody else's making, on 127.0.0.1 and a free port.
static int foreign(int flags, bool listening, unsigned *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    if (listening)
        assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static void an_address_has_a_socket_for_each_core(void **state)
{
    (void)state;
    struct net_want want = at("127.0.0.1", 0);
    unsigned port = 0;
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want, 3, &port), 0);
    assert_int_equal(set.count, 3);
    assert_true(port > 0);
    for (unsigned i = 0; i < 3; i++) {
        const struct net_socket *s = &set.socket[i];
        assert_int_equal(s->nth, i);
        assert_int_equal(s->address.port, port);
        assert_true(reuses(s->fd));
        assert_int_equal(fcntl(s->fd, F_GETFD), FD_CLOEXEC);
    }
    int fd = set.socket[2].fd;
    net_sockets_close(&set);
    assert_int_equal(set.count, 0);
    assert_false(is_open(fd));
}

static void both_families_have_the_same_port(void **state)
{
    (void)state;
    struct net_want want = at("localhost", 0);
    unsigned port = 0, first = 0;
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want, 2, &port), 0);
    assert_int_equal(set.count, access("/proc/net/if_inet6", F_OK) == 0 ? 4 : 2);
    for (unsigned i = 0; i < set.count; i++) {
        assert_int_equal(set.socket[i].address.port, port);
        first += set.socket[i].nth == 0 ? 1 : 0;
    }
    assert_int_equal(first, set.count / 2);
    net_sockets_close(&set);
}

static void an_address_that_cannot_be_had_is_an_error(void **state)
{
    (void)state;
    struct net_want want = at("192.0.2.1", 0); // TEST-NET-1: nobody's
    unsigned port = 7, taken;
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want, 1, &port), ERR_SYSTEM);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(port, 7);
    int fd = foreign(SOCK_CLOEXEC, true, &taken);
    want = at("127.0.0.1", taken);
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want, 1, &port), ERR_SYSTEM);
    assert_int_equal(errno, EADDRINUSE);
    close(fd);
    net_sockets_close(&set);
}

// ---- Inherited -------------------------------------------------------------------------------

static void the_address_decides_the_role(void **state)
{
    (void)state;
    unsigned a, b;
    int one = foreign(SOCK_NONBLOCK, true, &a), two = foreign(0, true, &b);
    struct net_want want[NET_ROLE_COUNT] = {
        [NET_ROLE_MAIN] = at("127.0.0.1", a), [NET_ROLE_PLAIN] = at("localhost", b)};
    // The names are the wrong way round: where ports are known they do not count.
    assert_int_equal(net_sockets_inherit(&set, two, want, NET_ROLE_MAIN, false), 0);
    assert_int_equal(net_sockets_inherit(&set, one, want, NET_ROLE_PLAIN, false), 0);
    assert_int_equal(set.socket[0].role, NET_ROLE_PLAIN);
    assert_int_equal(set.socket[1].role, NET_ROLE_MAIN);
    assert_int_equal(fcntl(one, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(one, F_GETFL) & O_NONBLOCK, 0);
    // No SO_REUSEPORT: an address keeps the one it has, and that is enough.
    unsigned port = 0;
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want[NET_ROLE_MAIN], 4, &port), 0);
    assert_int_equal(port, a);
    assert_int_equal(set.count, 2);
    net_sockets_close(&set);
}

static void an_open_port_is_known_by_the_name(void **state)
{
    (void)state;
    unsigned a;
    int fd[3];
    struct net_want want[NET_ROLE_COUNT] = {
        [NET_ROLE_MAIN] = at("127.0.0.1", 0), [NET_ROLE_PLAIN] = at("127.0.0.1", 0)};
    static const enum net_role named[3] = {NET_ROLE_PLAIN, NET_ROLE_MAIN, NET_ROLE_COUNT};
    static const enum net_role is[3] = {NET_ROLE_PLAIN, NET_ROLE_MAIN, NET_ROLE_MAIN};
    for (int i = 0; i < 3; i++) {
        fd[i] = foreign(0, true, &a);
        assert_int_equal(net_sockets_inherit(&set, fd[i], want, named[i], false), 0);
        assert_int_equal(set.socket[i].role, is[i]);
    }
    net_sockets_close(&set);
}

static void what_nobody_wants_is_refused(void **state)
{
    (void)state;
    unsigned a, b;
    int stream = foreign(0, true, &a), bound = foreign(0, false, &b);
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct net_want want[NET_ROLE_COUNT] = {[NET_ROLE_MAIN] = at("127.0.0.1", a + 1)};
    struct net_want elsewhere[NET_ROLE_COUNT] = {[NET_ROLE_MAIN] = at("127.0.0.2", a)};
    struct net_want any[NET_ROLE_COUNT] = {[NET_ROLE_MAIN] = at("127.0.0.1", 0)};
    assert_int_equal(bind(local, (struct sockaddr *)&name, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(local, 1), 0);
    assert_int_equal(net_sockets_inherit(&set, stream, want, NET_ROLE_COUNT, false), ERR_NOT_FOUND);
    assert_int_equal(net_sockets_inherit(&set, stream, elsewhere, NET_ROLE_MAIN, false),
                     ERR_NOT_FOUND);
    assert_int_equal(net_sockets_inherit(&set, stream, any, NET_ROLE_PLAIN, true), ERR_NOT_FOUND);
    assert_int_equal(net_sockets_inherit(&set, bound, any, NET_ROLE_COUNT, true), ERR_UNSUPPORTED);
    assert_int_equal(net_sockets_inherit(&set, local, any, NET_ROLE_COUNT, true), ERR_UNSUPPORTED);
    assert_int_equal(net_sockets_inherit(&set, 9999, any, NET_ROLE_COUNT, true), ERR_UNSUPPORTED);
    assert_int_equal(set.count, 0);
    // A name that is trusted stands above the address.
    assert_int_equal(net_sockets_inherit(&set, stream, want, NET_ROLE_MAIN, true), 0);
    net_sockets_close(&set);
    close(bound);
    close(local);
}

// From one core to three: beside what was inherited; back to one: all are kept.
static void a_successor_has_a_socket_for_each_core(void **state)
{
    (void)state;
    struct net_want want[NET_ROLE_COUNT] = {[NET_ROLE_MAIN] = at("127.0.0.1", 0)};
    unsigned port = 0, same = 0;
    others.count = 0;
    assert_int_equal(net_sockets_open(&others, NET_ROLE_MAIN, &want[0], 1, &port), 0);
    int fd = fcntl(others.socket[0].fd, F_DUPFD, 0);
    assert_int_equal(net_sockets_inherit(&set, fd, want, NET_ROLE_MAIN, false), 0);
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want[0], 3, &same), 0);
    assert_int_equal(same, port);
    assert_int_equal(set.count, 3);
    assert_int_equal(set.socket[2].nth, 2);
    assert_int_equal(net_sockets_open(&set, NET_ROLE_MAIN, &want[0], 1, &same), 0);
    assert_int_equal(set.count, 3);
    net_sockets_close(&others);
    net_sockets_close(&set);
}

static void addresses_are_written_as_in_a_url(void **state)
{
    (void)state;
    struct net_address four = {.family = AF_INET, .ip = {127, 0, 0, 1}, .port = 8080};
    struct net_address six = {.family = AF_INET6, .ip = {[15] = 1}, .port = 1};
    char text[64];
    net_address_text(&four, text, sizeof(text));
    assert_string_equal(text, "127.0.0.1:8080");
    net_address_text(&six, text, sizeof(text));
    assert_string_equal(text, "[::1]:1");
}

static void roles_have_names(void **state)
{
    (void)state;
    assert_string_equal(net_role_name(NET_ROLE_MAIN), "main");
    assert_int_equal(net_role_of_name(SLICE("plain")), NET_ROLE_PLAIN);
    assert_int_equal(net_role_of_name(SLICE("ringgate.socket")), NET_ROLE_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_a_socket_for_each_core),
        cmocka_unit_test(both_families_have_the_same_port),
        cmocka_unit_test(an_address_that_cannot_be_had_is_an_error),
        cmocka_unit_test(the_address_decides_the_role),
        cmocka_unit_test(an_open_port_is_known_by_the_name),
        cmocka_unit_test(what_nobody_wants_is_refused),
        cmocka_unit_test(a_successor_has_a_socket_for_each_core),
        cmocka_unit_test(addresses_are_written_as_in_a_url),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
