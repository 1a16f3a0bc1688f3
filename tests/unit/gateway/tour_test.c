// SPDX-License-Identifier: Apache-2.0
//
// tour_test.c: a tour visits every core in order, on its own ring, and comes home.
#include "tests/unit/ring/fixture.h"

#include "gateway/tour.h"

#define CORES 3

struct trip {
    struct tour tour;
    unsigned order[16];
    unsigned visits;
    unsigned stubborn; // so many visits of core 1 are not enough
    unsigned done;
};

static struct gateway gateway;
static struct gateway_core cores[CORES];

static int set_up(void **state)
{
    (void)state;
    memset(&gateway, 0, sizeof(gateway));
    memset(cores, 0, sizeof(cores));
    gateway.cores = CORES;
    for (unsigned i = 0; i < CORES; i++) {
        cores[i].gateway = &gateway;
        cores[i].index = i;
        cores[i].net.ring = ring_open(false, 64, 0);
        gateway.core[i] = &cores[i];
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CORES; i++)
        ring_free(cores[i].net.ring);
    return 0;
}

static bool visit(struct tour *tour, struct gateway_core *core)
{
    struct trip *t = container_of(tour, struct trip, tour);
    assert_true(t->visits < ARRAY_LEN(t->order));
    assert_int_equal(t->done, 0);
    t->order[t->visits++] = core->index;
    if (core->index != 1 || t->stubborn == 0)
        return true;
    t->stubborn--;
    return false;
}

static void come_home(struct tour *tour)
{
    container_of(tour, struct trip, tour)->done++;
}

// All rings are this thread's, so they take turns.
static void travel(struct trip *t, struct gateway_core *home)
{
    struct mono limit = mono_add_ms(clock_mono(), WAIT_SECONDS * 1000);
    tour_start(&t->tour, home, visit, come_home);
    while (t->done == 0) {
        assert_true(mono_before(clock_mono(), limit));
        for (unsigned i = 0; i < CORES; i++)
            ring_turn(cores[i].net.ring, mono_add_ms(clock_mono(), 1));
    }
    assert_int_equal(t->done, 1);
}

static void every_core_is_visited_once(void **state)
{
    (void)state;
    for (unsigned home = 0; home < CORES; home++) {
        struct trip t = {0};
        travel(&t, &cores[home]);
        assert_int_equal(t.visits, CORES);
        for (unsigned i = 0; i < CORES; i++)
            assert_int_equal(t.order[i], i);
    }
}

static void unfinished_work_is_visited_again(void **state)
{
    static const unsigned order[] = {0, 1, 1, 1, 2};
    (void)state;
    struct trip t = {.stubborn = 2};
    travel(&t, &cores[0]);
    assert_int_equal(t.visits, ARRAY_LEN(order));
    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        assert_int_equal(t.order[i], order[i]);
}

static void a_tour_can_start_again_from_its_end(void **state)
{
    (void)state;
    struct trip t = {0};
    travel(&t, &cores[2]);
    t.done = 0;
    travel(&t, &cores[1]);
    assert_int_equal(t.visits, 2 * CORES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_core_is_visited_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unfinished_work_is_visited_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tour_can_start_again_from_its_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
