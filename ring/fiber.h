// SPDX-License-Identifier: Apache-2.0
//
// fiber.h: straight-line code on a loop of completions.
//
// A fiber is a function with a stack of its own on one core. It runs until it parks; the loop goes
// on and somebody's callback wakes it. It is never preempted and never moves to another core, so
// between two `_await` calls nothing else on this core runs. A function that may park its fiber is
// named `…_await` and takes the fiber as an argument; nothing else parks.
//
//               spawn            resumed by the loop's deferred tasks
//     ┌──────┐ ──────► ┌───────┐ ────────────────► ┌─────────┐  fn returns  ┌───────┐
//     │ FREE │         │ READY │                   │ RUNNING │ ───────────► │ ENDED │ ─► FREE
//     └──────┘         └───────┘ ◄──────────────── └─────────┘              └───────┘
//                          ▲        fiber_wake          │ fiber_park_await
//                          │                            ▼
//                          └──────────────────────  ┌────────┐
//                             wake, cancel, deadline│ PARKED │
//                                                   └────────┘
//
// Cancellation is sticky: after fiber_cancel every park returns the reason at once, until the
// fiber ends. A deadline works the same way with ERR_DEADLINE but may be moved or cleared.
// Clean-up that must wait does so between fiber_shield and fiber_unshield, which bound it by a
// deadline of its own: inside, the sticky reason is not reported.
//
// An `_await` function returns only when the kernel no longer holds memory it lent: when a park
// returns an error it cancels its operation and parks on, shielded, until the final event.
//
// Stacks come from a per-core pool: STACK bytes with a guard page below, kept for reuse. The count
// of fibers has a ceiling; beyond it spawn refuses and the client gets 503 (each guard costs two
// of vm.max_map_count). Sanitizer builds announce each switch and use bigger stacks.
//
// A stack costs the pages it has touched. A fiber that waits for minutes rests on its first page or
// two, so fiber_sched_trim gives back those below, once in its life: later deep calls of the same
// fiber are rare, and paying for pages again and again is not worth it.
#ifndef RINGGATE_RING_FIBER_H
#define RINGGATE_RING_FIBER_H

#include "base/clock.h"
#include "ring/ring.h"

struct fiber;
struct fiber_sched;

typedef void (*fiber_fn)(struct fiber *self, void *arg);

struct fiber_options {
    unsigned fibers_max;  // live at once on this core
    unsigned stack_bytes; // usable; 0: the default (32 kB, more under sanitizers)
    unsigned keep_max;    // free stacks kept mapped
};
#define FIBER_OPTIONS_DEFAULT ((struct fiber_options){.fibers_max = 16384, .keep_max = 256})

int fiber_sched_new(struct ring *ring, const struct fiber_options *options,
                    struct fiber_sched **ret_sched); // 0 or ERR_NOMEM
void fiber_sched_free(struct fiber_sched *s);        // no live fiber; NULL is fine
unsigned fiber_live(const struct fiber_sched *s);
// From the loop. Gives back the untouched depth of fibers that have lived through a whole period,
// and free stacks that stood unused through it; at most `max` of both. True: there are more, call
// again. False: done, and a new period has begun.
bool fiber_sched_trim(struct fiber_sched *s, unsigned max);
// Something is left that a later period may give back.
bool fiber_sched_trimmable(const struct fiber_sched *s);

// The fiber starts in this turn's deferred tasks. 0, ERR_LIMIT or ERR_NOMEM. `arg` is borrowed.
int fiber_spawn(struct fiber_sched *s, fiber_fn fn, void *arg, struct fiber **ret_fiber);
struct ring *fiber_ring(const struct fiber *f);

// Parks. 0: woken. ERR_DEADLINE, or the reason given to fiber_cancel: interrupted (returned at
// once, without parking, when already so). A wake that came before the park is not lost: the park
// returns 0 at once.
int fiber_park_await(struct fiber *self);
// From the loop of the same core (callbacks, timers, other fibers). Waking a READY fiber again or
// one that is not parked is remembered as one wake.
void fiber_wake(struct fiber *f);
// Sticky; `reason` is a negative enum err. The first reason stays. Own core only.
void fiber_cancel(struct fiber *f, int reason);
// Absolute; MONO_NEVER clears. Applies to every later park of this fiber.
void fiber_set_deadline(struct fiber *f, struct mono when);
struct mono fiber_deadline(const struct fiber *f);
// 0, or what a park would return at once.
int fiber_interrupted(const struct fiber *f);

// Clean-up section: parks ignore cancellation and the old deadline and are bounded by `until`
// instead. Not nested.
void fiber_shield(struct fiber *self, struct mono until);
void fiber_unshield(struct fiber *self);

// 0 at or after `until`, or the interruption.
int fiber_sleep_await(struct fiber *self, struct mono until);

// Waits for another fiber of the same core to end. Same returns as a park. A fiber's handle dies
// with it: `other` is known not to have ended yet.
int fiber_join_await(struct fiber *self, struct fiber *other);

// A place where one fiber waits for one result that a callback delivers. Embedded beside the
// operation it belongs to. Zeroed memory is idle.
struct fiber_wait {
    struct fiber *fiber; // who is parked here, or NULL
    int result;
    bool done;
};
void fiber_wait_begin(struct fiber_wait *w);            // before submitting
void fiber_wait_done(struct fiber_wait *w, int result); // from the callback; wakes
// Parks until done: 0 and *ret_result, or the interruption (the wait is then still open: cancel
// the operation and call fiber_wait_shielded_await).
int fiber_wait_await(struct fiber_wait *w, struct fiber *self, int *ret_result);
// Ignores cancellation and deadline; for operations that have been cancelled and must end soon.
// Returns the result.
int fiber_wait_shielded_await(struct fiber_wait *w, struct fiber *self);

#endif
