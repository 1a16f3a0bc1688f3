// SPDX-License-Identifier: Apache-2.0
//
// space_test.c: what is given up when, and that usage survives a disk on which nothing is left.
//
// The disk is a tmpfs of its own, which takes root; without it those tests are skipped.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include <fcntl.h>
#include <sys/statvfs.h>

#define MIB (UINT64_C(1) << 20)

static void levels_fall_at_once_and_rise_with_slack(void **state)
{
    (void)state;
    const uint64_t min = 800;
    assert_int_equal(store__level_of(0, 0, STORE_ALL), STORE_ALL); // no bound
    assert_int_equal(store__level_of(800, min, STORE_ALL), STORE_ALL);
    assert_int_equal(store__level_of(799, min, STORE_ALL), STORE_NO_CONTENT);
    assert_int_equal(store__level_of(400, min, STORE_ALL), STORE_NO_CONTENT);
    assert_int_equal(store__level_of(399, min, STORE_ALL), STORE_NO_ROWS);
    assert_int_equal(store__level_of(499, min, STORE_NO_ROWS), STORE_NO_ROWS);
    assert_int_equal(store__level_of(500, min, STORE_NO_ROWS), STORE_NO_CONTENT);
    assert_int_equal(store__level_of(899, min, STORE_NO_CONTENT), STORE_NO_CONTENT);
    assert_int_equal(store__level_of(900, min, STORE_NO_CONTENT), STORE_ALL);
    assert_int_equal(store__level_of(900, min, STORE_NO_ROWS), STORE_ALL);
}

// A small disk; false: there can be none.
static bool mount_disk(struct place *p, unsigned mib)
{
    char command[256];
    place_make(p);
    assert_int_equal(mkdir(p->dir, 0700), 0);
    snprintf(command, sizeof(command), "mount -t tmpfs -o size=%um none %s 2>/dev/null", mib,
             p->dir);
    if (geteuid() == 0 && system(command) == 0)
        return true;
    place_done(p);
    print_message("skipped: no tmpfs can be mounted here\n");
    return false;
}

static void unmount_disk(struct place *p)
{
    char command[256];
    snprintf(command, sizeof(command), "umount %s", p->dir);
    assert_int_equal(system(command), 0);
    place_done(p);
}

static uint64_t free_bytes(const struct place *p)
{
    struct statvfs status;
    assert_int_equal(statvfs(p->dir, &status), 0);
    return (uint64_t)status.f_bavail * status.f_frsize;
}

// A file of others that leaves `bytes` free.
static void occupy(const struct place *p, uint64_t bytes)
{
    char path[128];
    static const char chunk[1 << 16];
    snprintf(path, sizeof(path), "%s/others", p->dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    for (uint64_t left; (left = free_bytes(p)) > bytes;) {
        size_t n = left - bytes < sizeof(chunk) ? (size_t)(left - bytes) : sizeof(chunk);
        if (write(fd, chunk, n) <= 0)
            break;
    }
    close(fd);
}

static void free_others(const struct place *p)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/others", p->dir);
    assert_int_equal(unlink(path), 0);
}

static struct store_health health(struct store *s)
{
    struct store_health h;
    store_health(s, &h);
    return h;
}

static void the_order_is_content_rows_never_usage(void **state)
{
    (void)state;
    struct place p;
    if (!mount_disk(&p, 300))
        skip();
    p.options.free_bytes_min = 64 * MIB;
    struct store *s = place_open(&p);
    struct store_record r = sample(T0_US);
    r.request = SLICE("question");
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    occupy(&p, 48 * MIB);
    store__measure(s);
    assert_int_equal(health(s).level, STORE_NO_CONTENT);
    put(s, 0, &r, STORE_KEPT_NO_CONTENT);
    drain(s);
    free_others(&p);
    occupy(&p, 20 * MIB);
    store__measure(s);
    assert_int_equal(health(s).level, STORE_NO_ROWS);
    put(s, 0, &r, STORE_KEPT_USAGE);
    drain(s);
    assert_int_equal(health(s).content_dropped, 2);
    assert_int_equal(health(s).rows_dropped, 1);
    assert_int_equal(health(s).records, 3);
    free_others(&p);
    store__measure(s);
    assert_int_equal(health(s).level, STORE_ALL);
    put(s, 0, &r, STORE_KEPT_ALL);
    drain(s);
    store_close(s);
    unmount_disk(&p);
}

// Records lie in the ring with rows and content, and then somebody else takes all of the disk.
static void usage_is_written_where_nothing_is_left(void **state)
{
    (void)state;
    struct place p;
    char path[128];
    static char body[2000];
    if (!mount_disk(&p, 200))
        skip();
    p.options.free_bytes_min = 64 * MIB;
    p.options.ring_bytes = 64 * MIB;
    struct store *s = place_open(&p);
    snprintf(path, sizeof(path), "%s/reserve", p.dir);
    assert_int_equal(access(path, F_OK), 0);
    memset(body, 'b', sizeof(body));
    pthread_mutex_lock(&s->batch_mutex);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 10000; i++) {
            struct store_record r = sample(T0_US + round * 10000 + i);
            struct store_id id;
            r.row = slice_of(body, sizeof(body));
            r.request = SLICE("question");
            r.moves = 1;
            r.move[0] = (struct store_move){SLICE("money"), window_s(), 7};
            assert_int_equal(store_reserve(store_ring(s, 0)), 0);
            (void)store_put_record(store_ring(s, 0), &r, &id);
        }
        occupy(&p, 0);
        assert_int_equal(store__drain_all(s), 0);
    }
    pthread_mutex_unlock(&s->batch_mutex);
    assert_int_equal(health(s).records, 40000);
    assert_true(health(s).rows_dropped > 0);
    assert_int_equal(counter_value(s, "money", window_s()), 280000);
    free_others(&p);
    store_close(s);
    s = place_open(&p);
    assert_int_equal(counter_value(s, "money", window_s()), 280000);
    struct asker a;
    asker_open(&a, s);
    assert_int_equal(search_for(&a, (struct store_query){.limit = 1}).total, 40000);
    asker_close(&a);
    store_close(s);
    unmount_disk(&p);
}

// Without a bound nobody looks how full the disk is: a content that it does not take is given up.
static void content_that_the_disk_does_not_take_is_given_up(void **state)
{
    (void)state;
    struct place p;
    const unsigned count = 10;
    static char body[1000000];
    if (!mount_disk(&p, 200))
        skip();
    p.options.ring_bytes = 128 * MIB;
    struct store *s = place_open(&p);
    assert_int_equal(random_bytes(body, sizeof(body)), 0); // which no compression makes less
    struct store_record r = sample(T0_US);
    r.request = slice_of(body, sizeof(body));
    pthread_mutex_lock(&s->batch_mutex);
    occupy(&p, 0);
    for (unsigned i = 0; i < count; i++)
        put(s, 0, &r, STORE_KEPT_ALL);
    assert_int_equal(store__drain_all(s), 0);
    assert_true(health(s).writing);
    assert_int_equal(health(s).records, count);
    assert_int_equal(health(s).content_dropped, count);
    free_others(&p);
    struct got got = {.id = put(s, 0, &r, STORE_KEPT_ALL)};
    assert_int_equal(store__drain_all(s), 0);
    assert_int_equal(health(s).content_dropped, count);
    pthread_mutex_unlock(&s->batch_mutex);
    struct asker a;
    asker_open(&a, s);
    ask(&a, got_fn, &got);
    assert_int_equal(got.err, 0);
    assert_true(slice_eq(got.entry.request, r.request));
    asker_close(&a);
    store_close(s);
    unmount_disk(&p);
}

// Its bundle cannot be written again: nothing of it goes.
static void a_deletion_that_finds_no_room_takes_nothing_with_it(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    struct got got[2];
    static char body[2][100000];
    if (!mount_disk(&p, 200))
        skip();
    struct store *s = place_open(&p);
    assert_int_equal(random_bytes(body, sizeof(body)), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct store_record r = sample(T0_US + i);
        r.row = slice_of(body[i], 30000); // both in one bundle
        got[i] = (struct got){.id = put(s, 0, &r, STORE_KEPT_ALL)};
    }
    drain(s);
    asker_open(&a, s);
    struct removal r = {.ids = &got[0].id, .count = 1};
    occupy(&p, 0);
    ask(&a, remove_fn, &r);
    assert_int_equal(r.err, ERR_LIMIT);
    for (unsigned i = 0; i < 2; i++) {
        ask(&a, got_fn, &got[i]);
        assert_int_equal(got[i].err, 0);
        assert_true(slice_eq(got[i].entry.row, slice_of(body[i], 30000)));
    }
    free_others(&p);
    ask(&a, remove_fn, &r);
    assert_int_equal(r.err, 0);
    ask(&a, got_fn, &got[0]);
    assert_int_equal(got[0].err, ERR_NOT_FOUND);
    ask(&a, got_fn, &got[1]);
    assert_int_equal(got[1].err, 0);
    assert_int_equal(health(s).damaged, 0);
    asker_close(&a);
    store_close(s);
    unmount_disk(&p);
}

// Nor is there a reserve: usage is not written until there is room again.
static void who_cannot_write_says_so(void **state)
{
    (void)state;
    struct place p;
    const unsigned count = 50000; // more than the engine sets aside for its log
    if (!mount_disk(&p, 200))
        skip();
    p.options.ring_bytes = 128 * MIB;
    struct store *s = place_open(&p);
    drain(s);
    assert_true(health(s).writing);
    pthread_mutex_lock(&s->batch_mutex);
    occupy(&p, 0);
    for (unsigned i = 0; i < count; i++) {
        struct store_record r = sample(T0_US + i);
        for (r.moves = 0; r.moves < STORE_MOVES_MAX; r.moves++)
            r.move[r.moves] = (struct store_move){
                SLICE("money"), window_s() + (uint64_t)i * STORE_MOVES_MAX + r.moves, 1};
        put(s, 0, &r, STORE_KEPT_ALL);
    }
    assert_true(store__drain_all(s) < 0);
    assert_false(health(s).writing);
    assert_true(health(s).records < count);
    assert_true(health(s).queued_bytes > 1000000);
    free_others(&p);
    assert_int_equal(store__drain_all(s), 0);
    assert_int_equal(store__sync(s), 0);
    assert_true(health(s).writing);
    assert_int_equal(health(s).records, count);
    assert_int_equal(health(s).queued_bytes, 0);
    pthread_mutex_unlock(&s->batch_mutex);
    store_close(s);
    unmount_disk(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_fall_at_once_and_rise_with_slack),
        cmocka_unit_test(the_order_is_content_rows_never_usage),
        cmocka_unit_test(usage_is_written_where_nothing_is_left),
        cmocka_unit_test(content_that_the_disk_does_not_take_is_given_up),
        cmocka_unit_test(a_deletion_that_finds_no_room_takes_nothing_with_it),
        cmocka_unit_test(who_cannot_write_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
