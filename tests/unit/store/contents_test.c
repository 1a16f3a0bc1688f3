// SPDX-License-Identifier: Apache-2.0
//
// contents_test.c: requests that are kept once, and what becomes of those that refer to them.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/bundle.h"
#include "store/keys.h"
#include "store/share.h"

#define TEXT_BYTES 60000

// Words in quotes, so that there is something to cut at.
static void fill(char *text, size_t len, uint64_t seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 11 == 0 ? '"' : (char)('a' + prng_next(&prng) % 26);
}

static struct store_id put_text(struct store *s, uint64_t us, const char *key, struct slice text)
{
    struct store_record r = sample(us);
    r.word[STORE_WORD_VIRTUAL_KEY] = slice_str(key);
    r.request = text;
    r.answer = SLICE("fine");
    return put(s, 0, &r, STORE_KEPT_ALL);
}

static struct store_entry entry_of(struct asker *a, struct store_id id)
{
    struct got g = {.id = id};
    ask(a, got_fn, &g);
    assert_int_equal(g.err, 0);
    return g.entry;
}

static void expect_text(struct asker *a, struct store_id id, struct slice text)
{
    struct store_entry e = entry_of(a, id);
    assert_true(slice_eq(e.request, text));
    assert_true(slice_eq(e.answer, SLICE("fine")));
}

static void a_text_that_comes_again_is_kept_once(void **state)
{
    (void)state;
    static char text[TEXT_BYTES + 100];
    const unsigned turns = 50;
    struct store_id id[50];
    struct store *s = memory_open();
    struct asker a;
    fill(text, sizeof(text), 1);
    for (unsigned i = 0; i < turns; i++) {
        snprintf(text + TEXT_BYTES, 100, "turn %02u", i);
        id[i] = put_text(s, T0_US + i, "vk-1", slice_of(text, TEXT_BYTES + 100));
        if (i % 7 == 0)
            drain(s);
    }
    drain(s);
    uint64_t bytes = segments_bytes(s->segments);
    assert_true(bytes > TEXT_BYTES / 2 && bytes < 4 * TEXT_BYTES);
    asker_open(&a, s);
    for (unsigned i = 0; i < turns; i++) {
        snprintf(text + TEXT_BYTES, 100, "turn %02u", i);
        expect_text(&a, id[i], slice_of(text, TEXT_BYTES + 100));
    }
    // Found in each, by what only the first one carries.
    struct store_query q = {.content = slice_of(text + 20000, 40),
                            .text = plain_text,
                            .from = wall_us(T0_US - 1),
                            .to = wall_us(T0_US + turns)};
    assert_int_equal(search_for(&a, q).total, turns);
    asker_close(&a);
    store_close(s);
}

static void another_key_shares_nothing(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    struct store *s = memory_open();
    fill(text, sizeof(text), 2);
    put_text(s, T0_US, "vk-1", slice_of(text, sizeof(text)));
    drain(s);
    uint64_t one = segments_bytes(s->segments);
    put_text(s, T0_US + 1, "vk-2", slice_of(text, sizeof(text)));
    drain(s);
    assert_true(segments_bytes(s->segments) > one + one / 2);
    put_text(s, T0_US + 2, "vk-2", slice_of(text, sizeof(text)));
    drain(s);
    assert_true(segments_bytes(s->segments) < 2 * one + one / 2);
    store_close(s);
}

static void a_deleted_one_leaves_others_whole(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    struct store *s = memory_open();
    struct asker a;
    fill(text, sizeof(text), 3);
    struct store_id first = put_text(s, T0_US, "vk-1", slice_of(text, sizeof(text)));
    struct store_id second = put_text(s, T0_US + 1, "vk-1", slice_of(text, sizeof(text)));
    drain(s);
    asker_open(&a, s);
    struct removal gone = {.ids = &first, .count = 1};
    ask(&a, remove_fn, &gone);
    assert_int_equal(gone.err, 0);
    struct got g = {.id = first};
    ask(&a, got_fn, &g);
    assert_int_equal(g.err, ERR_NOT_FOUND);
    expect_text(&a, second, slice_of(text, sizeof(text)));
    asker_close(&a);
    store_close(s);
}

// The first one is given up by the drain; the second was put while that was not known.
static void what_refers_to_what_was_given_up_is_given_up(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    struct store *s = memory_open();
    struct store_health h;
    struct asker a;
    fill(text, sizeof(text), 4);
    pthread_mutex_lock(&s->batch_mutex);
    struct store_id lost = put_text(s, T0_US, "vk-1", slice_of(text, sizeof(text)));
    atomic_store(&s->level, STORE_NO_CONTENT);
    assert_int_equal(store__drain_all(s), 0);
    atomic_store(&s->level, STORE_ALL);
    store_health(s, &h);
    assert_int_equal(h.content_dropped, 1);
    // In the ring before its owner looks at the losses again: as if they had come later.
    struct store_ring *ring = store_ring(s, 0);
    ring->losses = spool_losses(ring->spool);
    struct store_id stale = put_text(s, T0_US + 1, "vk-1", slice_of(text, sizeof(text)));
    spool_lose(ring->spool);
    assert_int_equal(store__drain_all(s), 0);
    store_health(s, &h);
    assert_int_equal(h.content_dropped, 2);
    struct store_id whole = put_text(s, T0_US + 2, "vk-1", slice_of(text, sizeof(text)));
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
    store_health(s, &h);
    assert_int_equal(h.content_dropped, 2);
    asker_open(&a, s);
    assert_int_equal(entry_of(&a, lost).request.len, 0);
    assert_int_equal(entry_of(&a, stale).request.len, 0);
    expect_text(&a, whole, slice_of(text, sizeof(text)));
    asker_close(&a);
    store_close(s);
}

// A content whose reference leads nowhere is gone as a whole; its row is there.
static void half_a_request_is_told_as_none(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    struct store *s = memory_open();
    struct asker a;
    fill(text, sizeof(text), 5);
    struct store_id first = put_text(s, T0_US, "vk-1", slice_of(text, sizeof(text)));
    struct store_id second =
        put_text(s, T0_US + 2 * BUNDLE_SPAN_US, "vk-1", slice_of(text, sizeof(text)));
    drain(s);
    struct rocks_batch *b = rocks_batch_new();
    struct keys_key key = keys_id(KEYS_CONTENTS, first);
    rocks_batch_delete(b, keys_slice(&key));
    assert_int_equal(rocks_write(s->logs, b, false), 0);
    rocks_batch_free(b);
    asker_open(&a, s);
    struct store_entry e = entry_of(&a, second);
    assert_int_equal(e.request.len + e.answer.len, 0);
    assert_true(slice_eq(e.row, SLICE("{\"id\":1}")));
    asker_close(&a);
    store_close(s);
}

// A stream's request is in the ring before its record, and the same text is known from then on.
static void a_request_may_come_before_its_record(void **state)
{
    (void)state;
    static char text[TEXT_BYTES];
    struct store *s = memory_open();
    struct store_ring *ring = store_ring(s, 0);
    struct store_early early[2];
    struct store_id id[2];
    struct store_health h;
    struct asker a;
    asker_open(&a, s);
    fill(text, sizeof(text), 6);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(store_put_request(ring, wall_us(T0_US + i), SLICE("vk-1"),
                                      slice_of(text, sizeof(text)), &a.arena, &early[i]));
        assert_true(early[i].refers.len < 100);
    }
    assert_false(store_put_request(ring, wall_us(T0_US), SLICE("vk-1"), SLICE("short"), &a.arena,
                                   &early[0]));
    drain(s);
    for (unsigned i = 0; i < 2; i++) {
        struct store_record r = sample(T0_US + 10 * BUNDLE_SPAN_US + i);
        r.early = early[i];
        r.answer = SLICE("fine");
        id[i] = put(s, 0, &r, STORE_KEPT_ALL);
    }
    drain(s);
    assert_true(segments_bytes(s->segments) < 2 * TEXT_BYTES);
    store_health(s, &h);
    assert_int_equal(h.records, 2);
    assert_int_equal(search_for(&a, (struct store_query){.limit = 1}).total, 2);
    for (unsigned i = 0; i < 2; i++)
        expect_text(&a, id[i], slice_of(text, sizeof(text)));
    // What was given up meanwhile takes the record's content along, which counts it.
    spool_lose(ring->spool);
    struct store_record r = sample(T0_US + 20 * BUNDLE_SPAN_US);
    r.early = early[0];
    id[0] = put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    store_health(s, &h);
    assert_int_equal(h.content_dropped, 1);
    assert_int_equal(entry_of(&a, id[0]).request.len, 0);
    asker_close(&a);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_comes_again_is_kept_once),
        cmocka_unit_test(another_key_shares_nothing),
        cmocka_unit_test(a_deleted_one_leaves_others_whole),
        cmocka_unit_test(what_refers_to_what_was_given_up_is_given_up),
        cmocka_unit_test(half_a_request_is_told_as_none),
        cmocka_unit_test(a_request_may_come_before_its_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
