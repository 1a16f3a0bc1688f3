// SPDX-License-Identifier: Apache-2.0
//
// ring_timer_test.c: the wheel against a list of what must have fired, in invented time.
//
// Most tests turn the wheel by hand with times of their own, so years pass in milliseconds. One
// uses a real ring and real time.
#include "tests/unit/ring/fixture.h"

#include "base/prng.h"
#include "ring/ring_internal.h"

struct shot {
    struct ring_timer timer;
    struct mono wanted;
    unsigned fired;
    unsigned order; // position among all that fired
    struct ring_timer *clears;
    struct ring_timer *sets;
};

static unsigned shots_fired;

static void on_shot(struct ring *r, struct ring_timer *t)
{
    struct shot *s = container_of(t, struct shot, timer);
    assert_false(ring_timer_is_set(t));
    assert_false(mono_before(r->now, s->wanted)); // never before
    s->fired++;
    s->order = shots_fired++;
    if (s->clears)
        ring_timer_clear(r, s->clears);
    if (s->sets)
        ring_timer_set(r, s->sets, r->now, on_shot);
}

static void aim(struct ring *r, struct shot *s, int64_t ns)
{
    s->wanted = (struct mono){.ns = ns};
    ring_timer_set(r, &s->timer, s->wanted, on_shot);
}

static void run_at(struct ring *r, int64_t ns)
{
    r->now = (struct mono){.ns = ns};
    ring__timers_run(r);
}

static int wheel_set_up(void **state)
{
    struct ring *r = aligned_alloc(64, sizeof(*r));
    assert_non_null(r);
    memset(r, 0, sizeof(*r));
    r->now = (struct mono){.ns = 1234567 * NS_PER_MS + 999};
    ring__timers_init(r);
    shots_fired = 0;
    *state = r;
    return 0;
}

static int wheel_tear_down(void **state)
{
    free(*state);
    return 0;
}

static void to_the_millisecond(void **state)
{
    struct ring *r = *state;
    int64_t t0 = r->now.ns;
    struct shot s = {0};
    aim(r, &s, t0 + 1);
    run_at(r, t0);
    assert_int_equal(s.fired, 0); // less than a millisecond away, and yet not before
    run_at(r, t0 + NS_PER_MS);
    assert_int_equal(s.fired, 1);
    int64_t exact = (t0 / NS_PER_MS + 10) * NS_PER_MS;
    aim(r, &s, exact);
    run_at(r, exact - 1);
    assert_int_equal(s.fired, 1);
    run_at(r, exact);
    assert_int_equal(s.fired, 2);
    aim(r, &s, exact + 1);
    run_at(r, exact + NS_PER_MS - 1);
    assert_int_equal(s.fired, 2);
    run_at(r, exact + NS_PER_MS);
    assert_int_equal(s.fired, 3);
    aim(r, &s, 5); // long past: the next run
    assert_int_equal(s.fired, 3);
    run_at(r, exact + NS_PER_MS);
    assert_int_equal(s.fired, 4);
}

// One timer a distance, from microseconds to centuries, each waited for alone in two ways: by what
// the wheel says comes next, and by one step to just before and one to after.
static void every_level(void **state)
{
    struct ring *r = *state;
    for (int bit = 0; bit < 61; bit++) {
        struct shot s = {0};
        aim(r, &s, r->now.ns + (INT64_C(1) << bit));
        int wakes = 0;
        while (s.fired == 0) {
            struct mono next = ring__timers_next(r);
            assert_true(next.ns != MONO_NEVER.ns);
            assert_false(mono_before(next, r->now));
            run_at(r, next.ns);
            assert_true(++wakes <= RING__WHEEL_LEVELS + 1);
        }
        assert_true(r->now.ns < s.wanted.ns + NS_PER_MS); // and not later than its tick
        assert_int_equal(ring__timers_next(r).ns, MONO_NEVER.ns);
        if (r->now.ns > INT64_MAX / 4)
            r->now.ns = 0, ring__timers_init(r);
    }
    struct shot never = {0};
    aim(r, &never, INT64_MAX);
    run_at(r, INT64_MAX / 2);
    assert_int_equal(never.fired, 0);
    ring_timer_clear(r, &never.timer);
    assert_int_equal(ring__timers_next(r).ns, MONO_NEVER.ns);
}

static int by_order(const void *a, const void *b)
{
    const struct shot *x = a, *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

// Thousands of timers set, moved and cleared at random; everything fires once, in its run, in the
// order of milliseconds.
static void random_storm(void **state)
{
    enum { N = 4000 };
    struct ring *r = *state;
    struct prng p;
    struct shot *s = calloc(N, sizeof(*s));
    assert_non_null(s);
    prng_seed(&p, 42);
    int64_t t0 = r->now.ns;
    for (int i = 0; i < N; i++)
        aim(r, &s[i], r->now.ns + (int64_t)prng_below(&p, UINT64_C(1) << prng_below(&p, 48)));
    for (int i = 0; i < N; i += 5)
        aim(r, &s[i], r->now.ns + (int64_t)prng_below(&p, UINT64_C(1) << prng_below(&p, 48)));
    for (int i = 3; i < N; i += 7) {
        ring_timer_clear(r, &s[i].timer);
        ring_timer_clear(r, &s[i].timer); // unset is fine
    }
    for (int step = 0; step < 3000; step++) {
        run_at(r, r->now.ns + (int64_t)prng_below(&p, UINT64_C(1) << prng_below(&p, 40)));
        for (int i = 0; i < N; i++) {
            bool cleared = i % 7 == 3;
            int64_t wanted = s[i].wanted.ns;
            bool due =
                wanted <= t0 || (wanted + NS_PER_MS - 1) / NS_PER_MS <= r->now.ns / NS_PER_MS;
            assert_int_equal(s[i].fired, due && !cleared);
        }
    }
    run_at(r, r->now.ns + (INT64_C(1) << 50));
    qsort(s, N, sizeof(*s), by_order);
    int64_t tick = 0;
    for (int i = 0; i < N; i++) {
        if (s[i].fired) {
            int64_t mine = (s[i].wanted.ns + NS_PER_MS - 1) / NS_PER_MS;
            assert_true(mine >= tick);
            tick = mine;
        }
    }
    assert_int_equal(ring__timers_next(r).ns, MONO_NEVER.ns);
    free(s);
}

static void callbacks_clear_and_set(void **state)
{
    struct ring *r = *state;
    int64_t at = r->now.ns + 5 * NS_PER_MS;
    struct shot a = {0}, b = {0}, c = {0};
    a.clears = &b.timer; // due in the same run
    a.sets = &a.timer;   // itself, at once
    aim(r, &a, at);
    aim(r, &b, at);
    aim(r, &c, at);
    run_at(r, at + NS_PER_MS);
    assert_int_equal(a.fired, 1); // set again, but not twice in one run
    assert_int_equal(b.fired, 0);
    assert_int_equal(c.fired, 1);
    assert_true(ring_timer_is_set(&a.timer));
    assert_int_equal(ring__timers_next(r).ns, 0); // work is due: do not wait
    a.sets = NULL;
    run_at(r, at + NS_PER_MS);
    assert_int_equal(a.fired, 2);
    assert_int_equal(ring__timers_next(r).ns, MONO_NEVER.ns);
}

static void real_time(void **state)
{
    struct ring *r = *state;
    struct shot s[3] = {0};
    int64_t t0 = clock_mono().ns;
    shots_fired = 0;
    aim(r, &s[0], t0 + 30 * NS_PER_MS);
    aim(r, &s[1], t0 + 3 * NS_PER_MS);
    aim(r, &s[2], t0 + 70 * NS_PER_MS);
    WAIT_FOR(r, s[2].fired);
    assert_int_equal(s[1].order, 0);
    assert_int_equal(s[0].order, 1);
    assert_int_equal(s[2].order, 2);
    assert_true(clock_mono().ns >= t0 + 70 * NS_PER_MS);
}

#define WHEEL_TEST(fn) cmocka_unit_test_setup_teardown(fn, wheel_set_up, wheel_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WHEEL_TEST(to_the_millisecond),      WHEEL_TEST(every_level), WHEEL_TEST(random_storm),
        WHEEL_TEST(callbacks_clear_and_set), RING_TEST(real_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
