// SPDX-License-Identifier: Apache-2.0
//
// work_sim.c: ring/work.h without threads. A job begins at one random time and ends at a later one;
// in between it is the worker's. Linked instead of ring/work.c.
#include "ring/work.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "ring/fiber.h"
#include "tests/sim/sim.h"

struct work_pool {
    unsigned jobs;
};

// On the stack of the fiber that waits.
struct job {
    void (*fn)(void *arg);
    void *arg;
    struct work_pool *pool;
    struct ring *ring;
    struct ring_mail mail;
    struct fiber_wait wait;
    struct sim_event *event;
    bool begun;
};

int work_pool_new(unsigned threads, struct work_pool **ret_pool)
{
    (void)threads;
    *ret_pool = sim_alloc(sizeof(**ret_pool));
    return 0;
}

// Jobs are done by the simulator's own turns: nothing is made.
int work_pool_start(struct work_pool *p)
{
    (void)p;
    return 0;
}

void work_pool_free(struct work_pool *p)
{
    ASSERT(!p || p->jobs == 0);
    sim_free(p);
}

void work_pool_leave(struct work_pool *p)
{
    (void)p;
}

static void on_done(struct ring *ring, struct ring_mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    ASSERT(ring == job->ring);
    fiber_wait_done(&job->wait, 0);
}

static void end(void *arg)
{
    struct job *job = arg;
    bool before = sim.in_gateway;
    job->event = NULL;
    sim.in_gateway = true;
    job->fn(job->arg);
    sim.in_gateway = before;
    job->pool->jobs--;
    ring_mail_send(NULL, job->ring, &job->mail, on_done);
}

static void begin(void *arg)
{
    struct job *job = arg;
    job->begun = true;
    job->event = sim_after((int64_t)sim_below(20 * (uint64_t)NS_PER_MS), end, job);
}

int work_await(struct work_pool *p, struct fiber *self, void (*fn)(void *arg), void *arg)
{
    struct job job = {.fn = fn, .arg = arg, .pool = p, .ring = fiber_ring(self)};
    int ignored;
    int rc = fiber_interrupted(self);
    if (rc)
        return rc;
    fiber_wait_begin(&job.wait);
    p->jobs++;
    job.event = sim_after((int64_t)sim_below(5 * (uint64_t)NS_PER_MS), begin, &job);
    rc = fiber_wait_await(&job.wait, self, &ignored);
    if (rc && !job.begun) {
        sim_drop(&job.event);
        p->jobs--;
    } else if (rc) {
        (void)fiber_wait_shielded_await(&job.wait, self);
    }
    return rc;
}
