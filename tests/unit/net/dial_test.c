// SPDX-License-Identifier: Apache-2.0
//
// Dialling: which addresses, in which order (RFC 8305), and races over loopback. What runs on a
// fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "net/dial.h"

#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

// Longer than any test: only a failure moves the race on.
#define NEVER_MS 600000

// ---- Pure --------------------------------------------------------------------------------------

// "10.0.0.1 ::1": as a resolver's answer.
static struct dns_answer answer_of(const char *text)
{
    struct dns_answer a = {.count = 0};
    struct slice rest = slice_str(text);
    while (rest.len > 0) {
        ptrdiff_t space = slice_find_char(rest, ' ');
        struct slice one = slice_take(rest, space < 0 ? rest.len : (size_t)space);
        rest = slice_skip(rest, one.len + 1);
        struct ip ip;
        assert_true(ip_parse(one, &ip));
        struct dns_address *to = &a.address[a.count++];
        if (slice_find_char(one, '.') >= 0 && slice_find_char(one, ':') < 0) {
            struct sockaddr_in *four = (void *)&to->address;
            to->len = sizeof(*four);
            four->sin_family = AF_INET;
            memcpy(&four->sin_addr, &ip.byte[12], 4);
        } else {
            struct sockaddr_in6 *six = (void *)&to->address;
            to->len = sizeof(*six);
            six->sin6_family = AF_INET6;
            memcpy(&six->sin6_addr, ip.byte, 16);
        }
    }
    return a;
}

static void assert_answer(const struct dns_answer *a, const char *expected)
{
    char text[512] = "", one[IP_TEXT_BYTES];
    for (unsigned i = 0; i < a->count; i++) {
        struct ip ip;
        assert_true(ip_of_sockaddr((const struct sockaddr *)&a->address[i].address, &ip));
        ip_print(&ip, one);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", one);
    }
    assert_string_equal(text, expected);
}

static void families_alternate(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"2001:db8::1 2001:db8::2 10.0.0.1 10.0.0.2", "2001:db8::1 10.0.0.1 2001:db8::2 10.0.0.2"},
        {"10.0.0.1 10.0.0.2 10.0.0.3 2001:db8::1", "10.0.0.1 2001:db8::1 10.0.0.2 10.0.0.3"},
        {"10.0.0.2 10.0.0.1", "10.0.0.2 10.0.0.1"},
        {"::1", "::1"},
    };
    static const struct dial_memory none;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_answer a = answer_of(rows[i][0]);
        dial_order(&a, &none, (struct mono){.ns = 1});
        assert_answer(&a, rows[i][1]);
    }
}

static void what_failed_lately_is_last(void **state)
{
    (void)state;
    struct dial_memory memory = {0};
    struct mono now = {.ns = 1000};
    struct dns_answer bad = answer_of("2001:db8::1 2001:db8::2");
    dial_note_failed(&memory, &bad.address[0], now);
    dial_note_failed(&memory, &bad.address[1], now);
    struct dns_answer a = answer_of("2001:db8::1 2001:db8::2 10.0.0.1");
    dial_order(&a, &memory, now);
    assert_answer(&a, "10.0.0.1 2001:db8::1 2001:db8::2");
    a = answer_of("2001:db8::1 2001:db8::2 10.0.0.1");
    dial_order(&a, &memory, mono_add_ms(now, DIAL_MEMORY_MS)); // forgotten
    assert_answer(&a, "2001:db8::1 10.0.0.1 2001:db8::2");
}

static void the_memory_is_bounded(void **state)
{
    (void)state;
    struct dial_memory memory = {0};
    struct mono now = {.ns = 1000};
    char text[16];
    for (unsigned i = 0; i < DIAL_MEMORY + 1; i++) {
        snprintf(text, sizeof(text), "10.0.0.%u", i);
        struct dns_answer a = answer_of(text);
        dial_note_failed(&memory, &a.address[0], now);
    }
    struct dns_answer a = answer_of("10.0.0.1 10.0.0.0 10.0.0.32");
    dial_order(&a, &memory, now); // the first has made room
    assert_answer(&a, "10.0.0.0 10.0.0.1 10.0.0.32");
}

static void addresses_are_screened(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool numeric, refuse_private;
        int rc;
        const char *left;
    } rows[] = {
        {"169.254.169.254", true, false, ERR_ADDRESS_REFUSED, ""},
        {"169.254.169.254 8.8.8.8", false, false, 0, "8.8.8.8"},
        {"::ffff:169.254.169.254", false, false, ERR_ADDRESS_REFUSED, ""},
        {"fd00:ec2::254", false, false, ERR_ADDRESS_REFUSED, ""},
        {"100.100.100.200", false, false, ERR_ADDRESS_REFUSED, ""},
        {"fe80::1", true, false, ERR_ADDRESS_REFUSED, ""},
        {"0.0.0.0", false, false, ERR_ADDRESS_REFUSED, ""},
        {"0.0.0.0", true, false, 0, "0.0.0.0"}, // the operator wrote it
        {"127.0.0.1 ::1", false, true, 0, "127.0.0.1 ::1"},
        {"10.0.0.1", false, false, 0, "10.0.0.1"},
        {"10.0.0.1", true, true, ERR_ADDRESS_PRIVATE, ""},
        {"fd00::1 8.8.8.8", false, true, 0, "8.8.8.8"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_answer a = answer_of(rows[i].answer);
        int rc = dial_screen(&a, rows[i].numeric, rows[i].refuse_private);
        if (rc != rows[i].rc)
            fail_msg("%s gives %s", rows[i].answer, err_name(rc));
        assert_answer(&a, rows[i].left);
    }
}

// ---- Races -------------------------------------------------------------------------------------

// 127.0.0.1 and ::1, on one port.
struct pair {
    int four, six;
    unsigned port;
    int fill[8];
};

static int listen_at(const struct sockaddr *address, socklen_t len, int backlog)
{
    int one = 1, fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0);
    if (address->sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (bind(fd, address, len) == 0 && listen(fd, backlog) == 0)
        return fd;
    close(fd);
    return -1;
}

// A port that both families have free. `swallow`: 127.0.0.1 takes no more connections, silently;
// else nobody listens there.
static void pair_open(struct pair *p, bool swallow)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    socklen_t len = sizeof(four);
    do {
        four.sin_port = 0;
        p->four = listen_at((struct sockaddr *)&four, sizeof(four), 0);
        ASSERT(p->four >= 0 && getsockname(p->four, (struct sockaddr *)&four, &len) == 0);
        six.sin6_port = four.sin_port;
        p->six = listen_at((struct sockaddr *)&six, sizeof(six), 8);
        if (p->six < 0)
            close(p->four);
    } while (p->six < 0);
    p->port = ntohs(four.sin_port);
    for (unsigned i = 0; i < ARRAY_LEN(p->fill); i++) {
        p->fill[i] = swallow ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) : -1;
        if (swallow)
            (void)connect(p->fill[i], (struct sockaddr *)&four, sizeof(four));
    }
    if (!swallow)
        close(p->four);
}

static void pair_close(struct pair *p, bool swallow)
{
    for (unsigned i = 0; i < ARRAY_LEN(p->fill) && swallow; i++)
        close(p->fill[i]);
    if (swallow)
        close(p->four);
    close(p->six);
}

struct dialler {
    struct toy_core *t;
    struct origin *origin;
    int rc, fd;
    unsigned deadline_ms;
};

static void dial_fiber(struct fiber *self, void *arg)
{
    struct dialler *d = arg;
    if (d->deadline_ms)
        fiber_set_deadline(self, mono_add_ms(ring_now(d->t->ring), d->deadline_ms));
    d->rc = dial_await(d->t->core.upstream, self, d->origin, &d->fd);
}

static struct dialler dial(struct toy_core *t, const char *host, unsigned port)
{
    struct origin_options o = {.host = slice_str(host), .port = port};
    struct dialler d = {.t = t, .fd = -1};
    assert_int_equal(origin_new(&o, &d.origin), 0);
    toy_core_run(t, dial_fiber, &d);
    origin_put(d.origin);
    return d;
}

static void assert_peer_family(int fd, int family)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    assert_int_equal(getpeername(fd, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(address.ss_family, family);
}

static void a_refused_address_costs_no_delay(void **state)
{
    (void)state;
    struct toy_core t;
    struct pair p;
    pair_open(&p, false);
    toy_core_open(&t, 4, 4096);
    t.core.upstream->dial_delay_ms = NEVER_MS;
    struct dialler d = dial(&t, "localhost", p.port); // 127.0.0.1 first, then ::1
    assert_int_equal(d.rc, 0);
    assert_peer_family(d.fd, AF_INET6);
    close(d.fd);
    toy_core_close(&t);
    pair_close(&p, false);
}

static void a_silent_address_is_overtaken_and_remembered(void **state)
{
    (void)state;
    struct toy_core t;
    struct pair p;
    pair_open(&p, true);
    toy_core_open(&t, 4, 4096);
    t.core.upstream->dial_delay_ms = 1;
    struct dialler d = dial(&t, "localhost", p.port);
    assert_int_equal(d.rc, 0);
    assert_peer_family(d.fd, AF_INET6);
    close(d.fd);
    t.core.upstream->dial_delay_ms = NEVER_MS; // nobody is waited for any more
    d = dial(&t, "localhost", p.port);
    assert_int_equal(d.rc, 0);
    assert_peer_family(d.fd, AF_INET6);
    close(d.fd);
    toy_core_close(&t);
    pair_close(&p, true);
}

static void the_first_address_wins_when_it_answers(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_silent, NULL, NULL);
    w.t.core.upstream->dial_delay_ms = NEVER_MS;
    struct dialler d = dial(&w.t, "localhost", w.p.port);
    assert_int_equal(d.rc, 0);
    assert_peer_family(d.fd, AF_INET);
    close(d.fd);
    toy_world_close(&w);
}

static void an_interruption_ends_every_racer(void **state)
{
    (void)state;
    struct toy_core t;
    struct pair p;
    pair_open(&p, true);
    toy_core_open(&t, 4, 4096);
    t.core.upstream->dial_delay_ms = NEVER_MS;
    struct origin_options o = {.host = SLICE("localhost"), .port = p.port};
    struct dialler d = {.t = &t, .fd = -1, .deadline_ms = 5};
    assert_int_equal(origin_new(&o, &d.origin), 0);
    toy_core_run(&t, dial_fiber, &d); // asserts inside that nothing is in flight
    assert_int_equal(d.rc, ERR_DEADLINE);
    assert_int_equal(d.fd, -1);
    origin_put(d.origin);
    toy_core_close(&t);
    pair_close(&p, true);
}

// A name server that says one address for every name, and none in IPv6.
struct name_server {
    int fd;
    unsigned port;
    uint8_t says[4];
    pthread_t thread;
};

static void *serve_names(void *arg)
{
    struct name_server *n = arg;
    for (;;) {
        unsigned char m[1024];
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t got = recvfrom(n->fd, m, 512, 0, (struct sockaddr *)&from, &len);
        if (got <= 12)
            return NULL; // the test ends it with a short one
        size_t at = 12;
        while (m[at] != 0)
            at += m[at] + 1u;
        at += 5;
        bool four = m[at - 3] == 1;
        unsigned char record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
        memcpy(record + 12, n->says, 4);
        memcpy(m + at, record, sizeof(record));
        m[2] = 0x85; // an authoritative answer, no error
        m[3] = 0;
        m[7] = four; // answers
        memset(m + 8, 0, 4);
        sendto(n->fd, m, at + (four ? sizeof(record) : 0), 0, (struct sockaddr *)&from, len);
    }
}

static void name_server_open(struct name_server *n, struct toy_core *t, const char *says)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    char servers[64];
    ASSERT(inet_pton(AF_INET, says, n->says) == 1);
    n->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(n->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
    ASSERT(getsockname(n->fd, (struct sockaddr *)&sin, &len) == 0);
    n->port = ntohs(sin.sin_port);
    ASSERT(pthread_create(&n->thread, NULL, serve_names, n) == 0);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", n->port);
    ASSERT(dns_set_servers(t->core.dns, servers) == 0);
}

static void name_server_close(struct name_server *n)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)n->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(fd, "end", 3, 0, (struct sockaddr *)&sin, sizeof(sin));
    close(fd);
    pthread_join(n->thread, NULL);
    close(n->fd);
}

static void a_name_that_leads_to_a_refused_place(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int rc;
    } rows[] = {{"169.254.169.254", ERR_ADDRESS_REFUSED},
                {"100.100.100.200", ERR_ADDRESS_REFUSED},
                {"0.0.0.0", ERR_ADDRESS_REFUSED},
                {"127.0.0.1", 0}}; // a name of loopback is the operator's own
    struct toy_world w;
    toy_world_open(&w, toy_script_silent, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct name_server n;
        char name[32];
        name_server_open(&n, &w.t, rows[i].says);
        snprintf(name, sizeof(name), "rebound%zu.test", i);
        struct dialler d = dial(&w.t, name, w.p.port);
        if (d.rc != rows[i].rc)
            fail_msg("%s gives %s", rows[i].says, err_name(d.rc));
        if (d.rc == 0)
            close(d.fd);
        name_server_close(&n);
    }
    toy_world_close(&w);
}

// The same for the proxy's own name: what is refused is not refused only to providers.
static void a_proxy_in_a_refused_place(void **state)
{
    (void)state;
    struct toy_core t;
    struct name_server n;
    struct proxy_options po = {.type = PROXY_SOCKS5, .host = SLICE("proxy.test"), .port = 1080};
    struct origin_options o = {.host = SLICE("provider.test"), .port = 80};
    struct dialler d = {.t = &t, .fd = -1};
    toy_core_open(&t, 4, 4096);
    name_server_open(&n, &t, "169.254.0.1");
    assert_int_equal(proxy_new(&po, &o.proxy), 0);
    assert_int_equal(origin_new(&o, &d.origin), 0);
    toy_core_run(&t, dial_fiber, &d);
    assert_int_equal(d.rc, ERR_PROXY_ADDRESS);
    origin_put(d.origin);
    proxy_put(o.proxy);
    toy_core_close(&t);
    name_server_close(&n);
}

static void refused_places_are_not_dialled(void **state)
{
    (void)state;
    struct toy_core t;
    toy_core_open(&t, 4, 4096);
    assert_int_equal(dial(&t, "169.254.169.254", 80).rc, ERR_ADDRESS_REFUSED);
    assert_int_equal(dial(&t, "::ffff:169.254.169.254", 80).rc, ERR_ADDRESS_REFUSED);
    assert_int_equal(dial(&t, "metadata.google.internal", 80).rc, ERR_ADDRESS_REFUSED);
    toy_core_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_alternate),
        cmocka_unit_test(what_failed_lately_is_last),
        cmocka_unit_test(the_memory_is_bounded),
        cmocka_unit_test(addresses_are_screened),
        cmocka_unit_test(a_refused_address_costs_no_delay),
        cmocka_unit_test(a_silent_address_is_overtaken_and_remembered),
        cmocka_unit_test(the_first_address_wins_when_it_answers),
        cmocka_unit_test(an_interruption_ends_every_racer),
        cmocka_unit_test(a_name_that_leads_to_a_refused_place),
        cmocka_unit_test(a_proxy_in_a_refused_place),
        cmocka_unit_test(refused_places_are_not_dialled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
