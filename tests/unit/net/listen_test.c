// SPDX-License-Identifier: Apache-2.0
//
// listen_test.c: addresses, hand-over between two cores, running out of descriptors.
#include "toy.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

static int try_connect(int family, unsigned port)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    six.sin6_addr = in6addr_loopback;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = family == AF_INET ? connect(fd, (struct sockaddr *)&four, sizeof(four))
                               : connect(fd, (struct sockaddr *)&six, sizeof(six));
    (void)close(fd);
    return rc;
}

static void both_families_are_served(void **state)
{
    (void)state;
    static const char *const hosts[] = {NULL, "", "localhost"};
    for (unsigned i = 0; i < 3; i++) {
        struct toy toy;
        toy_start_on(&toy, NULL, NULL, 0, hosts[i], false);
        assert_true(toy.port > 0);
        assert_int_equal(try_connect(AF_INET, toy.port), 0);
        int six = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (six >= 0) {
            (void)close(six);
            if (access("/proc/net/if_inet6", F_OK) == 0)
                assert_int_equal(try_connect(AF_INET6, toy.port), 0);
        }
        toy_stop(&toy);
    }
}

// Two cores, six sockets of two addresses: each core accepts from its three, and all of them are
// closed in the end.
static void sockets_are_dealt_to_the_cores(void **state)
{
    (void)state;
    static struct net_shared shared;
    static struct net_sockets sockets;
    struct net_core core[2] = {{.index = 0, .shared = &shared}, {.index = 1, .shared = &shared}};
    struct ring_options ring_options = RING_OPTIONS_DEFAULT;
    const char *reason;
    struct ring *ring;
    shared.cores = 2;
    for (unsigned i = 0; i < 6; i++)
        sockets.socket[i] =
            (struct net_socket){.fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), .nth = i % 3};
    sockets.count = 6;
    assert_int_equal(ring_new(&ring_options, &ring, &reason), 0);
    for (unsigned i = 0; i < 2; i++) {
        core[i].ring = ring;
        assert_int_equal(net_listen(&core[i], &sockets), 0);
        core[i].draining = true;
    }
    assert_int_equal(core[0].listener.sockets, 4);
    assert_int_equal(core[1].listener.sockets, 2);
    assert_int_equal(core[1].listener.acceptor[1].fd, sockets.socket[4].fd);
    for (unsigned i = 0; i < 2; i++) {
        net__listen_stop(&core[i]);
        for (unsigned n = 0; n < 1000 && !net_listen_over(&core[i]); n++)
            ring_turn(ring, mono_add_ms(clock_mono(), 5));
        assert_true(net_listen_over(&core[i]));
        net__listen_done(&core[i]);
    }
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(fcntl(sockets.socket[i].fd, F_GETFD), -1);
    ring_free(ring);
}

// Whoever waits in the queue when accepting begins anew is served, and so is who comes later.
static void accepting_begins_anew(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c[3];
    toy_start(&toy, NULL, NULL, 0);
    client_open(&c[0], toy.port);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 1);
    client_open(&c[1], toy.port);
    net_listen_anew(&toy.core);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 2);
    toy_until(&toy, toy.core.listener.acceptor[0].op.state == RING_OP_PENDING);
    client_open(&c[2], toy.port);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 3);
    for (int i = 0; i < 3; i++)
        client_close(&c[i]);
    toy_stop(&toy);
}

static int taken_elsewhere = -1;

static void on_elsewhere(struct ring *ring, struct ring_op *op, const struct ring_event *event)
{
    (void)ring;
    (void)op;
    if (event->res >= 0)
        taken_elsewhere = event->res;
}

// The kernel wakes one of the two that wait on a socket; that one ends without having looked. Who
// asks anew finds the connection, and nobody else would have said that it is there.
static void who_woke_another_is_found(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c;
    struct ring_options ring_options = RING_OPTIONS_DEFAULT;
    struct ring_op op = {0};
    const char *reason;
    struct ring *other;
    toy_start(&toy, NULL, NULL, 0);
    toy_turn(&toy);
    struct net_acceptor *a = &toy.core.listener.acceptor[0];
    int fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
    assert_int_equal(ring_new(&ring_options, &other, &reason), 0);
    ring_accept(other, &op, on_elsewhere, fd);
    ring_turn(other, clock_mono());
    ring_cancel(toy.ring, &a->op); // armed again, behind the other
    for (int i = 0; i < 3; i++)
        toy_turn(&toy);
    client_open(&c, toy.port);
    ring_cancel(other, &op);
    for (unsigned n = 0; n < 1000 && ring_op_busy(&op); n++)
        ring_turn(other, mono_add_ms(clock_mono(), 5));
    assert_false(ring_op_busy(&op));
    // Another kernel may have let it look first: then nobody waits to be found.
    unsigned waiting = taken_elsewhere < 0;
    if (!waiting)
        (void)close(taken_elsewhere);
    for (int i = 0; i < 3; i++)
        toy_turn(&toy);
    net_listen_anew(&toy.core);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == waiting);
    client_close(&c);
    (void)close(fd);
    ring_free(other);
    toy_stop(&toy);
}

static void accepting_pauses_without_descriptors(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c[4];
    struct rlimit old, low;
    toy_start(&toy, NULL, NULL, 0);
    for (int i = 0; i < 4; i++)
        client_open(&c[i], toy.port);
    int top = fcntl(c[3].fd, F_DUPFD_CLOEXEC, 0); // the lowest free one
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)top + 1; // `top` itself takes the last
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    toy_until(&toy, toy.core.listener.paused);
    assert_int_equal(atomic_load(&toy.core.stats.connections), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    (void)close(top);
    toy_until(&toy, atomic_load(&toy.core.stats.connections) == 4);
    for (int i = 0; i < 4; i++)
        client_close(&c[i]);
    toy_stop(&toy);
}

// Several come in one go, as after a pause: who is one too many hears why.
static void clients_above_the_limit_are_told(void **state)
{
    (void)state;
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    enum { CLIENTS_MAX = 24, TOLD = 2 }; // a twelfth
    struct toy toy;
    struct toy_client c[CLIENTS_MAX + TOLD + 1], late;
    toy_start(&toy, NULL, NULL, 0);
    toy.core.listener.clients_max = CLIENTS_MAX;
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        client_open(&c[i], toy.port);
        if (i != CLIENTS_MAX)
            client_say(&toy, &c[i], request);
        else
            client_say(&toy, &c[i], "POST /echo HTTP"); // slow: hears it when its head is there
    }
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        client_until(&toy, &c[i], "\r\n\r\nhi");
    client_until(&toy, &c[CLIENTS_MAX + 1], "HTTP/1.1 503 ");
    client_until_eof(&toy, &c[CLIENTS_MAX + 2]); // too many even for that
    assert_int_equal(c[CLIENTS_MAX + 2].len, 0);
    assert_int_equal(c[CLIENTS_MAX].len, 0);
    client_say(&toy, &c[CLIENTS_MAX], request + strlen("POST /echo HTTP"));
    client_until(&toy, &c[CLIENTS_MAX], "HTTP/1.1 503 ");
    client_until(&toy, &c[CLIENTS_MAX], "OVERLOAD");
    assert_true(toy.core.listener.paused);
    client_open(&late, toy.port);
    client_say(&toy, &late, request);
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        client_close(&c[i]);
    client_until(&toy, &late, "\r\n\r\nhi"); // it waited in the backlog
    client_close(&late);
    toy_stop(&toy);
}

// A connection that is turned away may not stay for its silence.
static void who_is_turned_away_does_not_stay(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c[13];
    toy_start(&toy, NULL, NULL, 0);
    toy.core.listener.clients_max = 12;
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        client_open(&c[i], toy.port);
    client_until_eof(&toy, &c[12]);
    assert_int_equal(atomic_load(&toy.core.stats.connections), 12);
    for (unsigned i = 0; i < ARRAY_LEN(c); i++)
        client_close(&c[i]);
    toy_stop(&toy);
}

// ---- Two cores -------------------------------------------------------------------------------

struct second {
    struct toy toy;
    struct net_shared *shared;
    _Atomic bool ready, stop;
};

// A core that serves but whose listening socket is closed at once: all it gets is handed over.
static void *second_core(void *arg)
{
    struct second *s = arg;
    toy_start(&s->toy, NULL, s->shared, 1);
    atomic_store(&s->ready, true);
    while (!atomic_load(&s->stop))
        toy_turn(&s->toy);
    toy_stop(&s->toy);
    return NULL;
}

static void connections_are_handed_over(void **state)
{
    (void)state;
    static struct net_shared shared;
    static struct second second;
    struct toy first;
    struct toy_client c[8];
    pthread_t thread;
    shared.cores = 2;
    second.shared = &shared;
    assert_int_equal(pthread_create(&thread, NULL, second_core, &second), 0);
    while (!atomic_load(&second.ready))
        sched_yield();
    toy_start(&first, NULL, &shared, 0);
    for (int i = 0; i < 8; i++) { // all to the first core's own port
        client_open(&c[i], first.port);
        client_say(&first, &c[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        client_until(&first, &c[i], "\r\n\r\nhi");
        // No exchange weighs any more when the next connection is placed.
        toy_until(&first, atomic_load(&shared.load[0].live) + atomic_load(&shared.load[1].live) ==
                              (unsigned)i + 1);
    }
    // At most 125 % of the mean.
    assert_in_range(atomic_load(&first.core.stats.connections), 3, 5);
    assert_int_equal(atomic_load(&first.core.stats.connections) +
                         atomic_load(&second.toy.core.stats.connections),
                     8);
    assert_int_equal(counter_get(&first.core.stats.handed_over),
                     atomic_load(&second.toy.core.stats.connections));
    for (int i = 0; i < 8; i++)
        client_close(&c[i]);
    toy_until(&first, atomic_load(&shared.load[1].live) == 0);
    atomic_store(&second.stop, true);
    (void)pthread_join(thread, NULL);
    toy_stop(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_are_served),
        cmocka_unit_test(sockets_are_dealt_to_the_cores),
        cmocka_unit_test(accepting_begins_anew),
        cmocka_unit_test(who_woke_another_is_found),
        cmocka_unit_test(accepting_pauses_without_descriptors),
        cmocka_unit_test(clients_above_the_limit_are_told),
        cmocka_unit_test(who_is_turned_away_does_not_stay),
        cmocka_unit_test(connections_are_handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
