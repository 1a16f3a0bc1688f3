// SPDX-License-Identifier: Apache-2.0
//
// metrics_store_test.c: the store's figures as a scrape sees them, in each state.
#include "gateway/metrics_series.h"
#include "tests/unit/store/fixture.h"

static struct buf page;

static bool says(const struct store *s, const char *line)
{
    char whole[200];
    buf_reset(&page);
    metrics__write_store(&page, s);
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    return slice_find(buf_slice(&page), slice_str(whole)) >= 0;
}

static void without_a_store_there_is_nothing(void **state)
{
    (void)state;
    buf_init(&page, 1 << 20);
    metrics__write_store(&page, NULL);
    assert_int_equal(page.len, 0);
    buf_done(&page);
}

static void what_was_kept_and_what_was_not(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    p.options.encryption_key = SLICE("a passphrase of some length");
    p.options.ring_bytes = 64 << 10; // room for twenty requests
    buf_init(&page, 1 << 20);
    struct store *s = place_open(&p);
    struct store_ring *ring = store_ring(s, 0);
    unsigned promised = 0;
    while (store_reserve(ring) == 0)
        promised++;
    assert_true(promised > 0 && store_reserve(ring) == ERR_LIMIT);
    for (unsigned i = 0; i < promised; i++)
        store_unreserve(ring);
    assert_true(says(s, "ringgate_store_refused_total 2"));
    struct store_record r = sample(T0_US);
    put(s, 0, &r, STORE_KEPT_ALL);
    static char body[32 << 10];
    memset(body, 'b', sizeof(body));
    r.request = slice_of(body, sizeof(body)); // too much for a quarter of the ring to stay free
    r.answer = r.request;
    put(s, 0, &r, STORE_KEPT_NO_CONTENT);
    drain(s);
    assert_int_equal(store__sync(s), 0);
    assert_true(says(s, "ringgate_store_records_total 2"));
    assert_true(says(s, "ringgate_store_content_dropped_total 1"));
    assert_true(says(s, "ringgate_store_rows_dropped_total 0"));
    assert_true(says(s, "ringgate_store_damaged_total 0"));
    assert_true(says(s, "ringgate_store_errors_total 0"));
    assert_false(says(s, "ringgate_store_syncs_total 0"));
    assert_true(says(s, "ringgate_store_queued_bytes 0"));
    assert_true(says(s, "ringgate_store_ring_bytes 65536"));
    assert_true(says(s, "ringgate_store_state{state=\"ready\"} 1"));
    assert_true(says(s, "ringgate_store_state{state=\"standby\"} 0"));
    assert_true(says(s, "ringgate_store_level{level=\"all\"} 1"));
    assert_true(says(s, "ringgate_store_level{level=\"no_rows\"} 0"));
    assert_true(says(s, "ringgate_store_writing 1"));
    assert_true(says(s, "ringgate_store_encrypted 1"));
    store_close(s);
    buf_done(&page);
    place_done(&p);
}

static void who_stands_by_says_so(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    buf_init(&page, 1 << 20);
    struct store *old = place_open(&p);
    p.options.standby = true;
    struct store *next = place_open(&p);
    assert_true(says(next, "ringgate_store_state{state=\"standby\"} 1"));
    assert_true(says(next, "ringgate_store_writing 0"));
    assert_true(says(old, "ringgate_store_encrypted 0"));
    store_close(next);
    store_close(old);
    buf_done(&page);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_store_there_is_nothing),
        cmocka_unit_test(what_was_kept_and_what_was_not),
        cmocka_unit_test(who_stands_by_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
