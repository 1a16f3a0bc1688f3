// SPDX-License-Identifier: Apache-2.0
//
// limiter_test.c: never more than the limit, first come first served, and no slot is ever lost.
#include "tests/unit/ring/fixture.h"

#include "base/err.h"
#include "gateway/limiter.h"
#include "ring/fiber.h"
#include <pthread.h>

#define THREADS 4
#define FIBERS  200
#define ROUNDS  20
#define SLOTS   3

// ---- On one core -----------------------------------------------------------------------------

struct guest {
    struct limiter *limiter;
    struct fiber *fiber;
    unsigned *arrivals; // counts entries of all guests
    unsigned place;     // in the order of entry, from 1
    int rc;
    bool drop;
    bool ended;
    struct fiber_wait may_leave;
};

static void visit(struct fiber *self, void *arg)
{
    struct guest *g = arg;
    g->rc = limiter_enter_await(g->limiter, self, g->drop);
    if (g->rc == 0) {
        g->place = ++*g->arrivals;
        fiber_wait_shielded_await(&g->may_leave, self);
        limiter_leave(g->limiter, self);
    }
    g->ended = true;
}

struct house {
    struct ring *ring;
    struct fiber_sched *sched;
    struct limiters *all;
    struct limiter *limiter;
    unsigned arrivals;
};

static void house_open(struct house *h, struct ring *ring, unsigned slots, unsigned buffer)
{
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    *h = (struct house){.ring = ring};
    assert_int_equal(fiber_sched_new(ring, &options, &h->sched), 0);
    assert_int_equal(limiters_new(&h->all), 0);
    h->limiter = limiters_get(h->all, SLICE("openai"), slots, buffer);
    assert_non_null(h->limiter);
}

static void house_close(struct house *h)
{
    assert_int_equal(limiter_running(h->limiter), 0);
    assert_int_equal(limiter_waiting(h->limiter), 0);
    WAIT_FOR(h->ring, fiber_live(h->sched) == 0);
    fiber_sched_free(h->sched);
    limiters_free(h->all);
}

static void come(struct house *h, struct guest *g, bool drop)
{
    *g = (struct guest){.limiter = h->limiter, .arrivals = &h->arrivals, .drop = drop, .rc = 1};
    assert_int_equal(fiber_spawn(h->sched, visit, g, &g->fiber), 0);
    ring_turn(h->ring, clock_mono());
}

static void go(struct house *h, struct guest *g)
{
    fiber_wait_done(&g->may_leave, 0);
    WAIT_FOR(h->ring, g->ended);
}

static void waiters_enter_in_arrival_order(void **state)
{
    struct house h;
    struct guest g[6];
    house_open(&h, *state, 2, 100);
    for (unsigned i = 0; i < 6; i++)
        come(&h, &g[i], true);
    assert_int_equal(limiter_running(h.limiter), 2);
    assert_int_equal(limiter_waiting(h.limiter), 4);
    for (unsigned i = 0; i < 6; i++) {
        WAIT_FOR(h.ring, g[i].rc == 0);
        assert_int_equal(g[i].place, i + 1);
        go(&h, &g[i]);
    }
    house_close(&h);
}

static void full_queue_refuses_only_who_may_be_dropped(void **state)
{
    struct house h;
    struct guest holder, queued, dropped, patient;
    house_open(&h, *state, 1, 1);
    come(&h, &holder, true);
    come(&h, &queued, true);
    come(&h, &dropped, true);
    assert_true(dropped.ended);
    assert_int_equal(dropped.rc, ERR_QUEUE_FULL);
    come(&h, &patient, false);
    assert_int_equal(limiter_waiting(h.limiter), 2);
    go(&h, &holder);
    go(&h, &queued);
    go(&h, &patient);
    assert_int_equal(patient.place, 3);
    house_close(&h);
}

static void cancelled_waiter_leaves_the_queue(void **state)
{
    struct house h;
    struct guest holder, gone, next;
    house_open(&h, *state, 1, 10);
    come(&h, &holder, true);
    come(&h, &gone, true);
    come(&h, &next, true);
    fiber_cancel(gone.fiber, ERR_CLIENT_GONE);
    WAIT_FOR(h.ring, gone.ended);
    assert_int_equal(gone.rc, ERR_CLIENT_GONE);
    assert_int_equal(limiter_waiting(h.limiter), 1);
    go(&h, &holder);
    go(&h, &next);
    assert_int_equal(next.place, 2);
    house_close(&h);
}

// The leaver grants and the client leaves in the same turn: the waiter has the slot when it wakes.
static void waiter_cancelled_after_its_grant_loses_no_slot(void **state)
{
    struct house h;
    struct guest holder, both, next;
    house_open(&h, *state, 1, 10);
    come(&h, &holder, true);
    come(&h, &both, true);
    come(&h, &next, true);
    fiber_wait_done(&holder.may_leave, 0);
    fiber_cancel(both.fiber, ERR_CLIENT_GONE);
    WAIT_FOR(h.ring, holder.ended);
    if (both.rc == 0)
        go(&h, &both);
    WAIT_FOR(h.ring, next.rc == 0);
    go(&h, &next);
    assert_true(both.ended);
    house_close(&h);
}

struct other_core {
    struct ring_task task; // runs on the waiter's core, before the waiter
    struct ring *ring;
    struct guest *holder;
};

static void leave_meanwhile(struct ring *ring, struct ring_task *task)
{
    struct other_core *o = container_of(task, struct other_core, task);
    (void)ring;
    fiber_wait_done(&o->holder->may_leave, 0);
    WAIT_FOR(o->ring, o->holder->ended);
}

// The holder leaves on another core between the waiter's cancellation and its waking: the slot is
// granted by a mail that is still under way when the waiter gives up.
static void slot_granted_to_a_leaving_waiter_comes_back(void **state)
{
    struct house h;
    struct guest holder = {0}, gone, next;
    struct other_core other = {.holder = &holder, .ring = ring_open(false, 64, 0)};
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    struct fiber_sched *sched = NULL;
    house_open(&h, *state, 1, 10);
    assert_int_equal(fiber_sched_new(other.ring, &options, &sched), 0);
    holder = (struct guest){.limiter = h.limiter, .arrivals = &h.arrivals, .rc = 1};
    assert_int_equal(fiber_spawn(sched, visit, &holder, &holder.fiber), 0);
    WAIT_FOR(other.ring, holder.rc == 0);
    come(&h, &gone, true);
    ring_defer(h.ring, &other.task, leave_meanwhile);
    fiber_cancel(gone.fiber, ERR_CLIENT_GONE);
    WAIT_FOR(h.ring, gone.ended);
    assert_int_equal(gone.rc, ERR_CLIENT_GONE);
    come(&h, &next, true);
    assert_int_equal(next.rc, 0);
    go(&h, &next);
    ring_turn(other.ring, clock_mono());
    fiber_sched_free(sched);
    house_close(&h);
    ring_free(other.ring);
}

static void cancelled_fiber_does_not_enter(void **state)
{
    struct house h;
    struct guest g = {.rc = 1};
    house_open(&h, *state, 1, 10);
    g = (struct guest){.limiter = h.limiter, .arrivals = &h.arrivals, .rc = 1};
    assert_int_equal(fiber_spawn(h.sched, visit, &g, &g.fiber), 0);
    fiber_cancel(g.fiber, ERR_CLIENT_GONE);
    WAIT_FOR(h.ring, g.ended);
    assert_int_equal(g.rc, ERR_CLIENT_GONE);
    house_close(&h);
}

static void reload_opens_and_closes_slots(void **state)
{
    struct house h;
    struct guest g[4];
    house_open(&h, *state, 1, 10);
    for (unsigned i = 0; i < 4; i++)
        come(&h, &g[i], true);
    assert_int_equal(limiter_waiting(h.limiter), 3);
    assert_ptr_equal(limiters_get(h.all, SLICE("openai"), 3, 10), h.limiter);
    WAIT_FOR(h.ring, g[2].rc == 0);
    assert_int_equal(limiter_running(h.limiter), 3);
    assert_int_equal(limiter_waiting(h.limiter), 1);
    limiters_get(h.all, SLICE("openai"), 1, 10);
    go(&h, &g[0]); // lapses: three run, one may
    go(&h, &g[1]);
    assert_int_equal(limiter_running(h.limiter), 1);
    assert_int_equal(g[3].rc, 1);
    go(&h, &g[2]); // now handed over
    WAIT_FOR(h.ring, g[3].rc == 0);
    go(&h, &g[3]);
    house_close(&h);
}

static void limiters_are_found_by_name(void **state)
{
    (void)state;
    struct limiters *all;
    assert_int_equal(limiters_new(&all), 0);
    struct limiter *a = limiters_get(all, SLICE("openai"), 1, 1);
    struct limiter *b = limiters_get(all, SLICE("groq"), 1, 1);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(limiters_get(all, SLICE("openai"), 5, 5), a);
    limiters_free(all);
}

// ---- Across cores ----------------------------------------------------------------------------

struct shared {
    struct limiter *limiter;
    _Atomic unsigned inside;
    _Atomic unsigned most;
    _Atomic unsigned served;
    _Atomic unsigned cancelled;
    _Atomic unsigned refused;
    _Atomic unsigned finished; // threads
};

struct worker {
    struct shared *shared;
    unsigned seed;
    struct fiber *fiber[FIBERS];
    unsigned ended;
    pthread_t thread;
};

static void enter_shared(struct shared *s)
{
    unsigned inside = atomic_fetch_add(&s->inside, 1) + 1;
    unsigned most = atomic_load(&s->most);
    while (inside > most && !atomic_compare_exchange_weak(&s->most, &most, inside))
        ;
}

static void hammer(struct fiber *self, void *arg)
{
    struct worker *w = arg;
    struct shared *s = w->shared;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int rc = limiter_enter_await(s->limiter, self, (i & 1) != 0);
        if (rc == ERR_QUEUE_FULL) {
            atomic_fetch_add(&s->refused, 1);
            continue;
        }
        if (rc < 0) {
            atomic_fetch_add(&s->cancelled, 1);
            break;
        }
        enter_shared(s);
        if (i % 4 == 0)
            (void)fiber_sleep_await(self, mono_add_ms(ring_now(fiber_ring(self)), 1));
        atomic_fetch_sub(&s->inside, 1);
        limiter_leave(s->limiter, self);
        atomic_fetch_add(&s->served, 1);
    }
    w->ended++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    struct fiber_sched *sched = NULL;
    struct ring *ring = ring_open(w->seed % 2 == 1, 64, 0);
    if (fiber_sched_new(ring, &options, &sched) < 0)
        abort();
    for (unsigned i = 0; i < FIBERS; i++) {
        if (fiber_spawn(sched, hammer, w, &w->fiber[i]) < 0)
            abort();
    }
    // One in eight is cancelled while it waits, or when it has just been granted its slot.
    for (unsigned i = 0; w->ended < FIBERS; i++) {
        ring_turn(ring, mono_add_ms(clock_mono(), 1));
        if (w->ended == 0 && i < FIBERS / 8)
            fiber_cancel(w->fiber[i * 8], ERR_CLIENT_GONE);
    }
    ring_turn(ring, clock_mono());
    // A wake that this ring posted must leave before it goes.
    atomic_fetch_add(&w->shared->finished, 1);
    while (atomic_load(&w->shared->finished) < THREADS)
        ring_turn(ring, mono_add_ms(clock_mono(), 1));
    fiber_sched_free(sched);
    ring_free(ring);
    return NULL;
}

static void four_cores_never_exceed_the_limit(void **state)
{
    (void)state;
    struct limiters *all;
    struct shared shared = {0};
    struct worker *w = calloc(THREADS, sizeof(*w));
    assert_non_null(w);
    assert_int_equal(limiters_new(&all), 0);
    shared.limiter = limiters_get(all, SLICE("openai"), SLOTS, 300);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i].shared = &shared;
        w[i].seed = i;
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    assert_true(atomic_load(&shared.most) <= SLOTS);
    assert_true(atomic_load(&shared.most) > 1);
    assert_true(atomic_load(&shared.cancelled) > 0);
    assert_true(atomic_load(&shared.refused) > 0);
    assert_true(atomic_load(&shared.served) > FIBERS);
    assert_int_equal(limiter_running(shared.limiter), 0);
    assert_int_equal(limiter_waiting(shared.limiter), 0);
    limiters_free(all);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(waiters_enter_in_arrival_order),
        RING_TEST(full_queue_refuses_only_who_may_be_dropped),
        RING_TEST(cancelled_waiter_leaves_the_queue),
        RING_TEST(waiter_cancelled_after_its_grant_loses_no_slot),
        RING_TEST(slot_granted_to_a_leaving_waiter_comes_back),
        RING_TEST(cancelled_fiber_does_not_enter),
        RING_TEST(reload_opens_and_closes_slots),
        cmocka_unit_test(limiters_are_found_by_name),
        cmocka_unit_test(four_cores_never_exceed_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
