// SPDX-License-Identifier: Apache-2.0
//
// work.c: the queue, the threads, and the mail that ends a job. The gateway translates large bodies
// here (gateway/translate.c).
//
// A worker mails while it holds the pool's mutex. The fiber may run, end, and its ring be freed
// while the call that woke it has not returned yet; whoever frees the ring takes the mutex once
// before (work_pool_leave) and so knows that the call is over.

#include "ring/work.h"

#include "base/assert.h"
#include "base/container.h"
#include "base/err.h"
#include "base/list.h"
#include "ring/fiber.h"
#include "ring/ring.h"
#include <pthread.h>
#include <stdlib.h>

// Lives on the stack of the fiber that waits.
struct job {
    struct list link; // in the queue
    void (*fn)(void *arg);
    void *arg;
    struct ring *ring;
    struct ring_mail mail;
    struct fiber_wait wait;
    bool begun;
};

struct work_pool {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list queue;
    pthread_t thread[WORK_THREADS_MAX];
    unsigned wanted;
    unsigned made;
    bool stop;
};

// ---- The worker ------------------------------------------------------------------------------

static void on_done(struct ring *ring, struct ring_mail *mail)
{
    struct job *job = container_of(mail, struct job, mail);
    ASSERT(ring == job->ring);
    fiber_wait_done(&job->wait, 0);
}

static void *work_main(void *pool)
{
    struct work_pool *p = pool;

    pthread_setname_np(pthread_self(), "work");
    pthread_mutex_lock(&p->mutex);
    while (!p->stop) {
        if (list_empty(&p->queue)) {
            pthread_cond_wait(&p->changed, &p->mutex);
            continue;
        }
        struct job *job = container_of(p->queue.next, struct job, link);
        list_remove(&job->link);
        job->begun = true;
        pthread_mutex_unlock(&p->mutex);
        job->fn(job->arg);
        pthread_mutex_lock(&p->mutex);
        ring_mail_send(NULL, job->ring, &job->mail, on_done);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

// The mutex is held. Threads that cannot be made are made do without.
static void make_threads(struct work_pool *p)
{
    pthread_attr_t attr;

    if (p->made > 0 || pthread_attr_init(&attr) != 0)
        return;
    (void)pthread_attr_setstacksize(&attr, WORK_STACK_BYTES);
    while (p->made < p->wanted && pthread_create(&p->thread[p->made], &attr, work_main, p) == 0)
        p->made++;
    pthread_attr_destroy(&attr);
}

// ---- The pool --------------------------------------------------------------------------------

int work_pool_new(unsigned threads, struct work_pool **ret_pool)
{
    ASSERT(threads <= WORK_THREADS_MAX);
    struct work_pool *p = calloc(1, sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->changed, NULL);
    list_init(&p->queue);
    p->wanted = threads;
    *ret_pool = p;
    return 0;
}

int work_pool_start(struct work_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    make_threads(p);
    bool made = p->made > 0;
    pthread_mutex_unlock(&p->mutex);
    return made ? 0 : ERR_NOMEM;
}

void work_pool_free(struct work_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    ASSERT(list_empty(&p->queue));
    p->stop = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->made; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void work_pool_leave(struct work_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

// ---- The fiber -------------------------------------------------------------------------------

// False: there is nobody to do it.
static bool submit(struct work_pool *p, struct job *job)
{
    pthread_mutex_lock(&p->mutex);
    make_threads(p);
    bool taken = p->made > 0;
    if (taken) {
        list_push_back(&p->queue, &job->link);
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->mutex);
    return taken;
}

// True: no worker will see it.
static bool take_back(struct work_pool *p, struct job *job)
{
    pthread_mutex_lock(&p->mutex);
    bool waits = !job->begun;
    if (waits)
        list_remove(&job->link);
    pthread_mutex_unlock(&p->mutex);
    return waits;
}

int work_await(struct work_pool *p, struct fiber *self, void (*fn)(void *arg), void *arg)
{
    struct job job = {.fn = fn, .arg = arg, .ring = fiber_ring(self)};
    int ignored;

    int rc = fiber_interrupted(self);
    if (rc)
        return rc;
    fiber_wait_begin(&job.wait);
    if (!p || !submit(p, &job)) {
        fn(arg);
        return 0;
    }
    rc = fiber_wait_await(&job.wait, self, &ignored);
    if (rc && !take_back(p, &job))
        (void)fiber_wait_shielded_await(&job.wait, self);
    return rc;
}
