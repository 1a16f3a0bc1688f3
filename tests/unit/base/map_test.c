// SPDX-License-Identifier: Apache-2.0
//
// map_test.c: against a plain array, through growth and removal.
#include "tests/unit/base/cm.h"

#include "base/map.h"
#include "base/prng.h"
#include <stdio.h>

static const uint64_t seed[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void empty_map(void **state)
{
    (void)state;
    struct map m;
    size_t at = 0;
    map_init(&m, seed);
    assert_null(map_get(&m, SLICE("a")));
    assert_null(map_remove(&m, SLICE("a")));
    assert_null(map_next(&m, &at));
    map_done(&m);
}

// SipHash-1-3 of the bytes 00 01 … of the first lengths under the key 00 … 0f.
static void hash_is_siphash13(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(0xabac0158050fc4dc), // length 0
        UINT64_C(0xc9f49bf37d57ca93), // length 1
        UINT64_C(0x82cb9b024dc7d44d), // length 2
    };
    static const char bytes[] = {0, 1, 2};
    for (size_t len = 0; len < 3; len++) {
        struct map m;
        size_t at = 0;
        map_init(&m, seed);
        assert_int_equal(map_put(&m, slice_of(bytes, len), &m), 0);
        assert_true(map_next(&m, &at)->hash == expected[len]);
        map_done(&m);
    }
}

static void behaves_like_an_array(void **state)
{
    (void)state;
    enum { KEYS = 500 };
    static char names[KEYS][20];
    void *value[KEYS] = {0};
    struct map m;
    struct prng p;
    size_t live = 0;
    prng_seed(&p, 9);
    map_init(&m, seed);
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof(names[i]), "key-%d", i);
    for (int step = 0; step < 100000; step++) {
        size_t i = prng_below(&p, KEYS);
        struct slice key = slice_str(names[i]);
        if (prng_below(&p, 2) == 0) {
            live += !value[i];
            value[i] = &names[prng_below(&p, KEYS)];
            assert_int_equal(map_put(&m, key, value[i]), 0);
        } else {
            live -= value[i] != NULL;
            assert_ptr_equal(map_remove(&m, key), value[i]);
            value[i] = NULL;
        }
        i = prng_below(&p, KEYS);
        assert_ptr_equal(map_get(&m, slice_str(names[i])), value[i]);
        assert_int_equal(m.live, live);
    }
    assert_true(m.cap <= 1024); // removal does not make it grow without end
    size_t at = 0, seen = 0;
    for (struct map_entry *e; (e = map_next(&m, &at));)
        seen += e->value != NULL;
    assert_int_equal(seen, live);
    map_done(&m);
}

static void insertion_order_and_replacement(void **state)
{
    (void)state;
    struct map m;
    char a[] = "b", b[] = "b";
    size_t at = 0;
    map_init(&m, seed);
    map_put(&m, SLICE("a"), &m);
    map_put(&m, slice_of(a, 1), a);
    map_put(&m, SLICE("c"), &m);
    map_put(&m, slice_of(b, 1), b); // replaces, keeps its place, and borrows the new key
    a[0] = 'x';
    assert_ptr_equal(map_get(&m, SLICE("b")), b);
    map_remove(&m, SLICE("a"));
    assert_slice(map_next(&m, &at)->key, "b");
    assert_slice(map_next(&m, &at)->key, "c");
    assert_null(map_next(&m, &at));
    map_done(&m);
}

// A removed entry whose key compares equal (the empty key does) is not the entry that is asked for.
static void removed_entry_is_not_found(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, seed);
    map_put(&m, SLICE(""), &m);
    map_put(&m, SLICE("b"), &m);
    map_remove(&m, SLICE(""));
    map_put(&m, SLICE(""), &m);
    assert_int_equal(m.live, 2);
    assert_int_equal(m.count, 3);
    map_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_map),
        cmocka_unit_test(hash_is_siphash13),
        cmocka_unit_test(behaves_like_an_array),
        cmocka_unit_test(insertion_order_and_replacement),
        cmocka_unit_test(removed_entry_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
