// SPDX-License-Identifier: Apache-2.0
//
// process_store_test.c: whether a store is opened at the start, and what fills the ledger.
#include "tests/unit/gateway/process_fixture.h"

static void a_store_is_opened_when_it_is_wanted(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct process *process = process_new(&p);
    config.logging.enabled = false;
    assert_int_equal(process__open_store(process), 0);
    assert_null(process->gateway.store);
    config.logging.enabled = true;
    assert_int_equal(process__open_store(process), 0);
    assert_true(store_is_ready(process->gateway.store));
    assert_non_null(store_ring(process->gateway.store, 1));
    process_end(process);
    place_done(&p);
}

static void one_that_cannot_be_opened_stops_the_start(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct process *first = process_new(&p);
    assert_int_equal(process__open_store(first), 0);
    struct process *second = process_new(&p);
    assert_true(process__open_store(second) < 0);
    assert_null(second->gateway.store);
    // But who takes the first one's place stands by.
    second->upgrade.successor = true;
    assert_int_equal(process__open_store(second), 0);
    assert_false(store_is_ready(second->gateway.store));
    process_end(second);
    process_end(first);
    place_done(&p);
}

static void what_the_store_knows_fills_a_new_ledger(void **state)
{
    (void)state;
    const uint64_t window = window_s();
    struct place p;
    struct ledger_limit limit = {.max = 100};
    place_make(&p);
    struct process *process = process_new(&p);
    assert_int_equal(process__open_store(process), 0);
    struct store_record r = sample(T0_US);
    r.moves = 1;
    r.move[0] = (struct store_move){SLICE("requests/r"), window, 7};
    put(process->gateway.store, 0, &r, STORE_KEPT_ALL);
    process_end(process);

    process = process_new(&p);
    process->gateway.ledger.folder = process->shared_dir;
    const char *reason;
    assert_int_equal(ledger_place_open(&process->gateway.ledger, &reason), 0);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__fill_ledger(process), 0);
    assert_int_equal(
        ledger_counter(process->gateway.ledger.ledger, SLICE("requests/r"), &limit.counter), 0);
    assert_int_equal(period_parse(SLICE("30d"), &limit.period), 0);
    struct ledger_view v = ledger_view(&limit, window + 10);
    assert_int_equal(v.used, 7);
    assert_int_equal(v.committed, 7);
    assert_int_equal(v.window, window);
    process_end(process);
    place_done(&p);
}

static struct process *process_with_ledger(struct place *p, struct ledger_limit *limit)
{
    const char *reason;
    struct process *process = process_new(p);
    process->gateway.ledger.folder = process->shared_dir;
    assert_int_equal(ledger_place_open(&process->gateway.ledger, &reason), 0);
    assert_int_equal(
        ledger_counter(process->gateway.ledger.ledger, SLICE("requests/r"), &limit->counter), 0);
    assert_int_equal(period_parse(SLICE("30d"), &limit->period), 0);
    assert_int_equal(process__open_store(process), 0);
    assert_int_equal(process__fill_ledger(process), 0);
    return process;
}

// It was killed behind the settlement and before the record.
static void what_was_charged_and_not_recorded_is_taken_back(void **state)
{
    (void)state;
    const uint64_t now = window_s();
    struct place p;
    struct ledger_limit limit = {.max = 100};
    place_make(&p);
    struct process *process = process_with_ledger(&p, &limit);
    struct ledger *ledger = process->gateway.ledger.ledger;
    assert_true(ledger_reserve(ledger, &limit, 7, now));
    struct store_record r = sample(T0_US);
    r.moves = 1;
    r.move[0] =
        (struct store_move){SLICE("requests/r"), ledger_settle(ledger, &limit, 7, 7, now), 7};
    put(process->gateway.store, 0, &r, STORE_KEPT_ALL);
    assert_true(ledger_reserve(ledger, &limit, 3, now));
    (void)ledger_settle(ledger, &limit, 3, 3, now); // and no record
    assert_true(ledger_reserve(ledger, &limit, 2, now));
    (void)ledger_settle(ledger, &limit, 2, 2, now); // nobody wanted one
    ledger_unrecorded(&limit, 2);
    assert_int_equal(ledger_view(&limit, now + 10).used, 12);
    process_end(process);

    for (unsigned starts = 0; starts < 2; starts++) {
        process = process_with_ledger(&p, &limit);
        struct ledger_view v = ledger_view(&limit, now + 10);
        assert_int_equal(v.used, 9);
        assert_int_equal(v.committed, 9);
        assert_int_equal(v.window, now);
        process_end(process);
    }
    place_done(&p);
}

static void a_new_snapshot_says_how_long_records_are_kept(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct process *process = process_new(&p);
    const struct config_logging fresh = {.row_days = 7, .content_days = 2, .bytes_max = 1 << 30};
    process__retain(process, &fresh); // no store: nothing
    config.logging.row_days = 30;
    config.logging.content_days = 20;
    config.logging.free_bytes = 4096;
    assert_int_equal(process__open_store(process), 0);
    struct store *s = process->gateway.store;
    assert_int_equal(s->row_days, 30);
    assert_int_equal(s->content_days, 20);
    assert_int_equal(s->logs_bytes_max, 0);
    assert_int_equal(s->free_bytes_min, 4096);
    process__retain(process, &fresh);
    assert_int_equal(s->row_days, 7);
    assert_int_equal(s->content_days, 2);
    assert_int_equal(s->logs_bytes_max, 1 << 30);
    process_end(process);
    place_done(&p);
}

// The process keeps what a reload is compared with; a copy, for the snapshot goes.
static void the_key_of_the_configuration_is_the_stores(void **state)
{
    (void)state;
    struct place p;
    char reason[STORE_REASON_BYTES];
    place_make(&p);
    struct process *process = process_new(&p);
    assert_true(process__key_fits(&options, &config, reason)); // no store yet
    config.encryption_key = SLICE("a passphrase of some length");
    assert_int_equal(process__open_store(process), 0);
    assert_true(process->gateway.store->sealed);
    assert_true(slice_eq(buf_slice(&process->encryption_key), config.encryption_key));
    assert_true(process->encryption_key.ptr != config.encryption_key.ptr);
    // Also while it is open.
    assert_true(process__key_fits(&options, &config, reason));
    config.encryption_key = SLICE("another passphrase");
    assert_false(process__key_fits(&options, &config, reason));
    assert_non_null(strstr(reason, "is not the one that the rows"));
    assert_null(strstr(reason, "passphrase"));
    config.logging.enabled = false; // one that is there is opened …
    assert_false(process__key_fits(&options, &config, reason));
    config.no_stored = true; // … unless nobody wants it
    assert_true(process__key_fits(&options, &config, reason));
    config.logging.enabled = true;
    process_end(process);
    process = process_new(&p);
    assert_int_equal(process__open_store(process), ERR_CREDENTIAL); // none given
    assert_null(process->gateway.store);
    process_end(process);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_is_opened_when_it_is_wanted),
        cmocka_unit_test(one_that_cannot_be_opened_stops_the_start),
        cmocka_unit_test(what_the_store_knows_fills_a_new_ledger),
        cmocka_unit_test(what_was_charged_and_not_recorded_is_taken_back),
        cmocka_unit_test(a_new_snapshot_says_how_long_records_are_kept),
        cmocka_unit_test(the_key_of_the_configuration_is_the_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
