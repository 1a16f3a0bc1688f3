// SPDX-License-Identifier: Apache-2.0
//
// work.h: a computation too long for a turn of the loop, done by another thread.
//
// A loop may not be held for more than a millisecond. What can be cut into steps yields between
// them; what cannot (a large document rewritten as a whole) is handed to a small pool of threads
// that all cores share, and its fiber parks:
//
//     core's fiber ── job ──► [ queue ] ──► worker: fn(arg) ──mail──► the core: the fiber goes on
//
// The job and what it works on belong to the worker until the mail has come. So a fiber that is
// cancelled or past its deadline meanwhile waits on, shielded: a job is bounded by the size of its
// input and never waits for anything itself. One that no worker has begun is taken back at once.
//
// Threads are made when the first job comes: a process that never needs them has none.
#ifndef RINGGATE_RING_WORK_H
#define RINGGATE_RING_WORK_H

#include <stddef.h>

struct fiber;
struct work_pool;

// Threads of a pool. Jobs are rare and long: as many as cores would take turns away from them.
#define WORK_THREADS_MAX 8
// A worker's stack. Jobs are written for a fiber's, which is smaller.
#define WORK_STACK_BYTES ((size_t)256 * 1024)

// `threads` of at most WORK_THREADS_MAX; made at the first job. 0 or ERR_NOMEM.
int work_pool_new(unsigned threads, struct work_pool **ret_pool);
// Makes the threads now: for jobs that need a worker's stack, which a fiber's is too small for.
// ERR_NOMEM: not one could be made.
int work_pool_start(struct work_pool *p);
// No job is waiting or running. NULL is fine.
void work_pool_free(struct work_pool *p);

// Runs fn(arg) on a worker. 0: it has run. Else an interruption of the fiber, and it has run or
// not; in either case nobody uses `arg` any more. Without a thread it is run here and now.
int work_await(struct work_pool *p, struct fiber *self, void (*fn)(void *arg), void *arg);

// From a core whose fibers have all ended, before its ring is freed: no worker is still in a call
// that wakes it.
void work_pool_leave(struct work_pool *p);

#endif
