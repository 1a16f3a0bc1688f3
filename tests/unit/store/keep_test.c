// SPDX-License-Identifier: Apache-2.0
//
// keep_test.c: what is too old or too much goes, and nothing else.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/bundle.h"
#include "store/keys.h"

#define DAY_US UINT64_C(86400000000)

static uint64_t all_bytes(struct store *s)
{
    return rocks_bytes(s->logs) + segments_bytes(s->segments);
}

static uint64_t total(struct store *s)
{
    struct asker a;
    asker_open(&a, s);
    uint64_t n = search_for(&a, (struct store_query){.limit = 1}).total;
    asker_close(&a);
    return n;
}

static void rows_and_content_go_by_age(void **state)
{
    (void)state;
    // The store's own thread cleans up too, by the clock: so what is old is old to both.
    const struct wall today = clock_wall();
    const uint64_t base_us = (uint64_t)(today.ns / NS_PER_US);
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned day = 0; day < 20; day++)
        for (unsigned i = 0; i < 100; i++) {
            struct store_record r = sample(base_us - day * DAY_US - 2 * BUNDLE_SPAN_US - i);
            r.request = SLICE("question");
            put(s, 0, &r, STORE_KEPT_ALL);
        }
    drain(s);
    store_retain(s, 10, 3, 0);
    assert_int_equal(store__clean_up(s, today), 0);
    assert_int_equal(keys_of(s, KEYS_ROWS), 10); // a bundle a day
    assert_int_equal(keys_of(s, KEYS_CONTENTS), 3);
    assert_int_equal(total(s), 1000);
    store_close(s);
    p.options.row_days = 0; // the floor is remembered
    s = place_open(&p);
    assert_int_equal(total(s), 1000);
    // What comes late and is too old is hidden, and goes at the next clean-up.
    struct store_record r = sample(base_us - 30 * DAY_US);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(total(s), 1000);
    store_retain(s, 5, 0, 0);
    assert_int_equal(store__clean_up(s, today), 0);
    assert_int_equal(total(s), 500);
    assert_int_equal(keys_of(s, KEYS_ROWS), 5);
    store_close(s);
    place_done(&p);
}

static void the_oldest_go_when_it_is_too_much(void **state)
{
    (void)state;
    struct place p;
    struct prng prng;
    static char body[20000];
    place_make(&p);
    const uint64_t max = 10 << 20;
    p.options.ring_bytes = 16 << 20;
    p.options.logs_bytes_max = 10 << 20;
    struct store *s = place_open(&p);
    prng_seed(&prng, 1);
    for (unsigned i = 0; i < 1000; i++) {
        struct store_record r = sample(T0_US + i * UINT64_C(60000000));
        for (size_t b = 0; b < sizeof(body); b++)
            body[b] = (char)prng_next(&prng);
        r.request = slice_of(body, sizeof(body));
        put(s, 0, &r, STORE_KEPT_ALL);
        if (i % 100 == 0)
            drain(s);
    }
    drain(s);
    assert_true(all_bytes(s) > 19 << 20);
    assert_int_equal(store__clean_up(s, wall_us(T0_US + 1001 * UINT64_C(60000000))), 0);
    assert_true(all_bytes(s) <= max && all_bytes(s) > max / 2);
    uint64_t left = total(s);
    assert_true(left > 250 && left < 550);
    struct asker a;
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.limit = 1});
    assert_int_equal(page.found[0].id.time_us, T0_US + 999 * UINT64_C(60000000)); // the newest
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// Contents that are not kept any more: no other file comes behind the last one.
static void the_newest_segment_goes_when_it_is_too_old(void **state)
{
    (void)state;
    const struct wall today = clock_wall();
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    struct store_record r = sample((uint64_t)(today.ns / NS_PER_US) - 4 * DAY_US);
    r.request = SLICE("question");
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(segment_files(p.dir, NULL, NULL), 2);
    store_retain(s, 10, 3, 0);
    assert_int_equal(store__clean_up(s, today), 0);
    assert_int_equal(segment_files(p.dir, NULL, NULL), 1);
    struct asker a;
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.limit = 1});
    assert_int_equal(page.total, 1);
    assert_true(slice_eq(page.found[0].row, r.row));
    asker_close(&a);
    r.time = today; // and it goes on in a new one
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(segment_files(p.dir, NULL, NULL), 3); // of rows there are two, days apart
    store_close(s);
    place_done(&p);
}

// A clock that was a year ahead for a while: what it dated must not take along all that comes.
static void what_is_dated_later_than_now_hides_nothing(void **state)
{
    (void)state;
    const struct wall today = clock_wall();
    const uint64_t now_us = (uint64_t)(today.ns / NS_PER_US);
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    struct store_record r = sample(now_us + 365 * DAY_US);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    segments_seal(s->segments, UINT64_MAX);
    r = sample(now_us);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    store_retain(s, 0, 0, 1);
    assert_int_equal(store__clean_up(s, today), 0);
    assert_true(atomic_load(&s->floor_us) < now_us);
    assert_int_equal(total(s), 2);
    store_close(s);
    place_done(&p);
}

static void counters_of_long_ago_go(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct store_record r = sample(T0_US);
    const uint64_t now_s = (uint64_t)(clock_wall().ns / NS_PER_S);
    r.moves = 2;
    r.move[0] = (struct store_move){SLICE("c"), now_s - 401 * UINT64_C(86400), 1};
    r.move[1] = (struct store_move){SLICE("c"), now_s - 399 * UINT64_C(86400), 2};
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(store__clean_up(s, clock_wall()), 0);
    assert_int_equal(counter_value(s, "c", r.move[0].window), 0);
    assert_int_equal(counter_value(s, "c", r.move[1].window), 2);
    store_close(s);
}

static void sync_fn(struct asker *a, struct fiber *self, void *arg)
{
    *(int *)arg = store_sync_await(a->store, self);
}

static void synced_is_what_was_put_before(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    int err = 1;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    struct store_record r = sample(T0_US);
    put(s, 0, &r, STORE_KEPT_ALL);
    ask(&a, sync_fn, &err);
    assert_int_equal(err, 0);
    assert_true(atomic_load(&s->synced) >= 1);
    assert_int_equal(atomic_load(&s->numbers.records), 1);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_content_go_by_age),
        cmocka_unit_test(the_oldest_go_when_it_is_too_much),
        cmocka_unit_test(the_newest_segment_goes_when_it_is_too_old),
        cmocka_unit_test(what_is_dated_later_than_now_hides_nothing),
        cmocka_unit_test(counters_of_long_ago_go),
        cmocka_unit_test(synced_is_what_was_put_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
