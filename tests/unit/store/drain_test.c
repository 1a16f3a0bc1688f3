// SPDX-License-Identifier: Apache-2.0
//
// drain_test.c: what was put is found once, after any end of the process and with any ring.
#include "tests/unit/store/fixture.h"

#include "store/digest.h"
#include "store/drain_internal.h"
#include "store/find.h"
#include "store/keys.h"
#include "store/record.h"
#include "store/spool_internal.h"
#include <fcntl.h>
#include <sys/wait.h>

static void put_many(struct store *s, unsigned core, unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct store_record r = sample(T0_US + from + i);
        r.moves = 1;
        r.move[0] = (struct store_move){SLICE("budget-1"), window_s(), 3};
        put(s, core, &r, STORE_KEPT_ALL);
    }
}

static uint64_t total(struct store *s)
{
    struct asker a;
    asker_open(&a, s);
    uint64_t n = search_for(&a, (struct store_query){.limit = 1}).total;
    asker_close(&a);
    return n;
}

static void a_record_is_written_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    struct store_record r = sample(T0_US);
    r.request = SLICE("hello");
    r.answer = SLICE("world");
    r.cost = -7;
    r.streamed = true;
    r.moves = 2;
    r.move[0] = (struct store_move){SLICE("budget-1"), window_s(), 40};
    r.move[1] = (struct store_move){SLICE("budget-1"), window_s() + 60, -2};
    struct store_id id = put(s, 0, &r, STORE_KEPT_ALL);
    r.moves = 1;
    r.time = wall_us(T0_US + 1);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);

    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.ascending = true});
    assert_int_equal(page.total, 2);
    assert_int_equal(page.count, 2);
    const struct store_found *f = &page.found[0];
    assert_int_equal(f->id.time_us, id.time_us);
    assert_int_equal(f->id.number, id.number);
    assert_int_equal(f->facts.time.ns, (int64_t)T0_US * 1000);
    assert_true(slice_eq(f->facts.word[STORE_WORD_MODEL], SLICE("gpt-4o")));
    assert_true(slice_eq(f->facts.word[STORE_WORD_OBJECT], SLICE("chat.completion")));
    assert_int_equal(f->facts.word[STORE_WORD_ROUTING_RULE].len, 0);
    assert_int_equal(f->facts.status, 200);
    assert_true(f->facts.streamed && f->facts.usage_known && !f->facts.cost_estimated);
    assert_int_equal(f->facts.input_tokens, 100);
    assert_int_equal(f->facts.cost, -7);
    assert_true(slice_eq(f->row, SLICE("{\"id\":1}")));
    asker_close(&a);
    assert_int_equal(counter_value(s, "budget-1", window_s()), 80);
    assert_int_equal(counter_value(s, "budget-1", window_s() + 60), -2);
    store_close(s);
}

static void a_closed_store_has_everything_when_it_opens_again(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    // Digests of exactly one thousand and twenty-four rows, and the rest of a third in pieces.
    struct store *s = place_open(&p);
    for (unsigned i = 0; i < 25; i++) {
        put_many(s, 0, i * 100, 100);
        drain(s);
    }
    store_close(s);
    s = place_open(&p);
    assert_int_equal(total(s), 2500);
    assert_int_equal(counter_value(s, "budget-1", window_s()), 3 * 2500);
    put_many(s, 0, 2500, 1000);
    drain(s);
    assert_int_equal(total(s), 3500);
    assert_int_equal(counter_value(s, "budget-1", window_s()), 3 * 3500);
    store_close(s);
    place_done(&p);
}

// The program again: threads of the engine do not survive a fork. Nobody drains: what it puts stays
// in the ring.
static int child_main(const char *top)
{
    struct place p;
    struct store *s = NULL;
    place_at(&p, top);
    if (store_open(&p.options, &s, p.reason) < 0)
        return 1;
    pthread_mutex_lock(&s->batch_mutex);
    for (unsigned i = 0; i < 500; i++) {
        struct store_id id;
        struct store_record r = sample(T0_US + i);
        if (store_reserve(store_ring(s, 0)) < 0)
            return 2;
        (void)store_put_record(store_ring(s, 0), &r, &id);
    }
    kill(getpid(), SIGKILL);
    return 3;
}

static void what_a_killed_process_left_in_its_rings_is_drained_once(void **state)
{
    (void)state;
    struct place p;
    int status;
    place_make(&p);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "drain_test", p.top, (char *)NULL);
        _exit(4);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    for (unsigned round = 0; round < 2; round++) {
        struct store *s = place_open(&p);
        assert_int_equal(total(s), 500);
        store_close(s);
    }
    place_done(&p);
}

// The other process of an upgrade has a ring in the same folder and not the databases.
static void rings_of_another_process_are_drained(void **state)
{
    (void)state;
    struct place p;
    struct spool *other;
    uint16_t there[SPOOL_RINGS_MAX];

    place_make(&p);
    struct store *s = place_open(&p);
    assert_int_equal(spool_claim(p.rings, p.options.ring_bytes, &other), 0);
    assert_int_not_equal(other->ring, store_ring(s, 0)->spool->ring);
    struct store_ring foreign = {.store = s, .spool = other};
    struct store_record r = sample(T0_US);
    struct store_id id;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(store_reserve(&foreign), 0);
        store_put_record(&foreign, &r, &id);
    }
    pthread_mutex_lock(&s->batch_mutex);
    store__drain_discover(s);
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
    assert_int_equal(total(s), 10);
    assert_int_equal(id.ring, other->ring);

    // Its owner goes: what is left in it is drained, and then the file goes too.
    assert_int_equal(store_reserve(&foreign), 0);
    store_put_record(&foreign, &r, &id);
    spool_free(other);
    for (unsigned i = 0; i < 2; i++) {
        pthread_mutex_lock(&s->batch_mutex);
        store__drain_discover(s);
        assert_int_equal(store__drain_all(s), 0);
        pthread_mutex_unlock(&s->batch_mutex);
    }
    pthread_mutex_lock(&s->batch_mutex);
    store__drain_discover(s);
    pthread_mutex_unlock(&s->batch_mutex);
    assert_int_equal(total(s), 11);
    assert_int_equal(spool_list(p.rings, there), 1);
    store_close(s);
    place_done(&p);
}

// Killed when the batch was in the database and its room in the ring was not free yet.
static void an_end_behind_the_write_counts_nothing_twice(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    struct spool *spool = store_ring(s, 0)->spool;
    uint64_t tail = spool_tail(spool);
    put_many(s, 0, 0, 100);
    drain(s);
    assert_int_equal(spool_tail(spool), spool_head(spool));
    atomic_store(&spool->header->tail, tail);
    store_close(s);
    s = place_open(&p);
    spool = store_ring(s, 0)->spool;
    assert_int_equal(spool_tail(spool), spool_head(spool));
    put_many(s, 0, 100, 5);
    drain(s);
    assert_int_equal(total(s), 105);
    assert_int_equal(counter_value(s, "budget-1", window_s()), 3 * 105);
    store_close(s);
    place_done(&p);
}

// As a core does, without a store.
static void put_into(struct spool *spool, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct store_record r = sample(T0_US + i);
        record_put(spool, &r, NULL, STORE_KEPT_ALL, 0, spool_number(spool));
    }
}

// The machine went down: the rings are gone, the database remembers their positions.
static void a_ring_that_was_made_again_begins_at_its_beginning(void **state)
{
    (void)state;
    struct place p;
    char path[128];
    place_make(&p);
    struct store *s = place_open(&p);
    put_many(s, 0, 0, 100);
    store_close(s);
    snprintf(path, sizeof(path), "%s/ring-00000", p.rings);
    assert_int_equal(unlink(path), 0);
    // More than there was before: the old position lies in the middle of it.
    struct spool *made;
    assert_int_equal(spool_claim(p.rings, p.options.ring_bytes, &made), 0);
    put_into(made, 150);
    spool_free(made);
    s = place_open(&p);
    assert_int_equal(total(s), 250);
    put_many(s, 0, 250, 7);
    drain(s);
    assert_int_equal(total(s), 257);
    store_close(s);
    place_done(&p);
}

// They were put while there was space.
static void rings_give_up_what_the_disk_has_no_room_for(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct store_health health;
    struct store_record r = sample(T0_US);
    r.request = SLICE("question");
    pthread_mutex_lock(&s->batch_mutex);
    put(s, 0, &r, STORE_KEPT_ALL);
    atomic_store(&s->level, STORE_NO_CONTENT);
    assert_int_equal(store__drain_all(s), 0);
    store_health(s, &health);
    assert_int_equal(health.content_dropped, 1);
    assert_int_equal(health.rows_dropped, 0);
    atomic_store(&s->level, STORE_ALL);
    r.time = wall_us(T0_US + 1);
    put(s, 0, &r, STORE_KEPT_ALL);
    atomic_store(&s->level, STORE_NO_ROWS);
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
    store_health(s, &health);
    assert_int_equal(health.content_dropped, 2);
    assert_int_equal(health.rows_dropped, 1);
    struct asker a;
    asker_open(&a, s);
    struct store_page page = search_for(&a, (struct store_query){.ascending = true});
    assert_int_equal(page.total, 2);
    assert_true(page.found[0].row.len > 0);
    assert_int_equal(page.found[1].row.len, 0);
    assert_int_equal(page.found[1].facts.input_tokens, 100);
    asker_close(&a);
    store_close(s);
}

static void a_damaged_record_is_skipped_counted_and_kept_aside(void **state)
{
    (void)state;
    struct place p;
    struct store_health health;
    char path[128];
    place_make(&p);
    struct store *s = place_open(&p);
    pthread_mutex_lock(&s->batch_mutex);
    struct spool *spool = store_ring(s, 0)->spool;
    put_many(s, 0, 0, 1);
    uint64_t second = spool->head;
    put_many(s, 0, 1, 3);
    spool->data[(second + 40) & (spool->bytes - 1)] ^= 1;
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
    assert_int_equal(total(s), 3);
    store_health(s, &health);
    assert_int_equal(health.damaged, 1);
    assert_int_equal(health.records, 3);
    assert_non_null(strstr(p.notices, "kept as damaged/record-"));
    snprintf(path, sizeof(path), "%s/damaged", p.dir);
    assert_int_equal(access(path, F_OK), 0);
    store_close(s);
    place_done(&p);
}

static void old_records_that_come_late_have_digests_of_their_own(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    const uint64_t day = UINT64_C(86400000000);
    put_many(s, 0, 0, 5);
    drain(s);
    put(s, 0, &(struct store_record){.time = wall_us(T0_US - 10 * day)}, STORE_KEPT_ALL);
    put_many(s, 0, 5, 5);
    drain(s);
    asker_open(&a, s);
    struct store_query q = {.from = wall_us(T0_US), .to = wall_us(T0_US + 100)};
    assert_int_equal(search_for(&a, q).total, 10);
    q = (struct store_query){.to = wall_us(T0_US - day)};
    struct store_page page = search_for(&a, q);
    assert_int_equal(page.total, 1);
    assert_null(page.found[0].row.ptr);
    asker_close(&a);
    store_close(s);
}

static void words_beyond_the_bound_are_others(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    for (unsigned i = 0; i < STORE_WORDS_MAX + 10; i++) {
        char name[32];
        struct store_record r = sample(T0_US + i);
        r.word[STORE_WORD_MODEL] = slice_of(name, (size_t)snprintf(name, sizeof(name), "m%u", i));
        if (i % 2 == 0)
            r.row = SLICE_EMPTY;
        put(s, 0, &r, STORE_KEPT_ALL);
        if (i % 4096 == 0)
            drain(s);
    }
    drain(s);
    asker_open(&a, s);
    struct slice other = SLICE(STORE_WORD_OTHER);
    struct store_query q = {.word[STORE_WORD_MODEL] = &other, .words[STORE_WORD_MODEL] = 1};
    struct store_page page = search_for(&a, q);
    assert_int_equal(page.total, 10);
    assert_int_equal(page.count, 10);
    for (unsigned i = 0; i < 10; i++) { // a row has the word itself
        struct slice word = page.found[i].facts.word[STORE_WORD_MODEL];
        assert_true(page.found[i].row.len > 0 ? slice_starts(word, SLICE("m"))
                                              : slice_eq(word, other));
    }
    asker_close(&a);
    store_close(s);
}

static void a_full_ring_drops_content_then_rows_never_usage(void **state)
{
    (void)state;
    struct place p;
    struct store_health health;
    place_make(&p);
    p.options.ring_bytes = 4 * SPOOL_BYTES_MIN; // a sixteenth is more than one reservation
    struct store *s = place_open(&p);
    char body[2000];
    memset(body, 'x', sizeof(body));
    struct store_record r = sample(T0_US);
    r.request = slice_of(body, sizeof(body));
    r.moves = 1;
    r.move[0] = (struct store_move){SLICE("money"), window_s(), 1};
    pthread_mutex_lock(&s->batch_mutex); // nobody drains
    unsigned kept[3] = {0}, all = 0;
    enum store_kept last = STORE_KEPT_ALL;
    struct store_ring *ring = store_ring(s, 0);
    for (; store_reserve(ring) == 0; all++) {
        struct store_id id;
        r.time = wall_us(T0_US + all);
        enum store_kept now = store_put_record(ring, &r, &id);
        assert_true(now >= last);
        last = now;
        kept[now]++;
    }
    assert_true(kept[0] > 0 && kept[1] > 0 && kept[2] > 0);
    assert_int_equal(store__drain_all(s), 0);
    pthread_mutex_unlock(&s->batch_mutex);
    store_health(s, &health);
    assert_int_equal(health.records, all);
    assert_int_equal(health.content_dropped, kept[1] + kept[2]);
    assert_int_equal(health.rows_dropped, kept[2]);
    assert_int_equal(counter_value(s, "money", window_s()), all);
    assert_int_equal(store_reserve(ring), 0); // there is room again
    store_unreserve(ring);
    store_close(s);
    place_done(&p);
}

static struct segment rows_segment(struct store *s)
{
    struct keys_key key = keys_segment(SEGMENT_ROWS, 1);
    struct segment segment;
    struct buf value;
    buf_init(&value, 64);
    assert_int_equal(rocks_get(s->logs, keys_slice(&key), &value), 0);
    assert_true(find_read_segment(keys_slice(&key), buf_slice(&value), &segment));
    buf_done(&value);
    return segment;
}

// What memory knows after a failed write is not what the database may have: here it has the batch,
// though it said that it has not. Nothing is written over it.
static void after_a_failed_write_memory_is_read_again(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct got got[3];
    struct store_record r = sample(T0_US);
    place_make(&p);
    struct store *s = place_open(&p);
    got[0].id = put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    const struct segment before = rows_segment(s);
    got[1].id = put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    pthread_mutex_lock(&s->batch_mutex);
    assert_int_equal(segments_know(s->segments, &before), 0);
    s->drain->stale = true;
    got[2].id = put(s, 0, &r, STORE_KEPT_ALL);
    assert_int_equal(store__drain_all(s), 0);
    assert_false(s->drain->stale);
    pthread_mutex_unlock(&s->batch_mutex);
    asker_open(&a, s);
    for (unsigned i = 0; i < 3; i++) {
        ask(&a, got_fn, &got[i]);
        assert_int_equal(got[i].err, 0);
    }
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

// It was killed a moment after it wrote, and nothing more comes.
static void what_an_earlier_process_wrote_is_synced(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    struct store *s = place_open(&p);
    put_many(s, 0, 0, 10);
    store_close(s);
    s = place_open(&p);
    assert_true(atomic_load(&s->written) > 0);
    assert_int_equal(store__sync(s), 0);
    assert_true(atomic_load(&s->numbers.syncs) > 0);
    store_close(s);
    place_done(&p);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return child_main(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_written_with_all_that_belongs_to_it),
        cmocka_unit_test(a_closed_store_has_everything_when_it_opens_again),
        cmocka_unit_test(what_a_killed_process_left_in_its_rings_is_drained_once),
        cmocka_unit_test(rings_of_another_process_are_drained),
        cmocka_unit_test(an_end_behind_the_write_counts_nothing_twice),
        cmocka_unit_test(a_ring_that_was_made_again_begins_at_its_beginning),
        cmocka_unit_test(rings_give_up_what_the_disk_has_no_room_for),
        cmocka_unit_test(a_damaged_record_is_skipped_counted_and_kept_aside),
        cmocka_unit_test(old_records_that_come_late_have_digests_of_their_own),
        cmocka_unit_test(words_beyond_the_bound_are_others),
        cmocka_unit_test(a_full_ring_drops_content_then_rows_never_usage),
        cmocka_unit_test(after_a_failed_write_memory_is_read_again),
        cmocka_unit_test(what_an_earlier_process_wrote_is_synced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
