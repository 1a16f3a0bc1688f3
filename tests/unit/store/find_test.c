// SPDX-License-Identifier: Apache-2.0
//
// find_test.c: a record's row and content among the bundles of many rings, and when they are
// damaged, moved or gone.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/find.h"

#define RINGS   4
#define RECORDS 3000

struct known {
    struct store_id id;
    char row[40], request[40];
};

static struct known *put_known(struct store *s, unsigned ring, uint64_t us, struct known *k)
{
    struct store_record r = sample(us);
    snprintf(k->row, sizeof(k->row), "row %u %llu", ring, (unsigned long long)us);
    snprintf(k->request, sizeof(k->request), "asked %u %llu", ring, (unsigned long long)us);
    r.row = slice_str(k->row);
    r.request = slice_str(k->request);
    k->id = put(s, ring, &r, STORE_KEPT_ALL);
    return k;
}

static int get(struct store *s, enum segment_kind kind, struct store_id id, struct buf *ret)
{
    struct finder f;
    struct slice bytes;
    buf_reset(ret);
    pthread_rwlock_rdlock(&s->db_lock);
    assert_int_equal(finder_init(&f, s, kind), 0);
    int err = finder_get(&f, id, &bytes);
    if (!err)
        buf_add(ret, bytes);
    finder_done(&f);
    pthread_rwlock_unlock(&s->db_lock);
    return err;
}

static int find_one(struct store *s, enum segment_kind kind, struct store_id id)
{
    struct buf bytes;
    buf_init(&bytes, BUNDLE_BYTES_MAX);
    int err = get(s, kind, id, &bytes);
    buf_done(&bytes);
    return err;
}

static bool ends_in(struct slice bytes, const char *text)
{
    struct slice tail = slice_str(text);
    return bytes.len >= tail.len && slice_eq(slice_skip(bytes, bytes.len - tail.len), tail);
}

static void find_known(struct finder *rows, struct finder *contents, const struct known *k)
{
    struct slice bytes;
    assert_int_equal(finder_get(rows, k->id, &bytes), 0);
    assert_true(ends_in(bytes, k->row));
    assert_int_equal(finder_get(contents, k->id, &bytes), 0);
    assert_true(ends_in(bytes, k->request));
}

static uint64_t damaged(struct store *s)
{
    return atomic_load(&s->numbers.damaged);
}

// Rings take turns, clocks step to and fro, batches end anywhere; each record is found, and none
// that is not there.
static void each_is_found_among_the_bundles_of_all_rings(void **state)
{
    (void)state;
    static struct known known[RECORDS];
    struct prng prng;
    struct finder rows, contents;
    struct slice bytes;
    struct store_options options;
    struct store *s;
    char reason[STORE_REASON_BYTES];
    memory_options(&options);
    options.cores = RINGS;
    assert_int_equal(store_open(&options, &s, reason), 0);
    prng_seed(&prng, 3);
    uint64_t us = T0_US;
    for (unsigned i = 0; i < RECORDS; i++) {
        us += prng_below(&prng, 3000);
        if (prng_below(&prng, 200) == 0)
            us -= prng_below(&prng, 3000000);
        put_known(s, (unsigned)prng_below(&prng, RINGS), us, &known[i]);
        if (prng_below(&prng, 50) == 0)
            drain(s);
    }
    drain(s);
    assert_int_equal(finder_init(&rows, s, SEGMENT_ROWS), 0);
    assert_int_equal(finder_init(&contents, s, SEGMENT_CONTENT), 0);
    for (unsigned i = 0; i < RECORDS; i++)
        find_known(&rows, &contents, &known[i]);
    for (unsigned i = 0; i < RECORDS; i++) { // and in no order
        const struct known *k = &known[prng_below(&prng, RECORDS)];
        find_known(&rows, &contents, k);
        struct store_id other = k->id;
        other.number += 100000;
        assert_int_equal(finder_get(&rows, other, &bytes), ERR_NOT_FOUND);
        other = k->id;
        other.ring = RINGS;
        assert_int_equal(finder_get(&rows, other, &bytes), ERR_NOT_FOUND);
    }
    finder_done(&rows);
    finder_done(&contents);
    assert_int_equal(damaged(s), 0);
    store_close(s);
}

static void at_the_ends_of_a_bundle(void **state)
{
    (void)state;
    struct known first, last, behind, before, same;
    struct store *s = memory_open();
    put_known(s, 0, T0_US, &first);
    put_known(s, 0, T0_US + BUNDLE_SPAN_US, &last); // the last microsecond that is in
    put_known(s, 0, T0_US + BUNDLE_SPAN_US + 1, &behind);
    put_known(s, 0, T0_US + 1, &before); // the clock steps back
    put_known(s, 0, T0_US + 1, &same);   // two in one microsecond
    drain(s);
    const struct known *all[] = {&first, &last, &behind, &before, &same};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(find_one(s, SEGMENT_ROWS, all[i]->id), 0);
        struct store_id id = all[i]->id;
        id.time_us += 2;
        assert_int_equal(find_one(s, SEGMENT_ROWS, id), ERR_NOT_FOUND);
    }
    struct store_id id = first.id;
    id.time_us = 0;
    assert_int_equal(find_one(s, SEGMENT_ROWS, id), ERR_NOT_FOUND);
    id.time_us = UINT64_MAX;
    assert_int_equal(find_one(s, SEGMENT_ROWS, id), ERR_NOT_FOUND);
    store_close(s);
}

// The number of a ring's records begins again in the same microsecond.
static void a_number_that_wraps_is_found(void **state)
{
    (void)state;
    struct known high, low;
    struct store *s = memory_open();
    store_ring(s, 0)->spool->number = UINT32_MAX;
    put_known(s, 0, T0_US, &high);
    put_known(s, 0, T0_US, &low);
    drain(s);
    if (high.id.number < low.id.number)
        fail_msg("%u is before %u", high.id.number, low.id.number);
    assert_int_equal(find_one(s, SEGMENT_ROWS, high.id), 0);
    assert_int_equal(find_one(s, SEGMENT_ROWS, low.id), 0);
    store_close(s);
}

// ---- Damage ----------------------------------------------------------------------------------

static void write_at(const struct place *p, const char *name, off_t at, const char *bytes)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/%s", p->dir, name);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
    close(fd);
}

static unsigned told(struct place *p, const char *what)
{
    unsigned count = 0;
    pthread_mutex_lock(&p->mutex);
    for (const char *at = p->notices; (at = strstr(at, what)) != NULL; at++)
        count++;
    pthread_mutex_unlock(&p->mutex);
    return count;
}

static void a_damaged_bundle_is_told_once_and_hides_no_other(void **state)
{
    (void)state;
    struct place p;
    struct known known[10], beside[2], later;
    struct finder f;
    struct slice bytes;
    place_make(&p);
    struct store *s = place_open(&p);
    put_known(s, 0, T0_US + 5, &beside[0]);
    put_known(s, 0, T0_US + 15, &beside[1]); // the clock steps back behind it
    drain(s);
    for (unsigned i = 0; i < 10; i++)
        put_known(s, 0, T0_US + 10 + i, &known[i]);
    drain(s);
    put_known(s, 0, T0_US + 3000000, &later);
    drain(s);
    struct keys_key key = keys_id(KEYS_ROWS, known[0].id);
    struct buf value;
    buf_init(&value, 64);
    assert_int_equal(rocks_get(s->logs, keys_slice(&key), &value), 0);
    write_at(&p, "rows-00000001", (off_t)keys_u32(value.ptr + 4) + 40, "damage");
    buf_done(&value);
    assert_int_equal(finder_init(&f, s, SEGMENT_ROWS), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(finder_get(&f, known[i].id, &bytes), ERR_BAD_LENGTH);
    assert_int_equal(damaged(s), 1);
    assert_int_equal(told(&p, "rows of records cannot be read: "), 1);
    assert_int_equal(finder_get(&f, beside[0].id, &bytes), 0);
    assert_int_equal(finder_get(&f, beside[1].id, &bytes), 0); // which the damaged one might have
    assert_int_equal(finder_get(&f, later.id, &bytes), 0);
    finder_done(&f);
    // In a page its row is missing and its usage is there; alone it is an error.
    struct asker a;
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.ascending = true});
    assert_int_equal(page.total, 13);
    unsigned without = 0;
    for (unsigned i = 0; i < page.count; i++)
        without += page.found[i].row.len == 0;
    assert_int_equal(without, 10);
    struct got got = {.id = known[0].id};
    ask(&a, got_fn, &got);
    assert_int_equal(got.err, ERR_SYSTEM);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// ---- Moved and gone --------------------------------------------------------------------------

static void a_bundle_that_moves_meanwhile_is_read_where_it_is(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct known known[5], alone;
    struct finder f;
    struct slice bytes;
    place_make(&p);
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 5; i++)
        put_known(s, 0, T0_US + i, &known[i]);
    put_known(s, 0, T0_US + 5000000, &alone);
    drain(s);
    asker_open(&a, s);
    assert_int_equal(finder_init(&f, s, SEGMENT_ROWS), 0); // sees what is now
    for (unsigned i = 0; i < 3; i++) {
        struct removal r = {.ids = &known[i].id, .count = 1};
        ask(&a, remove_fn, &r);
        assert_int_equal(r.err, 0);
    }
    struct removal r = {.ids = &alone.id, .count = 1};
    ask(&a, remove_fn, &r);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(finder_get(&f, known[i].id, &bytes), i < 3 ? ERR_NOT_FOUND : 0);
    assert_int_equal(finder_get(&f, alone.id, &bytes), ERR_NOT_FOUND);
    finder_done(&f);
    assert_int_equal(damaged(s), 0);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

static void a_segment_that_is_dropped_meanwhile_is_not_damage(void **state)
{
    (void)state;
    struct place p;
    struct known k;
    struct finder f;
    struct slice bytes;
    place_make(&p);
    struct store *s = place_open(&p);
    put_known(s, 0, T0_US, &k);
    drain(s);
    assert_int_equal(finder_init(&f, s, SEGMENT_CONTENT), 0);
    store_retain(s, 0, 1, 0);
    assert_int_equal(store__clean_up(s, clock_wall()), 0);
    assert_int_equal(finder_get(&f, k.id, &bytes), ERR_NOT_FOUND);
    finder_done(&f);
    assert_int_equal(find_one(s, SEGMENT_CONTENT, k.id), ERR_NOT_FOUND);
    assert_int_equal(find_one(s, SEGMENT_ROWS, k.id), 0);
    // Nor is one that is named still.
    char path[160];
    snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/rows-00000001", p.dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(find_one(s, SEGMENT_ROWS, k.id), ERR_NOT_FOUND);
    assert_int_equal(damaged(s), 0);
    store_close(s);
    place_done(&p);
}

// ---- After a machine has gone down -----------------------------------------------------------

// The database was on the disk, the segments not to where it says: each record is there with its
// usage, those whose bytes are there with their rows, and it goes on.
static void what_a_machine_lost_is_told_as_usage(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct known known[6];
    char path[160];
    place_make(&p);
    struct store *s = place_open(&p);
    off_t whole[SEGMENT_KINDS];
    static const char *const names[SEGMENT_KINDS] = {"rows-00000001", "content-00000001"};
    for (unsigned i = 0; i < 5; i++) {
        put_known(s, 0, T0_US + i, &known[i]);
        drain(s); // a bundle each
        for (unsigned kind = 0; i == 1 && kind < SEGMENT_KINDS; kind++) {
            struct stat status;
            snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/%s", p.dir, names[kind]);
            assert_int_equal(stat(path, &status), 0);
            whole[kind] = status.st_size;
        }
    }
    store_close(s);
    for (unsigned kind = 0; kind < SEGMENT_KINDS; kind++) { // two whole ones and a torn one
        snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/%s", p.dir, names[kind]);
        assert_int_equal(truncate(path, whole[kind] + 20), 0);
    }
    s = place_open(&p);
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.ascending = true});
    assert_int_equal(page.total, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(page.found[i].row.len > 0, i < 2);
        assert_int_equal(page.found[i].facts.input_tokens, 100);
    }
    page = search_for(&a, (struct store_query){.from = wall_us(T0_US),
                                               .to = wall_us(T0_US + 100),
                                               .content = SLICE("asked"),
                                               .text = plain_text});
    assert_int_equal(page.total, 2);
    asker_close(&a);
    put_known(s, 0, T0_US + 10, &known[5]);
    drain(s);
    assert_int_equal(find_one(s, SEGMENT_ROWS, known[5].id), 0);
    assert_int_equal(find_one(s, SEGMENT_CONTENT, known[5].id), 0);
    assert_int_equal(find_one(s, SEGMENT_ROWS, known[4].id), ERR_BAD_LENGTH);
    store_close(s);
    s = place_open(&p);
    assert_int_equal(find_one(s, SEGMENT_ROWS, known[5].id), 0);
    assert_int_equal(find_one(s, SEGMENT_ROWS, known[1].id), 0);
    store_close(s);
    place_done(&p);
}

// Killed behind the append and before the batch: what is behind is nobody's.
static void a_torn_tail_is_written_over(void **state)
{
    (void)state;
    struct place p;
    struct known known[2];
    place_make(&p);
    struct store *s = place_open(&p);
    put_known(s, 0, T0_US, &known[0]);
    drain(s);
    struct buf rows;
    buf_init(&rows, 1 << 20);
    store_close(s);
    struct stat status;
    char path[160];
    snprintf(path, sizeof(path), "%s/" STORE_SEGMENTS "/rows-00000001", p.dir);
    assert_int_equal(stat(path, &status), 0);
    write_at(&p, "rows-00000001", status.st_size, "rgb1 and so on, torn");
    s = place_open(&p);
    put_known(s, 0, T0_US + 1, &known[1]);
    drain(s);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(get(s, SEGMENT_ROWS, known[i].id, &rows), 0);
        assert_true(ends_in(buf_slice(&rows), known[i].row));
    }
    struct keys_key key = keys_id(KEYS_ROWS, known[1].id);
    buf_reset(&rows);
    assert_int_equal(rocks_get(s->logs, keys_slice(&key), &rows), 0);
    assert_int_equal(keys_u32(rows.ptr + 4), status.st_size);
    assert_int_equal(damaged(s), 0);
    buf_done(&rows);
    store_close(s);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_among_the_bundles_of_all_rings),
        cmocka_unit_test(at_the_ends_of_a_bundle),
        cmocka_unit_test(a_number_that_wraps_is_found),
        cmocka_unit_test(a_damaged_bundle_is_told_once_and_hides_no_other),
        cmocka_unit_test(a_bundle_that_moves_meanwhile_is_read_where_it_is),
        cmocka_unit_test(a_segment_that_is_dropped_meanwhile_is_not_damage),
        cmocka_unit_test(what_a_machine_lost_is_told_as_usage),
        cmocka_unit_test(a_torn_tail_is_written_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
