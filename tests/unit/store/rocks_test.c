// SPDX-License-Identifier: Apache-2.0
//
// rocks_test.c: what the store expects of the engine.
#include "tests/unit/store/fixture.h"

#include "base/prng.h"
#include "store/crc.h"
#include "store/rocks.h"
#include <rocksdb/c.h>

#define assert_slice_is(s, text) assert_true(slice_eq((s), SLICE(text)))

static struct rocks *open_at(const char *dir, bool logs)
{
    struct rocks *db = NULL;
    char reason[ROCKS_REASON_BYTES];
    struct rocks_options options = {.dir = dir, .memory = !dir, .logs = logs};
    if (rocks_open(&options, &db, reason) < 0)
        fail_msg("%s", reason);
    return db;
}

static void write_one(struct rocks *db, struct slice key, struct slice value, bool sync)
{
    struct rocks_batch *b = rocks_batch_new();
    rocks_batch_put(b, key, value);
    assert_int_equal(rocks_write(db, b, sync), 0);
    rocks_batch_free(b);
}

static void expect(struct rocks *db, struct slice key, const char *value)
{
    struct buf got;
    buf_init(&got, 1 << 20);
    int err = rocks_get(db, key, &got);
    if (value) {
        assert_int_equal(err, 0);
        assert_true(slice_eq(buf_slice(&got), slice_str(value)));
    } else {
        assert_int_equal(err, ERR_NOT_FOUND);
    }
    buf_done(&got);
}

static void batches_are_whole(void **state)
{
    (void)state;
    struct rocks *db = open_at(NULL, true);
    struct rocks_batch *b = rocks_batch_new();
    rocks_batch_put(b, SLICE("k"), SLICE("one"));
    rocks_batch_put(b, SLICE("m"), SLICE("other"));
    rocks_batch_delete(b, SLICE("k"));
    assert_int_equal(rocks_batch_count(b), 3);
    expect(db, SLICE("m"), NULL);
    assert_int_equal(rocks_write(db, b, false), 0);
    expect(db, SLICE("m"), "other");
    expect(db, SLICE("k"), NULL);
    assert_int_equal(rocks_sync(db), 0);
    rocks_batch_free(b);
    rocks_close(db);
}

// Built as an earlier program did, with the engine's own interface.
static void families_of_an_earlier_build_are_given_up(void **state)
{
    (void)state;
    struct place p;
    char *error = NULL;
    place_make(&p);
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *earlier = rocksdb_open(options, p.dir, &error);
    assert_null(error);
    rocksdb_column_family_handle_t *rows =
        rocksdb_create_column_family(earlier, options, "rows", &error);
    assert_null(error);
    rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
    rocksdb_put_cf(earlier, write, rows, "k", 1, "row", 3, &error);
    rocksdb_put(earlier, write, "k", 1, "v", 1, &error);
    assert_null(error);
    rocksdb_writeoptions_destroy(write);
    rocksdb_column_family_handle_destroy(rows);
    rocksdb_close(earlier);
    rocksdb_options_destroy(options);
    for (unsigned i = 0; i < 2; i++) {
        struct rocks *db = open_at(p.dir, true);
        expect(db, SLICE("k"), "v");
        rocks_close(db);
    }
    place_done(&p);
}

static void iterators_stay_in_their_range(void **state)
{
    (void)state;
    struct rocks *db = open_at(NULL, false);
    const char *keys[] = {"a", "b", "c", "d"};
    for (unsigned i = 0; i < 4; i++)
        write_one(db, slice_str(keys[i]), slice_str(keys[i]), false);
    struct rocks_iter *it = rocks_iter_new(db, SLICE("b"), SLICE("d"));
    rocks_iter_first(it);
    assert_slice_is(rocks_iter_key(it), "b");
    rocks_iter_next(it);
    assert_slice_is(rocks_iter_value(it), "c");
    rocks_iter_next(it);
    assert_false(rocks_iter_valid(it));
    assert_int_equal(rocks_iter_error(it), 0);
    rocks_iter_last(it);
    assert_slice_is(rocks_iter_key(it), "c");
    rocks_iter_prev(it);
    rocks_iter_prev(it);
    assert_false(rocks_iter_valid(it));
    rocks_iter_seek(it, SLICE("bb"));
    assert_slice_is(rocks_iter_key(it), "c");
    rocks_iter_seek_prev(it, SLICE("bb"));
    assert_slice_is(rocks_iter_key(it), "b");
    rocks_iter_free(it);
    rocks_close(db);
}

static void a_deleted_range_gives_its_space_back(void **state)
{
    (void)state;
    struct place p;
    place_make(&p);
    assert_int_equal(mkdir(p.dir, 0700), 0);
    struct rocks *db = open_at(p.dir, true);
    struct prng prng;
    prng_seed(&prng, 1);
    static char body[100000];
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)prng_next(&prng);
    for (unsigned i = 0; i < 200; i++) {
        char key[8];
        snprintf(key, sizeof(key), "%04u", i);
        write_one(db, slice_str(key), slice_of(body, sizeof(body)), false);
    }
    uint64_t before = rocks_bytes(db);
    assert_true(before > 200 * sizeof(body) * 9 / 10);
    struct rocks_batch *b = rocks_batch_new();
    rocks_batch_delete_range(b, SLICE("0"), SLICE("0180"));
    assert_int_equal(rocks_write(db, b, false), 0);
    rocks_batch_free(b);
    assert_int_equal(rocks_reclaim(db, SLICE("0"), SLICE("0180")), 0);
    expect(db, SLICE("0179"), NULL);
    assert_true(rocks_bytes(db) < before / 2);
    rocks_close(db);
    place_done(&p);
}

static void a_missing_database_can_be_an_error(void **state)
{
    (void)state;
    struct rocks *db;
    struct place p;
    char reason[ROCKS_REASON_BYTES];
    place_make(&p);
    struct rocks_options options = {.dir = p.dir, .must_exist = true};
    assert_int_equal(rocks_open(&options, &db, reason), ERR_SYSTEM);
    assert_true(strlen(reason) > 0);
    place_done(&p);
}

static void a_checkpoint_is_a_database(void **state)
{
    (void)state;
    struct place p;
    char copy[128];
    place_make(&p);
    assert_int_equal(mkdir(p.dir, 0700), 0);
    snprintf(copy, sizeof(copy), "%s/copy", p.top);
    struct rocks *db = open_at(p.dir, true);
    write_one(db, SLICE("k"), SLICE("v"), false);
    assert_int_equal(rocks_checkpoint(db, copy), 0);
    write_one(db, SLICE("later"), SLICE("v"), false);
    assert_int_equal(rocks_checkpoint(db, copy), ERR_SYSTEM); // it exists
    rocks_close(db);
    db = open_at(copy, true);
    expect(db, SLICE("k"), "v");
    expect(db, SLICE("later"), NULL);
    rocks_close(db);
    place_done(&p);
}

// The engine's own, which the linker keeps under this name; absent where it is a shared library.
uint32_t __real__ZN7rocksdb6crc32c6ExtendEjPKcm(uint32_t crc, const char *data, size_t len)
    __attribute__((weak));

static void its_check_is_what_ours_computes(void **state)
{
    (void)state;
    static char data[3000];
    if (!__real__ZN7rocksdb6crc32c6ExtendEjPKcm)
        return;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 31 + i / 256);
    for (size_t len = 0; len < sizeof(data); len += 97)
        for (uint32_t crc = 0; crc < 3; crc++)
            assert_int_equal(__real__ZN7rocksdb6crc32c6ExtendEjPKcm(crc, data, len),
                             crc_add(crc, data, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_are_whole),
        cmocka_unit_test(families_of_an_earlier_build_are_given_up),
        cmocka_unit_test(iterators_stay_in_their_range),
        cmocka_unit_test(a_deleted_range_gives_its_space_back),
        cmocka_unit_test(a_missing_database_can_be_an_error),
        cmocka_unit_test(a_checkpoint_is_a_database),
        cmocka_unit_test(its_check_is_what_ours_computes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
