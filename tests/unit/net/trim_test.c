// SPDX-License-Identifier: Apache-2.0
//
// trim_test.c: after a burst a core gives back what it took, and then its timer sleeps.
#include "toy.h"

#define BURST 64

static void burst_is_given_back(void **state)
{
    (void)state;
    struct toy toy;
    struct toy_client c[BURST];
    toy_start(&toy, NULL, NULL, 0);
    for (int i = 0; i < BURST; i++) {
        client_open(&c[i], toy.port);
        client_say(&toy, &c[i], "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    toy_until(&toy, fiber_live(toy.fibers) == BURST);
    assert_true(ring_timer_is_set(&toy.core.trim_timer));
    for (int i = 0; i < BURST; i++)
        client_close(&c[i]);
    toy_until(&toy, fiber_live(toy.fibers) == 0 && list_empty(&toy.core.connections));
    assert_true(toy.core.blocks.free_count > 0);
    assert_true(toy.core.conns.empty_count > 0);
    assert_true(fiber_sched_trimmable(toy.fibers));
    toy_until(&toy, !ring_timer_is_set(&toy.core.trim_timer));
    assert_int_equal(toy.core.blocks.free_count, 0);
    assert_int_equal(toy.core.conns.empty_count, 0);
    assert_false(fiber_sched_trimmable(toy.fibers));
    // And all works as before.
    client_open(&c[0], toy.port);
    client_say(&toy, &c[0], "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    toy_until(&toy, fiber_live(toy.fibers) == 1);
    assert_true(ring_timer_is_set(&toy.core.trim_timer));
    client_close(&c[0]);
    toy_until(&toy, fiber_live(toy.fibers) == 0);
    toy_stop(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(burst_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
