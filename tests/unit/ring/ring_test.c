// SPDX-License-Identifier: Apache-2.0
//
// ring_test.c: refusals, the order within a turn, stopping, and busy polling.
#include "tests/unit/ring/fixture.h"

#include "base/err.h"
#include "ring/ring_internal.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void refusal_lines(void **state)
{
    (void)state;
    assert_non_null(strstr(ring__refusal(EPERM, 2), "kernel.io_uring_disabled to 0 (it is 2)"));
    assert_non_null(strstr(ring__refusal(EPERM, 1), "io_uring_group"));
    assert_non_null(strstr(ring__refusal(EPERM, 0), "seccomp"));
    assert_non_null(strstr(ring__refusal(EPERM, -1), "seccomp"));
    assert_non_null(strstr(ring__refusal(ENOSYS, -1), "Linux 6.1"));
    assert_non_null(strstr(ring__refusal(EINVAL, -1), "Linux 6.1"));
    assert_non_null(strstr(ring__refusal(ENOMEM, 0), "memory"));
    assert_non_null(strstr(ring__refusal(EMFILE, 0), "open files"));
    assert_non_null(ring__refusal(E2BIG, 0));
    static const int errors[] = {EPERM, ENOSYS, EINVAL, ENOMEM, EMFILE, ENFILE, E2BIG};
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        assert_null(strchr(ring__refusal(errors[i], 0), '\n'));
}

// As a container runtime does it: io_uring_setup answers `error`.
static void refuse_io_uring(unsigned error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ARRAY_LEN(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        _exit(100);
}

static void sandbox_is_named(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct ring_options options = RING_OPTIONS_DEFAULT;
        struct ring *r = NULL;
        const char *reason = NULL;
        refuse_io_uring(EPERM);
        int err = ring_new(&options, &r, &reason);
        if (err != ERR_UNSUPPORTED || r || !reason)
            _exit(1);
        _exit(strstr(reason, "seccomp") || strstr(reason, "io_uring_disabled") ? 0 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void features_can_be_switched_off(void **state)
{
    (void)state;
    struct ring *r = ring_open(true, 8, 0);
    assert_false(ring_features(r)->incremental_buffers);
    assert_false(ring_features(r)->recv_bundle);
    assert_false(ring_features(r)->sync_message);
    assert_false(ring_features(r)->min_timeout);
    ring_free(r);
    ring_free(NULL);
}

// ---- A turn ----------------------------------------------------------------------------------

struct trace {
    char text[64];
    unsigned len;
    struct ring_mail mail;
    struct ring_timer timer;
    struct ring_task task, second, never;
    struct ring_hook hook;
    struct ring_op op;
    struct mono due;
};

static void mark(struct trace *t, char c)
{
    assert_true(t->len + 1 < sizeof(t->text));
    t->text[t->len++] = c;
}

static void on_second(struct ring *r, struct ring_task *task)
{
    (void)r;
    mark(container_of(task, struct trace, second), 'S');
}

static void on_task(struct ring *r, struct ring_task *task)
{
    struct trace *t = container_of(task, struct trace, task);
    mark(t, 'T');
    ring_defer(r, &t->second, on_second); // the same turn
}

static void on_never(struct ring *r, struct ring_task *task)
{
    (void)r;
    mark(container_of(task, struct trace, never), '!');
}

static void on_mail(struct ring *r, struct ring_mail *mail)
{
    (void)r;
    mark(container_of(mail, struct trace, mail), 'M');
}

static void on_timer(struct ring *r, struct ring_timer *timer)
{
    (void)r;
    mark(container_of(timer, struct trace, timer), 'W');
}

static void on_hook(struct ring *r, struct ring_hook *hook)
{
    (void)r;
    mark(container_of(hook, struct trace, hook), 'H');
}

static void on_op(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    (void)r;
    assert_true(event->final);
    mark(container_of(op, struct trace, op), 'C');
}

static void order_within_a_turn(void **state)
{
    struct ring *r = *state;
    struct trace t = {0};
    int fds[2];
    pair_open(fds);
    ring_hook_add(r, &t.hook, on_hook);
    ring_defer(r, &t.task, on_task);
    ring_defer(r, &t.never, on_never);
    ring_undefer(r, &t.never);
    ring_undefer(r, &t.never);
    ring_timer_set(r, &t.timer, ring_now(r), on_timer);
    ring_mail_send(r, r, &t.mail, on_mail);
    ring_send(r, &t.op, on_op, fds[0], "x", 1);
    ring_turn(r, MONO_NEVER); // work is waiting: it does not block
    assert_string_equal(t.text, "CMWTSH");
    assert_true(ring_wall(r).ns > 0);
    assert_false(mono_before(ring_now_fresh(r), ring_now(r)));
    struct ring_stats stats;
    ring_stats_read(r, &stats);
    assert_int_equal(stats.turns, 1);
    assert_true(stats.completions >= 1);
    assert_true(stats.turn_ns_max > 0);
    ring_stats_read(r, &stats);
    assert_int_equal(stats.turn_ns_max, 0);
    close(fds[0]);
    close(fds[1]);
}

struct repeater {
    struct ring_task task;
    unsigned runs;
    unsigned runs_max;
};

static void on_repeat(struct ring *r, struct ring_task *task)
{
    struct repeater *p = container_of(task, struct repeater, task);
    if (++p->runs < p->runs_max)
        ring_defer(r, &p->task, on_repeat);
}

// A task that defers itself for ever does not hold the turn for ever.
static void tasks_are_bounded(void **state)
{
    struct ring *r = *state;
    struct repeater p = {.runs_max = UINT32_MAX};
    ring_defer(r, &p.task, on_repeat);
    ring_turn(r, MONO_NEVER);
    unsigned first = p.runs;
    assert_true(first > 1);
    ring_turn(r, MONO_NEVER); // goes on, without blocking
    assert_true(p.runs > first);
    ring_undefer(r, &p.task);
}

#define SLOW       64
#define SLOW_BY_NS (200 * NS_PER_US) // each; a turn has a millisecond for all

struct slow {
    struct ring_op op;
    struct ring_task task;
    unsigned *ops, *tasks;
};

static void take_long(void)
{
    struct mono begun = clock_mono();
    while (mono_diff_ns(clock_mono(), begun) < SLOW_BY_NS)
        ;
}

static void on_slow_op(struct ring *r, struct ring_op *op, const struct ring_event *event)
{
    (void)r;
    assert_true(event->final);
    ++*container_of(op, struct slow, op)->ops;
    take_long();
}

static void on_slow_task(struct ring *r, struct ring_task *task)
{
    (void)r;
    ++*container_of(task, struct slow, task)->tasks;
    take_long();
}

// Many completions and tasks that each are short, and together are not: everybody's turn comes.
static void a_long_turn_leaves_the_rest_to_the_next(void **state)
{
    struct ring *r = *state;
    static struct slow slow[SLOW];
    unsigned ops = 0, tasks = 0, turns = 0;
    int fds[2];
    pair_open(fds);
    for (unsigned i = 0; i < SLOW; i++) {
        slow[i] = (struct slow){.ops = &ops, .tasks = &tasks};
        ring_send(r, &slow[i].op, on_slow_op, fds[0], "x", 1);
        ring_defer(r, &slow[i].task, on_slow_task);
    }
    ring_turn(r, MONO_NEVER);
    assert_in_range(ops, 1, SLOW / 2);
    assert_in_range(tasks, 1, SLOW / 2);
    for (; ops < SLOW || tasks < SLOW; turns++) {
        unsigned before = ops + tasks;
        ring_turn(r, MONO_NEVER); // does not sleep
        assert_in_range(ops + tasks, before + 1, before + SLOW);
    }
    assert_true(turns >= 2);
    close(fds[0]);
    close(fds[1]);
}

static void turn_waits_until(void **state)
{
    struct ring *r = *state;
    struct mono until = mono_add_ms(clock_mono(), 15);
    unsigned turns = 0;
    while (mono_before(clock_mono(), until)) {
        assert_true(ring_turn(r, until));
        turns++;
    }
    assert_true(turns <= 3); // it slept
}

static void *stop_it(void *arg)
{
    ring_stop(arg);
    return NULL;
}

static void stop_from_another_thread(void **state)
{
    struct ring *r = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_it, r), 0);
    ring_run(r);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(ring_turn(r, clock_mono()));
}

static void stop_before_run(void **state)
{
    struct ring *r = *state;
    ring_stop(r);
    ring_run(r); // one turn
}

static void *ring_bells(void *arg)
{
    int *fds = arg;
    for (int i = 0; i < 200; i++) {
        char c;
        if (write(fds[1], "x", 1) != 1 || read(fds[1], &c, 1) != 1)
            return arg;
    }
    return NULL;
}

// Whatever the spin does, nothing is lost and timers are not early or forgotten.
static void busy_polling(void **state)
{
    struct ring *r = ring_open(*state == NULL, 16, 200);
    int fds[2];
    pthread_t thread;
    void *failed;
    pair_open(fds);
    assert_int_equal(pthread_create(&thread, NULL, ring_bells, fds), 0);
    for (unsigned i = 0; i < 200; i++) {
        char c;
        struct probe recv = {0}, send = {0};
        ring_recv_into(r, &recv.op, probe_on_event, fds[0], &c, 1);
        WAIT_FOR(r, recv.finals);
        assert_int_equal(recv.last, 1);
        ring_send(r, &send.op, probe_on_event, fds[0], &c, 1);
        WAIT_FOR(r, send.finals);
    }
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    struct mono until = mono_add_ms(clock_mono(), 30);
    while (mono_before(clock_mono(), until))
        ring_turn(r, until);
    for (int i = 0; i < 10; i++)
        ring_turn(r, mono_add_ms(clock_mono(), 2));
    assert_true(r->spin_ns < 200 * NS_PER_US); // long waits: it has backed off
    close(fds[0]);
    close(fds[1]);
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_lines),
        cmocka_unit_test(sandbox_is_named),
        cmocka_unit_test(features_can_be_switched_off),
        RING_TEST(order_within_a_turn),
        RING_TEST(tasks_are_bounded),
        RING_TEST(a_long_turn_leaves_the_rest_to_the_next),
        RING_TEST(turn_waits_until),
        RING_TEST(stop_from_another_thread),
        RING_TEST(stop_before_run),
        RING_TEST(busy_polling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
