// SPDX-License-Identifier: Apache-2.0
//
// Names to addresses against a name server of the test's own: UDP, TCP when truncated, caching,
// failures, interruptions.
#include "net/dns.h"

#include "base/assert.h"
#include "base/err.h"
#include "tests/support/toy_core.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

// ---- A name server ---------------------------------------------------------------------------

struct toy_dns {
    int udp, tcp;
    unsigned port;
    pthread_t udp_thread, tcp_thread;
    _Atomic unsigned queries; // for A
    _Atomic unsigned tcp_queries;
    _Atomic unsigned lost; // queries for AAAA of late6.test
};

// The name of the question in dotted form; the length of the question section.
static size_t read_question(const unsigned char *q, char *name)
{
    size_t at = 0, out = 0;
    while (q[at] != 0) {
        memcpy(name + out, q + at + 1, q[at]);
        out += q[at];
        name[out++] = '.';
        at += q[at] + 1u;
    }
    name[out ? out - 1 : 0] = '\0';
    return at + 5;
}

// Builds the answer in place; its length, 0 for silence. Names tell what to answer.
static size_t answer(struct toy_dns *d, unsigned char *m, bool tcp)
{
    char name[256];
    size_t at = 12 + read_question(m + 12, name);
    unsigned type = m[at - 3], count = 0;
    unsigned char record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9};
    if (type == 1) {
        atomic_fetch_add(&d->queries, 1);
        if (tcp)
            atomic_fetch_add(&d->tcp_queries, 1);
    }
    if (strcmp(name, "silent.test") == 0)
        return 0;
    if (type == 28 && strcmp(name, "late6.test") == 0 && atomic_fetch_add(&d->lost, 1) == 0)
        return 0;
    if ((type == 28 && strcmp(name, "slow6.test") == 0) ||
        (type == 1 && strcmp(name, "slow4.test") == 0))
        return 0;
    bool six = type == 28 && (strcmp(name, "both.test") == 0 || strcmp(name, "late6.test") == 0 ||
                              strcmp(name, "slow4.test") == 0);
    if (six || (type == 1 && strcmp(name, "many6.test") == 0))
        count = 1;
    else if (type == 28 && strcmp(name, "many6.test") == 0)
        six = (count = 12) > 0;
    else if (type == 1 && strcmp(name, "none.test") != 0)
        count = strcmp(name, "many.test") == 0 ? 12 : 1;
    m[2] = 0x85; // an authoritative answer
    m[3] = strcmp(name, "none.test") == 0 ? 3 : 0;
    if (strcmp(name, "truncated.test") == 0 && !tcp) {
        m[2] |= 2;
        count = 0;
    }
    m[6] = 0;
    m[7] = (unsigned char)count;
    memset(m + 8, 0, 4); // no EDNS record in the answer
    for (unsigned i = 0; i < count && six; i++) {
        unsigned char record6[28] = {0xc0, 12, 0, 28, 0,    1,    0,    0,
                                     0,    60, 0, 16, 0x20, 0x01, 0x0d, 0xb8};
        record6[27] = (unsigned char)(9 + i);
        memcpy(m + at, record6, sizeof(record6));
        at += sizeof(record6);
    }
    for (unsigned i = 0; i < count && !six; i++) {
        record[15] = (unsigned char)(9 + i);
        memcpy(m + at, record, sizeof(record));
        at += sizeof(record);
    }
    return at;
}

static void *serve_udp(void *arg)
{
    struct toy_dns *d = arg;
    for (;;) {
        unsigned char m[1024];
        struct sockaddr_in from;
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(d->udp, m, 512, 0, (struct sockaddr *)&from, &len);
        if (n <= 12)
            return NULL; // the test ends it with a short one
        size_t out = answer(d, m, false);
        if (out > 0)
            sendto(d->udp, m, out, 0, (struct sockaddr *)&from, len);
    }
}

static void *serve_tcp(void *arg)
{
    struct toy_dns *d = arg;
    for (;;) {
        unsigned char m[1026];
        int fd = accept(d->tcp, NULL, NULL);
        if (fd < 0)
            return NULL;
        while (recv(fd, m, 2, MSG_WAITALL) == 2) {
            size_t len = (size_t)(m[0] << 8 | m[1]);
            if (len > 512 || recv(fd, m + 2, len, MSG_WAITALL) != (ssize_t)len)
                break;
            size_t out = answer(d, m + 2, true);
            m[0] = (unsigned char)(out >> 8);
            m[1] = (unsigned char)out;
            // Byte by byte: a reader that waits for a change must not miss the last.
            for (size_t i = 0; i < out + 2; i++)
                send(fd, m + i, 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
}

static void toy_dns_open(struct toy_dns *d)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    *d = (struct toy_dns){0};
    d->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    d->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(d->tcp, (struct sockaddr *)&sin, sizeof(sin)) == 0 && listen(d->tcp, 8) == 0);
    ASSERT(getsockname(d->tcp, (struct sockaddr *)&sin, &len) == 0);
    ASSERT(bind(d->udp, (struct sockaddr *)&sin, sizeof(sin)) == 0);
    d->port = ntohs(sin.sin_port);
    ASSERT(pthread_create(&d->udp_thread, NULL, serve_udp, d) == 0);
    ASSERT(pthread_create(&d->tcp_thread, NULL, serve_tcp, d) == 0);
}

static void toy_dns_close(struct toy_dns *d)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_port = htons((uint16_t)d->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sendto(fd, "end", 3, 0, (struct sockaddr *)&sin, sizeof(sin));
    close(fd);
    shutdown(d->tcp, SHUT_RDWR);
    pthread_join(d->udp_thread, NULL);
    pthread_join(d->tcp_thread, NULL);
    close(d->udp);
    close(d->tcp);
}

// ---- Asking ----------------------------------------------------------------------------------

struct ask {
    struct toy_core *t;
    const char *host;
    unsigned deadline_ms;
    int rc;
    struct dns_answer answer;
};

struct world {
    struct toy_core t;
    struct toy_dns d;
};

static void ask_fiber(struct fiber *self, void *arg)
{
    struct ask *a = arg;
    if (a->deadline_ms)
        fiber_set_deadline(self, mono_add_ms(ring_now(a->t->ring), a->deadline_ms));
    a->rc = dns_resolve_await(a->t->core.dns, self, slice_str(a->host), 443, &a->answer);
}

static void world_open(struct world *w)
{
    char servers[64];
    toy_dns_open(&w->d);
    toy_core_open(&w->t, 4, 4096);
    snprintf(servers, sizeof(servers), "127.0.0.1:%u", w->d.port);
    assert_int_equal(dns_set_servers(w->t.core.dns, servers), 0);
}

static void world_close(struct world *w)
{
    toy_core_close(&w->t);
    toy_dns_close(&w->d);
}

static struct ask ask(struct world *w, const char *host)
{
    struct ask a = {.t = &w->t, .host = host};
    toy_core_run(&w->t, ask_fiber, &a);
    return a;
}

static void assert_first(const struct ask *a, const char *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    assert_int_equal(a->rc, 0);
    assert_true(a->answer.count > 0);
    const struct sockaddr_storage *ss = &a->answer.address[0].address;
    if (ss->ss_family == AF_INET) {
        const struct sockaddr_in *sin = (const struct sockaddr_in *)ss;
        assert_int_equal(ntohs(sin->sin_port), 443);
        inet_ntop(AF_INET, &sin->sin_addr, text, sizeof(text));
    } else {
        const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;
        assert_int_equal(ntohs(sin6->sin6_port), 443);
        inet_ntop(AF_INET6, &sin6->sin6_addr, text, sizeof(text));
    }
    assert_string_equal(text, address);
}

static void some_names_need_no_query(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"10.1.2.3", "10.1.2.3"},
                                          {"2001:db8::1", "2001:db8::1"},
                                          {"localhost", "127.0.0.1"},
                                          {"LOCALHOST", "127.0.0.1"},
                                          {"api.localhost", "127.0.0.1"}};
    struct world w;
    world_open(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ask a = ask(&w, rows[i][0]);
        assert_first(&a, rows[i][1]);
    }
    assert_int_equal(ask(&w, "localhost").answer.count, 2);
    assert_int_equal(w.d.queries, 0);
    world_close(&w);
}

static void an_answer_is_cached(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    for (unsigned i = 0; i < 5; i++) {
        struct ask a = ask(&w, "one.test");
        assert_first(&a, "127.0.0.9");
    }
    assert_int_equal(w.d.queries, 1);
    world_close(&w);
}

static void those_who_ask_at_once_share_a_query(void **state)
{
    (void)state;
    struct world w;
    struct ask a[8];
    world_open(&w);
    for (unsigned i = 0; i < 8; i++) {
        a[i] = (struct ask){.t = &w.t, .host = i % 2 ? "one.test" : "two.test"};
        toy_core_spawn(&w.t, ask_fiber, &a[i]);
    }
    while (fiber_live(w.t.fibers) > 0)
        ring_turn(w.t.ring, MONO_NEVER);
    for (unsigned i = 0; i < 8; i++)
        assert_first(&a[i], "127.0.0.9");
    assert_int_equal(w.d.queries, 2);
    world_close(&w);
}

static void a_failure_is_remembered_for_a_moment(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    assert_int_equal(ask(&w, "none.test").rc, ERR_RESOLVE);
    unsigned queries = w.d.queries; // c-ares may try the search list
    assert_int_equal(ask(&w, "none.test").rc, ERR_RESOLVE);
    assert_int_equal(w.d.queries, queries);
    world_close(&w);
}

static void more_addresses_than_fit_are_cut(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct ask a = ask(&w, "many.test");
    assert_int_equal(a.rc, 0);
    assert_int_equal(a.answer.count, DNS_ADDRESSES_MAX);
    world_close(&w);
}

static void both_families_are_asked_for(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    ask(&w, "both.test"); // AAAA may come first, and is then enough
    struct ask a = ask(&w, "both.test");
    while (a.answer.count < 2)
        a = ask(&w, "both.test");
    assert_first(&a, "2001:db8::9");
    assert_int_equal(a.answer.address[1].address.ss_family, AF_INET);
    world_close(&w);
}

static void a_family_without_an_answer_delays_nothing(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    // Well below c-ares' first try.
    struct ask a = {.t = &w.t, .host = "slow6.test", .deadline_ms = 1000};
    toy_core_run(&w.t, ask_fiber, &a);
    assert_first(&a, "127.0.0.9");
    struct ask b = {.t = &w.t, .host = "slow4.test", .deadline_ms = 1000};
    toy_core_run(&w.t, ask_fiber, &b);
    assert_first(&b, "2001:db8::9");
    b = ask(&w, "slow4.test"); // served from the part that is there
    assert_int_equal(b.answer.count, 1);
    world_close(&w); // with queries running
}

static void a_late_answer_joins_the_early_one(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct ask a = ask(&w, "late6.test");
    assert_first(&a, "127.0.0.9");
    assert_int_equal(a.answer.count, 1);
    while (a.answer.count < 2) { // c-ares asks again
        ring_turn(w.t.ring, MONO_NEVER);
        a = ask(&w, "late6.test");
    }
    assert_first(&a, "2001:db8::9");
    assert_int_equal(w.d.queries, 1);
    world_close(&w);
}

static void a_long_list_leaves_room_for_the_other_family(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct ask a = ask(&w, "many6.test");
    while (a.answer.address[1].address.ss_family != AF_INET)
        a = ask(&w, "many6.test");
    assert_int_equal(a.answer.count, DNS_ADDRESSES_MAX);
    assert_first(&a, "2001:db8::9");
    world_close(&w);
}

static void a_truncated_answer_is_asked_again_over_tcp(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct ask a = ask(&w, "truncated.test");
    assert_first(&a, "127.0.0.9");
    assert_int_equal(w.d.tcp_queries, 1);
    world_close(&w);
}

static void a_deadline_ends_the_wait_not_the_query(void **state)
{
    (void)state;
    struct world w;
    world_open(&w);
    struct ask a = {.t = &w.t, .host = "silent.test", .deadline_ms = 5};
    toy_core_run(&w.t, ask_fiber, &a);
    assert_int_equal(a.rc, ERR_DEADLINE);
    struct ask b = ask(&w, "one.test");
    assert_first(&b, "127.0.0.9");
    world_close(&w); // a query is still running
}

static void names_that_cannot_be(void **state)
{
    (void)state;
    struct world w;
    char longest[300];
    world_open(&w);
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(ask(&w, "").rc, ERR_RESOLVE);
    assert_int_equal(ask(&w, longest).rc, ERR_RESOLVE);
    longest[200] = '\0';
    assert_int_equal(ask(&w, longest).rc, ERR_RESOLVE); // a label of 200
    world_close(&w);
}

static void the_cache_is_bounded(void **state)
{
    (void)state;
    struct world w;
    char name[32];
    world_open(&w);
    for (unsigned i = 0; i < DNS_CACHE_MAX + 50; i++) {
        snprintf(name, sizeof(name), "n%u.test", i);
        struct ask a = ask(&w, name);
        assert_first(&a, "127.0.0.9");
    }
    assert_int_equal(w.d.queries, DNS_CACHE_MAX + 50);
    ask(&w, "n0.test"); // was the oldest
    assert_int_equal(w.d.queries, DNS_CACHE_MAX + 51);
    ask(&w, "n1000.test");
    assert_int_equal(w.d.queries, DNS_CACHE_MAX + 51);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_names_need_no_query),
        cmocka_unit_test(an_answer_is_cached),
        cmocka_unit_test(those_who_ask_at_once_share_a_query),
        cmocka_unit_test(a_failure_is_remembered_for_a_moment),
        cmocka_unit_test(more_addresses_than_fit_are_cut),
        cmocka_unit_test(both_families_are_asked_for),
        cmocka_unit_test(a_family_without_an_answer_delays_nothing),
        cmocka_unit_test(a_late_answer_joins_the_early_one),
        cmocka_unit_test(a_long_list_leaves_room_for_the_other_family),
        cmocka_unit_test(a_truncated_answer_is_asked_again_over_tcp),
        cmocka_unit_test(a_deadline_ends_the_wait_not_the_query),
        cmocka_unit_test(names_that_cannot_be),
        cmocka_unit_test(the_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
