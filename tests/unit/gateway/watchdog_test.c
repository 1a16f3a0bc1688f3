// SPDX-License-Identifier: Apache-2.0
//
// watchdog_test.c: a loop that hangs in a fiber, as a request would hang it.
#include "tests/unit/ring/fixture.h"

#include "base/assert.h"
#include "gateway/watchdog.h"
#include "ring/fiber.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIMIT_MS 1000

static struct {
    _Atomic(struct ring *) ring;
    _Atomic bool hang, hangs;
    _Atomic unsigned beats;
    _Atomic int begun;
} world;

static struct watchdog dog;

static __attribute__((noinline)) void hang_here(void)
{
    atomic_store(&world.hangs, true);
    while (atomic_load(&world.hang))
        ;
    atomic_store(&world.hangs, false);
}

static void hanging_fiber(struct fiber *self, void *arg)
{
    (void)self;
    (void)arg;
    hang_here();
}

static struct ring_timer beat;
static struct fiber_sched *sched;

static void on_beat(struct ring *ring, struct ring_timer *timer)
{
    struct fiber *fiber;
    atomic_fetch_add(&world.beats, 1);
    if (atomic_load(&world.hang))
        ASSERT(fiber_spawn(sched, hanging_fiber, NULL, &fiber) == 0);
    ring_timer_set(ring, timer, mono_add_ms(ring_now(ring), 1), on_beat);
}

static void *core_main(void *arg)
{
    struct fiber_options options = FIBER_OPTIONS_DEFAULT;
    struct ring *ring = ring_open(false, 64, 0);
    void *stack = NULL;
    (void)arg;
    ASSERT(fiber_sched_new(ring, &options, &sched) == 0);
    ASSERT(watchdog_thread_begin(&stack) == 0);
    ring_timer_set(ring, &beat, ring_now(ring), on_beat);
    atomic_store(&world.ring, ring);
    ring_run(ring);
    while (fiber_live(sched) > 0)
        ring_turn(ring, mono_add_ms(clock_mono(), 1));
    ring_timer_clear(ring, &beat);
    atomic_store(&world.begun, 2);
    while (atomic_load(&world.begun) == 2)
        ; // until nobody looks at the ring any more
    watchdog_thread_end(stack);
    fiber_sched_free(sched);
    ring_free(ring);
    return NULL;
}

static const char *lines(void)
{
    static char text[8192];
    struct slice all = log_take(&dog.log);
    assert_true(all.len < sizeof(text));
    memcpy(text, all.ptr ? all.ptr : "", all.len);
    text[all.len] = '\0';
    if (all.len > 0)
        log_written(&dog.log);
    return text;
}

static struct mono later(struct mono t, int64_t ms)
{
    return mono_add_ms(t, ms);
}

// What a command prints, of which `word` is to be a part.
static bool prints(const char *command, const char *word)
{
    char text[4096];
    FILE *out = popen(command, "r");
    assert_non_null(out);
    size_t n = fread(text, 1, sizeof(text) - 1, out);
    text[n] = '\0';
    pclose(out);
    return strstr(text, word) != NULL;
}

// As docs/cores.md says: the addresses of the line, the file with the id of the line.
static void check_symbols(const char *said)
{
    char self[256], command[2048];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    assert_true(len > 0);
    self[len] = '\0';
    int n = snprintf(command, sizeof(command), "addr2line -fe %s", self);
    static const char mark[] = "watchdog_test+";
    for (const char *at = strstr(said, mark); at != NULL; at = strstr(at + 1, mark))
        n += snprintf(command + n, sizeof(command) - (size_t)n, " 0x%lx",
                      strtoul(at + strlen(mark), NULL, 16));
    assert_true(prints(command, "hang_here"));
    const char *build = strstr(said, "\"build\":\"");
    assert_non_null(build);
    snprintf(command, sizeof(command), "readelf -n %s", self);
    char id[41];
    snprintf(id, sizeof(id), "%.40s", build + strlen("\"build\":\""));
    assert_int_equal(strspn(id, "0123456789abcdef"), 40);
    assert_true(prints(command, id));
}

static void a_loop_that_hangs_is_reported_with_its_stack(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(watchdog_init(&dog, LIMIT_MS, LOG_JSON), 0);
    assert_int_equal(pthread_create(&thread, NULL, core_main, NULL), 0);
    while (!atomic_load(&world.ring))
        ;
    struct ring *ring = atomic_load(&world.ring);
    watchdog_add(&dog, ring, thread);

    // One that turns is not, however often it is looked at.
    for (unsigned seen = 0; seen < 20;) {
        unsigned beats = atomic_load(&world.beats);
        watchdog_look(&dog, clock_mono());
        while (atomic_load(&world.beats) == beats)
            ;
        seen++;
    }
    assert_string_equal(lines(), "");

    atomic_store(&world.hang, true);
    while (!atomic_load(&world.hangs))
        ;
    struct mono since = ring_busy_since(ring);
    assert_true(since.ns > 0);
    watchdog_look(&dog, later(since, LIMIT_MS - 1));
    assert_string_equal(lines(), "");
    watchdog_look(&dog, later(since, LIMIT_MS));
    const char *said = lines();
    assert_non_null(strstr(said, "\"level\":\"error\""));
    assert_non_null(strstr(said, "the core's loop does not turn"));
    assert_non_null(strstr(said, "\"core\":0"));
    assert_non_null(strstr(said, "\"for_ms\":1000"));
    assert_non_null(strstr(said, "\"stack\":\"watchdog_test+0x"));
    check_symbols(said);

    // Again when it has doubled, not before.
    watchdog_look(&dog, later(since, 2 * LIMIT_MS - 1));
    assert_string_equal(lines(), "");
    watchdog_look(&dog, later(since, 2 * LIMIT_MS));
    assert_non_null(strstr(lines(), "\"for_ms\":2000"));
    watchdog_look(&dog, later(since, 3 * LIMIT_MS));
    assert_string_equal(lines(), "");

    atomic_store(&world.hang, false);
    while (atomic_load(&world.hangs) || ring_busy_since(ring).ns == since.ns)
        ;
    watchdog_look(&dog, clock_mono());
    assert_non_null(strstr(lines(), "the core's loop turns again"));
    watchdog_look(&dog, clock_mono());
    assert_string_equal(lines(), "");

    ring_stop(ring);
    while (atomic_load(&world.begun) != 2)
        ;
    assert_int_equal(ring_busy_since(ring).ns, 0);
    atomic_store(&world.begun, 3);
    pthread_join(thread, NULL);
    watchdog_done(&dog);
}

static void the_pause_is_half_the_limit(void **state)
{
    (void)state;
    dog.limit_ms = 1000;
    assert_int_equal(watchdog_pause_ms(&dog), 500);
    dog.limit_ms = 1;
    assert_int_equal(watchdog_pause_ms(&dog), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_that_hangs_is_reported_with_its_stack),
        cmocka_unit_test(the_pause_is_half_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
