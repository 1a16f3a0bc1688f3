// SPDX-License-Identifier: Apache-2.0
//
// limiter.c: slots in one word, waiters behind a mutex.
//
// `state` packs the two figures that decide: running in the low half, waiting in the high half. Who
// finds nobody waiting and a slot free takes it with one compare-and-swap; who leaves while nobody
// waits gives it back the same way. Because both look at the whole word, a leaver can never miss a
// waiter and a newcomer can never overtake one.
//
//     63            32 31             0
//    +----------------+----------------+
//    |    waiting     |    running     |     waiting == length of `waiters`, under the mutex
//    +----------------+----------------+
//
// A waiter is a struct on its fiber's stack. It is queued and taken off only under the mutex, so
// whoever takes it off decides how it ends:
//
//              limiter_enter_await                leaver, or a reload that added slots
//   ┌──────┐ ────────────────────► ┌────────┐ ──────────────────────► ┌─────────┐
//   │ NONE │                       │ QUEUED │                         │ GRANTED │ the slot is its
//   own └──────┘                       └────────┘                         └─────────┘
//       ▲                              │ interrupted, still queued        │ the wake or mail
//       arrives └──────────────────────────────┘                                  ▼
//                                                              returns 0, or was interrupted
//                                                              meanwhile: leaves at once
//
// A granted waiter stays on its stack until the wake has come: a mail that is under way points at
// it.
//
// The slot is handed over without ever being free, so arrival order holds across cores. When a
// reload lowered the limit, leavers let slots lapse until the number fits.
#include "gateway/limiter.h"

#include "base/assert.h"
#include "base/err.h"
#include "base/list.h"
#include "ring/fiber.h"
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>

#define RUNNING_ONE UINT64_C(1)
#define WAITING_ONE (UINT64_C(1) << 32)
#define CACHE_LINE  64

struct limiter {
    alignas(CACHE_LINE) _Atomic uint64_t state;
    _Atomic unsigned concurrency;
    _Atomic unsigned buffer_size;
    alignas(CACHE_LINE) pthread_mutex_t mutex; // guards `waiters` and moves of `waiting`
    struct list waiters;
    struct list link; // of limiters.all
    struct slice name;
};

struct limiters {
    pthread_mutex_t mutex; // guards `all`; taken when a snapshot is built, never by a request
    struct list all;
};

// One fiber in the queue; lives on its stack.
struct waiter {
    struct list link;
    struct ring *ring; // of its core
    struct ring_mail mail;
    struct fiber_wait wait;
};

static unsigned running_of(uint64_t state)
{
    return (unsigned)(state & UINT32_MAX);
}

static unsigned waiting_of(uint64_t state)
{
    return (unsigned)(state >> 32);
}

// ---- The registry ----------------------------------------------------------------------------

int limiters_new(struct limiters **ret)
{
    struct limiters *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&l->mutex, NULL);
    list_init(&l->all);
    *ret = l;
    return 0;
}

void limiters_free(struct limiters *l)
{
    if (l == NULL)
        return;
    struct list *link;
    while ((link = list_pop_front(&l->all)) != NULL) {
        struct limiter *each = container_of(link, struct limiter, link);
        ASSERT(atomic_load(&each->state) == 0);
        pthread_mutex_destroy(&each->mutex);
        free(each);
    }
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

static struct limiter *find(struct limiters *l, struct slice name)
{
    for (struct list *at = l->all.next; at != &l->all; at = at->next) {
        struct limiter *each = container_of(at, struct limiter, link);
        if (slice_eq(each->name, name))
            return each;
    }
    return NULL;
}

static struct limiter *make(struct slice name)
{
    size_t bytes = sizeof(struct limiter) + name.len;
    bytes = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct limiter *l = aligned_alloc(CACHE_LINE, bytes);
    if (l == NULL)
        return NULL;
    memset(l, 0, bytes);
    pthread_mutex_init(&l->mutex, NULL);
    list_init(&l->waiters);
    list_init(&l->link);
    char *text = (char *)(l + 1);
    if (name.len > 0)
        memcpy(text, name.ptr, name.len);
    l->name = slice_of(text, name.len);
    return l;
}

// ---- Granting --------------------------------------------------------------------------------

static void deliver(struct ring *ring, struct ring_mail *mail)
{
    struct waiter *w = container_of(mail, struct waiter, mail);
    ASSERT(w->ring == ring);
    fiber_wait_done(&w->wait, 0);
}

// `w` is off the queue and owns a slot. `from` is the calling thread's ring, or NULL.
static void grant(struct ring *from, struct waiter *w)
{
    if (from == w->ring)
        fiber_wait_done(&w->wait, 0);
    else
        ring_mail_send(from, w->ring, &w->mail, deliver);
}

// The first waiter off the queue, or NULL when there is none. Mutex held.
static struct waiter *dequeue(struct limiter *l)
{
    struct list *link = list_pop_front(&l->waiters);
    return link == NULL ? NULL : container_of(link, struct waiter, link);
}

// Slots that a higher limit opened go to those who wait. Any thread.
static void fill(struct limiter *l)
{
    for (;;) {
        pthread_mutex_lock(&l->mutex);
        uint64_t state = atomic_load(&l->state);
        struct waiter *w = NULL;
        if (running_of(state) < atomic_load(&l->concurrency))
            w = dequeue(l);
        // Leavers change the word only while nobody waits, so it stands still here.
        if (w != NULL)
            atomic_fetch_add(&l->state, RUNNING_ONE - WAITING_ONE);
        pthread_mutex_unlock(&l->mutex);
        if (w == NULL)
            return;
        grant(NULL, w);
    }
}

struct limiter *limiters_get(struct limiters *l, struct slice name, unsigned concurrency,
                             unsigned buffer_size)
{
    pthread_mutex_lock(&l->mutex);
    struct limiter *found = find(l, name);
    if (found == NULL) {
        found = make(name);
        if (found != NULL)
            list_push_back(&l->all, &found->link);
    }
    pthread_mutex_unlock(&l->mutex);
    if (found == NULL)
        return NULL;
    // A limit of zero would let nobody in and nobody be woken.
    atomic_store(&found->concurrency, concurrency > 0 ? concurrency : 1);
    atomic_store(&found->buffer_size, buffer_size);
    fill(found);
    return found;
}

// ---- Entering and leaving --------------------------------------------------------------------

static bool try_take(struct limiter *l)
{
    uint64_t state = atomic_load(&l->state);
    while (waiting_of(state) == 0 && running_of(state) < atomic_load(&l->concurrency)) {
        if (atomic_compare_exchange_weak(&l->state, &state, state + RUNNING_ONE))
            return true;
    }
    return false;
}

// Takes a slot after all (true), or queues `w` (false with *ret_err 0), or refuses it (false with
// ERR_QUEUE_FULL).
static bool take_or_queue(struct limiter *l, struct waiter *w, bool drop_excess, int *ret_err)
{
    bool taken = false;
    int err = 0;
    pthread_mutex_lock(&l->mutex);
    uint64_t state = atomic_load(&l->state);
    for (;;) {
        if (waiting_of(state) == 0 && running_of(state) < atomic_load(&l->concurrency)) {
            taken = atomic_compare_exchange_weak(&l->state, &state, state + RUNNING_ONE);
            if (taken)
                break;
        } else if (drop_excess && waiting_of(state) >= atomic_load(&l->buffer_size)) {
            err = ERR_QUEUE_FULL;
            break;
        } else if (atomic_compare_exchange_weak(&l->state, &state, state + WAITING_ONE)) {
            list_push_back(&l->waiters, &w->link);
            break;
        }
    }
    pthread_mutex_unlock(&l->mutex);
    *ret_err = err;
    return taken;
}

// True when `w` was still queued and is not any more; false when it has been granted a slot.
static bool withdraw(struct limiter *l, struct waiter *w)
{
    pthread_mutex_lock(&l->mutex);
    bool queued = list_linked(&w->link);
    if (queued) {
        list_remove(&w->link);
        atomic_fetch_sub(&l->state, WAITING_ONE);
    }
    pthread_mutex_unlock(&l->mutex);
    return queued;
}

int limiter_enter_await(struct limiter *l, struct fiber *self, bool drop_excess)
{
    int rc = fiber_interrupted(self);
    if (rc < 0)
        return rc;
    if (try_take(l))
        return 0;
    struct waiter w = {.ring = fiber_ring(self)};
    list_init(&w.link);
    fiber_wait_begin(&w.wait);
    if (take_or_queue(l, &w, drop_excess, &rc))
        return 0;
    if (rc < 0)
        return rc;
    int granted = 0;
    rc = fiber_wait_await(&w.wait, self, &granted);
    if (rc == 0)
        return 0;
    if (!withdraw(l, &w)) {
        // The slot is ours and the news of it is under way to this stack.
        fiber_wait_shielded_await(&w.wait, self);
        limiter_leave(l, self);
    }
    return rc;
}

void limiter_leave(struct limiter *l, struct fiber *self)
{
    uint64_t state = atomic_load(&l->state);
    ASSERT(running_of(state) > 0);
    while (waiting_of(state) == 0) {
        if (atomic_compare_exchange_weak(&l->state, &state, state - RUNNING_ONE))
            return;
    }
    pthread_mutex_lock(&l->mutex);
    struct waiter *w = NULL;
    if (running_of(atomic_load(&l->state)) <= atomic_load(&l->concurrency))
        w = dequeue(l);
    // Handed over, running stays as it is; otherwise the slot lapses.
    atomic_fetch_sub(&l->state, w != NULL ? WAITING_ONE : RUNNING_ONE);
    pthread_mutex_unlock(&l->mutex);
    if (w != NULL)
        grant(fiber_ring(self), w);
}

unsigned limiter_running(const struct limiter *l)
{
    return running_of(atomic_load(&l->state));
}

unsigned limiter_waiting(const struct limiter *l)
{
    return waiting_of(atomic_load(&l->state));
}
