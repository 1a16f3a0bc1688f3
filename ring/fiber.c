// SPDX-License-Identifier: Apache-2.0
//
// fiber.c: stacks, switches, and who may wake whom.
//
// Every switch goes between the loop and one fiber; fibers never switch to each other. The loop
// resumes a fiber from a deferred task, so waking is pushing a task, and whoever wakes goes on
// undisturbed. A fiber's record lies at the top of its own stack mapping:
//
//     low                                                              high
//     | guard, PROT_NONE | stack, grows down ◄───────── ░░░ | struct fiber |
//     ^ mapping          ^ low                              ^ make_fcontext
//
// A park has three ways to end: a wake, the sticky reason, the deadline. They are told apart on
// resumption, not on waking: the fiber looks at fiber_interrupted first and at `woken` second, so
// an interruption never eats a wake; it stays for the next park. A deadline is one timer, set when
// the fiber first parks under it and left set over later parks until it fires, moves or the
// fiber ends: an exchange sets it once.
//
// The `_await` functions below park in a loop until their own condition holds. A wake that was not
// theirs is put back when they return, so code that parks by hand does not lose it.
//
// Sanitizers follow each switch: AddressSanitizer is told the bounds of the stack it goes to,
// ThreadSanitizer has a fiber of its own for each of ours.
#include "ring/fiber.h"
#include "base/assert.h"
#include "base/err.h"
#include "base/poison.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

// Instrumented frames are several times as large, and interceptors keep buffers on the stack.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES_DEFAULT (256 * 1024)
#else
#define STACK_BYTES_DEFAULT (32 * 1024)
#endif

// ---- Boost.Context: two functions of assembly --------------------------------------------------

typedef void *fcontext_t;

struct transfer {
    fcontext_t from; // where the one who jumped here can be resumed
    void *data;
};

extern struct transfer jump_fcontext(fcontext_t to, void *data);
extern fcontext_t make_fcontext(void *stack_top, size_t size, void (*fn)(struct transfer));

// ---- Types -----------------------------------------------------------------------------------

enum fiber_state { FIBER_FREE, FIBER_READY, FIBER_RUNNING, FIBER_PARKED, FIBER_ENDED };

struct fiber {
    struct fiber_sched *sched;
    struct fiber *next_free; // in the pool of stacks
    fcontext_t context;      // where to resume it
    fiber_fn fn;
    void *arg;
    struct ring_task task;
    struct ring_timer timer; // for the deadline in force
    struct mono deadline;    // MONO_NEVER: none
    struct mono shield_until;
    struct list joiners;
    struct list untrimmed; // in sched, until its stack has been trimmed
    uint32_t period;       // in which it was spawned
    int reason;            // sticky; 0: not cancelled
    enum fiber_state state;
    bool woken;    // a wake no park has returned yet
    bool shielded; // between fiber_shield and fiber_unshield
    bool deaf;     // in fiber_wait_shielded_await: nothing interrupts
    char *low;     // lowest usable byte of the stack
    void *asan_stack;
    void *tsan_fiber;
};

// A fiber waiting for another one to end; on the waiting one's stack.
struct joiner {
    struct list link;
    struct fiber *fiber;
    bool ended;
};

struct fiber_sched {
    struct ring *ring;
    struct fiber_options options;
    size_t page_bytes;
    size_t stack_bytes; // the mapping without its guard
    unsigned live;
    unsigned kept;
    unsigned kept_low;     // the least `kept` of this period
    uint32_t period;       // counts
    struct list untrimmed; // fibers, oldest first
    struct fiber *free;
    struct fiber *current;
    fcontext_t loop; // where the running fiber returns to
    void *asan_stack;
    const void *asan_loop_low;
    size_t asan_loop_bytes;
    void *tsan_loop;
};

// ---- Sanitizers: a no-op each in ordinary builds -----------------------------------------------

// Inlined always: ThreadSanitizer counts entries and exits of functions a fiber, so the switch has
// to happen in the function that jumps.
#define ANNOUNCE static inline __attribute__((always_inline)) void

// Before a jump from the loop into a fiber.
ANNOUNCE announce_resume(struct fiber_sched *s, struct fiber *f)
{
    (void)s, (void)f;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&s->asan_stack, f->low, (size_t)((char *)f - f->low));
#endif
#ifdef __SANITIZE_THREAD__
    s->tsan_loop = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(f->tsan_fiber, 0);
#endif
}

// On the loop's stack, after that jump has come back.
ANNOUNCE announce_resumed(struct fiber_sched *s)
{
    (void)s;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(s->asan_stack, NULL, NULL);
#endif
}

// Before a jump from a fiber to the loop.
ANNOUNCE announce_leave(struct fiber *f)
{
    (void)f;
#ifdef __SANITIZE_ADDRESS__
    // An ending fiber keeps nothing: its fake stack goes.
    __sanitizer_start_switch_fiber(f->state == FIBER_ENDED ? NULL : &f->asan_stack,
                                   f->sched->asan_loop_low, f->sched->asan_loop_bytes);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(f->sched->tsan_loop, 0);
#endif
}

// On a fiber's stack, after the loop has jumped to it.
ANNOUNCE announce_entered(struct fiber *f)
{
    (void)f;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(f->asan_stack, &f->sched->asan_loop_low,
                                    &f->sched->asan_loop_bytes);
#endif
}

static void announce_new(struct fiber *f)
{
    f->asan_stack = NULL;
#ifdef __SANITIZE_THREAD__
    f->tsan_fiber = __tsan_create_fiber(0);
#endif
}

static void announce_end(struct fiber *f)
{
    (void)f;
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(f->tsan_fiber);
#endif
    UNPOISON(f->low, (size_t)((char *)f - f->low));
}

// ---- Stacks ----------------------------------------------------------------------------------

static char *mapping_of(const struct fiber *f)
{
    return f->low - f->sched->page_bytes;
}

static struct fiber *stack_map(struct fiber_sched *s)
{
    size_t bytes = s->page_bytes + s->stack_bytes;
    char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    if (mprotect(mapping, s->page_bytes, PROT_NONE) < 0) { // vm.max_map_count
        munmap(mapping, bytes);
        return NULL;
    }
    size_t record = (sizeof(struct fiber) + 63) & ~(size_t)63;
    struct fiber *f = (struct fiber *)(mapping + bytes - record);
    f->sched = s;
    f->low = mapping + s->page_bytes;
    return f;
}

static void stack_unmap(struct fiber *f)
{
    munmap(mapping_of(f), f->sched->page_bytes + f->sched->stack_bytes);
}

static struct fiber *stack_get(struct fiber_sched *s)
{
    struct fiber *f = s->free;
    if (!f)
        return stack_map(s);
    ASSERT(s->kept > 0);
    ASSERT(f->state == FIBER_FREE);
    s->free = f->next_free;
    if (--s->kept < s->kept_low)
        s->kept_low = s->kept;
    return f;
}

// Last in, first out: the stack used last is the one in the cache.
static void stack_put(struct fiber *f)
{
    struct fiber_sched *s = f->sched;
    f->state = FIBER_FREE;
    if (s->kept >= s->options.keep_max) {
        stack_unmap(f);
        return;
    }
    f->next_free = s->free;
    s->free = f;
    s->kept++;
}

// The context of a fiber that does not run is its stack pointer: below it nothing lives.
static void stack_trim(struct fiber *f)
{
    size_t page = f->sched->page_bytes;
    char *rest = (char *)((uintptr_t)f->context & ~(uintptr_t)(page - 1));
    ASSERT(rest >= f->low && rest < (char *)f);
    UNPOISON(f->low, (size_t)(rest - f->low));
    if (rest > f->low)
        (void)madvise(f->low, (size_t)(rest - f->low), MADV_DONTNEED);
}

bool fiber_sched_trim(struct fiber_sched *s, unsigned max)
{
    ASSERT(!s->current);
    for (; max > 0 && !list_empty(&s->untrimmed); max--) {
        struct fiber *f = container_of(s->untrimmed.next, struct fiber, untrimmed);
        if (f->period == s->period)
            break;
        list_remove(&f->untrimmed);
        stack_trim(f);
    }
    for (; max > 0 && s->kept_low > 0; max--) {
        struct fiber *f = s->free;
        s->free = f->next_free;
        s->kept--;
        s->kept_low--;
        stack_unmap(f);
    }
    if (max == 0)
        return true;
    s->kept_low = s->kept;
    s->period++;
    return false;
}

bool fiber_sched_trimmable(const struct fiber_sched *s)
{
    return s->kept > 0 || !list_empty(&s->untrimmed);
}

// ---- Scheduler -------------------------------------------------------------------------------

int fiber_sched_new(struct ring *ring, const struct fiber_options *options,
                    struct fiber_sched **ret_sched)
{
    ASSERT(ring);
    ASSERT(options->fibers_max > 0);
    struct fiber_sched *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->ring = ring;
    s->options = *options;
    list_init(&s->untrimmed);
    s->page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = options->stack_bytes ? options->stack_bytes : STACK_BYTES_DEFAULT;
    bytes += sizeof(struct fiber);
    s->stack_bytes = (bytes + s->page_bytes - 1) / s->page_bytes * s->page_bytes;
    *ret_sched = s;
    return 0;
}

void fiber_sched_free(struct fiber_sched *s)
{
    if (!s)
        return;
    ASSERT(s->live == 0);
    while (s->free) {
        struct fiber *f = s->free;
        s->free = f->next_free;
        stack_unmap(f);
    }
    free(s);
}

unsigned fiber_live(const struct fiber_sched *s)
{
    return s->live;
}

struct ring *fiber_ring(const struct fiber *f)
{
    return f->sched->ring;
}

// ---- Switching -------------------------------------------------------------------------------

// The one setter of the state; the diagram in fiber.h is its table.
static void set_state(struct fiber *f, enum fiber_state state)
{
    static const unsigned char predecessors[] = {
        [FIBER_FREE] = 1 << FIBER_ENDED,    [FIBER_READY] = 1 << FIBER_FREE | 1 << FIBER_PARKED,
        [FIBER_RUNNING] = 1 << FIBER_READY, [FIBER_PARKED] = 1 << FIBER_RUNNING,
        [FIBER_ENDED] = 1 << FIBER_RUNNING,
    };
    ASSERT(predecessors[state] & (1 << f->state));
    f->state = state;
}

// Back to the loop; returns when the loop resumes the fiber.
static void switch_to_loop(struct fiber *f)
{
    announce_leave(f);
    struct transfer t = jump_fcontext(f->sched->loop, f);
    f->sched->loop = t.from;
    announce_entered(f);
}

// The bottom frame of every fiber.
static void fiber_main(struct transfer t)
{
    struct fiber *f = t.data;
    announce_entered(f);
    f->sched->loop = t.from;
    f->fn(f, f->arg);
    set_state(f, FIBER_ENDED);
    switch_to_loop(f);
    __builtin_unreachable(); // an ended fiber is not resumed
}

static void release(struct fiber *f)
{
    struct fiber_sched *s = f->sched;
    ASSERT(f->state == FIBER_ENDED);
    ASSERT(!f->shielded && !f->deaf);
    ring_timer_clear(s->ring, &f->timer);
    ring_undefer(s->ring, &f->task);
    for (struct list *l; (l = list_pop_front(&f->joiners));) {
        struct joiner *j = container_of(l, struct joiner, link);
        j->ended = true;
        fiber_wake(j->fiber);
    }
    list_remove(&f->untrimmed); // harmless when it has been
    announce_end(f);
    ASSERT(s->live > 0);
    s->live--;
    stack_put(f);
}

static void resume(struct ring *ring, struct ring_task *task)
{
    struct fiber *f = container_of(task, struct fiber, task);
    struct fiber_sched *s = f->sched;
    ASSERT(ring == s->ring);
    ASSERT(!s->current);
    set_state(f, FIBER_RUNNING);
    s->current = f;
    announce_resume(s, f);
    struct transfer t = jump_fcontext(f->context, f);
    announce_resumed(s);
    f->context = t.from;
    s->current = NULL;
    if (f->state == FIBER_ENDED)
        release(f);
}

static void make_ready(struct fiber *f)
{
    set_state(f, FIBER_READY);
    ring_defer(f->sched->ring, &f->task, resume);
}

int fiber_spawn(struct fiber_sched *s, fiber_fn fn, void *arg, struct fiber **ret_fiber)
{
    ASSERT(fn);
    if (s->live >= s->options.fibers_max)
        return ERR_LIMIT;
    struct fiber *f = stack_get(s);
    if (!f)
        return ERR_NOMEM;
    *f = (struct fiber){.sched = s,
                        .low = f->low,
                        .fn = fn,
                        .arg = arg,
                        .state = FIBER_FREE,
                        .deadline = MONO_NEVER,
                        .shield_until = MONO_NEVER};
    list_init(&f->joiners);
    f->period = s->period;
    list_push_back(&s->untrimmed, &f->untrimmed);
    f->context = make_fcontext(f, (size_t)((char *)f - f->low), fiber_main);
    ASSERT(f->context);
    announce_new(f);
    s->live++;
    make_ready(f);
    if (ret_fiber)
        *ret_fiber = f;
    return 0;
}

// ---- Parking and waking ------------------------------------------------------------------------

static struct mono deadline_in_force(const struct fiber *f)
{
    if (f->deaf)
        return MONO_NEVER;
    return f->shielded ? f->shield_until : f->deadline;
}

int fiber_interrupted(const struct fiber *f)
{
    if (f->deaf)
        return 0;
    if (f->reason && !f->shielded)
        return f->reason;
    return mono_before(ring_now(f->sched->ring), deadline_in_force(f)) ? 0 : ERR_DEADLINE;
}

static void arm(struct fiber *f);

static void on_deadline(struct ring *r, struct ring_timer *t)
{
    struct fiber *f = container_of(t, struct fiber, timer);
    ASSERT(r == f->sched->ring);
    if (f->state != FIBER_PARKED)
        return; // it looks at the clock itself before it parks
    if (fiber_interrupted(f))
        make_ready(f);
    else
        arm(f);
}

// The timer stands at the deadline in force. The wheel takes any time, but "never" needs none.
static void arm(struct fiber *f)
{
    struct mono when = deadline_in_force(f);
    if (when.ns == MONO_NEVER.ns)
        ring_timer_clear(f->sched->ring, &f->timer);
    else if (!ring_timer_is_set(&f->timer) || f->timer.when.ns != when.ns)
        ring_timer_set(f->sched->ring, &f->timer, when, on_deadline);
}

int fiber_park_await(struct fiber *self)
{
    ASSERT(self->state == FIBER_RUNNING);
    ASSERT(self->sched->current == self);
    int interrupted = fiber_interrupted(self);
    if (interrupted)
        return interrupted;
    // More than once only when a deadline passed and was moved before the fiber came to run.
    while (!self->woken) {
        arm(self);
        set_state(self, FIBER_PARKED);
        switch_to_loop(self);
        ASSERT(self->state == FIBER_RUNNING);
        interrupted = fiber_interrupted(self);
        if (interrupted)
            return interrupted;
    }
    self->woken = false;
    return 0;
}

void fiber_wake(struct fiber *f)
{
    ASSERT(f->state != FIBER_FREE && f->state != FIBER_ENDED);
    f->woken = true;
    if (f->state == FIBER_PARKED)
        make_ready(f);
}

void fiber_cancel(struct fiber *f, int reason)
{
    ASSERT(reason < 0);
    ASSERT(f->state != FIBER_FREE && f->state != FIBER_ENDED);
    if (f->reason)
        return;
    f->reason = reason;
    if (f->state == FIBER_PARKED && fiber_interrupted(f))
        make_ready(f);
}

void fiber_set_deadline(struct fiber *f, struct mono when)
{
    ASSERT(f->state != FIBER_FREE && f->state != FIBER_ENDED);
    f->deadline = when;
    if (f->state == FIBER_PARKED)
        arm(f);
}

struct mono fiber_deadline(const struct fiber *f)
{
    return f->deadline;
}

void fiber_shield(struct fiber *self, struct mono until)
{
    ASSERT(self->state == FIBER_RUNNING);
    ASSERT(!self->shielded);
    self->shielded = true;
    self->shield_until = until;
}

void fiber_unshield(struct fiber *self)
{
    ASSERT(self->state == FIBER_RUNNING);
    ASSERT(self->shielded);
    self->shielded = false;
}

// ---- Waiting for something in particular -------------------------------------------------------

// Parks; *foreign is set when the wake turns out not to be the caller's: condition still unmet.
static int park_for_await(struct fiber *self, const bool *condition, bool *foreign)
{
    int err = fiber_park_await(self);
    if (err == 0 && !*condition)
        *foreign = true;
    return err;
}

struct sleeper {
    struct ring_timer timer;
    struct fiber *fiber;
    bool over;
};

static void on_sleep_over(struct ring *r, struct ring_timer *t)
{
    struct sleeper *sleeper = container_of(t, struct sleeper, timer);
    ASSERT(r == sleeper->fiber->sched->ring);
    sleeper->over = true;
    fiber_wake(sleeper->fiber);
}

int fiber_sleep_await(struct fiber *self, struct mono until)
{
    struct ring *ring = self->sched->ring;
    struct sleeper sleeper = {.fiber = self};
    bool foreign = false;
    int err = fiber_interrupted(self);
    if (err || !mono_before(ring_now(ring), until))
        return err;
    ring_timer_set(ring, &sleeper.timer, until, on_sleep_over);
    while (!sleeper.over && !err)
        err = park_for_await(self, &sleeper.over, &foreign);
    ring_timer_clear(ring, &sleeper.timer);
    self->woken = self->woken || foreign;
    return err;
}

int fiber_join_await(struct fiber *self, struct fiber *other)
{
    ASSERT(self != other);
    ASSERT(self->sched == other->sched);
    ASSERT(other->state != FIBER_FREE && other->state != FIBER_ENDED);
    struct joiner joiner = {.fiber = self};
    bool foreign = false;
    int err = 0;
    list_push_back(&other->joiners, &joiner.link);
    while (!joiner.ended && !err)
        err = park_for_await(self, &joiner.ended, &foreign);
    list_remove(&joiner.link); // harmless when the other has taken it off
    self->woken = self->woken || foreign;
    return joiner.ended ? 0 : err;
}

void fiber_wait_begin(struct fiber_wait *w)
{
    ASSERT(!w->fiber);
    *w = (struct fiber_wait){0};
}

void fiber_wait_done(struct fiber_wait *w, int result)
{
    ASSERT(!w->done);
    w->done = true;
    w->result = result;
    if (w->fiber)
        fiber_wake(w->fiber);
}

int fiber_wait_await(struct fiber_wait *w, struct fiber *self, int *ret_result)
{
    ASSERT(!w->fiber);
    bool foreign = false;
    int err = 0;
    w->fiber = self;
    while (!w->done && !err)
        err = park_for_await(self, &w->done, &foreign);
    w->fiber = NULL;
    self->woken = self->woken || foreign;
    if (!w->done)
        return err;
    *ret_result = w->result; // a result that is there is never thrown away for an interruption
    return 0;
}

int fiber_wait_shielded_await(struct fiber_wait *w, struct fiber *self)
{
    ASSERT(!self->deaf);
    int result = 0;
    self->deaf = true;
    int err = fiber_wait_await(w, self, &result);
    self->deaf = false;
    ASSERT(err == 0);
    return result;
}
