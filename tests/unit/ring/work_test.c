// SPDX-License-Identifier: Apache-2.0
//
// work_test.c: jobs are done elsewhere while the loop turns, and what they use stays theirs.
#include "tests/unit/ring/fixture.h"

#include "base/err.h"
#include "ring/fiber.h"
#include "ring/work.h"
#include <pthread.h>
#include <semaphore.h>

struct bench {
    struct ring *ring;
    struct fiber_sched *sched;
    struct work_pool *pool;
};

struct task {
    struct bench *b;
    struct fiber *fiber;
    pthread_t by;
    sem_t begun, may_end;
    bool gated;
    bool ran;
    bool ended;
    int rc;
};

static void open_bench(struct bench *b, struct ring *ring, unsigned threads)
{
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    b->ring = ring;
    assert_int_equal(fiber_sched_new(ring, &options, &b->sched), 0);
    assert_int_equal(work_pool_new(threads, &b->pool), 0);
}

static void close_bench(struct bench *b)
{
    work_pool_leave(b->pool);
    work_pool_free(b->pool);
    fiber_sched_free(b->sched);
}

static void job(void *arg)
{
    struct task *t = arg;
    t->by = pthread_self();
    if (t->gated) {
        sem_post(&t->begun);
        sem_wait(&t->may_end);
    }
    t->ran = true;
}

static void task_fiber(struct fiber *self, void *arg)
{
    struct task *t = arg;
    t->rc = work_await(t->b->pool, self, job, t);
    t->ended = true;
}

static void start(struct task *t, struct bench *b, bool gated)
{
    memset(t, 0, sizeof(*t));
    t->b = b;
    t->gated = gated;
    sem_init(&t->begun, 0, 0);
    sem_init(&t->may_end, 0, 0);
    assert_int_equal(fiber_spawn(b->sched, task_fiber, t, &t->fiber), 0);
}

static void finish(struct task *t)
{
    sem_destroy(&t->begun);
    sem_destroy(&t->may_end);
}

static void a_job_is_done_by_another_thread(void **state)
{
    struct bench b;
    struct task t[20];
    open_bench(&b, *state, 2);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        start(&t[i], &b, false);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        WAIT_FOR(b.ring, t[i].ended);
        assert_int_equal(t[i].rc, 0);
        assert_true(t[i].ran);
        assert_false(pthread_equal(t[i].by, pthread_self()));
        finish(&t[i]);
    }
    WAIT_FOR(b.ring, fiber_live(b.sched) == 0);
    close_bench(&b);
}

static void the_loop_turns_meanwhile(void **state)
{
    struct bench b;
    struct task slow, quick;
    open_bench(&b, *state, 1);
    start(&slow, &b, true);
    ring_turn(b.ring, clock_mono());
    sem_wait(&slow.begun);
    assert_false(slow.ended);
    for (unsigned i = 0; i < 3; i++)
        ring_turn(b.ring, clock_mono()); // nothing holds it
    start(&quick, &b, false);
    ring_turn(b.ring, clock_mono());
    assert_false(quick.ran); // the only thread is busy
    sem_post(&slow.may_end);
    WAIT_FOR(b.ring, slow.ended && quick.ended);
    assert_true(slow.ran && quick.ran);
    finish(&slow);
    finish(&quick);
    WAIT_FOR(b.ring, fiber_live(b.sched) == 0);
    close_bench(&b);
}

// The worker works in the fiber's memory: the fiber stays until it has let go.
static void a_cancelled_fiber_waits_for_a_job_that_runs(void **state)
{
    struct bench b;
    struct task t;
    open_bench(&b, *state, 1);
    start(&t, &b, true);
    ring_turn(b.ring, clock_mono());
    sem_wait(&t.begun);
    fiber_cancel(t.fiber, ERR_CLIENT_GONE);
    for (unsigned i = 0; i < 3; i++)
        ring_turn(b.ring, clock_mono());
    assert_false(t.ended);
    sem_post(&t.may_end);
    WAIT_FOR(b.ring, t.ended);
    assert_true(t.ran);
    assert_int_equal(t.rc, ERR_CLIENT_GONE);
    finish(&t);
    WAIT_FOR(b.ring, fiber_live(b.sched) == 0);
    close_bench(&b);
}

static void a_job_nobody_has_begun_is_taken_back(void **state)
{
    struct bench b;
    struct task slow, waiting;
    open_bench(&b, *state, 1);
    start(&slow, &b, true);
    ring_turn(b.ring, clock_mono());
    sem_wait(&slow.begun);
    start(&waiting, &b, false);
    ring_turn(b.ring, clock_mono());
    fiber_cancel(waiting.fiber, ERR_CANCELLED);
    WAIT_FOR(b.ring, waiting.ended); // while the thread is still busy
    assert_int_equal(waiting.rc, ERR_CANCELLED);
    assert_false(waiting.ran);
    sem_post(&slow.may_end);
    WAIT_FOR(b.ring, slow.ended);
    assert_false(waiting.ran);
    finish(&slow);
    finish(&waiting);
    WAIT_FOR(b.ring, fiber_live(b.sched) == 0);
    close_bench(&b);
}

static void without_threads_it_is_done_here(void **state)
{
    struct bench b;
    struct task t;
    open_bench(&b, *state, 0);
    start(&t, &b, false);
    WAIT_FOR(b.ring, t.ended);
    assert_int_equal(t.rc, 0);
    assert_true(pthread_equal(t.by, pthread_self()));
    finish(&t);
    WAIT_FOR(b.ring, fiber_live(b.sched) == 0);
    close_bench(&b);
    work_pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RING_TEST(a_job_is_done_by_another_thread),
        RING_TEST(the_loop_turns_meanwhile),
        RING_TEST(a_cancelled_fiber_waits_for_a_job_that_runs),
        RING_TEST(a_job_nobody_has_begun_is_taken_back),
        RING_TEST(without_threads_it_is_done_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
