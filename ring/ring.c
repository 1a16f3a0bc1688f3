// SPDX-License-Identifier: Apache-2.0
//
// ring.c: setting a ring up, finding out what the kernel can do, and the turn.
//
// A turn is one system call and then user code:
//
//     submit and wait ─► completions ─► mail ─► timers ─► deferred tasks ─► hooks
//     (until the next timer)                               (fibers run here)
//
// The wait is bounded by the wheel's next tick, so timeouts cost no operation. A turn that leaves
// work behind (due timers, tasks beyond the bound, own mail) does not wait at all.
//
// Busy polling (off by default): before blocking, the ring watches its completion queue for a
// while. Waking a halted core costs 50 µs and more; a completion that is noticed while spinning
// does not pay that. It adapts by one rule: a wait that was shorter than the longest spin makes the
// next wait spin, a longer one halves the time down to nothing. With DEFER_TASKRUN a completion is
// not in the queue until the thread asks for it; the kernel raises IORING_SQ_TASKRUN instead, which
// is what the spin looks at.
#include "base/assert.h"
#include "base/err.h"
#include "ring/ring_internal.h"
#include <stdio.h>
#include <stdlib.h>

// Deferred tasks run in one turn; more wait for the next, so that fibers that wake each other
// cannot keep completions from being looked at.
#define RING_TASKS_PER_TURN 4096

// And the time a turn may take: a thousand clients that speak at once, or one that sends as fast as
// it can, must not keep answers unsent and timers unfired for longer than a millisecond. What
// completions leave, tasks have; what is left over waits for the next turn, which does not sleep.
#define COMPLETIONS_NS (400 * NS_PER_US)
#define TASKS_NS       (700 * NS_PER_US)
// A clock reading is 25 ns: so many completions or tasks for one.
#define CALLS_A_LOOK 8

// Clock readings are 25 ns and a look at the queue is 1 ns: this many looks a reading.
#define SPIN_LOOKS 32
// A spin below this is not worth its clock readings.
#define SPIN_NS_MIN 1000

// ---- Set-up ----------------------------------------------------------------------------------

struct refusal {
    int error;
    const char *reason;
};

// What io_uring_setup(2) refuses with, as a person should read it. EPERM has a function.
static const struct refusal refusals[] = {
    {ENOSYS, "io_uring is not available: Linux 6.1 or newer is needed, built with CONFIG_IO_URING "
             "(or a sandbox hides it)"},
    {EINVAL, "this kernel's io_uring is too old: Linux 6.1 or newer is needed"},
    {ENOMEM, "no memory for io_uring: raise the memory limit (LimitMEMLOCK, memory.max)"},
    {EMFILE, "no descriptor left for io_uring: raise the open files limit (LimitNOFILE)"},
    {ENFILE, "the system's table of open files is full (fs.file-max)"},
};

const char *ring__refusal(int error, int disabled)
{
    if (error == EPERM || error == EACCES) {
        if (disabled == 2)
            return "io_uring is switched off: set kernel.io_uring_disabled to 0 (it is 2)";
        if (disabled == 1)
            return "io_uring is restricted: set kernel.io_uring_disabled to 0 (it is 1), or join "
                   "the group of kernel.io_uring_group";
        return "io_uring is refused by a sandbox: allow io_uring_setup, io_uring_enter and "
               "io_uring_register in the container's seccomp profile";
    }
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (refusals[i].error == error)
            return refusals[i].reason;
    }
    return "io_uring could not be set up";
}

static int io_uring_disabled(void)
{
    FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
    if (!f)
        return -1;
    int c = fgetc(f);
    fclose(f);
    return c >= '0' && c <= '9' ? c - '0' : -1;
}

static int set_up(struct ring *r)
{
    struct io_uring_params params = {
        // One thread submits, the one that made the ring: the kernel drops its locks for it.
        .flags = IORING_SETUP_SINGLE_ISSUER
                 // Completion work runs when this thread waits, not by interrupting it: batches by
                 // itself, and saves a third of the CPU (Linux 6.1, our floor).
                 | IORING_SETUP_DEFER_TASKRUN
                 // A multishot operation answers many times for one entry: four completions each.
                 | IORING_SETUP_CQSIZE
                 // A bad entry does not keep those behind it from being submitted.
                 | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = r->options.entries * 4,
    };
    // Work that waits for this thread is shown in the queue's flags; read only when spinning.
    if (r->options.busy_poll_us > 0)
        params.flags |= IORING_SETUP_TASKRUN_FLAG;
    int rc = io_uring_queue_init_params(r->options.entries, &r->uring, &params);
    if (rc < 0)
        return rc;
    // Saves a look-up of the descriptor at each entry into the kernel. Works without.
    (void)io_uring_register_ring_fd(&r->uring);
    return 0;
}

// ---- Probing ---------------------------------------------------------------------------------

// Flags of unknown meaning are refused, so trying is the probe.
static bool probe_incremental(struct ring *r)
{
    int rc = 0;
    struct io_uring_buf_ring *br =
        io_uring_setup_buf_ring(&r->uring, 1, r->groups, IOU_PBUF_RING_INC, &rc);
    if (!br)
        return false;
    io_uring_free_buf_ring(&r->uring, br, 1, r->groups);
    return true;
}

// A message to no ring: a kernel that knows the call misses the descriptor, an older one the call.
static bool probe_sync_message(void)
{
    struct io_uring_sqe sqe = {0};
    io_uring_prep_msg_ring(&sqe, -1, 0, 0, 0);
    return io_uring_register((unsigned)-1, RING__REGISTER_SEND_MSG, &sqe, 1) == -EBADF;
}

static void probe(struct ring *r)
{
    if (r->options.only_6_1)
        return;
    r->features = (struct ring_features){
        .incremental_buffers = probe_incremental(r),
        .recv_bundle = r->uring.features & IORING_FEAT_RECVSEND_BUNDLE,
        .sync_message = probe_sync_message(),
        .min_timeout = r->uring.features & IORING_FEAT_MIN_TIMEOUT,
    };
}

// ---- Life ------------------------------------------------------------------------------------

static void read_clocks(struct ring *r)
{
    r->now = clock_mono();
    r->wall = clock_wall();
}

int ring_new(const struct ring_options *options, struct ring **ret_ring, const char **ret_reason)
{
    ASSERT(options->entries > 0);
    struct ring *r = aligned_alloc(64, sizeof(*r));
    if (!r) {
        *ret_reason = "no memory for a ring";
        return ERR_NOMEM;
    }
    memset(r, 0, sizeof(*r));
    r->options = *options;
    list_init(&r->tasks);
    list_init(&r->hooks);
    read_clocks(r);
    ring__timers_init(r);
    int rc = set_up(r);
    if (rc < 0) {
        *ret_reason = ring__refusal(-rc, io_uring_disabled());
        free(r);
        return ERR_UNSUPPORTED;
    }
    probe(r);
    if (ring__mail_init(r) < 0) {
        *ret_reason = ring__refusal(EMFILE, 0);
        io_uring_queue_exit(&r->uring);
        free(r);
        return ERR_SYSTEM;
    }
    ring__mail_listen(r);
    *ret_ring = r;
    return 0;
}

const struct ring_features *ring_features(const struct ring *r)
{
    return &r->features;
}

struct mono ring_now(const struct ring *r)
{
    return r->now;
}

struct mono ring_now_fresh(struct ring *r)
{
    struct mono now = clock_mono();
    ASSERT(!mono_before(now, r->now));
    return now;
}

struct wall ring_wall(const struct ring *r)
{
    return r->wall;
}

void ring_stats_read(struct ring *r, struct ring_stats *ret_stats)
{
    *ret_stats = r->stats;
    r->stats.turn_ns_max = 0;
}

// ---- Waiting ---------------------------------------------------------------------------------

// Submits, lets deferred kernel work run, and comes back at once.
static void poll_kernel(struct ring *r)
{
    int rc = io_uring_submit_and_get_events(&r->uring);
    ASSERT(rc >= 0 || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY || rc == -ENOMEM);
}

static void block(struct ring *r, struct mono until)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts;
    int64_t ns = 0;
    if (until.ns != INT64_MAX) {
        ns = mono_diff_ns(until, clock_mono());
        if (ns <= 0) {
            poll_kernel(r);
            return;
        }
        ts.tv_sec = ns / NS_PER_S;
        ts.tv_nsec = ns % NS_PER_S;
    }
    int rc = io_uring_submit_and_wait_timeout(&r->uring, &cqe, 1, ns > 0 ? &ts : NULL, NULL);
    ASSERT(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY ||
           rc == -ENOMEM);
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool something_came(struct ring *r)
{
    if (io_uring_cq_ready(&r->uring) > 0)
        return true;
    unsigned flags = __atomic_load_n(r->uring.sq.kflags, __ATOMIC_RELAXED);
    return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) ||
           atomic_load_explicit(&r->mail, memory_order_relaxed);
}

// True when the wait is over.
static bool spin(struct ring *r, struct mono started, struct mono until)
{
    struct mono end = mono_min(until, (struct mono){.ns = started.ns + r->spin_ns});
    poll_kernel(r);
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (something_came(r)) {
                poll_kernel(r);
                return true;
            }
            relax();
        }
    } while (mono_before(clock_mono(), end));
    return !mono_before(end, until);
}

static void wait_busily(struct ring *r, struct mono until)
{
    int64_t spin_ns_max = (int64_t)r->options.busy_poll_us * NS_PER_US;
    struct mono started = clock_mono();
    if (r->spin_ns < SPIN_NS_MIN || !spin(r, started, until))
        block(r, until);
    if (mono_diff_ns(clock_mono(), started) <= spin_ns_max)
        r->spin_ns = spin_ns_max;
    else
        r->spin_ns /= 2;
}

static void wait_for_events(struct ring *r, struct mono until)
{
    until = mono_min(until, ring__timers_next(r));
    bool ready = !list_empty(&r->tasks) || io_uring_cq_ready(&r->uring) > 0 ||
                 atomic_load_explicit(&r->mail, memory_order_relaxed);
    if (ready || !mono_before(r->now, until))
        poll_kernel(r);
    else if (r->options.busy_poll_us > 0)
        wait_busily(r, until);
    else
        block(r, until);
}

// ---- The turn --------------------------------------------------------------------------------

// Has the turn lasted for `ns`, when `calls` have been made?
static bool is_old(const struct ring *r, unsigned calls, int64_t ns)
{
    return calls > 0 && calls % CALLS_A_LOOK == 0 && mono_diff_ns(clock_mono(), r->now) > ns;
}

// What is there at the start; what callbacks cause to complete at once waits for the next turn.
static void run_completions(struct ring *r)
{
    unsigned ready = io_uring_cq_ready(&r->uring);
    for (unsigned n = 0; n < ready && !is_old(r, n, COMPLETIONS_NS); n++) {
        r->stats.completions++;
        struct io_uring_cqe *cqe;
        int rc = io_uring_peek_cqe(&r->uring, &cqe);
        ASSERT(rc == 0 && cqe);
        uint64_t user_data = cqe->user_data;
        int res = cqe->res;
        unsigned flags = cqe->flags;
        io_uring_cqe_seen(&r->uring, cqe); // its slot is free before user code runs
        ring__complete(r, user_data, res, flags);
    }
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    ASSERT(!r->in_turn);
    // Not a turn: hooks and timers may belong to what has been freed already.
    while (ring_op_busy(&r->wake_op)) {
        ring_cancel(r, &r->wake_op); // again, when a wake came first and it is being read anew
        block(r, MONO_NEVER);
        run_completions(r);
    }
    io_uring_queue_exit(&r->uring);
    ring__mail_done(r);
    free(r);
}

void ring_defer(struct ring *r, struct ring_task *task,
                void (*fn)(struct ring *, struct ring_task *))
{
    ASSERT(fn);
    ASSERT(!task->link.next);
    task->fn = fn;
    list_push_back(&r->tasks, &task->link);
}

void ring_undefer(struct ring *r, struct ring_task *task)
{
    ASSERT(r);
    if (task->link.next)
        ring__unlink(&task->link);
}

static void run_tasks(struct ring *r)
{
    for (unsigned i = 0; i < RING_TASKS_PER_TURN && !list_empty(&r->tasks); i++) {
        if (is_old(r, i, TASKS_NS))
            return;
        struct ring_task *task = container_of(r->tasks.next, struct ring_task, link);
        ring__unlink(&task->link);
        task->fn(r, task);
    }
}

void ring_hook_add(struct ring *r, struct ring_hook *hook,
                   void (*fn)(struct ring *, struct ring_hook *))
{
    ASSERT(fn);
    hook->fn = fn;
    list_push_back(&r->hooks, &hook->link);
}

static void run_hooks(struct ring *r)
{
    for (struct list *l = r->hooks.next; l != &r->hooks; l = l->next) {
        struct ring_hook *hook = container_of(l, struct ring_hook, link);
        hook->fn(r, hook);
    }
}

bool ring_turn(struct ring *r, struct mono until)
{
    ASSERT(!r->in_turn);
    r->in_turn = true;
    wait_for_events(r, until);
    read_clocks(r);
    atomic_store_explicit(&r->busy_since, r->now.ns, memory_order_relaxed);
    run_completions(r);
    ring__mail_run(r);
    ring__timers_run(r);
    run_tasks(r);
    run_hooks(r);
    r->stats.turns++;
    int64_t took = mono_diff_ns(clock_mono(), r->now);
    if (took > r->stats.turn_ns_max)
        r->stats.turn_ns_max = took;
    atomic_store_explicit(&r->busy_since, 0, memory_order_relaxed);
    r->in_turn = false;
    return !atomic_load_explicit(&r->stop, memory_order_acquire);
}

struct mono ring_busy_since(const struct ring *r)
{
    return (struct mono){.ns = atomic_load_explicit(&r->busy_since, memory_order_relaxed)};
}

void ring_run(struct ring *r)
{
    while (ring_turn(r, MONO_NEVER))
        ;
}
