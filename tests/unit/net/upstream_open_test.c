// SPDX-License-Identifier: Apache-2.0
//
// upstream_open.c over loopback: connecting: refused, too slow, several addresses. What
// runs on a fiber uses ASSERT: cmocka's own would jump off the fiber's stack.
#include "base/assert.h"
#include "base/err.h"
#include "net/upstream_internal.h"
#include "tests/support/toy_world.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static void a_deadline_while_connecting(void **state)
{
    (void)state;
    struct toy_core t;
    // A listener whose queue is full swallows what comes after.
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sin);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fill[8];
    assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
    for (unsigned i = 0; i < ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], (struct sockaddr *)&sin, sizeof(sin));
    }
    toy_core_open(&t, 4, 4096);
    struct origin_options o = {
        .host = SLICE("127.0.0.1"), .port = ntohs(sin.sin_port), .connect_ms = 10};
    struct origin *origin = NULL;
    assert_int_equal(origin_new(&o, &origin), 0);
    struct toy_ask own = {.t = &t, .origin = origin};
    toy_ask(&own);
    assert_int_equal(own.rc, ERR_CONNECT_TIMEOUT);
    struct toy_ask outer = {.t = &t, .origin = origin, .deadline_ms = 2};
    toy_ask(&outer);
    assert_int_equal(outer.rc, ERR_DEADLINE);
    origin_put(origin);
    toy_core_close(&t);
    for (unsigned i = 0; i < ARRAY_LEN(fill); i++)
        close(fill[i]);
    close(listener);
}

static void a_refused_connection(void **state)
{
    (void)state;
    struct toy_world w;
    toy_world_open(&w, toy_script_silent, NULL, NULL);
    toy_provider_close(&w.p); // nobody listens there any more
    struct toy_ask a = {.t = &w.t, .origin = w.origin};
    toy_ask(&a);
    assert_int_equal(a.rc, ERR_CONNECT);
    struct origin_options o = {.host = SLICE("localhost"), .port = w.p.port};
    origin_put(w.origin);
    assert_int_equal(origin_new(&o, &w.origin), 0);
    struct toy_ask b = {.t = &w.t, .origin = w.origin};
    toy_ask(&b); // two addresses, both refused
    assert_int_equal(b.rc, ERR_CONNECT);
    origin_put(w.origin);
    toy_core_close(&w.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_while_connecting),
        cmocka_unit_test(a_refused_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
