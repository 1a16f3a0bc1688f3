// SPDX-License-Identifier: Apache-2.0
//
// migrate_test.c: formats are reached, step by step, and go on where they were interrupted.
#include "tests/unit/store/fixture.h"

#include "store/keys.h"
#include "store/migrate.h"

static struct rocks *memory(void)
{
    struct rocks *db = NULL;
    char reason[ROCKS_REASON_BYTES];
    struct rocks_options options = {.memory = true};
    assert_int_equal(rocks_open(&options, &db, reason), 0);
    return db;
}

static void write_key(struct rocks *db, const char *key, struct slice value)
{
    struct rocks_batch *b = rocks_batch_new();
    rocks_batch_put(b, slice_str(key), value);
    assert_int_equal(rocks_write(db, b, true), 0);
    rocks_batch_free(b);
}

// Doubles the letter of one of the keys "k0" to "k4" a step; the table's writable state is the
// database's.
static int one_key(struct rocks *db, struct slice cursor, struct rocks_batch *batch,
                   struct buf *next)
{
    char key[3] = {'k', cursor.len > 0 ? (char)(cursor.ptr[0] + 1) : '0', 0};
    struct buf value;
    buf_init(&value, 100);
    int err = rocks_get(db, slice_str(key), &value);
    if (!err) {
        if (value.ptr[0] == '!')
            err = ERR_SYSTEM;
        buf_add(&value, slice_take(buf_slice(&value), value.len));
        rocks_batch_put(batch, slice_str(key), buf_slice(&value));
        if (key[1] < '4')
            buf_add_char(next, key[1]);
    }
    buf_done(&value);
    return err;
}

static const struct migration table[] = {{1, one_key}, {2, one_key}};

static void expect(struct rocks *db, const char *key, const char *text)
{
    struct buf value;
    buf_init(&value, 100);
    assert_int_equal(rocks_get(db, slice_str(key), &value), 0);
    assert_true(slice_eq(buf_slice(&value), slice_str(text)));
    buf_done(&value);
}

static void fill(struct rocks *db)
{
    char reason[STORE_REASON_BYTES];
    assert_int_equal(migrate_run(db, "test", 1, NULL, 0, reason), 0);
    for (char c = '0'; c < '5'; c++)
        write_key(db, (char[3]){'k', c, 0}, SLICE("x"));
}

static void a_new_database_has_the_format(void **state)
{
    (void)state;
    struct rocks *db = memory();
    char reason[STORE_REASON_BYTES];
    assert_int_equal(migrate_run(db, "test", 3, table, 2, reason), 0);
    struct buf value;
    struct keys_key key = keys_state(KEYS_STATE_FORMAT);
    buf_init(&value, 100);
    assert_int_equal(rocks_get(db, keys_slice(&key), &value), 0);
    assert_int_equal(value.len, 4);
    assert_memory_equal(value.ptr, "\0\0\0\3", 4);
    buf_done(&value);
    rocks_close(db);
}

static void each_key_is_migrated_once_a_format(void **state)
{
    (void)state;
    struct rocks *db = memory();
    char reason[STORE_REASON_BYTES];
    fill(db);
    assert_int_equal(migrate_run(db, "test", 3, table, 2, reason), 0);
    expect(db, "k0", "xxxx");
    expect(db, "k4", "xxxx");
    assert_int_equal(migrate_run(db, "test", 3, table, 2, reason), 0);
    expect(db, "k0", "xxxx");
    rocks_close(db);
}

static void an_interrupted_one_goes_on_where_it_was(void **state)
{
    (void)state;
    struct rocks *db = memory();
    char reason[STORE_REASON_BYTES];
    fill(db);
    write_key(db, "k3", SLICE("!"));
    assert_int_equal(migrate_run(db, "test", 2, table, 2, reason), ERR_SYSTEM);
    expect(db, "k2", "xx");
    expect(db, "k3", "!");
    write_key(db, "k3", SLICE("x"));
    assert_int_equal(migrate_run(db, "test", 2, table, 2, reason), 0);
    for (char c = '0'; c < '5'; c++)
        expect(db, (char[3]){'k', c, 0}, "xx");
    rocks_close(db);
}

static void what_no_program_of_this_age_wrote_is_refused(void **state)
{
    (void)state;
    struct rocks *db = memory();
    char reason[STORE_REASON_BYTES];
    assert_int_equal(migrate_run(db, "test", 4, NULL, 0, reason), 0);
    assert_int_equal(migrate_run(db, "test", 3, table, 2, reason), ERR_UNSUPPORTED);
    assert_non_null(strstr(reason, "format 4, this program reads 3"));
    assert_int_equal(migrate_run(db, "test", 5, table, 2, reason), ERR_UNSUPPORTED);
    rocks_close(db);
    db = memory();
    write_key(db, "something", SLICE("else"));
    assert_int_equal(migrate_run(db, "test", 3, table, 2, reason), ERR_SYSTEM);
    rocks_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_database_has_the_format),
        cmocka_unit_test(each_key_is_migrated_once_a_format),
        cmocka_unit_test(an_interrupted_one_goes_on_where_it_was),
        cmocka_unit_test(what_no_program_of_this_age_wrote_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
