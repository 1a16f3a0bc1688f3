// SPDX-License-Identifier: Apache-2.0
//
// pool_test.c: zeroed objects, the ceiling, and that only whole free slabs are given back.
#include "tests/unit/base/cm.h"

#include "base/poison.h"
#include "base/pool.h"

static void objects_are_zeroed_and_apart(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 16, 24, 1000, 5000, 100000};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        enum { N = 100 };
        struct pool p;
        char *all[N];
        pool_init(&p, sizes[k], N);
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < N; i++) {
                all[i] = pool_get(&p);
                assert_non_null(all[i]);
                assert_int_equal((uintptr_t)all[i] % 16, 0);
                for (size_t b = 0; b < sizes[k]; b++)
                    assert_int_equal(all[i][b], 0);
                memset(all[i], i + 1, sizes[k]);
            }
            assert_null(pool_get(&p)); // the ceiling
            for (int i = 0; i < N; i++) {
                assert_int_equal(all[i][0], i + 1);
                assert_int_equal(all[i][sizes[k] - 1], i + 1);
                pool_put(&p, all[i]);
            }
        }
        pool_put(&p, NULL);
        pool_done(&p);
    }
}

static unsigned slabs(const struct pool *p)
{
    const struct list *heads[] = {&p->partial, &p->full, &p->empty};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        for (const struct list *l = heads[i]->next; l != heads[i]; l = l->next)
            n++;
    }
    return n;
}

static void trim_keeps_what_is_used(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct pool p;
    char *all[N];
    pool_init(&p, 512, N);
    for (int i = 0; i < N; i++) {
        all[i] = pool_get(&p);
        memset(all[i], 0x5a, 512);
    }
    unsigned most = slabs(&p);
    assert_true(most > 10);
    assert_false(pool_trim(&p, SIZE_MAX));
    assert_int_equal(slabs(&p), most);
    for (int i = 0; i < N; i++) {
        if (i != N / 2)
            pool_put(&p, all[i]);
    }
    // They have not been empty for a whole period yet.
    assert_false(pool_trim(&p, SIZE_MAX));
    assert_int_equal(slabs(&p), most);
    // In slices.
    assert_true(pool_trim(&p, 3));
    assert_int_equal(slabs(&p), most - 3);
    assert_false(pool_trim(&p, SIZE_MAX));
    assert_int_equal(slabs(&p), 1);
    for (int b = 0; b < 512; b++)
        assert_int_equal(all[N / 2][b], 0x5a);
    for (int i = 0; i < N; i++) { // what is left is whole
        if (i != N / 2)
            all[i] = pool_get(&p);
        assert_non_null(all[i]);
    }
    for (int i = 0; i < N; i++)
        pool_put(&p, all[i]);
    pool_done(&p);
}

// What was wanted at any moment of the period stays.
static void trim_keeps_the_low_water_mark(void **state)
{
    (void)state;
    enum { N = 24 };
    struct pool p;
    char *all[N];
    pool_init(&p, 2000, N); // eight to a slab
    for (int i = 0; i < N; i++)
        all[i] = pool_get(&p);
    assert_int_equal(slabs(&p), 3);
    for (int i = 0; i < N; i++)
        pool_put(&p, all[i]);
    assert_false(pool_trim(&p, SIZE_MAX)); // the period begins with three empty slabs
    for (int i = 0; i < 10; i++)
        all[i] = pool_get(&p); // two are wanted
    for (int i = 0; i < 10; i++)
        pool_put(&p, all[i]);
    assert_false(pool_trim(&p, SIZE_MAX));
    assert_int_equal(slabs(&p), 2);
    assert_false(pool_trim(&p, SIZE_MAX));
    assert_int_equal(slabs(&p), 0);
    pool_done(&p);
}

// Objects come from slabs in use, so that a burst's slabs empty again.
static void slabs_in_use_serve_first(void **state)
{
    (void)state;
    enum { N = 24 };
    struct pool p;
    char *all[N];
    pool_init(&p, 2000, N);
    for (int i = 0; i < N; i++)
        all[i] = pool_get(&p);
    for (int i = 1; i < N; i++)
        pool_put(&p, all[i]);
    assert_int_equal(p.empty_count, 2);
    for (int i = 1; i < 8; i++)
        all[i] = pool_get(&p);
    assert_int_equal(p.empty_count, 2);
    for (int i = 0; i < 8; i++)
        pool_put(&p, all[i]);
    pool_done(&p);
}

static void free_objects_are_poisoned(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    struct pool p;
    pool_init(&p, 64, 4);
    char *x = pool_get(&p);
    assert_false(__asan_address_is_poisoned(x + 63));
    assert_true(__asan_address_is_poisoned(x + 64 + 8)); // the neighbour
    pool_put(&p, x);
    assert_true(__asan_address_is_poisoned(x + 8));
    pool_done(&p);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_zeroed_and_apart),  cmocka_unit_test(trim_keeps_what_is_used),
        cmocka_unit_test(trim_keeps_the_low_water_mark), cmocka_unit_test(slabs_in_use_serve_first),
        cmocka_unit_test(free_objects_are_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
