// SPDX-License-Identifier: Apache-2.0
//
// process_test.c: what --check-config says, and the gates that threads pass together.
//
// Start, reload and stop of a whole process are tests/e2e/test_process.py's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/process_internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- --check-config --------------------------------------------------------------------------

// Checks a folder with this config.json; what was printed is in `said`.
static int check(const char *text, char *said, size_t size)
{
    struct options o = {0};
    char folder[] = "/tmp/ringgate-process-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/config.json", folder);
    snprintf(o.app_dir, sizeof(o.app_dir), "%s", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    FILE *out = tmpfile();
    assert_non_null(out);
    fflush(stdout);
    int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    dup2(fileno(out), STDOUT_FILENO);
    int status = process_check_config(&o);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(out);
    said[fread(said, 1, size - 1, out)] = '\0';
    fclose(out);
    unlink(path);
    rmdir(folder);
    return status;
}

#define KEYS "\"keys\":[{\"name\":\"a\",\"value\":\"sk-hidden\",\"models\":[\"*\"],\"weight\":1}]"

static void a_usable_configuration_is_fine(void **state)
{
    (void)state;
    char said[4096];
    assert_int_equal(check("{\"providers\":{\"openai\":{" KEYS "}}}", said, sizeof(said)), 0);
    assert_string_equal(said, "the configuration is fine\n");
}

static void a_warning_does_not_refuse(void **state)
{
    (void)state;
    char said[4096];
    assert_int_equal(
        check("{\"mcp\":{\"client_configs\":[{\"name\":\"files\",\"connection_type\":\"http\","
              "\"connection_string\":\"http://127.0.0.1:1\"}]},\"providers\":{\"openai\":{" KEYS
              "}}}",
              said, sizeof(said)),
        EXIT_SUCCESS);
    assert_non_null(strstr(said, "mcp"));
    assert_non_null(strstr(said, "the configuration is fine\n"));
}

static void a_mistake_is_named_and_keys_are_not(void **state)
{
    (void)state;
    char said[4096];
    assert_int_equal(
        check("{\"providers\":{\"openai\":{\"kyes\":1," KEYS "}}}", said, sizeof(said)),
        EXIT_FAILURE);
    assert_non_null(strstr(said, "providers.openai.kyes"));
    assert_non_null(strstr(said, "the configuration is not usable\n"));
    assert_null(strstr(said, "sk-hidden"));
}

// ---- Gates -----------------------------------------------------------------------------------

#define THREADS 4

struct walker {
    struct process *process;
    pthread_t thread;
    _Atomic unsigned *arrived;
    bool fails;   // instead of arriving
    bool passed;  // the first gate
    unsigned saw; // who had arrived when it opened
};

static struct process *process_new(unsigned expected)
{
    struct process *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, sizeof(*p));
    pthread_mutex_init(&p->gates.mutex, NULL);
    pthread_cond_init(&p->gates.changed, NULL);
    for (unsigned i = 0; i < PHASE_COUNT; i++)
        p->gates.expected[i] = expected;
    return p;
}

static void process_end(struct process *p)
{
    pthread_cond_destroy(&p->gates.changed);
    pthread_mutex_destroy(&p->gates.mutex);
    free(p);
}

static void *walk(void *walker)
{
    struct walker *w = walker;
    atomic_fetch_add(w->arrived, 1);
    if (w->fails)
        process__fail(w->process, "thread %d of %s", 7, "core");
    else
        w->passed = process__pass(w->process, PHASE_MADE);
    w->saw = atomic_load(w->arrived);
    return NULL;
}

static void start(struct walker *w, struct process *p, _Atomic unsigned *arrived, bool fails)
{
    *w = (struct walker){.process = p, .arrived = arrived, .fails = fails};
    assert_int_equal(pthread_create(&w->thread, NULL, walk, w), 0);
}

static void a_gate_opens_when_all_have_come(void **state)
{
    (void)state;
    struct process *p = process_new(THREADS);
    struct walker w[THREADS];
    _Atomic unsigned arrived = 0;
    for (unsigned i = 0; i < THREADS; i++)
        start(&w[i], p, &arrived, false);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_true(w[i].passed);
        assert_int_equal(w[i].saw, THREADS);
    }
    process_end(p);
}

static void a_failure_opens_every_gate(void **state)
{
    (void)state;
    struct process *p = process_new(THREADS + 1); // one never comes
    struct walker w[THREADS];
    _Atomic unsigned arrived = 0;
    for (unsigned i = 0; i < THREADS; i++)
        start(&w[i], p, &arrived, i == THREADS - 1);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
        assert_false(w[i].passed);
    }
    process__fail(p, "a later reason");
    assert_string_equal(p->gates.reason, "thread 7 of core");
    assert_false(process__pass(p, PHASE_ALL)); // and at once
    process_end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usable_configuration_is_fine),
        cmocka_unit_test(a_warning_does_not_refuse),
        cmocka_unit_test(a_mistake_is_named_and_keys_are_not),
        cmocka_unit_test(a_gate_opens_when_all_have_come),
        cmocka_unit_test(a_failure_opens_every_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
