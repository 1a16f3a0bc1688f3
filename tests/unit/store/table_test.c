// SPDX-License-Identifier: Apache-2.0
//
// table_test.c: rows of the configuration: all or none, in the order of their ids, sealed when
// there is a key.
#include "tests/unit/store/fixture.h"

#include "store/keys.h"

struct change {
    const struct store_change *changes;
    unsigned count;
    int err;
};

static void change_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct change *c = arg;
    c->err = store_change_await(a->store, self, c->changes, c->count);
}

static int change(struct asker *a, const struct store_change *changes, unsigned count)
{
    struct change c = {.changes = changes, .count = count};
    ask(a, change_fn, &c);
    return c.err;
}

struct get {
    enum store_kind kind;
    struct slice id, value;
    int err;
};

static void get_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct get *g = arg;
    g->err = store_get_await(a->store, self, g->kind, g->id, &a->arena, &g->value);
}

static struct get get(struct asker *a, enum store_kind kind, struct slice id)
{
    struct get g = {.kind = kind, .id = id};
    ask(a, get_fn, &g);
    return g;
}

struct list_call {
    struct slice after;
    unsigned max;
    struct store_row *rows;
    unsigned count;
    int err;
};

static void list_fn(struct asker *a, struct fiber *self, void *arg)
{
    struct list_call *l = arg;
    l->err = store_list_await(a->store, self, STORE_VIRTUAL_KEY, l->after, l->max, &a->arena,
                              &l->rows, &l->count);
}

static void rows_are_kept_changed_and_removed(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    const struct store_change two[] = {{STORE_KEY, SLICE("k"), SLICE("{\"a\":1}")},
                                       {STORE_SETTING, SLICE("k"), SLICE("")}};
    assert_int_equal(change(&a, two, 2), 0);
    struct get g = get(&a, STORE_KEY, SLICE("k"));
    assert_int_equal(g.err, 0);
    assert_true(slice_eq(g.value, SLICE("{\"a\":1}")));
    g = get(&a, STORE_SETTING, SLICE("k"));
    assert_int_equal(g.err, 0);
    assert_int_equal(g.value.len, 0);
    assert_int_equal(get(&a, STORE_PRICE, SLICE("k")).err, ERR_NOT_FOUND);
    const struct store_change gone[] = {{.kind = STORE_KEY, .id = SLICE("k")}};
    assert_int_equal(change(&a, gone, 1), 0);
    asker_close(&a);
    store_close(s);
    s = place_open(&p);
    asker_open(&a, s);
    assert_int_equal(get(&a, STORE_KEY, SLICE("k")).err, ERR_NOT_FOUND);
    assert_int_equal(get(&a, STORE_SETTING, SLICE("k")).err, 0);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

static void one_change_too_large_and_none_is_made(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    char *large = calloc(1, STORE_VALUE_BYTES_MAX + 1), id[KEYS_ID_BYTES_MAX + 1] = {1};
    asker_open(&a, s);
    struct store_change two[] = {
        {STORE_KEY, SLICE("k"), SLICE("v")},
        {STORE_KEY, SLICE("large"), slice_of(large, STORE_VALUE_BYTES_MAX + 1)}};
    assert_int_equal(change(&a, two, 2), ERR_LIMIT);
    assert_int_equal(get(&a, STORE_KEY, SLICE("k")).err, ERR_NOT_FOUND);
    two[1].value.len--;
    assert_int_equal(change(&a, two, 2), 0);
    assert_int_equal(get(&a, STORE_KEY, SLICE("large")).value.len, STORE_VALUE_BYTES_MAX);
    two[1].id = slice_of(id, sizeof(id));
    assert_int_equal(change(&a, two, 2), ERR_LIMIT);
    two[1].id.len--;
    assert_int_equal(change(&a, two, 2), 0);
    two[1].id.len = 0;
    assert_int_equal(change(&a, two, 2), ERR_LIMIT);
    assert_int_equal(change(&a, two, STORE_CHANGES_MAX + 1), ERR_LIMIT);
    free(large);
    asker_close(&a);
    store_close(s);
}

static void a_kind_is_listed_page_by_page(void **state)
{
    (void)state;
    struct store *s = memory_open();
    struct asker a;
    asker_open(&a, s);
    const struct store_change rows[] = {{STORE_VIRTUAL_KEY, SLICE("b"), SLICE("B")},
                                        {STORE_VIRTUAL_KEY, SLICE("a"), SLICE("A")},
                                        {STORE_VIRTUAL_KEY, SLICE("aa"), SLICE("AA")},
                                        {STORE_KEY, SLICE("x"), SLICE("X")},
                                        {STORE_BUDGET, SLICE("0"), SLICE("0")}};
    assert_int_equal(change(&a, rows, 5), 0);
    struct list_call l = {.max = 2};
    ask(&a, list_fn, &l);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.count, 2);
    assert_true(slice_eq(l.rows[0].id, SLICE("a")) && slice_eq(l.rows[0].value, SLICE("A")));
    assert_true(slice_eq(l.rows[1].id, SLICE("aa")) && slice_eq(l.rows[1].value, SLICE("AA")));
    l = (struct list_call){.max = 2, .after = l.rows[1].id};
    ask(&a, list_fn, &l);
    assert_int_equal(l.count, 1);
    assert_true(slice_eq(l.rows[0].id, SLICE("b")));
    l = (struct list_call){.max = 2, .after = SLICE("ab")}; // gone meanwhile
    ask(&a, list_fn, &l);
    assert_int_equal(l.count, 1);
    l = (struct list_call){.max = 2, .after = SLICE("b")};
    ask(&a, list_fn, &l);
    assert_int_equal(l.err, 0);
    assert_int_equal(l.count, 0);
    asker_close(&a);
    store_close(s);
}

// What the disk has of a row, looked at without the store.
static struct buf raw_row(struct store *s, enum store_kind kind, struct slice id)
{
    struct buf b;
    struct keys_key key = keys_row(kind, id);
    buf_init(&b, 1 << 20);
    assert_int_equal(rocks_get(s->config, keys_slice(&key), &b), 0);
    return b;
}

static void a_key_seals_rows_and_old_ones_stay_readable(void **state)
{
    (void)state;
    struct place p;
    struct asker a;
    place_make(&p);
    struct store *s = place_open(&p);
    asker_open(&a, s);
    const struct store_change before[] = {{STORE_KEY, SLICE("old"), SLICE("sk-old")}};
    assert_int_equal(change(&a, before, 1), 0);
    asker_close(&a);
    store_close(s);

    p.options.encryption_key = SLICE("a passphrase of some length");
    s = place_open(&p);
    asker_open(&a, s);
    const struct store_change after[] = {{STORE_KEY, SLICE("new"), SLICE("sk-new")}};
    assert_int_equal(change(&a, after, 1), 0);
    struct buf raw = raw_row(s, STORE_KEY, SLICE("new"));
    assert_int_equal(raw.ptr[0], 2);
    assert_int_equal(slice_find(buf_slice(&raw), SLICE("sk-new")), -1);
    buf_done(&raw);
    assert_true(slice_eq(get(&a, STORE_KEY, SLICE("new")).value, SLICE("sk-new")));
    assert_true(slice_eq(get(&a, STORE_KEY, SLICE("old")).value, SLICE("sk-old")));
    // Put under another id it does not open.
    raw = raw_row(s, STORE_KEY, SLICE("new"));
    struct rocks_batch *b = rocks_batch_new();
    struct keys_key moved = keys_row(STORE_KEY, SLICE("moved"));
    rocks_batch_put(b, keys_slice(&moved), buf_slice(&raw));
    assert_int_equal(rocks_write(s->config, b, true), 0);
    rocks_batch_free(b);
    buf_done(&raw);
    assert_int_equal(get(&a, STORE_KEY, SLICE("moved")).err, ERR_SYSTEM);
    asker_close(&a);
    store_close(s);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_kept_changed_and_removed),
        cmocka_unit_test(one_change_too_large_and_none_is_made),
        cmocka_unit_test(a_kind_is_listed_page_by_page),
        cmocka_unit_test(a_key_seals_rows_and_old_ones_stay_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
