// SPDX-License-Identifier: Apache-2.0
//
// fiber_test.c: what a park returns, and that nobody is lost or left behind.
#include "tests/unit/ring/fixture.h"

#include "base/err.h"
#include "ring/fiber.h"
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif

// ThreadSanitizer counts fibers as threads and has room for about 8,000.
#ifdef __SANITIZE_THREAD__
#define MANY 2000
#else
#define MANY 10000
#endif

struct actor {
    struct fiber *fiber;
    struct fiber *other;
    struct mono when;
    int result[8];
    unsigned n;
    bool begun;
    bool ended;
    struct fiber_wait wait;
};

static void note(struct actor *a, int result)
{
    assert_true(a->n < ARRAY_LEN(a->result));
    a->result[a->n++] = result;
}

static struct fiber_sched *sched_open(struct ring *r)
{
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    struct fiber_sched *s = NULL;
    assert_int_equal(fiber_sched_new(r, &options, &s), 0);
    return s;
}

static void spawn(struct fiber_sched *s, fiber_fn fn, struct actor *a)
{
    assert_int_equal(fiber_spawn(s, fn, a, &a->fiber), 0);
}

static void park_once(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    a->begun = true;
    note(a, fiber_park_await(self));
    a->ended = true;
}

static void park_and_wake(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    spawn(s, park_once, &a);
    assert_false(a.begun); // it begins in the deferred tasks
    assert_ptr_equal(fiber_ring(a.fiber), r);
    WAIT_FOR(r, a.begun);
    ring_turn(r, clock_mono());
    assert_false(a.ended);
    fiber_wake(a.fiber);
    fiber_wake(a.fiber); // one wake
    assert_false(a.ended);
    WAIT_FOR(r, a.ended);
    assert_int_equal(a.result[0], 0);
    assert_int_equal(fiber_live(s), 0);
    fiber_sched_free(s);
}

// ---- Trimming --------------------------------------------------------------------------------

struct diver {
    struct actor actor;
    char *deep; // an address at the depth it once reached
    unsigned sum;
};

static __attribute__((noinline)) void dive(struct diver *d)
{
    volatile char big[20000];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)i;
    d->deep = (char *)(uintptr_t)&big[100];
    d->sum += (unsigned char)big[77];
}

static void dive_and_park(struct fiber *self, void *arg)
{
    struct diver *d = arg;
    volatile unsigned kept = 4711;
    dive(d);
    park_once(self, &d->actor);
    d->sum += kept;
    dive(d);
}

static bool resident(char *at)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char in_core = 0;
    assert_int_equal(mincore((void *)((uintptr_t)at & ~(page - 1)), 1, &in_core), 0);
    return in_core & 1;
}

static void parked_stacks_are_trimmed_once(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct diver d[3] = {0};
    assert_false(fiber_sched_trimmable(s));
    for (int i = 0; i < 3; i++)
        assert_int_equal(fiber_spawn(s, dive_and_park, &d[i], &d[i].actor.fiber), 0);
    WAIT_FOR(r, d[2].actor.begun);
    assert_true(fiber_sched_trimmable(s));
    assert_true(resident(d[0].deep));
    assert_false(fiber_sched_trim(s, 100)); // none has lived through a period
    assert_true(resident(d[0].deep));
    assert_true(fiber_sched_trim(s, 2)); // in slices
    assert_false(fiber_sched_trim(s, 2));
#if !defined(__SANITIZE_ADDRESS__) // which may keep locals elsewhere
    assert_false(resident(d[0].deep));
    assert_false(resident(d[2].deep));
#endif
    assert_false(fiber_sched_trimmable(s));
    for (int i = 0; i < 3; i++)
        fiber_wake(d[i].actor.fiber);
    WAIT_FOR(r, fiber_live(s) == 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(d[i].sum, 4711 + 2 * 77);
    fiber_sched_free(s);
}

static void end_at_once(struct fiber *self, void *arg)
{
    (void)self;
    ((struct actor *)arg)->ended = true;
}

static void spawn_all(struct ring *r, struct fiber_sched *s, struct actor *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        spawn(s, end_at_once, &a[i]);
    WAIT_FOR(r, fiber_live(s) == 0);
}

// Free stacks: those that nobody wanted through a whole period go, the others stay.
static void free_stacks_keep_the_low_water_mark(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a[10] = {0};
    spawn_all(r, s, a, 10);
    assert_false(fiber_sched_trim(s, 100)); // the period begins
    spawn_all(r, s, a, 3);
    assert_true(fiber_sched_trim(s, 4)); // seven stood unused
    assert_false(fiber_sched_trim(s, 4));
    assert_true(fiber_sched_trimmable(s)); // three are kept
    assert_false(fiber_sched_trim(s, 100));
    assert_false(fiber_sched_trimmable(s));
    spawn_all(r, s, a, 10);
    fiber_sched_free(s);
}

static void park_twice(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    note(a, fiber_park_await(self));
    a->begun = true;
    note(a, fiber_park_await(self));
    a->ended = true;
}

static void early_wake_is_kept_once(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    spawn(s, park_twice, &a);
    fiber_wake(a.fiber); // before it has run at all
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.begun);
    ring_turn(r, clock_mono());
    assert_false(a.ended);
    assert_int_equal(a.n, 1);
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    fiber_sched_free(s);
}

static void park_thrice(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    for (int i = 0; i < 3; i++)
        note(a, fiber_park_await(self));
    note(a, fiber_interrupted(self));
    a->ended = true;
}

static void cancel_is_sticky(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    spawn(s, park_thrice, &a);
    ring_turn(r, clock_mono());
    fiber_cancel(a.fiber, ERR_CLIENT_GONE);
    fiber_cancel(a.fiber, ERR_CANCELLED); // the first reason stays
    WAIT_FOR(r, a.ended);
    for (int i = 0; i < 4; i++)
        assert_int_equal(a.result[i], ERR_CLIENT_GONE);
    // Before it has begun: the same.
    struct actor b = {0};
    spawn(s, park_thrice, &b);
    fiber_cancel(b.fiber, ERR_CANCELLED);
    WAIT_FOR(r, b.ended);
    assert_int_equal(b.result[0], ERR_CANCELLED);
    fiber_sched_free(s);
}

static void deadline_then_none(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    fiber_set_deadline(self, a->when);
    note(a, fiber_park_await(self));
    a->begun = true;
    assert_false(mono_before(ring_now(fiber_ring(self)), a->when));
    note(a, fiber_park_await(self)); // at once: it has passed
    fiber_set_deadline(self, MONO_NEVER);
    note(a, fiber_interrupted(self));
    note(a, fiber_park_await(self)); // until woken
    a->ended = true;
}

static void deadline_passes_and_is_cleared(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {.when = mono_add_ms(clock_mono(), 20)};
    spawn(s, deadline_then_none, &a);
    WAIT_FOR(r, a.begun);
    assert_int_equal(fiber_deadline(a.fiber).ns, MONO_NEVER.ns);
    ring_turn(r, clock_mono());
    assert_false(a.ended);
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    assert_int_equal(a.result[0], ERR_DEADLINE);
    assert_int_equal(a.result[1], ERR_DEADLINE);
    assert_int_equal(a.result[2], 0);
    assert_int_equal(a.result[3], 0);
    fiber_sched_free(s);
}

static void deadline_moves_while_parked(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0}, b = {0};
    spawn(s, park_once, &a);
    spawn(s, park_once, &b);
    ring_turn(r, clock_mono());
    fiber_set_deadline(b.fiber, mono_add_ms(clock_mono(), 3600 * 1000));
    fiber_set_deadline(a.fiber, mono_add_ms(clock_mono(), 3600 * 1000));
    fiber_set_deadline(a.fiber, mono_add_ms(clock_mono(), 5)); // earlier
    WAIT_FOR(r, a.ended);
    assert_int_equal(a.result[0], ERR_DEADLINE);
    assert_false(b.ended);
    fiber_wake(b.fiber);
    WAIT_FOR(r, b.ended);
    assert_int_equal(b.result[0], 0);
    fiber_sched_free(s);
}

struct mover {
    struct ring_timer timer;
    struct actor *actor;
    bool moved;
};

static void on_move(struct ring *r, struct ring_timer *t)
{
    struct mover *m = container_of(t, struct mover, timer);
    (void)r;
    m->moved = true;
    fiber_set_deadline(m->actor->fiber, MONO_NEVER);
}

// The deadline passes, and before the fiber comes to run somebody clears it: it parks on.
static void passed_deadline_is_cleared_in_time(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    struct mover m = {.actor = &a};
    struct mono when = mono_add_ms(clock_mono(), 5);
    spawn(s, park_once, &a);
    ring_turn(r, clock_mono());
    fiber_set_deadline(a.fiber, when);
    ring_timer_set(r, &m.timer, when, on_move); // fires after the fiber's own, in the same run
    WAIT_FOR(r, m.moved);
    ring_turn(r, clock_mono());
    assert_false(a.ended);
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    assert_int_equal(a.result[0], 0);
    fiber_sched_free(s);
}

static void shield_around_parks(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    struct ring *r = fiber_ring(self);
    note(a, fiber_park_await(self)); // cancelled
    fiber_shield(self, mono_add_ms(ring_now(r), 3600 * 1000));
    note(a, fiber_interrupted(self));
    a->begun = true;
    note(a, fiber_park_await(self)); // woken
    fiber_unshield(self);
    note(a, fiber_park_await(self)); // the reason again
    fiber_shield(self, mono_add_ms(ring_now(r), 5));
    note(a, fiber_park_await(self)); // the shield's own deadline
    fiber_unshield(self);
    a->ended = true;
}

static void shield_bounds_clean_up(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    spawn(s, shield_around_parks, &a);
    ring_turn(r, clock_mono());
    fiber_cancel(a.fiber, ERR_CANCELLED);
    WAIT_FOR(r, a.begun);
    fiber_cancel(a.fiber, ERR_CLIENT_GONE); // shielded and cancelled already: nothing
    fiber_set_deadline(a.fiber, clock_mono());
    ring_turn(r, clock_mono());
    assert_int_equal(a.n, 2);
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    static const int expected[] = {ERR_CANCELLED, 0, 0, ERR_CANCELLED, ERR_DEADLINE};
    assert_memory_equal(a.result, expected, sizeof(expected));
    fiber_sched_free(s);
}

static void join_other(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    note(a, fiber_join_await(self, a->other));
    a->ended = true;
}

static void join_waits_for_the_end(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0}, b = {0}, c = {0};
    spawn(s, park_once, &a);
    b.other = c.other = a.fiber;
    spawn(s, join_other, &b);
    spawn(s, join_other, &c);
    ring_turn(r, clock_mono());
    fiber_wake(b.fiber); // not the end it waits for
    ring_turn(r, clock_mono());
    assert_false(b.ended);
    fiber_cancel(c.fiber, ERR_CANCELLED);
    WAIT_FOR(r, c.ended);
    assert_int_equal(c.result[0], ERR_CANCELLED);
    fiber_wake(a.fiber);
    WAIT_FOR(r, b.ended);
    assert_true(a.ended);
    assert_int_equal(b.result[0], 0);
    fiber_sched_free(s);
}

static void sleep_until(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    a->begun = true;
    note(a, fiber_sleep_await(self, a->when));
    if (a->result[0] == 0)
        assert_false(mono_before(ring_now(fiber_ring(self)), a->when));
    note(a, fiber_park_await(self)); // the wake that came during the sleep
    a->ended = true;
}

static void sleep_keeps_foreign_wakes(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {.when = mono_add_ms(clock_mono(), 20)};
    spawn(s, sleep_until, &a);
    WAIT_FOR(r, a.begun);
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    assert_int_equal(a.result[0], 0);
    assert_int_equal(a.result[1], 0);
    struct actor b = {.when = mono_add_ms(clock_mono(), 3600 * 1000)};
    spawn(s, sleep_until, &b);
    WAIT_FOR(r, b.begun);
    fiber_cancel(b.fiber, ERR_CANCELLED);
    WAIT_FOR(r, b.ended);
    assert_int_equal(b.result[0], ERR_CANCELLED);
    fiber_sched_free(s);
}

static void wait_shielded(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    int result = -1;
    fiber_wait_begin(&a->wait);
    a->begun = true;
    note(a, fiber_wait_await(&a->wait, self, &result));
    note(a, result);
    note(a, fiber_wait_shielded_await(&a->wait, self));
    // Done before anybody waits, and the fiber is cancelled: the result is not thrown away.
    fiber_wait_begin(&a->wait);
    fiber_wait_done(&a->wait, 9);
    note(a, fiber_wait_await(&a->wait, self, &result));
    note(a, result);
    a->ended = true;
}

static void wait_delivers_a_result(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct actor a = {0};
    spawn(s, wait_shielded, &a);
    WAIT_FOR(r, a.begun);
    fiber_wake(a.fiber); // spurious
    ring_turn(r, clock_mono());
    assert_int_equal(a.n, 0);
    fiber_cancel(a.fiber, ERR_CANCELLED);
    ring_turn(r, clock_mono());
    assert_int_equal(a.n, 2);
    fiber_set_deadline(a.fiber, clock_mono());
    ring_turn(r, clock_mono());
    assert_int_equal(a.n, 2); // nothing but the result ends this wait
    fiber_wait_done(&a.wait, 42);
    WAIT_FOR(r, a.ended);
    static const int expected[] = {ERR_CANCELLED, -1, 42, 0, 9};
    assert_memory_equal(a.result, expected, sizeof(expected));
    fiber_sched_free(s);
}

static void count_and_park(struct fiber *self, void *arg)
{
    unsigned *count = arg;
    (*count)++;
    assert_int_equal(fiber_park_await(self), 0);
    (*count)--;
}

static void many_fibers(void **state)
{
    struct ring *r = *state;
    struct fiber_sched *s = sched_open(r);
    struct fiber **all = calloc(MANY, sizeof(*all));
    assert_non_null(all);
    for (int round = 0; round < 2; round++) { // the second from kept stacks
        unsigned count = 0;
        for (int i = 0; i < MANY; i++)
            assert_int_equal(fiber_spawn(s, count_and_park, &count, &all[i]), 0);
        WAIT_FOR(r, count == MANY);
        assert_int_equal(fiber_live(s), MANY);
        for (int i = 0; i < MANY; i++)
            fiber_wake(all[i]);
        WAIT_FOR(r, fiber_live(s) == 0);
        assert_int_equal(count, 0);
    }
    free(all);
    fiber_sched_free(s);
}

static void ceiling_refuses(void **state)
{
    struct ring *r = *state;
    struct fiber_options options = {.fibers_max = 2, .keep_max = 1};
    struct fiber_sched *s = NULL;
    struct actor a = {0}, b = {0}, c = {0};
    assert_int_equal(fiber_sched_new(r, &options, &s), 0);
    spawn(s, park_once, &a);
    spawn(s, park_once, &b);
    assert_int_equal(fiber_spawn(s, park_once, &c, &c.fiber), ERR_LIMIT);
    ring_turn(r, clock_mono());
    fiber_wake(a.fiber);
    WAIT_FOR(r, a.ended);
    spawn(s, park_once, &c);
    ring_turn(r, clock_mono());
    fiber_wake(b.fiber);
    fiber_wake(c.fiber);
    WAIT_FOR(r, b.ended && c.ended);
    fiber_sched_free(s);
}

#define GUARDED_BYTES ((size_t)512 * 1024)

// The kernel is asked to read each page downwards: it answers EFAULT where a store would be fatal.
static void find_guard(struct fiber *self, void *arg)
{
    struct actor *a = arg;
    long page = sysconf(_SC_PAGESIZE);
    const char *here = __builtin_frame_address(0);
    int fds[2];
    (void)self;
    assert_int_equal(pipe(fds), 0);
    for (size_t depth = 0; depth < 2 * GUARDED_BYTES && !a->n; depth += (size_t)page) {
        if (write(fds[1], here - depth, 1) < 0) {
            assert_int_equal(errno, EFAULT);
            note(a, (int)depth);
        }
        char c;
        assert_true(a->n || read(fds[0], &c, 1) == 1);
    }
    close(fds[0]);
    close(fds[1]);
    a->ended = true;
}

// The page below a stack is nobody's, although the next fiber's stack lies right under it.
static void stack_ends_in_a_guard(void **state)
{
    struct ring *r = *state;
    struct fiber_options options = {.fibers_max = 8, .stack_bytes = GUARDED_BYTES, .keep_max = 8};
    struct fiber_sched *s = NULL;
    struct actor a[8] = {0};
    assert_int_equal(fiber_sched_new(r, &options, &s), 0);
    for (int i = 0; i < 8; i++)
        spawn(s, find_guard, &a[i]);
    WAIT_FOR(r, fiber_live(s) == 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(a[i].n, 1);
        assert_in_range(a[i].result[0], GUARDED_BYTES / 2, GUARDED_BYTES + 4096);
    }
    fiber_sched_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(park_and_wake),
        RING_TEST(parked_stacks_are_trimmed_once),
        RING_TEST(free_stacks_keep_the_low_water_mark),
        RING_TEST(early_wake_is_kept_once),
        RING_TEST(cancel_is_sticky),
        RING_TEST(deadline_passes_and_is_cleared),
        RING_TEST(deadline_moves_while_parked),
        RING_TEST(passed_deadline_is_cleared_in_time),
        RING_TEST(shield_bounds_clean_up),
        RING_TEST(join_waits_for_the_end),
        RING_TEST(sleep_keeps_foreign_wakes),
        RING_TEST(wait_delivers_a_result),
        RING_TEST(many_fibers),
        RING_TEST(ceiling_refuses),
        RING_TEST(stack_ends_in_a_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
