// SPDX-License-Identifier: Apache-2.0
//
// process_stored_test.c: rows of the store on their way into snapshots and to the next process.
#include "tests/unit/gateway/process_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct rows {
    const struct store_change *changes;
    unsigned count;
    int err;
};

static void rows_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct rows *r = arg;
    r->err = store_change_await(a->store, self, r->changes, r->count);
}

static void keep_rows(struct place *p, const struct store_change *changes, unsigned count)
{
    struct asker a;
    struct rows r = {.changes = changes, .count = count};
    struct process *process = process_new(p);
    assert_int_equal(process__open_store(process), 0);
    asker_open(&a, process->gateway.store);
    ask(&a, rows_fn, &r);
    asker_close(&a);
    assert_int_equal(r.err, 0);
    process_end(process);
}

static void rows_are_read_once_and_passed_on(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    const struct store_change rows[] = {
        {STORE_BUDGET, SLICE("b"), SLICE("{\"id\":\"b\"}")},
        {STORE_VIRTUAL_KEY, SLICE("y"), SLICE("{\"id\":\"y\"}")},
        {STORE_VIRTUAL_KEY, SLICE("x"), SLICE("{\"id\":\"x\"}")},
    };
    keep_rows(&p, rows, 3);
    struct process *process = process_new(&p);
    config.logging.enabled = false; // there is a store: it is read all the same
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), 0);
    struct slice text = SLICE("{\"virtual_keys\":[{\"id\":\"x\"},{\"id\":\"y\"}],"
                              "\"budgets\":[{\"id\":\"b\"}]}");
    assert_true(slice_eq(process->stored.text, text));

    // The next process cannot open it.
    struct process *next = process_new(&p);
    next->upgrade.successor = true;
    int fd = fcntl(process->stored.fd, F_DUPFD_CLOEXEC, 0);
    assert_true(fd >= 0);
    handover_add(&next->upgrade.inherited, "stored", fd);
    assert_int_equal(process__take_stored(next), 0);
    assert_int_equal(process__open_store(next), 0);
    assert_int_equal(process__load_stored(next), 0);
    assert_true(slice_eq(next->stored.text, text));
    process_end(next);
    process_end(process);
    place_done(&p);
}

static void no_row_is_no_text(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct process *process = process_new(&p);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), 0);
    assert_int_equal(process->stored.text.len, 0);
    assert_int_equal(process->stored.fd, -1);
    assert_int_equal(process__take_stored(process), 0);
    process_end(process);
    place_done(&p);
}

static void a_row_that_is_no_object_stops_the_start(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    const struct store_change row = {STORE_BUDGET, SLICE("b"), SLICE("{},{}")};
    keep_rows(&p, &row, 1);
    struct process *process = process_new(&p);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), ERR_BAD_JSON);
    process_end(process);
    // Unless nobody asks for it.
    process = process_new(&p);
    config.no_stored = true;
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), 0);
    config.logging.enabled = false;
    process_end(process);
    process = process_new(&p);
    config.no_stored = true;
    config.logging.enabled = false;
    assert_int_equal(process__open_store(process), 0);
    assert_null(process->gateway.store);
    process_end(process);
    place_done(&p);
}

// Limits that do not fit must not be left out: then they would limit nobody.
static void more_rows_than_may_be_stop_the_start(void **state)
{
    (void)state;
    struct place p;
    static struct store_change rows[64];
    static char ids[ARRAY_LEN(rows)][3];
    size_t len = STORE_VALUE_BYTES_MAX;
    char *text = malloc(len);
    memset(text, 'x', len);
    memcpy(text, "{\"id\":\"", 7);
    memcpy(text + len - 2, "\"}", 2);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(ids[i], sizeof(ids[i]), "%02u", i);
        rows[i] = (struct store_change){STORE_BUDGET, slice_of(ids[i], 2), slice_of(text, len)};
    }
    place_make(&p);
    keep_rows(&p, rows, ARRAY_LEN(rows) - 1);
    struct process *process = process_new(&p);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), 0);
    assert_true(process->stored.text.len > (ARRAY_LEN(rows) - 1) * len);
    process_end(process);
    // The last one would fit without what stands around it.
    keep_rows(&p, rows + ARRAY_LEN(rows) - 1, 1);
    process = process_new(&p);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__load_stored(process), ERR_LIMIT);
    assert_int_equal(process->stored.text.len, 0);
    process_end(process);
    place_done(&p);
    free(text);
}

static void memory_that_can_change_is_not_taken(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct process *process = process_new(&p);
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, "stored 1{}", 10), 10);
    handover_add(&process->upgrade.inherited, "stored", fd);
    assert_int_equal(process__take_stored(process), ERR_UNSUPPORTED);
    process__stored_free(process);
    fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, "stored 2{}", 10), 10);
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
    handover_add(&process->upgrade.inherited, "stored", fd);
    assert_int_equal(process__take_stored(process), ERR_UNSUPPORTED);
    process_end(process);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_once_and_passed_on),
        cmocka_unit_test(no_row_is_no_text),
        cmocka_unit_test(a_row_that_is_no_object_stops_the_start),
        cmocka_unit_test(more_rows_than_may_be_stop_the_start),
        cmocka_unit_test(memory_that_can_change_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
