// SPDX-License-Identifier: Apache-2.0
//
// append_test.c: what a batch appends, of which rings, and when the disk does not take it.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/find.h"

#define RINGS 3

static struct segment segment_of(struct store *s, enum segment_kind kind, uint32_t number)
{
    struct keys_key key = keys_segment(kind, number);
    struct segment segment = {.kind = kind};
    struct buf value;
    buf_init(&value, 64);
    if (rocks_get(s->logs, keys_slice(&key), &value) == 0)
        assert_true(find_read_segment(keys_slice(&key), buf_slice(&value), &segment));
    buf_done(&value);
    return segment;
}

static struct store_entry entry_of(struct asker *a, struct store_id id)
{
    struct got got = {.id = id};
    ask(a, got_fn, &got);
    assert_int_equal(got.err, 0);
    return got.entry;
}

static void a_batch_of_several_rings_is_appended_once(void **state)
{
    (void)state;
    struct store_options options;
    struct store_id id[RINGS][10];
    struct store *s;
    struct asker a;
    char reason[STORE_REASON_BYTES], rows[RINGS][10][16];
    memory_options(&options);
    options.cores = RINGS;
    assert_int_equal(store_open(&options, &s, reason), 0);
    pthread_mutex_lock(&s->batch_mutex);
    for (unsigned i = 0; i < 10; i++)
        for (unsigned ring = 0; ring < RINGS; ring++) {
            struct store_record r = sample(T0_US + i * 10 + ring);
            snprintf(rows[ring][i], sizeof(rows[ring][i]), "row %u %u", ring, i);
            r.row = slice_str(rows[ring][i]);
            if (ring == 1)
                r.request = SLICE("question");
            id[ring][i] = put(s, ring, &r, STORE_KEPT_ALL);
        }
    uint64_t written = atomic_load(&s->written);
    assert_int_equal(store__drain_all(s), 0);
    assert_int_equal(atomic_load(&s->written), written + 1);
    pthread_mutex_unlock(&s->batch_mutex);
    assert_int_equal(keys_of(s, find_table(SEGMENT_ROWS)), RINGS); // a bundle has one ring's
    assert_int_equal(keys_of(s, find_table(SEGMENT_CONTENT)), 1);
    struct segment segment = segment_of(s, SEGMENT_ROWS, 1);
    struct segment content = segment_of(s, SEGMENT_CONTENT, 1);
    assert_int_equal(segment.bytes + content.bytes, segments_bytes(s->segments));
    assert_int_equal(segment.first_us, T0_US);
    assert_int_equal(segment.last_us, T0_US + 92);
    assert_int_equal(content.first_us, T0_US + 1);
    assert_int_equal(content.last_us, T0_US + 91);
    asker_open(&a, s);
    for (unsigned i = 0; i < 10; i++)
        for (unsigned ring = 0; ring < RINGS; ring++) {
            struct store_entry e = entry_of(&a, id[ring][i]);
            assert_true(slice_eq(e.row, slice_str(rows[ring][i])));
            assert_int_equal(e.request.len, ring == 1 ? 8 : 0);
        }
    asker_close(&a);
    store_close(s);
}

// A folder where the file should be: no error of the disk is nearer at hand.
static void what_is_not_appended_is_given_up_counted_and_told(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    char path[160];
    place_make(&p);
    struct store *s = place_open(&p);
    snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/content-00000001", p.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    struct store_record r = sample(T0_US);
    r.request = SLICE("question");
    struct store_id first = put(s, 0, &r, STORE_KEPT_ALL);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    assert_int_equal(atomic_load(&s->numbers.records), 2);
    assert_int_equal(atomic_load(&s->numbers.content_dropped), 2);
    assert_int_equal(atomic_load(&s->numbers.rows_dropped), 0);
    assert_int_equal(atomic_load(&s->numbers.batch_err), 0);
    pthread_mutex_lock(&p.mutex);
    assert_non_null(strstr(p.notices, "a segment could not be written"));
    assert_non_null(strstr(p.notices, "segments/content-00000001: Is a directory"));
    pthread_mutex_unlock(&p.mutex);
    assert_int_equal(keys_of(s, find_table(SEGMENT_CONTENT)), 0);
    assert_int_equal(rmdir(path), 0);
    struct store_id second = put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    asker_open(&a, s);
    assert_int_equal(entry_of(&a, first).request.len, 0);
    assert_int_equal(entry_of(&a, second).request.len, 8);
    asker_close(&a);
    assert_int_equal(atomic_load(&s->numbers.content_dropped), 2);
    store_close(s);
    place_done(&p);
}

// What comes faster than it is drained is not packed: that costs space, and less time.
static void a_ring_that_fills_up_is_drained_unpacked(void **state)
{
    (void)state;
    static char body[100000];
    const unsigned count = 10;
    uint64_t bytes[2];
    memset(body, 'b', sizeof(body));
    for (unsigned full = 0; full < 2; full++) {
        struct store_options options;
        struct store *s = NULL;
        char reason[STORE_REASON_BYTES];
        memory_options(&options);
        options.ring_bytes =
            full ? 4 << 20 : 64 << 20; // of which a megabyte is a quarter, or little
        assert_int_equal(store_open(&options, &s, reason), 0);
        pthread_mutex_lock(&s->batch_mutex);
        for (unsigned i = 0; i < count; i++) {
            struct store_record r = sample(T0_US + i);
            r.answer = slice_of(body, sizeof(body)); // which is never shared
            put(s, 0, &r, STORE_KEPT_ALL);
        }
        assert_int_equal(store__drain_all(s), 0);
        pthread_mutex_unlock(&s->batch_mutex);
        bytes[full] = segments_bytes(s->segments);
        store_close(s);
    }
    assert_true(bytes[0] < 100000);
    assert_true(bytes[1] > count * sizeof(body));
}

// What is bounded goes by whole files: they are a part of it.
static void segments_are_shorter_when_all_is_bounded(void **state)
{
    (void)state;
    static char body[400000];
    struct place p;
    place_make(&p);
    p.options.logs_bytes_max = 32 << 20;
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(random_bytes(body, sizeof(body)), 0); // nothing to be shared
        struct store_record r = sample((uint64_t)(clock_wall().ns / NS_PER_US));
        r.request = slice_of(body, sizeof(body));
        put(s, 0, &r, STORE_KEPT_ALL);
        drain(s);
    }
    assert_in_range(segment_of(s, SEGMENT_CONTENT, 1).bytes, 5 * 400000, 2 << 20);
    assert_in_range(segment_of(s, SEGMENT_CONTENT, 2).bytes, 5 * 400000, 2 << 20);
    assert_int_equal(segment_of(s, SEGMENT_CONTENT, 3).bytes, 0);
    store_close(s);
    place_done(&p);
}

// The longest row and the longest content that a record can have.
static void the_longest_record_is_kept_whole(void **state)
{
    (void)state;
    static char row[STORE_ROW_BYTES_MAX], body[STORE_CONTENT_BYTES_MAX];
    static char id[STORE_MOVES_MAX][STORE_WORD_BYTES_MAX];
    struct store *s = memory_open();
    struct asker a;
    assert_int_equal(random_bytes(row, sizeof(row)), 0);
    assert_int_equal(random_bytes(body, sizeof(body)), 0);
    struct store_record r = sample(T0_US);
    for (; r.moves < STORE_MOVES_MAX; r.moves++) {
        memset(id[r.moves], 'a' + (int)r.moves % 26, STORE_WORD_BYTES_MAX);
        id[r.moves][0] = (char)('A' + r.moves % 26);
        r.move[r.moves] = (struct store_move){slice_of(id[r.moves], STORE_WORD_BYTES_MAX),
                                              window_s() + r.moves, 1};
    }
    for (unsigned i = 0; i < STORE_WORD_COUNTER; i++)
        r.word[i] = slice_of(id[i], STORE_WORD_BYTES_MAX);
    r.row = slice_of(row, sizeof(row));
    r.request = slice_of(body, 500000);
    r.answer = slice_of(body + 500000, sizeof(body) - 500000);
    struct store_id ids[2] = {put(s, 0, &r, STORE_KEPT_ALL), put(s, 0, &r, STORE_KEPT_ALL)};
    drain(s);
    asker_open(&a, s);
    for (unsigned i = 0; i < 2; i++) {
        struct store_entry e = entry_of(&a, ids[i]);
        assert_true(slice_eq(e.row, r.row));
        assert_true(slice_eq(e.request, r.request));
        assert_true(slice_eq(e.answer, r.answer));
    }
    // And written again.
    struct removal removal = {.ids = ids, .count = 1};
    ask(&a, remove_fn, &removal);
    assert_int_equal(removal.err, 0);
    assert_true(slice_eq(entry_of(&a, ids[1]).answer, r.answer));
    asker_close(&a);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_of_several_rings_is_appended_once),
        cmocka_unit_test(what_is_not_appended_is_given_up_counted_and_told),
        cmocka_unit_test(a_ring_that_fills_up_is_drained_unpacked),
        cmocka_unit_test(segments_are_shorter_when_all_is_bounded),
        cmocka_unit_test(the_longest_record_is_kept_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
