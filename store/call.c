// SPDX-License-Identifier: Apache-2.0
//
// call.c: from a fiber to a worker and back; health, which needs neither.
#include "base/assert.h"
#include "base/err.h"
#include "store/store_internal.h"

static bool enter(struct store *s)
{
    if (!store_is_ready(s))
        return false;
    if (atomic_fetch_add(&s->calls, 1) < STORE_CALLS_MAX)
        return true;
    atomic_fetch_sub(&s->calls, 1);
    return false;
}

int store__call_await(struct store *s, struct fiber *self, void (*fn)(void *arg), void *arg)
{
    if (!enter(s))
        return ERR_LIMIT;
    int rc = work_await(s->pool, self, fn, arg);
    atomic_fetch_sub(&s->calls, 1);
    return rc;
}

void store_leave(struct store *s)
{
    if (store_is_ready(s))
        work_pool_leave(s->pool);
}

// ---- Sync ------------------------------------------------------------------------------------

struct sync_call {
    struct store *store;
    int err;
};

static void sync_job(void *arg)
{
    struct sync_call *c = arg;
    struct store *s = c->store;
    pthread_mutex_lock(&s->batch_mutex);
    c->err = store__drain_all(s);
    pthread_mutex_unlock(&s->batch_mutex);
    if (!c->err)
        c->err = store__sync(s);
}

int store_sync_await(struct store *s, struct fiber *self)
{
    struct sync_call call = {.store = s};
    int rc = store__call_await(s, self, sync_job, &call);
    return rc ? rc : call.err;
}

// ---- Health ----------------------------------------------------------------------------------

void store_health(const struct store *s, struct store_health *ret)
{
    const struct store_numbers *n = &s->numbers;
    bool ready = store_is_ready(s);
    uint64_t queued = atomic_load(&n->foreign_bytes), refused = 0;
    for (unsigned i = 0; i < s->cores; i++) {
        uint64_t tail = spool_tail(s->ring[i].spool); // first: it is never ahead of the head
        queued += spool_head(s->ring[i].spool) - tail;
        refused += atomic_load_explicit(&s->ring[i].refused, memory_order_relaxed);
    }
    *ret = (struct store_health){
        .state = ready                     ? STORE_READY
                 : atomic_load(&s->failed) ? STORE_FAILED
                                           : STORE_STANDBY,
        .writing = ready && atomic_load(&n->batch_err) == 0 && atomic_load(&n->sync_err) == 0,
        .sealed = ready && s->sealed,
        .refused = refused,
        .syncs = atomic_load(&n->syncs),
        .ring_bytes = s->cores * s->ring_bytes,
        .level = (enum store_level)atomic_load(&s->level),
        .records = atomic_load(&n->records),
        .content_dropped = atomic_load(&n->content_dropped),
        .rows_dropped = atomic_load(&n->rows_dropped),
        .damaged = atomic_load(&n->damaged),
        .queued_bytes = queued,
        .logs_bytes = atomic_load(&n->logs_bytes),
        .errors = atomic_load(&n->errors),
    };
}
