// SPDX-License-Identifier: Apache-2.0
//
// pace_test.c: windows kept and not kept, and what the kernel says a peer has read.
#include "base/container.h"
#include "net/pace.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void a_window_wants_its_rate(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        unsigned rate, ms;
        bool kept;
    } rows[] = {
        {0, 500, 1000, false},
        {499, 500, 1000, false},
        {500, 500, 1000, true},
        {5000, 500, 10000, true},
        {4999, 500, 10000, false},
        {0, 1, 1, false},
        {1, 1, 1, true}, // less than a byte is due, and one has come
        {UINT64_MAX, 1u << 30, 1000, true},
        {UINT32_MAX, 1u << 30, 3600 * 1000, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pace p;
        pace_begin(&p);
        pace_note(&p, rows[i].bytes);
        assert_int_equal(pace_kept(&p, rows[i].rate, rows[i].ms), rows[i].kept);
        assert_false(pace_kept(&p, 1, 1)); // a new one has begun
    }
}

static void bytes_add_up_and_never_wrap(void **state)
{
    (void)state;
    struct pace p;
    pace_begin(&p);
    for (int i = 0; i < 1000; i++)
        pace_note(&p, 1);
    assert_true(pace_kept(&p, 1000, 1000));
    pace_note(&p, UINT32_MAX);
    pace_note(&p, 10);
    assert_int_equal(p.bytes, UINT32_MAX);
}

static void open_pair(int pair[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int small = 4096, listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    pair[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[0], (struct sockaddr *)&a, len), 0);
    pair[1] = accept(listener, NULL, NULL);
    assert_true(pair[1] >= 0);
    close(listener);
}

// The sender's socket is full; what counts is what the peer takes from then on.
static void a_readers_progress_is_the_kernels_count(void **state)
{
    (void)state;
    static char bytes[64 * 1024];
    struct pace p;
    int pair[2];
    size_t got = 0;
    open_pair(pair);
    while (send(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    pace_begin(&p);
    assert_true(pace_reads(&p, pair[0], 1, 2));  // the first half only notes
    assert_false(pace_reads(&p, pair[0], 1, 2)); // nothing was read
    while (got < 256 * 1024) {
        ssize_t n = recv(pair[1], bytes, sizeof(bytes), 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_true(pace_reads(&p, pair[0], 1000, 2000));
    pace_note(&p, 12345); // input meanwhile
    assert_false(pace_reads(&p, pair[0], 1u << 30, 3600 * 1000));
    close(pair[0]);
    close(pair[1]);
    assert_false(pace_reads(&p, pair[0], 1, 2)); // no socket any more
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_wants_its_rate),
        cmocka_unit_test(bytes_add_up_and_never_wrap),
        cmocka_unit_test(a_readers_progress_is_the_kernels_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
